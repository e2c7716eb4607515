//! Corporate actions and calendars of an archive, on the command line: imported, shown, checked, refused.

use std::fs;

use magellan::archive::manifest::Manifest;
use magellan::archive::{Archive, tables};
use magellan::bar::{DAY, HOUR, Nanos, Timeframe, iso_utc};
use magellan::calendar::{self, Calendar};
use magellan::disk::map::Access;
use magellan::history::{History, Hours};
use proptest::prelude::*;

use crate::bad_inputs::Place;
use crate::support::{date, run, symbol};

const HEADER: &str = "timestamp,open,high,low,close,volume\n";

/// Daily bars of 2024 from one session to another.
fn days(place: &Place, name: &str, from: &str, to: &str) {
    let row = |s: calendar::Session| format!("{},10,11,9,10,100\n", s.date);
    let rows: String = calendar::sessions(date(from), date(to)).map(row).collect();
    place.write(&format!("{name}_1day.csv"), format!("{HEADER}{rows}"));
}

fn with_actions() -> Place {
    let place = Place::new();
    days(&place, "FB", "2024-01-02", "2024-03-28");
    days(&place, "META", "2024-04-01", "2024-06-28");
    days(&place, "AMC", "2024-01-02", "2024-06-28");
    place.write("d.csv", "symbol,ex_date,amount\nMETA,2024-05-01,0.5\nFB,2024-02-01,0.25\n");
    place.write("e.csv", "symbol,last_date,haircut\nAMC,2024-06-28,0.75\n");
    place.write("r.csv", "old,new,date\nFB,META,2024-04-01\n");
    place
}

const BARS: &str = "data import FB_1day.csv META_1day.csv AMC_1day.csv --archive archive";

#[test]
fn corporate_actions_are_imported_listed_and_checked() {
    let place = with_actions();
    let done = place.ok(&format!("{BARS} --dividends d.csv --delistings e.csv --renames r.csv"));
    assert!(done.contains("2 dividends added, 1 delistings added, 1 renames added"), "{done}");
    let listed = place.ok("data list --archive archive");
    for line in [
        "dividend FB 2024-02-01: 0.25 dollars a share",
        "delisting AMC after 2024-06-28: a haircut of 0.75",
        "rename 2024-04-01: FB became META",
    ] {
        assert!(listed.contains(line), "{listed}");
    }
    assert!(place.ok("data check --archive archive").contains("nothing found"), "clean");
    let archive = Archive::open(&place.at("archive"), Access::Map).expect("opens");
    let count = |name| archive.load(symbol(name), Timeframe::Day).expect("loads").bars().len();
    assert_eq!((count("META"), count("FB")), (count("AMC"), 61));
    assert_eq!(archive.dividends(symbol("META")).len(), 2);
    // Found in a folder by their headers, and brought by another archive.
    for source in ["*", "archive"] {
        let sources = if source == "*" { "FB_1day.csv META_1day.csv AMC_1day.csv d.csv e.csv r.csv" } else { source };
        place.ok(&format!("data import {sources} --archive other --provenance csv"));
        let other = Archive::open(&place.at("other"), Access::Map).expect("opens");
        assert_eq!(other.manifest(), archive.manifest());
        fs::remove_dir_all(place.at("other")).expect("removed");
    }
}

#[test]
fn a_table_is_read_alone_as_a_replay_of_orders_reads_it() {
    let place = with_actions();
    let dividends = tables::read_dividends(&place.at("d.csv")).expect("a table");
    assert_eq!(
        dividends.iter().map(|d| (d.symbol.as_str(), d.amount)).collect::<Vec<_>>(),
        [("FB", 0.25), ("META", 0.5)]
    );
    assert_eq!(tables::read_delistings(&place.at("e.csv")).expect("a table")[0].haircut, 0.75);
    assert_eq!(tables::read_renames(&place.at("r.csv")).expect("a table")[0].new, symbol("META"));
}

