//! What README.md and docs/ say, held to what is: every command of a block tagged `sh` is run, or
//! is of a kind that is checked otherwise; Rust is an excerpt of code that compiles; links lead somewhere.
//!
//! A page's commands run in order in a copy of what they need. They end with 0, unless a comment at
//! the command says `# exit N`. Those for a host are left to `tests/deploy/test_documentation.py`.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use magellan::archive::Archive;
use magellan::bar::iso_utc;
use magellan::disk::map::Access;
use rayon::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{browser, magellan, python, root, run};

/// Run in the deploy tests: commands of magellan and programs that change a host or look at it.
const ON_A_HOST: &[&str] =
    &["bundle", "deploy", "doctor", "health", "logs", "prune", "releases", "rollback", "status", "watch"];
const PROGRAMS_OF_A_HOST: &[&str] = &["journalctl", "systemctl"];
/// Run in the tests of the live service: commands that need an account, or the state of a service that had one. The
/// first but over archived bars.
const ON_AN_ACCOUNT: &[&str] = &["run", "dashboard", "kill", "monitor", "parity", "reconcile"];
/// Run by `scripts/check`, since it needs cargo and the whole project.
const BY_THE_CHECK: &[&str] = &["test", "validate --code"];
/// What would take minutes, and is run with less of the same.
const ABRIDGED: &[(&str, &str)] = &[
    ("--seeds 1000", "--seeds 4"),
    ("rsi_period=3..102 --grid hysteresis_upper=50..75:0.25", "rsi_period=3..102:9 --grid hysteresis_upper=50..75:5"),
    ("hysteresis_lower=25..50:0.25", "hysteresis_lower=25..50:5"),
    ("day_change_pct=-24.5..-5:0.5", "day_change_pct=-24.5..-5:6.5"),
];

/// A command as a page shows it, lines that a backslash joins being one.
#[derive(Clone, Debug)]
struct Shown {
    page: String,
    line: usize,
    text: String,
    exit: i32,
}

