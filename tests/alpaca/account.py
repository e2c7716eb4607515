"""Cash, positions, assets: what the account has, and how the interface shows it."""
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from market import Market
from orders import ZERO, shown
from settings import Settings
from times import new_york_date, written

NAMES = uuid.UUID("6f1d2f7e-0000-4000-8000-000000000000")
START = {"cash": "100000", "multiplier": "2", "status": "ACTIVE", "trading_blocked": False, "account_blocked": False,
         "transfers_blocked": False, "trade_suspended_by_user": False, "shorting_enabled": True}
CONFIGURATION = {"fractional_trading": True, "max_margin_multiplier": "4", "no_shorting": False, "suspend_trade": False,
                 "trade_confirm_email": "all", "ptp_no_exception_entry": False, "max_options_trading_level": None}


def name_of(kind: str, number: Any) -> str:
    """A UUID that is the same in every run."""
    return str(uuid.uuid5(NAMES, f"{kind} {number}"))


def exact(price: Any) -> Decimal:
    return Decimal(str(price))


@dataclass
class Position:
    """Shares, negative when sold short, and what they cost."""
    qty: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry(self) -> Decimal:
        return round(abs(self.cost / self.qty), 12) if self.qty else ZERO

    def trade(self, change: Decimal, price: Decimal) -> None:
        """Buys or sells at a price. What is closed takes its share of the cost along."""
        closed = min(abs(change), abs(self.qty)) if change * self.qty < 0 else ZERO
        sign = 1 if change > 0 else -1
        if closed:
            self.cost += self.cost / abs(self.qty) * -closed
            self.qty += sign * closed
        opened = abs(change) - closed
        self.cost += sign * opened * price
        self.qty += sign * opened
        if not self.qty:
            self.cost = ZERO


