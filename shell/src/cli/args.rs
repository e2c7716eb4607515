//! Arguments as typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use magellan::bar::{Date, Symbol, Timeframe};
use magellan::config::Override;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::research::market::Scope;
use magellan::research::plan::Shard;
use magellan::research::walk_forward::Scheme;
use magellan::sweep::grid::{Axis, Condition};

use crate::codes;

/// From a strategy to a live service, so that green means something.
///
/// Results go to stdout, everything else to stderr.
///
/// Exit codes: 0 passed; 1 gate failed; 2 usage or config; 3 data missing or corrupt;
/// 4 inconclusive; 5 deploy failed, the former release runs; 6 deploy failed, not rolled back;
/// 7 health check failed; 8 refused; 130 interrupted.
#[derive(Parser, Debug)]
#[command(name = "magellan", version, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Import, list and synthesise archived bars.
    Data {
        #[command(subcommand)]
        command: Data,
    },
    /// Check every deployed config and unit, alone, against each other and the archive.
    ///
    /// Everything that is wrong is listed in one run. Exit 2: a config, unit or the code is
    /// wrong; 3: the archive lacks what the configs need.
    Validate(Validate),
    /// Check the workflows that validate, judge and deploy.
    Ci {
        #[command(subcommand)]
        command: Ci,
    },
    /// Print the JSON Schema of config.json, for editors.
    Schema(Schema),
    /// Explain an error by its code, or list all.
    Explain(Explain),
    /// Replay one strategy over archived bars.
    Backtest(Backtest),
    /// Replay one strategy at many points of its parameters.
    ///
    /// Every point counts as a trial in the ledger before its result is seen. With --out the
    /// sweep can be killed and the same command goes on; the results are the same bytes.
    #[command(args_conflicts_with_subcommands = true)]
    Sweep(Sweep),
    /// Choose parameters on some sessions and judge them on others.
    ///
    /// Every point counts as a trial in the ledger. What is shown as out-of-sample had no part in
    /// the choice.
    WalkForward(WalkForward),
    /// Show and verify the ledger of trials.
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Judge every deployed strategy by its performance criteria.
    Gate(Box<Gate>),
    /// Run one strategy as its unit does.
    ///
    /// Needs USE_ARCHIVED_DATA=true: archived bars, and a broker that only reckons. All symbols
    /// trade on one account, as configured. At the end of the data it waits, as a live runner does
    /// between sessions. In a release its config is the one shipped. SIGTERM ends it with 0, SIGINT
    /// with 130, after the bar under way.
    #[cfg(feature = "live")]
    Run(Run),
    /// Check a verdict.
    Verdict {
        #[command(subcommand)]
        command: VerdictCommand,
    },
    /// Record what is deployed, to compare candidates with.
    Baseline {
        #[command(subcommand)]
        command: BaselineCommand,
    },
    /// Roll out what was judged, observe it, and go back if it isn't well.
    ///
    /// Exit 5: it failed, and the former release runs; 6: it failed, and what runs isn't known to
    /// be well; 8: refused, nothing was touched.
    #[cfg(feature = "deploy")]
    Deploy(Box<Deploy>),
    /// Go back to an earlier release, with its configs and units.
    #[cfg(feature = "deploy")]
    Rollback(Rollback),
    /// Show what runs where, since when, judged by which verdict. Exit 8 if something drifted.
    #[cfg(feature = "deploy")]
    Status(Destination),
    /// Observe the services. Exit 7 if one isn't well.
    #[cfg(feature = "deploy")]
    Health(Health),
    /// List what was rolled out.
    #[cfg(feature = "deploy")]
    Releases(Destination),
    /// Check the host, or print the policy that a deployer needs.
    #[cfg(feature = "deploy")]
    Doctor {
        #[command(subcommand)]
        command: Doctor,
    },
    /// Make and check bundles.
    #[cfg(feature = "deploy")]
    Bundle {
        #[command(subcommand)]
        command: BundleCommand,
    },
}

/// Where trials are counted.
#[derive(ClapArgs, Debug)]
pub(super) struct Counting {
    /// Ledger of trials [default: data/ledger beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_LEDGER")]
    pub(super) ledger: Option<PathBuf>,
}

