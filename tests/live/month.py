"""A month of sessions in one process: how much memory it takes after each, and how long it took from bars to orders.

    MAGELLAN_BINARY=target/release/magellan python tests/live/month.py --sessions 21

Ends with 1 if it takes a fifth more after the last session than after the second. Needs a quarter of an hour.
"""
import argparse
import contextlib
import datetime
import json
import pathlib
import sys
import tempfile

import harness
import synthetic
from harness import MINUTE, SECOND, Fake, LiveRun, written
from invariants import broken_at_last
from sessions import Calendar

FIRST = datetime.date(2024, 6, 3)
MOST = 1.2


def resident(pid: int) -> int:
    """Memory of a process that is in use, KiB."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def latency(run: LiveRun) -> str:
    """Of the orders so far: from a minute's last bar to the request, without the disk."""
    logs = sorted((run.state / "logs").glob("*.jsonl"))
    lines = (json.loads(line) for log in logs for line in log.read_text().splitlines())
    fields = [line["fields"] for line in lines if line.get("fields", {}).get("message") == "summary of the day"]
    last = fields[-1] if fields else {}
    return f"{last.get('orders')} orders, p50 {last.get('p50_ms')} ms, p99 {last.get('p99_ms')} ms"


def trade(run: LiveRun, opens: int, closes: int, minutes: int, seed: int) -> None:
    """One session, the bars of which end after some minutes."""
    run.script(synthetic.restless(seed, written(opens), minutes, run.symbols))
    run.wait_until(opens - MINUTE)
    run.wait_until(opens)
    run.minutes(opens, opens + (minutes - 1) * MINUTE)
    run.wait_until(closes + 10 * SECOND)
    run.until(lambda: len(run.journal.of("closes")) == len(run.journal.of("opens")), "the session closes")
    run.settle()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=21)
    parser.add_argument("--minutes", type=int, default=390, help="minutes with bars, of each session")
    parser.add_argument("--symbols", default="AMC,CLSK,GME,MARA", help="those that are traded")
    given = parser.parse_args()
    if lacking := harness.lacking():
        sys.exit(lacking)
    dates = (FIRST + datetime.timedelta(days=days) for days in range(10 * given.sessions))
    sessions = [session for session in map(Calendar().session, dates) if session][:given.sessions]
    # Capital that a month of losses doesn't use up.
    edits = {**synthetic.EAGER, "symbols": sorted(given.symbols.split(",")),
             "risk_management.per_trade_risk_pct": 0.001}
    seen: list[int] = []
    with (tempfile.TemporaryDirectory() as place, contextlib.closing(Fake("--lifetime", "7200")) as fake,
          LiveRun(pathlib.Path(place), "bear_trap", f"{FIRST}T13:00:00Z", edits=edits, fake=fake) as run):
        run.start()
        for number, session in enumerate(sessions, 1):
            minutes = min(given.minutes, (session.close - session.open) // MINUTE)
            trade(run, session.open, session.close, minutes, number)
            seen.append(resident(run.process.pid))
            print(f"{session.date} {seen[-1]:7} KiB, {len(run.journal.records):7} records, "
                  f"{run.journal.size >> 10:6} KiB of journal, {latency(run)}", flush=True)
        if wrong := broken_at_last(run):
            print("\n".join(wrong))
            return 1
        if run.term() != 0:
            print("it didn't end well")
            return 1
    growth = seen[-1] / seen[min(1, len(seen) - 1)]
    print(f"{growth:.3f} times as much after session {len(seen)} as after the second, allowed are {MOST}")
    return int(growth > MOST)


if __name__ == "__main__":
    sys.exit(main())
