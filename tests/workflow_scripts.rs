//! The linter against bash: each script is run with a `magellan` that fails, and its exit code says whether the linter
//! has to find something.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use magellan::finding::Severity;
use magellan_lint::Workflow;
use proptest::prelude::*;

use crate::support::root;

/// Gate steps that end as a success though the gate failed.
const MASKED: &[&str] = &[
    r#"magellan gate || true"#,
    r#"magellan gate || :"#,
    r#"if ! magellan gate; then echo no; fi"#,
    r#"if magellan gate; then echo ok; fi"#,
    r#"if magellan gate; then echo ok; else echo bad; fi"#,
    r#"while ! magellan gate; do break; done"#,
    r#"while magellan gate; do echo; done"#,
    r#"f() { magellan gate; echo judged; }
if f; then echo ok; else exit 1; fi"#,
    r#"f() { magellan gate; echo judged; }
f || exit 1"#,
    r#"f() { magellan gate; echo judged; }
f && echo ok"#,
    r#"{ magellan gate; echo x; } || exit 1"#,
    r#"(magellan gate; echo x) || exit 1"#,
    r#"shopt -uo errexit
magellan gate
echo judged"#,
    r#"set +e
magellan gate
echo judged"#,
    r#"set +o errexit; magellan gate; echo"#,
    r#"sh <<'E'
magellan gate
echo done
E"#,
    r#"bash -c 'magellan gate; echo x'"#,
    r#"eval "magellan gate || true""#,
    r#"echo $(magellan gate)"#,
    r#"x=$(magellan gate; echo done)"#,
    r#"f() { local x=$(magellan gate); echo $x; }
f"#,
    r#"export x=$(magellan gate)"#,
    r#"trap 'exit 0' EXIT
magellan gate"#,
    r#"trap 'exit 0' ERR
magellan gate"#,
    r#"magellan gate && echo ok
echo end"#,
    r#"magellan gate | tee /dev/null"#,
    r#"magellan gate &
wait"#,
    r#"rc=0
magellan gate || rc=$?
echo $rc"#,
    r#"set +e; magellan gate; rc=$?; set -e
if [ "$rc" = 2 ]; then echo bad; exit 1; fi"#,
    r#"magellan gate || { echo bad; exit 0; }"#,
    r#"printf 'a\nb\n' | while read -r s; do magellan gate $s || failed=1; done
exit ${failed:-0}"#,
    r#"run() { "$@" || true; }
run magellan gate"#,
    r#"cmd="magellan gate"
$cmd || echo x"#,
    r#"case $(magellan gate) in x) ;; esac"#,
    r#"for x in $(magellan gate); do echo; done"#,
    r#"[ -n "$(magellan gate)" ] || echo none"#,
    r#"cat <<E
$(magellan gate)
E"#,
    r#"cat <(magellan gate)"#,
    r#"coproc magellan gate
wait"#,
    r#"! magellan gate"#,
    r#"find . -maxdepth 0 -exec magellan gate \;"#,
    r#"echo 'magellan gate; echo x' | sh"#,
    r#"cat <<E | bash
magellan gate
echo
E"#,
    r#"bash <<< 'magellan gate; echo'"#,
    r#"magellan gate && echo ok || echo bad"#,
    r#"[[ $(magellan gate) ]] || true"#,
    r#"x=$(magellan gate) || true"#,
    r#"f() { set -e; magellan gate; echo; }
f || exit 1"#,
    r#"(set +e; magellan gate; echo)"#,
    r#"for i in 1 2 3; do magellan gate && break; sleep 0; done"#,
    r#"magellan gate > out || cat out"#,
    r#"magellan gate ||
  true"#,
    r#"{
  magellan gate
  echo x
} | cat"#,
    r#"set +o pipefail
magellan gate | tee /dev/null"#,
    r#"status=0; magellan gate || status=$?; case $status in 0|1) ;; *) exit 1;; esac"#,
    r#"magellan gate || test $? = 1"#,
    r#"magellan gate || exit 0"#,
    r#"magellan gate || (echo no; exit 0)"#,
    r#"f() { magellan gate; echo x; }
while f; do break; done"#,
    r#"f() { magellan gate; echo x; }
x=$(f) || exit 1"#,
    r#"env magellan gate || true"#,
    r#"A=1 magellan gate || true"#,
    r#"sudo() { "$@"; }
sudo magellan gate || :"#,
    r#"bash -c 'magellan gate || true'"#,
    r#"bash <<E
