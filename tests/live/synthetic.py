"""Made-up minutes in which bear_trap trades."""
import random
from typing import Any

from harness import MINUTE, parse, written

# All of bear_trap's conditions but the fall from the open nearly always hold: it enters often, and leaves soon.
EAGER = {
    "strategy_parameters.day_change_pct": -1.0, "strategy_parameters.min_lower_wick": 0.0,
    "strategy_parameters.min_body": 0.0, "strategy_parameters.min_volume_ratio": 0.0,
    "strategy_parameters.volume_period": 2, "strategy_parameters.atr_period": 2,
    "strategy_parameters.min_session_bars": 2, "data_requirements.warmup_bars": 2,
    "strategy_parameters.max_hold_minutes": 6,
    # These minutes pass within moments, and a quote is fresh by the clock on the wall.
    "execution.max_spread_pct": None, "execution.min_liquidity_shares": None,
}


def bar(start: int, o: float, h: float, l: float, c: float, v: int) -> dict[str, Any]:  # noqa: E741
    return {"t": written(start), "o": round(o, 2), "h": round(h, 2), "l": round(l, 2), "c": round(c, 2), "v": v}


def along(draw: random.Random, start: int, path: list[float], noise: float = 0.03) -> list[dict[str, Any]]:
    """Minutes whose closes follow a path, each from the close before it."""
    found, last = [], path[0]
    for place, close in enumerate(path):
        high, low = max(last, close) + draw.random() * noise, min(last, close) - draw.random() * noise
        found.append(bar(start + place * MINUTE, last, high, low, close, draw.randint(800, 1200)))
        last = close
    return found


def line(first: float, last: float, steps: int) -> list[float]:
    """Prices from one to the other, the last included."""
    return [first + (last - first) * (step + 1) / steps for step in range(steps)]


def reclaim(bars: list[dict[str, Any]], place: int) -> None:
    """Makes a signal of a bar: a wick below the fall's low, a body, and volume; the next bars go on from its close."""
    before = bars[place - 1]["c"]
    bars[place] |= {"o": before, "l": round(before - 0.20, 2), "c": round(before + 0.15, 2),
                    "h": round(before + 0.17, 2), "v": 5_000}
    bars[place + 1]["o"] = bars[place]["c"]
    for key, pick in (("h", max), ("l", min)):
        bars[place + 1][key] = pick(bars[place + 1][key], bars[place + 1]["o"])


def rebounds(session_open: str) -> dict[str, list[dict[str, Any]]]:
    """A session of three symbols: one comes back to both targets, one to the first, one falls through its stop."""
    start = parse(session_open)

    def made(seed: int, *pieces: list[float]) -> list[dict[str, Any]]:
        bars = along(random.Random(seed), start, [price for piece in pieces for price in piece])
        reclaim(bars, 26)
        return bars
    fall = [20.0] * 2 + line(20.0, 16.2, 24)
    return {
        "AMC": made(1, fall, line(16.4, 20.5, 20), line(20.5, 17.0, 20), [17.0] * 324),
        "GME": made(2, fall, line(16.4, 18.8, 12), line(18.8, 16.3, 20), line(16.3, 17.5, 332)),
        "SNDL": made(3, fall, line(16.4, 15.0, 20), line(15.0, 14.0, 20), [14.0] * 324),
    }


def restless(seed: int, session_open: str, minutes: int, symbols: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Walks a little below the open, on cents, with gaps and missing minutes."""
    draw, start = random.Random(seed), parse(session_open)
    found: dict[str, list[dict[str, Any]]] = {}
    for symbol in symbols:
        last, bars = 47.9, [bar(start, 48.6, 48.7, 47.8, 47.9, 1000)]
        for place in range(1, minutes):
            first = round(last + draw.choice((-2, -1, 0, 0, 0, 0, 1, 2)) * 0.05, 2)
            last = round(first + draw.gauss(0, 0.25) + 0.08 * (47.8 - first), 2)
            high, low = max(first, last) + abs(draw.gauss(0, 0.1)), min(first, last) - abs(draw.gauss(0, 0.1))
            if draw.random() > 0.04:
                bars.append(bar(start + place * MINUTE, first, high, low, last, draw.randint(500, 3000)))
        found[symbol] = bars
    return found
