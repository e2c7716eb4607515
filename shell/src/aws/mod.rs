//! One way into AWS: the region is the environment file's, credentials are found as by any AWS
//! tool, and `AWS_ENDPOINT_URL` leads elsewhere.

pub mod s3;
pub mod ssm;
mod sts;

use std::future::Future;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls;
use magellan::error::{Error, Result};
use tokio::runtime::Runtime;

use crate::codes;

/// A session with one region.
pub struct Aws {
    runtime: Runtime,
    config: SdkConfig,
}

/// A raw HTTP answer.
type Http = aws_sdk_s3::config::http::HttpResponse;

impl Aws {
    /// Opens a session; nothing is asked yet.
    ///
    /// # Errors
    /// Deploy error if the machine can't run one.
    pub fn connect(region: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::new(codes::AWS_FAILED, format!("no runtime: {e}")))?;
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .http_client(http)
            // Throttling is normal.
            .retry_config(RetryConfig::standard().with_max_attempts(6).with_max_backoff(Duration::from_secs(8)))
            .timeout_config(
                // A connection that died half way is noticed; a large upload isn't taken for one.
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(10))
                    .read_timeout(Duration::from_secs(300))
                    .build(),
            );
        let config = runtime.block_on(loader.load());
        Ok(Self { runtime, config })
    }

    /// Waits for an answer.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// S3 elsewhere than at AWS is addressed by path.
    fn elsewhere(&self) -> bool {
        self.config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some()
    }
}

/// What AWS answered to a question, as an error of ours.
fn fault<E>(question: &str, err: &SdkError<E, Http>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let said = match (err.code(), err.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(err).to_string(),
    };
    Error::new(codes::AWS_FAILED, format!("asked {question}, AWS answered {said}"))
}

/// The HTTP status of a refusal.
fn status<E>(err: &SdkError<E, Http>) -> Option<u16> {
    err.raw_response().map(|raw| raw.status().as_u16())
}
