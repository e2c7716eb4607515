//! Notifications against a server on this machine that answers as services do on good and on bad days.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::payload::payload;
use super::*;

// ---- a server ----

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
enum Reply {
    /// With this status line and these headers.
    Head(&'static str),
    /// Not: the connection ends when the request has been read.
    HangUp,
    /// Not: the connection stays open.
    Hang,
}

const OK: Reply = Reply::Head("200 OK");

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Value,
    at: Instant,
    was_taken: bool,
}

impl Request {
    /// The message's first line, whichever the service.
    fn line(&self) -> &str {
        self.body["text"].as_str().or(self.body["content"].as_str()).expect("a line")
    }

    fn is_repeat(&self) -> bool {
        self.line().contains("repeat")
    }
}

/// Answers as it is told, and 200 from then on.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// What no file, error or line may hold.
const SECRET: &str = "verysecrettoken";

impl Server {
    fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (replies, seen, count) = (replies.to_vec(), Arc::clone(&requests), Arc::new(AtomicUsize::new(0)));
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (replies, seen, count) = (replies.clone(), Arc::clone(&seen), Arc::clone(&count));
                std::thread::spawn(move || {
                    let next = || replies.get(count.fetch_add(1, Ordering::SeqCst)).copied().unwrap_or(OK);
                    serve(stream, &seen, next)
                });
            }
        });
        Self { port, requests }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{SECRET}", self.port)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("held").clone()
    }

    fn lines(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.line().to_owned()).collect()
    }

    fn taken(&self) -> usize {
        self.requests().iter().filter(|request| request.was_taken).count()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Request>>, next: impl FnOnce() -> Reply) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let reply = next();
    let was_taken = matches!(reply, Reply::Head(head) if head.starts_with('2'));
    let body = serde_json::from_slice(&body).expect("JSON");
    seen.lock().expect("held").push(Request { head, body, at: Instant::now(), was_taken });
    match reply {
        Reply::Head(head) => {
            (&stream).write_all(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n").as_bytes()).ok()
        }
        Reply::HangUp => Some(()),
        Reply::Hang => {
            std::thread::sleep(Duration::from_secs(60));
            Some(())
        }
    }
}

// ---- a place ----

#[expect(clippy::disallowed_methods, reason = "as the command line's clock")]
fn today() -> Timestamp {
    Timestamp::now()
}

fn event(kind: EventKind, what: &str) -> Event {
    Event {
        kind,
        environment: "staging".to_owned(),
        host: "quiet-host".to_owned(),
        what: what.to_owned(),
        headline: format!("release {what}"),
        details: vec!["first".to_owned(), "second".to_owned()],
        at: today(),
    }
}

/// An outbox and the services that it goes to.
struct Place {
    folder: TempDir,
    channels: Channels,
    clock: Box<dyn Fn() -> Timestamp + Sync>,
    told: RefCell<Vec<String>>,
}

impl Place {
    fn new(slack: &str, discord: Option<&str>) -> Self {
        let found = |name: &str| match name {
            SLACK_VARIABLE => Some(slack.into()),
            DISCORD_VARIABLE => discord.map(Into::into),
            _ => None,
        };
        let channels = Channels::read(&found).expect("addresses");
        let folder = TempDir::new().expect("a folder");
        Self { folder, channels, clock: Box::new(today), told: RefCell::default() }
    }

    fn slack(server: &Server) -> Self {
        Self::new(&server.address(), None)
    }

    fn outbox(&self) -> Outbox<'_> {
        Outbox::new(self.folder.path(), &*self.clock)
    }

    /// From now on it is so much later.
    fn later(&mut self, by: SignedDuration) {
        self.clock = Box::new(move || today() + by);
    }

    fn notify(&self, event: &Event) {
        notify(&self.outbox(), &self.channels, event, &|line| self.told.borrow_mut().push(line.to_owned()));
    }

    fn deliver(&self) -> Report {
        deliver(&self.outbox(), &self.channels, Duration::from_secs(5)).remove(0)
    }

    fn told(&self) -> Vec<String> {
        self.told.borrow().clone()
    }

    /// Slack's files of an ending.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join("slack")).expect("listed");
        let paths = files.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| path.extension().is_some_and(|e| e == ending)).collect()
    }

    /// Changes Slack's only waiting file.
    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.files("waiting").remove(0);
        let mut entry = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        edit(&mut entry);
        std::fs::write(&path, entry.to_string()).expect("written");
    }

    /// No file and nothing told holds an address.
    fn assert_secret(&self) {
        let texts = self.told().into_iter().chain(texts(self.folder.path()));
        let leaks: Vec<String> = texts.filter(|text| text.contains(SECRET) || text.contains("127.0.0.1")).collect();
        assert_eq!(leaks, Vec::<String>::new());
    }
}

