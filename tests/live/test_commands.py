"""What a person tells a live service and asks about it: reconcile, kill, parity, monitor; and starts to be refused."""
import datetime
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sessions import Calendar

import synthetic
from commands import Record, Said, ask, changed, decisions, log_of, records_of, verdict, write_journal
from days import (DAY, EAGER, OPEN, Begun, agrees, bought, daily_trend, eager, end_session, hourly_swing,
                  session_of, set_config, trade_day, trade_hours, until_held)
from harness import MINUTE, REPOSITORY, SECOND, SECRET, Fake, LiveRun, parse
from invariants import journalled, protected
from reference import Archive


def told_positions(run: LiveRun) -> dict[str, int]:
    """What the broker says is held."""
    return {of["symbol"]: int(of["qty"]) for of in run.fake.trade("GET", "/v2/positions")}


def changes(run: LiveRun) -> list[dict[str, Any]]:
    """Requests that change something at the broker."""
    return run.requests(host="trading", method="POST|PATCH|DELETE")


def compare_now(run: LiveRun) -> None:
    """The service compares itself with the broker after each connection."""
    run.fake.tell("drop", stream="trading")


def by_hand(run: LiveRun, symbol: str, shares: int) -> None:
    """Somebody changes a position without an order of the service's."""
    price = next(of["avg_entry_price"] for of in run.fake.trade("GET", "/v2/positions") if of["symbol"] == symbol)
    run.fake.tell("positions", positions=[{"symbol": symbol, "qty": str(shares), "avg_entry_price": price}])


def halts(run: LiveRun) -> None:
    run.until(lambda: run.phase == "halted", "it halts")
    run.settle()


# ---- reconcile ----

def test_what_is_equal_reconciles(begun: Begun) -> None:
    """With a position and its stop at the broker, and nothing else, there is no difference."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    run.kill()
    said = ask(run, "reconcile")
    assert (said.code, said.out) == (0, "The broker's orders and positions are as the journal says.\n"), said
    assert [order["status"] for order in run.open_orders() if order["type"] == "stop"], "its stop is still there"


def test_a_stop_that_is_gone_is_told(begun: Begun) -> None:
    """Equal positions are not all: what protects them must work, too. The service places it anew."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    run.kill()
    [gone] = [order for order in run.open_orders() if order["type"] == "stop"][:1]
    run.fake.trade("DELETE", f"/v2/orders/{gone['id']}")
    said = ask(run, "reconcile")
    assert said.code == 7 and f"doesn't work at the broker: sell {gone['qty']} {gone['symbol']}" in said.out, said
    assert "start the service first" in said.err, said
    run.start()
    run.settle()
    for symbol, shares in run.positions().items():
        assert sum(protected(run.open_orders(), symbol)) >= shares, symbol
    assert run.term() == 0


def test_an_order_that_was_made_smaller_halts(begun: Begun) -> None:
    """A stop for fewer shares than are held protects only these: nobody goes on as if it were whole."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    [stop] = [order for order in run.open_orders() if order["type"] == "stop" and int(order["qty"]) > 5][:1]
    run.fake.trade("PATCH", f"/v2/orders/{stop['id']}", {"qty": "5"})
    compare_now(run)
    halts(run)
    assert "an order was changed at the broker: 5 shares instead of" in (run.place / "stderr").read_text(), run.said()
    assert run.term() == 0


def test_reconcile_is_refused_while_the_service_runs(begun: Begun) -> None:
    """Two processes never work with one journal."""
    run = eager(begun)
    before = run.journal.size
    for arguments in ([], ["--accept", "ops", "why"]):
        said = ask(run, "reconcile", *arguments)
        assert said.code == 8 and "state-in-use" in said.err, said
    assert run.journal.size == before
    assert run.term() == 0


@pytest.mark.parametrize(("left", "minutes"), [(400, 8), (0, 0)])
def test_a_position_sold_by_hand_halts_until_it_is_accepted(begun: Begun, left: int, minutes: int) -> None:
    """Nothing is sent until a person has looked; then it trades on with what the broker has, and protects it anew."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    symbol = next(iter(run.positions()))
    by_hand(run, symbol, left)
    compare_now(run)
    halts(run)
    before = len(changes(run))
    # What lies at the broker may still execute.
    run.minutes(next_one, next_one + (minutes - 1) * MINUTE)
    run.until(lambda: run.heartbeat["phase"] == "halted", "the heartbeat says so")
    assert run.phase == "halted"
    assert len(changes(run)) == before, "a halted service sends nothing"
    assert run.term() == 0
    # A restart is no look.
    run.start(wait=False)
    halts(run)
    assert len(changes(run)) == before
    assert run.term() == 0
    ours, theirs = journalled(run.journal.records)[symbol], told_positions(run).get(symbol)
    said = ask(run, "reconcile")
    assert (said.code, said.out) == (7, f"{symbol}: the broker holds {f'{theirs} shares' if theirs else 'none'}, "
                                        f"the journal says {ours}\n"), said
    accepted = ask(run, "reconcile", "--accept", "ops", "sold by hand")
    assert accepted.code == 0, accepted
    assert ask(run, "reconcile").code == 0
    [record] = run.journal.of("accepted")
    assert (record["who"], record["why"], record["positions"][symbol][0]) == ("ops", "sold by hand", theirs or 0)
    run.start(wait=False)
    run.until(lambda: run.phase == "trading" and run.is_connected(), "it trades on")
    run.settle()
    held = told_positions(run)
    assert journalled(run.journal.records) == held
    for symbol, shares in held.items():
        assert sum(protected(run.orders(), symbol)) == shares, run.said()
    before = bought(run)
    run.minutes(next_one + minutes * MINUTE, next_one + 24 * MINUTE)
    assert bought(run) != before, "it buys again"
    assert run.phase == "trading"
    assert journalled(run.journal.records) == told_positions(run)
    assert run.term() == 0


