//! The codes of the shell, and those of the library.

pub use magellan::error::codes::*;

magellan::error_codes! {
    Usage {
        COMMAND_LINE "command-line":
            "The command line names a command or an option that doesn't exist, or leaves one out.";
            "run `magellan help`, or the command with --help"
        ENVIRONMENT "environment":
            "An environment variable that Magellan honours has a value that it doesn't know.";
            "unset the variable, or give it one of the allowed values"
        NOT_DEPLOYED "not-deployed":
            "The strategy has no folder under `deployed`.";
            "leave out --strategy to take all that are deployed, or add deployed/<strategy>/config.json"
        NO_KEY "no-key":
            "Something is to be signed, and no key was named.";
            "name the file with --key FILE, or put its text into the variable MAGELLAN_SIGNING_KEY"
        BAD_KEY "bad-key":
            "It is no private Ed25519 key in PEM, or others than its owner may read its file.";
            "make one with `magellan keys new`, or with `openssl genpkey -algorithm ed25519`; chmod 600 its file"
        BAD_TRUSTED_KEYS "bad-trusted-keys":
            "A line of the trusted keys isn't `ROLE[,ROLE...] KEYID PUBLIC-KEY NAME`, or names a key that stands there already.";
            "copy the line of the file FILE.pub that `magellan keys new --out FILE` wrote"
    }
    Config {
        SHARED_ACCOUNT "shared-account":
            "Two deployed strategies name one broker account; each would trade the other's positions.";
            "give every strategy an account of its own"
        ALPACA_KEYS "alpaca-keys":
            "The keys of an Alpaca account are missing, or Alpaca doesn't accept them.";
            "set APCA_API_KEY_ID and APCA_API_SECRET_KEY to the keys of one account; paper and live keys differ"
        UNIT_MISSING "unit-missing":
            "There is no systemd unit beside the config, so nothing would run the strategy.";
            "add magellan-<strategy>.service beside config.json; copy that of another strategy"
        UNIT_UNREADABLE "unit-unreadable":
            "The unit isn't a regular file of at most 64 KiB of UTF-8 text that may be read.";
            "check the file's kind, size, encoding and permissions"
        UNIT_SYNTAX "unit-syntax":
            "A line of the unit is neither a section, a setting nor a comment, or stands in no section.";
            "write `[Section]`, `Key=value` or `# comment`"
        UNIT_UNKNOWN_KEY "unit-unknown-key":
            "The unit sets something that Magellan's services don't use, or in another section.";
            "correct the name, move it to its section, or remove it"
        UNIT_MISSING_KEY "unit-missing-key":
            "The unit lacks a setting that a deployed service needs.";
            "add the setting as the message says"
        UNIT_VALUE "unit-value":
            "A setting of the unit has a value that a deployed service can't have.";
            "use an allowed value"
        UNIT_NOT_READ "unit-not-read":
            "A file that systemd would act on lies beside the unit, but a deploy ships the unit alone.";
            "move its settings into the unit, and remove it"
        FILE_NOT_READ "file-not-read":
            "A file under `deployed` that nothing reads.";
            "remove it if it isn't needed"
        NO_ENVIRONMENT "no-environment":
            "There is no file deployed/environments/NAME.toml.";
            "name one of those that are there with --environment, or add one"
        BAD_ENVIRONMENT "bad-environment":
            "The environment file isn't TOML, lacks a key, has one that nothing reads, or a value that can't be right.";
            "correct the named line; deployed/README.md describes the keys"
        BAD_POLICY "bad-policy":
            "deployed/policy.toml isn't TOML, lacks a key, has one that nothing reads, or a value that can't be right.";
            "correct the named line; deployed/README.md describes the keys"
        BAD_WEBHOOK "bad-webhook":
            "The address of a webhook can't be read, or is neither https nor http to this machine. It is never shown.";
            "write the address as Slack or Discord gave it into the credential or the variable, and nothing else"
        NO_WEBHOOK "no-webhook":
            "There is no webhook to notify: no credential `slack-webhook` or `discord-webhook`, and no variable.";
            "set MAGELLAN_SLACK_WEBHOOK or MAGELLAN_DISCORD_WEBHOOK, or give the unit a credential with LoadCredential="
        NOT_LIVE "not-live":
            "The config asks for something that a live service doesn't do.";
            "change the config as the message says; nothing that is configured is ignored"
        JOURNAL_OF_ANOTHER "journal-of-another":
            "The folder of state has the journal of another strategy or account.";
            "give every strategy and account a folder of state of its own"
        NOT_BOUND "not-bound":
            "A release was started without the environment that binds it: MAGELLAN_BINDING isn't set.";
            "start it as its unit does; `magellan deploy` installs it"
        NO_WORKFLOW "no-workflow":
            "There is no folder `.github/workflows` with a workflow here or above. Nothing to check is never a pass.";
            "run from the project's folder, or name the files"
        NO_TOOLCHAIN "no-toolchain":
            "`validate --code` found no Cargo project above `deployed`, or no cargo to check it with.";
            "run it in the project's checkout, with Rust installed"
        NO_STRATEGIES "no-strategies":
            "No package of the Cargo project builds the binary `magellan`, so it isn't known where its strategies are.";
            "run it in a project made by `magellan init`, or name the package's binary `magellan` in its Cargo.toml"
        NOT_REGISTERED "not-registered":
            "The list of strategies can't be extended safely: it isn't written as `magellan init` writes it.";
            "add the module and its entry to `ALL` by hand, as the message says"
        BAD_ENGINE "bad-engine":
            "--engine is left out, has another form than those three that it knows, or leads to no Magellan.";
            "write --engine path:DIR, --engine git:URL@REV or --engine VERSION"
        CODE_FORMAT "code-format":
            "`cargo fmt --check` found unformatted code.";
            "run `cargo fmt --all`"
        CODE_LINT "code-lint":
            "`cargo clippy` with warnings denied found fault with the strategies' code.";
            "correct what clippy names"
        CODE_TESTS "code-tests":
            "A unit test of the strategies failed, or they don't compile.";
            "run `cargo test --all-features --lib` in the package of the strategies, and correct the first failure"
        NO_TESTS "no-tests":
            "No unit test ran for a deployed strategy. Zero tests prove nothing.";
            "add tests to the strategy's file, in a module `tests`"
    }
    Data {
        NOT_RECORDED "not-recorded":
            "The service's journal doesn't tell of the session that is asked for.";
            "name a session in which the service ran, and the folder of its state"
        ALPACA_SILENT "alpaca-silent":
            "Alpaca gave no usable answer, though it was asked several times.";
            "try again later: what has been fetched is kept; https://status.alpaca.markets tells of outages"
        ALPACA_ANSWER "alpaca-answer":
            "An answer of Alpaca's isn't what its documentation describes, or not what was asked for.";
            "try again; if it stays so, report it with the message"
        NO_WARM_UP "no-warm-up":
            "All bars up to the period's end are warm-up, so the strategy would never be asked.";
            "import earlier bars, end the period later, or lower data_requirements.warmup_bars"
    }
    Verdict {
        CRITERION_CROSSED "criterion-crossed":
            "A figure lies beyond its level in performance_criteria, or a check that is always made fails.";
            "change the strategy, not the level; or record who accepts it with `magellan gate acknowledge`"
        INCONCLUSIVE "inconclusive":
            "The history can't tell whether the candidate is as good as what is deployed.";
            "judge on a longer history, or record who accepts it with `magellan gate acknowledge`"
        NOT_JUDGED "not-judged":
            "The strategy could not be judged, or its bars aren't to be trusted.";
            "mend what the message names; `magellan explain` tells more of its code"
    }
    Deploy {
        AWS_FAILED "aws-failed":
            "AWS refused a request, or could not be reached.";
            "check credentials, network and policy: `magellan doctor iam` prints what a deployer needs"
        STORE_FAILED "store-failed":
            "Bundles, lock or records could not be read or written.";
            "check the bucket's name and policy; a rollout under way is gone on with by `magellan deploy resume`"
        STORE_BUSY "store-busy":
            "Somebody else writes the same object, again and again.";
            "try again"
        UNFINISHED "unfinished":
            "A rollout could not be brought to its end: lock or journal could not be kept.";
            "run `magellan deploy resume`, which goes on with it"
        INTERRUPTED "interrupted":
            "Somebody asked for a rollout to end before it was done. It ended at its step's boundary.";
            "run `magellan deploy resume`, which goes on with it"
        HOST_FAILED "host-failed":
            "The host script could not do what it was asked.";
            "mend what it says, and deploy again; its log lies on the host in /var/lib/magellan-deploy/log"
        HOST_SILENT "host-silent":
            "The host gave no answer, so that it isn't known what was done.";
            "ask `magellan status`; a rollout under way is gone on with by `magellan deploy resume`"
    }
    Health {
        UNHEALTHY "unhealthy":
            "A service isn't well, or nothing runs.";
            "read its faults and the end of its journal; `magellan rollback` goes back"
        NOT_DELIVERED "not-delivered":
            "Notifications could not be delivered; those that wait in the outbox are tried again for a day.";
            "mend what the message names, and run `magellan notify deliver`"
    }
    Refused {
        REAL_MONEY "real-money":
            "The broker's address is not that of paper accounts. Real money must be allowed twice.";
            "set ssm_parameters.base_url to https://paper-api.alpaca.markets; or, to trade real money, name its address there and start with --real-money"
        ALPACA_REFUSED "alpaca-refused":
            "Alpaca refuses the request, for the reason that the message gives.";
            "mend what it names: a symbol, a date, or the subscription that the account has"
        OTHER_FETCH "other-fetch":
            "A fetch into this archive was cut off, and the one now has other options.";
            "finish it with the same options, or give --discard to throw away what it had fetched"
        NOT_EMPTY "not-empty":
            "Something is where a new repository, strategy or key would be written. Nothing is ever replaced.";
            "name another folder, strategy or file, or move away what the message lists"
        NO_VERDICT "no-verdict":
            "No verdict that deploys is about what would be shipped.";
            "judge exactly this with `magellan gate --out gate`, and name the folder with --verdicts"
        NOT_PAIRED "not-paired":
            "The verdict compares the candidate with something else than what runs in production.";
            "record what runs with `magellan baseline record DIR`, and judge again"
        UNSIGNED "unsigned":
            "Nobody has signed this.";
            "sign it: `magellan keys sign` for verdicts, `magellan keys sign-acknowledgements` for accepted failures"
        UNTRUSTED "untrusted":
            "No signature is a right one by a trusted key with the role that this needs.";
            "let somebody sign it whose key is trusted for it; whoever owns the host decides which keys are"
        BAD_ENVELOPE "bad-envelope":
            "An envelope with signatures, or what it states, isn't written as it must be.";
            "sign again: envelopes are never edited"
        SYNTHETIC_VERDICT "synthetic-verdict":
            "A verdict on synthetic bars never authorises production.";
            "judge on real bars: `magellan gate --archive DIR --out gate`"
        NO_POLICY "no-policy":
            "There is no deployed/policy.toml, and production needs the least that every strategy must show.";
            "write deployed/policy.toml as deployed/README.md describes it, and judge again"
        TRIAL_NOT_COMMITTED "trial-not-committed":
            "The verdict wasn't made with --committed-ledger: whether its own trial is counted for good isn't known.";
            "judge once more with `magellan gate --committed-ledger --out gate`"
        NOT_COMMITTED "not-committed":
            "What would be shipped isn't a commit that the host could check out.";
            "commit and push `deployed`, and judge again"
        SECRET_IN_BUNDLE "secret-in-bundle":
            "A file that would be shipped holds what looks like a key.";
            "keep keys in SSM parameters; a config names their paths only"
        WRONG_TARGET "wrong-target":
            "Account, region or machine isn't the one that the environment file names.";
            "correct the environment file or use other credentials; nothing was touched"
        NO_TRUST "no-trust":
            "Production demands signatures, and its host trusts no key.";
            "pin the keys on the host: `magellan doctor host --fix --trust FILE --policy deployed/policy.toml`"
        POLICY_NOT_PINNED "policy-not-pinned":
            "The least policy here isn't the one that the host demands.";
            "have whoever owns the host pin it: `magellan doctor host --fix --policy deployed/policy.toml`"
        DEPLOY_LOCKED "deploy-locked":
            "Another rollout owns the host.";
            "wait until it has ended; if its process died, run `magellan deploy resume`"
        PLAN_OUTDATED "plan-outdated":
            "Between the plan and its confirmation somebody else changed the host.";
            "run the same command again, and read the new plan"
        LOCK_LOST "lock-lost":
            "Somebody else has taken this rollout over, and goes on with it.";
            "ask `magellan status`; there is nothing left to do here"
        NOTHING_TO_RESUME "nothing-to-resume":
            "No rollout of the environment is unfinished.";
            "ask `magellan releases` what was rolled out"
        RELEASE_BAD "release-bad":
            "The release was seen failing on this host before.";
            "deploy another, or say why this one nevertheless with --override release-bad=WHY"
        NOT_PROVED "not-proved":
            "What another environment runs hasn't run there in health for as long as was asked.";
            "wait, or mend what isn't well there; `magellan status` shows it"
        NO_RELEASE "no-release":
            "There is no release to go back to.";
            "`magellan releases` lists those that are known; name one with --to"
        DEPLOY_UNTIMELY "deploy-untimely":
            "The market is open or about to be, the day is blacked out, or a service that would be restarted holds positions.";
            "wait until the environment's window opens and it is flat, or say why now with --override deploy-untimely=WHY"
        UNCONFIRMED "unconfirmed":
            "Nobody confirmed the plan.";
            "add --yes, or answer with the environment's name"
        DRIFT "drift":
            "What is on the host differs from the release that should be there.";
            "deploy the release again, which installs it anew; find out who changed it"
        ABANDONED "abandoned":
            "A rollout hasn't ended, and nobody goes on with it.";
            "run `magellan deploy resume`, which brings it to its end"
        ARCHIVED_DATA_FORBIDDEN "archived-data-forbidden":
            "USE_ARCHIVED_DATA=true was set for a service whose environment file says archived_data = false.";
            "unset it; archived bars aren't the market"
        BUNDLE_DAMAGED "bundle-damaged":
            "A bundle or a release isn't what its manifest says: a byte differs, a file is missing or is one too many.";
            "build it again with `magellan bundle build`, or deploy again: releases are never edited"
        STATE_IN_USE "state-in-use":
            "Another process works with this folder; both would write its files.";
            "wait for the other process or stop it, or name another folder (--state-dir of a service, --out of results)"
    }
}
