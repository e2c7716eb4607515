"""The deploy's host script alone, on a real systemd, with bundles made by hand.

    python3 tests/deploy/test_host_script.py
"""
import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
import threading
import time
import unittest
from typing import NamedTuple

import host as machine
from host import CHECKOUT, DEPLOY_STATE, RELEASES, STATE, UNITS, USER, Host

SCRIPT = pathlib.Path(__file__).parents[2] / "shell/src/deploy/host.sh"
LIMIT = 20_000
ALL = ("magellan-bear-trap", "magellan-daily-trend")
# What a shell would do with a value that isn't quoted.
HOSTILE = "a b'c\"d$(touch /tmp/pwned)`touch /tmp/pwned`;touch /tmp/pwned\n&& touch /tmp/pwned *"

# Stands in for the binary, and for what it leaves behind.
PROGRAM = """#!/usr/bin/python3
import json, os, pathlib, signal, socket, sys, time
if sys.argv[1] == "--version": print("magellan 0.1.0"); sys.exit(VERSION_EXIT)
if sys.argv[1] == "validate": print("x" * NOISE); sys.exit(VALIDATE_EXIT)
strategy, state = sys.argv[3], pathlib.Path(sys.argv[5])
(state / "logs").mkdir(exist_ok=True)
(state / "heartbeat.json").write_text(json.dumps(
    {"release": pathlib.Path(__file__).resolve().parent.name, "pid": os.getpid()}))
with open(state / "logs" / f"{strategy}_20240506.jsonl", "a") as log:
    for level in ("INFO", "ERROR", "ERROR"):
        at = time.strftime("%Y-%m-%dT%H:%M:%S.999999Z", time.gmtime())
        log.write(json.dumps({"timestamp": at, "level": level, "fields": {"message": '"level":"ERROR"'}}) + "\\n")
if START_EXIT and strategy == "bear_trap": print("it can't start"); sys.exit(START_EXIT)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""
UNIT = f"""[Unit]
StartLimitIntervalSec=600
StartLimitBurst=5
[Service]
Type=notify
User={USER}
WorkingDirectory={CHECKOUT}
ExecStart={RELEASES}/current/magellan run --strategy STRATEGY --state-dir {STATE}/STRATEGY
Restart=always
RestartSec=10
StateDirectory=magellan/STRATEGY
[Install]
WantedBy=multi-user.target
"""
ON_FAILURE = "[Unit]\nOnFailure=magellan-failed@%n.service\n"
TEMPLATE = "[Service]\nType=oneshot\nExecStart=/bin/true %i\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Bundle(NamedTuple):
    digest: str
    path: str


class Answer(NamedTuple):
    """What the script said."""
    code: int
    first: str
    facts: list[tuple[str, str]]
    raw: str

    def __repr__(self) -> str:
        return "\n".join([self.first, *(f"{key}={value[-600:]}" for key, value in self.facts)])

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.facts if name == key]

    def get(self, key: str) -> str | None:
        return next(iter(self.all(key)), None)


def files_of(units=ALL, config="{}", configs=None, drop_in=ON_FAILURE, unit=UNIT, start_exit=0, version_exit=0,
             validate_exit=0, noise=0, replaced=None) -> dict[str, bytes]:
    """What is in a bundle; `configs` gives one unit a config of its own, `replaced` whole files."""
    program = PROGRAM.replace("START_EXIT", str(start_exit)).replace("VERSION_EXIT", str(version_exit))
    program = program.replace("VALIDATE_EXIT", str(validate_exit)).replace("NOISE", str(noise))
    files = {"magellan": program.encode(), "manifest.json": b'{"schema_version":1}', "environment.toml": b"",
             "magellan-failed@.service": TEMPLATE.encode()}
    lines = []
    for name in units:
        strategy = name.removeprefix("magellan-").replace("-", "_")
        own = {f"deployed/{strategy}/config.json": (configs or {}).get(name, config),
               f"deployed/{strategy}/{name}.service": unit.replace("STRATEGY", strategy),
               f"drop-ins/{name}.conf": f"[Service]\nEnvironment=\"MAGELLAN_ENVIRONMENT=staging\"\n{drop_in}"}
        files |= {path: text.encode() for path, text in own.items()}
        digest = sha256("".join([program, *own.values()]).encode())
        lines.append(f"{digest} {name} deployed/{strategy}/{name}.service drop-ins/{name}.conf\n")
    files["units"] = "".join(lines).encode()
    files |= replaced or {}
    return files | {"checksums": checksums(files)}


def checksums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(data)}  {path}\n" for path, data in sorted(files.items())).encode()


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = len(data), kind, target, 0o4777
    return info, io.BytesIO(data)


class HostScript(unittest.TestCase):
    host: Host

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = Host()
        cls.addClassCleanup(cls.host.close)
        shutil.copy(SCRIPT, cls.host.shared / "host.sh")

    def setUp(self) -> None:
        self.host.reset()
        self.commit = self.host.push({"src.rs": "// judged\n"})
        self.generation = 1

    # ---- helpers ----

    def call(self, op: str, *more: str, prefix: tuple[str, ...] = (), **arguments: object) -> Answer:
        arguments = {"generation": self.generation, "wait": 20} | arguments
        words = [f"{key}={value}" for key, value in arguments.items()]
        done = self.host.run([*prefix, "bash", str(self.host.shared / "host.sh"), op, *words, *more])
        self.assertEqual(done.err, "")
        first, *lines = done.out.splitlines() or [""]
        return Answer(done.code, first, [self.fact(line) for line in lines], done.out)

    def fact(self, line: str) -> tuple[str, str]:
        key, value = line.split("=", 1)
        if key.endswith(":gz64"):
            return key[:-5], gzip.decompress(base64.b64decode(value, validate=True)).decode()
        if key.endswith(":b64"):
            return key[:-4], base64.b64decode(value, validate=True).decode()
        return key, value

    def ok(self, op: str, *more: str, **arguments: object) -> Answer:
        answer = self.call(op, *more, **arguments)
        self.assertEqual((answer.code, answer.first), (0, f"magellan-host 1 ok {op}"), answer)
        return answer

    def refused(self, op: str, code: str, *more: str, exit_code: int = 1, **arguments: object) -> Answer:
        answer = self.call(op, *more, **arguments)
        self.assertEqual(answer.code, exit_code, answer)
        self.assertTrue(answer.first.startswith(f"magellan-host 1 failed {op} {code}: "), answer)
        return answer

    def pack(self, entries: list[tuple]) -> Bundle:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for info, data in entries:
                tar.addfile(info, data)
        packed = subprocess.run(["zstd", "-qc"], input=plain.getvalue(), stdout=subprocess.PIPE, check=True).stdout
        digest = sha256(packed)
        path = self.host.shared / f"{digest}.tar.zst"
        path.write_bytes(packed)
        return Bundle(digest, str(path))

    def bundle(self, **options) -> Bundle:
        return self.pack([entry(path, data) for path, data in files_of(**options).items()])

    def stage(self, bundle: Bundle, **arguments: object) -> Answer:
        return self.ok("stage", digest=bundle.digest, source=bundle.path, commit=self.commit, **arguments)

    def deploy(self, bundle: Bundle) -> Answer:
        self.stage(bundle)
        return self.ok("activate", digest=bundle.digest)

    def not_staged(self, bundle: Bundle, code: str) -> Answer:
        """A refusal that leaves nothing behind."""
        before = self.tree(RELEASES), self.head()
        answer = self.refused("stage", code, digest=bundle.digest, source=bundle.path, commit=self.commit)
        self.assertEqual((self.tree(RELEASES), self.head()), before)
        self.assertIn("log", dict(answer.facts))
        return answer

    def tree(self, folder: str) -> list[str]:
        return self.host.sh(f"cd {folder} && find . | sort").split()

    def head(self) -> str:
        return self.host.sh(f"runuser -u {USER} -- git -C {CHECKOUT} rev-parse HEAD").strip()

    def pid(self, unit: str) -> str:
        shown = self.host.sh(f"systemctl show -p MainPID -p ActiveState {unit}").split()
        self.assertIn("ActiveState=active", shown)
        return next(line for line in shown if line.startswith("MainPID="))

    def is_complete(self, *digests: str) -> None:
        """`current` is one of these releases, whole."""
        link = self.host.sh(f"readlink {RELEASES}/current").strip()
        self.assertIn(link, digests)
        self.host.sh(f"cd {RELEASES}/current && sha256sum --check --strict --quiet checksums")

    @contextlib.contextmanager
    def running(self, *argv: str):
        """Meanwhile a program runs that copies its input, and ends with it."""
        with subprocess.Popen([*self.host.prefix, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(b"x\n")
            process.stdin.flush()
            process.stdout.readline()
            yield

    # ---- stage ----

    def test_a_release_is_unpacked_read_only_and_kept(self) -> None:
        bundle = self.bundle(noise=300_000)
        self.assertEqual(self.call("preflight", "unit=magellan-bear-trap", remote=self.host.remote, need_kib=1000,
                                   need_mem_kib=1000, hostname=machine.NAME).all("problem"), [])
        answer = self.stage(bundle)
        self.assertEqual((answer.get("staged"), answer.get("version")), ("new", "magellan 0.1.0"))
        self.assertEqual(self.head(), self.commit)
        modes = self.host.sh(f"cd {RELEASES}/{bundle.digest} && find . -printf '%m %U %y\n' | sort -u").split("\n")
        self.assertEqual(modes, ["444 0 f", "555 0 d", "555 0 f", ""])
        self.assertLess(len(self.host.sh(f"cat {DEPLOY_STATE}/log/*")), 100_000)
        self.assertEqual(self.ok("stage", digest=bundle.digest, commit=self.commit).get("staged"), "kept")
        # Somebody edits a release: seen, and mended by the same bundle.
        self.ok("activate", digest=bundle.digest)
        self.host.sh(f"cd {RELEASES}/{bundle.digest} && echo '#' >> magellan && rm -r drop-ins")
        altered = self.ok("facts")
        self.assertIn("checksums don't hold", altered.all("altered"))
        self.assertIn("drop-ins/magellan-bear-trap.conf: missing or not listed", altered.all("altered"))
        self.refused("activate", "incomplete", digest=bundle.digest)
        self.assertEqual(self.stage(bundle).get("staged"), "repaired")
        self.assertEqual(self.ok("facts").get("altered_count"), "0")

    def test_a_branch_that_moves_or_loses_the_commit_does_no_harm(self) -> None:
        self.host.push({"src.rs": "// later\n"})
        self.stage(self.bundle())
        self.assertEqual(self.head(), self.commit)
        machine.git(self.host.work, "commit", "--quiet", "--allow-empty", "--amend", "--message", "Another")
        machine.git(self.host.work, "push", "--quiet", "--force", "origin", "HEAD:main")
        self.stage(self.bundle())
        # Gone from all branches before the machine ever fetched it.
        self.commit = self.host.push({"src.rs": "// short-lived\n"})
        machine.git(self.host.work, "commit", "--quiet", "--allow-empty", "--amend", "--message", "Again")
        machine.git(self.host.work, "push", "--quiet", "--force", "origin", "HEAD:main")
        self.stage(self.bundle())
        self.assertEqual(self.head(), self.commit)
        unknown = {"digest": "0" * 64, "source": "/x", "commit": "1" * 40}
        self.refused("stage", "commit", **unknown)
        # A git that was killed left its lock.
        self.host.sh(f"touch {CHECKOUT}/.git/index.lock; chown {USER} {CHECKOUT}/.git/index.lock")
        self.stage(self.bundle())

    def test_an_edited_checkout_is_refused(self) -> None:
        self.host.sh(f"cd {CHECKOUT} && echo edited > README.md && touch untracked")
        problems = self.refused("preflight", "preflight").all("problem")
        self.assertEqual(problems, ["edited: files are edited in the checkout:  M README.md"])
        self.not_staged(self.bundle(), "edited")
        self.assertEqual(self.ok("facts").all("checkout_dirty"), [" M README.md"])

    def test_preflight_lists_all_problems(self) -> None:
        self.host.sh("systemctl mask magellan-bear-trap 2>/dev/null")
        answer = self.refused("preflight", "preflight", "unit=magellan-bear-trap", hostname="other", remote="elsewhere",
                              need_kib=10**12, need_mem_kib=10**12, user="nobody-here")
        self.assertEqual({problem.split(":")[0] for problem in answer.all("problem")},
                         {"user", "hostname", "checkout", "disk", "memory", "masked"})
        found = self.refused("preflight", "preflight", remote="elsewhere").all("problem")
        self.assertEqual([problem.split(":")[0] for problem in found], ["remote"])
        self.assertFalse(self.host.exists(DEPLOY_STATE), "preflight only looks")
        bundle = self.bundle()
        self.stage(bundle)
        self.refused("activate", "masked", digest=bundle.digest)
        self.assertFalse(self.host.exists(f"{RELEASES}/current"))

    def test_a_wrong_digest_is_refused(self) -> None:
        bundle = self.bundle()
        self.not_staged(bundle._replace(digest="a" * 64), "digest")
        self.not_staged(bundle._replace(path="/nowhere"), "download")
        self.refused("stage", "usage", digest=bundle.digest[:-1], source=bundle.path, commit=self.commit)
        self.refused("stage", "usage", digest=f"{bundle.digest}\n", source=bundle.path, commit=self.commit)

    def test_what_does_not_run_or_validate_here_is_refused(self) -> None:
        self.not_staged(self.bundle(version_exit=1), "binary")
        self.not_staged(self.bundle(validate_exit=8), "validate")
        self.not_staged(self.bundle(unit=UNIT.replace("ExecStart", "ExecStrat")), "units")
        self.not_staged(self.bundle(unit=UNIT.replace("RestartSec=10", "MemoryMix=1")), "units")

    def test_a_tampered_archive_is_refused(self) -> None:
        files = files_of()
        more = {
            "an absolute path": [entry("/tmp/pwned", b"x")],
            "a way out": [entry("../pwned", b"x")],
            "a way out, inside": [entry("deployed/../../pwned", b"x")],
            "a folder outside": [entry("../pwned/", kind=tarfile.DIRTYPE)],
            "a link": [entry("link", kind=tarfile.SYMTYPE, target="/tmp")],
            "a hard link": [entry("link", kind=tarfile.LNKTYPE, target="magellan")],
            "a device": [entry("null", kind=tarfile.CHRTYPE)],
            "a pipe": [entry("pipe", kind=tarfile.FIFOTYPE)],
            "a file too many": [entry("more", b"x")],
            "a file twice": [entry("units", files["units"])],
            "a line break": [entry("units\n/tmp/pwned", b"x")],
            "an option": [entry("--checkpoint-action=exec=touch pwned", b"x")],
        }
        for what, added in more.items():
            with self.subTest(what):
                whole = [entry(path, data) for path, data in files.items()]
                said = self.not_staged(self.pack(whole + added), "tampered").first
                if added[0][0].type not in (tarfile.REGTYPE, tarfile.DIRTYPE):
                    self.assertIn("other than files", said)
        changed = files | {"magellan": files["magellan"] + b"#"}
        too_few = {path: data for path, data in files.items() if path != "environment.toml"}
        for what, other in {"a changed file": changed, "a missing file": too_few}.items():
            with self.subTest(what):
                self.not_staged(self.pack([entry(path, data) for path, data in other.items()]), "tampered")
        with self.subTest("no archive"):
            junk = self.host.shared / "junk"
            junk.write_bytes(b"no archive")
            self.not_staged(Bundle(sha256(b"no archive"), str(junk)), "tampered")
        self.assertFalse(self.host.exists("/tmp/pwned"))

    def test_a_units_list_that_is_not_plain_is_refused(self) -> None:
        line = files_of()["units"].decode().splitlines()[0]
        name = "magellan-bear-trap"
        for bad in (line.replace(name, "../x", 1), line.replace(name, "a.b", 1), line.replace(name, "$(id)", 1),
                    f"{line} more", f"{line}\n{line}", line.replace("drop-ins/", "/etc/"), line[1:], ""):
            with self.subTest(bad):
                self.not_staged(self.bundle(replaced={"units": f"{bad}\n".encode()}), "units")

    def test_a_bundle_comes_by_url_that_is_not_told(self) -> None:
        bundle = self.bundle()
        with serve({"/bundle?secret=token": pathlib.Path(bundle.path).read_bytes()}) as url:
            proxied = ("env", "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9")
            answers = [
                self.call("stage", digest=bundle.digest, source=f"{url}/bundle?secret=token", commit=self.commit,
                          prefix=proxied),
                self.refused("stage", "download", digest="b" * 64, source=f"{url}/gone?secret", commit=self.commit),
            ]
        self.assertEqual(answers[0].code, 0, answers[0])
        for url in ("ftp://x/secret", "http://127.0.0.1:80@example.org/secret", "https://x/\" secret", "secret"):
            answers.append(self.refused("stage", "usage", digest="b" * 64, source=url, commit=self.commit))
        said = str(answers) + self.host.sh(f"cat {DEPLOY_STATE}/log/*")
        self.assertNotIn("secret", said)

    # ---- activate ----

    def test_only_changed_units_restart(self) -> None:
        first = self.bundle()
        answer = self.deploy(first)
        self.assertEqual((answer.all("restarted"), answer.get("previous"), answer.get("current")),
                         (list(ALL), "", first.digest))
        before = {unit: self.pid(unit) for unit in ALL}
        again = self.ok("activate", digest=first.digest)
        self.assertEqual((again.all("restarted"), again.all("kept")), ([], list(ALL)))

        second = self.bundle(configs={ALL[1]: '{"changed": 1}'})
        answer = self.deploy(second)
        self.assertEqual((answer.all("restarted"), answer.all("kept"), answer.get("previous")),
                         ([ALL[1]], [ALL[0]], first.digest))
        self.assertEqual(self.pid(ALL[0]), before[ALL[0]])
        self.assertNotEqual(self.pid(ALL[1]), before[ALL[1]])

        # One unit fewer, and one that had been stopped by hand.
        self.host.sh(f"systemctl stop {ALL[0]}")
        third = self.bundle(units=ALL[:1])
        answer = self.deploy(third)
        self.assertEqual((answer.all("restarted"), answer.all("removed")), ([ALL[0]], [ALL[1]]))
        self.assertEqual(self.host.run(["systemctl", "is-active", ALL[1]]).out, "inactive\n")
        self.assertEqual([path for path in self.tree(UNITS) if ALL[1] in path], [])

        self.assertEqual(self.ok("deactivate").all("removed"), [ALL[0]])
        self.assertEqual(self.ok("facts").get("current"), "")
        self.assertEqual([path for path in self.tree(UNITS) if "magellan" in path], [])
        self.ok("deactivate")

    def test_a_unit_that_does_not_start_is_told_and_the_former_release_comes_back(self) -> None:
        good, bad = self.bundle(), self.bundle(start_exit=3)
        self.deploy(good)
        self.stage(bad)
        answer = self.refused("activate", "restart", digest=bad.digest)
        self.assertIn("it can't start", answer.get(f"unit.{ALL[0]}.journal"))
        self.assertEqual(answer.get("current"), bad.digest)
        # Meanwhile the other crashes and comes back, as the bad release, though no deploy restarted it.
        self.host.sh(f"systemctl kill --signal=KILL {ALL[1]}; systemctl restart {ALL[1]}")
        answer = self.ok("activate", digest=good.digest)
        self.assertEqual((answer.all("restarted"), answer.get("previous")), (list(ALL), bad.digest))
        self.is_complete(good.digest)
        self.are_started()
        self.ok("record", bad=bad.digest)
        self.refused("activate", "bad", digest=bad.digest)
        self.assertEqual(self.ok("facts").all("bad"), [bad.digest])
        self.ok("record", good=bad.digest)
        self.assertEqual(self.ok("facts").all("bad"), [])

    def test_a_unit_that_crashed_too_often_is_started_again(self) -> None:
        bundle = self.bundle(unit=UNIT.replace("RestartSec=10", "RestartSec=0"))
        self.deploy(bundle)
        for _ in range(6):
            self.host.sh(f"systemctl kill --signal=KILL {ALL[0]}; sleep 0.2")
        self.assertEqual(self.host.run(["systemctl", "is-active", ALL[0]]).out, "failed\n")
        self.assertEqual(self.ok("activate", digest=bundle.digest).all("restarted"), [ALL[0]])

    def test_a_link_that_leads_nowhere_is_replaced(self) -> None:
        bundle = self.bundle()
        self.stage(bundle)
        self.host.sh(f"ln -s {'e' * 64} {RELEASES}/current")
        facts = self.ok("facts")
        self.assertEqual((facts.get("current"), facts.get("current_broken")), ("", "e" * 64))
        self.ok("activate", digest=bundle.digest)
        self.is_complete(bundle.digest)
        self.refused("activate", "incomplete", digest="d" * 64)

    def test_a_full_disk_leaves_the_former_release(self) -> None:
        old, new = self.bundle(), self.bundle(config='{"new": 1}')
        self.deploy(old)
        self.host.fill_disk("releases")
        self.not_staged(new, "disk")
        self.host.free_disk()
        self.stage(new)
        before = self.tree(UNITS)
        self.host.fill_disk("system")
        self.refused("activate", "disk", digest=new.digest)
        self.is_complete(old.digest)
        self.assertEqual(self.tree(UNITS), before)
        self.ok("facts")
        self.host.free_disk()
        self.host.fill_disk("system", leave_kib=40)
        self.refused("record", "disk", line='{"a": "' + "x" * 90_000 + '"}')
        self.assertEqual(self.host.read(f"{DEPLOY_STATE}/history"), "")
        self.host.free_disk()
        self.ok("activate", digest=new.digest)
        self.is_complete(new.digest)

    # ---- only one, and never an earlier one ----

    def test_an_earlier_generation_is_refused(self) -> None:
        self.generation = 7
        bundle = self.bundle()
        self.deploy(bundle)
        self.refused("activate", "stale", exit_code=76, generation=6, digest=bundle.digest)
        self.refused("prune", "stale", exit_code=76, generation="06", keep=0)
        self.refused("prune", "usage", generation="", keep=0)
        self.assertEqual(self.ok("facts").get("generation"), "7")
        self.ok("prune", generation="08", keep=0)

    def test_only_one_at_a_time(self) -> None:
        self.ok("prune", keep=1)
        with self.running("flock", f"{DEPLOY_STATE}/lock", "cat"):
            self.refused("prune", "busy", exit_code=75, keep=1, wait=1)
            self.ok("facts")
        self.ok("prune", keep=1)

    # ---- record, prune, facts ----

    def test_history_is_appended_once_and_whole(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        running = {"release": bundle.digest, "outcome": {"outcome": "running"}, "reason": HOSTILE, "é": "ü"}
        line = json.dumps(running, ensure_ascii=False, separators=(",", ":"))
        self.assertEqual(self.ok("record", line=line).get("recorded"), "new")
        self.assertEqual(self.ok("record", line=line).get("recorded"), "already")
        self.host.sh(f"printf '{{\"half' >> {DEPLOY_STATE}/history")
        # A later one that failed, and names it as what ran before, didn't bring it.
        other = json.dumps({"release": "f" * 64, "previous": bundle.digest}, separators=(",", ":"))
        self.ok("record", line=other)
        self.assertEqual(self.host.read(f"{DEPLOY_STATE}/history"), f'{line}\n{{"half\n{other}\n')
        self.assertEqual(self.ok("facts").get("history"), f"{line}\n")
        for bad in ("no json", "{}\n{}", ""):
            self.refused("record", "usage", line=bad)

    def test_prune_keeps_what_runs_or_can_come_back(self) -> None:
        bundles = [self.bundle(config=f'{{"n": {n}}}') for n in range(5)]
        for bundle in bundles:
            self.stage(bundle)
            self.ok("record", line=json.dumps({"release": bundle.digest}))
        current, running, unneeded, bad, kept = (bundle.digest for bundle in bundles)
        self.ok("activate", digest=current)
        self.ok("record", bad=bad)
        self.host.sh(f"cp /bin/cat {RELEASES}/{running}/magellan")
        with self.running(f"{RELEASES}/{running}/magellan"):
            answer = self.ok("prune", keep=1)
        self.assertEqual((sorted(answer.all("pruned")), answer.all("running")), (sorted([unneeded, bad]), [running]))
        self.assertEqual(set(self.ok("facts").all("release")), {current, running, kept})

    def test_facts_of_units(self) -> None:
        facts = self.ok("facts", "unit=magellan-unknown")
        self.assertEqual(facts.get("unit.magellan-unknown.LoadState"), "not-found")
        self.assertEqual(facts.get("current"), "")
        bundle = self.bundle()
        started = time.time()
        self.deploy(bundle)
        old = f"{STATE}/bear_trap/logs/bear_trap_20240101.jsonl"
        self.host.write(old, '{"timestamp":"2024-01-01T00:00:00Z","level":"ERROR"}\n')
        self.host.sh(f"touch -d 2024-01-01 {old}; chown {USER} {old}")
        facts = self.ok("facts", "journal=yes", "unit=magellan-unknown")
        unit = {key.removeprefix(f"unit.{ALL[0]}."): value for key, value in facts.facts if f".{ALL[0]}." in key}
        self.assertEqual((unit["ActiveState"], unit["SubState"], unit["NRestarts"], unit["UnitFileState"]),
                         ("active", "running", "0", "enabled"))
        self.assertEqual((unit["log"], unit["errors"]), ("bear_trap_20240506.jsonl", "2"))
        self.assertEqual(unit["newest_log"], "bear_trap_20240506.jsonl")
        for time_of in (unit["ExecMainStartTimestamp"], unit["log_mtime"], facts.get("now")):
            self.assertTrue(started < float(time_of) <= time.time(), time_of)
        self.assertEqual(json.loads(unit["heartbeat"])["pid"], int(unit["ExecMainPID"]))
        self.assertEqual((unit["installed.unit"], unit["installed.drop_in"], unit["started"]),
                         (unit["current.unit"], unit["current.drop_in"], unit["digest"]))
        self.assertIn("Started", unit["journal"])
        self.assertEqual(json.loads(facts.get("manifest")), {"schema_version": 1})
        # Yesterday's log is no log of this start; a log that is elsewhere is nobody's.
        self.host.sh(f"rm {STATE}/bear_trap/logs/bear_trap_20240506.jsonl")
        self.host.sh(f"ln -sf /etc/shadow {STATE}/bear_trap/heartbeat.json")
        facts = self.ok("facts")
        self.assertEqual((facts.get(f"unit.{ALL[0]}.log"), facts.get(f"unit.{ALL[0]}.newest_log")),
                         ("", "bear_trap_20240101.jsonl"))
        self.assertEqual(facts.get(f"unit.{ALL[0]}.heartbeat"), "")

    def test_the_answer_is_never_too_long(self) -> None:
        self.deploy(self.bundle(replaced={"manifest.json": b'"' + b"m" * 9000 + b'"'}))
        self.host.sh("for i in $(seq 60); do echo \"line $i $(head -c 2000 /dev/zero | tr '\\0' j)\"; done |"
                     f" systemd-cat -p crit; yes failure | head -n 9999 > {DEPLOY_STATE}/failures")
        asked = [f"unit=magellan-{n}" for n in range(30)]
        for more in ((), asked):
            answer = self.ok("facts", "journal=yes", *more)
            self.assertLessEqual(len(answer.raw), LIMIT)
        # What nothing may be decided without comes first, and what doesn't fit is named.
        self.assertIsNotNone(answer.get("manifest"))
        self.assertIn("unit.magellan-29", answer.get("omitted").split())
        self.assertEqual(self.ok("facts").get("failures").splitlines()[-1], "failure")

    # ---- nothing is evaluated ----

    def test_values_never_reach_a_shell(self) -> None:
        self.deploy(self.bundle())
        for key in ("user", "checkout", "releases", "state", "remote", "hostname", "need_kib", "unit", "journal"):
            self.call("preflight", f"{key}=a[$(touch /tmp/pwned)]")
            self.call("facts", f"{key}=/{HOSTILE}")
        fine = {"digest": "a" * 64, "commit": self.commit, "source": "/x", "keep": 9}
        for op, keys in (("stage", "digest commit source wait"), ("activate", "digest force"),
                         ("record", "line bad good"), ("prune", "keep generation")):
            for key in keys.split():
                self.assertNotEqual(self.call(op, **(fine | {key: HOSTILE})).code, 0)
        self.assertNotEqual(self.call(HOSTILE).code, 0)
        self.assertNotEqual(self.call("facts", HOSTILE).code, 0)
        self.assertNotEqual(self.call("facts", f"{HOSTILE}=1").code, 0)
        self.assertFalse(self.host.exists("/tmp/pwned"))

    def test_paths_may_hold_spaces(self) -> None:
        folder = "/srv/it is here & there"
        self.host.run(["mkdir", "-p", folder])
        self.host.run(["cp", "-a", CHECKOUT, f"{folder}/checkout"])
        places = {"checkout": f"{folder}/checkout", "releases": f"{folder}/releases", "state": f"{folder}/state"}
        unit = UNIT.replace(f"{RELEASES}/current/magellan", f'"{folder}/releases/current/magellan"')
        bundle = self.bundle(unit=unit)
        self.ok("stage", digest=bundle.digest, source=bundle.path, commit=self.commit, **places)
        self.assertEqual(self.ok("activate", digest=bundle.digest, **places).all("restarted"), list(ALL))
        facts = self.ok("facts", **places)
        self.assertEqual((facts.get("current"), facts.get("checkout_commit")), (bundle.digest, self.commit))

    # ---- killed anywhere ----

    STRIDE = 24  # between the commands at which the script is killed, at most

    def killed_at(self, step: int, op: str, **arguments: object) -> bool:
        """Kills the script, or it and all it started, before its n-th command; whether it got so far."""
        whom = "-$$" if step % 2 else "$$"
        trap = self.host.shared / "kill.sh"
        here = f"[[ $BASHPID != $$ || ${{FUNCNAME[*]-}} != *op_* ]] || ((++n != {step})) || kill -9 -- {whom}"
        trap.write_text(f"set -T; n=0; trap '{here}' DEBUG\n")
        code = self.call(op, prefix=("setsid", "env", f"BASH_ENV={trap}"), **arguments).code
        self.assertIn(code, (0, -9))
        return code == -9

    def test_a_killed_run_is_repeated_and_converges(self) -> None:
        old, new = self.bundle(), self.bundle(config='{"new": 1}')
        self.deploy(old)
        stage = {"digest": new.digest, "source": new.path, "commit": self.commit}
        dice = random.Random(6)
        for op, arguments in (("stage", stage), ("activate", {"digest": new.digest})):
            step, kills = 1, 0
            while self.killed_at(step, op, **arguments):
                self.is_complete(old.digest, new.digest)
                kills += 1
                step += dice.randint(1, self.STRIDE)
                if op == "stage":
                    self.host.sh(f"rm -rf {RELEASES}/{new.digest}")
                elif dice.random() < 0.3:
                    self.ok("activate", digest=old.digest)
                    self.is_complete(old.digest)
                    self.are_started()
            self.assertGreater(kills, 6, op)
            self.ok(op, **arguments)
        self.is_complete(new.digest)
        self.assertEqual([path for path in self.tree(RELEASES) + self.tree(UNITS) if "/." in path], [])
        self.are_started()

    def are_started(self) -> None:
        """Each unit runs what `current` holds, and the script knows."""
        facts = self.ok("facts")
        for unit in ALL:
            self.assertEqual(facts.get(f"unit.{unit}.started"), facts.get(f"unit.{unit}.digest"))
            heartbeat = json.loads(facts.get(f"unit.{unit}.heartbeat"))
            self.assertEqual(heartbeat["release"], facts.get("current"))
            self.assertEqual(str(heartbeat["pid"]), facts.get(f"unit.{unit}.ExecMainPID"))

    def test_a_stopped_run_says_so(self) -> None:
        bundle = self.bundle()
        trap = self.host.shared / "stop.sh"
        trap.write_text("set -T; trap '[[ $BASHPID != $$ || $BASH_COMMAND != publish* ]] || kill -TERM $$' DEBUG\n")
        answer = self.call("stage", digest=bundle.digest, source=bundle.path, commit=self.commit,
                           prefix=("env", f"BASH_ENV={trap}"))
        self.assertTrue(answer.first.startswith("magellan-host 1 failed stage interrupted: "), answer)
        self.assertEqual(self.tree(RELEASES), ["."])


class Style(unittest.TestCase):
    def test_shellcheck(self) -> None:
        if shutil.which("shellcheck") is None:
            self.skipTest("shellcheck isn't installed")
        done = subprocess.run(["shellcheck", SCRIPT], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


@contextlib.contextmanager
def serve(pages: dict[str, bytes]):
    """Serves bytes on loopback; its URL."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(200 if page is not None else 403)
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def setUpModule() -> None:
    permitted, why = Host.permitted()
    if not permitted:
        if "systemd" in os.environ.get("MAGELLAN_REQUIRE", "").split(","):
            raise RuntimeError(f"systemd is required: {why}")
        raise unittest.SkipTest(f"no systemd here: {why}")


if __name__ == "__main__":
    unittest.main()
