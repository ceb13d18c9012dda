use super::*;

fn publish(topic: &str, kind: PublishKind, payload: &str) -> Effect {
    let retain = kind == PublishKind::State;
    Effect::Publish(Publish { topic: topic.into(), payload: payload.as_bytes().to_vec(), retain, kind })
}

fn prediction(topic: &str) -> Effect {
    publish(topic, PublishKind::Prediction, "{}")
}

fn connected() -> Outbox {
    let mut outbox = Outbox::default();
    outbox.connected(1);
    outbox
}

fn pump(outbox: &mut Outbox) -> Vec<Command> {
    let mut commands = Vec::new();
    outbox.pump(&mut commands);
    commands
}

/// Publishes as `topic=payload`, acknowledgements as `ack 7`.
fn shown(commands: &[Command]) -> Vec<String> {
    commands
        .iter()
        .map(|command| match command {
            Command::Acknowledge(token) => format!("ack {token}"),
            Command::Publish(out) => format!("{}={}", out.topic, String::from_utf8_lossy(&out.payload)),
        })
        .collect()
}

fn ids(commands: &[Command]) -> Vec<PublishId> {
    commands
        .iter()
        .filter_map(|command| match command {
            Command::Publish(out) => Some(out.id),
            Command::Acknowledge(_) => None,
        })
        .collect()
}

#[test]
fn a_message_is_acknowledged_when_all_it_caused_is_confirmed() {
    let mut outbox = connected();
    let mut effects = vec![prediction("p"), publish("t", PublishKind::Target, "1"), Effect::Acknowledge(7)];
    outbox.accept(&mut effects);
    assert!(effects.is_empty());
    let sent = pump(&mut outbox);
    assert_eq!(shown(&sent), ["p={}", "t=1"]);
    outbox.confirm(ids(&sent)[0]);
    assert_eq!(shown(&pump(&mut outbox)), [""; 0]);
    outbox.confirm(ids(&sent)[1]);
    assert_eq!(shown(&pump(&mut outbox)), ["ack 7"]);
    assert!(outbox.is_empty());
}

#[test]
fn what_caused_nothing_is_acknowledged_at_once() {
    let mut outbox = connected();
    outbox.accept(&mut vec![Effect::Acknowledge(1), prediction("p")]);
    outbox.accept(&mut vec![Effect::Acknowledge(2)]);
    assert_eq!(shown(&pump(&mut outbox)), ["ack 1", "ack 2", "p={}"]);
}

#[test]
fn a_lost_connection_loses_nothing_and_keeps_the_order() {
    let mut outbox = connected();
    outbox.accept(&mut vec![prediction("a"), prediction("b"), Effect::Acknowledge(5), prediction("c")]);
    let first = pump(&mut outbox);
    outbox.confirm(ids(&first)[1]);
    outbox.disconnected();
    assert_eq!(shown(&pump(&mut outbox)), [""; 0], "nothing leaves without a connection");
    outbox.accept(&mut vec![prediction("d")]);
    outbox.connected(2);
    let again = pump(&mut outbox);
    assert_eq!(shown(&again), ["a={}", "c={}", "d={}"]);
    let Command::Publish(a) = &again[0] else { panic!() };
    assert!(a.is_repeated && a.epoch == 2);
    for id in ids(&again) {
        outbox.confirm(id);
    }
    assert_eq!(shown(&pump(&mut outbox)), [""; 0], "the token of the old connection is void");
    assert!(outbox.is_empty());
}

#[test]
fn confirmations_of_an_old_connection_do_not_confirm_the_repetition() {
    let mut outbox = connected();
    outbox.accept(&mut vec![prediction("a")]);
    let id = ids(&pump(&mut outbox))[0];
    outbox.disconnected();
    outbox.confirm(id);
    assert_eq!(outbox.held(), 1);
}

