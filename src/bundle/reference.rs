//! `reference.json`: how features and residuals were distributed in training.

use serde::Deserialize;

/// Name of the file in a bundle folder.
pub const REFERENCE_FILE: &str = "reference.json";

/// The histograms of a bundle's training data.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Schema number, 1.
    pub schema: u32,
    /// Rows counted.
    pub rows: u64,
    /// One histogram a feature.
    pub features: Vec<Histogram>,
    /// One histogram a target: measured minus predicted.
    pub residuals: Vec<Histogram>,
}

/// One channel's histogram; bins are open-ended at both sides.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Feature or target.
    pub name: String,
    /// Smallest value seen; none when the feature was always missing.
    pub min: Option<f64>,
    /// Largest value seen.
    pub max: Option<f64>,
    /// Ascending bin edges, n of them.
    pub edges: Vec<f64>,
    /// Rows in each of the n + 1 bins.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// The range seen in training.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        self.min.zip(self.max)
    }
}

impl Reference {
    /// Parses and checks the file against the bundle's feature and target names.
    ///
    /// # Errors
    /// Every problem found.
    pub fn parse(bytes: &[u8], features: &[&str], targets: &[&str]) -> Result<Self, Vec<String>> {
        let reference: Self =
            serde_json::from_slice(bytes).map_err(|error| vec![format!("{REFERENCE_FILE}: {error}")])?;
        let mut problems = Vec::new();
        if reference.schema != 1 {
            problems.push(format!("{REFERENCE_FILE}: schema is {}, this program reads 1", reference.schema));
        }
        for (list, histograms, names) in
            [("features", &reference.features, features), ("residuals", &reference.residuals, targets)]
        {
            let found: Vec<&str> = histograms.iter().map(|histogram| histogram.name.as_str()).collect();
            if found != names {
                problems
                    .push(format!("{REFERENCE_FILE}: {list} are {found:?}, the bundle declares {names:?}"));
            }
            problems.extend(histograms.iter().filter_map(|histogram| problem_of(list, histogram)));
        }
        if problems.is_empty() { Ok(reference) } else { Err(problems) }
    }
}

fn problem_of(list: &str, histogram: &Histogram) -> Option<String> {
    let place = format!("{REFERENCE_FILE}: {list} `{}`", histogram.name);
    if histogram.counts.len() != histogram.edges.len() + 1 {
        let (edges, counts) = (histogram.edges.len(), histogram.counts.len());
        return Some(format!("{place}: {edges} edges want {} counts, found {counts}", edges + 1));
    }
    let ascending = histogram.edges.iter().zip(histogram.edges.iter().skip(1)).all(|(a, b)| a < b);
    let finite = histogram.edges.iter().all(|edge| edge.is_finite());
    (!ascending || !finite).then(|| format!("{place}: edges must be finite and ascending"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_names_are_checked() {
        let good = br#"{"schema":1,"rows":3,"features":[{"name":"A","min":0,"max":2,"edges":[1],"counts":[1,2]}],"residuals":[]}"#;
        let reference = Reference::parse(good, &["A"], &[]).unwrap();
        assert_eq!(reference.features[0].range(), Some((0.0, 2.0)));
        assert!(Reference::parse(good, &["B"], &["T"]).unwrap_err().len() == 2);
        let bad = br#"{"schema":2,"rows":3,"features":[{"name":"A","min":0,"max":2,"edges":[1,1],"counts":[1,2]}],"residuals":[]}"#;
        let problems = Reference::parse(bad, &["A"], &[]).unwrap_err();
        assert!(problems.len() == 2 && problems[1].contains("want 3 counts"), "{problems:?}");
        assert!(Reference::parse(b"{", &[], &[]).is_err());
    }
}
