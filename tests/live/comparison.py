"""How a live day may differ from its replay, and how not.

Prices at a broker lie on a grid of cents, so a stop may fill a cent away from the replay's. From then on equity differs
a little, and with it the number of shares that a risk buys. Nothing else may differ.
"""
from times import parse

from harness import MINUTE

Rows = list[dict[str, str]]
CENT = 0.0101
# What a cent at one stop may change in the size of a later position.
DRIFT = 0.005
# The stand-in tells of these at the end of their bar, which is the start of the next.
INSIDE = ("stop", "tp1", "tp2", "tp3", "tp4")


def differences(live: dict[str, Rows], replayed: dict[str, Rows]) -> list[str]:
    """What differs that may not, in words; empty if live is as replayed."""
    live, replayed = ({**of, "fills": _merged(of["fills"])} for of in (live, replayed))
    return _decisions(live, replayed) + _fills(live["fills"], replayed["fills"])


def _merged(fills: Rows) -> Rows:
    """What is sold at once counts as one sale: at a broker a stop may be in several parts, beside each target one.

    Without what only an archive knows: that it ends.
    """
    merged: dict[tuple[str, ...], dict[str, str]] = {}
    for fill in fills:
        if fill["reason"] == "end_of_data":
            continue
        key = *_what(fill), fill["exit_ts"], fill["exit_px"]
        before = merged.get(key)
        merged[key] = {**fill, "qty": str(int(fill["qty"]) + (int(before["qty"]) if before else 0))}
    return list(merged.values())


def _first_drift(live: Rows, replayed: Rows) -> str:
    """When the first exit price differed, if one did."""
    pairs = zip(_sorted(live), _sorted(replayed), strict=False)
    return min((theirs["exit_ts"] for ours, theirs in pairs if ours["exit_px"] != theirs["exit_px"]), default="9999")


def _decisions(live: dict[str, Rows], replayed: dict[str, Rows]) -> list[str]:
    def keyed(rows: Rows) -> dict[tuple[str, str, str], dict[str, str]]:
        return {(row["bar_start"], row["symbol"], row["order"]): row for row in rows}
    ours, theirs = keyed(live["decisions"]), keyed(replayed["decisions"])
    drift = _first_drift(live["fills"], replayed["fills"])
    found = [f"decided only in the replay: {' '.join(key)}" for key in theirs if key not in ours]
    found += [f"decided only live: {' '.join(key)}" for key in ours if key not in theirs]
    for key in ours.keys() & theirs.keys():
        mine, other = ours[key], theirs[key]
        if mine["answer"] != other["answer"]:
            found.append(f"{' '.join(key)}: {mine['answer']} live, {other['answer']} in the replay")
        elif not _same_shares(mine["shares"], other["shares"], drift < key[0]):
            found.append(f"{' '.join(key)}: {mine['shares']} shares live, {other['shares']} in the replay")
    return sorted(found)


def _same_shares(mine: str, other: str, drifted: bool) -> bool:
    mine, other = float(mine), float(other)
    return abs(mine - other) <= (max(1.0, DRIFT * other) if drifted else 0)


def _sorted(fills: Rows) -> Rows:
    return sorted(fills, key=lambda fill: (fill["entry_ts"], fill["symbol"], fill["reason"], fill["exit_ts"]))


def _fills(live: Rows, replayed: Rows) -> list[str]:
    ours, theirs = _sorted(live), _sorted(replayed)
    drift = _first_drift(live, replayed)
    if [_what(fill) for fill in ours] != [_what(fill) for fill in theirs]:
        only_live = [fill for fill in ours if _what(fill) not in map(_what, theirs)]
        only_replayed = [fill for fill in theirs if _what(fill) not in map(_what, ours)]
        return [f"{len(ours)} fills live, {len(theirs)} in the replay",
                *(f"only live: {fill}" for fill in only_live),
                *(f"only in the replay: {fill}" for fill in only_replayed)]
    found = []
    for mine, other in zip(ours, theirs, strict=True):
        name = " ".join(_what(other))
        late = parse(mine["exit_ts"]) - parse(other["exit_ts"])
        if late not in ((0, MINUTE) if other["reason"] in INSIDE else (0,)):
            found.append(f"{name}: out at {mine['exit_ts']} live, at {other['exit_ts']} in the replay")
        if not _same_shares(mine["qty"], other["qty"], drift < other["entry_ts"]):
            found.append(f"{name}: {mine['qty']} shares live, {other['qty']} in the replay")
        for price in ("entry_px", "exit_px"):
            if abs(float(mine[price]) - float(other[price])) > CENT:
                found.append(f"{name}: {price} {mine[price]} live, {other[price]} in the replay")
    return found


def _what(fill: dict[str, str]) -> tuple[str, ...]:
    """Which fill it is."""
    return fill["entry_ts"], fill["symbol"], fill["reason"]
