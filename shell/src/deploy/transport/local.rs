//! This machine, without AWS.

use std::io::{Error as IoError, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use magellan::error::{Error, Result};

use super::contract::Transport;
use crate::codes;
use crate::deploy::host::{Call, SCRIPT};

/// This machine.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl Transport for Local {
    fn output(&self, call: &Call, waiting: &dyn Fn()) -> Result<String> {
        let fault = |e: IoError| Error::new(codes::HOST_SILENT, format!("can't run the host script: {e}"));
        let mut child = Command::new("/bin/bash")
            .args(["-s", "--"])
            .args(call.words())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for who deploys: it ends at a step's boundary.
            .process_group(0)
            .spawn()
            .map_err(fault)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A script that ends early closes its input; what it says still counts.
            let _ = stdin.write_all(SCRIPT.as_bytes());
        }
        let (send, ended) = mpsc::channel();
        std::thread::spawn(move || send.send(child.wait_with_output()));
        loop {
            match ended.recv_timeout(Duration::from_secs(1)) {
                Ok(output) => return Ok(String::from_utf8_lossy(&output.map_err(fault)?.stdout).into_owned()),
                Err(RecvTimeoutError::Timeout) => waiting(),
                Err(RecvTimeoutError::Disconnected) => return Err(fault(IoError::other("nothing came back"))),
            }
        }
    }

    fn name(&self) -> String {
        "this machine".to_owned()
    }
}
