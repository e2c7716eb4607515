//! What `magellan run`, `reconcile` and `kill` have in common: whose account it is, and where it trades.

use std::path::{Path, PathBuf};

use clap::Args;
use magellan::bar::{Nanos, SECOND};
use magellan::config::Complete;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::registry::{self, AnyStrategy};

use super::options::Place;
use super::output::print;
use super::released::{Bound, bound, of_checkout, of_release};
use crate::alpaca::stream::{Wire, stream_address};
use crate::alpaca::trading::trading_address;
use crate::alpaca::updates::updates_address;
use crate::alpaca::{Credentials, data_address};
use crate::codes;
use crate::service::live::{self, KILL, OnStop, Settings};

/// Alpaca's feed of all exchanges: that of the bars that were judged.
const FEED: &str = "sip";
/// Where its stream is.
const STREAM: &str = "wss://stream.data.alpaca.markets";
/// Where the stream is, if not at Alpaca's own host; other tools know the name.
const STREAM_VARIABLE: &str = "APCA_API_STREAM_URL";
/// Where paper accounts trade, in a test: on this machine.
const TRADING_VARIABLE: &str = "APCA_API_BASE_URL";

/// How a strategy trades live.
#[derive(Args, Clone, Debug)]
pub(super) struct Live {
    /// How long after its end a bar may come until it is decided without it, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    grace: f64,
    /// What happens to positions when it is told to stop.
    #[arg(long, value_enum, default_value_t = OnStop::Keep)]
    on_stop: OnStop,
    /// Read the stream as JSON instead of MessagePack, to look at it.
    #[arg(long)]
    stream_json: bool,
    /// Serve figures for Prometheus at http://127.0.0.1:PORT/metrics.
    #[arg(long, value_name = "PORT", env = "MAGELLAN_METRICS_PORT")]
    metrics_port: Option<u16>,
    /// Trade real money, if the config names Alpaca's address for that, too.
    #[arg(long)]
    real_money: bool,
}

impl Live {
    /// As `reconcile` needs it.
    fn only_asking(real_money: bool) -> Self {
        Self { grace: 2.0, on_stop: OnStop::Keep, stream_json: false, metrics_port: None, real_money }
    }

    fn grace(&self) -> Result<Nanos> {
        match (0.0..=30.0).contains(&self.grace) {
            true => Ok((self.grace * SECOND as f64) as Nanos),
            false => {
                let what = format!("--grace is {}, allowed are 0 to 30 seconds", self.grace);
                Err(Error::new(codes::BAD_ARGUMENT, what))
            }
        }
    }
}

/// The settings of a live service.
pub(super) fn settings<'c>(
    options: &Live,
    config: &'c Complete,
    state: &'c Path,
    bound: Option<&Bound>,
    unit_digest: &str,
) -> Result<Settings<'c>> {
    live::keep_memory_private();
    let parameters = &config.deployment().ssm_parameters;
    let variable = |name: &str| std::env::var_os(name);
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let credentials = match bound {
        Some(bound) => from_parameter_store(bound, &parameters.api_key_path, &parameters.api_secret_path)?,
        None => Credentials::from_environment(&variable)?,
    };
    let trading = trading_address(&parameters.base_url, text(TRADING_VARIABLE).as_deref(), options.real_money)?;
    Ok(Settings {
        config,
        state,
        credentials,
        updates: updates_address(&trading)?,
        trading,
        data: data_address(&variable)?,
        stream: stream_address(text(STREAM_VARIABLE).as_deref().unwrap_or(STREAM), FEED)?,
        feed: FEED,
        wire: if options.stream_json { Wire::Json } else { Wire::MessagePack },
        grace: options.grace()?,
        on_stop: options.on_stop,
        unit_digest: unit_digest.to_owned(),
        metrics_port: options.metrics_port,
    })
}

#[cfg(feature = "aws")]
fn from_parameter_store(bound: &Bound, key: &str, secret: &str) -> Result<Credentials> {
    let aws = crate::aws::Aws::connect(&bound.binding.region)?;
    let read = |path: &str| crate::aws::ssm::parameter(&aws, path);
    Credentials::new(read(key)?, read(secret)?)
}

#[cfg(not(feature = "aws"))]
fn from_parameter_store(_: &Bound, _: &str, _: &str) -> Result<Credentials> {
    let what = "a release takes its keys from SSM Parameter Store, and this binary was built without AWS";
    Err(Error::new(codes::ALPACA_KEYS, what).help("build it with --features live,aws"))
}

