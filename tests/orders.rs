//! Files of orders: fills worked out by hand, every error with its line, and the reference's results.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reference;
use crate::support::{expected, magellan, run};

/// A folder with an archive of one symbol's daily bars.
struct Desk(TempDir);

/// Bars from 2024-01-02 on: open, high, low, close; ten thousand shares each.
const DAYS: [&str; 6] = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"];

impl Desk {
    fn new(bars: &[[f64; 4]]) -> Self {
        let desk = Self(TempDir::new().expect("a folder"));
        let mut text = "timestamp,open,high,low,close,volume\n".to_owned();
        for (day, [open, high, low, close]) in DAYS.iter().zip(bars) {
            text += &format!("{day}T00:00:00Z,{open},{high},{low},{close},10000\n");
        }
        fs::create_dir(desk.at("in")).expect("made");
        fs::write(desk.at("in/AA_1day_fixture.csv"), text).expect("written");
        let (code, out, err) =
            run(magellan(["data", "import"]).arg(desk.at("in")).arg("--archive").arg(desk.at("archive")));
        assert_eq!(code, 0, "{out}{err}");
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replays orders; the exit code and what is printed as errors.
    fn replay(&self, orders: &str, options: Value) -> (i32, String) {
        let mut all = json!({"symbols": ["AA"], "bars": "1day", "capital": 10000, "account": "unlimited"});
        let (all_keys, more) = (all.as_object_mut().expect("keys"), options.as_object().expect("keys").clone());
        all_keys.extend(more);
        fs::write(self.at("orders.csv"), orders).expect("written");
        fs::write(self.at("options.json"), all.to_string()).expect("written");
        let mut command = magellan(["replay"]);
        for (flag, file) in [("--orders", "orders.csv"), ("--options", "options.json"), ("--archive", "archive")] {
            command.arg(flag).arg(self.at(file));
        }
        let (code, _, err) = run(command.arg("--out").arg(self.at("out")).arg("--ledger").arg(self.at("ledger")));
        (code, err)
    }

    /// Day, side, quantity, price and reason of every fill.
    fn fills(&self, orders: &str, options: Value) -> Vec<String> {
        let (code, err) = self.replay(orders, options);
        assert_eq!(code, 0, "{err}");
        let text = fs::read_to_string(self.at("out/fills.csv")).expect("fills");
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[1][..10], cells[4], cells[5], cells[6], cells[10]].join(" ")
        };
        text.lines().skip(1).map(row).collect()
    }

    /// State and reason of every order, by its name.
    fn ends(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("out/orders.csv")).expect("orders");
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{} {} {}", cells[0], cells[8], cells[9])
        };
        text.lines().skip(1).map(row).collect()
    }
}

const FLAT: [f64; 4] = [100.0, 100.0, 100.0, 100.0];

