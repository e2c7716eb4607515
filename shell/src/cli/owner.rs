//! Who changes a host, and when

use std::path::Path;

use super::destination::machine;
use crate::deploy::lock::Held;

/// Who deploys: a run of a workflow, or somebody on a machine.
pub(super) fn owner() -> String {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    workflow_run().unwrap_or_else(|| {
        let user = var("USER").or_else(|| var("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
        format!("{user}@{} process {}", machine(), std::process::id())
    })
}

/// The run of a workflow that this is part of.
pub(super) fn workflow_run() -> Option<String> {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (server, repository) = (var("GITHUB_SERVER_URL")?, var("GITHUB_REPOSITORY")?);
    Some(format!("{server}/{repository}/actions/runs/{}", var("GITHUB_RUN_ID")?))
}

/// Whether an owner was a process of this machine that is no more, or an earlier step of this run.
pub(super) fn is_gone(held: &Held) -> bool {
    if workflow_run().is_some_and(|run| run == held.owner) {
        return true;
    }
    let here = format!("@{} process ", machine());
    let process = held.owner.split_once(&here).and_then(|(_, process)| process.parse::<u32>().ok());
    process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
}
