"""The live service under the unit that is deployed: a real systemd starts it, watches it, and stops it.

    MAGELLAN_BINARY=target/release/magellan python tests/live/systemd_unit.py [TEST …]

The machine is that of the deploy tests (../deploy/host.py) and needs what they need: root and systemd-container. It
shares this system's network, so the stand-in for Alpaca is on its loopback. Clocks are real; in a session the service
trades, at other times it waits, and both are well. What a drop-in changes is in `DROP_IN`, all else is the unit's.
"""
import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from typing import Any

import harness
from harness import MINUTE, SECRET, Fake, Journal, written

sys.path.insert(0, str(harness.REPOSITORY / "tests" / "deploy"))

from host import ROOT, STATE, UNITS, USER, Host  # noqa: E402

UNIT, STRATEGY = "magellan-bear-trap", "bear_trap"
CHECKOUT, OWN = f"{ROOT}/checkout", f"{STATE}/{STRATEGY}"
WATCHDOG = 6
CORES = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
# It runs in a checkout and takes its keys from variables, is sent to the stand-in, and nobody waits for minutes.
DROP_IN = f"""[Service]
ExecStart=
ExecStart={CHECKOUT}/magellan run --strategy {STRATEGY} --state-dir {OWN} --deployed {CHECKOUT}/deployed
WatchdogSec={WATCHDOG}
RestartSec=1
"""
WELL = r"(waiting|trading), \d+ bars, \d+ decisions, last bar "


def setUpModule() -> None:
    global host, fake
    host = Host()
    unittest.addModuleCleanup(host.close)
    fake = Fake("--lifetime", "3600")
    unittest.addModuleCleanup(fake.close)


def lacking() -> str | None:
    """What keeps these tests from running here, if anything does."""
    if harness.program() is None:
        return "no magellan is built, and MAGELLAN_BINARY names none"
    if shutil.which("strip") is None:
        return "strip isn't installed (Debian: apt install binutils)"
    offered = subprocess.run([harness.program(), "run", "--help"], capture_output=True, text=True, timeout=20).stdout
    if "--grace" not in offered:
        return "this magellan can't run live"
    permitted, why = Host.permitted()
    return None if permitted else f"no systemd-nspawn here: {why}"


def show(name: str) -> str:
    """What systemd holds of the unit."""
    return host.sh(f"systemctl show --property={name} --value {UNIT}").strip()


def show_all(*names: str) -> dict[str, str]:
    return {name: show(name) for name in names}


def say(text: str) -> None:
    """For whoever reads how it went."""
    print(f"    {text}", file=sys.stderr)


