"""Sessions of a live service at their edges: half days, clock changes, halts, quotes, its end, and a full disk."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from times import written

import synthetic
from commands import ask, log_of
from conftest import without
from days import DAY, EAGER, MINUTES, OPEN, Begun, agrees, bought, daily_trend, eager, trade_day, until_held
from harness import MILLISECOND, MINUTE, OPEN_AFTER, SECOND, LiveRun, parse
from invariants import NAME, broken, broken_at_last, protected

HOUR = 60 * MINUTE


def phase_at(run: LiveRun, at: int | str) -> str | None:
    """What the service does at a time."""
    run.wait_until(at)
    return run.phase


def sales(run: LiveRun) -> list[dict[str, Any]]:
    """Market orders that sell."""
    return [order for order in run.orders() if order["side"] == "sell" and order["type"] == "market"]


# ---- when sessions are ----

def test_a_half_day_ends_at_one(begun: Begun) -> None:
    """On 3 July 2024 trading ends at 13:00 in New York, and all is sold five minutes before."""
    date, opens, closes = "2024-07-03", "2024-07-03T13:30:00Z", parse("2024-07-03T17:00:00Z")
    run = begun("bear_trap", f"{date}T13:20:00Z", edits=EAGER | {"strategy_parameters.max_hold_minutes": 60})
    first = closes - 40 * MINUTE
    run.script(synthetic.restless(5, written(first), 40, run.symbols))
    run.start()
    assert phase_at(run, parse(opens) - MILLISECOND) == "waiting"
    assert phase_at(run, opens) == "trading"
    run.minutes(first, closes - 6 * MINUTE)
    assert run.positions(), "something is held five minutes before the close"
    assert all(parse(order["created_at"]) >= closes - 5 * MINUTE for order in sales(run))
    run.minutes(closes - 5 * MINUTE, closes - MINUTE)
    assert run.positions() == {} and run.open_orders() == []
    last = max(parse(order["created_at"]) for order in run.orders() if order["side"] == "buy")
    assert last < closes - 5 * MINUTE
    assert all(parse(order["created_at"]) < closes - 4 * MINUTE for order in sales(run)), sales(run)
    assert phase_at(run, closes + SECOND) == "waiting"
    run.wait_until(closes + 5 * SECOND)
    assert [record["date"] for record in run.journal.of("closes")] == [date]
    assert phase_at(run, closes + HOUR) == "waiting"
    assert not broken_at_last(run)
    assert run.term() == 0


@pytest.mark.parametrize(("days", "opens", "closes"), [
    (("2024-03-08", "2024-03-11"), ("14:30", "13:30"), ("21:00", "20:00")),
    (("2024-11-01", "2024-11-04"), ("13:30", "14:30"), ("20:00", "21:00"))])
def test_sessions_follow_new_york_when_its_clocks_change(
        begun: Begun, days: tuple[str, str], opens: tuple[str, str], closes: tuple[str, str]) -> None:
    """Over a weekend on which the clocks are changed, Monday's session lies an hour elsewhere in UTC."""
    run = begun("bear_trap", f"{days[0]}T12:00:00Z", edits=EAGER)
    starts = [parse(f"{day}T{at}:00Z") for day, at in zip(days, opens, strict=True)]
    for seed, start in enumerate(starts):
        run.script(synthetic.restless(seed, written(start), 20, run.symbols))
    run.start()
    for number, (day, start, at) in enumerate(zip(days, starts, closes, strict=True)):
        close = parse(f"{day}T{at}:00Z")
        before = bought(run)
        # An hour too early is too early, an hour too late too late.
        for hour in (start - HOUR, start - MILLISECOND):
            assert phase_at(run, hour) == "waiting"
            assert len(run.journal.of("opens")) == number
        assert phase_at(run, start) == "trading"
        run.minutes(start, start + 19 * MINUTE)
        assert bought(run) != before
        assert phase_at(run, close - MILLISECOND) == "trading"
        assert phase_at(run, close) == "waiting"
        run.wait_until(close + 5 * SECOND)
        assert [record["date"] for record in run.journal.of("closes")] == list(days[:number + 1])
        assert phase_at(run, close + HOUR) == "waiting"
    assert [record["date"] for record in run.journal.of("opens")] == list(days)
    assert run.term() == 0


