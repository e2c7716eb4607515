//! A workflow as a whole: which rules apply to it, and everything that breaks one.

use std::path::{Path, PathBuf};

use magellan::disk::map;
use magellan::error::{Error, Result};
use magellan::finding::Finding;

use super::findings::Findings;
use super::jobs::{Job, jobs};
use super::yaml::{self, Node};
use super::{deploys, foreign, forks, stages, steps, triggers};
use crate::codes;

/// Largest workflow read.
const LIMIT: u64 = 1 << 20;
/// Name of the file that must have all stages even if nothing in it runs `magellan` any more.
const PIPELINE: &str = "deploy-strategies";

/// Stack on which a workflow is examined.
const STACK: usize = 64 << 20;

/// A workflow as text.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Workflow {
    /// Reads a workflow.
    ///
    /// # Errors
    /// Config error if it isn't a regular text file of at most 1 MiB.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = map::bytes_up_to(path, LIMIT).map_err(|e| e.recode(codes::WORKFLOW_UNREADABLE))?;
        let text = String::from_utf8(bytes.to_vec())
            .map_err(|e| Error::new(codes::WORKFLOW_UNREADABLE, format!("not UTF-8 text: {e}")).at(path.display()))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// Everything that is wrong with it, in the order of the text.
    pub fn examine(&self) -> Vec<Finding> {
        // Scripts are followed by recursion of bounded depth, which a small stack may not hold.
        std::thread::scope(|scope| {
            let begun = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || self.examine_here());
            match begun.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(found)) => found,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(_) => self.examine_here(),
            }
        })
    }

    fn examine_here(&self) -> Vec<Finding> {
        let (root, faults) = yaml::parse(&self.text);
        let mut findings = Findings::new(&self.text);
        for fault in faults.into_iter().chain(root.iter().flat_map(yaml::duplicates)) {
            findings.error(fault.code, fault.at, "", fault.what);
        }
        if let Some(root) = &root {
            self.examine_tree(root, &mut findings);
        }
        findings.accept();
        findings.finish().into_iter().map(|f| f.file(&self.path)).collect()
    }

    fn examine_tree(&self, root: &Node, findings: &mut Findings<'_>) {
        let Some(jobs) = jobs(root, findings) else { return };
        let pipeline = self.is_pipeline(&jobs);
        steps::masked_failures(root, &jobs, pipeline, findings);
        foreign::examine(root, &jobs, findings);
        forks::examine(root, &jobs, findings);
        if pipeline {
            // Of a lone job nothing can be passed over; what deploys needs all stages whatever else is.
            if jobs.len() > 1 || self.is_named_pipeline() || jobs.iter().any(deploys::deploys) {
                stages::examine(root, &jobs, findings);
            }
            deploys::examine(root, &jobs, findings);
            steps::examine(&jobs, findings);
            triggers::examine(root, findings);
        }
    }

    fn is_named_pipeline(&self) -> bool {
        self.path.file_stem().is_some_and(|stem| stem == PIPELINE)
    }

    fn is_pipeline(&self, jobs: &[Job<'_>]) -> bool {
        self.is_named_pipeline() || jobs.iter().flat_map(|j| &j.steps).any(|s| s.runs_magellan())
    }

    /// Whether it judges strategies: runs `magellan gate`.
    fn judges(&self) -> bool {
        let root = yaml::parse(&self.text).0;
        let mut findings = Findings::new(&self.text);
        let jobs = root.as_ref().and_then(|root| jobs(root, &mut findings)).unwrap_or_default();
        jobs.iter().any(|job| job.steps.iter().any(|s| s.runs(stages::GATE)))
    }
}

/// Everything that is wrong with a project's workflows, file by file.
pub fn examine_all(workflows: &[Workflow]) -> Vec<Finding> {
    let mut found: Vec<Finding> = workflows.iter().flat_map(Workflow::examine).collect();
    let unread = found.iter().any(|f| f.code == codes::WORKFLOW_SYNTAX);
    if !unread && !workflows.iter().any(Workflow::judges) {
        found.push(Finding::new(codes::MISSING_STAGE, "", "no workflow runs `magellan gate`, so nothing is judged"));
    }
    found
}

#[cfg(test)]
mod tests {
    use magellan::finding::Severity;
    use proptest::prelude::*;

    use super::*;
    use crate::findings::SHOWN;

    const OURS: &str = include_str!("../../.github/workflows/deploy-strategies.yml");

    fn examine(text: &str) -> Vec<Finding> {
        Workflow { path: "deploy-strategies.yml".into(), text: text.to_owned() }.examine()
    }

    /// Code and source line of each finding.
    fn found(text: &str) -> Vec<(&'static str, String)> {
        let line =
            |f: &Finding| text.lines().nth(f.span.map_or(0, |s| s.line - 1)).unwrap_or_default().trim().to_owned();
        examine(text).iter().map(|f| (f.code.slug(), line(f))).collect()
    }

    #[test]
    fn ours_has_no_finding() {
        assert_eq!(found(OURS), []);
    }

