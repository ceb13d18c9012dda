use super::*;
use crate::daemon::mqtt::ProbeRefusal;

#[test]
fn percentiles_of_the_latest() {
    let mut latencies = Latencies::default();
    assert_eq!(latencies.percentiles(), Percentiles { count: 0, p50: 0, p95: 0, p99: 0 });
    for micros in 1..=100 {
        latencies.record(micros);
    }
    assert_eq!(latencies.percentiles(), Percentiles { count: 100, p50: 50, p95: 95, p99: 99 });
    for _ in 0..LATENCIES {
        latencies.record(u64::MAX);
    }
    let all = latencies.percentiles();
    assert_eq!((all.count, all.p50), (LATENCIES, u32::MAX), "the oldest make room");
}

fn down(cause: &'static str) -> LinkEvent {
    LinkEvent::Disconnected { error: "why".into(), cause, retry_in: std::time::Duration::ZERO }
}

#[test]
fn state_and_problem_tell_how_the_connection_is() {
    let connected = LinkEvent::Connected { epoch: 1, session_present: true };
    let missed = |in_a_row| LinkEvent::ProbeMissed { in_a_row };
    let returned = LinkEvent::ProbeReturned { after: std::time::Duration::from_micros(1_234) };
    let mut broker = BrokerHealth::new("mqtt://b:1883".into());
    let mut after = |event: LinkEvent| {
        broker.event(&event);
        let json = serde_json::to_value(&broker).unwrap();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        (text("state").unwrap(), text("problem"))
    };
    let is = |state: &str, problem: Option<&str>| (state.to_owned(), problem.map(str::to_owned));
    assert_eq!(after(down("not_listening")), is("down", Some("not_listening")));
    assert_eq!(after(connected.clone()), is("connected", None));
    assert_eq!(after(missed(1)), is("connected", None), "one may get lost");
    assert_eq!(after(missed(2)), is("connected", Some("not_delivering")));
    assert_eq!(after(down("closed")), is("down", Some("closed")));
    assert_eq!(after(connected.clone()), is("connected", Some("not_delivering")), "as far as is known");
    assert_eq!(after(returned), is("connected", None));
    assert_eq!(after(down(TAKEN_OVER)), is("down", Some("taken_over")));
    assert_eq!(after(connected), is("connected", Some("taken_over")), "until it has lasted");
    assert_eq!(after(LinkEvent::Settled), is("connected", None));
    let refused = LinkEvent::SubscriptionRefused { filter: "a/#".into() };
    assert_eq!(after(refused), is("connected", Some("subscription_refused")));
    assert_eq!(broker.probe_ms, Some(1.234));
}

#[test]
fn what_the_broker_refuses_or_grants_less_of_is_told_until_it_is_over() {
    let mut broker = BrokerHealth::new("mqtt://b:1883".into());
    let subscribed = |filter: Option<&str>| LinkEvent::Subscribed { unconfirmed: filter.map(str::to_owned) };
    broker.event(&LinkEvent::Connected { epoch: 1, session_present: true });
    broker.event(&subscribed(Some("a/+")));
    let warning = broker.warning().unwrap();
    assert!(warning.contains("a/+") && warning.contains("mqtt.subscribe_qos"), "{warning}");
    broker.event(&subscribed(None));
    assert_eq!(broker.warning(), None);

    broker.event(&LinkEvent::ProbeMissed { in_a_row: MISSED_PROBES });
    assert_eq!(broker.delivering(), Some(false));
    for _ in 0..2 {
        broker.event(&LinkEvent::SubscriptionRefused { filter: "probe".into() });
    }
    broker.event(&LinkEvent::ProbeRefused { how: ProbeRefusal::Denied });
    assert_eq!((broker.delivering(), broker.is_probe_refused()), (None, true), "nobody knows any more");
    assert_eq!(broker.refused_subscriptions(), ["probe"]);
    broker.tried_again();
    assert_eq!((broker.problem, broker.is_probe_refused()), (None, false));
    broker.event(&LinkEvent::ProbeRefused { how: ProbeRefusal::Closes });
    broker.event(&LinkEvent::ProbeReturned { after: std::time::Duration::ZERO });
    assert_eq!((broker.problem, broker.delivering()), (None, Some(true)));
}

#[test]
fn resident_memory_is_known_on_linux() {
    assert!(resident_bytes().is_some_and(|bytes| bytes > 500_000));
}
