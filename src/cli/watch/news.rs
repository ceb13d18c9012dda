//! What a source tells of the daemon, whichever way it comes.

use serde_json::Value;

use crate::bundle::Manifest;

/// A target as the bundle declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    /// Unit of measurement; empty when not known.
    pub(super) unit: String,
}

/// What a bundle says of its targets: prediction documents have no units of measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Of which bundle.
    pub(super) bundle: String,
    pub(super) targets: Vec<Target>,
}

impl From<&Manifest> for Declared {
    fn from(manifest: &Manifest) -> Self {
        let targets = manifest.targets.iter();
        let targets = targets.map(|target| Target { name: target.name.clone(), unit: target.unit.clone() });
        Self { bundle: manifest.id.clone(), targets: targets.collect() }
    }
}

/// One piece of news. Documents are as they came: whoever shows them makes them safe first.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    /// The way to the daemon is open.
    Connected {
        /// Topics whose subscription the broker refused.
        refused: Vec<String>,
    },
    /// The way is closed; it is tried again.
    Lost {
        /// The cause in a word.
        problem: &'static str,
        /// The cause in words.
        reason: String,
    },
    /// What the broker holds of the daemon.
    Status { is_online: bool },
    /// What the targets are.
    Declared(Declared),
    /// The health document.
    Health(Value),
    /// All that is known so far, as `GET /events` begins.
    Snapshot(Value),
    /// A prediction document; when it was kept somewhere, its age is in its time.
    Prediction { unit: String, document: Value, is_kept: bool },
    /// A state document; `None` when the unit is forgotten.
    State { unit: String, document: Option<Value> },
    /// An alarm document, of a unit or of the daemon; `None` when it is over.
    Alarm { unit: Option<String>, id: String, document: Option<Value> },
    /// So many events were missed.
    Missed(u64),
}

impl News {
    /// Its name in JSON lines.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Lost { .. } => "lost",
            Self::Status { .. } => "status",
            Self::Declared(_) => "declared",
            Self::Health(_) => "health",
            Self::Snapshot(_) => "snapshot",
            Self::Prediction { .. } => "prediction",
            Self::State { .. } => "state",
            Self::Alarm { .. } => "alarm",
            Self::Missed(_) => "missed",
        }
    }

    /// Whose it is, if it is of a unit.
    pub(super) fn unit(&self) -> Option<&str> {
        match self {
            Self::Prediction { unit, .. } | Self::State { unit, .. } => Some(unit),
            Self::Alarm { unit, .. } => unit.as_deref(),
            _ => None,
        }
    }
}