/// Names and contents of all files below a folder.
fn texts(folder: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
    let inside = |path: PathBuf| {
        if path.is_dir() {
            return texts(&path);
        }
        vec![path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path).expect("read")).into_owned()]
    };
    paths.flat_map(inside).collect()
}

// ---- delivery ----

#[test]
fn events_arrive_in_order_once_each_in_both_channels() {
    let (slack, discord) = (Server::start(&[]), Server::start(&[Reply::Head("204 No Content")]));
    let place = Place::new(&slack.address(), Some(&discord.address()));
    let events = [EventKind::Started, EventKind::Unhealthy, EventKind::RolledBack].map(|kind| event(kind, "r1"));
    for event in events.iter().chain(&events) {
        place.notify(event);
    }
    for server in [&slack, &discord] {
        let words: Vec<bool> =
            server.lines().iter().zip(["started", "UNHEALTHY", "rolled"]).map(|(l, w)| l.contains(w)).collect();
        assert_eq!(words, [true; 3], "{:?}", server.lines());
        for request in server.requests() {
            assert!(request.head.starts_with(&format!("POST /{SECRET} HTTP/1.1\r\n")), "{}", request.head);
            assert!(request.head.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{}", request.head);
        }
    }
    assert_eq!(place.told(), Vec::<String>::new());
    assert_eq!((place.files("waiting").len(), place.files("delivered").len()), (0, 3));
    place.assert_secret();
}

#[test]
fn a_refused_message_is_sent_again_and_shown_once() {
    let server = Server::start(&[Reply::Head("500 Internal Server Error")]);
    let place = Place::slack(&server);
    place.notify(&event(EventKind::Failed, "r1"));
    assert_eq!((server.requests().len(), server.taken()), (2, 1));
    assert!(!server.requests()[1].is_repeat(), "the service said that it hadn't taken the first");
    assert_eq!(place.told(), Vec::<String>::new());
}

#[test]
fn a_service_is_left_alone_as_long_as_it_asks() {
    let server = Server::start(&[Reply::Head("429 Too Many Requests\r\nretry-after: 2")]);
    let place = Place::slack(&server);
    place.outbox().put(Channel::Slack, &event(EventKind::Started, "r1")).expect("put");
    place.notify(&event(EventKind::Succeeded, "r1"));
    let requests = server.requests();
    assert_eq!((requests.len(), server.taken()), (3, 2));
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(2), "it came back too soon");
    assert!(requests[1].line().contains("started"), "what waited goes first: {:?}", server.lines());
}

#[test]
fn a_long_wait_is_left_to_the_next_call() {
    let server = Server::start(&[Reply::Head("429 Too Many Requests\r\nretry-after: 3600")]);
    let mut place = Place::slack(&server);
    let begun = Instant::now();
    place.notify(&event(EventKind::Started, "r1"));
    place.notify(&event(EventKind::Succeeded, "r1"));
    assert!(begun.elapsed() < Duration::from_secs(3), "nobody waits for an hour");
    assert_eq!(server.requests().len(), 1, "the second event doesn't go round the wait of the first");
    assert_eq!(place.told().len(), 2);
    place.later(SignedDuration::from_secs(3_601));
    let report = place.deliver();
    assert_eq!((report.delivered, report.waiting, server.taken()), (2, 0, 2), "{report:?}");
}

#[test]
fn an_unanswered_message_is_repeated_once_and_says_so() {
    let server = Server::start(&[Reply::HangUp]);
    let place = Place::slack(&server);
    place.notify(&event(EventKind::Failed, "r1"));
    let repeats: Vec<bool> = server.requests().iter().map(Request::is_repeat).collect();
    assert_eq!((repeats, server.taken()), (vec![false, true], 1));
    assert_eq!(place.told(), Vec::<String>::new());
}

#[test]
fn two_unanswered_messages_are_the_last() {
    let server = Server::start(&[Reply::HangUp, Reply::Head("503 Busy"), Reply::HangUp]);
    let mut place = Place::slack(&server);
    place.notify(&event(EventKind::Failed, "r1"));
    place.later(SignedDuration::from_secs(60));
    place.deliver();
    place.deliver();
    assert_eq!(server.requests().len(), 3, "{:?}", server.lines());
    assert_eq!((place.files("waiting").len(), place.files("dropped").len()), (0, 1));
}

