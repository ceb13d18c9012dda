//! JSON pointers (RFC 6901), read once and followed in raw text.

use crate::domain::json::{read_list, read_object};

/// Most steps of a pointer: as deep as payloads may be.
const MAX_STEPS: usize = crate::domain::json::MAX_JSON_DEPTH;

/// A JSON pointer: `/data/0/value`, with `~1` for `/` and `~0` for `~` in a step; empty for the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pointer {
    steps: Vec<String>,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence that begins with the pointer.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("is no JSON pointer; begin it with a slash: \"/{text}\""));
        };
        let steps: Option<Vec<String>> = rest.split('/').map(unescape).collect();
        match steps {
            Some(steps) if steps.len() <= MAX_STEPS => Ok(Self { steps }),
            Some(_) => Err(format!("is deeper than the {MAX_STEPS} levels that payloads may have")),
            None => Err("is no JSON pointer; write ~0 for `~` and ~1 for `/` within a step".to_owned()),
        }
    }

    /// The raw text it leads to in a JSON document. Of keys that occur twice the last counts.
    #[must_use]
    pub fn find<'t>(&self, document: &'t str) -> Option<&'t str> {
        let mut current = document.trim();
        for step in &self.steps {
            current = if current.starts_with('[') { entry(current, step)? } else { member(current, step)? };
        }
        Some(current)
    }
}

/// The raw text of a member of an object.
pub(super) fn member<'t>(object: &'t str, name: &str) -> Option<&'t str> {
    let mut found = None;
    read_object(object, |key, raw| {
        if key == name {
            found = Some(raw);
        }
    })
    .ok()?;
    found
}

fn entry<'t>(list: &'t str, step: &str) -> Option<&'t str> {
    let is_index = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    let wanted: usize = step.parse().ok().filter(|_| is_index)?;
    let (mut index, mut found) = (0_usize, None);
    read_list(list, |raw| {
        if index == wanted {
            found = Some(raw);
        }
        index += 1;
    })
    .ok()?;
    found
}

fn unescape(step: &str) -> Option<String> {
    let mut text = String::with_capacity(step.len());
    let mut characters = step.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next()? {
                '0' => text.push('~'),
                '1' => text.push('/'),
                _ => return None,
            },
            other => text.push(other),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the standard's section 5.
    #[test]
    fn the_standards_own_examples() {
        let document =
            r#" {"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
        let found = |pointer: &str| Pointer::parse(pointer).unwrap().find(document).map(str::to_owned);
        assert_eq!(found("").unwrap(), document.trim());
        for (pointer, value) in [
            ("/foo", r#"["bar","baz"]"#),
            ("/foo/0", "\"bar\""),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(found(pointer).as_deref(), Some(value), "{pointer}");
        }
        for nowhere in ["/foo/2", "/foo/-", "/foo/00", "/foo/+1", "/foo/", "/bar", "/foo/0/x", "//x"] {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn what_is_no_pointer() {
        assert!(Pointer::parse("value").unwrap_err().contains("\"/value\""));
        assert!(Pointer::parse("/a~").is_err() && Pointer::parse("/a~2").is_err());
        assert!(Pointer::parse(&"/a".repeat(17)).unwrap_err().contains("16"));
        assert!(Pointer::parse(&"/a".repeat(16)).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn leads_where_a_tree_of_values_leads(path in "(/[a-c0-2~]{0,3}){0,4}", flat in 0..4_usize) {
            let documents = [
                r#"{"a":{"b":[1,{"c":2}],"":3},"0":[[4]],"~":5}"#,
                r#"[{"a":[[1,2],3]},[],{"0":{"1":7}}]"#,
                r#"{"":{"":{"":8}}}"#,
                "17",
            ];
            let document = documents[flat];
            if let Ok(pointer) = Pointer::parse(&path) {
                let tree: serde_json::Value = serde_json::from_str(document).unwrap();
                let expected = tree.pointer(&path).cloned();
                let got = pointer.find(document).map(|raw| serde_json::from_str::<serde_json::Value>(raw).unwrap());
                proptest::prop_assert_eq!(got, expected);
            }
        }
    }
}
