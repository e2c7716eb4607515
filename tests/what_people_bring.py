"""Gives the binary what people bring, and says whether each answer is right.

    python tests/what_people_bring.py MAGELLAN [WORDS…]

Every input is made here. Each row of the table is one input: what it is, what is right, and the
verdict. With WORDS only the rows whose title holds one of them are tried. Exit 1 if one is wrong.
"""

import codecs
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

MAGELLAN = os.path.abspath(sys.argv[1])
WORDS = sys.argv[2:]
PROJECT = Path(__file__).resolve().parent.parent
SAMPLE = PROJECT / "data" / "sample"
NEW_YORK = ZoneInfo("America/New_York")
LONDON = ZoneInfo("Europe/London")
HOLIDAYS = {date(2024, 1, 1), date(2024, 1, 15), date(2024, 2, 19), date(2024, 3, 29), date(2024, 5, 27)}


# --- bars -----------------------------------------------------------------------------------

def sessions(start, count):
    """Trading days from `start` on."""
    day, found = date.fromisoformat(start), []
    while len(found) < count:
        if day.weekday() < 5 and day not in HOLIDAYS:
            found.append(day)
        day += timedelta(days=1)
    return found


def prices(count, price=100.0, seed=7):
    """open, high, low, close, volume: a random walk that is the same everywhere."""
    state, rows = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        move = (state >> 40) / 2**24 - 0.5
        opened, closed = price, price * (1 + move * 0.01)
        rows.append((round(opened, 4), round(max(opened, closed) * 1.002, 4),
                     round(min(opened, closed) * 0.998, 4), round(closed, 4), 1000 + (state >> 45) % 9000))
        price = closed
    return rows


def days(start="2024-02-20", count=33):
    """Across New York's change of clocks on 2024-03-10 unless said otherwise."""
    return list(zip(sessions(start, count), prices(count)))


def minutes(start="2024-04-01", count=5, step=1, offset=0):
    """The regular session's minutes, start-stamped unless offset says otherwise."""
    stamps = []
    for day in sessions(start, count):
        opened = datetime(day.year, day.month, day.day, 9, 30, tzinfo=NEW_YORK)
        stamps += [opened + timedelta(minutes=m + offset) for m in range(0, 390, step)]
    return list(zip(stamps, prices(len(stamps), price=20.0)))


def table(rows, header="Date,Open,High,Low,Close,Volume", stamp=str, sep=",", number=str, end="\n"):
    lines = [] if header is None else [header.replace(",", sep)]
    lines += [sep.join([stamp(at), *map(number, bar)]) for at, bar in rows]
    return end.join(lines) + end


def unix(unit):
    return lambda at: str(int(at.timestamp() * unit))


def iso_z(at):
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parquet(columns, metadata=None):
    arrays = pa.table(columns)
    if metadata is not None:
        arrays = arrays.replace_schema_metadata({"pandas": json.dumps(metadata)})
    out = io.BytesIO()
    pq.write_table(arrays, out)
    return out.getvalue()


def columns(rows, names=("open", "high", "low", "close", "volume")):
    return {name: [bar[i] for _, bar in rows] for i, name in enumerate(names)}


# --- running --------------------------------------------------------------------------------

class Place:
    """A folder for one input."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="people-"))

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, *args, **env):
        """Exit code and everything that was printed."""
        done = subprocess.run([MAGELLAN, *map(str, args)], cwd=self.folder, text=True, capture_output=True,
                              timeout=300, env={**os.environ, "MAGELLAN_LEDGER": str(self.folder / "ledger"), **env})
        return done.returncode, done.stdout + done.stderr

    def series(self):
        """The archive's rows by symbol and timeframe: (start in nanoseconds, open, high, low, close, volume)."""
        manifest = json.loads((self.folder / "a" / "manifest.json").read_text())
        found = {}
        for record in manifest["records"]:
            rows = pq.read_table(self.folder / "a" / record["path"]).to_pylist()
            key = record["symbol"], record["timeframe"]
            found.setdefault(key, []).extend(
                (int(r["timestamp"].value if hasattr(r["timestamp"], "value") else round(r["timestamp"].timestamp() * 1e9)),
                 r["open"], r["high"], r["low"], r["close"], r["volume"]) for r in rows)
        return {key: sorted(rows) for key, rows in found.items()}

    def project(self):
        """A copy of the deployed configs that may be spoilt."""
        shutil.copytree(PROJECT / "deployed", self.folder / "deployed")
        return self.folder / "deployed"


CASES = []


def case(kind, title):
    def add(function):
        CASES.append((kind, title, function))
        return function
    return add


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def starts(rows, width):
    """Where bars of a width start."""
    if width in ("1Day", "1Week"):
        day = lambda at: at if isinstance(at, date) and not isinstance(at, datetime) else at.date()
        return [int(datetime(*day(at).timetuple()[:3], tzinfo=timezone.utc).timestamp() * 1e9) for at, _ in rows]
    return [int(at.timestamp()) * 10**9 for at, _ in rows]


def imported(place, rows, symbol, width, *options, says=(), code=0):
    """Imports the folder `in` and compares every row."""
    for dry in (True, False):
        args = ["data", "import", "in", "--archive", "a", *options, *(["--dry-run"] if dry else [])]
        got, text = place.run(*args)
        expect(got == code, f"exit {got}{' of --dry-run' if dry else ''}: {text.strip()[-300:]}")
        expect(not (dry and (place.folder / "a").exists()), "--dry-run wrote an archive")
        if dry:
            expect(symbol in text and width in text, f"--dry-run doesn't say {symbol} and {width}: {text[-400:]}")
            for word in says:
                expect(word.lower() in text.lower(), f"--dry-run doesn't say {word!r}: {text[-600:]}")
    found = place.series()
    expect(set(found) == {(symbol, width)}, f"holds {sorted(found)}")
    got = found[symbol, width]
    wanted = sorted((start, *map(float, bar)) for start, (_, bar) in zip(starts(rows, width), rows))
    expect(len(got) == len(wanted), f"{len(got)} rows, not {len(wanted)}")
    for a, b in zip(got, wanted):
        close = all(abs(x - y) <= 1e-6 * max(1.0, abs(y)) for x, y in zip(a[1:], b[1:]))
        expect(a[0] == b[0] and close, f"{a}, not {b}")