set +e
magellan gate
echo x
E"#,
    r#"trap 'true; exit' EXIT
set +e
magellan gate
true"#,
    r#"declare x=$(magellan gate)"#,
    r#"readonly x=$(magellan gate)"#,
    r#"echo "${x:-$(magellan gate)}""#,
    r#"(magellan gate) || true"#,
    r#"{ magellan gate && echo yes; } || echo no"#,
    r#"magellan gate &"#,
    r#"magellan gate & sleep 0"#,
    r#"if magellan gate; then :; fi
exit 0"#,
    r#"for s in a; do magellan gate && echo ok; done
echo end"#,
    r#"set -e; set +e; magellan gate; set -e"#,
    r#"magellan gate | cat | cat"#,
    r#"magellan gate | while read -r x; do echo $x; done"#,
    r#"case x in x) magellan gate || true;; esac"#,
    r#"function f { magellan gate; echo x; }
f || exit 2"#,
    r#"rc=1; magellan gate || rc=0; exit $rc"#,
    r#"magellan gate || failed=1"#,
    r#"set +e; magellan gate; exit 0"#,
    r#"eval "set +e"; magellan gate; echo"#,
    r#"if true; then magellan gate || :; fi"#,
    r#"while :; do magellan gate || break; done"#,
    r#"[ "$(magellan gate)" = x ] || true"#,
    r#"magellan gate || echo "::warning::red""#,
    r#"magellan gate || { echo a; true; }"#,
    r#"trap - ERR; trap 'exit 0' ERR; magellan gate"#,
    "find . -maxdepth 0 -exec sh -c 'magellan gate' \\;",
    "cat > gate.sh <<'END'\nmagellan gate\necho judged\nEND\nbash gate.sh",
    "printf '%s\\n' 'magellan gate || true' > gate.sh\nsh ./gate.sh",
    "cat <<'END' > gate.sh\n#!/bin/sh\nmagellan gate\ntrue\nEND\nchmod +x gate.sh\n./gate.sh",
    "cat > gate.sh <<'END'\nset +e\nmagellan gate\nEND\n. ./gate.sh\necho judged",
    "magellan() { command magellan \"$@\" || true; }\nmagellan gate",
    "trap 'echo bye > /dev/null; exit 0' EXIT\nmagellan gate",
    "if magellan gate | tee log; then echo ok; else exit 1; fi",
    "magellan gate | tee log || exit 1",
    "x=( $(magellan gate) y ) || true",
    "set +e\nmagellan gate\necho \"exit code $?\"",
];

