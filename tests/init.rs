//! A repository of one's own: `magellan init` and `magellan new` make what is whole, valid and formatted, and replace
//! nothing. `scripts/first_hour` builds such a repository and follows its README.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{magellan, root, run};

/// A folder for repositories, in which no project lies.
fn scratch() -> TempDir {
    TempDir::new().expect("a folder")
}

fn engine() -> String {
    format!("path:{}", root().display())
}

fn init(folder: &Path, engine: &str) -> (i32, String, String) {
    run(magellan(["init".as_ref(), folder.as_os_str(), "--engine".as_ref(), engine.as_ref()]))
}

/// A new repository.
pub(crate) fn repository() -> (TempDir, PathBuf) {
    let scratch = scratch();
    let folder = scratch.path().join("mine");
    let (code, out, err) = init(&folder, &engine());
    assert_eq!(code, 0, "{out}{err}");
    (scratch, folder)
}

/// The binary, run in `folder`.
pub(crate) fn within(folder: &Path, line: &str) -> (i32, String, String) {
    let mut command = magellan(line.split(' '));
    command.current_dir(folder).env_remove("MAGELLAN_LEDGER");
    run(command)
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file below `folder` with its bytes, but for git's.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()) {
        match path.is_dir() {
            true if path.ends_with(".git") => {}
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(&path).expect("read"))),
        }
    }
    found.sort();
    found
}

fn git(folder: &Path, args: &[&str]) -> String {
    let author = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.com"];
    let (code, out, err) = run(Command::new("git").args(author).args(args).current_dir(folder));
    assert_eq!(code, 0, "git {args:?}: {err}");
    out.trim().to_owned()
}

#[test]
fn a_new_repository_is_whole_and_lints_green() {
    let (_scratch, folder) = repository();
    for file in [
        "Cargo.lock",
        "README.md",
        "data/sample/manifest.json",
        "deployed/config.schema.json",
        "deployed/rsi_trend/magellan-rsi-trend.service",
        "rust-toolchain.toml",
        "src/rsi_trend.rs",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    assert!(text(folder.join("src/main.rs")).lines().count() <= 6);
    assert!(text(folder.join("Cargo.lock")).contains("name = \"strategies\""), "the lock knows the package");
    assert!(git(&folder, &["status", "--porcelain"]).contains("?? src/"), "nothing is committed");
    let (code, out, err) = within(&folder, "ci lint");
    assert_eq!((code, out.contains("nothing found")), (0, true), "{out}{err}");
    let (code, out, err) = within(&folder, "data verify");
    assert_eq!(code, 0, "{out}{err}");
    // What this binary can't know is the new strategy; nothing else is wrong.
    let (_, out, _) = within(&folder, "validate --format json");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let codes: Vec<&str> =
        report["findings"].as_array().expect("findings").iter().filter_map(|f| f["code"].as_str()).collect();
    assert_eq!(codes, ["unknown-strategy"], "{out}");
    assert_eq!((report["units"].as_u64(), report["environments"].as_u64()), (Some(1), Some(2)));
}

#[test]
fn what_is_made_is_formatted() {
    let (_scratch, folder) = repository();
    let sources = ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file));
    let (code, out, err) =
        run(Command::new("rustfmt").args(["--check", "--edition", "2024"]).args(sources).current_dir(&folder));
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn a_folder_that_is_not_empty_is_left_as_it_was() {
    let scratch = scratch();
    let folder = scratch.path().join("full");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("notes.txt"), "mine").expect("written");
    let (code, out, err) = init(&folder, &engine());
    assert_eq!((code, out.as_str()), (8, ""), "{err}");
    assert!(err.contains("error[not-empty]") && err.contains("notes.txt"), "{err}");
    assert_eq!(files(&folder), [(folder.join("notes.txt"), b"mine".to_vec())]);
    let file = folder.join("notes.txt");
    assert_eq!(init(&file, &engine()).0, 8, "a file is no folder");
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(scratch.path().join("nowhere"), &link).expect("linked");
    assert_eq!(init(&link, &engine()).0, 8, "nor is a link that leads nowhere");
}

#[test]
fn a_clone_without_files_and_the_working_directory_are_filled() {
    let scratch = scratch();
    git(scratch.path(), &["init", "--quiet"]);
    git(scratch.path(), &["commit", "--quiet", "--allow-empty", "--message", "first"]);
    let head = git(scratch.path(), &["rev-parse", "HEAD"]);
    let (code, out, err) = within(scratch.path(), &format!("init --engine {}", engine()));
    assert_eq!(code, 0, "{out}{err}");
    assert!(scratch.path().join("src/main.rs").is_file());
    assert_eq!(git(scratch.path(), &["rev-parse", "HEAD"]), head, "its history stays");
    let hidden: Vec<PathBuf> =
        fs::read_dir(scratch.path()).expect("read").map(|e| e.expect("an entry").path()).collect();
    assert!(!hidden.iter().any(|path| path.display().to_string().contains(".magellan-init-")), "{hidden:?}");
}