def refused(place, *says, options=(), exit_codes=(2, 3), nothing=True):
    """The import fails, says why, and leaves no archive with bars."""
    code, text = place.run("data", "import", "in", "--archive", "a", *options)
    expect(code in exit_codes, f"exit {code}: {text.strip()[-300:]}")
    for word in says:
        options = word if isinstance(word, tuple) else (word,)
        expect(any(w.lower() in text.lower() for w in options), f"doesn't say {word!r}: {text.strip()[-500:]}")
    if nothing and (place.folder / "a" / "manifest.json").exists():
        expect(not place.series(), f"imported {list(place.series())} all the same")


# --- K1: daily bars with a zone --------------------------------------------------------------

def in_zone(zone, hour=0, minute=0):
    def stamp(day):
        at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
        text = at.strftime("%Y-%m-%d %H:%M:%S%z")
        return text[:-2] + ":" + text[-2:]
    return stamp


for title, zone, hour in [("New York midnight", NEW_YORK, 0), ("New York close", NEW_YORK, 16), ("London midnight", LONDON, 0),
                          ("New York open", NEW_YORK, 9)]:
    for first, count, clocks in [("2024-02-20", 33, "across a change of clocks"), ("2024-01-02", 31, "without one")]:
        @case("K1", f"daily CSV stamped {title}, {clocks}")
        def _(place, zone=zone, hour=hour, first=first, count=count):
            rows = days(first, count)
            place.write("in/AAPL.csv", table(rows, stamp=in_zone(zone, hour, 30 if hour == 9 else 0)))
            imported(place, rows, "AAPL", "1Day")


@case("K1", "daily Parquet as pandas writes a New York index, across a change of clocks")
def _(place):
    rows = days()
    stamps = [datetime(d.year, d.month, d.day, tzinfo=NEW_YORK) for d, _ in rows]
    data = columns(rows, ("Open", "High", "Low", "Close", "Volume"))
    data["Date"] = pa.array(stamps, pa.timestamp("ns", tz="America/New_York"))
    place.write("in/AAPL.parquet", parquet(data, {"index_columns": ["Date"], "columns": []}))
    imported(place, rows, "AAPL", "1Day")


@case("K1", "two rows on one local day are no daily bars, and not hours either")
def _(place):
    rows = days()
    text = table(rows, stamp=in_zone(NEW_YORK)) + table(rows[4:5], header=None, stamp=in_zone(NEW_YORK, 4)).lstrip()
    place.write("in/AAPL.csv", text)
    refused(place, "bar-width")


def every(step, count=9, start="09:30", first="2024-04-01"):
    """Bars of a session, so many minutes apart."""
    rows = []
    for day in sessions(first, count):
        at = datetime(day.year, day.month, day.day, *map(int, start.split(":")), tzinfo=NEW_YORK)
        while (at.hour, at.minute) < (16, 0):
            rows.append(at)
            at += timedelta(minutes=step)
    return list(zip(rows, prices(len(rows))))


for title, rows in [("45 minutes", every(45)), ("65 minutes", every(65)), ("90 minutes", every(90)), ("two hours on the clock", every(120, start="08:00")),
                    ("an hour from the open", every(60))]:
    @case("K1", f"bars of {title} are none of a finer width")
    def _(place, rows=rows):
        place.write("in/SPY.csv", table(rows, "timestamp,open,high,low,close,volume", lambda at: at.isoformat()))
        refused(place, "bar-width")


for title, stamps in [("months", [date(2023, m, 1) for m in range(1, 13)]), ("quarters", [date(y, m, 1) for y in (2022, 2023) for m in (1, 4, 7, 10)])]:
    @case("K1", f"{title} are no days")
    def _(place, stamps=stamps):
        place.write("in/SPY.csv", table(list(zip(stamps, prices(len(stamps))))))
        refused(place, "bar-width")


for title, shift, count in [("Mondays", 0, 12), ("Fridays", 4, 12), ("Fridays, six", 4, 6)]:
    @case("K1", f"weeks stamped by {title} are weeks, dated by their Monday")
    def _(place, shift=shift, count=count):
        mondays = [date(2024, 1, 8) + timedelta(days=7 * i) for i in range(count)]
        bars = prices(count)
        place.write("in/SPY.csv", table([(day + timedelta(days=shift), bar) for day, bar in zip(mondays, bars)]))
        imported(place, list(zip(mondays, bars)), "SPY", "1Week")


@case("K1", "London midnight written in UTC across a change of clocks, ten rows")
def _(place):
    rows = days("2024-03-25", 10)
    stamp = lambda d: datetime(d.year, d.month, d.day, tzinfo=LONDON).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    place.write("in/AAPL.csv", table(rows, stamp=stamp))
    refused(place, "bar-width")


# --- K2: symbols from file names --------------------------------------------------------------

for name, symbol in [("BATS_SPY, 1D.csv", "SPY"), ("SPY-1D.csv", "SPY"), ("AAPL.2024.csv", "AAPL"), ("NASDAQ_AAPL, 1D.csv", "AAPL"),
                     ("NYSE_IBM, 1D_2f3a1.csv", "IBM"), ("AMEX_SPY, D.csv", "SPY"), ("spy.csv", "SPY"), ("SPY_daily.csv", "SPY"),
                     ("aapl.us.txt", "AAPL"), ("BRK.B.csv", "BRK.B"), ("BRK-B.csv", "BRK-B"), ("AAPL_2020-01-01_2024-12-31.csv", "AAPL"),
                     ("MSFT 1day.csv", "MSFT"), ("AAPL-2024.csv", "AAPL"), ("QQQ_1d_adjusted.csv", "QQQ"), ("AAPL (1).csv", "AAPL")]:
    @case("K2", f"a file named {name!r}")
    def _(place, name=name, symbol=symbol):
        rows = days("2024-01-02", 31)
        place.write(f"in/{name}", table(rows))
        imported(place, rows, symbol, "1Day", says=["name"])

for name in ["data.csv", "prices.csv", "export.csv", "2024.csv", "1D.csv", "table (3).csv", "AAPL_MSFT.csv", "download-historical.csv"]:
    @case("K2", f"a file named {name!r} tells no symbol")
    def _(place, name=name):
        place.write(f"in/{name}", table(days("2024-01-02", 31)))
        refused(place, "--symbol")


