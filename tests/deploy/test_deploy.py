"""Deploys for real: a systemd in a container, an emulated AWS that runs commands in it, and every fault between them.

    python tests/deploy/test_deploy.py PROGRAM [TEST …]

PROGRAM is a magellan with the features deploy and live. After each scenario the host must be on one complete
release, and the summary must say which.
"""
import base64
import contextlib
import datetime
import glob
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zoneinfo

import bad_service
from emulator import ACCOUNT, BUCKET, TAG, Emulator, Machine
from faults import (ALWAYS, Faults, Request, after, before, edited, flip_byte, forbidden_if_missing, instead,
                    json_error, lost, noisy, runs, s3_error)
from host import (BOUND, CHECKOUT, COMMITS, DEPLOY_STATE, ETC, MIRROR, NAME, OLD_RELEASES, OLD_USER, RELEASES, ROOT,
                  SECOND, STATE, UNITS, USER, Host, git)

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
STRATEGY, UNIT = "bear_trap", "magellan-bear-trap"
OTHER, OTHER_UNIT = "daily_trend", "magellan-daily-trend"
CONFIG = f"deployed/{STRATEGY}/config.json"
PASSED, USAGE, UNTOUCHED, UNRESOLVED, UNWELL, REFUSED = 0, 2, 5, 6, 7, 8
ROLLED_BACK = RESTORED = 5
# The journal's writes, in their order: its beginning, then two for each step.
JOURNAL = "/deploys/"
STAGE_BEGINS, STAGE_ENDS, ACTIVATE_BEGINS, ACTIVATE_ENDS, HEALTH_BEGINS = 5, 6, 7, 8, 9
# All that a rollout writes but its bundle and its lock, which it renews by the clock.
WRITES = "/(deploys|index|audit)/"


def setUpModule() -> None:
    global host, emulator, faults, program
    permitted, why = Host.permitted()
    if not permitted:
        if "systemd" in re.split("[, ]", os.environ.get("MAGELLAN_REQUIRE", "")):
            raise RuntimeError(f"MAGELLAN_REQUIRE names systemd, and nspawn isn't permitted here: {why}")
        print(f"SKIPPED: all of {pathlib.Path(__file__).name}; no systemd-nspawn here: {why}", file=sys.stderr)
        raise unittest.SkipTest(why)
    host = Host()
    unittest.addModuleCleanup(host.close)
    emulator = Emulator(host.prefix, NAME)
    unittest.addModuleCleanup(emulator.close)
    faults = Faults(emulator.port)
    unittest.addModuleCleanup(faults.close)
    # Without its line tables, which deploy nothing.
    program = host.shared / "magellan"
    subprocess.run(["strip", "-o", program, PROGRAM], check=True)


def unswept(path: str) -> str:
    """A file of the project without the demand of a probability of overfitting, since nothing is swept here."""
    text = re.sub(r'\n *"pbo": \{[^}]*\},', "", (PROJECT / path).read_text())
    return re.sub(r"\[criteria\.pbo\]\n[^\[]*", "", text)


def files_of(*strategies: str) -> dict[str, str]:
    """Config and unit of strategies, as they are deployed."""
    paths = [f"deployed/{name}/{file}" for name in strategies
             for file in ("config.json", f"magellan-{name.replace('_', '-')}.service")]
    return {path: unswept(path) for path in paths}


