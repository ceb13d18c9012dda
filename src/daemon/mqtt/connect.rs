//! From settings to the greeting: credentials, will, TLS. Files are read anew at every attempt, so a
//! renewed certificate or password needs no restart.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use rumqttc::{Connect, LastWill, QoS};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use super::LinkSettings;
use super::error::LinkError;
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

/// Reads credentials beside the link: there may be hundreds of certificates. One reading at a time, as one from a file
/// system that does not answer keeps its thread for ever.
#[derive(Default)]
pub(super) struct Reader {
    reading: Option<JoinHandle<anyhow::Result<Credentials>>>,
}

impl Reader {
    /// Reads with `read`, until the deadline.
    pub(super) async fn read(
        &mut self,
        settings: &Arc<LinkSettings>,
        deadline: Instant,
        read: impl FnOnce(&LinkSettings) -> anyhow::Result<Credentials> + Send + 'static,
    ) -> Result<Credentials, LinkError> {
        // One that has ended since may have read what is no longer there.
        self.reading.take_if(|reading| reading.is_finished());
        let reading = self.reading.get_or_insert_with(|| {
            let settings = settings.clone();
            spawn_blocking(move || read(&settings))
        });
        let Ok(read) = timeout_at(deadline, reading).await else {
            return Err(LinkError::Setup(format!(
                "no answer within mqtt.connect_timeout from the file system of {}; see whether it is mounted and its server runs",
                files_of(&settings.mqtt)
            )));
        };
        self.reading = None;
        read.map_err(|error| LinkError::Setup(error.to_string()))?
            .map_err(|error| LinkError::Setup(format!("{error:#}")))
    }
}

/// The files that are read, for people.
fn files_of(mqtt: &MqttSettings) -> String {
    let files = [
        ("mqtt.password_file", &mqtt.password_file),
        ("mqtt.ca_file", &mqtt.ca_file),
        ("mqtt.client_cert_file", &mqtt.client_cert_file),
        ("mqtt.client_key_file", &mqtt.client_key_file),
    ];
    let named = files.iter().filter_map(|(key, path)| Some(format!("{key} {}", path.as_ref()?.display())));
    let named: Vec<_> = named.collect();
    if named.is_empty() { "the system's certificate authorities".to_owned() } else { named.join(" or ") }
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
            let key_der = PrivateKeyDer::from_pem_reader(opened("mqtt.client_key_file", key)?)
                .map_err(|error| anyhow!("{}: {error}", unreadable("mqtt.client_key_file", key)))?;
            builder
                .with_client_auth_cert(chain, key_der)
                .with_context(|| format!("client certificate {} and key {}", cert.display(), key.display()))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}

fn certificates(setting: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_reader_iter(opened(setting, path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| anyhow!("{}: {error}", unreadable(setting, path)))?;
    if certificates.is_empty() {
        return Err(anyhow!("{setting} {} holds no PEM certificate", path.display()));
    }
    Ok(certificates)
}

fn opened(setting: &str, path: &Path) -> anyhow::Result<File> {
    files::open(path).map_err(|reason| anyhow!("{setting} {}: {reason}", path.display()))
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::daemon::settings::Broker;

    fn settings(is_tls: bool, mqtt: MqttSettings) -> Arc<LinkSettings> {
        Arc::new(LinkSettings {
            broker: Broker { host: "broker".into(), port: 1883, is_tls },
            mqtt,
            client_id: "id".into(),
            status_topic: "status".into(),
            probe_topic: "probe".into(),
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            max_payload_bytes: 1,
        })
    }

    #[tokio::test]
    async fn files_that_do_not_answer_end_the_attempt_and_take_one_thread() {
        let password_file = Some(PathBuf::from("/mnt/away/password"));
        let settings = settings(false, MqttSettings { password_file, ..MqttSettings::default() });
        let mut reader = Reader::default();
        let (answer, silence) = mpsc::channel::<()>();
        let hanging = move |settings: &LinkSettings| {
            silence.recv()?;
            credentials(settings)
        };
        let soon = || Instant::now() + Duration::from_millis(10);
        let error = reader.read(&settings, soon(), hanging).await.err().unwrap();
        assert_eq!(error.kind(), "setup");
        assert!(error.to_string().contains("mqtt.password_file /mnt/away/password"), "{error}");
        let second = reader.read(&settings, soon(), |_| panic!("a second thread"));
        assert!(second.await.is_err(), "the first is still waited for");
        answer.send(()).unwrap();
        let long = Instant::now() + Duration::from_mins(1);
        assert!(reader.read(&settings, long, credentials).await.is_ok());
    }

    #[test]
    fn files_that_everybody_may_change_are_refused_at_each_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "secret").unwrap();
        let path = Some(file.clone());
        let with_password = MqttSettings {
            username: Some("user".into()),
            password_file: path.clone(),
            ..MqttSettings::default()
        };
        let with_ca = MqttSettings { ca_file: path, ..MqttSettings::default() };
        let reason = |is_tls, mqtt: &MqttSettings| {
            credentials(&settings(is_tls, mqtt.clone())).err().map(|error| format!("{error:#}"))
        };
        assert_eq!(reason(false, &with_password), None);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        for (setting, reason) in
            [("mqtt.password_file", reason(false, &with_password)), ("mqtt.ca_file", reason(true, &with_ca))]
        {
            let reason = reason.unwrap();
            assert!(reason.contains(setting) && reason.contains("chmod o-w"), "{reason}");
        }
    }
}