@case("K2", "--symbol settles what the name can't tell")
def _(place):
    rows = days("2024-01-02", 31)
    place.write("in/data.csv", table(rows))
    imported(place, rows, "AAPL", "1Day", "--symbol", "AAPL", says=["--symbol"])


# --- K3: symbol columns ----------------------------------------------------------------------

for name in ["ticker", "Ticker", "Name", "symbol", "SYMBOL", "sym", "instrument", "<TICKER>", "Stock", "act_symbol"]:
    @case("K3", f"the symbol stands in a column {name!r}")
    def _(place, name=name):
        rows = days()
        text = f"date,{name},open,high,low,close,volume\n"
        text += "".join(f"{at},AAL,{','.join(map(str, bar))}\n" for at, bar in rows)
        place.write("in/STOCKS.csv" if name != "Name" else "in/all_stocks_5yr.csv", text)
        imported(place, rows, "AAL", "1Day", says=[name])


@case("K3", "a column Name contradicts the file's name")
def _(place):
    text = table([(at, (*bar, "AAL")) for at, bar in days()], "date,open,high,low,close,volume,Name")
    place.write("in/AAPL.csv", text)
    refused(place, "AAL", "AAPL")


@case("K3", "two symbols with equal rows stay two")
def _(place):
    rows = days()
    text = "date,ticker,open,high,low,close,volume\n"
    for symbol in ("AAL", "DAL"):
        text += "".join(f"{at},{symbol},{','.join(map(str, bar))}\n" for at, bar in rows)
    place.write("in/stocks.csv", text)
    code, out = place.run("data", "import", "in", "--archive", "a")
    expect(code == 0, out)
    expect({key: len(v) for key, v in place.series().items()} == {("AAL", "1Day"): 33, ("DAL", "1Day"): 33}, str(place.series().keys()))


@case("K3", "a number that tells instruments apart isn't passed over")
def _(place):
    rows = [(at, (*bar, 10107 if i % 2 else 14593)) for i, (at, bar) in enumerate(days())]
    place.write("in/SPY.csv", table(rows, "date,open,high,low,close,volume,PERMNO"))
    refused(place, "PERMNO")


@case("K3", "--symbol doesn't join files that are named for several")
def _(place):
    place.write("in/SPY.csv", table(days("2024-01-02", 12)))
    place.write("in/QQQ.csv", table(days("2024-03-18", 12)))
    refused(place, "SPY", "QQQ", options=("--symbol", "SPY"))


# --- K4: columns that stand twice ------------------------------------------------------------

for header, extra, names in [("Date,Open,High,Low,Close,Close,Volume", None, ["Close"]),
                             ("Date,Open,High,Low,Close,Volume,close", 1.0, ["Close", "close"]),
                             ("Date,date,Open,High,Low,Close,Volume", "date", ["Date", "date"]),
                             ("Date,Open,High,Low,Close,Volume,VOLUME", 5, ["Volume", "VOLUME"]),
                             ("Date,Open,High,Low,Close,Volume,Last", 5.0, ["Close", "Last"])]:
    @case("K4", f"columns {header}")
    def _(place, header=header, extra=extra, names=names):
        def row(at, bar):
            if extra is None:
                bar = (*bar[:3], 5.0, *bar[3:])
            elif extra == "date":
                bar = (at, *bar)
            else:
                bar = (*bar, extra)
            return at, bar
        place.write("in/AAPL.csv", table([row(*r) for r in days("2024-01-02", 31)], header))
        refused(place, *names)


@case("K4", "Parquet with Close and close")
def _(place):
    rows = days()
    data = {"Date": [at for at, _ in rows], **columns(rows, ("Open", "High", "Low", "Close", "Volume"))}
    data["close"] = [1.0] * len(rows)
    place.write("in/AAPL.parquet", parquet(data))
    refused(place, "Close", "close")


@case("K4", "Adj Close beside Close is no duplicate")
def _(place):
    rows = days("2024-01-02", 31)
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n"
    text += "".join(f"{at},{b[0]},{b[1]},{b[2]},{b[3]},{b[3] * .9:.4f},{b[4]}\n" for at, b in rows)
    place.write("in/AAPL.csv", text)
    imported(place, rows, "AAPL", "1Day", says=["Adj Close"])


# --- K5: layouts ------------------------------------------------------------------------------

def comma(value):
    return str(value).replace(".", ",")


for title, make in {
    "semicolons and decimal commas, BOM, CRLF": lambda r: codecs.BOM_UTF8 + table(r, sep=";", number=comma, end="\r\n").encode(),
    "semicolons and decimal points": lambda r: table(r, sep=";"),
    "tabs": lambda r: table(r, sep="\t"),
    "pipes": lambda r: table(r, sep="|"),
    "UTF-16 little endian": lambda r: codecs.BOM_UTF16_LE + table(r, sep="\t").encode("utf-16-le"),
    "UTF-16 big endian": lambda r: codecs.BOM_UTF16_BE + table(r).encode("utf-16-be"),
    "quoted fields": lambda r: table(r, number=lambda v: f'"{v}"'),
    "Nasdaq: Close/Last with dollars, newest first": lambda r: "Date,Close/Last,Volume,Open,High,Low\n" + "".join(
        f"{at:%m/%d/%Y},${b[3]},{b[4]},${b[0]},${b[1]},${b[2]}\n" for at, b in reversed(r)),
    "MetaTrader: <DATE> and tabs": lambda r: "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n" + "".join(
        f"{at:%Y.%m.%d}\t{b[0]}\t{b[1]}\t{b[2]}\t{b[3]}\t7\t{b[4]}\t1\n" for at, b in r),
    "Stooq": lambda r: "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n" + "".join(
        f"AAPL.US,D,{at:%Y%m%d},000000,{','.join(map(str, b))},0\n" for at, b in r),
    "yfinance, one header": lambda r: "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n" + "".join(
        f"{at},{','.join(map(str, b))},0.0,0.0\n" for at, b in r),
    "yfinance, header of three rows": lambda r: "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n" + "".join(
        f"{at},{b[3]},{b[1]},{b[2]},{b[0]},{b[4]}\n" for at, b in r),
    "volume with thousands separators": lambda r: "Date,Open,High,Low,Close,Volume\n" + "".join(
        f"{at},{b[0]},{b[1]},{b[2]},{b[3]},\"{b[4]:,}\"\n" for at, b in r),
    "dates without separators": lambda r: table(r, stamp=lambda d: f"{d:%Y%m%d}"),
    "dates in American order": lambda r: table(r, stamp=lambda d: f"{d:%m/%d/%Y}"),
    "pandas' unnamed index in front": lambda r: ",Date,Open,High,Low,Close,Volume\n" + "".join(
        f"{i},{at},{','.join(map(str, b))}\n" for i, (at, b) in enumerate(r)),
    "Databento, daily": lambda r: "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n" + "".join(
        f"{at}T00:00:00.000000000Z,35,2,32,{','.join(str(round(p * 1e9)) for p in b[:4])},{b[4]},AAPL\n" for at, b in r),
}.items():
    @case("K5", f"daily file: {title}")
    def _(place, make=make, title=title):
        rows = days("2024-01-02", 31)
        place.write("in/aapl.us.txt" if title == "Stooq" else "in/AAPL.csv", make(rows))
        imported(place, rows, "AAPL", "1Day")

