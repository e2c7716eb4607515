//! What a day brings: sessions, bars in their order, bars that were missed, and time limits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use magellan::bar::{Bar, MINUTE, Nanos, SECOND, Symbol, Timeframe, iso_utc};
use magellan::calendar::{self, Session};
use magellan::error::Result;
use magellan::live::record::Record;
use magellan::runner::{Broker as _, Event};
use tracing::{info, warn};

use super::trader::Trader;
use super::workers::Job;

/// When the daily bar is asked for, after the close.
pub(super) const DAILY_AFTER: Nanos = 5 * 60 * SECOND;
/// And how long symbols may be without one.
const DAILY_WAITS: Nanos = 10 * 60 * SECOND;
/// Before missed bars are asked for again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Trader<'_> {
    /// Sessions begin and end, bars are decided on, time limits apply.
    pub(super) fn pass_time(&mut self, now: Nanos) -> Result<()> {
        self.open_session(now)?;
        self.ask_for_bars(now);
        if self.filling.is_none_or(|since| since.elapsed() > PATIENCE) {
            while let Some(closed) = self.barrier.close_by(now) {
                // A bar that waited for one that didn't come counts from when it waited no longer.
                if !closed.missing.is_empty() {
                    self.arrived.insert(closed.start, Instant::now());
                }
                if self.coarser.is_none() {
                    self.decide(closed.start, &closed.bars, now)?;
                    continue;
                }
                let end = closed.start + MINUTE;
                // An hour that is over is decided on before the next has a minute.
                self.decide_coarser(closed.start, now)?;
                for (symbol, bar) in &closed.bars {
                    self.coarser.iter_mut().for_each(|coarser| coarser.add(*symbol, bar));
                }
                self.decide_coarser(end, now)?;
            }
            if self.coarser.is_some() {
                self.decide_coarser(now - self.grace - SECOND, now)?;
            }
        }
        // A bar tells of time limits itself, once it is there.
        if self.session.is_some() && self.desk.is_time_up(now - self.grace - SECOND) {
            let record = Record::Time { at: now - self.grace - SECOND };
            self.record(&record)?;
        }
        self.close_session(now)
    }

    fn decide_coarser(&mut self, by: Nanos, now: Nanos) -> Result<()> {
        while let Some((start, bars)) = self.coarser.as_mut().and_then(|coarser| coarser.ended_by(by)) {
            let end = start + self.timeframe.width();
            let whole = self.session.is_some_and(|session| session.contains(start, end));
            if whole && start > self.decided {
                self.decide(start, &bars, now)?;
            }
        }
        Ok(())
    }

    fn open_session(&mut self, now: Nanos) -> Result<()> {
        let today = calendar::session_at(now);
        let over = over_at(&today, self.timeframe, self.grace);
        if self.session.is_none() && today.trades() && today.open <= now && now < over && self.last_closed < today.date
        {
            self.begin_session(&today)?;
        }
        Ok(())
    }

    pub(super) fn begin_session(&mut self, session: &Session) -> Result<()> {
        info!(session = %session.date, "the session opens");
        let opened = self.service.day_files.resume(session.date, Some(&self.input_names));
        self.service.recorded(opened);
        self.journal.append(&Record::Opens { date: session.date })?;
        self.runner.handle(&Event::Opens(*session), &mut self.desk, &mut self.decisions)?;
        self.session = Some(*session);
        (self.day_orders, self.day_fills) = (0, 0);
        Ok(())
    }

    fn close_session(&mut self, now: Nanos) -> Result<()> {
        let Some(session) = self.session else { return Ok(()) };
        let daily = !self.timeframe.is_intraday();
        let done = daily && self.decided >= session.date.utc_midnight();
        let end = over_at(&session, self.timeframe, self.grace);
        let over = now >= end || (done && now >= session.close);
        if !over || (self.filling.is_some() && now < end + MINUTE) {
            return Ok(());
        }
        info!(session = %session.date, equity = self.desk.equity(), "the session is over");
        let record = Record::Closes { date: session.date };
        self.runner.handle(&Event::Closes(session), &mut self.desk, &mut self.decisions)?;
        self.journal.append(&record)?;
        self.journal.sync()?;
        self.session = None;
        self.last_closed = session.date;
        self.arrived.clear();
        self.write_fills();
        self.summarise(&session);
        Ok(())
    }

    fn summarise(&mut self, session: &Session) {
        let equity = self.desk.equity();
        let latency = self.latency.quantile(0.5).zip(self.latency.quantile(0.99));
        let (orders, fills, held) = (self.day_orders, self.day_fills, self.desk.open_positions());
        let (p50_ms, p99_ms) = latency.map_or((None, None), |(p50, p99)| (Some(p50.0 * 1e3), Some(p99.0 * 1e3)));
        info!(session = %session.date, orders, fills, held, equity, p50_ms, p99_ms, "summary of the day");
    }

    /// Asks for the bars since the last that was decided on.
    pub(super) fn fill(&mut self) {
        let Some(session) = self.session.filter(|_| self.timeframe.is_intraday()) else { return };
        let now = crate::clock::nanos();
        // Minutes that make the bar under way are needed as well.
        let from = match &self.coarser {
            Some(_) => self.timeframe.start_of(now.min(session.close - 1)).max(session.open).min(self.decided_end()),
            None => self.decided_end(),
        };
        let from = from.max(session.open);
        let to = Timeframe::Minute.start_of(now.min(session.close)) - 1;
        if from <= to {
            self.filling = Some(Instant::now());
            self.workers.ask(Job::Bars { timeframe: Timeframe::Minute, from, to });
        }
    }

    fn decided_end(&self) -> Nanos {
        if self.decided == Nanos::MIN { Nanos::MIN } else { self.decided + self.timeframe.width() }
    }

    fn ask_for_bars(&mut self, now: Nanos) {
        if self.fill_again.is_some_and(|at| Instant::now() >= at) {
            self.fill_again = None;
            self.fill();
        }
        let Some(session) = self.session.filter(|_| !self.timeframe.is_intraday()) else { return };
        let due = session.close + self.signal_after;
        let asked = self.daily_asked.is_some_and(|asked| asked.elapsed() < Duration::from_secs(5));
        if now >= due && self.decided < session.date.utc_midnight() && !asked {
            self.daily_asked = Some(Instant::now());
            let from = calendar::new_york_midnight(session.date);
            self.workers.ask(Job::Bars { timeframe: Timeframe::Day, from, to: from + 12 * 3_600 * SECOND });
        }
    }

    /// Bars that were asked for.
    pub(super) fn take_bars(
        &mut self,
        timeframe: Timeframe,
        to: Nanos,
        bars: Result<BTreeMap<Symbol, Vec<Bar>>>,
    ) -> Result<()> {
        let now = crate::clock::nanos();
        let bars = match bars {
            Ok(bars) => bars,
            Err(err) => {
                warn!(code = err.code().slug(), "bars can't be fetched: {err}");
                if timeframe.is_intraday() {
                    self.fill_again = Some(Instant::now() + AGAIN);
                }
                return Ok(());
            }
        };
        if !timeframe.is_intraday() {
            return self.take_daily(&bars, now);
        }
        let count: usize = bars.values().map(Vec::len).sum();
        info!(bars = count, to = iso_utc(to), "filled in what was missed");
        let received = Instant::now();
        for (symbol, bars) in bars {
            for bar in bars {
                // One that the stream brought, too, is the same or a revised one: the first stays.
                if bar.start > self.barrier.closed() && !self.barrier.has(symbol, bar.start) {
                    self.take_bar(symbol, bar, received)?;
                }
            }
        }
        self.filling = None;
        Ok(())
    }

    fn take_daily(&mut self, found: &BTreeMap<Symbol, Vec<Bar>>, now: Nanos) -> Result<()> {
        let Some(session) = self.session else { return Ok(()) };
        let start = session.date.utc_midnight();
        if self.decided >= start {
            return Ok(());
        }
        let of_day =
            |symbol: &Symbol| found.get(symbol)?.iter().find(|bar| bar.start == start).map(|bar| (*symbol, *bar));
        let bars: Vec<(Symbol, Bar)> = self.symbols.iter().filter_map(of_day).collect();
        let complete = bars.len() == self.symbols.len();
        let waited = now >= session.close + self.signal_after + DAILY_WAITS;
        if !complete && !waited {
            info!(have = bars.len(), of = self.symbols.len(), "not all daily bars are there yet");
            return Ok(());
        }
        if !complete {
            let missing: Vec<&Symbol> =
                self.symbols.iter().filter(|symbol| bars.iter().all(|(of, _)| of != *symbol)).collect();
            warn!(?missing, "decided without these daily bars");
        }
        match bars.is_empty() {
            true => Ok(()),
            false => {
                self.daily_asked = None;
                self.decide(start, &bars, now)
            }
        }
    }
}

/// When nothing of a session is decided on any more. A daily bar can be until half an hour before the next open.
pub(super) fn over_at(session: &Session, timeframe: Timeframe, grace: Nanos) -> Nanos {
    match timeframe.is_intraday() {
        true => session.close + grace + 2 * SECOND,
        false => calendar::session_ahead(session.close).open - 30 * MINUTE,
    }
}
