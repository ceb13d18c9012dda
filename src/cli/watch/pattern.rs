//! Which units are meant: `*` stands for any characters, `?` for one.

use std::str::FromStr;

/// Longest pattern: the longest name, and a star around each of its characters.
const MAX_PATTERN: usize = 192;

/// A pattern for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<char>);

impl Default for Pattern {
    /// Any name.
    fn default() -> Self {
        Self(vec!['*'])
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > MAX_PATTERN {
            return Err(format!("expected a name of 1 to {MAX_PATTERN} characters, with * for any of them"));
        }
        Ok(Self(text.chars().collect()))
    }
}

impl Pattern {
    /// Whether the whole name fits.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut place) = (0, 0);
        // Where to go on if what follows the latest star does not fit: it then takes one character more.
        let mut retry: Option<(usize, usize)> = None;
        while let Some(character) = name.get(place) {
            match self.0.get(at) {
                Some('*') => {
                    retry = Some((at + 1, place));
                    at += 1;
                }
                Some(wanted) if *wanted == '?' || wanted == character => {
                    at += 1;
                    place += 1;
                }
                _ => match &mut retry {
                    Some((after, taken)) => {
                        *taken += 1;
                        (at, place) = (*after, *taken);
                    }
                    None => return false,
                },
            }
        }
        self.0.iter().skip(at).all(|rest| *rest == '*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, name, expected) in [
            ("cooler-01", "cooler-01", true),
            ("cooler-01", "cooler-010", false),
            ("cooler-*", "cooler-", true),
            ("*-0?", "roof-07", true),
            ("*-0?", "roof-17", false),
            ("a*b*c", "axxbxbxc", true),
            ("a*b*c", "axxbxbx", false),
            ("*", "Kühlraum 3", true),
            ("K?hl*", "Kühlraum 3", true),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(name), expected, "{pattern} {name}");
        }
        assert!("".parse::<Pattern>().is_err());
        let hostile = "*a".repeat(MAX_PATTERN / 2).parse::<Pattern>().unwrap();
        assert!(!hostile.matches(&"a".repeat(64).replace("aaaa", "aaab")));
    }
}