def test_a_day_ends_at_midnight_in_new_york_and_nowhere_else(begun: Begun) -> None:
    """Limits of a day begin anew with the next session; neither midnight opens or closes anything."""
    edits = EAGER | {"risk_management.max_trades_per_day": 2}
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=edits)
    tomorrow = "2024-06-04T13:30:00Z"
    for seed, start in enumerate((OPEN, tomorrow)):
        run.script(synthetic.restless(seed, start, 20, run.symbols))
    run.start()
    run.wait_until(OPEN)
    run.minutes(OPEN, parse(OPEN) + 19 * MINUTE)
    assert len(bought(run)) == 2
    run.wait_until(f"{DAY}T20:00:10Z")
    for at in ("2024-06-03T23:59:59.999Z", "2024-06-04T00:00:00Z", "2024-06-04T00:00:01Z", "2024-06-04T03:59:59.999Z",
               "2024-06-04T04:00:00Z", "2024-06-04T13:29:59.999Z"):
        assert phase_at(run, at) == "waiting", at
        assert len(run.journal.of("opens")) == len(run.journal.of("closes")) == 1
    assert phase_at(run, tomorrow) == "trading"
    run.minutes(tomorrow, parse(tomorrow) + 19 * MINUTE)
    assert len(bought(run)) == 4
    names = {file.name for file in (run.state / "logs").iterdir()}
    for kind in ("decisions", "fills", "evaluated"):
        assert {f"bear_trap_{kind}_20240603.csv", f"bear_trap_{kind}_20240604.csv"} <= names
    assert {"bear_trap_20240603.jsonl", "bear_trap_20240604.jsonl"} <= names
    assert not broken_at_last(run)
    assert run.term() == 0


def test_a_time_limit_acts_without_bars(begun: Begun) -> None:
    """What is held is sold when its time is up, also if its symbol's bars have stopped coming."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    bars = synthetic.restless(2, OPEN, MINUTES, run.symbols)
    run.script({symbol: several[:4] for symbol, several in bars.items()})
    run.start()
    run.wait_until(OPEN)
    run.minutes(OPEN, parse(OPEN) + 3 * MINUTE)
    held = run.positions()
    assert held and not sales(run)
    filled = {event["order"]["symbol"]: parse(event["at"]) for event in run.fake.ask("events")
              if event["event"] == "fill" and event["order"]["side"] == "buy"}
    limit = run.config["strategy_parameters"]["max_hold_minutes"] * MINUTE
    # Counted from the start of the bar of the entry, and acted on with the last bar that could still come.
    due = max(filled.values()) // MINUTE * MINUTE + limit
    run.wait_until(due - SECOND)
    assert not sales(run)
    run.wait_until(due + 4 * SECOND)
    assert {order["symbol"]: int(order["qty"]) for order in sales(run)} == held, run.said()
    assert {order["id"] for order in run.open_orders()} == {order["id"] for order in sales(run)}
    for order in sales(run):
        run.fake.tell("fill", order=order["id"], price="47.00")
    agrees(run)
    assert run.positions() == {}
    assert run.term() == 0


def test_a_time_limit_counts_from_the_execution(begun: Begun) -> None:
    """What was bought while the service was down is sold when its time is up, not when that of the news is."""
    run = eager(begun)
    start = parse(OPEN)
    run.minutes(start, start + MINUTE)
    assert run.open_orders() and not run.positions(), "its entry is on its way"
    run.kill()
    run.minutes(start + 2 * MINUTE, start + 5 * MINUTE, strict=False)
    held = run.positions()
    assert held
    run.start()
    agrees(run)
    run.minutes(start + 6 * MINUTE, start + 9 * MINUTE)
    due = start + 2 * MINUTE + run.config["strategy_parameters"]["max_hold_minutes"] * MINUTE
    assert sales(run) and parse(sales(run)[0]["created_at"]) <= due + MINUTE, run.positions()
    assert run.term() == 0


# ---- what keeps an order from being sent ----

def refusals(run: LiveRun) -> list[str]:
    """Why orders were refused, as the journal has it; the log says the same."""
    run.settle()
    told = [record["why"] for record in run.journal.of("refused")]
    logged = [line["fields"]["message"] for line in log_of(run) if line["level"] == "WARN"]
    assert [f"refused: {why}" for why in told] == [message for message in logged if message.startswith("refused: ")]
    return told


@pytest.mark.parametrize(("halt", "resume"), [("2", "3"), ("H", "T")])
def test_a_halted_symbol_is_not_bought(begun: Begun, halt: str, resume: str) -> None:
    """Its entries are refused, those of others aren't; once it trades again it is bought."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    run.script(synthetic.restless(2, OPEN, MINUTES, run.symbols))
    run.start()
    run.wait_until(OPEN)
    status = {"sc": halt, "sm": "Trading Halt", "rc": "T1", "rm": "Halt News Pending"}
    run.fake.tell("messages", statuses={"AMC": [status]})
    run.settle()
    run.minutes(OPEN, parse(OPEN) + 14 * MINUTE)
    assert {order["symbol"] for order in run.orders() if order["side"] == "buy"} == {"GME"}
    why = refusals(run)
    assert why and all(one.startswith("halted: ") and "News Pending" in one for one in why), why
    run.fake.tell("messages", statuses={"AMC": [{"sc": resume, "sm": "Trading Resumption", "rc": "", "rm": ""}]})
    run.settle()
    run.minutes(parse(OPEN) + 15 * MINUTE, parse(OPEN) + 30 * MINUTE)
    assert "AMC" in {order["symbol"] for order in run.orders() if order["side"] == "buy"}
    assert refusals(run) == why
    assert not broken_at_last(run)
    assert run.term() == 0