short = "t,o,h,l,c,v,n,vw"
for title, name, make, options in [
    ("Alpaca CSV with short names", "AMC.csv", lambda r: table([(at, (*b, 10, b[3])) for at, b in r], short, iso_z), ()),
    ("Alpaca JSON by symbol", "bars.json", lambda r: json.dumps({"bars": {"AMC": [
        dict(t=iso_z(at), o=b[0], h=b[1], l=b[2], c=b[3], v=b[4], n=3, vw=b[3]) for at, b in r]}, "next_page_token": None}), ()),
    ("Alpaca JSON of one symbol", "bars.json", lambda r: json.dumps({"symbol": "AMC", "next_page_token": None, "bars": [
        dict(t=iso_z(at), o=b[0], h=b[1], l=b[2], c=b[3], v=b[4], n=3, vw=b[3]) for at, b in r]}), ()),
    ("Polygon flat file, gzip", "2024-04-01.csv.gz", lambda r: gzip.compress(("ticker,volume,open,close,high,low,window_start,transactions\n" + "".join(
        f"AMC,{b[4]},{b[0]},{b[3]},{b[1]},{b[2]},{int(at.timestamp())}000000000,5\n" for at, b in r)).encode()), ()),
    ("TradingView, Unix seconds", "BATS_AMC, 1.csv", lambda r: table(r, "time,open,high,low,close,Volume", unix(1)), ()),
    ("Unix milliseconds", "AMC_1min.csv", lambda r: table(r, "timestamp,open,high,low,close,volume", unix(1000)), ()),
    ("Kibot: no header, date and time apart", "AMC.txt", lambda r: table(r, None, lambda at: f"{at:%m/%d/%Y},{at:%H:%M}"),
     ("--zone", "America/New_York", "--time-format", "mdy")),
    ("FirstRate: no header", "AMC_1min.txt", lambda r: table(r, None, lambda at: f"{at:%Y-%m-%d %H:%M:%S}"),
     ("--zone", "America/New_York")),
    ("MetaTrader: no header, dots in dates", "AMC1.csv", lambda r: table(r, None, lambda at: f"{at:%Y.%m.%d},{at:%H:%M}"),
     ("--zone", "America/New_York", "--symbol", "AMC")),
    ("columns of other names, told", "AMC.csv", lambda r: table(r, "when,first,top,bottom,final,shares", iso_z),
     ("--columns", "timestamp=when,open=first,high=top,low=bottom,close=final,volume=shares")),
    ("New York times, zone told", "AMC.csv", lambda r: table(r, "datetime,open,high,low,close,volume", lambda at: f"{at:%Y-%m-%d %H:%M:%S}"),
     ("--zone", "America/New_York")),
    ("Databento, prices times 1e9, ISO times", "AMC.csv", lambda r: "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n" + "".join(
        f"{iso_z(at)[:-1]}.000000000Z,33,2,32,{','.join(str(round(p * 1e9)) for p in b[:4])},{b[4]},AMC\n" for at, b in r), ()),
    ("Databento, prices times 1e9, nanoseconds", "AMC.csv", lambda r: "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n" + "".join(
        f"{int(at.timestamp())}000000000,33,2,32,{','.join(str(round(p * 1e9)) for p in b[:4])},{b[4]},AMC\n" for at, b in r), ()),
]:
    @case("K5", f"minute file: {title}")
    def _(place, name=name, make=make, options=options):
        rows = minutes()
        place.write(f"in/{name}", make(rows))
        imported(place, rows, "AMC", "1Min", *options)


@case("K5", "Binance: no header; read, and told that the calendar is the New York Stock Exchange's")
def _(place):
    rows = minutes()
    place.write("in/BTCUSDT-1m-2024-04-01.csv", "".join(
        f"{int(at.timestamp())}000,{','.join(map(str, b))},{int(at.timestamp())}999,1,1,1,1,0\n" for at, b in rows))
    imported(place, rows, "BTCUSDT", "1Min", says=["XNYS", "Binance"])


@case("K5", "local times without a zone are not guessed")
def _(place):
    place.write("in/AMC.txt", table(minutes(), None, lambda at: f"{at:%m/%d/%Y},{at:%H:%M}"))
    refused(place, "--zone", options=("--time-format", "mdy"))


@case("K5", "a sign that may part thousands or decimals is not guessed")
def _(place):
    rows = [(at, (*(f"{p:.3f}" for p in b[:4]), f"{b[4]:,}")) for at, b in days("2024-01-02", 12)]
    place.write("in/SPY.csv", table(rows, sep=";"))
    refused(place, "decimal")


@case("K5", "columns without names beyond the volume are asked for")
def _(place):
    rows = [(at, (*b[:4], b[3] / 2, b[4])) for at, b in days("2024-01-02", 12)]
    place.write("in/SPY.csv", table(rows, None))
    refused(place, "--columns")


@case("K5", "a date that is the day or the month is not guessed")
def _(place):
    rows = [(d, b) for d, b in days("2024-01-02", 8) if d.day <= 12]
    place.write("in/AAPL.csv", table(rows, stamp=lambda d: f"{d:%d/%m/%Y}"))
    refused(place, "02/01/2024", options=("--timeframe", "1Day"))


