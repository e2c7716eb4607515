"""Fills made from scripted bars or quotes, by the rule that a test chose."""
import datetime
from decimal import ROUND_DOWN, Decimal

import fills
from account import exact
from broker import Broker
from fills import Bar, Rule
from market import DAYS, MINUTES, Market
from orders import Born, Order
from sessions import Calendar, Session
from settings import Settings
from times import MINUTE, new_york_date, seconds


class Matcher:
    """Told when a bar opens and ends, when a session closes, and of each quote."""

    def __init__(self, broker: Broker, market: Market, calendar: Calendar, settings: Settings) -> None:
        self._broker, self._market, self._calendar, self._settings = broker, market, calendar, settings
        # Symbols whose opening auction of a day is over; shares of a bar that may still be traded.
        self._opened: dict[str, datetime.date] = {}
        self._volume: dict[str, Decimal | None] = {}
        broker.when_working = self._at_last_quote

    # ---- which bars count ----

    def _rule(self) -> Rule:
        return Rule(exact(self._settings.slippage_bps) / 10_000, self._settings.strict_limits)

    def _source(self, symbol: str, date: datetime.date) -> str:
        """Days whose minutes are scripted are traded by them."""
        chosen = self._settings.fill_from
        if chosen != "auto":
            return MINUTES if chosen == "minute" else DAYS
        return MINUTES if self._market.has_minutes(symbol, date) else DAYS

    def _counts(self, symbol: str, bar: Bar, timeframe: str) -> bool:
        date = new_york_date(bar.start)
        return self._settings.fill_rule == "bars" and self._source(symbol, date) == timeframe

    def _is_regular(self, bar: Bar, timeframe: str) -> bool:
        session = self._calendar.session(new_york_date(bar.start))
        if timeframe == DAYS:
            return session is not None
        return session is not None and session.open <= bar.start and bar.start + MINUTE <= session.close

    def _orders(self, symbol: str, bar: Bar, timeframe: str) -> list[Order]:
        """Those that worked when the bar began, or shortly after; oldest first."""
        session = self._calendar.session(new_york_date(bar.start))
        opens = session.open if timeframe == DAYS and session else bar.start
        regular = self._is_regular(bar, timeframe)
        last = opens + seconds(self._settings.grace)
        return [order for order in self._broker.working(symbol)
                if (order.works_from <= last or order.born and order.born.bar == bar.start)
                and (regular or order.extended_hours) and order.time_in_force != "cls"]

    # ---- bars ----

    def open(self, symbol: str, bar: Bar, timeframe: str) -> None:
        """The bar's first trade."""
        if not self._counts(symbol, bar, timeframe):
            return
        self._market.traded(symbol, float(bar.open))
        share = self._settings.participation
        self._volume[symbol] = None if share is None else (exact(share) * bar.volume).to_integral_value(ROUND_DOWN)
        rule, regular = self._rule(), self._is_regular(bar, timeframe)
        date = new_york_date(bar.start)
        is_auction = regular and self._opened.get(symbol) != date
        orders = [order for order in self._orders(symbol, bar, timeframe) if self._has_price(order)]
        orders = [order for order in orders if order.time_in_force != "opg" or is_auction]
        # A stop beats its target in one bar, even if the bar opens beyond the target.
        orders = [order for order in orders if not (order.parent and order.siblings and order.type == "limit")]
        # What only reduces the position comes first.
        for order in list(orders):
            if self._reduces(order):
                orders.remove(order)
                self._at_open(order, bar, rule)
        for order in orders:
            self._at_open(order, bar, rule)
        if is_auction:
            self._opened[symbol] = date

    def _reduces(self, order: Order) -> bool:
        """All that is left of it closes a part of the position."""
        quantity = self._broker.account.quantity(order.symbol)
        return order.sign * quantity < 0 and order.left <= abs(quantity)

    def _at_open(self, order: Order, bar: Bar, rule: Rule) -> None:
        if not self._broker.may_fill(order):
            return
        price = fills.at_open(order, bar.open, rule)
        if price is not None:
            order.tried_in = bar.start
            self._fill(order, price, Born(bar.start, bar.open, reaches_close_only=False))
        if order.time_in_force in ("ioc", "fok", "opg"):
            self._broker.end_unfilled(order)

    def inside(self, symbol: str, bar: Bar, timeframe: str) -> None:
        """All between the first trade and the last: whichever comes first is executed, then all are looked at again."""
        if not self._counts(symbol, bar, timeframe):
            return
        rule = self._rule()
        while True:
            position = self._broker.account.quantity(symbol)
            waiting = [order for order in self._orders(symbol, bar, timeframe)
                       if order.tried_in != bar.start and self._has_price(order)]
            waiting.sort(key=lambda order: fills.rank(order, position))
            for order in waiting:
                was_triggered = order.triggered
                price = fills.inside(order, bar, rule)
                if price is not None or order.triggered != was_triggered:
                    # What is only triggered is a limit order from the next bar on.
                    order.tried_in = bar.start
                if price is not None:
                    self._fill(order, price, self._born(order, bar, price, was_triggered))
                    break
            else:
                break
        for order in self._orders(symbol, bar, timeframe):
            fills.ratchet(order, bar.high, bar.low)
        self._market.traded(symbol, float(bar.close))

    @staticmethod
    def _has_price(order: Order) -> bool:
        return not order.is_stop or order.stop_price is not None

    @staticmethod
    def _born(order: Order, bar: Bar, price: Decimal, was_triggered: bool) -> Born:
        """A limit may have been reached on the bar's way back, so its legs see no more than the close."""
        if order.is_stop and not was_triggered:
            reference = max(order.stop_price, bar.open) if order.sign > 0 else min(order.stop_price, bar.open)
            if order.type != "stop_limit" or not fills.passes(order, order.limit_price, reference):
                return Born(bar.start, reference, reaches_close_only=False)
        return Born(bar.start, price, reaches_close_only=True)

    def _fill(self, order: Order, price: Decimal, born: Born | None) -> None:
        """As much as the order's fate and the bar's volume allow."""
        quantity: Decimal | None = None
        fate = order.fate if order.fate and order.fate.kind == "partial_fill" else None
        if fate and order.partial_done and fate["then"] == "stay":
            return
        if fate and not order.partial_done:
            order.partial_done = True
            whole = order.qty if order.qty is not None else order.notional / price
            part = exact(fate["qty"]) if fate["qty"] is not None else whole * exact(fate["fraction"] or "0.5")
            quantity = part if order.qty is None else min(part, order.left)
            if fate["qty"] is None:
                quantity = max(Decimal(1), quantity.to_integral_value(ROUND_DOWN))
        left = self._volume.get(order.symbol)
        if left is not None:
            wanted = order.left if quantity is None else quantity
            quantity = min(wanted, left)
            if order.time_in_force == "fok" and quantity < order.left or quantity <= 0:
                return
            self._volume[order.symbol] = left - quantity
        elif order.time_in_force == "fok" and quantity is not None and quantity < order.left:
            return
        self._broker.fill(order, price, quantity, born)

    # ---- auctions ----

    def close_session(self, session: Session) -> None:
        """The closing auction, at the close of the session's last bar; what doesn't get it is cancelled."""
        rule = self._rule()
        for order in list(self._broker.open_orders()):
            if order.time_in_force == "opg" and order.works_from is not None:
                self._broker.end_unfilled(order)
            if order.time_in_force != "cls" or order.works_from is None:
                continue
            price = self._last_close(order.symbol, session)
            if self._settings.fill_rule == "bars" and price is not None and self._broker.may_fill(order):
                self._volume[order.symbol] = None
                if order.type == "market" or rule.reaches(order, price):
                    self._fill(order, rule.market(order, price) if order.type == "market" else price, None)
            if self._settings.fill_rule != "manual":
                self._broker.end_unfilled(order)

    def _last_close(self, symbol: str, session: Session) -> Decimal | None:
        source = self._source(symbol, session.date)
        series = self._market.series(symbol, source)
        first = session.open if source == MINUTES else session.open - 24 * 60 * MINUTE
        starts = [start for start in series.starts if first <= start < session.close] if series else []
        starts = [start for start in starts if new_york_date(start) == session.date]
        return exact(series.scripted(starts[-1])["c"]) if starts else None

    # ---- quotes ----

    def quote(self, symbol: str, quote: dict) -> None:
        """Under the rule `quotes`: what can be had at bid or ask is had, whatever the size."""
        if self._settings.fill_rule != "quotes":
            return
        bid, ask = exact(quote["bp"]), exact(quote["ap"])
        phase, _ = self._calendar.phase(self._broker.now)
        position = self._broker.account.quantity(symbol)
        self._volume[symbol] = None
        for order in sorted(self._broker.working(symbol), key=lambda order: fills.rank(order, position)):
            allowed = phase == "core" or order.extended_hours and phase in ("pre", "post")
            # A target and its stop may both be reached; the first of them ends the other.
            if not allowed or not self._broker.may_fill(order) or not self._has_price(order):
                continue
            if order.time_in_force == "cls":
                continue
            price = fills.at_open(order, ask if order.sign > 0 else bid, self._rule())
            if price is not None:
                self._fill(order, price, None)
            if order.time_in_force in ("ioc", "fok", "opg"):
                self._broker.end_unfilled(order)
            fills.ratchet(order, bid, ask)

    def _at_last_quote(self, order: Order) -> None:
        quote = self._market.last_quote(order.symbol)
        if quote and self._settings.fill_rule == "quotes":
            self.quote(order.symbol, quote)
