"""A service that trades live against the stand-in for Alpaca, with one clock for both that only a test moves.

The service is the real program. It asks the system for the time; clock.c answers, from a file that a test writes. Its
clock stands still between two steps, as the stand-in's does, so that a slow machine changes nothing.
"""
import contextlib
import ctypes
import functools
import http.client
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "alpaca"))

from fake import Refused, Running  # noqa: E402
from times import MINUTE, SECOND, parse, written  # noqa: E402

MILLISECOND = SECOND // 1_000
# When after its end a bar is sent, when the service gives up on one that is missing, and when the next open is traded.
BARS_AFTER, GRACE, OPEN_AFTER = SECOND // 2, 2 * SECOND, 3 * SECOND
SETTINGS = {"grace": OPEN_AFTER / SECOND, "bar_delay": BARS_AFTER / SECOND}
# The service looks at its clock at least so often, in seconds of the wall clock.
LOOK = 0.15
# An order that was looked up is left alone for so long, in seconds of the wall clock.
LEFT_ALONE = 1.1
# Nobody is to wait longer than this for anything, in seconds of the wall clock.
PATIENCE = 20.0
SECRET = "DO-NOT-WRITE-ME-DOWN-7f3a"
FAR_AWAY = "2199-01-01T00:00:00Z"
ENDED = {"filled", "canceled", "expired", "replaced", "rejected"}


class Stuck(AssertionError):
    """Something that must happen doesn't."""


def program() -> pathlib.Path | None:
    """The program under test: MAGELLAN_BINARY, or what cargo built."""
    named = os.environ.get("MAGELLAN_BINARY")
    found = pathlib.Path(named) if named else REPOSITORY / "target" / "release" / "magellan"
    return found.resolve() if found.exists() else None


# Where the clock's library is, for as long as this process lives.
BUILT = tempfile.TemporaryDirectory(prefix="magellan-clock-")


@functools.cache
def clock_library() -> pathlib.Path | None:
    """The library that answers for the system's clock; none where there is no C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler:
        return None
    library = pathlib.Path(BUILT.name, "clock.so")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, HERE / "clock.c"], check=True)
    return library


def required(kind: str) -> bool:
    """Whether MAGELLAN_REQUIRE turns a skip of this kind into a failure."""
    return kind in re.split("[, ]", os.environ.get("MAGELLAN_REQUIRE", ""))


def lacking() -> str | None:
    """What keeps these tests from running here, if anything does."""
    if program() is None:
        return "no magellan is built, and MAGELLAN_BINARY names none"
    if clock_library() is None:
        return "there is no C compiler: set CC"
    if not pathlib.Path("/proc/self/task").exists():
        return "there is no /proc to see by whether a process rests"
    offered = subprocess.run([program(), "run", "--help"], capture_output=True, text=True, timeout=20).stdout
    return None if "--grace" in offered else "this magellan can't run live"


def read(file: str) -> bytes:
    """A short file of the kernel's, with as little to do as possible."""
    at = os.open(file, os.O_RDONLY)
    try:
        return os.read(at, 4096)
    finally:
        os.close(at)


