"""Shows that the fixtures of the deploy tests are what they say. Needs what host.py and emulator.py need.

    python tests/deploy/test_fixtures.py
"""
import base64
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

import bad_service
from emulator import BUCKET, TAG, Emulator, Machine, Refused
from faults import (ALWAYS, Faults, after, before, flip_byte, forbidden_if_missing, instead, invocation, json_error,
                    lost, noisy, s3_error)
from host import (BOUND, CHECKOUT, COMMITS, DEPLOY_STATE, ETC, NAME, OLD_USER, RELEASES, ROOT, SECOND, STATE, UNITS,
                  USER, Host)

HERE = pathlib.Path(__file__).parent
STRATEGY, UNIT = "bear_trap", "magellan-bear-trap"
RELEASE, BINDING = "a" * 64, "b" * 64


def setUpModule() -> None:
    global host, emulator, faults
    permitted, why = Host.permitted()
    if not permitted:
        raise unittest.SkipTest(f"no systemd-nspawn here: {why}")
    begun = time.monotonic()
    host = Host()
    unittest.addModuleCleanup(host.close)
    print(f"booted in {time.monotonic() - begun:.2f} s", file=sys.stderr)
    emulator = Emulator(host.prefix, NAME)
    unittest.addModuleCleanup(emulator.close)
    faults = Faults(emulator.port)
    unittest.addModuleCleanup(faults.close)


def eventually(condition, seconds: float = 10):
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


class OfTheHost(unittest.TestCase):
    """host.py."""

    def setUp(self) -> None:
        host.reset()

    def test_it_is_a_machine_of_its_own(self) -> None:
        self.assertEqual(host.run(["hostname"]).out, f"{NAME}\n")
        self.assertEqual(host.run(["systemctl", "is-system-running"]).out, "running\n")
        self.assertNotIn("HOME", host.run(["env"]).out)
        self.assertEqual(host.run(["bash", "-c", "echo out; echo err >&2; exit 7"]), (7, "out\n", "err\n"))
        host.write("/etc/only-inside", "x")
        self.assertTrue(host.exists("/etc/only-inside"))
        self.assertFalse(os.path.exists("/etc/only-inside"))

    def test_what_a_developer_pushes_can_be_fetched(self) -> None:
        commit = host.push({"a/b.txt": "1\n"}, branch="feature")
        host.sh(f"rm -rf /root/mirror; git clone --quiet --mirror {host.remote} /root/mirror")
        self.assertEqual(host.sh(f"git -C /root/mirror show {commit}:a/b.txt"), "1\n")
        # As the old layout has it: a checkout of another user's.
        self.assertFalse(host.exists(CHECKOUT))
        host.make_checkout()
        origin = host.sh(f"cd {CHECKOUT}; runuser -u {OLD_USER} -- git remote get-url origin")
        self.assertEqual(origin.strip(), str(host.remote))

    def test_disks_fill(self) -> None:
        for disk, folder in (("releases", ROOT), ("system", UNITS)):
            write = f"head --bytes=100000 /dev/zero > {folder}/magellan-big"
            host.fill_disk(disk, leave_kib=32)
            self.assertIn("No space left", host.run(["bash", "-c", write]).err)
            host.free_disk()
            host.sh(write)

    def test_a_reset_forgets_a_deploy(self) -> None:
        host.write(f"{UNITS}/{UNIT}.service", "[Service]\nType=exec\nExecStart=sleep infinity\n"
                   "[Install]\nWantedBy=multi-user.target\n")
        for path in (f"{STATE}/{STRATEGY}/heartbeat.json", f"{ETC}/environment", f"{DEPLOY_STATE}/generation",
                     f"{RELEASES}/{RELEASE}/magellan", f"{COMMITS}/x/y"):
            host.write(path, "{}")
        host.sh(f"systemctl enable --now {UNIT}; userdel {USER}; chmod 0777 {ROOT}")
        host.reset()
        self.assertEqual(host.sh(f"systemctl show -P LoadState {UNIT}"), "not-found\n")
        self.assertEqual(host.sh(f"find {ROOT} {UNITS} -mindepth 1 -not -type d"), "")
        self.assertEqual([path for path in (STATE, ETC, DEPLOY_STATE) if host.exists(path)], [])
        self.assertEqual(host.sh(f"stat -c '%U %a' {ROOT}; id -u {USER} >/dev/null"), "root 755\n")

    def test_two_machines_are_each_of_its_own(self) -> None:
        second = Host(SECOND, beside=host)
        try:
            self.assertEqual([machine.run(["hostname"]).out for machine in (host, second)], [f"{NAME}\n", f"{SECOND}\n"])
            second.write("/etc/only-there", "x")
            self.assertFalse(host.exists("/etc/only-there"))
            second.sh(f"git ls-remote {host.remote} HEAD")
            second.fill_disk("releases")
            host.sh(f"head --bytes=100000 /dev/zero > {ROOT}/big")
        finally:
            second.close()
        self.assertEqual(host.run(["systemctl", "is-system-running"]).out, "running\n")

    def test_it_ends_with_a_test_that_is_killed(self) -> None:
        script = "import host, time; h = host.Host(); print(h.prefix[2], h.shared, flush=True); time.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", script], cwd=HERE, stdout=subprocess.PIPE, text=True)
        leader, shared = process.stdout.readline().split()
        process.kill()
        process.communicate()
        self.assertTrue(eventually(lambda: not os.path.exists(f"/proc/{leader}")))
        # Whoever is next removes what it left.
        self.assertTrue(eventually(lambda: Host.permitted()[0] and not os.path.exists(shared)))
        self.assertEqual(list(pathlib.Path("/sys/fs/cgroup").glob(f"*/{pathlib.Path(shared).name}")), [])