def eventually(condition, seconds: float = 30):
    """What the condition comes to, once it is true."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def ahead(seconds: float) -> dict[str, str]:
    """The variables that set a program's clock ahead."""
    library, = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return {"LD_PRELOAD": library, "FAKETIME": f"{seconds:+.0f}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Deployed(unittest.TestCase):
    """A project of its own in a developer's clone, and a host as it was booted."""

    def setUp(self) -> None:
        host.reset()
        faults.clear()
        # Whoever had the host before is gone with it.
        emulator.forget(f"lock/host/{NAME}.json")
        # What earlier scenarios left in the bucket is another environment's.
        self.environment = re.sub("[^a-z0-9]+", "-", self.id().split(".")[-1])[:40].strip("-")
        self.files = {".gitignore": (PROJECT / ".gitignore").read_text(), **files_of(STRATEGY)}
        self.files[self.toml] = self.environment_file()
        shutil.copytree(PROJECT / "data/sample", host.work / "data/sample", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("cache"))
        self.commit = host.push(self.files)

    @property
    def toml(self) -> str:
        return f"deployed/environments/{self.environment}.toml"

    def environment_file(self, kind: str = "staging", when: str = "always", archived: bool = True,
                         services: str = f'"{UNIT}"', blackout: str = "", rollout: str = "", tag: str = TAG,
                         hostname: str = NAME) -> str:
        return f"""kind = "{kind}"
account = "{ACCOUNT}"
region = "us-east-2"
bucket = "{BUCKET}"
deploy_when = "{when}"
archived_data = {str(archived).lower()}
services = [{services}]
[window]
minutes_before_open = 0
minutes_after_close = 0
blackout_dates = [{blackout}]
{rollout}[target]
tag = "{tag}"
hostname = "{hostname}"
[host]
remote = "{host.remote}"
"""

    # ---- what a developer does ----

    def stand_in(self, mode: str = "good", note: str = "") -> pathlib.Path:
        """A release's binary that serves well or badly."""
        path = host.shared / f"stand-in-{mode}{note}"
        path.write_bytes(bad_service.binary(mode, note))
        path.chmod(0o755)
        return path

    def variables(self, **more: str) -> dict[str, str]:
        """What a developer's shell has set."""
        return {"PATH": os.environ["PATH"], "HOME": str(host.shared), "USER": "ada", "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
                "MAGELLAN_LEDGER": str(host.shared / "ledger"),
                **emulator.environment, "AWS_ENDPOINT_URL": faults.url, **more}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen([program, *arguments], cwd=host.work, env=self.variables(**variables), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ended(self, process: subprocess.Popen, timeout: float = 300) -> tuple[int, str, str]:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"it goes on after {timeout} s: {process.communicate()}")
        self.assertNotIn("panicked", err)
        return process.returncode, out, err

    def magellan(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        return self.ended(self.start(*arguments, **variables))

    def here(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """A command about this environment: all words but options come before it."""
        commands = [word for word in words[:2] if not word.startswith("-")]
        return self.magellan(*commands, "--environment", self.environment, *words[len(commands):], **variables)

    def succeeds(self, *words: str, **variables: str) -> str:
        code, out, err = self.here(*words, **variables)
        self.assertEqual(code, PASSED, f"{out}\n{err}")
        return out

    def refused(self, code: str, *words: str, **variables: str) -> str:
        """It ends with this code of an error, and changes nothing; what it says."""
        before = self.bound(), self.property("ExecMainPID")
        got, out, err = self.here(*words, **variables)
        self.assertEqual(got, REFUSED, f"{out}\n{err}")
        self.assertIn(f"error[{code}]", err)
        self.assertEqual((self.bound(), self.property("ExecMainPID")), before)
        return out + err

    def deploying(self, binary: pathlib.Path | None = None, stabilize: int = 2, *more: str) -> list[str]:
        shipped = ["--binary", str(binary), "--override", "no-verdict=a stand-in", "--who", "ada"] if binary else []
        return ["deploy", "--environment", self.environment, "--yes", "--stabilize", str(stabilize), *shipped, *more]

    def deploy(self, binary: pathlib.Path | None = None, stabilize: int = 2, *more: str, code: int = PASSED,
               **variables: str) -> dict:
        """Deploys, and holds the record to the host."""
        return self.rolled(code, *self.magellan(*self.deploying(binary, stabilize, "--json", *more), **variables))

    def resume(self, *more: str, code: int = PASSED) -> dict:
        return self.rolled(code, *self.here("deploy", "resume", "--json", *more))

    def rollback(self, *more: str, code: int = PASSED, **variables: str) -> dict:
        return self.rolled(code, *self.here(*self.going_back("--json", *more), **variables))

    def going_back(self, *more: str) -> list[str]:
        return ["rollback", "--yes", "--stabilize", "2", *more]

    def rolled(self, expected: int, code: int, out: str, err: str) -> dict:
        self.assertEqual(code, expected, f"{out}\n{err}")
        record = json.loads(out)
        self.holds(record)
        return record

    def refused_deploy(self, code: str, binary: pathlib.Path | None, *more: str, **variables: str) -> str:
        words = self.deploying(binary, 2, *more)
        return self.refused(code, "deploy", *words[3:], **variables)

    # ---- what must be true ----

    def bound(self, unit: str = UNIT, on: Host | None = None) -> tuple[str, str] | None:
        """The release and the binding of a unit."""
        link = (on or host).path(f"{BOUND}/{unit}/current")
        return tuple(os.readlink(link).split("-")) if os.path.islink(link) else None

    def current(self, unit: str = UNIT, on: Host | None = None) -> str | None:
        """The release of a unit."""
        bound = self.bound(unit, on)
        return bound and bound[0]

    def trees(self) -> list[str]:
        """The commits that are on the host."""
        return os.listdir(host.path(COMMITS)) if host.exists(COMMITS) else []

    def complete(self, release: str, on: Host | None = None) -> bool:
        check = f"cd {RELEASES}/{release} && sha256sum --check --strict --quiet checksums"
        return (on or host).run(["bash", "-c", check]).code == 0

    def property(self, name: str, unit: str = UNIT) -> str:
        return host.run(["systemctl", "show", "-p", name, "--value", f"{unit}.service"]).out.strip()

    def holds(self, record: dict, on: Host | None = None) -> None:
        """The record says of the host what is so."""
        outcome = record["outcome"]["outcome"]
        for judged in record["strategies"].values():
            unit = judged["unit"]
            before, current = record["previous"].get(unit, {}), self.current(unit, on)
            former = before.get("release")
            expected = {"running": record["release"], "untouched": former, "stopped": None, "rolled_back": former}
            if outcome in expected:
                self.assertEqual(current, expected[outcome])
            if current is not None:
                self.assertTrue(self.complete(current, on))
            if outcome in ("running", "rolled_back"):
                self.runs(unit, (judged if outcome == "running" else before)["unit_digest"], on)
        operations = {request.operation for request in faults.requests}
        self.assertFalse({o for o in operations if o.startswith(("Delete", "List"))}, "nothing is deleted or listed")

    def runs(self, unit: str, digest: str, on: Host | None = None) -> None:
        """Its process is made of this. One that was left running says which release brought it."""
        on = on or host
        shown = on.run(["systemctl", "show", "-p", "ActiveState", "-p", "SubState", f"{unit}.service"]).out.split()
        self.assertEqual(shown, ["ActiveState=active", "SubState=running"])
        strategy = unit.removeprefix("magellan-").replace("-", "_")
        beat = json.loads(on.read(f"{STATE}/{strategy}/heartbeat.json"))
        self.assertEqual(beat["unit_digest"], digest)

    def faults_came(self) -> None:
        """No rule hid another one, and each was needed."""
        self.assertEqual(faults.unused, [])

    def lock(self) -> dict:
        return json.loads(emulator.get(f"lock/host/{NAME}.json"))

    def journal(self) -> dict:
        """The record of the rollout that the lock is for, as it is in the store."""
        return json.loads(emulator.get(f"deploys/{self.environment}/{self.lock()['deploy']}.json"))

    def history(self) -> list[dict]:
        folder = host.path(f"{DEPLOY_STATE}/records")
        return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]

    # ---- changes ----

    def change(self) -> str:
        """Another seed in the config, committed; its commit."""
        config = json.loads((host.work / CONFIG).read_text())
        config["performance_criteria"]["seed"] += 1
        return host.push({CONFIG: json.dumps(config, indent=2) + "\n"})

    def first(self, mode: str = "good") -> dict:
        return self.deploy(self.stand_in(mode))

    def second(self) -> dict:
        self.change()
        return self.deploy(self.stand_in())

    def two_strategies(self, **environment: str) -> None:
        services = f'"{UNIT}", "{OTHER_UNIT}"'
        host.push(files_of(OTHER) | {self.toml: self.environment_file(services=services, **environment)})

    def is_rolled_back(self, mode: str, fault: str, stabilize: int = 4) -> dict:
        """A release of this mode is seen failing, is rolled back, and isn't chosen again."""
        good = self.first()
        record = self.deploy(self.stand_in(mode), stabilize, code=ROLLED_BACK)
        self.assertEqual(record["outcome"], {"outcome": "rolled_back", "to": good["release"]})
        said = json.dumps(record["health"]) + json.dumps(record["steps"])
        self.assertRegex(said, fault)
        self.assertEqual([step["step"] for step in record["steps"]].count("roll_back"), 1)
        self.assertIn("was seen failing here before", self.refused_deploy("release-bad", self.stand_in(mode)))
        # What runs came with the first rollout, not with the one that failed.
        self.assertIn(good["id"], self.succeeds("status"))
        return record

    def unfinished(self, skip: int, binary: pathlib.Path | None = None, hook=instead, key: str = JOURNAL,
                   where=lambda _: True, expected: tuple[int, ...] = (-signal.SIGKILL,)) -> tuple[int, str]:
        """A deploy that is killed at a write; its exit code."""
        faults.clear()
        process = None
        faults.on("PutObject", hook(lambda: process.kill()), skip=skip, key=key, where=where)
        process = self.start(*self.deploying(binary or self.stand_in(), 1))
        code, _, err = self.ended(process)
        faults.clear()
        self.assertIn(code, expected, err)
        return code, err

    def converges(self, *codes: int) -> dict | None:
        """Whoever goes on brings it to its end; none, if there was nothing to go on with."""
        code, out, err = self.here("deploy", "resume", "--json")
        if code == REFUSED:
            # Killed before the lock was taken, or after it was given back.
            self.assertIn("error[nothing-to-resume]", err)
            return None
        if "had not begun" in out:
            return None
        record = json.loads(out)
        self.assertIn(code, codes, out + err)
        self.holds(record)
        return record


class Deploys(Deployed):
    def test_a_first_deploy_runs_the_commit_and_status_says_so(self) -> None:
        record = self.first()
        self.assertEqual(record["previous"], {})
        self.assertEqual(self.trees(), [self.commit])
        self.assertEqual(host.read(f"{COMMITS}/{self.commit}/{CONFIG}"), self.files[CONFIG])
        out = self.succeeds("status")
        self.assertIn(record["release"][:12], out)
        self.assertIn("OVERRIDDEN by ada: no-verdict: a stand-in", out)
        self.succeeds("health", "--stabilize", "1")
        self.assertIn("running", self.succeeds("releases"))
        self.assertEqual([line["id"] for line in self.history()], [record["id"]])
        self.assertEqual(host.read(f"{ETC}/environment").strip(), self.environment)

    def test_only_what_changed_is_restarted(self) -> None:
        self.two_strategies()
        self.first()
        pids = self.property("ExecMainPID"), self.property("ExecMainPID", OTHER_UNIT)
        self.change()
        code, out, err = self.magellan(*self.deploying(self.stand_in(), 2, "--dry-run"))
        self.assertEqual(code, PASSED, out + err)
        self.assertRegex(err, rf"~ {UNIT}: restarted; release .{{12}} → .{{12}}, positions 0 .*\n    config\n"
                              "    performance_criteria.seed: 1 → 2")
        self.assertIn(f"= {OTHER_UNIT}: left running", err)
        record = self.deploy(self.stand_in())
        self.assertNotEqual(self.property("ExecMainPID"), pids[0])
        self.assertEqual(self.property("ExecMainPID", OTHER_UNIT), pids[1])
        # The same again restarts nothing and uploads nothing.
        pid = self.property("ExecMainPID")
        again = self.deploy(self.stand_in())
        self.assertEqual((again["release"], self.property("ExecMainPID")), (record["release"], pid))
        self.assertIn("is there", again["steps"][0]["seen"][0])

    def test_new_code_for_one_strategy_runs_beside_old_code_for_the_others(self) -> None:
        self.two_strategies()
        first = self.first()
        pid = self.property("ExecMainPID", OTHER_UNIT)
        record = self.deploy(self.stand_in("good", "new"), 2, "--strategy", STRATEGY)
        self.assertEqual((self.current(), self.current(OTHER_UNIT)), (record["release"], first["release"]))
        self.assertEqual(self.property("ExecMainPID", OTHER_UNIT), pid)
        out = self.succeeds("status")
        self.assertIn(first["id"], out)
        self.assertIn(record["id"], out)
        # And back, alone.
        self.rollback("--strategy", STRATEGY)
        self.assertEqual((self.current(), self.current(OTHER_UNIT)), (first["release"], first["release"]))
        self.assertEqual(self.property("ExecMainPID", OTHER_UNIT), pid)
        self.succeeds("status")

    def test_a_branch_that_moves_meanwhile_changes_nothing(self) -> None:
        moved = []

        def move() -> None:
            # Somebody else pushes, and rewrites the branch.
            with tempfile.TemporaryDirectory() as folder:
                clone = pathlib.Path(folder) / "clone"
                git(pathlib.Path(folder), "clone", "--quiet", str(host.remote), str(clone))
                git(clone, "commit", "--quiet", "--allow-empty", "--amend", "--message", "rewritten")
                git(clone, "push", "--quiet", "--force", "origin", "HEAD:main")
                moved.append(git(clone, "rev-parse", "HEAD"))

        git(host.work, "push", "--quiet", "origin", "HEAD:refs/heads/judged")
        faults.on("PutObject", before(move), key="bundles/")
        self.first()
        self.assertEqual(self.trees(), [self.commit])
        self.assertNotEqual(moved, [self.commit])

    def test_without_a_verdict_nothing_is_deployed(self) -> None:
        code, _, err = self.magellan(*self.deploying(), "--binary", str(self.stand_in()))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[no-verdict]", err)
        self.assertEqual((self.current(), faults.count("PutObject")), (None, 0))

    def test_what_was_not_committed_is_not_deployed(self) -> None:
        (host.work / CONFIG).write_text((host.work / CONFIG).read_text() + "\n")
        self.refused_deploy("not-committed", self.stand_in())

    def test_what_git_is_told_to_overlook_is_not_deployed(self) -> None:
        unit = f"deployed/{STRATEGY}/{UNIT}.service"
        for flag, path in (("assume-unchanged", CONFIG), ("skip-worktree", CONFIG), ("assume-unchanged", unit)):
            git(host.work, "update-index", f"--{flag}", path)
            (host.work / path).write_text(self.files[path] + "\n")
            self.assertEqual(git(host.work, "status", "--porcelain", "--", path), "")
            self.refused_deploy("not-committed", self.stand_in())
            (host.work / path).write_text(self.files[path])
            git(host.work, "update-index", f"--no-{flag}", path)
        self.first()

    def test_another_account_or_machine_is_refused(self) -> None:
        for old, new in ((ACCOUNT, "210987654321"), (f'"{NAME}"', '"another"'), (f'tag = "{TAG}"', 'tag = "nobody"')):
            host.push({self.toml: self.environment_file().replace(old, new)})
            self.refused_deploy("wrong-target", self.stand_in())
        self.assertEqual((self.current(), faults.count("SendCommand")), (None, 0))

    def test_each_refusal_needs_a_reason_of_its_own(self) -> None:
        """One that is barred and has no verdict, too."""
        self.is_rolled_back("silent", "no log was written")
        bad = self.stand_in("silent")
        for reason in ("release-bad=it was the disk", "no-verdict=a stand-in"):
            words = ["--binary", str(bad), "--override", reason, "--who", "ada"]
            other = "no-verdict" if "release-bad" in reason else "release-bad"
            self.refused(other, "deploy", "--yes", "--stabilize", "2", *words)
        self.assertEqual(self.magellan(*self.deploying(bad, 2, "--override", "no such code"))[0], USAGE)
        both = self.deploy(bad, 4, "--override", "release-bad=it was the disk", code=ROLLED_BACK)
        reasons = {reason["code"]: reason["why"] for reason in both["overridden"]["reasons"]}
        self.assertEqual(reasons, {"no-verdict": "a stand-in", "release-bad": "it was the disk"})

    def test_production_watches_for_half_a_minute_at_least(self) -> None:
        host.push({self.toml: self.environment_file("production")})
        for command in (self.deploying(self.stand_in(), 29), ["rollback", "--environment", self.environment, "--yes",
                                                              "--stabilize", "29"]):
            code, _, err = self.magellan(*command)
            self.assertEqual(code, USAGE, err)
            self.assertIn("error[bad-argument]", err)
        self.assertEqual(faults.requests, [])

    def test_old_releases_are_pruned_but_never_what_runs_or_ran_before(self) -> None:
        releases = [self.first()["release"]]
        releases += [self.second()["release"] for _ in range(3)]
        out = self.succeeds("prune", "--keep", "1")
        self.assertEqual(sorted(os.listdir(host.path(RELEASES))), sorted(releases[2:]))
        for release in releases[:2]:
            self.assertIn(f"pruned {release}", out)
        self.succeeds("status")
        self.assertEqual(self.rollback()["release"], releases[2])

    def test_the_summary_and_the_record_are_where_they_were_asked_for(self) -> None:
        more = ["--markdown", "summary.md", "--out", "records/of/this.json"]
        record = self.deploy(self.stand_in(), 2, *more)
        self.assertEqual(json.loads((host.work / "records/of/this.json").read_text()), record)
        failed = self.deploy(self.stand_in("silent"), 2, *more, code=ROLLED_BACK)
        text = (host.work / "summary.md").read_text()
        self.assertRegex(text, r"(?s)## ✅ deploy of .*Overridden.*## ❌ deploy of .*FAILED and rolled back")
        self.assertIn(failed["id"], text)
        # What can't be told isn't done.
        code, _, err = self.magellan(*self.deploying(self.stand_in("good", "x"), 2, "--markdown", "nowhere/x.md"))
        self.assertEqual((code, self.current()), (2, record["release"]), err)

    def test_values_never_reach_a_shell_unquoted(self) -> None:
        trap = host.path("/tmp/pwned")
        why = "a 'quoted' \"reason\" $(touch /tmp/pwned) `touch /tmp/pwned`; touch /tmp/pwned\nsecond line \\ & | * ~"
        record = self.deploy(None, 2, "--binary", str(self.stand_in()), "--override", f"no-verdict={why}",
                             "--who", "$(touch /tmp/pwned)'")
        self.assertFalse(trap.exists())
        for line in (record, self.history()[-1]):
            self.assertEqual(line["overridden"]["reasons"][0]["why"], why)


class Unwell(Deployed):
    """A release that isn't well is red, rolled back to the one before, and not chosen again."""

    def test_a_unit_that_crash_loops(self) -> None:
        self.is_rolled_back("crash", "ActiveState|NRestarts|didn't start")

    def test_a_unit_that_dies_after_20_seconds(self) -> None:
        record = self.is_rolled_back("dies_at_20s", "ActiveState|ExecMainPID|NRestarts", stabilize=30)
        self.assertTrue(record["health"][0]["journal"])

    def test_a_unit_that_writes_no_log(self) -> None:
        self.is_rolled_back("silent", "no log was written since it started: there is none|no log was written")

    def test_a_unit_whose_log_is_yesterdays(self) -> None:
        self.is_rolled_back("old_log", "no log was written since it started: the newest is")

    def test_a_unit_without_a_heartbeat_or_with_anothers(self) -> None:
        self.is_rolled_back("wrong_digest", "it runs 000000000000, expected")

    def test_a_burst_of_errors(self) -> None:
        self.is_rolled_back("errors", "errors in its log since it started")

    def test_a_unit_that_is_missing(self) -> None:
        good = self.first()
        self.change()

        def remove() -> None:
            if self.current() not in (None, good["release"]):
                host.sh(f"rm -f {UNITS}/{UNIT}.service; systemctl kill -s KILL {UNIT}; systemctl daemon-reload")

        # Once the new release is current, before it is observed.
        faults.on("PutObject", before(remove), skip=HEALTH_BEGINS, key=JOURNAL)
        record = self.deploy(self.stand_in(), 3, code=ROLLED_BACK)
        self.assertRegex(json.dumps(record["health"]), "LoadState|ActiveState")

    def test_a_first_release_that_fails_is_stopped(self) -> None:
        record = self.deploy(self.stand_in("silent"), 3, code=UNRESOLVED)
        self.assertEqual((record["outcome"]["outcome"], self.current()), ("stopped", None))
        self.assertEqual(self.property("ActiveState"), "inactive")


class ByHand(Deployed):
    """Rollbacks that somebody asks for, and what else becomes of releases that were left."""

    def test_rollback_by_hand_with_local_state_lost(self) -> None:
        first, second = self.first(), self.second()
        shutil.rmtree(host.work / "gate", ignore_errors=True)
        self.rollback()
        self.assertEqual(self.current(), first["release"])
        self.assertIn(first["commit"], self.trees())
        # The one that was left is not gone back to, unless it is named: it was never seen failing.
        self.refused("no-release", *self.going_back())
        self.rollback("--to", second["release"][:12])
        self.assertEqual(self.current(), second["release"])
        self.succeeds("status")

    def test_what_failed_here_is_not_gone_back_to(self) -> None:
        self.first()
        record = self.deploy(self.stand_in("silent"), 2, code=ROLLED_BACK)
        self.refused("no-release", *self.going_back("--to", record["release"][:12]))

    def test_what_runs_is_not_bad_for_having_been_tried_again(self) -> None:
        good = self.first()
        host.sh(f"systemctl stop {UNIT}; "
                f"printf '[Service]\\nExecStartPre=false\\n' > {UNITS}/{UNIT}.service.d/zz.conf; systemctl daemon-reload")
        record = self.deploy(self.stand_in(), code=UNRESOLVED)
        self.assertEqual((record["previous"][UNIT]["release"], record["release"]), (good["release"], good["release"]))
        host.sh(f"rm {UNITS}/{UNIT}.service.d/zz.conf; systemctl daemon-reload")
        self.deploy(self.stand_in())

    def test_a_strategy_is_retired(self) -> None:
        self.two_strategies()
        self.first()
        shutil.rmtree(host.work / "deployed" / OTHER)
        host.push({self.toml: self.environment_file()})
        self.second()
        self.assertEqual(self.property("LoadState", OTHER_UNIT), "not-found")
        self.succeeds("status")


class Misleading(Deployed):
    """Services that look well from afar."""

    def test_a_unit_that_crashes_a_second_after_it_was_ready(self) -> None:
        self.is_rolled_back("late_crash", "ActiveState is|it has ended meanwhile|NRestarts is")

    def test_a_unit_whose_phase_stays_starting(self) -> None:
        self.is_rolled_back("starting", "its heartbeat that it is starting")

    def test_a_unit_with_a_heartbeat_of_the_future(self) -> None:
        self.is_rolled_back("future", r"the heartbeat is of 3\d\d\d s from now")

    def test_a_unit_that_logs_worse_than_errors(self) -> None:
        self.is_rolled_back("fatal", "20 errors in its log since it started")

    def test_a_unit_that_floods_stderr(self) -> None:
        self.is_rolled_back("stderr_burst", r"\d+ lines on stderr that aren't in its log since it started")

    def test_a_unit_whose_log_cannot_be_counted(self) -> None:
        self.is_rolled_back("huge_log", "errors in its log couldn't be counted")

    def test_a_unit_whose_process_is_another_program(self) -> None:
        self.is_rolled_back("foreign_process", "its process runs the program .{12}, expected .{12}")

    def test_many_services_are_deployed_and_shown(self) -> None:
        """All strategies that the program has, and more facts than a command's output holds."""
        names = ["bear_trap", "daily_trend", "hourly_swing"]
        services = ", ".join(f'"magellan-{name.replace("_", "-")}"' for name in names)
        host.push(files_of(*names) | {self.toml: self.environment_file(services=services)})
        record = self.first()
        self.assertEqual(sorted(record["strategies"]), names)
        shown = json.loads(self.succeeds("status", "--json"))
        self.assertEqual([unit["faults"] for unit in shown["units"]], [[], [], []])
        # Noise packs badly: some 80 KB of it.
        strangers = [f"{RELEASES}/{secrets.token_hex(100)}" for _ in range(400)]
        host.sh(f"cd {RELEASES} && touch " + " ".join(os.path.basename(path) for path in strangers))
        code, out, err = self.here("status", "--json")
        self.assertEqual(code, REFUSED, err)
        drift = json.loads(out)["drift"]
        self.assertEqual(sorted(drift), sorted(f"{path} belongs to nothing that was rolled out" for path in strangers))
        self.assertEqual([unit["faults"] for unit in json.loads(out)["units"]], [[], [], []])


class Attacked(Deployed):
    """Whoever is the services' user, or was here before."""

    def as_service(self, script: str) -> int:
        return host.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "bash", "-c", script]).code

    def test_the_services_user_cannot_become_root(self) -> None:
        record = self.first()
        release, bound = f"{RELEASES}/{record['release']}", f"{BOUND}/{UNIT}"
        self.assertEqual(self.property("User"), USER)
        self.assertEqual(host.sh(f"id -nG {USER}").split(), [USER])
        for attempt in (f"mv {RELEASES} {RELEASES}.x", f"mv {ROOT} {ROOT}.x", f"mv {release} {release}.x",
                        f"chmod u+w {release}", f"echo >> {release}/magellan", f"rm -f {release}/checksums",
                        f"ln -sfn /tmp {bound}/current", f"mv {bound} {bound}.x", f"touch {bound}/x",
                        f"touch {COMMITS}/{self.commit}/x", f"touch {MIRROR}/x", f"mkdir {MIRROR}/hooks",
                        f"touch {UNITS}/magellan-x.service", f"touch {UNITS}/{UNIT}.service.d/x.conf",
                        f"touch {ETC}/trusted-keys", f"touch {DEPLOY_STATE}/x", f"ls {DEPLOY_STATE}",
                        f"mv {STATE}/{STRATEGY} {STATE}/x", "sudo -n true", "touch /run/magellan/x"):
            self.assertNotEqual(self.as_service(attempt), 0, attempt)
        # What it may do is of no use: links in its state lead root nowhere.
        host.write("/root/secret/bear_trap_20990101.jsonl", '{"message": "for root only"}\n')
        shadow = host.read("/etc/shadow")
        self.assertEqual(self.as_service(
            f"cd {STATE}/{STRATEGY} && rm -rf logs heartbeat.json* && ln -s /root/secret logs && "
            "ln -s /etc/shadow heartbeat.json && ln -s /etc/shadow heartbeat.json.new"), 0)
        said = [self.here("status", "--json"), self.here("health", "--json", "--stabilize", "1"),
                self.here("logs", "--strategy", STRATEGY)]
        for _, out, err in said:
            for secret in ("for root only", "root:", "daemon:"):
                self.assertNotIn(secret, out + err)
        self.as_service(f"cd {STATE}/{STRATEGY} && rm -f logs heartbeat.json heartbeat.json.new")
        self.second()
        self.assertEqual(host.read("/etc/shadow"), shadow)
        self.assertEqual(host.sh(f"find {ROOT} {ETC} {DEPLOY_STATE} ! -user root -o -type f -perm /0022"), "")

    def test_a_root_that_others_may_write_is_refused(self) -> None:
        first = self.first()
        self.change()
        for break_it, mend in ((f"chmod 0777 {ROOT}", f"chmod 0755 {ROOT}"),
                               (f"chown {USER} {ROOT}", f"chown root {ROOT}"), ("chmod 0777 /opt", "chmod 0755 /opt")):
            host.sh(break_it)
            got, out, err = self.magellan(*self.deploying(self.stand_in()))
            self.assertNotEqual(got, PASSED, break_it)
            self.assertRegex(out + err, "root-folder|unsafe|isn't a folder of root|writable by others")
            host.sh(mend)
            self.assertEqual(self.current(), first["release"])
        self.deploy(self.stand_in())

    def old_layout(self) -> None:
        """As a deploy left it that knew one user for everything."""
        host.make_checkout()
        release = "9" * 64
        host.write(f"{OLD_RELEASES}/{release}/magellan", "#!/bin/sh\nexec sleep 100000\n", 0o755)
        self.old = f"""[Unit]
Description=of old
[Service]
User={OLD_USER}
WorkingDirectory={CHECKOUT}
ExecStart={OLD_RELEASES}/current/magellan run --strategy {STRATEGY} --state-dir {STATE}/{STRATEGY}
Restart=always
StateDirectory=magellan/{STRATEGY}
[Install]
WantedBy=multi-user.target
"""
        host.write(f"{UNITS}/{UNIT}.service", self.old)
        host.write(f"{UNITS}/{UNIT}.service.d/magellan.conf", "[Service]\nEnvironment=OLD=yes\n")
        host.sh(f"ln -sfn {release} {OLD_RELEASES}/current; systemctl daemon-reload; systemctl enable --now {UNIT}")

    def is_of_old(self) -> None:
        self.assertEqual(host.read(f"{UNITS}/{UNIT}.service"), self.old)
        self.assertEqual([self.property(name) for name in ("ActiveState", "User", "UnitFileState")],
                         ["active", OLD_USER, "enabled"])
        self.assertIn("OLD=yes", self.property("Environment"))

    def test_a_good_first_deploy_replaces_the_old_layout(self) -> None:
        self.old_layout()
        code, out, err = self.here("status")
        self.assertEqual(code, REFUSED, out + err)
        self.assertIn("units run from releases below a user's home", out)
        self.is_of_old()
        code, out, err = self.magellan(*self.deploying(self.stand_in(), 2, "--dry-run"))
        self.assertEqual(code, PASSED, err)
        self.assertIn("a unit of this name was installed by a Magellan of another layout", err)
        self.first()
        self.assertEqual(self.property("User"), USER)
        self.assertEqual(host.sh(f"stat -c %U {STATE}/{STRATEGY}").strip(), USER)
        self.succeeds("status")
        self.assertTrue(host.exists(f"{OLD_RELEASES}/current"), "nothing below /home is removed")
        self.second()

    def test_a_first_deploy_that_isnt_well_hands_back_the_old_layout(self) -> None:
        self.old_layout()
        for mode in ("silent", "crash", "foreign_process"):
            code, out, err = self.magellan(*self.deploying(self.stand_in(mode), 4))
            self.assertEqual(code, RESTORED, out + err)
            self.assertIn(f"FAILED; what was there before runs again: {UNIT}", out)
            self.is_of_old()
        # And a good one may follow.
        self.first()

    def test_a_unit_that_somebody_made_is_said_and_kept(self) -> None:
        host.write(f"{UNITS}/{UNIT}.service", "[Service]\nExecStart=sleep 9999\n[Install]\nWantedBy=basic.target\n")
        host.sh(f"systemctl daemon-reload; systemctl enable --now {UNIT}")
        code, _, err = self.magellan(*self.deploying(self.stand_in(), 2, "--dry-run"))
        self.assertEqual(code, PASSED, err)
        self.assertIn("a unit of this name was installed by hand", err)
        record = self.deploy(self.stand_in("silent"), 2, code=RESTORED)
        self.assertEqual(record["outcome"], {"outcome": "stopped", "restored": [UNIT]})
        self.assertIn("sleep 9999", host.read(f"{UNITS}/{UNIT}.service"))
        self.assertEqual([self.property(name) for name in ("ActiveState", "UnitFileState")], ["active", "enabled"])

    def test_what_the_services_user_did_to_its_state_fails_no_deploy(self) -> None:
        self.first()
        for number, spoil in enumerate(("rm -rf logs; echo x > logs", "chmod 000 logs", "chmod 500 .",
                                        "rm -rf logs heartbeat.json; mkdir logs heartbeat.json; mkfifo logs/x.jsonl",
                                        "rm -rf logs; ln -s /etc logs")):
            with self.subTest(spoil):
                host.sh(f"cd {STATE}/{STRATEGY} && runuser -u magellan -- bash -c '{spoil}'")
                self.deploy(self.stand_in("good", str(number)))

    def test_two_environments_on_one_host_are_refused(self) -> None:
        record = self.first()
        mine, history = self.environment, self.history()
        self.environment = "another-environment"
        host.push({self.toml: self.environment_file()})
        self.assertIn(mine, self.refused_deploy("wrong-target", self.stand_in("good", "another")))
        self.refused("wrong-target", *self.going_back())
        code, out, _ = self.here("status")
        self.assertEqual(code, REFUSED)
        self.assertIn(f"the host belongs to the environment `{mine}`", out)
        for command in (["prune", "--keep", "1"], ["doctor", "host"], ["doctor", "host", "--fix", "--yes"]):
            self.assertNotEqual(self.here(*command)[0], PASSED, command)
        self.environment = mine
        self.assertEqual((self.current(), self.history()), (record["release"], history))
        self.succeeds("status")