#[test]
fn an_archive_without_them_keeps_its_bytes() {
    let place = with_actions();
    place.ok(BARS);
    let text = fs::read_to_string(place.at("archive/manifest.json")).expect("read");
    for key in ["dividends", "delistings", "renames", "calendar"] {
        assert!(!text.contains(key), "{key}");
    }
    // The sample was written by an earlier version.
    let sample = crate::support::root().join("data/sample");
    let manifest = Manifest::read(&sample).expect("read");
    assert_eq!(manifest.calendar, Calendar::Xnys);
    let mut written = serde_json::to_vec_pretty(&manifest).expect("JSON");
    written.push(b'\n');
    assert_eq!(written, fs::read(Manifest::path(&sample)).expect("read"));
}

/// Hourly bars round the clock for some days.
fn hours(place: &Place) {
    let start = date("2024-07-01").utc_midnight();
    let row = |i: Nanos| format!("{},10,11,9,10,100\n", iso_utc(start + i * HOUR));
    let rows: String = (0..24 * 14).map(row).collect();
    place.write("BTC_1hour.csv", format!("{HEADER}{rows}"));
}

#[test]
fn an_archive_keeps_the_calendar_that_it_was_made_with() {
    let place = Place::new();
    hours(&place);
    place.ok("data import BTC_1hour.csv --archive archive --calendar 24x7");
    assert!(place.ok("data list --archive archive").contains("calendar: 24x7"));
    let checked = place.ok("data check --archive archive");
    assert!(checked.contains("calendar 24x7: nothing found"), "{checked}");
    let shown = place.ok("data bars --archive archive --symbol BTC --timeframe 1Day --session regular");
    assert_eq!(shown.lines().count(), 15, "{shown}");
    place.ok("data import BTC_1hour.csv --archive archive");
    place.ok("data import archive --archive copy");
    let refused = |line: &str| {
        let (code, _, err) = run(place.command(line));
        assert!(code == 8 && err.contains("error[other-calendar]") && err.contains("24x7"), "{code}: {err}");
    };
    refused("data import BTC_1hour.csv --archive archive --calendar XNYS");
    refused("data import archive --archive new --calendar 24x5");
    days(&place, "AMC", "2024-01-02", "2024-03-28");
    place.ok("data import AMC_1day.csv --archive stocks");
    refused("data import archive --archive stocks");
}

#[test]
fn what_trades_at_alpaca_needs_an_archive_of_stocks() {
    let place = Place::new();
    hours(&place);
    place.ok("data import BTC_1hour.csv --archive archive --calendar 24x7");
    let (code, out, err) = run(place.command("validate --strategy bear_trap --archive archive"));
    let said = out + &err;
    assert!(code != 0 && said.contains("other-calendar") && said.contains("paper-api.alpaca.markets"), "{said}");
    let (code, out, err) = run(place.command("gate --strategy bear_trap --archive archive --out verdict"));
    let said = out + &err;
    assert!(code != 0 && said.contains("other-calendar"), "{code}: {said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Round the clock every bar is in the session of its UTC day, and none is lost.
    #[test]
    fn sessions_round_the_clock_hold_every_bar(gaps in prop::collection::vec(1i64..60, 1..300), weekdays: bool) {
        let calendar = if weekdays { Calendar::Weekdays } else { Calendar::AlwaysOpen };
        let mut at = date("2024-02-26").utc_midnight();
        let starts: Vec<Nanos> = gaps.iter().map(|gap| { at += gap * HOUR; at }).collect();
        let column = vec![1.0; starts.len()];
        let bars = magellan::bar::Bars::new(Timeframe::Hour, &starts, [&column[..]; 5]).expect("ordered");
        let trades = |start: &Nanos| !weekdays || (start.div_euclid(DAY) + 3).rem_euclid(7) < 5;
        for hours in [Hours::Regular, Hours::All] {
            let history = History::with_calendar(symbol("BTC"), bars, hours, calendar).expect("covered");
            let kept: Vec<Nanos> =
                history.sessions().iter().flat_map(|s| history.session_bars(s).starts().to_vec()).collect();
            let want: Vec<Nanos> = starts.iter().copied().filter(|s| hours == Hours::All || trades(s)).collect();
            prop_assert_eq!(kept, want);
            for session in history.sessions() {
                let own = history.session_bars(session);
                prop_assert!(own.starts().iter().all(|s| s.div_euclid(DAY) == i64::from(session.session.date.0)));
            }
        }
    }
}