/// What is done about a command.
#[derive(Debug, PartialEq)]
enum Kind<'a> {
    /// Run in a copy of what it needs: by magellan itself, or by cargo on its behalf.
    Magellan,
    /// Run by the tests of the live service.
    Account(&'a str),
    /// Run by the deploy tests.
    Host,
    /// Run by `scripts/check`.
    Check,
    /// Builds, measures or tests: what it names is there.
    Cargo(&'a str),
    /// A script of the project: it is there.
    Script(&'a str),
}

impl Shown {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').skip_while(|word| is_assignment(word))
    }

    /// What magellan is asked, if it is asked anything.
    fn asked(&self) -> Option<&str> {
        let from = |prefix: &str| self.text.split_once(prefix).map(|(_, asked)| asked);
        match self.words().next() {
            Some("magellan") => from("magellan "),
            Some("cargo") => from("cargo run --release -- ").or_else(|| from("cargo run --profile research -- ")),
            _ => None,
        }
    }

    fn kind(&self) -> Option<Kind<'_>> {
        let first = self.words().next()?;
        if let Some(asked) = self.asked() {
            let command = asked.split(' ').next()?;
            return Some(match () {
                () if BY_THE_CHECK.contains(&asked) => Kind::Check,
                () if ON_A_HOST.contains(&command) => Kind::Host,
                () if ON_AN_ACCOUNT.contains(&command) && !self.text.contains("USE_ARCHIVED_DATA=true") => {
                    Kind::Account(command)
                }
                () => Kind::Magellan,
            });
        }
        match first {
            "cargo" => Some(Kind::Cargo(&self.text[self.text.find("cargo")?..])),
            script if script.starts_with("scripts/") => Some(Kind::Script(script)),
            program if PROGRAMS_OF_A_HOST.contains(&program) => Some(Kind::Host),
            _ => None,
        }
    }

    fn at(&self) -> String {
        format!("{}:{}: {}", self.page, self.line, self.text)
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// README.md and the pages of docs/, by their paths in the project.
fn pages() -> Vec<String> {
    let names = fs::read_dir(root().join("docs")).expect("docs").map(|e| e.expect("an entry").file_name());
    let names = names.map(|n| format!("docs/{}", n.to_string_lossy())).filter(|n| n.ends_with(".md"));
    let mut pages: Vec<String> = names.chain(["README.md".to_owned()]).collect();
    pages.sort();
    pages
}

fn text_of(page: &str) -> String {
    fs::read_to_string(root().join(page)).expect("read")
}

/// Tag and lines of each fenced block.
fn blocks(text: &str) -> Vec<(&str, Range<usize>)> {
    let fences: Vec<(usize, &str)> =
        text.lines().enumerate().filter_map(|(i, l)| Some((i, l.trim_start().strip_prefix("```")?))).collect();
    assert!(fences.len().is_multiple_of(2), "a block isn't closed: {fences:?}");
    fences.chunks(2).map(|fence| (fence[0].1, fence[0].0 + 1..fence[1].0)).collect()
}

/// The commands of a page's `sh` blocks.
fn commands(page: &str) -> Vec<Shown> {
    let text = text_of(page);
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<Shown> = Vec::new();
    for (_, block) in blocks(&text).into_iter().filter(|(tag, _)| *tag == "sh") {
        let mut goes_on = false;
        for line in block {
            let part = lines[line].trim();
            let bare = part.trim_end_matches('\\').trim_end();
            match found.last_mut().filter(|_| goes_on) {
                Some(begun) => begun.text = format!("{} {bare}", begun.text),
                None if bare.is_empty() => continue,
                None => found.push(Shown { page: page.to_owned(), line: line + 1, text: bare.to_owned(), exit: 0 }),
            }
            goes_on = part.ends_with('\\');
        }
    }
    for shown in &mut found {
        let (text, comment) = shown.text.split_once(" # ").map_or((shown.text.clone(), ""), |(t, c)| (t.to_owned(), c));
        if let Some(exit) = comment.strip_prefix("exit ") {
            let digits: String = exit.chars().take_while(char::is_ascii_digit).collect();
            shown.exit = digits.parse().unwrap_or_else(|_| panic!("{}: exit {exit}", shown.at()));
        }
        shown.text = text.trim_end().to_owned();
    }
    found
}

fn all_commands() -> Vec<Shown> {
    pages().iter().flat_map(|page| commands(page)).collect()
}

/// What stands outside of quotes.
fn unquoted(text: &str) -> String {
    text.split('"').step_by(2).collect()
}

#[test]
fn no_command_escapes() {
    for page in pages() {
        let text = text_of(&page);
        let lines: Vec<&str> = text.lines().collect();
        for (tag, block) in blocks(&text) {
            assert!(["sh", "text", "rust", "toml", "json", "yaml"].contains(&tag), "{page}: a block is tagged `{tag}`");
            let is_command = |line: &&&str| {
                ["magellan ", "cargo ", "scripts/", "$ "].iter().any(|start| line.trim_start().starts_with(start))
            };
            let hidden = lines[block].iter().find(is_command);
            assert!(tag == "sh" || hidden.is_none(), "{page}: a command in a block tagged `{tag}`: {hidden:?}");
        }
    }
    let shown = all_commands();
    assert!(shown.len() > 50, "only {} commands were found", shown.len());
    for command in &shown {
        assert!(command.kind().is_some(), "no test runs this: {}", command.at());
        let joins = |text: &str| text.contains([';', '|', '&', '<', '>', '(', '\'']);
        let hides = joins(&unquoted(&command.text)) || command.text.contains('`') || command.text.contains("$(");
        assert!(!hides, "more than one command: {}", command.at());
    }
    for (from, _) in ABRIDGED {
        assert!(shown.iter().any(|command| command.text.contains(from)), "no page shows {from}");
    }
}

/// Each of them is run by a test in tests/live.
#[test]
fn the_live_tests_run_what_is_left_to_them() {
    let files = fs::read_dir(root().join("tests/live")).expect("tests/live").map(|e| e.expect("an entry").path());
    let tests: String = files
        .filter(|path| path.extension().is_some_and(|e| e == "py"))
        .map(|path| fs::read_to_string(path).expect("read"))
        .collect();
    for shown in all_commands() {
        if let Some(Kind::Account(command)) = shown.kind() {
            assert!(tests.contains(&format!("\"{command}\"")), "no test in tests/live runs {}", shown.at());
        }
    }
}

#[test]
fn documented_commands_do_what_the_page_says() {
    let pages: Vec<Vec<Shown>> = pages().iter().map(|page| commands(page)).filter(|c| !c.is_empty()).collect();
    let failures: Vec<String> = pages.par_iter().flat_map(|page| Place::new(page).run(page)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A copy of the project's configs, archive and workflows, and a home, free to be changed.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new(page: &[Shown]) -> Self {
        let place = Self { folder: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder") };
        for part in ["deployed", "data/sample", "data/synthetic-ledger", ".github", "examples"] {
            copy(&root().join(part), &place.at(part));
        }
        fs::create_dir_all(place.at("bin")).expect("made");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_magellan"), place.at("bin/magellan")).expect("linked");
        let names = |what: &str| page.iter().any(|shown| shown.text.contains(what));
        if names("magellan init ") || names("magellan new ") {
            // They depend on the engine, and extend its list of strategies.
            for part in ["src", "lint", "shell", "deployable_strategies", "examples", "tests", "benches"] {
                copy(&root().join(part), &place.at(part));
            }
            for file in ["Cargo.toml", "Cargo.lock", "rustfmt.toml"] {
                fs::copy(root().join(file), place.at(file)).expect("copied");
            }
        }
        if names(" bars/") || names("~/archive") {
            copy(bars(), &place.at("bars"));
            fs::write(place.at("splits.csv"), "symbol,effective_date,new_shares_per_old\n").expect("written");
        }
        if names("~/archive") && !names("data import") {
            let (code, out, err) = run(place.shell("magellan data import bars/ --archive ~/archive"));
            assert_eq!(code, 0, "{out}{err}");
        }
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A command as somebody types it in the project's root.
    fn shell(&self, text: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", text]).current_dir(self.folder.path());
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.at("bin").display())).env("HOME", self.folder.path());
        for name in ["USE_ARCHIVED_DATA", "MAGELLAN_ARCHIVE", "MAGELLAN_LEDGER", "MAGELLAN_BASELINES"] {
            command.env_remove(name);
        }
        // Rust is where it is, whatever the home.
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).unwrap_or_else(|| home.join(folder).into()));
        }
        command
    }

    /// What went otherwise than the page says.
    fn run(&self, page: &[Shown]) -> Vec<String> {
        let ours = page.iter().filter(|shown| shown.kind() == Some(Kind::Magellan));
        ours.filter_map(|shown| self.run_one(shown)).collect()
    }

    fn run_one(&self, shown: &Shown) -> Option<String> {
        let asked = shown.asked().expect("magellan is asked");
        if asked.starts_with("run ") && cfg!(not(feature = "live")) {
            println!("SKIPPED: {}; built without the feature live", shown.at());
            return None;
        }
        if asked.starts_with("keys ") && cfg!(not(feature = "deploy")) {
            println!("SKIPPED: {}; built without the feature deploy", shown.at());
            return None;
        }
        let assigned: String = shown.text.split_inclusive(' ').take_while(|word| is_assignment(word)).collect();
        let text =
            ABRIDGED.iter().fold(format!("{assigned}magellan {asked}"), |text, (from, to)| text.replace(from, to));
        let mut command = self.shell(&text);
        command.env("GITHUB_STEP_SUMMARY", self.at("summary.md")).env("EXPIRES", in_twenty_days());
        if text.contains("$HEAD") {
            command.env("HEAD", self.head_of_the_ledger());
        }
        let (code, out, err) = run(command);
        (code != shown.exit).then(|| format!("{}\nexit {code}, the page says {}\n{out}{err}", shown.at(), shown.exit))
    }

    fn head_of_the_ledger(&self) -> String {
        let (code, out, err) = run(self.shell("magellan ledger show --synthetic --json"));
        assert_eq!(code, 0, "{err}");
        let ledger: Value = serde_json::from_str(&out).expect("JSON");
        ledger["strategies"][0]["heads"][0].as_str().expect("a head").to_owned()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        match entry.is_dir() {
            // Derived, and made anew.
            true if entry.ends_with("cache") => {}
            true => copy(&entry, &target),
            false => drop(fs::copy(&entry, &target).expect("copied")),
        }
    }
}

