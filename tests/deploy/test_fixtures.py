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

from emulator import BUCKET, TAG, Emulator, Refused
from faults import (ALWAYS, Faults, after, before, flip_byte, forbidden_if_missing, instead, invocation, json_error,
                    noisy, s3_error)
from host import CHECKOUT, NAME, RELEASES, STATE, UNITS, USER, Host

HERE = pathlib.Path(__file__).parent
UNIT = "magellan-bear-trap"
DIGESTS = {"release": "a" * 64, "unit": "b" * 64}


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
        host.sh(f"cd {CHECKOUT}; runuser -u {USER} -- git fetch --quiet; "
                f"runuser -u {USER} -- git checkout --quiet --detach {commit}")
        self.assertEqual(host.read(f"{CHECKOUT}/a/b.txt"), "1\n")
        origin = host.sh(f"cd {CHECKOUT}; runuser -u {USER} -- git remote get-url origin")
        self.assertEqual(origin.strip(), str(host.remote))

    def test_disks_fill(self) -> None:
        for disk, folder in (("releases", RELEASES), ("system", UNITS)):
            write = f"head --bytes=100000 /dev/zero > {folder}/magellan-big"
            host.fill_disk(disk, leave_kib=32)
            self.assertIn("No space left", host.run(["bash", "-c", write]).err)
            host.free_disk()
            host.sh(write)

    def test_a_reset_forgets_a_deploy(self) -> None:
        host.write(f"{UNITS}/{UNIT}.service", "[Service]\nType=exec\nExecStart=sleep infinity\n"
                   "[Install]\nWantedBy=multi-user.target\n")
        host.write(f"{STATE}/bear_trap/heartbeat.json", "{}")
        host.sh(f"systemctl enable --now {UNIT} && mkdir {RELEASES}/x && ln -s x {RELEASES}/current")
        host.reset()
        self.assertEqual(host.sh(f"systemctl show -P LoadState {UNIT}"), "not-found\n")
        self.assertEqual(host.sh(f"find {RELEASES} {UNITS} -mindepth 1 -not -type d"), "")
        self.assertFalse(host.exists(STATE))

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

    def test_output_can_be_long(self) -> None:
        for where in ("before", "after"):
            faults.on("GetCommandInvocation", noisy(**{where: "x" * 30_000}), times=ALWAYS)
            out = command("echo verdict", faults.url)["StandardOutputContent"]
            self.assertEqual((len(out), "verdict" in out), (24_000, where == "after"))
            faults.clear()


class OfTheBadService(unittest.TestCase):
    """bad_service.py under a real unit: what each way to be bad looks like from outside."""

    def start(self, mode: str) -> dict:
        """Starts a release of that mode; what is to be seen of it 1.5 s later."""
        host.reset()
        release = f"{RELEASES}/{DIGESTS['release']}"
        script = (HERE / "bad_service.py").read_text().replace('MODE = "good"', f'MODE = "{mode}"')
        host.write(f"{release}/magellan", script, 0o755)
        host.write(f"{release}/manifest.json", json.dumps(
            {"environment": "staging", "strategies": {"bear_trap": {"unit_digest": DIGESTS["unit"]}}}))
        unit = (HERE.parents[1] / f"deployed/bear_trap/{UNIT}.service").read_text()
        host.write(f"{UNITS}/{UNIT}.service", unit)
        host.sh(f"ln -s {DIGESTS['release']} {RELEASES}/current; runuser -u {USER} -- {release}/magellan --version; "
                f"systemctl daemon-reload; systemctl start {UNIT}")
        time.sleep(1.5)
        shown = host.sh(f"systemctl show -p ActiveState,SubState,NRestarts,StatusText,Result {UNIT}")
        logs = host.path(f"{STATE}/bear_trap/logs")
        heartbeat = host.path(f"{STATE}/bear_trap/heartbeat.json")
        return {**dict(line.split("=", 1) for line in shown.splitlines()),
                "logs": {path: path.stat().st_mtime for path in logs.glob("*.jsonl")} if logs.exists() else {},
                "errors": sum(path.read_text().count('"ERROR"') for path in logs.glob("*")) if logs.exists() else 0,
                "heartbeat": json.loads(heartbeat.read_text()) if heartbeat.exists() else None}

    def test_good(self) -> None:
        seen = self.start("good")
        self.assertEqual((seen["ActiveState"], seen["SubState"], seen["StatusText"], seen["errors"]),
                         ("active", "running", "standing in", 0))
        self.assertEqual({k: seen["heartbeat"][k] for k in ("release", "unit_digest", "environment")},
                         {"release": DIGESTS["release"], "unit_digest": DIGESTS["unit"], "environment": "staging"})
        self.assertLess(time.time() - max(seen["logs"].values()), 3)
        self.assertEqual(host.run(["systemctl", "stop", UNIT]).code, 0)
        self.assertEqual(host.sh(f"systemctl show -P Result {UNIT}"), "success\n")

    def test_crash(self) -> None:
        seen = self.start("crash")
        self.assertEqual((seen["ActiveState"], seen["SubState"], seen["Result"]),
                         ("activating", "auto-restart", "exit-code"))

    def test_dies_at_20s(self) -> None:
        self.assertEqual(self.start("dies_at_20s")["ActiveState"], "active")
        self.assertTrue(eventually(lambda: "auto-restart" in host.sh(f"systemctl show -P SubState {UNIT}"), 20))

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

    def test_wrong_digest(self) -> None:
        self.assertEqual(self.start("wrong_digest")["heartbeat"]["unit_digest"], "0" * 64)

    def test_errors(self) -> None:
        self.assertGreaterEqual(self.start("errors")["errors"], 40)


def command(script: str, url: str | None = None) -> dict:
    """Runs a command through SSM at `url`, or past the proxy; what is said of it at its end."""
    def ssm(operation: str, **parameters) -> dict:
        headers = {"X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1",
                   "Authorization": "AWS4-HMAC-SHA256 Credential=123456789012/20300101/us-east-2/ssm/aws4_request"}
        request = urllib.request.Request(url or emulator.url, json.dumps(parameters).encode(), headers)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    sent = ssm("SendCommand", InstanceIds=[emulator.instance], DocumentName="AWS-RunShellScript",
               Parameters={"commands": [script]})["Command"]["CommandId"]
    said = {"Status": "Pending"}
    while said["Status"] in ("Pending", "InProgress"):
        time.sleep(0.05)
        said = ssm("GetCommandInvocation", CommandId=sent, InstanceId=emulator.instance)
    return said


if __name__ == "__main__":
    unittest.main()
