//! What MQTT subscription filters have in common: overlap, inclusion, and the fewest that say the same.

/// Is there a topic that both filters match?
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            // `a/#` matches `a` too, so it meets what has ended.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(mine), Some(theirs)) if mine == theirs || mine == "+" || theirs == "+" => {}
            _ => return false,
        }
    }
}

/// Does `wide` match every topic that `narrow` matches?
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (_, Some("#")) => return false,
            (Some("+"), Some(_)) => {}
            (Some(wide), Some(narrow)) if wide == narrow => {}
            _ => return false,
        }
    }
}

/// The filters without those that another one covers, in their order. A broker may deliver a message once for each
/// subscription that matches it, so no two subscriptions should.
#[must_use]
pub fn fewest(filters: &[String]) -> Vec<String> {
    let is_needed = |index: usize, filter: &String| {
        !filters.iter().enumerate().any(|(other, wide)| {
            let is_same = covers(filter, wide);
            other != index && covers(wide, filter) && (!is_same || other < index)
        })
    };
    filters
        .iter()
        .enumerate()
        .filter(|(index, filter)| is_needed(*index, filter))
        .map(|(_, f)| f.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a broker would deliver a topic, by the standard's words.
    fn matches(filter: &str, topic: &str) -> bool {
        let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        if filter.last() == Some(&"#") {
            let stem = &filter[..filter.len() - 1];
            return topic.len() >= stem.len() && stem.iter().zip(&topic).all(|(f, t)| *f == "+" || f == t);
        }
        filter.len() == topic.len() && filter.iter().zip(&topic).all(|(f, t)| *f == "+" || f == t)
    }

    /// Every topic of at most four levels of `a` and `b`.
    fn topics() -> Vec<String> {
        let mut all = vec!["a".to_owned(), "b".to_owned(), "z".to_owned()];
        let mut from = 0;
        for _ in 0..3 {
            let until = all.len();
            for index in from..until {
                for level in ["a", "b", "z"] {
                    all.push(format!("{}/{level}", all[index]));
                }
            }
            from = until;
        }
        all
    }

    proptest::proptest! {
        #[test]
        fn agree_with_every_topic(one in "(a|b|\\+)(/(a|b|\\+)){0,2}(/#)?", other in "(a|b|\\+)(/(a|b|\\+)){0,2}(/#)?") {
            let topics = topics();
            let both = topics.iter().any(|topic| matches(&one, topic) && matches(&other, topic));
            proptest::prop_assert_eq!(overlap(&one, &other), both);
            proptest::prop_assert_eq!(overlap(&other, &one), both);
            let all = topics.iter().all(|topic| matches(&one, topic) || !matches(&other, topic));
            proptest::prop_assert_eq!(covers(&one, &other), all, "{} {}", one, other);
        }

        #[test]
        fn fewest_match_the_same(filters in proptest::collection::vec("(a|b|\\+)(/(a|b|\\+)){0,2}(/#)?", 0..6)) {
            let few = fewest(&filters);
            for topic in topics() {
                let by = |filters: &[String]| filters.iter().filter(|filter| matches(filter, &topic)).count();
                proptest::prop_assert_eq!(by(&filters) > 0, by(&few) > 0);
            }
            for (index, one) in few.iter().enumerate() {
                proptest::prop_assert!(few.iter().skip(index + 1).all(|other| !covers(one, other) && !covers(other, one)));
            }
        }
    }

    #[test]
    fn the_whole_tree_covers_everything() {
        assert!(covers("#", "a/b") && overlap("#", "+/x") && !covers("a/+", "a/#") && covers("a/#", "a"));
        assert_eq!(fewest(&["a/b".into(), "a/+".into(), "a/b".into(), "c".into(), "c".into()]), ["a/+", "c"]);
    }
}
