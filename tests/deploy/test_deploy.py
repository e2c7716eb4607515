"""Deploys for real: a systemd in a container, an emulated AWS that runs commands in it, and every fault between them.

    python tests/deploy/test_deploy.py PROGRAM [TEST …]

PROGRAM is a magellan with the features deploy and live. After each scenario the host must be on one complete
release, and the summary must say which.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from emulator import ACCOUNT, BUCKET, TAG, Emulator
from faults import (ALWAYS, Faults, after, before, flip_byte, forbidden_if_missing, instead, invocation, json_error,
                    noisy, s3_error)
from host import CHECKOUT, DEPLOY_STATE, NAME, RELEASES, STATE, UNITS, Host, git

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
STRATEGY, UNIT = "bear_trap", "magellan-bear-trap"
CONFIG = f"deployed/{STRATEGY}/config.json"
PASSED, UNTOUCHED, UNRESOLVED, UNWELL, REFUSED = 0, 5, 6, 7, 8
ROLLED_BACK = 5


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


class Deployed(unittest.TestCase):
    """A project of its own in a developer's clone, and a host as it was booted."""

    def setUp(self) -> None:
        host.reset()
        faults.clear()
        # What earlier scenarios left in the bucket is another environment's.
        self.environment = re.sub("[^a-z0-9]+", "-", self.id().split(".")[-1])[:40].strip("-")
        self.files = {".gitignore": (PROJECT / ".gitignore").read_text(), CONFIG: unswept(CONFIG)}
        unit = f"deployed/{STRATEGY}/{UNIT}.service"
        self.files[unit] = (PROJECT / unit).read_text()
        self.files[f"deployed/environments/{self.environment}.toml"] = self.environment_file()
        shutil.copytree(PROJECT / "data/sample", host.work / "data/sample", dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("cache"))
        self.commit = host.push(self.files)

    def environment_file(self, kind: str = "staging", when: str = "always", archived: bool = True,
                         services: str = f'"{UNIT}"') -> str:
        return f"""kind = "{kind}"
account = "{ACCOUNT}"
region = "us-east-2"
bucket = "{BUCKET}"
deploy_when = "{when}"
archived_data = {str(archived).lower()}
services = [{services}]
[target]
tag = "{TAG}"
hostname = "{NAME}"
[host]
user = "ssm-user"
checkout = "{CHECKOUT}"
releases = "{RELEASES}"
state = "{STATE}"
remote = "{host.remote}"
"""

    # ---- what a developer does ----

    def stand_in(self, mode: str = "good", note: str = "") -> pathlib.Path:
        """A release's binary that serves well or badly."""
        path = host.shared / f"stand-in-{mode}{note}"
        path.write_text((HERE / "bad_service.py").read_text().replace('MODE = "good"', f'MODE = "{mode}"') + f"\n# {note}\n")
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

    def ended(self, process: subprocess.Popen, timeout: float = 180) -> tuple[int, str, str]:
        out, err = process.communicate(timeout=timeout)
        self.assertNotIn("panicked", err)
        return process.returncode, out, err

    def magellan(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        return self.ended(self.start(*arguments, **variables))

    def deploying(self, binary: pathlib.Path | None = None, stabilize: int = 2, *more: str) -> list[str]:
        shipped = ["--binary", str(binary), "--override", "a stand-in", "--who", "ada"] if binary else []
        return ["deploy", "--environment", self.environment, "--yes", "--stabilize", str(stabilize), *shipped, *more]

    def deploy(self, binary: pathlib.Path | None = None, stabilize: int = 2, *more: str, code: int = PASSED) -> dict:
        """Deploys, and holds the record to the host."""
        got, out, err = self.magellan(*self.deploying(binary, stabilize, "--json", *more))
        self.assertEqual(got, code, f"{out}\n{err}")
        record = json.loads(out)
        self.holds(record)
        return record

    # ---- what must be true ----

    def current(self) -> str | None:
        link = host.path(f"{RELEASES}/current")
        return os.readlink(link) if os.path.islink(link) else None

    def checked_out(self) -> str:
        return host.sh(f"runuser -u ssm-user -- git -C {CHECKOUT} rev-parse HEAD").strip()

    def complete(self, release: str) -> bool:
        return host.run(["bash", "-c", f"cd {RELEASES}/{release} && sha256sum --check --strict --quiet checksums"]).code == 0

    def property(self, name: str, unit: str = UNIT) -> str:
        return host.run(["systemctl", "show", "-p", name, "--value", f"{unit}.service"]).out.strip()

    def holds(self, record: dict) -> None:
        """The record says of the host what is so."""
        outcome, current = record["outcome"]["outcome"], self.current()
        expected = {"running": record["release"], "untouched": record["previous"], "stopped": None,
                    "rolled_back": record["previous"]}
        if outcome in expected:
            self.assertEqual(current, expected[outcome])
        if current is not None:
            self.assertTrue(self.complete(current))
        if outcome in ("running", "rolled_back"):
            self.assertEqual((self.property("ActiveState"), self.property("SubState")), ("active", "running"))
            beat = json.loads(host.read(f"{STATE}/{STRATEGY}/heartbeat.json"))
            self.assertEqual(beat["release"], current)
        operations = {request.operation for request in faults.requests}
        self.assertFalse({o for o in operations if o.startswith(("Delete", "List"))}, "nothing is deleted or listed")

    def change(self) -> str:
        """Another seed in the config, committed; its commit."""
        config = json.loads((host.work / CONFIG).read_text())
        config["performance_criteria"]["seed"] += 1
        return host.push({CONFIG: json.dumps(config, indent=2) + "\n"})

    def first(self) -> dict:
        return self.deploy(self.stand_in())


class Deploys(Deployed):
    def test_a_first_deploy_runs_the_commit_and_status_says_so(self) -> None:
        record = self.first()
        self.assertEqual(record["previous"], None)
        self.assertEqual(self.checked_out(), self.commit)
        code, out, err = self.magellan("status", "--environment", self.environment)
        self.assertEqual(code, PASSED, out + err)
        self.assertIn(record["release"][:12], out)
        self.assertIn("OVERRIDDEN by ada: a stand-in", out)
        self.assertEqual(self.magellan("health", "--environment", self.environment, "--stabilize", "1")[0], PASSED)
        self.assertIn("running", self.magellan("releases", "--environment", self.environment)[1])
        history = host.read(f"{DEPLOY_STATE}/history").splitlines()
        self.assertEqual([json.loads(line)["id"] for line in history], [record["id"]])

    def test_only_what_changed_is_restarted(self) -> None:
        other, unit = "daily_trend", "magellan-daily-trend"
        files = {f"deployed/{other}/{name}": unswept(f"deployed/{other}/{name}")
                 for name in ("config.json", f"{unit}.service")}
        services = f'"{UNIT}", "{unit}"'
        host.push(files | {f"deployed/environments/{self.environment}.toml": self.environment_file(services=services)})
        self.first()
        pids = self.property("ExecMainPID"), self.property("ExecMainPID", unit)
        self.change()
        code, out, err = self.magellan("deploy", "--environment", self.environment, "--dry-run", "--binary",
                                       str(self.stand_in()), "--override", "x", "--who", "ada")
        self.assertEqual(code, PASSED, out + err)
        self.assertIn(f"~ {UNIT}: restarted\n    config\n    performance_criteria.seed: 1 → 2", err)
        self.assertIn(f"= {unit}: left running", err)
        record = self.deploy(self.stand_in())
        self.assertNotEqual(self.property("ExecMainPID"), pids[0])
        self.assertEqual(self.property("ExecMainPID", unit), pids[1])
        # The same again restarts nothing and uploads nothing.
        pid = self.property("ExecMainPID")
        again = self.deploy(self.stand_in())
        self.assertEqual((again["release"], self.property("ExecMainPID")), (record["release"], pid))
        self.assertIn("is there", again["steps"][0]["seen"][0])

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
        self.assertEqual(self.checked_out(), self.commit)
        self.assertNotEqual(moved, [self.commit])

    def test_without_a_verdict_nothing_is_deployed(self) -> None:
        code, _, err = self.magellan(*self.deploying(), "--binary", str(self.stand_in()))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[no-verdict]", err)
        self.assertEqual((self.current(), faults.count("PutObject")), (None, 0))

    def test_what_was_not_committed_is_not_deployed(self) -> None:
        (host.work / CONFIG).write_text((host.work / CONFIG).read_text() + "\n")
        code, _, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[not-committed]", err)

    def test_another_account_or_machine_is_refused(self) -> None:
        toml = f"deployed/environments/{self.environment}.toml"
        for old, new in ((ACCOUNT, "210987654321"), (f'"{NAME}"', '"another"'), (f'tag = "{TAG}"', 'tag = "nobody"')):
            host.push({toml: self.environment_file().replace(old, new)})
            code, _, err = self.magellan(*self.deploying(self.stand_in()))
            self.assertEqual(code, REFUSED, err)
            self.assertIn("error[wrong-target]", err)
        self.assertEqual((self.current(), faults.count("SendCommand")), (None, 0))

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
        record = self.deploy(None, 2, "--binary", str(self.stand_in()), "--override", why, "--who", "$(touch /tmp/pwned)'")
        self.assertFalse(trap.exists())
        self.assertEqual(record["overridden"]["why"], why)
        line = json.loads(host.read(f"{DEPLOY_STATE}/history").splitlines()[-1])
        self.assertEqual(line["overridden"]["why"], why)


class Unwell(Deployed):
    """A release that isn't well is red, rolled back to the one before, and not chosen again."""

    def is_rolled_back(self, mode: str, fault: str, stabilize: int = 4) -> dict:
        good = self.first()
        record = self.deploy(self.stand_in(mode), stabilize, code=ROLLED_BACK)
        self.assertEqual(record["outcome"], {"outcome": "rolled_back", "to": good["release"]})
        said = json.dumps(record["health"]) + json.dumps(record["steps"])
        self.assertRegex(said, fault)
        backs = [step for step in record["steps"] if step["step"] == "roll_back"]
        self.assertEqual(len(backs), 1)
        code, _, err = self.magellan(*self.deploying(None, 2, "--binary", str(self.stand_in(mode))))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("failed here before", err)
        # What runs came with the first rollout, not with the one that failed.
        code, out, err = self.magellan("status", "--environment", self.environment)
        self.assertEqual(code, PASSED, out + err)
        self.assertIn(good["id"], out)
        return record

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
        self.is_rolled_back("errors", "errors since it started")

    def test_a_unit_that_is_missing(self) -> None:
        good = self.first()
        self.change()

        def remove() -> None:
            if self.current() not in (None, good["release"]):
                host.sh(f"rm -f {UNITS}/{UNIT}.service; systemctl kill -s KILL {UNIT}; systemctl daemon-reload")

        # Once the new release is current, before it is observed.
        faults.on("PutObject", before(remove), skip=9, key="deploys/")
        record = self.deploy(self.stand_in(), 3, code=ROLLED_BACK)
        self.assertRegex(json.dumps(record["health"]), "LoadState|ActiveState")

    def test_a_first_release_that_fails_is_stopped(self) -> None:
        record = self.deploy(self.stand_in("silent"), 3, code=UNRESOLVED)
        self.assertEqual((record["outcome"]["outcome"], self.current()), ("stopped", None))
        self.assertEqual(self.property("ActiveState"), "inactive")

    def test_rollback_by_hand_with_local_state_lost(self) -> None:
        first = self.first()
        self.change()
        second = self.deploy(self.stand_in())
        shutil.rmtree(host.work / "gate", ignore_errors=True)
        rollback = ["rollback", "--environment", self.environment, "--yes", "--stabilize", "2", "--json"]
        code, out, err = self.magellan(*rollback)
        self.assertEqual(code, PASSED, out + err)
        self.assertEqual(self.current(), first["release"])
        self.assertEqual(self.checked_out(), first["commit"])
        # The one that was left is not gone back to.
        code, _, err = self.magellan(*rollback)
        self.assertEqual(code, REFUSED, err)
        code, _, err = self.magellan(*rollback, "--to", second["release"][:12])
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[release-bad]", err)

    def test_what_runs_is_not_bad_for_having_been_tried_again(self) -> None:
        good = self.first()
        host.sh(f"systemctl stop {UNIT}; "
                f"printf '[Service]\\nExecStartPre=false\\n' > {UNITS}/{UNIT}.service.d/zz.conf; systemctl daemon-reload")
        record = self.deploy(self.stand_in(), code=UNRESOLVED)
        self.assertEqual((record["previous"], record["release"]), (good["release"], good["release"]))
        host.sh(f"rm {UNITS}/{UNIT}.service.d/zz.conf; systemctl daemon-reload")
        self.deploy(self.stand_in())

    def test_a_unit_that_somebody_made_is_said_and_kept(self) -> None:
        host.write(f"{UNITS}/{UNIT}.service", "[Service]\nExecStart=sleep 9999\n[Install]\nWantedBy=basic.target\n")
        host.sh(f"systemctl daemon-reload; systemctl enable --now {UNIT}")
        code, _, err = self.magellan(*self.deploying(self.stand_in(), 2, "--dry-run"))
        self.assertEqual(code, PASSED, err)
        self.assertIn("a unit of this name was installed by hand", err)
        self.deploy(self.stand_in("silent"), 2, code=UNRESOLVED)
        self.assertIn("sleep 9999", host.read(f"{UNITS}/{UNIT}.service"))

    def test_a_strategy_is_retired(self) -> None:
        other, unit = "daily_trend", "magellan-daily-trend"
        files = {f"deployed/{other}/{name}": unswept(f"deployed/{other}/{name}")
                 for name in ("config.json", f"{unit}.service")}
        services = f'"{UNIT}", "{unit}"'
        toml = f"deployed/environments/{self.environment}.toml"
        host.push(files | {toml: self.environment_file(services=services)})
        self.first()
        shutil.rmtree(host.work / "deployed" / other)
        host.push({toml: self.environment_file()})
        self.change()
        self.deploy(self.stand_in())
        self.assertEqual(self.property("LoadState", unit), "not-found")

    def test_drift_is_seen(self) -> None:
        self.first()
        host.sh(f"echo '# edited' >> {UNITS}/{UNIT}.service; echo edited >> {CHECKOUT}/README.md; "
                f"mkdir -p {UNITS}/{UNIT}.service.d; printf '[Service]\\nNice=5\\n' > {UNITS}/{UNIT}.service.d/zz.conf; "
                "systemctl daemon-reload")
        code, out, err = self.magellan("status", "--environment", self.environment)
        self.assertEqual(code, REFUSED, err)
        for drift in ("its unit file isn't the release's", "edited in the checkout", "zz.conf changes it"):
            self.assertIn(drift, out)
        # A deploy doesn't go over what somebody edited.
        self.change()
        self.assertIn("edited", json.dumps(self.deploy(self.stand_in(), code=UNTOUCHED)["steps"]))


class Judged(Deployed):
    """The program itself: what was judged by it is what runs, and nothing else is let through."""

    STRATEGIES = {"bear_trap": UNIT, "daily_trend": "magellan-daily-trend", "hourly_swing": "magellan-hourly-swing"}

    def setUp(self) -> None:
        super().setUp()
        shutil.rmtree(host.shared / "ledger", ignore_errors=True)

    def deployed_as(self, kind: str, strategies: list[str]) -> None:
        services = ", ".join(f'"{self.STRATEGIES[name]}"' for name in strategies)
        files = {f"deployed/environments/{self.environment}.toml": self.environment_file(kind, services=services)}
        for name in strategies:
            for file in ("config.json", f"{self.STRATEGIES[name]}.service"):
                files[f"deployed/{name}/{file}"] = unswept(f"deployed/{name}/{file}")
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
        self.assertRegex(out, "daily_trend: (PASS|WARN), verdict [0-9a-f]{12}")
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
        code, _, err = self.magellan(*self.deploying())
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[synthetic-verdict]", err)
        self.assertEqual(self.current(), None)
        archive = self.archive_of_csv()
        # Its trial must be committed, and there must be a policy.
        real = ["--archive", str(archive), "--ledger", "data/ledger"]
        asked = [*real, "--committed-ledger"]
        self.judge(*real)
        code, _, err = self.magellan(*self.deploying(None, 3, *real))
        self.assertEqual(code, REFUSED, err)
        for missing in ("no-policy", "trial-not-committed"):
            self.assertIn(f"({missing})", err)
        host.push({"deployed/policy.toml": unswept("deployed/policy.toml")})
        self.judge(*asked)
        code, out, err = self.magellan(*self.deploying(None, 3, *real, "--ledger-of", "origin/main"))
        self.assertEqual(code, PASSED, out + err)
        # The same again is what runs: what it was compared with is gone.
        self.assertEqual(self.magellan(*self.deploying(None, 3, *real))[0], PASSED)
        self.assertEqual(self.beat("daily_trend")["environment"], self.environment)
        # What runs is what the next candidate is compared with, or it isn't let through.
        baseline = host.work / "data/baseline/daily_trend.json"
        self.assertIn("baseline recorded", err)
        self.assertTrue(baseline.exists())
        config = host.work / "deployed/daily_trend/config.json"
        changed = json.loads(config.read_text())
        changed["performance_criteria"]["seed"] += 1
        host.push({"deployed/daily_trend/config.json": json.dumps(changed, indent=2) + "\n"})
        kept = baseline.read_bytes()
        baseline.chmod(0o644)
        baseline.unlink()
        self.judge(*asked)
        code, _, err = self.magellan(*self.deploying(None, 3, *real))
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[not-paired]", err)
        baseline.write_bytes(kept)
        self.judge(*asked)
        self.assertEqual(self.magellan(*self.deploying(None, 3, *real))[0], PASSED)

    def archive_of_csv(self) -> pathlib.Path:
        """The daily bars of the sample as somebody else's CSV files: no longer marked as made up."""
        import pyarrow
        from pyarrow import csv, parquet

        bars = host.shared / "bars"
        shutil.rmtree(bars, ignore_errors=True)
        bars.mkdir()
        for symbol in sorted((PROJECT / "data/sample/synthetic/raw/1Day").iterdir()):
            years = [parquet.read_table(year, partitioning=None) for year in sorted(symbol.glob("*.parquet"))]
            csv.write_csv(pyarrow.concat_tables(years), bars / f"{symbol.name}_1day.csv")
        archive = host.shared / "archive"
        shutil.rmtree(archive, ignore_errors=True)
        code, out, err = self.magellan("data", "import", str(bars), "--archive", str(archive))
        self.assertEqual(code, PASSED, out + err)
        return archive

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
        for command in ("status", "health", "releases"):
            self.assertEqual(run(command, *local)[0], PASSED)
        code, out, err = run("doctor", "host", *local)
        self.assertEqual(code, PASSED, out + err)


class OneAtATime(Deployed):
    def test_of_two_one_proceeds_and_the_other_names_it(self) -> None:
        binary = self.stand_in()
        held, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            go_on.wait(60)

        faults.on("PutObject", before(wait), key="bundles/")
        one = self.start(*self.deploying(binary), "--json")
        self.assertTrue(held.wait(60))
        code, _, err = self.magellan(*self.deploying(binary), USER="bob")
        go_on.set()
        self.assertEqual(code, REFUSED, err)
        self.assertIn("error[deploy-locked]", err)
        self.assertIn(f"process {one.pid}", err)
        code, out, err = self.ended(one)
        self.assertEqual(code, PASSED, err)
        self.holds(json.loads(out))

    def test_one_that_was_taken_over_can_do_nothing_more(self) -> None:
        self.first()
        self.change()
        binary = self.stand_in()
        held, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            held.set()
            go_on.wait(60)

        faults.on("PutObject", before(wait), skip=7, key="deploys/")
        one = self.start(*self.deploying(binary))
        self.assertTrue(held.wait(60))
        code, _, err = self.magellan("deploy", "resume", "--environment", self.environment)
        self.assertEqual(code, REFUSED, err)
        code, out, err = self.magellan("deploy", "resume", "--environment", self.environment, "--take-over", "--json")
        self.assertEqual(code, PASSED, err)
        go_on.set()
        self.assertEqual(self.ended(one)[0], REFUSED)
        self.holds(json.loads(out))

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

    def test_a_kill_while_it_fails_is_gone_on_with(self) -> None:
        """kill -9 at the writes from the switch on, of a release that isn't well or doesn't start."""
        good, writes = self.first(), 12
        while True:
            self.change()
            faults.clear()
            process, binary = None, self.stand_in("crash" if writes % 4 else "silent", str(writes))
            faults.on("PutObject", (after if writes % 3 else instead)(lambda: process.kill()), skip=writes)
            process = self.start(*self.deploying(binary, 1))
            code, _, err = self.ended(process)
            if code != -signal.SIGKILL:
                self.assertEqual(code, ROLLED_BACK, err)
                break
            self.assertTrue(self.complete(self.current()))
            faults.clear()
            code, out, err = self.magellan("deploy", "resume", "--environment", self.environment, "--json")
            if code != REFUSED:
                record = json.loads(out)
                self.assertEqual((code, record["outcome"]["outcome"]), (ROLLED_BACK, "rolled_back"), err)
                self.holds(record)
            self.assertEqual(self.current(), good["release"])
            writes += 2
        self.assertGreater(writes, 20)

    def test_a_kill_after_any_step_is_gone_on_with(self) -> None:
        """kill -9 at every write of lock, journal, index and audit record, before and after it is done."""
        previous, binary = self.first()["release"], self.stand_in()
        writes, killed = 0, 0
        while True:
            self.change()
            faults.clear()
            process = None
            hook = after if killed % 2 else instead
            faults.on("PutObject", hook(lambda: process.kill()), skip=writes)
            process = self.start(*self.deploying(binary, 1))
            code, _, err = self.ended(process)
            if code == PASSED:
                break
            self.assertEqual(code, -signal.SIGKILL, err)
            self.assertIn(self.current(), [previous, *self.releases()])
            self.assertTrue(self.complete(self.current()))
            faults.clear()
            code, out, err = self.magellan("deploy", "resume", "--environment", self.environment, "--json")
            if code == REFUSED:
                # Killed before the lock was taken, or after it was given back.
                self.assertIn("error[nothing-to-resume]", err)
            elif "had not begun" not in out:
                record = json.loads(out)
                staged = any(step["step"] == "stage" and step["ok"] for step in record["steps"])
                self.assertIn(code, (PASSED,) if staged else (PASSED, UNTOUCHED), err)
                self.holds(record)
                self.assertEqual(self.magellan("status", "--environment", self.environment)[0], PASSED)
            previous = self.current()
            killed += 1
            writes += 1
        self.assertGreater(killed, 20)

    def releases(self) -> list[str]:
        return os.listdir(host.path(RELEASES))


class Faulty(Deployed):
    """Whatever AWS does, the host is on one complete release and the summary tells which."""

    def test_a_store_that_answers_403_for_what_is_missing(self) -> None:
        faults.on("*", forbidden_if_missing, times=ALWAYS)
        self.first()
        self.change()
        self.deploy(self.stand_in())

    def test_errors_that_pass(self) -> None:
        for operation, fault in (("PutObject", s3_error(500, "InternalError")), ("PutObject", s3_error(503, "SlowDown")),
                                 ("GetObject", s3_error(500, "InternalError")),
                                 ("PutObject", s3_error(409, "ConditionalRequestConflict")),
                                 ("SendCommand", json_error("ThrottlingException")),
                                 ("GetCommandInvocation", json_error("ThrottlingException")),
                                 ("GetCommandInvocation", json_error("InvocationDoesNotExist")),
                                 ("DescribeInstanceInformation", json_error("ThrottlingException"))):
            faults.on(operation, fault, times=2, skip=1)
        faults.on("GetCommandInvocation", json_error("InvocationDoesNotExist"), times=3)
        self.first()

    def test_answers_that_are_lost(self) -> None:
        """Done, and nobody hears of it: one's own write is found again."""
        lost = lambda request, forward: forward() and None
        for skip in (0, 2, 4, 6, 8):
            faults.on("PutObject", lost, skip=skip)
        self.first()

    def test_a_store_that_fails_for_good_leaves_it_to_resume(self) -> None:
        first = self.first()
        self.change()
        faults.on("PutObject", s3_error(500, "InternalError"), times=ALWAYS, skip=6)
        code, out, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("unfinished", out)
        self.assertTrue(self.complete(self.current()))
        faults.clear()
        code, out, err = self.magellan("deploy", "resume", "--environment", self.environment, "--json")
        self.assertEqual(code, PASSED, err)
        self.holds(json.loads(out))
        self.assertNotEqual(self.current(), first["release"])

    def test_a_record_that_cannot_be_kept_is_no_success(self) -> None:
        faults.on("PutObject", s3_error(500, "InternalError"), times=ALWAYS, key="index/")
        code, out, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("error[unfinished]", err)
        faults.clear()
        code, out, err = self.magellan("deploy", "resume", "--environment", self.environment, "--json")
        self.assertEqual(code, PASSED, err)
        self.assertIn("running", self.magellan("releases", "--environment", self.environment)[1])

    def test_a_bundle_that_is_damaged_on_the_way(self) -> None:
        self.first()
        self.change()
        faults.on("GetObject", flip_byte, times=ALWAYS, key="bundles/")
        record = self.deploy(self.stand_in(), code=UNTOUCHED)
        self.assertIn("digest", json.dumps(record["steps"]))

    def test_a_command_that_is_never_delivered(self) -> None:
        faults.undelivered()
        self.first()
        self.change()
        faults.clear()
        for number in range(3):
            faults.undelivered("TimedOut", "DeliveryTimedOut", skip=number)
        code, _, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("error[host-silent]", err)

    def test_a_command_whose_end_is_lost(self) -> None:
        """SSM says TimedOut of the switch, which was done: what runs is observed, and rolled back."""
        first = self.first()
        self.change()
        lost = invocation(Status="TimedOut", StatusDetails="ExecutionTimedOut", StandardOutputContent="")
        going_back = threading.Event()

        def lose(request, forward):
            switched = self.current() != first["release"]
            return lost(request, forward) if switched and not going_back.is_set() else forward()

        def notice(request, forward):
            if b'"roll_back"' in request.body:
                going_back.set()
            return forward()

        faults.on("GetCommandInvocation", lose, times=ALWAYS)
        faults.on("PutObject", notice, times=ALWAYS, key="deploys/")
        record = self.deploy(self.stand_in(), code=ROLLED_BACK)
        self.assertEqual(record["outcome"]["outcome"], "rolled_back")

    def test_more_output_than_ssm_keeps(self) -> None:
        """The answer comes first, so that what is cut off isn't it."""
        faults.on("GetCommandInvocation", noisy(after="x" * 30_000), times=ALWAYS)
        self.first()

    def test_output_that_isnt_the_scripts_is_no_answer(self) -> None:
        faults.on("GetCommandInvocation", noisy(before="x" * 30_000), times=ALWAYS)
        code, _, err = self.magellan(*self.deploying(self.stand_in()))
        self.assertEqual(code, UNRESOLVED, err)
        self.assertIn("error[host-silent]", err)

    def test_a_disk_that_is_full(self) -> None:
        self.first()
        self.change()
        for disk, kib in (("releases", 64), ("system", 0)):
            host.fill_disk(disk, kib)
            record = self.deploy(self.stand_in("good", disk), code=UNTOUCHED)
            self.assertRegex(json.dumps(record["steps"]), "disk|room|space")
            host.free_disk()
        self.deploy(self.stand_in())


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