/// The sample's bars as somebody's CSV files: no longer marked as made up.
fn bars() -> &'static Path {
    static BARS: OnceLock<TempDir> = OnceLock::new();
    let write = || {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let archive = Archive::open(&root().join("data/sample"), Access::Read).expect("opens");
        let mut series: Vec<_> = archive.manifest().records.iter().map(|r| (r.symbol, r.timeframe)).collect();
        series.dedup();
        for (symbol, timeframe) in series {
            let loaded = archive.load(symbol, timeframe).expect("loads");
            let bars = loaded.bars();
            let row = |i: usize| {
                let prices =
                    [bars.open(), bars.high(), bars.low(), bars.close(), bars.volume()].map(|c| c[i].to_string());
                format!("{},{}\n", iso_utc(bars.starts()[i]), prices.join(","))
            };
            let rows: String = (0..bars.len()).map(row).collect();
            let name = format!("{symbol}_{timeframe}.csv");
            fs::write(folder.path().join(name), format!("timestamp,open,high,low,close,volume\n{rows}"))
                .expect("written");
        }
        folder
    };
    BARS.get_or_init(write).path()
}

fn in_twenty_days() -> String {
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 20);
    day.strftime("%Y-%m-%d").to_string()
}

#[test]
fn what_cargo_and_scripts_are_asked_for_is_there() {
    for shown in all_commands() {
        match shown.kind() {
            Some(Kind::Cargo(text)) => check_cargo(text).unwrap_or_else(|why| panic!("{}: {why}", shown.at())),
            Some(Kind::Script(script)) => {
                use std::os::unix::fs::PermissionsExt as _;
                let found = fs::metadata(root().join(script)).unwrap_or_else(|_| panic!("{}", shown.at()));
                assert!(found.permissions().mode() & 0o111 != 0, "{} can't be run", shown.at());
            }
            Some(Kind::Check) => {
                let asked = shown.asked().expect("magellan is asked");
                // `test` is all of the pipeline's first two stages.
                let run = [asked, "test"].map(|asked| format!(" -- {asked}\n"));
                assert!(run.iter().any(|run| text_of("scripts/check").contains(run)), "{}", shown.at());
            }
            _ => {}
        }
    }
}

