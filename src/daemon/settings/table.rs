//! The one source of every setting: from one table come the structs, their defaults, the documented
//! template, the list of known keys and the reading with its range checks. They cannot drift apart.

use std::collections::BTreeMap;

use config::{Value, ValueKind};

use super::problem::Problem;
use super::value::{SettingValue, shown};

/// What becomes of a changed setting at a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// It is taken over.
    AtReload,
    /// It is taken over, and the daemon connects to the broker anew.
    Reconnecting,
    /// The reload is refused: what stands retained under the old names would be left behind.
    AtRestart,
    /// The rest of the reload is taken over, this at the next start.
    AtNextStart,
}

/// One key as the template, the reference and the check for unknown keys see it.
#[derive(Debug, Clone)]
pub struct KeySpec {
    /// Name within its section.
    pub key: &'static str,
    /// What it means, one line of text each.
    pub doc: &'static [&'static str],
    /// Its type in words.
    pub type_name: &'static str,
    /// Smallest and largest allowed value.
    pub range: Option<(String, String)>,
    /// The default as TOML; `None` when unset by default.
    pub default: Option<String>,
    /// An example as TOML, for keys without a default.
    pub example: Option<&'static str>,
    /// The unit of a plain number.
    pub unit: Option<&'static str>,
    /// What a reload makes of a change.
    pub applies: Applies,
}

/// One section of the configuration.
#[derive(Debug, Clone)]
pub struct SectionSpec {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static [&'static str],
    /// Its keys in the order of the template.
    pub keys: Vec<KeySpec>,
}

/// Hands out values by key and collects everything that is wrong with them.
#[derive(Debug)]
pub(super) struct Reader {
    values: BTreeMap<String, Value>,
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    /// A reader over `section.key` values.
    pub(super) fn new(values: BTreeMap<String, Value>) -> Self {
        Self { values, problems: Vec::new() }
    }

    /// The value of a key, or the default when it is absent or wrong; what is wrong is noted.
    pub(super) fn field<T: SettingValue>(
        &mut self,
        section: &str,
        key: &str,
        default: T,
        range: Option<(String, String)>,
        is_allowed: impl Fn(&T) -> bool,
    ) -> T {
        let name = format!("{section}.{key}");
        let Some(value) = self.values.remove(&name) else { return default };
        if value.kind == ValueKind::Nil {
            return default;
        }
        let text = if T::IS_SECRET { "[redacted]".to_owned() } else { shown(&value) };
        let origin = value.origin().map(str::to_owned);
        let reason = match T::read(&value) {
            Ok(read) if is_allowed(&read) => return read,
            Ok(_) => {
                let (low, high) = range.unwrap_or_default();
                format!("must lie between {low} and {high}")
            }
            Err(reason) => reason,
        };
        let remedy = match default.toml() {
            Some(default) => format!("correct it, or remove the line for the default {default}"),
            None => "correct it, or remove the line".to_owned(),
        };
        self.problems.push(Problem { key: name, value: Some(text), reason, remedy, origin });
        default
    }

    /// What nobody asked for.
    pub(super) fn leftover(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter()
    }
}

/// Declares sections of settings. See [`super::sections`] for its one use.
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        [$section:ident] $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $kind:ty = $default:expr $(, from $low:expr => $high:expr)?
                    $(, in $unit:literal)? $(, example $example:literal)? $(, applies $applies:ident)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $key: $kind,)+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// Every setting of the daemon, each with its documented default.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Settings {
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
            /// How other topics and payloads come in, in the order in which they are tried.
            pub source: Vec<SourceSettings>,
        }

        impl Settings {
            pub(super) fn read(reader: &mut Reader) -> Self {
                Self {$(
                    $section: $Section {$(
                        $key: reader.field::<$kind>(
                            stringify!($section),
                            stringify!($key),
                            $default,
                            sections!(@range $kind $(, $low => $high)?),
                            sections!(@allowed $kind $(, $low => $high)?),
                        ),
                    )+},
                )+ source: Vec::new() }
            }

            /// Every `section.key` that another configuration sets otherwise, with what a reload makes of it.
            #[must_use]
            pub fn changed(&self, other: &Self) -> Vec<(&'static str, Applies)> {
                let mut changed = Vec::new();
                $($(
                    if self.$section.$key != other.$section.$key {
                        let name = concat!(stringify!($section), ".", stringify!($key));
                        changed.push((name, sections!(@applies $($applies)?)));
                    }
                )+)+
                changed
            }

            /// Sections and keys in the order of the template.
            #[must_use]
            pub fn specs() -> Vec<SectionSpec> {
                vec![$(
                    SectionSpec {
                        name: stringify!($section),
                        doc: &[$($section_doc),+],
                        keys: vec![$(
                            KeySpec {
                                key: stringify!($key),
                                doc: &[$($doc),+],
                                type_name: <$kind as SettingValue>::TYPE,
                                range: sections!(@range $kind $(, $low => $high)?),
                                default: SettingValue::toml(&{ let value: $kind = $default; value }),
                                example: sections!(@optional $($example)?),
                                unit: sections!(@optional $($unit)?),
                                applies: sections!(@applies $($applies)?),
                            },
                        )+],
                    },
                )+]
            }
        }
    };
    (@range $kind:ty, $low:expr => $high:expr) => {
        Some((
            <$kind as SettingValue>::toml(&$low).unwrap_or_default(),
            <$kind as SettingValue>::toml(&$high).unwrap_or_default(),
        ))
    };
    (@range $kind:ty) => { None };
    (@allowed $kind:ty, $low:expr => $high:expr) => {
        |value: &$kind| (&$low..=&$high).contains(&value)
    };
    (@allowed $kind:ty) => { |_: &$kind| true };
    (@optional $given:literal) => { Some($given) };
    (@optional) => { None };
    (@applies $applies:ident) => { Applies::$applies };
    (@applies) => { Applies::AtReload };
}
pub(super) use sections;
