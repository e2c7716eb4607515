//! `magellan run`, on the real binary: what it leaves behind, what it tells systemd, how it ends.

use std::fs;
use std::io::Read as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use magellan::archive::Archive;
use magellan::bar::{Date, iso_utc};
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::Access;
use magellan::research::backtest::Request;
use magellan_shell::records::{DECISIONS, TRADES, order_text};
use magellan_shell::release::{Bound, Environment, Manifest, Shipped, ShippedFile, strategy_digest};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{magellan, root, run};

const PATIENCE: Duration = Duration::from_secs(60);

fn service(strategy: &str, state: &Path, args: &[&str]) -> Command {
    with_archived_data(magellan(["run", "--strategy", strategy]), state, args)
}

fn with_archived_data(mut command: Command, state: &Path, args: &[&str]) -> Command {
    command.args(args).arg("--state-dir").arg(state).env("USE_ARCHIVED_DATA", "true");
    for name in ["NOTIFY_SOCKET", "MAGELLAN_ENVIRONMENT", "STATE_DIRECTORY"] {
        command.env_remove(name);
    }
    command
}

/// A process that doesn't outlive its test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(output.spawn().expect("the binary starts"))
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Exit code and stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let mut err = String::new();
        self.0.stderr.take().expect("piped").read_to_string(&mut err).expect("UTF-8");
        (self.0.wait().expect("ends").code(), err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn heartbeat(state: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(state.join("heartbeat.json")).ok()?).ok()
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn phase(state: &Path, phase: &str) -> Value {
    until(phase, || heartbeat(state).filter(|h| h["phase"] == phase))
}

/// The rows of all of a strategy's files of one kind, by session.
fn rows(state: &Path, strategy: &str, kind: &str, header: &str) -> Vec<String> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(state.join("logs")).expect("logs").map(|e| e.expect("an entry").path()).collect();
    let prefix = format!("{strategy}_{kind}_");
    files.retain(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)));
    files.sort();
    assert!(!files.is_empty(), "no {kind}");
    files.iter().flat_map(|path| rows_of(path, header)).collect()
}

fn rows_of(path: &Path, header: &str) -> Vec<String> {
    let text = fs::read_to_string(path).expect("read");
    let rows = text.strip_prefix(header).unwrap_or_else(|| panic!("{}: {text}", path.display()));
    assert!(rows.is_empty() || rows.ends_with('\n'), "{}: a row is cut", path.display());
    rows.lines().map(str::to_owned).collect()
}