class Drift(Deployed):
    """Whatever differs on the host from what was rolled out."""

    def drifts(self, *found: str) -> None:
        code, out, err = self.here("status")
        self.assertEqual(code, REFUSED, f"not seen: {found}\n{out}\n{err}")
        self.assertIn("error[drift]", err)
        for what in found:
            self.assertRegex(out, what)

    def test_drift_is_seen_and_a_deploy_mends_what_is_magellans(self) -> None:
        self.first()
        host.sh(f"echo '# edited' >> {UNITS}/{UNIT}.service; echo edited >> {COMMITS}/{self.commit}/README.md; "
                f"printf '[Service]\\nNice=5\\n' > {UNITS}/{UNIT}.service.d/zz.conf; systemctl daemon-reload")
        self.drifts("its unit file isn't the release's", "tree of commit .* was altered: README.md", "zz.conf changes it")
        self.deploy(self.stand_in("good", "another"))
        # What is somebody's stays, and is still told.
        code, out, _ = self.here("status")
        self.assertEqual((code, re.findall("DRIFT: (.*)", out)),
                         (REFUSED, [f"{UNIT}: {UNITS}/{UNIT}.service.d/zz.conf changes it",
                                    f"{UNITS}/{UNIT}.service.d/zz.conf belongs to nothing that was rolled out"]))

    def test_files_units_and_drop_ins(self) -> None:
        record = self.first()
        release, bound = f"{RELEASES}/{record['release']}", f"{BOUND}/{UNIT}/{'-'.join(self.bound())}"
        unit, drop_in = f"{UNITS}/{UNIT}.service", f"{UNITS}/{UNIT}.service.d/magellan.conf"
        kept, runtime = "/root/kept", "/run/systemd/system"
        reload = "systemctl daemon-reload"
        replace = "cp -a {0} " + kept + "; cp -a {0} {0}.new; echo '# x' >> {0}.new; mv {0}.new {0}; " + reload
        bring_back = f"mv {kept} {{0}}; {reload}"
        cases = {
            "release .* was altered: magellan": (replace.format(f"{release}/magellan"),
                                                 bring_back.format(f"{release}/magellan")),
            "release .* was altered: checksums|holds other than what the store has": (
                replace.format(f"{release}/checksums"), bring_back.format(f"{release}/checksums")),
            r"release .* was altered: .*mode": (f"chmod 0755 {release}/magellan; chmod 4555 {release}/magellan",
                                               f"chmod 0555 {release}/magellan"),
            r"release .* was altered: .*owner": (f"chown {USER} {release}/magellan", f"chown root {release}/magellan"),
            r"release .* was altered: .*extra": (f"touch {release}/extra; chmod 0444 {release}/extra",
                                                f"rm -f {release}/extra"),
            "its unit file isn't the release's": (replace.format(unit), bring_back.format(unit)),
            "its drop-in isn't the release's": (replace.format(drop_in), bring_back.format(drop_in)),
            "what is started when it fails, or each night, isn't the release's": (
                replace.format(f"{UNITS}/magellan-failed@.service"), bring_back.format(f"{UNITS}/magellan-failed@.service")),
            f"{UNIT}: .*binding": (replace.format(f"{bound}/binding.json"),
                                                 bring_back.format(f"{bound}/binding.json")),
            "system.control/.*CPUWeight.conf changes it": (
                f"systemctl set-property --runtime {UNIT} CPUWeight=50",
                f"rm -rf /run/systemd/system.control/{UNIT}.service.d; {reload}"),
            f"{runtime}/.*override.conf changes it": (
                f"mkdir -p {runtime}/{UNIT}.service.d; printf '[Service]\\nEnvironment=A=b\\n' > "
                f"{runtime}/{UNIT}.service.d/override.conf; {reload}", f"rm -r {runtime}/{UNIT}.service.d; {reload}"),
            # A drop-in for all units of a name's beginning.
            "magellan-.service.d/all.conf changes it": (
                f"mkdir {UNITS}/magellan-.service.d; printf '[Service]\\nNice=5\\n' > "
                f"{UNITS}/magellan-.service.d/all.conf; {reload}", f"rm -r {UNITS}/magellan-.service.d; {reload}"),
            "User is `root`, expected `magellan`": (
                f"mkdir -p {runtime}/{UNIT}.service.d; printf '[Service]\\nUser=root\\n' > "
                f"{runtime}/{UNIT}.service.d/override.conf; {reload}", f"rm -r {runtime}/{UNIT}.service.d; {reload}"),
            "NeedDaemonReload is `yes`": (f"touch {unit}", reload),
            f"{RELEASES}/stranger belongs to nothing": (f"touch {RELEASES}/stranger", f"rm {RELEASES}/stranger"),
            f"{UNITS}/magellan-x.service belongs to nothing": (f"touch {UNITS}/magellan-x.service",
                                                              f"rm {UNITS}/magellan-x.service"),
            "tree of commit .* was altered: README.md": (
                replace.format(f"{COMMITS}/{self.commit}/README.md"), bring_back.format(f"{COMMITS}/{self.commit}/README.md")),
            "tree of commit .* was altered: no tree": (f"mv {COMMITS}/{self.commit} {kept}", f"mv {kept} {COMMITS}/{self.commit}"),
        }
        self.succeeds("status")
        for found, (alter, undo) in cases.items():
            with self.subTest(found):
                host.sh(alter)
                try:
                    self.drifts(found)
                finally:
                    host.sh(undo)
                self.succeeds("status")

    def test_a_process_that_isnt_the_releases(self) -> None:
        """The file is right again, and another program runs."""
        record = self.first()
        program = f"{RELEASES}/{record['release']}/magellan"
        host.write("/root/other", bad_service.binary("good", "another"), 0o555)
        host.sh(f"mv {program} /root/kept; mv /root/other {program}; systemctl restart {UNIT}; "
                f"mv {program} /root/other; mv /root/kept {program}")
        code, out, err = self.here("status")
        self.assertEqual(code, UNWELL, out + err)
        self.assertRegex(out, "its process runs the program .{12}, expected .{12}")
        self.assertEqual(self.here("health", "--stabilize", "1")[0], UNWELL)
        # A deploy of the same starts it anew.
        self.deploy(self.stand_in())
        self.succeeds("status")

    def test_histories_that_differ(self) -> None:
        self.first(), self.second()
        records, index = f"{DEPLOY_STATE}/records", f"index/{self.environment}/2.json"
        names = sorted(host.sh(f"ls {records}").split())
        kept = emulator.get(index)
        self.succeeds("status")
        forge = f"sed -i 's/\"running\"/\"untouched\"/' {records}/{names[-1]}"
        line = "{\"id\":\"forged\",\"outcome\":{\"outcome\":\"running\"}}"
        number = int(names[-1].split("-")[0]) + 1
        added = f"{number:010}-{hashlib.sha256(line.encode()).hexdigest()}"
        cases = {
            "a forged line": (forge, "the host's history of .* isn't what the store has on record"),
            "a forged line under its own name": (
                f"{forge}; f=$(head -n1 {records}/{names[-1]} | tr -d '\\n' | sha256sum | cut -c1-64); "
                f"mv {records}/{names[-1]} {records}/{names[-1].split('-')[0]}-$f",
                "the host's history of .* isn't what the store has on record"),
            "an added line": (f"echo '{line}' > {records}/{added}", "the host remembers the rollout forged"),
            "the last line removed": (f"rm {records}/{names[-1]}", "the host's history lacks the rollout"),
            "all lines removed": (f"rm {records}/*", "the host's history lacks the rollout"),
        }
        for name, (alter, found) in cases.items():
            with self.subTest(name):
                host.sh(f"cp -a {records} /root/records; {alter}")
                try:
                    self.drifts(found)
                finally:
                    host.sh(f"rm -rf {records}; mv /root/records {records}")
        with self.subTest("an index that lacks the rollout"):
            rollouts = json.loads(kept)["rollouts"]
            emulator.put(index, json.dumps({"rollouts": rollouts[:-1]}).encode())
            self.drifts("the host remembers the rollout .*, the store doesn't", "which no rollout on record brought")
            emulator.put(index, kept)
        self.succeeds("status")


