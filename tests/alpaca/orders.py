"""An order as the broker keeps it, and what may be asked for."""
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from faults import Fault
from times import written
from web import Refusal

ZERO = Decimal(0)
CENT = Decimal("0.01")
TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")
CLASSES = ("simple", "bracket", "oto", "oco")
ENDED = ("filled", "canceled", "expired", "replaced", "rejected")
# Such an order may be executed.
WORKING = ("new", "partially_filled", "pending_cancel", "pending_replace")
CAN_BE_REPLACED = ("new", "partially_filled", "held")
MALFORMED, NOT_ALLOWED, FORBIDDEN = 40010001, 42210000, 40310000


def shown(value: Decimal | None) -> str | None:
    """As Alpaca writes money and quantities: text without an exponent."""
    return None if value is None else format(value.normalize(), "f") if value else "0"


@dataclass
class Born:
    """A leg that begins to work inside a bar: which one, from which price on, and how far the bar goes after that."""
    bar: int
    from_price: Decimal
    reaches_close_only: bool


@dataclass
class Order:
    """Its fields are called as Alpaca calls them; those below `fate` are the fake's own."""
    id: str
    client_order_id: str
    symbol: str
    asset_id: str
    side: str
    type: str
    time_in_force: str
    created_at: int
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    hwm: Decimal | None = None
    extended_hours: bool = False
    order_class: str = "simple"
    position_intent: str | None = None
    status: str = "pending_new"
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    expires_at: int | None = None
    times: dict[str, int] = field(default_factory=dict)
    replaces: str | None = None
    replaced_by: str | None = None
    legs: list["Order"] = field(default_factory=list)
    fate: Fault | None = None
    parent: "Order | None" = None
    # Orders of which the first that fills ends the others.
    siblings: list["Order"] = field(default_factory=list)
    works_from: int | None = None
    born: Born | None = None
    triggered: bool = False
    tried_in: int | None = None
    partial_done: bool = False
    updated_at: int = 0
    # How the class of a simple order is shown.
    simple_class: str = ""

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    @property
    def is_stop(self) -> bool:
        return self.type in ("stop", "stop_limit", "trailing_stop")

    @property
    def left(self) -> Decimal:
        """Shares that are not executed yet. Unknown, and so none, of an order for dollars."""
        return (self.qty or ZERO) - self.filled_qty

    @property
    def average(self) -> Decimal | None:
        if not self.filled_qty:
            return None
        return round(self.filled_value / self.filled_qty, 12)

    def json(self, nested: bool = True) -> dict[str, Any]:
        def time(name: str) -> str | None:
            return written(self.times[name]) if name in self.times else None
        legs = [leg.json(nested=False) for leg in self.legs] if nested and self.legs else None
        return {
            "id": self.id, "client_order_id": self.client_order_id, "created_at": written(self.created_at),
            "updated_at": written(self.updated_at or self.created_at), "submitted_at": written(self.created_at),
            "filled_at": time("filled_at"), "expired_at": time("expired_at"), "canceled_at": time("canceled_at"),
            "failed_at": time("failed_at"), "replaced_at": time("replaced_at"),
            "expires_at": written(self.expires_at) if self.expires_at else None,
            "replaced_by": self.replaced_by, "replaces": self.replaces, "asset_id": self.asset_id,
            "symbol": self.symbol, "asset_class": "us_equity", "notional": shown(self.notional),
            "qty": shown(self.qty) if self.notional is None else None, "filled_qty": shown(self.filled_qty),
            "filled_avg_price": shown(self.average), "order_type": self.type,
            "order_class": self.simple_class if self.order_class == "simple" else self.order_class,
            "type": self.type, "side": self.side, "time_in_force": self.time_in_force,
            "limit_price": shown(self.limit_price), "stop_price": shown(self.stop_price), "status": self.status,
            "extended_hours": self.extended_hours, "legs": legs, "trail_percent": shown(self.trail_percent),
            "trail_price": shown(self.trail_price), "hwm": shown(self.hwm), "position_intent": self.position_intent,
        }


