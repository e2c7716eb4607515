#!/usr/bin/env python3
"""Stands in for the binary of a release: what a unit starts, well or badly.

A test makes a release's binary of it by replacing the line that sets MODE:

    good            as the real one: READY, heartbeat, log, until SIGTERM
    crash           ends right after READY
    dies_at_20s     good for 20 seconds
    silent          active and alive, but logs nothing
    old_log         the same, beside a log file that was written yesterday
    no_heartbeat    good but for the heartbeat
    wrong_digest    its heartbeat is that of another unit
    errors          logs bursts of errors
"""
import datetime
import json
import os
import pathlib
import signal
import socket
import sys
import time

MODE = "good"
RELEASE = pathlib.Path(__file__).resolve().parent


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def notify(state: str) -> None:
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def log_file(state: pathlib.Path, strategy: str, days_ago: int = 0) -> pathlib.Path:
    day = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days_ago)
    (state / "logs").mkdir(parents=True, exist_ok=True)
    return state / "logs" / f"{strategy}_{day:%Y%m%d}.jsonl"


def log(path: pathlib.Path, level: str, message: str) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    with open(path, "a") as file:
        file.write(json.dumps({"timestamp": now, "level": level, "fields": {"message": message}}) + "\n")


def beat(state: pathlib.Path, strategy: str, started_at: float) -> None:
    manifest = json.loads((RELEASE / "manifest.json").read_text())
    unit_digest = manifest["strategies"][strategy]["unit_digest"]
    heartbeat = {
        "schema_version": 1, "strategy": strategy, "environment": manifest["environment"],
        "release": RELEASE.name, "unit_digest": "0" * 64 if MODE == "wrong_digest" else unit_digest,
        "pid": os.getpid(), "started_at": started_at, "written_at": time.time(), "phase": "trading",
        "last_bar": None, "last_decision": None, "decisions": 0, "errors": 0, "starts": 1, "open_positions": 0,
    }
    new = state / "heartbeat.json.new"
    new.write_text(json.dumps(heartbeat) + "\n")
    new.replace(state / "heartbeat.json")


def run(strategy: str, state: pathlib.Path) -> None:
    started_at = time.time()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    notify("READY=1\nSTATUS=standing in")
    if MODE == "crash":
        sys.exit(1)
    if MODE == "old_log":
        old = log_file(state, strategy, days_ago=1)
        log(old, "INFO", "yesterday")
        os.utime(old, (started_at - 86400, started_at - 86400))
    while MODE != "dies_at_20s" or time.time() < started_at + 20:
        notify("WATCHDOG=1")
        if MODE not in ("silent", "old_log"):
            log(log_file(state, strategy), "INFO", "alive")
        if MODE == "errors":
            for number in range(20):
                log(log_file(state, strategy), "ERROR", f"order {number} was refused")
        if MODE != "no_heartbeat":
            beat(state, strategy, started_at)
        time.sleep(1)
    sys.exit(1)


if sys.argv[1] == "--version":
    print("magellan 0.1.0")
elif sys.argv[1] == "run":
    run(option("--strategy"), pathlib.Path(option("--state-dir")))