    /// The condition of what deploys, in one line or the other.
    const DEPLOYS: &str = "if: needs.validate.outputs.environment != ''";
    const VERIFIES: &str = "    needs: [validate, deploy]\n";
    const RESUMES: &str = "if: always() && steps.rollout.outcome != 'skipped'";

    /// What is changed, into what, and the code and line of the one finding.
    const SPOILT: &[(&str, &str, &str, &str)] = &[
        (
            "run: target/release/magellan gate selftest",
            "run: target/release/magellan gate selftest || true",
            "masked-failure",
            "run: target/release/magellan gate selftest || true",
        ),
        (
            "          strategies=$(target",
            "          set +e\n          strategies=$(target",
            "masked-failure",
            "set +e",
        ),
        (
            "--junit gate/junit.xml --out gate\n",
            "--junit gate/junit.xml --out gate || :\n",
            "masked-failure",
            "--markdown \"$GITHUB_STEP_SUMMARY\" --junit gate/junit.xml --out gate || :",
        ),
        (
            "          strategies=$(target/release/magellan gate --list ${STRATEGY:+--strategy \"$STRATEGY\"})\n          echo \"strategies=$strategies\"",
            "          echo \"strategies=$(target/release/magellan gate --list)\"",
            "masked-failure",
            "echo \"strategies=$(target/release/magellan gate --list)\" >> \"$GITHUB_OUTPUT\"",
        ),
        (
            "      - name: Ledger of trials\n",
            "      - name: Ledger of trials\n        continue-on-error: true\n",
            "masked-failure",
            "continue-on-error: true",
        ),
        (
            "    needs: validate\n",
            "    needs: validate\n    continue-on-error: ${{ github.ref != 'refs/heads/main' }}\n",
            "masked-failure",
            "continue-on-error: ${{ github.ref != 'refs/heads/main' }}",
        ),
        ("    needs: validate\n", "", "skipped-stage", "gate:"),
        ("    needs: validate\n", "    needs: validate\n    if: always()\n", "skipped-stage", "if: always()"),
        (
            "    needs: validate\n",
            "    needs: validate\n    if: ${{ !cancelled() }}\n",
            "skipped-stage",
            "if: ${{ !cancelled() }}",
        ),
        (
            "    needs: validate\n",
            "    needs: validate\n    if: success() || failure()\n",
            "skipped-stage",
            "if: success() || failure()",
        ),
        (
            "    needs: validate\n",
            "    needs: validate\n    if: github.event_name == 'push'\n",
            "skipped-stage",
            "if: github.event_name == 'push'",
        ),
        (
            "      - name: Judge on archived data\n",
            "      - name: Judge on archived data\n        if: github.ref == 'x'\n",
            "skipped-stage",
            "if: github.ref == 'x'",
        ),
        (
            "      - name: Make it executable again\n",
            "      - name: Make it executable again\n        if: ${{ false }}\n",
            "skipped-stage",
            "if: ${{ false }}",
        ),
        (
            "          target/release/magellan gate --strategy",
            "          echo magellan gate --strategy",
            "missing-stage",
            "gate:",
        ),
        (
            "          target/release/magellan gate --strategy",
            "          target/release/magellan gate --list --strategy",
            "missing-stage",
            "gate:",
        ),
        ("run: target/release/magellan validate --code --format github", "run: ls", "missing-stage", "validate:"),
        (
            "    if: always()\n    needs: [validate, gate]",
            "    needs: [validate, gate]",
            "unchecked-result",
            "gate-result:",
        ),
        (
            "    if: always()\n    needs: [validate, gate]",
            "    if: always()\n    needs: [validate]",
            "unchecked-result",
            "needs: [validate]",
        ),
        ("          test \"$GATE\" = success\n", "", "unchecked-result", "needs: [validate, gate]"),
        (
            "          test \"$GATE\" = success\n",
            "          test \"$GATE\" != failure\n",
            "unchecked-result",
            "needs: [validate, gate]",
        ),
        (
            "          test \"$GATE\" = success\n",
            "          test \"$GATE\" = success || test \"$GATE\" = skipped\n",
            "unchecked-result",
            "needs: [validate, gate]",
        ),
        (
            "GATE: ${{ needs.gate.result }}",
            "GATE: ${{ needs.validate.result }}",
            "unchecked-result",
            "needs: [validate, gate]",
        ),
        ("  pull_request:\n", "  pull_request:\n    paths: ['deployed/**']\n", "path-filter", "paths: ['deployed/**']"),
        (
            "  pull_request:\n",
            "  pull_request: {paths-ignore: [docs]}\n",
            "path-filter",
            "pull_request: {paths-ignore: [docs]}",
        ),
        (
            "      strategy:\n        description",
            "      colour: {type: string}\n      strategy:\n        description",
            "unused-input",
            "colour: {type: string}",
        ),
        (
            "inputs.strategy != 'all' && inputs.strategy",
            "inputs.stratgy",
            "undeclared-input",
            "STRATEGY: ${{ inputs.stratgy || '' }}",
        ),
        (
            "          path: gate\n          if-no-files-found: error\n",
            "          path: gate\n",
            "unchecked-artifact",
            "- uses: actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2",
        ),
        (
            "          path: gate\n          if-no-files-found: error\n",
            "          path: gate\n          if-no-files-found: warn\n",
            "unchecked-artifact",
            "if-no-files-found: warn",
        ),
        (
            "actions/cache@0057852bfaa89a56745cba8c7296529d2fc39830 # v4.3.0",
            "actions/cache@v4",
            "unpinned-action",
            "- uses: actions/cache@v4",
        ),
        ("    timeout-minutes: 5\n", "", "no-timeout", "gate-result:"),
        ("permissions:\n  contents: read", "permissions: write-all", "broad-permissions", "permissions: write-all"),
        (
            "    runs-on: ubuntu-24.04\n    timeout-minutes: 5\n",
            "    runs-on: ubuntu-24.04\n    runs-on: ubuntu-24.04\n    timeout-minutes: 5\n",
            "duplicate-key",
            "runs-on: ubuntu-24.04",
        ),
        ("    branches: [main", "    branches: [[main", "workflow-syntax", ""),
        (
            "    needs: [validate, gate]\n    if: needs",
            "    needs: validate\n    if: needs",
            "skipped-stage",
            "needs: validate",
        ),
        ("        id: rollout\n", "        id: rollout\n        if: always()\n", "skipped-stage", "if: always()"),
        ("magellan deploy --environment", "magellan deploy --dry-run --environment", "missing-stage", "deploy:"),
        (
            "          --verdicts gate --yes",
            "          --yes",
            "missing-stage",
            "exec target/release/magellan deploy --environment \"$ENVIRONMENT\" --strategy \"$STRATEGY\"",
        ),
        (
            "          --verdicts gate --yes --markdown \"$GITHUB_STEP_SUMMARY\" --out",
            "          --verdicts gate --yes ${WHY:+--override \"$WHY\" --who \"$WHO\"} --out",
            "skipped-stage",
            "--verdicts gate --yes ${WHY:+--override \"$WHY\" --who \"$WHO\"} --out deploy/record.json --ledger-of \"$BASE\"",
        ),
        (
            "magellan status --environment \"$ENVIRONMENT\"",
            "magellan deploy --verdicts gate --yes",
            "skipped-stage",
            "run: target/release/magellan deploy --verdicts gate --yes",
        ),
        (
            "    concurrency:\n      group: deploy-${{ needs.validate.outputs.environment }}\n      cancel-in-progress: false\n",
            "",
            "unsafe-deploy",
            "deploy:",
        ),
        (
            "group: deploy-${{ needs.validate.outputs.environment }}",
            "group: deploy-${{ github.run_id }}",
            "unsafe-deploy",
            "group: deploy-${{ github.run_id }}",
        ),
        (
            "group: deploy-${{ needs.validate.outputs.environment }}",
            "group: deploy-${{ needs.validate.outputs.strategies }}",
            "unsafe-deploy",
            "group: deploy-${{ needs.validate.outputs.strategies }}",
        ),
        ("      group: deploy-${{ needs.validate.outputs.environment }}\n", "", "unsafe-deploy", "concurrency:"),
        (
            "      cancel-in-progress: false",
            "      cancel-in-progress: true",
            "unsafe-deploy",
            "cancel-in-progress: true",
        ),
        (
            "cancel-in-progress: ${{ github.event_name == 'pull_request' }}",
            "cancel-in-progress: ${{ github.event_name != 'pull_request' }}",
            "unsafe-deploy",
            "cancel-in-progress: ${{ github.event_name != 'pull_request' }}",
        ),
        (VERIFIES, "    needs: [validate, gate]\n", "skipped-stage", "needs: [validate, gate]"),
        (VERIFIES, "    needs: [validate, deploy]\n    if: always()\n", "skipped-stage", "if: always()"),
        (
            VERIFIES,
            "    needs: [validate, deploy]\n    if: inputs.strategy == 'all'\n",
            "skipped-stage",
            "if: inputs.strategy == 'all'",
        ),
        ("    if: always() && needs.validate", "    if: needs.validate", "unchecked-result", DEPLOYS),
        (
            "    if: always() && needs.validate.outputs.environment != ''\n",
            "    if: always() && needs.validate.outputs.environment == 'production'\n",
            "unchecked-result",
            "if: always() && needs.validate.outputs.environment == 'production'",
        ),
        ("          test \"$DEPLOY\" = success\n", "", "unchecked-result", "needs: [validate, deploy, verify]"),
        (
            "          test \"$VERIFY\" = success\n",
            "          test \"$VERIFY\" != failure\n",
            "unchecked-result",
            "needs: [validate, deploy, verify]",
        ),
        // The table: who may deploy, and where to.
        (
            "            *) environment= ;;\n",
            "            *) environment=staging ;;\n",
            "unsafe-deploy",
            "*) environment=staging ;;",
        ),
        ("            *) environment= ;;\n", "", "deploy-table", "- name: Where to deploy"),
        (
            "push:refs/heads/deploy | push:refs/heads/deploy/*)",
            "push:*)",
            "unsafe-deploy",
            "push:*) environment=staging ;;",
        ),
        (
            "push:refs/heads/deploy | push:refs/heads/deploy/*)",
            "push:refs/heads/deploy*)",
            "unsafe-deploy",
            "push:refs/heads/deploy*) environment=staging ;;",
        ),
        (
            "push:refs/heads/deploy | push:refs/heads/deploy/*)",
            "push:refs/*/deploy)",
            "unsafe-deploy",
            "push:refs/*/deploy) environment=staging ;;",
        ),
        (
            "push:refs/heads/deploy | push:",
            "push:refs/heads/release | push:",
            "unsafe-deploy",
            "push:refs/heads/release | push:refs/heads/deploy/*) environment=staging ;;",
        ),
        (
            "            workflow_dispatch:*)",
            "            pull_request:*) environment=staging ;;\n            workflow_dispatch:*)",
            "unsafe-deploy",
            "pull_request:*) environment=staging ;;",
        ),
        (
            "push:refs/heads/deploy/*) environment=staging ;;",
            "push:refs/heads/deploy/*) environment=Production ;;",
            "unsafe-deploy",
            "push:refs/heads/deploy | push:refs/heads/deploy/*) environment=Production ;;",
        ),
        (
            "push:refs/heads/deploy/*) environment=staging ;;",
            "push:refs/heads/deploy/*) environment=$CHOSEN ;;",
            "unsafe-deploy",
            "push:refs/heads/deploy | push:refs/heads/deploy/*) environment=$CHOSEN ;;",
        ),
        (
            "CHOSEN: ${{ inputs.environment }}",
            "CHOSEN: ${{ inputs.environment || 'production' }}",
            "unsafe-deploy",
            "workflow_dispatch:*) environment=$CHOSEN ;;",
        ),
        (", 'deployment/**']", "]", "unsafe-deploy", "push:refs/heads/deployment/*) environment=production ;;"),
        (
            "            *) environment= ;;\n          esac\n",
            "            *) environment= ;;\n          esac\n          environment=production\n",
            "deploy-table",
            "- name: Where to deploy",
        ),
        (
            "case \"$GITHUB_EVENT_NAME:$GITHUB_REF\" in",
            "case \"push:$GITHUB_REF\" in",
            "deploy-table",
            "- name: Where to deploy",
        ),
        ("environment=staging ;;", "environment=staging ;;&", "deploy-table", "- name: Where to deploy"),
        (
            "        id: where\n",
            "        id: where\n        if: github.event_name == 'push'\n",
            "skipped-stage",
            "if: github.event_name == 'push'",
        ),
        (
            "      environment: ${{ steps.where.outputs.environment }}",
            "      environment: ${{ inputs.environment }}",
            "deploy-table",
            "environment: ${{ inputs.environment }}",
        ),
        ("      environment: ${{ steps.where.outputs.environment }}\n", "", "deploy-table", DEPLOYS),
        // Everything else asks the table.
        ("    needs: [validate, gate]\n    if: needs", "    needs: gate\n    if: needs", "skipped-stage", DEPLOYS),
        (
            "    environment: ${{ needs.validate.outputs.environment }}\n",
            "    environment: production\n",
            "deploy-table",
            "environment: production",
        ),
        ("    environment: ${{ needs.validate.outputs.environment }}\n", "", "deploy-table", "deploy:"),
        (
            "        if: needs.validate.outputs.environment == 'production'\n",
            "        if: github.ref == 'refs/heads/deployment/x'\n",
            "deploy-table",
            "if: github.ref == 'refs/heads/deployment/x'",
        ),
        (
            "watch --environment \"$ENVIRONMENT\"",
            "watch --environment staging",
            "deploy-table",
            "run: target/release/magellan watch --environment staging --for 1m",
        ),
        (
            "magellan deploy --environment \"$ENVIRONMENT\"",
            "magellan deploy --environment=production",
            "deploy-table",
            "exec target/release/magellan deploy --environment=production --strategy \"$STRATEGY\"",
        ),
        // A rollout that dies is brought to its end.
        (
            "        if: always() && steps.rollout.outcome != 'skipped'\n",
            "",
            "unfinished-deploy",
            "- name: Bring a rollout that died to its end",
        ),
        (
            "        if: always() && steps.rollout.outcome != 'skipped'\n",
            "        if: failure() && steps.rollout.outcome != 'skipped'\n",
            "unfinished-deploy",
            "if: failure() && steps.rollout.outcome != 'skipped'",
        ),
        (
            "        if: always() && steps.rollout.outcome != 'skipped'\n",
            "        if: always() && steps.rolout.outcome != 'skipped'\n",
            "unfinished-deploy",
            "if: always() && steps.rolout.outcome != 'skipped'",
        ),
        ("        id: rollout\n", "", "unfinished-deploy", "- name: Roll out what was judged"),
        (
            "--if-unfinished\n          --markdown \"$GITHUB_STEP_SUMMARY\" --out deploy/record.json\n",
            "--if-unfinished || true\n",
            "masked-failure",
            "exec target/release/magellan deploy resume --environment \"$ENVIRONMENT\" --no-wait --if-unfinished || true",
        ),
        // Keys and addresses.
        (
            "        env:\n          MAGELLAN_ARCHIVE: ${{ vars.MAGELLAN_ARCHIVE || 'data/sample' }}\n        run: >-\n          target/release/magellan gate",
            "        env:\n          KEY: ${{ secrets.MAGELLAN_SIGNING_KEY }}\n        run: >-\n          target/release/magellan gate",
            "exposed-secret",
            "KEY: ${{ secrets.MAGELLAN_SIGNING_KEY }}",
        ),
        (
            "      ENVIRONMENT: ${{ needs.validate.outputs.environment }}\n",
            "      ENVIRONMENT: ${{ needs.validate.outputs.environment }}\n      URL: ${{ secrets.MAGELLAN_SLACK_WEBHOOK }}\n",
            "exposed-secret",
            "URL: ${{ secrets.MAGELLAN_SLACK_WEBHOOK }}",
        ),
        (
            "echo \"::error title=missing secret::$name is not set\"",
            "echo \"${{ secrets.AWS_ACCESS_KEY_ID }}\"",
            "exposed-secret",
            "echo \"${{ secrets.AWS_ACCESS_KEY_ID }}\"",
        ),
        (
            "      STRATEGY: ${{ inputs.strategy || 'all' }}\n",
            "      STRATEGY: ${{ inputs.strategy || 'all' }}\n      KEY: ${{ secrets['AWS_SECRET_ACCESS_KEY'] }}\n",
            "exposed-secret",
            "KEY: ${{ secrets['AWS_SECRET_ACCESS_KEY'] }}",
        ),
        (
            "ALPACA_TEST_API_KEY: ${{ secrets.ALPACA_TEST_API_KEY != '' }}",
            "ALL: ${{ toJSON(secrets) }}",
            "exposed-secret",
            "ALL: ${{ toJSON(secrets) }}",
        ),
        (
            "--strategy \"$STRATEGY\"\n          --verdicts",
            "--strategy ${{ inputs.strategy }}\n          --verdicts",
            "script-injection",
            "exec target/release/magellan deploy --environment \"$ENVIRONMENT\" --strategy ${{ inputs.strategy }}",
        ),
        (
            "echo \"strategies=$strategies\"",
            "echo \"strategies=$strategies # ${{ github.head_ref }}\"",
            "script-injection",
            "echo \"strategies=$strategies # ${{ github.head_ref }}\" >> \"$GITHUB_OUTPUT\"",
        ),
    ];

