"""What the replay makes of bars: archives to replay, and the decisions and fills that a live day must give."""
import csv
import os
import pathlib
import subprocess
from collections.abc import Iterable
from typing import Any

from harness import program

Bars = dict[str, list[dict[str, Any]]]


def magellan(*arguments: str | pathlib.Path, cwd: pathlib.Path, exits: Iterable[int] = (0,)) -> str:
    """Runs the program over archived data, which must end so; what it printed."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("APCA_", "MAGELLAN_"))}
    done = subprocess.run([program(), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300,
                          env=keep | {"USE_ARCHIVED_DATA": "true"})
    if done.returncode not in exits:
        raise AssertionError(f"magellan {' '.join(map(str, arguments))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Archive:
    """Bars in a folder of a test's own."""

    def __init__(self, place: pathlib.Path) -> None:
        self._place, self.folder = place, place / "archive"

    def import_files(self, *files: pathlib.Path, splits: pathlib.Path | None = None) -> "Archive":
        """Files of any kind that the program reads."""
        more = ("--splits", splits) if splits else ()
        magellan("data", "import", "--archive", self.folder, *more, *files, cwd=self._place)
        return self

    def import_bars(self, bars: Bars, timeframe: str = "1Min") -> "Archive":
        """Bars as they are scripted for the stand-in."""
        names = []
        for symbol, several in bars.items():
            names.append(self._place / f"{symbol}-{timeframe}.csv")
            with names[-1].open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("timestamp", "symbol", "open", "high", "low", "close", "volume"))
                writer.writerows((bar["t"], symbol, *(bar[key] for key in "ohlcv")) for bar in several)
        magellan("data", "import", "--archive", self.folder, "--timeframe", timeframe, *names, cwd=self._place)
        return self

    def bars(self, symbols: list[str], timeframe: str, first: str, last: str, session: str = "regular") -> Bars:
        """As the stand-in takes them."""
        found: Bars = {}
        for symbol in symbols:
            text = magellan("data", "bars", "--archive", self.folder, "--symbol", symbol, "--timeframe", timeframe,
                            "--session", session, "--start-date", first, "--end-date", last, cwd=self._place)
            rows = list(csv.DictReader(text.splitlines()))
            found[symbol] = [{"t": row["timestamp"], "o": float(row["open"]), "h": float(row["high"]),
                              "l": float(row["low"]), "c": float(row["close"]), "v": int(float(row["volume"]))}
                             for row in rows]
        return {symbol: several for symbol, several in found.items() if several}

    def replayed(self, strategy: str, deployed: pathlib.Path, first: str, last: str) -> dict[str, list[dict[str, str]]]:
        """Decisions and fills of a replay, as the service writes them."""
        state = self._place / "replayed"
        magellan("run", "--strategy", strategy, "--once", "--state-dir", state, "--deployed", deployed, "--archive",
                 self.folder, "--ledger", self._place / "ledger", "--start-date", first, "--end-date", last,
                 cwd=self._place)
        found: dict[str, list[dict[str, str]]] = {}
        for kind in ("decisions", "fills"):
            found[kind] = []
            for file in sorted((state / "logs").glob(f"{strategy}_{kind}_*.csv")):
                with file.open(newline="") as lines:
                    found[kind] += list(csv.DictReader(lines))
        return found
