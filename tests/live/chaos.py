"""Short sessions in which much goes wrong, drawn from seeds: whatever happens, broker and journal end of one mind.

    MAGELLAN_BINARY=target/release/magellan python tests/live/chaos.py --seeds 0:500 --jobs 2

prints a line for each seed after which something doesn't hold, and a summary. A seed always means the same session and
the same faults; when a fault meets a request depends on the service. --keep DIR keeps what failing seeds leave behind.
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

import harness
import synthetic
from harness import MINUTE, Fake, LiveRun, Stuck, parse, written
from invariants import broken, broken_at_last

OPEN = "2024-06-03T13:30:00Z"
SYMBOLS = ["AMC", "GME"]
# Minutes in which things go wrong, and minutes after them in which nothing new does.
WILD, CALM = 20, 8
# Seconds that the service gets to connect again, and to end.
BACK = 12.0
POST = {"host": "trading", "method": "POST", "path": "^/v2/orders$"}
ANY_TRADE = {"host": "trading", "path": "^/v2/(orders|positions|account)"}


# Something goes wrong now; what it returns is called once the minute is over.
Happens = Callable[[LiveRun, random.Random], Callable[[], None] | None]


class Outcome(NamedTuple):
    """What became of a seed."""
    seed: int
    broken: list[str]
    faults: list[str]
    seconds: float


class Scenario:
    """One seed: a market, settings of the broker, and when what goes wrong."""

    def __init__(self, seed: int) -> None:
        self.seed, self.draw = seed, random.Random(seed)
        draw = self.draw
        self.settings = {
            "events_first": draw.random() < 0.5, "answer_status": draw.choice(("pending_new", "accepted", "new")),
            "stop_beside_target": draw.choice(("new", "held")), "trade_frames": draw.choice(("binary", "text")),
            "bars_in_frame": draw.choice(("all", "one")), "event_ids": draw.random() < 0.7,
            "simple_class": draw.choice(("", "simple")),
            "cancel_delay": draw.choice((0, 0, 0.2)), "replace_delay": draw.choice((0, 0, 0.2)),
            "participation": draw.choice((None, None, None, "0.5")),
        }
        self.edits = {
            "symbols": SYMBOLS, **synthetic.EAGER, "risk_management.max_trades_per_day": draw.randint(3, 8),
            "risk_management.max_open_positions": draw.randint(1, 2),
        }
        kinds = [kind for kind in KINDS if kind not in ("kill", "term")]
        self.plan: dict[int, list[tuple[str, Happens]]] = collections.defaultdict(list)
        # Few at a time: else all that is tested is that nothing works.
        for kind in draw.sample(kinds, draw.randint(1, 4)) + draw.choices(("kill", "term", "none"), (4, 1, 5), k=2):
            if kind != "none":
                self.plan[draw.randint(1, WILD - 1)].append((kind, KINDS[kind]))

    @property
    def faults(self) -> list[str]:
        return [f"{minute}:{kind}" for minute, kinds in sorted(self.plan.items()) for kind, _ in kinds]

    def play(self, place: pathlib.Path, fake: Fake) -> list[str]:
        """Plays it; what doesn't hold at the end."""
        start = parse(OPEN)
        with LiveRun(place, "bear_trap", written(start - 2 * MINUTE), edits=self.edits, settings=self.settings,
                     fake=fake) as run:
            run.script(synthetic.restless(self.seed, OPEN, WILD + CALM, SYMBOLS))
            run.start()
            run.wait_until(start)
            for minute in range(WILD):
                then = [happens(run, self.draw) for _, happens in self.plan[minute]]
                run.minute(start + minute * MINUTE, strict=False)
                for happens in filter(None, then):
                    happens()
                if not run.runs:
                    run.start(wait=self.draw.random() < 0.5)
            try:
                found = self._end(run, start)
            except AssertionError as stuck:
                found = [str(stuck)]
            if found:
                told = {name: fake.ask(name) for name in ("requests", "orders", "events", "faults", "connections")}
                (place / "broker.json").write_text(json.dumps(told, indent=1))
            return found

    def _end(self, run: LiveRun, start: int) -> list[str]:
        """Nothing goes wrong any more: all must be well soon."""
        run.fake.clear("faults")
        if not run.runs:
            run.start(wait=False)
        # It looks for updates that never came every half minute, and whenever a socket stands again.
        run.fake.tell("drop", how="abort")
        run.until(run.is_connected, "it connects again once all is well", BACK)
        for minute in range(WILD, WILD + CALM):
            run.minute(start + minute * MINUTE, strict=False)
        run.settle()
        # Waits that count by the service's clock are over.
        run.wait_until(run.clock.now + 5 * harness.SECOND)
        try:
            run.until(lambda: run.phase in ("trading", "waiting"), "it trades again once all is well", BACK)
        except Stuck:
            return [f"the phase is {run.phase} though all is well", *broken(run)]
        found = broken_at_last(run, moves=True)
        if (code := run.term()) != 0:
            found.append(f"it exits with {code} on SIGTERM")
        # Killed, or told to stop before it could listen to signals.
        if bad := [code for code in run.exits if code not in (0, -9, -15)]:
            found.append(f"it ended by itself with {bad}")
        return found


