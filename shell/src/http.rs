//! Requests over HTTP: TLS as for AWS, no redirects, and a status is an answer. No error holds an address.

use std::io;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Timeout};

/// An address that secrets may be sent to: https to anywhere, or http to this machine's loopback address, given as a
/// number.
pub(crate) fn safe_uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let allowed = match uri.scheme_str()? {
        "https" => !host.is_empty(),
        "http" => loopback,
        _ => false,
    };
    (allowed && !authority.as_str().contains('@')).then_some(uri)
}

/// Who sends requests to `to`, each of which ends within this time.
pub(crate) fn agent(to: &Uri, within: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // What is meant for one address goes nowhere else.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(within));
    match to.scheme_str() {
        Some("https") => config.tls_config(tls()).build(),
        _ => config.proxy(None).build(),
    }
    .new_agent()
}

/// Rustls with ring, as for AWS, and the certificates that the machine trusts.
fn tls() -> TlsConfig {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted: Vec<Certificate<'static>> =
        trusted.iter().map(|cert| Certificate::from_der(cert).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// TLS over a connection that stands, as for requests.
pub(crate) fn tls_stream(host: &str, tcp: TcpStream) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| "no TLS with it".to_owned())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| "its name is none for TLS".to_owned())?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(|_| "no TLS with it".to_owned())?;
    Ok(StreamOwned::new(connection, tcp))
}

/// The fault in words of ours: a foreign text might hold the address.
pub(crate) fn reason(err: &ureq::Error) -> String {
    match err {
        ureq::Error::Timeout(Timeout::Resolve) | ureq::Error::HostNotFound => "its name can't be resolved".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(e) if is_tls(e) => "its certificate isn't trusted, or it doesn't speak TLS".to_owned(),
        ureq::Error::Io(e) => e.kind().to_string(),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => "no TLS with it".to_owned(),
        _ => "it doesn't speak HTTP as expected".to_owned(),
    }
}

fn is_tls(err: &io::Error) -> bool {
    err.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}