/// All JSON log lines.
fn log(state: &Path, strategy: &str) -> Vec<Value> {
    let days: Vec<String> = (0..2).map(|back| utc_day(-back)).rev().collect();
    let files = days.iter().map(|day| state.join(format!("logs/{strategy}_{day}.jsonl")));
    let texts: Vec<String> = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
    assert!(!texts.is_empty(), "no log of today");
    texts.concat().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// So many days from today.
fn utc_day(days: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    at.strftime("%Y%m%d").to_string()
}

fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

#[test]
fn run_once_gives_the_fills_and_decisions_of_the_backtest() {
    let archive = Archive::open(&root().join("data/sample"), Access::Map).expect("an archive");
    for strategy in deployable_strategies::ALL {
        let (name, state, out) = (strategy.name(), folder(), folder());
        let (code, stdout, err) = run(service(name, state.path(), &["--once"]));
        assert_eq!((code, stdout.as_str()), (0, ""), "{name}: {err}");

        let path = root().join(format!("deployed/{name}/config.json"));
        let document = strategy.read_complete(&path).expect("a config");
        let periods = &document.deployment().performance_criteria.periods;
        let start = periods.iter().map(|p| p.start_date).min().expect("a period");
        let end = periods.iter().map(|p| p.end_date).max().expect("a period");
        let dates = [start, end].map(|date: Date| date.to_string());
        let mut backtest =
            magellan(["backtest", "--strategy", name, "--start-date", &dates[0], "--end-date", &dates[1]]);
        assert_eq!(run(backtest.arg("--out").arg(out.path())).0, 0);
        let expected = rows_of(&out.path().join("PORTFOLIO.trades.csv"), TRADES);
        assert!(expected.len() > 5);
        assert_eq!(rows(state.path(), name, "fills", TRADES), expected, "{name}");

        let replayed = strategy.decisions(&Request::portfolio(&document, &archive, start, end)).expect("replays");
        let expected: Vec<String> = replayed
            .iter()
            .map(|(symbol, at, order)| format!("{},{symbol},{}", iso_utc(*at), order_text(order)))
            .collect();
        let decided: Vec<String> = rows(state.path(), name, "decisions", DECISIONS)
            .iter()
            .map(|row| {
                let fields: Vec<&str> = row.split(',').collect();
                assert_eq!(fields.len(), 6, "{row}");
                assert!(fields[4] != "ordered" || fields[5] != "0", "{row}");
                [fields[0], fields[2], fields[3]].join(",")
            })
            .collect();
        assert_eq!(decided, expected, "{name}");

        let last = heartbeat(state.path()).expect("a heartbeat");
        assert_eq!((&last["phase"], &last["errors"]), (&"stopped".into(), &0.into()), "{last}");
        assert_eq!(last["decisions"], replayed.len());
        assert_eq!(last["open_positions"], 0);
    }
}

#[test]
fn a_run_stops_on_sigterm_after_the_bar_and_on_sigint_with_130() {
    for (signal, expected) in [("-TERM", 0), ("-INT", 130)] {
        let state = folder();
        let running = Running::start(&mut service("bear_trap", state.path(), &["--pace", "300"]));
        until("a bar", || heartbeat(state.path()).filter(|h| h["phase"] == "trading" && h["last_bar"].is_string()));
        running.signal(signal);
        let begun = Instant::now();
        let (code, err) = running.end();
        assert_eq!(code, Some(expected), "{err}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(heartbeat(state.path()).expect("a heartbeat")["phase"], "stopped");
        let lines = log(state.path(), "bear_trap");
        assert_eq!(lines.last().expect("a line")["fields"]["message"], "stops");
        rows(state.path(), "bear_trap", "decisions", DECISIONS);
    }
}

#[test]
fn a_waiting_run_wakes_at_once_and_its_heartbeat_says_who_it_is() {
    let state = folder();
    let mut command = service("daily_trend", state.path(), &["--start-date", "2024-01-02"]);
    let running = Running::start(command.env("MAGELLAN_ENVIRONMENT", "staging"));
    let waiting = phase(state.path(), "waiting");
    let keys: Vec<&str> = waiting.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "schema_version",
            "strategy",
            "environment",
            "release",
            "unit_digest",
            "pid",
            "started_at",
            "written_at",
            "phase",
            "last_bar",
            "last_decision",
            "decisions",
            "errors",
            "starts",
            "open_positions",
        ]
    );
    assert_eq!((&waiting["schema_version"], &waiting["starts"]), (&1.into(), &1.into()));
    assert_eq!((&waiting["strategy"], &waiting["environment"]), (&"daily_trend".into(), &"staging".into()));
    assert_eq!((&waiting["release"], &waiting["pid"]), (&Value::Null, &running.0.id().into()));
    assert_eq!(waiting["unit_digest"].as_str().map(str::len), Some(64));
    assert_eq!(waiting["last_bar"], "2025-12-31T00:00:00Z");
    assert!(waiting["last_decision"].is_string() && waiting["decisions"].as_u64() > Some(0));
    let (started, written) =
        (waiting["started_at"].as_f64().expect("f64"), waiting["written_at"].as_f64().expect("f64"));
    assert!((0.0..60.0).contains(&(written - started)), "{waiting}");
    assert_eq!(fs::read_to_string(state.path().join("heartbeat.json")).expect("read").lines().count(), 1);
    let line = &log(state.path(), "daily_trend")[0];
    assert_eq!(line["level"], "INFO");
    assert!(line["timestamp"].is_string() && line["fields"]["message"] == "daily_trend starts", "{line}");

    // Another process may not have the same folder; this one goes on undisturbed.
    let (code, _, err) = run(service("daily_trend", state.path(), &["--once"]));
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("state-in-use"), "{err}");

    let begun = Instant::now();
    running.signal("-TERM");
    assert_eq!(running.end().0, Some(0));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_run_counts_starts_and_begins_its_files_anew() {
    let state = folder();
    let args = ["--once", "--start-date", "2024-04-01", "--end-date", "2024-04-12"];
    let mut before = None;
    for start in 1..=3 {
        assert_eq!(run(service("bear_trap", state.path(), &args)).0, 0);
        assert_eq!(heartbeat(state.path()).expect("a heartbeat")["starts"], start);
        let rows = rows(state.path(), "bear_trap", "decisions", DECISIONS);
        assert!(before.replace(rows.clone()).is_none_or(|before| before == rows));
    }
    fs::write(state.path().join("heartbeat.json"), "{\"starts\":").expect("written");
    let (code, _, err) = run(service("bear_trap", state.path(), &args));
    assert_eq!((code, &heartbeat(state.path()).expect("a heartbeat")["starts"]), (0, &1.into()));
    assert!(err.contains("starts are counted from 1 again"), "{err}");
}