class Timely(Deployed):
    """When an environment may be changed, by a deploy or a rollback."""

    # A Tuesday at eleven in New York.
    OPEN = datetime.datetime(2026, 3, 10, 15, tzinfo=datetime.timezone.utc)

    def env(self, **environment: str) -> None:
        host.push({self.toml: self.environment_file(**environment)})

    def until(self, moment: datetime.datetime) -> float:
        return moment.timestamp() - time.time()

    def closed(self) -> float:
        """Seconds until a Saturday at noon."""
        now = datetime.datetime.now(datetime.timezone.utc)
        saturday = now.replace(hour=16, minute=0) + datetime.timedelta(days=(5 - now.weekday()) % 7 or 7)
        return self.until(saturday)

    def with_the_hosts_clock(self, seconds: float) -> None:
        """The deployer's clock is ahead: so is what the host says of its own before a rollout."""
        def edit(said: dict) -> dict:
            first, facts, *rest = said["StandardOutputContent"].splitlines()
            *words, chunk = facts.split(" ")
            lines = gzip.decompress(base64.b64decode(chunk)).decode()
            lines = re.sub(r"(?m)^now=(.*)$", lambda now: f"now={float(now[1]) + seconds:.3f}", lines)
            facts = " ".join([*words, base64.b64encode(gzip.compress(lines.encode())).decode()])
            return said | {"StandardOutputContent": "\n".join([first, facts, *rest]) + "\n"}

        faults.command("preflight", edited(edit), times=ALWAYS)

    def test_nothing_is_changed_on_a_blackout_date(self) -> None:
        first, second = self.first(), self.second()
        now = datetime.datetime.now(zoneinfo.ZoneInfo("America/New_York"))
        dates = [now + datetime.timedelta(days=days) for days in (-1, 0, 1)]
        self.env(blackout=", ".join(f'"{date:%Y-%m-%d}"' for date in dates))
        self.change()
        # The reason for one refusal isn't one for the other.
        said = self.refused_deploy("deploy-untimely", self.stand_in())
        self.assertIn("is one of the blackout dates", said)
        self.refused("deploy-untimely", *self.going_back())
        why = ["--override", "deploy-untimely=it loses money"]
        record = self.rollback(*why, "--who", "bob")
        self.assertEqual((self.current(), record["overridden"]["who"]), (first["release"], "bob"))
        self.assertIn("OVERRIDDEN by bob: deploy-untimely: it loses money", self.succeeds("status"))
        record = self.deploy(self.stand_in(), 2, *why)
        self.assertEqual([reason["code"] for reason in record["overridden"]["reasons"]],
                         ["no-verdict", "deploy-untimely"])
        self.assertNotEqual(self.current(), second["release"])

    def test_nothing_is_changed_while_the_market_is_open(self) -> None:
        self.first(), self.second()
        self.env(when="market-closed")
        clock = ahead(self.until(self.OPEN))
        self.assertIn("the market is open until", self.refused_deploy("deploy-untimely", self.stand_in("good", "x"), **clock))
        self.assertIn("the market is open until", self.refused("deploy-untimely", *self.going_back(), **clock))

    def test_nothing_that_holds_positions_is_restarted(self) -> None:
        holding = self.stand_in("positions")
        self.deploy(holding)
        self.deploy(self.stand_in("positions", "second"))
        self.env(when="market-closed")
        host.write(f"{STATE}/{STRATEGY}/positions", "2")
        time.sleep(3)
        seconds = self.closed()
        clock = ahead(seconds)
        third = self.stand_in("positions", "third")
        said = "holds positions: 2 (its heartbeat, "
        self.assertIn(said, self.refused_deploy("deploy-untimely", third, **clock))
        self.assertIn(said, self.refused("deploy-untimely", *self.going_back(), **clock))
        # The same again restarts nothing.
        self.with_the_hosts_clock(seconds)
        pid = self.property("ExecMainPID")
        self.deploy(self.stand_in("positions", "second"), **clock)
        self.assertEqual(self.property("ExecMainPID"), pid)
        record = self.deploy(third, 2, "--override", "deploy-untimely=the broker says flat", **clock)
        self.assertEqual(self.current(), record["release"])

    def test_positions_are_asked_again_at_the_switch(self) -> None:
        first = self.deploy(self.stand_in("positions"))
        self.env(when="market-closed")
        seconds = self.closed()
        self.with_the_hosts_clock(seconds)

        def buy() -> None:
            host.write(f"{STATE}/{STRATEGY}/positions", "1")
            time.sleep(3)

        faults.on("PutObject", before(buy), skip=ACTIVATE_BEGINS, key=JOURNAL)
        new = self.stand_in("positions", "new")
        record = self.deploy(new, code=UNTOUCHED, **ahead(seconds))
        self.faults_came()
        self.assertIn("holds positions: 1", json.dumps(record["steps"]))
        self.assertEqual((record["outcome"]["outcome"], self.current()), ("untouched", first["release"]))
        # That says nothing of the release.
        host.write(f"{STATE}/{STRATEGY}/positions", "0")
        time.sleep(3)
        self.deploy(new, **ahead(seconds))


