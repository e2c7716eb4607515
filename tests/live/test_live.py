"""The live service against the stand-in for Alpaca: days as the replay has them, and ends as they should be.

    MAGELLAN_BINARY=target/release/magellan python -m pytest tests/live

MAGELLAN_MARKET_DATA may name a folder of recorded minutes (GME_1min_20240401_20240630.parquet, …): then recorded days
are traded as well. Nothing of them is kept.
"""
import os
import pathlib
import time
from typing import Any

import pytest

import synthetic
from comparison import differences
from conftest import without
from days import (DAY, EAGER, MINUTES, OPEN, Begun, agrees, daily_trend, eager, hourly_swing, sample, session_of,
                  trade_day, trade_hours, trade_minutes, until_held)
from harness import GRACE, MINUTE, OPEN_AFTER, LiveRun, parse, written
from invariants import broken, broken_at_last, journalled, protected
from reference import Archive

RECORDED = os.environ.get("MAGELLAN_MARKET_DATA")


def archive_of(source: str, place: pathlib.Path, symbols: list[str]) -> Archive:
    if source == "sample":
        return sample(place)
    if not RECORDED:
        without("market_data", "MAGELLAN_MARKET_DATA names no recorded minutes")
    return Archive(place).import_files(*(pathlib.Path(RECORDED, f"{symbol}_1min_20240401_20240630.parquet")
                                         for symbol in symbols))


def same(run: LiveRun, replayed: dict[str, list[dict[str, str]]]) -> None:
    """Live is as replayed, or what differs is told."""
    if found := differences({kind: run.rows(kind) for kind in ("decisions", "fills")}, replayed):
        pytest.fail("\n".join(found), pytrace=False)


# ---- a day as the replay has it ----

@pytest.mark.parametrize(("source", "date"), [
    ("sample", "2024-04-16"), ("sample", "2024-05-22"), ("recorded", "2024-06-03"), ("recorded", "2024-05-14"),
    ("recorded", "2024-06-18"), ("recorded", "2024-04-04")])
def test_a_day_of_bear_trap_is_as_replayed(source: str, date: str, tmp_path: pathlib.Path, begun: Begun) -> None:
    """What the gate judged is what trades: the same bars give the same decisions, and the same fills to the cent."""
    before, _ = session_of(date)
    run = begun("bear_trap", written(before - 10 * MINUTE))
    archive = archive_of(source, tmp_path, run.symbols)
    replayed = archive.replayed("bear_trap", run.deployed, date, date)
    assert replayed["fills"], "a day without a trade shows nothing"
    trade_minutes(run, date, archive.bars(run.symbols, "1Min", date, date))
    same(run, replayed)
    assert not broken(run)
    assert run.positions() == {} and run.open_orders() == []
    assert run.term() == 0


def test_targets_are_as_replayed(tmp_path: pathlib.Path, begun: Begun) -> None:
    """A position that is sold in parts ends at the broker as in the replay: both targets, the moved stop, the rest."""
    run = begun("bear_trap", f"{DAY}T13:20:00Z", edits={"symbols": ["AMC", "GME", "SNDL"]})
    bars = synthetic.rebounds(OPEN)
    replayed = Archive(tmp_path).import_bars(bars).replayed("bear_trap", run.deployed, DAY, DAY)
    assert {"tp1", "tp2", "stop", "time"} <= {fill["reason"] for fill in replayed["fills"]}
    trade_minutes(run, DAY, bars)
    same(run, replayed)
    assert not broken(run)
    assert run.term() == 0


# ---- slower strategies ----

def test_days_of_daily_trend_are_as_replayed(tmp_path: pathlib.Path, begun: Begun) -> None:
    """Daily bars are asked for after the close, and what they say is traded at the next open."""
    first, last = "2024-02-08", "2024-02-21"
    run, archive, dates = daily_trend(begun, tmp_path, first, last)
    replayed = archive.replayed("daily_trend", run.deployed, first, last)
    assert {row["order"][:3] for row in replayed["decisions"]} >= {"buy", "clo"}
    run.start()
    for date in dates:
        trade_day(run, date)
    same(run, replayed)
    assert not [what for what in broken(run) if "stopped" not in what]
    assert run.term() == 0


