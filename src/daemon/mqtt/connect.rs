//! From settings to the greeting: credentials, will, TLS. Files are read anew at every attempt, so a
//! renewed certificate or password needs no restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rumqttc::{Connect, LastWill, QoS};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::LinkSettings;
use crate::daemon::settings::{MqttSettings, files};

/// Largest packet written; the outbox refuses what would not fit.
pub(in crate::daemon) const MAX_OUTGOING_BYTES: usize = 1024 * 1024;
/// Longest password file: brokers allow 65,535 bytes.
const MAX_PASSWORD_BYTES: usize = 65_535;

/// What is published for us when the connection dies.
pub(in crate::daemon) const OFFLINE: &str = "offline";

/// What one attempt to connect needs beside the address. Never shown: it holds the password.
pub(super) struct Credentials {
    /// The CONNECT packet.
    pub(super) greeting: Connect,
    /// How to speak TLS, where it is spoken.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Reads the files and puts together what one attempt needs.
pub(super) fn credentials(settings: &LinkSettings) -> anyhow::Result<Credentials> {
    let mqtt = &settings.mqtt;
    let mut greeting = Connect::new(&settings.client_id);
    // The probe ticks at a fraction of it, so rounding up by less than a second changes nothing.
    greeting.keep_alive = u16::try_from(mqtt.keep_alive.as_millis().div_ceil(1_000)).unwrap_or(u16::MAX);
    greeting.clean_session = mqtt.clean_session;
    greeting.last_will = Some(LastWill::new(&settings.status_topic, OFFLINE, QoS::AtLeastOnce, true));
    if let Some(user) = &mqtt.username {
        greeting.set_login(user, password(mqtt)?);
    }
    let tls = if settings.broker.is_tls { Some(Arc::new(tls(mqtt)?)) } else { None };
    Ok(Credentials { greeting, tls })
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

/// Tries to read the credentials, for a check without connecting.
///
/// # Errors
/// What is wrong with certificates, keys or the password file.
pub(in crate::daemon) fn check(settings: &LinkSettings) -> anyhow::Result<()> {
    credentials(settings).map(|_| ())
}
