//! Topics of Sparkplug: `spBv1.0/GROUP/TYPE/NODE` and `spBv1.0/GROUP/TYPE/NODE/DEVICE`.

use crate::domain::topic::is_unfit;

/// The first level of all topics.
const NAMESPACE: &str = "spBv1.0";

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Birth,
    Data,
    Death,
}

/// Who sent a message, by its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sender<'t> {
    pub(super) group: &'t str,
    pub(super) edge: &'t str,
    pub(super) device: Option<&'t str>,
    pub(super) verb: Verb,
}

impl<'t> Sender<'t> {
    /// The sender, unless the topic is that of a command or of something else that tells no values.
    pub(super) fn of(topic: &'t str) -> Option<Self> {
        let mut levels = topic.split('/');
        levels.next().filter(|level| *level == NAMESPACE)?;
        let (group, verb, edge, device) = (levels.next()?, levels.next()?, levels.next()?, levels.next());
        let (verb, is_of_device) = match verb {
            "NBIRTH" => (Verb::Birth, false),
            "DBIRTH" => (Verb::Birth, true),
            "NDATA" => (Verb::Data, false),
            "DDATA" => (Verb::Data, true),
            "NDEATH" => (Verb::Death, false),
            "DDEATH" => (Verb::Death, true),
            _ => return None,
        };
        let is_sound = levels.next().is_none() && device.is_some() == is_of_device && !edge.is_empty();
        is_sound.then_some(Self { group, edge, device, verb })
    }

    /// The node's name over all groups.
    pub(super) fn node(&self) -> String {
        format!("{}/{}", self.group, self.edge)
    }

    /// Where the node takes commands, if one may publish there.
    pub(super) fn command_topic(&self) -> Option<String> {
        let topic = format!("{NAMESPACE}/{}/NCMD/{}", self.group, self.edge);
        (!topic.contains(is_unfit)).then_some(topic)
    }
}

/// What is wrong with the topics of a rule and what to do about it, if anything is.
pub(super) fn problem(topic: &str) -> Option<(&'static str, &'static str)> {
    let levels: Vec<&str> = topic.split('/').collect();
    if levels.first() != Some(&NAMESPACE) || !matches!(levels.len(), 4 | 5) || levels.get(3) == Some(&"#") {
        let remedy = "write spBv1.0/GROUP/+/NODE for what nodes say themselves, spBv1.0/GROUP/+/NODE/DEVICE for \
                      their devices, spBv1.0/GROUP/+/NODE/# for both";
        return Some(("is no topic of Sparkplug B", remedy));
    }
    let is_any = levels.get(2) == Some(&"+");
    (!is_any).then_some((
        "asks for one type of messages; what they mean is said in others",
        "write `+` for the third level, the type of message",
    ))
}

/// Where the nodes of a rule with this filter take commands.
pub(in super::super) fn commands(filter: &str) -> String {
    let levels: Vec<&str> = filter.split('/').take(4).collect();
    levels
        .iter()
        .enumerate()
        .map(|(at, level)| if at == 2 { "NCMD" } else { *level })
        .collect::<Vec<_>>()
        .join("/")
}

/// What has to be subscribed for a rule: everything that its nodes and their devices send, as BIRTHs and numbers of
/// messages belong to the node as a whole.
pub(in super::super) fn subscription(filter: &str) -> String {
    let mut levels: Vec<&str> = filter.split('/').take(4).collect();
    levels.push("#");
    levels.join("/")
}