#[test]
fn a_run_that_fails_says_so_in_log_and_heartbeat() {
    let state = folder();
    phase_after(state.path(), "{\"starts\":41,\"phase\":\"trading\"}");
    let (code, _, err) =
        run(service("daily_trend", state.path(), &["--start-date", "2010-01-04", "--end-date", "2010-12-31"]));
    assert_eq!(code, 3, "{err}");
    let last = heartbeat(state.path()).expect("a heartbeat");
    assert_eq!((&last["phase"], &last["errors"], &last["starts"]), (&"stopped".into(), &1.into(), &42.into()));
    assert!(log(state.path(), "daily_trend").iter().any(|l| l["level"] == "ERROR" && l["fields"]["code"] == "no-bars"));
}

/// What a former process left.
fn phase_after(state: &Path, heartbeat: &str) {
    fs::write(state.join("heartbeat.json"), heartbeat).expect("written");
}

/// What systemd would hear.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        Self { socket, path }
    }

    /// The next message, if one comes in time.
    fn hear(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).expect("set");
        let mut message = [0; 4_096];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).trim_end().to_owned())
    }

    fn all_until(&self, last: &str) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|message: &String| !message.starts_with(last)) {
            let message = self.hear(PATIENCE).unwrap_or_else(|| panic!("no {last} after {heard:?}"));
            heard.push(message);
        }
        heard
    }
}

#[test]
fn a_run_tells_systemd_ready_then_its_progress_then_that_it_stops() {
    let (state, sockets) = (folder(), TempDir::new().expect("a folder"));
    let systemd = Systemd::new(sockets.path());
    let running =
        Running::start(service("bear_trap", state.path(), &["--pace", "200"]).env("NOTIFY_SOCKET", &systemd.path));
    let heard = systemd.all_until("WATCHDOG=1");
    assert_eq!(heard[0], "READY=1");
    assert!(heard[1].starts_with("STATUS=trading, ") && heard[1].contains("last bar 2024-04-01T"), "{heard:?}");
    assert!(heartbeat(state.path()).expect("a heartbeat")["last_bar"].is_string(), "ready after the first bar");
    // Once a second, not once a bar.
    systemd.all_until("WATCHDOG=1");
    running.signal("-TERM");
    let rest = systemd.all_until("STOPPING=1");
    assert_eq!(running.end().0, Some(0));
    assert!(rest.len() <= 3, "{rest:?}");
    assert_eq!(systemd.hear(Duration::from_millis(50)), None);
}

#[test]
fn a_run_with_nothing_left_to_trade_is_ready_and_keeps_the_watchdog() {
    let (state, sockets) = (folder(), TempDir::new().expect("a folder"));
    let systemd = Systemd::new(sockets.path());
    let running = Running::start(service("hourly_swing", state.path(), &[]).env("NOTIFY_SOCKET", &systemd.path));
    let heard = systemd.all_until("STATUS=waiting");
    assert_eq!(heard.iter().filter(|m| *m == "READY=1").count(), 1, "{heard:?}");
    systemd.all_until("WATCHDOG=1");
    running.signal("-TERM");
    systemd.all_until("STOPPING=1");
    assert_eq!(running.end().0, Some(0));
}