/// `magellan reconcile`
#[derive(Args, Debug)]
pub(super) struct Reconcile {
    /// The strategy, e.g. bear_trap. Its service must not run.
    #[arg(long)]
    strategy: String,
    /// The folder of its state.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    state_dir: PathBuf,
    /// Take what the broker holds as it is: who says so, and why.
    #[arg(long, num_args = 2, value_names = ["WHO", "WHY"])]
    accept: Option<Vec<String>>,
    /// The account is one of real money.
    #[arg(long)]
    real_money: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn reconcile(options: &Reconcile, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let strategy = registry::find(strategies, &options.strategy)?;
    let program = std::env::current_exe().map_err(|e| Error::new(codes::IO, format!("where am I? {e}")))?;
    let bound = bound(&program)?;
    let (config, identity) = match &bound {
        Some(bound) => of_release(&options.place, strategy, bound)?,
        None => of_checkout(&options.place, strategy, &program)?,
    };
    let accept = match options.accept.as_deref() {
        None => None,
        Some([who, why]) if !who.trim().is_empty() && !why.trim().is_empty() => Some((who.as_str(), why.as_str())),
        Some(_) => return Err(Error::new(codes::BAD_ARGUMENT, "--accept needs who accepts it, and why")),
    };
    let _lock = crate::service::lock(&options.state_dir)?;
    let live = Live::only_asking(options.real_money);
    let settings = settings(&live, &config, &options.state_dir, bound.as_ref(), &identity.unit_digest)?;
    let compared = live::reconcile(&settings, strategy.timeframe(), accept)?;
    if compared.differences.is_empty() {
        print("The broker's orders and positions are as the journal says.\n")?;
    }
    for difference in &compared.differences {
        print(&format!("{difference}\n"))?;
    }
    for symbol in &compared.unprotected {
        print(&format!("{symbol}: the shares that the service didn't buy have no stop and no time limit.\n"))?;
    }
    if !compared.accepted && !compared.differences.is_empty() {
        // A service that was away finds out itself what happened meanwhile.
        eprintln!("start the service first: it asks what became of its orders; accept what it halts for");
    }
    if compared.accepted {
        print("Accepted. Start the service: it places its orders anew.\n")?;
        return Ok(0);
    }
    Ok(if compared.differences.is_empty() { 0 } else { 7 })
}

/// `magellan kill`
#[derive(Args, Debug)]
pub(super) struct Kill {
    /// The folder of the service's state.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    state_dir: PathBuf,
    /// Who says so.
    #[arg(long)]
    who: String,
    /// Why.
    #[arg(long)]
    why: String,
    /// Sell everything as well.
    #[arg(long, conflicts_with = "resume")]
    flatten: bool,
    /// Let it trade again.
    #[arg(long)]
    resume: bool,
}

pub(super) fn kill(options: &Kill) -> Result<u8> {
    for (option, text) in [("--who", &options.who), ("--why", &options.why)] {
        if text.trim().is_empty() || text.chars().count() > 500 || text.contains(|c: char| c.is_control() && c != '\n')
        {
            let what = format!("{option} is empty, longer than 500 characters, or has control characters");
            return Err(Error::new(codes::BAD_ARGUMENT, what));
        }
    }
    let file = options.state_dir.join(KILL);
    if !options.state_dir.join("heartbeat.json").exists() {
        let what = "no service has its state here";
        return Err(Error::new(codes::BAD_ARGUMENT, what).at(options.state_dir.display()));
    }
    let one_line = |text: &str| text.replace(['\n', '\r'], " ");
    let fault = |e: std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string()).at(file.display());
    let word = match (options.resume, options.flatten) {
        (true, _) => "resume",
        (false, true) => "flatten",
        (false, false) => "kill",
    };
    let text = format!("{word}\n{}\n{}\n", one_line(&options.who), one_line(&options.why));
    write_whole(&file, text.as_bytes(), 0o644).map_err(fault)?;
    if options.resume {
        print("It may trade again.\n")?;
        return Ok(0);
    }
    let what = if options.flatten { "It sells everything and opens no position." } else { "It opens no position." };
    print(&format!("{what} `magellan kill --resume` lets it trade again.\n"))?;
    Ok(0)
}
