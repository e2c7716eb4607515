#!/usr/bin/env python3
"""Stands in for the binary of a release: what a unit starts, well or badly.

`binary(mode)` is such a program: an executable that a compiler made, which is the unit's main process, and this script
behind it, which it runs. So what runs has the digest of the release's binary, as with the real one. This script alone
is a binary, too, after replacing the line that sets MODE; but then what runs is Python.

    good            as the real one: READY, heartbeat, log, until SIGTERM
    crash           ends right after READY
    late_crash      ends a second after READY; systemd starts it again
    dies_at_20s     good for 20 seconds
    starting        its phase stays `starting`
    future          its heartbeat is of an hour ahead
    silent          active and alive, but logs nothing
    old_log         the same, beside a log file that was written yesterday
    no_heartbeat    good but for the heartbeat
    wrong_digest    its heartbeat is that of another unit
    errors          logs bursts of errors
    fatal           logs 20 lines of level FATAL
    stderr_burst    writes 200 lines to stderr
    huge_log        its log soon holds more than anybody counts, errors among it
    foreign_process another program takes the main process over; all else is good
    positions       good, and holds as many positions as the file `positions` in its state says
"""
import datetime
import functools
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

MODE = "good"
# What systemd is told by the main process only goes through it.
TO_MAIN = os.environ.get("MAGELLAN_STAND_IN")

# The main process: starts the script behind its own last byte, passes on what it wants systemd to know, and becomes
# another program if it is told to.
LAUNCHER = r"""
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void stop(int number) { kill(child, number); }

static void say(const char *text) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *where = getenv("NOTIFY_SOCKET");
    int by = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!where || by < 0) return;
    strncpy(to.sun_path, where, sizeof to.sun_path - 1);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(to.sun_path);
    if (*to.sun_path == '@') *to.sun_path = 0;
    sendto(by, text, strlen(text), 0, (struct sockaddr *)&to, size);
    close(by);
}

int main(int count, char **words) {
    static const char *run =
        "import os, sys\n"
        "program = os.fdopen(3, 'rb').read()\n"
        "script = program[program.rindex(b'#!' + b'/usr/bin/env python3'):]\n"
        "exec(compile(script, 'bad_service.py', 'exec'))\n";
    char *argv[64] = {"python3", "-E", "-c", (char *)run};
    char text[4096];
    int ends[2], used = 0, status;
    for (int i = 1; i < count && i < 60; i++) argv[i + 3] = words[i];
    if (pipe2(ends, O_CLOEXEC)) return 70;
    pid_t mine = getpid();
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != mine) return 71;
        int self = open("/proc/self/exe", O_RDONLY);
        int end = fcntl(ends[1], F_DUPFD, 10);
        dup2(self, 3);
        dup2(end, 4);
        setenv("MAGELLAN_STAND_IN", "4", 1);
        execvp("python3", argv);
        return 72;
    }
    signal(SIGTERM, stop);
    close(ends[1]);
    for (char byte; read(ends[0], &byte, 1) == 1;) {
        text[used++] = byte;
        if (byte && used < (int)sizeof text) continue;
        text[used - 1] = used = 0;
        if (strncmp(text, "EXEC ", 5) == 0) execl(text + 5, text + 5, "1000000", (char *)0);
        else say(text);
    }
    while (waitpid(child, &status, 0) != child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
"""


@functools.lru_cache(maxsize=None)
def binary(mode: str, salt: str = "") -> bytes:
    """A program that stands in, in this mode; another salt makes it another one."""
    script = pathlib.Path(__file__).read_text().replace('\nMODE = "good"\n', f'\nMODE = "{mode}"\n', 1)
    return launcher() + script.encode() + f"# {salt}\n".encode()


@functools.lru_cache(maxsize=None)
def launcher() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        built = pathlib.Path(folder, "launcher")
        compiler = shutil.which("cc") or shutil.which("gcc") or "clang"
        subprocess.run([compiler, "-D_GNU_SOURCE", "-include", "stddef.h", "-s", "-o", built, "-x", "c", "-"],
                       input=LAUNCHER, text=True, check=True)
        return built.read_bytes()


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def notify(state: str) -> None:
    if TO_MAIN:
        try:
            os.write(int(TO_MAIN), state.encode() + b"\0")
        except BrokenPipeError:
            pass  # another program took the main process over
        return
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def main_process() -> int:
    return os.getppid() if TO_MAIN else os.getpid()


