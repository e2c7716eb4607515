//! `magellan-<strategy>.service`: the systemd unit beside a config, checked line by line.
//!
//! A unit may set only what is listed in `SETTINGS`: a setting in the wrong section or with a
//! slip in its name is ignored by systemd with a line in a log that nobody reads. What keeps a
//! service from the rest of its host is demanded, in the one form that does: a service needs the
//! network, its state and systemd's socket, and reads its release.

mod directives;

use std::path::{Path, PathBuf};

use magellan::deployed::{LARGEST_UNIT, unit_name};
use magellan::disk::map;
use magellan::error::{Code, Error, Result};
use magellan::finding::{Finding, Span, nearest};

use crate::codes;

/// Who the services run as: a system user of their own.
pub const USER: &str = "magellan";
/// The folder of all that they run from, which only root may write.
pub const ROOT: &str = "/opt/magellan";
/// The folder of their state.
pub const STATE: &str = "/var/lib/magellan";
/// Memory of the smallest host, a t3.micro, less what the system needs.
const MOST_MEMORY: u64 = 768 << 20;

/// The program that a strategy's unit starts, and its whole command line.
pub fn command(strategy: &str) -> (String, String) {
    let program = format!("{ROOT}/units/{}/current/release/magellan", unit_name(strategy));
    let line = format!("{program} run --strategy {strategy} --state-dir {STATE}/{strategy}");
    (program, line)
}

/// A unit as text.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// What a setting's value may be.
enum Rule {
    /// Anything that isn't empty.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// What systemd takes for yes.
    Yes,
    /// No value at all.
    Empty,
    /// These values, one a line, in this order.
    Lines(&'static [&'static str]),
    /// A time span in seconds, both ends included.
    Seconds(f64, f64),
    /// A whole number, both ends included.
    Count(u64, u64),
    /// Bytes, both ends included.
    Bytes(u64, u64),
    /// `NAME=value` without a secret.
    Environment,
    /// The runner's command line for this strategy.
    Command,
    /// `magellan/<strategy>`.
    StateDirectory,
}

/// The sections of a unit.
const SECTIONS: [&str; 3] = ["Unit", "Service", "Install"];

struct Setting {
    section: &'static str,
    key: &'static str,
    required: bool,
    /// Whether it may stand more than once.
    list: bool,
    rule: Rule,
}

const fn must(section: &'static str, key: &'static str, rule: Rule) -> Setting {
    Setting { section, key, required: true, list: false, rule }
}

const fn may(section: &'static str, key: &'static str, rule: Rule) -> Setting {
    Setting { section, key, required: false, list: false, rule }
}

const fn list(section: &'static str, key: &'static str, rule: Rule) -> Setting {
    Setting { section, key, required: false, list: true, rule }
}

/// What a service may ask of the kernel.
const SYSTEM_CALLS: [&str; 2] = ["@system-service", "~@privileged @resources"];

