//! Every error's stable code, its cause, and the next thing to do. The error reference
//! (`docs/errors.md`) and `magellan explain` are this table.

use super::ErrorKind;

macro_rules! codes {
    ($($kind:ident { $($name:ident $slug:literal: $cause:literal; $next:literal)* })*) => {
        /// What went wrong, by a name that scripts may rely on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $cause] $name,)*)*
        }

        impl Code {
            /// All codes, in the order of the reference.
            pub const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// The name in messages and reports, e.g. `record-changed`.
            pub const fn slug(self) -> &'static str {
                match self { $($(Self::$name => $slug,)*)* }
            }

            /// What class of failure it is.
            pub const fn kind(self) -> ErrorKind {
                match self { $($(Self::$name => ErrorKind::$kind,)*)* }
            }

            /// Why it happens.
            pub const fn cause(self) -> &'static str {
                match self { $($(Self::$name => $cause,)*)* }
            }

            /// What to do about it, where the error itself knows nothing better.
            pub const fn next(self) -> &'static str {
                match self { $($(Self::$name => $next,)*)* }
            }
        }
    };
}

codes! {
    Usage {
        CommandLine "command-line":
            "The command line names a command or an option that doesn't exist, or leaves one out.";
            "run `magellan help`, or the command with --help"
        BadArgument "bad-argument":
            "The value of an option or of a call can't mean anything: no symbol, no date, out of range.";
            "write the value as the message says"
        Environment "environment":
            "An environment variable that Magellan honours has a value that it doesn't know.";
            "unset the variable, or give it one of the allowed values"
        UnknownStrategy "unknown-strategy":
            "No strategy of that name is compiled into this binary.";
            "name one of those listed; a new strategy needs a line in `ALL` of deployable_strategies/lib.rs"
        NotDeployed "not-deployed":
            "The strategy has no folder under `deployed`.";
            "leave out --strategy to take all that are deployed, or add deployed/<strategy>/config.json"
        CannotWrite "cannot-write":
            "Results could not be written: the folder can't be made, the disk is full, stdout is closed.";
            "name a folder that can be written and has space"
    }
    Config {
        NoDeployedFolder "no-deployed-folder":
            "There is no folder `deployed` here or above, or it can't be read.";
            "run from the project's folder, or name it with --deployed DIR"
        NothingDeployed "nothing-deployed":
            "The folder `deployed` holds no strategy. Nothing to judge is never a pass.";
            "add deployed/<strategy>/config.json, or name another folder with --deployed DIR"
        NoConfig "no-config":
            "A folder under `deployed` has no config.json.";
            "add one, or remove the folder: each folder here is a deployed strategy"
        ConfigUnreadable "config-unreadable":
            "The config isn't a regular file of at most 1 MiB of UTF-8 text that may be read.";
            "check the file's kind, size, encoding and permissions"
        ConfigSyntax "config-syntax":
            "The config is not JSON.";
            "correct the text at the named line and column"
        DuplicateKey "duplicate-key":
            "A key stands twice in one object; readers would disagree on which counts.";
            "remove one of the two"
        UnknownKey "unknown-key":
            "Nothing reads this key, so its value would be ignored.";
            "correct its name or remove it; `magellan schema` lists the keys"
        MissingKey "missing-key":
            "A key that Magellan needs is not there. Nothing is defaulted.";
            "add the key; `magellan schema` describes it"
        WrongType "wrong-type":
            "A value has another type than its key.";
            "write a value of the named type"
        OutOfRange "out-of-range":
            "A value lies outside its allowed range. Mind the units: 0.02 is 2 %.";
            "choose a value inside the range"
        NotAllowed "not-allowed":
            "A value is none of those that the replay and the service know; another would be ignored.";
            "use one of the allowed values"
        Contradiction "contradiction":
            "Two values can't both hold.";
            "change one of them"
        NoCriteria "no-criteria":
            "The config demands nothing: no performance_criteria, no period or no criterion.";
            "a strategy without criteria can't pass: add performance_criteria.periods and .criteria"
        BadAcknowledgement "bad-acknowledgement":
            "An accepted failure says too little, holds for too long, or its file isn't JSON.";
            "write one with `magellan gate acknowledge`: check, period, who, why, and at most 90 days"
        OtherStrategy "other-strategy":
            "The config is that of another strategy than its folder's.";
            "make strategy.name, the folder's name and the strategy the same"
        SharedAccount "shared-account":
            "Two deployed strategies name one broker account; each would trade the other's positions.";
            "give every strategy an account of its own"
        UnitMissing "unit-missing":
            "There is no systemd unit beside the config, so nothing would run the strategy.";
            "add magellan-<strategy>.service beside config.json; copy that of another strategy"
        UnitUnreadable "unit-unreadable":
            "The unit isn't a regular file of at most 64 KiB of UTF-8 text that may be read.";
            "check the file's kind, size, encoding and permissions"
        UnitSyntax "unit-syntax":
            "A line of the unit is neither a section, a setting nor a comment, or stands in no section.";
            "write `[Section]`, `Key=value` or `# comment`"
        UnitUnknownKey "unit-unknown-key":
            "The unit sets something that Magellan's services don't use, or in another section.";
            "correct the name, move it to its section, or remove it"
        UnitMissingKey "unit-missing-key":
            "The unit lacks a setting that a deployed service needs.";
            "add the setting as the message says"
        UnitValue "unit-value":
            "A setting of the unit has a value that a deployed service can't have.";
            "use an allowed value"
        NoEnvironment "no-environment":
            "There is no file deployed/environments/NAME.toml.";
            "name one of those that are there with --environment, or add one"
        BadEnvironment "bad-environment":
            "The environment file isn't TOML, lacks a key, has one that nothing reads, or a value that can't be right.";
            "correct the named line; deployed/README.md describes the keys"
        NoFeed "no-feed":
            "A service was started without archived data, and this binary has no other source of bars.";
            "set USE_ARCHIVED_DATA=true where the environment file says archived_data = true"
        NoWorkflow "no-workflow":
            "There is no folder `.github/workflows` with a workflow here or above. Nothing to check is never a pass.";
            "run from the project's folder, or name the files"
        WorkflowUnreadable "workflow-unreadable":
            "The workflow isn't a regular file of at most 1 MiB of UTF-8 text that may be read.";
            "check the path, and the file's kind, size, encoding and permissions"
        WorkflowSyntax "workflow-syntax":
            "The file is no YAML, or no workflow: without jobs, or a step without `run` and `uses`.";
            "correct the text at the named line and column"
        MaskedFailure "masked-failure":
            "A step or job loses the exit code of something that failed, so that it looks like a success.";
            "remove `continue-on-error`: a failure must be red"
        MissingStage "missing-stage":
            "A stage has no job, or its job doesn't run the stage's command.";
            "add the job, with a step that runs the stage's command: `magellan validate`, `gate`, `deploy --verdicts DIR` or `health`"
        SkippedStage "skipped-stage":
            "A stage can be passed over, or runs though the one before failed.";
            "remove the condition, and name the stage before in `needs`"
        UncheckedResult "unchecked-result":
            "To GitHub a skipped job is no failure, and no job of the workflow makes it one.";
            "add a job with `if: always()`, `needs` of all stages and, for each, `test \"$RESULT\" = success` with `RESULT: ${{ needs.<stage>.result }}`"
        UncheckedArtifact "unchecked-artifact":
            "An upload of results succeeds though there are none.";
            "add `if-no-files-found: error` to its `with`"
        PathFilter "path-filter":
            "The workflow runs only if certain files change, and strategies depend on others too.";
            "remove the filter: the gate hashes what a verdict depends on"
        UnusedInput "unused-input":
            "An input of the workflow is never used, so whoever runs it by hand chooses nothing.";
            "use it in a step or job, or remove it"
        UndeclaredInput "undeclared-input":
            "An expression reads an input that the workflow doesn't declare; GitHub takes it for empty.";
            "correct its name, or declare it under `on.workflow_dispatch.inputs`"
        UnpinnedAction "unpinned-action":
            "An action is named by a tag or branch, which its owner can move.";
            "name the full commit: `owner/action@<40 hex digits> # version`"
        NoTimeout "no-timeout":
            "A job has no time limit of its own; GitHub's is six hours.";
            "add `timeout-minutes`"
        BroadPermissions "broad-permissions":
            "The workflow's token may write everything.";
            "write `permissions: contents: read`, and what a job needs beside that at the job"
        UnseenJob "unseen-job":
            "What a job or step runs is elsewhere, or for another shell, and isn't checked here.";
            "check that file as well, or run the commands in this one"
        ScriptInjection "script-injection":
            "GitHub puts an input or a text of an event into a script before the shell reads it: whoever writes it can run anything.";
            "hand it over in the step's `env`, and write `\"$NAME\"` in the script"
        ExposedSecret "exposed-secret":
            "A secret stands in a script, or where more can read it than the step that uses it.";
            "name it in the `env` or `with` of that step, one secret a key"
        UnsafeDeploy "unsafe-deploy":
            "The job that deploys may run on a pull request, beside another deploy, or be cancelled halfway.";
            "condition it on the event or branch that deploys, with a `concurrency` group by environment that cancels nothing"
        NoToolchain "no-toolchain":
            "`validate --code` found no Cargo project above `deployed`, or no cargo to check it with.";
            "run it in the project's checkout, with Rust installed"
        CodeFormat "code-format":
            "`cargo fmt --check` found unformatted code.";
            "run `cargo fmt --all`"
        CodeLint "code-lint":
            "`cargo clippy` with warnings denied found fault with the strategies' code.";
            "correct what clippy names"
        CodeTests "code-tests":
            "A unit test of the strategies failed, or they don't compile.";
            "run `cargo test -p deployable_strategies --all-features --lib` and correct the first failure"
        NoTests "no-tests":
            "No unit test ran for a deployed strategy. Zero tests prove nothing.";
            "add tests to the strategy's mod.rs, in a module `tests`"
    }
    Data {
        NoArchive "no-archive":
            "The folder is not an archive: it has no manifest.json.";
            "name one with --archive DIR, or make one with `magellan data import SRC --archive DIR`"
        ManifestDamaged "manifest-damaged":
            "The archive's table of contents is not one, or its checksum doesn't match.";
            "restore the archive from version control, or run `magellan data import` into a new folder"
        RecordMissing "record-missing":
            "A record that the manifest names isn't there or can't be read.";
            "restore the file, or import its source into a new archive"
        RecordChanged "record-changed":
            "A record's hash is not the one in the manifest: it was changed, damaged or cut.";
            "restore the file, or import its source into a new archive"
        RecordForeign "record-foreign":
            "A record says or holds something else than its entry in the manifest.";
            "restore the file, or import its source into a new archive"
        CacheWrong "cache-wrong":
            "A cache is intact and claims to be made from the records, but holds other values.";
            "delete the archive's folder `cache`; it is made anew"
        ColumnMismatch "column-mismatch":
            "Columns of bars that were lent to Magellan differ in length, hold nulls or have another type.";
            "lend six columns of one length, starts as ns UTC, without nulls"
        BarsDisordered "bars-disordered":
            "Bars are not in the order of their start times.";
            "import the source again into a new archive"
        NoBars "no-bars":
            "The archive has no bars of this symbol and width, or none in the period.";
            "import the missing bars, change the period, or take the symbol out of the config's symbols"
        PeriodUncovered "period-uncovered":
            "The archive covers a part of the period only; a verdict on it would be one on that part.";
            "import the missing bars, or change the period in performance_criteria"
        NoWarmUp "no-warm-up":
            "All bars up to the period's end are warm-up, so the strategy would never be asked.";
            "import earlier bars, end the period later, or lower data_requirements.warmup_bars"
        OutsideCalendar "outside-calendar":
            "A date lies outside the exchange calendar, 1990 to 2030.";
            "check the timestamps' unit and time zone, or update Magellan"
        SourceMissing "source-missing":
            "A file or folder to read isn't there.";
            "check the path"
        SourceUnreadable "source-unreadable":
            "The file can't be read as what it claims to be: it is cut, damaged or foreign.";
            "fetch or write the file again"
        SourceTooLarge "source-too-large":
            "The file, or what it claims to hold, is larger than any that Magellan reads.";
            "split the file, e.g. by symbol or year"
        NotASource "not-a-source":
            "The file is neither Parquet nor CSV with bars.";
            "name Parquet or CSV files, or folders that hold them"
        MissingColumn "missing-column":
            "A column that bars need is not there.";
            "bars need the columns timestamp, open, high, low, close and volume"
        ColumnType "column-type":
            "A column has a type from which its values can't be read without guessing.";
            "store timestamps as timestamps and prices as numbers"
        MissingValue "missing-value":
            "A row lacks its time, symbol, price or volume.";
            "complete or remove the row"
        BadValue "bad-value":
            "A field can't be read: no number, no timestamp, no symbol.";
            "correct or remove the row"
        BadPrice "bad-price":
            "A price is not above 0, a volume is negative, or one of them is not finite.";
            "correct or remove the row"
        BarWidth "bar-width":
            "What was said of the bars' width, the file's name and the spacing of its rows disagree.";
            "say it with --timeframe 1Min, 1Hour or 1Day, if the rows really are such bars"
        ConflictingBars "conflicting-bars":
            "Two different bars have one start time.";
            "decide which source is right and import it alone"
        BadTable "bad-table":
            "A table of splits or moves has another header, a ratio that is none, or a row without a reason.";
            "write symbol,effective_date,new_shares_per_old or symbol,date,reason"
        SplitConflict "split-conflict":
            "Two different split ratios for one symbol and day.";
            "correct the split table and import all sources into a new archive; one keeps one ratio a day"
        Io "io":
            "The operating system refused to read or write a file.";
            "check the path, its permissions and the free space, then run again"
        BadOhlc "bad-ohlc":
            "A bar's high is below, or its low above, one of its other prices.";
            "fetch these bars again (low <= open, close <= high) and import all sources into a new archive"
        DuplicateBars "duplicate-bars":
            "The same bar stands more than once; import drops all but the first.";
            "nothing to do: an archive holds each bar once"
        OverlappingSources "overlapping-sources":
            "Two files hold the same bars of one series; import drops all but the first.";
            "nothing to do: an archive holds each bar once"
        PhantomDays "phantom-days":
            "Daily bars on days without a session, e.g. Saturdays: days were cut in UTC. They are never replayed.";
            "nothing to do: they are left out; fetch session days if extended hours shouldn't count"
        OffHours "off-hours":
            "Intraday bars on days without a session. They are not replayed in regular hours.";
            "nothing to do for regular hours; check the time zone if there are many"
        MissingSessions "missing-sessions":
            "Exchange sessions between two archived ones have no bar at all.";
            "import the missing sessions, or declare each day in a table of moves (symbol,date,reason)"
        NotArchived "not-archived":
            "A stretch of ten or more sessions between archived ones was never imported.";
            "nothing to do unless a period needs it: a gate refuses a period that reaches into it"
        PartialSession "partial-session":
            "A session has less than half of the bars that this symbol always has.";
            "import the missing bars, or declare the day in a table of moves (symbol,date,reason)"
        ThinDay "thin-day":
            "A day's volume is under a tenth of the median of the sessions around it: the day is likely cut.";
            "fetch the day again and import into a new archive, or declare it in a table of moves (symbol,date,reason)"
        EndStamped "end-stamped":
            "Bars are stamped with their end: a strategy would know each price a bar early.";
            "import the source again with stamps moved back by a bar's width"
        UndeclaredJump "undeclared-jump":
            "The close changed by more than 40 % between consecutive sessions, and no split explains it.";
            "declare a split, or declare the day as real in a table of moves (symbol,date,reason)"
        PriceSpike "price-spike":
            "An open or close lies more than 40 % beyond the prices before and after it, on the same side: a bad print.";
            "fetch these bars again and import all into a new archive, or declare the day in a table of moves"
        SplitNotFound "split-not-found":
            "A declared split doesn't show in the prices: a wrong date, a ratio far off, or prices already adjusted.";
            "correct the split table and import all sources into a new archive, with raw prices"
        SplitFound "split-found":
            "A declared split shows in the prices.";
            "nothing to do"
        DeclaredDay "declared-day":
            "A day that would be a finding is declared in the table of moves.";
            "nothing to do; check the reason"
        TimeZone "time-zone":
            "Most trading seems to happen outside the session: the times look like New York's, stored as UTC.";
            "write timestamps with their zone, or convert them to UTC"
        NaiveTimes "naive-times":
            "The file's timestamps have no zone; they are read as UTC.";
            "nothing to do if they are UTC; else write timestamps with their zone"
    }
    Verdict {
        CriterionCrossed "criterion-crossed":
            "A figure lies beyond its level in performance_criteria, or a check that is always made fails.";
            "change the strategy, not the level; or record who accepts it with `magellan gate acknowledge`"
        Inconclusive "inconclusive":
            "The history can't tell whether the candidate is as good as what is deployed.";
            "judge on a longer history, or record who accepts it with `magellan gate acknowledge`"
        NotJudged "not-judged":
            "The strategy could not be judged, or its bars aren't to be trusted.";
            "mend what the message names; `magellan explain` tells more of its code"
    }
    Deploy {
        AwsFailed "aws-failed":
            "AWS refused a request, or could not be reached.";
            "check credentials, network and policy: `magellan doctor iam` prints what a deployer needs"
        StoreFailed "store-failed":
            "Bundles, lock or records could not be read or written.";
            "check the bucket's name and policy; a rollout under way is gone on with by `magellan deploy resume`"
        StoreBusy "store-busy":
            "Somebody else writes the same object, again and again.";
            "try again"
        Unfinished "unfinished":
            "A rollout could not be brought to its end: lock or journal could not be kept.";
            "run `magellan deploy resume`, which goes on with it"
        HostFailed "host-failed":
            "The host script could not do what it was asked.";
            "mend what it says, and deploy again; its log lies on the host in the state folder's -deploy"
        HostSilent "host-silent":
            "The host gave no answer, so that it isn't known what was done.";
            "ask `magellan status`; a rollout under way is gone on with by `magellan deploy resume`"
    }
    Health {
        Unhealthy "unhealthy":
            "A service isn't well, or nothing runs.";
            "read its faults and the end of its journal; `magellan rollback` goes back"
    }
    Refused {
        NoVerdict "no-verdict":
            "No verdict that deploys is about what would be shipped.";
            "judge exactly this with `magellan gate --out gate`, and name the folder with --verdicts"
        NotPaired "not-paired":
            "The verdict compares the candidate with something else than what runs in production.";
            "record what runs with `magellan baseline record DIR`, and judge again"
        SyntheticVerdict "synthetic-verdict":
            "A verdict on synthetic bars never authorises production.";
            "judge on real bars: `magellan gate --archive DIR --out gate`"
        NotCommitted "not-committed":
            "What would be shipped isn't a commit that the host could check out.";
            "commit and push `deployed`, and judge again"
        SecretInBundle "secret-in-bundle":
            "A file that would be shipped holds what looks like a key.";
            "keep keys in SSM parameters; a config names their paths only"
        WrongTarget "wrong-target":
            "Account, region or machine isn't the one that the environment file names.";
            "correct the environment file or use other credentials; nothing was touched"
        DeployLocked "deploy-locked":
            "Another rollout owns the environment.";
            "wait until it has ended; if its process died, run `magellan deploy resume`"
        PlanOutdated "plan-outdated":
            "Between the plan and its confirmation somebody else changed the host.";
            "run the same command again, and read the new plan"
        LockLost "lock-lost":
            "Somebody else has taken this rollout over, and goes on with it.";
            "ask `magellan status`; there is nothing left to do here"
        NothingToResume "nothing-to-resume":
            "No rollout of the environment is unfinished.";
            "ask `magellan releases` what was rolled out"
        ReleaseBad "release-bad":
            "The release failed on this host before, or was rolled back.";
            "deploy another, or say why this one nevertheless with --override"
        NoRelease "no-release":
            "There is no release to go back to.";
            "`magellan releases` lists those that are known; name one with --to"
        DeployUntimely "deploy-untimely":
            "The market is open, or a service that would be restarted holds positions.";
            "wait until the session has ended and it is flat, or say why now with --override"
        Unconfirmed "unconfirmed":
            "Nobody confirmed the plan.";
            "add --yes, or answer with the environment's name"
        Drift "drift":
            "What is on the host differs from the release that should be there.";
            "deploy the release again, which installs it anew; find out who changed it"
        ArchiveExists "archive-exists":
            "There is an archive already where a new one was to be made.";
            "name a new folder: synthetic bars are never mixed into an archive"
        ProvenanceRenamed "provenance-renamed":
            "The file carries a mark of its origin, and it was to be imported under another.";
            "leave out --provenance; a mark such as `synthetic` stays with the bars"
        ProvenanceMixed "provenance-mixed":
            "One series would mix bars of different origin.";
            "keep bars of different origin in different archives"
        DaysMixed "days-mixed":
            "One series would mix session days and UTC days.";
            "keep session days and UTC days in different archives"
        OtherSweep "other-sweep":
            "The folder holds results of another sweep: other parameters, data or version.";
            "name another folder with --out, or repeat the command that began this one"
        SweepIncomplete "sweep-incomplete":
            "Parts of a sweep are missing, so that its results would have a gap.";
            "run the shards that are missing, then merge again"
        PartDamaged "part-damaged":
            "A part of a sweep isn't what was written: its bytes don't match the checksum in its name.";
            "remove the file and run the shard again: it computes what is missing"
        LedgerAltered "ledger-altered":
            "A record of the trial ledger isn't what was written: its name is the hash of its bytes.";
            "restore it from version control: trials are never edited"
        LedgerGap "ledger-gap":
            "Another record names this one as seen, and it is gone: trials would be forgotten.";
            "restore it from version control"
        BadBaseline "bad-baseline":
            "The record of what is deployed was altered, or is another strategy's.";
            "restore it from version control, or record it again from a verdict with `magellan baseline record`"
        VerdictAltered "verdict-altered":
            "A verdict's digest isn't that of its contents, or it is no verdict.";
            "judge again with `magellan gate --out DIR`: verdicts are never edited"
        VerdictForbids "verdict-forbids":
            "The verdict is neither PASS nor WARN.";
            "mend what failed, or record who accepts it with `magellan gate acknowledge`, and judge again"
        VerdictDiffers "verdict-differs":
            "Judging again, from the same trials, gave another answer than the verdict's.";
            "restore bundle, config, archive and ledger as they were judged, or judge anew"
        ArchivedDataForbidden "archived-data-forbidden":
            "USE_ARCHIVED_DATA=true was set for a service whose environment file says archived_data = false.";
            "unset it; archived bars aren't the market"
        BundleDamaged "bundle-damaged":
            "A bundle or a release isn't what its manifest says: a byte differs, a file is missing or is one too many.";
            "build it again with `magellan bundle build`, or deploy again: releases are never edited"
        StateInUse "state-in-use":
            "Another process runs with this folder of state; both would write its files.";
            "stop the other process, or name another folder with --state-dir"
        RulesDisagree "rules-disagree":
            "A strategy declares rules or needs for sweeps that say otherwise than its `decide`.";
            "correct `rules` or `needs`, or remove them: without them a sweep asks `decide` at every bar"
    }
}
