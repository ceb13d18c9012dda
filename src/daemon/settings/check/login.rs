//! Who the daemon says it is, and the files that prove it.

use super::Broker;
use crate::daemon::settings::MqttSettings;
use crate::daemon::settings::files::{self, Content};
use crate::daemon::settings::problem::Problem;

/// Checks user, password and the files of TLS.
pub(super) fn check(
    mqtt: &MqttSettings,
    broker: Option<&Broker>,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) {
    if mqtt.password.is_some() && mqtt.password_file.is_some() {
        let reason = "stands beside mqtt.password";
        problems.push(Problem::new("mqtt.password_file", None, reason, "keep one of the two"));
    }
    if mqtt.username.is_none() && (mqtt.password.is_some() || mqtt.password_file.is_some()) {
        let reason = "is missing, but a password is set";
        problems.push(Problem::new("mqtt.username", None, reason, "set the user the password belongs to"));
    }
    if mqtt.client_cert_file.is_some() != mqtt.client_key_file.is_some() {
        let (key, other) = if mqtt.client_cert_file.is_some() {
            ("mqtt.client_key_file", "mqtt.client_cert_file")
        } else {
            ("mqtt.client_cert_file", "mqtt.client_key_file")
        };
        problems.push(Problem::new(key, None, format!("is missing beside {other}"), "set both or neither"));
    }
    if mqtt.client_id.as_deref() == Some("") {
        let reason = "would give the broker nothing to keep messages under";
        problems.push(Problem::new(
            "mqtt.client_id",
            "\"\"".to_owned(),
            reason,
            "name it or remove the line",
        ));
    }
    let named = [
        ("mqtt.password_file", &mqtt.password_file, Content::Secret),
        ("mqtt.ca_file", &mqtt.ca_file, Content::Public),
        ("mqtt.client_cert_file", &mqtt.client_cert_file, Content::Public),
        ("mqtt.client_key_file", &mqtt.client_key_file, Content::Secret),
    ];
    for (key, path, content) in named {
        let Some(path) = path else { continue };
        match files::inspect(path, content) {
            Ok(None) => {}
            Ok(Some(warning)) => warnings.push(format!("{key} {warning}")),
            Err(reason) => {
                let remedy = "name a file that this user may read and nobody else may change";
                problems.push(Problem::new(key, super::quoted(path), reason, remedy));
            }
        }
        if key != "mqtt.password_file" && broker.is_some_and(|broker| !broker.is_tls) {
            warnings.push(format!("{key} has no effect with mqtt://; use mqtts:// for TLS"));
        }
    }
}