/// Subcommand, packages, features, benches and examples that a call of cargo names.
fn check_cargo(text: &str) -> Result<(), String> {
    let manifest = text_of("deployable_strategies/Cargo.toml");
    let mut words = text.split(' ').skip(1).take_while(|word| *word != "--");
    let subcommand = words.next().unwrap_or_default();
    if !["bench", "build", "doc", "run", "test"].contains(&subcommand) {
        return Err(format!("no test knows cargo {subcommand}"));
    }
    while let Some(option) = words.next() {
        let mut value = || words.next().ok_or(format!("{option} lacks its value"));
        let there = match option {
            "--release" | "--lib" | "--no-deps" | "--open" => true,
            "-p" => root().join(value()?).join("Cargo.toml").exists(),
            "--features" => value()?.split(',').all(|feature| features(&manifest).contains(&feature)),
            "--bench" => manifest.contains(&format!("[[bench]]\nname = \"{}\"\n", value()?)),
            "--example" => {
                let name = value()?;
                root().join(format!("examples/{name}.rs")).exists() || root().join(format!("examples/{name}")).exists()
            }
            _ => false,
        };
        if !there {
            return Err(format!("{option}: no test knows it, or its value isn't there"));
        }
    }
    Ok(())
}

fn features(manifest: &str) -> Vec<&str> {
    let section = manifest.split("[features]\n").nth(1).and_then(|s| s.split("\n[").next()).expect("features");
    section.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect()
}

#[test]
fn the_deploy_tests_run_what_is_left_to_them() {
    let left: Vec<Shown> = all_commands().into_iter().filter(|shown| shown.kind() == Some(Kind::Host)).collect();
    assert!(left.len() > 10, "{left:?}");
    let script = "tests/deploy/test_documentation.py";
    assert!(
        text_of("scripts/test-deploy").contains(" test_documentation "),
        "scripts/test-deploy doesn't run {script}"
    );
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    let (code, out, err) =
        run(command.arg(script).arg("--list").current_dir(root()).env("PYTHONDONTWRITEBYTECODE", "1"));
    assert_eq!(code, 0, "{err}");
    let mut theirs: Vec<&str> = out.lines().collect();
    let mut ours: Vec<String> = left.iter().map(|shown| format!("{} (exit {})", shown.at(), shown.exit)).collect();
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(theirs, ours);
}

