//! What the names in a request mean: sensors, channels that measure targets, features.

use std::collections::HashMap;

use crate::bundle::Manifest;
use crate::bundle::manifest::Missing;

/// What a name stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    /// Place among everything that has a name, for telling what came twice.
    pub(super) place: usize,
    /// A sensor, or a channel that measures a target.
    pub(super) channel: Option<usize>,
    /// A feature of the models; for sensors that are features as they are, both.
    pub(super) feature: Option<usize>,
}

/// All names of a bundle.
#[derive(Debug)]
pub(super) struct Names {
    meanings: HashMap<Box<str>, Meaning>,
    channels: Vec<String>,
    pub(super) features: usize,
    /// Channels without which nothing is predicted.
    pub(super) required: Vec<usize>,
}

impl Names {
    pub(super) fn new(manifest: &Manifest) -> Self {
        let channels: Vec<String> = manifest.channels().into_iter().map(str::to_owned).collect();
        let mut meanings: HashMap<Box<str>, Meaning> = HashMap::new();
        for (channel, name) in channels.iter().enumerate() {
            meanings.entry(name.as_str().into()).or_default().channel = Some(channel);
        }
        for (feature, spec) in manifest.features.iter().enumerate() {
            meanings.entry(spec.name.as_str().into()).or_default().feature = Some(feature);
        }
        for (place, meaning) in meanings.values_mut().enumerate() {
            meaning.place = place;
        }
        let sensors = manifest.sensors.iter();
        let required = sensors.enumerate().filter(|(_, sensor)| sensor.missing == Missing::Required);
        Self {
            features: manifest.features.len(),
            required: required.map(|(channel, _)| channel).collect(),
            meanings,
            channels,
        }
    }

    /// What a name means.
    pub(super) fn get(&self, name: &str) -> Option<Meaning> {
        self.meanings.get(name).copied()
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.meanings.len()
    }

    /// How many channels there are.
    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Name of a channel.
    pub(super) fn channel(&self, channel: usize) -> &str {
        self.channels.get(channel).map_or("", String::as_str)
    }

    /// The name most like one that there is not.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        /// Names less alike than this are no help.
        const ALIKE: f64 = 0.8;
        /// Longer ones than any sensor's are no slip of the pen, and would take long to compare.
        const LONGEST: usize = 64;
        if name.len() > LONGEST {
            return None;
        }
        self.meanings
            .keys()
            .map(|known| (strsim::jaro_winkler(known, name), known))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
            .map(|(_, known)| known.as_ref())
    }
}
