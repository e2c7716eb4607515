"""The fake's fills against those of `magellan replay`: the same bars and orders give the same fills, in the same order.

    MAGELLAN_PROGRAM=target/release/magellan python tests/alpaca/test_replay.py

Bars and orders are drawn at random, on a coarse grid of prices so that levels are often just touched.
"""
import csv
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest
from typing import Any, NamedTuple

from asking import fake, trade
from times import MINUTE, parse, written

PROGRAM = os.environ.get("MAGELLAN_PROGRAM")
OPEN = parse("2026-01-05T14:30:00Z")
SYMBOL, GRID, BARS, SEEDS = "TEST", 0.25, 90, 12
COLUMNS = ("time", "symbol", "id", "action", "side", "type", "size", "limit", "stop", "trail", "trail_kind", "tif",
           "sl",
           "sl_kind", "tp1", "tp1_share")


class Fill(NamedTuple):
    """In which bar, of which order, how many, at what."""
    bar: str
    order: str
    side: str
    shares: float
    price: float


def bars(draw: random.Random) -> list[dict[str, Any]]:
    """A walk in steps of the grid, with some minutes missing."""
    last, found = 100.0, []
    for place in range(BARS):
        if draw.random() < 0.05:
            continue
        first = last + draw.choice((-2, -1, 0, 0, 0, 1, 2)) * GRID
        last = first + draw.randint(-4, 4) * GRID
        found.append({"t": written(OPEN + place * MINUTE), "o": first, "c": last, "v": draw.randint(50, 2000),
                      "h": max(first, last) + draw.randint(0, 3) * GRID,
                      "l": min(first, last) - draw.randint(0, 3) * GRID})
    return found


def asked(draw: random.Random, types: tuple[str, ...], near: float, reach: int) -> dict[str, Any]:
    """An order at market, or at levels near a price."""
    said = {"symbol": SYMBOL, "qty": str(draw.randint(1, 20)), "side": draw.choice(("buy", "sell")),
            "type": draw.choice(types), "time_in_force": draw.choice(("day", "gtc"))}
    if "limit" in said["type"]:
        said["limit_price"] = near + draw.randint(-reach, reach) * GRID
    if said["type"] in ("stop", "stop_limit"):
        said["stop_price"] = near + draw.randint(-reach, reach) * GRID
    if said["type"] == "trailing_stop":
        said["trail_price"] = draw.choice((0.25, 0.5, 1, 2))
    return said


def row(said: dict[str, Any], time: str) -> dict[str, Any]:
    """The order as a line of a file for the replay."""
    names = {"client_order_id": "id", "side": "side", "type": "type", "qty": "size", "limit_price": "limit",
             "stop_price": "stop", "trail_price": "trail", "time_in_force": "tif"}
    found = {"time": time, "symbol": SYMBOL,
             "action": "order"} | {names[key]: of for key, of in said.items() if key in names}
    if "trail_price" in said:
        found["trail_kind"] = "price"
    if "stop_loss" in said:
        found |= {"sl": said["stop_loss"]["stop_price"], "sl_kind": "price"}
    if "take_profit" in said:
        found |= {"tp1": said["take_profit"]["limit_price"], "tp1_share": 100}
    return found


def merged(fills: list[Fill]) -> list[Fill]:
    """The replay tells of a reversal in two lines."""
    found: list[Fill] = []
    for fill in fills:
        if found and found[-1][:3] == fill[:3] and found[-1].price == fill.price:
            found[-1] = found[-1]._replace(shares=found[-1].shares + fill.shares)
        else:
            found.append(fill)
    return found


