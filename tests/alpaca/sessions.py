"""Trading days of the New York Stock Exchange from 1990 on: holidays, half days, daylight saving."""
import datetime
from dataclasses import dataclass, field
from typing import NamedTuple

from times import new_york_date, new_york_time, with_offset

FIRST, LAST = datetime.date(1990, 1, 1), datetime.date(2030, 12, 31)
ONE = datetime.timedelta(days=1)
FULL, HALF = (16, 0), (13, 0)
MONDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = 0, 2, 3, 4, 5, 6
# Mourning, attacks, storms.
CLOSED = {datetime.date.fromisoformat(day) for day in (
    "1994-04-27", "2001-09-11", "2001-09-12", "2001-09-13", "2001-09-14", "2004-06-11", "2007-01-02", "2012-10-29",
    "2012-10-30", "2018-12-05", "2025-01-09")}
SHORT = {datetime.date.fromisoformat(day) for day in ("1997-12-26", "1999-12-31", "2003-12-26")}


class Session(NamedTuple):
    """A trading day: when it opens and closes, and the hours around it."""
    date: datetime.date
    open: int
    close: int
    pre: int
    post: int


def easter(year: int) -> datetime.date:
    """Sunday, by the Gregorian rule."""
    century, golden = year // 100, year % 19
    moon = (century - century // 4 - (8 * century + 13) // 25 + 19 * golden + 15) % 30
    moon -= (moon // 28) * (1 - (29 // (moon + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    ahead = moon - weekday
    month = 3 + (ahead + 40) // 44
    return datetime.date(year, month, ahead + 28 - 31 * (month // 4))


def observed(year: int, month: int, day: int) -> datetime.date:
    """A holiday on a Sunday is kept on Monday, one on a Saturday on Friday."""
    date = datetime.date(year, month, day)
    return date + {SATURDAY: -ONE, SUNDAY: ONE}.get(date.weekday(), 0 * ONE)


def nth(year: int, month: int, weekday: int, n: int) -> datetime.date:
    first = datetime.date(year, month, 1)
    return first + datetime.timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def holidays(year: int) -> set[datetime.date]:
    last_of_may = datetime.date(year, 5, 31)
    days = {nth(year, 2, MONDAY, 3), last_of_may - datetime.timedelta(days=last_of_may.weekday()),
            nth(year, 9, MONDAY, 1), nth(year, 11, THURSDAY, 4), easter(year) - 2 * ONE,
            observed(year, 7, 4), observed(year, 12, 25)}
    new_year = datetime.date(year, 1, 1)
    # On a Saturday it isn't observed: the Friday before closes the books of a year.
    if new_year.weekday() != SATURDAY:
        days.add(observed(year, 1, 1))
    if year >= 1998:
        days.add(nth(year, 1, MONDAY, 3))
    if year >= 2022:
        days.add(observed(year, 6, 19))
    return days


def closes_early(date: datetime.date) -> bool:
    """Around Independence Day, the day after Thanksgiving, Christmas Eve; and on a few days once."""
    day = (date.month, date.day)
    if day == (7, 3):
        return date.weekday() < FRIDAY and date.year >= (2013 if date.weekday() == WEDNESDAY else 1995)
    if day == (7, 5):
        return date.weekday() == FRIDAY and 1995 <= date.year <= 2012
    after_thanksgiving = date == nth(date.year, 11, THURSDAY, 4) + ONE
    return day == (12, 24) or date in SHORT or after_thanksgiving and date.year >= 1992


@dataclass
class Calendar:
    """The exchange's days; `changed` holds what a test says of single days: a closing time, or None for closed."""
    changed: dict[datetime.date, tuple[int, int] | None] = field(default_factory=dict)

    def session(self, date: datetime.date) -> Session | None:
        if not FIRST <= date <= LAST:
            return None
        if date in self.changed:
            close = self.changed[date]
        elif date.weekday() >= SATURDAY or date in CLOSED or date in holidays(date.year):
            close = None
        else:
            close = FULL
            if closes_early(date):
                close = HALF if date.year >= 1993 else (14, 0)
        if close is None:
            return None
        # After-hours trading takes four hours.
        post = new_york_time(date, close[0] + 4, close[1])
        return Session(date, new_york_time(date, 9, 30), new_york_time(date, *close), new_york_time(date, 4), post)

    def between(self, start: datetime.date, end: datetime.date) -> list[Session]:
        date, end = max(start, FIRST), min(end, LAST)
        found = []
        while date <= end:
            if session := self.session(date):
                found.append(session)
            date += ONE
        return found

    def at(self, now: int) -> Session | None:
        """The session whose regular hours are running."""
        session = self.session(new_york_date(now))
        return session if session and session.open <= now < session.close else None

    def next_open(self, now: int) -> Session:
        """The next session that opens after `now`."""
        return self._first(new_york_date(now), lambda session: session.open > now)

    def next_close(self, now: int) -> Session:
        """The next session that closes after `now`: the running one, or the one that opens next."""
        return self._first(new_york_date(now), lambda session: session.close > now)

    def after(self, date: datetime.date, days: int = 1) -> Session:
        """The session so many trading days after a date."""
        for _ in range(days):
            date = self._first(date + ONE, lambda _: True).date
        return self.session(date)

    def _first(self, date: datetime.date, fits) -> Session:
        while date <= LAST:
            session = self.session(date)
            if session and fits(session):
                return session
            date += ONE
        raise ValueError("the calendar ends")

    def settlement(self, date: datetime.date) -> datetime.date:
        """When trades of a day settle: one, two or three trading days later, as the rule was."""
        since = ((datetime.date(2024, 5, 28), 1), (datetime.date(2017, 9, 5), 2), (FIRST, 3))
        days = next(days for first, days in since if date >= first)
        return self.after(date, days).date

    def day_v2(self, session: Session) -> dict:
        """As GET /v2/calendar shows it: New York times without an offset."""
        def clock(at: int, form: str) -> str:
            return datetime.datetime.fromisoformat(with_offset(at)).strftime(form)
        return {"date": str(session.date), "open": clock(session.open, "%H:%M"), "close": clock(session.close, "%H:%M"),
                "session_open": clock(session.pre, "%H%M"), "session_close": clock(session.post, "%H%M"),
                "settlement_date": str(self.settlement(session.date))}

    def day_v3(self, session: Session) -> dict:
        """As GET /v3/calendar/NYSE shows it: with offsets. There is no lunch in New York."""
        times = {"pre_start": session.pre, "pre_end": session.open, "core_start": session.open,
                 "core_end": session.close, "post_start": session.close, "post_end": session.post}
        return {"date": str(session.date), **{name: with_offset(at) for name, at in times.items()},
                "settlement_date": str(self.settlement(session.date))}

    def phase(self, now: int) -> tuple[str, int]:
        """Which part of a day it is, and until when: pre, core, post, closed."""
        session = self.session(new_york_date(now))
        if session:
            for name, start, end in (("pre", session.pre, session.open), ("core", session.open, session.close),
                                     ("post", session.close, session.post)):
                if start <= now < end:
                    return name, end
        return "closed", self._first(new_york_date(now), lambda session: session.pre > now).pre
