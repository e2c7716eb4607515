"""All that the fake knows, and what a test may put into it."""
import datetime
from decimal import Decimal
from typing import Any, Protocol

from account import Account, Position, exact, name_of
from broker import Broker
from faults import Faults
from fills import Bar
from market import ANY, DAYS, MINUTES, Market
from matching import Matcher
from records import Records
from sessions import Calendar
from settings import Settings
from timeline import AUCTION, INSIDE, OPEN, PUBLISH, SESSION, Timeline
from times import new_york_date, new_york_time, parse, seconds

START = "2026-01-05T14:00:00Z"
HALTS, RESUMES = ("2", "H", "P", "Q"), ("3", "T")
# Kinds of messages that a test scripts whole, and what they are called on the stream.
KINDS = {"quotes": "q", "trades": "t", "statuses": "s", "lulds": "l", "imbalances": "i", "corrections": "c",
         "cancelErrors": "x"}
NEEDED = {"quotes": ("bp", "ap"), "trades": ("p",), "statuses": ("sc",), "lulds": ("u", "d"), "imbalances": ("p",),
          "corrections": ("oi", "op", "cp"), "cancelErrors": ("i", "p")}
FILLED_IN = {
    "quotes": {"bx": "V", "bs": 1, "ax": "V", "as": 1, "c": ["R"], "z": "C"},
    "trades": {"i": 1, "x": "V", "s": 100, "c": ["@"], "z": "C"},
    "statuses": {"sm": "", "rc": "", "rm": "", "z": "C"},
    "lulds": {"i": "B", "z": "C"},
    "imbalances": {"z": "C"},
    "corrections": {"x": "V", "os": 100, "oc": ["@"], "ci": 2, "cs": 100, "cc": ["@"], "z": "C"},
    "cancelErrors": {"x": "V", "s": 100, "a": "C", "z": "C"},
}


class Hub(Protocol):
    """Where messages go."""
    def publish(self, messages: list[tuple[str, str, dict]]) -> None: ...
    def tell(self, update: dict[str, Any]) -> None: ...
    def is_wanted(self, channel: str) -> bool: ...