class Account:
    """Money and shares. Orders that hold them are told by `held`."""

    def __init__(self, market: Market, settings: Settings, now) -> None:
        self._market, self._settings, self._now = market, settings, now
        self.id = name_of("account", 1)
        self.facts: dict[str, Any] = dict(START)
        self.configuration: dict[str, Any] = dict(CONFIGURATION)
        self.cash = Decimal(START["cash"])
        self.positions: dict[str, Position] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.last_equity = self.cash
        self.history: list[tuple[int, Decimal]] = []

    # ---- money ----

    def change(self, said: dict[str, Any]) -> None:
        """Facts as a test wants them; cash given anew is the equity of the day before too."""
        if unknown := set(said) - set(START) - {"last_equity"}:
            raise ValueError(f"the account has no {sorted(unknown)}; it has {sorted(START)} and last_equity")
        self.facts |= {name: value for name, value in said.items() if name != "last_equity"}
        if "cash" in said:
            self.cash = exact(said["cash"])
            self.last_equity = self.equity
        if "last_equity" in said:
            self.last_equity = exact(said["last_equity"])

    def price(self, symbol: str) -> Decimal:
        """What a share is worth: its last price, or what it cost if there never was one."""
        price = self._market.last_price(symbol)
        return self.positions[symbol].entry if price is None else exact(price)

    def value(self, symbol: str) -> Decimal:
        return self.positions[symbol].qty * self.price(symbol)

    @property
    def long_value(self) -> Decimal:
        return sum((self.value(symbol) for symbol, of in self.positions.items() if of.qty > 0), ZERO)

    @property
    def short_value(self) -> Decimal:
        return sum((self.value(symbol) for symbol, of in self.positions.items() if of.qty < 0), ZERO)

    @property
    def equity(self) -> Decimal:
        return self.cash + self.long_value + self.short_value

    def buying_power(self, reserved: Decimal) -> Decimal:
        """What positions and working orders leave of equity times multiplier."""
        gross = self.long_value - self.short_value
        return max(ZERO, self.equity * exact(self.facts["multiplier"]) - gross - reserved)

    def trade(self, symbol: str, change: Decimal, price: Decimal) -> Decimal:
        """Books an execution, and says how many shares there are now."""
        position = self.positions.setdefault(symbol, Position())
        position.trade(change, price)
        self.cash -= change * price
        if not position.qty:
            del self.positions[symbol]
        return position.qty

    def quantity(self, symbol: str) -> Decimal:
        return self.positions[symbol].qty if symbol in self.positions else ZERO

    def close_day(self) -> None:
        self.last_equity = self.equity
        self.history.append((self._now(), self.equity))

    # ---- as JSON ----

    def json(self, reserved: Decimal) -> dict[str, Any]:
        power, equity = self.buying_power(reserved), self.equity
        gross = self.long_value - self.short_value
        facts = {name: value for name, value in self.facts.items() if name != "cash"}
        # Gone from the interface since 2026-07-06.
        gone = {"pattern_day_trader": False, "daytrade_count": 0, "daytrading_buying_power": "0"}
        return {
            "id": self.id, "account_number": "PAFAKE000001", "currency": "USD", "cash": shown(self.cash),
            "equity": shown(equity), "portfolio_value": shown(equity), "last_equity": shown(self.last_equity),
            "buying_power": shown(power), "regt_buying_power": shown(power), "crypto_status": "INACTIVE",
            "non_marginable_buying_power": shown(max(ZERO, self.cash - reserved)), "accrued_fees": "0",
            "long_market_value": shown(self.long_value), "short_market_value": shown(self.short_value),
            "position_market_value": shown(self.long_value + self.short_value), "initial_margin": shown(gross / 2),
            "maintenance_margin": shown(gross * 3 / 10), "last_maintenance_margin": "0", "sma": "0",
            "created_at": "2026-01-01T00:00:00Z", "balance_asof": str(new_york_date(self._now())),
            **facts, **(gone if self._settings.day_trading_fields else {}),
        }

    def asset(self, symbol: str) -> dict[str, Any] | None:
        """As scripted; what isn't may be had all the same, unless a setting says otherwise."""
        scripted = self.assets.get(symbol)
        if scripted is None and self._settings.unknown_assets == "refuse" and symbol not in self._market.symbols:
            return None
        return {
            "id": name_of("asset", symbol), "class": "us_equity", "exchange": "NASDAQ", "symbol": symbol,
            "name": f"{symbol} Common Stock", "status": "active", "tradable": True, "marginable": True,
            "maintenance_margin_requirement": 30, "shortable": True, "easy_to_borrow": True,
            "borrow_status": "easy_to_borrow", "fractionable": True, "attributes": [], **(scripted or {}),
        }

    def symbol_of(self, name: str) -> str:
        """A symbol, which may be named by its asset's id."""
        known = self.assets.keys() | self._market.symbols | self.positions.keys()
        return next((symbol for symbol in known if (self.asset(symbol) or {}).get("id") == name), name)

    def position_json(self, symbol: str, held: Decimal) -> dict[str, Any]:
        position, price, value = self.positions[symbol], self.price(symbol), self.value(symbol)
        profit = value - position.cost
        share = profit / abs(position.cost) if position.cost else ZERO
        negative = position.qty < 0 and self._settings.short_qty == "negative"
        qty = position.qty if negative else abs(position.qty)
        free = max(ZERO, abs(position.qty) - held)
        before = self._market.close_before_today(symbol)
        last_day = exact(before) if before is not None else position.entry
        return {
            "asset_id": name_of("asset", symbol), "symbol": symbol, "exchange": "NASDAQ", "asset_class": "us_equity",
            "asset_marginable": True, "qty": shown(qty), "avg_entry_price": shown(position.entry),
            "side": "long" if position.qty > 0 else "short", "market_value": shown(value),
            "cost_basis": shown(position.cost), "unrealized_pl": shown(profit),
            "unrealized_plpc": shown(round(share, 12)),
            "unrealized_intraday_pl": shown(profit), "unrealized_intraday_plpc": shown(round(share, 12)),
            "current_price": shown(price), "lastday_price": shown(last_day),
            "change_today": shown(round((price - last_day) / last_day, 12) if last_day else ZERO),
            "qty_available": shown(-free if negative else free),
        }

    def portfolio_history(self, timeframe: str) -> dict[str, Any]:
        """Equity at the close of each session that went by, and now."""
        points = [*self.history, (self._now(), self.equity)]
        base = points[0][1]
        gains = [equity - base for _, equity in points]
        return {"timestamp": [at // 1_000_000_000 for at, _ in points], "equity": [float(of) for _, of in points],
                "profit_loss": [float(gain) for gain in gains], "base_value": float(base), "timeframe": timeframe,
                "profit_loss_pct": [float(gain / base) if base else 0.0 for gain in gains], "cashflow": {},
                "base_value_asof": written(points[0][0])[:10]}
