//! The sections of a config that only the gate, the service and a deploy read, typed.

use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde_json::json;

use super::criteria::PerformanceCriteria;
use super::document::Document;
use super::sections::NOT_BLANK;
use crate::calendar::Calendar;
use crate::error::{Error, Result, codes};

/// What a config says beyond what a replay depends on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Deployment {
    /// When it trades.
    pub trading_hours: TradingHours,
    /// Logs and alerts of the live service.
    pub monitoring: Monitoring,
    /// Where the live service finds its keys.
    pub ssm_parameters: SsmParameters,
    /// What the gate demands: periods and criteria.
    pub performance_criteria: PerformanceCriteria,
}

impl Deployment {
    /// What a document says of it, if its keys, types and ranges are right.
    pub(super) fn of(document: &Document) -> Result<Self> {
        document.deserialize(document.value().clone())
    }
}

/// `trading_hours`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TradingHours {
    /// Opening time in New York.
    #[schemars(extend("const" = "09:30"))]
    pub market_open: String,
    /// Closing time in New York; early closes are known.
    #[schemars(extend("const" = "16:00"))]
    pub market_close: String,
    /// The exchange's time zone.
    #[schemars(extend("const" = "America/New_York"))]
    pub timezone: String,
    /// Monday to Friday; holidays are known.
    #[schemars(schema_with = "trading_days")]
    pub trading_days: Vec<String>,
    /// When a daily signal is worked out, New York time: after the close.
    #[schemars(extend("pattern" = "^(1[6-9]|2[0-3]):[0-5][0-9]$", "x-allowed" = "16:00 to 23:59, after the close"))]
    pub signal_calculation_time: Option<String>,
    /// When its order is sent.
    #[schemars(extend("const" = "09:30"))]
    pub execution_time: Option<String>,
    /// How often completed bars are looked for; at most a bar's width.
    #[schemars(extend("minimum" = 1, "maximum" = 1440, "x-unit" = "minutes"))]
    pub signal_check_interval_minutes: Option<u32>,
    /// Whether positions are held when the session ends.
    pub allow_overnight_holds: bool,
}

/// `monitoring`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitoring {
    /// How much the service logs.
    #[schemars(extend("enum" = ["error", "warn", "info", "debug", "trace", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]))]
    pub log_level: String,
    /// Where it logs to, in its folder of state: where deploys look for it.
    #[schemars(extend("enum" = ["logs"]))]
    pub log_directory: String,
    /// CloudWatch group, if logs are sent there.
    #[schemars(extend("pattern" = NOT_BLANK, "x-allowed" = "a text that isn't empty"))]
    pub cloudwatch_log_group: Option<String>,
    /// Between two health checks.
    #[schemars(extend("minimum" = 1, "maximum" = 86_400, "x-unit" = "seconds"))]
    pub health_check_interval_seconds: u32,
    /// Between two reports: what a service logs at least, so that it can be seen to live.
    #[schemars(extend("minimum" = 1, "maximum" = 3_600, "x-unit" = "seconds"))]
    pub report_interval_seconds: u32,
    /// Loss of a day that alerts.
    #[schemars(extend("minimum" = 0, "maximum" = 1e12, "x-unit" = "dollars"))]
    pub alert_on_loss_dollars: f64,
}

/// `ssm_parameters`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SsmParameters {
    /// Path of the API key in SSM; never the key itself.
    #[schemars(extend("pattern" = "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$", "x-allowed" = "a path such as /magellan/alpaca/NAME/API_KEY"))]
    pub api_key_path: String,
    /// Path of the API secret in SSM; never the secret itself.
    #[schemars(extend("pattern" = "^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+$", "x-allowed" = "a path such as /magellan/alpaca/NAME/API_KEY"))]
    pub api_secret_path: String,
    /// The broker's address.
    #[schemars(extend("pattern" = "^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9_./-]*)?$", "x-allowed" = "an address https://HOST without a name or password"))]
    pub base_url: String,
}

/// Refuses bars of another calendar than the one that a broker demands: Alpaca trades stocks, in the sessions of XNYS.
///
/// # Errors
/// Refused if the calendars differ.
pub fn check_calendar(base_url: &str, calendar: Calendar) -> Result<()> {
    let host = base_url.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default();
    let is_alpacas = host == "alpaca.markets" || host.ends_with(".alpaca.markets");
    if !is_alpacas || calendar.is_xnys() {
        return Ok(());
    }
    let what = format!("{host} trades stocks in the sessions of XNYS, and the archive's calendar is {calendar}");
    Err(Error::new(codes::OTHER_CALENDAR, what).help("name an archive of XNYS with --archive DIR or MAGELLAN_ARCHIVE"))
}

fn trading_days(_: &mut schemars::SchemaGenerator) -> Schema {
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
    let forms =
        days.iter().flat_map(|day| [&day[..3], day].map(|d| [d.to_uppercase(), d.to_lowercase(), d.to_owned()]));
    let day = format!("^({})$", forms.flatten().collect::<Vec<String>>().join("|"));
    let each = json!({"type": "string", "pattern": day, "x-allowed": "MON, TUE, WED, THU or FRI"});
    json_schema!({"type": "array", "items": each, "minItems": 5, "maxItems": 5})
}
