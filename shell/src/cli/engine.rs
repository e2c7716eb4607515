//! Where a repository of one's own gets Magellan from.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use magellan::error::{Error, Result, quoted};
use serde_json::json;

use super::programs::{complaint, git};
use crate::codes;

/// The forms of `--engine`, for messages.
const FORMS: &str = "write one of
    --engine path:DIR      a checkout of Magellan on this machine: to try it
    --engine git:URL@REV   a commit, tag or branch of a git repository: for CI and colleagues
    --engine VERSION       a published version, e.g. 0.1.0";

/// The engine's crates that a repository of strategies depends on, with their folders in its checkout.
const CRATES: [(&str, &str); 2] = [("magellan", ""), ("magellan-shell", "shell")];

/// What `--engine` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Path(PathBuf),
    Git { url: String, rev: String },
    Version(String),
}

/// An engine that is there.
#[derive(Debug)]
pub(super) struct Engine {
    /// The lines of `[dependencies]` that name it.
    pub(super) dependencies: String,
    /// Its `Cargo.lock`: what it was tested with.
    pub(super) lock: Option<Vec<u8>>,
    /// What it is, for people.
    pub(super) described: String,
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(codes::BAD_ENGINE, what)
}

impl Source {
    /// Reads `--engine`.
    pub(super) fn parse(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else {
            return Err(refused("--engine is left out: where does the new repository get Magellan from?").help(FORMS));
        };
        let wrong = |what: &str| refused(format!("--engine {}: {what}", quoted(text))).help(FORMS);
        if let Some(folder) = text.strip_prefix("path:") {
            return if folder.is_empty() { Err(wrong("it names no folder")) } else { Ok(Self::Path(folder.into())) };
        }
        if let Some(place) = text.strip_prefix("git:") {
            // Not quoted: a password may be in it.
            return Self::git(place).map_err(|what| refused(format!("--engine git:…: {what}")).help(FORMS));
        }
        if is_version(text) {
            return Ok(Self::Version(text.to_owned()));
        }
        let hint = match () {
            () if Path::new(text).is_dir() => format!("write path:{text} for this folder"),
            () if text.contains("://") => format!("write git:{text}@REV for a commit or tag of it"),
            () => "it is none of the three forms".to_owned(),
        };
        Err(wrong(&hint))
    }

    fn git(place: &str) -> Result<Self, &'static str> {
        let (url, rev) = place.rsplit_once('@').ok_or("it names no REV: a commit, tag or branch behind an @")?;
        let plain = |c: char| c.is_ascii_graphic() && !['\'', '"', '\\', '`'].contains(&c);
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let is_url = !scheme.is_empty() && !rest.is_empty() && url.chars().all(plain);
        // Of git@HOST:PATH the @ is no REV's.
        if !is_url {
            return Err("it needs a URL such as https://HOST/OWNER/REPO.git or ssh://git@HOST/OWNER/REPO.git");
        }
        let user = rest.split('/').next().and_then(|host| host.rsplit_once('@')).map_or("", |(user, _)| user);
        if user.contains(':') {
            return Err("its URL holds a password, which would be written into Cargo.toml");
        }
        let is_rev = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
        if rev.is_empty() || rev.starts_with('-') || !rev.chars().all(is_rev) {
            return Err("REV must be the name of a commit, tag or branch");
        }
        Ok(Self::Git { url: url.to_owned(), rev: rev.to_owned() })
    }

    /// The engine itself, if it is there and is one.
    pub(super) fn find(&self) -> Result<Engine> {
        match self {
            Self::Path(folder) => at_path(folder),
            Self::Git { url, rev } => of_git(url, rev),
            Self::Version(version) => Ok(Engine {
                dependencies: dependencies(|_, _| format!("{{ version = {} }}", json!(format!("={version}")))),
                lock: None,
                described: format!("version {version}"),
            }),
        }
    }
}

fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |n: &&str| !n.is_empty() && n.len() < 10 && n.chars().all(|c| c.is_ascii_digit());
    let rest = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    numbers.len() == 3 && numbers.iter().all(is_number) && text.chars().all(rest)
}

/// A line for each crate; JSON's strings are TOML's, too.
fn dependencies(source: impl Fn(&str, &str) -> String) -> String {
    CRATES.iter().fold(String::new(), |mut lines, (name, folder)| {
        let _ = writeln!(lines, "{name} = {}", source(name, folder));
        lines
    })
}