def test_what_was_bought_by_hand_is_accepted(begun: Begun) -> None:
    """More than the journal says is taken over as well; the service protects what it bought itself."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    symbol, held = next(iter(run.positions().items()))
    by_hand(run, symbol, held + 100)
    compare_now(run)
    halts(run)
    assert run.term() == 0
    said = ask(run, "reconcile", "--accept", "ops", "bought by hand")
    assert said.code == 0 and f"{held + 100}" in said.out and f"{held}" in said.out, said
    run.start(wait=False)
    run.until(lambda: run.phase == "trading" and run.is_connected(), "it trades on")
    run.settle()
    assert told_positions(run)[symbol] == held + 100 and sum(protected(run.orders(), symbol)) >= held
    run.minutes(next_one, next_one + 8 * MINUTE)
    assert journalled(run.journal.records) == told_positions(run)
    assert run.phase == "trading"
    assert run.term() == 0


def test_a_foreign_order_halts_and_stays_when_it_is_accepted(begun: Begun) -> None:
    """An order of somebody else's is named; accepted, it is neither cancelled nor asked about again."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    foreign = run.fake.trade("POST", "/v2/orders", {
        "symbol": "SNDL", "qty": "7", "side": "buy", "type": "limit", "limit_price": "1.00", "time_in_force": "gtc",
        "client_order_id": "of-somebody-else"})
    halts(run)
    why = [record["why"] for record in run.journal.of("phase") if record["phase"] == "halted"]
    assert "of-somebody-else" in why[-1], why
    assert run.term() == 0
    said = ask(run, "reconcile")
    assert said.code == 7 and "buy 7 SNDL, named of-somebody-else" in said.out, said
    assert ask(run, "reconcile", "--accept", "ops", "it is mine").code == 0
    assert ask(run, "reconcile").code == 0
    run.start(wait=False)
    run.until(lambda: run.phase == "trading" and run.is_connected(), "it trades on")
    compare_now(run)
    run.until(run.is_connected, "it listens again")
    agrees(run)
    assert run.phase == "trading"
    assert foreign["id"] in {order["id"] for order in run.open_orders()}
    assert run.term() == 0


def test_a_symbol_of_nobodys_cannot_be_accepted(begun: Begun) -> None:
    """What the strategy doesn't trade is named, and isn't taken over: it must be sold, or moved."""
    run = eager(begun)
    assert run.term() == 0
    run.fake.tell("positions", positions=[{"symbol": "SPCE", "qty": "5", "avg_entry_price": "2"}])
    said = ask(run, "reconcile")
    assert (said.code, said.out) == (7, "SPCE: the broker holds 5 shares, the journal says 0\n"), said
    size = run.journal.size
    said = ask(run, "reconcile", "--accept", "ops", "why")
    assert said.code == 2 and "SPCE isn't among the strategy's symbols" in said.err, said
    assert run.journal.size == size


def test_acceptance_needs_a_name_and_a_reason(begun: Begun) -> None:
    """Nobody accepts for nothing."""
    run = eager(begun)
    assert run.term() == 0
    before = run.journal.size
    for arguments in (["--accept", "", "why"], ["--accept", "ops", " "], ["--accept", "ops"]):
        assert ask(run, "reconcile", *arguments).code == 2
    assert run.journal.size == before


def flip(file: pathlib.Path, line: int) -> bytes:
    """Changes a byte in the middle of a line."""
    lines = file.read_bytes().splitlines(keepends=True)
    middle = len(lines[line]) // 2
    lines[line] = lines[line][:middle] + bytes([lines[line][middle] ^ 1]) + lines[line][middle + 1:]
    file.write_bytes(b"".join(lines))
    return file.read_bytes()


@pytest.mark.parametrize("where", ["middle", "last"])
def test_a_damaged_journal_is_not_believed(begun: Begun, where: str) -> None:
    """A changed byte ends every command with an error that names the line; nothing is sent, and nothing repaired."""
    run = eager(begun)
    until_held(run, parse(OPEN))
    run.kill()
    file = run.state / "journal.jsonl"
    count = len(file.read_bytes().splitlines())
    line = count // 2 if where == "middle" else count - 1
    damaged, before = flip(file, line), len(run.requests(host="trading"))
    for command, arguments in (("run", []), ("reconcile", []), ("reconcile", ["--accept", "ops", "why"]),
                               ("parity", ["--date", DAY])):
        said = ask(run, command, *arguments)
        assert said.code == 3 and "journal-damaged" in said.err and f"line {line + 1}" in said.err, (command, said)
        assert file.read_bytes() == damaged, command
    assert len(run.requests(host="trading")) == before
    assert run.heartbeat["phase"] == "stopped"


