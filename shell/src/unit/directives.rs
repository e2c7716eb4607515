//! What systemd itself reads in its files, and why a Magellan service does without: a real setting isn't a misspelt one.

/// Names of settings; of those that no service has, also the kind of file that they belong to. From
/// `systemd --dump-configuration-items`.
const DIRECTIVES: &str = include_str!("directives.txt");

/// Sections of other kinds of files.
pub(super) const OTHER_SECTIONS: [&str; 9] =
    ["Timer", "Socket", "Path", "Mount", "Automount", "Swap", "Slice", "Scope", "Manager"];

/// By how settings begin: why a service does without them, and what to do.
const REASONS: &[(&[&str], &str)] = &[
    (
        &["ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop"],
        "remove it: a service runs `magellan run` and nothing else, since only that was judged; what else it needs belongs to the host's setup",
    ),
    (
        &["EnvironmentFile", "PassEnvironment", "UnsetEnvironment"],
        "write Environment=NAME=value: what a service runs with stands in its unit, and keys come from SSM",
    ),
    (&["Condition", "Assert"], "remove it: systemd would pass over the start without a failure"),
    (
        &[
            "SuccessExitStatus",
            "RestartPreventExitStatus",
            "RestartForceExitStatus",
            "RemainAfterExit",
            "SuccessAction",
        ],
        "remove it: it would make a failure look like something else; a service restarts always, and health checks count its starts",
    ),
    (
        &["RestartSteps", "RestartMaxDelaySec", "RestartMode"],
        "remove it: a service restarts after RestartSec=10, always",
    ),
    (&["TimeoutSec"], "write TimeoutStartSec= and TimeoutStopSec="),
    (&["MemoryLimit", "LimitAS", "LimitRSS", "LimitDATA"], "write MemoryMax="),
    (
        &["RuntimeDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory"],
        "write StateDirectory=: a service keeps state and logs there, where deploys look for them",
    ),
    (
        &[
            "RootDirectory",
            "RootImage",
            "DynamicUser",
            "PrivateUsers",
            "Inaccessible",
            "BindPaths",
            "TemporaryFileSystem",
        ],
        "remove it: it would hide the release or its state from the service, or from the deploy",
    ),
    (
        &["BindsTo", "PartOf", "Conflicts", "Requisite", "Upholds", "PropagatesStopTo", "StopPropagatedFrom"],
        "remove it, or write Wants= and After=: another unit would stop this one",
    ),
    (&["ReadWrite", "StateDirectoryMode"], "remove it: a service writes below its StateDirectory= and nowhere else"),
    (&["AmbientCapabilities", "SupplementaryGroups"], "remove it: a service has no right beyond those of its user"),
    (&["Alias", "Also", "DefaultInstance"], "remove it: a deploy installs and starts this unit by its own name"),
    (&["LoadCredential", "SetCredential", "ImportCredential"], "remove it: keys come from SSM, never from a unit"),
];

/// What to do instead of a setting that systemd knows; none, if it doesn't know it.
pub(super) fn instead_of(key: &str) -> Option<String> {
    let all = DIRECTIVES.lines().map(|line| line.split_once(' ').map_or((line, None), |(name, of)| (name, Some(of))));
    match all.into_iter().find(|(name, _)| *name == key)? {
        (_, Some(kind)) => Some(format!("remove it: systemd reads it in a .{kind} file only")),
        (name, None) => {
            let reason = REASONS.iter().find(|(begins, _)| begins.iter().any(|begin| name.starts_with(begin)));
            let other = "remove it: systemd would act on it, and no deploy or health check counts with that";
            Some(reason.map_or(other, |(_, reason)| reason).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_of_a_setting_that_systemd_knows() {
        for begin in REASONS.iter().flat_map(|(begins, _)| begins.iter()) {
            assert!(DIRECTIVES.lines().any(|line| line.starts_with(begin)), "{begin}");
        }
        let names: Vec<&str> = DIRECTIVES.lines().collect();
        assert!(names.len() > 400 && names.is_sorted(), "one a line, in order");
    }
}