#[test]
fn states_come_back_on_every_connection_and_only_the_latest() {
    let mut outbox = Outbox::default();
    outbox.accept(&mut vec![
        publish("s", PublishKind::State, "1"),
        publish("s", PublishKind::State, "2"),
        publish("r", PublishKind::State, "x"),
    ]);
    outbox.connected(1);
    let first = pump(&mut outbox);
    assert_eq!(shown(&first), ["s=2", "r=x"]);
    outbox.accept(&mut vec![publish("s", PublishKind::State, "3")]);
    for id in ids(&first) {
        outbox.confirm(id);
    }
    outbox.connected(2);
    assert_eq!(shown(&pump(&mut outbox)), ["s=3", "r=x"]);
}

#[test]
fn a_state_on_its_way_at_the_loss_is_followed_by_the_newer_one() {
    let mut outbox = connected();
    outbox.accept(&mut vec![publish("s", PublishKind::State, "1")]);
    pump(&mut outbox);
    outbox.accept(&mut vec![publish("s", PublishKind::State, "2")]);
    outbox.connected(2);
    assert_eq!(shown(&pump(&mut outbox)), ["s=1", "s=2"], "the last word is the latest");
}

#[test]
fn a_cleared_state_is_forgotten_once_the_broker_has_cleared_it() {
    let mut outbox = connected();
    outbox.accept(&mut vec![publish("s", PublishKind::State, "")]);
    for id in ids(&pump(&mut outbox)) {
        outbox.confirm(id);
    }
    outbox.connected(2);
    assert!(pump(&mut outbox).is_empty());
}

#[test]
fn fleeting_messages_are_dropped_and_counted_rather_than_held() {
    let mut outbox = Outbox::default();
    outbox.accept(&mut vec![publish("t", PublishKind::Target, "1"), Effect::Acknowledge(1)]);
    assert_eq!((outbox.held(), outbox.drops().offline), (0, 1));
    outbox.connected(1);
    for _ in 0..MAX_HELD {
        outbox.accept(&mut vec![prediction("p")]);
    }
    assert!(outbox.is_full());
    outbox.accept(&mut vec![publish("t", PublishKind::Target, "1")]);
    assert_eq!(outbox.drops().full, 1);
    outbox.accept(&mut vec![publish("s", PublishKind::State, "1")]);
    assert_eq!(outbox.held(), MAX_HELD + 1, "states are never dropped");
}

#[test]
fn the_window_bounds_what_is_on_its_way() {
    let mut outbox = connected();
    for _ in 0..WINDOW + 3 {
        outbox.accept(&mut vec![prediction("p")]);
    }
    let sent = pump(&mut outbox);
    assert_eq!(sent.len(), WINDOW);
    assert!(pump(&mut outbox).is_empty());
    outbox.confirm(ids(&sent)[9]);
    assert_eq!(pump(&mut outbox).len(), 1, "out of order is fine");
}

#[test]
fn bytes_bound_the_outbox_too_and_are_given_back() {
    let mut outbox = connected();
    let large = "x".repeat(1_000_000);
    for _ in 0..9 {
        outbox.accept(&mut vec![publish("p", PublishKind::Prediction, &large)]);
    }
    assert!(outbox.is_full());
    for id in ids(&pump(&mut outbox)) {
        outbox.confirm(id);
    }
    assert!(outbox.is_empty() && !outbox.is_full() && outbox.bytes == 0);
    outbox.accept(&mut vec![publish("p", PublishKind::Prediction, &"x".repeat(MAX_OUTGOING_BYTES))]);
    assert_eq!((outbox.held(), outbox.drops().oversize), (0, 1));
}

#[test]
fn losing_the_connection_gives_back_the_bytes_of_fleeting_messages() {
    let mut outbox = connected();
    outbox.accept(&mut vec![publish("t", PublishKind::Target, "1"), publish("u", PublishKind::Target, "1")]);
    pump(&mut outbox);
    outbox.disconnected();
    assert_eq!((outbox.held(), outbox.bytes, outbox.drops().offline), (0, 0, 0), "they were handed over");
}