@pytest.mark.parametrize("other", [{"strategy": "hourly_swing"}, {"account_id": "ANOTHER"}])
def test_the_journal_of_another_is_refused(begun: Begun, other: dict[str, str]) -> None:
    """A folder of state belongs to one strategy and one account."""
    run = eager(begun)
    assert run.term() == 0
    if "strategy" in other:
        shutil.copytree(REPOSITORY / "deployed" / other["strategy"], run.deployed / other["strategy"])
        run.strategy = other["strategy"]
    else:
        set_config(run, "account_info", run.config["account_info"] | other)
    before, size = len(changes(run)), run.journal.size
    for command in ("run", "reconcile"):
        said = ask(run, command)
        assert said.code == 2 and "journal-of-another" in said.err, (command, said)
    assert (len(changes(run)), run.journal.size) == (before, size)


# ---- kill ----

def test_a_kill_survives_restarts_until_it_is_taken_back(begun: Begun) -> None:
    """It opens nothing, sells as planned, stays so after a crash, and trades again when it is told to."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    said = ask(run, "kill", "--who", "ops", "--why", "looks odd")
    assert said.code == 0 and "It opens no position" in said.out, said
    run.until(lambda: run.phase == "killed", "it is killed")
    [record] = run.journal.of("control")
    assert (record["control"], record["who"], record["why"]) == ("kill", "ops", "looks odd")
    before = bought(run)
    run.minutes(next_one, next_one + 4 * MINUTE)
    run.kill()
    run.start()
    assert run.phase == "killed"
    run.minutes(next_one + 5 * MINUTE, next_one + 12 * MINUTE)
    assert bought(run) == before and run.positions() == {}
    agrees(run)
    assert ask(run, "kill", "--who", "ops", "--why", "it was the feed", "--resume").code == 0
    run.until(lambda: run.phase == "trading", "it trades again")
    run.minutes(next_one + 13 * MINUTE, next_one + 24 * MINUTE)
    assert bought(run) != before
    agrees(run)
    assert run.term() == 0


@pytest.mark.parametrize("kind", ["pipe", "dangling", "device"])
def test_whatever_is_named_kill_kills(begun: Begun, kind: str) -> None:
    """A name is enough, and what isn't a file is never read: a pipe would not end."""
    run = eager(begun)
    file = run.state / "kill"
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "dangling":
            file.symlink_to("nowhere")
        case "device":
            file.symlink_to("/dev/zero")
    run.until(lambda: run.phase == "killed", "it is killed")
    file.unlink()
    run.until(lambda: run.phase == "trading", "it trades again")
    assert run.term() == 0


@pytest.mark.parametrize(("who", "why"), [("", "odd"), ("ops", " "), ("ops", "x" * 501), ("o\x1bps", "odd")])
def test_a_kill_needs_who_and_why(begun: Begun, who: str, why: str) -> None:
    """What is written down must be read by people."""
    run = eager(begun)
    said = ask(run, "kill", "--who", who, "--why", why)
    assert said.code == 2 and "bad-argument" in said.err, said
    assert not (run.state / "kill").exists()
    assert run.term() == 0


def test_a_kill_reaches_a_service_that_is_down(begun: Begun) -> None:
    """Killed between two processes, the next one opens nothing from its first moment on; resumed, it trades."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    run.kill()
    before = bought(run)
    assert ask(run, "kill", "--who", "ops", "--why", "looks odd").code == 0
    run.start()
    run.minutes(next_one, next_one + 9 * MINUTE)
    assert run.phase == "killed" and bought(run) == before and run.positions() == {}
    run.kill()
    assert ask(run, "kill", "--who", "ops", "--why", "on", "--resume").code == 0
    run.start()
    run.minutes(next_one + 10 * MINUTE, next_one + 24 * MINUTE)
    assert run.phase == "trading" and bought(run) != before
    assert run.term() == 0


def test_who_takes_a_kill_back_and_why_stands_in_the_journal(begun: Begun) -> None:
    """--resume asks for a name and a reason, so that they are found later."""
    run = eager(begun)
    ask(run, "kill", "--who", "ops", "--why", "looks odd")
    run.until(lambda: run.phase == "killed", "it is killed")
    ask(run, "kill", "--who", "boss", "--why", "it was the feed", "--resume")
    run.until(lambda: run.phase == "trading", "it trades again")
    record = run.journal.of("control")[-1]
    assert (record["control"], record["who"], record["why"]) == ("resume", "boss", "it was the feed")
    assert run.term() == 0


def test_flattening_sells_everything(begun: Begun) -> None:
    """All orders are cancelled and all is sold at the market; after a restart nothing is bought until it is resumed."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    said = ask(run, "kill", "--who", "ops", "--why", "out, now", "--flatten")
    assert said.code == 0 and "It sells everything" in said.out, said
    run.until(lambda: run.phase == "flattening", "it flattens")
    run.settle()
    assert {order["type"] for order in run.open_orders()} == {"market"}
    run.minutes(next_one, next_one + MINUTE)
    assert run.positions() == {} and run.open_orders() == []
    assert run.phase == "killed"
    before = bought(run)
    run.kill()
    run.start()
    assert run.phase == "killed"
    run.minutes(next_one + 2 * MINUTE, next_one + 10 * MINUTE)
    assert bought(run) == before
    assert ask(run, "kill", "--who", "ops", "--why", "on", "--resume").code == 0
    run.until(lambda: run.phase == "trading", "it trades again")
    run.minutes(next_one + 11 * MINUTE, next_one + 24 * MINUTE)
    assert bought(run) != before
    agrees(run)
    assert run.term() == 0