# ---- what goes wrong ----

def drop(run: LiveRun, draw: random.Random) -> None:
    stream = draw.choice(("data", "trading", None))
    how = draw.choice(("mid_frame", "abort", "close"))
    run.fake.tell("drop", {"how": how} | ({"stream": stream} if stream else {}))


def silence(run: LiveRun, draw: random.Random) -> None:
    """From the next frame on nothing comes, though the socket stands; at the end of all it is dropped."""
    run.fault("silent", on={"stream": draw.choice(("data", "trading"))}, pongs=draw.random() < 0.5)


def duplicates(run: LiveRun, draw: random.Random) -> None:
    run.fault("duplicate", on={"stream": draw.choice(("data", "trading"))}, count=draw.randint(1, 20),
              times=draw.randint(2, 3))


def late_bars(run: LiveRun, draw: random.Random) -> None:
    run.fault("hold_back", on={"stream": "data", "T": "b"}, count=draw.randint(1, 3), frames=1)


def late_updates(run: LiveRun, draw: random.Random) -> None:
    run.fault("hold_back", on={"stream": "trading", "event": ".+"}, count=draw.randint(1, 3), frames=1)


def reordered(run: LiveRun, draw: random.Random) -> None:
    run.fault("reverse", on={"stream": "data", "T": "b"}, count=draw.randint(1, 10))


def correction(run: LiveRun, draw: random.Random) -> None:
    """The minute before turns out to have been another."""
    symbol = draw.choice(run.symbols)
    known = [record for record in run.journal.of("bars")[-1:] for bar in record["bars"] if bar[0] == symbol]
    if known:
        start = written(known[0]["start"])
        run.fake.tell("corrections", bars={symbol: [{"t": start, "o": 47.5, "h": 48.2, "l": 47.1, "c": 47.9, "v": 9}]})


def too_many(run: LiveRun, draw: random.Random) -> None:
    run.fault("rate_limit", on=draw.choice((POST, ANY_TRADE, {"host": "data"})), count=draw.randint(1, 3), reset_in=1)


def unavailable(run: LiveRun, draw: random.Random) -> None:
    run.fault("answer", on=draw.choice((POST, ANY_TRADE, {"host": "data"}, {"method": "DELETE|PATCH"})),
              count=draw.randint(1, 3), status=draw.choice((500, 502, 503, 504)), carry_out=draw.random() < 0.5)


def logged_out(run: LiveRun, draw: random.Random) -> None:
    run.fault("html_401", on=draw.choice((ANY_TRADE, {"host": "data"})), count=1)


def unanswered(run: LiveRun, draw: random.Random) -> None:
    on = draw.choice((POST, POST, {"host": "trading", "method": "DELETE|PATCH"}, ANY_TRADE))
    kind = draw.choice(("timeout", "drop", "cut") if on is ANY_TRADE else ("timeout", "drop"))
    count = draw.randint(1, 2)
    # Longer than a minute lasts here, and shorter than the service waits.
    run.fault(kind, on=on, count=count, **({"seconds": 0.3} if kind == "timeout" else {}))


def accepted_unanswered(run: LiveRun, draw: random.Random) -> None:
    """It has its effect, and nobody hears of it."""
    on = draw.choice((POST, POST, {"host": "trading", "method": "DELETE|PATCH"}))
    if draw.random() < 0.5:
        run.fault("timeout", on=on, carry_out=True, seconds=0.2, count=draw.randint(1, 2))
    else:
        run.fault("drop", on=on, carry_out=True, count=draw.randint(1, 2))


def partial(run: LiveRun, draw: random.Random) -> None:
    run.fault("partial_fill", on={"side": draw.choice(("buy", "buy", "sell", "."))}, count=draw.randint(1, 2),
              fraction=str(draw.choice((0.1, 0.34, 0.5, 0.9))), then=draw.choice(("rest", "stay")))


def cancel_race(run: LiveRun, draw: random.Random) -> None:
    run.fault("cancel_race", count=draw.randint(1, 2), reject_event=draw.random() < 0.5)