def test_hours_of_hourly_swing_are_as_replayed(tmp_path: pathlib.Path, begun: Begun) -> None:
    """Hours are put together from minutes, and are those that the replay has."""
    first, last = "2024-04-01", "2024-04-12"
    run, archive, dates = hourly_swing(begun, tmp_path, first, last)
    replayed = archive.replayed("hourly_swing", run.deployed, first, last)
    assert {row["order"][:3] for row in replayed["decisions"]} >= {"buy", "clo"}
    run.start()
    for date in dates:
        trade_hours(run, date)
    same(run, replayed)
    assert not [what for what in broken(run) if "stopped" not in what]
    assert run.term() == 0


# ---- crashes ----

def test_a_crash_with_a_position_leaves_it_protected(begun: Begun) -> None:
    """What protects a position lies at the broker, and a restart neither doubles nor loses it."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.minute(next_one)
    held, orders = run.positions(), {order["id"] for order in run.open_orders()}
    run.kill()
    assert all(protected(run.orders(), symbol)[0] == shares for symbol, shares in held.items())
    run.start()
    agrees(run)
    assert {order["id"] for order in run.open_orders()} == orders
    run.minutes(next_one + MINUTE, next_one + 10 * MINUTE)
    agrees(run)
    assert run.term() == 0


@pytest.mark.parametrize("arrives", [True, False])
def test_a_crash_with_an_entry_in_flight_buys_once(begun: Begun, arrives: bool) -> None:
    """A process that died without an answer looks its order up; it is bought once if it arrived and once if not."""
    run = eager(begun)
    start = parse(OPEN)
    fault = run.fault("timeout", on={"method": "POST", "path": "^/v2/orders$"}, carry_out=arrives, seconds=4)
    for place in range(15):
        run.minute(start + place * MINUTE, strict=False)
        if any(of["used"] for of in run.fake.ask("faults") if of["id"] == fault["id"]):
            break
    run.kill()
    run.fake.clear("faults")
    run.start()
    agrees(run)
    names = [order["client_order_id"] for order in run.orders()]
    assert len(names) == len(set(names))
    run.minutes(start + (place + 1) * MINUTE, start + (place + 12) * MINUTE)
    agrees(run)
    assert run.term() == 0


@pytest.mark.parametrize("skip", range(8))
def test_a_crash_before_the_broker_answers_is_mended(begun: Begun, skip: int) -> None:
    """Whichever request was under way when the process died (entry, cancelling, a target, a stop), it is made good."""
    run = eager(begun)
    start = parse(OPEN)
    run.fault("delay", on={"host": "trading", "method": "POST|DELETE|PATCH"}, skip=skip, seconds=4)
    for place in range(25):
        run.minute(start + place * MINUTE, strict=False)
        if any(of["used"] for of in run.fake.ask("faults")):
            break
    else:
        pytest.fail(f"there were no {skip + 1} requests")
    run.kill()
    run.fake.clear("faults")
    run.start()
    agrees(run)
    run.minutes(start + (place + 1) * MINUTE, start + (place + 8) * MINUTE)
    agrees(run)
    assert run.term() == 0


def test_a_crash_keeps_what_the_day_has_recorded(begun: Begun) -> None:
    """Decisions and fills of the day are in its files after a restart as before it."""
    run = eager(begun)
    start = parse(OPEN)
    run.minutes(start, start + 19 * MINUTE)
    before = {kind: run.rows(kind) for kind in ("decisions", "fills")}
    assert before["fills"], "nothing was sold yet"
    run.kill()
    run.start()
    agrees(run)
    assert {kind: run.rows(kind)[:len(rows)] for kind, rows in before.items()} == before
    assert run.term() == 0


def test_a_fill_while_it_is_down_is_learnt(begun: Begun) -> None:
    """Trade updates aren't repeated: what was executed in between is asked for."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.kill()
    [symbol] = list(run.positions())[:1]
    stop = next(order for order in run.open_orders() if order["symbol"] == symbol and order["type"] == "stop"
                and order["status"] == "new")
    run.fake.tell("fill", order=stop["id"], price=stop["stop_price"])
    run.start()
    agrees(run)
    run.minutes(next_one, next_one + 5 * MINUTE)
    agrees(run)
    assert run.term() == 0


