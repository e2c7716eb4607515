//! Small HTTP servers, each on a thread of its own: metrics and the dashboard.

use std::net::TcpListener;

use axum::Router;
use magellan::error::{Error, Result};

use crate::codes;

/// Answers on this listener until the process ends.
///
/// # Errors
/// Usage error if the machine can't run it.
pub(crate) fn start(listener: TcpListener, router: Router) -> Result<()> {
    std::thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || run(listener, router))
        .map(drop)
        .map_err(|e| fault(&e))
}

/// Answers on this listener for as long as it can.
///
/// # Errors
/// As [`start`].
pub(crate) fn run(listener: TcpListener, router: Router) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| fault(&e))?;
    listener.set_nonblocking(true).map_err(|e| fault(&e))?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| fault(&e))?;
        axum::serve(listener, router).await.map_err(|e| fault(&e))
    })
}

fn fault(err: &std::io::Error) -> Error {
    Error::new(codes::IO, format!("no HTTP server: {err}"))
}
