"""What a test may choose. Where the documentation is silent the README says so with [?]."""
import copy
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """Its value at the start, and the values that it may have: a tuple of them, or a type."""
    default: Any
    allowed: tuple | type


ORDERS = {
    # The state that POST answers with, and what the stream says once the order works.
    "answer_status": Setting("pending_new", ("pending_new", "accepted", "new")),
    "ack_events": Setting(["pending_new", "new"], list),
    "ack_delay": Setting(0, float),
    "cancel_delay": Setting(0, float),
    "replace_delay": Setting(0, float),
    "replace_qty": Setting("total", ("total", "remaining")),
    "events_first": Setting(False, bool),
    "duplicate_ids": Setting("all", ("all", "open")),
    "late_auction": Setting("refuse", ("refuse", "reject")),
    "legs_of_expired_parent": Setting("cancel", ("cancel", "hold", "activate")),
    "sibling_of_partial": Setting("shrink", ("shrink", "cancel", "keep")),
    "stop_beside_target": Setting("new", ("new", "held")),
    "wash_check": Setting(True, bool),
    "funds_check": Setting(True, bool),
    "unknown_assets": Setting("create", ("create", "refuse")),
    "simple_class": Setting("", ("", "simple")),
    "short_qty": Setting("negative", ("negative", "positive")),
    "day_trading_fields": Setting(False, bool),
    "event_ids": Setting(True, bool),
    "trade_frames": Setting("binary", ("binary", "text")),
}
FILLS = {
    "fill_rule": Setting("bars", ("bars", "quotes", "manual")),
    "fill_from": Setting("auto", ("auto", "minute", "day")),
    "grace": Setting(1, float),
    "slippage_bps": Setting("0", str),
    "strict_limits": Setting(False, bool),
    "participation": Setting(None, str),
}
DATA = {
    "feeds": Setting(["sip", "iex", "otc", "boats", "delayed_sip", "overnight", "test"], list),
    "realtime_sip": Setting(True, bool),
    "bare_dates": Setting("utc", ("utc", "new_york")),
    "absent_symbols": Setting("omit", ("omit", "empty", "null")),
    "partial_day": Setting(False, bool),
    "largest_page": Setting(10_000, int),
}
STREAM = {
    "bar_delay": Setting(0, float),
    "update_delay": Setting(30, float),
    "bars_in_frame": Setting("all", ("all", "one")),
    "max_connections": Setting(1, int),
    "linger": Setting(0, float),
    "linger_clock": Setting("wall", ("wall", "fake")),
    "close_after_406": Setting(True, bool),
    "auth_timeout": Setting(10, float),
    "symbol_limit": Setting(None, int),
    "refused_channels": Setting([], list),
}
HOSTS = {
    "key": Setting("FAKEKEY", str),
    "secret": Setting("FAKESECRET", str),
    "oauth": Setting("FAKETOKEN", str),
    "unauthorized_trading": Setting("json", ("json", "html")),
    "unauthorized_data": Setting("html", ("json", "html")),
    "rate_limit_trading": Setting(200, int),
    "rate_limit_data": Setting(10_000, int),
    "enforce_rate_limit": Setting(False, bool),
}
ALL = ORDERS | FILLS | DATA | STREAM | HOSTS


class Settings(dict):
    """Read as attributes: settings.fill_rule."""

    def __init__(self) -> None:
        super().__init__({name: copy.deepcopy(setting.default) for name, setting in ALL.items()})

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def change(self, changes: dict[str, Any]) -> None:
        """Takes all of them, or refuses all."""
        for name, value in changes.items():
            if name not in ALL:
                raise ValueError(f"no setting is called {name!r}; there are {', '.join(sorted(ALL))}")
            self._check(name, value)
        self.update(copy.deepcopy(changes))

    @staticmethod
    def _check(name: str, value: Any) -> None:
        default, allowed = ALL[name]
        if isinstance(allowed, tuple):
            fits = value in allowed
        elif value is None:
            fits = default is None
        elif allowed is float:
            fits = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
        elif allowed is str and name in ("slippage_bps", "participation"):
            fits = isinstance(value, (str, int, float)) and float(value) >= 0
        else:
            fits = isinstance(value, allowed) and (allowed is bool or not isinstance(value, bool))
        if not fits:
            raise ValueError(f"{name} can't be {value!r}; it may be {allowed}")