class OneAtATime(Deployed):
    def holding(self, skip: int = 0, key: str = JOURNAL) -> tuple[threading.Event, threading.Event]:
        """Holds a deployer at a write: it is there, and it may go on."""
        held, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            go_on.wait(60)

        faults.on("PutObject", before(wait), skip=skip, key=key)
        return held, go_on

    def test_of_two_one_proceeds_and_the_other_names_it(self) -> None:
        binary = self.stand_in()
        held, go_on = self.holding(key="bundles/")
        one = self.start(*self.deploying(binary), "--json")
        self.assertTrue(held.wait(60))
        code, _, err = self.magellan(*self.deploying(binary), USER="bob")
        go_on.set()
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[deploy-locked]", err)
        self.assertIn(f"process {one.pid}", err)
        self.rolled(PASSED, *self.ended(one))

    def test_one_that_was_taken_over_can_do_nothing_more(self) -> None:
        self.first()
        self.change()
        held, go_on = self.holding(ACTIVATE_BEGINS)
        one = self.start(*self.deploying(self.stand_in()))
        self.assertTrue(held.wait(60))
        record = self.resume("--take-over")
        go_on.set()
        code, _, err = self.ended(one)
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[lock-lost]", err)
        self.holds(record)

    def test_a_host_that_changed_since_it_was_planned_is_planned_again(self) -> None:
        self.first()
        self.change()
        binary, other = self.stand_in(), []

        def deploy_another() -> None:
            other.append(self.magellan(*self.deploying(self.stand_in("good", "another"))))

        faults.on("GetObject", before(deploy_another), key="lock/")
        code, _, err = self.magellan(*self.deploying(binary))
        self.assertEqual(other[0][0], PASSED, other)
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[plan-outdated]", err)
        self.deploy(binary)

    def test_the_lease_is_renewed_while_services_are_watched(self) -> None:
        """So that a deployer whose clock is ahead takes nothing over."""
        one = self.start(*self.deploying(self.stand_in(), 30), "--json")
        self.assertTrue(eventually(lambda: self.current() and self.property("ActiveState") == "active"))
        time.sleep(5)
        renewed, before = {self.lock()["renewed"]}, self.lock()
        code, _, err = self.here("deploy", "resume", USER="bob", **ahead(1200))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[deploy-locked]", err)
        self.refused_deploy("deploy-locked", self.stand_in(), **ahead(1200))
        self.assertTrue(eventually(lambda: renewed.add(self.lock()["renewed"]) or len(renewed) > 2))
        self.assertEqual(self.lock()["generation"], before["generation"])
        self.rolled(PASSED, *self.ended(one))

    def test_a_lease_is_renewed_while_it_is_rolled_back(self) -> None:
        self.first()
        renewed, rolling_back = set(), threading.Event()

        def look(request: Request, forward):
            if request.path.endswith(f"lock/host/{NAME}.json"):
                if rolling_back.is_set():
                    renewed.add(json.loads(request.body)["renewed"])
            elif b'"health_after_rollback"' in request.body:
                rolling_back.set()
            return forward()

        faults.on("PutObject", look, times=ALWAYS)
        self.deploy(self.stand_in("crash"), 25, code=ROLLED_BACK)
        self.assertGreater(len(renewed), 2)


class Killed(Deployed):
    """kill -9, at every write."""

    def test_a_kill_after_any_step_is_gone_on_with(self) -> None:
        """kill -9 at every write of journal, index and audit record, before or after it is done."""
        previous, killed = self.first()["release"], 0
        while True:
            self.change()
            hook = after if killed % 2 else instead
            code, _ = self.unfinished(killed, hook=hook, key=WRITES, expected=(-signal.SIGKILL, PASSED))
            if code == PASSED:
                break
            self.assertIn(self.current(), [previous, *os.listdir(host.path(RELEASES))])
            self.assertTrue(self.complete(self.current()))
            record = self.converges(PASSED, UNTOUCHED)
            if record:
                staged = any(step["step"] == "stage" and step["ok"] for step in record["steps"])
                self.assertIn(record["outcome"]["outcome"], ("running",) if staged else ("running", "untouched"))
                self.succeeds("status")
            previous = self.current()
            killed += 1
        # Begun, five steps, the outcome, the record's two; index and audit.
        self.assertGreaterEqual(killed, 16)

    def test_a_kill_while_the_lock_is_taken_or_given_back(self) -> None:
        first = self.first()
        taken = lambda request: b'"released": false' in request.body
        given = lambda request: b'"released": true' in request.body
        for where in (taken, given):
            for hook in (instead, after):
                self.change()
                self.unfinished(0, hook=hook, key="/lock/", where=where)
                self.assertTrue(self.complete(self.current()))
                record = self.converges(PASSED)
                self.assertEqual(record is not None, where is given and hook is instead)
                self.succeeds("status")
        self.assertNotEqual(self.current(), first["release"])
        self.second()


class KilledWhileFailing(Deployed):
    def test_a_kill_while_it_fails_is_gone_on_with(self) -> None:
        """kill -9 at the writes from the switch on, of a release that isn't well or doesn't start."""
        good, writes = self.first(), ACTIVATE_BEGINS
        while True:
            self.change()
            binary = self.stand_in("crash" if writes % 4 < 2 else "silent", str(writes))
            hook = after if writes % 3 else instead
            code, _ = self.unfinished(writes, binary, hook, WRITES, expected=(-signal.SIGKILL, ROLLED_BACK))
            if code == ROLLED_BACK:
                break
            self.assertTrue(self.complete(self.current()))
            self.converges(ROLLED_BACK)
            self.assertEqual(self.current(), good["release"])
            writes += 1
        self.assertGreaterEqual(writes, 19)


class Abandoned(Deployed):
    """Rollouts that nobody goes on with, until somebody does."""

    def test_a_dead_rollout_is_told_and_gone_on_with(self) -> None:
        self.first()
        self.change()
        self.unfinished(STAGE_BEGINS)
        code, out, err = self.here("status")
        self.assertEqual(code, REFUSED, out + err)
        self.assertIn("error[abandoned]", err)
        self.assertRegex(out, "UNFINISHED: .* step stage|UNFINISHED: .* step preflight")
        self.assertIn("nobody goes on with it: `magellan deploy resume`", out)
        self.refused_deploy("deploy-locked", self.stand_in())
        self.resume("--if-unfinished")
        self.succeeds("status")
        # As the last step of a workflow asks, whatever became of it.
        self.assertIn(f"no rollout of {self.environment} is unfinished", self.succeeds("deploy", "resume", "--if-unfinished"))
        self.refused("nothing-to-resume", "deploy", "resume")

    def test_a_dead_rollout_of_another_machine_is_taken_over_once_it_was_silent(self) -> None:
        self.first()
        self.change()
        self.unfinished(STAGE_BEGINS)
        emulator.put(f"lock/host/{NAME}.json", json.dumps(self.lock() | {"owner": "bob@elsewhere process 1"}).encode())
        code, out, err = self.here("status")
        self.assertEqual(code, REFUSED, out + err)
        self.assertIn("error[abandoned]", err)
        began = time.monotonic()
        self.resume()
        self.assertGreater(time.monotonic() - began, 100)

    def test_a_rollout_that_is_asked_to_end_ends_at_a_steps_boundary(self) -> None:
        for number, (name, moment) in enumerate({"stage": STAGE_BEGINS, "health": HEALTH_BEGINS}.items()):
            self.change()
            faults.clear()
            process = None
            faults.on("PutObject", after(lambda: process.send_signal((signal.SIGTERM, signal.SIGINT)[number])),
                      skip=moment, key=JOURNAL)
            process = self.start(*self.deploying(self.stand_in(), 60))
            began = time.monotonic()
            code, out, err = self.ended(process)
            self.assertEqual(code, UNRESOLVED, out + err)
            self.assertLess(time.monotonic() - began, 45)
            self.assertIn("error[interrupted]", err)
            self.assertIn("unfinished; `magellan deploy resume` goes on", out)
            self.assertEqual((self.lock()["left"], self.lock()["released"]), (True, False))
            code, out, err = self.here("status")
            self.assertEqual(code, REFUSED, out + err)
            self.assertIn("nobody goes on with it", out)
            # Nobody needs to wait for what was left; its window is as long as it was.
            faults.clear()
            key = f"deploys/{self.environment}/{self.lock()['deploy']}.json"
            emulator.put(key, json.dumps(json.loads(emulator.get(key)) | {"stabilize": 2}).encode())
            began = time.monotonic()
            self.resume()
            self.assertLess(time.monotonic() - began, 60)
            self.succeeds("status")

    def test_a_resume_is_never_stale(self) -> None:
        self.first()
        self.change()
        self.unfinished(ACTIVATE_BEGINS)
        host.write(f"{DEPLOY_STATE}/generation", "7000123\n")
        self.resume()
        self.succeeds("status")
        self.second()


class Faulty(Deployed):
    """Whatever the store does, the host is on one complete release and the summary tells which."""

    def test_a_store_that_answers_403_for_what_is_missing(self) -> None:
        faults.on("*", forbidden_if_missing, times=ALWAYS)
        self.first()
        self.second()

    def test_errors_that_pass(self) -> None:
        # Apart from each other, so that none hides another: two in a row, then one that goes through.
        for number, fault in enumerate((s3_error(500, "InternalError"), s3_error(503, "SlowDown"),
                                        s3_error(409, "ConditionalRequestConflict"))):
            faults.on("PutObject", fault, times=2, skip=1 + 4 * number, key=WRITES)
            faults.on("PutObject", fault, times=2, skip=4 * number, key="/lock/")
        faults.on("GetObject", s3_error(500, "InternalError"), times=2)
        faults.on("GetObject", s3_error(503, "SlowDown"), times=2, skip=3)
        faults.on("HeadObject", s3_error(503, "SlowDown"), times=2)
        for number, operation in enumerate(("facts", "stage", "activate", "record")):
            faults.on("SendCommand", json_error("ThrottlingException"), times=2, where=runs(operation))
        faults.on("GetCommandInvocation", json_error("InvocationDoesNotExist"), times=3)
        faults.on("GetCommandInvocation", json_error("ThrottlingException"), times=2, skip=6)
        faults.on("DescribeInstanceInformation", json_error("ThrottlingException"), times=2)
        self.first()
        self.faults_came()

    def test_a_lock_that_is_written_on_a_conflict(self) -> None:
        """409 to each condition, once: it is asked again, not taken for somebody else's."""
        faults.on("PutObject", s3_error(409, "ConditionalRequestConflict"), key="/lock/",
                  where=lambda request: b'"released": true' in request.body)
        faults.on("PutObject", s3_error(409, "ConditionalRequestConflict"), key="/audit/")
        faults.on("PutObject", s3_error(409, "ConditionalRequestConflict"), key="/index/")
        self.first()
        self.faults_came()
        self.succeeds("status")

    def test_answers_of_the_store_that_are_lost(self) -> None:
        """Done, and nobody hears of it: one's own write is found again."""
        unheard = lambda request, forward: forward() and None
        for skip in (0, 3, 6, 9, 12):
            faults.on("PutObject", unheard, skip=skip, key=WRITES)
        for key in ("/lock/", "/index/", "/audit/", "/bundles/"):
            faults.on("PutObject", unheard, key=key)
        self.first()
        self.faults_came()

    def test_a_store_that_fails_for_good_leaves_it_to_resume(self) -> None:
        first = self.first()
        self.change()
        faults.on("PutObject", s3_error(500, "InternalError"), times=ALWAYS, skip=ACTIVATE_ENDS, key=JOURNAL)
        code, out, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("unfinished", out)
        self.faults_came()
        self.assertTrue(self.complete(self.current()))
        faults.clear()
        self.resume()
        self.assertNotEqual(self.current(), first["release"])

    def test_a_record_that_cannot_be_kept_is_no_success(self) -> None:
        for key in ("/index/", "/audit/"):
            faults.clear()
            faults.on("PutObject", s3_error(500, "InternalError"), times=ALWAYS, key=key)
            self.change()
            code, out, err = self.magellan(*self.deploying(self.stand_in()))
            self.assertEqual(code, UNRESOLVED, err)
            self.assertIn("error[unfinished]", err)
            faults.clear()
            self.resume()
            self.assertIn("running", self.succeeds("releases"))
            self.succeeds("status")

    def test_a_bundle_that_is_damaged_on_the_way(self) -> None:
        self.first()
        self.change()
        faults.on("GetObject", flip_byte, times=ALWAYS, key="bundles/")
        record = self.deploy(self.stand_in(), code=UNTOUCHED)
        self.assertIn("digest", json.dumps(record["steps"]))