def test_a_halt_is_remembered(begun: Begun) -> None:
    """A process that starts while a symbol is halted hears of no status; the journal tells it."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    run.script(synthetic.restless(2, OPEN, MINUTES, run.symbols))
    run.start()
    run.wait_until(OPEN)
    run.fake.tell("messages", statuses={"AMC": [{"sc": "2", "sm": "Trading Halt", "rc": "T1"}]})
    run.minutes(OPEN, parse(OPEN) + MINUTE)
    run.kill()
    run.start()
    run.minutes(parse(OPEN) + 2 * MINUTE, parse(OPEN) + 14 * MINUTE)
    assert {order["symbol"] for order in run.orders() if order["side"] == "buy"} == {"GME"}
    assert refusals(run)
    assert run.term() == 0


def test_a_halted_symbol_is_still_sold(begun: Begun) -> None:
    """Exits are never refused: the order waits at the broker until trading resumes."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    held = run.positions()
    run.fake.tell("messages", statuses={symbol: [{"sc": "2", "sm": "Trading Halt", "rc": "T1"}] for symbol in held})
    run.settle()
    run.minutes(next_one, next_one + 7 * MINUTE)
    assert {order["symbol"]: int(order["qty"]) for order in sales(run)} == held
    assert run.positions() == held
    run.fake.tell("messages", statuses={symbol: [{"sc": "3", "sm": "Trading Resumption"}] for symbol in held})
    run.minutes(next_one + 8 * MINUTE, next_one + 9 * MINUTE)
    assert not set(run.positions()) & set(held)
    assert run.term() == 0


FILTERS = {"execution.max_spread_pct": 1.0, "execution.min_liquidity_shares": 100,
           "execution.slippage_tolerance_pct": 0.5}
QUOTES = {"host": "data", "path": "quotes/latest"}


def edited(**values: Any) -> Callable[[LiveRun], None]:
    """Quotes have these values."""
    def change(run: LiveRun) -> None:
        run.fault("edit", on=QUOTES, count=None, set={f"quotes.*.{name}": value for name, value in values.items()})
    return change


def failing(run: LiveRun) -> None:
    run.fault("answer", on=QUOTES, count=None, status=500)