for title, name, content, says in [
    ("a web page saved as CSV", "AAPL.csv", "<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", ["AAPL.csv", ("web page", "html")]),
    ("no bars at all", "AAPL.csv", "name,email\nann,a@b.c\n", ["AAPL.csv", "name,email"]),
    ("an empty file", "AAPL.csv", "", ["AAPL.csv"]),
    ("Parquet that is none", "AAPL.parquet", b"PAR1 not really", ["AAPL.parquet"]),
    ("gzip that is none", "AAPL.csv.gz", b"Date,Open,High,Low,Close,Volume\n", ["AAPL.csv.gz"]),
    ("an answer with an error", "AAPL.csv", '{"Error Message": "Invalid API call"}\n', ["AAPL.csv", "Invalid API call"]),
]:
    @case("K5", f"{title}, beside a good file: fails and is named")
    def _(place, name=name, content=content, says=says):
        place.write("in/MSFT.csv", table(days()))
        place.write(f"in/{name}", content)
        place.write("in/README.md", "mine")
        refused(place, *says)
        code, text = place.run("data", "import", "in", "--archive", "b", "--skip-unreadable")
        expect(code == 0 and name in text, f"--skip-unreadable: exit {code}: {text[-300:]}")


@case("K5", "a mixed folder: every file is read or named, never passed over")
def _(place):
    rows = days()
    place.write("in/AAPL.csv", table(rows))
    place.write("in/MSFT.csv", table(rows, sep=";"))
    place.write("in/TSLA.csv", table(rows, "Date,Open,High,Low,Last,Volume"))
    place.write("in/GOOG.txt", table(rows))
    code, text = place.run("data", "import", "in", "--archive", "a")
    if code == 0:
        expect({s for s, _ in place.series()} == {"AAPL", "MSFT", "TSLA", "GOOG"}, f"exit 0 with {list(place.series())}")
    else:
        expect("TSLA.csv" in text, text)


# --- K6: messages ------------------------------------------------------------------------------

@case("K6", "Parquet with ts_event is read")
def _(place):
    rows = minutes(count=1)
    data = {"rtype": pa.array([33] * len(rows), pa.uint8()), **columns(rows), "symbol": ["AMC"] * len(rows)}
    data["ts_event"] = pa.array([at for at, _ in rows], pa.timestamp("ns", tz="UTC"))
    place.write("in/AMC.parquet", parquet(data, {"index_columns": ["ts_event"], "columns": []}))
    imported(place, rows, "AMC", "1Min")


@case("K6", "Parquet without a time: the whole schema is named")
def _(place):
    rows = minutes(count=1)
    place.write("in/AMC.parquet", parquet({**columns(rows), "flavour": [1] * len(rows), "trace": ["x"] * len(rows)}))
    refused(place, "flavour", "trace")


@case("K6", "dates as text in Parquet")
def _(place):
    rows = days()
    place.write("in/AAPL.parquet", parquet({**columns(rows), "Date": [str(at) for at, _ in rows]}))
    imported(place, rows, "AAPL", "1Day")


@case("K6", "dates as text that are none: column and value are named")
def _(place):
    rows = days()
    place.write("in/AAPL.parquet", parquet({**columns(rows), "Date": [f"day {i}" for i in range(len(rows))]}))
    refused(place, "Date", "day 0")


for field, name in [(0, "Date"), (1, "Open"), (5, "Volume")]:
    @case("K6", f"an empty field {name} is named with its line")
    def _(place, field=field, name=name):
        lines = table(days("2024-01-02", 31)).splitlines()
        cells = lines[6].split(",")
        cells[field] = ""
        lines[6] = ",".join(cells)
        place.write("in/AAPL.csv", "\n".join(lines) + "\n")
        refused(place, name, "AAPL.csv:7")


for title, unit, kind in [("seconds", 1, "s"), ("milliseconds", 1000, "ms"), ("microseconds", 10**6, "µs"), ("nanoseconds", 10**9, "ns")]:
    @case("K6", f"Unix {title} as whole numbers in Parquet")
    def _(place, unit=unit):
        rows = minutes(count=1)
        place.write("in/AMC.parquet", parquet({"timestamp": [int(at.timestamp()) * unit for at, _ in rows], **columns(rows)}))
        code, text = place.run("data", "import", "in", "--archive", "a")
        if code == 0:
            expect([r[0] for r in place.series()["AMC", "1Min"]] == starts(rows, "1Min"), "other times")
        else:
            expect("looks like Unix" in text, text)


# --- K7: Hive folders --------------------------------------------------------------------------

for folder in ["symbol=AMC", "ticker=AMC", "symbol=AMC/year=2024", "year=2024/month=4/symbol=AMC", "Symbol=AMC"]:
    @case("K7", f"partition {folder}")
    def _(place, folder=folder):
        rows = minutes(count=1)
        stamps = pa.array([at.astimezone(timezone.utc).replace(tzinfo=None) for at, _ in rows], pa.timestamp("us"))
        place.write(f"in/{folder}/data_0.parquet", parquet({"timestamp": stamps, **columns(rows)}))
        imported(place, rows, "AMC", "1Min", says=[folder.split("/")[-1] if "year" not in folder.split("/")[-1] else "symbol="])


# --- K8, K9: what a check finds ------------------------------------------------------------------

@case("K8", "prices times 1e9 are implausible")
def _(place):
    rows = [(at, (*[round(p * 1e9) for p in b[:4]], b[4])) for at, b in minutes(count=1)]
    place.write("in/AMC.csv", table(rows, "timestamp,open,high,low,close,volume", iso_z))
    code, text = place.run("data", "check", "in")
    expect(code != 0 or "implausible" in text.lower(), f"exit {code}: {text}")
    expect("implausible" in text.lower(), text)


for title, data, name in [("minutes", minutes(offset=1), "AMC_1min.csv"), ("5-minute bars", minutes(count=10, step=5, offset=5), "AMC_5min.csv"),
                          ("minutes with half a day", [r for r in minutes("2024-07-01", 5, offset=1)], "AMC_1min.csv")]:
    @case("K9", f"end-stamped {title} in a series alone")
    def _(place, data=data, name=name):
        place.write(f"in/{name}", table(data, "timestamp,open,high,low,close,volume", lambda at: at.isoformat()))
        code, text = place.run("data", "check", "in")
        expect(code != 0, f"exit {code}: {text}")
        expect("end" in text.lower(), text)


