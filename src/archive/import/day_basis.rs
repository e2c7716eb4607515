//! What daily bars cover: the regular session or more, by what a file says and by what its rows show.

use crate::archive::manifest::DayBasis;
use crate::archive::row::Row;
use crate::bar::{Date, Timeframe};
use crate::calendar::Calendar;
use crate::error::{Error, Result, codes};

/// What the rows themselves show about days: a row on a day without trading is no session's.
pub(super) fn evidence(rows: &[Row], timeframe: Timeframe, calendar: Calendar) -> Option<DayBasis> {
    (timeframe == Timeframe::Day).then(|| {
        let trades = |r: &Row| calendar.is_trading_day(Date::of_utc(r.start));
        if rows.iter().all(trades) { DayBasis::Undeclared } else { DayBasis::UtcExtended }
    })
}

pub(super) fn parse_day_basis(text: &str) -> Result<DayBasis> {
    [DayBasis::Session, DayBasis::UtcExtended, DayBasis::Undeclared]
        .into_iter()
        .find(|b| b.name() == text)
        .ok_or_else(|| Error::new(codes::SOURCE_UNREADABLE, format!("`{text}` is not a day basis")))
}

pub(super) fn join_days(a: Option<DayBasis>, b: Option<DayBasis>) -> Result<Option<DayBasis>> {
    use DayBasis::Undeclared;
    match (a, b) {
        (None | Some(Undeclared), other) | (other, None | Some(Undeclared)) => Ok(other.or(a)),
        (Some(a), Some(b)) if a == b => Ok(Some(a)),
        (Some(a), Some(b)) => Err(Error::new(
            codes::DAYS_MIXED,
            format!("days of basis `{}` and `{}` can't be mixed", a.name(), b.name()),
        )),
    }
}
