//! The way to an environment's machine and store, asserted before anybody goes it

use std::path::{Path, PathBuf};

use super::args::{Destination, Named, Place, TransportArg};
use crate::deploy::aws::Aws;
use crate::deploy::store::{Folder, S3, Store};
use crate::deploy::transport::{Local, Ssm, Transport};
use crate::error::{Code, Error, Result};
use crate::release::Environment;

/// Where things are and the way to the machine, asserted.
pub(super) struct Connected<'a> {
    pub(super) environment: &'a Environment,
    pub(super) store: &'a dyn Store,
    pub(super) transport: &'a dyn Transport,
    /// The machine, for people.
    pub(super) host: String,
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
            let store = Folder::open(Path::new(&format!("{}-deploy/store", environment.host.state)))?;
            let name = machine();
            if name != environment.target.hostname {
                let what = format!(
                    "this machine is called `{name}`, the environment file says `{}`",
                    environment.target.hostname
                );
                return Err(Error::new(Code::WrongTarget, what));
            }
            let host = format!("{name} (local)");
            return then(&Connected { environment, store: &store, transport: &Local, host });
        }
        let aws = Aws::connect(&environment.region)?;
        let account = aws.account()?;
        if account != environment.account {
            let what =
                format!("the credentials are of account {account}, {} is in {}", environment.name, environment.account);
            return Err(Error::new(Code::WrongTarget, what));
        }
        let store = S3::new(&aws, &environment.bucket, &environment.account);
        let transport = Ssm::find(&aws, &environment.target)?;
        let Environment { target, region, .. } = environment;
        let host = format!("{} ({}), account {account}, region {region}", transport.instance(), target.hostname);
        then(&Connected { environment, store: &store, transport: &transport, host })
    }
}

/// What this machine is called.
pub(super) fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this machine".to_owned(), |h| h.trim().to_owned())
}
