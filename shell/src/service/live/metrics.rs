//! Figures of a service for Prometheus, on this machine's loopback address only.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::routing::get;
use magellan::error::{Error, Result};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::codes;
use crate::server;

/// OpenMetrics, as Prometheus asks for it.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Number = Gauge<f64, AtomicU64>;

/// The figures.
#[derive(Clone, Default)]
pub(super) struct Metrics {
    pub(super) bars: Counter,
    pub(super) decisions: Counter,
    pub(super) orders: Counter,
    pub(super) executions: Counter,
    pub(super) errors: Number,
    pub(super) equity: Number,
    pub(super) positions: Number,
    pub(super) unprotected: Number,
    pub(super) last_bar: Number,
    pub(super) ready: Number,
    pub(super) trading: Number,
    pub(super) halted: Number,
    pub(super) feed_up: Number,
    pub(super) updates_up: Number,
    pub(super) journal_records: Number,
    pub(super) latency_p50: Number,
    pub(super) latency_p99: Number,
    pub(super) disk_p50: Number,
    pub(super) disk_p99: Number,
}

impl Metrics {
    fn registry(&self, strategy: &str) -> Registry {
        let label = ("strategy".into(), strategy.to_owned().into());
        let mut all = Registry::with_prefix_and_labels("magellan", std::iter::once(label));
        all.register("bars", "Bars decided on", self.bars.clone());
        all.register("decisions", "Orders decided", self.decisions.clone());
        all.register("orders", "Orders sent to the broker", self.orders.clone());
        all.register("executions", "Executions heard of", self.executions.clone());
        all.register("errors", "Errors logged since the start", self.errors.clone());
        all.register("equity_dollars", "Equity at the last closes", self.equity.clone());
        all.register("open_positions", "Symbols held", self.positions.clone());
        all.register(
            "unprotected_positions",
            "Symbols whose stop doesn't work at the broker",
            self.unprotected.clone(),
        );
        let last_bar = "Start of the last bar decided on, Unix time";
        all.register_with_unit("last_bar", last_bar, Unit::Seconds, self.last_bar.clone());
        all.register("ready", "1 once it trades or waits for a session", self.ready.clone());
        all.register("trading", "1 while it may open positions", self.trading.clone());
        all.register("halted", "1 once it needs a person", self.halted.clone());
        all.register("feed_up", "1 while market data come", self.feed_up.clone());
        all.register("updates_up", "1 while trade updates come", self.updates_up.clone());
        all.register("journal_records", "Records in the journal", self.journal_records.clone());
        let latencies = [
            ("bar_to_order_p50", "From a bar to its order, median, the disk left out", &self.latency_p50),
            ("bar_to_order_p99", "The same, 99th percentile", &self.latency_p99),
            ("disk_p50", "Of that, writing the journal to the disk, median", &self.disk_p50),
            ("disk_p99", "The same, 99th percentile", &self.disk_p99),
        ];
        for (name, help, gauge) in latencies {
            all.register_with_unit(name, help, Unit::Seconds, gauge.clone());
        }
        all
    }

    /// Answers `GET /metrics` on a port of this machine, 0 for any; the address.
    ///
    /// # Errors
    /// Usage error if the port can't be had.
    pub(super) fn serve(&self, strategy: &str, port: u16) -> Result<SocketAddr> {
        let fault = |e: std::io::Error| Error::new(codes::BAD_ARGUMENT, format!("--metrics-port {port}: {e}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let registry = Arc::new(Mutex::new(self.registry(strategy)));
        let answer = move || async move {
            let mut text = String::new();
            // Writing into a string doesn't fail.
            let _ = encode(&mut text, &registry.lock().unwrap_or_else(PoisonError::into_inner));
            ([(CONTENT_TYPE, TEXT)], text).into_response()
        };
        server::start(listener, Router::new().route("/metrics", get(answer)))?;
        Ok(address)
    }
}