@case("K9", "start-stamped minutes are left alone")
def _(place):
    place.write("in/AMC_1min.csv", table(minutes(), "timestamp,open,high,low,close,volume", lambda at: at.isoformat()))
    code, text = place.run("data", "check", "in")
    expect(code == 0 and "nothing found" in text, text)


# --- Bars of other widths -----------------------------------------------------------------------

for width, step in [("5Min", 5), ("10Min", 10), ("15Min", 15), ("30Min", 30)]:
    @case("Bars", f"{width} built from minutes equals the file of a vendor that stamps starts")
    def _(place, width=width, step=step):
        fine = minutes()
        built = []
        for i in range(0, len(fine), step):
            part = [b for _, b in fine[i:i + step]]
            built.append((fine[i][0], (part[0][0], max(b[1] for b in part), min(b[2] for b in part), part[-1][3], sum(b[4] for b in part))))
        place.write("m/AMC_1min.csv", table(fine, "timestamp,open,high,low,close,volume", iso_z))
        place.write("in/AMC.csv", table(built, "timestamp,open,high,low,close,volume", iso_z))
        imported(place, built, "AMC", width)
        code, text = place.run("data", "import", "m", "--archive", "minutes")
        expect(code == 0, text)
        shown = [place.run("data", "bars", "--archive", a, "--symbol", "AMC", "--timeframe", width) for a in ("minutes", "a")]
        expect(shown[0][0] == shown[1][0] == 0, shown[0][1][-300:] + shown[1][1][-300:])
        rows = [[l for l in text.splitlines() if l[:4] == "2024"] for _, text in shown]
        expect(len(rows[0]) == len(built), f"{len(rows[0])} bars, not {len(built)}")
        values = [[[l.split(",")[0], *map(float, l.split(",")[1:6])] for l in r] for r in rows]
        expect(values[0] == values[1], "the two differ")


# --- K11 to K14, K22: research -------------------------------------------------------------------

def research(place, command, *args):
    return place.run(command, "--archive", SAMPLE, "--deployed", PROJECT / "deployed", *args)


@case("K11", "a report says how often, and how far, cash fell below zero")
def _(place):
    code, text = research(place, "backtest", "--strategy", "hourly_swing", "--start-date", "2022-04-01", "--end-date", "2025-12-31", "--out", "r")
    expect(code == 0, text)
    metrics = json.loads((place.folder / "r/PORTFOLIO.metrics.json").read_text())
    found = [k for k in metrics if "cash" in k]
    expect(found, "metrics.json says nothing of cash")
    expect("cash" in text.lower(), "the table says nothing of cash")


@case("K12", "a walk-forward that judged nothing ends with 4")
def _(place):
    code, text = research(place, "walk-forward", "--strategy", "daily_trend", "--symbols", "AAPL", "--start-date", "2022-01-03",
                          "--end-date", "2025-12-31", "--grid", "hysteresis_upper=96,98,100", "--folds", "5")
    expect(code == 4, f"exit {code}: {text[-500:]}")
    expect("all folds joined" not in text, text)


@case("K12", "folds that were left out are counted")
def _(place):
    code, text = research(place, "walk-forward", "--strategy", "daily_trend", "--symbols", "AAPL", "--start-date", "2022-01-03",
                          "--end-date", "2025-12-31", "--grid", "rsi_period=5..30", "--folds", "5", "--scheme", "rolling", "--train", "3")
    expect("all folds joined" not in text, text)
    expect(" of 5 folds" in text or code == 4, f"exit {code}: {text[-700:]}")


@case("K13", "five sessions are not annualised")
def _(place):
    code, text = research(place, "backtest", "--strategy", "bear_trap", "--start-date", "2024-05-13", "--end-date", "2024-05-17", "--json")
    expect(code == 0, text)
    figures = json.loads(text[text.index("{"):text.rindex("}") + 1])
    shown = json.dumps(figures)
    for name in ("cagr", "calmar"):
        at = shown.find(f'"{name}"')
        expect(at >= 0 and shown[at:at + 40].split(":")[1].strip().startswith(("null", "{\"value\": null", "{")), f"{name} has a value: {shown[at:at + 60]}")
    expect("63" in shown, "the bound isn't said")


@case("K14", "a period that the bars cover in part is said with both periods")
def _(place):
    code, text = research(place, "backtest", "--strategy", "daily_trend", "--symbols", "AAPL", "--start-date", "2010-01-01",
                          "--end-date", "2030-06-30", "--scope", "single")
    for word in ("2010-01-01", "2030-06-30", "2018-01-02", "2025-12-31"):
        expect(word in text, f"exit {code}, doesn't say {word}: {text[-600:]}")


@case("K22", "two identical sweeps into one folder")
def _(place):
    args = [MAGELLAN, "sweep", "--archive", str(SAMPLE), "--deployed", str(PROJECT / "deployed"), "--strategy", "daily_trend", "--symbols", "AAPL,MSFT",
            "--start-date", "2018-01-03", "--end-date", "2025-12-31", "--grid", "rsi_period=2..100", "--grid", "hysteresis_upper=50..70:2", "--grid",
            "hysteresis_lower=30..50:2", "--top", "1", "--out", "s", "--ledger", "l"]
    both = [subprocess.Popen(args, cwd=place.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)]
    done = [(b.communicate(timeout=300)[0], b.returncode) for b in both]
    for text, code in done:
        expect(code == 0 or "state-in-use" in text, f"exit {code}: {text[-300:]}")
        expect("No such file" not in text, text[-300:])
    expect(any(code == 0 for _, code in done), str(done))


# --- K15 to K19: workflows -------------------------------------------------------------------------

OWN = (PROJECT / ".github/workflows/deploy-strategies.yml").read_text()
GATE = 'target/release/magellan gate --strategy "$STRATEGY" --github --markdown "$GITHUB_STEP_SUMMARY" --junit gate/junit.xml --out gate'


def own_workflow(script):
    """The project's own workflow with another script for its gate step."""
    at = OWN.index("        run: >-\n          target/release/magellan gate --strategy")
    rest = OWN[at:].split("\n")
    end = 1
    while rest[end].startswith("          "):
        end += 1
    body = "\n".join("          " + line for line in script.strip("\n").split("\n"))
    return OWN[:at] + "        run: |\n" + body + "\n" + "\n".join(rest[end:])


