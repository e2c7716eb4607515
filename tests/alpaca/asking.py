"""What the tests of the fake have in common: one fake for all of them, and short ways to ask it."""
import http.client
import json
import unittest
import urllib.parse
from typing import Any, NamedTuple

from fake import Running

KEYS = {"APCA-API-KEY-ID": "FAKEKEY", "APCA-API-SECRET-KEY": "FAKESECRET"}
AUTH = {"action": "auth", "key": "FAKEKEY", "secret": "FAKESECRET"}
# A Monday, an hour after the open.
NOW = "2026-01-05T15:30:00Z"
# Started by the first test, and ended with this process.
_started: list[Running] = []


class _Fake:
    """The one that runs."""

    def __getattr__(self, name: str) -> Any:
        if not _started:
            _started.append(Running())
            unittest.addModuleCleanup(_end)
        return getattr(_started[0], name)


def _end() -> None:
    _started.pop().close()


fake = _Fake()


class Got(NamedTuple):
    """An answer."""
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def call(host: str, method: str, path: str, body: Any = None, headers: dict[str, str] = KEYS, timeout: float = 5,
         **query: Any) -> Got:
    """A request to one of the hosts."""
    at = urllib.parse.urlsplit(fake.at[host])
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout)
    try:
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode())
    finally:
        connection.close()


def trade(method: str, path: str, body: Any = None, **more: Any) -> Got:
    return call("trading", method, path, body, **more)


def data(path: str, **more: Any) -> Got:
    return call("data", "GET", path, **more)


def bar(at: str, o: float, h: float, l: float, c: float, v: int = 1000) -> dict[str, Any]:  # noqa: E741
    """At a time of the day, UTC."""
    return {"t": at if "T" in at or len(at) == 10 else f"2026-01-05T{at}:00Z", "o": o, "h": h, "l": l, "c": c, "v": v}


def minute(at: str, *prices: float) -> None:
    """Scripts one bar of AAPL."""
    fake.tell("bars", bars={"AAPL": [bar(at, *prices)]})


def order(**more: Any) -> Got:
    """POST of an order for ten AAPL, at market unless said otherwise."""
    said = {"symbol": "AAPL", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"} | more
    return trade("POST", "/v2/orders", {name: value for name, value in said.items() if value is not None})


def state(got: Got | dict[str, Any]) -> dict[str, Any]:
    """The order as it is now."""
    said = got.json if isinstance(got, Got) else got
    return trade("GET", f"/v2/orders/{said['id']}", nested="true").json


def until(time_of_day: str) -> None:
    fake.tell("clock", set=f"2026-01-05T{time_of_day}:00Z")


def hold(qty: str, entry: str = "100") -> None:
    fake.tell("positions", positions=[{"symbol": "AAPL", "qty": qty, "avg_entry_price": entry}])


def events() -> list[str]:
    return [event["event"] for event in fake.ask("events")]


class Fresh(unittest.TestCase):
    """Each test begins with a new world, AAPL at 100."""

    def setUp(self) -> None:
        fake.tell("reset", now=NOW)
        minute("15:29", 100, 100, 100, 100)

    def refused(self, got: Got, status: int, code: int | None = None, words: str = "") -> dict[str, Any]:
        self.assertEqual((got.status, got.json.get("code")), (status, code), got.text)
        self.assertIn(words, got.json["message"])
        return got.json

    def status(self, got: Got, status: str, filled: str | None = None, price: str | None = None) -> dict[str, Any]:
        """What became of an order."""
        now = state(got)
        self.assertEqual(now["status"], status, now)
        if filled is not None:
            self.assertEqual((now["filled_qty"], now["filled_avg_price"]), (filled, price))
        return now