/// Gate steps that end as the gate did.
const CLEAN: &[&str] = &[
    r#"f() { magellan gate; echo judged; }
f"#,
    r#"! { magellan gate; echo x; }"#,
    r#"set +e
magellan gate"#,
    r#"bash -ec 'magellan gate; echo x'"#,
    r#"bash -c 'magellan gate'"#,
    r#"eval 'magellan gate; echo x'"#,
    r#"x=$(magellan gate); echo $x"#,
    r#"x=$(set -e; magellan gate; echo done)"#,
    r#"shopt -s inherit_errexit
x=$(magellan gate; echo done)"#,
    r#"trap 'echo bye' EXIT
magellan gate"#,
    r#"magellan gate && echo ok"#,
    r#"magellan gate &
pid=$!
wait "$pid""#,
    r#"rc=0
magellan gate || rc=$?
exit $rc"#,
    r#"set +e
magellan gate
rc=$?
set -e
exit $rc"#,
    r#"set +e; magellan gate; rc=$?; set -e
if [ $rc -ne 0 ]; then echo bad; exit 1; fi"#,
    r#"magellan gate 2>&1 | tee log.txt
exit ${PIPESTATUS[0]}"#,
    r#"if ! magellan gate; then echo bad; exit 1; fi"#,
    r#"magellan gate || { echo bad; exit 1; }"#,
    r#"failed=0
for s in a b; do magellan gate $s || failed=1; done
exit $failed"#,
    r#"failed=0
for s in a b; do magellan gate $s || failed=1; done
[ $failed = 0 ]"#,
    r#"failures=0
for s in a b c; do if ! magellan gate $s; then failures=$((failures+1)); fi; done
if [ $failures -gt 0 ]; then exit 1; fi"#,
    r#"failures=0
for s in a b c; do magellan gate $s || ((failures++)) || true; done
((failures == 0))"#,
    r#"failed=""
for s in a b; do magellan gate $s || failed="$failed $s"; done
test -z "$failed""#,
    r#"run() { "$@"; }
run magellan gate"#,
    r#"magellan gate
exit 0"#,
    r#"magellan gate; true"#,
    r#"until magellan gate; do exit 1; done"#,
    r#"time magellan gate"#,
    r#"exec magellan gate"#,
    r#"magellan gate & pids="$pids $!"
magellan gate & pids="$pids $!"
for p in $pids; do wait $p; done"#,
    r#"pids=()
magellan gate & pids+=($!)
for p in "${pids[@]}"; do wait "$p" || fail=1; done
exit ${fail:-0}"#,
    r#"trap 'rc=$?; echo bye; exit $rc' EXIT
magellan gate"#,
    r#"{ magellan gate; } 2>&1 && echo ok || exit 1"#,
    r#"magellan gate || exit"#,
    r#"if magellan gate; then :; elif true; then exit 1; fi"#,
    r#"x=$(magellan gate) || exit 1"#,
    r#"f() { magellan gate || return 1; echo ok; }
f || exit 1"#,
    r#"f() { magellan gate || return 1; echo ok; }
if ! f; then exit 3; fi"#,
    r#"while true; do magellan gate && break; exit 1; done"#,
    r#"for i in 1 2 3; do magellan gate && break; done"#,
    r#"ok=no
for i in 1 2 3; do if magellan gate; then ok=yes; break; fi; done
[ $ok = yes ]"#,
    r#"declare -i rc=0
magellan gate || rc=$?
(exit $rc)"#,
    r#"magellan gate || failed=true
if [ "${failed:-false}" = true ]; then exit 1; fi"#,
    r#"magellan gate || failed=true
$failed && exit 1
echo"#,
    r#"set -o pipefail
magellan gate | tee /dev/null"#,
    r#"status=0; magellan gate || status=$?; [ "$status" -eq 0 ] || exit "$status""#,
    r#"status=0; magellan gate || status=$?; case $status in 0) ;; *) exit 1;; esac"#,
    "cat > gate.sh <<'END'\nmagellan gate\necho judged\nEND\nbash -e gate.sh",
    "cat > gate.sh <<'END'\n#!/bin/sh -e\nmagellan gate\ntrue\nEND\nchmod +x gate.sh\n./gate.sh",
    "trap 'echo bye > /dev/null' EXIT\nmagellan gate",
    "set +e\nmagellan gate\ncode=$?\necho \"exit code $code\"\nexit \"$code\"",
    "find . -maxdepth 0 -exec magellan gate {} +",
    "while read -r s; do magellan gate --strategy \"$s\"; done <<< 'a'",
];

/// Scripts that end as a success because the gate never ran.
const IDLE: &[&str] = &[
    "echo done\nexit 0",
    "if [ -z \"$STRATEGY\" ]; then echo nothing to do; exit 0; fi\nmagellan gate --strategy \"$STRATEGY\"",
    "case \"${STRATEGY:-none}\" in none) exit 0 ;; esac\nmagellan gate",
];

/// Gate steps that lose the exit code by programs that may not be here, and others that can't be read.
const ELSEWHERE: &[&str] = &[
    "docker run -d image magellan gate",
    "docker run image sh -c 'magellan gate; echo judged'",
    "ssh host 'magellan gate; echo judged'",
    "ssh -p 22 host <<'END'\nmagellan gate\necho judged\nEND",
    "script -q -c 'magellan gate' log",
    "setsid magellan gate",
    "systemd-run magellan gate",
    "tmux new-session -d 'magellan gate'",
    "su user -c 'magellan gate || true'",
    "sudo -u user sh -c 'magellan gate; true'",
    "make -i gate",
    "make --ignore-errors gate",
    "MAKEFLAGS=-i make gate",
    "python3 -c 'import os; os.system(\"magellan gate\")'",
    "python3 - <<'END'\nimport os; os.system(\"magellan gate\")\nEND",
    "exit 0\nmagellan gate",
    "false && magellan gate || true",
    "judge() { magellan gate; }\necho judged",
    "cmd='magellan gate'\n$cmd || true",
    "eval \"magellan gate; echo judged\" || exit 1",
];

/// Our own workflow with this script as the gate's step, under `bash -e`.
fn workflow(script: &str) -> Workflow {
    let ours = fs::read_to_string(root().join(".github/workflows/deploy-strategies.yml")).expect("read");
    let (before, rest) =
        ours.split_once("        run: >-\n          target/release/magellan gate --strategy").expect("the step");
    let (_, after) = rest.split_once("--out gate\n").expect("its end");
    let lines: String = script.lines().map(|line| format!("          {line}\n")).collect();
    let text = format!("{before}        shell: bash -e {{0}}\n        run: |\n{lines}{after}");
    Workflow { path: "deploy-strategies.yml".into(), text }
}