@pytest.mark.parametrize("fault", [{"kind": "drop", "carry_out": True}, {"kind": "delay", "seconds": 4}])
def test_an_entry_that_fills_while_it_is_down_is_learnt(begun: Begun, fault: dict[str, Any]) -> None:
    """An order without an answer is looked up before anything else, also when it works no more."""
    run = eager(begun)
    start = parse(OPEN)
    run.fake.tell("faults", fault | {"on": {"method": "POST", "path": "^/v2/orders$"}, "count": 2})
    run.fault("drop", on={"path": "by_client_order_id"}, count=None)
    for place in range(15):
        run.minute(start + place * MINUTE, strict=False)
        if any(order["side"] == "buy" for order in run.orders()):
            break
    run.kill()
    run.fake.clear("faults")
    run.to(start + (place + 1) * MINUTE + OPEN_AFTER)
    assert run.positions(), "it wasn't filled"
    run.start()
    agrees(run)
    run.minutes(start + (place + 2) * MINUTE, start + (place + 10) * MINUTE)
    agrees(run)
    assert run.term() == 0


def test_a_moved_stop_that_fills_while_it_is_down_is_learnt(begun: Begun) -> None:
    """A moved stop is another order at the broker: that one is looked up, not the one it stands for."""
    run = begun("bear_trap", f"{DAY}T13:20:00Z", edits={"symbols": ["AMC", "GME", "SNDL"]})
    run.script(synthetic.rebounds(OPEN))
    run.keep_quotes_fresh()
    run.start()
    start = parse(OPEN)
    for place in range(60):
        run.minute(start + place * MINUTE)
        if moved := [order for order in run.open_orders() if order["replaces"]]:
            break
    run.kill()
    run.fake.tell("fill", order=moved[0]["id"], price=moved[0]["stop_price"])
    run.start()
    agrees(run)
    run.minutes(start + (place + 1) * MINUTE, start + (place + 4) * MINUTE)
    agrees(run)
    assert run.term() == 0


@pytest.mark.parametrize("fault", [
    {"kind": "answer", "status": 503}, {"kind": "rate_limit"}, {"kind": "drop"}, {"kind": "drop", "carry_out": True}])
def test_a_cancellation_without_an_answer_is_made_good(begun: Begun, fault: dict[str, Any]) -> None:
    """Nobody knows whether it was done: it is looked up, and asked for again if it wasn't."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.fake.tell("faults", fault | {"on": {"host": "trading", "method": "DELETE"}, "count": None})
    # So long that every time limit passes.
    run.minutes(next_one, next_one + 9 * MINUTE)
    assert all(of["used"] for of in run.fake.ask("faults"))
    run.fake.clear("faults")
    # It tries again after a second.
    time.sleep(2.5)
    run.minutes(next_one + 10 * MINUTE, next_one + 12 * MINUTE)
    agrees(run)
    assert not overdue(run), "what was to be sold by its time limit is still held"
    assert run.term() == 0


def overdue(run: LiveRun) -> list[str]:
    """Symbols held for longer than the strategy holds anything, by half as much again."""
    limit = run.config["strategy_parameters"]["max_hold_minutes"] * MINUTE * 3 // 2
    held = run.positions()
    last = {event["order"]["symbol"]: parse(event["at"]) for event in run.fake.ask("events")
            if event["event"] == "fill" and event["order"]["side"] == "buy"}
    return [symbol for symbol in held if run.clock.now - last[symbol] > limit]


def test_a_partial_entry_whose_rest_is_not_cancelled_is_protected(begun: Begun) -> None:
    """What an unfinished entry bought has no stop until its rest is cancelled: that is asked for again."""
    run = eager(begun)
    start = parse(OPEN)
    run.fault("partial_fill", on={"side": "buy"}, fraction="0.5", then="stay")
    run.fault("answer", on={"host": "trading", "method": "DELETE"}, status=500, count=2)
    for place in range(6):
        run.minute(start + place * MINUTE)
    time.sleep(1.2)
    run.minute(start + 6 * MINUTE)
    agrees(run)
    assert run.term() == 0


def test_a_stop_that_is_heard_of_before_its_entry_is_understood(begun: Begun) -> None:
    """An update that got lost is looked up: what sold tells that what it sold had been bought."""
    run = eager(begun)
    start = parse(OPEN)
    run.fault("lose", on={"stream": "trading", "event": "^fill$"}, count=1)
    for place in range(15):
        if run.positions():
            break
        run.to(start + place * MINUTE + OPEN_AFTER)
        run.settle()
        if not run.positions():
            run.minute(start + place * MINUTE)
    lost = [order for order in run.orders() if order["side"] == "buy" and order["status"] == "filled"][0]
    stop = next(order for order in run.open_orders() if order["symbol"] == lost["symbol"] and order["type"] == "stop")
    run.fake.tell("fill", order=stop["id"], price=stop["stop_price"])
    agrees(run)
    assert run.phase == "trading"
    assert run.term() == 0


def test_a_crash_in_the_middle_of_a_line_is_survived(begun: Begun) -> None:
    """The last line of a journal may be cut off: it is dropped, and nothing else."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.kill()
    with (run.state / "journal.jsonl").open("ab") as file:
        file.write(b'99999 0011223344556677 {"what":"hea')
    run.start()
    agrees(run)
    run.minutes(next_one, next_one + 5 * MINUTE)
    agrees(run)
    assert run.term() == 0