#[test]
fn a_run_whose_state_can_not_be_written_lets_the_watchdog_bite() {
    let (place, sockets) = (folder(), TempDir::new().expect("a folder"));
    let state = place.path().join("state");
    let systemd = Systemd::new(sockets.path());
    let running = Running::start(service("bear_trap", &state, &["--pace", "200"]).env("NOTIFY_SOCKET", &systemd.path));
    systemd.all_until("WATCHDOG=1");
    fs::rename(&state, place.path().join("gone")).expect("renamed");
    fs::write(&state, "no folder").expect("written");
    // The beat under way may still be a good one.
    systemd.all_until("STATUS=trading");
    let _ = systemd.hear(Duration::from_millis(100));
    let begun = Instant::now();
    let mut heard = Vec::new();
    while begun.elapsed() < Duration::from_secs(3) {
        heard.extend(systemd.hear(Duration::from_millis(500)));
    }
    assert!(heard.iter().filter(|m| m.starts_with("STATUS=trading")).count() >= 2, "it goes on: {heard:?}");
    assert!(!heard.iter().any(|m| m.starts_with("WATCHDOG")), "{heard:?}");
    running.signal("-TERM");
    let (code, err) = running.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("ERROR") && err.contains("can't write the heartbeat"), "{err}");
}

#[test]
fn a_run_on_a_full_disk_counts_what_it_could_not_log_and_lets_the_watchdog_bite() {
    for file in ["log", "decisions"] {
        let (state, sockets) = (folder(), TempDir::new().expect("a folder"));
        let systemd = Systemd::new(sockets.path());
        let logs = state.path().join("logs");
        fs::create_dir(&logs).expect("made");
        let full: Vec<String> = match file {
            "log" => (0..2).map(|days| format!("bear_trap_{}.jsonl", utc_day(days))).collect(),
            _ => vec!["bear_trap_decisions_20240401.csv".to_owned()],
        };
        for name in full {
            std::os::unix::fs::symlink("/dev/full", logs.join(name)).expect("linked");
        }
        let running =
            Running::start(service("bear_trap", state.path(), &["--pace", "500"]).env("NOTIFY_SOCKET", &systemd.path));
        for _ in 0..2 {
            let heard = systemd.all_until("STATUS=trading");
            assert!(!heard.iter().any(|m| m.starts_with("WATCHDOG")), "{file}: {heard:?}");
        }
        running.signal("-TERM");
        let (code, err) = running.end();
        assert_eq!(code, Some(0), "{err}");
        assert!(err.contains("ERROR") && err.contains("No space left on device"), "{file}: {err}");
        assert!(heartbeat(state.path()).expect("a heartbeat")["errors"].as_u64() > Some(0));
    }
}

#[test]
fn a_run_needs_bars_a_folder_and_a_pace() {
    let state = folder();
    let (code, _, err) = run(service("bear_trap", state.path(), &["--once"]).env_remove("USE_ARCHIVED_DATA"));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--once is for archived bars"), "{err}");
    let mut live = service("bear_trap", state.path(), &[]);
    for name in ["USE_ARCHIVED_DATA", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"] {
        live.env_remove(name);
    }
    let (code, _, err) = run(&mut live);
    assert!(code == 2 && err.contains("APCA_API_KEY_ID isn't set"), "{err}");
    let (code, _, err) = run(service("bear_trap", state.path(), &["--once"]).env("USE_ARCHIVED_DATA", "yes"));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("environment"), "{err}");
    for pace in ["-1", "0.001", "inf", "nan", "x"] {
        let (code, _, err) = run(service("bear_trap", state.path(), &["--once", "--pace", pace]));
        assert_eq!(code, 2, "{pace}: {err}");
    }
    let mut without = magellan(["run", "--strategy", "bear_trap", "--once", "--end-date", "2024-04-02"]);
    without.env("USE_ARCHIVED_DATA", "true").env_remove("STATE_DIRECTORY");
    let (code, _, err) = run(&mut without);
    assert!(code == 2 && err.contains("--state-dir"), "{err}");
    assert!(heartbeat(state.path()).is_none(), "none of these began");
    assert_eq!(run(without.env("STATE_DIRECTORY", state.path())).0, 0);
    assert_eq!(heartbeat(state.path()).expect("a heartbeat")["phase"], "stopped");
}