const SETTINGS: &[Setting] = &[
    must("Unit", "Description", Rule::Text),
    must("Unit", "StartLimitIntervalSec", Rule::Seconds(60.0, 86_400.0)),
    must("Unit", "StartLimitBurst", Rule::Count(1, 100)),
    list("Unit", "Documentation", Rule::Text),
    list("Unit", "Wants", Rule::Text),
    list("Unit", "Requires", Rule::Text),
    list("Unit", "After", Rule::Text),
    may("Unit", "OnFailure", Rule::Text),
    must("Service", "Type", Rule::OneOf(&["notify"])),
    may("Service", "NotifyAccess", Rule::OneOf(&["main"])),
    must("Service", "User", Rule::OneOf(&[USER])),
    may("Service", "Group", Rule::OneOf(&[USER])),
    must("Service", "WorkingDirectory", Rule::OneOf(&[ROOT])),
    must("Service", "ExecStart", Rule::Command),
    must("Service", "Restart", Rule::OneOf(&["always"])),
    must("Service", "RestartSec", Rule::Seconds(10.0, 10.0)),
    must("Service", "WatchdogSec", Rule::Seconds(10.0, 600.0)),
    must("Service", "TimeoutStartSec", Rule::Seconds(1.0, 600.0)),
    must("Service", "TimeoutStopSec", Rule::Seconds(1.0, 300.0)),
    must("Service", "MemoryMax", Rule::Bytes(32 << 20, MOST_MEMORY)),
    may("Service", "MemoryHigh", Rule::Bytes(32 << 20, MOST_MEMORY)),
    must("Service", "NoNewPrivileges", Rule::Yes),
    must("Service", "CapabilityBoundingSet", Rule::Empty),
    must("Service", "LockPersonality", Rule::Yes),
    must("Service", "MemoryDenyWriteExecute", Rule::Yes),
    must("Service", "PrivateDevices", Rule::Yes),
    must("Service", "PrivateTmp", Rule::Yes),
    must("Service", "ProcSubset", Rule::OneOf(&["pid"])),
    must("Service", "ProtectClock", Rule::Yes),
    must("Service", "ProtectControlGroups", Rule::Yes),
    must("Service", "ProtectHome", Rule::Yes),
    must("Service", "ProtectHostname", Rule::Yes),
    must("Service", "ProtectKernelLogs", Rule::Yes),
    must("Service", "ProtectKernelModules", Rule::Yes),
    must("Service", "ProtectKernelTunables", Rule::Yes),
    must("Service", "ProtectProc", Rule::OneOf(&["invisible"])),
    must("Service", "ProtectSystem", Rule::OneOf(&["strict"])),
    must("Service", "RestrictAddressFamilies", Rule::OneOf(&["AF_INET AF_INET6 AF_UNIX"])),
    must("Service", "RestrictNamespaces", Rule::Yes),
    must("Service", "RestrictRealtime", Rule::Yes),
    must("Service", "RestrictSUIDSGID", Rule::Yes),
    must("Service", "SystemCallArchitectures", Rule::OneOf(&["native"])),
    // A call that is refused fails; one that kills the service would end it at the next update of its libraries.
    must("Service", "SystemCallErrorNumber", Rule::OneOf(&["EPERM"])),
    // The first line says what is allowed, the second what of it isn't: the other way round, all is.
    Setting { list: true, ..must("Service", "SystemCallFilter", Rule::Lines(&SYSTEM_CALLS)) },
    must("Service", "UMask", Rule::OneOf(&["0077"])),
    must("Service", "StateDirectory", Rule::StateDirectory),
    list("Service", "Environment", Rule::Environment),
    may("Service", "StandardOutput", Rule::OneOf(&["journal"])),
    may("Service", "StandardError", Rule::OneOf(&["journal", "inherit"])),
    may("Service", "SyslogIdentifier", Rule::Text),
    must("Install", "WantedBy", Rule::OneOf(&["multi-user.target"])),
];

/// One `Key=value` and where it stands.
struct Line<'a> {
    section: &'a str,
    key: String,
    value: String,
    span: Span,
}