def test_a_kill_can_become_a_sale(begun: Begun) -> None:
    """--flatten after a kill sells what is held."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    ask(run, "kill", "--who", "ops", "--why", "looks odd")
    run.until(lambda: run.phase == "killed", "it is killed")
    ask(run, "kill", "--who", "ops", "--why", "out, now", "--flatten")
    run.until(lambda: run.phase == "flattening", "it flattens")
    run.settle()
    run.minutes(next_one, next_one + MINUTE)
    assert run.positions() == {} and run.open_orders() == []
    assert run.term() == 0


def test_a_kill_without_a_service_is_an_error(begun: Begun, tmp_path: pathlib.Path) -> None:
    """A wrong folder must not look as if a service had been stopped."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER)
    for folder in (tmp_path, tmp_path / "nothing"):
        said = ask(run, "kill", "--who", "ops", "--why", "looks odd", state=folder)
        assert said.code == 2 and "no service has its state here" in said.err, said
        assert not (folder / "kill").exists()


# ---- parity ----

# Few entries, so that all of it is sold before the bars end.
SOON_OVER = {"risk_management.max_trades_per_day": 6}


@pytest.fixture(scope="module", params=["whole", "a crash", "an outage"])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake: Fake) -> Iterator[LiveRun]:
    """A day with several trades that has been traded; in the middle of others the process was killed, and started
    again at once or after minutes."""
    def make(strategy: str, now: str, **more: Any) -> LiveRun:
        return LiveRun(tmp_path_factory.mktemp("day"), strategy, now, fake=fake, **more)
    run = eager(make, edits=SOON_OVER)
    with run:
        start, middle = parse(OPEN), parse(OPEN) + 17 * MINUTE
        run.minutes(start, middle)
        if request.param != "whole":
            assert run.positions(), "it crashes with a position"
            run.kill()
            if request.param == "an outage":
                run.minutes(middle + MINUTE, middle := middle + 3 * MINUTE, strict=False)
            run.start()
            agrees(run)
        run.minutes(middle + MINUTE, start + 37 * MINUTE)
        assert len(bought(run)) >= 5 and run.positions() == {}
        end_session(run, session_of(DAY)[1])
        assert run.term() == 0
        # The stand-in tells of stops at the very end of a bar, which is the next bar's beginning. While the service
        # runs its clock is a moment behind, but not while it was away.
        run.was_away = request.param == "an outage"
        yield run


def test_a_day_decides_as_its_replay_does(day: LiveRun) -> None:
    """Bars, executions and the same strategy, asked again: the same decisions, and the slippage that was assumed."""
    said = ask(day, "parity", "--date", DAY)
    assert said.code == 0 and said.out.startswith(f"PASS bear_trap {DAY}: "), said
    told = ask(day, "parity", "--date", DAY, "--json").json
    assert (told["status"], told["date"], told["difference"], told["reasons"]) == ("pass", DAY, None, [])
    records = records_of(day.state)
    assert told["decisions"] == len(decisions(records)) > 6
    assert told["bars"] == sum(len(record["bars"]) for record in records if record["what"] == "bars")
    drift, friction = told["drift"], day.config["execution"]["friction_bps"]
    assert drift["orders"] == len([order for order in records if order["what"] == "planned"
                                   and "order" in order["request"]["leg"]])
    assert drift["slippage_bps"] < friction + 1e-6 and drift["executions"] > 10
    assert day.was_away or drift["slippage_bps"] > friction - 1e-6
    assert (drift["missed"], drift["refused"]) == (0, 0)
    assert ask(day, "parity", "--last", "--json").json == told
    for name in (f"{DAY}.json", "latest.json"):
        assert json.loads((day.state / "parity" / name).read_text()) == told


