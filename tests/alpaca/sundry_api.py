"""What else the trading host knows, and alpaca-py calls: watchlists, announcements, option contracts."""
from typing import Any

from account import exact, name_of
from orders import ZERO
from times import written
from web import Answer, Ask, Refusal, Routes
from world import World


class SundryApi:
    """Watchlists are kept; announcements and contracts are as scripted."""

    def __init__(self, world: World, routes: Routes) -> None:
        self._world = world
        add = routes.add
        add("GET", "/v2/watchlists", lambda ask: Answer(
            [self._without_assets(of) for of in self._world.watchlists.values()]))
        add("POST", "/v2/watchlists", self._create)
        add("GET", "/v2/watchlists/{id}", lambda ask: Answer(self._shown(self._watchlist(ask))))
        add("PUT", "/v2/watchlists/{id}", self._update)
        add("POST", "/v2/watchlists/{id}", self._add_symbol)
        add("DELETE", "/v2/watchlists/{id}", self._delete)
        add("DELETE", "/v2/watchlists/{id}/{symbol}", self._remove_symbol)
        add("GET", "/v2/corporate_actions/announcements", self._announcements)
        add("GET", "/v2/corporate_actions/announcements/{id}", lambda ask: Answer(
            self._named(self._world.announcements, "id", ask.part["id"])))
        add("GET", "/v2/options/contracts", self._contracts)
        add("GET", "/v2/options/contracts/{id}", self._contract)
        add("POST", "/v2/positions/{symbol}/exercise", self._exercise)

    # ---- watchlists ----

    def _watchlist(self, ask: Ask) -> dict[str, Any]:
        found = self._world.watchlists.get(ask.part["id"])
        if found is None:
            raise Refusal(404, 40410000, f"watchlist not found for {ask.part['id']}")
        return found

    def _without_assets(self, of: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in of.items() if name != "symbols"}

    def _shown(self, of: dict[str, Any]) -> dict[str, Any]:
        return self._without_assets(of) | {"assets": [self._world.account.asset(symbol) for symbol in of["symbols"]]}

    def _create(self, ask: Ask) -> Answer:
        said, now = ask.json, written(self._world.clock())
        if not said.get("name"):
            raise Refusal(422, 40010001, "watchlist name is required")
        if any(of["name"] == said["name"] for of in self._world.watchlists.values()):
            raise Refusal(422, 40010001, "watchlist name must be unique")
        made = {"id": name_of("watchlist", said["name"]), "account_id": self._world.account.id, "name": said["name"],
                "created_at": now, "updated_at": now, "symbols": list(said.get("symbols") or [])}
        self._world.watchlists[made["id"]] = made
        return Answer(self._shown(made))

    def _changed(self, of: dict[str, Any]) -> Answer:
        of["updated_at"] = written(self._world.clock())
        return Answer(self._shown(of))

    def _update(self, ask: Ask) -> Answer:
        of, said = self._watchlist(ask), ask.json
        of |= {name: said[name] for name in ("name", "symbols") if said.get(name) is not None}
        return self._changed(of)

    def _add_symbol(self, ask: Ask) -> Answer:
        of, symbol = self._watchlist(ask), ask.json.get("symbol")
        if not symbol or symbol in of["symbols"]:
            raise Refusal(422, 40010001, "duplicate symbol" if symbol else "symbol is required")
        of["symbols"].append(symbol)
        return self._changed(of)

    def _remove_symbol(self, ask: Ask) -> Answer:
        of = self._watchlist(ask)
        if ask.part["symbol"] not in of["symbols"]:
            raise Refusal(404, 40410000, "symbol not found in watchlist")
        of["symbols"].remove(ask.part["symbol"])
        return self._changed(of)

    def _delete(self, ask: Ask) -> Answer:
        del self._world.watchlists[self._watchlist(ask)["id"]]
        return Answer(status=204)

    # ---- announcements ----

    @staticmethod
    def _named(items: list[dict[str, Any]], key: str, wanted: str) -> dict[str, Any]:
        for item in items:
            if item[key] == wanted:
                return item
        raise Refusal(404, 40410000, f"not found: {wanted}")

    def _announcements(self, ask: Ask) -> Answer:
        """By the date that the request names, the ex-date if it names none."""
        key = ask.query.get("date_type", "ex_date")
        kinds, since, until = ask.names("ca_types"), ask.query.get("since", ""), ask.query.get("until", "9999")

        def fits(of: dict[str, Any]) -> bool:
            return (of["ca_type"] in kinds and since <= (of.get(key) or "") <= until
                    and of["initiating_symbol"] == ask.query.get("symbol", of["initiating_symbol"])
                    and of["initiating_original_cusip"] == ask.query.get("cusip", of["initiating_original_cusip"]))
        return Answer([of for of in self._world.announcements if fits(of)])

    # ---- options ----

    def _contracts(self, ask: Ask) -> Answer:
        symbols = ask.names("underlying_symbols")
        found = [of for of in self._world.contracts if not symbols or of["underlying_symbol"] in symbols]
        for key in ("status", "type", "style", "root_symbol", "expiration_date"):
            found = [of for of in found if of[key] == ask.query.get(key, of[key])]
        for name, key, kind in (("expiration_date", "expiration_date", str), ("strike_price", "strike_price", float)):
            low, high = ask.query.get(f"{name}_gte"), ask.query.get(f"{name}_lte")
            found = [of for of in found if (low is None or kind(of[key]) >= kind(low))
                     and (high is None or kind(of[key]) <= kind(high))]
        limit, first = ask.number("limit", 100, 10_000), int(ask.query.get("page_token") or 0)
        token = str(first + limit) if first + limit < len(found) else None
        return Answer({"option_contracts": found[first:first + limit], "next_page_token": token})

    def _contract(self, ask: Ask) -> Answer:
        found = [of for of in self._world.contracts if ask.part["id"] in (of["id"], of["symbol"])]
        if not found:
            raise Refusal(404, 40410000, f"option contract not found for {ask.part['id']}")
        return Answer(found[0])

    def _exercise(self, ask: Ask) -> Answer:
        """The contract's shares are bought, or sold, at its strike; the position in it is gone."""
        symbol, account = ask.part["symbol"], self._world.account
        contract = next((of for of in self._world.contracts if symbol in (of["id"], of["symbol"])), None)
        if contract is None or account.quantity(contract["symbol"]) <= ZERO:
            raise Refusal(404, 40410000, "position does not exist")
        held = account.positions.pop(contract["symbol"])
        sign = 1 if contract["type"] == "call" else -1
        account.trade(contract["underlying_symbol"], sign * held.qty * exact(contract["size"]),
                      exact(contract["strike_price"]))
        return Answer()
