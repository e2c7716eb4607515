"""Scripted market data, and how much of it is known at a time: nothing is known before it happened.

Prices are numbers as JSON has them. A bar is a dict with o, h, l, c, v, n, vw and its start t in nanoseconds.
"""
import bisect
import datetime
from collections.abc import Callable
from typing import Any, NamedTuple

from sessions import Calendar
from settings import Settings
from times import DAY, MINUTE, new_york_date, new_york_time, parse, seconds, written

ANY = "*"
MINUTES, DAYS = "1Min", "1Day"
UNITS = {"T": "Min", "Min": "Min", "H": "Hour", "Hour": "Hour", "D": "Day", "Day": "Day", "W": "Week", "Week": "Week",
         "M": "Month", "Month": "Month"}


class Timeframe(NamedTuple):
    """How wide bars are: 5 Min, 1 Hour, 1 Day, 1 Week, 3 Month."""
    width: int
    unit: str

    @classmethod
    def read(cls, text: str) -> "Timeframe":
        digits = text[:len(text) - len(text.lstrip("0123456789"))]
        unit = UNITS.get(text[len(digits):])
        allowed = {"Min": range(1, 60), "Hour": range(1, 24), "Day": [1], "Week": [1], "Month": [1, 2, 3, 4, 6, 12]}
        if not digits or unit is None or int(digits) not in allowed[unit]:
            raise ValueError(f"invalid timeframe: {text}")
        return cls(int(digits), unit)

    @property
    def is_intraday(self) -> bool:
        return self.unit in ("Min", "Hour")

    def bucket(self, at: int) -> int:
        """Start of the bar that an instant is in."""
        date = new_york_date(at)
        if self.is_intraday:
            midnight = new_york_time(date, 0)
            width = self.width * (MINUTE if self.unit == "Min" else 60 * MINUTE)
            return midnight + (at - midnight) // width * width
        if self.unit == "Week":
            date -= datetime.timedelta(days=date.weekday())
        elif self.unit == "Month":
            date = datetime.date(date.year, (date.month - 1) // self.width * self.width + 1, 1)
        return new_york_time(date, 0)


def merged(bars: list[dict], start: int) -> dict:
    """One bar that covers several."""
    volume = sum(bar["v"] for bar in bars)
    dollars = sum(bar["vw"] * bar["v"] for bar in bars)
    return {"t": start, "o": bars[0]["o"], "h": max(bar["h"] for bar in bars), "l": min(bar["l"] for bar in bars),
            "c": bars[-1]["c"], "v": volume, "n": sum(bar["n"] for bar in bars),
            "vw": round(dollars / volume, 6) if volume else bars[-1]["c"]}


class Series:
    """Bars of a symbol, with what each was said to be when."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self._versions: dict[int, list[tuple[int, dict]]] = {}

    def put(self, bar: dict, known_at: int) -> None:
        if bar["t"] not in self._versions:
            bisect.insort(self.starts, bar["t"])
        versions = self._versions.setdefault(bar["t"], [])
        versions.append((known_at, bar))
        versions.sort(key=lambda version: version[0])

    def scripted(self, start: int) -> dict | None:
        """As it was first said to be."""
        versions = self._versions.get(start)
        return versions[0][1] if versions else None

    def known(self, now: int, start: int, end: int) -> list[dict]:
        """With starts from `start` to `end`, both included, each as it is known by now."""
        first, last = bisect.bisect_left(self.starts, start), bisect.bisect_right(self.starts, end)
        known = ([bar for at, bar in self._versions[t] if at <= now] for t in self.starts[first:last])
        return [versions[-1] for versions in known if versions]


class Market:
    """All that is scripted, of every feed. Bars of the feed `*` are the same in all feeds without bars of their own."""

    def __init__(self, calendar: Calendar, settings: Settings, now: Callable[[], int]) -> None:
        self._calendar, self._settings, self._now = calendar, settings, now
        self._bars: dict[tuple[str, str, str], Series] = {}
        self.quotes: dict[str, list[dict]] = {}
        self.trades: dict[str, list[dict]] = {}
        self.auctions: dict[str, list[dict]] = {}
        self.actions: dict[str, list[dict]] = {}
        self.halted: set[str] = set()
        # Prices of trades that bars stand for: when, and at what.
        self._last: dict[str, tuple[int, Any]] = {}

    # ---- scripting ----

    def bar(self, said: dict, timeframe: str) -> dict:
        """A bar as a test gives it: t may be a date, n and vw may be missing."""
        bar = {name: said[name] for name in ("o", "h", "l", "c")}
        if not bar["l"] <= min(bar["o"], bar["c"]) <= max(bar["o"], bar["c"]) <= bar["h"]:
            raise ValueError(f"no bar has these prices: {said}")
        bar["v"] = said.get("v", 1_000)
        bar["n"] = said.get("n", max(1, int(bar["v"]) // 100))
        bar["vw"] = said.get("vw", round((bar["o"] + bar["h"] + bar["l"] + bar["c"]) / 4, 6))
        start = said["t"]
        if timeframe == DAYS:
            date = datetime.date.fromisoformat(start) if len(start) == 10 else new_york_date(parse(start))
            return {"t": new_york_time(date, 0), **bar}
        start = parse(start)
        if start % MINUTE:
            raise ValueError(f"no minute starts at {said['t']}")
        return {"t": start, **bar}

    def put_bar(self, symbol: str, bar: dict, timeframe: str, feed: str = ANY, known_at: int | None = None) -> int:
        """Scripts a bar, and says when it will be known."""
        if known_at is None:
            known_at = self.end_of(bar["t"], timeframe) + seconds(self._settings.bar_delay)
        self._bars.setdefault((feed, timeframe, symbol), Series()).put(bar, known_at)
        return known_at

    def end_of(self, start: int, timeframe: str) -> int:
        """When all of a bar has happened; of a day when its session closes."""
        if timeframe == MINUTES:
            return start + MINUTE
        session = self._calendar.session(new_york_date(start))
        return session.close if session else start + DAY

    def series(self, symbol: str, timeframe: str, feed: str = ANY) -> Series | None:
        return self._bars.get((feed, timeframe, symbol)) or self._bars.get((ANY, timeframe, symbol))

    def is_scripted(self, symbol: str, start: int, timeframe: str, feed: str) -> bool:
        """In exactly this feed."""
        series = self._bars.get((feed, timeframe, symbol))
        return series is not None and series.scripted(start) is not None

    def has_minutes(self, symbol: str, date: datetime.date) -> bool:
        """Whether minute bars of a day are scripted, of the past or the future."""
        series = self.series(symbol, MINUTES)
        if not series:
            return False
        first = bisect.bisect_left(series.starts, new_york_time(date, 0))
        return first < len(series.starts) and new_york_date(series.starts[first]) == date

    @property
    def symbols(self) -> set[str]:
        return {symbol for _, _, symbol in self._bars} | set(self.quotes) | set(self.trades)

    # ---- prices ----

    def traded(self, symbol: str, price: Any) -> None:
        """A trade at this price, now."""
        self._last[symbol] = (self._now(), price)

    def last_price(self, symbol: str) -> Any | None:
        """The latest price that is known: of a bar's open or close, or of a trade or quote."""
        now = self._now()
        found = [self._last[symbol]] if symbol in self._last else []
        for timeframe in (MINUTES, DAYS):
            if series := self.series(symbol, timeframe):
                bars = [bar for bar in series.known(now, 0, now)[-2:] if self.end_of(bar["t"], timeframe) <= now]
                found += [(self.end_of(bar["t"], timeframe), bar["c"]) for bar in bars]
        found += [(trade["t"], trade["p"]) for trade in known(self.trades.get(symbol, []), now)[-1:]]
        if quotes := known(self.quotes.get(symbol, []), now)[-1:]:
            found.append((quotes[0]["t"], (quotes[0]["bp"] + quotes[0]["ap"]) / 2))
        # The trade that was said last wins over what is no later.
        return max(reversed(found), key=lambda of: of[0])[1] if found else None

    def close_before_today(self, symbol: str) -> Any | None:
        """The close of the session before today's."""
        midnight = new_york_time(new_york_date(self._now()), 0)
        days = self._days(symbol, ANY, midnight - 14 * DAY, midnight - 1)
        return days[-1]["c"] if days else None

    def last_quote(self, symbol: str) -> dict | None:
        return next(iter(known(self.quotes.get(symbol, []), self._now())[-1:]), None)

    # ---- bars of any width ----

    def bars(self, symbol: str, timeframe: Timeframe, feed: str, start: int, end: int) -> list[dict]:
        """What is known by now of bars that start from `start` to `end`, both included."""
        first = timeframe.bucket(start)
        if timeframe.is_intraday:
            series = self.series(symbol, MINUTES, feed)
            found = series.known(self._now(), first, end + DAY) if series else []
        else:
            found = self._days(symbol, feed, first, end + 366 * DAY if timeframe.unit != "Day" else end)
        if timeframe not in (Timeframe(1, "Min"), Timeframe(1, "Day")):
            groups: dict[int, list[dict]] = {}
            for bar in found:
                groups.setdefault(timeframe.bucket(bar["t"]), []).append(bar)
            found = [merged(bars, at) for at, bars in groups.items()]
        return [bar for bar in found if start <= bar["t"] <= end]

    def _days(self, symbol: str, feed: str, start: int, end: int) -> list[dict]:
        """Scripted days, and for days without one what their minutes say."""
        series = self.series(symbol, DAYS, feed)
        days = {new_york_date(bar["t"]): bar for bar in (series.known(self._now(), start, end) if series else [])}
        minutes = self.series(symbol, MINUTES, feed)
        for bar in minutes.known(self._now(), start, end + DAY) if minutes else []:
            date = new_york_date(bar["t"])
            if date not in days and new_york_time(date, 0) <= end and (day := self.day_so_far(symbol, date, feed)):
                session = self._calendar.session(date)
                if self._settings.partial_day or session.close <= self._now():
                    days[date] = day
        return [days[date] for date in sorted(days)]

    def day_so_far(self, symbol: str, date: datetime.date, feed: str = ANY) -> dict | None:
        """A day from its minutes: prices of regular hours only, volume and trades of all hours."""
        session, series = self._calendar.session(date), self.series(symbol, MINUTES, feed)
        if not session or not series:
            return None
        start = new_york_time(date, 0)
        bars = series.known(self._now(), start, start + DAY)
        bars = [bar for bar in bars if new_york_date(bar["t"]) == date]
        regular = [bar for bar in bars if session.open <= bar["t"] < session.close]
        if not regular:
            return None
        every = merged(bars, start)
        return merged(regular, start) | {name: every[name] for name in ("v", "n", "vw")}

    # ---- corporate actions ----

    def known_actions(self, kind: str) -> list[dict]:
        """Without the key by which a test says from when on an action is known."""
        now = self._now()
        return [{name: value for name, value in action.items() if name != "known_at"}
                for action in self.actions.get(kind, []) if parse(action.get("known_at", "1970-01-01T00:00Z")) <= now]

    def adjusted(self, symbol: str, bar: dict, adjustments: set[str]) -> dict:
        """A bar as later splits and dividends let it look. By what is known today, not by what was known then."""
        date, today = new_york_date(bar["t"]), new_york_date(self._now())
        price = volume = 1.0
        def later(action: dict) -> bool:
            return action["symbol"] == symbol and date < datetime.date.fromisoformat(action["ex_date"]) <= today
        if adjustments & {"split", "all"}:
            for action in filter(later, self.known_actions("forward_splits") + self.known_actions("reverse_splits")):
                price *= action["old_rate"] / action["new_rate"]
                volume *= action["new_rate"] / action["old_rate"]
        if adjustments & {"dividend", "all"}:
            for action in filter(later, self.known_actions("cash_dividends")):
                price *= self._kept(symbol, action)
        if price == volume == 1.0:
            return bar
        prices = {name: round(bar[name] * price, 6) for name in ("o", "h", "l", "c", "vw")}
        return bar | prices | {"v": round(bar["v"] * volume)}

    def _kept(self, symbol: str, dividend: dict) -> float:
        """What a dividend leaves of the close before its ex-date, as a fraction."""
        ex = new_york_time(datetime.date.fromisoformat(dividend["ex_date"]), 0)
        days = self._days(symbol, ANY, ex - 30 * DAY, ex - 1)
        return 1 - dividend["rate"] / days[-1]["c"] if days else 1.0

    def earlier_name(self, symbol: str, asof: datetime.date) -> tuple[str, int] | None:
        """What a symbol was called before, and until when, if its renaming is followed."""
        for change in self.known_actions("name_changes"):
            date = datetime.date.fromisoformat(change["process_date"])
            if change["new_symbol"] == symbol and date <= asof:
                return change["old_symbol"], new_york_time(date, 0)
        return None


def known(items: list[dict], now: int) -> list[dict]:
    return items[:bisect.bisect_right(items, now, key=lambda item: item["t"])]


def shown(item: dict) -> dict:
    """As JSON has it."""
    return item | {"t": written(item["t"])}
