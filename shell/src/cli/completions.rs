//! `magellan completions`: what a shell offers while somebody types a command.

use clap::{Args, Command};
use clap_complete::Shell;
use magellan::error::Result;

use super::output::print;

#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

pub(super) fn run(options: &Completions, mut command: Command) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "magellan", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