class Unit(unittest.TestCase):
    """bear_trap's unit on a machine as it was booted, beside a broker without a position."""

    def setUp(self) -> None:
        host.reset()
        now = time.time_ns()
        fake.tell("reset", now=written(now), settings={"secret": SECRET})
        fake.tell("account", cash="100000", multiplier="4")
        fake.tell("clock", wall=True)
        checkout = host.path(CHECKOUT)
        checkout.mkdir(parents=True)
        deployed = harness.deployed(checkout, STRATEGY, {})
        # Bars in which nothing happens, if there is a session.
        symbols = json.loads((deployed / STRATEGY / "config.json").read_text())["symbols"]
        minutes = [now // MINUTE * MINUTE + number * MINUTE for number in range(-2, 15)]
        bars = [{"t": written(at), "o": 10, "h": 10, "l": 10, "c": 10, "v": 1000} for at in minutes]
        fake.tell("bars", bars=dict.fromkeys(symbols, bars))
        # Without its line tables, which trade nothing.
        subprocess.run(["strip", "-o", checkout / "magellan", harness.program()], check=True)
        host.write(f"{UNITS}/{UNIT}.service", (deployed / STRATEGY / f"{UNIT}.service").read_bytes())
        self.cursor = host.sh("journalctl --lines=0 --show-cursor").rpartition("cursor: ")[2].strip()
        self.install()

    def install(self, secret: str = SECRET, more: str = "") -> None:
        """Its drop-in."""
        variables = {"APCA_API_KEY_ID": fake.at["key"], "APCA_API_SECRET_KEY": secret,
                     "APCA_API_BASE_URL": fake.at["trading"], "APCA_API_DATA_URL": fake.at["data"],
                     "APCA_API_STREAM_URL": fake.at["data_stream"]}
        lines = "".join(f"Environment={name}={value}\n" for name, value in variables.items())
        host.write(f"{UNITS}/{UNIT}.service.d/test.conf", DROP_IN + lines + more, 0o600)
        host.sh("systemctl daemon-reload")

    def tearDown(self) -> None:
        """Whatever happened: the secret is written nowhere."""
        files = [file for file in host.path(OWN).rglob("*") if file.is_file()]
        self.assertIn("heartbeat.json", [file.name for file in files])
        self.assertEqual([file for file in files if SECRET.encode() in file.read_bytes()], [])
        journal = host.sh("journalctl --all --output=export")
        self.assertTrue("bear_trap starts" in journal, "the journal lacks it")
        self.assertFalse(SECRET in journal, "the secret is in the journal of systemd")

    def start(self) -> str:
        """Starts the unit; the main process, once systemd says that it is active."""
        begun = time.monotonic()
        done = host.run(["systemctl", "start", UNIT])
        if done.code:
            self.fail(f"{done.err}\n{self.logged()}")
        self.assertEqual(show_all("ActiveState", "SubState", "NRestarts"),
                         {"ActiveState": "active", "SubState": "running", "NRestarts": "0"})
        say(f"active after {time.monotonic() - begun:.2f} s")
        return show("MainPID")

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while not (found := holds()):
            if time.monotonic() > end:
                self.fail(f"{what}: not within {seconds} s\n{self.logged()}")
            time.sleep(0.1)
        return found

    def logged(self) -> str:
        """What the journal has of the unit since this test began: systemd's lines and the service's own."""
        return host.sh(f"journalctl --after-cursor='{self.cursor}' --unit={UNIT} --output=cat")

    def heartbeat(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            return json.loads(host.read(f"{OWN}/heartbeat.json"))
        return {}

    def records(self, what: str) -> list[dict[str, Any]]:
        """Of its own journal, whose numbers have no gap."""
        return Journal(host.path(f"{OWN}/journal.jsonl")).of(what)

    def restarted(self, former: str, seconds: float) -> str:
        """Waits until it is active again in another process, which goes on where the former one ended."""
        self.until(lambda: show("NRestarts") == "1" and show("ActiveState") == "active", "it is restarted", seconds)
        pid = show("MainPID")
        self.assertNotIn(pid, ("0", former))
        self.until(lambda: re.match(WELL, show("StatusText")), "it is well again")
        found = self.heartbeat()
        self.assertEqual((found["starts"], str(found["pid"])), (2, pid))
        self.assertEqual(len(self.records("started")), 2)
        return pid

    # ---- up and down ----

    def test_it_is_active_once_it_has_compared_itself_with_the_broker(self) -> None:
        fault = fake.tell("faults", kind="answer", on={"host": "trading", "path": "^/v2/positions$"}, count=None,
                          status=503)
        host.sh(f"systemctl start --no-block {UNIT}")
        self.until(lambda: show("StatusText") == "reconciling", "it is reconciling")
        end = time.monotonic() + 2 * WATCHDOG
        while time.monotonic() < end:
            self.assertEqual(show_all("ActiveState", "SubState", "StatusText", "NRestarts"),
                             {"ActiveState": "activating", "SubState": "start", "StatusText": "reconciling",
                              "NRestarts": "0"}, self.logged())
            self.assertEqual(self.heartbeat()["phase"], "reconciling")
            time.sleep(0.5)
        used = next(of["used"] for of in fake.ask("faults") if of["id"] == fault["id"])
        self.assertGreater(used, 2, "it asks again and again")
        fake.clear("faults")
        self.until(lambda: show("ActiveState") == "active", "it is active")
        text = self.until(lambda: re.match(WELL, found := show("StatusText")) and found, "it says how far it is")
        say(f"reconciling for {2 * WATCHDOG} s and {used} answers of 503; then active, and its status: {text}")
        self.until(lambda: self.records("phase")[-1]["phase"] == self.heartbeat()["phase"]
                   == ("trading" if fake.ask("clock")["phase"] == "core" else "waiting"), "it knows the session")
        self.assertEqual(show("NRestarts"), "0")

    def test_it_stops_when_it_is_told_to(self) -> None:
        pid = self.start()
        begun = time.monotonic()
        host.sh(f"systemctl stop {UNIT}")
        took = time.monotonic() - begun
        say(f"stopped after {took:.2f} s")
        # SIGTERM, not SIGKILL after TimeoutStopSec.
        self.assertLess(took, 5)
        # systemd forgets a unit that is down and well; its journal doesn't.
        self.assertEqual(show_all("ActiveState", "Result"), {"ActiveState": "inactive", "Result": "success"})
        logged = self.logged()
        self.assertIn(f"{UNIT}.service: Deactivated successfully.", logged)
        self.assertNotRegex(logged, "Failed with|timed out|Killing|SIGKILL")
        found = self.heartbeat()
        self.assertEqual((found["phase"], found["errors"], str(found["pid"])), ("stopped", 0, pid))

    def test_it_stops_while_the_broker_does_not_answer(self) -> None:
        # Not even all is loaded.
        fake.tell("faults", kind="timeout", on={"host": "trading", "path": "^/v2/assets/"}, count=None)
        host.sh(f"systemctl start --no-block {UNIT}")
        self.until(lambda: show("StatusText") == "loading", "it is loading")
        time.sleep(1)
        begun = time.monotonic()
        host.run(["systemctl", "stop", UNIT])
        took = time.monotonic() - begun
        say(f"stopped after {took:.2f} s")
        self.assertNotIn("SIGKILL", self.logged())
        self.assertLess(took, 10)
        self.assertEqual(self.heartbeat()["phase"], "stopped")

    def test_it_is_restarted_when_it_hangs(self) -> None:
        pid = self.start()
        # Longer than the watchdog waits: what isn't hung is left alone.
        time.sleep(1.5 * WATCHDOG)
        self.assertEqual((show("NRestarts"), show("MainPID")), ("0", pid))
        begun = time.monotonic()
        host.sh(f"kill -STOP {pid}")
        new = self.restarted(pid, WATCHDOG + 15)
        logged = self.logged()
        self.assertIn(f"Watchdog timeout (limit {WATCHDOG}s)!", logged)
        self.assertIn("Failed with result 'watchdog'.", logged)
        say(f"hung as {pid}; active again as {new} after {time.monotonic() - begun:.1f} s")

    def test_it_is_restarted_when_it_is_killed(self) -> None:
        pid = self.start()
        begun = time.monotonic()
        host.sh(f"kill -KILL {pid}")
        new = self.restarted(pid, 15)
        self.assertIn("Failed with result 'signal'.", self.logged())
        say(f"killed as {pid}; active again as {new} after {time.monotonic() - begun:.1f} s")

    def test_it_fails_for_good_with_wrong_keys(self) -> None:
        self.install(secret="wrong-and-not-to-be-shown")
        begun = time.monotonic()
        self.assertNotEqual(host.run(["systemctl", "start", UNIT]).code, 0)
        self.until(lambda: show("ActiveState") == "failed", "it fails", 90)
        found = show_all("Result", "NRestarts", "ExecMainCode", "ExecMainStatus")
        say(f"failed for good after {time.monotonic() - begun:.0f} s: {found}")
        # StartLimitBurst=5.
        self.assertEqual(self.heartbeat()["starts"], 5)
        logged = self.logged()
        self.assertEqual(logged.count("error[alpaca-keys]"), 5, logged)
        self.assertIn("Start request repeated too quickly.", logged)
        self.assertNotIn("wrong-and-not-to-be-shown", logged)
        time.sleep(3)
        self.assertEqual((show("ActiveState"), self.heartbeat()["starts"]), ("failed", 5))

    # ---- what it may do, and what it leaves ----

    def test_what_the_unit_forbids_does_not_hinder_it(self) -> None:
        # A call that isn't allowed ends it here; as deployed it fails with EPERM, which might go unnoticed.
        self.install(more="SystemCallErrorNumber=kill\n")
        pid = self.start()
        time.sleep(4)
        self.assertEqual((show("NRestarts"), show("MainPID"), self.heartbeat()["errors"]), ("0", pid, 0), self.logged())
        self.assertNotRegex(self.logged(), "(?i)not permitted|permission denied|read-only file system")
        status = dict(re.findall(r"(\w+):\s*(.*)", host.read(f"/proc/{pid}/status")))
        self.assertEqual((status["Seccomp"], status["NoNewPrivs"], status["CapEff"]), ("2", "1", "0" * 16))
        # And the unit does forbid: the disk but its own folder.
        touch = ["nsenter", "-t", pid, "-m", "--", "touch"]
        for folder in ("/etc", "/usr", ROOT, STATE):
            self.assertIn("Read-only file system", host.run([*touch, f"{folder}/file"]).err, folder)
        self.assertEqual(host.run([*touch, f"{OWN}/file"]).code, 0)
        host.sh(f"systemctl stop {UNIT}")
        self.assertIn("Deactivated successfully.", self.logged())

    def test_it_needs_little_memory(self) -> None:
        pid = self.start()
        time.sleep(3)
        status = dict(re.findall(r"(\w+):\s*(.*)", host.read(f"/proc/{pid}/status")))
        resident, own = (int(status[name].split()[0]) << 10 for name in ("VmHWM", "RssAnon"))
        used, most = show("MemoryCurrent"), int(show("MemoryMax"))
        say(f"MemoryCurrent {used}; resident at most {resident >> 20} MiB, {own >> 20} MiB of them its own; "
            f"MemoryMax {most >> 20} MiB")
        self.assertEqual(most, 256 << 20)
        self.assertLess(resident, most // 2)
        # Without a controller of memory in the container systemd doesn't know it.
        if used.isdigit():
            self.assertLess(int(used), most // 2)

    def test_its_memory_is_private(self) -> None:
        # It has its keys there.
        pid = self.start()
        limit = re.search("Max core file size *(.*)", host.read(f"/proc/{pid}/limits"))[1]
        say(f"as deployed its core file's limit is {' '.join(limit.split())}")
        for name in ("environ", "mem", "maps"):
            with self.subTest(name):
                seen = host.run(["runuser", "-u", USER, "--", "head", "--bytes=0", f"/proc/{pid}/{name}"])
                self.assertIn("Permission denied", seen.err)

    @unittest.skipIf(re.search("[|/]", CORES), f"core files go to {CORES}")
    def test_it_leaves_no_core(self) -> None:
        # Nothing keeps a core file from being written but the process itself.
        self.install(more=f"LimitCORE=infinity\nWorkingDirectory={OWN}\n")
        pid = self.start()
        host.sh(f"kill -ABRT {pid}")
        self.restarted(pid, 15)
        self.assertIn("code=killed, status=6/ABRT", self.logged())
        self.assertEqual(list(host.path(OWN).rglob("core*")), [])
        # Another process leaves one there.
        host.run(["runuser", "-u", USER, "--", "bash", "-c", f"ulimit -c unlimited; cd {OWN}; kill -ABRT $$"])
        self.assertNotEqual(list(host.path(OWN).rglob("core*")), [])


if __name__ == "__main__":
    if why := lacking():
        required = harness.required("systemd")
        print(f"{'MAGELLAN_REQUIRE names systemd' if required else 'SKIPPED'}: tests/live/systemd_unit.py; {why}",
              file=sys.stderr)
        sys.exit(required)
    unittest.main(verbosity=2)