impl Unit {
    /// Reads a unit.
    ///
    /// # Errors
    /// Config error if it isn't a small regular text file.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::new(codes::UNIT_MISSING, "there is no such unit").at(path.display()));
        }
        let bytes = map::bytes_up_to(path, LARGEST_UNIT).map_err(|e| e.recode(codes::UNIT_UNREADABLE))?;
        Self::from_bytes(path, &bytes)
    }

    /// The unit of these bytes, wherever they are from: a file of a bundle, say.
    ///
    /// # Errors
    /// Config error if they aren't a small text.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let unreadable = |what: String| Error::new(codes::UNIT_UNREADABLE, what).at(path.display());
        if bytes.len() as u64 > LARGEST_UNIT {
            return Err(unreadable(format!("{} bytes, at most {LARGEST_UNIT} are read", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| unreadable(format!("not UTF-8 text: {e}")))?;
        Ok(Self::from_text(path, text))
    }

    /// The unit of this text. Findings name `path`, which needn't exist.
    pub fn from_text(path: &Path, text: &str) -> Self {
        // systemd passes over a byte order mark.
        Self { path: path.to_owned(), text: text.trim_start_matches('\u{feff}').to_owned() }
    }

    /// Everything that is wrong with it as the unit of `strategy`, in the order of the text.
    pub fn examine(&self, strategy: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        let lines = self.lines(&mut found);
        for (i, line) in lines.iter().enumerate() {
            match SETTINGS.iter().find(|s| (s.section, s.key) == (line.section, line.key.as_str())) {
                None => found.push(unknown(line)),
                Some(setting) => {
                    let same = |l: &Line<'_>| (l.section, &l.key) == (line.section, &line.key);
                    if !setting.list && lines[..i].iter().any(same) {
                        let what = format!("{} stands twice", line.key);
                        found.push(finding(codes::DUPLICATE_KEY, line, what));
                    }
                    found.extend(wrong_value(setting, line, strategy));
                }
            }
        }
        found.extend(SETTINGS.iter().filter_map(|setting| wrong_lines(setting, &lines, strategy)));
        // A section whose header has a slip is one finding, not one for each of its settings.
        let slip = found.iter().any(|f| f.code == codes::UNIT_SYNTAX && f.what.contains("no section"));
        let has = |section: &str| !slip || lines.iter().any(|l| l.section == section);
        for setting in SETTINGS.iter().filter(|s| s.required && has(s.section)) {
            if !lines.iter().any(|l| (l.section, l.key.as_str()) == (setting.section, setting.key)) {
                let what = format!("[{}] lacks {}", setting.section, setting.key);
                let subject = format!("{}.{}", setting.section, setting.key);
                let mut finding = Finding::new(codes::UNIT_MISSING_KEY, subject, what);
                finding.span = Some(self.section(setting.section));
                found.push(finding.help(setting.rule.advice(setting.key, strategy)));
            }
        }
        found.sort_by_key(|f| f.span);
        found.into_iter().map(|f| f.file(&self.path)).collect()
    }

    /// The memory that its service may take, bytes.
    pub fn memory_max(&self) -> Option<u64> {
        let lines = self.lines(&mut Vec::new());
        let max = lines.iter().find(|l| (l.section, l.key.as_str()) == ("Service", "MemoryMax"));
        max.and_then(|line| bytes(&line.value))
    }

    /// Settings with their section; what is no setting becomes a finding.
    fn lines<'a>(&'a self, found: &mut Vec<Finding>) -> Vec<Line<'a>> {
        let (mut lines, mut at) = (Vec::new(), 0);
        // None before the first header, and behind one that was found fault with.
        let mut section: Option<&str> = None;
        let mut headed = false;
        let mut physical = self.text.split_inclusive('\n');
        while let Some(first) = physical.next() {
            let (start, mut text) = (at, trim(first).to_owned());
            at += first.len();
            let span = Span::of(&self.text, start, start + first.trim_end().len());
            let is_comment = text.starts_with(['#', ';']);
            // A backslash joins the next line, as systemd does; comments don't continue.
            while text.ends_with('\\') && !is_comment {
                let Some(next) = physical.next() else { break };
                at += next.len();
                // A comment inside is passed over, and the setting goes on behind it.
                if !trim(next).starts_with(['#', ';']) {
                    text.pop();
                    text = format!("{} {}", trim(&text), trim(next));
                }
            }
            if text.is_empty() || is_comment {
                continue;
            }
            let raw = trim(first);
            let mut fault = |code, what: String, help: Option<String>| {
                let mut finding = Finding::new(code, "", what).value(raw, "[Unit], [Service], [Install], Key=value");
                finding.span = Some(span);
                found.push(match help {
                    Some(help) => finding.help(help),
                    None => finding,
                });
            };
            if raw.starts_with('[') {
                headed = true;
                section = raw.strip_prefix('[').and_then(|t| t.strip_suffix(']')).filter(|s| SECTIONS.contains(s));
                if section.is_none() {
                    let name = raw.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
                    let help = match directives::OTHER_SECTIONS.contains(&name) {
                        true => Some(format!("remove it: systemd reads [{name}] in files of another kind only")),
                        false => nearest(name, SECTIONS).map(|name| format!("did you mean [{name}]?")),
                    };
                    fault(codes::UNIT_SYNTAX, format!("{raw} is no section of a Magellan unit"), help);
                }
            } else if let Some((key, value)) = text.split_once('=') {
                let (key, value) = (trim(key).to_owned(), trim(value).to_owned());
                match section {
                    Some(section) => lines.push(Line { section, key, value, span }),
                    None if headed => {}
                    None => fault(codes::UNIT_SYNTAX, "a setting before any section".to_owned(), None),
                }
            } else {
                fault(codes::UNIT_SYNTAX, "neither section nor setting".to_owned(), None);
            }
        }
        lines
    }

    /// Where a section's header stands; without one, the unit's beginning.
    fn section(&self, name: &str) -> Span {
        let header = format!("[{name}]");
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            if trim(line) == header {
                return Span::of(&self.text, at, at + line.trim_end().len());
            }
            at += line.len();
        }
        Span::of(&self.text, 0, 0)
    }
}