/// Codes of what is found.
fn found(script: &str) -> Vec<(String, String)> {
    workflow(script).examine().into_iter().map(|f| (f.code.slug().to_owned(), f.what)).collect()
}

fn masks(script: &str) -> Vec<String> {
    found(script).into_iter().filter(|(code, _)| code == "masked-failure").map(|(_, what)| what).collect()
}

/// A folder with a `magellan` that fails and says that it ran.
fn failing() -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let stub = place.path().join("magellan");
    fs::write(&stub, "#!/bin/sh\n: > \"$RAN\"\nexit 1\n").expect("written");
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).expect("made executable");
    place
}

/// Whether bash ends the script as a success, and whether the gate ran.
fn run(place: &Path, script: &str, case: usize) -> (bool, bool) {
    let ran = place.join(format!("ran-{case}"));
    let file = place.join("step.sh");
    fs::write(&file, script).expect("written");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", place.display());
    let status = Command::new("bash")
        .args(["-e", "step.sh"])
        .current_dir(place)
        .env_remove("STRATEGY")
        .env("PATH", path)
        .env("RAN", &ran)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("bash");
    (status.success(), ran.exists())
}

#[test]
fn every_masked_gate_step_is_found_and_bash_agrees() {
    let place = failing();
    for (case, script) in MASKED.iter().enumerate() {
        let (succeeded, ran) = run(place.path(), script, case);
        // What runs in the background may take a moment.
        let soon = || {
            (0..200).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                place.path().join(format!("ran-{case}")).exists()
            })
        };
        assert!(succeeded && (ran || soon()), "no mask in bash: {script}");
        assert!(!masks(script).is_empty(), "{script}: {:?}", found(script));
    }
}

#[test]
fn what_other_programs_make_of_the_gate_is_known() {
    for script in ELSEWHERE {
        assert!(!masks(script).is_empty(), "{script}: {:?}", found(script));
    }
    for script in [
        "docker run image magellan gate",
        "ssh host magellan gate",
        "setsid --wait magellan gate",
        "make -C dir -j4 gate",
    ] {
        assert_eq!(masks(script), [""; 0], "{script}");
    }
}

#[test]
fn correct_gate_steps_are_no_masks_and_bash_agrees() {
    let place = failing();
    for (case, script) in CLEAN.iter().enumerate() {
        assert_eq!(run(place.path(), script, case), (false, true), "a mask in bash: {script}");
        assert_eq!(masks(script), [""; 0], "{script}");
    }
    for (case, script) in IDLE.iter().enumerate() {
        assert_eq!(run(place.path(), script, 1_000 + case), (true, false), "{script}");
        assert_eq!(masks(script), [""; 0], "{script}");
    }
}

/// Writes scripts, one choice after the other; where none is left it takes the simplest.
struct Writer<'a> {
    choices: std::slice::Iter<'a, u8>,
    functions: usize,
}

const PLAIN: [&str; 27] = [
    ":",
    "true",
    "false",
    "echo x",
    "rc=$?",
    "rc=0",
    "rc=1",
    "test $rc = 0",
    "[ \"$rc\" -ne 0 ]",
    "exit $rc",
    "exit 0",
    "exit 1",
    "exit",
    "set +e",
    "set -e",
    "(( rc == 0 ))",
    "[[ $rc == 1 ]]",
    "set -o pipefail",
    "set +o pipefail",
    "trap 'exit 0' EXIT",
    "trap 'echo bye' EXIT",
    "trap 'exit 0' ERR",
    "trap 'exit 3' ERR",
    "trap 'rc=$?' EXIT",
    "trap - EXIT ERR",
    "shopt -s inherit_errexit",
    "set -E",
];

