"""The trading host: account, orders, positions, activities, assets, clock, calendar."""
import datetime
from typing import Any

from account import CONFIGURATION, exact
from orders import ZERO, shown
from sessions import FIRST, LAST
from times import new_york_date, parse, with_offset
from web import Answer, Ask, Refusal, Routes
from world import World

MARKETS = {name: {"mic": "XNYS", "bic": "", "acronym": "NYSE", "name": "New York Stock Exchange",
                  "timezone": "America/New_York"} for name in ("NYSE", "XNYS")}
MARKETS |= {name: {"mic": "XNAS", "bic": "", "acronym": "NASDAQ", "name": "Nasdaq Stock Market",
                   "timezone": "America/New_York"} for name in ("NASDAQ", "XNAS")}


def time_of(ask: Ask, name: str) -> int | None:
    text = ask.query.get(name)
    if not text:
        return None
    try:
        return parse(text.replace(" ", "+")) if len(text) > 10 else parse(f"{text}T00:00Z")
    except ValueError:
        raise Refusal(422, 40010001, f"invalid {name}: {text}") from None


class TradingApi:
    """Answers for the one account."""

    def __init__(self, world: World) -> None:
        self._world, self._broker, self._account = world, world.broker, world.account
        self.routes = Routes()
        add = self.routes.add
        add("GET", "/v2/account", lambda ask: Answer(self._account.json(self._broker.reserved)))
        add("GET", "/v2/account/configurations", lambda ask: Answer(self._configuration()))
        add("PATCH", "/v2/account/configurations", self._configure)
        add("GET", "/v2/account/portfolio/history", lambda ask: Answer(
            self._account.portfolio_history(ask.query.get("timeframe", "1D"))))
        add("GET", "/v2/account/activities", self._activities)
        add("GET", "/v2/account/activities/{kind}", self._activities)
        add("POST", "/v2/orders", lambda ask: Answer(self._broker.submit(ask.json)))
        add("GET", "/v2/orders", self._orders)
        add("DELETE", "/v2/orders", self._cancel_all)
        add("GET", "/v2/orders:by_client_order_id", self._by_client_id)
        add("GET", "/v2/orders/{id}", lambda ask: Answer(
            self._broker.find(ask.part["id"]).json(nested=ask.flag("nested"))))
        add("PATCH", "/v2/orders/{id}", lambda ask: Answer(
            self._broker.replace(self._broker.find(ask.part["id"]), ask.json)))
        add("DELETE", "/v2/orders/{id}", self._cancel)
        add("GET", "/v2/positions",
            lambda ask: Answer([self._position(symbol) for symbol in sorted(self._account.positions)]))
        add("DELETE", "/v2/positions", self._close_all)
        add("GET", "/v2/positions/{symbol}", lambda ask: Answer(self._position(self._held_symbol(ask))))
        add("DELETE", "/v2/positions/{symbol}", self._close)
        add("GET", "/v2/clock", self._clock)
        add("GET", "/v3/clock", self._clock_v3)
        add("GET", "/v2/calendar", self._calendar)
        add("GET", "/v3/calendar/{market}", self._calendar_v3)
        add("GET", "/v2/assets", self._assets)
        add("GET", "/v2/assets/{symbol}", self._asset)

    # ---- account ----

    def _configuration(self) -> dict[str, Any]:
        gone = {"pdt_check": "entry", "dtbp_check": "entry"} if self._world.settings.day_trading_fields else {}
        return self._account.configuration | gone

    def _configure(self, ask: Ask) -> Answer:
        """Fields that are gone are ignored, as long as they say nothing."""
        said = {name: value for name, value in ask.json.items() if value is not None}
        known = {name: value for name, value in said.items() if name in CONFIGURATION}
        if unknown := set(said) - set(known) - {"pdt_check", "dtbp_check"}:
            raise Refusal(422, 40010001, f"unknown configuration: {sorted(unknown)[0]}")
        self._account.configuration |= known
        return Answer(self._configuration())

    def _activities(self, ask: Ask) -> Answer:
        """Newest first; after, until and date are about the time, a page goes on after the last id."""
        kinds = [ask.part["kind"]] if "kind" in ask.part else ask.names("activity_types")
        found = [of for of in self._broker.activities if not kinds or of["activity_type"] in kinds]
        after, until, date = time_of(ask, "after"), time_of(ask, "until"), ask.query.get("date")

        def fits(activity: dict[str, Any]) -> bool:
            at = parse(activity.get("transaction_time") or f"{activity['date']}T00:00Z")
            return ((after is None or at > after) and (until is None or at < until)
                    and (date is None or str(new_york_date(at)) == date))
        found = [of for of in found if fits(of)]
        if ask.query.get("direction", "desc") == "desc":
            found.reverse()
        size, token = ask.number("page_size", 100, 100), ask.query.get("page_token")
        places = [place for place, of in enumerate(found) if of["id"] == token]
        first = places[0] + 1 if places else 0
        return Answer(found[first:first + size])

    # ---- orders ----

    def _orders(self, ask: Ask) -> Answer:
        status = ask.query.get("status", "open")
        if status not in ("open", "closed", "all"):
            raise Refusal(422, 40010001, f"invalid status: {status}")
        after, until, symbols = time_of(ask, "after"), time_of(ask, "until"), ask.names("symbols")
        nested = ask.flag("nested")
        found = []
        for order in self._broker.orders.values():
            wanted = status == "all" or order.has_ended == (status == "closed")
            wanted = wanted and (not symbols or order.symbol in symbols)
            wanted = wanted and order.side == ask.query.get("side", order.side)
            wanted = wanted and (after is None or order.created_at > after)
            wanted = wanted and (until is None or order.created_at < until)
            # Nested, legs are shown inside their entry only.
            if wanted and not (nested and self._is_leg(order)):
                found.append(order)
        found = self._between_ids(ask, found)
        if ask.query.get("direction", "desc") == "desc":
            found.reverse()
        return Answer([order.json(nested=nested) for order in found[:ask.number("limit", 50, 500)]])

    def _is_leg(self, order) -> bool:
        return order.parent is not None or any(order in other.legs for other in order.siblings)

    def _between_ids(self, ask: Ask, found: list) -> list:
        """Orders submitted before, or after, another."""
        places = {order_id: place for place, order_id in enumerate(self._broker.orders)}
        before, after = ask.query.get("before_order_id"), ask.query.get("after_order_id")
        if before:
            self._broker.find(before)
            found = [order for order in found if places[order.id] < places[before]]
        if after:
            self._broker.find(after)
            found = [order for order in found if places[order.id] > places[after]]
        return found

    def _by_client_id(self, ask: Ask) -> Answer:
        client_id = ask.query.get("client_order_id", "")
        order = self._broker.by_client_id(client_id)
        if order is None:
            raise Refusal(404, 40410000, f"order not found for {client_id}")
        return Answer(order.json())

    def _cancel(self, ask: Ask) -> Answer:
        self._broker.cancel(self._broker.find(ask.part["id"]))
        return Answer(status=204)

    def _cancel_all(self, ask: Ask) -> Answer:
        """Each order that is open now has its answer, whether it went or not."""
        said = []
        for order in self._broker.open_orders():
            try:
                if not order.has_ended:
                    self._broker.cancel(order)
                said.append({"id": order.id, "status": 200})
            except Refusal as refusal:
                said.append({"id": order.id, "status": 500, "body": refusal.answer().content})
        return Answer(said, 207)

    # ---- positions ----

    def _position(self, symbol: str) -> dict[str, Any]:
        return self._account.position_json(symbol, self._broker.held(symbol))

    def _held_symbol(self, ask: Ask) -> str:
        symbol = self._account.symbol_of(ask.part["symbol"])
        if symbol not in self._account.positions:
            raise Refusal(404, 40410000, "position does not exist")
        return symbol

    def _close(self, ask: Ask) -> Answer:
        symbol = self._held_symbol(ask)
        whole = abs(self._account.quantity(symbol))
        qty, percentage = ask.query.get("qty"), ask.query.get("percentage")
        if qty and percentage:
            raise Refusal(422, 40010001, "only one of qty and percentage may be given")
        if percentage:
            whole = round(whole * exact(percentage) / 100, 9)
        return Answer(self._sell(symbol, exact(qty) if qty else whole))

    def _sell(self, symbol: str, qty) -> dict[str, Any]:
        side = "sell" if self._account.quantity(symbol) > ZERO else "buy"
        return self._broker.submit({"symbol": symbol, "qty": shown(qty), "side": side, "type": "market",
                                    "time_in_force": "day"})

    def _close_all(self, ask: Ask) -> Answer:
        if ask.flag("cancel_orders"):
            self._cancel_all(ask)
        said = []
        for symbol in sorted(self._account.positions):
            try:
                order = self._sell(symbol, abs(self._account.quantity(symbol)))
                said.append({"symbol": symbol, "status": 200, "body": order})
            except Refusal as refusal:
                said.append({"symbol": symbol, "status": refusal.status, "body": refusal.answer().content})
        return Answer(said, 207)

    # ---- clock and calendar ----

    def _clock(self, ask: Ask) -> Answer:
        now, calendar = self._world.clock(), self._world.calendar
        return Answer({"timestamp": with_offset(now), "is_open": calendar.at(now) is not None,
                       "next_open": with_offset(calendar.next_open(now).open),
                       "next_close": with_offset(calendar.next_close(now).close)})

    def _market(self, name: str) -> dict[str, str]:
        if name not in MARKETS:
            raise Refusal(404, 40410000, f"market not found: {name}")
        return MARKETS[name]

    def _clock_v3(self, ask: Ask) -> Answer:
        at = time_of(ask, "time")
        now, calendar = self._world.clock() if at is None else at, self._world.calendar
        phase, until = calendar.phase(now)
        facts = {"timestamp": with_offset(now), "is_market_day": calendar.session(new_york_date(now)) is not None,
                 "next_market_open": with_offset(calendar.next_open(now).open),
                 "next_market_close": with_offset(calendar.next_close(now).close), "phase": phase,
                 "phase_until": with_offset(until)}
        markets = [self._market(name) for name in ask.names("markets") or ["NYSE"]]
        return Answer({"clocks": [{"market": market, **facts} for market in markets]})

    def _days(self, ask: Ask, first: datetime.date, last: datetime.date) -> list:
        try:
            start = datetime.date.fromisoformat(ask.query.get("start", str(first))[:10])
            end = datetime.date.fromisoformat(ask.query.get("end", str(last))[:10])
        except ValueError:
            raise Refusal(422, 40010001, "invalid date") from None
        # The year's last days settle in the next, which the calendar must know.
        return self._world.calendar.between(start, min(end, LAST - datetime.timedelta(days=365)))

    def _calendar(self, ask: Ask) -> Answer:
        return Answer([self._world.calendar.day_v2(session) for session in self._days(ask, FIRST, LAST)])

    def _calendar_v3(self, ask: Ask) -> Answer:
        """Without a period it is the week from today on."""
        market, today = self._market(ask.part["market"]), new_york_date(self._world.clock())
        days = self._days(ask, today, today + datetime.timedelta(days=7))
        return Answer({"market": market, "calendar": [self._world.calendar.day_v3(session) for session in days]})

    # ---- assets ----

    def _assets(self, ask: Ask) -> Answer:
        """Those that were scripted, or have data."""
        symbols = sorted(self._account.assets.keys() | self._world.market.symbols)
        found = [self._account.asset(symbol) for symbol in symbols]
        for name, key in (("status", "status"), ("asset_class", "class"), ("exchange", "exchange")):
            found = [asset for asset in found if asset[key] == ask.query.get(name, asset[key])]
        wanted = set(ask.names("attributes"))
        return Answer([asset for asset in found if not wanted or wanted & set(asset["attributes"])])

    def _asset(self, ask: Ask) -> Answer:
        symbol = self._account.symbol_of(ask.part["symbol"])
        asset = self._account.asset(symbol)
        if asset is None:
            raise Refusal(404, 40410000, f"asset not found for {ask.part['symbol']}")
        return Answer(asset)