#[test]
fn an_engine_that_is_none_is_refused_and_nothing_is_left() {
    let scratch = scratch();
    let elsewhere = scratch.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    fs::write(elsewhere.join("Cargo.toml"), "[package]\nname = \"other\"\n").expect("written");
    let folder = scratch.path().join("mine");
    for engine in [
        format!("path:{}", elsewhere.display()),
        format!("path:{}/shell", root().display()),
        "path:/no/such/folder".to_owned(),
        format!("git:file://{}@v9.9.9", elsewhere.display()),
        "git:https://example.com/magellan".to_owned(),
        "magellan".to_owned(),
    ] {
        let (code, out, err) = init(&folder, &engine);
        assert_eq!((code, out.as_str()), (2, ""), "{engine}: {err}");
        assert!(err.contains("error[bad-engine]"), "{engine}: {err}");
        assert!(!folder.exists(), "{engine}");
    }
    let (code, _, err) = run(magellan(["init".as_ref(), folder.as_os_str()]));
    assert_eq!(code, 2, "{err}");
    assert!(["path:DIR", "git:URL@REV", "VERSION"].iter().all(|form| err.contains(form)), "{err}");
    assert_eq!(fs::read_dir(scratch.path()).expect("read").count(), 1, "only what was there before");
}

/// Cargo answers for the dependencies; if it can't, there would be a repository that doesn't build.
#[test]
fn what_cargo_cannot_resolve_leaves_nothing() {
    let scratch = scratch();
    let folder = scratch.path().join("mine");
    let mut command = magellan(["init".as_ref(), folder.as_os_str(), "--engine".as_ref(), engine().as_ref()]);
    let (code, _, err) = run(command.env("CARGO", "/no/such/cargo"));
    assert!(code == 2 && err.contains("error[no-toolchain]") && err.contains("/no/such/cargo"), "{code} {err}");
    let mut command = magellan(["init".as_ref(), folder.as_os_str(), "--engine".as_ref(), engine().as_ref()]);
    let (code, _, err) = run(command.env("CARGO", "false"));
    assert!(code == 2 && err.contains("error[bad-engine]"), "{code} {err}");
    assert_eq!(fs::read_dir(scratch.path()).expect("read").count(), 0);
}

#[test]
fn a_strategy_is_added_with_code_config_and_unit() {
    let (_scratch, folder) = repository();
    let (code, out, err) = within(&folder, "new gap_fade");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("SYNTHETIC DATA") && out.contains("GLD IWM QQQ SPY"), "{out}");
    let lib = text(folder.join("src/lib.rs"));
    assert!(
        lib.contains("pub mod gap_fade;\npub mod rsi_trend;\n") && lib.contains("&Entry::<gap_fade::GapFade>::NEW"),
        "{lib}"
    );
    let config: Value = serde_json::from_str(&text(folder.join("deployed/gap_fade/config.json"))).expect("JSON");
    let period = &config["performance_criteria"]["periods"][0];
    assert_eq!((period["start_date"].as_str(), period["end_date"].as_str()), (Some("2018-01-02"), Some("2025-12-31")));
    let sources = ["src/lib.rs"].map(|file| folder.join(file));
    let (code, out, err) =
        run(Command::new("rustfmt").args(["--check", "--edition", "2024"]).args(sources).current_dir(&folder));
    assert_eq!(code, 0, "{out}{err}");
    // It is a permission, which nobody gave.
    assert!(!text(folder.join("deployed/environments/production.toml")).contains("gap-fade"));
    let (_, listed, _) = within(&folder, "list --json");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let one = listed["strategies"].as_array().expect("strategies").iter().find(|s| s["strategy"] == "gap_fade");
    assert_eq!(one.expect("listed")["unit"], "deployed/gap_fade/magellan-gap-fade.service");
}