    #[test]
    fn each_spoilt_line_is_the_one_that_is_found() {
        for (from, to, code, line) in SPOILT {
            let start = OURS.find(from).unwrap_or_else(|| panic!("{from}"));
            let text = format!("{}{to}{}", &OURS[..start], &OURS[start + from.len()..]);
            let found = found(&text);
            assert_eq!(found.len(), 1, "{to}: {found:?}");
            assert!(found[0].0 == *code && (line.is_empty() || found[0].1 == *line), "{to}: {found:?}");
        }
    }

    #[test]
    fn a_shell_without_errexit_masks_and_checks_nothing() {
        let shell = "shell: bash --noprofile --norc -euo pipefail {0}";
        assert!(OURS.contains(shell));
        let found = found(&OURS.replace(shell, "shell: bash --noprofile --norc {0}"));
        let codes: Vec<&str> = found.iter().map(|f| f.0).collect();
        // Of each script only the last `test` still counts.
        assert_eq!(codes, ["masked-failure", "unchecked-result", "unchecked-result", "unchecked-result"], "{found:?}");
        assert_eq!(found[0].1, "shell: bash --noprofile --norc {0}");
    }

    /// Ours without one job.
    fn without(job: &str) -> String {
        let start = OURS.find(&format!("\n  {job}:\n")).expect("a job") + 1;
        let header = |l: &&str| l.starts_with("  ") && !l.starts_with("   ") && !l.trim_start().starts_with('#');
        let length =
            OURS[start..].split_inclusive('\n').skip(1).take_while(|l| !header(l)).map(str::len).sum::<usize>();
        let first = OURS[start..].find('\n').expect("a line") + 1;
        format!("{}{}", &OURS[..start], &OURS[start + first + length..])
    }

