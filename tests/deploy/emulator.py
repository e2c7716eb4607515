"""An AWS for one test: ministack, pinned (scripts/requirements.txt), whose SSM commands run in a test's host.

    emulator.py PORT MACHINES

serves on 127.0.0.1 until its standard input ends, so that it ends with the process that started it. MACHINES is
JSON: for each tag `Name` the machine's hostname, and what stands before SSM's commands so that they run there.
Tests use the class Emulator, which starts exactly that.

How far it is AWS (test_fixtures.py checks it):

| call                            | like AWS | not like AWS                                                      |
|---------------------------------|----------|-------------------------------------------------------------------|
| PutObject, checksum SHA-256     | yes      | a wrong one is refused: BadDigest                                 |
| PutObject, If-None-Match: *     | yes      | 412; never 409, see faults.py                                     |
| PutObject, If-Match             | yes      | 412; 404 for a missing key                                        |
| versions                        | yes      |                                                                   |
| GetObject of a missing key      | no       | 404, not the 403 of who may not list the bucket; see faults.py    |
| GetObject by a presigned URL    | yes      | signature and expiry are checked                                  |
| GetCallerIdentity               | yes      | whoever asks is root of the account                               |
| policies                        | no       | everybody may do everything; faults.py records what was asked     |
| DescribeInstanceInformation     | patched  | filters are ignored, ComputerName isn't the host's name           |
| SendCommand, AWS-RunShellScript | patched  | needs docker; always run by /bin/sh, whatever its first line says |
| GetCommandInvocation            | patched  | output is cut at 24,000 characters without AWS's remark           |
| ListCommandInvocations          | no       | InvalidAction                                                     |
"""
import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from typing import NamedTuple

# Is the access key too.
ACCOUNT = "123456789012"
SECRET = "secret"
REGION = "us-east-2"
BUCKET = "magellan-deployments"
TAG = "magellan-test"
STDOUT_LIMIT, STDERR_LIMIT = 24_000, 8_000
TRUNCATED = "--output truncated--"
# As the agent does it: the commands are a file, whose first line may name another shell than sh.
AGENT = 'file=$(mktemp); cat > "$file"; chmod 700 "$file"; sh -c "$file"; code=$?; rm "$file"; exit $code'