def log_file(state: pathlib.Path, strategy: str, days_ago: int = 0) -> pathlib.Path:
    day = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days_ago)
    (state / "logs").mkdir(parents=True, exist_ok=True)
    return state / "logs" / f"{strategy}_{day:%Y%m%d}.jsonl"


def line(level: str, message: str) -> str:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    return json.dumps({"timestamp": now, "level": level, "fields": {"message": message}}) + "\n"


def log(path: pathlib.Path, level: str, message: str) -> None:
    with open(path, "a") as file:
        file.write(line(level, message))


class Bound:
    """What the process is made of, read once: `current` may lead elsewhere tomorrow."""

    def __init__(self, strategy: str) -> None:
        binding = pathlib.Path(os.environ["MAGELLAN_BINDING"]).resolve()
        self.release = (binding.parent / "release").resolve()
        self.environment = json.loads(binding.read_text())["environment"]
        unit = json.loads((self.release / "manifest.json").read_text())["strategies"][strategy]["unit"]
        folder = self.release / "deployed" / strategy
        made_of = [self.release / "magellan", folder / "config.json", folder / f"{unit}.service", binding]
        self.unit_digest = sha256("".join(f"{sha256(path.read_bytes())}\n" for path in made_of).encode())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def beat(state: pathlib.Path, strategy: str, bound: Bound, started_at: float) -> None:
    heartbeat = {
        "schema_version": 1, "strategy": strategy, "environment": bound.environment,
        "release": bound.release.name, "unit_digest": "0" * 64 if MODE == "wrong_digest" else bound.unit_digest,
        "pid": main_process(), "started_at": started_at, "written_at": time.time() + (3600 if MODE == "future" else 0),
        "phase": "starting" if MODE == "starting" else "trading",
        "last_bar": None, "last_decision": None, "decisions": 0, "errors": 0, "starts": 1, "open_positions": positions(state),
    }
    new = state / "heartbeat.json.new"
    new.write_text(json.dumps(heartbeat) + "\n")
    new.replace(state / "heartbeat.json")


def positions(state: pathlib.Path) -> int:
    said = state / "positions"
    return int(said.read_text()) if MODE == "positions" and said.exists() else 0


def begin(state: pathlib.Path, strategy: str, started_at: float) -> None:
    """What is wrong once, after READY."""
    if MODE == "crash":
        sys.exit(1)
    if MODE == "old_log":
        old = log_file(state, strategy, days_ago=1)
        log(old, "INFO", "yesterday")
        os.utime(old, (started_at - 86400, started_at - 86400))
    if MODE == "fatal":
        for number in range(20):
            log(log_file(state, strategy), "FATAL", f"position {number} is lost")
    if MODE == "stderr_burst":
        for number in range(200):
            print(f"warning {number}: something is off", file=sys.stderr, flush=True)
    if MODE == "huge_log":
        with open(log_file(state, strategy), "a") as file:
            file.writelines([line("ERROR", f"order {number} was refused") for number in range(20)])
            file.write(line("INFO", "x" * 1000) * 20_000)
    if MODE == "foreign_process":
        notify("EXEC /bin/sleep")


def run(strategy: str, state: pathlib.Path) -> None:
    started_at = time.time()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    bound = Bound(strategy)
    notify("READY=1\nSTATUS=standing in")
    begin(state, strategy, started_at)
    lives = {"late_crash": 1, "dies_at_20s": 20}.get(MODE, float("inf"))
    while time.time() < started_at + lives:
        notify("WATCHDOG=1")
        if MODE not in ("silent", "old_log"):
            log(log_file(state, strategy), "INFO", "alive")
        if MODE == "errors":
            for number in range(20):
                log(log_file(state, strategy), "ERROR", f"order {number} was refused")
        if MODE != "no_heartbeat":
            beat(state, strategy, bound, started_at)
        time.sleep(min(1, max(0, started_at + lives - time.time())))
    sys.exit(1)


if __name__ == "__main__" and len(sys.argv) > 1:
    if sys.argv[1] == "--version":
        print("magellan 0.1.0")
    elif sys.argv[1] == "validate":
        print("standing in, all is valid")
    elif sys.argv[1] == "run":
        run(option("--strategy"), pathlib.Path(option("--state-dir")))
