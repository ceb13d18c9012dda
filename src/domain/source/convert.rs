//! What is done to one sensor's values on their way in: words and sentinels, scale and offset, the unit.

use super::spec::{ConversionSpec, RuleProblem};
use super::units::Change;
use crate::domain::json::number;
use crate::domain::reject::RejectReason;

/// Most sentinels of one sensor: devices have one or two.
const MAX_INVALID: usize = 16;
/// Most words of one sensor: the modes of a controller.
const MAX_WORDS: usize = 32;

/// One sensor's conversion: `raw * scale + offset`, then from the source's unit to the bundle's.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Conversion {
    linear: Option<(f64, f64)>,
    change: Option<Change>,
    invalid: Vec<f64>,
    words: Vec<(String, f64)>,
}

impl Conversion {
    /// Checks a conversion to the unit `to`. What is wrong is added to `problems` under `key`.
    pub(super) fn new(spec: &ConversionSpec, to: &str, key: &str, problems: &mut Vec<RuleProblem>) -> Self {
        let mut change = None;
        if let Some(from) = &spec.from {
            match Change::between(from, to) {
                Ok(found) => change = found,
                Err((reason, remedy)) => {
                    problems.push(RuleProblem::new(format!("{key}.from"), Some(from), reason, remedy));
                }
            }
        }
        check(spec, key, problems);
        let is_linear = spec.scale.is_some() || spec.offset.is_some();
        Self {
            linear: is_linear.then(|| (spec.scale.unwrap_or(1.0), spec.offset.unwrap_or(0.0))),
            change,
            invalid: spec.invalid.clone(),
            words: spec.words.iter().map(|(word, value)| (word.clone(), *value)).collect(),
        }
    }

    /// The value of a raw text: a number, a number in quotes, or one of the words.
    pub(super) fn read(&self, raw: &str) -> Result<f64, RejectReason> {
        match self.word(unquoted(raw)) {
            Some(value) => Ok(value),
            None => self.apply(plain(raw)?),
        }
    }

    /// The number that a word stands for.
    pub(super) fn word(&self, text: &str) -> Option<f64> {
        let word = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        word.map(|(_, value)| *value)
    }

    /// The value of a raw number.
    pub(super) fn apply(&self, raw: f64) -> Result<f64, RejectReason> {
        if self.invalid.contains(&raw) {
            return Err(RejectReason::SentinelValue);
        }
        let scaled = self.linear.map_or(raw, |(scale, offset)| raw * scale + offset);
        let value = self.change.map_or(scaled, |change| change.apply(scaled));
        if value.is_finite() { Ok(value) } else { Err(RejectReason::NotFinite) }
    }
}

/// A raw text as a number, in quotes or not.
pub(super) fn plain(raw: &str) -> Result<f64, RejectReason> {
    // The mark of a bare NaN stands in quotes too; it is judged as it is.
    match number(raw) {
        Err(RejectReason::NotANumber) => number(unquoted(raw)),
        other => other,
    }
}

fn unquoted(raw: &str) -> &str {
    raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw).trim()
}

fn check(spec: &ConversionSpec, key: &str, problems: &mut Vec<RuleProblem>) {
    let mut refuse = |part: &str, value: String, reason: String, remedy: &str| {
        let (key, remedy) = (format!("{key}.{part}"), remedy.to_owned());
        problems.push(RuleProblem { key, value: Some(value), reason, remedy });
    };
    if let Some(scale) = spec.scale.filter(|scale| !scale.is_finite() || *scale == 0.0) {
        refuse(
            "scale",
            scale.to_string(),
            "makes every value the same".to_owned(),
            "use a number other than 0",
        );
    }
    if let Some(offset) = spec.offset.filter(|offset| !offset.is_finite()) {
        refuse("offset", offset.to_string(), "is no number".to_owned(), "use a finite number");
    }
    if spec.invalid.len() > MAX_INVALID {
        let reason = format!("lists more than {MAX_INVALID} numbers");
        refuse(
            "invalid",
            format!("{} numbers", spec.invalid.len()),
            reason,
            "the sensor's `accept` range catches the rest",
        );
    }
    if spec.words.len() > MAX_WORDS {
        let reason = format!("lists more than {MAX_WORDS} words");
        refuse("words", format!("{} words", spec.words.len()), reason, "keep those that the device sends");
    }
    if let Some((word, value)) = spec.words.iter().find(|(_, value)| !value.is_finite()) {
        refuse("words", format!("{word} = {value}"), "is no number".to_owned(), "use a finite number");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversion(spec: &ConversionSpec) -> Conversion {
        let mut problems = Vec::new();
        let conversion = Conversion::new(spec, "degC", "sensors.T", &mut problems);
        assert_eq!(problems, []);
        conversion
    }

    #[test]
    fn scaled_first_and_then_converted() {
        let tenths = ConversionSpec {
            from: Some("degF".into()),
            scale: Some(0.1),
            offset: Some(2.0),
            invalid: vec![32767.0, -999.0],
            words: [("off".to_owned(), 0.0)].into(),
        };
        let conversion = conversion(&tenths);
        assert_eq!(conversion.read("2100"), Ok(100.0));
        assert_eq!(conversion.read("\"2100\""), Ok(100.0));
        assert_eq!(conversion.read("-999.0"), Err(RejectReason::SentinelValue));
        assert_eq!(conversion.read("32767"), Err(RejectReason::SentinelValue));
        assert_eq!(conversion.read("\"OFF\""), Ok(0.0), "words are values already");
        assert_eq!(conversion.read("true"), Err(RejectReason::NotANumber));
        assert_eq!(conversion.read("1e308"), Ok((1e308 * 0.1 + 2.0 - 32.0) * 5.0 / 9.0));
    }

    #[test]
    fn an_override_keeps_what_it_does_not_say() {
        let base =
            ConversionSpec { from: Some("degF".into()), invalid: vec![1.0], ..ConversionSpec::default() };
        let own = ConversionSpec { offset: Some(0.5), ..ConversionSpec::default() };
        let both = own.over(&base);
        assert_eq!((both.from.as_deref(), both.offset, both.invalid), (Some("degF"), Some(0.5), vec![1.0]));
    }

    #[test]
    fn everything_wrong_is_said() {
        let spec = ConversionSpec {
            from: Some("gpm".into()),
            scale: Some(0.0),
            offset: Some(f64::NAN),
            invalid: vec![0.0; 17],
            words: [("on".to_owned(), f64::INFINITY)].into(),
        };
        let mut problems = Vec::new();
        let _ = Conversion::new(&spec, "degC", "sensors.T", &mut problems);
        let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(
            keys,
            ["from", "scale", "offset", "invalid", "words"].map(|key| format!("sensors.T.{key}"))
        );
    }
}
