//! Before it trades: the journal gives back the desk, the broker and the feed give the rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use magellan::bar::{Bar, Date, MINUTE, Nanos, SECOND, Symbol, Timeframe};
use magellan::calendar::{self, Session};
use magellan::config::Config;
use magellan::error::{Error, Result};
use magellan::live::barrier::Barrier;
use magellan::live::desk::feed_bar;
use magellan::live::lifecycle::{Message, State};
use magellan::live::record::{Control, PartName, Record};
use magellan::registry::{AnyRunner, AnyStrategy};
use magellan::runner::{Broker as _, Deaf, Event, FeedBar};
use tracing::{info, warn};

use super::coarser::Coarser;
use super::day::{DAILY_AFTER, over_at};
use super::guard::Guard;
use super::history::{self, warm_up};
use super::latency::Latency;
use super::metrics::Metrics;
use super::recovered::Recovered;
use super::settings::Settings;
use super::trader::{Input, Trader};
use super::workers::{Asker, Workers};
use crate::alpaca::stream::{Stream, Subscription};
use crate::alpaca::trading::Failed;
use crate::alpaca::updates::Updates;
use crate::clock;
use crate::codes;
use crate::release::heartbeat::Phase;
use crate::service::Service;

/// Before Alpaca is asked again for what a start needs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes up trading where the journal ends. Nothing is sent yet. None, if it is told to stop before it is there.
///
/// # Errors
/// Config error if the config says something that isn't done live; data error if the journal is damaged or history can't
/// be had.
pub fn start<'s>(
    service: &'s mut Service,
    strategy: &dyn AnyStrategy,
    settings: &Settings<'_>,
) -> Result<Option<Trader<'s>>> {
    let config = settings.config.config();
    service.enter(Phase::Loading);
    check(config, strategy.timeframe())?;
    let timeframe = strategy.timeframe();
    let Recovered { mut desk, mut journal, mut session, mut last_closed, decided, bars, accepted, halts } =
        Recovered::read(settings, timeframe)?;
    let now = clock::nanos();
    info!(records = journal.records(), positions = desk.open_positions(), "the journal is read");
    // A session that ended while nobody looked.
    let is_over = |session: &Session| now >= over_at(session, timeframe, settings.grace) + MINUTE;
    if let Some(old) = session.filter(is_over) {
        let record = Record::Closes { date: old.date };
        desk.apply(&record)?;
        journal.append(&record)?;
        (session, last_closed) = (None, old.date);
    }
    let asker = settings.asker();
    asker.trading.check_keys()?;
    let warmed_up = warmed_up(service, strategy, settings, &asker, session.as_ref(), &bars, now)?;
    let Some((runner, history)) = warmed_up else { return Ok(None) };
    drop(bars);
    journal.append(&Record::Started {
        at: now,
        strategy: config.strategy.name.clone(),
        account: settings.account(),
        config: config.sha256.clone(),
        unit_digest: settings.unit_digest.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capital: config.account_info.initial_capital,
        timeframe,
        history,
    })?;
    let Some(mut guard) = guarded(service, config, &asker)? else { return Ok(None) };
    halts.into_iter().for_each(|(symbol, why)| guard.set_halted(symbol, Some(why)));
    let metrics = Metrics::default();
    if let Some(port) = settings.metrics_port {
        let address = metrics.serve(strategy.name(), port)?;
        info!("metrics at http://{address}/metrics");
    }
    let (to, inputs) = channel();
    let workers = {
        let to = to.clone();
        Workers::start(&asker, move |answer| to.send(Input::Answer(Box::new(answer))).is_ok())
    };
    let barrier_grace = settings.grace;
    let mut barrier = Barrier::new(config.symbols.iter().copied(), barrier_grace);
    if timeframe.is_intraday() && session.is_some() && decided > Nanos::MIN {
        barrier.close_to(decided + timeframe.width() - MINUTE);
    }
    let subscription = Subscription {
        address: settings.stream.clone(),
        symbols: settings.symbols(),
        wire: settings.wire,
        silence: Duration::from_secs(150),
    };
    let (feed_to, news_to) = (to.clone(), to);
    let stream = Stream::start(subscription, settings.credentials.clone(), clock::now, move |heard| {
        feed_to.send(Input::Feed(heard, Instant::now())).is_ok()
    });
    let updates = Updates::start(settings.updates.clone(), settings.credentials.clone(), clock::now, move |news| {
        news_to.send(Input::News(news)).is_ok()
    });
    let hours = settings.config.deployment().trading_hours.signal_calculation_time.as_deref();
    let intraday = timeframe.is_intraday();
    let mut trader = Trader {
        runner,
        desk,
        journal,
        inputs,
        workers,
        stream,
        _updates: updates,
        guard,
        latency: Latency::default(),
        metrics,
        input_names: strategy.input_names(config)?,
        state: settings.state.to_owned(),
        name: config.strategy.name.clone(),
        timeframe,
        grace: settings.grace,
        delay: config.execution.execution_delay_seconds.map_or(0, |seconds| (seconds * SECOND as f64) as Nanos),
        signal_after: hours.and_then(after_close).unwrap_or(DAILY_AFTER),
        on_stop: settings.on_stop,
        symbols: settings.symbols(),
        barrier,
        coarser: (intraday && timeframe != Timeframe::Minute).then(|| Coarser::new(timeframe)),
        session,
        last_closed,
        decided,
        filling: None,
        fill_again: None,
        daily_asked: None,
        arrived: BTreeMap::new(),
        phase: Phase::Reconciling,
        feed_down: Some((Instant::now(), "not connected yet".to_owned())),
        news_down: Some((Instant::now(), "not connected yet".to_owned())),
        broker_down: None,
        disk_full: false,
        halted: None,
        differed: 0,
        reconcile_at: Instant::now() + Duration::from_secs(3_600),
        reconciling: false,
        reconciled: false,
        heard: 0,
        snapshot_at: 0,
        looking: BTreeSet::new(),
        held_back: BTreeMap::new(),
        unanswered: BTreeSet::new(),
        quoting: BTreeSet::new(),
        ended: VecDeque::new(),
        accepted,
        decisions: Vec::new(),
        flattened: false,
        day_orders: 0,
        day_fills: 0,
        service,
    };
    if let Some(session) = trader.session {
        let opened = trader.service.day_files.resume(session.date, Some(&trader.input_names));
        trader.service.recorded(opened);
    }
    trader.desk.fills();
    // Selling everything at a stop is over with it.
    let by_signal =
        trader.desk.control().is_some_and(|(control, who, _)| *control == Control::Flatten && who == "signal");
    if by_signal {
        trader.control(Control::Resume, "start", "it was sold for a stop")?;
    }
    trader.doubt()?;
    trader.service.enter(Phase::Reconciling);
    Ok(Some(trader))
}

