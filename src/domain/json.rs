//! JSON read where it stands: text by text, without a tree of values. Every number stays text until it is
//! judged by itself.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::reject::RejectReason;

/// Deepest nesting accepted; a reading needs three levels.
pub(super) const MAX_JSON_DEPTH: usize = 16;

/// Stands for a bare NaN or infinity while a document is read again; JSON text, so that it parses.
const NOT_FINITE_MARK: &str = "\"\\u0000not finite\"";

pub(super) fn text_of(payload: &[u8]) -> Result<&str, RejectReason> {
    std::str::from_utf8(payload).map_err(|_| RejectReason::MalformedPayload)
}

/// Refuses nesting beyond [`MAX_JSON_DEPTH`] before any parser sees it.
pub(super) fn check_depth(text: &str) -> Result<(), RejectReason> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return Err(RejectReason::MalformedPayload);
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Judges one value's text as a number.
pub(crate) fn number(raw: &str) -> Result<f64, RejectReason> {
    if raw == NOT_FINITE_MARK {
        return Err(RejectReason::NotFinite);
    }
    let first = raw.bytes().next().unwrap_or(b' ');
    if !(first.is_ascii_digit() || first == b'-' || first == b'+' || first == b'.') {
        let word = raw.trim_start_matches(['+', '-']);
        let is_not_finite = ["nan", "inf", "infinity"].iter().any(|known| word.eq_ignore_ascii_case(known));
        return Err(if is_not_finite { RejectReason::NotFinite } else { RejectReason::NotANumber });
    }
    match raw.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(RejectReason::NotFinite),
        Err(_) => Err(RejectReason::NotANumber),
    }
}

/// Calls `visit` with each key and the raw text of its value.
pub(super) fn read_object<'t>(text: &'t str, visit: impl FnMut(&str, &'t str)) -> Result<(), RejectReason> {
    struct Entries<F>(F);
    impl<'t, F: FnMut(&str, &'t str)> Visitor<'t> for Entries<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Key<'t>>()? {
                let raw: &'t RawValue = map.next_value()?;
                (self.0)(key.0.as_ref(), raw.get());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Entries(visit)).map_err(|_| RejectReason::MalformedPayload)?;
    deserializer.end().map_err(|_| RejectReason::MalformedPayload)
}

/// Calls `visit` with the raw text of each entry of a list.
pub(super) fn read_list<'t>(text: &'t str, visit: impl FnMut(&'t str)) -> Result<(), RejectReason> {
    struct Entries<F>(F);
    impl<'t, F: FnMut(&'t str)> Visitor<'t> for Entries<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'t>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(raw) = list.next_element::<&'t RawValue>()? {
                (self.0)(raw.get());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Entries(visit)).map_err(|_| RejectReason::MalformedPayload)?;
    deserializer.end().map_err(|_| RejectReason::MalformedPayload)
}

/// Is the text JSON of any shape?
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// What stands between the quotes of a JSON string without escapes, or the text of a number; `None` for the rest.
pub(super) fn plain_text(raw: &str) -> Option<&str> {
    match raw.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').filter(|inner| !inner.contains('\\')),
        None => raw.starts_with(|c: char| c.is_ascii_digit() || c == '-').then_some(raw),
    }
}

/// An object's key, borrowed from the payload unless it has escapes.
pub(crate) struct Key<'t>(pub(crate) Cow<'t, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The text with bare `NaN`, `Infinity` and `-Infinity` outside strings put in quotes, so that JSON can
/// read the rest; `None` when there is none of them.
pub(crate) fn without_bare_words(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped, mut changed) = (false, false, false);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if !in_string {
            let words = ["NaN", "-Infinity", "Infinity", "nan", "-inf", "inf"];
            if let Some(after) = words.iter().find_map(|word| rest.strip_prefix(word)) {
                repaired.push_str(NOT_FINITE_MARK);
                changed = true;
                rest = after;
                continue;
            }
        }
        match character {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        repaired.push(character);
        rest = rest.get(character.len_utf8()..).unwrap_or("");
    }
    changed.then_some(repaired)
}