def cancel_refused(run: LiveRun, draw: random.Random) -> None:
    run.fault("cancel_refused", count=draw.randint(1, 2))


def replace_race(run: LiveRun, draw: random.Random) -> None:
    run.fault(draw.choice(("replace_race", "replace_refused")), count=1)


def rejected(run: LiveRun, draw: random.Random) -> None:
    run.fault("reject", on={"side": draw.choice(("buy", "sell"))}, count=draw.randint(1, 2))


def garbled(run: LiveRun, draw: random.Random) -> None:
    run.fault(draw.choice(("corrupt", "unknown_kind", "fragment")), on={"stream": draw.choice(("data", "trading"))},
              count=draw.randint(1, 2))


def kill(run: LiveRun, draw: random.Random) -> Callable[[], None] | None:
    """Between two minutes, or at the end of one while a request may be under way."""
    def now() -> None:
        if run.runs:
            run.kill()
        if again:
            run.start(wait=draw.random() < 0.5)
    waits, again = draw.random() < 0.5, draw.random() < 0.5
    if waits:
        run.fault("delay", on={"host": "trading", "method": "POST|DELETE|PATCH"}, seconds=1)
        return now
    return now()


def term(run: LiveRun, draw: random.Random) -> None:
    if run.runs:
        run.term()
        if draw.random() < 0.5:
            run.start()


KINDS: dict[str, Happens] = {
    "drop": drop, "silence": silence, "duplicates": duplicates, "late_bars": late_bars, "late_updates": late_updates,
    "reordered": reordered, "correction": correction, "too_many": too_many, "unavailable": unavailable,
    "logged_out": logged_out, "unanswered": unanswered, "accepted_unanswered": accepted_unanswered,
    "partial": partial, "cancel_race": cancel_race, "cancel_refused": cancel_refused, "replace_race": replace_race,
    "rejected": rejected, "garbled": garbled, "kill": kill, "term": term,
}


# ---- many seeds ----

_fake: list[Fake] = []


def play(seed: int, keep: pathlib.Path | None = None) -> Outcome:
    """One seed, with the stand-in of this process."""
    if not _fake:
        _fake.append(Fake("--lifetime", "86400"))
    begun, scenario = time.monotonic(), Scenario(seed)
    place = pathlib.Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    try:
        found = scenario.play(place, _fake[0])
    except Exception:
        found = [traceback.format_exc()]
    if found and keep:
        shutil.copytree(place, keep / str(seed), dirs_exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    return Outcome(seed, found, scenario.faults, time.monotonic() - begun)


def seeds_of(text: str) -> list[int]:
    """`0:500`, the last excluded, or `14,19,20`."""
    first, colon, last = text.partition(":")
    return list(range(int(first), int(last))) if colon else [int(seed) for seed in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description="Short sessions in which much goes wrong.")
    parser.add_argument("--seeds", type=seeds_of, default="0:20", help="0:20, the last excluded, or 14,19,20")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="where to put what failing seeds leave behind")
    parser.add_argument("--whole", action="store_true", help="all that is known of a failure, not just its first line")
    said = parser.parse_args()
    if lacking := harness.lacking():
        print(f"SKIPPED: {lacking}", file=sys.stderr)
        return int(harness.required("live"))
    if said.keep:
        said.keep.mkdir(parents=True, exist_ok=True)
    begun, failed, kinds, slowest = time.monotonic(), 0, collections.Counter(), 0.0
    with concurrent.futures.ProcessPoolExecutor(said.jobs) as pool:
        for outcome in pool.map(play, said.seeds, [said.keep] * len(said.seeds)):
            slowest = max(slowest, outcome.seconds)
            kinds.update(fault.partition(":")[2] for fault in outcome.faults)
            if outcome.broken:
                failed += 1
                text = "\n".join(outcome.broken) if said.whole else "; ".join(map(in_short, outcome.broken))
                print(f"seed {outcome.seed} [{' '.join(outcome.faults)}]: {text}", flush=True)
    print(f"{len(said.seeds)} seeds, {failed} failed, {time.monotonic() - begun:.0f} s, slowest {slowest:.1f} s; "
          f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}")
    return 1 if failed else 0


def in_short(text: str) -> str:
    """Its first line; of a traceback the error, without the service's log."""
    if not text.startswith("Traceback"):
        return text.partition("\n")[0][:300]
    lines = [line for line in text.splitlines() if line and not line.startswith(" ")]
    return next((line for line in lines[1:] if ":" in line), lines[0])[:300]


if __name__ == "__main__":
    sys.exit(main())