class Fake(Running):
    """The stand-in, asked over one connection."""

    _connection: http.client.HTTPConnection | None = None

    def _call(self, method: str, path: str, said: dict[str, Any] | None = None) -> Any:
        at = urllib.parse.urlsplit(self.at["control"])
        body = None if said is None else json.dumps(said).encode()
        for last in (False, True):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
            try:
                self._connection.request(method, f"{at.path}/{path}", body, {"Content-Type": "application/json"})
                answer = self._connection.getresponse()
                text = answer.read()
                break
            except (ConnectionError, http.client.HTTPException):
                self._connection = None
                if last:
                    raise
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def trade(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the trading interface, as anybody with the keys can make it."""
        at = urllib.parse.urlsplit(self.at["trading"])
        connection = http.client.HTTPConnection(at.hostname, at.port, timeout=10)
        keys = {"APCA-API-KEY-ID": self.at["key"], "APCA-API-SECRET-KEY": self.ask("settings")["secret"]}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), keys)
            return json.loads(connection.getresponse().read() or "null")
        finally:
            connection.close()


class Clock:
    """What the service takes for the system's clock."""

    def __init__(self, file: pathlib.Path) -> None:
        self._file, self.now = file, 0
        file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._shared = ctypes.c_int64.from_buffer(mmap.mmap(opened.fileno(), 8))

    def set(self, at: int) -> None:
        """At once and for good; never back."""
        if at < self.now:
            raise ValueError(f"the clock doesn't go back from {written(self.now)} to {written(at)}")
        self.now = self._shared.value = at

    def variables(self) -> dict[str, str]:
        """For the environment of a process. Only the time of day is made up: its waits are as long as it says."""
        return {"LD_PRELOAD": str(clock_library()), "STEPPED_CLOCK": str(self._file), "TZ": "UTC"}


class Journal:
    """The service's journal, read as it grows."""

    def __init__(self, file: pathlib.Path) -> None:
        self._file, self._at = file, 0
        self.records: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """What is new, whole lines only."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        text = text[:text.rfind(b"\n") + 1]
        self._at += len(text)
        new = []
        for line in text.decode().splitlines():
            number, _, said = line.split(" ", 2)
            if int(number) != len(self.records) + len(new) + 1:
                raise AssertionError(f"record {number} follows {len(self.records) + len(new)} in the journal")
            new.append(json.loads(said))
        self.records += new
        return new

    def of(self, what: str) -> list[dict[str, Any]]:
        """All records of a kind so far."""
        self.read()
        return [record for record in self.records if record["what"] == what]

    @property
    def size(self) -> int:
        return self._file.stat().st_size if self._file.exists() else 0


def deployed(place: pathlib.Path, strategy: str, edits: dict[str, Any]) -> pathlib.Path:
    """A folder of one deployed strategy, its config changed at dotted paths; what is None there is left out."""
    folder = place / "deployed"
    folder.mkdir()
    for name in ("policy.toml", "config.schema.json"):
        shutil.copy(REPOSITORY / "deployed" / name, folder)
    shutil.copytree(REPOSITORY / "deployed" / strategy, folder / strategy)
    file = folder / strategy / "config.json"
    config = json.loads(file.read_text())
    for path, value in edits.items():
        *holders, last = path.split(".")
        holder = config
        for name in holders:
            holder = holder[name]
        if value is None:
            del holder[last]
        else:
            holder[last] = value
    file.write_text(json.dumps(config, indent=2))
    return folder


class LiveRun:
    """One service, its broker, and the clock of both."""

    def __init__(self, place: pathlib.Path, strategy: str, now: str, edits: dict[str, Any] | None = None,
                 settings: dict[str, Any] | None = None, fake: Fake | None = None,
                 arguments: Iterable[str] = ()) -> None:
        self.place, self.strategy, self.arguments = place, strategy, list(arguments)
        self.state = place / "state"
        self.deployed = deployed(place, strategy, edits or {})
        self.config = json.loads((self.deployed / strategy / "config.json").read_text())
        self.symbols: list[str] = sorted(self.config["symbols"])
        self.fake = fake or Fake("--lifetime", "3600")
        self._owns_fake = fake is None
        costs = {"slippage_bps": str(self.config["execution"]["friction_bps"])}
        self.fake.tell("reset", now=now, settings=SETTINGS | costs | {"secret": SECRET} | (settings or {}))
        info = self.config["account_info"]
        self.fake.tell("account", cash=str(info["initial_capital"]), multiplier="4")
        self.clock = Clock(place / "now")
        self.clock.set(parse(now))
        self.journal = Journal(self.state / "journal.jsonl")
        self.process: subprocess.Popen | None = None
        self.exits: list[int] = []
        self._bars: dict[int, set[str]] = {}
        self._records, self._open, self._started = 0, set(), 0
        # Minutes wait until the service touches again what it has looked up.
        self._looked_up = 0.0

    # ---- the process ----

    def environment(self) -> dict[str, str]:
        """Of every process here: the clock, the keys, and where the stand-in is."""
        home = self.place / "home"
        home.mkdir(exist_ok=True)
        at = self.fake.at
        return {
            "PATH": os.environ.get("PATH", ""), "HOME": str(home), "RUST_BACKTRACE": "1", **self.clock.variables(),
            "APCA_API_KEY_ID": at["key"], "APCA_API_SECRET_KEY": SECRET, "APCA_API_BASE_URL": at["trading"],
            "APCA_API_DATA_URL": at["data"], "APCA_API_STREAM_URL": at["data_stream"],
            "MAGELLAN_TRADING_STREAM_URL": at["trading_stream"]}

    def start(self, wait: bool = True) -> None:
        """Starts the service, and waits until it listens."""
        command = [str(program()), "run", "--strategy", self.strategy, "--state-dir", str(self.state), "--deployed",
                   str(self.deployed), *self.arguments]
        self.journal.read()
        self._started = len(self.journal.records)
        with open(self.place / "stdout", "ab") as out, open(self.place / "stderr", "ab") as err:
            self.process = subprocess.Popen(command, cwd=self.place, env=self.environment(), stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err)
        if wait:
            self.until(lambda: self.is_connected() and self.phase, "it starts and listens")
            self.settle()

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a lost machine does: no last words."""
        self.process.kill()
        self._ended()

    def term(self) -> int:
        """As systemd stops it; says how it exited."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Stuck(f"it doesn't end\n{self.said()}") from None
        self.exits.append(code)
        self.process = None
        # Nobody waits for these answers any more.
        self._pulse()
        self._open.clear()
        return code

    def close(self) -> None:
        if self.runs:
            self.kill()
        if self._owns_fake:
            self.fake.close()

    def __enter__(self) -> "LiveRun":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what it says ----

    @property
    def heartbeat(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.state / "heartbeat.json").read_text())
        except FileNotFoundError:
            return None

    @property
    def phase(self) -> str | None:
        """Of the process that runs, once it has compared itself with the broker; of none before it."""
        self.journal.read()
        for record in reversed(self.journal.records[self._started:]):
            if record["what"] == "phase":
                return record["phase"]
        return None

    def said(self, lines: int = 25) -> str:
        """The end of what it wrote, for whoever reads that a test failed."""
        parts = [f"phase {self.phase}, clock {written(self.clock.now)}, fake {self.fake.ask('clock')['now']}"]
        for name in ("stdout", "stderr", "state/journal.jsonl"):
            file = self.place / name
            if file.exists() and (text := file.read_text(errors="replace").splitlines()[-lines:]):
                parts += [f"--- the end of {name}:", *(line[:1_000] for line in text)]
        return "\n".join(parts)

    def rows(self, kind: str) -> list[dict[str, str]]:
        """Lines of its decisions or fills, of all sessions."""
        import csv
        found = []
        for file in sorted((self.state / "logs").glob(f"{self.strategy}_{kind}_*.csv")):
            with file.open(newline="") as lines:
                found += list(csv.DictReader(lines))
        return found

    # ---- the broker's side ----

    def positions(self) -> dict[str, int]:
        """What is held, by the broker's executions. No request is made, which might be hit by a fault."""
        held: Counter = Counter()
        for event in self.fake.ask("events"):
            if event["event"] in ("fill", "partial_fill"):
                sign = 1 if event["order"]["side"] == "buy" else -1
                held[event["order"]["symbol"]] += sign * int(float(event["qty"]))
        return {symbol: shares for symbol, shares in held.items() if shares}

    def orders(self) -> list[dict[str, Any]]:
        """All orders the broker ever got, legs beside their parents."""
        return self.fake.ask("orders")

    def open_orders(self) -> list[dict[str, Any]]:
        return [order for order in self.orders() if order["status"] not in ENDED]

    def requests(self, **wanted: str) -> list[dict[str, Any]]:
        return self.fake.ask("requests", kind="^request$", **wanted)

    def fault(self, kind: str, **said: Any) -> dict[str, Any]:
        return self.fake.tell("faults", kind=kind, **said)

    def is_connected(self) -> bool:
        """Whether both sockets stand, with their subscriptions."""
        found = self.fake.ask("connections")
        return (any(of["stream"] == "data" and of["subscribed"] for of in found)
                and any(of["stream"] == "trading" and of["streams"] for of in found))

    # ---- waiting, in seconds of the wall clock ----

    def until(self, holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Waits until something holds."""
        end = time.monotonic() + patience
        while not (found := holds()):
            if not self.runs:
                code = self._ended() if self.process else self.exits[-1:]
                raise Stuck(f"{what}: it ended with {code}\n{self.said()}")
            if time.monotonic() > end:
                raise Stuck(f"{what}: not within {patience} s\n{self.said()}")
            time.sleep(0.002)
        return found

    def settle(self, patience: float = PATIENCE, calm: int = 3) -> bool:
        """Waits until nothing moves: no request is under way, nothing new is said, no thread runs. Whether that was."""
        end = time.monotonic() + patience
        before, same = None, 0
        while same < calm:
            if time.monotonic() > end:
                return False
            now = self._pulse()
            same = same + 1 if now == before and now is not None else 0
            before = now
            time.sleep(0.002)
        return True

    def _pulse(self) -> tuple | None:
        """Whatever changes while something goes on; none while a request waits for its answer."""
        first = min(self._open, default=self._records + 1)
        for record in self.fake.ask("requests", since=first - 1):
            is_new, self._records = record["n"] > self._records, max(self._records, record["n"])
            if is_new and "by_client_order_id" in record.get("path", ""):
                self._looked_up = time.monotonic()
            if record["kind"] == "request" and record["status"] is None and is_new:
                self._open.add(record["n"])
            elif record.get("status") is not None:
                self._open.discard(record["n"])
        return None if self._open or not self._rests() else (self._records, self.journal.size)

    def _rests(self) -> bool:
        """Whether all threads of the service wait for something."""
        if not self.runs:
            return True
        tasks = f"/proc/{self.process.pid}/task"
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return all(read(f"{tasks}/{task}/stat").rpartition(b")")[2].split(None, 1)[0] == b"S"
                       for task in os.listdir(tasks))
        return False

    # ---- time ----

    def to(self, at: int | str) -> None:
        """Both clocks, the service's first: nothing comes before its time."""
        at = parse(at) if isinstance(at, str) else at
        self.clock.set(at)
        self.fake.tell("clock", set=written(at))

    def wait_until(self, at: int | str) -> None:
        """Both clocks, and the service has seen what time it is: it looks at least so often."""
        self.to(at)
        time.sleep(LOOK)
        self._rest(strict=True)

    def script(self, bars: dict[str, list[dict[str, Any]]], spread_bps: float = 2.0) -> None:
        """Minutes that will come, and with the end of each a quote near its close."""
        self.fake.tell("bars", bars=bars)
        quotes: dict[str, list[dict[str, Any]]] = {}
        for symbol, several in bars.items():
            for bar in several:
                start, away = parse(bar["t"]), bar["c"] * spread_bps / 20_000
                self._bars.setdefault(start, set()).add(symbol)
                quotes.setdefault(symbol, []).append(
                    {"t": written(start + MINUTE), "bp": bar["c"] - away, "ap": bar["c"] + away, "bs": 50_000,
                     "as": 50_000})
        self.fake.tell("messages", quotes=quotes)

    def keep_quotes_fresh(self) -> None:
        """Quotes seem to be of just now, whenever they are looked at.

        A service keeps a quote for seconds by the clock on the wall. Here many minutes pass in a second.
        """
        self.fault("edit", on={"host": "data", "path": "quotes/latest"}, count=None, set={"quotes.*.t": FAR_AWAY})

    def minute(self, start: int, strict: bool = True) -> dict[str, Any] | None:
        """One minute, from its first trade to the decisions at its end. What was decided on, if anything was.

        Strict: all is waited for. Otherwise a service that is down, or has lost its sockets, is left behind.
        """
        end, symbols = start + MINUTE, self._bars.get(start, set())
        # The open is traded; whatever is to protect it must be there before the bar goes on.
        trades = bool(self.open_orders())
        self.to(start + OPEN_AFTER)
        if trades:
            self._rest(strict)
        # What happens inside the bar is told at its end. To the service it is still inside.
        self.clock.set(end - MILLISECOND)
        trades = bool(self.open_orders())
        self.fake.tell("clock", set=written(end))
        if trades:
            self._rest(strict)
        self.to(end + BARS_AFTER)
        if not symbols:
            return None
        if symbols < set(self.symbols):
            self._rest(strict)
            self.to(end + GRACE)
        return self._decided(start, strict)

    def _rest(self, strict: bool) -> None:
        if not strict:
            self.settle(0.5)
            return
        for _ in range(2):
            if not self.settle():
                raise Stuck(f"it doesn't come to rest\n{self.said()}")
            waits = self._looked_up + LEFT_ALONE - time.monotonic()
            if waits <= 0:
                return
            time.sleep(waits)

    def _decided(self, start: int, strict: bool) -> dict[str, Any] | None:
        """Waits for the record of a minute's bars, and for what follows from it."""
        if not strict:
            self._rest(strict)
            return self._record_of(start)
        record = self.until(lambda: self._record_of(start), f"the bars of {written(start)} are decided on")
        if record["decided"] or self.open_orders() or self.positions_open():
            self._rest(strict)
        return record

    def positions_open(self) -> bool:
        said = self.heartbeat
        return bool(said and said.get("open_positions"))

    def _record_of(self, start: int) -> dict[str, Any] | None:
        self.journal.read()
        found = (record for record in reversed(self.journal.records[-50:])
                 if record["what"] == "bars" and record["start"] == start)
        return next(found, None)

    def minutes(self, first: str | int, last: str | int, strict: bool = True,
                each: Callable[[int], None] = lambda start: None) -> None:
        """All minutes that start from `first` to `last`, both included."""
        first, last = (parse(of) if isinstance(of, str) else of for of in (first, last))
        for start in range(first, last + 1, MINUTE):
            each(start)
            self.minute(start, strict)

    def counts(self) -> Counter:
        """How many records of each kind the journal has."""
        self.journal.read()
        return Counter(record["what"] for record in self.journal.records)