def foreign_workflow(script, on="push", extra=""):
    body = "\n".join("          " + line for line in script.strip("\n").split("\n"))
    return (f"name: w\non: {on}\npermissions:\n  contents: read\njobs:\n  x:\n    runs-on: ubuntu-latest\n    timeout-minutes: 5\n"
            f"    steps:\n{extra}      - run: |\n{body}\n")


def lint(place, workflow):
    place.write("w.yml", workflow)
    return place.run("ci", "lint", "w.yml")


@case("K15", "the project's own workflow is clean")
def _(place):
    code, text = lint(place, OWN)
    expect(code == 0, text)
    code, text = lint(place, own_workflow("{GATE}".replace("{GATE}", GATE)))
    expect(code == 0, text)


MASKS = {
    "a function that goes on, in a condition": "judge() {\n  {GATE}\n  echo judged\n}\nif judge; then echo ok; else exit 1; fi",
    "a function that goes on, before ||": "judge() {\n  {GATE}\n  echo judged\n}\njudge || exit 1",
    "if ! … warns": "if ! {GATE}; then\n  echo '::warning::red'\nfi",
    "if … then, no else": "if {GATE}; then echo ok; fi",
    "shopt -uo errexit": "shopt -uo errexit\n{GATE}\necho judged",
    "while ! … break": "while ! {GATE}; do\n  break\ndone",
    "until … break": "until {GATE}; do break; done",
    "set +e": "set +e\n{GATE}\necho judged",
    "set +o errexit": "set +o errexit\n{GATE}\ntrue",
    "|| true": "{GATE} || true",
    "|| :": "{GATE} || :",
    "|| echo": "{GATE} || echo failed",
    "&& in front of the end": "{GATE} && echo ok\necho done",
    "! in front": "! {GATE}",
    "an elif": "if false; then :; elif {GATE}; then :; fi",
    "a group in a condition": "if { {GATE}; true; }; then :; fi",
    "a subshell before ||": "( {GATE}; echo x ) || exit 1",
    "a background job": "{GATE} &\nwait",
    "a substitution in echo": 'echo "$({GATE})"',
    "export with a substitution": "export RESULT=$({GATE})",
    "local with a substitution": "f() { local r=$({GATE}); }\nf",
    "exit 0 in a trap": "trap 'exit 0' EXIT\n{GATE}",
    "trap on ERR": "trap 'exit 0' ERR\n{GATE}",
    "bash -c without -e": "bash -c '{GATE2}; echo done'",
    "sh with a heredoc": "sh <<'E'\n{GATE}\necho done\nE",
    "bash with a herestring": "bash <<< '{GATE2}; echo done'",
    "eval with || true": "eval '{GATE2} || true'",
    "exit code saved and lost": "rc=0\n{GATE} || rc=$?\necho $rc",
    "pipe without pipefail": "set +o pipefail\n{GATE} | tee log",
    "process substitution": "cat < <({GATE})",
    "a case in a loop with || continue": "for i in 1; do {GATE} || continue; done",
    "return 0 of a function": "f() { {GATE} || return 0; }\nf",
    "xargs … || true": "echo x | xargs -I{} {GATE2} || true",
    "timeout … || true": "timeout 600 {GATE} || true",
    "make -i": "make -i gate",
    "make --ignore-errors": "make --ignore-errors gate",
    "exit 0 after an if": "if ! {GATE}; then exit 0; fi",
    "a condition in a list": "{GATE} && exit 0 || exit 0",
    "coproc": "coproc {GATE}\nwait || true",
    "test of the code that passes": "set +e\n{GATE}\nif [ $? -ne 0 ]; then echo red; fi",
    "time and ||": "time {GATE} || true",
}
GOOD = {
    "plain": "{GATE}",
    "early exit 0": 'if [ -z "$STRATEGY" ]; then\n  echo nothing\n  exit 0\nfi\n{GATE}',
    "code saved and returned": "rc=0\n{GATE} || rc=$?\nls gate\nexit $rc",
    "set +e, saved, returned": "set +e\n{GATE}\nrc=$?\nset -e\nls gate\nexit $rc",
    "PIPESTATUS": "set +o pipefail\n{GATE} 2>&1 | tee log\nexit ${PIPESTATUS[0]}",
    "wait for the pid": '{GATE} &\npid=$!\nwait "$pid"',
    "|| exit 1": "{GATE} || exit 1",
    "|| group that exits": "{GATE} || { echo red; exit 1; }",
    "if ! … exit 1": "if ! {GATE}; then\n  echo red\n  exit 1\nfi",
    "if … else exit": "if {GATE}; then echo ok; else exit 1; fi",
    "pipe with pipefail": "{GATE} | tee log",
    "a function at the end": "judge() { {GATE}; }\njudge",
    "code tested": 'rc=0\n{GATE} || rc=$?\nif [ "$rc" -ne 0 ]; then exit "$rc"; fi\necho fine',
    "a subshell": "( cd . && {GATE} )",
    "a loop": "for s in a b; do\n  {GATE}\ndone",
    "exit 0 behind it": "{GATE}\necho done\nexit 0",
    "a command of others that may fail": "rm -r old || true\n{GATE}",
    "grep in a condition": "if grep -q x file; then echo found; fi\n{GATE}",
    "an output from a substitution": 'list=$({GATE})\necho "$list"',
}
for title, script in MASKS.items():
    @case("K15", f"masked: {title}")
    def _(place, script=script):
        code, text = lint(place, own_workflow(script.replace("{GATE2}", GATE.replace("'", "")).replace("{GATE}", GATE)))
        expect(code == 2, f"exit {code}: {text[-300:]}")
        expect("masked-failure" in text or "readable" in text or "missing-stage" in text, text[-600:])
for title, script in GOOD.items():
    @case("K16", f"correct: {title}")
    def _(place, script=script):
        code, text = lint(place, own_workflow(script.replace("{GATE}", GATE)))
        expect(code == 0, f"exit {code}: {text[-600:]}")
