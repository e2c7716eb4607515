"""What holds at the end of every live run, whatever went wrong on the way."""
import collections
import re
import time
from typing import Any

from harness import ENDED, SECOND, SECRET, LiveRun

# Of names of orders: strategy, symbol, time of the decision, purpose and number, attempt.
NAME = re.compile(r"^(?P<strategy>\w+)-(?P<symbol>[A-Z.]+)-(?P<decided>\d{6}T\d{4})-(?P<leg>[ostx])(?P<order>\d+)"
                  r"(\.\d+)?-(?P<attempt>\d+)$")


def broken_at_last(run: LiveRun, patience: float = 4.0, moves: bool = False) -> list[str]:
    """What doesn't hold even after the service has had its time, in seconds: it looks again after half a second.

    If the clocks move meanwhile, what the broker takes its time for gets done.
    """
    end = time.monotonic() + patience
    run.settle()
    while (found := broken(run)) and time.monotonic() < end:
        time.sleep(0.1)
        if moves:
            run.to(run.clock.now + SECOND // 2)
        run.settle(1.0)
    return found


def broken(run: LiveRun) -> list[str]:
    """What doesn't hold now, in words."""
    run.journal.read()
    found = [*_positions(run), *_executions(run), *_entries(run), *_protection(run), *_limits(run), *_secrets(run)]
    return found or _told(run)


def sign(side: str) -> int:
    return {"buy": 1, "sell": -1}[side.lower()]


def journalled(records: list[dict[str, Any]]) -> dict[str, int]:
    """Shares by symbol, as the executions in a journal add up."""
    planned = {record["id"]: record for record in records if record["what"] == "planned"}
    held: collections.Counter = collections.Counter()
    seen = set()
    for record in records:
        if record["what"] == "accepted":
            for symbol, (shares, _) in record["positions"].items():
                held[symbol] = shares
        message = record.get("message")
        if record["what"] != "heard" or not isinstance(message, dict) or "execution" not in message:
            continue
        execution = message["execution"]
        if (key := (record["id"], record["part"], execution["id"])) in seen:
            continue
        seen.add(key)
        request = planned[record["id"]]["request"]
        # The stop of an entry sells what the entry bought; that of a target sells as the target does.
        turns = record["part"] == "stop" and request["protect"] is not None
        held[planned[record["id"]]["symbol"]] += sign(request["side"]) * execution["shares"] * (-1 if turns else 1)
    return {symbol: shares for symbol, shares in held.items() if shares}


def _positions(run: LiveRun) -> list[str]:
    """What the broker holds is what the journal makes of its executions."""
    broker, ours = run.positions(), journalled(run.journal.records)
    return [f"the broker holds {broker}, the journal says {ours}"] if broker != ours else []


def _told(run: LiveRun) -> list[str]:
    """The broker's own list of positions says the same."""
    told = {of["symbol"]: int(of["qty"]) for of in run.fake.trade("GET", "/v2/positions")}
    return [f"the broker tells of {told}, and executed {run.positions()}"] if told != run.positions() else []


def _executions(run: LiveRun) -> list[str]:
    """What is planned is sent once: no two orders of one name, and none of a name that isn't planned."""
    planned = collections.Counter(record["id"] for record in run.journal.of("planned"))
    found = [f"{name} is planned {count} times" for name, count in planned.items() if count > 1]
    names = [order["client_order_id"] for order in run.orders() if NAME.match(order["client_order_id"])]
    found += [f"{name} is an order {count} times" for name, count in collections.Counter(names).items() if count > 1]
    return found + [f"{name} was sent and never planned" for name in names if name not in planned]


def _entries(run: LiveRun) -> list[str]:
    """Of each decision no more is bought than was ordered."""
    bought, ordered = collections.Counter(), collections.Counter()
    for order in run.orders():
        if (name := NAME.match(order["client_order_id"])) and name["leg"] == "o":
            key = name["symbol"], name["order"]
            bought[key] += int(float(order["filled_qty"]))
            ordered[key] = max(ordered[key], int(float(order["qty"])))
    return [f"{key}: {bought[key]} shares were bought, {ordered[key]} ordered" for key in bought
            if bought[key] > ordered[key]]


def protected(orders: list[dict[str, Any]], symbol: str) -> tuple[int, int]:
    """Shares that working stops will sell, and shares that market orders are about to."""
    stops = leaving = 0
    for order in orders:
        left = int(float(order["qty"])) - int(float(order["filled_qty"]))
        # The stop of an entry waits for it; one beside a target works, however it is shown.
        waits = order["status"] == "held" and order["order_class"] != "oco"
        if order["symbol"] != symbol or order["side"] != "sell" or order["status"] in ENDED or waits:
            continue
        if order["type"] == "stop":
            stops += left
        elif order["type"] == "market":
            leaving += left
    return stops, leaving


def _protection(run: LiveRun) -> list[str]:
    """Nothing is held that no stop protects, and no stop sells what isn't held."""
    found, orders = [], run.orders()
    held = run.positions()
    for symbol in run.symbols:
        stops, leaving = protected(orders, symbol)
        if stops + leaving != held.get(symbol, 0):
            found.append(f"{symbol}: {held.get(symbol, 0)} shares are held, {stops} stopped, {leaving} being sold")
    return found


def _limits(run: LiveRun) -> list[str]:
    """Limits of the config, counted on the broker's executions in their order."""
    risk = run.config["risk_management"]
    held: collections.Counter = collections.Counter()
    entries: dict[str, set[str]] = collections.defaultdict(set)
    found, most = [], 0
    for event in run.fake.ask("events"):
        if event["event"] not in ("fill", "partial_fill"):
            continue
        order = event["order"]
        held[order["symbol"]] += sign(order["side"]) * int(float(event["qty"]))
        if min(held.values()) < 0:
            found.append(f"{order['symbol']} was sold short: {dict(held)}")
        most = max(most, sum(1 for shares in held.values() if shares))
        if (name := NAME.match(order["client_order_id"])) and name["leg"] == "o":
            entries[event["at"][:10]].add(order["client_order_id"])
    if most > risk["max_open_positions"]:
        found.append(f"{most} positions were open, {risk['max_open_positions']} are allowed")
    for date, names in entries.items():
        if len(names) > risk["max_trades_per_day"]:
            found.append(f"{len(names)} trades on {date}, {risk['max_trades_per_day']} are allowed")
    return found


def _secrets(run: LiveRun) -> list[str]:
    """The secret stands in nothing that was written."""
    files = [run.place / "stdout", run.place / "stderr", *run.state.rglob("*")]
    return [f"the secret is in {file.relative_to(run.place)}" for file in files
            if file.is_file() and SECRET.encode() in file.read_bytes()]
