//! Which keys are trusted to sign what: a text of one key a line, as it lies in `/etc/magellan/trusted-keys`.

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use magellan::deployed::is_name;
use magellan::disk::map;
use magellan::error::{Error, Result};

use super::key::PublicKey;
use crate::codes;

const LARGEST: u64 = 64 << 10;
const LONGEST_NAME: usize = 64;

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Verdicts of the gate.
    Verdict,
    /// Releases, and the index that names them.
    Release,
    /// What people take upon themselves: accepted failures, and deploys against a reason to refuse.
    Override,
}

impl Role {
    /// Its word in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Release => "release",
            Self::Override => "override",
        }
    }
}

/// A key, whose it is, and what it may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    roles: Vec<Role>,
    key: PublicKey,
    name: String,
}

impl TrustedKey {
    /// A key with its roles.
    ///
    /// # Errors
    /// Usage error if the name isn't letters, digits, `_` and `-`, or roles are missing or stand twice.
    pub fn new(roles: &[Role], key: PublicKey, name: &str) -> Result<Self> {
        let bad = |what: String| Err(Error::new(codes::BAD_TRUSTED_KEYS, what));
        if !is_name(name) || name.len() > LONGEST_NAME {
            let help = format!("write at most {LONGEST_NAME} letters, digits, `_` and `-`");
            return bad(format!("`{name}` can't be the name of a key")).map_err(|e| e.help(help));
        }
        if roles.is_empty() || (1..roles.len()).any(|i| roles[..i].contains(&roles[i])) {
            return bad(format!("the key of {name} has no role, or one twice"));
        }
        Ok(Self { roles: roles.to_vec(), key, name: name.to_owned() })
    }

    fn parse(line: &str) -> Result<Self> {
        let bad = |what: String| Error::new(codes::BAD_TRUSTED_KEYS, what);
        let parts: Vec<&str> = line.split(' ').collect();
        let [roles, id, key, name] = parts[..] else {
            return Err(bad("it isn't `ROLE[,ROLE...] KEYID PUBLIC-KEY NAME`, with one space between".to_owned()));
        };
        let role = |word: &str| {
            Role::from_str(word, false)
                .map_err(|_| bad(format!("there is no role `{word}`")).help("roles are verdict, release and override"))
        };
        let roles = roles.split(',').map(role).collect::<Result<Vec<Role>>>()?;
        let key = PublicKey::from_base64(key).ok_or_else(|| bad("the key isn't 32 bytes in base64".to_owned()))?;
        if key.id() != id {
            return Err(bad(format!("its id isn't that of the key, {}", key.id())));
        }
        Self::new(&roles, key, name)
    }

    /// What it may sign.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The key.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Whose it is.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.name()).collect();
        write!(f, "{} {} {} {}", roles.join(","), self.key.id(), self.key.to_base64(), self.name)
    }
}

/// The keys that somebody trusts. None is, unless it stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(Vec<TrustedKey>);

impl Trusted {
    /// Reads a file of at most 64 KiB.
    ///
    /// # Errors
    /// Usage error with the line that isn't right.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = map::bytes_up_to(path, LARGEST).map_err(|e| e.recode(codes::BAD_TRUSTED_KEYS))?;
        let text = String::from_utf8(bytes.to_vec())
            .map_err(|_| Error::new(codes::BAD_TRUSTED_KEYS, "it isn't UTF-8 text").at(path.display()))?;
        Self::parse_at(&text, path)
    }

    /// Reads a text of at most 64 KiB. Empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// Usage error with the line that isn't right.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_at(text, Path::new("trusted-keys"))
    }

    fn parse_at(text: &str, path: &Path) -> Result<Self> {
        if text.len() as u64 > LARGEST {
            let what = format!("it has more than {LARGEST} bytes");
            return Err(Error::new(codes::BAD_TRUSTED_KEYS, what).at(path.display()));
        }
        let mut all = Self::default();
        for (i, line) in text.split('\n').enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let added = TrustedKey::parse(line).and_then(|key| all.add(key));
            added.map_err(|e| e.at_line(path, i + 1, None))?;
        }
        Ok(all)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// Usage error if it is there already: its roles stand in one line.
    pub fn add(&mut self, key: TrustedKey) -> Result<()> {
        if let Some(there) = self.find(&key.key.id()) {
            let what = format!("the key of {} is there already, as that of {}", key.name, there.name);
            return Err(Error::new(codes::BAD_TRUSTED_KEYS, what));
        }
        self.0.push(key);
        Ok(())
    }

    /// The key with this id.
    pub fn find(&self, id: &str) -> Option<&TrustedKey> {
        self.0.iter().find(|trusted| trusted.key.id() == id)
    }

    /// All keys, in their order.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.0
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|key| writeln!(f, "{key}"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::key::tests::key;
    use super::*;

    /// Trusts these keys, each for roles of its own.
    pub(in crate::signing) fn trusting(keys: &[(usize, &[Role], &str)]) -> Trusted {
        let mut all = Trusted::default();
        for (which, roles, name) in keys {
            all.add(TrustedKey::new(roles, key(*which).public(), name).expect("a key")).expect("added");
        }
        all
    }

    #[test]
    fn what_is_printed_reads_back() {
        let all = trusting(&[(0, &[Role::Verdict, Role::Release], "ci"), (1, &[Role::Override], "ada")]);
        let text = all.to_string();
        assert_eq!(Trusted::parse(&text).expect("read"), all);
        assert_eq!(Trusted::parse(&format!("# who may sign\n\n{text}")).expect("read"), all);
        assert!(text.starts_with("verdict,release 21fe31dfa154a261626bf854046fd227"), "{text}");
        assert!(text.ends_with(" ada\n"), "{text}");
    }

    #[test]
    fn no_line_is_half_right() {
        let line = trusting(&[(0, &[Role::Verdict], "ci")]).to_string();
        let line = line.trim();
        let id = key(0).public().id();
        let base64 = key(0).public().to_base64();
        for (bad, word) in [
            (format!("{line}\n{line}"), "there already"),
            (format!("{line}\n{}", line.replace("verdict", "release").replace("ci", "bob")), "there already"),
            (line.replace("verdict", "verdicts"), "no role `verdicts`"),
            (line.replace("verdict", "Verdict"), "no role `Verdict`"),
            (line.replace("verdict", "verdict,"), "no role ``"),
            (line.replace("verdict", "verdict,verdict"), "one twice"),
            (line.replace(&id, &key(1).public().id()), "isn't that of the key"),
            (line.replace(&id, &id.to_uppercase()), "isn't that of the key"),
            (line.replace(&base64, &base64[..40]), "32 bytes"),
            (line.replace(&base64, base64.trim_end_matches('=')), "32 bytes"),
            (line.replace(" ci", ""), "NAME"),
            (line.replace(" ci", "  ci"), "NAME"),
            (line.replace(" ci", " "), "can't be the name"),
            (line.replace(" ci", " c/i"), "can't be the name"),
            (format!("{line}\r\n"), "can't be the name"),
            (format!(" {line}"), "NAME"),
            (line.replace(" ci", &format!(" {}", "c".repeat(65))), "can't be the name"),
            ("#".repeat(70_000), "more than"),
        ] {
            let err = Trusted::parse(&bad).expect_err(&bad);
            assert!(err.code() == codes::BAD_TRUSTED_KEYS && err.to_string().contains(word), "{bad}: {err}");
        }
    }
}