impl Writer<'_> {
    fn choose(&mut self, of: usize) -> usize {
        usize::from(*self.choices.next().unwrap_or(&0)) % of
    }

    fn plain(&mut self) -> String {
        PLAIN[self.choose(PLAIN.len())].to_owned()
    }

    /// A command; with the gate in it, if it is to be there.
    fn command(&mut self, depth: usize, gate: bool) -> String {
        if depth == 0 {
            return if gate { "magellan gate".to_owned() } else { self.plain() };
        }
        let deeper = depth - 1;
        let first = self.choose(2) == 0;
        let (here, there) = (gate && first, gate && !first);
        match self.choose(18) {
            0 => self.command(0, gate),
            1 => format!("{} || {}", self.command(deeper, here), self.command(deeper, there)),
            2 => format!("{} && {}", self.command(deeper, here), self.command(deeper, there)),
            3 => format!("if {}; then\n{}\nfi", self.script(deeper, here), self.script(deeper, there)),
            4 => {
                let (asked, then, otherwise) =
                    (self.script(deeper, here), self.script(deeper, there), self.script(deeper, false));
                format!("if {asked}; then\n{then}\nelse\n{otherwise}\nfi")
            }
            5 => format!("if {}; then :; else exit 1; fi", self.script(deeper, gate)),
            6 => format!("for i in 1 2; do\n{}\ndone", self.script(deeper, gate)),
            7 => format!("{{ {}; }}", self.script(deeper, gate)),
            8 => format!("( {} )", self.script(deeper, gate)),
            9 => format!("! {{ {}; }}", self.script(deeper, gate)),
            // What is written into a pipe that nobody reads any more fails, sometimes.
            10 => format!("{{ {}; }} | {{ cat; {}; }}", self.script(deeper, here), self.script(deeper, there)),
            11 => format!("x=$( {} )", self.script(deeper, gate)),
            12 => format!("echo $( {} )", self.script(deeper, gate)),
            13 => format!("while {}; do\n{}\nbreak\ndone", self.script(deeper, here), self.script(deeper, there)),
            14 => format!("until {}; do\n{}\nbreak\ndone", self.script(deeper, gate), self.plain()),
            15 => format!("case $rc in 0) {};; *) {};; esac", self.script(deeper, gate), self.script(deeper, false)),
            16 => {
                let wait = ["wait $!", "wait", "p=$!; wait $p", "true"][self.choose(4)];
                format!("{{ {}; }} &\n{wait}", self.script(deeper, gate))
            }
            _ => {
                self.functions += 1;
                let name = format!("f{}", self.functions);
                let body = self.script(deeper, gate);
                let call = match self.choose(5) {
                    0 => name.clone(),
                    1 => format!("{name} || exit 1"),
                    2 => format!("{name} && true"),
                    3 => format!("if {name}; then echo x; else exit 1; fi"),
                    _ => format!("! {name}"),
                };
                format!("{name}() {{\n{body}\n}}\n{call}")
            }
        }
    }

    fn script(&mut self, depth: usize, gate: bool) -> String {
        let count = 1 + self.choose(3);
        let at = self.choose(count);
        let mut commands = Vec::new();
        for i in 0..count {
            let gate = gate && i == at;
            let depth = if gate || self.choose(2) == 1 { depth.saturating_sub(usize::from(!gate)) } else { 0 };
            commands.push(self.command(depth, gate));
        }
        commands.join("\n")
    }
}

/// Whether the linter may find a mask in a script that ends as a failure: another command that is silenced, or a gate
/// that runs again, perhaps with another answer.
fn may_be_found(script: &str) -> bool {
    ["|| :", "|| true", "|| echo", "|| exit 0", "|| {", "|| (", "for i", "! {", "! f"]
        .iter()
        .any(|sign| script.contains(sign))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_bash_makes_of_a_failing_gate_the_linter_knows(
        choices in prop::collection::vec(any::<u8>(), 0..120),
        depth in 1..4_usize,
        case in any::<usize>(),
    ) {
        let mut writer = Writer { choices: choices.iter(), functions: 0 };
        let script = format!("rc=0\n{}\n", writer.script(depth, true));
        let place = failing();
        let (succeeded, ran) = run(place.path(), &script, case);
        let lines: String = script.lines().map(|line| format!("          {line}\n")).collect();
        let text = format!("on: push\njobs:\n  x:\n    runs-on: x\n    steps:\n      - run: |\n{lines}");
        let found = Workflow { path: "other.yml".into(), text }.examine();
        let masks: Vec<_> = found.iter().filter(|finding| finding.code.slug() == "masked-failure").collect();
        if succeeded && ran {
            // What the parser can't read is red as well.
            let red = found.iter().any(|finding| finding.severity == Severity::Error);
            prop_assert!(red, "bash ends it as a success:\n{script}{found:?}");
        }
        if !succeeded && !may_be_found(&script) {
            prop_assert!(masks.is_empty(), "bash ends it as a failure:\n{script}{masks:?}");
        }
    }
}
