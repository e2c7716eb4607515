//! Layouts that vendors are known by, and what each implies.

use super::columns::plain;
use super::name::{self, Width};
use super::time::Custom;
use super::told::TimeFormat;
use crate::bar::{MINUTE, Timeframe};

/// A layout, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) custom: Custom,
    /// Whether whole numbers are billionths of a dollar.
    pub(crate) in_billionths: bool,
    /// What is worth saying of its bars.
    pub(crate) assumed: Option<&'static str>,
}

const ANY: Custom = Custom { order: None, utc: false, local: false };
const LOCAL: Custom = Custom { local: true, ..ANY };
const UTC: Custom = Custom { utc: true, ..ANY };
const US: Custom = Custom { order: Some(TimeFormat::MonthFirst), ..ANY };

const SPLIT_ADJUSTED: Option<&str> = Some("Yahoo's prices are adjusted for splits: import no split table with them");

/// Columns that all must be there, in plain form; the first that fits is it.
#[rustfmt::skip]
const LAYOUTS: [(&[&str], Layout); 16] = [
    (&["tsevent", "rtype"], Layout { name: "Databento", custom: UTC, in_billionths: true, assumed: None }),
    (&["tsevent", "publisherid"], Layout { name: "Databento", custom: UTC, in_billionths: true, assumed: None }),
    (&["tsevent", "instrumentid"], Layout { name: "Databento", custom: UTC, in_billionths: true, assumed: None }),
    (&["tsevent", "open"], Layout { name: "Databento", custom: UTC, in_billionths: true, assumed: None }),
    (&["windowstart", "transactions"], Layout { name: "Polygon flat file", custom: UTC, in_billionths: false, assumed: None }),
    (&["t", "o", "h", "l", "c", "v"], Layout { name: "Alpaca", custom: UTC, in_billionths: false, assumed: None }),
    (&["ticker", "per", "date", "time"], Layout { name: "Stooq", custom: LOCAL, in_billionths: false, assumed: None }),
    (&["date", "open", "tickvol"], Layout { name: "MetaTrader", custom: LOCAL, in_billionths: false, assumed: None }),
    (&["dtyyyymmdd"], Layout { name: "MetaStock", custom: LOCAL, in_billionths: false, assumed: None }),
    (&["dividends", "stocksplits"], Layout { name: "yfinance", custom: ANY, in_billionths: false, assumed: SPLIT_ADJUSTED }),
    (&["date", "adjclose"], Layout { name: "Yahoo Finance", custom: ANY, in_billionths: false, assumed: SPLIT_ADJUSTED }),
    (&["datetime", "adjclose"], Layout { name: "Yahoo Finance", custom: ANY, in_billionths: false, assumed: SPLIT_ADJUSTED }),
    (&["closelast"], Layout { name: "Nasdaq", custom: US, in_billionths: false, assumed: None }),
    (&["opentime", "closetime"], Layout::BINANCE),
    (&["gmttime"], Layout { name: "Dukascopy", custom: UTC, in_billionths: false, assumed: None }),
    (&["date", "price", "vol"], Layout { name: "investing.com", custom: ANY, in_billionths: false, assumed: None }),
];

impl Layout {
    /// What Binance's archive of klines holds, with a header or without.
    pub(crate) const BINANCE: Self = Self {
        name: "Binance klines",
        custom: UTC,
        in_billionths: false,
        assumed: Some("the calendar is XNYS, the New York Stock Exchange's: bars outside its sessions aren't traded"),
    };
    /// The name of what is no vendor's.
    pub(crate) const ANY_NAME: &'static str = "a table with a header";

    /// The layout of a table with these columns.
    pub(crate) fn of(names: &[String]) -> Self {
        let names: Vec<String> = names.iter().map(|n| plain(n)).collect();
        let has = |name: &&str| names.iter().any(|n| n == name);
        // Yahoo adjusts one column; who adjusts others, too, may leave the close as it was traded.
        let adjusts_more = ["adjopen", "adjhigh", "adjlow", "adjvolume", "splitfactor", "divcash"].iter().any(has);
        let fits =
            |(needs, _): &&(&[&str], Layout)| needs.iter().all(has) && !(adjusts_more && needs.contains(&"adjclose"));
        let found = LAYOUTS.iter().find(fits).map(|(_, layout)| *layout);
        let utc = ["utc", "datetimeutc", "timestamputc", "timeutc"].iter().any(has);
        found.unwrap_or(Self {
            name: Self::ANY_NAME,
            custom: if utc { UTC } else { ANY },
            in_billionths: false,
            assumed: None,
        })
    }
}

/// Whether a price is a whole number so large that it counts billionths.
pub(crate) fn is_billionths(text: &str) -> bool {
    (7..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// The width that a column of widths says: `D`, `60`, `1Min`.
pub(crate) fn width_of_period(text: &str) -> Option<Timeframe> {
    match text.to_ascii_lowercase().as_str() {
        "d" => Some(Timeframe::Day),
        "h" => Some(Timeframe::Hour),
        "w" => Some(Timeframe::Week),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            let width = digits.parse::<i64>().ok()?.checked_mul(MINUTE)?;
            Timeframe::ALL.into_iter().find(|t| t.width() == width)
        }
        other => match name::width(other) {
            Width::Known(known) => Some(known),
            _ => None,
        },
    }
}
