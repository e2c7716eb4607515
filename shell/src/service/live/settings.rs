//! How a strategy is to trade, and in whose name.

use std::path::Path;
use std::sync::Arc;

use magellan::bar::{Nanos, Symbol};
use magellan::config::Complete;
use tracing::warn;

use super::trader::OnStop;
use super::workers::Asker;
use crate::alpaca::stream::Wire;
use crate::alpaca::trading::Trading;
use crate::alpaca::{Client, Credentials, Uri};
use crate::clock;

/// How a strategy is to trade.
#[derive(Debug)]
pub struct Settings<'c> {
    /// Its config.
    pub config: &'c Complete,
    /// Its folder of state.
    pub state: &'c Path,
    /// The keys of its account.
    pub credentials: Credentials,
    /// Where it trades.
    pub trading: Uri,
    /// Where bars and quotes are asked for.
    pub data: Uri,
    /// Where bars come from as they happen.
    pub stream: Uri,
    /// Where trade updates come from.
    pub updates: Uri,
    /// Alpaca's name of the feed.
    pub feed: &'static str,
    /// How messages of the stream are written.
    pub wire: Wire,
    /// How long after its end a bar may come, nanoseconds.
    pub grace: Nanos,
    /// What happens to positions when it is told to stop.
    pub on_stop: OnStop,
    /// What the process is made of.
    pub unit_digest: String,
    /// Where figures for Prometheus are served on this machine, if anywhere; 0 for any port.
    pub metrics_port: Option<u16>,
}

impl Settings<'_> {
    /// The symbols traded, alphabetically.
    pub(super) fn symbols(&self) -> Vec<Symbol> {
        let mut symbols = self.config.config().symbols.clone();
        symbols.sort();
        symbols
    }

    /// The account's name; a config that is run has one.
    pub(super) fn account(&self) -> String {
        self.config.config().account_info.account_id.clone().unwrap_or_default()
    }

    /// Who asks the broker and the data host.
    pub(super) fn asker(&self) -> Asker {
        Asker {
            trading: Trading::new(&self.trading, &self.data, self.feed, self.credentials.clone()),
            data: Arc::new(Client::new(&self.data, self.credentials.clone(), clock::now)),
            symbols: self.symbols(),
            feed: self.feed,
        }
    }
}

/// Keys are in this process's memory: it leaves no core file, and no other process of its user may look into it.
pub(crate) fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    if let Err(err) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        warn!("a core file could hold the keys: {err}");
    }
}