#[test]
fn a_service_that_hangs_delays_nobody_for_long() {
    let (slack, discord) = (Server::start(&[Reply::Hang]), Server::start(&[]));
    let place = Place::new(&slack.address(), Some(&discord.address()));
    let begun = Instant::now();
    place.notify(&event(EventKind::Started, "r1"));
    assert!(begun.elapsed() < FOREGROUND + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(discord.taken(), 1, "the other channel isn't held up");
    assert_eq!(place.told(), ["notifications: slack: no answer in time, 1 still waiting"]);
    place.notify(&event(EventKind::Succeeded, "r1"));
    let repeats: Vec<bool> = slack.requests().iter().map(Request::is_repeat).collect();
    assert_eq!((repeats, slack.taken()), (vec![false, true, false], 2));
    place.assert_secret();
}

#[test]
fn what_cannot_be_reached_has_been_sent_nothing() {
    let server = Server::start(&[]);
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}/{SECRET}", listener.local_addr().expect("an address"))
    };
    let mut place = Place::new(&nobody, None);
    place.notify(&event(EventKind::Failed, "r1"));
    assert_eq!(place.told(), ["notifications: slack: connection refused, 1 still waiting"]);
    place.assert_secret();
    place.channels = Place::slack(&server).channels;
    place.later(SignedDuration::from_secs(60));
    place.deliver();
    let repeats: Vec<bool> = server.requests().iter().map(Request::is_repeat).collect();
    assert_eq!(repeats, [false]);
}

#[test]
fn what_speaks_no_tls_gets_no_message() {
    let server = Server::start(&[]);
    let mut place = Place::new(&server.address().replace("http:", "https:"), None);
    // Its answer to a greeting of TLS would be awaited.
    let begun = Instant::now();
    place.notify(&event(EventKind::Failed, "r1"));
    assert!(begun.elapsed() < FOREGROUND + Duration::from_secs(1));
    place.assert_secret();
    place.channels = Place::slack(&server).channels;
    place.later(SignedDuration::from_secs(120));
    place.deliver();
    let repeats: Vec<bool> = server.requests().iter().map(Request::is_repeat).collect();
    assert_eq!(repeats, [false], "nothing had left");
}

/// What a process leaves that is killed while its message is on its way.
#[test]
fn a_killed_delivery_is_repeated_once_and_says_so() {
    let server = Server::start(&[]);
    let place = Place::slack(&server);
    place.outbox().put(Channel::Slack, &event(EventKind::Failed, "r1")).expect("put");
    place.edit(|entry| entry["unanswered"] = 1.into());
    place.deliver();
    assert!(server.requests().len() == 1 && server.requests()[0].is_repeat(), "{:?}", server.lines());
    place.outbox().put(Channel::Slack, &event(EventKind::Failed, "r2")).expect("put");
    place.edit(|entry| entry["unanswered"] = 2.into());
    let report = place.deliver();
    assert_eq!((server.requests().len(), report.waiting, report.notes.len()), (1, 0, 1), "{report:?}");
}

#[test]
fn deliveries_at_once_send_each_event_once() {
    let server = Server::start(&[]);
    let place = Place::slack(&server);
    let events: Vec<Event> = (0..12).map(|i| event(EventKind::UnitFailed, &format!("unit {i}"))).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Each opens the lock anew, as a process does.
            scope.spawn(|| {
                for event in &events {
                    notify(&Outbox::new(place.folder.path(), &today), &place.channels, event, &|_| ());
                }
            });
        }
    });
    let mut lines = server.lines();
    lines.sort();
    lines.dedup();
    assert_eq!((lines.len(), server.requests().len()), (12, 12));
}