fn finding(code: Code, line: &Line<'_>, what: impl Into<String>) -> Finding {
    let mut finding = Finding::new(code, format!("{}.{}", line.section, line.key), what);
    finding.span = Some(line.span);
    finding
}

fn unknown(line: &Line<'_>) -> Finding {
    let elsewhere = SETTINGS.iter().find(|s| s.key == line.key);
    let what = format!("[{}] {} is no setting of a Magellan service", line.section, line.key);
    let help = match elsewhere {
        Some(setting) => format!("move it to [{}]: elsewhere systemd ignores it", setting.section),
        None => directives::instead_of(&line.key).unwrap_or_else(|| {
            let here = SETTINGS.iter().filter(|s| s.section == line.section).map(|s| s.key);
            match nearest(&line.key, here) {
                Some(key) => format!("systemd doesn't know it either: did you mean `{key}`?"),
                None => "systemd doesn't know it either: correct its name or remove it".to_owned(),
            }
        }),
    };
    finding(codes::UNIT_UNKNOWN_KEY, line, what).help(help)
}

fn wrong_value(setting: &Setting, line: &Line<'_>, strategy: &str) -> Option<Finding> {
    let value = line.value.as_str();
    let holds = match &setting.rule {
        // Judged together.
        Rule::Lines(_) => true,
        Rule::Empty => value.is_empty(),
        Rule::Text => !value.is_empty(),
        Rule::OneOf(words) => words.contains(&value),
        Rule::Yes => ["true", "yes", "on", "1"].contains(&value.to_ascii_lowercase().as_str()),
        Rule::Seconds(low, high) => seconds(value).is_some_and(|s| (*low..=*high).contains(&s)),
        Rule::Count(low, high) => value.parse().is_ok_and(|n| (*low..=*high).contains(&n)),
        Rule::Bytes(low, high) => bytes(value).is_some_and(|n| (*low..=*high).contains(&n)),
        Rule::Environment => {
            // One line may set several; each name stands before a `=`.
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let names =
                value.split('=').rev().skip(1).map(|before| before.rsplit(|c| !is_name(c)).next().unwrap_or(""));
            let secret = |name: &str| ["SECRET", "KEY", "TOKEN", "PASSWORD"].iter().any(|word| name.contains(word));
            // The linker would load other code than what was judged.
            let refused = |name: &str| secret(name) || name.starts_with("LD_");
            value.contains('=') && !names.map(str::to_ascii_uppercase).any(|name| refused(&name))
        }
        Rule::Command => runs(value, strategy),
        Rule::StateDirectory => value == format!("magellan/{strategy}"),
    };
    (!holds).then(|| not_allowed(setting, line, value, strategy))
}