class Commands(Deployed):
    """Whatever becomes of a command: the host is on one complete release and the summary tells which."""

    def test_commands_that_are_never_delivered(self) -> None:
        """Once each, whichever it is: they are sent again."""
        operations = ("facts", "preflight", "stage", "activate", "record")
        for number, operation in enumerate(operations):
            faults.undelivered(*(("TimedOut", "DeliveryTimedOut") if number % 2 else ()), operation=operation)
        self.first()
        self.faults_came()

    def test_a_change_that_is_never_delivered_changes_nothing(self) -> None:
        first = self.first()
        self.change()
        binary = self.stand_in()
        for operation in ("stage", "activate"):
            faults.clear()
            # Sent three times, each of three times.
            rules = [faults.undelivered("TimedOut", "DeliveryTimedOut", operation=operation)]
            rules += [faults.undelivered(operation=operation, skip=number) for number in range(1, 9)]
            code, out, err = self.magellan(*self.deploying(binary, 2, "--json"))
            self.assertEqual([rule.used for rule in rules], [1] * 9)
            self.assertEqual(self.current(), first["release"])
            if operation == "stage":
                self.assertEqual((code, json.loads(out)["outcome"]["outcome"]), (UNTOUCHED, "untouched"), err)
            else:
                self.assertEqual((code, json.loads(out)["outcome"]["outcome"]), (ROLLED_BACK, "rolled_back"), err)
            self.holds(json.loads(out))
            self.succeeds("status")
        faults.clear()
        # Nobody saw the release failing.
        self.deploy(binary)

    def test_a_command_that_is_never_delivered_before_anything_began(self) -> None:
        self.first()
        self.change()
        for number in range(3):
            faults.undelivered("TimedOut", "DeliveryTimedOut", skip=number)
        code, _, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("error[host-silent]", err)
        self.faults_came()

    def test_a_switch_whose_answer_is_lost_once_goes_on(self) -> None:
        first = self.first()
        self.change()
        for operation in ("stage", "activate", "record"):
            faults.command(operation, lost)
        record = self.deploy(self.stand_in())
        self.faults_came()
        self.assertNotEqual(record["release"], first["release"])

    def test_a_switch_whose_answer_is_always_lost_does_not_bar_the_release(self) -> None:
        first = self.first()
        self.change()
        binary = self.stand_in()
        rule = faults.command("activate", lost, times=3)
        record = self.deploy(binary, code=ROLLED_BACK)
        self.assertEqual((record["outcome"]["outcome"], rule.used), ("rolled_back", 3))
        # Even if the way back is lost, too.
        faults.clear()
        faults.command("activate", lost, times=ALWAYS)
        code, out, err = self.magellan(*self.deploying(binary, 2, "--json"))
        self.assertEqual((code, json.loads(out)["outcome"]["outcome"]), (UNRESOLVED, "unresolved"), out + err)
        self.faults_came()
        self.assertEqual(self.current(), first["release"])
        self.assertTrue(self.complete(self.current()))
        faults.clear()
        self.deploy(binary)
        self.succeeds("status")

    def test_more_output_than_ssm_keeps(self) -> None:
        """The answer comes first, so that what is cut off isn't it."""
        faults.on("GetCommandInvocation", noisy(after="x" * 30_000), times=ALWAYS)
        self.first()

    def test_output_that_isnt_the_scripts_is_no_answer(self) -> None:
        faults.on("GetCommandInvocation", noisy(before="x" * 30_000), times=ALWAYS)
        code, _, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("error[host-silent]", err)

    def test_garbled_answers_of_changes(self) -> None:
        """Once each: they are asked again. Always: what is there is seen, and what was there comes back."""
        first = self.first()
        self.change()
        for operation in ("stage", "activate", "record"):
            faults.command(operation, noisy(before="Warning: "))
        record = self.deploy(self.stand_in())
        self.faults_came()
        self.change()
        faults.clear()
        faults.command("activate", noisy(before="Warning: "), times=3)
        again = self.deploy(self.stand_in(), code=ROLLED_BACK)
        self.faults_came()
        self.assertEqual(again["outcome"], {"outcome": "rolled_back", "to": record["release"]})
        self.assertNotEqual(record["release"], first["release"])

    def test_a_half_of_an_answer_is_none(self) -> None:
        former = self.first()
        self.change()
        cut = edited(lambda said: said | {"StandardOutputContent": said["StandardOutputContent"][:-20]})
        faults.command("preflight", cut)
        record = self.deploy(self.stand_in(), code=UNTOUCHED)
        self.faults_came()
        self.assertIn("facts can't be read", json.dumps(record["steps"]))
        self.assertEqual(self.current(), former["release"])
        faults.clear()
        for operation in ("stage", "activate", "record"):
            faults.command(operation, cut)
        self.deploy(self.stand_in())
        self.faults_came()


class Disk(Deployed):
    """No room, and no time, at whatever step."""

    def test_a_disk_that_is_full(self) -> None:
        self.first()
        self.change()
        for disk, kib in (("releases", 64), ("system", 0)):
            host.fill_disk(disk, kib)
            record = self.deploy(self.stand_in("good", disk), code=UNTOUCHED)
            self.assertRegex(json.dumps(record["steps"]), "disk|room|space")
            host.free_disk()
        self.deploy(self.stand_in())

    def test_a_disk_that_fills_after_the_preflight(self) -> None:
        """At the beginning of each step that writes; then there is room, and the same is deployed."""
        self.first()
        for moment, disk, kib in ((STAGE_BEGINS, "releases", 0), (STAGE_BEGINS, "releases", 200),
                                  (STAGE_BEGINS, "releases", 1500), (STAGE_BEGINS, "system", 0),
                                  (ACTIVATE_BEGINS, "releases", 0), (ACTIVATE_BEGINS, "system", 0)):
            with self.subTest(moment=moment, disk=disk, kib=kib):
                former = self.current()
                self.change()
                faults.clear()
                faults.on("PutObject", before(lambda: host.fill_disk(disk, kib)), skip=moment, key=JOURNAL)
                code, out, err = self.magellan(*self.deploying(self.stand_in(), 2, "--json"))
                self.faults_came()
                host.free_disk()
                faults.clear()
                self.assertIn(code, (PASSED, UNTOUCHED, UNRESOLVED), out + err)
                if code == UNRESOLVED:
                    self.resume(code=self.here("status")[0] and UNTOUCHED)
                self.assertTrue(self.complete(self.current()))
                if code == UNTOUCHED:
                    self.assertEqual(self.current(), former)
                    self.assertRegex(json.dumps(json.loads(out)["steps"]), "disk|room|space")
                self.deploy(self.stand_in())
                self.succeeds("status")

    def test_a_disk_that_fills_after_the_switch(self) -> None:
        """Services that can't write aren't well; whatever became of it, a host with room can be deployed to."""
        self.first()
        self.change()
        faults.on("PutObject", before(lambda: host.fill_disk("system")), skip=HEALTH_BEGINS, key=JOURNAL)
        code, out, err = self.magellan(*self.deploying(self.stand_in(), 4))
        self.faults_came()
        self.assertIn(code, (ROLLED_BACK, UNRESOLVED), out + err)
        self.assertTrue(self.complete(self.current()))
        host.free_disk()
        faults.clear()
        self.here("deploy", "resume", "--if-unfinished")
        self.deploy(self.stand_in("good", "next"))
        self.succeeds("status")

    def kill_git(self, whole: bool) -> None:
        """In the machine, once git is at work there; the script that started it, too."""
        script = "pkill -KILL -f '^bash -s -- stage'; " if whole else ""
        threading.Thread(target=host.run, daemon=True, args=(
            ["bash", "-c", f"for n in $(seq 400); do pkill -KILL -x git && {{ {script}exit; }}; sleep 0.01; done"],)).start()

    def test_a_checkout_that_is_killed(self) -> None:
        """Once: it is asked again. Each time: nothing was switched, and the next deploy works."""
        for whole in (False, True):
            self.change()
            faults.clear()
            faults.on("SendCommand", before(lambda: self.kill_git(whole)), where=runs("stage"))
            code, out, err = self.magellan(*self.deploying(self.stand_in(), 2, "--json"))
            self.faults_came()
            self.assertIn(code, (PASSED, UNTOUCHED, UNRESOLVED), out + err)
            self.deploy(self.stand_in())
        former = self.current()
        self.change()
        faults.clear()
        faults.on("SendCommand", before(lambda: self.kill_git(True)), where=runs("stage"), times=ALWAYS)
        self.deploy(self.stand_in(), code=UNTOUCHED)
        self.faults_came()
        self.assertEqual(self.current(), former)
        faults.clear()
        self.deploy(self.stand_in())
        self.succeeds("status")


class Bare(Deployed):
    def test_a_bare_host_is_made_ready_by_a_plan(self) -> None:
        """No user, no folders, and a root that others may write."""
        host.sh(f"userdel {USER}; find {ROOT} -mindepth 1 -delete; rm -rf {ETC} {STATE} {DEPLOY_STATE}; chmod 0777 {ROOT}")
        code, out, err = self.here("doctor", "host")
        self.assertEqual(code, UNWELL, out + err)
        self.assertIn(f"there is no user {USER}", out)
        # Shown first, and nothing is done unless somebody says so.
        code, out, err = self.here("doctor", "host", "--fix")
        self.assertIn("error[unconfirmed]", err)
        self.assertIn("to do: user: useradd", err)
        self.assertNotEqual(host.run(["id", USER]).code, 0)
        code, _, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertNotEqual((code, self.current()), (PASSED, None), err)
        # That one has failed before it began, or is told.
        self.here("deploy", "resume", "--if-unfinished")
        out = self.succeeds("doctor", "host", "--fix", "--yes")
        self.assertIn("nothing speaks against a deploy", out)
        self.assertIn("nothing speaks against a deploy", self.succeeds("doctor", "host"))
        self.first()
        self.succeeds("status")

    def test_pins_come_by_hand_only(self) -> None:
        self.first()
        policy = host.work / "policy.toml"
        policy.write_text("# least\n")
        self.succeeds("doctor", "host", "--fix", "--yes", "--policy", str(policy))
        self.assertEqual(host.read(f"{ETC}/policy").strip(), hashlib.sha256(policy.read_bytes()).hexdigest())
        trust = host.work / "trusted-keys"
        trust.write_text("nobody\n")
        code, out, err = self.here("doctor", "host", "--fix", "--yes", "--trust", str(trust))
        self.assertNotEqual(code, PASSED, out + err)
        self.assertFalse(host.exists(f"{ETC}/trusted-keys"))


class Watched(Deployed):
    """`watch` and `logs`."""

    def test_a_watch_tells_each_look_and_ends_with_0(self) -> None:
        self.first()
        out = self.succeeds("watch", "--for", "4s", "--every", "1")
        looks = out.splitlines()
        self.assertGreaterEqual(len(looks), 3)
        for look in looks:
            self.assertRegex(look, rf"{UNIT}: active \(running\), trading, decisions 0 .*, errors 0, restarts 0: well")
        looks = self.succeeds("watch", "--for", "2s", "--every", "1", "--json").splitlines()
        self.assertEqual([json.loads(look)[0]["faults"] for look in looks], [[]] * len(looks))

    def test_a_watch_ends_with_the_first_reason(self) -> None:
        self.first()
        watching = self.start("watch", "--environment", self.environment, "--for", "5m", "--every", "1")
        time.sleep(5)
        began = time.monotonic()
        host.sh(f"systemctl kill --signal=KILL {UNIT}")
        code, out, err = self.ended(watching)
        self.assertEqual(code, UNWELL, out + err)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn("error[unhealthy]", err)
        # A look at the very moment of the kill finds a process that is gone, and systemd not yet told.
        gone = "what program its process runs couldn't be read"
        self.assertRegex(err, f"{UNIT}: .*(ActiveState is|SubState is|NRestarts changed|ExecMainPID changed|{gone})")
        self.assertIn(": well", out)

    def test_a_watch_over_nothing_is_no_success(self) -> None:
        code, _, err = self.here("watch", "--for", "2s")
        self.assertEqual(code, UNWELL, err)
        self.assertIn("nothing is deployed", err)

    def test_one_look_that_is_lost_is_no_failure(self) -> None:
        self.first()
        # Each command is sent three times.
        for number in range(3, 6):
            faults.undelivered(skip=number)
        self.succeeds("watch", "--for", "6s", "--every", "1")
        self.faults_came()

    def test_logs_of_a_service(self) -> None:
        self.first()
        time.sleep(15)
        logs = ["logs", "--strategy", STRATEGY]
        lines = self.succeeds(*logs).splitlines()
        self.assertGreater(len(lines), 3)
        self.assertEqual({json.loads(line)["fields"]["message"] for line in lines}, {"alive"})
        last = self.succeeds(*logs, "--lines", "2").splitlines()
        self.assertEqual(len(last), 2)
        # A line a second, and some time goes by until the host is asked.
        self.assertIn(len(self.succeeds(*logs, "--since", "2s").splitlines()), range(1, 12))
        self.assertGreater(len(self.succeeds(*logs, "--since", "10m").splitlines()), len(lines))
        code, _, err = self.here("logs", "--strategy", "nobody")
        self.assertNotEqual(code, PASSED)

    def test_logs_are_followed(self) -> None:
        self.first()
        following = self.start("logs", "--environment", self.environment, "--strategy", STRATEGY, "--lines", "1", "--follow")
        time.sleep(10)
        log = host.sh(f"ls {STATE}/{STRATEGY}/logs/*.jsonl").split()[-1]
        host.sh(f"echo '{{\"mark\": 1}}' >> {log}")
        time.sleep(5)
        following.send_signal(signal.SIGINT)
        out, err = following.communicate(timeout=30)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertGreater(len(lines), 8, err)
        self.assertIn({"mark": 1}, lines)
        times = [line["timestamp"] for line in lines if "timestamp" in line]
        self.assertEqual(times, sorted(set(times)), "each line once, in order")


