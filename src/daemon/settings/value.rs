//! How each type of setting is read from a configuration value and shown in the documented template.

use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};

use super::Secret;

/// A type that a setting can have.
pub trait SettingValue: Sized {
    /// The type as users know it, with an example of the notation where it is not obvious.
    const TYPE: &'static str;
    /// Whether a wrong value must be kept out of messages.
    const IS_SECRET: bool = false;

    /// Reads a value.
    ///
    /// # Errors
    /// Why it is not of this type, without the value itself.
    fn read(value: &Value) -> Result<Self, String>;

    /// The value as TOML, `None` when unset.
    fn toml(&self) -> Option<String>;
}

/// A value as text for messages: what the user wrote, as far as it can be told.
pub(super) fn shown(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => format!("\"{text}\""),
        ValueKind::Table(_) => "a table".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Nil => "nothing".to_owned(),
        _ => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn text_of(value: &Value) -> Result<&str, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        _ => Err("must be a text in quotes".to_owned()),
    }
}

impl SettingValue for String {
    const TYPE: &'static str = "text";

    fn read(value: &Value) -> Result<Self, String> {
        text_of(value).map(str::to_owned)
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl SettingValue for bool {
    const TYPE: &'static str = "true or false";

    fn read(value: &Value) -> Result<Self, String> {
        // Values from the environment are texts.
        match &value.kind {
            ValueKind::Boolean(flag) => Ok(*flag),
            ValueKind::String(text) if text == "true" => Ok(true),
            ValueKind::String(text) if text == "false" => Ok(false),
            _ => Err("must be `true` or `false`".to_owned()),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for usize {
    const TYPE: &'static str = "whole number";

    fn read(value: &Value) -> Result<Self, String> {
        let number = match &value.kind {
            ValueKind::I64(number) => Self::try_from(*number).ok(),
            ValueKind::U64(number) => Self::try_from(*number).ok(),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| "must be a whole number, zero or more".to_owned())
    }

    fn toml(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingValue for Duration {
    const TYPE: &'static str = "duration such as \"100ms\", \"30s\" or \"1h 30m\"";

    fn read(value: &Value) -> Result<Self, String> {
        let remedy = "must be a duration with its unit in quotes, such as \"100ms\", \"30s\" or \"2h\"";
        let text = text_of(value).map_err(|_| remedy.to_owned())?;
        humantime::parse_duration(text).map_err(|error| format!("{remedy} ({error})"))
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&humantime::format_duration(*self).to_string()))
    }
}

impl SettingValue for Secret {
    const TYPE: &'static str = "text, kept out of every output";
    const IS_SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, String> {
        // A password of digits arrives from some sources as a number.
        match &value.kind {
            ValueKind::String(text) => Ok(Self::new(text.clone())),
            _ => Err("must be a text in quotes".to_owned()),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl SettingValue for PathBuf {
    const TYPE: &'static str = "path";

    fn read(value: &Value) -> Result<Self, String> {
        let text = text_of(value)?;
        if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.into()) }
    }

    fn toml(&self) -> Option<String> {
        Some(quoted(&self.to_string_lossy()))
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    const TYPE: &'static str = T::TYPE;
    const IS_SECRET: bool = T::IS_SECRET;

    fn read(value: &Value) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn toml(&self) -> Option<String> {
        self.as_ref().and_then(T::toml)
    }
}