class OfTheEmulator(unittest.TestCase):
    """The table in emulator.py, line by line, through the proxy."""

    def setUp(self) -> None:
        faults.clear()
        self.key = f"/{BUCKET}/{self.id()}"

    def put(self, body: str = "abc", **headers: str) -> None:
        emulator.call("s3", "PUT", self.key, body, **{name.replace("_", "-"): v for name, v in headers.items()})

    def refused(self, status: int, word: bytes, call, *arguments, **named) -> None:
        with self.assertRaises(Refused) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(word, caught.exception.body)

    def test_objects_are_written_on_conditions(self) -> None:
        tag = f'"{hashlib.md5(b"abc").hexdigest()}"'
        self.refused(404, b"NoSuchKey", self.put, If_Match=tag)
        self.put(If_None_Match="*")
        self.refused(412, b"PreconditionFailed", self.put, If_None_Match="*")
        self.put("abd", If_Match=tag)
        self.refused(412, b"PreconditionFailed", self.put, If_Match=tag)
        versions = emulator.call("s3", "GET", f"/{BUCKET}?versions&prefix={self.id()}")
        self.assertEqual(versions.count(b"<VersionId>"), 2)

    def test_a_wrong_checksum_is_refused(self) -> None:
        digest = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
        self.put(x_amz_checksum_sha256=digest)
        self.refused(400, b"BadDigest", self.put, "abd", x_amz_checksum_sha256=digest)

    def test_what_is_missing_is_404(self) -> None:
        self.refused(404, b"NoSuchKey", emulator.call, "s3", "GET", self.key)

    def test_a_presigned_url_needs_its_signature(self) -> None:
        self.put()
        unsigned = f"{emulator.url}{self.key}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0"
        self.assertIn("403", host.run(["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
                                       unsigned]).out)

    def test_who_asks(self) -> None:
        self.assertIn("<Account>123456789012<", emulator.query("sts", Action="GetCallerIdentity"))

    def test_the_instance_is_found_by_its_name_or_id(self) -> None:
        for key, value, found in (("tag:Name", TAG, 1), ("tag:Name", "another", 0),
                                  ("InstanceIds", emulator.instance, 1), ("InstanceIds", "i-0", 0),
                                  ("PingStatus", "Online", 1)):
            filters = [{"Key": key, "Values": [value]}]
            said = emulator.ssm("DescribeInstanceInformation", Filters=filters)["InstanceInformationList"]
            self.assertEqual([i["ComputerName"] for i in said], [NAME] * found, filters)

    def test_commands_run_in_the_host(self) -> None:
        self.refused(400, b"InvalidAction", emulator.ssm, "ListCommandInvocations")
        self.refused(400, b"InvalidInstanceId", emulator.ssm, "SendCommand", InstanceIds=["i-0"],
                     DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
        said = command("#!/bin/bash\n[[ $UID = 0 ]] && hostname; echo ${HOME-none}; echo err >&2; exit 3")
        self.assertEqual((said["Status"], said["ResponseCode"]), ("Failed", 3))
        self.assertEqual((said["StandardOutputContent"], said["StandardErrorContent"]), (f"{NAME}\nnone\n", "err\n"))
        long = command("echo first; yes | head --bytes=30000")["StandardOutputContent"]
        self.assertEqual((len(long), long[:6], long[-20:]), (24000, "first\n", "--output truncated--"))

    def test_several_machines_are_told_apart(self) -> None:
        emulated = Emulator(["env", "WHERE=here"], "here", Machine("there", "there.example.org", ["env", "WHERE=there"]))
        try:
            for tag, name in ((TAG, "here"), ("there", "there.example.org")):
                filters = [{"Key": "tag:Name", "Values": [tag]}]
                one, = emulated.ssm("DescribeInstanceInformation", Filters=filters)["InstanceInformationList"]
                self.assertEqual(one["ComputerName"], name)
                said = command("echo $WHERE", emulated.url, one["InstanceId"])
                self.assertEqual(said["StandardOutputContent"], name.split(".")[0] + "\n")
        finally:
            emulated.close()

    def test_objects_are_put_got_and_forgotten(self) -> None:
        emulator.put("some/thing", b"x")
        self.assertEqual(emulator.get("some/thing"), b"x")
        emulator.forget("some/thing")
        self.refused(404, b"NoSuchKey", emulator.get, "some/thing")
        self.key = f"/{BUCKET}/some/thing"
        self.put(If_None_Match="*")

    def test_it_ends_with_what_started_it(self) -> None:
        with_it = subprocess.Popen([sys.executable, "-c", "import emulator, time\n"
                                    "print(emulator.Emulator(['env'], 'x').port, flush=True); time.sleep(60)"],
                                   cwd=HERE, stdout=subprocess.PIPE, text=True)
        port = with_it.stdout.readline().strip()
        with_it.kill()
        with_it.communicate()
        self.assertTrue(eventually(lambda: host.run(["curl", "--silent", f"127.0.0.1:{port}"]).code == 7))


class OfTheFaults(unittest.TestCase):
    """faults.py: each fault once, as a client sees it."""

    def setUp(self) -> None:
        faults.clear()

    def s3(self, method: str, key: str, body: bytes | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(f"{faults.url}/{BUCKET}/{key}", body, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def test_errors_come_as_often_as_said(self) -> None:
        faults.on("PutObject", s3_error(503, "SlowDown"), times=2, skip=1, key="here")
        self.assertEqual([self.s3("PUT", "here", b"x")[0] for _ in range(4)], [200, 503, 503, 200])
        self.assertEqual(self.s3("PUT", "there", b"x")[0], 200)

    def test_rules_that_did_not_come_are_told(self) -> None:
        """One that doesn't go on hides those after it."""
        first = faults.on("PutObject", s3_error(500, "InternalError"), times=2, key="here")
        second = faults.on("PutObject", s3_error(503, "SlowDown"), times=2, key="he.e$")
        third = faults.on("PutObject", s3_error(409, "ConditionalRequestConflict"), skip=2, key="here",
                          where=lambda request: request.body == b"x")
        self.assertEqual([self.s3("PUT", "here", b"x")[0] for _ in range(4)], [500, 500, 409, 200])
        self.assertEqual([(rule.seen, rule.used) for rule in (first, second, third)], [(4, 2), (4, 0), (4, 1)])
        self.assertEqual(faults.unused, [second])

    def test_what_is_missing_is_forbidden(self) -> None:
        faults.on("GetObject", forbidden_if_missing, times=ALWAYS)
        status, body = self.s3("GET", "nowhere")
        self.assertEqual(status, 403)
        self.assertIn(b"AccessDenied", body)

    def test_one_bit_flips(self) -> None:
        self.s3("PUT", "bits", b"aaa")
        faults.on("GetObject", flip_byte)
        self.assertEqual([self.s3("GET", "bits")[1] for _ in range(2)], [b"a`a", b"aaa"])

    def test_requests_are_recorded(self) -> None:
        self.s3("PUT", "seen", b"x")
        self.s3("DELETE", "seen")
        self.s3("GET", "?list-type=2")
        command("true", faults.url)
        seen = [request.operation for request in faults.requests]
        self.assertEqual(seen[:4], ["PutObject", "DeleteObject", "ListBucket", "SendCommand"])
        self.assertEqual(faults.count("DeleteObject"), 1)

    def test_calls_come_before_after_and_instead(self) -> None:
        statuses = []
        faults.on("PutObject", before(lambda: statuses.append(self.s3("GET", "when")[0])))
        faults.on("PutObject", after(lambda: statuses.append(self.s3("GET", "when")[0])))
        self.s3("PUT", "when", b"x")
        self.assertEqual(statuses, [404, 200])
        faults.on("*", instead(lambda: None))
        with self.assertRaises(OSError):
            self.s3("PUT", "never", b"x")
        self.assertEqual(self.s3("GET", "never")[0], 404)

    def test_a_client_can_be_killed_at_a_request(self) -> None:
        client = subprocess.Popen(["bash", "-c", f"for n in 1 2 3; do curl -s -T /etc/hostname "
                                   f"{faults.url}/{BUCKET}/killed-$n; done; echo survived"],
                                  stdout=subprocess.PIPE, text=True, process_group=0)
        faults.on("PutObject", instead(lambda: os.killpg(client.pid, signal.SIGKILL)), key="killed-2")
        self.assertEqual(client.communicate()[0], "")
        self.assertEqual([self.s3("GET", f"killed-{n}")[0] for n in (1, 2, 3)], [200, 404, 404])

    def test_commands_fail_as_in_life(self) -> None:
        faults.on("SendCommand", json_error("ThrottlingException"))
        with self.assertRaisesRegex(urllib.error.HTTPError, "400"):
            command("true", faults.url)
        for status, details in (("Failed", "Undeliverable"), ("TimedOut", "DeliveryTimedOut")):
            faults.undelivered(status, details)
            said = command("touch /run/delivered", faults.url)
            self.assertEqual((said["Status"], said["StatusDetails"], said["ResponseCode"]), (status, details, -1))
        self.assertFalse(host.exists("/run/delivered"))
        faults.on("GetCommandInvocation", invocation(Status="TimedOut", StatusDetails="ExecutionTimedOut"))
        self.assertEqual(command("true", faults.url)["StatusDetails"], "ExecutionTimedOut")

    def test_commands_of_one_operation_fail(self) -> None:
        """By what a deployer says of them; they are done, and it is another answer that comes."""
        rule = faults.command("activate", lost)
        self.assertEqual(command("true", faults.url, comment="magellan facts")["Status"], "Success")
        self.assertEqual(faults.unused[-1], rule)
        said = command("sleep 0.3; touch /run/activated", faults.url, comment="magellan activate")
        self.assertEqual((said["Status"], said["StandardOutputContent"]), ("TimedOut", ""))
        self.assertTrue(host.exists("/run/activated"))
        self.assertEqual((rule.used, faults.unused), (1, []))
        self.assertEqual(command("true", faults.url, comment="magellan activate")["Status"], "Success")
        faults.undelivered(operation="stage")
        self.assertEqual(command("true", faults.url, comment="magellan facts")["Status"], "Success")
        self.assertEqual(command("true", faults.url, comment="magellan stage")["StatusDetails"], "Undeliverable")

    def test_output_can_be_long(self) -> None:
        for where in ("before", "after"):
            faults.on("GetCommandInvocation", noisy(**{where: "x" * 30_000}), times=ALWAYS)
            out = command("echo verdict", faults.url)["StandardOutputContent"]
            self.assertEqual((len(out), "verdict" in out), (24_000, where == "after"))
            faults.clear()


class OfTheBadService(unittest.TestCase):
    """bad_service.py under a real unit: what each way to be bad looks like from outside."""

    def start(self, mode: str) -> dict:
        """Starts a release of that mode; what is to be seen of it 2 s later."""
        host.reset()
        release, bound = f"{RELEASES}/{RELEASE}", f"{BOUND}/{UNIT}/{RELEASE}-{BINDING}"
        unit = (HERE.parents[1] / f"deployed/{STRATEGY}/{UNIT}.service").read_text()
        self.binary = bad_service.binary(mode)
        files = {"magellan": self.binary, f"deployed/{STRATEGY}/config.json": b"{}",
                 f"deployed/{STRATEGY}/{UNIT}.service": unit.encode(),
                 "manifest.json": json.dumps({"strategies": {STRATEGY: {"unit": UNIT}}}).encode()}
        for path, content in files.items():
            host.write(f"{release}/{path}", content, 0o755 if path == "magellan" else 0o644)
        host.write(f"{bound}/binding.json", '{"environment": "staging"}\n')
        host.write(f"{UNITS}/{UNIT}.service", unit)
        host.write(f"{UNITS}/{UNIT}.service.d/magellan.conf",
                   f"[Service]\nEnvironment=MAGELLAN_BINDING={BOUND}/%p/current/binding.json\n")
        host.sh(f"chmod 0755 {ROOT}; ln -s ../../../releases/{RELEASE} {bound}/release; "
                f"ln -s {RELEASE}-{BINDING} {BOUND}/{UNIT}/current; "
                f"runuser -u {USER} -- {release}/magellan --version; systemctl daemon-reload; systemctl start {UNIT}")
        time.sleep(2)
        shown = host.sh(f"systemctl show -p ActiveState,SubState,NRestarts,StatusText,Result,MainPID {UNIT}")
        logs = host.path(f"{STATE}/{STRATEGY}/logs")
        heartbeat = host.path(f"{STATE}/{STRATEGY}/heartbeat.json")
        texts = [path.read_text() for path in logs.glob("*")] if logs.exists() else []
        return {**dict(line.split("=", 1) for line in shown.splitlines()),
                "logs": {path: path.stat().st_mtime for path in logs.glob("*.jsonl")} if logs.exists() else {},
                "errors": sum(text.count('"ERROR"') + text.count('"FATAL"') for text in texts),
                "bytes": sum(map(len, texts)),
                "heartbeat": json.loads(heartbeat.read_text()) if heartbeat.exists() else None}

    def program(self, pid: str) -> str:
        return host.sh(f"sha256sum < /proc/{pid}/exe | cut -c1-64").strip()

    def test_good(self) -> None:
        seen = self.start("good")
        self.assertEqual((seen["ActiveState"], seen["SubState"], seen["StatusText"], seen["errors"]),
                         ("active", "running", "standing in", 0))
        beat = seen["heartbeat"]
        self.assertEqual((beat["release"], beat["environment"], beat["phase"], beat["open_positions"]),
                         (RELEASE, "staging", "trading", 0))
        self.assertEqual(str(beat["pid"]), seen["MainPID"])
        self.assertEqual(self.program(seen["MainPID"]), hashlib.sha256(self.binary).hexdigest())
        self.assertLess(time.time() - max(seen["logs"].values()), 3)
        self.assertEqual(host.run(["systemctl", "stop", UNIT]).code, 0)
        self.assertEqual(host.sh(f"systemctl show -P Result {UNIT}"), "success\n")

    def test_crash(self) -> None:
        seen = self.start("crash")
        self.assertEqual((seen["ActiveState"], seen["SubState"], seen["Result"]),
                         ("activating", "auto-restart", "exit-code"))

    def test_late_crash(self) -> None:
        self.start("late_crash")
        self.assertTrue(eventually(lambda: "auto-restart" in host.sh(f"systemctl show -P SubState {UNIT}"), 10))
        self.assertTrue(host.exists(f"{STATE}/{STRATEGY}/heartbeat.json"))

    def test_dies_at_20s(self) -> None:
        self.assertEqual(self.start("dies_at_20s")["ActiveState"], "active")
        self.assertTrue(eventually(lambda: "auto-restart" in host.sh(f"systemctl show -P SubState {UNIT}"), 30))

    def test_silent(self) -> None:
        seen = self.start("silent")
        self.assertEqual((seen["ActiveState"], seen["logs"]), ("active", {}))
        self.assertIsNotNone(seen["heartbeat"])

    def test_old_log(self) -> None:
        seen = self.start("old_log")
        self.assertEqual((seen["ActiveState"], len(seen["logs"])), ("active", 1))
        self.assertGreater(time.time() - max(seen["logs"].values()), 80_000)

    def test_no_heartbeat(self) -> None:
        seen = self.start("no_heartbeat")
        self.assertEqual((seen["ActiveState"], seen["heartbeat"]), ("active", None))

    def test_heartbeats_that_are_wrong(self) -> None:
        self.assertEqual(self.start("wrong_digest")["heartbeat"]["unit_digest"], "0" * 64)
        self.assertEqual(self.start("starting")["heartbeat"]["phase"], "starting")
        self.assertGreater(self.start("future")["heartbeat"]["written_at"], time.time() + 3500)

    def test_errors(self) -> None:
        self.assertGreaterEqual(self.start("errors")["errors"], 40)
        self.assertEqual(self.start("fatal")["errors"], 20)
        self.assertGreater(self.start("huge_log")["bytes"], 20_000_000)

    def test_stderr_burst(self) -> None:
        self.assertEqual(self.start("stderr_burst")["errors"], 0)
        self.assertEqual(host.sh(f"journalctl --unit {UNIT} --output cat | grep -c 'something is off'").strip(), "200")

    def test_foreign_process(self) -> None:
        seen = self.start("foreign_process")
        self.assertEqual((seen["ActiveState"], seen["NRestarts"]), ("active", "0"))
        self.assertNotEqual(self.program(seen["MainPID"]), hashlib.sha256(self.binary).hexdigest())

    def test_positions(self) -> None:
        self.assertEqual(self.start("positions")["heartbeat"]["open_positions"], 0)
        host.write(f"{STATE}/{STRATEGY}/positions", "3")
        beat = lambda: json.loads(host.read(f"{STATE}/{STRATEGY}/heartbeat.json"))["open_positions"]
        self.assertTrue(eventually(lambda: beat() == 3))


def command(script: str, url: str | None = None, instance: str | None = None, comment: str = "") -> dict:
    """Runs a command through SSM at `url`, or past the proxy; what is said of it at its end."""
    instance = instance or emulator.instance

    def ssm(operation: str, **parameters) -> dict:
        headers = {"X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1",
                   "Authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20300101/us-east-2/ssm/aws4_request"}
        request = urllib.request.Request(url or emulator.url, json.dumps(parameters).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    sent = ssm("SendCommand", InstanceIds=[instance], DocumentName="AWS-RunShellScript", Comment=comment,
               Parameters={"commands": [script]})["Command"]["CommandId"]
    said = {"Status": "Pending"}
    while said["Status"] in ("Pending", "InProgress"):
        time.sleep(0.05)
        said = ssm("GetCommandInvocation", CommandId=sent, InstanceId=instance)
    return said


if __name__ == "__main__":
    unittest.main()
