"""Times are nanoseconds UTC, whole numbers. Nothing here reads a clock."""
import datetime
import re
import zoneinfo

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)
WRITTEN = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|z|[+-]\d\d:?\d\d)?")


def parse(text: str) -> int:
    """RFC 3339 with up to nine digits of a second; without an offset it is UTC."""
    found = WRITTEN.fullmatch(text.strip())
    if not found:
        raise ValueError(f"not a time: {text!r}")
    date, clock, second, fraction, offset = found.groups()
    offset = "+00:00" if offset in (None, "Z", "z") else offset
    whole = datetime.datetime.fromisoformat(f"{date}T{clock}:{second or '00'}{offset}")
    return of(whole) + int((fraction or "").ljust(9, "0"))


def of(moment: datetime.datetime) -> int:
    since = moment.astimezone(UTC) - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000


def written(at: int) -> str:
    """As Go writes a time: no zeros at the end of the fraction."""
    whole, fraction = divmod(at, SECOND)
    text = (EPOCH + datetime.timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09}".rstrip("0") if fraction else "") + "Z"


def new_york(at: int) -> datetime.datetime:
    return (EPOCH + datetime.timedelta(microseconds=at // 1_000)).astimezone(NEW_YORK)


def new_york_date(at: int) -> datetime.date:
    return new_york(at).date()


def new_york_time(date: datetime.date, hour: int, minute: int = 0) -> int:
    return of(datetime.datetime(date.year, date.month, date.day, hour, minute, tzinfo=NEW_YORK))


def with_offset(at: int) -> str:
    """In New York: 2025-01-02T09:30:00-05:00."""
    return new_york(at).isoformat(timespec="seconds" if at % SECOND == 0 else "microseconds")


def seconds(value: str | int | float) -> int:
    """A length of time in nanoseconds: seconds, or text such as 90s, 1m, 2h, 1d, 250ms."""
    if isinstance(value, (int, float)):
        return round(value * SECOND)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value.strip())
    if not found:
        raise ValueError(f"not a length of time: {value!r}")
    units = {"ms": SECOND // 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}
    return round(float(found[1]) * units[found[2]])