/// What is wrong with the lines of a setting that has several, if there are any.
fn wrong_lines(setting: &Setting, lines: &[Line<'_>], strategy: &str) -> Option<Finding> {
    let Rule::Lines(allowed) = &setting.rule else { return None };
    let own: Vec<&Line<'_>> =
        lines.iter().filter(|l| (l.section, l.key.as_str()) == (setting.section, setting.key)).collect();
    let values: Vec<&str> = own.iter().map(|line| line.value.as_str()).collect();
    let last = own.last().filter(|_| values != *allowed)?;
    Some(not_allowed(setting, last, &values.join(", then "), strategy))
}

fn not_allowed(setting: &Setting, line: &Line<'_>, value: &str, strategy: &str) -> Finding {
    let allowed = setting.rule.allowed(strategy);
    let what = format!("{} is `{value}`, allowed is {allowed}", line.key);
    let help = setting.rule.advice(&line.key, strategy);
    finding(codes::UNIT_VALUE, line, what).value(value, &allowed).help(help)
}

impl Rule {
    /// What to write for `key`.
    fn advice(&self, key: &str, strategy: &str) -> String {
        let allowed = self.allowed(strategy);
        match self {
            Self::Seconds(low, high) if low < high => format!("write {key}=, with {allowed}"),
            Self::Lines(lines) => {
                let lines: Vec<String> = lines.iter().map(|value| format!("{key}={value}")).collect();
                format!("write {}", lines.join(", then "))
            }
            Self::Empty => format!("write {key}="),
            Self::Text | Self::Count(..) | Self::Bytes(..) | Self::Environment => {
                format!("write {key}=, with {allowed}")
            }
            _ => format!("write {key}={allowed}"),
        }
    }

    /// What is allowed, in words or as the value to write.
    fn allowed(&self, strategy: &str) -> String {
        match self {
            Self::Text => "a text that isn't empty".to_owned(),
            Self::OneOf(words) => words.join(" or "),
            Self::Yes => "true".to_owned(),
            Self::Empty => "no value".to_owned(),
            Self::Lines(lines) => lines.join(", then "),
            Self::Seconds(low, high) if low == high => low.to_string(),
            Self::Seconds(low, high) => format!("{low} to {high} seconds"),
            Self::Count(low, high) => format!("{low} to {high}"),
            Self::Bytes(low, high) => format!("{}M to {}M", low >> 20, high >> 20),
            Self::Environment => {
                "NAME=value; keys come from SSM, never from a unit, and no LD_ changes what runs".to_owned()
            }
            Self::Command => command(strategy).1,
            Self::StateDirectory => format!("magellan/{strategy}"),
        }
    }
}

/// Without the white space that systemd knows; any other is a part of a word to it.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// Exactly the line that is allowed, whatever its spaces: a `-` in front would have systemd count
/// a failure as success, and whatever follows would change what runs.
fn runs(command: &str, strategy: &str) -> bool {
    let words =
        |line: &str| line.split([' ', '\t']).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<String>>();
    words(command) == words(&Rule::Command.allowed(strategy))
}

/// A systemd time span such as `120`, `2min` or `1h 30min`, in seconds.
fn seconds(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        total += number
            * match &after[..letters] {
                "" | "s" | "sec" | "second" | "seconds" => 1.0,
                "ms" | "msec" => 0.001,
                "m" | "min" | "minute" | "minutes" => 60.0,
                "h" | "hr" | "hour" | "hours" => 3_600.0,
                "d" | "day" | "days" => 86_400.0,
                _ => return None,
            };
        rest = after[letters..].trim_start();
    }
    (!text.trim().is_empty()).then_some(total)
}