impl Trader<'_> {
    /// What was sent before the process ended, and never answered, is to be looked up; all else as well.
    fn doubt(&mut self) -> Result<()> {
        let now = clock::nanos();
        let all: Vec<(String, State, bool)> = self
            .desk
            .orders()
            .map(|placed| {
                let moving = placed.parts().any(|(_, part)| part.moving.is_some());
                (placed.id.clone(), placed.main.standing.state, moving)
            })
            .collect();
        for (id, state, moving) in all {
            if state == State::Sent {
                self.hear(&id, PartName::Main, Message::NoAnswer, now)?;
            }
            for part in [PartName::Main, PartName::Stop] {
                let of = self.desk.order(&id).and_then(|placed| placed.part(part));
                if of.is_some_and(|part| part.standing.state == State::Cancelling) {
                    self.unanswered.insert((id.clone(), part));
                }
            }
            self.look_now(&id);
            if moving {
                for part in [PartName::Main, PartName::Stop] {
                    if self.desk.order(&id).and_then(|p| p.part(part)).is_some_and(|part| part.moving.is_some()) {
                        self.unmoved(&id, part)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// How long after 16:00 a time of day in New York is.
fn after_close(time: &str) -> Option<Nanos> {
    let (hour, minute) = time.split_once(':')?;
    let minutes: i64 = hour.parse::<i64>().ok()? * 60 + minute.parse::<i64>().ok()?;
    Some((minutes - 16 * 60) * MINUTE)
}

/// What a config says and a live service doesn't do is refused, not ignored.
fn check(config: &Config, timeframe: Timeframe) -> Result<()> {
    let refuse = |what: &str| Err(Error::new(codes::NOT_LIVE, what.to_owned()).at(config.path.display()));
    if config.data_requirements.premarket || config.data_requirements.after_hours {
        return refuse("data_requirements asks for bars outside of the session, and a live service trades in it only");
    }
    if timeframe == Timeframe::Week {
        return refuse("a live service has no weekly bars");
    }
    Ok(())
}

/// A runner, and the name of the file with the history that it has seen.
type Warm = (Box<dyn AnyRunner>, Option<String>);

/// A runner that has seen history, and the bars of the session that were decided on.
fn warmed_up(
    service: &mut Service,
    strategy: &dyn AnyStrategy,
    settings: &Settings<'_>,
    asker: &Asker,
    session: Option<&Session>,
    bars: &[(Nanos, Vec<(Symbol, Bar)>)],
    now: Nanos,
) -> Result<Option<Warm>> {
    let (timeframe, config) = (strategy.timeframe(), settings.config.config());
    let mut runner = strategy.runner(config)?;
    let mut kept = None;
    // The first date that is not history: of a daily bar that is decided on later today, today's.
    let first = session.map_or_else(|| ahead(timeframe, now), |session| session.date);
    let wanted = strategy.bars_to_remember(config);
    if wanted > 0 {
        let from = sessions_before(first, sessions_of(timeframe, wanted));
        let range = (calendar::new_york_midnight(from), calendar::new_york_midnight(first) - 1);
        let asking = asker.clone();
        let ask = move || asking.history(timeframe, range.0, range.1);
        let Some(found) = patiently(service, ask)? else { return Ok(None) };
        for symbol in &asker.symbols {
            let bars = found.get(symbol).map(Vec::as_slice).unwrap_or_default();
            let have = warm_up(&mut *runner, *symbol, bars, timeframe, first)?;
            if have < wanted {
                warn!(%symbol, have, wanted, "less history than its indicators remember");
            }
            service.alive();
        }
        kept = Some(history::keep(settings.state, &found)?);
        info!(%from, to = %first, "history is read");
    }
    let Some(session) = session else { return Ok(Some((runner, kept))) };
    let mut ignored = Vec::new();
    runner.handle(&Event::Opens(*session), &mut Deaf, &mut ignored)?;
    for (_, bars) in bars {
        let known = bars.iter().filter(|(symbol, _)| asker.symbols.contains(symbol));
        let feed: Vec<FeedBar> = known.map(|(symbol, bar)| feed_bar(*symbol, *bar, timeframe, session)).collect();
        runner.handle(&Event::Bars(&feed), &mut Deaf, &mut ignored)?;
        ignored.clear();
    }
    Ok(Some((runner, kept)))
}

/// Asks until there is an answer: a service that starts while Alpaca is away waits for it, and shows that it lives. None,
/// if it is told to stop.
fn patiently<T: Send + 'static>(
    service: &mut Service,
    ask: impl Fn() -> Result<T> + Clone + Send + 'static,
) -> Result<Option<T>> {
    loop {
        let (to, from) = channel();
        let asked = ask.clone();
        // A host that never answers holds up nobody but this thread.
        std::thread::spawn(move || to.send(asked()));
        let answer = loop {
            service.alive();
            if let Some(ending) = service.signals.pending() {
                service.ended_by = Some(ending);
                return Ok(None);
            }
            match from.recv_timeout(Duration::from_millis(500)) {
                Ok(answer) => break answer,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(codes::IO, "the thread that asked has ended"));
                }
            }
        };
        match answer {
            Err(err) if err.code() == codes::ALPACA_SILENT => warn!(code = err.code().slug(), "{err}; asking again"),
            answer => return answer.map(Some),
        }
        if let Some(ending) = service.signals.wait(PATIENCE) {
            service.ended_by = Some(ending);
            return Ok(None);
        }
    }
}

/// Date of the session that begins next, or goes on.
fn ahead(timeframe: Timeframe, now: Nanos) -> Date {
    let today = calendar::session_at(now);
    match today.trades() && !timeframe.is_intraday() {
        true => today.date,
        false => calendar::session_ahead(now).date,
    }
}

fn sessions_of(timeframe: Timeframe, bars: usize) -> usize {
    // Regular sessions have 390 minutes; of hours six.
    let a_session = (390 * MINUTE / timeframe.width()).max(1) as usize;
    bars.div_ceil(a_session) + 5
}

fn sessions_before(date: Date, count: usize) -> Date {
    let days = (calendar::FIRST.0..date.0).rev().map(Date);
    let mut trading = days.filter(|day| calendar::is_trading_day(*day));
    trading.nth(count.saturating_sub(1)).unwrap_or(calendar::FIRST)
}

/// Symbols that the broker doesn't trade are never bought.
fn guarded(service: &mut Service, config: &Config, asker: &Asker) -> Result<Option<Guard>> {
    let mut guard = Guard::new(config);
    for symbol in &asker.symbols {
        let (trading, of) = (asker.trading.clone(), *symbol);
        let asked = move || match trading.asset(of) {
            Ok(asset) => Ok(Ok(asset)),
            Err(Failed::Refused(_, why)) => Ok(Err(why)),
            Err(Failed::Unknown(why)) => Err(Error::new(codes::ALPACA_SILENT, why)),
        };
        let Some(asset) = patiently(service, asked)? else { return Ok(None) };
        let (why, shortable) = match asset {
            Ok(asset) => {
                let tradable = asset.tradable && asset.status == "active";
                let said = || format!("Alpaca says status {}, tradable {}", asset.status, asset.tradable);
                ((!tradable).then(said), asset.shortable)
            }
            Err(why) => (Some(why), false),
        };
        if let Some(why) = &why {
            warn!(%symbol, "not tradable: {why}");
        }
        guard.set_untradable(*symbol, why, shortable);
    }
    Ok(Some(guard))
}