for title, script in {"exit 0 alone": "echo done\nexit 0", "early return": 'if [ -z "$X" ]; then\n  exit 0\nfi\nmake', "cargo xtask": "cargo run -p xtask -- lint\ncargo run --bin other -- gate",
                      "cargo example": "cargo run --example demo -- gate", "another manifest": "cargo run --manifest-path tools/Cargo.toml -- gate"}.items():
    @case("K16" if "cargo" not in script else "K17", f"a workflow of others: {title}")
    def _(place, script=script):
        code, text = lint(place, foreign_workflow(script))
        expect(code == 0, f"exit {code}: {text[-600:]}")
for kind, bad, expressions in [
    ("K18", False, ["github.event.pull_request.number", "github.event.pull_request.head.sha", "github.event.issue.number", "github.sha", "github.run_id",
                    "github.event.pull_request.draft", "github.event.repository.id", "github.event.pull_request.merged", "github.event.before"]),
    ("K18", True, ["github.event.pull_request.title", "github.event.issue.body", "github.head_ref", "github.event.comment.body", "github.event.head_commit.message",
                   "github.event.pull_request.head.ref", "github.event.pull_request.head.label", "github.event.review.body", "github.event.commits[0].message",
                   "github.event.head_commit.author.email", "github.event.pull_request.head.repo.default_branch", "github.event['issue']['title']", "format('{0}', github.event.issue.title)"]),
]:
    for expression in expressions:
        @case(kind, f"{expression} in a script is {'an injection' if bad else 'harmless'}")
        def _(place, expression=expression, bad=bad):
            code, text = lint(place, foreign_workflow('echo "${{ %s }}"' % expression, on="[push, pull_request, issues]"))
            expect(("script-injection" in text) == bad, f"exit {code}: {text[-400:]}")


PWN = """name: fork
on: pull_request_target
permissions: {{contents: read}}
jobs:
  t:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with: {{persist-credentials: false, ref: "{ref}"}}
      - run: ./scripts/gate.sh
        env: {env}
"""
for title, ref, env, bad in [
    ("head sha, secret", "${{ github.event.pull_request.head.sha }}", '{KEY: "${{ secrets.AWS_SECRET_ACCESS_KEY }}"}', True),
    ("head ref, secret", "${{ github.head_ref }}", '{KEY: "${{ secrets.KEY }}"}', True),
    ("merge ref, secret", "refs/pull/${{ github.event.number }}/merge", '{KEY: "${{ secrets.KEY }}"}', True),
    ("base, secret", "main", '{KEY: "${{ secrets.KEY }}"}', False),
]:
    @case("K19", f"pull_request_target checks out the {title}")
    def _(place, ref=ref, env=env, bad=bad):
        code, text = lint(place, PWN.format(ref=ref, env=env))
        expect((code == 2) == bad, f"exit {code}: {text[-500:]}")


# --- K20, K21: configs and units --------------------------------------------------------------------

def validated(place, strategy="daily_trend"):
    return place.run("validate", "--strategy", strategy, "--deployed", "deployed", "--archive", SAMPLE)


@case("K20", "untouched configs are valid")
def _(place):
    place.project()
    code, text = validated(place)
    expect(code == 0, text)


for name in ["magellan-daily-trend.service.d/override.conf", "magellan-daily-trend.timer", "magellan-daily-trend@.service", "other.service", "magellan-daily-trend.socket"]:
    @case("K20", f"a file beside the unit that nothing reads: {name}")
    def _(place, name=name):
        deployed = place.project()
        path = deployed / "daily_trend" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("[Service]\nUser=root\n")
        code, text = validated(place)
        expect(code != 0 and name.split("/")[0] in text, f"exit {code}: {text[-400:]}")


for line in ["ExecStartPre=/usr/bin/test -d /srv", "ExecStopPost=/bin/true", "LimitNOFILE=100", "ExecReload=/bin/kill"]:
    @case("K21", f"{line.split('=')[0]} isn't taken for a misspelling")
    def _(place, line=line):
        unit = place.project() / "daily_trend/magellan-daily-trend.service"
        unit.write_text(unit.read_text().replace("[Service]\n", f"[Service]\n{line}\n", 1))
        code, text = validated(place)
        expect(code != 0 and line.split("=")[0] in text and "did you mean" not in text, f"exit {code}: {text[-500:]}")


@case("K21", "a misspelt setting is")
def _(place):
    unit = place.project() / "daily_trend/magellan-daily-trend.service"
    unit.write_text(unit.read_text().replace("ExecStart=", "ExecSart=", 1))
    code, text = validated(place)
    expect(code != 0 and "ExecStart" in text and "mean" in text, text[-500:])


for title, change, says in [
    ("a comment", lambda t: t.replace("{\n", "{\n  // mine\n", 1), ["comment"]),
    ("a block comment", lambda t: t.replace("{\n", "{\n  /* mine */\n", 1), ["comment"]),
    ("a trailing comma", lambda t: t.rstrip()[:-1].rstrip() + ",\n}\n", ["comma"]),
    ("single quotes", lambda t: t.replace('"account_info"', "'account_info'", 1), ["quote"]),
    ("a key without quotes", lambda t: t.replace('"account_info"', "account_info", 1), ["quote"]),
    ("NaN", lambda t: t.replace("100000.0", "NaN", 1), ["NaN"]),
    ("Python's True", lambda t: t.replace("true", "True", 1), ["true"]),
]:
    @case("K21", f"JSON with {title}")
    def _(place, change=change, says=says):
        config = place.project() / "daily_trend/config.json"
        config.write_text(change(config.read_text()))
        code, text = validated(place)
        expect(code == 2, text)
        for word in says:
            expect(word.lower() in text.lower(), f"doesn't say {word!r}: {text[:500]}")
        expect("key must be a string" not in text, text[:300])


# --- a config of three keys ----------------------------------------------------------------------------

# --- running -------------------------------------------------------------------------------------------

def main():
    wrong = tried = 0
    for kind, title, function in CASES:
        if WORDS and not any(w.lower() in f"{kind} {title}".lower() for w in WORDS):
            continue
        tried += 1
        place = Place()
        try:
            function(place)
            print(f"right  {kind:<4}  {title}")
        except (Wrong, subprocess.TimeoutExpired, KeyError, OSError) as problem:
            wrong += 1
            print(f"WRONG  {kind:<4}  {title}\n       {type(problem).__name__}: {problem}")
        shutil.rmtree(place.folder, ignore_errors=True)
    print(f"{tried - wrong} of {tried} right")
    sys.exit(1 if wrong or not tried else 0)


main()