class Gradual(Deployed):
    """One unit first, and the others once it has proved itself."""

    def setUp(self) -> None:
        super().setUp()
        self.two_strategies()
        self.before = self.first()

    def soaking(self, seconds: int, clock: str = "wall") -> None:
        rollout = f'[rollout]\nfirst = "{UNIT}"\nsoak_seconds = {seconds}\nclock = "{clock}"\n'
        self.two_strategies(rollout=rollout)

    def both(self) -> tuple[str | None, str | None]:
        return self.current(), self.current(OTHER_UNIT)

    def at(self, step: str, ended: bool = False) -> list[tuple[str, str]]:
        """Fills, when the journal says that a step has begun or ended, what the units are bound to."""
        seen: list[tuple[str, str]] = []

        def look(request: Request, forward):
            steps = json.loads(request.body)["steps"]
            if steps and steps[-1]["step"] == step and bool(steps[-1]["ended"]) == ended:
                seen.append(self.both())
            return forward()

        faults.on("PutObject", look, times=ALWAYS, key=JOURNAL)
        return seen

    def soaks(self, process: subprocess.Popen) -> str:
        """Waits until the first unit proves itself; until when it does."""
        def deadline() -> str | None:
            with contextlib.suppress(Exception):
                return (self.journal()["soak"] or {}).get("deadline")

        found = eventually(lambda: process.poll() is not None or deadline(), 60)
        self.assertIsInstance(found, str, f"it ended: {process.poll()}")
        return found

    def test_the_first_unit_goes_alone_and_then_the_others(self) -> None:
        self.soaking(6)
        code, _, err = self.magellan(*self.deploying(self.stand_in("good", "new"), 2, "--dry-run"))
        self.assertEqual(code, PASSED)
        self.assertRegex(err, f"first +{UNIT}, alone for 0.0 h")
        old, during, then = self.before["release"], self.at("soak", ended=True), self.at("health_rest")
        record = self.deploy(self.stand_in("good", "new"))
        new = record["release"]
        self.assertEqual((set(during), set(then)), ({(new, old)}, {(new, new)}))
        self.assertEqual(self.both(), (new, new))
        self.assertEqual([step["step"] for step in record["steps"]],
                         ["upload", "preflight", "stage", "activate", "health", "soak", "activate_rest", "health_rest",
                          "record"])
        soak = next(step for step in record["steps"] if step["step"] == "soak")
        self.assertGreaterEqual(soak["ended"], record["soak"]["deadline"])
        self.succeeds("status")

    def test_who_was_taken_over_in_a_soak_ends_in_it(self) -> None:
        """Not only when the soak is over, which may be tomorrow."""
        self.soaking(600)
        process = self.start(*self.deploying(self.stand_in("good", "new"), 2))
        self.soaks(process)
        code, out, err = self.here("deploy", "resume", "--take-over", "--no-wait")
        self.assertEqual(code, PASSED, out + err)
        code, _, err = self.ended(process, 60)
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[lock-lost]", err)
        self.assertEqual(self.both()[1], self.before["release"])

    def test_a_store_that_fails_for_a_moment_ends_no_soak(self) -> None:
        self.soaking(30)
        soaks = self.at("soak")
        rule = faults.on("PutObject", s3_error(403, "AccessDenied"), times=2, key="lock/", where=lambda _: bool(soaks))
        self.deploy(self.stand_in("good", "new"))
        self.assertGreater(rule.used, 0)

    def test_a_rollout_of_one_unit_needs_no_first(self) -> None:
        self.soaking(3600)
        self.change()
        self.assertIsNone(self.deploy(self.stand_in())["soak"])

    def test_a_unit_that_fails_late_in_its_soak_goes_back_alone(self) -> None:
        self.soaking(45)
        pid = self.property("ExecMainPID", OTHER_UNIT)
        record = self.deploy(self.stand_in("dies_at_20s"), code=ROLLED_BACK)
        self.assertEqual(self.both(), (self.before["release"],) * 2)
        self.assertEqual(self.property("ExecMainPID", OTHER_UNIT), pid)
        self.assertNotIn("activate_rest", [step["step"] for step in record["steps"]])
        self.refused_deploy("release-bad", self.stand_in("dies_at_20s"))
        self.succeeds("status")

    def test_a_rest_that_fails_takes_all_back(self) -> None:
        self.soaking(2)
        binary = self.stand_in("good", "new")
        faults.on("PutObject", after(lambda: host.sh(f"systemctl kill --signal=KILL {OTHER_UNIT}")), key=JOURNAL,
                  where=lambda request: json.loads(request.body)["steps"][-1:] != []
                  and json.loads(request.body)["steps"][-1]["step"] == "health_rest")
        self.deploy(binary, 8, code=ROLLED_BACK)
        self.faults_came()
        self.assertEqual(self.both(), (self.before["release"],) * 2)
        self.succeeds("status")

    def test_a_kill_in_the_soak_keeps_the_deadline(self) -> None:
        self.soaking(25)
        process = self.start(*self.deploying(self.stand_in("good", "new")))
        deadline = self.soaks(process)
        process.kill()
        self.ended(process)
        self.assertEqual(self.here("status")[0], REFUSED)
        time.sleep(5)
        record = self.resume()
        self.assertEqual(record["soak"]["deadline"], deadline)
        soak = next(step for step in reversed(record["steps"]) if step["step"] == "soak")
        self.assertGreaterEqual(soak["ended"], deadline)
        self.assertEqual(self.both(), (record["release"],) * 2)
        self.succeeds("status")

    def test_nobody_needs_to_wait_for_a_soak(self) -> None:
        self.soaking(40)
        binary = self.stand_in("good", "new")
        code, out, err = self.magellan(*self.deploying(binary, 2, "--no-wait"))
        self.assertEqual(code, PASSED, out + err)
        self.assertIn(f"{UNIT} runs it, healthy so far, until", out)
        deadline = self.journal()["soak"]["deadline"]
        # That is as it should be: neither drift nor a rollout that nobody goes on with.
        out = self.succeeds("status")
        self.assertIn(f"its first unit proves itself until {deadline}", out)
        self.refused_deploy("deploy-locked", binary)
        self.assertIn("healthy so far", self.succeeds("deploy", "resume", "--no-wait"))
        self.assertEqual(self.current(OTHER_UNIT), self.before["release"])
        until = datetime.datetime.fromisoformat(deadline).timestamp()
        time.sleep(max(0, until - time.time()) + 1)
        code, out, err = self.here("status")
        self.assertEqual(code, PASSED, out + err)
        record = self.resume("--no-wait")
        self.assertEqual((record["soak"]["deadline"], self.both()), (deadline, (record["release"],) * 2))
        self.succeeds("status")

    def test_a_unit_that_fails_while_nobody_waits_goes_back_with_the_next_look(self) -> None:
        self.soaking(3600)
        code, out, err = self.magellan(*self.deploying(self.stand_in("dies_at_20s"), 2, "--no-wait"))
        self.assertEqual(code, PASSED, out + err)
        time.sleep(20)
        self.resume("--no-wait", code=ROLLED_BACK)
        self.assertEqual(self.both(), (self.before["release"],) * 2)

    def test_market_time_passes_only_while_the_market_is_open(self) -> None:
        self.soaking(3600, "market")
        code, out, err = self.magellan(*self.deploying(self.stand_in("good", "new"), 2, "--no-wait"))
        self.assertEqual(code, PASSED, out + err)
        deadline = datetime.datetime.fromisoformat(self.journal()["soak"]["deadline"])
        local = deadline.astimezone(zoneinfo.ZoneInfo("America/New_York"))
        self.assertLess(local.weekday(), 5)
        self.assertTrue(datetime.time(9, 30) < local.time() <= datetime.time(16), local)


class Promoted(Deployed):
    """What one host runs, on another: the very same digest."""

    @classmethod
    def setUpClass(cls) -> None:
        global emulator, faults
        cls.host = Host(SECOND, beside=host)
        cls.addClassCleanup(cls.host.close)
        kept = emulator, faults
        emulator = Emulator(host.prefix, NAME, Machine(SECOND, SECOND, cls.host.prefix))
        faults = Faults(emulator.port)

        def put_back() -> None:
            global emulator, faults
            faults.close()
            emulator.close()
            emulator, faults = kept

        cls.addClassCleanup(put_back)

    def setUp(self) -> None:
        super().setUp()
        self.host.reset()
        emulator.forget(f"lock/host/{SECOND}.json")
        self.source, self.target = self.environment, f"to-{self.environment}"[:40].strip("-")
        host.push({f"deployed/environments/{self.target}.toml": self.environment_file(tag=SECOND, hostname=SECOND)})

    def promoting(self, hours: str) -> list[str]:
        return ["deploy", "--environment", self.target, "--promote-from", self.source, "--healthy-for", hours, "--yes",
                "--stabilize", "2", "--override", "no-verdict=a stand-in", "--who", "ada"]

    def not_promoted(self, hours: str, why: str) -> None:
        code, out, err = self.magellan(*self.promoting(hours))
        self.assertEqual(code, REFUSED, out + err)
        self.assertIn("error[not-proved]", err)
        self.assertRegex(err, why)
        self.assertIsNone(self.current(on=self.host))

    def promoted(self) -> dict:
        code, out, err = self.magellan(*self.promoting("0.001"), "--json")
        self.assertEqual(code, PASSED, out + err)
        record = json.loads(out)
        self.holds(record, self.host)
        return record

    def test_the_very_digest_that_has_run_in_health_is_taken(self) -> None:
        first = self.first()
        self.not_promoted("5", "has run for 0.0 h")
        time.sleep(4)
        uploaded = faults.count("PutObject")
        record = self.promoted()
        self.assertEqual((record["release"], record["contents"]), (first["release"], first["contents"]))
        self.assertEqual(self.current(on=self.host), self.current())
        # The environment is what differs.
        self.assertNotEqual(self.bound(on=self.host)[1], self.bound()[1])
        self.assertEqual(self.host.read(f"{ETC}/environment").strip(), self.target)
        bundles = [request.path for request in faults.requests if "bundles/" in request.path and request.method == "PUT"]
        self.assertEqual(len(bundles), 1, f"nothing is built or uploaded again: {bundles}, {uploaded}")
        for environment in (self.source, self.target):
            code, out, err = self.magellan("status", "--environment", environment)
            self.assertEqual(code, PASSED, out + err)

    def test_what_moved_on_here_is_not_what_is_promoted(self) -> None:
        first = self.first()
        self.change()
        time.sleep(4)
        self.assertEqual(self.promoted()["release"], first["release"])

    def test_what_isnt_well_or_was_restarted_is_not_promoted(self) -> None:
        self.first()
        time.sleep(4)
        host.sh(f"systemctl restart {UNIT}")
        time.sleep(4)
        self.not_promoted("0.001", "was restarted|has ended meanwhile")
        host.sh(f"systemctl stop {UNIT}")
        self.not_promoted("0.001", "isn't well: .*ActiveState is `(inactive|failed)`")

    def test_nothing_is_promoted_from_nothing(self) -> None:
        self.not_promoted("0.001", "nothing runs on")