/// Config and bars, and where the trial is counted.
#[derive(ClapArgs, Debug)]
pub(super) struct Subject {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    /// Config instead of deployed/<strategy>/config.json.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Symbols instead of the configured ones, e.g. AMC,GME.
    #[arg(long, value_delimiter = ',')]
    pub(super) symbols: Option<Vec<Symbol>>,
    /// Bars of the regular session only, or all [default: as configured].
    #[arg(long, value_enum)]
    pub(super) session: Option<SessionArg>,
    /// Another value for a parameter, a symbol's parameter or a config path; repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<Override>,
}

/// What research replays: a strategy, bars, a grid. Options that are required are so unless a
/// subcommand takes their place.
#[derive(ClapArgs, Debug)]
pub(super) struct Researched {
    /// The strategy, e.g. daily_trend.
    #[arg(long, required = true)]
    pub(super) strategy: Option<String>,
    /// First session, YYYY-MM-DD.
    #[arg(long, required = true)]
    pub(super) start_date: Option<Date>,
    /// Last session, YYYY-MM-DD.
    #[arg(long, required = true)]
    pub(super) end_date: Option<Date>,
    /// Values of a key of the config: KEY=A..B, KEY=A..B:STEP (both ends included) or
    /// KEY=V1,V2; repeatable, the last one varies fastest.
    #[arg(long, value_name = "KEY=VALUES")]
    pub(super) grid: Vec<Axis>,
    /// What must hold between keys, e.g. "hysteresis_lower < hysteresis_upper - 2"; sums of
    /// products with + - * %, compared by < <= > >= == !=; repeatable.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(super) conditions: Vec<Condition>,
    /// Only so many points, drawn evenly.
    #[arg(long, value_name = "N")]
    pub(super) random: Option<usize>,
    /// Same seed, same points [default: 0].
    #[arg(long, requires = "random")]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) subject: Subject,
    /// Indicator columns may take this much of memory, e.g. 256MB.
    #[arg(long, value_name = "SIZE", default_value = "128MB")]
    pub(super) memory: Memory,
}

#[derive(ClapArgs, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(super) struct Sweep {
    #[command(subcommand)]
    pub(super) command: Option<SweepCommand>,
    #[command(flatten)]
    pub(super) research: Researched,
    /// Write results into this folder, or go on with those that are there.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Do one of several shares, e.g. 2/7 [default: as AWS Batch, Slurm or Kubernetes say, else
    /// everything].
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Number of shares, where the scheduler says only which one this is.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    pub(super) shards: Option<usize>,
    /// Show so many of the best points.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) top: u32,
    /// The figure that ranks them, highest first.
    #[arg(long, value_name = "FIGURE", default_value = "sharpe")]
    pub(super) by: String,
    /// Rank the lowest first, e.g. of volatility.
    #[arg(long)]
    pub(super) lowest: bool,
    /// Seed of the sample of points whose session returns are kept.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub(super) sample_seed: u64,
    /// Ask `decide` at every bar, even where a strategy declares its rules. The same results.
    #[arg(long)]
    pub(super) plain: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Print on stderr where the time went.
    #[arg(long)]
    pub(super) timings: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum SweepCommand {
    /// Join the shares of a sweep into its results.
    Merge(Merge),
}

#[derive(ClapArgs, Debug)]
pub(super) struct Merge {
    /// Folders of the shares.
    #[arg(required = true)]
    pub(super) sources: Vec<PathBuf>,
    /// Folder for the results; may be one of the sources.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(pub(super) usize);

impl std::str::FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let units = [("GB", 30), ("MB", 20), ("KB", 10)];
        let found = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
        let bytes = found.and_then(|(number, shift)| number.trim().parse::<usize>().ok()?.checked_mul(1 << shift));
        let bytes = bytes.filter(|bytes| *bytes > 0);
        bytes
            .map(Self)
            .ok_or_else(|| Error::new(codes::BAD_ARGUMENT, format!("`{text}` is not a size, such as 256MB or 1GB")))
    }
}

