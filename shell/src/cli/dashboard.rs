//! `magellan dashboard`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use magellan::error::{Error, Result};

use super::output::print;
use crate::codes;
use crate::dashboard::{Options, serve};

#[derive(Args, Debug)]
pub(super) struct Dashboard {
    /// A service's folder of state; once for each service.
    #[arg(long, value_name = "DIR", required = true)]
    state_dir: Vec<PathBuf>,
    /// A verdict: the returns that it expects are shown beside those that were made.
    #[arg(long, value_name = "FILE")]
    verdict: Option<PathBuf>,
    /// Where it listens. An address that other machines reach needs --token-file.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// A name and port by which it is reached, besides that address, e.g. trading.example:443.
    #[arg(long, value_name = "NAME:PORT")]
    host: Vec<String>,
    /// A file with the token that visitors must know, of 16 characters or more.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

pub(super) fn run(options: Dashboard) -> Result<u8> {
    let token = options.token_file.map(|path| {
        let text = std::fs::read_to_string(&path);
        text.map(|text| text.trim_end().to_owned()).map_err(|e| Error::new(codes::IO, e.to_string()).at(path.display()))
    });
    let options = Options {
        states: options.state_dir,
        verdict: options.verdict,
        address: options.listen,
        hosts: options.host,
        token: token.transpose()?,
    };
    serve(&options, |address| print(&format!("http://{address}/\n")))?;
    Ok(0)
}
