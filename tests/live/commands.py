"""Magellan's other commands beside a service, and journals that somebody has changed by hand."""
import json
import os
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any, NamedTuple

import xxhash

from harness import REPOSITORY, LiveRun, program
from reference import magellan as archived

Record = dict[str, Any]


class Said(NamedTuple):
    """How a command ended, and what it said."""
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


def ask(run: LiveRun, command: str, *arguments: object, state: pathlib.Path | None = None,
        deployed: pathlib.Path | None = None, without: str = "", **variables: str) -> Said:
    """Runs a command on a run's service, at its time and with its keys; without the variables that begin so."""
    place = () if command == "kill" else ("--strategy", run.strategy, "--deployed", deployed or run.deployed)
    words = [program(), command, *place, "--state-dir", state or run.state, *arguments]
    environment = {name: value for name, value in run.environment().items() if not without or without not in name}
    done = subprocess.run([str(word) for word in words], cwd=run.place, env=environment | variables,
                          capture_output=True, text=True, timeout=60)
    return Said(done.returncode, done.stdout, done.stderr)


def verdict(place: pathlib.Path) -> pathlib.Path:
    """What the gate says of all that is deployed, on the bars that come with Magellan."""
    archived("gate", "--out", place / "gate", "--ledger", place / "gate-ledger", "--deployed", REPOSITORY / "deployed",
             "--archive", REPOSITORY / "data" / "sample", cwd=place, exits={0, 4})
    return place / "gate" / "verdict.json"


# ---- journals and logs ----

def log_of(run: LiveRun) -> list[dict[str, Any]]:
    """What the service has logged, oldest first."""
    files = sorted((run.state / "logs").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def records_of(state: pathlib.Path) -> list[Record]:
    """All that a journal says."""
    lines = (state / "journal.jsonl").read_text().splitlines()
    return [json.loads(line.split(" ", 2)[2]) for line in lines]


def write_journal(state: pathlib.Path, records: list[Record]) -> pathlib.Path:
    """A journal of these records, with checksums that are right: nobody can tell that it isn't a service's."""
    state.mkdir(parents=True, exist_ok=True)
    sum_, lines = 0, []
    for number, record in enumerate(records, 1):
        said = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
        sum_ = xxhash.xxh3_64_intdigest(f"{sum_:016x} {number} {said}".encode())
        lines.append(f"{number} {sum_:016x} {said}\n")
    (state / "journal.jsonl").write_text("".join(lines))
    return state


def changed(run: LiveRun, place: pathlib.Path, change: Callable[[list[Record]], object]) -> pathlib.Path:
    """A folder of state like the run's, its journal changed and its checksums right."""
    records = records_of(run.state)
    change(records)
    state = write_journal(place, records)
    if (history := run.state / "history").exists() and not (state / "history").exists():
        os.symlink(history, state / "history")
    return state


def decisions(records: list[Record]) -> list[tuple[Record, Record]]:
    """Orders that the strategy decided, each with the record of its bar."""
    return [(record, decided) for record in records if record["what"] == "bars" for decided in record["decided"]]