def test_the_bars_of_a_day_can_be_replayed_elsewhere(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """--bars writes them as they were decided on: imported, a replay of them decides what the service did."""
    assert ask(day, "parity", "--last", "--bars", tmp_path / "bars").code == 0
    files = sorted((tmp_path / "bars").iterdir())
    assert [file.name for file in files] == [f"{symbol}_1min_{DAY}.csv" for symbol in day.symbols]
    replayed = Archive(tmp_path).import_files(*files).replayed("bear_trap", day.deployed, DAY, DAY)

    def decided(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
        return [(row["bar_start"], row["symbol"], row["order"]) for row in rows]
    caught_up = {record["start"] for record in records_of(day.state) if record.get("caught_up")}
    live = decided(day.rows("decisions"))
    assert live[:4] == decided(replayed["decisions"])[:4]
    assert caught_up or live == decided(replayed["decisions"])


def names(said: Said, record: Record, symbol: str, field: str) -> None:
    """A difference is a failure that is told with its bar, symbol and field."""
    bar = datetime.datetime.fromtimestamp(record["start"] / SECOND, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert said.code == 1, said
    told = said.json
    assert told["status"] == "fail", told
    assert (told["difference"]["bar"], told["difference"]["symbol"], told["difference"]["field"]) == (
        bar, symbol, field), told
    assert any(bar in reason and symbol in reason and field in reason for reason in told["reasons"]), told


def test_a_changed_order_is_named(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """One digit of one order's stop."""
    records = records_of(day.state)
    record, decided = decisions(records)[3]
    stop = decided["order"].split("stop ")[1].split(";")[0]
    decided["order"] = decided["order"].replace(stop, str(round(float(stop) + 0.01, 6)), 1)
    said = ask(day, "parity", "--date", DAY, "--json", state=write_journal(tmp_path / "state", records))
    names(said, record, decided["symbol"], "order")
    assert stop in said.json["difference"]["replayed"] and stop not in said.json["difference"]["recorded"]


def test_a_changed_answer_is_named(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """An order that was refused, and wouldn't have been."""
    records = records_of(day.state)
    record, decided = next(found for found in decisions(records) if not found[1]["taken"])
    decided["status"] = "ordered 7"
    names(ask(day, "parity", "--last", "--json", state=write_journal(tmp_path / "state", records)), record,
          decided["symbol"], "answer")


def test_a_missing_decision_is_named(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """The strategy orders now what it didn't order then."""
    records = records_of(day.state)
    record, decided = [found for found in decisions(records) if found[1]["taken"]][-1]
    record["decided"].remove(decided)
    name = f"{decided['symbol']}-{DAY[2:].replace('-', '')}T{clock(record['end'])}"
    followed = [of for of in records if name in of.get("id", "")]
    assert any(of["what"] == "heard" for of in followed)
    without = [of for of in records if of not in followed]
    names(ask(day, "parity", "--date", DAY, "--json", state=write_journal(tmp_path / "state", without)), record,
          decided["symbol"], "decision")
    # A journal of executions that nobody decided contradicts itself.
    said = ask(day, "parity", "--date", DAY, state=write_journal(tmp_path / "state", records))
    assert said.code in (1, 3) and name in said.out + said.err, said


def clock(at: int) -> str:
    return datetime.datetime.fromtimestamp(at / SECOND, datetime.UTC).strftime("%H%M")


def test_a_decision_too_many_is_named(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """The strategy ordered then what it doesn't order now."""
    records = records_of(day.state)
    record, decided = next(found for found in decisions(records) if not found[1]["taken"])
    empty = next(of for of in records if of["what"] == "bars" and of["start"] > record["start"] and not of["decided"])
    empty["decided"].append(decided)
    names(ask(day, "parity", "--date", DAY, "--json", state=write_journal(tmp_path / "state", records)), empty,
          decided["symbol"], "decision")


def test_a_changed_bar_is_noticed(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """A bar with another low gives its order another stop."""
    records = records_of(day.state)
    record, decided = decisions(records)[2]
    bar = next(of for of in record["bars"] if of[0] == decided["symbol"])
    bar[1][2] = round(bar[1][2] - 1.0, 2)
    names(ask(day, "parity", "--date", DAY, "--json", state=write_journal(tmp_path / "state", records)), record,
          decided["symbol"], "order")


def test_another_strategy_than_traded_is_noticed(day: LiveRun, tmp_path: pathlib.Path) -> None:
    """A replay with another config than the day's is a failure, and says by which order they differ first."""
    deployed = tmp_path / "deployed"
    shutil.copytree(day.deployed, deployed)
    file = deployed / "bear_trap" / "config.json"
    config = json.loads(file.read_text())
    config["strategy_parameters"]["stop_atr_multiple"] = 0.5
    file.write_text(json.dumps(config))
    said = ask(day, "parity", "--date", DAY, "--json", deployed=deployed)
    record, decided = decisions(records_of(day.state))[0]
    names(said, record, decided["symbol"], "order")
    assert "the day was traded by another config than this one" in said.json["reasons"]
    # The result that is kept is the last one.
    assert ask(day, "parity", "--date", DAY).code == 0


def test_executions_that_cost_too_much_warn_and_then_fail(day: LiveRun) -> None:
    """Slippage has limits of its own: it is no difference of decisions."""
    warned = ask(day, "parity", "--last", "--json", "--warn-slippage-bps", "3")
    assert (warned.code, warned.json["status"], warned.json["difference"]) == (0, "warn", None), warned
    failed = ask(day, "parity", "--last", "--json", "--fail-slippage-bps", "3")
    assert (failed.code, failed.json["status"], failed.json["difference"]) == (1, "fail", None), failed
    assert "basis points worse" in failed.json["reasons"][0]
    assert ask(day, "parity", "--last").code == 0


def test_what_arithmetic_alone_adds_is_no_slippage(day: LiveRun) -> None:
    """Executions at exactly the prices that were assumed don't warn because a mean has a 15th digit."""
    slippage = ask(day, "parity", "--last", "--json").json["drift"]["slippage_bps"]
    said = ask(day, "parity", "--last", "--json", "--warn-slippage-bps", slippage - 1e-9)
    assert (said.code, said.json["status"]) == (0, "pass"), said


def test_parity_of_a_day_that_was_not_traded_is_an_error(day: LiveRun) -> None:
    """No day is no pass."""
    said = ask(day, "parity", "--date", "2024-06-04")
    assert said.code == 3 and "not-recorded" in said.err, said
    assert ask(day, "parity").code == 2
    assert ask(day, "parity", "--last", "--date", DAY).code == 2


def test_orders_that_were_not_filled_fail(begun: Begun) -> None:
    """More than a tenth of the orders refused by the broker."""
    run = eager(begun, edits=SOON_OVER)
    run.fault("reject", on={"side": "buy"}, count=2)
    run.minutes(OPEN, parse(OPEN) + 37 * MINUTE)
    end_session(run, session_of(DAY)[1])
    said = ask(run, "parity", "--last", "--json")
    assert (said.code, said.json["status"], said.json["difference"], said.json["drift"]["missed"]) == (
        1, "fail", None, 2), said
    assert "weren't filled whole" in said.json["reasons"][0]
    assert run.term() == 0


def test_the_service_tells_of_the_last_parity(begun: Begun) -> None:
    """What parity finds stands in the heartbeat within seconds, where health looks for it."""
    run = eager(begun, edits=SOON_OVER)
    run.minutes(OPEN, parse(OPEN) + 37 * MINUTE)
    end_session(run, session_of(DAY)[1])
    assert "parity" not in run.heartbeat
    said = ask(run, "parity", "--last", "--json")
    assert said.code == 0, said
    run.until(lambda: run.heartbeat.get("parity"), "the heartbeat tells of it", patience=5)
    parity = run.heartbeat["parity"]
    assert (parity["date"], parity["status"]) == (DAY, "pass")
    ask(run, "parity", "--last", "--fail-slippage-bps", "6")
    run.until(lambda: run.heartbeat["parity"]["status"] == "fail", "the heartbeat tells of the latest", patience=5)
    assert run.term() == 0


def is_killed(run: LiveRun) -> None:
    ask(run, "kill", "--who", "ops", "--why", "looks odd")
    run.until(lambda: run.phase == "killed", "it is killed")


def is_resumed(run: LiveRun) -> None:
    ask(run, "kill", "--who", "ops", "--why", "on", "--resume")
    run.until(lambda: run.phase == "trading", "it trades again")


def is_flattened(run: LiveRun) -> None:
    ask(run, "kill", "--who", "ops", "--why", "out, now", "--flatten")
    run.until(lambda: run.phase in ("flattening", "killed"), "it flattens")


def is_halted(run: LiveRun) -> None:
    run.fake.tell("messages", statuses={symbol: [{"sc": "H", "sm": "Halt"}] for symbol in run.symbols})
    run.settle()


def is_traded_again(run: LiveRun) -> None:
    run.fake.tell("messages", statuses={symbol: [{"sc": "T", "sm": "Resumption"}] for symbol in run.symbols})
    run.settle()


def loses_market_data(run: LiveRun) -> None:
    run.fault("refuse_handshake", on={"stream": "data"}, count=None, status=500)
    run.fake.tell("drop", stream="data")


def hears_market_data(run: LiveRun) -> None:
    run.fake.clear("faults")
    run.until(run.is_connected, "it listens again")
    run.settle()


def is_sold_by_hand(run: LiveRun) -> None:
    for symbol in run.positions():
        by_hand(run, symbol, 100)
    compare_now(run)
    halts(run)


def is_accepted(run: LiveRun) -> None:
    assert run.term() == 0
    assert ask(run, "reconcile", "--accept", "ops", "sold by hand").code == 0
    run.start(wait=False)
    run.until(lambda: run.phase == "trading" and run.is_connected(), "it trades on")
    run.settle()


@pytest.mark.parametrize(("happens", "ends", "minutes"), [
    (is_killed, is_resumed, 5), (is_flattened, is_resumed, 3), (is_halted, is_traded_again, 5),
    (loses_market_data, hears_market_data, 3), (is_sold_by_hand, is_accepted, 0)])
def test_what_happened_to_a_day_is_no_difference(
        begun: Begun, happens: Callable[[LiveRun], None], ends: Callable[[LiveRun], None], minutes: int) -> None:
    """What a person, a halt or a lost feed keeps from being ordered was decided all the same."""
    run = eager(begun)
    next_one = until_held(run, parse(OPEN))
    happens(run)
    run.minutes(next_one, next_one + (minutes - 1) * MINUTE, strict=False)
    ends(run)
    before = len(decisions(records_of(run.state)))
    run.minutes(next_one + minutes * MINUTE, parse(OPEN) + 37 * MINUTE, strict=False)
    run.settle()
    assert len(decisions(records_of(run.state))) > before
    end_session(run, session_of(DAY)[1])
    said = ask(run, "parity", "--last", "--json", "--fail-missed", "1")
    assert said.json["difference"] is None, said
    assert run.term() == 0


def test_a_gap_through_a_stop_is_what_a_replay_has_too(begun: Begun, tmp_path: pathlib.Path) -> None:
    """Executions cost no more than the replay's own when they are at its very prices."""
    edits = {"symbols": ["AMC"], "risk_management.max_trades_per_day": 1, "strategy_parameters.max_hold_minutes": 30}
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER | edits)
    start = parse(OPEN)
    prices = [(48.6, 48.7, 47.8, 47.9), (47.8, 48.05, 47.71, 48.0), *[(48.0, 48.1, 47.9, 48.0)] * 2,
              *[(46.8, 46.9, 46.7, 46.8)] * 2]
    bars = {"AMC": [synthetic.bar(start + place * MINUTE, *of, 1_000) for place, of in enumerate(prices)]}
    replayed = Archive(tmp_path).import_bars(bars).replayed("bear_trap", run.deployed, DAY, DAY)
    run.script(bars)
    run.start()
    run.wait_until(OPEN)
    run.minutes(start, start + (len(prices) - 1) * MINUTE)
    end_session(run, session_of(DAY)[1])
    assert {fill["exit_px"] for fill in run.rows("fills")} == {fill["exit_px"] for fill in replayed["fills"]}
    said = ask(run, "parity", "--last", "--json")
    assert said.json["drift"]["slippage_bps"] == pytest.approx(run.config["execution"]["friction_bps"]), said
    assert (said.code, said.json["status"]) == (0, "pass"), said
    assert run.term() == 0


def test_an_execution_that_was_heard_of_late_is_compared_with_its_own_bar(begun: Begun) -> None:
    """An entry that was executed while the service was down cost what it cost then."""
    run = eager(begun, edits=SOON_OVER)
    start = parse(OPEN)
    run.minutes(start, start + MINUTE)
    assert run.open_orders() and not run.positions(), "its entry is on its way"
    run.kill()
    run.minutes(start + 2 * MINUTE, start + 6 * MINUTE, strict=False)
    assert run.positions()
    run.start()
    agrees(run)
    run.minutes(start + 7 * MINUTE, start + 37 * MINUTE)
    end_session(run, session_of(DAY)[1])
    drift = ask(run, "parity", "--last", "--json").json["drift"]
    assert drift["worst_bps"] == pytest.approx(run.config["execution"]["friction_bps"], abs=0.01), drift
    assert run.term() == 0


@pytest.mark.parametrize("strategy", ["daily_trend", "hourly_swing"])
def test_slower_days_decide_as_their_replays_do(begun: Begun, tmp_path: pathlib.Path, strategy: str) -> None:
    """With indicators that saw history first: from the file that the service kept."""
    run, dates, trade = slow(strategy, begun, tmp_path)
    run.start()
    for date in dates[:2]:
        trade(run, date)
    run.kill()
    run.start()
    for date in dates[2:]:
        trade(run, date)
    records = records_of(run.state)
    traded = {record["end"]: record for record, _ in decisions(records)}
    assert traded and all(record["history"] for record in records if record["what"] == "started")
    for date in dates:
        said = ask(run, "parity", "--date", date, "--json")
        assert (said.code, said.json["difference"]) == (0, None), (date, said)
        assert said.json["bars"] > 0
    # And if the history isn't what the service saw, it is noticed.
    record, decided = decisions(records)[0]
    state = changed(run, tmp_path / "changed", lambda records: decisions(records)[0][1].update(order="sell all"))
    date = datetime.datetime.fromtimestamp(record["start"] / SECOND, datetime.UTC).strftime("%Y-%m-%d")
    names(ask(run, "parity", "--date", date, "--json", state=state), record, decided["symbol"], "order")
    shutil.rmtree(run.state / "history")
    said = ask(run, "parity", "--date", dates[0])
    assert said.code == 3 and "history" in said.err, said
    assert run.term() == 0


def slow(strategy: str, begun: Begun, place: pathlib.Path) -> tuple[LiveRun, list[str],
                                                                   Callable[[LiveRun, str], None]]:
    if strategy == "daily_trend":
        run, _, dates = daily_trend(begun, place, "2024-02-12", "2024-02-15")
        return run, dates, trade_day
    run, _, dates = hourly_swing(begun, place, "2024-04-01", "2024-04-05")
    return run, dates, trade_hours


# ---- monitor ----

@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What the gate says of all strategies."""
    return verdict(tmp_path_factory.mktemp("judged"))


def sessions(returns: list[float], first: str = "2024-01-02") -> list[Record]:
    """A journal whose sessions had these returns: a position that somebody accepted, and its closes."""
    price = 100.0
    records = [
        {"what": "started", "at": parse(f"{first}T14:00:00Z"), "strategy": "bear_trap", "account": "BEAR_TRAP",
         "config": "0" * 64, "unit_digest": "0" * 64, "version": "0.1.0", "capital": 100_000.0, "timeframe": "1Min",
         "history": None},
        {"what": "accepted", "at": parse(f"{first}T14:00:01Z"), "who": "ops", "why": "from before",
         "positions": {"AMC": [1_000, price]}, "orders": []}]
    dates = (datetime.date.fromisoformat(first) + datetime.timedelta(days=days) for days in range(10_000))
    trading = (session for session in map(Calendar().session, dates) if session)
    for value, session in zip(returns, trading, strict=False):
        price *= 1.0 + value
        end, bar = session.close, [price, price, price, price, 1_000.0]
        records += [
            {"what": "opens", "date": str(session.date)},
            {"what": "bars", "at": end, "start": end - MINUTE, "end": end, "bars": [["AMC", bar]], "caught_up": False,
             "decided": []},
            {"what": "closes", "date": str(session.date)}]
    return records


@pytest.fixture
def monitored(begun: Begun, tmp_path: pathlib.Path, judged: pathlib.Path) -> Callable[..., Said]:
    """Asks the monitor about a journal whose sessions had these returns."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z")

    def monitor(returns: list[float], *arguments: object) -> Said:
        state = write_journal(tmp_path / "monitored", sessions(returns))
        return ask(run, "monitor", "--verdict", judged, *arguments, state=state)
    return monitor


def test_a_day_is_too_few_to_alarm(day: LiveRun, judged: pathlib.Path) -> None:
    """A day that a service traded is counted, and proves nothing."""
    said = ask(day, "monitor", "--verdict", judged)
    assert said.code == 0 and said.out.startswith("OK bear_trap: 1 sessions"), said
    told = ask(day, "monitor", "--verdict", judged, "--json").json
    equity = float(next(line for line in log_of(day) if line["fields"]["message"] == "summary of the day")["fields"][
        "equity"])
    assert (told["sessions"], told["alarms"], told["alarm_at"]) == (1, False, 20.0)
    assert abs(told["mean"] - (equity / 100_000 - 1)) < 1e-9
    assert told["expected_deviation"] > 0


def test_bad_sessions_alarm_once_there_are_enough(monitored: Callable[..., Said]) -> None:
    """Few prove nothing, many do; once it has alarmed it stays so, whatever comes."""
    expected = monitored([], "--json").json
    bad = expected["expected_mean"] - expected["expected_deviation"]
    codes = [monitored([bad] * count).code for count in (0, 1, 2, 60)]
    assert codes == [0, 0, 0, 7], codes
    said = monitored([bad] * 60, "--json")
    assert (said.code, said.json["alarms"], said.json["sessions"]) == (7, True, 60)
    assert said.json["evidence"] >= said.json["alarm_at"] and abs(said.json["mean"] - bad) < 1e-9
    good = expected["expected_mean"] + expected["expected_deviation"]
    assert monitored([bad] * 60 + [good] * 60).code == 7
    assert monitored([bad] * 60).out.startswith("ALARM bear_trap: 60 sessions")


def test_sessions_as_expected_do_not_alarm(monitored: Callable[..., Said]) -> None:
    """A year of returns around the mean that the verdict expects."""
    expected = monitored([], "--json").json
    mean, deviation = expected["expected_mean"], expected["expected_deviation"]
    said = monitored([mean + deviation * (1 if place % 2 else -1) for place in range(252)], "--json")
    assert (said.code, said.json["sessions"], said.json["alarms"]) == (0, 252, False), said


def test_a_smaller_alpha_needs_more(monitored: Callable[..., Said]) -> None:
    """--alpha is the chance of a wrong alarm: the smaller, the later."""
    expected = monitored([], "--json").json
    bad = [expected["expected_mean"] - expected["expected_deviation"]] * 60
    first = {alpha: next(count for count in range(1, 61) if monitored(bad[:count], "--alpha", alpha).code == 7)
             for alpha in ("0.5", "0.05", "0.001")}
    assert first["0.5"] < first["0.05"] < first["0.001"]
    for alpha in ("0", "1", "-1", "nan"):
        assert monitored(bad, f"--alpha={alpha}").code == 2


def test_only_a_whole_verdict_is_believed(begun: Begun, tmp_path: pathlib.Path, judged: pathlib.Path) -> None:
    """An altered verdict is refused, and so is one that doesn't judge the strategy."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z")
    state = write_journal(tmp_path / "monitored", sessions([0.0]))
    text = judged.read_text()
    sharpe = json.loads(text)["strategies"][0]["periods"][-1]["metrics"]["sharpe"]
    assert text.count(str(sharpe))
    altered = tmp_path / "altered.json"
    altered.write_text(text.replace(str(sharpe), str(-sharpe), 1))
    said = ask(run, "monitor", "--verdict", altered, state=state)
    assert said.code == 8, said
    (tmp_path / "none.json").write_text("{}")
    assert ask(run, "monitor", "--verdict", tmp_path / "none.json", state=state).code in (3, 8)
    assert ask(run, "monitor", "--verdict", tmp_path / "absent.json", state=state).code in (2, 3)


# ---- starts that are refused ----

@pytest.mark.parametrize(("arguments", "without", "variables", "edits", "code", "slug"), [
    ([], "APCA_API_KEY_ID", {}, {}, 2, "alpaca-keys"),
    ([], "APCA_API_SECRET_KEY", {}, {}, 2, "alpaca-keys"),
    (["--grace", "99"], "", {}, {}, 2, "bad-argument"),
    (["--grace", "-1"], "", {}, {}, 2, "command-line"),
    (["--once"], "", {}, {}, 2, "bad-argument"),
    (["--pace", "5"], "", {}, {}, 2, "bad-argument"),
    (["--start-date", DAY], "", {}, {}, 2, "bad-argument"),
    ([], "APCA_API_BASE_URL", {}, {"ssm_parameters.base_url": "https://api.alpaca.markets"}, 8, "real-money"),
    ([], "", {"APCA_API_BASE_URL": "https://api.alpaca.markets"}, {}, 8, "real-money"),
    (["--real-money"], "", {"APCA_API_BASE_URL": "https://api.alpaca.markets"}, {}, 8, "real-money"),
    ([], "", {"APCA_API_BASE_URL": "http://192.0.2.1:80"}, {}, 2, "environment"),
    ([], "", {}, {"data_requirements.premarket": True, "data_requirements.after_hours": True}, 2, "not-live"),
])
def test_a_start_that_must_not_be_is_refused(
        begun: Begun, arguments: list[str], without: str, variables: dict[str, str], edits: dict[str, Any], code: int,
        slug: str) -> None:
    """Keys, addresses and options that are missing or dangerous end it at once, before anything is asked."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER | edits)
    said = ask(run, "run", *arguments, without=without, **variables)
    assert said.code == code and slug in said.err, said
    assert run.requests() == []
    assert SECRET not in said.err + said.out
