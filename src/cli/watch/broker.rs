//! The daemon by way of the broker: messages by their topics into news.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::news::{Declared, News};
use crate::bundle::Manifest;
use crate::bundle::manifest::MANIFEST_FILE;
use crate::daemon::settings::{Checked, Settings};
use crate::daemon::{Sight, observe};
use crate::folder::BUNDLE_PLACES;

/// How often the daemon is asked how it is: what it answers looks alive, and costs it nothing to speak of.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// Messages seen and not taken in yet. Beyond it the broker waits.
const WAITING: usize = 64;
/// Longest `bundle.toml` that is looked into for the units of the targets.
const MAX_MANIFEST_BYTES: u64 = 4 * 1024 * 1024;

/// What a message says; nothing if it is none of a daemon.
fn news_of(checked: &Checked, topic: &str, payload: &[u8], is_kept: bool) -> Option<News> {
    let daemon = &checked.topics;
    let units = &checked.engine.topics;
    let document = || serde_json::from_slice::<Value>(payload).ok();
    // An empty retained message takes back what stood there.
    let retained = || if payload.is_empty() { Some(None) } else { document().map(Some) };
    if topic == daemon.status {
        return match payload {
            b"online" => Some(News::Status { is_online: true }),
            b"offline" => Some(News::Status { is_online: false }),
            _ => None,
        };
    }
    if topic == daemon.health || topic == daemon.response("health") {
        // One that is kept is of another time.
        return if is_kept { None } else { document().map(News::Health) };
    }
    if let Some(id) = topic.strip_prefix(&daemon.alarms).and_then(|rest| rest.strip_prefix('/')) {
        return Some(News::Alarm { unit: None, id: id.to_owned(), document: retained()? });
    }
    if let Some((unit, _)) = units.prediction.capture(topic, "unit", "") {
        return Some(News::Prediction { unit: unit.to_owned(), document: document()?, is_kept });
    }
    if let Some((unit, _)) = units.state.capture(topic, "unit", "") {
        return Some(News::State { unit: unit.to_owned(), document: retained()? });
    }
    let (unit, id) = units.alarm.capture(topic, "unit", "alarm")?;
    Some(News::Alarm { unit: Some(unit.to_owned()), id: id.to_owned(), document: retained()? })
}

/// What the configured bundle declares, where it is on this machine. Without it numbers have no units of measurement,
/// which is no reason not to show them.
pub(super) fn declared(bundle: Option<&Path>) -> Option<Declared> {
    let folder = bundle.or_else(|| BUNDLE_PLACES.iter().map(Path::new).find(|path| path.is_dir()))?;
    let mut text = String::new();
    let file = std::fs::File::open(folder.join(MANIFEST_FILE)).ok()?;
    file.take(MAX_MANIFEST_BYTES).read_to_string(&mut text).ok()?;
    Some(Declared::from(&Manifest::parse(&text).ok()?))
}

/// Tells what is seen until nobody listens any more.
pub(super) async fn tell(settings: Settings, checked: Checked, news: mpsc::Sender<News>) {
    let (sender, mut sights) = mpsc::channel(WAITING);
    let look = observe(&settings, &checked, ASK_EVERY, sender);
    let pass_on = async {
        loop {
            let sight = tokio::select! {
                Some(sight) = sights.recv() => sight,
                () = news.closed() => break,
            };
            let piece = match sight {
                Sight::Connected { refused } => Some(News::Connected { refused }),
                Sight::Lost { problem, error } => Some(News::Lost { problem, reason: error }),
                Sight::Message { topic, payload, is_retained } => {
                    news_of(&checked, &topic, &payload, is_retained)
                }
            };
            if let Some(piece) = piece
                && news.send(piece).await.is_err()
            {
                break;
            }
        }
        // Lets the observer take leave of the broker.
        sights.close();
    };
    tokio::join!(look, pass_on);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn topics_say_what_a_message_is() {
        let mut settings = Settings::default();
        settings.bundle.path = Some("/".into());
        settings.topics.prediction = "site/{unit}/forecast".to_owned();
        let checked = settings.check().unwrap();
        let news = |topic, payload: &str| news_of(&checked, topic, payload.as_bytes(), false);
        let (unit, document) = ("c1".to_owned(), json!({"a": 1}));
        assert_eq!(news("cooltwin/main/status", "offline"), Some(News::Status { is_online: false }));
        assert_eq!(news("cooltwin/main/status", "strange"), None);
        assert_eq!(news("cooltwin/main/health", r#"{"a":1}"#), Some(News::Health(document.clone())));
        assert_eq!(
            news("cooltwin/main/cmd/health/response", r#"{"a":1}"#),
            Some(News::Health(document.clone()))
        );
        assert_eq!(news_of(&checked, "cooltwin/main/health", b"{}", true), None, "of another time");
        assert_eq!(
            news("site/c1/forecast", r#"{"a":1}"#),
            Some(News::Prediction { unit: unit.clone(), document: document.clone(), is_kept: false })
        );
        assert_eq!(
            news("hvac/c1/state", r#"{"a":1}"#),
            Some(News::State { unit: unit.clone(), document: Some(document.clone()) })
        );
        assert_eq!(news("hvac/c1/state", ""), Some(News::State { unit: unit.clone(), document: None }));
        assert_eq!(
            news("hvac/c1/alarms/unit_silent", r#"{"a":1}"#),
            Some(News::Alarm { unit: Some(unit), id: "unit_silent".to_owned(), document: Some(document) })
        );
        assert_eq!(
            news("cooltwin/main/alarms/source_silent", ""),
            Some(News::Alarm { unit: None, id: "source_silent".to_owned(), document: None })
        );
        for nothing in ["hvac/c1/predictions", "cooltwin/other/health", "", "hvac/c1"] {
            assert_eq!(news(nothing, "{}"), None, "{nothing}");
        }
        assert_eq!(news("hvac/c1/state", "no JSON"), None);
    }

    #[test]
    fn a_bundle_that_is_here_declares_its_targets() {
        let declared = declared(Some(Path::new("models/unit-cooler"))).unwrap();
        let air_flow = declared.targets.iter().find(|target| target.name == "UCAF").unwrap();
        assert_eq!((declared.bundle.as_str(), air_flow.unit.as_str()), ("unit-cooler", "m3/h"));
        assert_eq!(super::declared(Some(Path::new("/nonexistent"))), None);
    }
}