class World:
    """One exchange, one account, one clock."""

    def __init__(self, hub: Hub, now: str = START) -> None:
        self._hub = hub
        self.settings, self.faults, self.records = Settings(), Faults(), Records()
        self.calendar = Calendar()
        self.timeline = Timeline(parse(now), self._flush)
        clock = self.clock
        self.market = Market(self.calendar, self.settings, clock)
        self.account = Account(self.market, self.settings, clock)
        self.broker = Broker(self.account, self.market, self.calendar, self.timeline, self.settings, self.faults,
                             self._tell)
        self.matcher = Matcher(self.broker, self.market, self.calendar, self.settings)
        self.watchlists: dict[str, dict[str, Any]] = {}
        self.contracts: list[dict[str, Any]] = []
        self.announcements: list[dict[str, Any]] = []
        # Messages of one instant: channel, feed, message.
        self._batch: list[tuple[str, str, dict]] = []
        self._expect_session()

    def clock(self) -> int:
        return self.timeline.now

    def _tell(self, update: dict[str, Any]) -> None:
        self._hub.tell(update)

    def advance(self, until: int) -> int:
        if until < self.timeline.now:
            raise ValueError("the clock doesn't go back; reset the fake instead")
        done = self.timeline.run_until(until)
        self._flush()
        return done

    # ---- sessions ----

    def _expect_session(self) -> None:
        """One at a time: the next session's early hours, open or close, whichever is next."""
        now, expected = self.timeline.now, object()
        # What was expected before is forgotten.
        self._expected = expected

        def happen(do) -> None:
            if self._expected is expected:
                do()
                self._expect_session()
        first = self.calendar.next_close(now)
        for at, kind, do in ((first.pre, SESSION, lambda: self.broker.open_session(early=True)),
                             (first.open, SESSION, lambda: self.broker.open_session(early=False)),
                             (first.close, AUCTION, lambda: self._close(first))):
            if at > now:
                self.timeline.at(at, kind, lambda do=do: happen(do))
                return

    def _close(self, session) -> None:
        self.matcher.close_session(session)
        self.account.close_day()

    def change_day(self, date: str, close: str | None) -> None:
        """A day closes at HH:MM, or is no trading day. Orders keep the end that they have."""
        hours = tuple(int(part) for part in close.split(":")) if close else None
        self.calendar.changed[datetime.date.fromisoformat(date)] = hours
        self._expect_session()

    # ---- bars ----

    def add_bars(self, bars: dict[str, list[dict]], timeframe: str = MINUTES, feed: str = ANY) -> int:
        """Bars of the future come when the clock gets there; those of the past are history."""
        if timeframe not in (MINUTES, DAYS):
            raise ValueError(f"bars are scripted as {MINUTES} or {DAYS}, not {timeframe}")
        count = 0
        for symbol, several in bars.items():
            for said in several:
                bar = self.market.bar(said, timeframe)
                if self.market.is_scripted(symbol, bar["t"], timeframe, feed):
                    raise ValueError(f"{symbol} has a bar at {said['t']} already; a correction changes it")
                self._schedule(symbol, bar, timeframe, feed)
                count += 1
        return count

    def _schedule(self, symbol: str, bar: dict, timeframe: str, feed: str) -> None:
        known_at = self.market.put_bar(symbol, bar, timeframe, feed)
        end, now = self.market.end_of(bar["t"], timeframe), self.timeline.now
        opens = bar["t"]
        if timeframe == DAYS and (session := self.calendar.session(new_york_date(bar["t"]))):
            opens = session.open
        opens += seconds(self.settings.grace)
        exact_bar = Bar.of(bar)
        # Orders are filled by bars of all feeds, not by those of a single one.
        if feed == ANY and opens > now:
            self.timeline.at(opens, OPEN, lambda: self.matcher.open(symbol, exact_bar, timeframe))
        if feed == ANY and end > now:
            self.timeline.at(end, INSIDE, lambda: self.matcher.inside(symbol, exact_bar, timeframe))
        if timeframe == MINUTES and known_at > now:
            self.timeline.at(known_at, PUBLISH, lambda: self._publish_bar(symbol, bar, feed))

    def _publish_bar(self, symbol: str, bar: dict, feed: str) -> None:
        self._batch.append(("bars", feed, {"T": "b", "S": symbol, **bar}))

    def correct(self, bars: dict[str, list[dict]], timeframe: str = MINUTES, feed: str = ANY) -> int:
        """Bars as they are from `at` on; minutes are sent as updated bars then. Fills that were made stay."""
        count = 0
        for symbol, several in bars.items():
            for said in several:
                bar = self.market.bar(said, timeframe)
                series = self.market.series(symbol, timeframe, feed)
                if not series or not series.scripted(bar["t"]):
                    raise ValueError(f"{symbol} has no bar at {said['t']} that could be corrected")
                late = seconds(self.settings.update_delay)
                at = parse(said["at"]) if "at" in said else self.market.end_of(bar["t"], timeframe) + late
                self.market.put_bar(symbol, bar, timeframe, feed, at)
                if timeframe == MINUTES:
                    update = ("updatedBars", feed, {"T": "u", "S": symbol, **bar})
                    self.timeline.at(at, PUBLISH, lambda update=update: self._batch.append(update))
                count += 1
        return count

    def _flush(self) -> None:
        """Sends what happened at one instant, then each day as it is so far."""
        batch, self._batch = self._batch, []
        days = []
        for channel, feed, message in batch if self._hub.is_wanted("dailyBars") else ():
            if channel == "bars" and self._in_session(message["t"]):
                day = self.market.day_so_far(message["S"], new_york_date(message["t"]), feed)
                days.append(("dailyBars", feed, {"T": "d", "S": message["S"], **day}))
        for messages in (batch, days):
            if messages:
                self._hub.publish(messages)

    def _in_session(self, at: int) -> bool:
        session = self.calendar.session(new_york_date(at))
        return session is not None and session.open <= at < session.close

    # ---- other messages ----

    def add_messages(self, kind: str, by_symbol: dict[str, list[dict]]) -> int:
        """Quotes, trades, statuses and others, each at its time t; without one it happens now."""
        if kind not in KINDS:
            raise ValueError(f"no messages are called {kind!r}; there are {', '.join(KINDS)}")
        count = 0
        for symbol, several in by_symbol.items():
            for said in several:
                if lacking := [name for name in NEEDED[kind] if name not in said]:
                    raise ValueError(f"{kind} need {', '.join(lacking)}")
                at = parse(said["t"]) if "t" in said else self.timeline.now
                self._add_message(kind, symbol, FILLED_IN[kind] | said | {"t": at})
                count += 1
        self._flush()
        return count

    def _add_message(self, kind: str, symbol: str, said: dict) -> None:
        listed = {"quotes": self.market.quotes, "trades": self.market.trades}.get(kind)
        if listed is not None:
            items = listed.setdefault(symbol, [])
            items.append(said)
            items.sort(key=lambda item: item["t"])
        if said["t"] >= self.timeline.now:
            message = {"T": KINDS[kind], "S": symbol, **said}
            self.timeline.at(said["t"], PUBLISH, lambda: self._happen(kind, symbol, said, message))

    def _happen(self, kind: str, symbol: str, said: dict, message: dict) -> None:
        self._batch.append((kind, ANY, message))
        if kind == "quotes":
            self.matcher.quote(symbol, said)
        elif kind == "statuses" and said["sc"] in HALTS:
            self.market.halted.add(symbol)
        elif kind == "statuses" and said["sc"] in RESUMES:
            self.market.halted.discard(symbol)

    def add_auctions(self, by_symbol: dict[str, list[dict]]) -> int:
        for symbol, several in by_symbol.items():
            items = self.market.auctions.setdefault(symbol, [])
            for said in several:
                date = datetime.date.fromisoformat(said["d"])
                auction = {"d": said["d"], "o": said.get("o", []), "c": said.get("c", [])}
                items.append({"t": new_york_time(date, 0), **auction})
            items.sort(key=lambda item: item["t"])
        return sum(map(len, by_symbol.values()))

    # ---- facts ----

    def add_actions(self, by_kind: dict[str, list[dict]]) -> int:
        from data_api import ACTIONS
        if unknown := set(by_kind) - set(ACTIONS.values()):
            raise ValueError(f"no corporate actions are called {sorted(unknown)}; there are {sorted(ACTIONS.values())}")
        for kind, several in by_kind.items():
            held = self.market.actions.setdefault(kind, [])
            for action in several:
                held.append({"id": name_of(kind, len(held) + 1), **action})
        return sum(map(len, by_kind.values()))

    def set_position(self, symbol: str, qty: str, entry: str, cash: bool) -> None:
        """A position that no order made: by hand, by a split, from before. It costs cash only if asked for."""
        shares, price = exact(qty), exact(entry)
        before = self.account.positions.pop(symbol, Position())
        if shares:
            self.account.positions[symbol] = Position(shares, shares * price)
        if cash:
            self.account.cash -= shares * price - before.cost

    def set_asset(self, said: dict[str, Any]) -> None:
        symbol = said["symbol"]
        self.account.assets[symbol] = self.account.assets.get(symbol, {}) | said

    def fill(self, name: str, price: Any, qty: Any | None) -> dict[str, Any]:
        """A fill that a test wants, whatever the rules say."""
        order = self.order(name)
        if order.has_ended:
            raise ValueError(f"the order is {order.status}")
        quantity: Decimal = self.broker.fill(order, exact(price), None if qty is None else exact(qty))
        return order.json() | {"filled_now": str(quantity)}

    def order(self, name: str):
        """By its id or its client's."""
        order = self.broker.orders.get(name) or self.broker.by_client_id(name)
        if order is None:
            raise ValueError(f"no order is called {name}")
        return order