class Refused(Exception):
    """AWS's answer is an error."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.status, self.body = status, body


class Machine(NamedTuple):
    """What stands behind a managed instance, whose tag `Name` it has."""
    tag: str
    hostname: str
    prefix: list[str]


class Emulator:
    """A running emulator with one bucket, versioned, and one managed instance, named TAG; or with more of them.

    `environment` is what makes an AWS SDK talk to it.
    """

    def __init__(self, prefix: list[str], hostname: str, *more: Machine) -> None:
        machines = [Machine(TAG, hostname, prefix), *more]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = subprocess.Popen([sys.executable, __file__, str(self.port), json.dumps(machines)],
                                         stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        self.call("s3", "PUT", f"/{BUCKET}", "<CreateBucketConfiguration><LocationConstraint>"
                  f"{REGION}</LocationConstraint></CreateBucketConfiguration>")
        self.call("s3", "PUT", f"/{BUCKET}?versioning",
                  "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        self.instance, *_ = [self._launch(machine.tag) for machine in machines]

    def _launch(self, tag: str) -> str:
        launched = self.query("ec2", Action="RunInstances", ImageId="ami-1", MinCount="1", MaxCount="1")
        instance = launched.split("<instanceId>")[1].split("<")[0]
        self.query("ec2", Action="CreateTags", **{"ResourceId.1": instance, "Tag.1.Key": "Name", "Tag.1.Value": tag})
        return instance

    def put(self, key: str, body: bytes) -> None:
        """Replaces an object of the bucket as a deployer would have written it."""
        self.call("s3", "PUT", f"/{BUCKET}/{key}", body, **{"x-amz-meta-sha256": hashlib.sha256(body).hexdigest()})

    def get(self, key: str) -> bytes:
        return self.call("s3", "GET", f"/{BUCKET}/{key}")

    def forget(self, key: str) -> None:
        """Puts a mark of deletion over an object."""
        self.call("s3", "DELETE", f"/{BUCKET}/{key}")

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.url, "AWS_REGION": REGION, "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}

    def call(self, service: str, method: str, path: str, body: str | bytes = "", **headers: str) -> bytes:
        """One request, past any faults. Nothing checks its signature."""
        scope = f"{ACCOUNT}/20300101/{REGION}/{service}/aws4_request"
        signed = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, signed | headers)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise Refused(answer.status, content)
        return content

    def query(self, service: str, **parameters: str) -> str:
        """A call of an API that takes a form and answers XML: EC2, STS."""
        form = urllib.parse.urlencode({"Version": "2016-11-15", **parameters})
        return self.call(service, "POST", "/", form, **{"Content-Type": "application/x-www-form-urlencoded"}).decode()

    def ssm(self, operation: str, **parameters) -> dict:
        """A call of SSM."""
        headers = {"X-Amz-Target": f"AmazonSSM.{operation}", "Content-Type": "application/x-amz-json-1.1"}
        return json.loads(self.call("ssm", "POST", "/", json.dumps(parameters), **headers))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def _wait(self) -> None:
        end = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            time.sleep(0.05)
        raise RuntimeError(f"no emulator: exit code {self._process.poll()}; is ministack installed?")


def cut(text: str, limit: int) -> str:
    """As the agent does it: the first characters, and a remark in place of the last of them."""
    return text if len(text) <= limit else text[:limit - len(TRUNCATED)] + TRUNCATED


def patch(machines: dict[str, Machine]) -> None:
    """Lets ministack run commands in the machines and answer about them as AWS does."""
    from ministack.core.responses import json_response
    from ministack.services import ec2, ssm

    def machine(instance: str) -> Machine | None:
        names = [tag["Value"] for tag in ec2._tags.get(instance, []) if tag["Key"] == "Name"]
        return machines.get(names[0]) if names else None

    def run(instance: str, argv: list[str]) -> tuple[int, str, str]:
        # ministack's own way: sh -c COMMANDS
        done = subprocess.run([*machine(instance).prefix, "sh", "-c", AGENT], input=argv[-1].encode(), capture_output=True)
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        return done.returncode, cut(out, STDOUT_LIMIT), cut(err, STDERR_LIMIT)

    def describe(request: dict):
        instances = json.loads(everything({"MaxResults": 50})[2])["InstanceInformationList"]
        for instance in instances:
            of = machine(instance["InstanceId"])
            instance["ComputerName"] = of.hostname if of else "nobody"
            tags = {f"tag:{tag['Key']}": tag["Value"] for tag in ec2._tags.get(instance["InstanceId"], [])}
            facts = instance | tags | {"InstanceIds": instance["InstanceId"]}
            instance["_shown"] = all(facts.get(f["Key"]) in f["Values"] for f in request.get("Filters", []))
        shown = [instance for instance in instances if instance.pop("_shown")]
        return json_response({"InstanceInformationList": shown})

    everything = ssm._describe_instance_information
    ssm._describe_instance_information = describe
    ec2.instance_is_managed = lambda instance: ec2._instances[instance]["State"]["Name"] == "running"
    ec2.exec_in_instance_blocking = run


def serve(port: str, machines: str) -> None:
    # Read when ministack is imported.
    os.environ |= {"MINISTACK_REGION": REGION, "MINISTACK_ACCOUNT_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": SECRET}
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app

    def end_with_parent() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    patch({machine[0]: Machine(*machine) for machine in json.loads(machines)})
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    asyncio.run(serve(app, config))


if __name__ == "__main__":
    serve(*sys.argv[1:])