/// What each case shows, its bars after the first, the orders, and the fills.
type Case = (&'static str, &'static [[f64; 4]], &'static str, &'static [&'static str]);

#[test]
fn fills_worked_out_by_hand() {
    let cases: [Case; 9] = [
        (
            "a limit rests at its price, and fills at the open that is better",
            &[[100.0, 101.0, 97.0, 100.0], [96.0, 98.0, 95.0, 97.0]],
            "time,symbol,id,side,type,size,limit\n2024-01-02,AA,a,buy,limit,10,98\n2024-01-03,AA,b,buy,limit,10,97\n",
            &["2024-01-03 buy 10 98 limit", "2024-01-04 buy 10 96 limit", "2024-01-05 sell 20 97 end_of_data"],
        ),
        (
            "a stop takes the level, or the open beyond it",
            &[[100.0, 103.0, 99.0, 102.0], [106.0, 107.0, 105.0, 106.0]],
            "time,symbol,id,side,type,size,stop\n2024-01-02,AA,a,buy,stop,10,102\n2024-01-02,AA,b,buy,stop,10,105\n",
            &["2024-01-03 buy 10 102 stop", "2024-01-04 buy 10 106 stop", "2024-01-05 sell 20 106 end_of_data"],
        ),
        (
            "a short is opened by a sale, and its stop lies above",
            &[[100.0, 101.0, 95.0, 96.0], [97.0, 106.0, 97.0, 104.0]],
            "time,symbol,id,side,size,sl\n2024-01-02,AA,a,sell,10,105\n",
            &["2024-01-03 sell 10 100 market", "2024-01-04 buy 10 105 stop"],
        ),
        (
            "the stop beats the target of one bar",
            &[FLAT, [100.0, 111.0, 89.0, 100.0]],
            "time,symbol,id,side,size,sl,tp1,tp1_share\n2024-01-02,AA,a,buy,10,90,110,100\n",
            &["2024-01-03 buy 10 100 market", "2024-01-04 sell 10 90 stop"],
        ),
        (
            "a trailing stop is moved by completed bars only",
            &[FLAT, [100.0, 110.0, 96.0, 108.0], [108.0, 109.0, 104.0, 105.0]],
            "time,symbol,id,side,size,sl,sl_kind\n2024-01-02,AA,a,buy,10,5,trail\n",
            &["2024-01-03 buy 10 100 market", "2024-01-05 sell 10 105 stop"],
        ),
        (
            "of two orders of one group the first fill cancels the other",
            &[[100.0, 103.0, 97.0, 100.0], [100.0, 110.0, 90.0, 100.0]],
            "time,symbol,id,side,type,size,limit,stop,oco\n2024-01-02,AA,a,buy,limit,10,98,,x\n2024-01-02,AA,b,buy,stop,10,,102,x\n",
            &["2024-01-03 buy 10 102 stop", "2024-01-05 sell 10 100 end_of_data"],
        ),
        (
            "an order larger than the position against it turns it round",
            &[FLAT, FLAT],
            "time,symbol,id,side,size\n2024-01-02,AA,a,buy,10\n2024-01-03,AA,b,sell,30\n",
            &[
                "2024-01-03 buy 10 100 market",
                "2024-01-04 sell 10 100 market",
                "2024-01-04 sell 20 100 market",
                "2024-01-05 buy 20 100 end_of_data",
            ],
        ),
        (
            "a reduce-only order takes at most the position",
            &[FLAT, [100.0, 108.0, 99.0, 107.0]],
            "time,symbol,id,side,type,size,limit,reduce_only\n2024-01-02,AA,a,buy,market,10,,\n2024-01-02,AA,b,sell,limit,50,105,true\n",
            &["2024-01-03 buy 10 100 market", "2024-01-04 sell 10 105 limit"],
        ),
        (
            "a target trades the difference, and moc fills at the close",
            &[[100.0, 104.0, 99.0, 103.0], FLAT],
            "time,symbol,id,side,type,size,size_kind\n2024-01-02,AA,a,buy,moc,10,\n2024-01-03,AA,b,,market,-5,target_shares\n",
            &[
                "2024-01-04 buy 10 103 moc",
                "2024-01-04 sell 10 100 market",
                "2024-01-04 sell 5 100 market",
                "2024-01-05 buy 5 100 end_of_data",
            ],
        ),
    ];
    for (what, bars, orders, fills) in cases {
        let mut all = vec![FLAT];
        all.extend(bars);
        assert_eq!(Desk::new(&all).fills(orders, json!({})), fills, "{what}");
    }
}

#[test]
fn an_account_checks_at_the_fill() {
    let desk = Desk::new(&[FLAT; 4]);
    let orders =
        "time,symbol,id,side,size\n2024-01-02,AA,a,buy,150\n2024-01-02,AA,b,buy,100\n2024-01-02,AA,c,sell,250\n";
    let fills = desk.fills(orders, json!({"account": "cash"}));
    assert_eq!(fills[..2], ["2024-01-03 buy 100 100 market", "2024-01-03 sell 100 100 market"]);
    assert_eq!(
        desk.ends(),
        ["a rejected insufficient_cash", "b filled ", "c rejected short_not_allowed"],
        "what it closed stays closed"
    );
    let fills = desk.fills(orders, json!({"account": "margin", "leverage": 2, "on_insufficient": "shrink"}));
    assert_eq!(fills[..2], ["2024-01-03 buy 150 100 market", "2024-01-03 buy 50 100 market"]);
    assert_eq!(desk.ends()[1], "b filled shrunk");
}

#[test]
fn a_position_that_cannot_be_counted_is_refused_and_never_turned_round() {
    let cheap = [[1e-5; 4]; 6];
    let desk = Desk::new(&cheap);
    let orders = "time,symbol,id,side,type,size,size_kind\n2024-01-02,AA,a,,market,0.9,target_weight\n\
                  2024-01-04,AA,b,,market,-0.9,target_weight\n";
    let margin = |capital: f64| json!({"account": "margin", "fractional": true, "capital": capital});
    // 9e11 shares: sold, and as many sold short.
    let fills = desk.fills(orders, margin(1e7));
    assert_eq!(
        fills.iter().map(|fill| &fill[11..15]).collect::<Vec<_>>(),
        ["buy ", "sell", "sell", "buy "],
        "{fills:?}"
    );
    // 9e12 millionths a million times: more than can be counted.
    for capital in [1e8, 1e9, 1e12] {
        assert_eq!(desk.fills(orders, margin(capital)), [""; 0]);
        assert_eq!(desk.ends(), ["a rejected too_large", "b rejected too_large"]);
    }
    // Two that fit, but not together.
    let two = "time,symbol,id,side,type,size,size_kind\n2024-01-02,AA,a,buy,market,2e7,notional\n\
               2024-01-02,AA,b,buy,market,2e7,notional\n";
    assert_eq!(desk.fills(two, json!({"fractional": true})).len(), 2);
    assert_eq!(desk.ends(), ["a filled ", "b rejected too_large"]);
}

#[test]
fn settings_are_numbers_and_symbols_of_tables_are_told() {
    let desk = Desk::new(&[FLAT; 6]);
    let orders = "time,symbol,id,side,type,size\n2024-01-02,AA,a,buy,market,1\n";
    let (code, err) = desk.replay(orders, json!({}));
    assert_eq!(code, 0, "{err}");
    let with = |more: &[&str]| {
        let mut command = magellan(["replay", "--orders"]);
        command.arg(desk.at("orders.csv")).arg("--options").arg(desk.at("options.json"));
        command.arg("--archive").arg(desk.at("archive")).arg("--ledger").arg(desk.at("ledger")).args(more);
        run(&mut command)
    };
    for flag in ["--slippage-bps", "--fee-min", "--participation", "--leverage", "--capital"] {
        for wrong in ["nan", "inf", "1e400", "x"] {
            let (code, _, err) = with(&[flag, wrong]);
            assert!(code == 2 && err.contains("must be a number"), "{flag} {wrong}: {code} {err}");
        }
    }
    let (code, _, err) = with(&["--fee-per-share", "1e300"]);
    assert!(code == 2 && err.contains("must be at most 1000"), "{err}");
    fs::write(desk.at("paid.csv"), "symbol,ex_date,amount\nAA,2024-01-03,1\nABB,2024-01-03,1\n").expect("written");
    let (code, _, err) = with(&["--dividends", desk.at("paid.csv").to_str().expect("a path")]);
    assert!(code == 0 && err.contains("symbols that aren't replayed: ABB"), "{code} {err}");
}

#[test]
fn every_error_of_a_file_is_listed_with_its_line_and_nothing_is_written() {
    let desk = Desk::new(&[FLAT; 4]);
    let orders = "time,symbol,id,action,side,type,size,limit,tif\n\
                  2024-01-02,AA,a,,buy,limit,10,-5,\n\
                  2024-01-02,ZZ,b,,buy,market,10,,\n\
                  \n\
                  2024-01-02,AA,c,,buy,market,10,99,\n\
                  2024-01-06,AA,d,,buy,market,10,,\n\
                  2024-01-03,AA,e,,buy,market,10,,\n\
                  2024-01-03,AA,e,,buy,market,10,,\n\
                  2024-01-03,AA,f,cancel,,,,,\n\
                  2024-01-03,AA,g,,buy,market,10\n\
                  2024-01-03,AA,h,,buy,market,1.5,,\n";
    let (code, err) = desk.replay(orders, json!({}));
    assert_eq!(code, 2, "{err}");
    let mut found = Vec::new();
    let mut codes = err.lines().filter_map(|line| line.strip_prefix("error[").and_then(|rest| rest.split_once(']')));
    for line in err.lines().filter_map(|line| line.trim().strip_prefix("--> ")) {
        found.push((line.rsplit_once(':').expect("a line").1, codes.next().expect("a code").0));
    }
    let all = [
        ("2", "order-bad-value"),
        ("3", "order-unknown-symbol"),
        ("5", "order-contradiction"),
        ("6", "order-no-bar"),
        ("8", "order-duplicate-id"),
        ("9", "order-unknown-id"),
        ("10", "order-bad-row"),
        ("11", "order-bad-value"),
    ];
    assert_eq!(found, all, "{err}");
    assert!(!desk.at("out").exists() && !desk.at("ledger/orders").exists(), "nothing is written");
    let (code, err) = desk.replay("time,symbol,id,sidee\n", json!({}));
    assert!(code == 2 && err.contains("error[order-bad-column]"), "{err}");
    let (code, err) = desk.replay("time,symbol,side\n", json!({}));
    assert!(code == 2 && err.contains("error[order-missing-column]"), "{err}");
}

#[test]
fn a_run_is_counted_and_a_flag_wins_over_the_file() {
    let desk = Desk::new(&[FLAT; 4]);
    let orders = "time,symbol,id,side,size\n2024-01-02,AA,a,buy,10\n";
    desk.fills(orders, json!({}));
    assert!(fs::read_dir(desk.at("ledger/orders")).expect("counted").count() > 0);
    let mut command = magellan(["replay", "--slippage-bps", "100", "--fee-per-share", "0.5"]);
    for (flag, file) in [("--orders", "orders.csv"), ("--options", "options.json"), ("--archive", "archive")] {
        command.arg(flag).arg(desk.at(file));
    }
    let (code, out, err) = run(command.arg("--json").arg("--ledger").arg(desk.at("ledger")));
    assert_eq!(code, 0, "{err}");
    let figures: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(figures["costs"]["commission"], json!(10.0), "two fills of ten shares at half a dollar");
    assert_eq!(figures["costs"]["slippage"], json!(20.0), "a hundredth of two fills of a thousand dollars");
}

/// Cells that are numbers to 1e-8, all others to the letter.
fn compare(name: &str, theirs: &str, ours: &str) {
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-6_f64.max(1e-8 * a.abs().max(b.abs()));
    assert_eq!(theirs.lines().count(), ours.lines().count(), "{name}: rows");
    for (line, (theirs, ours)) in theirs.lines().zip(ours.lines()).enumerate() {
        let same = theirs.split(',').zip(ours.split(',')).all(|(a, b)| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => near(a, b),
            _ => a == b,
        });
        assert!(same, "{name}:{}\n{theirs}\n{ours}", line + 1);
    }
}

fn arguments(case: &Path, archive: &Path, out: &Path) -> Vec<PathBuf> {
    let file = |name: &str| case.join(name);
    let mut all: Vec<PathBuf> = vec!["--orders".into(), file("orders.csv"), "--options".into(), file("options.json")];
    for (flag, name) in [("--dividends", "dividends.csv"), ("--delistings", "delistings.csv")] {
        if file(name).exists() {
            all.extend([flag.into(), file(name)]);
        }
    }
    all.extend(["--archive".into(), archive.into(), "--out".into(), out.into()]);
    all
}

/// Bars of the case itself if it has any, else the real ones.
fn bars_of(case: &Path, work: &Path) -> PathBuf {
    if !case.join("bars").exists() {
        return reference::archive().expect("bars").to_owned();
    }
    let mut command = magellan(["data", "import"]);
    command.arg(case.join("bars")).arg("--archive").arg(work.join("archive"));
    if case.join("splits.csv").exists() {
        command.arg("--splits").arg(case.join("splits.csv"));
    }
    let (code, out, err) = run(command);
    assert_eq!(code, 0, "{}: {out}{err}", case.display());
    work.join("archive")
}

#[test]
fn every_reference_file_of_orders_is_reproduced() {
    let Some(folder) = expected().map(|folder| folder.join("orders")).filter(|_| reference::archive().is_some()) else {
        return;
    };
    let mut count = 0;
    for kind in ["truth", "real"] {
        for case in fs::read_dir(folder.join(kind)).expect("cases") {
            let case = case.expect("an entry").path();
            let work = TempDir::new().expect("a folder");
            let archive = bars_of(&case, work.path());
            let out = work.path().join("out");
            let mut command = magellan(["replay"]);
            command.args(arguments(&case, &archive, &out)).arg("--ledger").arg(work.path().join("ledger"));
            let (code, _, err) = run(command);
            let theirs = case.join("expected");
            let name = case.file_name().expect("a name").to_string_lossy().into_owned();
            count += 1;
            if theirs.join("error.json").exists() {
                assert_eq!(code, 2, "{name}: {err}");
                continue;
            }
            assert_eq!(code, 0, "{name}: {err}");
            for table in ["fills.csv", "trades.csv", "orders.csv", "equity.csv"] {
                let read = |folder: &Path| fs::read_to_string(folder.join(table)).expect("a table");
                compare(&format!("{name}/{table}"), &read(&theirs), &read(&out));
            }
        }
    }
    assert!(count > 80, "{count} cases");
}