#[test]
fn a_run_logs_where_deploys_look_only() {
    for outside in ["../logs", "/tmp/magellan-logs", "logs/../.."] {
        let changed = crate::cli::changed("bear_trap", |config| config["monitoring"]["log_directory"] = outside.into());
        let unit = "deployed/bear_trap/magellan-bear-trap.service";
        fs::copy(root().join(unit), changed.path().join(unit)).expect("copied");
        let state = folder();
        let mut command = service("bear_trap", state.path(), &["--once", "--archive", "data/sample"]);
        let (code, _, err) = run(command.arg("--deployed").arg(changed.path().join("deployed")));
        assert_eq!(code, 2, "{outside}: {err}");
        assert!(err.contains("log_directory"), "{err}");
    }
}

/// A release of bear_trap below `folder`, with the tree of its commit, and what binds it to an environment of the project.
fn release(folder: &Path, environment: &str) -> PathBuf {
    let release = folder.join("releases").join("ab".repeat(32));
    let (config, unit) = ("deployed/bear_trap/config.json", "deployed/bear_trap/magellan-bear-trap.service");
    let put = |path: &str, bytes: &[u8]| {
        let target = release.join(path);
        fs::create_dir_all(target.parent().expect("a folder")).expect("made");
        fs::write(&target, bytes).expect("written");
    };
    put(config, &fs::read(root().join(config)).expect("read"));
    put(unit, &fs::read(root().join(unit)).expect("read"));
    fs::hard_link(env!("CARGO_BIN_EXE_magellan"), release.join("magellan")).expect("linked");
    let shipped = |path: &str| {
        let bytes = fs::read(release.join(path)).expect("read");
        (path.to_owned(), ShippedFile { sha256: sha256_hex(&bytes), size: bytes.len() as u64 })
    };
    let files: std::collections::BTreeMap<_, _> = ["magellan", config, unit].map(shipped).into();
    let [binary, config_sha256, unit] = ["magellan", config, unit].map(|path| files[path].sha256.clone());
    let digest = strategy_digest(&binary, &config_sha256, &unit);
    let strategy = Shipped { unit: "magellan-bear-trap".to_owned(), digest, config_sha256 };
    let commit = "0".repeat(40);
    let manifest = Manifest::new(&commit, files, [("bear_trap".to_owned(), strategy)].into());
    put("manifest.json", manifest.text().as_bytes());
    fs::create_dir_all(folder.join("commits")).expect("made");
    std::os::unix::fs::symlink(root(), folder.join("commits").join(commit)).expect("linked");
    let environment = Environment::read(&root().join("deployed"), environment).expect("read");
    fs::write(folder.join("binding.json"), Bound::to(&environment).binding).expect("written");
    release
}

fn from_release(release: &Path, state: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(release.join("magellan"));
    command.current_dir(root()).args(["run", "--strategy", "bear_trap", "--once"]).env_remove("MAGELLAN_ARCHIVE");
    command.env("MAGELLAN_BINDING", release.ancestors().nth(2).expect("a folder").join("binding.json"));
    with_archived_data(command, state, args)
}

#[test]
fn a_run_in_a_release_reports_its_digests_and_refuses_what_was_not_shipped() {
    let (place, state) = (folder(), folder());
    let release = release(place.path(), "staging");
    let short = ["--end-date", "2024-04-02"];
    let (code, _, err) = run(from_release(&release, state.path(), &short));
    assert_eq!(code, 0, "{err}");
    let last = heartbeat(state.path()).expect("a heartbeat");
    let manifest = Manifest::parse(&fs::read(release.join("manifest.json")).expect("read")).expect("a manifest");
    let binding = sha256_hex(&fs::read(place.path().join("binding.json")).expect("read"));
    assert_eq!((&last["release"], &last["environment"]), (&"ab".repeat(32).into(), &"staging".into()));
    assert_eq!(last["unit_digest"], Value::from(manifest.unit_digest("bear_trap", &binding)));

    let (code, _, err) = run(from_release(&release, state.path(), &["--deployed", "deployed"]));
    assert!(code == 2 && err.contains("ships"), "{err}");
    let (code, _, err) = run(from_release(&release, state.path(), &short).env_remove("MAGELLAN_BINDING"));
    assert!(code == 2 && err.contains("not-bound"), "{err}");
    let config = release.join("deployed/bear_trap/config.json");
    let text = fs::read_to_string(&config).expect("read").replace("\"bear_trap\"", "\"bear_trap\" ");
    fs::write(&config, text).expect("written");
    let (code, _, err) = run(from_release(&release, state.path(), &short));
    assert!(code == 8 && err.contains("bundle-damaged"), "{err}");
}

