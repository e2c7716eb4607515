//! Where it is told, and the addresses. A webhook's address is a credential: whoever knows it can write.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use magellan::disk::map;
use magellan::error::{Error, Result};
use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use crate::{codes, http};

/// The variable with the address of Slack's webhook, such as a secret of CI.
pub const SLACK_VARIABLE: &str = "MAGELLAN_SLACK_WEBHOOK";
/// The variable with the address of Discord's webhook.
pub const DISCORD_VARIABLE: &str = "MAGELLAN_DISCORD_WEBHOOK";

/// Where systemd puts a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The longest address, bytes.
const LONGEST: u64 = 2_048;

/// A service that shows messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// Slack, by an incoming webhook.
    Slack,
    /// Discord, by a webhook of a channel.
    Discord,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 2] = [Self::Slack, Self::Discord];

    /// Its name, in messages and in the outbox.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
        }
    }

    fn credential(self) -> &'static str {
        match self {
            Self::Slack => "slack-webhook",
            Self::Discord => "discord-webhook",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Slack => SLACK_VARIABLE,
            Self::Discord => DISCORD_VARIABLE,
        }
    }
}

/// The address of a webhook. It is never shown: not by `{:?}`, and by no error.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Webhook(Uri);

impl Webhook {
    fn parse(text: &str) -> Option<Self> {
        http::safe_uri(text).map(Self)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook(…)")
    }
}

/// The channels that are set up, each with the address of its webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Channels(Vec<(Channel, Webhook)>);

impl Channels {
    /// Reads the addresses: files `slack-webhook` and `discord-webhook` in the folder that `CREDENTIALS_DIRECTORY`
    /// names, else [`SLACK_VARIABLE`] and [`DISCORD_VARIABLE`]. A channel that neither names isn't set up.
    /// `variable` looks one up: pass `|name| std::env::var_os(name)`.
    ///
    /// # Errors
    /// Config error, naming the channel, if an address can't be read or isn't one.
    pub fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let found = Channel::ALL.into_iter().map(|channel| Ok(address(channel, variable)?.map(|to| (channel, to))));
        Ok(Self(found.filter_map(Result::transpose).collect::<Result<_>>()?))
    }

    /// As [`Channels::read`], for whoever must go on: an address that is wrong is told, and the other channel is used.
    pub fn read_or_tell(variable: &dyn Fn(&str) -> Option<OsString>, tell: &dyn Fn(&str)) -> Self {
        let usable = |channel| match address(channel, variable) {
            Ok(to) => to.map(|to| (channel, to)),
            Err(err) => {
                tell(&format!("notifications: {err}"));
                None
            }
        };
        Self(Channel::ALL.into_iter().filter_map(usable).collect())
    }

    /// The channels that are set up.
    pub fn names(&self) -> impl Iterator<Item = Channel> {
        self.0.iter().map(|(channel, _)| *channel)
    }

    /// Whether none is set up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Channel, &Webhook)> {
        self.0.iter().map(|(channel, to)| (*channel, to))
    }
}

fn address(channel: Channel, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Option<Webhook>> {
    let wrong = |what: &str| Error::new(codes::BAD_WEBHOOK, what).at(channel.name());
    let file = variable(CREDENTIALS).map(|folder| Path::new(&folder).join(channel.credential()));
    let text = match file.filter(|path| path.symlink_metadata().is_ok()) {
        Some(path) => {
            let bytes = map::bytes_up_to(&path, LONGEST).map_err(|_| wrong("the credential can't be read"))?;
            Some(String::from_utf8(bytes.to_vec()).map_err(|_| wrong("the credential isn't text"))?)
        }
        None => {
            let text = variable(channel.variable()).filter(|text| !text.is_empty());
            text.map(|text| text.into_string().map_err(|_| wrong("the variable isn't text"))).transpose()?
        }
    };
    let Some(text) = text else { return Ok(None) };
    let wrong = || wrong("the webhook's address is neither https://… nor http:// to a loopback address");
    Webhook::parse(text.trim()).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "T0/B0/secretsecret";

    fn from_variable(text: &str) -> Result<Channels> {
        Channels::read(&|name| (name == SLACK_VARIABLE).then(|| text.into()))
    }

    #[test]
    fn only_https_and_loopback_are_addresses() {
        for good in ["https://hooks.slack.com/T0", "http://127.0.0.1:80/x", "http://[::1]:80/x", " https://a.b/c\n"] {
            assert_eq!(from_variable(good).map(|c| c.names().count()).ok(), Some(1), "{good}");
        }
        for bad in [
            "hooks.slack.com/T0",
            "http://hooks.slack.com/T0",
            "http://localhost/T0",
            "http://127.0.0.1@hooks.slack.com/T0",
            "http://127.0.0.1.example.com/T0",
            "http://10.0.0.1/T0",
            "https:///T0",
            "ftp://127.0.0.1/T0",
            "https://a.b/c d",
            " ",
        ] {
            let err = from_variable(bad).expect_err(bad);
            assert_eq!((err.code(), err.place()), (codes::BAD_WEBHOOK, Some("slack")), "{bad}");
        }
    }

    #[test]
    fn nothing_shows_an_address() {
        let good = from_variable(&format!("https://hooks.slack.com/{SECRET}")).expect("an address");
        assert!(!format!("{good:?}").contains(SECRET), "{good:?}");
        for bad in [format!("http://hooks.slack.com/{SECRET}"), format!("https://a b/{SECRET}")] {
            let err = from_variable(&bad).expect_err("no address");
            assert!(!format!("{err} {err:?} {}", err.suggestion()).contains(SECRET), "{err:?}");
            let told = std::cell::RefCell::new(String::new());
            let none = Channels::read_or_tell(&|_| Some(bad.clone().into()), &|line| *told.borrow_mut() += line);
            assert!(none.is_empty() && told.borrow().contains("slack") && !told.borrow().contains(SECRET), "{told:?}");
        }
    }

    #[test]
    fn a_credential_goes_before_a_variable() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("slack-webhook"), "https://a.example/file\n").expect("written");
        let channels = Channels::read(&|name| match name {
            CREDENTIALS => Some(folder.path().into()),
            SLACK_VARIABLE => Some("https://a.example/variable".into()),
            DISCORD_VARIABLE => Some("https://b.example/variable".into()),
            _ => None,
        });
        let paths: Vec<String> = channels.expect("read").iter().map(|(_, to)| to.uri().to_string()).collect();
        assert_eq!(paths, ["https://a.example/file", "https://b.example/variable"]);
    }

    #[test]
    fn a_credential_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        for spoilt in [vec![b'a'; 3_000], vec![0xff]] {
            std::fs::write(folder.path().join("discord-webhook"), spoilt).expect("written");
            let read = Channels::read(&|name| (name == CREDENTIALS).then(|| folder.path().into()));
            assert_eq!(read.expect_err("unreadable").place(), Some("discord"));
        }
    }
}
