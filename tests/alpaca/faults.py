"""What goes wrong, as a test arms it: which requests or frames it is for, and how often.

A fault names a kind, what it is `on`, how many that fit are left alone first (`skip`), and how many are hit (`count`,
null for all that come). `on` maps a fact of the request or frame to a regular expression that must be found in it.
The first armed fault of a kind that fits is used. `used` says how often it was, so that a test can ask at its end.
"""
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Kind: the parameters it takes, with their values at the start. What each does is in the README.
REQUEST_KINDS = {
    "answer": {"status": 500, "code": None, "message": "internal server error", "body": None, "html": None,
               "headers": {}, "carry_out": False},
    "rate_limit": {"reset_in": 1, "clock": "fake"},
    "html_401": {},
    "timeout": {"carry_out": False, "seconds": 600},
    "drop": {"carry_out": False},
    "cut": {},
    "delay": {"seconds": 0.5},
    "not_json": {"text": "<html>busy</html>"},
    "edit": {"set": {}, "remove": []},
    "null_bars": {"symbols": None, "whole": False},
    "short_page": {"size": 1},
    "empty_page": {},
    "repeat_page": {},
    "duplicate_bars": {},
    "shuffled_bars": {},
    "mislabelled_split": {"how": "kind"},
}
# Of a broker's treatment of an order.
ORDER_KINDS = {
    "reject": {"reason": "rejected by the exchange"},
    "hang": {},
    "no_fill": {},
    "partial_fill": {"qty": None, "fraction": None, "then": "rest"},
    "cancel_race": {"price": None, "qty": None, "reject_event": False},
    "cancel_refused": {},
    "replace_race": {"price": None, "qty": None},
    "replace_refused": {},
    "dropped_leg": {},
}
# Of a socket, when it connects.
CONNECT_KINDS = {
    "refuse_handshake": {"status": 503, "message": "service unavailable"},
    "auth_error": {"code": 402, "msg": "auth failed", "close": True},
    "no_answer": {},
    "subscribe_error": {"code": 405, "msg": "symbol limit exceeded", "close": False, "instead": True},
}
# Of a frame that the fake is about to send.
FRAME_KINDS = {
    "drop_socket": {"how": "mid_frame", "code": 1011},
    "silent": {"pongs": True},
    "error_frame": {"code": 500, "msg": "internal error", "close": False},
    "slow_client": {},
    "duplicate": {"times": 2},
    "lose": {},
    "reverse": {},
    "hold_back": {"frames": 1},
    "corrupt": {"text": "[{\"T\":"},
    "fragment": {"pieces": 3},
    "unknown_kind": {"message": {"T": "zz", "S": "AAPL"}},
    "edit_message": {"set": {}, "remove": []},
}
KINDS = REQUEST_KINDS | ORDER_KINDS | CONNECT_KINDS | FRAME_KINDS


@dataclass
class Fault:
    """`seen` that fitted came by, and `used` of them were hit."""
    number: int
    kind: str
    on: dict[str, str]
    skip: int
    count: int | None
    with_: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    used: int = 0

    def __getitem__(self, name: str) -> Any:
        return self.with_[name]

    def hits(self, facts: dict[str, Any]) -> bool:
        if not all(re.search(wanted, str(facts.get(name, ""))) for name, wanted in self.on.items()):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.count is not None and self.used >= self.count):
            return False
        self.used += 1
        return True

    def json(self) -> dict:
        return {"id": self.number, "kind": self.kind, "on": self.on, "skip": self.skip, "count": self.count,
                "seen": self.seen, "used": self.used, **self.with_}


class Faults:
    """All that are armed, in the order in which they were."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.armed: list[Fault] = []

    def arm(self, said: dict) -> Fault:
        said = dict(said)
        kind = said.pop("kind", None)
        if kind not in KINDS:
            raise ValueError(f"no fault is called {kind!r}; there are {', '.join(sorted(KINDS))}")
        on, skip, count = said.pop("on", {}), said.pop("skip", 0), said.pop("count", 1)
        if unknown := set(said) - set(KINDS[kind]):
            raise ValueError(f"{kind} takes {sorted(KINDS[kind])}, not {sorted(unknown)}")
        for wanted in on.values():
            re.compile(wanted)
        fault = Fault(next(self._numbers), kind, on, skip, count, KINDS[kind] | said)
        self.armed.append(fault)
        return fault

    def disarm(self, number: int | None = None) -> None:
        self.armed = [fault for fault in self.armed if number is not None and fault.number != number]

    def take(self, kinds: Iterable[str], facts: dict[str, Any]) -> Fault | None:
        """The first of these kinds that hits."""
        return next((fault for fault in self.armed if fault.kind in kinds and fault.hits(facts)), None)

    def all(self, kinds: Iterable[str], facts: dict[str, Any], must_name: str | None = None) -> list[Fault]:
        """Every one of these kinds that hits; only those whose `on` names a fact, if one must be named."""
        return [fault for fault in self.armed
                if fault.kind in kinds and (must_name is None or must_name in fault.on) and fault.hits(facts)]


def edited(document: Any, changes: dict[str, Any], removed: list[str]) -> Any:
    """A document with values set and removed at paths such as `bars.AAPL.0.c`; `*` stands for every item."""
    for path, value in changes.items():
        _walk(document, path.split("."), lambda holder, name, value=value: holder.__setitem__(name, value), True)
    for path in removed:
        _walk(document, path.split("."), _forget, False)
    return document


def _forget(holder: Any, name: Any) -> None:
    if isinstance(holder, list) or name in holder:
        del holder[name]


def _walk(holder: Any, path: list[str], do, create: bool) -> None:
    first, *rest = path
    if isinstance(holder, list):
        names = [place for place in range(len(holder)) if first in ("*", str(place))]
    elif isinstance(holder, dict):
        names = list(holder) if first == "*" else [first]
    else:
        return
    # From the end, so that what is removed moves nothing that is still to come.
    for name in reversed(names):
        if not rest:
            do(holder, name)
        elif isinstance(holder, list) or name in holder:
            _walk(holder[name], rest, do, create)
        elif create:
            holder[name] = {}
            _walk(holder[name], rest, do, create)
