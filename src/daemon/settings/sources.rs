//! `[[source]]`: rules as they are written, each value with its line. What they mean is checked by
//! [`Rule::new`](crate::domain::Rule::new) and what belongs to the bundle when that is loaded.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::nearest;
use super::problem::Problem;
use crate::domain::source::{ConversionSpec, MAX_RULES, RuleProblem};
use crate::domain::{Rule, RuleSpec, ZoneSpec};

/// The name of the section.
pub(super) const SECTION: &str = "source";
/// Everything a rule can have.
const KEYS: [&str; 23] = [
    "name",
    "topic",
    "kind",
    "fallback",
    "settle",
    "unit",
    "unit_at",
    "unit_tag",
    "metric",
    "rebirth",
    "sensor",
    "sensor_at",
    "sensor_tag",
    "at",
    "value",
    "time",
    "time_format",
    "zone",
    "rename",
    "units",
    "ignore",
    "sensors",
    "overrides",
];
/// Everything the conversion of a sensor can have.
const CONVERSION_KEYS: [&str; 5] = ["from", "scale", "offset", "invalid", "words"];

/// One rule as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceSettings {
    /// The rule.
    pub spec: RuleSpec,
    /// File and line where it begins.
    pub origin: String,
}

impl SourceSettings {
    /// A problem of this rule as one of the configuration.
    pub(in crate::daemon) fn problem(&self, found: RuleProblem) -> Problem {
        let RuleProblem { key, value, reason, remedy } = found;
        let key = format!("source \"{}\" {key}", self.spec.name);
        Problem { key, value, reason, remedy, origin: Some(self.origin.clone()) }
    }
}

/// Reads the rules of a file whose text is sound TOML.
pub(super) fn read(text: &str, file: &str, problems: &mut Vec<Problem>) -> Vec<SourceSettings> {
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let Some(section) = document.get_ref().iter().find(|(key, _)| key.get_ref() == SECTION) else {
        return Vec::new();
    };
    let place = Place { text, file, rule: SECTION.to_owned() };
    let DeValue::Array(list) = section.1.get_ref() else {
        let remedy = "write [[source]] with two brackets, once for each rule";
        problems.push(Problem::new(SECTION, None, "is a list of rules", remedy));
        return Vec::new();
    };
    if list.len() > MAX_RULES {
        let reason = format!("has {} rules, more than {MAX_RULES}", list.len());
        let remedy =
            "one rule can serve many units and sensors: {unit} and {sensor} in its topic, [source.rename]";
        problems.push(Problem::new(SECTION, None, reason, remedy));
        return Vec::new();
    }
    let mut sources: Vec<SourceSettings> = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let mut place = Place { rule: format!("{SECTION} {}", index + 1), ..place };
        let DeValue::Table(table) = entry.get_ref() else {
            problems.push(place.problem("", entry, "is no table", "write [[source]] and its keys below"));
            continue;
        };
        let spec = rule(table, index, &mut place, problems);
        if sources.iter().any(|other| other.spec.name == spec.name) {
            let reason = "is the name of an earlier rule too";
            problems.push(place.problem("name", entry, reason, "give each rule a name of its own"));
        }
        sources.push(SourceSettings { spec, origin: place.origin(entry) });
    }
    sources
}

/// Checks each rule by itself; those that are sound, in their order.
pub(super) fn check(sources: &[SourceSettings], zone: &ZoneSpec, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let checked = sources.iter().map(|source| (source, Rule::new(source.spec.clone(), zone)));
    let mut rules = Vec::new();
    for (source, outcome) in checked {
        match outcome {
            Ok(rule) => rules.push(rule),
            Err(found) => problems.extend(found.into_iter().map(|problem| source.problem(problem))),
        }
    }
    rules
}

/// Where something stands, for messages.
struct Place<'t> {
    text: &'t str,
    file: &'t str,
    rule: String,
}

impl Place<'_> {
    fn origin<T>(&self, value: &Spanned<T>) -> String {
        let before = self.text.get(..value.span().start).unwrap_or_default();
        format!("{} line {}", self.file, before.matches('\n').count() + 1)
    }

    fn problem<T>(
        &self,
        key: &str,
        value: &Spanned<T>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let key = format!("{} {key}", self.rule).trim_end().to_owned();
        Problem { origin: Some(self.origin(value)), ..Problem::new(key, None, reason, remedy) }
    }
}