/// Texts between single backquotes, outside of blocks.
fn inline_code(page: &str) -> Vec<String> {
    let text = text_of(page);
    let blocks: Vec<Range<usize>> =
        blocks(&text).into_iter().map(|(_, block)| block.start - 1..block.end + 1).collect();
    let lines = text.lines().enumerate().filter(|(i, _)| !blocks.iter().any(|block| block.contains(i)));
    // A paragraph's code may be broken over two lines.
    let prose: Vec<&str> = lines.map(|(_, line)| line).collect();
    prose.join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn commands_named_in_passing_exist_with_their_options() {
    if cfg!(not(all(feature = "live", feature = "deploy"))) {
        println!("SKIPPED: commands of the features live and deploy aren't built");
        return;
    }
    let mut checked = 0;
    for (page, code) in pages().iter().flat_map(|page| inline_code(page).into_iter().map(move |code| (page, code))) {
        if let Some(script) = code.strip_prefix("scripts/") {
            let name = script.split(' ').next().unwrap_or_default();
            assert!(root().join("scripts").join(name).exists(), "{page}: `{code}`");
        }
        let Some(asked) = code.strip_prefix("magellan ") else { continue };
        let is_command =
            |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let known = |words: &[&str]| run(magellan(std::iter::once("help").chain(words.iter().copied())));
        let mut words: Vec<&str> = asked.split(' ').take_while(is_command).filter(|w| *w != "help").take(2).collect();
        let (mut exit, mut help, _) = known(&words);
        if exit != 0 {
            // The second one may be a value, like an error's code.
            words.pop();
            (exit, help, _) = known(&words);
        }
        assert!(exit == 0, "{page}: `{code}`");
        for option in asked.split(' ').filter(|word| word.starts_with("--")) {
            assert!(help.contains(option), "{page}: `{code}`: no {option}");
        }
        checked += 1;
    }
    assert!(checked > 10, "only {checked} commands were found");
}

/// Lines without indentation, comments' marks and what doesn't change their meaning.
fn code_lines(text: &str) -> String {
    let bare = text.lines().map(|l| l.trim().trim_start_matches("//!").trim_start_matches("///").trim());
    bare.filter(|l| !l.is_empty() && !l.starts_with("#[")).map(|l| format!("{l}\n")).collect()
}

#[test]
fn shown_rust_is_code_that_compiles() {
    let folders = ["src", "benches", "examples", "deployable_strategies"].map(|folder| root().join(folder));
    let files = folders.iter().filter(|f| f.exists()).flat_map(|folder| crate::tidy::sources(folder));
    let sources: Vec<String> = files.map(|file| code_lines(&fs::read_to_string(file).expect("read"))).collect();
    let mut checked = 0;
    for page in pages() {
        let text = text_of(&page);
        let lines: Vec<&str> = text.lines().collect();
        for (_, block) in blocks(&text).into_iter().filter(|(tag, _)| *tag == "rust") {
            let shown = code_lines(&lines[block].join("\n"));
            assert!(sources.iter().any(|source| source.contains(&shown)), "{page}: no file has this:\n{shown}");
            checked += 1;
        }
    }
    assert!(checked > 0, "no page shows Rust");
}

/// The name that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("read");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut checked = 0;
    for page in pages() {
        let (text, here) = (text_of(&page), root().join(&page));
        let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { here.clone() } else { here.with_file_name(file) };
            assert!(target.exists(), "{page}: {link}");
            assert!(heading.is_empty() || anchors(&target).iter().any(|a| a == heading), "{page}: {link}");
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} links were found");
}

#[test]
fn the_picture_of_the_page_is_small_and_its_script_takes_it() {
    let picture = root().join("docs/gate.png");
    let committed = fs::read(&picture).expect("read");
    assert!(committed.len() < 200_000, "{} bytes", committed.len());
    let Some(browser) = browser() else { return };
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let taken = folder.path().join("taken.png");
    let mut script = Command::new(root().join("scripts/screenshot"));
    script.arg(&taken).env("CHROMIUM", browser).env("MAGELLAN_PROGRAM", env!("CARGO_BIN_EXE_magellan"));
    let (code, out, err) = run(&mut script);
    assert_eq!(code, 0, "{out}{err}");
    let taken = fs::read(&taken).expect("a picture");
    // Signature, then width and height in the first chunk.
    assert_eq!(taken[..24], committed[..24]);
    assert!(taken.len() > 50_000, "an empty page: {} bytes", taken.len());
}
