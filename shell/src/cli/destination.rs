//! The way to an environment's machine and store, asserted before anybody goes it

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use magellan::error::{Error, Result};

use super::options::Place;
#[cfg(feature = "aws")]
use crate::aws::{Aws, s3::S3, ssm::Ssm};
use crate::codes;
use crate::deploy::lock::Claim;
use crate::deploy::store::{Folder, Store};
use crate::deploy::transport::{Local, Transport};
use crate::release::Environment;
use crate::unit;

/// The environment by its name.
#[derive(Args, Debug)]
pub(super) struct Named {
    /// The environment: deployed/environments/<NAME>.toml.
    #[arg(long, value_name = "NAME", required = true)]
    pub(super) environment: Option<String>,
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
}

/// Where a rollout goes, and how it gets there.
#[derive(Args, Debug)]
pub(super) struct Destination {
    #[command(flatten)]
    pub(super) named: Named,
    /// Through AWS to the environment's instance, or on this machine without AWS.
    #[arg(long, value_enum, default_value_t = TransportArg::Ssm)]
    pub(super) transport: TransportArg,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TransportArg {
    Ssm,
    Local,
}

/// Where things are and the way to the machine, asserted.
pub(super) struct Connected<'a> {
    pub(super) environment: &'a Environment,
    pub(super) store: &'a dyn Store,
    pub(super) transport: &'a dyn Transport,
    /// The machine, for people.
    pub(super) host: String,
}

impl Connected<'_> {
    /// The machine, as its lock is called: whichever environment it belongs to.
    pub(super) fn lock(&self) -> &str {
        &self.environment.target.hostname
    }

    /// Asks for the machine, for a rollout of this name.
    pub(super) fn claim<'c>(&'c self, deploy: &'c str, owner: &'c str) -> Claim<'c> {
        Claim { host: self.lock(), environment: &self.environment.name, deploy, owner }
    }
}

impl Named {
    /// The folder `deployed`.
    pub(super) fn folder(&self) -> Result<PathBuf> {
        Place { archive: None, deployed: self.deployed.clone(), no_mmap: false }.deployed()
    }

    pub(super) fn environment(&self) -> Result<Environment> {
        Environment::read(&self.folder()?, self.environment.as_deref().unwrap_or_default())
    }
}

impl Destination {
    /// Asserts account, region and machine, then hands over the way there.
    pub(super) fn connect<T>(
        &self,
        environment: &Environment,
        then: impl FnOnce(&Connected<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.transport == TransportArg::Local {
            let store = Folder::open(Path::new(&format!("{}-deploy/store", unit::STATE)))?;
            let name = machine();
            if name != environment.target.hostname {
                let what = format!(
                    "this machine is called `{name}`, the environment file says `{}`",
                    environment.target.hostname
                );
                return Err(Error::new(codes::WRONG_TARGET, what));
            }
            let host = format!("{name} (local)");
            return then(&Connected { environment, store: &store, transport: &Local, host });
        }
        through_aws(environment, then)
    }
}

#[cfg(feature = "aws")]
fn through_aws<T>(environment: &Environment, then: impl FnOnce(&Connected<'_>) -> Result<T>) -> Result<T> {
    let aws = Aws::connect(&environment.region)?;
    let account = aws.account()?;
    if account != environment.account {
        let what =
            format!("the credentials are of account {account}, {} is in {}", environment.name, environment.account);
        return Err(Error::new(codes::WRONG_TARGET, what));
    }
    let store = S3::new(&aws, &environment.bucket, &environment.account);
    let transport = Ssm::find(&aws, &environment.target)?;
    let Environment { target, region, .. } = environment;
    let host = format!("{} ({}), account {account}, region {region}", transport.instance(), target.hostname);
    then(&Connected { environment, store: &store, transport: &transport, host })
}

#[cfg(not(feature = "aws"))]
fn through_aws<T>(_: &Environment, _: impl FnOnce(&Connected<'_>) -> Result<T>) -> Result<T> {
    Err(Error::new(codes::COMMAND_LINE, "this program was built without AWS, so it reaches this machine only")
        .help("build it with --features aws, or run it on the host with --transport local"))
}

/// Asks whether a host is to be changed, unless that is said already.
pub(super) fn confirm(yes: bool, environment: &str) -> Result<()> {
    let refused = || Error::new(codes::UNCONFIRMED, "nothing was changed");
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(refused());
    }
    eprint!("Type `{environment}` to go on: ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim() == environment { Ok(()) } else { Err(refused()) }
}

/// What this machine is called.
pub(super) fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this machine".to_owned(), |h| h.trim().to_owned())
}
