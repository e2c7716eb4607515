//! `magellan data fetch` against a stand-in for Alpaca's data host, which answers as the documentation says, page by
//! page, and now and then doesn't.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use magellan::archive::Archive;
use magellan::bar::Timeframe;
use magellan::disk::map::Access;
use tempfile::TempDir;

use crate::support::{magellan, run};

/// What is asked for: the path, and its parameters.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    query: BTreeMap<String, String>,
    keys: Option<(String, String)>,
}

impl Asked {
    fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

struct Answer(u16, &'static str, String);

/// Answers with what `answer` makes of the number of a request, from 0, and the request.
struct Host {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Host {
    fn new(mut answer: impl FnMut(usize, &Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for (i, mut stream) in listener.incoming().filter_map(Result::ok).enumerate() {
                let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
                let head: Vec<String> =
                    reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
                let Some(target) = head.first().and_then(|line| line.split(' ').nth(1)) else { continue };
                let (path, query) = target.split_once('?').unwrap_or((target, ""));
                let pair = |pair: &str| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (name.to_owned(), value.replace("%2C", ",").replace("%3A", ":").replace("%7C", "|"))
                };
                let header = |name: &str| {
                    head.iter().find_map(|line| {
                        let (of, value) = line.split_once(':')?;
                        of.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
                    })
                };
                let keys = header("apca-api-key-id").zip(header("apca-api-secret-key"));
                let query = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
                let request = Asked { path: path.to_owned(), query, keys };
                let Answer(status, headers, body) = answer(i, &request);
                seen.lock().expect("one thread fails, all do").push(request);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("one thread fails, all do").clone()
    }

    fn fetch(&self, archive: &TempDir, options: &str) -> (i32, String, String) {
        let mut command = magellan(["data", "fetch", "--archive"]);
        command.arg(archive.path()).args(options.split(' '));
        command.env("APCA_API_KEY_ID", "PKTEST").env("APCA_API_SECRET_KEY", "verysecret");
        let (code, out, err) = run(command.env("APCA_API_DATA_URL", &self.address));
        assert!(!out.contains("verysecret") && !err.contains("verysecret"), "{out}{err}");
        (code, out, err)
    }
}

const MINUTES: &str = "--symbols AMC --timeframe 1Min --start-date 2024-06-27 --end-date 2024-07-01 --feed sip";

/// Three sessions of minutes as Alpaca pages them: a hundred bars a page, in the last one fewer.
fn minutes(asked: &Asked) -> Answer {
    if asked.path == "/v1/corporate-actions" {
        return Answer(200, "", r#"{"corporate_actions":{},"next_page_token":null}"#.to_owned());
    }
    let (start, end) = (asked.get("start"), asked.get("end"));
    let days = ["2024-06-27", "2024-06-28", "2024-07-01"];
    let all: Vec<String> = days
        .iter()
        .flat_map(|day| (0..390).map(move |i| format!("{day}T{:02}:{:02}:00Z", 13 + (30 + i) / 60, (30 + i) % 60)))
        .filter(|t| start <= t.as_str() && t.as_str() <= end)
        .collect();
    let from: usize = asked.get("page_token").parse().unwrap_or(0);
    let bar = |t: &String| format!(r#"{{"t":"{t}","o":5.25,"h":5.5,"l":5,"c":5.1,"v":1200,"n":7,"vw":5.2}}"#);
    let bars: Vec<String> = all.iter().skip(from).take(100).map(bar).collect();
    let next = if from + 100 < all.len() { format!("\"{}\"", from + 100) } else { "null".to_owned() };
    let symbol = asked.get("symbols");
    Answer(200, "", format!(r#"{{"bars":{{"{symbol}":[{}]}},"next_page_token":{next}}}"#, bars.join(",")))
}

fn bars_of(archive: &TempDir, timeframe: Timeframe) -> (usize, String) {
    let archive = Archive::open(archive.path(), Access::Read).expect("an archive");
    let series = archive.load("AMC".parse().expect("a symbol"), timeframe).expect("bars");
    (series.bars().len(), archive.manifest().records[0].provenance.clone())
}

#[test]
fn every_page_is_fetched_with_everything_said() {
    let (host, archive) = (Host::new(|_, asked| minutes(asked)), TempDir::new().expect("a folder"));
    let (code, out, err) = host.fetch(&archive, MINUTES);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1170 bars added") && out.contains("2 stretches fetched"), "{out}");
    assert_eq!(bars_of(&archive, Timeframe::Minute), (1170, "alpaca-sip".to_owned()));
    let first = &host.asked()[0];
    assert_eq!(first.keys, Some(("PKTEST".to_owned(), "verysecret".to_owned())));
    for (name, value) in [
        ("symbols", "AMC"),
        ("timeframe", "1Min"),
        ("start", "2024-06-27T04:00:00Z"),
        ("end", "2024-07-01T03:59:59.999999999Z"),
        ("limit", "10000"),
        ("adjustment", "raw"),
        ("feed", "sip"),
        ("asof", "-"),
        ("sort", "asc"),
    ] {
        assert_eq!(first.get(name), value, "{name}");
    }
    let noted = fs::read_to_string(archive.path().join("fetches.jsonl")).expect("what was fetched");
    assert!(noted.contains(r#""feed":"sip""#) && noted.contains("fetched_at"), "{noted}");
    assert!(!archive.path().join(".fetch").exists(), "what waited is gone");
}

#[test]
fn a_fetch_that_was_cut_off_goes_on_where_it_was() {
    let archive = TempDir::new().expect("a folder");
    let refuses = |_, asked: &Asked| match asked.get("start").starts_with("2024-07") {
        true => Answer(403, "", r#"{"code":42210000,"message":"subscription does not permit querying"}"#.to_owned()),
        false => minutes(asked),
    };
    let (code, _, err) = Host::new(refuses).fetch(&archive, MINUTES);
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("alpaca-refused") && err.contains("subscription does not permit querying"), "{err}");
    assert!(!archive.path().join("manifest.json").exists(), "nothing is imported in part");
    // Other options mean another fetch.
    let host = Host::new(|_, asked| minutes(asked));
    let (code, _, err) = host.fetch(&archive, &MINUTES.replace("sip", "iex"));
    assert_eq!((code, err.contains("other-fetch")), (8, true), "{err}");
    let (code, out, err) = host.fetch(&archive, MINUTES);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 stretches fetched, 1 were there from before"), "{out}");
    assert!(
        host.asked().iter().all(|asked| asked.path != "/v2/stocks/bars" || asked.get("start") > "2024-07"),
        "June was there"
    );
    assert_eq!(bars_of(&archive, Timeframe::Minute).0, 1170);
}

#[test]
fn a_busy_host_is_asked_again_and_a_web_server_in_html_is_understood() {
    let busy = |i, asked: &Asked| match i {
        0 => Answer(429, "x-ratelimit-reset: 1\r\n", "{}".to_owned()),
        2 => Answer(502, "", "<html>bad gateway</html>".to_owned()),
        _ => minutes(asked),
    };
    let archive = TempDir::new().expect("a folder");
    let (code, _, err) = Host::new(busy).fetch(&archive, MINUTES);
    assert_eq!((code, bars_of(&archive, Timeframe::Minute).0), (0, 1170), "{err}");
    let html = Host::new(|_, _| Answer(401, "", "<html>401 Authorization Required</html>".to_owned()));
    let (code, _, err) = html.fetch(&TempDir::new().expect("a folder"), MINUTES);
    assert_eq!((code, err.contains("alpaca-keys")), (2, true), "{err}");
}

#[test]
fn splits_and_dividends_come_with_the_bars_and_a_split_the_wrong_way_round_is_found() {
    // Days of New York; the price falls to a tenth on the day of the split.
    let days = |split: &'static str| {
        move |_: usize, asked: &Asked| {
            if asked.path == "/v1/corporate-actions" {
                let body = format!(
                    r#"{{"corporate_actions":{{"forward_splits":[{split}],"cash_dividends":[{{"symbol":"AMC","rate":0.25,
                    "ex_date":"2024-06-26","special":false}}],"name_changes":[{{"old_symbol":"A","new_symbol":"B"}}]}},
                    "next_page_token":null}}"#
                );
                return Answer(200, "", body);
            }
            let bar = |day: u32, price: f64| {
                format!(
                    r#"{{"t":"2024-06-{day}T04:00:00Z","o":{price},"h":{price},"l":{price},"c":{price},"v":9,"n":1,"vw":{price}}}"#
                )
            };
            let bars = [bar(24, 100.0), bar(25, 100.0), bar(26, 100.0), bar(27, 10.0), bar(28, 10.0)].join(",");
            Answer(200, "", format!(r#"{{"bars":{{"AMC":[{bars}],"GME":null}},"next_page_token":""}}"#))
        }
    };
    const DAYS: &str = "--symbols AMC --timeframe 1Day --start-date 2024-06-24 --end-date 2024-06-28 --feed sip";
    let right = days(r#"{"symbol":"AMC","new_rate":10,"old_rate":1,"ex_date":"2024-06-27"}"#);
    let archive = TempDir::new().expect("a folder");
    // GME wasn't asked for: what else an answer holds isn't believed.
    let (code, _, err) = Host::new(right).fetch(&archive, DAYS);
    assert_eq!((code, err.contains("alpaca-answer")), (3, true), "{err}");
    let only = |split| {
        let all = days(split);
        move |i: usize, asked: &Asked| {
            let Answer(status, headers, body) = all(i, asked);
            Answer(status, headers, body.replace(r#","GME":null"#, ""))
        }
    };
    let host = Host::new(only(r#"{"symbol":"AMC","new_rate":10,"old_rate":1,"ex_date":"2024-06-27"}"#));
    let (code, out, err) = host.fetch(&archive, DAYS);
    assert_eq!(code, 0, "{err}");
    for word in ["5 bars added", "1 splits", "1 dividends added", "aren't read: 1 name_changes"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    let wrong = Host::new(only(r#"{"symbol":"AMC","new_rate":1,"old_rate":10,"ex_date":"2024-06-27"}"#));
    let (code, _, err) = wrong.fetch(&TempDir::new().expect("a folder"), DAYS);
    assert!(code != 0 && err.contains("wrong way round"), "{code} {err}");
}

#[test]
fn answers_that_cannot_be_are_refused() {
    let archive = || TempDir::new().expect("a folder");
    let page = |bars: &str, next: &str| format!(r#"{{"bars":{{"AMC":[{bars}]}},"next_page_token":{next}}}"#);
    let bar = |t: &str| format!(r#"{{"t":"{t}","o":5,"h":5,"l":5,"c":5,"v":1,"n":1,"vw":5}}"#);
    let cases = [
        ("round in a circle", page(&bar("2024-06-27T13:30:00Z"), r#""again""#)),
        ("out of order", page(&[bar("2024-06-27T13:31:00Z"), bar("2024-06-27T13:30:00Z")].join(","), "null")),
        ("outside what was asked for", page(&bar("2024-05-27T13:31:00Z"), "null")),
        ("between two bars", page(&bar("2024-06-27T13:31:30Z"), "null")),
        ("GET /v2/stocks/bars", "{}x".to_owned()),
    ];
    for (what, body) in cases {
        let host = Host::new(move |_, _| Answer(200, "", body.clone()));
        let (code, _, err) = host.fetch(&archive(), MINUTES);
        assert_eq!(code, 3, "{what}: {err}");
        assert!(err.contains("alpaca-answer"), "{what}: {err}");
    }
    let nothing = Host::new(|_, _| Answer(200, "", r#"{"bars":{"AMC":null},"next_page_token":null}"#.to_owned()));
    let (code, _, err) = nothing.fetch(&archive(), MINUTES);
    assert_eq!((code, err.contains("no bars of AMC")), (3, true), "{err}");
}

#[test]
fn nothing_is_asked_without_dates_that_are_over_a_feed_and_keys() {
    let (host, archive) = (Host::new(|_, asked| minutes(asked)), TempDir::new().expect("a folder"));
    for (options, said) in [
        (MINUTES.replace(" --feed sip", ""), "--feed"),
        (MINUTES.replace("--end-date 2024-07-01", "--end-date 2030-07-01"), "a day's bars change until it is over"),
        (MINUTES.replace("--end-date 2024-07-01", "--end-date 2024-06-01"), "is before --start-date"),
        (MINUTES.replace("AMC", "AMC,AMC"), "twice"),
        (MINUTES.replace("1Min", "1Week"), "fetch days"),
    ] {
        let (code, _, err) = host.fetch(&archive, &options);
        assert!(code == 2 && err.contains(said), "{options}: {code} {err}");
    }
    let mut command = magellan(["data", "fetch", "--archive"]);
    command.arg(archive.path()).args(MINUTES.split(' ')).env_remove("APCA_API_KEY_ID");
    let (code, _, err) = run(command.env("APCA_API_DATA_URL", &host.address));
    assert!(code == 2 && err.contains("APCA_API_KEY_ID isn't set"), "{code} {err}");
    assert!(host.asked().is_empty());
    // Nobody types the name of bars that were fetched.
    let (code, _, err) = run(magellan(["data", "import", "x.csv", "--archive", "a", "--provenance", "alpaca-sip"]));
    assert!(code == 2 && err.contains("only `magellan data fetch`"), "{code} {err}");
}
