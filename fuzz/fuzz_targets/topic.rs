//! Any text as a topic template; what one prints, it matches.
#![no_main]

use cooltwin::domain::TopicTemplate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(template) = TopicTemplate::parse(text, &["unit"], false) {
        let topic = template.render(&[("unit", "c1")]);
        assert_eq!(template.capture(&topic, "unit", ""), Some(("c1", "")));
    }
});