@pytest.mark.parametrize(("name", "change", "filters"), [
    ("max_spread_pct", edited(bp=40.0), FILTERS),
    ("min_liquidity_shares", edited(**{"as": 50}), FILTERS),
    ("slippage_tolerance_pct", edited(ap=60.0, bp=59.9), FILTERS),
    ("no_quote", edited(t="2024-06-03T13:29:00Z"), FILTERS),
    ("no_quote", edited(bp=60.0, ap=50.0), FILTERS),
    ("no_quote", edited(ap=0.0), FILTERS),
    ("no_quote", failing, FILTERS),
    ("no_quote", failing, {"execution.min_liquidity_shares": 100}),
])
def test_a_bad_quote_refuses_an_entry(
        begun: Begun, name: str, change: Callable[[LiveRun], None], filters: dict[str, float]) -> None:
    """A wide spread, few shares, a price that ran away, an old quote or none: by name in the log and the journal."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER | filters)
    run.script(synthetic.restless(2, OPEN, MINUTES, run.symbols))
    run.keep_quotes_fresh()
    change(run)
    run.start()
    run.wait_until(OPEN)
    run.minutes(OPEN, parse(OPEN) + 8 * MINUTE)
    why = refusals(run)
    assert len(why) > 2 and all(one.startswith(f"{name}: ") for one in why), why
    assert run.orders() == []
    run.fake.clear("faults")
    run.keep_quotes_fresh()
    run.minutes(parse(OPEN) + 9 * MINUTE, parse(OPEN) + 20 * MINUTE)
    assert bought(run), "with good quotes it buys"
    assert not broken_at_last(run)
    assert run.term() == 0


@pytest.mark.parametrize(("name", "prepare"), [
    ("buying_power", lambda run: run.fake.tell("account", cash="1000", multiplier="1")),
    ("not tradable", lambda run: run.fake.tell("assets", assets=[{"symbol": symbol, "tradable": False}
                                                                 for symbol in run.symbols])),
    ("not tradable", lambda run: run.fake.tell("assets", assets=[{"symbol": symbol, "status": "inactive"}
                                                                 for symbol in run.symbols])),
])
def test_what_the_account_cannot_buy_is_not_ordered(
        begun: Begun, name: str, prepare: Callable[[LiveRun], None]) -> None:
    """Too little money, or a symbol that the broker doesn't trade: by name in the log and the journal."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    run.script(synthetic.restless(2, OPEN, MINUTES, run.symbols))
    prepare(run)
    run.start()
    run.wait_until(OPEN)
    run.minutes(OPEN, parse(OPEN) + 8 * MINUTE)
    why = refusals(run)
    assert why and all(one.startswith(f"{name}: ") for one in why), why
    assert run.orders() == []
    assert run.term() == 0


def test_an_entry_that_waited_too_long_expires(begun: Begun) -> None:
    """A decision that is more than a minute old opens nothing: here its quote took so long."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER | FILTERS)
    run.script(synthetic.restless(2, OPEN, 2, run.symbols))
    run.keep_quotes_fresh()
    run.fault("delay", on=QUOTES, count=None, seconds=1.5)
    run.start()
    run.wait_until(OPEN)
    run.minute(parse(OPEN))
    run.minute(parse(OPEN) + MINUTE, strict=False)
    assert run.journal.of("bars")[-1]["decided"]
    run.to(run.clock.now + 62 * SECOND)
    run.until(lambda: run.journal.of("refused"), "it is refused")
    assert set(refusals(run)) == {"expired"}
    assert run.orders() == []
    assert run.term() == 0


# ---- how it ends ----

def test_sigterm_keeps_what_is_held_and_its_protection(begun: Begun) -> None:
    """It ends with 0 within three seconds; positions and stops stay, and the next start goes on from there."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    held, orders = run.positions(), {order["id"] for order in run.open_orders()}
    begin = time.monotonic()
    assert run.term() == 0
    assert time.monotonic() - begin < 3.0
    assert run.positions() == held and {order["id"] for order in run.open_orders()} == orders
    assert all(protected(run.orders(), symbol)[0] == shares for symbol, shares in held.items())
    assert run.heartbeat["phase"] == "stopped"
    run.start()
    agrees(run)
    assert {order["id"] for order in run.open_orders()} == orders
    run.minutes(next_one, next_one + 8 * MINUTE)
    assert not broken_at_last(run)
    assert run.term() == 0


def test_ctrl_c_ends_it_as_well(begun: Begun) -> None:
    """SIGINT keeps what is held, and is told from SIGTERM by the exit code."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    held = run.positions()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(5) == 130
    assert run.positions() == held
    assert all(protected(run.orders(), symbol)[0] == shares for symbol, shares in held.items())


def test_sigterm_does_not_wait_for_a_broker_that_hangs(begun: Begun) -> None:
    """An order without an answer doesn't keep it longer than three seconds; the next start looks it up."""
    run = eager(begun)
    fault = run.fault("delay", on={"method": "POST", "path": "^/v2/orders$"}, count=None, seconds=20)
    start = parse(OPEN)
    for place in range(15):
        run.minute(start + place * MINUTE, strict=False)
        if any(of["used"] for of in run.fake.ask("faults") if of["id"] == fault["id"]):
            break
    begin = time.monotonic()
    assert run.term() == 0
    assert time.monotonic() - begin < 3.5
    run.fake.clear("faults")
    run.start()
    agrees(run)
    run.minutes(start + (place + 1) * MINUTE, start + (place + 9) * MINUTE)
    assert not broken_at_last(run)
    assert run.term() == 0