/// Bytes such as `256M`, with systemd's suffixes to the base of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        _ => (text, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = include_str!("../../deployed/bear_trap/magellan-bear-trap.service");

    fn unit(text: &str) -> Vec<Finding> {
        Unit::from_text(Path::new("x.service"), text).examine("bear_trap")
    }

    #[test]
    fn spans_and_sizes_are_read_as_systemd_does() {
        assert_eq!(seconds("120"), Some(120.0));
        assert_eq!(seconds("2min"), Some(120.0));
        assert_eq!(seconds("1h 30min"), Some(5_400.0));
        assert_eq!(seconds("1.5s"), Some(1.5));
        for bad in ["", "soon", "infinity", "2 fortnights", "-3"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
        assert_eq!(bytes("256M"), Some(256 << 20));
        assert_eq!(bytes("infinity"), None);
        assert_eq!(bytes("99999999999999999999G"), None);
    }

    #[test]
    fn a_setting_in_the_wrong_section_names_the_right_one() {
        let found = unit("[Service]\nStartLimitBurst=5\n");
        let misplaced = found.iter().find(|f| f.code == codes::UNIT_UNKNOWN_KEY).expect("found");
        assert!(misplaced.help.contains("[Unit]"), "{}", misplaced.help);
        assert_eq!(misplaced.span.map(|s| s.line), Some(2));
    }

    #[test]
    fn a_masked_failure_is_found() {
        let found = unit("[Service]\nExecStart=-/bin/true\n");
        assert!(found.iter().any(|f| f.code == codes::UNIT_VALUE && f.subject == "Service.ExecStart"));
    }

    #[test]
    fn a_continued_line_is_one_setting() {
        let text = "[Service]\nExecStart=/opt/magellan/units/magellan-bear-trap/current/release/magellan run \\\n  --strategy bear_trap --state-dir /var/lib/magellan/bear_trap\n";
        assert!(unit(text).iter().all(|f| f.subject != "Service.ExecStart"), "{:?}", unit(text));
    }

    #[test]
    fn a_key_in_a_unit_is_found() {
        let found = unit("[Service]\nEnvironment=APCA_API_SECRET_KEY=abc\n");
        assert!(found.iter().any(|f| f.code == codes::UNIT_VALUE && f.subject == "Service.Environment"));
    }

    #[test]
    fn a_key_is_found_wherever_it_stands_in_a_line() {
        for line in [
            "RUST_LOG=info APCA_API_SECRET_KEY=abc",
            "\"A=b\" \"APCA_API_SECRET_KEY=abc\"",
            "TOKEN=",
            "A=b LD_PRELOAD=/x.so",
        ] {
            let found = unit(&format!("[Service]\nEnvironment={line}\n"));
            assert!(found.iter().any(|f| f.subject == "Service.Environment"), "{line}");
        }
        let found = unit("[Service]\nEnvironment=RUST_LOG=info \"A=b c\"\n");
        assert!(found.iter().all(|f| f.subject != "Service.Environment"));
    }

    #[test]
    fn a_command_line_with_anything_more_is_refused() {
        let right = Rule::Command.allowed("bear_trap");
        for line in [format!("{right} || true"), format!("{right} --strategy daily_trend"), format!("-{right}")] {
            let found = unit(&format!("[Service]\nExecStart={line}\n"));
            assert!(found.iter().any(|f| f.subject == "Service.ExecStart"), "{line}");
        }
    }

    #[test]
    fn whatever_opens_the_host_to_a_service_is_refused() {
        assert!(unit(GOOD).is_empty(), "{:?}", unit(GOOD));
        let weaker = [
            ("ProtectSystem=strict", "ProtectSystem=full"),
            ("ProtectHome=true", "ProtectHome=read-only"),
            ("ProtectProc=invisible", "ProtectProc=default"),
            ("CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_NET_RAW"),
            ("CapabilityBoundingSet=", "CapabilityBoundingSet=\nCapabilityBoundingSet=CAP_NET_RAW"),
            ("CapabilityBoundingSet=", "CapabilityBoundingSet=\nAmbientCapabilities=CAP_NET_RAW"),
            ("RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "RestrictAddressFamilies=~AF_PACKET"),
            ("RestrictNamespaces=true", "RestrictNamespaces=~user"),
            ("UMask=0077", "UMask=0022"),
            ("SystemCallArchitectures=native", "SystemCallArchitectures=native x86"),
            ("StateDirectory=magellan/bear_trap", "StateDirectory=magellan/bear_trap\nReadWritePaths=/"),
            ("TimeoutStartSec=120", "TimeoutStartSec=infinity"),
            ("TimeoutStartSec=120", "TimeoutStartSec=0"),
            ("TimeoutStopSec=30", "TimeoutStopSec=infinity"),
        ];
        for (from, to) in weaker {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            assert!(!unit(&text).is_empty(), "{to}");
        }
    }

    #[test]
    fn system_calls_are_allowed_before_some_are_taken_away() {
        let [allow, deny] = SYSTEM_CALLS.map(|value| format!("SystemCallFilter={value}\n"));
        let both = format!("{allow}{deny}");
        let as_written = |lines: &str| unit(&GOOD.replace(&both, lines)).iter().map(|f| f.code).collect::<Vec<_>>();
        assert!(as_written(&both).is_empty());
        assert_eq!(as_written(""), [codes::UNIT_MISSING_KEY]);
        let reset = format!("{both}SystemCallFilter=\n");
        let more = format!("{both}SystemCallFilter=@mount\n");
        for lines in [&allow, &deny, &format!("{deny}{allow}"), &reset, &more] {
            assert_eq!(as_written(lines), [codes::UNIT_VALUE], "{lines}");
        }
    }

    #[test]
    fn a_required_setting_that_is_lacking_is_named_with_what_to_write() {
        for setting in SETTINGS.iter().filter(|s| s.required && !matches!(s.rule, Rule::Lines(_))) {
            let line = GOOD.lines().find(|l| l.split('=').next() == Some(setting.key)).expect("in the unit");
            let found = unit(&GOOD.replace(&format!("{line}\n"), ""));
            assert_eq!(found.len(), 1, "{line}: {found:?}");
            let key = format!("write {}=", setting.key);
            assert!(found[0].code == codes::UNIT_MISSING_KEY && found[0].help.starts_with(&key), "{found:?}");
        }
    }

    #[test]
    fn a_unit_of_bytes_is_held_to_the_same_as_a_file() {
        let path = Path::new("deployed/bear_trap/magellan-bear-trap.service");
        let read =
            |bytes: &[u8]| Unit::from_bytes(path, bytes).map(|u| u.examine("bear_trap").len()).map_err(|e| e.code());
        assert_eq!(read(GOOD.as_bytes()), Ok(0));
        assert_eq!(read(format!("\u{feff}{GOOD}").as_bytes()), Ok(0));
        assert_eq!(read(GOOD.replace("User=magellan", "User=root").as_bytes()), Ok(1));
        assert_eq!(read(b"\xff"), Err(codes::UNIT_UNREADABLE));
        assert_eq!(read(&vec![b'#'; LARGEST_UNIT as usize + 1]), Err(codes::UNIT_UNREADABLE));
    }

    #[test]
    fn lines_are_joined_and_trimmed_as_systemd_does() {
        // systemd passes over the comment and joins Restart to the identifier.
        let hidden = unit("[Service]\nSyslogIdentifier=x \\\n# note\nRestart=always\n");
        assert!(hidden.iter().any(|f| f.code == codes::UNIT_MISSING_KEY && f.subject == "Service.Restart"));
        let command = Rule::Command.allowed("bear_trap").replacen(" --strategy", " \\\n# why\n --strategy", 1);
        assert!(unit(&format!("[Service]\nExecStart={command}\n")).iter().all(|f| f.subject != "Service.ExecStart"));
        for line in ["Restart=always\u{a0}", "\u{c}Restart=always", "NoNewPrivileges=true\u{2028}"] {
            let found = unit(&format!("[Service]\n{line}\n"));
            let codes = [codes::UNIT_VALUE, codes::UNIT_UNKNOWN_KEY];
            assert!(found.iter().any(|f| codes.contains(&f.code)), "{line:?}");
        }
    }

    #[test]
    fn a_slip_in_a_header_is_one_finding_at_its_line() {
        for header in ["[Servce]", "[Service] # main", "[Service"] {
            let found = unit(&GOOD.replace("[Service]", header));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].help.contains("[Service]") && found[0].span.map(|s| s.line) == Some(8), "{found:?}");
        }
        let commented = format!("# the [Service] comes below\n{}", GOOD.replace("User=magellan\n", ""));
        assert_eq!(unit(&commented)[0].span.map(|s| s.line), Some(9));
    }

    proptest! {
        #[test]
        fn any_text_is_examined(text in "[\\[\\]a-zA-Z=\\\\\n#é ]{0,200}") {
            unit(&text);
        }
    }
}