# ---- what a person or a network does ----

def test_the_kill_switch_ends_entries_and_keeps_protection(begun: Begun) -> None:
    """An empty file stops all buying at once; what is held stays protected and is sold as planned."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    (run.state / "kill").touch()
    run.until(lambda: run.phase == "killed", "the kill switch is seen")
    run.settle()
    def bought() -> list[str]:
        return [order["id"] for order in run.orders() if order["side"] == "buy" and int(order["filled_qty"])]
    before = bought()
    assert not [order for order in run.open_orders() if order["side"] == "buy"]
    assert not broken_at_last(run)
    run.minutes(next_one, next_one + 12 * MINUTE)
    assert bought() == before
    assert run.positions() == {}
    agrees(run)
    assert run.term() == 0


def test_a_lost_socket_costs_no_bar(begun: Begun) -> None:
    """What was missed while the sockets were down is asked for, and recorded as seen too late to trade on."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.fake.tell("drop", how="mid_frame")
    for place in range(2):
        run.minute(next_one + place * MINUTE, strict=False)
    run.until(run.is_connected, "it connects again")
    run.settle()
    run.minutes(next_one + 2 * MINUTE, next_one + 5 * MINUTE)
    starts = [record["start"] for record in run.journal.of("bars")]
    assert starts == sorted(set(starts))
    assert {next_one, next_one + MINUTE, next_one + 2 * MINUTE} <= set(starts)
    agrees(run)
    assert run.term() == 0


def test_keys_that_are_refused_are_told_and_not_written(begun: Begun) -> None:
    """Wrong keys end the service with an error that names the cause and not the key."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    run.fake.tell("settings", secret="another")
    run.start(wait=False)
    end = time.monotonic() + 30
    while run.runs and time.monotonic() < end and run.phase != "halted":
        time.sleep(0.05)
    assert not run.runs or run.phase == "halted", run.said()
    if not run.runs:
        assert run.process.wait() != 0
    text = (run.place / "stderr").read_text() + (run.place / "stdout").read_text()
    assert "401" in text or "key" in text.lower()
    assert not [what for what in broken(run) if "secret" in what]


def test_the_journal_adds_up_to_what_is_held(begun: Begun) -> None:
    """After every minute, not just at the end."""
    run = eager(begun, seed=3)

    def check(start: int) -> None:
        run.journal.read()
        assert journalled(run.journal.records) == run.positions()
    run.minutes(OPEN, parse(OPEN) + (MINUTES - 1) * MINUTE, each=check)
    agrees(run)
    assert run.term() == 0


assert GRACE < OPEN_AFTER, "the open is traded after all was decided"