#[derive(ClapArgs, Debug)]
pub(super) struct WalkForward {
    #[command(flatten)]
    pub(super) research: Researched,
    /// Choose on everything before each test, on the last sessions before it, or on everything
    /// around it.
    #[arg(long, value_enum, default_value_t = SchemeArg::Anchored)]
    pub(super) scheme: SchemeArg,
    /// Number of tests.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub(super) folds: usize,
    /// Sessions of a rolling choice [default: as many as a test has].
    #[arg(long, value_name = "SESSIONS")]
    pub(super) train: Option<usize>,
    /// Sessions before each test that are not chosen on.
    #[arg(long, value_name = "SESSIONS", default_value_t = 5)]
    pub(super) purge: usize,
    /// Sessions after each test that are not chosen on, in cross-validation [default: 5].
    #[arg(long, value_name = "SESSIONS")]
    pub(super) embargo: Option<usize>,
    /// The figure that chooses, highest wins.
    #[arg(long, value_name = "FIGURE", default_value = "sharpe")]
    pub(super) by: String,
    /// The lowest wins, e.g. of volatility.
    #[arg(long)]
    pub(super) lowest: bool,
    /// Write the JSON into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SchemeArg {
    Anchored,
    Rolling,
    CrossValidation,
}

impl From<SchemeArg> for Scheme {
    fn from(scheme: SchemeArg) -> Self {
        match scheme {
            SchemeArg::Anchored => Self::Anchored,
            SchemeArg::Rolling => Self::Rolling,
            SchemeArg::CrossValidation => Self::CrossValidation,
        }
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum LedgerCommand {
    /// Show how many trials each strategy has had, and by what.
    Show(LedgerArgs),
    /// Check that no record was altered and none that others name is gone. Exit 8 if one is.
    ///
    /// A record that no other names yet leaves no trace when it is removed: name those that must
    /// be there, such as the heads of the branch that is merged into, with --require.
    Verify(LedgerVerify),
}

#[derive(ClapArgs, Debug)]
pub(super) struct LedgerVerify {
    #[command(flatten)]
    pub(super) ledger: LedgerArgs,
    /// A record that must be there, by its SHA-256 (`ledger show --json` lists heads); repeatable.
    #[arg(long, value_name = "SHA256")]
    pub(super) require: Vec<String>,
}

#[derive(ClapArgs, Debug)]
pub(super) struct LedgerArgs {
    /// This strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum Data {
    /// Read Parquet and CSV files into an archive.
    Import(Import),
    /// Check the quality of bars: of files before they are imported, or of an archive.
    ///
    /// Finds bars that contradict themselves, duplicates, missing, cut and thin sessions, days
    /// without a session, undeclared jumps and splits that don't show. Exit 3 if anything would
    /// block a gate.
    Check(Check),
    /// Compare every byte of an archive with its manifest, and every cache with its records.
    Verify(Verify),
    /// Show what an archive holds.
    List(List),
    /// Write the synthetic sample archive that the deployed configs' periods need.
    Synth(Synth),
}

#[derive(ClapArgs, Debug)]
pub(super) struct Import {
    /// Files, folders with such files anywhere below, and other archives.
    #[arg(required = true)]
    pub(super) sources: Vec<PathBuf>,
    /// Archive to import into; made if there is none.
    #[arg(long, value_name = "DIR")]
    pub(super) archive: PathBuf,
    /// CSV table symbol,effective_date,new_shares_per_old; ratios like 10 or 1/30.
    #[arg(long, value_name = "FILE")]
    pub(super) splits: Option<PathBuf>,
    /// CSV table symbol,date,reason of large price moves that were real.
    #[arg(long, value_name = "FILE")]
    pub(super) moves: Option<PathBuf>,
    /// Where the bars come from, e.g. alpaca-sip; without it `parquet` or `csv`.
    #[arg(long, value_name = "NAME")]
    pub(super) provenance: Option<String>,
    /// Bar width (1Min, 1Hour, 1Day), where neither name nor spacing tells.
    #[arg(long)]
    pub(super) timeframe: Option<Timeframe>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Check {
    /// Files or folders to check before import; without them the archive is checked.
    pub(super) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Symbols of the archive to check, e.g. AMC,GME [default: all].
    #[arg(long, value_delimiter = ',', conflicts_with = "sources")]
    pub(super) symbols: Option<Vec<Symbol>>,
    /// Split table besides those among the sources.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) splits: Option<PathBuf>,
    /// Table of declared moves besides those among the sources.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) moves: Option<PathBuf>,
    /// Bar width of the sources, where neither name nor spacing tells.
    #[arg(long, requires = "sources")]
    pub(super) timeframe: Option<Timeframe>,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) place: Place,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(ClapArgs, Debug)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) place: Place,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Synth {
    /// Folder to write; must not be an archive yet.
    #[arg(long, value_name = "DIR")]
    pub(super) archive: PathBuf,
    /// Same seed, same bytes.
    #[arg(long)]
    pub(super) seed: u64,
    /// The folder `deployed` whose configs name symbols and periods.
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
}

/// Where archive and configs are.
#[derive(ClapArgs, Debug)]
pub(super) struct Place {
    /// Archive with the bars [default: data/sample beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_ARCHIVE")]
    pub(super) archive: Option<PathBuf>,
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
    /// Read archive files instead of mapping them.
    #[arg(long)]
    pub(super) no_mmap: bool,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Validate {
    /// Validate this strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Also check format, lints and unit tests of the strategies' code, with cargo.
    #[arg(long)]
    pub(super) code: bool,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(Subcommand, Debug)]
pub(super) enum Ci {
    /// Find what could make a failure look like a success in GitHub workflows.
    ///
    /// Exit codes that are lost, stages that are missing or can be skipped, inputs without effect.
    /// Exit 2 if there is one.
    Lint(Lint),
}

#[derive(ClapArgs, Debug)]
pub(super) struct Lint {
    /// Workflows [default: all in the nearest .github/workflows above the working directory].
    pub(super) files: Vec<PathBuf>,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Annotations of a GitHub workflow.
    Github,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Schema {
    /// That of verdict.json instead of that of configs.
    #[arg(long)]
    pub(super) verdict: bool,
    /// Write it into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Explain {
    /// The code, e.g. record-changed; without it, all codes.
    pub(super) code: Option<String>,
    /// Print the whole reference as Markdown.
    #[arg(long, conflicts_with = "code")]
    pub(super) markdown: bool,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Backtest {
    /// The strategy, e.g. bear_trap.
    #[arg(long)]
    pub(super) strategy: String,
    /// First session, YYYY-MM-DD.
    #[arg(long)]
    pub(super) start_date: Date,
    /// Last session, YYYY-MM-DD.
    #[arg(long)]
    pub(super) end_date: Date,
    /// Archived data only, no live source; as USE_ARCHIVED_DATA=true.
    #[arg(long)]
    pub(super) use_cache: bool,
    #[command(flatten)]
    pub(super) subject: Subject,
    /// One account for all symbols, or one each.
    #[arg(long, value_enum, default_value_t = ScopeArg::Portfolio)]
    pub(super) scope: ScopeArg,
    /// Slippage per side in basis points instead of the configured one.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) slippage_bps: Option<f64>,
    /// Write trades, equity and metrics into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Print on stderr where the time went.
    #[arg(long)]
    pub(super) timings: bool,
}

#[cfg(feature = "live")]
#[derive(ClapArgs, Debug)]
pub(super) struct Run {
    /// The strategy, e.g. bear_trap.
    #[arg(long)]
    pub(super) strategy: String,
    /// Where heartbeat, logs, decisions and fills are written.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    pub(super) state_dir: PathBuf,
    /// Bars a second, all symbols together; 0 means as fast as it can.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(super) pace: f64,
    /// End with the data instead of waiting.
    #[arg(long)]
    pub(super) once: bool,
    /// First session, YYYY-MM-DD [default: the first of the periods in performance_criteria].
    #[arg(long)]
    pub(super) start_date: Option<Date>,
    /// Last session, YYYY-MM-DD [default: the last of the periods in performance_criteria].
    #[arg(long)]
    pub(super) end_date: Option<Date>,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Where what is deployed is recorded.
#[derive(ClapArgs, Debug)]
pub(super) struct Baselines {
    /// Records of what is deployed [default: data/baseline beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_BASELINES")]
    pub(super) baselines: Option<PathBuf>,
}

/// What is judged, on what.
#[derive(ClapArgs, Debug)]
pub(super) struct Judging {
    /// Judge this strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    #[command(flatten)]
    pub(super) baselines: Baselines,
}

#[derive(ClapArgs, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Gate {
    #[command(subcommand)]
    pub(super) command: Option<GateCommand>,
    #[command(flatten)]
    pub(super) judging: Judging,
    /// Print the names of the deployed strategies as JSON, and judge nothing.
    #[arg(long, conflicts_with_all = ["json", "github", "out"])]
    pub(super) list: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Print annotations of a GitHub workflow before the table.
    #[arg(long, conflicts_with = "json")]
    pub(super) github: bool,
    /// Append a block of Markdown to this file, e.g. $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
    /// Write JUnit XML: a suite a strategy, a case a criterion.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
    /// Write one self-contained page; needs a single strategy.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Write verdict.json and, a strategy each, page and would-be baseline into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Print on stderr where the time went.
    #[arg(long)]
    pub(super) timings: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum GateCommand {
    /// Judge planted cases that must fail, and one that must pass.
    Selftest(Selftest),
    /// Record that a failure is accepted: who, why, until when.
    Acknowledge(Acknowledge),
}

#[derive(ClapArgs, Debug)]
pub(super) struct Selftest {
    /// Leave a check out: the self-test must then fail.
    #[arg(long, value_name = "CHECK", conflicts_with_all = ["mutations", "seeds"])]
    pub(super) without: Option<String>,
    /// Leave out each check in turn, and see that the self-test fails.
    #[arg(long, conflicts_with = "seeds")]
    pub(super) mutations: bool,
    /// Measure false alarms and power over so many seeds.
    #[arg(long, value_name = "N")]
    pub(super) seeds: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Acknowledge {
    /// The strategy.
    #[arg(long)]
    pub(super) strategy: String,
    /// The check, e.g. sharpe.
    #[arg(long)]
    pub(super) check: String,
    /// The period's name [default: the only one].
    #[arg(long)]
    pub(super) period: Option<String>,
    /// Who accepts it.
    #[arg(long)]
    pub(super) who: String,
    /// Why.
    #[arg(long)]
    pub(super) why: String,
    /// Last day it holds, YYYY-MM-DD; at most 90 days from today.
    #[arg(long)]
    pub(super) expires: Date,
    #[command(flatten)]
    pub(super) place: Place,
}

#[derive(Subcommand, Debug)]
pub(super) enum VerdictCommand {
    /// Check a verdict's digests, judge again from the same trials, and compare to 1e-9.
    Verify(VerdictVerify),
}

#[derive(ClapArgs, Debug)]
pub(super) struct VerdictVerify {
    /// verdict.json of `magellan gate --out`.
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) judging: Judging,
    /// Check digests only.
    #[arg(long)]
    pub(super) no_replay: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum BaselineCommand {
    /// Record as deployed what `magellan gate --out DIR` has judged and passed.
    Record(BaselineRecord),
}

#[derive(ClapArgs, Debug)]
pub(super) struct BaselineRecord {
    /// The folder that `magellan gate --out` wrote.
    #[arg(value_name = "DIR")]
    pub(super) from: PathBuf,
    /// This strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) baselines: Baselines,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ScopeArg {
    Portfolio,
    Single,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SessionArg {
    Regular,
    All,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Portfolio => Self::Portfolio,
            ScopeArg::Single => Self::Single,
        }
    }
}

impl From<SessionArg> for Hours {
    fn from(session: SessionArg) -> Self {
        match session {
            SessionArg::Regular => Self::Regular,
            SessionArg::All => Self::All,
        }
    }
}

/// The environment by its name.
#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Named {
    /// The environment: deployed/environments/<NAME>.toml.
    #[arg(long, value_name = "NAME", required = true)]
    pub(super) environment: Option<String>,
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
}

/// Where a rollout goes, and how it gets there.
#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Destination {
    #[command(flatten)]
    pub(super) named: Named,
    /// Through AWS to the environment's instance, or on this machine without AWS.
    #[arg(long, value_enum, default_value_t = TransportArg::Ssm)]
    pub(super) transport: TransportArg,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[cfg(feature = "deploy")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TransportArg {
    Ssm,
    Local,
}

/// How a rollout is told.
#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Rolling {
    /// Seconds that services must be healthy.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) stabilize: u64,
    /// Don't ask.
    #[arg(long)]
    pub(super) yes: bool,
    /// Print the plan as a diff against the host, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) telling: Telling,
}

/// Where its summary goes.
#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Telling {
    /// Append a block of Markdown to this file, e.g. $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE")]
    pub(super) markdown: Option<PathBuf>,
    /// Write the record as JSON into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(super) struct Deploy {
    #[command(subcommand)]
    pub(super) command: Option<DeployCommand>,
    #[command(flatten)]
    pub(super) to: Destination,
    #[command(flatten)]
    pub(super) rolling: Rolling,
    /// A strategy, or all that are deployed. What isn't selected must be what runs.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(super) strategy: String,
    /// Verdicts: the folder of `magellan gate --out`, or one with several of them.
    #[arg(long, value_name = "DIR", default_value = "gate")]
    pub(super) verdicts: PathBuf,
    /// The archive that was judged on [default: data/sample beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_ARCHIVE")]
    pub(super) archive: Option<PathBuf>,
    /// The program that judged and is shipped [default: this one].
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
    /// Deploy although it is refused: why. It is recorded and shown everywhere.
    #[arg(long = "override", value_name = "WHY", requires = "who", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) overriding: Option<String>,
    /// Who takes responsibility for that.
    #[arg(long, value_name = "WHO", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) who: Option<String>,
    #[command(flatten)]
    pub(super) baselines: Baselines,
}

#[cfg(feature = "deploy")]
#[derive(Subcommand, Debug)]
pub(super) enum DeployCommand {
    /// Go on with a rollout whose process died, to its end.
    Resume(Resume),
}

#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Resume {
    #[command(flatten)]
    pub(super) to: Destination,
    /// The owner is surely gone, though it was heard of a moment ago on another machine.
    #[arg(long)]
    pub(super) take_over: bool,
    #[command(flatten)]
    pub(super) telling: Telling,
}

#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Rollback {
    #[command(flatten)]
    pub(super) to: Destination,
    #[command(flatten)]
    pub(super) rolling: Rolling,
    /// The release, by its digest or the beginning of it [default: the latest good one before this].
    #[arg(long = "to", value_name = "DIGEST")]
    pub(super) release: Option<String>,
}

#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct Health {
    #[command(flatten)]
    pub(super) to: Destination,
    /// Seconds that services are watched.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_800))]
    pub(super) stabilize: u64,
}

#[cfg(feature = "deploy")]
#[derive(Subcommand, Debug)]
pub(super) enum Doctor {
    /// Check on the host whatever must hold before a deploy.
    Host(Destination),
    /// Print the least IAM policy that a deployer of the environment needs.
    Iam(Named),
}

#[cfg(feature = "deploy")]
#[derive(Subcommand, Debug)]
pub(super) enum BundleCommand {
    /// Make the bundle of the committed configs and units, and print its digest.
    Build(BundleBuild),
    /// Check every byte of a bundle against its manifest, and print its digest.
    Verify(BundleVerify),
}

#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct BundleBuild {
    #[command(flatten)]
    pub(super) named: Named,
    /// The program that is shipped [default: this one].
    #[arg(long, value_name = "FILE")]
    pub(super) binary: Option<PathBuf>,
    /// Where to write it, e.g. release.tar.zst.
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
}

#[cfg(feature = "deploy")]
#[derive(ClapArgs, Debug)]
pub(super) struct BundleVerify {
    /// The bundle.
    pub(super) file: PathBuf,
}
