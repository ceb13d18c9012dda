//! From settings to connect options: credentials, will, TLS. Files are read anew at every attempt, so a
//! renewed certificate or password needs no restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rumqttc::{LastWill, MqttOptions, QoS, TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::LinkSettings;
use crate::daemon::settings::{MqttSettings, files};

/// Largest packet read. MQTT knows no way to skip a message, so the limit stands far above what is used
/// (`engine.max_payload_bytes`, at most 1 MiB); a larger one costs the session, see the link's `purge`.
pub(super) const MAX_INCOMING_BYTES: usize = 16 * 1024 * 1024;
/// Largest packet written; the outbox refuses what would not fit.
pub(in crate::daemon) const MAX_OUTGOING_BYTES: usize = 1024 * 1024;
/// Longest password file: brokers allow 65,535 bytes.
const MAX_PASSWORD_BYTES: usize = 65_535;

/// What is published for us when the connection dies.
pub(in crate::daemon) const OFFLINE: &str = "offline";

/// Builds the options of one connection attempt. Reads files.
pub(super) fn options(settings: &LinkSettings, clean_session: bool) -> anyhow::Result<MqttOptions> {
    let mqtt = &settings.mqtt;
    let mut options = MqttOptions::new(&settings.client_id, &settings.broker.host, settings.broker.port);
    options
        .set_keep_alive(mqtt.keep_alive)
        .set_clean_session(clean_session)
        .set_max_packet_size(MAX_INCOMING_BYTES, MAX_OUTGOING_BYTES)
        .set_last_will(LastWill::new(&settings.status_topic, OFFLINE, QoS::AtLeastOnce, true))
        // The client's own bookkeeping is not used, see `connection`.
        .set_inflight(1);
    if let Some(user) = &mqtt.username {
        options.set_credentials(user, password(mqtt)?);
    }
    if settings.broker.is_tls {
        let tls = TlsConfiguration::Rustls(Arc::new(tls(mqtt)?));
        options.set_transport(Transport::tls_with_config(tls));
    }
    Ok(options)
}

fn password(mqtt: &MqttSettings) -> anyhow::Result<String> {
    if let Some(path) = &mqtt.password_file {
        let problem = |reason: String| anyhow!("mqtt.password_file {}: {reason}", path.display());
        // The line's end is no part of it.
        let text = files::read_text(path, MAX_PASSWORD_BYTES as u64 + 2).map_err(problem)?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(problem("is too long for a password".to_owned()));
        }
        return Ok(password.to_owned());
    }
    Ok(mqtt.password.as_ref().map_or_else(String::new, |secret| secret.expose().to_owned()))
}

fn tls(mqtt: &MqttSettings) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &mqtt.ca_file {
        for certificate in certificates("mqtt.ca_file", path)? {
            let context = || format!("mqtt.ca_file {}: not a usable authority", path.display());
            roots.add(certificate).with_context(context)?;
        }
    } else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(anyhow!("this system trusts no certificate authority; set mqtt.ca_file"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_root_certificates(roots);
    match (&mqtt.client_cert_file, &mqtt.client_key_file) {
        (Some(cert), Some(key)) => {
            let chain = certificates("mqtt.client_cert_file", cert)?;
            let key_der = PrivateKeyDer::from_pem_file(located("mqtt.client_key_file", key)?)
                .map_err(|error| anyhow!("{}: {error}", unreadable("mqtt.client_key_file", key)))?;
            builder
                .with_client_auth_cert(chain, key_der)
                .with_context(|| format!("client certificate {} and key {}", cert.display(), key.display()))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(setting: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(located(setting, path)?)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow!("{}: {error}", unreadable(setting, path)))?;
    if certificates.is_empty() {
        return Err(anyhow!("{setting} {} holds no PEM certificate", path.display()));
    }
    Ok(certificates)
}

fn located(setting: &str, path: &Path) -> anyhow::Result<PathBuf> {
    files::locate(path).map_err(|reason| anyhow!("{setting} {}: {reason}", path.display()))
}

fn unreadable(setting: &str, path: &Path) -> String {
    format!("{setting} {} cannot be read", path.display())
}

/// Tries to build the options, for a check without connecting.
///
/// # Errors
/// What is wrong with certificates, keys or the password file.
pub(in crate::daemon) fn check(settings: &LinkSettings) -> anyhow::Result<()> {
    options(settings, settings.mqtt.clean_session).map(|_| ())
}