#[test]
fn an_event_put_late_by_another_process_is_not_sent_again() {
    let server = Server::start(&[]);
    let place = Place::slack(&server);
    place.notify(&event(EventKind::Failed, "r1"));
    let delivered = place.files("delivered").remove(0);
    std::fs::copy(&delivered, delivered.with_extension("waiting")).expect("copied");
    assert!(place.deliver().is_well());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_message_that_can_never_be_shown_is_dropped_and_others_wait() {
    let server = Server::start(&[Reply::Head("400 Bad Request"), Reply::Head("404 Not Found")]);
    let place = Place::slack(&server);
    place.outbox().put(Channel::Slack, &event(EventKind::Started, "r1")).expect("put");
    place.notify(&event(EventKind::Failed, "r1"));
    assert_eq!((place.files("dropped").len(), server.taken()), (1, 1));
    assert!(place.told()[0].contains("refused with status 400"), "{:?}", place.told());
}

#[test]
fn a_message_follows_no_redirect() {
    let other = Server::start(&[]);
    let head = format!("307 Temporary Redirect\r\nlocation: {}", other.address());
    let server = Server::start(&[Reply::Head(head.leak()); 9]);
    let place = Place::slack(&server);
    place.notify(&event(EventKind::Failed, "r1"));
    assert_eq!((other.requests().len(), place.files("waiting").len()), (0, 1));
    place.assert_secret();
}

#[test]
fn a_day_ends_the_tries_and_a_month_the_memory() {
    let server = Server::start(&[Reply::Head("503 Busy"); 9]);
    let mut place = Place::slack(&server);
    let failed = event(EventKind::Failed, "r1");
    place.notify(&failed);
    let tries = server.requests().len();
    place.later(LIFETIME + SignedDuration::from_secs(60));
    let report = place.deliver();
    assert_eq!((server.requests().len(), report.waiting), (tries, 0));
    assert!(report.notes[0].contains("a day has passed"), "{report:?}");
    place.outbox().put(Channel::Slack, &failed).expect("put");
    assert_eq!((place.files("waiting").len(), place.files("dropped").len()), (0, 1), "it is remembered");
    place.later(KEPT + SignedDuration::from_secs(60));
    place.deliver();
    assert_eq!(place.files("dropped").len(), 0);
}

#[test]
fn a_damaged_file_holds_nothing_up() {
    let server = Server::start(&[]);
    let place = Place::slack(&server);
    place.outbox().put(Channel::Slack, &event(EventKind::Started, "r1")).expect("put");
    std::fs::write(place.files("waiting").remove(0), "{").expect("written");
    place.notify(&event(EventKind::Failed, "r1"));
    assert_eq!((server.taken(), place.files("dropped").len(), place.told().len()), (1, 1, 1));
}

#[test]
fn an_outbox_that_cannot_be_written_is_told_and_stops_nothing() {
    let server = Server::start(&[]);
    let place = Place::slack(&server);
    std::fs::write(place.folder.path().join("slack"), "in the way").expect("written");
    place.notify(&event(EventKind::Failed, "r1"));
    assert_eq!(place.told().len(), 1);
    assert!(place.told()[0].contains("its outbox can't be used"), "{:?}", place.told());
}

#[test]
fn without_a_channel_nothing_happens() {
    let folder = TempDir::new().expect("a folder");
    let outbox = Outbox::new(folder.path().join("outbox"), &today);
    notify(&outbox, &Channels::default(), &event(EventKind::Failed, "r1"), &|line| panic!("{line}"));
    assert!(!folder.path().join("outbox").exists());
}

#[test]
fn long_texts_are_cut_before_they_are_kept() {
    let server = Server::start(&[]);
    let place = Place::slack(&server);
    let long = "\u{1}".repeat(100_000);
    let huge = Event { headline: long.clone(), details: vec![long; 1_000], ..event(EventKind::Failed, "r1") };
    place.notify(&huge);
    assert_eq!((server.taken(), place.told()), (1, Vec::new()));
}

// ---- payloads ----

fn samples(channel: Channel) -> Value {
    let at: Timestamp = "2026-01-02T15:04:05Z".parse().expect("a time");
    let plain = |kind| Event { at, ..event(kind, "rollout-7") };
    let hostile = Event {
        environment: "production".to_owned(),
        host: " ".to_owned(),
        what: "<!channel> & <@U1>".to_owned(),
        headline: "@everyone *bold* <https://example.com|here> [here](https://example.com)\nsecond line".to_owned(),
        details: vec!["```code``` ||hidden||".to_owned(), "\u{202e}turned\u{0}".to_owned(), "é😀".repeat(3_000)],
        ..plain(EventKind::Failed)
    };
    let mut all: Vec<Value> = EventKind::ALL.iter().map(|kind| payload(channel, &plain(*kind), false)).collect();
    all.push(payload(channel, &plain(EventKind::Failed), true));
    all.push(payload(channel, &hostile, false));
    json!(all)
}

#[test]
fn payloads_are_as_committed() {
    for channel in Channel::ALL {
        let text = serde_json::to_string_pretty(&samples(channel)).expect("JSON") + "\n";
        let name = format!("src/notify/{}.golden.json", channel.name());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        if std::env::var_os("MAGELLAN_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "stale: run the tests with MAGELLAN_GOLDEN=1 and commit shell/{name}");
    }
}

/// Texts of all kinds: any characters, and those that services give a meaning to.
fn any_text() -> impl Strategy<Value = String> {
    let signs = "(@everyone|@here|<!channel>|<@1>|&amp;|\\*|`|\\[a\\]\\(b\\)|\\\\|\n|😀| ){0,40}";
    prop_oneof![any::<String>(), signs, "[&<>*@]{0,9000}", "[ \t\n\u{200b}]{0,9}"]
}

prop_compose! {
    fn any_event()(
        kind in prop::sample::select(EventKind::ALL.to_vec()),
        texts in [any_text(), any_text(), any_text(), any_text()],
        details in prop::collection::vec(any_text(), 0..60),
    ) -> Event {
        let [environment, host, what, headline] = texts;
        Event { kind, environment, host, what, headline, details, at: Timestamp::UNIX_EPOCH }
    }
}

fn units(value: &Value) -> usize {
    value.as_str().expect("a text").encode_utf16().count()
}

/// A text that isn't blank and isn't too long.
fn is_within(value: &Value, most: usize) -> bool {
    (1..=most).contains(&units(value)) && !value.as_str().expect("a text").trim().is_empty()
}

/// Slack: nothing but whole entities.
fn is_escaped(text: &Value) -> bool {
    let rest =
        ["&amp;", "&lt;", "&gt;"].iter().fold(text.as_str().expect("a text").to_owned(), |t, e| t.replace(e, ""));
    !rest.contains(['&', '<', '>'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn slack_takes_any_event(event in any_event(), is_repeat: bool) {
        let text = payload(Channel::Slack, &event, is_repeat).to_string();
        let value: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert!(is_within(&value["text"], 4_000) && is_escaped(&value["text"]));
        let blocks = value["blocks"].as_array().expect("blocks");
        prop_assert!((1..=50).contains(&blocks.len()));
        for block in blocks {
            let most = if block["type"] == "header" { 150 } else { 3_000 };
            let texts = block.get("text").into_iter().map(|text| (text, most));
            let lists = ["fields", "elements"].iter().filter_map(|name| block.get(*name)?.as_array());
            let lists: Vec<&Value> = lists.flat_map(|list| { assert!(list.len() <= 10); list }).collect();
            for (text, most) in texts.chain(lists.into_iter().map(|text| (text, 2_000))) {
                prop_assert!(is_within(&text["text"], most) && is_escaped(&text["text"]), "{text}");
                prop_assert!(text["type"] == "plain_text" || text["verbatim"] == true, "{text}");
            }
        }
    }

    #[test]
    fn discord_takes_any_event_and_calls_nobody(event in any_event(), is_repeat: bool) {
        let text = payload(Channel::Discord, &event, is_repeat).to_string();
        let value: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(&value["allowed_mentions"], &json!({ "parse": [] }));
        prop_assert!(is_within(&value["content"], 2_000));
        prop_assert!(!text.contains("@everyone") && !text.contains("@here") && !text.contains("<@"), "{}", text);
        let embeds = value["embeds"].as_array().expect("embeds");
        prop_assert_eq!(embeds.len(), 1);
        let fields = embeds[0]["fields"].as_array().expect("fields");
        prop_assert!(fields.len() <= 25);
        let mut all = 0;
        for field in fields {
            prop_assert!(is_within(&field["name"], 256) && is_within(&field["value"], 1_024), "{}", field);
            all += units(&field["name"]) + units(&field["value"]);
        }
        if let Some(description) = embeds[0].get("description") {
            prop_assert!(is_within(description, 4_096));
            all += units(description);
        }
        prop_assert!(all <= 6_000, "{}", all);
    }

    #[test]
    fn the_same_words_are_the_same_event(a in any_event(), b in any_event()) {
        let same = (&a.environment, a.kind, &a.what) == (&b.environment, b.kind, &b.what);
        prop_assert_eq!(a.id() == b.id(), same);
        let later = Event { at: Timestamp::MAX, headline: String::new(), details: Vec::new(), ..a.clone() };
        prop_assert_eq!(later.id(), a.id());
    }
}