type Entry<'a, 't> = (&'a str, &'a Spanned<DeValue<'t>>);

fn entries<'a, 't>(table: &'a DeTable<'t>) -> impl Iterator<Item = Entry<'a, 't>> {
    table.iter().map(|(key, value)| (key.get_ref().as_ref(), value))
}

fn rule(table: &DeTable<'_>, index: usize, place: &mut Place<'_>, problems: &mut Vec<Problem>) -> RuleSpec {
    let named =
        entries(table).find(|(key, _)| *key == "name").and_then(|(_, value)| value.get_ref().as_str());
    let mut spec = RuleSpec { name: (index + 1).to_string(), ..RuleSpec::default() };
    if let Some(name) = named {
        name.clone_into(&mut spec.name);
        place.rule = format!("{SECTION} \"{name}\"");
    }
    let mut read = Reading { place, problems };
    for (key, value) in entries(table) {
        match key {
            "name" => drop(read.text(key, value)),
            "topic" => spec.topic = read.text(key, value).unwrap_or_default(),
            "kind" => spec.kind = read.text(key, value).unwrap_or_default(),
            "fallback" => spec.fallback = read.flag(key, value).unwrap_or_default(),
            "settle" => spec.settle = read.flag(key, value),
            "unit" => spec.unit = read.text(key, value),
            "unit_at" => spec.unit_at = read.text(key, value),
            "unit_tag" => spec.unit_tag = read.text(key, value),
            "metric" => spec.metric = read.text(key, value),
            "rebirth" => spec.rebirth = read.flag(key, value),
            "sensor_tag" => spec.sensor_tag = read.text(key, value),
            "sensor" => spec.sensor = read.text(key, value),
            "sensor_at" => spec.sensor_at = read.text(key, value),
            "at" => spec.at = read.text(key, value),
            "value" => spec.value = read.text(key, value),
            "time" => spec.time = read.text(key, value),
            "time_format" => spec.time_format = read.text(key, value),
            "zone" => spec.zone = read.text(key, value),
            "rename" => spec.rename = read.table(key, value, Reading::text),
            "units" => spec.units = read.table(key, value, Reading::text),
            "ignore" => spec.ignore = read.list(key, value, Reading::text),
            "sensors" => spec.sensors = read.table(key, value, Reading::conversion),
            "overrides" => {
                spec.overrides = read
                    .table(key, value, |read, key, value| Some(read.table(key, value, Reading::conversion)));
            }
            _ => read.unknown(key, key, value, &KEYS),
        }
    }
    spec
}

/// Reads values and notes what is wrong with them.
struct Reading<'p, 't> {
    place: &'p Place<'t>,
    problems: &'p mut Vec<Problem>,
}

impl Reading<'_, '_> {
    fn refuse(&mut self, key: &str, value: &Spanned<DeValue<'_>>, reason: &str) {
        let found = value.get_ref().type_str();
        let reason = format!("{reason}, not {found}");
        self.problems.push(self.place.problem(key, value, reason, "correct it, or remove the line"));
    }

    fn unknown(&mut self, path: &str, key: &str, value: &Spanned<DeValue<'_>>, known: &[&str]) {
        let remedy = match nearest(key, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        self.problems.push(self.place.problem(path, value, "there is no such key", remedy));
    }

    fn text(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse(key, value, "must be a text in quotes");
        }
        text
    }

    fn flag(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.refuse(key, value, "must be true or false");
        }
        flag
    }

    fn number(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.to_string().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.refuse(key, value, "must be a decimal number");
        }
        number
    }

    fn list<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        mut read: impl FnMut(&mut Self, &str, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Vec<T> {
        let Some(list): Option<&DeArray<'_>> = value.get_ref().as_array() else {
            self.refuse(key, value, "must be a list in brackets");
            return Vec::new();
        };
        list.iter().filter_map(|entry| read(self, key, entry)).collect()
    }

    fn table<T>(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        mut read: impl FnMut(&mut Self, &str, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> BTreeMap<String, T> {
        let Some(table) = value.get_ref().as_table() else {
            let reason = format!("must be a table: [source.{key}] with its entries below");
            self.refuse(key, value, &reason);
            return BTreeMap::new();
        };
        let each = |(name, value): Entry<'_, '_>| {
            Some((name.to_owned(), read(self, &format!("{key}.{name}"), value)?))
        };
        entries(table).filter_map(each).collect()
    }

    fn conversion(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<ConversionSpec> {
        let Some(table) = value.get_ref().as_table() else {
            self.refuse(key, value, "must be a table such as { from = \"degF\" }");
            return None;
        };
        let mut spec = ConversionSpec::default();
        for (name, value) in entries(table) {
            let path = format!("{key}.{name}");
            match name {
                "from" => spec.from = self.text(&path, value),
                "scale" => spec.scale = self.number(&path, value),
                "offset" => spec.offset = self.number(&path, value),
                "invalid" => spec.invalid = self.list(&path, value, Self::number),
                "words" => spec.words = self.table(&path, value, Self::number),
                _ => self.unknown(&path, name, value, &CONVERSION_KEYS),
            }
        }
        Some(spec)
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