class Told(Deployed):
    """Rollouts and failures are told on Slack and Discord, and nobody waits for that."""

    STRATEGIES = {"bear_trap": UNIT, "daily_trend": "magellan-daily-trend"}

    def setUp(self) -> None:
        super().setUp()
        shutil.rmtree(host.shared / ".local", ignore_errors=True)
        self.messages: list[tuple[str, dict]] = []
        self.failing = 0
        test = self

        class Webhook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if test.failing:
                    test.failing -= 1
                    self.send_error(500)
                    return
                test.messages.append((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_) -> None:
                """Messages are kept, not printed."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        self.address = f"http://127.0.0.1:{server.server_port}"

    def hooks(self, address: str | None = None) -> dict[str, str]:
        address = address or self.address
        return {"MAGELLAN_SLACK_WEBHOOK": f"{address}/slack/s3cret", "MAGELLAN_DISCORD_WEBHOOK": f"{address}/discord/s3cret"}

    def heard(self, channel: str) -> list[str]:
        return [json.dumps(body) for path, body in self.messages if path == f"/{channel}/s3cret"]

    def test_each_rollout_is_told_from_begin_to_end(self) -> None:
        self.failing = 1
        self.deploy(self.stand_in(), **self.hooks())
        code, out, err = self.magellan(*self.deploying(self.stand_in("silent")), **self.hooks())
        self.assertEqual(code, ROLLED_BACK, err)
        self.assertNotIn("s3cret", out + err)
        for channel in ("slack", "discord"):
            heard = self.heard(channel)
            for said, words in zip(heard, ("started", "succeeded", "started", "rolled back"), strict=True):
                self.assertIn(words, said)
            self.assertIn("no log was written", heard[-1])
        kept = [path.read_text() for path in (host.shared / ".local").rglob("*") if path.is_file()]
        self.assertFalse([text for text in kept if "s3cret" in text], "an address is kept nowhere")

    def test_a_channel_that_fails_fails_no_deploy(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        record = self.deploy(self.stand_in(), **self.hooks(f"http://127.0.0.1:{port}"))
        self.assertEqual(record["outcome"]["outcome"], "running")
        # What waited is delivered with what comes.
        self.deploy(self.stand_in(), **self.hooks())
        self.assertGreaterEqual(len(self.heard("slack")), 2)

    def test_a_service_that_failed_for_good_is_told_by_its_host(self) -> None:
        Judged.deployed_as(self, "staging", ["daily_trend"])
        Judged.judge(self)
        code, out, err = self.magellan(*self.deploying(None, 3))
        self.assertEqual(code, PASSED, out + err)
        host.sh("install -d -m 0700 /etc/magellan/credentials")
        host.write("/etc/magellan/credentials/slack-webhook", f"{self.address}/slack/s3cret", 0o600)
        host.sh("systemctl start magellan-failed@magellan-daily-trend.service.service")
        self.assertEqual(len(self.heard("slack")), 1, host.sh("journalctl --no-pager -n 20 -u 'magellan-failed@*'"))
        self.assertIn("magellan-daily-trend", self.heard("slack")[0])
        self.assertIn("magellan-daily-trend", host.read(f"{DEPLOY_STATE}/failures"))
        self.succeeds("status")


class Judged(Deployed):
    """The program itself: what was judged by it is what runs, and nothing else is let through."""

    STRATEGIES = {"bear_trap": UNIT, "daily_trend": "magellan-daily-trend", "hourly_swing": "magellan-hourly-swing"}

    def setUp(self) -> None:
        super().setUp()
        shutil.rmtree(host.shared / "ledger", ignore_errors=True)

    def deployed_as(self, kind: str, strategies: list[str]) -> None:
        services = ", ".join(f'"{self.STRATEGIES[name]}"' for name in strategies)
        files = {self.toml: self.environment_file(kind, services=services), **files_of(*strategies)}
        if STRATEGY not in strategies:
            shutil.rmtree(host.work / "deployed" / STRATEGY)
        host.push(files)

    def judge(self, *more: str) -> None:
        shutil.rmtree(host.work / "gate", ignore_errors=True)
        code, out, err = self.magellan("gate", "--out", "gate", *more)
        self.assertEqual(code, PASSED, out + err)

    def beat(self, strategy: str) -> dict:
        return json.loads(host.read(f"{STATE}/{strategy}/heartbeat.json"))

    def test_what_was_judged_runs_and_a_changed_config_restarts_its_unit(self) -> None:
        self.deployed_as("staging", list(self.STRATEGIES))
        self.judge()
        record = self.deploy(None, 3)
        self.assertEqual(record["overridden"], None)
        self.assertEqual({j["status"] for j in record["strategies"].values()} - {"PASS", "WARN"}, set())
        before = {name: self.beat(name) for name in self.STRATEGIES}
        for name, beat in before.items():
            self.assertEqual((beat["release"], beat["unit_digest"]),
                             (record["release"], record["strategies"][name]["unit_digest"]))
        code, out, err = self.magellan("status", "--environment", self.environment)
        self.assertEqual(code, PASSED, out + err)
        self.assertRegex(out, f"{OTHER_UNIT}: release .* by {record['id']}\n  (PASS|WARN), verdict [0-9a-f]{{12}}")
        # One changed byte of a config, and the verdict isn't about it any more.
        self.change()
        code, _, err = self.magellan(*self.deploying())
        self.assertEqual(code, REFUSED, err)
        self.assertIn("isn't what was judged: other config", err)
        self.judge()
        self.deploy(None, 3)
        after = {name: self.beat(name) for name in self.STRATEGIES}
        restarted = [name for name in self.STRATEGIES if before[name]["pid"] != after[name]["pid"]]
        self.assertEqual(restarted, [STRATEGY])
        # A verdict is judged again, and refused where its trials are gone; or somebody says why that can't be done.
        trial = ["--strategy", STRATEGY, "--start-date", "2024-04-01", "--end-date", "2024-05-31"]
        self.assertEqual(self.magellan("backtest", *trial)[0], PASSED)
        self.judge()
        shutil.rmtree(host.shared / "ledger")
        code, _, err = self.magellan(*self.deploying())
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[verdict-differs]", err)
        record = self.deploy(None, 3, "--not-judged-again", "the ledger is elsewhere")
        self.assertEqual(record["not_judged_again"], "the ledger is elsewhere")
        # A line more in the program, and it isn't the one that judged.
        other = host.shared / "other"
        other.write_bytes(program.read_bytes() + b"\n")
        code, _, err = self.magellan(*self.deploying(), "--binary", str(other))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("other binary or unit", err)

    def test_production_refuses_a_synthetic_verdict_and_takes_one_of_csv_data(self) -> None:
        self.deployed_as("production", ["daily_trend"])
        self.judge()
        code, _, err = self.magellan(*self.deploying(None, 30))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[synthetic-verdict]", err)
        self.assertEqual(self.current(), None)
        archive = self.archive_of_csv()
        # Its trial must be committed, and there must be a policy.
        real = ["--archive", str(archive), "--ledger", "data/ledger"]
        asked = [*real, "--committed-ledger"]
        self.judge(*real)
        code, _, err = self.magellan(*self.deploying(None, 30, *real))
        self.assertEqual(code, REFUSED, err)
        for missing in ("no-policy", "trial-not-committed"):
            self.assertIn(f"({missing})", err)
        host.push({"deployed/policy.toml": unswept("deployed/policy.toml")})
        self.judge(*asked)
        # Somebody whom the host trusts must have signed: first nobody is trusted, then nothing is signed.
        code, _, err = self.magellan(*self.deploying(None, 30, *real))
        self.assertEqual((code, err.count("(no-trust)")), (REFUSED, 1), err)
        signer = self.trusted_key()
        code, _, err = self.magellan(*self.deploying(None, 30, *real), **signer)
        self.assertEqual((code, err.count("(unsigned)")), (REFUSED, 1), err)
        self.signed(signer)
        code, _, err = self.magellan(*self.deploying(None, 30, *real))
        self.assertEqual((code, err.count("(unsigned)")), (REFUSED, 1), err)
        self.assertEqual(self.current(), None)
        code, out, err = self.magellan(*self.deploying(None, 30, *real, "--ledger-of", "origin/main"), **signer)
        self.assertEqual(code, PASSED, out + err)
        self.assertIn("baseline recorded", err)
        self.succeeds("status")
        # The same again is what runs: what it was compared with is gone.
        self.assertEqual(self.magellan(*self.deploying(None, 30, *real), **signer)[0], PASSED)
        # A host that trusts another key takes nothing more, and its status says who hasn't signed.
        kept = host.read("/etc/magellan/trusted-keys")
        self.trusted_key("other")
        code, _, err = self.magellan(*self.deploying(None, 30, *real), **signer)
        self.assertEqual((code, "(untrusted)" in err), (REFUSED, True), err)
        code, out, err = self.here("status")
        self.assertEqual((code, "isn't trusted" in out), (REFUSED, True), out + err)
        host.write("/etc/magellan/trusted-keys", kept)
        self.succeeds("status")
        self.assertEqual(self.beat("daily_trend")["environment"], self.environment)
        # What runs is what the next candidate is compared with, or it isn't let through.
        baseline = host.work / "data/baseline/daily_trend.json"
        self.assertTrue(baseline.exists())
        config = host.work / "deployed/daily_trend/config.json"
        changed = json.loads(config.read_text())
        changed["performance_criteria"]["seed"] += 1
        host.push({"deployed/daily_trend/config.json": json.dumps(changed, indent=2) + "\n"})
        kept = baseline.read_bytes()
        baseline.chmod(0o644)
        baseline.unlink()
        self.judge(*asked)
        self.signed(signer)
        code, _, err = self.magellan(*self.deploying(None, 30, *real), **signer)
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[not-paired]", err)
        baseline.write_bytes(kept)
        self.judge(*asked)
        self.signed(signer)
        self.assertEqual(self.magellan(*self.deploying(None, 30, *real), **signer)[0], PASSED)

    def trusted_key(self, name: str = "ci") -> dict[str, str]:
        """A new key that the host trusts for everything, with the least policy pinned; the variable that signs."""
        key = host.shared / f"{name}.pem"
        for file in (key, pathlib.Path(f"{key}.pub")):
            file.unlink(missing_ok=True)
        roles = [word for role in ("verdict", "release", "override") for word in ("--role", role)]
        code, out, err = self.magellan("keys", "new", "--name", name, *roles, "--out", str(key))
        self.assertEqual(code, PASSED, out + err)
        self.succeeds("doctor", "host", "--fix", "--yes", "--trust", f"{key}.pub", "--policy", "deployed/policy.toml")
        self.assertEqual(host.read("/etc/magellan/trusted-keys"), pathlib.Path(f"{key}.pub").read_text())
        return {"MAGELLAN_SIGNING_KEY": key.read_text()}

    def signed(self, signer: dict[str, str]) -> None:
        code, out, err = self.magellan("keys", "sign", "gate", **signer)
        self.assertEqual(code, PASSED, out + err)

    def archive_of_csv(self, archive: pathlib.Path | None = None, name=lambda symbol: symbol) -> pathlib.Path:
        """The daily bars of the sample as somebody else's CSV files: no longer marked as made up.

        Symbols may have another name than in the sample.
        """
        import pyarrow
        from pyarrow import csv, parquet

        bars = host.shared / "bars"
        shutil.rmtree(bars, ignore_errors=True)
        bars.mkdir()
        for symbol in sorted((PROJECT / "data/sample/synthetic/raw/1Day").iterdir()):
            years = [parquet.read_table(year, partitioning=None) for year in sorted(symbol.glob("*.parquet"))]
            csv.write_csv(pyarrow.concat_tables(years), bars / f"{name(symbol.name)}_1day.csv")
        archive = archive or host.shared / "archive"
        shutil.rmtree(archive, ignore_errors=True)
        code, out, err = self.magellan("data", "import", str(bars), "--archive", str(archive))
        self.assertEqual(code, PASSED, out + err)
        return archive

    def test_own_symbols_are_judged_and_deployed(self) -> None:
        """Those of another archive than the sample, which the commit brings to the host."""
        self.deployed_as("staging", [OTHER])
        own = lambda symbol: f"{symbol[:4]}Z"
        archive = self.archive_of_csv(host.work / "data/own", own)
        config = (host.work / f"deployed/{OTHER}/config.json").read_text()
        for symbol in json.loads(config)["symbols"]:
            config = config.replace(f'"{symbol}"', f'"{own(symbol)}"')
        unit = f"deployed/{OTHER}/{OTHER_UNIT}.service"
        text = (host.work / unit).read_text().replace("[Install]", "Environment=MAGELLAN_ARCHIVE=data/own\n\n[Install]")
        (host.work / ".gitignore").write_text("gate/\n")
        host.push({f"deployed/{OTHER}/config.json": config, unit: text})
        self.judge("--archive", str(archive))
        self.deploy(None, 3, "--archive", str(archive))
        self.assertEqual(self.beat(OTHER)["environment"], self.environment)
        self.assertTrue(eventually(lambda: self.beat(OTHER)["last_bar"]))
        code, out, err = self.magellan("status", "--environment", self.environment)
        self.assertEqual(code, PASSED, out + err)

    def test_one_box_without_aws(self) -> None:
        self.deployed_as("staging", [STRATEGY])
        inside = [*host.prefix, "env", f"--chdir={host.work}", "HOME=/root", "GIT_CONFIG_COUNT=1",
                  "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", f"MAGELLAN_LEDGER={host.shared}/ledger"]

        def run(*arguments: str) -> tuple[int, str, str]:
            return self.ended(subprocess.Popen([*inside, str(program), *arguments], text=True, stdin=subprocess.DEVNULL,
                                               stdout=subprocess.PIPE, stderr=subprocess.PIPE))

        self.assertEqual(run("gate", "--out", "gate")[0], PASSED)
        local = ["--environment", self.environment, "--transport", "local"]
        code, out, err = run("deploy", *local, "--yes", "--stabilize", "3", "--json")
        self.assertEqual(code, PASSED, out + err)
        self.holds(json.loads(out))
        self.assertEqual(faults.requests, [])
        for command in (["status"], ["health"], ["releases"], ["prune"], ["logs", "--strategy", STRATEGY],
                        ["watch", "--for", "2s", "--every", "1"]):
            code, out, err = run(*command, *local)
            self.assertEqual(code, PASSED, f"{command}: {out}{err}")
        code, out, err = run("doctor", "host", *local)
        self.assertEqual(code, PASSED, out + err)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
