//! Writing the format: `HELP` and `TYPE` once a family, then its samples.

use std::fmt::Write;

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    pub(super) text: String,
    family: &'static str,
}

impl Exposition {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &'static str, help: &str, kind: &str) -> &mut Self {
        // Writing to a String cannot fail; help texts have neither line ends nor backslashes.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        self.family = name;
        self
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.family(name, help, "gauge")
    }

    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> &mut Self {
        self.family(name, help, "counter")
    }

    /// Adds a sample of the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.part("", labels, value);
    }

    /// Adds a sample under the family's name with an ending.
    pub(super) fn part(&mut self, ending: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.family);
        self.text.push_str(ending);
        for (place, (name, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value {
            value if value.is_nan() => writeln!(self.text, " NaN"),
            f64::INFINITY => writeln!(self.text, " +Inf"),
            f64::NEG_INFINITY => writeln!(self.text, " -Inf"),
            value => writeln!(self.text, " {value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_numbers_are_those_of_the_format() {
        let mut out = Exposition::default();
        out.gauge("a", "What it is.").sample(&[("x", "1\\2\"3\n4"), ("y", "ü")], 1.5);
        out.sample(&[], f64::NAN);
        out.part("_sum", &[], f64::INFINITY);
        assert_eq!(
            out.text,
            "# HELP a What it is.\n# TYPE a gauge\na{x=\"1\\\\2\\\"3\\n4\",y=\"ü\"} 1.5\na NaN\na_sum +Inf\n"
        );
    }
}