#[test]
fn a_run_takes_no_archived_bars_for_the_market_where_its_release_forbids_it() {
    let (place, state) = (folder(), folder());
    let release = release(place.path(), "production");
    let (code, _, err) = run(from_release(&release, state.path(), &[]));
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("archived-data-forbidden"), "{err}");
    assert!(heartbeat(state.path()).is_none());
}

/// A server on this machine that answers each request with what `answer` makes of its head and body.
#[cfg(feature = "aws")]
fn server(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).expect("set");
            let mut request = Vec::new();
            let mut part = [0; 4096];
            // Whoever asks waits for the answer, so silence is the end of the request.
            while let Ok(n) = stream.read(&mut part) {
                if n == 0 {
                    break;
                }
                request.extend_from_slice(&part[..n]);
            }
            let (status, body) = answer(&String::from_utf8_lossy(&request));
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // Whoever asked may have gone.
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    port
}

/// In a release the keys come from SSM Parameter Store, decrypted, and from nowhere else.
#[cfg(feature = "aws")]
#[test]
fn a_release_takes_its_keys_from_the_parameter_store() {
    use std::sync::{Arc, Mutex};
    let (place, state) = (folder(), folder());
    let release = release(place.path(), "production");
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = asked.clone();
    let ssm = server(move |request| {
        seen.lock().expect("unlocked").push(request.to_owned());
        let value = if request.contains("/API_KEY\"") { "PKFROMSSM" } else { "secret-from-ssm" };
        assert!(request.contains("AmazonSSM.GetParameter") && request.contains("\"WithDecryption\":true"), "{request}");
        (200, serde_json::json!({"Parameter": {"Name": "x", "Value": value}}).to_string())
    });
    let seen = asked.clone();
    let alpaca = server(move |request| {
        seen.lock().expect("unlocked").push(request.to_owned());
        (401, "<html>not authorised</html>".to_owned())
    });
    let mut command = Command::new(release.join("magellan"));
    command.current_dir(root()).args(["run", "--strategy", "bear_trap", "--state-dir"]).arg(state.path());
    command
        .env("MAGELLAN_BINDING", place.path().join("binding.json"))
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{ssm}"))
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .envs([("APCA_API_KEY_ID", "PKFROMENV"), ("APCA_API_SECRET_KEY", "secret-from-env")])
        .env("APCA_API_BASE_URL", format!("http://127.0.0.1:{alpaca}"))
        .env("APCA_API_DATA_URL", format!("http://127.0.0.1:{alpaca}"))
        .env("APCA_API_STREAM_URL", format!("ws://127.0.0.1:{alpaca}"))
        .env_remove("USE_ARCHIVED_DATA");
    let (code, out, err) = run(&mut command);
    assert!(code == 2 && err.contains("the keys aren't accepted"), "{err}");
    let asked = asked.lock().expect("unlocked").join("\n");
    assert!(
        asked.contains("/magellan/alpaca/BEAR_TRAP/API_KEY") && asked.contains("/magellan/alpaca/BEAR_TRAP/API_SECRET")
    );
    assert!(asked.to_lowercase().contains("apca-api-key-id: pkfromssm"), "{asked}");
    assert!(!asked.contains("from-env") && !asked.contains("FROMENV"), "{asked}");
    let files = [state.path().to_owned(), state.path().join("logs")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()));
    let written: String = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    assert!(!(out + &err + &written).contains("secret-from-ssm"), "the secret is nowhere");
}