#[test]
fn nothing_is_replaced_by_a_new_strategy() {
    let (_scratch, folder) = repository();
    fs::write(folder.join("src/mine.rs"), "// mine").expect("written");
    fs::create_dir_all(folder.join("deployed/half_done")).expect("made");
    fs::create_dir_all(folder.join("src/a_module")).expect("made");
    let before = files(&folder);
    for (name, exit) in [
        ("rsi_trend", 8),
        ("daily_trend", 8),
        ("mine", 8),
        ("half_done", 8),
        ("a_module", 8),
        ("Gap", 2),
        ("gap-fade", 2),
        ("fn", 2),
        ("../out", 2),
        ("calm --symbols NONE", 3),
        ("calm --timeframe 1Min", 3),
    ] {
        let (code, out, err) = within(&folder, &format!("new {name}"));
        assert_eq!((code, out.as_str()), (exit, ""), "{name}: {err}");
    }
    let lib = text(folder.join("src/lib.rs"));
    fs::write(folder.join("src/lib.rs"), lib.replace("pub const ALL", "pub static ALL")).expect("written");
    let (code, _, err) = within(&folder, "new calm");
    assert!(
        code == 2 && err.contains("error[not-registered]") && err.contains("Entry::<calm::Calm>::NEW"),
        "{code} {err}"
    );
    fs::write(folder.join("src/lib.rs"), lib).expect("written");
    assert_eq!(files(&folder), before);
}

#[test]
fn where_no_project_is_the_way_to_one_is_shown() {
    let nowhere = scratch();
    for line in [
        "gate",
        "validate",
        "backtest --strategy daily_trend --start-date 2020-01-02 --end-date 2020-12-31",
        "new gap_fade",
    ] {
        let (code, _, err) = within(nowhere.path(), line);
        assert!(code == 2 && err.contains("magellan init"), "{line}: {code} {err}");
    }
    let (code, out, _) = within(nowhere.path(), "list");
    assert!(code == 0 && out.contains("daily_trend") && out.contains("not deployed"), "{code} {out}");
}

/// A path is known on one machine; a commit everywhere.
#[test]
fn a_commit_of_a_git_repository_is_pinned_by_its_whole_hash() {
    let scratch = scratch();
    let upstream = scratch.path().join("upstream");
    for file in ["Cargo.toml", "Cargo.lock", "shell/Cargo.toml"] {
        fs::create_dir_all(upstream.join(file).parent().expect("a parent")).expect("made");
        fs::copy(root().join(file), upstream.join(file)).expect("copied");
    }
    git(&upstream, &["init", "--quiet"]);
    git(&upstream, &["add", "--all"]);
    git(&upstream, &["commit", "--quiet", "--message", "first"]);
    git(&upstream, &["tag", "v1"]);
    let commit = git(&upstream, &["rev-parse", "HEAD"]);
    // A cargo that agrees to everything: what is asked for is looked at, not built.
    for rev in ["v1", &commit, &commit[..10]] {
        let folder = scratch.path().join(rev);
        let engine = format!("git:file://{}@{rev}", upstream.display());
        let mut command = magellan(["init".as_ref(), folder.as_os_str(), "--engine".as_ref(), engine.as_ref()]);
        let (code, out, err) = run(command.env("CARGO", "true"));
        assert_eq!(code, 0, "{rev}: {out}{err}");
        assert!(text(folder.join("Cargo.toml")).contains(&format!("rev = \"{commit}\"")), "{rev}");
    }
}

#[test]
fn alone_it_shows_its_help_and_every_shell_gets_completions() {
    let (code, out, err) = run(magellan([] as [&str; 0]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for part in ["Research:\n", "Judge:\n", "  backtest", "Examples:\n", "--version"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(run(magellan(["--help"])).0, 0);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(magellan(["completions", shell]));
        assert!(code == 0 && out.contains("walk-forward"), "{shell}: {code} {err}");
    }
}

/// Names that people type, and the options they know.
#[test]
fn scripts_of_old_names_run_the_same_commands() {
    let script = |name: &str, args: &[&str]| {
        let mut command = Command::new(root().join("scripts").join(name));
        command.args(args).current_dir(std::env::temp_dir());
        command
            .env("MAGELLAN_PROGRAM", env!("CARGO_BIN_EXE_magellan"))
            .env("MAGELLAN_LEDGER", std::env::temp_dir().join("none"));
        run(command)
    };
    let period = ["--strategy", "daily_trend", "--start-date", "2020-01-02", "--end-date", "2020-12-31", "--use-cache"];
    let scratch = scratch();
    let deployed = root().join("deployed").display().to_string();
    let ledger = scratch.path().display().to_string();
    let place = ["--deployed", &deployed];
    for suffix in ["", ".py"] {
        let name = format!("run_backtest{suffix}");
        let (code, out, err) = script(&name, &[&period[..], &place, &["--ledger", &ledger]].concat());
        assert!(code == 0 && out.contains("sharpe"), "{name}: {code} {out}{err}");
        let (code, _, err) = script(&name, &["--strategy", "no_such"]);
        assert_eq!(code, 2, "{name}: {err}");
        let name = format!("validate_configs{suffix}");
        let (code, out, err) = script(&name, &place);
        assert!(code == 0 && out.contains("validated 3 configs"), "{name}: {code} {out}{err}");
    }
}
