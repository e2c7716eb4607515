//! `magellan notify` as processes: started by systemd, killed, two at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use magellan_shell::notify::{Channel, Event, EventKind, Outbox};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{magellan, run};

const SECRET: &str = "verysecrettoken";

/// A service that takes messages; it never answers the first `silent`. Its address, and the messages.
fn service(silent: usize) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/{SECRET}", listener.local_addr().expect("an address"));
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut unanswered = Vec::new();
        for mut stream in listener.incoming().filter_map(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().expect("cloned"));
            let head: Vec<String> =
                reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            let length =
                head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).expect("a body");
            let _ = sender.send(serde_json::from_slice(&body).expect("JSON"));
            if unanswered.len() < silent {
                unanswered.push(stream);
            } else {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        }
    });
    (address, receiver)
}

fn notify(command: &str, outbox: &Path, address: &str) -> Command {
    let mut command = magellan(["notify", command, "--outbox"]);
    command.arg(outbox).env("MAGELLAN_SLACK_WEBHOOK", address);
    command.env_remove("MAGELLAN_DISCORD_WEBHOOK").env_remove("CREDENTIALS_DIRECTORY");
    command
}

fn put(outbox: &Path, count: usize) {
    let outbox = Outbox::new(outbox, &Timestamp::now);
    for i in 0..count {
        let event = Event {
            kind: EventKind::Unhealthy,
            environment: "staging".to_owned(),
            host: "quiet-host".to_owned(),
            what: format!("unit {i}"),
            headline: "no heartbeat".to_owned(),
            details: Vec::new(),
            at: Timestamp::now(),
        };
        outbox.put(Channel::Slack, &event).expect("put");
    }
}

#[test]
fn a_units_failure_is_told_once_with_what_systemd_knows() {
    let (folder, (address, messages)) = (TempDir::new().expect("a folder"), service(0));
    let mut command = notify("unit-failed", folder.path(), &address);
    command.args(["--unit", "magellan-bear-trap.service", "--environment", "staging"]);
    command.env("MONITOR_INVOCATION_ID", "5f1c").env("MONITOR_SERVICE_RESULT", "exit-code");
    for _ in 0..2 {
        let (code, out, err) = run(&mut command);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    }
    let message = messages.recv_timeout(Duration::from_secs(5)).expect("a message").to_string();
    for word in ["staging", "magellan-bear-trap.service 5f1c", "result: exit-code", "has failed"] {
        assert!(message.contains(word), "{word} in {message}");
    }
    assert!(messages.try_recv().is_err(), "one failure is told once");
    command.env("MONITOR_INVOCATION_ID", "77aa");
    assert_eq!(run(&mut command).0, 0);
    assert!(messages.try_recv().is_ok(), "the next failure is told again");
}

#[test]
fn what_cannot_be_told_never_fails_the_unit_that_tells_it() {
    let folder = TempDir::new().expect("a folder");
    for address in [format!("http://127.0.0.1:1/{SECRET}"), format!("http://hooks.slack.com/{SECRET}")] {
        let mut command = notify("unit-failed", folder.path(), &address);
        let (code, _, err) = run(command.args(["--unit", "a.service", "--environment", "staging"]));
        assert_eq!((code, err.lines().count(), err.contains(SECRET)), (0, 1, false), "{err}");
        assert!(err.contains("slack"), "{err}");
    }
}

#[test]
fn a_trial_says_whether_messages_arrive() {
    let (folder, (address, messages)) = (TempDir::new().expect("a folder"), service(0));
    let (code, out, err) = run(&mut notify("test", folder.path(), &address));
    assert_eq!((code, out.as_str()), (0, "slack: 1 delivered, 0 waiting\n"), "{err}");
    assert!(messages.try_recv().is_ok());
    let (code, _, err) = run(notify("test", folder.path(), &address).env_remove("MAGELLAN_SLACK_WEBHOOK"));
    assert!(code == 2 && err.starts_with("error[no-webhook]"), "{code} {err}");
    let (code, _, err) = run(&mut notify("deliver", folder.path(), &format!("http://example.com/{SECRET}")));
    assert!(code == 2 && err.starts_with("error[bad-webhook]") && !err.contains(SECRET), "{code} {err}");
}

#[test]
fn two_processes_at_once_send_each_event_once() {
    let (folder, (address, messages)) = (TempDir::new().expect("a folder"), service(0));
    put(folder.path(), 20);
    let start = |_| notify("deliver", folder.path(), &address).stdout(Stdio::null()).spawn().expect("started");
    for mut process in [(), ()].map(start) {
        assert!(process.wait().expect("ended").success());
    }
    let mut texts: Vec<String> = messages.try_iter().map(|message| message.to_string()).collect();
    let sent = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!((sent, texts.len()), (20, 20));
}

#[test]
fn a_killed_process_leaves_one_repeat_that_says_so() {
    let (folder, (address, messages)) = (TempDir::new().expect("a folder"), service(1));
    put(folder.path(), 2);
    let mut process = notify("deliver", folder.path(), &address).spawn().expect("started");
    let first = messages.recv_timeout(Duration::from_secs(20)).expect("a message").to_string();
    process.kill().expect("killed");
    process.wait().expect("ended");
    let begun = Instant::now();
    let (code, out, err) = run(&mut notify("deliver", folder.path(), &address));
    assert_eq!((code, out.as_str()), (0, "slack: 2 delivered, 0 waiting\n"), "{err}");
    assert!(begun.elapsed() < Duration::from_secs(10), "the dead process holds no lock");
    let texts: Vec<String> = messages.try_iter().map(|message| message.to_string()).collect();
    let repeats: Vec<bool> = texts.iter().map(|text| text.contains("repeat")).collect();
    assert_eq!((first.contains("repeat"), repeats), (false, vec![true, false]), "{texts:?}");
}