    #[test]
    fn each_missing_job_is_found() {
        assert!(found(&without("validate")).contains(&("missing-stage", "jobs:".to_owned())));
        assert!(found(&without("gate")).contains(&("missing-stage", "jobs:".to_owned())));
        assert_eq!(found(&without("gate-result")).len(), 2, "validate and gate are held by nobody");
        assert_eq!(found(&without("deploy-result")).len(), 2, "nor deploy and verify");
        // What isn't there needs no verifying, and nobody can verify what isn't there.
        assert!(found(&without("deploy")).contains(&("missing-stage", "jobs:".to_owned())));
        assert!(found(&without("verify")).contains(&("missing-stage", "jobs:".to_owned())));
    }

    /// What the two conditions of ours are changed into, and what is found.
    #[test]
    fn a_run_deploys_when_the_table_says_so_and_not_otherwise() {
        const WHEN: &str = "needs.validate.outputs.environment != ''";
        assert_eq!(OURS.matches(WHEN).count(), 2);
        for (when, codes) in [
            ("${{ needs.validate.outputs.environment != '' }}", &["unchecked-result"][..]),
            // Right of the deploy; the result would be passed over with it.
            ("success() && needs.validate.outputs.environment != ''", &["unchecked-result"]),
            ("github.event_name != 'pull_request'", &["deploy-table"]),
            ("github.actor == 'somebody'", &["deploy-table"]),
            ("needs.validate.outputs.environment == 'staging'", &["deploy-table"]),
            ("needs.validate.outputs.environment != '' || github.actor == 'x'", &["deploy-table"]),
            ("needs.validate.outputs.environment != '' && vars.DEPLOY == 'yes'", &["deploy-table"]),
            ("needs.validat.outputs.environment != ''", &["deploy-table"]),
            ("needs.validate.outputs.environments != ''", &["deploy-table"]),
            ("github.ref == 'refs/heads/deploy'", &["deploy-table"]),
            ("always() && needs.validate.outputs.environment != ''", &["skipped-stage"]),
            ("${{ !failure() && needs.validate.outputs.environment != '' }}", &["skipped-stage", "unchecked-result"]),
        ] {
            let mut found: Vec<_> = found(&OURS.replace(WHEN, when));
            found.sort();
            assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), codes, "{when}: {found:?}");
            assert!(found.iter().all(|f| f.1.starts_with("if: ")), "{when}: {found:?}");
        }
        let always = OURS.replace(&format!("    if: {WHEN}\n"), "");
        assert!(found(&always).contains(&("deploy-table", "deploy:".to_owned())), "{:?}", found(&always));
        // The table itself knows events, so none that brings in strangers' code can pass as a push.
        assert_eq!(found(&OURS.replace("  pull_request:\n", "  pull_request_target:\n")), []);
        assert_eq!(found(&OURS.replace("  pull_request:\n", "")), []);
    }

    #[test]
    fn each_command_names_the_environment_of_the_table() {
        let elsewhere =
            OURS.replace("      ENVIRONMENT: ${{ needs.validate.outputs.environment }}", "      ENVIRONMENT: staging");
        let found = found(&elsewhere);
        // The rollout and what resumes it, the two commands that verify.
        assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), ["deploy-table"; 4], "{found:?}");
    }

    #[test]
    fn what_judges_the_services_a_minute_later_may_be_watch_or_health() {
        let watch = "watch --environment \"$ENVIRONMENT\" --for 1m";
        assert_eq!(found(&OURS.replace(watch, "health --environment \"$ENVIRONMENT\" --stabilize 60")), []);
    }

    #[test]
    fn a_rollout_that_nothing_resumes_is_found() {
        let start = OURS.find("      # A rollout that was cancelled").expect("the comment before the step");
        let end = start + OURS[start..].find("      - uses: actions/upload-artifact").expect("the step behind it");
        let without = format!("{}{}", &OURS[..start], &OURS[end..]);
        assert_eq!(found(&without), [("unfinished-deploy", "- name: Roll out what was judged".to_owned())]);
        // Neither does what runs another command, or is red where nothing is left to do.
        for (from, to) in [("deploy resume --environment", "status --environment"), (" --if-unfinished", "")] {
            let mut found = found(&OURS.replace(from, to));
            // What resumes nothing has no business with the secrets of a deploy either.
            found.retain(|(code, _)| *code != "exposed-secret");
            assert_eq!(
                found,
                [
                    ("unfinished-deploy", "- name: Roll out what was judged".to_owned()),
                    ("skipped-stage", RESUMES.to_owned())
                ],
                "{to}"
            );
        }
        // Before the rollout there is nothing to resume.
        let rollout = OURS.find("      # Exit 5").expect("the rollout");
        let before = format!("{}{}{}{}", &OURS[..rollout], &OURS[start..end], &OURS[rollout..start], &OURS[end..]);
        assert_eq!(found(&before), [("unfinished-deploy", "- name: Roll out what was judged".to_owned())]);
        // Under a condition that doesn't wait for success it is the only thing that may run.
        let both = OURS.replace(
            "exec target/release/magellan deploy resume",
            "target/release/magellan deploy --verdicts gate; exec target/release/magellan deploy resume",
        );
        assert!(found(&both).contains(&("skipped-stage", RESUMES.to_owned())), "{:?}", found(&both));
    }

    #[test]
    fn a_script_of_an_action_is_a_script_too() {
        let step = |with: &str| {
            format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: actions/github-script@v8\n        with: {with}\n"
            )
        };
        let codes = |with: &str| {
            let found = Workflow { path: "other.yml".into(), text: step(with) }.examine();
            found.iter().map(|f| f.code).collect::<Vec<_>>()
        };
        assert_eq!(codes("{script: 'x(\"${{ github.event.issue.title }}\")'}"), [codes::SCRIPT_INJECTION]);
        assert_eq!(codes("{script: 'x(\"${{ secrets.a }}\")'}"), [codes::EXPOSED_SECRET]);
        assert_eq!(
            codes("{script: 'x(\"${{ github.sha }} ${{ github.event_name }}\")', github-token: '${{ secrets.a }}'}"),
            []
        );
    }

    fn other(text: &str) -> Vec<Finding> {
        Workflow { path: "other.yml".into(), text: text.to_owned() }.examine()
    }

    fn slugs(found: &[Finding]) -> Vec<(&'static str, Severity)> {
        found.iter().map(|f| (f.code.slug(), f.severity)).collect()
    }

    #[test]
    fn a_comment_accepts_a_finding_and_its_reason_stays_in_sight() {
        let step = |above: &str, behind: &str| {
            other(&format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{above}      - run: ls || true{behind}\n"
            ))
        };
        let accept = "magellan-lint: accept masked-failure because it may be empty";
        for found in [step("", &format!(" # {accept}")), step(&format!("      # {accept}\n"), "")] {
            assert_eq!(slugs(&found), [("masked-failure", Severity::Note)]);
            assert!(found[0].what.contains("|| true") && found[0].what.contains("it may be empty"), "{found:?}");
        }
        for (comment, words) in [
            ("magellan-lint: accept masked-failure", "reason"),
            ("magellan-lint: accept masked-failure because", "reason"),
            ("magellan-lint: accept masked-failures because why", "did you mean `masked-failure`"),
            ("magellan-lint: accept no-timeout because why", "has no finding `no-timeout`"),
            ("magellan-lint: ignore", "accept CODE because REASON"),
        ] {
            let found = step(&format!("      # {comment}\n"), "");
            assert_eq!(slugs(&found), [("bad-acceptance", Severity::Error), ("masked-failure", Severity::Error)]);
            assert!(found[0].what.contains(words), "{comment}: {found:?}");
        }
    }

    #[test]
    fn code_of_strangers_stays_away_from_secrets() {
        let workflow = |on: &str, top: &str, job: &str, with: &str, then: &str| {
            let text = format!(
                "on: {on}\n{top}jobs:\n  a:\n    runs-on: x\n{job}    steps:\n      - uses: actions/checkout@v5\n        with: {{{with}}}\n{then}"
            );
            slugs(&other(&text)).into_iter().map(|f| f.0).collect::<Vec<_>>()
        };
        const HEAD: &str = "ref: '${{ github.event.pull_request.head.sha }}'";
        const RUN: &str = "      - run: make\n";
        const SECRET: &str = "      - run: make\n        env: {KEY: '${{ secrets.KEY }}'}\n";
        const READ: &str = "permissions: {contents: read}\n";
        for (on, top, job, with, then) in [
            ("pull_request_target", READ, "", HEAD, SECRET),
            ("[push, pull_request_target]", READ, "", "ref: '${{ github.head_ref }}'", SECRET),
            ("{pull_request_target: {types: [opened]}}", "", "", HEAD, RUN),
            ("pull_request_target", "permissions: write-all\n", "", HEAD, RUN),
            ("pull_request_target", READ, "    permissions: {contents: write}\n", HEAD, RUN),
            ("pull_request_target", READ, "    env: {KEY: '${{ secrets.KEY }}'}\n", HEAD, RUN),
            ("pull_request_target", "", "", "ref: 'refs/pull/${{ github.event.number }}/merge'", RUN),
            (
                "workflow_run",
                "",
                "",
                "ref: '${{ github.event.workflow_run.head_sha }}'",
                "      - uses: ./.github/build\n",
            ),
            ("issue_comment", READ, "", "repository: '${{ github.event.pull_request.head.repo.full_name }}'", SECRET),
        ] {
            let found = workflow(on, top, job, with, then);
            assert!(found.contains(&"untrusted-checkout"), "{on} {top} {job} {with} {then}: {found:?}");
        }
        for (on, top, job, with, then) in [
            ("pull_request", READ, "", HEAD, SECRET),
            ("pull_request_target", READ, "", HEAD, RUN),
            ("pull_request_target", READ, "", "persist-credentials: false", SECRET),
            ("pull_request_target", "", "", HEAD, "      - uses: actions/labeler@v5\n"),
            (
                "pull_request_target",
                "",
                "    if: github.event.pull_request.head.repo.full_name == github.repository\n",
                HEAD,
                SECRET,
            ),
        ] {
            let found = workflow(on, top, job, with, then);
            assert!(!found.contains(&"untrusted-checkout"), "{on} {top} {job} {with} {then}: {found:?}");
        }
    }

    #[test]
    fn numbers_and_hashes_of_an_event_are_no_injection() {
        let run = |inside: &str| {
            let found = other(&format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo \"${{{{ {inside} }}}}\"\n"
            ));
            !found.is_empty()
        };
        for inside in [
            "github.event.pull_request.number",
            "github.event.pull_request.head.sha",
            "github.event.pull_request.draft",
            "contains(github.event.pull_request.title, 'x')",
            "github.event.pull_request.title == 'x'",
        ] {
            assert!(!run(inside), "{inside}");
        }
        for inside in
            ["github.event.pull_request.title", "format('{0}', github.head_ref)", "github.event.comment.body || ''"]
        {
            assert!(run(inside), "{inside}");
        }
    }

    #[test]
    fn a_script_that_may_run_magellan_must_be_readable() {
        let step = |step: &str| {
            let found = other(&format!(
                "on: push\njobs:\n  a:\n    runs-on: x\n    timeout-minutes: 1\n    steps:\n      - {step}\n"
            ));
            slugs(&found).into_iter().map(|f| f.0).collect::<Vec<_>>()
        };
        assert_eq!(step("run: if magellan gate"), ["unreadable-script"]);
        assert_eq!(step("{run: magellan gate, shell: pwsh}"), ["unreadable-script"]);
        assert_eq!(step("{run: 'os.system(\"magellan gate\")', shell: python}"), ["unreadable-script"]);
        assert_eq!(step("{run: magellan gate, shell: 'bash -c \"bash {0} || true\"'}"), ["unreadable-script"]);
        assert_eq!(step("{run: magellan gate, shell: 'bash -e {0}'}"), [""; 0]);
        assert_eq!(step("run: if something"), [""; 0]);
        assert_eq!(step("{run: Get-Item x, shell: pwsh}"), [""; 0]);
    }

    #[test]
    fn a_lone_job_that_judges_needs_no_stages() {
        let text = "on: push\njobs:\n  x:\n    runs-on: x\n    timeout-minutes: 5\n    steps:\n      - run: magellan COMMAND\n";
        assert_eq!(slugs(&other(&text.replace("COMMAND", "gate"))), []);
        assert!(!other(&text.replace("COMMAND", "deploy --verdicts gate")).is_empty());
        assert!(
            !other(
                &(text.replace("COMMAND", "gate")
                    + "  y:\n    runs-on: x\n    timeout-minutes: 5\n    steps:\n      - run: ls\n")
            )
            .is_empty()
        );
    }

    #[test]
    fn other_workflows_need_no_stages() {
        let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: ls\n      - run: ls || true\n";
        let found = other(text);
        assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), [codes::MASKED_FAILURE]);
        assert_eq!(found[0].span.map(|s| (s.line, s.column)), Some((7, 17)));
        assert_eq!(examine_all(&[Workflow { path: "other.yml".into(), text: text.replace(" || true", "") }]).len(), 1);
        // A stage that runs nothing is missing, though nothing runs magellan any more.
        let hollow = OURS.replace("target/release/magellan", "echo");
        assert!(examine(&hollow).iter().any(|f| f.code == codes::MISSING_STAGE));
    }

    #[test]
    fn what_is_no_workflow_is_said_to_be_none() {
        for text in [
            "",
            "a",
            "[]",
            "on: push",
            "jobs:",
            "jobs: {a: 1}",
            "jobs: {a: {steps: [x]}}",
            "jobs: {a: {steps: [{run: [1]}]}}",
        ] {
            assert!(examine(text).iter().any(|f| f.code == codes::WORKFLOW_SYNTAX), "{text}");
        }
    }

    #[test]
    fn a_file_of_nothing_but_faults_is_read_in_bounded_time() {
        let step = "      - run: ls || true; ls 'it''s' | ls & exit 0\n        continue-on-error: 1\n";
        let text = format!("jobs:\n  a:\n    steps:\n{}", step.repeat(12_000));
        assert_eq!(examine(&text).len(), SHOWN + 1);
        let script =
            |part: &str| format!("jobs:\n  a:\n    steps:\n      - run: x {}\n", part.repeat(1_000_000 / part.len()));
        let one = [
            "|| magellan ",
            "&& magellan ",
            "| magellan ",
            "inputs ",
            "${{ inputs.a ",
            "$(",
            "( { ",
            "` ",
            "\"$(",
            "<<a ",
            "|| $(x) ",
            "bash -c 'x ",
        ];
        for text in one.map(script).into_iter().chain([text]) {
            let begun = std::time::Instant::now();
            examine(&text);
            assert!(begun.elapsed().as_secs() < 20, "{}", &text[..60]);
        }
    }

    fn places_lie_inside(text: &str) {
        for finding in examine(text) {
            if let Some(span) = finding.span {
                assert!(text.get(span.start..span.end).is_some(), "{finding:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_examined(text in "(\\PC|[\n\t\\-:|>&*'\"{}\\[\\]#? ]){0,200}") {
            places_lie_inside(&text);
        }

        #[test]
        fn any_damage_to_ours_ends_in_an_answer(
            hits in prop::collection::vec((any::<prop::sample::Index>(), "(\\PC|[\n:|>&*'\"{}#$( ]){0,4}"), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut text = OURS.to_owned();
            for (at, put) in hits {
                let at = text.floor_char_boundary(at.index(text.len()));
                let end = text.ceil_char_boundary((at + put.len()).min(text.len()));
                text.replace_range(at..end, &put);
            }
            places_lie_inside(&text);
            text.truncate(text.floor_char_boundary(cut.index(text.len() + 1)));
            places_lie_inside(&text);
        }
    }
}
