//! The codes of the workflow lint, and those of the library.

pub use magellan::error::codes::*;

magellan::error_codes! {
    Config {
        WORKFLOW_UNREADABLE "workflow-unreadable":
            "The workflow isn't a regular file of at most 1 MiB of UTF-8 text that may be read.";
            "check the path, and the file's kind, size, encoding and permissions"
        WORKFLOW_SYNTAX "workflow-syntax":
            "The file is no YAML, or no workflow: without jobs, or a step without `run` and `uses`.";
            "correct the text at the named line and column"
        MASKED_FAILURE "masked-failure":
            "A step or job loses the exit code of something that failed, so that it looks like a success.";
            "remove `continue-on-error`: a failure must be red"
        UNREADABLE_SCRIPT "unreadable-script":
            "A script that may run `magellan` can't be read, so that nobody can say whether it loses a failure.";
            "write it plainly: one command a line, in bash or sh"
        MISSING_STAGE "missing-stage":
            "A stage has no job, or its job doesn't run the stage's command.";
            "add the job, with a step that runs the stage's command: `magellan validate`, `gate`, `deploy --verdicts DIR` or `watch`"
        SKIPPED_STAGE "skipped-stage":
            "A stage can be passed over, or runs though the one before failed.";
            "remove the condition, and name the stage before in `needs`"
        UNCHECKED_RESULT "unchecked-result":
            "To GitHub a skipped job is no failure, and no job of the workflow makes it one.";
            "add a job with `if: always()`, `needs` of all stages and, for each, `test \"$RESULT\" = success` with `RESULT: ${{ needs.<stage>.result }}`"
        UNCHECKED_ARTIFACT "unchecked-artifact":
            "An upload of results succeeds though there are none.";
            "add `if-no-files-found: error` to its `with`"
        PATH_FILTER "path-filter":
            "The workflow runs only if certain files change, and strategies depend on others too.";
            "remove the filter: the gate hashes what a verdict depends on"
        UNUSED_INPUT "unused-input":
            "An input of the workflow is never used, so whoever runs it by hand chooses nothing.";
            "use it in a step or job, or remove it"
        UNDECLARED_INPUT "undeclared-input":
            "An expression reads an input that the workflow doesn't declare; GitHub takes it for empty.";
            "correct its name, or declare it under `on.workflow_dispatch.inputs`"
        UNPINNED_ACTION "unpinned-action":
            "An action is named by a tag or branch, which its owner can move.";
            "name the full commit: `owner/action@<40 hex digits> # version`"
        NO_TIMEOUT "no-timeout":
            "A job has no time limit of its own; GitHub's is six hours.";
            "add `timeout-minutes`"
        BROAD_PERMISSIONS "broad-permissions":
            "The workflow's token may write everything.";
            "write `permissions: contents: read`, and what a job needs beside that at the job"
        UNSEEN_JOB "unseen-job":
            "What a job or step runs is elsewhere, or for another shell, and isn't checked here.";
            "check that file as well, or run the commands in this one"
        SCRIPT_INJECTION "script-injection":
            "GitHub puts an input or a text of an event into a script before the shell reads it: whoever writes it can run anything.";
            "hand it over in the step's `env`, and write `\"$NAME\"` in the script"
        UNTRUSTED_CHECKOUT "untrusted-checkout":
            "A run with the project's own rights brings in the code of a pull request and runs something then: whoever opened it can take the secrets.";
            "run it on `pull_request`, where there is no secret, or let only the project's own branches through: `if: github.event.pull_request.head.repo.full_name == github.repository`"
        BAD_ACCEPTANCE "bad-acceptance":
            "A comment means to accept a finding, but gives no reason, names no code of a finding, or accepts nothing.";
            "write `# magellan-lint: accept CODE because REASON` at the line of the finding or above it, or remove the comment"
        EXPOSED_SECRET "exposed-secret":
            "A secret stands in a script, or where more can read it than the step that uses it.";
            "name it in the `env` or `with` of that step, one secret a key"
        UNSAFE_DEPLOY "unsafe-deploy":
            "A deploy may run where it shouldn't, to where it shouldn't, beside another one, or be cancelled halfway.";
            "let only the named branches and a run by hand deploy, with a `concurrency` group by environment that cancels nothing"
        DEPLOY_TABLE "deploy-table":
            "Which branch deploys to which environment isn't said in one place, or a job doesn't ask that place.";
            "write the table once, as a step with a plain `case`, and use its output everywhere: `needs.<job>.outputs.<name>`"
        UNFINISHED_DEPLOY "unfinished-deploy":
            "A rollout that is cancelled or runs out of time isn't brought to its end, and blocks the environment.";
            "add a step behind it: `if: always() && steps.<id>.outcome != 'skipped'`, which runs `magellan deploy resume --if-unfinished`"
    }
}