@unittest.skipUnless(PROGRAM, "MAGELLAN_PROGRAM names no magellan")
class Replay(unittest.TestCase):
    """Orders that are heard at the close of a bar, as the replay hears them."""

    def setUp(self) -> None:
        self.place = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    # ---- the replay ----

    def magellan(self, *arguments: str) -> None:
        done = subprocess.run([PROGRAM, *arguments], cwd=self.place, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def archive(self, name: str, several: list[dict[str, Any]]) -> None:
        with open(self.place / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("timestamp", "symbol", "open", "high", "low", "close", "volume"))
            writer.writerows((bar["t"], SYMBOL, *(bar[key] for key in "ohlcv")) for bar in several)
        self.magellan("data", "import", "--archive", name, "--timeframe", "1Min", f"{name}.csv")

    def replayed(self, name: str, rows: list[dict[str, Any]], options: dict[str, Any]) -> list[Fill]:
        with open(self.place / "orders.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        fixed = {"symbols": [SYMBOL], "bars": "1min", "capital": 1_000_000, "account": "unlimited"}
        (self.place / "options.json").write_text(json.dumps(fixed | options))
        self.magellan("replay", "--orders", "orders.csv", "--archive", name, "--options", "options.json", "--out",
                      f"{name}-out", "--ledger", "ledger")
        with open(self.place / f"{name}-out" / "fills.csv", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["reason"] != "end_of_data"]
        return merged([Fill(line["time"][:19], line["order_id"], line["side"], float(line["qty"]),
                            round(float(line["price"]), 6)) for line in lines])

    # ---- the fake ----

    def begin(self, several: list[dict[str, Any]], **more: Any) -> None:
        fake.tell("reset", now=written(OPEN), settings={"wash_check": False, "funds_check": False, **more})
        fake.tell("bars", bars={SYMBOL: several})

    @staticmethod
    def end_of(bar: dict[str, Any]) -> None:
        fake.tell("clock", set=written(parse(bar["t"]) + MINUTE))

    @staticmethod
    def filled(names: dict[str, str]) -> list[Fill]:
        """A fill inside a bar is told at its end, which is no part of it."""
        def bar(at: str) -> str:
            return written((parse(at) - 1) // MINUTE * MINUTE)[:19]
        return [Fill(bar(event["at"]), names[event["order"]["id"]], event["order"]["side"], float(event["qty"]),
                     round(float(event["price"]), 6))
                for event in fake.ask("events") if event["event"] in ("fill", "partial_fill")]

    # ---- both ----

    def test_simple_orders(self) -> None:
        """Of all types, several at a time, some cancelled."""
        count = 0
        for seed in range(SEEDS):
            draw = random.Random(seed)
            several = bars(draw)
            slippage, strict = draw.choice((0, 0, 5)), draw.random() < 0.3
            share = draw.choice((None, None, 0.05))
            self.begin(several, slippage_bps=str(slippage), strict_limits=strict, participation=share and str(share))
            names: dict[str, str] = {}
            rows = []
            for bar in several[:-1]:
                self.end_of(bar)
                for _ in range(draw.choice((0, 0, 1, 1, 2))):
                    rows += self.cancelled(draw, names,
                                           bar) if names and draw.random() < 0.25 else self.sent(draw, names, bar)
            self.end_of(several[-1])
            self.archive(f"simple-{seed}", several)
            options = {"slippage_bps": slippage, "strict_limits": strict} | ({"participation": share} if share else {})
            expected = self.replayed(f"simple-{seed}", rows, options)
            self.assertEqual(self.filled(names), expected, f"seed {seed}")
            count += len(expected)
        self.assertGreater(count, 20 * SEEDS)

    def sent(self, draw: random.Random, names: dict[str, str], bar: dict[str, Any]) -> list[dict[str, Any]]:
        """One that the fake refuses is none."""
        types = ("market", "limit", "stop", "stop_limit", "trailing_stop")
        said = asked(draw, types, bar["c"], 8) | {"client_order_id": f"o{len(names)}"}
        got = trade("POST", "/v2/orders", said)
        if got.status != 200:
            return []
        names[got.json["id"]] = said["client_order_id"]
        return [row(said, bar["t"])]

    def cancelled(self, draw: random.Random, names: dict[str, str], bar: dict[str, Any]) -> list[dict[str, Any]]:
        order = draw.choice(list(names))
        trade("DELETE", f"/v2/orders/{order}")
        return [{"time": bar["t"], "symbol": SYMBOL, "id": names[order], "action": "cancel"}]

    def test_brackets(self) -> None:
        """One entry after the other, each with a stop and most with a target."""
        count = 0
        for seed in range(SEEDS):
            draw = random.Random(seed)
            several = bars(draw)
            slippage, strict = draw.choice((0, 0, 5)), draw.random() < 0.3
            self.begin(several, slippage_bps=str(slippage), strict_limits=strict)
            names: dict[str, str] = {}
            rows = []
            for bar in several[:-1]:
                self.end_of(bar)
                if not trade("GET", "/v2/orders").json:
                    rows += self.sent_with_legs(draw, names, bar)
            self.end_of(several[-1])
            self.archive(f"bracket-{seed}", several)
            expected = self.replayed(f"bracket-{seed}", rows, {"slippage_bps": slippage, "strict_limits": strict})
            self.assertEqual(self.filled(names), expected, f"seed {seed}")
            count += len(expected)
        self.assertGreater(count, 10 * SEEDS)

    def sent_with_legs(self, draw: random.Random, names: dict[str, str], bar: dict[str, Any]) -> list[dict[str, Any]]:
        said = asked(draw, ("market", "limit", "stop", "stop_limit"), bar["c"], 5)
        away = GRID if said["side"] == "buy" else -GRID
        base = said.get("limit_price") or said.get("stop_price") or bar["c"]
        said |= {"client_order_id": f"o{len(names)}", "order_class": "oto", "time_in_force": "gtc",
                 "stop_loss": {"stop_price": base - draw.randint(1, 6) * away}}
        if draw.random() < 0.7:
            said |= {"order_class": "bracket", "take_profit": {"limit_price": base + draw.randint(1, 6) * away}}
        got = trade("POST", "/v2/orders", said)
        if got.status != 200:
            return []
        name = said["client_order_id"]
        names |= {got.json["id"]: name}
        names |= {leg["id"]: f"{name}:tp1" if leg["type"] == "limit" else f"{name}:sl" for leg in got.json["legs"]}
        return [row(said, bar["t"])]


if __name__ == "__main__":
    unittest.main()
