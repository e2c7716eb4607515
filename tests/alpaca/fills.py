"""At which price an order is executed by a bar, if at all. The rules are in the README.

They are those of Magellan's replay: what hurts happens if the bar allows it at all, what helps only if the bar forces
it, and of two things that could both be first, what hurts is first.
"""
from decimal import Decimal
from typing import NamedTuple

from orders import Order


class Bar(NamedTuple):
    """Prices as exact numbers."""
    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @classmethod
    def of(cls, bar: dict) -> "Bar":
        return cls(bar["t"], *(Decimal(str(bar[name])) for name in ("o", "h", "l", "c", "v")))


class Rule(NamedTuple):
    """What a test chose: slippage as a fraction, and whether a limit must be passed rather than touched."""
    slippage: Decimal
    strict: bool

    def market(self, order: Order, reference: Decimal) -> Decimal:
        """With slippage, but never beyond a limit."""
        price = reference * (1 + order.sign * self.slippage)
        if order.type == "stop_limit":
            price = min(price, order.limit_price) if order.sign > 0 else max(price, order.limit_price)
        return price

    def reaches(self, order: Order, price: Decimal) -> bool:
        """Whether a price is good enough for the order's limit."""
        return passes(order, price, order.limit_price) or price == order.limit_price and not self.strict


def passes(order: Order, price: Decimal, level: Decimal) -> bool:
    """Whether a price is better than a level: lower for a purchase."""
    return (level - price) * order.sign > 0


def triggers(order: Order, price: Decimal) -> bool:
    """Whether a price is at the order's stop, or beyond."""
    return (price - order.stop_price) * order.sign >= 0


def at_open(order: Order, price: Decimal, rule: Rule) -> Decimal | None:
    """The price of a fill at the open. Marks what is triggered."""
    if order.type == "market":
        return rule.market(order, price)
    if order.type == "limit":
        return price if rule.reaches(order, price) else None
    if not order.triggered and not triggers(order, price):
        return None
    just_now, order.triggered = not order.triggered, True
    if order.type != "stop_limit":
        return rule.market(order, price)
    if just_now:
        # At the open a stop limit is not strict.
        within = passes(order, price, order.limit_price) or price == order.limit_price
        return rule.market(order, price) if within else None
    return price if rule.reaches(order, price) else None


def inside(order: Order, bar: Bar, rule: Rule) -> Decimal | None:
    """The price of a fill between open and close. Marks what is triggered."""
    born = order.born if order.born and order.born.bar == bar.start else None
    start = born.from_price if born else bar.open
    # How far the bar goes against the order, and for it.
    bad, good = (bar.high, bar.low) if order.sign > 0 else (bar.low, bar.high)
    if born and born.reaches_close_only:
        good = bar.close
    if order.type == "market":
        return None
    if order.type == "limit" or order.triggered:
        if order.type in ("stop", "trailing_stop"):
            return None
        best = min(good, start) if order.sign > 0 else max(good, start)
        if not rule.reaches(order, best):
            return None
        return start if passes(order, start, order.limit_price) else order.limit_price
    if not triggers(order, bad):
        return None
    order.triggered = True
    reference = max(order.stop_price, start) if order.sign > 0 else min(order.stop_price, start)
    if order.type != "stop_limit":
        return rule.market(order, reference)
    if not passes(order, order.limit_price, reference):
        return rule.market(order, reference)
    return order.limit_price if rule.reaches(order, bar.close) else None


def rank(order: Order, position: Decimal) -> tuple:
    """What hurts before what helps: stops against the position by nearness, other stops, other limits, targets."""
    against = position * order.sign < 0
    if order.is_stop and not (order.type == "stop_limit" and order.triggered):
        return (0, order.stop_price * order.sign) if against else (1, 0)
    return (3, 0) if against else (2, 0)


def ratchet(order: Order, high: Decimal, low: Decimal) -> None:
    """A trailing stop follows the best price so far."""
    if order.type != "trailing_stop" or order.triggered:
        return
    best = low if order.sign > 0 else high
    if order.hwm is None or (best - order.hwm) * order.sign < 0:
        order.hwm = best
    distance = order.trail_price or order.hwm * order.trail_percent / 100
    order.stop_price = order.hwm + order.sign * distance
