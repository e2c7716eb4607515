"""The deploy's host script alone, on a real systemd, with releases made by hand.

    PYTHONPATH=tests/deploy python3 tests/deploy/test_host_script.py
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
import tempfile
import threading
import time
import unittest
from typing import NamedTuple

import bad_service
import host as machine
from host import (BOUND, CHECKOUT, COMMITS, DEPLOY_STATE, DISK, ETC, MIRROR, OLD_RELEASES, OLD_USER, RELEASES, ROOT,
                  STATE, UNITS, USER, Host)

DEPLOY = pathlib.Path(__file__).parents[2] / "shell/src/deploy"
# Its parts, in their order, as the binary sends them.
SCRIPT = "".join(part.read_text() for part in sorted((DEPLOY / "host").glob("*.sh")))
LIMIT = 20_000
ALL = ("magellan-bear-trap", "magellan-daily-trend")
ONE = ALL[0]
# What a shell would do with a value that isn't quoted.
HOSTILE = "a b'c\"d$(touch /tmp/pwned)`touch /tmp/pwned`;touch /tmp/pwned\n&& touch /tmp/pwned *"

# Stands in for the binary, and for what it leaves behind.
PROGRAM = """#!/usr/bin/python3 -SE
import json, os, pathlib, signal, socket, sys, time
if sys.argv[1] == "--version": print("magellan 0.1.0"); sys.exit(VERSION_EXIT)
if sys.argv[1] == "validate": print("x" * NOISE, os.getuid(), *sys.argv[1:]); sys.exit(VALIDATE_EXIT)
if sys.argv[1] == "parity": print(*sys.argv[1:]); sys.exit(0)
strategy, state = sys.argv[3], pathlib.Path(sys.argv[5])
bound = pathlib.Path(os.environ["MAGELLAN_BINDING"])
(state / "logs").mkdir(exist_ok=True)
(state / "heartbeat.json").write_text(json.dumps(
    {"release": (bound.parent / "release").resolve().name, "pid": os.getpid()}))
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
WorkingDirectory={ROOT}
ExecStart={BOUND}/NAME/current/release/magellan run --strategy STRATEGY --state-dir {STATE}/STRATEGY
Restart=always
RestartSec=10
StateDirectory=magellan/STRATEGY
[Install]
WantedBy=multi-user.target
"""
TEMPLATE = "[Service]\nType=oneshot\nExecStart=/bin/true %i\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def b64(data: bytes | str) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def strategy_of(unit: str) -> str:
    return unit.removeprefix("magellan-").replace("-", "_")


class Binding(NamedTuple):
    """What an environment adds to a unit."""
    environment: str = "staging"
    more: str = ""

    @property
    def drop_in(self) -> str:
        return (f"[Unit]\nOnFailure=magellan-failed@%n.service\nWants=magellan-parity@%p.timer\n[Service]\n"
                f"Environment=MAGELLAN_ENVIRONMENT={self.environment}\n"
                f"Environment=MAGELLAN_BINDING={BOUND}/%p/current/binding.json\n{self.more}")

    @property
    def json(self) -> str:
        what = {"schema_version": 1, "environment": self.environment, "kind": "staging",
                "drop_in_sha256": sha256(self.drop_in.encode())}
        return json.dumps(what, indent=2) + "\n"

    @property
    def digest(self) -> str:
        return sha256(self.json.encode())


class Bundle(NamedTuple):
    """A release as one file, and what is in it."""
    digest: str
    path: str
    files: dict[str, bytes]
    commit: str

    @property
    def contents(self) -> str:
        return sha256(self.files["checksums"])

    @property
    def units(self) -> list[str]:
        return [line.split()[1] for line in self.files["units"].decode().splitlines()]

    def unit_digest(self, unit: str, binding: Binding) -> str:
        folder = f"deployed/{strategy_of(unit)}"
        paths = ("magellan", f"{folder}/config.json", f"{folder}/{unit}.service")
        made_of = [sha256(self.files[path]) for path in paths]
        return sha256("".join(f"{one}\n" for one in [*made_of, binding.digest]).encode())

    def target(self, unit: str, binding: Binding) -> str:
        """What `activate` is told of a unit."""
        return f"unit={unit}:{self.digest}:{binding.digest}:{self.unit_digest(unit, binding)}"


class Answer(NamedTuple):
    """What the script said."""
    code: int
    first: str
    facts: list[tuple[str, str]]
    raw: str
    pages: int

    def __repr__(self) -> str:
        return "\n".join([self.first, *(f"{key}={value[-600:]}" for key, value in self.facts)])

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.facts if name == key]

    def get(self, key: str) -> str | None:
        return next(iter(self.all(key)), None)

    def unit(self, key: str, unit: str = ONE) -> str | None:
        return self.get(f"unit.{unit}.{key}")


def files_of(commit: str, units=ALL, config="{}", configs=None, unit=UNIT, start_exit=0, version_exit=0,
             validate_exit=0, noise=0, template=TEMPLATE, program: bytes | None = None,
             replaced=None) -> dict[str, bytes]:
    """What is in a bundle; `configs` gives one unit a config of its own, `replaced` whole files."""
    text = PROGRAM.replace("START_EXIT", str(start_exit)).replace("VERSION_EXIT", str(version_exit))
    text = text.replace("VALIDATE_EXIT", str(validate_exit)).replace("NOISE", str(noise))
    files = {"magellan": program or text.encode(), "magellan-failed@.service": template.encode()}
    files |= {f"magellan-parity@.{kind}": (DEPLOY / f"magellan-parity@.{kind}").read_bytes()
              for kind in ("service", "timer")}
    lines, strategies = [], {}
    for name in units:
        strategy = strategy_of(name)
        own = {f"deployed/{strategy}/config.json": (configs or {}).get(name, config).encode(),
               f"deployed/{strategy}/{name}.service":
                   unit.replace("NAME", name).replace("STRATEGY", strategy).encode()}
        files |= own
        made_of = [files["magellan"], *own.values()]
        digest = sha256("".join(f"{sha256(one)}\n" for one in made_of).encode())
        strategies[strategy] = {"unit": name, "digest": digest, "config_sha256": sha256(made_of[1])}
        lines.append(f"{digest} {name} deployed/{strategy}/{name}.service\n")
    files["units"] = "".join(lines).encode()
    listed = {path: {"sha256": sha256(data), "size": len(data)} for path, data in files.items()}
    manifest = {"schema_version": 3, "commit": commit, "files": listed, "strategies": strategies}
    files["manifest.json"] = json.dumps(manifest, indent=2).encode()
    files |= replaced or {}
    return files | {"checksums": checksums(files)}


def checksums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(data)}  {path}\n" for path, data in sorted(files.items())).encode()


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = len(data), kind, target, 0o4777
    return info, io.BytesIO(data)


def unpacked(chunks: str) -> list[tuple[str, str]]:
    if not chunks:
        return []
    found = []
    for line in gzip.decompress(base64.b64decode(chunks, validate=True)).decode().splitlines():
        key, value = line.split("=", 1)
        if key.endswith(":b64"):
            key, value = key[:-4], base64.b64decode(value, validate=True).decode()
        found.append((key, value))
    return found


class OnHost(unittest.TestCase):
    """What the tests share: one machine, which each of them finds as it was booted."""
    host: Host

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = Host()
        cls.addClassCleanup(cls.host.close)
        (cls.host.shared / "host.sh").write_text(SCRIPT)

    def setUp(self) -> None:
        self.host.reset()
        self.commit = self.host.push({"src.rs": "// judged\n"})
        self.generation = 1
        self.binding = Binding()

    # ---- calls ----

    def call(self, op: str, *more: str, prefix: tuple[str, ...] = (), **arguments: object) -> Answer:
        arguments = {"environment": "staging"} | arguments
        if op not in ("facts", "preflight", "logs", "page"):
            arguments = {"generation": self.generation, "wait": 20} | arguments
        words = [f"{key}={value}" for key, value in arguments.items()]
        done = self.host.run([*prefix, "bash", str(self.host.shared / "host.sh"), op, *words, *more])
        self.assertEqual(done.err, "")
        self.assertLessEqual(len(done.out), LIMIT)
        first, *rest = done.out.splitlines() or [""]
        self.assertLessEqual(len(rest), 1, done.out)
        page, pages, paper, chunk = rest[0].split(" ")[1:] if rest else ("1", "1", "-", "")
        if op == "page":
            return Answer(done.code, first, [(page, chunk)], done.out, int(pages))
        for number in range(2, int(pages) + 1):
            chunk += self.call("page", id=paper, page=number).facts[0][1]
        return Answer(done.code, first, unpacked(chunk), done.out, int(pages))

    def ok(self, op: str, *more: str, **arguments: object) -> Answer:
        answer = self.call(op, *more, **arguments)
        self.assertEqual((answer.code, answer.first), (0, f"magellan-host 2 ok {op}"), answer)
        return answer

    def refused(self, op: str, code: str, *more: str, exit_code: int = 1, **arguments: object) -> Answer:
        answer = self.call(op, *more, **arguments)
        self.assertTrue(answer.first.startswith(f"magellan-host 2 failed {op} {code}: "), answer)
        self.assertEqual(answer.code, exit_code, answer)
        return answer

    # ---- releases ----

    def pack(self, entries: list[tuple], files: dict[str, bytes]) -> Bundle:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for info, data in entries:
                tar.addfile(info, data)
        packed = subprocess.run(["zstd", "-qc"], input=plain.getvalue(), stdout=subprocess.PIPE, check=True).stdout
        digest = sha256(packed)
        path = self.host.shared / f"{digest}.tar.zst"
        path.write_bytes(packed)
        return Bundle(digest, str(path), files, self.commit)

    def bundle(self, **options) -> Bundle:
        files = files_of(self.commit, **options)
        return self.pack([entry(path, data) for path, data in files.items()], files)

    def staging(self, bundle: Bundle, units: list[str] | None = None) -> tuple[list[str], dict[str, object]]:
        """The arguments that stage a release."""
        bound = [f"bind={unit}" for unit in (bundle.units if units is None else units)]
        return bound, {"digest": bundle.digest, "contents": bundle.contents, "source": bundle.path,
                       "commit": bundle.commit, "remote": self.host.remote,
                       "binding": b64(self.binding.json), "drop_in": b64(self.binding.drop_in)}

    def stage(self, bundle: Bundle, *more: str, units: list[str] | None = None, **arguments: object) -> Answer:
        bound, named = self.staging(bundle, units)
        return self.ok("stage", *bound, *more, **(named | arguments))

    def not_staged(self, bundle: Bundle, code: str, *more: str, units: list[str] | None = None,
                   **arguments: object) -> Answer:
        """A refusal that leaves no release and no half of one."""
        self.host.sh(f"mkdir -p {RELEASES} {BOUND}")
        before = self.tree(RELEASES), self.tree(BOUND), self.tree(UNITS)
        bound, named = self.staging(bundle, units)
        answer = self.refused("stage", code, *bound, *more, **(named | arguments))
        self.assertEqual((self.tree(RELEASES), self.tree(BOUND), self.tree(UNITS)), before)
        self.assertIn("log", dict(answer.facts))
        self.assertEqual(self.halves(), [])
        return answer

    def activation(self, *bundles: Bundle, units: list[str] | None = None) -> list[str]:
        targets = [bundle.target(unit, self.binding) for bundle in bundles for unit in bundle.units
                   if units is None or unit in units]
        return targets + [f"contents={bundle.digest}:{bundle.contents}" for bundle in bundles]

    def activate(self, *bundles: Bundle, units: list[str] | None = None, **arguments: object) -> Answer:
        return self.ok("activate", *self.activation(*bundles, units=units), **arguments)

    def not_activated(self, bundle: Bundle, code: str, *more: str, units: list[str] | None = None,
                      **arguments: object) -> Answer:
        return self.refused("activate", code, *self.activation(bundle, units=units), *more, **arguments)

    def deploy(self, bundle: Bundle) -> Answer:
        self.stage(bundle)
        return self.activate(bundle)

    # ---- what is there ----

    def tree(self, folder: str) -> list[str]:
        return self.host.sh(f"cd {folder} && find . | sort").split("\n")

    def halves(self) -> list[str]:
        """What a run left unfinished."""
        return self.host.sh(rf"find {ROOT} {DEPLOY_STATE} {UNITS} {ETC} -path '{MIRROR}' -prune -o "
                            r"\( -name '.staging-*' -o -name '.new-*' -o -name '.download-*' -o -name '*.new' "
                            r"-o -name '*magellan-new' \) -print").split()

    def pid(self, unit: str) -> str:
        shown = self.host.sh(f"systemctl show -p MainPID -p ActiveState {unit}").split()
        self.assertIn("ActiveState=active", shown)
        return next(line for line in shown if line.startswith("MainPID="))

    def release_of(self, unit: str) -> str:
        return self.host.sh(f"readlink {BOUND}/{unit}/current").split("-")[0]

    def is_complete(self, *bundles: Bundle) -> None:
        """Each unit is bound to one of these releases, whole."""
        for unit in ALL:
            self.assertIn(self.release_of(unit), [bundle.digest for bundle in bundles])
            self.host.sh(f"cd {BOUND}/{unit}/current/release/ && sha256sum --check --strict --quiet checksums")

    def are_started(self, *bundles: Bundle) -> None:
        """Each unit runs what it is bound to, and the script knows."""
        facts = self.ok("facts")
        for bundle in bundles:
            for unit in bundle.units:
                self.assertEqual(facts.unit("started", unit), bundle.unit_digest(unit, self.binding))
                heartbeat = json.loads(facts.unit("heartbeat", unit))
                self.assertEqual(heartbeat["release"], facts.unit("release", unit))
                self.assertEqual(str(heartbeat["pid"]), facts.unit("ExecMainPID", unit))
                self.assertEqual(facts.unit("started_pid", unit), facts.unit("ExecMainPID", unit))

    @contextlib.contextmanager
    def running(self, *argv: str):
        """Meanwhile a program runs that copies its input, and ends with it."""
        with subprocess.Popen([*self.host.prefix, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdin.write(b"x\n")
            process.stdin.flush()
            process.stdout.readline()
            yield

    def as_user(self, script: str) -> machine.Result:
        return self.host.run(["runuser", "-u", USER, "--", "bash", "-c", script])

    def eventually(self, condition, seconds: float = 15):
        end = time.monotonic() + seconds
        while not (found := condition()) and time.monotonic() < end:
            time.sleep(0.1)
        return found



class Stage(OnHost):
    """Commit, release and bindings beside the others."""

    def test_a_release_is_unpacked_read_only_and_kept(self) -> None:
        bundle = self.bundle(noise=300_000)
        answer = self.stage(bundle)
        self.assertEqual((answer.get("staged"), answer.get("tree"), answer.get("version"), answer.all("bound")),
                         ("new", "new", "magellan 0.1.0", list(ALL)))
        modes = self.host.sh(f"find {RELEASES}/{bundle.digest} {BOUND}/*/*-* ! -type l ! -name magellan"
                             " -printf '%m %U:%G %y\n' | sort -u")
        self.assertEqual(modes, "444 0:0 f\n555 0:0 d\n")
        self.assertEqual(self.host.sh(f"stat -c '%a %u:%g' {RELEASES}/{bundle.digest}/magellan"), "555 0:0\n")
        self.assertEqual(self.host.sh(f"find {ROOT} ! -user root -o ! -group root -o ! -type l -perm /022"), "")
        self.assertLess(len(self.host.sh(f"cat {DEPLOY_STATE}/log/*")), 100_000)
        again = self.stage(bundle, source="")
        self.assertEqual((again.get("staged"), again.get("tree"), again.get("fetched")), ("kept", "kept", "no"))
        self.assertEqual(self.halves(), [])

    def test_no_unit_is_touched(self) -> None:
        before = self.tree(UNITS)
        self.stage(self.bundle())
        self.assertEqual(self.tree(UNITS), before)
        self.assertEqual(self.ok("facts").all("installed"), [])

    def test_own_symbols_can_be_deployed(self) -> None:
        """The gate judged whether bars suffice; here there are none to ask for, and the services' user asks."""
        self.stage(self.bundle())
        log = self.host.sh(f"cat {DEPLOY_STATE}/log/*")
        uid = self.host.sh(f"id -u {USER}").strip()
        said = rf" {uid} validate --without-archive --deployed {RELEASES}/\.staging-[0-9a-f]+/deployed\n"
        self.assertRegex(log, said)

    def test_what_does_not_run_or_validate_here_is_refused(self) -> None:
        self.not_staged(self.bundle(version_exit=1), "binary")
        self.not_staged(self.bundle(validate_exit=8), "validate")

    def test_a_unit_that_systemd_refuses_or_ignores_is_refused(self) -> None:
        self.not_staged(self.bundle(unit=UNIT.replace("[Install]", "[Install")), "units")
        self.not_staged(self.bundle(unit=UNIT.replace("RestartSec=10", "MemoryMix=1")), "units")

    def test_a_unit_that_starts_something_else_or_as_another_is_refused(self) -> None:
        for line in ("User=root", f"User={USER}\nExecStartPre=+/bin/true", f"User={USER}\nUser=root",
                     f"User={USER}\n  ExecStart =/bin/true", f"User={USER}\nGroup=root"):
            with self.subTest(line):
                self.not_staged(self.bundle(unit=UNIT.replace(f"User={USER}", line)), "units")
        self.not_staged(self.bundle(unit=UNIT.replace("current/release", "current/../x/release")), "units")

    def test_a_wrong_digest_is_refused(self) -> None:
        bundle = self.bundle()
        self.not_staged(bundle._replace(digest="a" * 64), "digest")
        self.not_staged(bundle, "download", source="/nowhere")
        for wrong in (bundle.digest[:-1], f"{bundle.digest}\n", f"../{bundle.digest}"):
            self.refused("stage", "usage", digest=wrong, contents=bundle.contents, source=bundle.path,
                         commit=self.commit, remote=self.host.remote)

    def test_contents_that_the_deployer_did_not_send_are_refused(self) -> None:
        bundle = self.bundle()
        self.not_staged(bundle, "tampered", contents="b" * 64)
        self.not_staged(bundle, "usage", contents="")

    def test_another_commit_than_the_manifests_is_refused(self) -> None:
        bundle = self.bundle()
        self.commit = self.host.push({"src.rs": "// later\n"})
        self.not_staged(bundle._replace(commit=self.commit), "tampered")

    def test_a_binding_of_another_environment_or_drop_in_is_refused(self) -> None:
        bundle = self.bundle()
        self.not_staged(bundle, "usage", binding=b64(Binding("production").json))
        self.not_staged(bundle, "usage", drop_in=b64(Binding(more="User=root\n").drop_in))
        self.not_staged(bundle, "units", units=["magellan-not-in-it"])

    def test_a_tampered_archive_is_refused(self) -> None:
        files = files_of(self.commit)
        whole = [(path, data) for path, data in files.items()]
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
                entries = [entry(path, data) for path, data in whole]
                said = self.not_staged(self.pack(entries + added, files), "tampered").first
                if added[0][0].type not in (tarfile.REGTYPE, tarfile.DIRTYPE):
                    self.assertIn("other than files", said)
        changed = files | {"magellan": files["magellan"] + b"#"}
        too_few = {path: data for path, data in files.items() if path != "units"}
        for what, other in {"a changed file": changed, "a missing file": too_few}.items():
            with self.subTest(what):
                self.not_staged(self.pack([entry(path, data) for path, data in other.items()], files), "tampered")
        with self.subTest("no archive"):
            junk = self.host.shared / "junk"
            junk.write_bytes(b"no archive")
            self.not_staged(Bundle(sha256(b"no archive"), str(junk), files, self.commit), "tampered", units=[])
        self.assertFalse(self.host.exists("/tmp/pwned"))

    def test_a_units_list_that_is_not_plain_is_refused(self) -> None:
        line = files_of(self.commit)["units"].decode().splitlines()[0]
        for bad in (line.replace(ONE, "../x", 1), line.replace(ONE, "sshd", 1), line.replace(ONE, "$(id)", 1),
                    f"{line} more", f"{line}\n{line}", line.replace("deployed/", "/etc/"), line[1:], ""):
            with self.subTest(bad):
                self.not_staged(self.bundle(replaced={"units": f"{bad}\n".encode()}), "units", units=[])

    def test_a_bundle_comes_by_url_that_is_not_told(self) -> None:
        bundle = self.bundle()
        with serve({"/bundle?secret=token": pathlib.Path(bundle.path).read_bytes()}) as url:
            proxied = ("env", "http_proxy=http://127.0.0.1:9", "https_proxy=http://127.0.0.1:9")
            answers = [self.not_staged(bundle, "download", source=f"{url}/gone?secret", max_bytes=10**6),
                       self.stage(bundle, source=f"{url}/bundle?secret=token", max_bytes=10**6, prefix=proxied)]
        bundle = self.bundle(config='{"n": 2}')
        for url in ("ftp://x/secret", "http://127.0.0.1:80@example.org/secret", "https://x/\" secret", "secret"):
            answers.append(self.not_staged(bundle, "usage", source=url, max_bytes=10**6))
        said = str(answers) + self.host.sh(f"cat {DEPLOY_STATE}/log/*")
        self.assertNotIn("secret", said)

    def test_no_more_is_downloaded_than_was_announced(self) -> None:
        bundle = self.bundle()
        packed = pathlib.Path(bundle.path).read_bytes()
        for length in (True, False):
            with self.subTest(says_length=length), serve({"/bundle": packed + b"x" * 4_000_000}, length) as url:
                answer = self.not_staged(bundle, "download", source=f"{url}/bundle", max_bytes=len(packed))
                self.assertIn("larger", answer.first)
        with serve({"/bundle": packed}) as url:
            self.not_staged(bundle, "usage", source=f"{url}/bundle")

    def test_a_bomb_is_refused_before_it_fills_the_disk(self) -> None:
        head = tarfile.TarInfo("magellan")
        head.size = 3 << 30
        script = (f"(printf %s {b64(head.tobuf(tarfile.USTAR_FORMAT))} | base64 -d; head -c {3 << 30} /dev/zero;"
                  f" head -c 1024 /dev/zero) | zstd -1 -qc > {self.host.shared}/bomb")
        subprocess.run(["bash", "-c", script], check=True)
        bomb = self.host.shared / "bomb"
        with open(bomb, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.not_staged(Bundle(digest, str(bomb), files_of(self.commit), self.commit), "tampered", units=[])


class Commit(OnHost):
    """The tree of a commit, from a mirror that is believed in nothing but its objects."""

    def tree_of(self, path: str) -> bytes:
        return self.host.path(f"{COMMITS}/{self.commit}/{path}").read_bytes()

    def test_a_branch_that_moves_or_loses_the_commit_does_no_harm(self) -> None:
        first = self.commit
        self.host.push({"src.rs": "// later\n"})
        self.stage(self.bundle())
        self.assertEqual(self.tree_of("src.rs"), b"// judged\n")
        amend = ("commit", "--quiet", "--allow-empty", "--amend", "--message")
        machine.git(self.host.work, *amend, "Another")
        machine.git(self.host.work, "push", "--quiet", "--force", "origin", "HEAD:main")
        self.stage(self.bundle())
        # Gone from all branches before the machine ever fetched it.
        self.commit = self.host.push({"src.rs": "// short-lived\n"})
        machine.git(self.host.work, *amend, "Again")
        machine.git(self.host.work, "push", "--quiet", "--force", "origin", "HEAD:main")
        self.stage(self.bundle())
        self.assertEqual(self.tree_of("src.rs"), b"// short-lived\n")
        self.ok("prune", keep=9, keep_days=30)
        facts = self.ok("facts")
        self.commit = first
        self.stage(self.bundle(config='{"n": 2}'))
        self.assertEqual(facts.get("untracked_count"), "0")

    def test_an_unknown_commit_and_an_unreachable_remote_are_told_apart(self) -> None:
        self.stage(self.bundle())
        self.commit = "1" * 40
        bundle = self.bundle()
        self.not_staged(bundle, "commit")
        self.not_staged(bundle, "remote", remote=f"{self.host.shared}/nowhere")
        for remote in ("--upload-pack=touch /tmp/pwned", "ext::touch /tmp/pwned", ""):
            self.not_staged(bundle, "usage", remote=remote)
        self.assertFalse(self.host.exists("/tmp/pwned"))

    def test_a_commit_that_is_there_needs_no_remote(self) -> None:
        self.stage(self.bundle())
        self.stage(self.bundle(config='{"n": 2}'), remote=f"{self.host.shared}/nowhere")

    def test_filters_and_line_ends_of_the_commit_change_no_byte(self) -> None:
        self.host.sh("git config --system filter.evil.smudge 'touch /tmp/pwned; cat'")
        self.addCleanup(self.host.sh, "git config --system --remove-section filter.evil; rm -f /tmp/pwned")
        attributes = "* text eol=crlf ident filter=evil\n*.latin working-tree-encoding=ISO-8859-1\n"
        self.host.push({".gitattributes": attributes, "sub/.gitattributes": "* filter=evil\n"})
        self.commit = self.host.push({"a.txt": "$Id$\nline\n", "b.latin": "é\n", "sub/c": "x\n"})
        self.stage(self.bundle())
        for path in ("a.txt", "b.latin", "sub/c"):
            blob = subprocess.run(["git", "-C", self.host.work, "cat-file", "blob", f"HEAD:{path}"], check=True,
                                  stdout=subprocess.PIPE).stdout
            self.assertEqual(self.tree_of(path), blob)
        self.assertEqual(self.tree_of("b.latin"), "Ã©\n".encode())
        self.assertFalse(self.host.exists("/tmp/pwned"))

    def test_hooks_and_settings_in_the_mirror_do_nothing(self) -> None:
        self.stage(self.bundle())
        self.host.write(f"{MIRROR}/hooks/reference-transaction", "#!/bin/sh\ntouch /tmp/pwned\n", 0o755)
        self.host.write(f"{MIRROR}/hooks/post-checkout", "#!/bin/sh\ntouch /tmp/pwned\n", 0o755)
        self.host.write(f"{MIRROR}/config", "[core]\nbare=true\nfsmonitor=touch /tmp/pwned\nhooksPath=hooks\n"
                        "sshCommand=touch /tmp/pwned\nattributesFile=/tmp/evil\n"
                        "[filter \"evil\"]\nsmudge=touch /tmp/pwned\n"
                        "[gc]\nauto=1\n[protocol \"ext\"]\nallow=always\n")
        self.host.write(f"{MIRROR}/info/attributes", "* filter=evil\n")
        self.commit = self.host.push({"src.rs": "// more\n"})
        self.stage(self.bundle())
        self.assertFalse(self.host.exists("/tmp/pwned"))
        self.assertEqual(self.tree_of("src.rs"), b"// more\n")

    def test_a_planted_mirror_is_thrown_away(self) -> None:
        self.host.sh(f"git init --quiet --bare {MIRROR}; chown -R {USER} {MIRROR}; echo x > {MIRROR}/planted")
        self.stage(self.bundle())
        self.assertFalse(self.host.exists(f"{MIRROR}/planted"))
        self.host.sh(f"rm -rf {MIRROR}; mkdir /srv/evil; ln -s /srv/evil {MIRROR}")
        self.addCleanup(self.host.sh, "rm -rf /srv/evil")
        self.commit = self.host.push({"src.rs": "// more\n"})
        self.stage(self.bundle())
        self.assertEqual(self.host.sh(f"ls /srv/evil; find {MIRROR} -type l -o ! -user root"), "")

    def test_an_edited_tree_is_drift_and_is_mended(self) -> None:
        """Blob ids are compared, with an index that can't say "assume unchanged"."""
        self.commit = self.host.push({"run.sh": "#!/bin/sh\n", "sub/x": "x\n"})
        bundle = self.bundle()
        self.deploy(bundle)
        tree = f"{COMMITS}/{self.commit}"
        damage = {"src.rs": f"touch -r {tree}/src.rs /tmp/t; echo '// edited' > {tree}/src.rs;"
                            f" touch -r /tmp/t {tree}/src.rs",
                  "sub/x": f"rm {tree}/sub/x", "more": f"echo more > {tree}/more; chmod 444 {tree}/more",
                  "run.sh": f"chmod +x {tree}/run.sh",
                  "src.rs: mode 666": f"chmod 666 {tree}/src.rs",
                  f"sub/x: owner {USER}:root": f"chown {USER} {tree}/sub/x"}
        for what, how in damage.items():
            with self.subTest(what):
                self.host.sh(how)
                self.assertEqual(self.ok("facts").all(f"commit.{self.commit}.altered"), [what])
                self.not_activated(bundle, "incomplete")
                self.assertEqual(self.stage(bundle).get("tree"), "mended")
                self.assertEqual(self.ok("facts").get(f"commit.{self.commit}.altered_count"), "0")
                self.activate(bundle)

    def test_what_a_killed_git_left_does_not_wedge_the_host(self) -> None:
        self.stage(self.bundle())
        self.host.sh(f"cd {MIRROR}; touch index.lock HEAD.lock packed-refs.lock config.lock shallow.lock gc.pid"
                     " refs/heads/main.lock objects/pack/tmp_pack_x; mkdir -p objects/zz; touch objects/zz/tmp_obj_x")
        self.commit = self.host.push({"src.rs": "// more\n"})
        self.stage(self.bundle())
        self.assertEqual(self.host.sh(f"find {MIRROR} -name '*.lock' -o -name 'tmp_*'"), "")

    def test_a_broken_mirror_is_made_anew(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        first = self.commit
        breaks = {"no HEAD": f"rm {MIRROR}/HEAD", "no objects": f"find {MIRROR}/objects -type f -delete",
                  "garbage in packs": f"find {MIRROR}/objects -type f |"
                                      " while read -r file; do chmod u+w $file; echo junk > $file; done",
                  "no folder": f"rm -r {MIRROR}", "a file": f"rm -r {MIRROR}; touch {MIRROR}",
                  "refs are garbage": f"echo junk > {MIRROR}/packed-refs"}
        for what, how in breaks.items():
            with self.subTest(what):
                self.host.sh(how)
                self.commit = self.host.push({"src.rs": f"// {what}\n"})
                self.stage(self.bundle())
                self.assertEqual(self.tree_of("src.rs"), f"// {what}\n".encode())
                self.assertEqual(self.halves(), [])
        # Once more of the release that runs: the mirror holds its commit again.
        self.commit = first
        self.stage(bundle)
        self.assertEqual(self.ok("facts").get(f"commit.{first}.altered_count"), "0")

    def test_a_git_that_outlives_its_run_is_ended(self) -> None:
        """Only the script is killed; its fetch would go on writing into the mirror of the next run."""
        self.stage(self.bundle())
        slow = self.host.shared / "slow"
        slow.mkdir(exist_ok=True)
        (slow / "git-remote-slow").write_text("#!/bin/sh\nexec sleep 1000\n")
        (slow / "git-remote-slow").chmod(0o755)
        self.host.sh(f"ln -sf {slow}/git-remote-slow /usr/local/bin/git-remote-slow")
        self.addCleanup(self.host.sh, "rm -f /usr/local/bin/git-remote-slow")
        self.commit = self.host.push({"src.rs": "// more\n"})
        bundle = self.bundle()
        bound, named = self.staging(bundle)
        words = [f"{key}={value}" for key, value in ({"environment": "staging", "generation": 1} | named |
                                                     {"remote": "slow://x"}).items()]
        with subprocess.Popen([*self.host.prefix, "bash", str(self.host.shared / "host.sh"), "stage", *words, *bound],
                              stdout=subprocess.DEVNULL) as process:
            self.assertTrue(self.eventually(lambda: self.host.run(["pgrep", "-f", "git-remote-slow|slow://x"]).out))
            self.host.sh("pkill -KILL -o -f 'host.sh stage'")
            process.wait()
        self.stage(bundle)
        self.assertEqual(self.host.run(["pgrep", "-f", "remote-slow|sleep 1000"]).out, "")


class Activate(OnHost):
    """From one complete release to another, unit by unit."""

    def test_only_changed_units_restart(self) -> None:
        first = self.bundle()
        answer = self.deploy(first)
        self.assertEqual((answer.all("restarted"), answer.all("kept")), (list(ALL), []))
        before = {unit: self.pid(unit) for unit in ALL}
        again = self.activate(first)
        self.assertEqual((again.all("restarted"), again.all("kept")), ([], list(ALL)))
        second = self.bundle(configs={ALL[1]: '{"changed": 1}'})
        answer = self.deploy(second)
        self.assertEqual((answer.all("restarted"), answer.all("kept")), ([ALL[1]], [ALL[0]]))
        self.assertEqual(self.pid(ALL[0]), before[ALL[0]])
        self.assertNotEqual(self.pid(ALL[1]), before[ALL[1]])
        facts = self.ok("facts")
        self.assertEqual(facts.unit("previous"), f"{first.digest}-{self.binding.digest}")
        self.host.sh(f"systemctl stop {ALL[0]}")
        self.assertEqual(self.activate(second).all("restarted"), [ALL[0]])

    def test_units_that_are_not_named_are_left_alone(self) -> None:
        old, new = self.bundle(), self.bundle(config='{"new": 1}')
        self.deploy(old)
        self.stage(new)
        before = self.pid(ALL[1]), self.tree(f"{BOUND}/{ALL[1]}")
        self.activate(new, units=[ONE])
        self.assertEqual([self.release_of(unit) for unit in ALL], [new.digest, old.digest])
        self.assertEqual(self.pid(ALL[1]), before[0])
        facts = self.ok("facts")
        for bundle in (old, new):
            self.assertEqual(facts.get(f"release.{bundle.digest}.contents"), bundle.contents)
        self.activate(new, units=[ALL[1]])
        self.is_complete(new)

    def test_units_of_several_releases_are_switched_at_once(self) -> None:
        old, new = self.bundle(), self.bundle(config='{"new": 1}')
        self.stage(old)
        self.stage(new)
        self.ok("activate", old.target(ALL[0], self.binding), new.target(ALL[1], self.binding),
                f"contents={old.digest}:{old.contents}", f"contents={new.digest}:{new.contents}")
        self.assertEqual([self.release_of(unit) for unit in ALL], [old.digest, new.digest])

    def test_only_named_units_are_retired(self) -> None:
        bundle = self.bundle(units=(*ALL, "magellan-third"))
        self.deploy(bundle)
        answer = self.ok("activate", "retire=magellan-third", *self.activation(bundle, units=[ONE]))
        self.assertEqual((answer.all("removed"), answer.all("kept")), (["magellan-third"], [ONE]))
        self.assertEqual([path for path in self.tree(UNITS) if "third" in path], [])
        self.assertEqual(self.host.run(["systemctl", "is-active", "magellan-third"]).out, "inactive\n")
        self.pid(ALL[1])
        self.ok("activate", f"retire={ALL[1]}")
        self.assertEqual(self.ok("facts").all("installed"), [ONE])

    def test_all_or_named_units_are_deactivated(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.assertEqual(self.ok("deactivate", f"unit={ONE}").all("removed"), [ONE])
        self.pid(ALL[1])
        self.assertTrue(self.host.exists(f"{UNITS}/magellan-failed@.service"))
        self.assertEqual(self.ok("deactivate").all("removed"), [ALL[1]])
        self.assertEqual([path for path in self.tree(UNITS) if "magellan" in path], [])
        self.assertEqual(self.ok("deactivate").all("removed"), [])
        self.assertEqual(self.ok("facts").get("untracked_count"), "0")
        self.activate(bundle)

    def test_another_binding_alone_restarts(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.binding = Binding(more="Environment=USE_ARCHIVED_DATA=true\n")
        self.assertEqual(self.stage(bundle).get("staged"), "kept")
        self.assertEqual(self.activate(bundle).all("restarted"), list(ALL))
        self.assertIn("USE_ARCHIVED_DATA=true", self.ok("facts").unit("Environment"))

    def test_what_a_unit_is_made_of_must_be_what_was_said(self) -> None:
        bundle = self.bundle()
        self.stage(bundle)
        contents = f"contents={bundle.digest}:{bundle.contents}"
        target = bundle.target(ONE, self.binding)
        self.refused("activate", "incomplete", target[:-64] + "0" * 64, contents)
        self.refused("activate", "incomplete", f"unit={ONE}:{'d' * 64}:{'e' * 64}:{'f' * 64}",
                     f"contents={'d' * 64}:{'d' * 64}")
        self.refused("activate", "incomplete", bundle.target(ONE, Binding(more="# other\n")), contents)
        self.refused("activate", "usage", target)
        self.refused("activate", "usage", target, target, contents)
        self.refused("activate", "usage", contents)
        self.assertEqual(self.ok("facts").all("installed"), [])

    def test_a_masked_unit_is_refused(self) -> None:
        bundle = self.bundle()
        self.stage(bundle)
        self.host.sh(f"systemctl mask {ONE} 2>/dev/null")
        self.not_activated(bundle, "masked")
        self.assertFalse(self.host.exists(f"{BOUND}/{ONE}/current"))

    def test_a_unit_that_does_not_start_is_told_and_the_former_release_comes_back(self) -> None:
        good, bad = self.bundle(), self.bundle(start_exit=3)
        self.deploy(good)
        self.stage(bad)
        answer = self.not_activated(bad, "restart")
        self.assertIn("it can't start", answer.unit("journal"))
        # Meanwhile the other crashes and comes back, as the bad release, though no deploy restarted it.
        self.host.sh(f"systemctl kill --signal=KILL {ALL[1]}; systemctl restart {ALL[1]}")
        self.assertEqual(self.activate(good).all("restarted"), list(ALL))
        self.is_complete(good)
        self.are_started(good)

    def test_a_bad_release_comes_back_by_force_only(self) -> None:
        bundle = self.bundle()
        self.stage(bundle)
        self.ok("record", bad=bundle.digest)
        self.not_activated(bundle, "bad")
        self.assertEqual(self.ok("facts").all("bad"), [bundle.digest])
        self.activate(bundle, force="yes")
        self.ok("record", good=bundle.digest)
        self.assertEqual(self.ok("facts").all("bad"), [])
        self.activate(bundle)

    def test_a_unit_that_crashed_too_often_is_started_again(self) -> None:
        bundle = self.bundle(unit=UNIT.replace("RestartSec=10", "RestartSec=0"))
        self.deploy(bundle)
        for _ in range(6):
            self.host.sh(f"systemctl kill --signal=KILL {ONE}; sleep 0.2")
        self.assertEqual(self.host.run(["systemctl", "is-active", ONE]).out, "failed\n")
        self.assertEqual(self.activate(bundle).all("restarted"), [ONE])

    def test_the_process_of_the_activation_is_told(self) -> None:
        """So that a restart since then shows, whenever somebody looks first."""
        bundle = self.bundle(unit=UNIT.replace("RestartSec=10", "RestartSec=0"))
        answer = self.deploy(bundle)
        self.host.sh(f"systemctl kill --signal=KILL {ONE}")
        self.assertTrue(self.eventually(lambda: self.ok("facts").unit("ActiveState") == "active"))
        facts = self.ok("facts")
        self.assertEqual((facts.unit("started_pid"), facts.unit("started_monotonic"), facts.unit("started_boot")),
                         (answer.unit("pid"), answer.unit("started_monotonic"), facts.get("boot_id")))
        self.assertEqual(answer.unit("restarts"), "0")
        self.assertNotEqual(facts.unit("started_pid"), facts.unit("ExecMainPID"))

    def test_a_process_of_another_program_is_seen_and_replaced(self) -> None:
        good = self.bundle(program=bad_service.binary("good"), units=[ONE])
        self.deploy(good)
        self.assertEqual(self.ok("facts").unit("exe"), sha256(good.files["magellan"]))
        self.assertEqual(self.activate(good).all("kept"), [ONE])
        other = self.bundle(program=bad_service.binary("foreign_process"), units=[ONE])
        self.deploy(other)
        own = sha256(other.files["magellan"])
        self.assertTrue(self.eventually(lambda: self.ok("facts").unit("exe") not in ("", own)))
        facts = self.ok("facts")
        self.assertEqual((facts.unit("ActiveState"), facts.unit("started")),
                         ("active", other.unit_digest(ONE, self.binding)))
        self.assertEqual(self.activate(other).all("restarted"), [ONE])

    def test_broken_links_are_replaced(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.host.sh(f"ln -sfn {'e' * 64}-{'e' * 64} {BOUND}/{ONE}/current; ln -sfn /etc {BOUND}/{ALL[1]}/current")
        facts = self.ok("facts")
        self.assertEqual([facts.unit("release", unit) for unit in ALL], ["e" * 64, ""])
        self.assertIn("nothing is bound", facts.all(f"unit.{ONE}.bound_altered"))
        self.activate(bundle)
        self.is_complete(bundle)


class Attacked(OnHost):
    """Whoever breaks a service becomes neither root nor what runs next."""

    def test_the_services_user_can_write_nowhere_that_root_believes(self) -> None:
        self.deploy(self.bundle())
        writable = f"find {ROOT} {ETC} {UNITS} {DEPLOY_STATE} /run/magellan -writable ! -type l 2>/dev/null; true"
        self.assertEqual(self.as_user(writable).out, "")
        self.assertNotEqual(self.as_user(f"ls {DEPLOY_STATE}").code, 0)
        groups = self.host.sh(f"id -Gn {USER}").split()
        self.assertEqual(groups, [USER])

    def test_the_services_user_changes_nothing_that_runs(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        before = self.tree(ROOT), self.tree(UNITS)
        release = f"{RELEASES}/{bundle.digest}"
        for attempt in (f"mv {RELEASES} {ROOT}/x", f"mv {ROOT} /opt/x", f"mv {release} {RELEASES}/x",
                        f"ln -sfn /tmp {BOUND}/{ONE}/current", f"ln -sfn /tmp {ROOT}/releases",
                        f"rm -f {release}/units",
                        f"chmod -R u+w {release}", f"echo '#' >> {release}/magellan", f"mkdir {COMMITS}/{'1' * 40}",
                        f"git init --bare {ROOT}/mirror2", f"touch {MIRROR}/config",
                        f"ln {release}/magellan {RELEASES}/y",
                        f"mv {STATE}/bear_trap {STATE}/x", f"touch {DEPLOY_STATE}/bad/{bundle.digest}",
                        f"echo staging2 > {ETC}/environment", f"touch {UNITS}/magellan-x.service"):
            with self.subTest(attempt):
                self.assertNotEqual(self.as_user(f"{attempt} 2>&1").code, 0)
        self.assertEqual((self.tree(ROOT), self.tree(UNITS)), before)
        self.assertEqual(self.ok("facts").get("untracked_count"), "0")

    def test_a_folder_above_that_is_not_roots_alone_is_refused(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        wrongs = {f"chown {USER} {ROOT}": f"chown root {ROOT}", "chmod 0775 /opt": "chmod 0755 /opt",
                  f"chmod 0777 {RELEASES}": f"chmod 0755 {RELEASES}", 
                  f"chown {USER} {COMMITS}": f"chown root {COMMITS}",
                  f"chmod 0757 {BOUND}": f"chmod 0755 {BOUND}", f"chown {USER} {STATE}": f"chown root {STATE}",
                  f"chmod 0775 {DEPLOY_STATE}": f"chmod 0700 {DEPLOY_STATE}",
                  f"chown {USER} {ETC}": f"chown root {ETC}",
                  f"mv {RELEASES} {ROOT}/r; ln -s r {RELEASES}": f"rm {RELEASES}; mv {ROOT}/r {RELEASES}",
                  f"mv {DEPLOY_STATE} {DEPLOY_STATE}2; ln -s {DEPLOY_STATE}2 {DEPLOY_STATE}":
                      f"rm {DEPLOY_STATE}; mv {DEPLOY_STATE}2 {DEPLOY_STATE}"}
        for wrong, right in wrongs.items():
            with self.subTest(wrong):
                self.host.sh(wrong)
                try:
                    found = self.refused("preflight", "preflight").all("problem")
                    self.assertTrue([one for one in found if one.startswith("root-folder: ")], found)
                    self.not_activated(bundle, "unsafe")
                    bound, named = self.staging(bundle)
                    self.refused("stage", "unsafe", *bound, **named)
                finally:
                    self.host.sh(right)
        self.assertEqual(self.activate(bundle).all("kept"), list(ALL))

    def test_a_bound_units_folder_that_is_not_roots_alone_is_refused(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.host.sh(f"chown {USER} {BOUND}/{ONE}")
        self.not_activated(bundle, "incomplete")
        bound, named = self.staging(bundle)
        self.refused("stage", "unsafe", *bound, **named)

    def test_nothing_below_a_root_that_others_may_write_is_looked_at(self) -> None:
        self.deploy(self.bundle())
        self.host.sh(f"chown {USER} {ROOT}")
        facts = self.ok("facts")
        self.assertIn(f"{ROOT} isn't a folder of root's", facts.get("unsafe"))
        self.assertEqual((facts.all("release"), facts.unit("ActiveState")), ([], "active"))

    def test_wrong_modes_owners_and_links_are_drift_and_refuse(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        folder = f"{RELEASES}/{bundle.digest}"
        wrongs = {"magellan: mode 755": f"chmod 0755 {folder}/magellan",
                  "units: mode 644": f"chmod 0644 {folder}/units",
                  f"manifest.json: owner {USER}:root": f"chown {USER} {folder}/manifest.json",
                  "deployed: mode 755": f"chmod 0755 {folder}/deployed",
                  "units: not a file": f"rm {folder}/units; ln -s manifest.json {folder}/units",
                  "magellan: changed": f"echo '#' >> {folder}/magellan",
                  "more: too much": f"touch {folder}/more; chmod 444 {folder}/more",
                  "deployed/bear_trap/config.json: missing": f"rm {folder}/deployed/bear_trap/config.json",
                  "magellan: mode 4555": f"chmod u+s {folder}/magellan"}
        for what, how in wrongs.items():
            with self.subTest(what):
                self.host.sh(how)
                self.assertIn(what, self.ok("facts").all(f"release.{bundle.digest}.altered"))
                self.not_activated(bundle, "incomplete")
                self.assertEqual(self.stage(bundle).get("staged"), "mended")
                self.assertEqual(self.ok("facts").get(f"release.{bundle.digest}.altered_count"), "0")

    def test_a_hard_link_to_a_file_of_a_release_is_drift_and_refuses(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.host.sh(f"ln {RELEASES}/{bundle.digest}/units {ROOT}/hard")
        self.assertEqual(self.ok("facts").all(f"release.{bundle.digest}.altered"), ["units: has another name"])
        self.not_activated(bundle, "incomplete")
        self.assertEqual(self.stage(bundle).get("staged"), "mended")
        self.assertEqual(self.ok("facts").all("untracked"), [f"{ROOT}/hard"])
        self.activate(bundle)

    def test_a_swapped_release_with_checksums_of_its_own_is_refused(self) -> None:
        bundle, other = self.bundle(), self.bundle(config='{"evil": 1}')
        self.deploy(bundle)
        self.stage(other)
        self.host.sh(f"cd {RELEASES}; mv {bundle.digest} x; cp -a {other.digest} {bundle.digest}; rm -r x")
        facts = self.ok("facts")
        self.assertEqual(facts.all(f"release.{bundle.digest}.altered"), [])
        self.assertEqual(facts.get(f"release.{bundle.digest}.contents"), other.contents)
        self.not_activated(bundle, "incomplete")
        self.stage(bundle)
        self.activate(bundle)

    def test_a_changed_binding_is_drift_and_refuses(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        folder = f"{BOUND}/{ONE}/{bundle.digest}-{self.binding.digest}"
        for how in (f"echo 'User=root' >> {folder}/drop-in.conf", f"chmod 644 {folder}/binding.json",
                    f"ln -sfn ../../../releases/{'e' * 64} {folder}/release", f"touch {folder}/more",
                    f"chown {USER} {folder}"):
            with self.subTest(how):
                self.host.sh(how)
                self.assertNotEqual(self.ok("facts").all(f"unit.{ONE}.bound_altered"), [])
                self.not_activated(bundle, "incomplete")
                self.stage(bundle)
                self.assertEqual(self.ok("facts").all(f"unit.{ONE}.bound_altered"), [])
                self.activate(bundle)

    def test_what_is_swapped_between_check_and_use_is_not_used(self) -> None:
        """The user swaps as fast as it can, in the only places it may write: root's work isn't among them."""
        bundle = self.bundle()
        self.stage(bundle)
        swap = (f"cd {STATE}/bear_trap; while :; do mkdir -p logs; ln -sfn /etc/shadow heartbeat.json; mkfifo f;"
                " mv f heartbeat.json; rm -rf logs; ln -s /etc logs; rm -f logs; done 2>/dev/null")
        self.activate(bundle)
        with subprocess.Popen([*self.host.prefix, "runuser", "-u", USER, "--", "bash", "-c", swap]) as process:
            try:
                for _ in range(5):
                    begun = time.monotonic()
                    facts = self.ok("facts")
                    self.assertLess(time.monotonic() - begun, 15)
                    self.assertNotIn("root:", str(facts))
            finally:
                self.host.sh("pkill -KILL -f 'while :; do mkdir'")
                process.wait()
        self.is_complete(bundle)

    def test_the_binary_is_tried_without_a_way_to_more_rights(self) -> None:
        """Not even a release that is tried gets a terminal, a session or a setuid program's rights."""
        program = ("#!/bin/bash\n[[ $1 == --version ]] && { echo magellan; exit; }\n"
                   "grep -E 'NoNewPrivs|CapEff|Uid' /proc/self/status; env; exit 0\n")
        self.stage(self.bundle(program=program.encode()))
        log = self.host.sh(f"cat {DEPLOY_STATE}/log/*")
        self.assertIn("NoNewPrivs:\t1", log)
        self.assertIn("CapEff:\t0000000000000000", log)
        self.assertNotIn("HOME=/root", log)


class Environments(OnHost):
    """One environment owns a host."""

    def test_another_environment_is_refused_and_told(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.assertEqual(self.ok("facts", environment="production").get("environment"), "staging")
        problems = self.refused("preflight", "preflight", environment="production").all("problem")
        self.assertEqual([problem.split(":")[0] for problem in problems], ["environment"])
        bound, named = self.staging(bundle)
        for op, more, arguments in (("stage", bound, named), ("activate", self.activation(bundle), {}),
                                    ("deactivate", [], {}), ("record", [], {"bad": "a" * 64}),
                                    ("prune", [], {"keep": 0, "keep_days": 0}), ("doctor", [], {"fix": "yes"})):
            with self.subTest(op):
                self.refused(op, "environment", *more, environment="production", generation=9, **arguments)
        self.assertEqual(self.ok("facts").get("generation"), "1")
        self.is_complete(bundle)

    def test_a_stage_that_fails_owns_nothing(self) -> None:
        self.not_staged(self.bundle(validate_exit=1), "validate")
        self.assertEqual(self.ok("facts").get("environment"), "")
        self.binding = Binding("production")
        self.stage(self.bundle(), environment="production")
        self.assertEqual(self.ok("facts").get("environment"), "production")

    def test_a_change_needs_its_environment(self) -> None:
        for name in ("", "../x", "Staging", "a b"):
            self.refused("record", "usage", environment=name, bad="a" * 64)


class Facts(OnHost):
    """What is seen, within limits; what can't be known is empty."""

    def health(self, **options) -> Answer:
        self.deploy(self.bundle(units=[ONE], **options))
        return self.ok("facts")

    def logs(self, *lines: str, name: str = "bear_trap_20240507.jsonl") -> None:
        folder = f"{STATE}/bear_trap/logs"
        self.host.write(f"{folder}/{name}", "".join(f"{line}\n" for line in lines))
        self.host.sh(f"chown -R {USER} {folder}")

    def now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%S.999999Z", time.gmtime())

    def test_an_unknown_unit_is_told_as_not_there(self) -> None:
        facts = self.ok("facts", "unit=magellan-unknown")
        self.assertEqual((facts.unit("LoadState", "magellan-unknown"), facts.unit("release", "magellan-unknown"),
                          facts.unit("errors", "magellan-unknown"), facts.unit("stderr", "magellan-unknown")),
                         ("not-found", "", "", ""))
        self.assertEqual((facts.get("layout"), facts.get("environment"), facts.get("generation")), ("none", "", ""))

    def test_facts_of_a_unit_that_runs(self) -> None:
        bundle = self.bundle()
        started = time.time()
        self.deploy(bundle)
        facts = self.ok("facts", "unit=magellan-unknown", journal="yes")
        self.assertEqual([facts.unit(key) for key in ("ActiveState", "SubState", "NRestarts", "UnitFileState", "User",
                                                      "Type", "Restart", "WorkingDirectory", "NeedDaemonReload")],
                         ["active", "running", "0", "enabled", USER, "notify", "always", ROOT, "no"])
        self.assertEqual((facts.unit("release"), facts.unit("binding"), facts.unit("started")),
                         (bundle.digest, self.binding.digest, bundle.unit_digest(ONE, self.binding)))
        self.assertEqual((facts.unit("installed.unit"), facts.unit("installed.drop_in"), facts.unit("templates")),
                         (facts.unit("released.unit"), facts.unit("released.drop_in"), "yes"))
        self.assertEqual(facts.unit("installed.drop_in"), sha256(self.binding.drop_in.encode()))
        for at in (facts.unit("ExecMainStartTimestamp"), facts.unit("log_mtime"), facts.get("now")):
            self.assertTrue(started < float(at) <= time.time(), at)
        self.assertEqual(json.loads(facts.unit("heartbeat"))["pid"], int(facts.unit("ExecMainPID")))
        self.assertTrue(0 <= float(facts.unit("heartbeat_age")) < 30)
        self.assertIn("Started", facts.unit("journal"))
        self.assertEqual(facts.get(f"release.{bundle.digest}.manifest").encode(), bundle.files["manifest.json"])
        self.assertEqual((facts.get("layout"), facts.all("installed")), ("new", list(ALL)))

    def test_effective_properties_show_what_another_drop_in_changes(self) -> None:
        self.deploy(self.bundle())
        self.host.write(f"/run/systemd/system/{ONE}.service.d/evil.conf", "[Service]\nUser=root\nEnvironment=A=B\n")
        self.addCleanup(self.host.sh, f"rm -r /run/systemd/system/{ONE}.service.d")
        self.host.sh("systemctl daemon-reload")
        facts = self.ok("facts")
        self.assertEqual(facts.unit("User"), "root")
        self.assertIn("A=B", facts.unit("Environment"))
        self.assertIn("evil.conf", facts.unit("DropInPaths"))

    def test_changed_unit_files_and_templates_show(self) -> None:
        self.deploy(self.bundle())
        self.host.sh(f"echo '# x' >> {UNITS}/{ONE}.service; echo '# x' >> {UNITS}/{ONE}.service.d/magellan.conf;"
                     f" echo '# x' >> {UNITS}/magellan-failed@.service")
        facts = self.ok("facts")
        self.assertNotEqual(facts.unit("installed.unit"), facts.unit("released.unit"))
        self.assertNotEqual(facts.unit("installed.drop_in"), facts.unit("released.drop_in"))
        self.assertEqual(facts.unit("templates"), "no")

    def test_what_belongs_to_nothing_is_untracked(self) -> None:
        self.deploy(self.bundle())
        self.assertEqual(self.ok("facts").all("untracked"), [])
        planted = [f"{ROOT}/x", f"{RELEASES}/y", f"{COMMITS}/z", f"{BOUND}/sshd", f"{BOUND}/{ONE}/w",
                   f"{UNITS}/magellan-other.service", f"{UNITS}/{ONE}.service.d/more.conf"]
        self.host.sh(f"touch {' '.join(planted)}; mkdir {UNITS}/magellan-x.service.d")
        self.assertEqual(sorted(self.ok("facts").all("untracked")), sorted([*planted, f"{UNITS}/magellan-x.service.d"]))

    def test_every_level_from_error_on_counts_with_any_spacing(self) -> None:
        self.health()
        at = self.now()
        self.logs(f'{{"timestamp":"{at}","level":"FATAL"}}', f'{{"level" :\t"CRITICAL" , "timestamp" : "{at}"}}',
                  f'{{"timestamp":"{at}","level":  "PANIC"}}', '{"level":"error"}',
                  f'{{"timestamp":"{at}","level":"WARN"}}',
                  '{"timestamp":"2024-01-01T00:00:00Z","level":"FATAL"}',
                  f'{{"timestamp":"{at}","level":"INFO","m":"\\"level\\":\\"FATAL\\""}}')
        self.assertEqual(self.ok("facts").unit("errors"), str(2 + 4))

    def test_more_log_than_is_counted_leaves_the_errors_unknown(self) -> None:
        self.health()
        path = f"{STATE}/bear_trap/logs/huge.jsonl"
        line = json.dumps({"timestamp": self.now(), "level": "ERROR"})
        self.host.sh(f"yes '{line}' | head -c 20000000 > {path}; chown {USER} {path}")
        self.assertEqual(self.ok("facts").unit("errors"), "")
        # Hardly a byte on the disk, but 4 GB for whoever reads it all.
        self.host.sh(f"rm {path}; runuser -u {USER} -- bash -c \"echo '{line}' > {path}; truncate -s 4G {path}\"")
        begun = time.monotonic()
        self.assertEqual(self.ok("facts").unit("errors"), "")
        self.assertLess(time.monotonic() - begun, 15)
        self.host.sh(f"rm {path}; runuser -u {USER} -- bash -c 'for i in $(seq 30); do echo {{}} > "
                     f"{STATE}/bear_trap/logs/$i.jsonl; done'")
        self.assertEqual(self.ok("facts").unit("errors"), "", "too many files")

    def test_a_long_log_of_earlier_days_hides_nothing(self) -> None:
        self.health()
        old = json.dumps({"timestamp": "2024-01-01T00:00:00Z", "level": "ERROR"})
        new = json.dumps({"timestamp": self.now(), "level": "ERROR"})
        path = f"{STATE}/bear_trap/logs/bear_trap_20240506.jsonl"
        self.host.sh(f"(yes '{old}' | head -c 20000000; echo; echo '{new}') > {path}")
        self.assertEqual(self.ok("facts").unit("errors"), "1")

    def test_yesterdays_log_is_none_of_this_start(self) -> None:
        self.health()
        self.logs('{"timestamp":"2024-01-01T00:00:00Z","level":"ERROR"}', name="bear_trap_20240101.jsonl")
        folder = f"{STATE}/bear_trap/logs"
        self.host.sh(f"touch -d 2024-01-01 {folder}/bear_trap_20240101.jsonl; rm {folder}/bear_trap_20240506.jsonl")
        facts = self.ok("facts")
        self.assertEqual((facts.unit("log"), facts.unit("newest_log"), facts.unit("errors")),
                         ("", "bear_trap_20240101.jsonl", "0"))

    def test_state_that_is_not_there_is_unknown_not_zero(self) -> None:
        self.health()
        self.host.sh(f"mv {STATE}/bear_trap {STATE}/gone")
        facts = self.ok("facts")
        self.assertEqual([facts.unit(key) for key in ("errors", "heartbeat", "heartbeat_age", "log")], ["", "", "", ""])

    def test_links_and_pipes_in_the_state_are_not_followed(self) -> None:
        self.health()
        state = f"{STATE}/bear_trap"
        for how in (f"ln -sf /etc/shadow {state}/heartbeat.json",
                    f"rm {state}/heartbeat.json; mkfifo {state}/heartbeat.json",
                    f"rm {state}/heartbeat.json; mkdir {state}/heartbeat.json"):
            with self.subTest(how):
                self.host.sh(f"{how}; chown -h {USER} {state}/heartbeat.json")
                begun = time.monotonic()
                self.assertEqual(self.ok("facts").unit("heartbeat"), "")
                self.assertLess(time.monotonic() - begun, 8)
        self.host.sh(f"rm -r {state}/logs; mkdir /srv/l; echo '{{}}' > /srv/l/a.jsonl; ln -s /srv/l {state}/logs")
        self.addCleanup(self.host.sh, "rm -r /srv/l")
        self.assertEqual(self.ok("facts").unit("newest_log"), "")

    def test_a_burst_on_stderr_is_counted(self) -> None:
        facts = self.health(program=bad_service.binary("stderr_burst"))
        self.assertTrue(self.eventually(lambda: self.ok("facts").unit("stderr") == "200"), facts.unit("stderr"))
        self.assertEqual(self.ok("facts").unit("stderr_errors"), "0")

    def test_errors_on_stderr_are_told_from_other_lines(self) -> None:
        say = ("import sys; print('thread panicked at x', file=sys.stderr, flush=True);"
               " print('fine', flush=True); print('<2>bad', flush=True);\n")
        program = PROGRAM.replace("signal.pause()", say + "signal.pause()")
        for key in ("START_EXIT", "VERSION_EXIT", "VALIDATE_EXIT", "NOISE"):
            program = program.replace(key, "0")
        self.health(program=program.encode())
        self.assertTrue(self.eventually(lambda: self.ok("facts").unit("stderr") == "3"))
        self.assertEqual(self.ok("facts").unit("stderr_errors"), "2")
        self.host.sh(f"systemctl restart {ONE}")
        self.assertTrue(self.eventually(lambda: self.ok("facts").unit("stderr") == "3"), "of this start only")

    def test_a_huge_log_of_a_service_is_unknown(self) -> None:
        self.health(program=bad_service.binary("huge_log"))
        self.assertTrue(self.eventually(lambda: self.ok("facts").unit("errors") == ""))

    def test_facts_of_fifty_units_come_in_pages(self) -> None:
        units = tuple(f"magellan-s{number}" for number in range(50))
        bundle = self.bundle(units=units)
        self.deploy(bundle)
        facts = self.ok("facts", journal="yes")
        self.assertGreater(facts.pages, 1)
        self.assertIsNone(facts.get("omitted"))
        self.assertEqual(facts.get("installed_count"), "50")
        for unit in units:
            self.assertEqual(facts.unit("ActiveState", unit), "active")
            self.assertEqual(facts.unit("started", unit), bundle.unit_digest(unit, self.binding))
            self.assertEqual(facts.unit("errors", unit), "2")
            self.assertIn("Started", facts.unit("journal", unit))

    def test_pages_are_kept_for_a_while_and_for_root_only(self) -> None:
        self.ok("record", bad="a" * 64)
        self.host.sh(f"for i in $(seq 600); do : > {DEPLOY_STATE}/bad/$(echo $i | sha256sum | cut -c1-64); done")
        done = self.host.run(["bash", str(self.host.shared / "host.sh"), "facts"])
        _, page, pages, paper, chunk = done.out.splitlines()[1].split(" ")
        self.assertEqual((page, len(chunk) <= LIMIT, len(done.out) <= LIMIT), ("1", True, True))
        self.assertNotEqual(self.as_user(f"cat /run/magellan/{paper}").code, 0)
        self.assertEqual(self.call("page", id=paper, page=int(pages)).code, 0)
        self.refused("page", "usage", id=paper, page=int(pages) + 1)
        self.refused("page", "usage", id="../../etc/shadow", page=1)
        self.host.sh(f"touch -d '-16 min' /run/magellan/{paper}")
        self.refused("page", "gone", id=paper, page=1)

    def test_failures_and_what_is_under_way_are_told(self) -> None:
        self.ok("record", bad="a" * 64)
        self.host.sh(f"yes failure | head -n 9999 > {DEPLOY_STATE}/failures")
        facts = self.ok("facts")
        self.assertEqual((facts.get("failures").splitlines()[-1], facts.get("owner")), ("failure", ""))
        with self.running("flock", f"{DEPLOY_STATE}/lock", "cat"):
            self.assertIn("record of staging, generation 1", self.ok("facts").get("owner"))

    def test_the_template_notes_a_failure(self) -> None:
        template = (DEPLOY / "magellan-failed@.service").read_text()
        unit = UNIT.replace("RestartSec=10", "RestartSec=0").replace("StartLimitBurst=5", "StartLimitBurst=2")
        self.deploy(self.bundle(template=template, unit=unit, units=[ONE]))
        for _ in range(3):
            self.host.run(["systemctl", "kill", "--signal=KILL", ONE])
            time.sleep(0.3)
        self.assertTrue(self.eventually(lambda: f"{ONE}.service" in (self.ok("facts").get("failures") or "")))

    def test_each_night_a_live_service_is_compared_with_its_replay(self) -> None:
        """Its timer waits with it and goes with it; what it starts runs the bound program over the service's state."""
        self.deploy(self.bundle(units=[ONE]))
        timer, service = f"magellan-parity@{ONE}.timer", f"magellan-parity@{ONE}.service"
        next_one = "systemctl show -P NextElapseUSecRealtime " + timer
        self.assertRegex(self.host.sh(f"TZ=America/New_York {next_one}"), "18:30:00")
        strategy = strategy_of(ONE)
        for journal in (False, True):
            self.host.sh(f"{f'touch {STATE}/{strategy}/journal.jsonl;' if journal else ''} systemctl start {service}")
            said = self.host.run(["journalctl", "--no-pager", "--unit", service]).out
            self.assertEqual("parity --strategy" in said, journal, said)
        self.assertIn(f"parity --strategy {strategy} --state-dir {STATE}/{strategy} --last", said)
        self.assertEqual(self.host.run(["systemctl", "is-active", timer]).out, "active\n")
        self.ok("deactivate")
        self.assertEqual(self.host.run(["systemctl", "is-active", timer]).out, "inactive\n")


class Logs(OnHost):
    """What services log, page by page."""

    def setUp(self) -> None:
        super().setUp()
        self.host.sh(f"install -d -o {USER} {STATE}/bear_trap {STATE}/bear_trap/logs")

    def log(self, name: str, text: str) -> None:
        path = f"{STATE}/bear_trap/logs/{name}"
        with open(self.host.path(path), "a") as file:
            file.write(text)

    def logs(self, **arguments: object) -> tuple[str, str]:
        answer = self.ok("logs", f"unit={ONE}", **arguments)
        return answer.get("log"), answer.get("cursor")

    def test_the_last_lines_come_and_then_what_is_new(self) -> None:
        self.log("a_1.jsonl", "one\ntwo\n")
        self.log("a_2.jsonl", "three\n")
        text, cursor = self.logs(lines=2)
        self.assertEqual((text, cursor), ("two\nthree\n", "a_2.jsonl:6"))
        self.assertEqual(self.logs(after=cursor), ("", cursor))
        self.log("a_2.jsonl", "four\nhal")
        self.assertEqual(self.logs(after=cursor), ("four\n", "a_2.jsonl:11"))
        self.log("a_2.jsonl", "f\n")
        self.log("a_3.jsonl", "next day\n")
        self.assertEqual(self.logs(after="a_2.jsonl:11"), ("half\nnext day\n", "a_3.jsonl:9"))
        self.assertEqual(self.logs()[0], "one\ntwo\nthree\nfour\nhalf\nnext day\n")

    def test_long_logs_come_in_whole_lines_until_all_is_read(self) -> None:
        lines = "".join(f"line {number} {'x' * 100}\n" for number in range(8000))
        self.log("a.jsonl", lines)
        text, cursor = self.logs(after="a.jsonl:0")
        self.assertTrue(text.endswith("\n") and len(text) <= 256 * 1024)
        for _ in range(10):
            more, cursor = self.logs(after=cursor)
            text += more
        self.assertEqual(text, lines)

    def test_lines_since_a_time_come(self) -> None:
        for second in range(10, 20):
            self.log("a.jsonl", f'{{"timestamp":"2024-05-06T13:30:{second}Z"}}\n')
        text, _ = self.logs(since=1715002215)
        self.assertEqual((len(text.splitlines()), text[:36]), (5, '{"timestamp":"2024-05-06T13:30:15Z"}'))

    def test_there_may_be_no_logs(self) -> None:
        self.assertEqual(self.logs(), ("", ""))
        self.host.sh(f"rm -r {STATE}/bear_trap")
        self.assertEqual(self.logs(), ("", ""))

    def test_files_elsewhere_are_not_read(self) -> None:
        self.host.sh(f"rm -r {STATE}/bear_trap/logs; ln -s /etc {STATE}/bear_trap/logs")
        for after in ("../shadow.jsonl:0", "passwd:0", "a.jsonl:x", "a/b.jsonl:0"):
            self.refused("logs", "usage", f"unit={ONE}", after=after)
        self.host.sh(f"rm {STATE}/bear_trap/logs; mkdir {STATE}/bear_trap/logs;"
                     f" ln -s /etc/passwd {STATE}/bear_trap/logs/a.jsonl")
        self.assertEqual(self.logs(after="a.jsonl:0")[0], "")


class FullDisk(OnHost):
    """Whichever disk is full, at whichever step: complete releases, and work again once there is room."""

    STRIDE = 120

    def filled_at(self, step: int, disk: str, op: str, *more: str, **arguments: object) -> Answer | None:
        """Fills the disk before the n-th command of an operation; none if it has fewer."""
        where = f"{DISK}/filler" if disk == "releases" else "/var/filler"
        trap = self.host.shared / "fill.sh"
        fill = f"head -c 2G /dev/zero > {where} 2>/dev/null || :; : > /run/filled"
        trap.write_text(f"set -T; n=0; trap '[[ $BASHPID != $$ || ${{FUNCNAME[*]-}} != *op_* ]] ||"
                        f" ((++n != {step})) || {{ {fill}; }}' DEBUG\n")
        self.host.sh("rm -f /run/filled")
        try:
            answer = self.call(op, *more, prefix=("env", f"BASH_ENV={trap}"), **arguments)
        finally:
            filled = self.host.exists("/run/filled")
            self.facts_while_full = self.call("facts") if filled else None
            self.host.sh(f"rm -f {where}")
        return answer if filled else None

    def at_each_step(self, disk: str) -> None:
        old, new = self.bundle(), self.bundle(config='{"new": 1}')
        self.deploy(old)
        commit, dice = self.commit, random.Random(disk)
        for op in ("stage", "activate"):
            step, full = 1, 0
            while True:
                if op == "stage":
                    # With something to fetch each time.
                    self.commit = self.host.push({"src.rs": f"// {disk} {step}\n", "large": "x" * 400_000})
                    new = self.bundle(config=f'{{"new": {step}}}')
                    bound, named = self.staging(new)
                    answer = self.filled_at(step, disk, op, *bound, **named)
                else:
                    answer = self.filled_at(step, disk, op, *self.activation(new))
                if answer is None:
                    break
                with self.subTest(op=op, step=step):
                    self.assertEqual(self.facts_while_full.code, 0)
                    self.is_complete(old, new)
                    if answer.code != 0:
                        full += 1
                        self.assertRegex(answer.first, f" {op} (disk|enable|unexpected): ")
                    self.assertEqual(self.halves(), [])
                    self.commit = new.commit
                    self.stage(new)
                    self.activate(new)
                    self.is_complete(new)
                    self.are_started(new)
                    self.activate(old)
                step += dice.randint(1, self.STRIDE)
            self.assertGreater(full, 1, f"{op}: the disk was full too late")
        self.commit = commit
        self.activate(old)
        self.are_started(old)

    def test_of_the_releases_commits_and_mirror(self) -> None:
        self.at_each_step("releases")

    def test_of_the_units_and_the_deploys_state(self) -> None:
        self.at_each_step("system")

    def test_from_the_beginning(self) -> None:
        """A machine that has had no room from the start is changed nowhere, and works once it has some."""
        bundle = self.bundle()
        for disk in ("releases", "system"):
            with self.subTest(disk):
                self.host.fill_disk(disk)
                bound, named = self.staging(bundle)
                self.refused("stage", "disk", *bound, **named)
                self.host.free_disk()
        self.deploy(bundle)
        self.host.fill_disk("system")
        self.not_activated(bundle, "disk")
        self.refused("record", "disk", line='{"a": 1}')
        self.host.free_disk()
        self.is_complete(bundle)
        self.assertEqual(self.ok("record", line='{"a": 1}').get("recorded"), "new")

    def test_history_is_whole_or_not_there(self) -> None:
        self.ok("record", bad="a" * 64)
        self.host.fill_disk("system", leave_kib=40)
        self.refused("record", "disk", line='{"a": "' + "x" * 90_000 + '"}')
        self.host.free_disk()
        self.assertEqual(self.ok("facts").all("history"), [])
        self.assertEqual(self.halves(), [])


class OneAtATime(OnHost):
    """Only one, and never an earlier one."""

    def test_an_earlier_generation_is_refused(self) -> None:
        self.generation = 7
        bundle = self.bundle()
        self.deploy(bundle)
        prune = {"keep": 0, "keep_days": 9}
        self.refused("activate", "stale", *self.activation(bundle), exit_code=76, generation=6)
        self.refused("prune", "stale", exit_code=76, generation="06", **prune)
        self.refused("prune", "usage", generation="", **prune)
        self.assertEqual(self.ok("facts").get("generation"), "7")
        self.ok("prune", generation="08", **prune)

    def test_only_one_changes_and_others_may_look(self) -> None:
        prune = {"keep": 1, "keep_days": 9}
        self.ok("prune", **prune)
        with self.running("flock", f"{DEPLOY_STATE}/lock", "cat"):
            self.refused("prune", "busy", exit_code=75, wait=1, **prune)
            self.ok("facts")
        self.ok("prune", **prune)


class Record(OnHost):
    """History, marks, and what is pruned of them."""

    def test_history_is_appended_once_and_told_by_its_digest(self) -> None:
        line = json.dumps({"id": "r-1", "release": "a" * 64, "outcome": {"outcome": "running"}, "reason": HOSTILE,
                           "é": "ü"}, ensure_ascii=False, separators=(",", ":"))
        self.assertEqual(self.ok("record", line=line).get("recorded"), "new")
        self.assertEqual(self.ok("record", line=line).get("recorded"), "already")
        other = '{"id":"r-2","outcome":"unresolved"}'
        self.ok("record", line=other)
        self.assertEqual(self.ok("facts").all("history"), [f"r-1 running {sha256(line.encode())}",
                                                           f"r-2 unresolved {sha256(other.encode())}"])
        for bad in ("no json", "{}\n{}", ""):
            self.refused("record", "usage", line=bad)

    def test_prune_keeps_what_runs_or_can_come_back(self) -> None:
        bundles = []
        for number in range(6):
            self.commit = self.host.push({"src.rs": f"// {number}\n"})
            bundles.append(self.bundle(config=f'{{"n": {number}}}'))
            self.stage(bundles[-1])
            self.ok("record", line=json.dumps({"release": bundles[-1].digest}))
        previous, current, running, unneeded, bad, kept = bundles
        self.activate(previous)
        self.activate(current)
        self.ok("record", bad=bad.digest)
        self.host.sh(f"cp /bin/cat {RELEASES}/{running.digest}/magellan")
        with self.running(f"{RELEASES}/{running.digest}/magellan"):
            answer = self.ok("prune", keep=1, keep_days=30)
        self.assertEqual((sorted(answer.all("pruned")), answer.all("running")),
                         (sorted([unneeded.digest, bad.digest]), [running.digest]))
        self.assertEqual(sorted(answer.all("pruned_commit")), sorted([unneeded.commit, bad.commit]))
        facts = self.ok("facts")
        left = {bundle.digest for bundle in (previous, current, running, kept)}
        trees = {bundle.commit for bundle in (previous, current, running, kept)}
        self.assertEqual(set(facts.all("release")), left)
        self.assertEqual(set(self.host.sh(f"ls {COMMITS}").split()), trees)
        folders = self.host.sh(f"ls -d {BOUND}/*/*-*").split()
        self.assertEqual({path.split("/")[-1].split("-")[0] for path in folders}, left)
        self.assertEqual(facts.get(f"commit.{current.commit}.altered_count"), "0")
        self.activate(previous)

    def test_units_that_were_retired_are_pruned(self) -> None:
        self.deploy(self.bundle())
        self.ok("deactivate")
        last = self.bundle(units=["magellan-other"], config='{"n": 9}')
        self.deploy(last)
        # What ran last isn't thrown away before something else has been seen to run in its place.
        self.host.sh(f"rm {BOUND}/{ONE}/previous {BOUND}/{ALL[1]}/previous")
        self.ok("prune", keep=0, keep_days=30)
        self.assertEqual((self.host.sh(f"ls {BOUND}").split(), self.ok("facts").all("release")),
                         (["magellan-other"], [last.digest]))

    def test_old_logs_and_lines_are_pruned_but_the_last_ones(self) -> None:
        self.ok("record", bad="a" * 64)
        for number in range(60):
            name = f"{number:010}-{sha256(b'%d' % number)}"
            self.host.write(f"{DEPLOY_STATE}/records/{name}", f'{{"id":"{number}"}}\n')
        self.host.sh(f"touch -d '-40 days' {DEPLOY_STATE}/records/* {DEPLOY_STATE}/log/*;"
                     f" yes failure | head -n 90000 > {DEPLOY_STATE}/failures")
        answer = self.ok("prune", keep=1, keep_days=30)
        self.assertEqual(answer.get("pruned_history"), "10")
        self.assertEqual(self.ok("facts").get("history_count"), "50")
        self.assertEqual(len(self.host.sh(f"ls {DEPLOY_STATE}/log").split()), 1)
        self.assertLess(self.host.path(f"{DEPLOY_STATE}/failures").stat().st_size, 100_000)


class Signatures(OnHost):
    """Who may say what is decided by root's files in /etc/magellan."""

    POLICY = "c" * 64

    def setUp(self) -> None:
        super().setUp()
        self.keys = {}
        lines = []
        for name, roles in (("ada", "verdict,release"), ("bob", "override"), ("eve", "verdict")):
            key = self.host.shared / f"{name}.pem"
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
            der = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                                 stdout=subprocess.PIPE).stdout
            self.keys[name] = (key, sha256(der[-32:]))
            lines.append(f"{roles} {sha256(der[-32:])} {b64(der[-32:])} {name}\n")
        self.trust = "# who may\n" + lines[0] + lines[1]
        self.host.write(f"{ETC}/trusted-keys", self.trust)
        self.host.write(f"{ETC}/policy", f"{self.POLICY}\n")

    def envelope(self, by: str, statement: dict | str, signed: str | None = None) -> str:
        text = statement if isinstance(statement, str) else json.dumps(statement, sort_keys=True, separators=(",", ":"))
        kind = "application/vnd.magellan.statement+json"
        over = signed or text
        pae = f"DSSEv1 {len(kind)} {kind} {len(over)} {over}".encode()
        key, keyid = self.keys[by]
        with tempfile.NamedTemporaryFile() as body:
            body.write(pae)
            body.flush()
            signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", body.name],
                                       check=True, stdout=subprocess.PIPE).stdout
        envelope = {"payloadType": kind, "payload": b64(text), "signatures": [{"keyid": keyid, "sig": b64(signature)}]}
        return f"envelope={b64(json.dumps(envelope, separators=(',', ':')))}"

    def release(self, bundle: Bundle, **changed) -> dict:
        return {"commit": bundle.commit, "contents": bundle.contents, "policy": self.POLICY, "release": bundle.digest,
                "type": "magellan-release-1"} | changed

    def verdict(self, bundle: Bundle, of: str, **changed) -> dict:
        strategy = strategy_of(of)
        folder = f"deployed/{strategy}"
        return {"policy": self.POLICY, "status": "PASS", "strategy": strategy, "subject": "d" * 64,
                "type": "magellan-verdict-1", "verdict": "e" * 64, "binary": sha256(bundle.files["magellan"]),
                "config": sha256(bundle.files[f"{folder}/config.json"]),
                "unit": sha256(bundle.files[f"{folder}/{of}.service"])} | changed

    def test_signed_releases_and_verdicts_are_staged(self) -> None:
        bundle = self.bundle()
        verdicts = [self.envelope("ada", self.verdict(bundle, ALL[0])),
                    self.envelope("ada", self.verdict(bundle, ALL[1], status="WARN"))]
        self.stage(bundle, self.envelope("ada", self.release(bundle)), *verdicts)
        self.assertEqual(self.ok("facts").all("trusted"), self.trust.splitlines()[1:])
        self.assertEqual(self.ok("facts").get("policy"), self.POLICY)
        # A release that is there is held to the same.
        self.refused("stage", "unsigned", *self.staging(bundle)[0], **self.staging(bundle)[1])

    def test_without_trusted_keys_nothing_is_asked(self) -> None:
        self.host.sh(f"rm {ETC}/trusted-keys")
        self.stage(self.bundle())

    def test_unsigned_is_refused(self) -> None:
        bundle = self.bundle()
        release = self.envelope("ada", self.release(bundle))
        self.not_staged(bundle, "unsigned")
        self.not_staged(bundle, "unsigned", release)
        self.not_staged(bundle, "unsigned", release, self.envelope("ada", self.verdict(bundle, ALL[0])))
        self.host.write(f"{ETC}/trusted-keys", "# nobody\n")
        self.not_staged(bundle, "untrusted", release)

    def test_statements_about_something_else_are_refused(self) -> None:
        bundle = self.bundle(units=[ONE])
        verdict, release = self.envelope("ada", self.verdict(bundle, ONE)), self.envelope("ada", self.release(bundle))
        for changed in ({"contents": "f" * 64}, {"release": "f" * 64}, {"commit": "f" * 40}, {"policy": "f" * 64},
                        {"type": "magellan-verdict-1"}):
            with self.subTest(changed):
                self.not_staged(bundle, "unsigned", self.envelope("ada", self.release(bundle, **changed)), verdict)
        for changed in ({"status": "FAIL"}, {"strategy": "daily_trend"}, {"policy": "f" * 64}, {"binary": "f" * 64},
                        {"config": "f" * 64}, {"unit": "f" * 64}, {"type": "magellan-release-1"}):
            with self.subTest(changed):
                self.not_staged(bundle, "unsigned", release, self.envelope("ada", self.verdict(bundle, ONE, **changed)))
        self.stage(bundle, release, verdict)

    def test_a_role_is_needed_and_a_signature_that_holds(self) -> None:
        bundle = self.bundle(units=[ONE])
        verdict, release = self.envelope("ada", self.verdict(bundle, ONE)), self.envelope("ada", self.release(bundle))
        self.not_staged(bundle, "unsigned", self.envelope("bob", self.release(bundle)), verdict)
        self.not_staged(bundle, "untrusted", release, self.envelope("eve", self.verdict(bundle, ONE)))
        text = json.dumps(self.release(bundle), sort_keys=True, separators=(",", ":"))
        self.not_staged(bundle, "untrusted", self.envelope("ada", text, signed=text + " "), verdict)
        # Whose id isn't the key's is no key.
        self.host.write(f"{ETC}/trusted-keys", self.trust.replace(self.keys["ada"][1], self.keys["eve"][1]))
        self.not_staged(bundle, "untrusted", release, verdict)

    def test_statements_inside_of_strings_or_twice_are_none(self) -> None:
        bundle = self.bundle(units=[ONE])
        verdict = self.envelope("ada", self.verdict(bundle, ONE))
        inside = {"reason": json.dumps(self.release(bundle), separators=(",", ":")), "type": "x"}
        twice = json.dumps(self.release(bundle), separators=(",", ":"))[:-1] + ',"release":"' + "f" * 64 + '"}'
        for statement in (inside, twice):
            self.not_staged(bundle, "unsigned", self.envelope("ada", statement), verdict)

    def test_an_override_stands_for_verdicts_of_its_release_only(self) -> None:
        bundle, other = self.bundle(), self.bundle(config='{"n": 2}')
        statement = {"codes": ["no-verdict"], "reason": "\"quoted\", {}", "release": bundle.digest,
                     "type": "magellan-override-1", "who": "bob"}
        over = self.envelope("bob", statement)
        self.not_staged(other, "unsigned", self.envelope("ada", self.release(other)), over)
        self.not_staged(bundle, "unsigned", over)
        self.not_staged(bundle, "unsigned", self.envelope("ada", self.release(bundle)), self.envelope("ada", statement))
        self.stage(bundle, self.envelope("ada", self.release(bundle)), over)

    def test_keys_that_others_could_have_written_are_not_believed(self) -> None:
        bundle = self.bundle()
        for how in (f"chmod 0664 {ETC}/trusted-keys; chmod 0666 {ETC}/policy",
                    f"chmod 0644 {ETC}/trusted-keys {ETC}/policy; chown {USER} {ETC}/trusted-keys",
                    f"mv {ETC}/trusted-keys /srv/k; ln -s /srv/k {ETC}/trusted-keys"):
            self.host.sh(how)
            self.not_staged(bundle, "unsafe")


class Doctor(OnHost):
    """What a machine lacks, first as commands, then done."""

    def test_a_bare_machine_is_made_ready(self) -> None:
        self.host.sh(f"userdel {USER}; find {ROOT} -mindepth 1 -delete; rm -rf {ETC} {STATE} {DEPLOY_STATE}")
        keys = f"verdict,release {sha256(b'k' * 32)} {b64(b'k' * 32)} ada\n"
        arguments = {"trust": b64(keys), "policy": "c" * 64}
        plan = self.ok("doctor", **arguments)
        self.assertEqual({todo.split(":")[0] for todo in plan.all("todo")},
                         {"user", "folder", "trusted-keys", "policy"})
        self.assertIn(f"user: useradd --system --no-create-home --shell /usr/sbin/nologin {USER}", plan.all("todo"))
        self.assertFalse(self.host.exists(ETC), "a plan changes nothing")
        done = self.ok("doctor", fix="yes", **arguments)
        self.assertEqual(done.get("problem_count"), "0")
        again = self.ok("doctor", **arguments)
        self.assertEqual((again.all("todo"), again.all("problem")), ([], []))
        self.assertEqual(self.host.read(f"{ETC}/trusted-keys"), keys)
        self.assertEqual(self.host.read(f"{ETC}/policy"), f"{'c' * 64}\n")
        self.host.sh(f"rm {ETC}/trusted-keys")
        self.deploy(self.bundle())

    def test_wrong_owners_and_modes_are_mended(self) -> None:
        self.ok("record", bad="a" * 64)
        self.host.sh(f"chown {USER} {RELEASES}; chmod 0777 {ROOT}; chmod 0775 /opt")
        todo = self.ok("doctor").all("todo")
        self.assertEqual({line.split(":")[0] for line in todo}, {"root-folder"})
        self.ok("doctor", fix="yes")
        self.assertEqual(self.ok("doctor").all("todo"), [])
        self.deploy(self.bundle())

    def test_what_no_command_mends_is_a_problem(self) -> None:
        self.host.sh(f"usermod --append --groups sudo {USER}; systemctl mask {ONE} 2>/dev/null")
        self.addCleanup(self.host.sh, f"gpasswd --delete {USER} sudo")
        problems = self.ok("doctor", f"unit={ONE}").all("problem")
        self.assertEqual({problem.split(":")[0] for problem in problems}, {"user", "masked"})

    def test_trust_that_is_no_list_of_keys_is_refused(self) -> None:
        for trust in ("no keys\n", "verdict abc def ada\n"):
            self.refused("doctor", "usage", trust=b64(trust), fix="yes")
        self.assertFalse(self.host.exists(f"{ETC}/trusted-keys"))


class Preflight(OnHost):
    """All that speaks against a deploy."""

    def test_a_machine_that_is_ready_has_no_problems_and_is_not_changed(self) -> None:
        answer = self.ok("preflight", f"unit={ONE}", remote=self.host.remote, need_kib=1000, need_mem_kib=1000,
                         hostname=machine.NAME)
        self.assertEqual(answer.get("problem_count"), "0")
        self.assertFalse(self.host.exists(DEPLOY_STATE) or self.host.exists(ETC) or self.host.exists(RELEASES))

    def test_all_problems_are_listed(self) -> None:
        self.host.sh(f"systemctl mask {ONE} 2>/dev/null; chmod 0777 {ROOT}; usermod --append --groups sudo {USER}")
        self.addCleanup(self.host.sh, f"gpasswd --delete {USER} sudo")
        answer = self.refused("preflight", "preflight", f"unit={ONE}", hostname="other", need_kib=10**12,
                              remote=f"{self.host.shared}/nowhere", need_mem_kib=10**12)
        self.assertEqual([problem.split(":")[0] for problem in answer.all("problem")],
                         ["hostname", "user", "root-folder", "root-folder", "root-folder", "root-folder",
                          "remote", "disk", "disk", "memory", "masked"])

    def test_a_user_that_is_missing_or_may_use_sudo_is_a_problem(self) -> None:
        self.host.sh(f"userdel {USER}")
        self.assertEqual(self.refused("preflight", "preflight").all("problem"), [f"user: there is no user {USER}"])
        self.host.sh(f"useradd --system --no-create-home {USER}")
        self.host.write("/usr/local/bin/sudo", f"#!/bin/sh\necho 'User {USER} may run the following commands'\n", 0o755)
        self.addCleanup(self.host.sh, "rm /usr/local/bin/sudo")
        self.assertEqual(self.refused("preflight", "preflight").all("problem"), [f"user: {USER} may use sudo"])


class Migration(OnHost):
    """From the old layout, whose units count as made by hand, and back to it."""

    def setUp(self) -> None:
        super().setUp()
        self.host.make_checkout()
        digest = "9" * 64
        self.host.sh(f"mkdir -p {OLD_RELEASES}/{digest} && ln -sfn {digest} {OLD_RELEASES}/current")
        program = PROGRAM.replace("bound.parent / \"release\"", "bound").replace(
            'os.environ["MAGELLAN_BINDING"]', '__file__')
        for key in ("START_EXIT", "VERSION_EXIT", "VALIDATE_EXIT"):
            program = program.replace(key, "0")
        self.host.write(f"{OLD_RELEASES}/{digest}/magellan", program, 0o755)
        self.old = UNIT.replace(f"User={USER}", f"User={OLD_USER}").replace(
            f"{BOUND}/NAME/current/release", f"{OLD_RELEASES}/current").replace(ROOT, CHECKOUT)
        self.template = "[Service]\nType=oneshot\nExecStart=/bin/echo old %i\n"
        self.drop_in = "[Service]\nEnvironment=MAGELLAN_ENVIRONMENT=old\n"
        for unit in ALL:
            self.host.write(f"{UNITS}/{unit}.service", self.old.replace("STRATEGY", strategy_of(unit)))
            self.host.write(f"{UNITS}/{unit}.service.d/magellan.conf", self.drop_in)
        self.host.write(f"{UNITS}/magellan-failed@.service", self.template)
        # As the old deploy left it.
        self.host.write(f"{DEPLOY_STATE}/history", '{"release":"' + digest + '"}\n')
        self.host.write(f"{DEPLOY_STATE}/started/{ONE}", f"{digest}\n")
        self.host.write(f"{DEPLOY_STATE}/generation", "1\n")
        self.host.write(f"{DEPLOY_STATE}/previous", "\n")
        # One is started and enabled, the other isn't.
        self.host.sh(f"systemctl daemon-reload; systemctl enable --now {ONE} 2>/dev/null")
        self.home = self.tree("/home")

    def is_old(self) -> None:
        for unit in ALL:
            self.assertEqual(self.host.read(f"{UNITS}/{unit}.service"), self.old.replace("STRATEGY", strategy_of(unit)))
            self.assertEqual(self.host.read(f"{UNITS}/{unit}.service.d/magellan.conf"), self.drop_in)
        self.assertEqual(self.host.read(f"{UNITS}/magellan-failed@.service"), self.template)
        self.assertEqual(self.host.run(["systemctl", "is-active", *ALL]).out, "active\ninactive\n")
        self.assertEqual(self.host.run(["systemctl", "is-enabled", *ALL]).out, "enabled\ndisabled\n")
        main = self.pid(ONE).split("=")[1]
        self.assertEqual(self.host.sh(f"stat -c %U /proc/{main}").strip(), OLD_USER)
        self.assertEqual(self.tree("/home"), self.home)

    def test_the_old_layout_is_seen_and_is_no_problem(self) -> None:
        facts = self.ok("facts", f"unit={ONE}")
        self.assertEqual((facts.get("layout"), facts.all("installed"), facts.unit("ActiveState")),
                         ("old", [], "active"))
        self.ok("preflight", *[f"unit={unit}" for unit in ALL])

    def test_a_deploy_takes_over_and_a_deactivation_hands_back(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        self.are_started(bundle)
        facts = self.ok("facts")
        self.assertEqual((facts.get("layout"), facts.unit("User"), facts.get("untracked_count")), ("new", USER, "0"))
        self.assertEqual(self.tree("/home"), self.home)
        answer = self.ok("deactivate")
        self.assertEqual((answer.all("restored"), answer.all("removed")), (list(ALL), list(ALL)))
        self.is_old()
        # And once more.
        self.assertEqual(self.activate(bundle).all("restarted"), list(ALL))
        self.ok("deactivate")
        self.is_old()

    def test_a_first_deploy_that_does_not_start_hands_back_what_ran(self) -> None:
        bad = self.bundle(start_exit=3)
        self.stage(bad)
        self.not_activated(bad, "restart")
        self.ok("deactivate")
        self.is_old()

    def test_units_migrate_one_by_one(self) -> None:
        bundle = self.bundle()
        self.stage(bundle)
        self.activate(bundle, units=[ALL[1]])
        self.assertEqual((self.ok("facts").get("layout"), self.ok("facts").all("installed")), ("old", [ALL[1]]))
        self.activate(bundle, units=[ONE])
        self.assertEqual(self.ok("activate", f"retire={ONE}").all("restored"), [ONE])
        self.assertEqual(self.ok("facts").all("installed"), [ALL[1]])
        self.ok("deactivate")
        self.is_old()

    def test_a_migration_that_is_killed_can_still_go_back(self) -> None:
        bundle = self.bundle()
        self.stage(bundle)
        dice, step, kills = random.Random(3), 1, 0
        while killed_at(self, step, "activate", *self.activation(bundle)):
            kills += 1
            if kills % 2:
                while killed_at(self, dice.randint(20, 160), "deactivate"):
                    pass
                self.ok("deactivate")
                self.is_old()
            step += dice.randint(6, 40)
        self.assertGreater(kills, 4)
        self.ok("deactivate")
        self.is_old()


def killed_at(test: OnHost, step: int, op: str, *more: str, **arguments: object) -> bool:
    """Kills the script, or it and all it started, before its n-th command; whether it got so far."""
    whom = "-$$" if step % 2 else "$$"
    trap = test.host.shared / "kill.sh"
    here = f"[[ $BASHPID != $$ || ${{FUNCNAME[*]-}} != *op_* ]] || ((++n != {step})) || kill -9 -- {whom}"
    trap.write_text(f"set -T; n=0; trap '{here}' DEBUG\n")
    code = test.call(op, *more, prefix=("setsid", "env", f"BASH_ENV={trap}"), **arguments).code
    test.assertIn(code, (0, -9))
    return code == -9


class Killed(OnHost):
    """Wherever a run ends, the next one converges."""

    STRIDE = 36  # between the commands at which the script is killed, at most

    def test_a_killed_run_is_repeated_and_converges(self) -> None:
        old, new = self.bundle(), self.bundle(config='{"new": 1}')
        self.deploy(old)
        self.commit = self.host.push({"src.rs": "// new\n"})
        new = self.bundle(config='{"new": 1}')
        bound, named = self.staging(new)
        dice = random.Random(6)
        for op, more, arguments in (("stage", bound, named), ("activate", self.activation(new), {})):
            step, kills = 1, 0
            while killed_at(self, step, op, *more, **arguments):
                self.is_complete(old, new)
                kills += 1
                step += dice.randint(1, self.STRIDE)
                if op == "stage" and dice.random() < 0.5:
                    self.host.sh(f"rm -rf {RELEASES}/{new.digest} {COMMITS}/{new.commit} {BOUND}/*/{new.digest}-*")
                    if dice.random() < 0.5:
                        self.host.sh(f"rm -rf {MIRROR}")
                elif op == "activate" and dice.random() < 0.3:
                    self.activate(old)
                    self.is_complete(old)
                    self.are_started(old)
            self.assertGreater(kills, 6, op)
            self.ok(op, *more, **arguments)
            if op == "stage":
                # Its commit, in a mirror that may be a new one.
                self.stage(old)
        self.is_complete(new)
        self.assertEqual(self.halves(), [])
        self.are_started(new)

    def test_a_killed_prune_or_deactivation_is_repeated_and_converges(self) -> None:
        first, second, third = (self.bundle(config=f'{{"n": {n}}}') for n in range(3))
        dice, kills = random.Random(8), 0
        for op, arguments in (("prune", {"keep": 0, "keep_days": 0}), ("deactivate", {})):
            step = 1
            while True:
                for bundle in (first, second, third):
                    self.stage(bundle)
                self.activate(first)
                self.activate(second)
                if not killed_at(self, step, op, **arguments):
                    break
                kills += 1
                step += dice.randint(10, 90)
                if op == "prune":
                    self.is_complete(second)
                self.ok(op, **arguments)
                self.assertEqual(self.halves(), [])
        self.assertGreater(kills, 4)
        self.assertEqual([path for path in self.tree(UNITS) if "magellan" in path], [])

    def test_a_stopped_run_says_so(self) -> None:
        bundle = self.bundle()
        trap = self.host.shared / "stop.sh"
        trap.write_text("set -T; trap '[[ $BASHPID != $$ || $BASH_COMMAND != try_binary* ]] || kill -TERM $$' DEBUG\n")
        bound, named = self.staging(bundle)
        answer = self.call("stage", *bound, prefix=("env", f"BASH_ENV={trap}"), **named)
        self.assertTrue(answer.first.startswith("magellan-host 2 failed stage interrupted: "), answer)
        self.assertEqual((self.tree(RELEASES), self.halves()), ([".", ""], []))


class Calls(OnHost):
    """Arguments are data."""

    def test_values_never_reach_a_shell(self) -> None:
        bundle = self.bundle()
        self.deploy(bundle)
        for key in ("environment", "remote", "hostname", "need_kib", "unit", "journal", "after", "since", "lines", "id",
                    "page", "trust", "policy"):
            for op in ("preflight", "facts", "logs", "page", "doctor"):
                self.call(op, f"{key}=a[$(touch /tmp/pwned)]")
                self.call(op, f"{key}={HOSTILE}")
        bound, fine = self.staging(bundle)
        fine |= {"keep": 9, "keep_days": 9}
        for op, keys in (("stage", "digest contents commit remote source wait binding drop_in environment bind"),
                         ("activate", "unit contents retire"), ("record", "line bad good"),
                         ("prune", "keep keep_days generation")):
            for key in keys.split():
                with self.subTest(op=op, key=key):
                    more = [*bound, f"{key}={HOSTILE}"] if key in ("bind", "unit", "contents", "retire") else bound
                    changed = fine if len(more) > len(bound) else fine | {key: HOSTILE}
                    if key in ("contents", "remote", "source"):
                        changed |= {"commit": "1" * 40, "digest": "2" * 64}
                    self.assertNotEqual(self.call(op, *more, **changed).code, 0)
        self.assertNotEqual(self.call(HOSTILE).code, 0)
        self.assertNotEqual(self.call("facts", HOSTILE).code, 0)
        self.assertNotEqual(self.call("facts", f"{HOSTILE}=1").code, 0)
        self.assertFalse(self.host.exists("/tmp/pwned"))

    def test_arguments_of_the_first_format_are_unknown(self) -> None:
        for key in ("checkout", "user", "releases", "state"):
            self.refused("facts", "usage", f"{key}=/x")

    def test_programs_come_from_the_systems_folders_only(self) -> None:
        self.host.write("/srv/bin/systemctl", "#!/bin/sh\ntouch /tmp/pwned\n", 0o755)
        self.addCleanup(self.host.sh, "rm -r /srv/bin")
        evil = ("env", "PATH=/srv/bin:/usr/bin:/bin", "GIT_DIR=/srv", "GIT_SSH_COMMAND=touch /tmp/pwned", "LD_PRELOAD=")
        bundle = self.bundle()
        self.stage(bundle, prefix=evil)
        self.activate(bundle, prefix=evil)
        self.ok("facts", prefix=evil)
        self.assertFalse(self.host.exists("/tmp/pwned"))


class Style(unittest.TestCase):
    def test_shellcheck(self) -> None:
        if shutil.which("shellcheck") is None:
            self.skipTest("shellcheck isn't installed")
        done = subprocess.run(["shellcheck", "-"], input=SCRIPT, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_it_fits_a_command(self) -> None:
        """It is sent without its comments, as base64 of gzip."""
        sent = "".join(line for line in SCRIPT.splitlines(True) if not line.lstrip().startswith("#"))
        self.assertLess(len(gzip.compress(sent.encode(), 9)), 24 * 1024)


@contextlib.contextmanager
def serve(pages: dict[str, bytes], says_length: bool = True):
    """Serves bytes on loopback; its URL."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(200 if page is not None else 403)
            if says_length:
                self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            with contextlib.suppress(OSError):  # whoever asked has had enough
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
