//! SIGTERM and SIGINT, as something to wait for.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use magellan::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::codes;

/// Why a service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// There is nothing left to do.
    Done,
    /// It was asked to stop: SIGTERM.
    Stopped,
    /// Somebody pressed Ctrl-C: SIGINT.
    Interrupted,
    /// It was to sell everything before it stops, and could not.
    Unsold,
}

impl Ending {
    /// The exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done | Self::Stopped => 0,
            Self::Interrupted => 130,
            Self::Unsold => 7,
        }
    }
}

pub(super) struct Signals(Receiver<Ending>);

impl Signals {
    /// From now on signals wait to be asked for.
    pub(super) fn start() -> Result<Self> {
        let fault = |e: std::io::Error| Error::new(codes::IO, format!("can't listen to signals: {e}"));
        let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT]).map_err(fault)?;
        let (send, receive) = mpsc::channel();
        let listen = move || {
            for signal in signals.forever() {
                let ending = if signal == SIGINT { Ending::Interrupted } else { Ending::Stopped };
                if send.send(ending).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(fault)?;
        Ok(Self(receive))
    }

    /// A signal that has come.
    pub(super) fn pending(&self) -> Option<Ending> {
        self.0.try_recv().ok()
    }

    /// The next signal, if it comes in time.
    pub(super) fn wait(&self, time: Duration) -> Option<Ending> {
        match self.0.recv_timeout(time) {
            Ok(ending) => Some(ending),
            Err(RecvTimeoutError::Timeout) => None,
            // Nobody listens any more, so nobody could stop us.
            Err(RecvTimeoutError::Disconnected) => Some(Ending::Stopped),
        }
    }
}