def test_it_can_sell_everything_when_it_stops(begun: Begun) -> None:
    """With --on-stop flatten SIGTERM cancels all orders and sells all; the next start trades again."""
    run = eager(begun, arguments=["--on-stop", "flatten"])
    next_one = until_held(run, parse(OPEN))
    run.process.terminate()
    run.until(lambda: run.open_orders() and {order["type"] for order in run.open_orders()} == {"market"},
              "all is cancelled but what sells")
    run.settle()
    run.fake.tell("clock", set=written(next_one + OPEN_AFTER))
    assert run.term() == 0
    assert run.positions() == {} and run.open_orders() == []
    assert not broken(run)
    run.clock.set(next_one + OPEN_AFTER)
    run.start()
    before = bought(run)
    run.minutes(next_one, next_one + 14 * MINUTE)
    assert run.phase == "trading", "nobody has killed it"
    assert bought(run) != before
    assert not broken_at_last(run)
    run.kill()


def test_what_is_held_overnight_is_sold_at_the_next_open(begun: Begun, tmp_path: pathlib.Path) -> None:
    """Told to sell everything at night, it does so in the morning, and opens nothing instead."""
    run, _, dates = daily_trend(begun, tmp_path, "2024-02-12", "2024-02-14")
    run.start()
    for date in dates[:2]:
        trade_day(run, date)
    held = run.positions()
    assert held
    run.wait_until(f"{dates[1]}T23:00:00Z")
    assert ask(run, "kill", "--who", "ops", "--why", "out, now", "--flatten").code == 0
    run.until(lambda: run.phase == "flattening", "it flattens")
    run.settle()
    assert run.open_orders() == [], "at night nothing is sent"
    trade_day(run, dates[2])
    assert {order["symbol"]: int(order["filled_qty"]) for order in sales(run)} == held
    assert run.positions() == {} and run.phase == "killed"
    assert run.term() == 0


@contextlib.contextmanager
def small_disk(folder: pathlib.Path, kilobytes: int) -> Iterator[None]:
    """A folder on a disk of its own that is soon full."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        without("live", f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_disk(folder: pathlib.Path, pages: int) -> pathlib.Path:
    """Takes all room but some pages; the file that takes it."""
    filler, free = folder / "filler", os.statvfs(folder)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - pages * 4_096))
    return filler


def is_all_planned(run: LiveRun) -> bool:
    """Whether the journal tells of all orders that the broker got from the service."""
    sent = {order["client_order_id"] for order in run.orders() if NAME.match(order["client_order_id"])}
    return sent <= {record["id"] for record in run.journal.of("planned")}


@pytest.mark.parametrize("left", [0, 9])
def test_a_full_disk_leaves_nothing_unprotected(begun: Begun, left: int) -> None:
    """Room is kept for exits: what is held has its stops, and is sold in time. With space again it trades."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    with small_disk(run.state, 2_048):
        run.script(synthetic.restless(2, OPEN, MINUTES, run.symbols))
        run.start()
        run.wait_until(OPEN)
        next_one = until_held(run, parse(OPEN))
        filler = fill_disk(run.state, left)
        for place in range(10):
            run.minute(next_one + place * MINUTE)
            assert all(sum(protected(run.orders(), symbol)) == shares for symbol, shares in run.positions().items())
        assert is_all_planned(run)
        run.kill()
        filler.unlink()
        run.start()
        agrees(run)
        run.minutes(next_one + 10 * MINUTE, next_one + 24 * MINUTE)
        assert run.phase == "trading"
        assert not broken_at_last(run), run.said()
        assert run.term() == 0


@pytest.mark.parametrize("left", [8, 20])
def test_a_disk_without_room_for_exits_opens_nothing(begun: Begun, left: int) -> None:
    """Where no room can be kept it buys nothing, and ends with an error once it can't write at all."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    with small_disk(run.state, 2_048):
        run.script(synthetic.restless(2, OPEN, MINUTES, run.symbols))
        filler = fill_disk(run.state, left)
        run.start()
        run.wait_until(OPEN)
        assert run.phase == "degraded" and "the disk is full" in run.journal.of("phase")[-1]["why"]
        for place in range(MINUTES):
            if run.process.poll() is None:
                run.minute(parse(OPEN) + place * MINUTE, strict=False)
        code = run.process.poll()
        run.kill()
        said = (run.place / "stderr").read_text()
        assert code is None or (code == 2 and "cannot-write" in said and "No space left" in said), (code, said)
        assert run.orders() == []
        filler.unlink()
        run.start()
        agrees(run)
        assert run.phase == "trading"
        assert run.term() == 0