fn at_path(folder: &Path) -> Result<Engine> {
    let unreadable = |e: &std::io::Error| refused(format!("no Magellan to depend on: {e}")).at(folder.display());
    let folder = folder.canonicalize().map_err(|e| unreadable(&e))?;
    check(&folder, &folder.display().to_string())?;
    let text = |crate_folder: &str| Some(folder.join(crate_folder).to_str()?.trim_end_matches('/').to_owned());
    if CRATES.iter().any(|(_, folder)| text(folder).is_none()) {
        return Err(refused("the folder's name isn't UTF-8, and Cargo.toml couldn't name it").at(folder.display()));
    }
    Ok(Engine {
        dependencies: dependencies(|_, folder| format!("{{ path = {} }}", json!(text(folder)))),
        lock: std::fs::read(folder.join("Cargo.lock")).ok(),
        described: format!("the checkout in {}", folder.display()),
    })
}

fn of_git(url: &str, rev: &str) -> Result<Engine> {
    let clone = tempfile::tempdir().map_err(|e| Error::io(&std::env::temp_dir(), &e))?;
    let folder = clone.path();
    let place = format!("{url}@{rev}");
    let run = |args: &[&str]| -> Result<String, String> {
        let output = git(folder, args).map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() { Ok(text) } else { Err(complaint(&output)) }
    };
    // One commit if the server gives it by its name; else, as for a commit's first digits, all of them.
    let one = || {
        run(&["init", "--quiet"])?;
        run(&["fetch", "--quiet", "--depth", "1", url, rev])?;
        Ok("FETCH_HEAD".to_owned())
    };
    let all = |_: String| {
        run(&["fetch", "--quiet", url, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"])?;
        run(&["rev-parse", "--verify", &format!("{rev}^{{commit}}")])
    };
    let commit = one().or_else(all).and_then(|found| {
        run(&["checkout", "--quiet", "--detach", &found])?;
        run(&["rev-parse", "HEAD"])
    });
    let commit = commit.map_err(|why| {
        let help = "check URL, REV and your access with `git ls-remote URL`";
        refused(format!("git gives no such commit: {why}")).at(&place).help(help)
    })?;
    check(folder, &place)?;
    let source = format!("{{ git = {}, rev = {} }}", json!(url), json!(commit));
    Ok(Engine {
        dependencies: dependencies(|_, _| source.clone()),
        lock: std::fs::read(folder.join("Cargo.lock")).ok(),
        described: format!("commit {} of {url}", commit.get(..12).unwrap_or(&commit)),
    })
}

/// Holds a checkout to the crates that the repository would depend on.
fn check(checkout: &Path, place: &str) -> Result<()> {
    for (name, folder) in CRATES {
        let manifest = checkout.join(folder).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap_or_default();
        let package = toml::from_str::<toml::Table>(&text).ok();
        let package = package.as_ref().and_then(|table| table.get("package")?.get("name")?.as_str());
        if package != Some(name) {
            let file = Path::new(folder).join("Cargo.toml");
            let what = format!("this is no Magellan: {} is not that of the package `{name}`", file.display());
            return Err(refused(what).at(place));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        let git = |url: &str, rev: &str| Source::Git { url: url.to_owned(), rev: rev.to_owned() };
        for (text, source) in [
            ("path:../magellan", Source::Path("../magellan".into())),
            ("path:/a b/c@d", Source::Path("/a b/c@d".into())),
            ("git:https://host/o/r.git@v0.1.0", git("https://host/o/r.git", "v0.1.0")),
            ("git:ssh://git@host/o/r.git@feature/x", git("ssh://git@host/o/r.git", "feature/x")),
            ("git:file:///tmp/r@1a2b3c4", git("file:///tmp/r", "1a2b3c4")),
            ("0.1.0", Source::Version("0.1.0".to_owned())),
            ("1.20.3-rc.1", Source::Version("1.20.3-rc.1".to_owned())),
        ] {
            assert_eq!(Source::parse(Some(text)).map_err(|e| e.to_string()), Ok(source), "{text}");
        }
    }

    #[test]
    fn every_other_form_is_refused_with_the_three() {
        let refused = [
            "",
            "path:",
            "git:",
            "git:https://host/o/r.git",
            "git:git@host:o/r",
            "git:host/o/r@v1",
            "git:https://h/r@",
            "git:https://h/r@-x",
            "git:https://h/r@a b",
            "git:https://me:secret@h/r@v1",
            "git:https://h/\"r@v1",
            "0.1",
            "v0.1.0",
            "latest",
            "https://host/o/r.git",
            "1.2.3\"",
            "1.2.3 4",
            "path",
            "/",
        ];
        for text in refused.map(Some).into_iter().chain([None]) {
            let err = Source::parse(text).expect_err("refused");
            assert_eq!((err.code(), err.exit_code()), (codes::BAD_ENGINE, 2), "{text:?}");
            assert!(
                ["path:DIR", "git:URL@REV", "VERSION"].iter().all(|form| err.suggestion().contains(form)),
                "{text:?}"
            );
        }
        let err = Source::parse(Some("git:https://me:secret@h/r@v1")).expect_err("refused");
        assert!(err.what().contains("password"), "{err}");
    }
}
