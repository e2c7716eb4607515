"""Days that tests trade: whole ones, and short ones in which bear_trap enters within minutes."""
import json
import pathlib
from collections.abc import Callable
from typing import Any

from times import new_york_date, new_york_time

import synthetic
from harness import MINUTE, OPEN_AFTER, REPOSITORY, SECOND, LiveRun, parse, written
from invariants import broken_at_last
from reference import Archive

# Makes runs: of a strategy, at a time, with what LiveRun takes besides.
Begun = Callable[..., LiveRun]
# A Monday without a holiday near it.
DAY = "2024-06-03"
OPEN = f"{DAY}T13:30:00Z"
EAGER = {"symbols": ["AMC", "GME"], **synthetic.EAGER}
MINUTES = 40


def session_of(date: str) -> tuple[int, int]:
    """When the regular session of a whole day begins and ends."""
    day = new_york_date(parse(f"{date}T15:00:00Z"))
    return new_york_time(day, 9, 30), new_york_time(day, 16)


def trade_minutes(run: LiveRun, date: str, bars: dict[str, list[dict[str, Any]]]) -> None:
    """A whole session of minutes, and what comes after its close."""
    first, close = session_of(date)
    run.script(bars)
    run.keep_quotes_fresh()
    run.start()
    run.wait_until(first)
    run.minutes(first, close - MINUTE)
    end_session(run, close)


def end_session(run: LiveRun, close: int) -> None:
    """What comes after a session's close."""
    run.wait_until(close + 10 * SECOND)
    run.wait_until(close + 6 * MINUTE)
    date = run.journal.of("opens")[-1]["date"]
    run.until(lambda: any(record["date"] == date for record in run.journal.of("closes")), f"{date} closes")
    run.settle()


def sample(place: pathlib.Path) -> Archive:
    """The bars that come with Magellan; they are made up."""
    archive = Archive(place)
    archive.folder = REPOSITORY / "data" / "sample"
    return archive


# ---- slower strategies ----

def daily_trend(begun: Begun, place: pathlib.Path, first: str, last: str) -> tuple[LiveRun, Archive, list[str]]:
    """A run that begins in the evening before the first date, with its bars scripted; they in an archive; the dates."""
    symbols = ["AAPL", "SPY", "TSLA"]
    days = sample(place).bars(symbols, "1Day", "2023-01-03", last)
    archive = Archive(place).import_bars(days, "1Day")
    dates = sorted({of["t"][:10] for of in days["SPY"]})
    before = max(date for date in dates if date < first)
    run = begun("daily_trend", f"{before}T22:00:00Z", edits={"symbols": symbols})
    set_config(run, "symbol_parameters", {symbol: run.config["symbol_parameters"][symbol] for symbol in symbols})
    run.fake.tell("bars", timeframe="1Day", bars={
        symbol: [of | {"t": of["t"][:10]} for of in several] for symbol, several in days.items()})
    return run, archive, [date for date in dates if date >= first]


def trade_day(run: LiveRun, date: str) -> None:
    """A day of daily bars: orders leave before the open, are traded there, and the bar is asked for after the close."""
    opens, closes = session_of(date)
    for at in (opens - 10 * MINUTE, opens - 2 * MINUTE, opens - MINUTE, opens, opens + OPEN_AFTER, opens + MINUTE,
               closes, closes + MINUTE, closes + 5 * MINUTE):
        run.wait_until(at)
    run.until(lambda: [record for record in run.journal.of("bars")[-1:] if written(record["start"])[:10] == date],
              f"the bars of {date}")
    run.settle()


def hourly_swing(begun: Begun, place: pathlib.Path, first: str, last: str) -> tuple[LiveRun, Archive, list[str]]:
    """A run that begins before the open of the first date, with minutes of its hours scripted; the hours; the dates."""
    symbols = ["NVDA", "TSLA"]
    hours = sample(place).bars(symbols, "1Hour", "2023-11-01", last)
    archive = Archive(place).import_bars(hours, "1Hour")
    run = begun("hourly_swing", f"{first}T12:00:00Z")
    run.script({symbol: [minute for of in several for minute in as_minutes(of)] for symbol, several in hours.items()})
    return run, archive, sorted({of["t"][:10] for of in hours[symbols[0]] if of["t"][:10] >= first})


def trade_hours(run: LiveRun, date: str) -> None:
    """A day of hours."""
    opens, closes = session_of(date)
    # Orders of the evening before leave with the first whole hour, as a replay fills them.
    for at in (opens - 5 * MINUTE, opens - 2 * MINUTE + 5 * SECOND, opens, opens + 30 * MINUTE):
        run.wait_until(at)
    for hour in range(opens + 30 * MINUTE, closes, 60 * MINUTE):
        for minute in (hour, hour + MINUTE, hour + 30 * MINUTE, hour + 59 * MINUTE):
            run.minute(minute, strict=False)
    run.wait_until(closes + 10 * SECOND)
    run.wait_until(closes + 6 * MINUTE)


def as_minutes(hour: dict[str, Any]) -> list[dict[str, Any]]:
    """Three minutes that add up to an hour: its first goes to both ends, its last closes it."""
    start, half = parse(hour["t"]), (hour["o"] + hour["c"]) / 2
    third = hour["v"] // 3
    return [
        hour | {"t": written(start), "c": half, "v": third},
        {"t": written(start + 30 * MINUTE), "o": half, "h": half, "l": half, "c": half, "v": third},
        {"t": written(start + 59 * MINUTE), "o": half, "h": max(half, hour["c"]), "l": min(half, hour["c"]),
         "c": hour["c"], "v": hour["v"] - 2 * third}]


def set_config(run: LiveRun, key: str, value: Any) -> None:
    """After the folder was made, and before the service reads it."""
    file = run.deployed / run.strategy / "config.json"
    run.config[key] = value
    file.write_text(json.dumps(run.config, indent=2))


# ---- minutes in which bear_trap enters soon ----

def eager(begun: Begun, seed: int = 2, edits: dict[str, Any] | None = None, **more: Any) -> LiveRun:
    """A run that enters within minutes, its market scripted and its clock at the open."""
    run = begun("bear_trap", f"{DAY}T13:25:00Z", edits=EAGER | (edits or {}), **more)
    run.script(synthetic.restless(seed, OPEN, MINUTES, run.symbols))
    run.start()
    run.wait_until(OPEN)
    return run


def until_held(run: LiveRun, start: int) -> int:
    """Goes on until something is held; the start of the next minute."""
    for place in range(15):
        run.minute(start + place * MINUTE)
        if run.positions():
            return start + (place + 1) * MINUTE
    raise AssertionError("nothing was bought")


def bought(run: LiveRun) -> list[str]:
    """Orders that bought something."""
    return [order["id"] for order in run.orders() if order["side"] == "buy" and int(order["filled_qty"])]


def agrees(run: LiveRun) -> None:
    """Once the service runs again and is at rest, broker and journal are of one mind and nothing is unprotected."""
    run.until(run.is_connected, "it listens again")
    assert not broken_at_last(run), run.said()
