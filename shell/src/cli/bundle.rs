//! `magellan bundle`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use magellan::deployed::discover;
use magellan::error::{Error, Result};

use super::options::Place;
use super::output::print;
use crate::codes;
use crate::deploy::bundle::{self, Bundle, Parts};
use crate::deploy::commit::Commit;

#[derive(Subcommand, Debug)]
pub(super) enum BundleCommand {
    /// Make the bundle of the committed configs and units, and print its digest.
    Build(BundleBuild),
    /// Check every byte of a bundle against its manifest, and print its digest.
    Verify(BundleVerify),
}

#[derive(Args, Debug)]
pub(super) struct BundleBuild {
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
    /// The program that is shipped [default: this one].
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
    /// Where to write it, e.g. release.tar.zst.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct BundleVerify {
    /// The bundle.
    pub(super) file: PathBuf,
}

pub(super) fn run(command: &BundleCommand) -> Result<u8> {
    match command {
        BundleCommand::Build(options) => build(options),
        BundleCommand::Verify(options) => {
            let bundle = bundle::verify(&options.file).map_err(|e| e.at(options.file.display()))?;
            let manifest = &bundle.manifest;
            let units: Vec<String> =
                manifest.strategies.values().map(|s| format!("  {} {}\n", s.digest, s.unit)).collect();
            print(&format!(
                "{}  {}\nof commit {}, contents {}, {} files as in its manifest\n{}",
                bundle.digest,
                options.file.display(),
                manifest.commit,
                manifest.contents(),
                manifest.files.len(),
                units.concat(),
            ))?;
            Ok(0)
        }
    }
}

fn build(options: &BundleBuild) -> Result<u8> {
    let place = Place { archive: None, deployed: options.deployed.clone(), no_mmap: false };
    let deployed = place.deployed()?;
    let commit = Commit::of(&deployed)?;
    let strategies = discover(&deployed)?;
    let binary = program(options.binary.as_deref())?;
    let parts = Parts { strategies: &strategies, binary: &binary, commit: &commit.id };
    let bundle = Bundle::build(&parts)?;
    bundle::write(&bundle, &options.out)?;
    print(&format!("{}  {}\n", bundle.digest, options.out.display()))?;
    Ok(0)
}

/// The program that is shipped.
pub(super) fn program(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => std::env::current_exe()
            .map_err(|e| Error::new(codes::IO, format!("can't find this program's own file: {e}"))),
    }
}