def number(said: dict, name: str, within: str = "") -> Decimal | None:
    """A positive number, as text or as JSON's own."""
    value = said.get(name)
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if isinstance(value, bool) or not found.is_finite():
        raise Refusal(422, MALFORMED, f"{within}{name} is not a number")
    if found <= 0:
        raise Refusal(422, MALFORMED, f"{within}{name} must be > 0")
    return found


def check_price(name: str, price: Decimal | None) -> None:
    """From $1 on two decimals, below four."""
    if price is not None and -price.normalize().as_tuple().exponent > (2 if price >= 1 else 4):
        raise Refusal(422, NOT_ALLOWED, f"invalid {name} {shown(price)}. sub-penny increment does not fulfill minimum "
                      "pricing criteria")


@dataclass
class Wanted:
    """What POST /v2/orders asks for, with everything checked that doesn't depend on the account or the market."""
    symbol: str
    side: str
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    extended_hours: bool
    client_order_id: str | None
    order_class: str
    position_intent: str | None
    take_profit: Decimal | None
    stop_loss: Decimal | None
    stop_loss_limit: Decimal | None

    @property
    def is_fractional(self) -> bool:
        return self.notional is not None or self.qty != self.qty.to_integral_value()

    @property
    def has_legs(self) -> bool:
        return self.order_class in ("bracket", "oto")


