"""Orders from POST to their end, and the trades between."""
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

import orders
from account import Account, exact, name_of
from faults import Fault, Faults
from market import Market
from orders import CAN_BE_REPLACED, FORBIDDEN, MALFORMED, NOT_ALLOWED, WORKING, ZERO, Order, Wanted, shown
from sessions import Calendar, Session
from settings import Settings
from timeline import ANSWER, EXPIRE, Timeline
from times import HOUR, MINUTE, new_york_date, new_york_time, seconds, written
from web import Refusal

GTC_DAYS = 90
# Faults of a new order; the others come when it is to be cancelled or replaced.
WHEN_SENT = ("reject", "hang", "no_fill", "partial_fill", "dropped_leg")
NANO_SHARE = Decimal("0.000000001")
# Letters of a ULID, which sorts by time.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(number: int) -> str:
    digits = ""
    for _ in range(23):
        number, digit = divmod(number, 32)
        digits = CROCKFORD[digit] + digits
    return "01J" + digits


class Broker:
    """All orders of one account. `send` gets each trade update, `when_working` each order that begins to work."""

    def __init__(self, account: Account, market: Market, calendar: Calendar, timeline: Timeline, settings: Settings,
                 faults: Faults, send: Callable[[dict[str, Any]], None]) -> None:
        self.account, self._market, self._calendar = account, market, calendar
        self._timeline, self._settings, self._faults, self._send = timeline, settings, faults, send
        self.orders: dict[str, Order] = {}
        self.activities: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.when_working: Callable[[Order], None] = lambda order: None
        self._made = self._executions = self._sent = 0

    @property
    def now(self) -> int:
        return self._timeline.now

    # ---- what is asked about ----

    def find(self, order_id: str) -> Order:
        if order_id not in self.orders:
            raise Refusal(404, 40410000, f"order not found for {order_id}")
        return self.orders[order_id]

    def by_client_id(self, client_id: str, open_only: bool = False) -> Order | None:
        found = [order for order in self.orders.values() if order.client_order_id == client_id]
        return next((order for order in reversed(found) if not (open_only and order.has_ended)), None)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        return [order for order in self.orders.values()
                if not order.has_ended and (symbol is None or order.symbol == symbol)]

    def held(self, symbol: str) -> Decimal:
        """Shares of a position that working orders are to close. Of a target and its stop only one will."""
        quantity = self.account.quantity(symbol)
        total, counted = ZERO, set()
        for order in self.open_orders(symbol):
            if order.sign * quantity >= 0 or order.id in counted or self._is_idle(order):
                continue
            counted |= {order.id, *(sibling.id for sibling in order.siblings)}
            total += order.left
        return total

    @staticmethod
    def _is_idle(order: Order) -> bool:
        """A leg whose entry isn't complete, or what may yet stand in the place of another order."""
        waits = order.parent is not None and not order.parent.has_ended
        return waits or order.replaces is not None and order.works_from is None

    @property
    def reserved(self) -> Decimal:
        """Dollars that working orders may need."""
        total = ZERO
        for order in self.open_orders():
            closes = order.sign * self.account.quantity(order.symbol) < 0 or order.parent is not None
            if not closes and not self._is_idle(order):
                total += order.notional or order.left * self._expected(order, order.symbol)
        return total

    def _expected(self, order: Order | Wanted, symbol: str) -> Decimal:
        price = order.limit_price or order.stop_price
        last = self._market.last_price(symbol)
        return price or (ZERO if last is None else exact(last))

    # ---- POST ----

    def submit(self, said: dict[str, Any]) -> dict[str, Any]:
        """Takes an order, or refuses it with everything unchanged. The answer is no more than an acknowledgement."""
        wanted = orders.read(said)
        wanted.symbol = self.account.symbol_of(wanted.symbol)
        self._check_account()
        self._check_asset(wanted)
        self._check_client_id(wanted.client_order_id)
        base = wanted.limit_price or self._last(wanted.symbol)
        if wanted.order_class == "oco":
            base = self._last(wanted.symbol)
        orders.check_legs(wanted, base)
        self._check_auction(wanted)
        self._check_shares(wanted)
        self._check_wash(wanted)
        self._check_funds(wanted)
        order = self._create(wanted)
        order.fate = self._faults.take(WHEN_SENT, self._facts(order))
        if order.fate and order.fate.kind == "dropped_leg":
            self._drop_leg(order)
        if order.type == "trailing_stop" and (last := self._last(order.symbol)) is not None:
            order.hwm = last
            order.stop_price = last + order.sign * (order.trail_price or last * order.trail_percent / 100)
        return self._acknowledge(order)

    @staticmethod
    def _facts(order: Order) -> dict[str, Any]:
        return {"symbol": order.symbol, "side": order.side, "type": order.type, "order_class": order.order_class,
                "client_order_id": order.client_order_id, "time_in_force": order.time_in_force}

    def _last(self, symbol: str) -> Decimal | None:
        price = self._market.last_price(symbol)
        return None if price is None else exact(price)

    def _check_account(self) -> None:
        facts = self.account.facts
        if facts["account_blocked"] or facts["status"] != "ACTIVE":
            raise Refusal(403, FORBIDDEN, "account is not authorized to trade")
        if facts["trading_blocked"]:
            raise Refusal(403, FORBIDDEN, "trading is blocked for the account")
        if facts["trade_suspended_by_user"] or self.account.configuration["suspend_trade"]:
            raise Refusal(403, FORBIDDEN, "new orders are rejected by user request")

    def _check_asset(self, wanted: Wanted) -> None:
        asset = self.account.asset(wanted.symbol)
        if asset is None:
            raise Refusal(422, NOT_ALLOWED, f'asset "{wanted.symbol}" not found')
        if not asset["tradable"] or asset["status"] != "active":
            raise Refusal(422, NOT_ALLOWED, f"asset {wanted.symbol} is not tradable")
        allowed = asset["fractionable"] and self.account.configuration["fractional_trading"]
        if wanted.is_fractional and not allowed:
            raise Refusal(403, FORBIDDEN, f"asset {wanted.symbol} is not fractionable")

    def _check_client_id(self, client_id: str | None) -> None:
        if client_id and self.by_client_id(client_id, self._settings.duplicate_ids == "open"):
            raise Refusal(422, MALFORMED, "client_order_id must be unique")

    def _check_auction(self, wanted: Wanted) -> None:
        if self._is_late(wanted) and self._settings.late_auction == "refuse":
            raise Refusal(422, NOT_ALLOWED, f"{wanted.time_in_force} orders are not accepted at this time")

    def _is_late(self, of: Wanted | Order) -> bool:
        """From two minutes before the open (ten before the close) until 19:00."""
        session = self._calendar.session(new_york_date(self.now))
        if not session or of.time_in_force not in ("opg", "cls"):
            return False
        last = session.open - 2 * MINUTE if of.time_in_force == "opg" else session.close - 10 * MINUTE
        return last <= self.now < new_york_time(session.date, 19)

    def _check_shares(self, wanted: Wanted) -> None:
        """Closes no more than there is and isn't held by other orders; sells short only where that is allowed."""
        quantity = self.account.quantity(wanted.symbol)
        sign = 1 if wanted.side == "buy" else -1
        if sign * quantity < 0:
            free = abs(quantity) - self.held(wanted.symbol)
            size = wanted.qty if wanted.qty is not None else wanted.notional / self.account.price(wanted.symbol)
            if size > free:
                related = [order.id for order in self.open_orders(wanted.symbol) if order.side == wanted.side]
                raise Refusal(403, FORBIDDEN, "insufficient qty available for order (requested: "
                              f"{shown(round(size, 9))}, available: {shown(max(ZERO, free))})", symbol=wanted.symbol,
                              available=shown(max(ZERO, free)), existing_qty=shown(abs(quantity)),
                              held_for_orders=shown(self.held(wanted.symbol)), related_orders=related)
            return
        if wanted.order_class == "oco":
            raise Refusal(422, NOT_ALLOWED, "oco orders must be exit orders")
        if sign < 0:
            self._check_short(wanted)

    def _check_short(self, wanted: Wanted) -> None:
        allowed = self.account.facts["shorting_enabled"] and not self.account.configuration["no_shorting"]
        if not allowed or exact(self.account.facts["multiplier"]) <= 1:
            raise Refusal(403, FORBIDDEN, "account is not allowed to short")
        if wanted.is_fractional:
            raise Refusal(422, NOT_ALLOWED, "fractional orders cannot be sold short")
        if not self.account.asset(wanted.symbol)["shortable"]:
            raise Refusal(422, NOT_ALLOWED, f"asset {wanted.symbol} cannot be sold short")

    def _check_wash(self, wanted: Wanted) -> None:
        """Two orders of a single account must not be able to trade with each other."""
        if not self._settings.wash_check or wanted.order_class != "simple":
            return
        for other in self.open_orders(wanted.symbol):
            if other.side == wanted.side or other.status == "held":
                continue
            both_limits = wanted.type == other.type == "limit"
            buy, sell = (wanted, other) if wanted.side == "buy" else (other, wanted)
            if not both_limits or buy.limit_price >= sell.limit_price:
                kind = "limit" if other.type == "limit" else "market/stop"
                raise Refusal(403, FORBIDDEN, "potential wash trade detected. use complex orders",
                              existing_order_id=other.id, reject_reason=f"opposite side {kind} order exists")

    def _check_funds(self, wanted: Wanted) -> None:
        sign = 1 if wanted.side == "buy" else -1
        if not self._settings.funds_check or sign * self.account.quantity(wanted.symbol) < 0:
            return
        cost = wanted.notional or wanted.qty * self._expected(wanted, wanted.symbol)
        power = self.account.buying_power(self.reserved)
        if cost > power:
            raise Refusal(403, FORBIDDEN, "insufficient buying power", buying_power=shown(power),
                          cost_basis=shown(cost))

    # ---- orders and their legs ----

    def _new(self, wanted: Wanted, **other: Any) -> Order:
        self._made += 1
        order_id = name_of("order", self._made)
        facts = {"qty": wanted.qty, "notional": wanted.notional, "limit_price": wanted.limit_price,
                 "stop_price": wanted.stop_price, "trail_price": wanted.trail_price, "side": wanted.side,
                 "trail_percent": wanted.trail_percent, "type": wanted.type, "position_intent": wanted.position_intent,
                 "client_order_id": wanted.client_order_id or name_of("client order", self._made),
                 "time_in_force": wanted.time_in_force, "extended_hours": wanted.extended_hours} | other
        order = Order(id=order_id, symbol=wanted.symbol, asset_id=name_of("asset", wanted.symbol),
                      created_at=self.now, order_class=wanted.order_class,
                      simple_class=self._settings.simple_class, **facts)
        self.orders[order_id] = order
        return order

    def _create(self, wanted: Wanted) -> Order:
        if wanted.order_class == "oco":
            order = self._new(wanted, limit_price=wanted.take_profit)
            order.legs = [self._leg(wanted, order, wanted.side, "stop")]
            order.siblings, order.legs[0].siblings = [order.legs[0]], [order]
            # It is the other half of an exit, and waits for no entry.
            order.legs[0].parent = None
            return order
        order = self._new(wanted)
        out = "sell" if wanted.side == "buy" else "buy"
        if wanted.has_legs:
            kinds = [kind for kind, price in (("target", wanted.take_profit), ("stop", wanted.stop_loss)) if price]
            order.legs = [self._leg(wanted, order, out, kind) for kind in kinds]
            for leg in order.legs:
                leg.siblings = [other for other in order.legs if other is not leg]
        return order

    def _leg(self, wanted: Wanted, parent: Order, side: str, kind: str) -> Order:
        stop_limit = wanted.stop_loss_limit
        prices = {"limit_price": wanted.take_profit, "stop_price": None, "type": "limit"}
        if kind == "stop":
            prices = {"limit_price": stop_limit, "stop_price": wanted.stop_loss,
                      "type": "stop_limit" if stop_limit else "stop"}
        return self._new(wanted, side=side, client_order_id=name_of("client order", self._made + 1), parent=parent,
                         status="held", position_intent=None, **prices)

    def _drop_leg(self, order: Order) -> None:
        """The stop that was asked for isn't in the answer, and isn't there."""
        for leg in order.legs:
            del self.orders[leg.id]
        order.legs = []

    # ---- from the answer to work ----

    def _session_for(self, order: Order) -> Session:
        """The session that an order waits for, or works in."""
        if order.time_in_force == "opg":
            return self._calendar.next_open(self.now)
        return self._calendar.next_close(self.now)

    def _waits(self, order: Order) -> bool:
        """For the regular session, unless it may work in the hours around it."""
        phase, _ = self._calendar.phase(self.now)
        if order.time_in_force == "opg":
            return True
        return phase != "core" and not (order.extended_hours and phase in ("pre", "post"))

    def _expires_at(self, order: Order) -> int:
        if order.time_in_force == "gtc":
            date = new_york_date(self.now + GTC_DAYS * 24 * HOUR)
            return self._calendar.next_close(new_york_time(date, 0)).close
        session = self._session_for(order)
        if order.extended_hours:
            today = self._calendar.session(new_york_date(self.now))
            return today.post if today and self.now < today.post else session.post
        return session.close

    def _acknowledge(self, order: Order) -> dict[str, Any]:
        settings, waits = self._settings, self._waits(order)
        order.expires_at = self._expires_at(order)
        self._timeline.at(order.expires_at, EXPIRE, lambda: self._expire(order))
        order.status = "accepted" if waits else settings.answer_status
        for leg in order.legs:
            leg.expires_at = order.expires_at
        answer = order.json()
        fate = order.fate.kind if order.fate else None
        if fate == "hang":
            return answer
        if fate == "reject" or self._is_late(order):
            self._end(order, "rejected")
        elif waits:
            self._tell("accepted", order)
        else:
            self._timeline.at(self.now + seconds(settings.ack_delay), ANSWER, lambda: self._begin(order))
        return answer

    def _begin(self, order: Order) -> None:
        """The order works from now on."""
        if order.status not in ("pending_new", "accepted", "new"):
            return
        for event in self._settings.ack_events:
            if event in ("pending_new", "accepted", "new"):
                order.status = event
            self._tell(event, order)
        self._work(order)

    def _work(self, order: Order) -> None:
        order.status, order.works_from = "new", self.now
        if order.order_class == "oco" and order.legs:
            stop = order.legs[0]
            stop.status, stop.works_from = self._settings.stop_beside_target, self.now
        self.when_working(order)

    def open_session(self, early: bool) -> None:
        """What waited for the session works now; before the regular hours only what may."""
        for order in self.open_orders():
            waits = order.status == "accepted" and order.parent is None and (order.extended_hours or not early)
            if waits and not (order.fate and order.fate.kind == "hang"):
                order.status = "new"
                self._tell("new", order)
                self._work(order)

    # ---- executions ----

    def working(self, symbol: str) -> list[Order]:
        """Orders that may be executed, oldest first."""
        return [order for order in self.orders.values() if order.symbol == symbol and self.may_fill(order)]

    def may_fill(self, order: Order) -> bool:
        if order.symbol in self._market.halted or order.works_from is None:
            return False
        if order.fate and order.fate.kind == "no_fill":
            return False
        return order.status in WORKING or order.status == "held" and self._is_stop_beside_target(order)

    @staticmethod
    def _is_stop_beside_target(order: Order) -> bool:
        """Such a stop may be shown as held and works all the same."""
        return bool(order.siblings) and (order.parent is None or order.parent.status == "filled")

    def fill(self, order: Order, price: Decimal, quantity: Decimal | None = None, born=None) -> Decimal:
        """Executes an order, all that is left if no quantity is named; says how much that was."""
        if order.qty is None:
            order.qty = (order.notional / price).quantize(NANO_SHARE, ROUND_DOWN)
        quantity = order.left if quantity is None else min(quantity, order.left)
        if quantity <= 0 or order.status in ("canceled", "expired", "replaced", "rejected", "filled"):
            return ZERO
        order.filled_qty += quantity
        order.filled_value += quantity * price
        self._market.traded(order.symbol, price)
        position = self.account.trade(order.symbol, order.sign * quantity, price)
        self._executions += 1
        execution = name_of("execution", self._executions)
        is_all = order.left == 0
        was = order.status
        order.status = "filled" if is_all else "partially_filled"
        if is_all:
            order.times["filled_at"] = self.now
        elif was in ("pending_cancel", "pending_replace"):
            order.status = was
        self._book(order, execution, price, quantity)
        self._tell("fill" if is_all else "partial_fill", order, execution_id=execution, price=shown(price),
                   qty=shown(quantity), position_qty=shown(position))
        self._settle_group(order, quantity, born)
        return quantity

    def _settle_group(self, order: Order, quantity: Decimal, born) -> None:
        """A complete entry lets its legs work; of a target and a stop the first that is done ends the other."""
        is_all = order.status == "filled"
        if is_all and order.order_class in ("bracket", "oto") and order.parent is None:
            self._activate(order, born)
        for sibling in order.siblings:
            if sibling.has_ended:
                continue
            how = self._settings.sibling_of_partial
            if is_all or how == "cancel":
                self._end(sibling, "canceled")
            elif how == "shrink":
                sibling.qty -= quantity

    def _activate(self, entry: Order, born) -> None:
        for leg in entry.legs:
            if leg.status != "held":
                continue
            leg.born, leg.works_from = born, self.now
            beside = leg.is_stop and bool(leg.siblings)
            leg.status = self._settings.stop_beside_target if beside else "new"
            leg.updated_at = self.now
            if leg.status == "new":
                self._tell("new", leg)

    def _book(self, order: Order, execution: str, price: Decimal, quantity: Decimal) -> None:
        at = written(self.now)
        stamp = "".join(c for c in at if c.isdigit())[:17].ljust(17, "0")
        self.activities.append({
            "id": f"{stamp}::{execution}", "account_id": self.account.id, "activity_type": "FILL",
            "transaction_time": at, "type": "fill" if order.left == 0 else "partial_fill", "price": shown(price),
            "qty": shown(quantity), "side": order.side, "symbol": order.symbol, "leaves_qty": shown(order.left),
            "order_id": order.id, "cum_qty": shown(order.filled_qty), "order_status": order.status})

    # ---- ends ----

    def _end(self, order: Order, how: str) -> None:
        """The order is canceled, expired or rejected, and so is what hangs on it."""
        if order.has_ended:
            return
        order.status = how
        order.times[{"canceled": "canceled_at", "expired": "expired_at", "rejected": "failed_at"}[how]] = self.now
        self._tell(how, order)
        self._end_legs(order, how)
        if how == "canceled":
            for sibling in order.siblings:
                self._end(sibling, "canceled")

    def _end_legs(self, order: Order, how: str) -> None:
        """What becomes of the legs of an entry that expired partly filled, a test chooses."""
        by_choice = how == "expired" and order.order_class != "oco"
        kept = self._settings.legs_of_expired_parent if by_choice else "cancel"
        for leg in order.legs:
            if kept == "cancel":
                self._end(leg, "expired" if how == "expired" else "canceled")
            elif kept == "activate" and order.filled_qty:
                leg.qty = order.filled_qty
        if kept == "activate" and order.filled_qty:
            self._activate(order, None)

    def _expire(self, order: Order) -> None:
        """The legs of a complete entry end with it."""
        self._end(order, "expired")
        if order.status == "filled":
            for leg in order.legs:
                self._end(leg, "expired")

    def end_unfilled(self, order: Order) -> None:
        """What an auction, an ioc or a fok order doesn't get is cancelled."""
        self._end(order, "canceled")

    def cancel(self, order: Order) -> None:
        if order.has_ended:
            raise Refusal(422, NOT_ALLOWED, f'order is already in "{order.status}" state')
        if order.status in ("pending_cancel", "pending_replace"):
            raise Refusal(422, NOT_ALLOWED, f"order {order.status.replace('_', ' ')}")
        fate = self._faults.take(("cancel_race", "cancel_refused"), self._facts(order))
        before = order.status
        delay = seconds(self._settings.cancel_delay)
        if fate or delay:
            order.status = "pending_cancel"
            self._tell("pending_cancel", order)
        if fate:
            self._lose_cancel(order, fate, before)
        else:
            self._timeline.at(self.now + delay, ANSWER, lambda: self._end(order, "canceled"))

    def _lose_cancel(self, order: Order, fate: Fault, before: str) -> None:
        """The fill was faster, or the exchange says no."""
        if fate.kind == "cancel_refused":
            order.status = before
            self._tell("order_cancel_rejected", order)
            return
        self._race(order, fate)
        if order.status == "pending_cancel":
            self._end(order, "canceled")
        elif fate["reject_event"]:
            self._tell("order_cancel_rejected", order)

    def _race(self, order: Order, fate: Fault) -> None:
        price = fate["price"] or order.limit_price or self._last(order.symbol) or order.stop_price
        self.fill(order, exact(price), exact(fate["qty"]) if fate["qty"] else None)

    # ---- PATCH ----

    def replace(self, old: Order, said: dict[str, Any]) -> dict[str, Any]:
        """Answers with the order that is to stand in the place of the old one. Whether it will is told later."""
        if old.status not in CAN_BE_REPLACED:
            raise Refusal(422, NOT_ALLOWED, f'cannot replace order in "{old.status}" state')
        allowed = ("qty", "time_in_force", "limit_price", "stop_price", "trail", "client_order_id")
        if unknown := set(said) - set(allowed):
            raise Refusal(422, MALFORMED, f"cannot replace {sorted(unknown)[0]}")
        if said.get("time_in_force", "day") not in orders.TIMES_IN_FORCE:
            raise Refusal(422, MALFORMED, f"invalid time_in_force: {said['time_in_force']}")
        self._check_client_id(said.get("client_order_id"))
        new = self._replacement(old, said)
        old.replaced_by = new.id
        before, delay = old.status, seconds(self._settings.replace_delay)
        answer = new.json()
        fate = self._faults.take(("replace_race", "replace_refused"), self._facts(old))
        if fate or delay:
            old.status = "pending_replace"
            self._tell("pending_replace", old)
        if fate and fate.kind == "replace_race":
            self._race(old, fate)
        if fate:
            self._refuse_replacement(old, new, before)
        else:
            self._timeline.at(self.now + delay, ANSWER, lambda: self._replaced(old, new, before))
        return answer

    def _replacement(self, old: Order, said: dict[str, Any]) -> Order:
        qty = orders.number(said, "qty")
        if qty is not None and self._settings.replace_qty == "total":
            qty -= old.filled_qty
            if qty <= 0:
                raise Refusal(422, NOT_ALLOWED, "qty must be greater than what is filled already")
        prices = {name: orders.number(said, name) or getattr(old, name) for name in ("limit_price", "stop_price")}
        for name, price in prices.items():
            orders.check_price(name, price)
            if name in said and getattr(old, name) is None:
                raise Refusal(422, NOT_ALLOWED, f"{old.type} orders require no {name}")
        trail = orders.number(said, "trail")
        trails = {name: trail or getattr(old, name) for name in ("trail_price", "trail_percent") if getattr(old, name)}
        self._made += 1
        new = Order(
            id=name_of("order", self._made),
            client_order_id=said.get("client_order_id") or name_of("client order", self._made),
            symbol=old.symbol, asset_id=old.asset_id, side=old.side, type=old.type, created_at=self.now,
            time_in_force=said.get("time_in_force", old.time_in_force), qty=qty or old.left, notional=None,
            extended_hours=old.extended_hours, order_class=old.order_class, simple_class=old.simple_class,
            position_intent=old.position_intent,
            status=self._settings.answer_status, replaces=old.id, hwm=old.hwm, **prices, **trails)
        if trail and new.hwm is not None:
            new.stop_price = new.hwm + new.sign * (new.trail_price or new.hwm * new.trail_percent / 100)
        self.orders[new.id] = new
        new.expires_at = self._expires_at(new)
        return new

    def _replaced(self, old: Order, new: Order, before: str) -> None:
        if new.has_ended and not old.has_ended:
            old.status, old.replaced_by = before, None
            return
        if old.has_ended:
            self._refuse_replacement(old, new, before)
            return
        was_held = before == "held" and not self._is_stop_beside_target(old)
        old.status, old.times["replaced_at"] = "replaced", self.now
        self._take_place(old, new)
        self._timeline.at(new.expires_at, EXPIRE, lambda: self._expire(new))
        self._tell("replaced", old)
        if was_held:
            new.status = "held"
            return
        new.status = "new"
        self._tell("new", new)
        self._work(new)

    @staticmethod
    def _take_place(old: Order, new: Order) -> None:
        """In the group: as entry, as leg, as the other half of an exit."""
        new.parent, new.legs, new.siblings, new.born = old.parent, old.legs, old.siblings, old.born
        for leg in new.legs:
            leg.parent = new if leg.parent is old else leg.parent
        if new.parent:
            new.parent.legs = [new if leg is old else leg for leg in new.parent.legs]
        for sibling in new.siblings:
            sibling.siblings = [new if other is old else other for other in sibling.siblings]
            sibling.legs = [new if leg is old else leg for leg in sibling.legs]
        old.legs, old.siblings = [], []

    def _refuse_replacement(self, old: Order, new: Order, before: str) -> None:
        old.replaced_by = None
        if not old.has_ended:
            old.status = before if not old.filled_qty else "partially_filled"
        self._tell("order_replace_rejected", old)
        self._end(new, "rejected")

    # ---- trade updates ----

    def _tell(self, event: str, order: Order, **more: Any) -> None:
        """Sends a trade update with the whole order as it is now."""
        order.updated_at = self.now
        self._sent += 1
        at = written(self.now)
        execution = {"execution_id": more.pop("execution_id", None) or name_of("event", self._sent)}
        known_as = {"event_id": ulid(self._sent)} if self._settings.event_ids else {}
        update = {"event": event, **known_as, **execution, "at": at, "timestamp": at, **more, "order": order.json()}
        self.events.append(update)
        self._send(update)

    def tell(self, order: Order, event: str, status: str | None, more: dict[str, Any]) -> None:
        """Any event that a test wants, known or unknown."""
        if status:
            order.status = status
        self._tell(event, order, **more)