def read(said: dict) -> Wanted:
    def word(name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = said.get(name) or default
        if value is None:
            raise Refusal(422, MALFORMED, f"{name} is required")
        if value not in allowed:
            raise Refusal(422, MALFORMED, f"invalid {name}: {value}")
        return value
    if said.get("order_class") == "mleg":
        raise Refusal(422, NOT_ALLOWED, "orders with several legs of options are not supported")
    if not said.get("symbol"):
        raise Refusal(422, MALFORMED, "symbol is required")
    profit, loss = said.get("take_profit") or {}, said.get("stop_loss") or {}
    wanted = Wanted(
        symbol=said["symbol"], side=word("side", ("buy", "sell")), type=word("type", TYPES),
        time_in_force=word("time_in_force", TIMES_IN_FORCE), qty=number(said, "qty"), notional=number(said, "notional"),
        limit_price=number(said, "limit_price"), stop_price=number(said, "stop_price"),
        trail_price=number(said, "trail_price"), trail_percent=number(said, "trail_percent"),
        extended_hours=bool(said.get("extended_hours")), client_order_id=said.get("client_order_id") or None,
        order_class=word("order_class", CLASSES, "simple"), position_intent=said.get("position_intent"),
        take_profit=number(profit, "limit_price", "take_profit."),
        # A trail beside a stop price is dropped without a word.
        stop_loss=number(loss, "stop_price", "stop_loss."),
        stop_loss_limit=number(loss, "limit_price", "stop_loss."))
    _check_size(wanted)
    _check_class(wanted, bool(profit), bool(loss))
    _check_prices(wanted)
    _check_time_in_force(wanted)
    return wanted


def _check_size(wanted: Wanted) -> None:
    if (wanted.qty is None) == (wanted.notional is None):
        raise Refusal(422, MALFORMED, "qty or notional is required, and only one of them")
    if wanted.client_order_id and len(wanted.client_order_id) > 128:
        raise Refusal(422, MALFORMED, "client_order_id must be no more than 128 characters")


def _check_prices(wanted: Wanted) -> None:
    needed = {"market": (), "limit": ("limit_price",), "stop": ("stop_price",), "trailing_stop": (),
              "stop_limit": ("limit_price", "stop_price")}[wanted.type]
    is_exit = wanted.order_class == "oco"
    for name in ("limit_price", "stop_price"):
        price = getattr(wanted, name)
        if price is None and name in needed and not is_exit:
            raise Refusal(422, MALFORMED, f"{wanted.type} orders require {name}")
        if price is not None and name not in needed:
            raise Refusal(422, MALFORMED, f"{wanted.type} orders require no {name}")
    trails = [wanted.trail_price, wanted.trail_percent]
    if wanted.type == "trailing_stop" and trails.count(None) != 1:
        raise Refusal(422, MALFORMED, "trailing_stop orders require one of trail_price and trail_percent")
    if wanted.type != "trailing_stop" and trails.count(None) != 2:
        raise Refusal(422, MALFORMED, f"{wanted.type} orders require no trail")
    for name in ("limit_price", "stop_price"):
        check_price(name, getattr(wanted, name))
    check_price("take_profit.limit_price", wanted.take_profit)
    check_price("stop_loss.stop_price", wanted.stop_loss)
    check_price("stop_loss.limit_price", wanted.stop_loss_limit)


def _check_class(wanted: Wanted, has_profit: bool, has_loss: bool) -> None:
    kind = wanted.order_class
    if kind == "simple":
        if has_profit or has_loss:
            raise Refusal(422, MALFORMED, "simple orders take no take_profit and no stop_loss")
        return
    if has_loss and wanted.stop_loss is None:
        raise Refusal(422, MALFORMED, "stop_loss.stop_price is required")
    if has_profit and wanted.take_profit is None:
        raise Refusal(422, MALFORMED, "take_profit.limit_price is required")
    if kind in ("bracket", "oco") and not (has_profit and has_loss):
        raise Refusal(422, MALFORMED, f"{kind} orders require take_profit.limit_price and stop_loss.stop_price")
    if kind == "oto" and has_profit == has_loss:
        raise Refusal(422, MALFORMED, "oto orders require one of take_profit and stop_loss")
    if wanted.type == "trailing_stop":
        raise Refusal(422, NOT_ALLOWED, "trailing_stop orders must be simple orders")
    if wanted.is_fractional:
        raise Refusal(422, NOT_ALLOWED, "fractional orders must be simple orders")
    if wanted.extended_hours:
        raise Refusal(403, FORBIDDEN, f"{kind} orders are not allowed in extended hours")
    if wanted.time_in_force not in ("day", "gtc"):
        raise Refusal(422, NOT_ALLOWED, f"{kind} orders must be DAY or GTC orders")
    if kind == "oco" and wanted.type != "limit":
        raise Refusal(422, NOT_ALLOWED, "oco orders must be limit orders")


def _check_time_in_force(wanted: Wanted) -> None:
    force = wanted.time_in_force
    if wanted.is_fractional and force != "day":
        raise Refusal(422, NOT_ALLOWED, "fractional orders must be DAY orders")
    if wanted.extended_hours and (wanted.type != "limit" or force not in ("day", "gtc")):
        raise Refusal(422, NOT_ALLOWED, "extended hours order must be DAY or GTC limit orders")
    if force in ("opg", "cls") and wanted.type not in ("market", "limit"):
        raise Refusal(422, NOT_ALLOWED, f"{force} orders must be market or limit orders")
    if wanted.type == "trailing_stop" and force not in ("day", "gtc"):
        raise Refusal(422, NOT_ALLOWED, "trailing_stop orders must be DAY or GTC orders")


def check_legs(wanted: Wanted, base: Decimal | None) -> None:
    """Target and stop on their sides of the price at which the entry is expected, by a cent at least."""
    if base is None or not (wanted.has_legs or wanted.order_class == "oco"):
        return
    # Of an oco order the side is that of the exit.
    up = (wanted.side == "buy") == wanted.has_legs
    more = {"base_price": shown(base)}
    if wanted.take_profit and wanted.stop_loss and (wanted.take_profit > wanted.stop_loss) != up:
        raise Refusal(422, NOT_ALLOWED, f"take_profit.limit_price must be {'>' if up else '<'} stop_loss.stop_price")
    if wanted.stop_loss and (wanted.stop_loss > base - CENT if up else wanted.stop_loss < base + CENT):
        raise Refusal(422, NOT_ALLOWED, "stop_loss.stop_price must be "
                      + ("<= base_price - 0.01" if up else ">= base_price + 0.01"), **more)
    if wanted.take_profit and wanted.has_legs and (
            wanted.take_profit < base + CENT if up else wanted.take_profit > base - CENT):
        raise Refusal(422, NOT_ALLOWED, "take_profit.limit_price must be "
                      + (">= base_price + 0.01" if up else "<= base_price - 0.01"), **more)
