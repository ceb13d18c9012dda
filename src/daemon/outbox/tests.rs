use super::*;
use crate::domain::PublishKind;

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
    assert_eq!(shown(&pump(&mut outbox)), [""; 0]);
    outbox.confirm(ids(&sent)[0]);
    assert_eq!(shown(&pump(&mut outbox)), ["ack 7"], "nobody confirms the number");
    assert!(!outbox.is_empty(), "but it has to leave");
    outbox.confirm(ids(&sent)[1]);
    assert!(outbox.is_empty());
}

#[test]
fn what_caused_nothing_is_acknowledged_behind_what_was_before_it() {
    let mut outbox = connected();
    outbox.accept(&mut vec![Effect::Acknowledge(1), prediction("p")]);
    outbox.accept(&mut vec![Effect::Acknowledge(2)]);
    let sent = pump(&mut outbox);
    assert_eq!(shown(&sent), ["ack 1", "p={}"]);
    outbox.confirm(ids(&sent)[0]);
    assert_eq!(shown(&pump(&mut outbox)), ["ack 2"]);
    outbox.accept(&mut vec![Effect::Acknowledge(3)]);
    assert_eq!(shown(&pump(&mut outbox)), ["ack 3"], "with nothing before it, at once");
}

/// A frame that comes again is late and causes nothing, but its prediction may be nowhere but here.
#[test]
fn a_frame_that_comes_again_is_not_acknowledged_before_its_first_prediction_is_safe() {
    let mut outbox = connected();
    outbox.accept(&mut vec![prediction("p1"), Effect::Acknowledge(1)]);
    pump(&mut outbox);
    outbox.connected(2);
    outbox.accept(&mut vec![Effect::Acknowledge(2)]);
    let again = pump(&mut outbox);
    assert_eq!(shown(&again), ["p1={}"]);
    outbox.confirm(ids(&again)[0]);
    assert_eq!(shown(&pump(&mut outbox)), ["ack 2"]);
}

#[test]
fn an_answer_that_costs_the_connection_is_not_repeated() {
    let mut outbox = Outbox::default();
    outbox.publish("desk/7".into(), "{}".into(), Sort::Answer, false);
    // What has not been sent is not lost, as at a reload that connects anew.
    outbox.connected(1);
    outbox.accept(&mut vec![prediction("p"), Effect::Acknowledge(1)]);
    assert_eq!(shown(&pump(&mut outbox)), ["desk/7={}", "p={}"]);
    outbox.connected(2);
    let again = pump(&mut outbox);
    assert_eq!(shown(&again), ["p={}"]);
    assert_eq!(outbox.drops().answers, 1);
    outbox.confirm(ids(&again)[0]);
    assert!(outbox.is_empty() && outbox.bytes == 0);
}

#[test]
fn what_the_broker_has_is_not_followed_by_something_older() {
    let alarm = |payload: &str| publish("a", PublishKind::Alarm, payload);
    let mut outbox = connected();
    outbox.accept(&mut vec![alarm("raised")]);
    pump(&mut outbox);
    outbox.accept(&mut vec![alarm("")]);
    let cleared = pump(&mut outbox);
    // Confirmed out of order, and then the connection ends.
    outbox.confirm(ids(&cleared)[0]);
    outbox.connected(2);
    assert_eq!(shown(&pump(&mut outbox)), [""; 0]);
    assert!(outbox.is_empty() && outbox.bytes == 0);
    // A state likewise, which is repeated on every connection as it is now.
    outbox.accept(&mut vec![publish("s", PublishKind::State, "1")]);
    pump(&mut outbox);
    outbox.accept(&mut vec![publish("s", PublishKind::State, "2")]);
    let second = pump(&mut outbox);
    outbox.confirm(ids(&second)[0]);
    outbox.connected(3);
    assert_eq!(shown(&pump(&mut outbox)), ["s=2"]);
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
fn numbers_wait_for_the_link_and_the_newer_replaces_the_older() {
    let number = |payload: &str| publish("t", PublishKind::Target, payload);
    let mut outbox = Outbox::default();
    outbox.accept(&mut vec![number("1"), Effect::Acknowledge(1), number("2"), prediction("p")]);
    assert_eq!((outbox.held(), outbox.drops().offline), (2, 1));
    outbox.connected(1);
    assert_eq!(shown(&pump(&mut outbox)), ["p={}", "t=2"]);
    // While the link keeps up, none is left out.
    outbox.accept(&mut vec![number("3"), number("4")]);
    assert_eq!(shown(&pump(&mut outbox)), ["t=3", "t=4"]);
    for _ in 0..WINDOW {
        outbox.accept(&mut vec![prediction("p")]);
    }
    let sent = pump(&mut outbox);
    outbox.accept(&mut vec![number("5"), prediction("q")]);
    assert_eq!(shown(&pump(&mut outbox)), [""; 0], "the window is full");
    outbox.accept(&mut vec![number("6"), number("7")]);
    assert_eq!(outbox.drops().slow, 1, "the first was there before the link was slow");
    for id in ids(&sent) {
        outbox.confirm(id);
    }
    assert_eq!(shown(&pump(&mut outbox)), ["p={}", "t=5", "p={}", "t=7", "p={}", "p={}", "q={}"]);
}

#[test]
fn intake_stops_for_predictions_and_never_for_numbers() {
    let mut outbox = connected();
    for number in 0..2 * MAX_HELD {
        outbox.accept(&mut vec![publish(&format!("t{number}"), PublishKind::Target, "1")]);
    }
    assert!(!outbox.is_full());
    assert_eq!(outbox.held() as u64 + outbox.drops().full, 2 * MAX_HELD as u64, "what is dropped is counted");
    for _ in 0..MAX_HELD {
        outbox.accept(&mut vec![prediction("p")]);
    }
    assert!(outbox.is_full());
    let before = outbox.held();
    outbox.accept(&mut vec![publish("s", PublishKind::State, "1"), publish("a", PublishKind::Alarm, "1")]);
    assert_eq!(outbox.held(), before + 2, "alarms and states are never dropped");
}

#[test]
fn alarms_go_before_states_and_states_before_predictions() {
    let mut outbox = Outbox::default();
    for _ in 0..WINDOW {
        outbox.accept(&mut vec![prediction("p")]);
    }
    outbox.accept(&mut vec![
        publish("s", PublishKind::State, "1"),
        publish("a", PublishKind::Alarm, "1"),
        Effect::Acknowledge(3),
    ]);
    outbox.connected(1);
    let sent = pump(&mut outbox);
    assert_eq!(shown(&sent)[..3], ["a=1", "s=1", "p={}"]);
    // The acknowledgement still waits for all that stood before it.
    for id in ids(&sent) {
        outbox.confirm(id);
    }
    let rest = pump(&mut outbox);
    assert_eq!(shown(&rest), ["p={}", "p={}"]);
    for id in ids(&rest) {
        outbox.confirm(id);
    }
    assert!(outbox.is_empty());
    // And again on the next connection.
    outbox.accept(&mut vec![prediction("q")]);
    outbox.connected(2);
    assert_eq!(shown(&pump(&mut outbox)), ["a=1", "s=1", "q={}"]);
}

#[test]
fn on_a_link_that_is_always_behind_numbers_take_turns_with_documents() {
    let mut outbox = connected();
    for _ in 0..3 * WINDOW {
        outbox.accept(&mut vec![prediction("p"), publish("t", PublishKind::Target, "1")]);
    }
    let sent = shown(&pump(&mut outbox));
    assert_eq!(sent.iter().filter(|text| *text == "t=1").count(), WINDOW / 2);
}

#[test]
fn confirmations_of_numbers_of_an_old_connection_count_for_nothing() {
    let mut outbox = connected();
    outbox.accept(&mut vec![publish("t", PublishKind::Target, "1")]);
    let old = ids(&pump(&mut outbox));
    outbox.connected(2);
    outbox.accept(&mut vec![publish("t", PublishKind::Target, "2")]);
    let new = ids(&pump(&mut outbox));
    outbox.confirm(old[0]);
    assert!(!outbox.is_empty());
    outbox.confirm(new[0]);
    assert!(outbox.is_empty());
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
fn numbers_on_their_way_at_the_loss_are_gone() {
    let mut outbox = connected();
    outbox.accept(&mut vec![publish("t", PublishKind::Target, "1"), publish("u", PublishKind::Target, "1")]);
    pump(&mut outbox);
    outbox.disconnected();
    assert_eq!((outbox.held(), outbox.drops()), (0, Drops::default()), "they were handed over");
    assert!(outbox.is_empty());
}

#[test]
fn what_is_told_anew_is_not_held_and_its_removal_is() {
    let told = |payload| publish("d", PublishKind::Discovery, payload);
    let mut outbox = Outbox::default();
    // Told before there is a connection, and told anew for it.
    outbox.accept(&mut vec![told("old")]);
    outbox.connected(1);
    outbox.accept(&mut vec![told("1"), told("2"), publish("s", PublishKind::State, "up"), prediction("p")]);
    let sent = pump(&mut outbox);
    assert_eq!(shown(&sent), ["s=up", "d=2", "p={}"], "in the order of the predictions, behind states");
    let id = ids(&sent)[1];
    assert!(outbox.is_announcing());
    outbox.confirm(id);
    assert!(!outbox.is_announcing());
    assert!(!outbox.latest.contains_key("d"), "confirmed, nothing of it is held");
    outbox.accept(&mut vec![told("3")]);
    pump(&mut outbox);
    assert!(outbox.is_announcing());
    // Unconfirmed, it is forgotten with the connection; a removal is not, wherever it was.
    outbox.connected(2);
    assert!(!outbox.is_announcing(), "forgotten ones are not waited for");
    assert_eq!(shown(&pump(&mut outbox)), ["s=up", "p={}"]);
    outbox.accept(&mut vec![told("4"), told("")]);
    outbox.connected(3);
    assert!(shown(&pump(&mut outbox)).contains(&"d=".to_owned()));
    outbox.connected(4);
    let sent = pump(&mut outbox);
    assert!(shown(&sent).contains(&"d=".to_owned()), "until it is confirmed");
    for id in ids(&sent) {
        outbox.confirm(id);
    }
    assert!(!outbox.is_announcing());
    outbox.connected(5);
    assert_eq!(shown(&pump(&mut outbox)), ["s=up"]);
    assert_eq!((outbox.latest.len(), outbox.bytes), (1, "s".len() + "up".len()));
}

/// A broker that closes the connection for what Home Assistant is told gets the predictions first at every connection.
#[test]
fn what_costs_the_connection_every_time_holds_no_prediction_back() {
    let told = |payload| publish("d", PublishKind::Discovery, payload);
    let mut outbox = connected();
    outbox.accept(&mut vec![told("1"), prediction("p1")]);
    assert_eq!(shown(&pump(&mut outbox)), ["d=1", "p1={}"]);
    outbox.disconnected();
    outbox.accept(&mut vec![prediction("p2")]);
    outbox.connected(2);
    outbox.accept(&mut vec![told("2"), prediction("p3")]);
    let sent = pump(&mut outbox);
    assert_eq!(shown(&sent), ["p1={}", "p2={}", "d=2", "p3={}"]);
    for id in &ids(&sent)[..2] {
        outbox.confirm(*id);
    }
    // A removal goes in the order of the states, once; then it is behind all that waits.
    outbox.disconnected();
    outbox.accept(&mut vec![told(""), publish("s", PublishKind::State, ""), prediction("p4")]);
    outbox.connected(3);
    assert_eq!(shown(&pump(&mut outbox)), ["d=", "s=", "p3={}", "p4={}"]);
    for epoch in 4..7 {
        outbox.disconnected();
        outbox.accept(&mut vec![prediction("p5")]);
        outbox.connected(epoch);
        let sent = pump(&mut outbox);
        let shown = shown(&sent);
        let place = shown.iter().position(|text| text == "d=").unwrap();
        assert!(place >= shown.len() - 2 && shown.contains(&"p3={}".to_owned()) == (epoch == 4), "{shown:?}");
        for id in &ids(&sent)[..place] {
            outbox.confirm(*id);
        }
    }
    assert!(outbox.is_announcing());
    let last = publish_id_of(&mut outbox, "d");
    outbox.confirm(last);
    assert!(!outbox.is_announcing() && !outbox.latest.contains_key("d"));
}

/// Connects anew and gives the id of what goes to a topic.
fn publish_id_of(outbox: &mut Outbox, topic: &str) -> PublishId {
    outbox.connected(99);
    let found = pump(outbox).into_iter().find_map(|command| match command {
        Command::Publish(out) if out.topic == topic => Some(out.id),
        _ => None,
    });
    found.unwrap()
}

/// A device that is yet to be told and is taken back instead goes before the state that is removed with it.
#[test]
fn a_removal_does_not_wait_in_the_place_of_its_document() {
    let told = |payload| publish("d", PublishKind::Discovery, payload);
    let mut outbox = Outbox::default();
    outbox.accept(&mut vec![prediction("p")]);
    outbox.epoch = Some(1);
    outbox.accept(&mut vec![told("1")]);
    outbox.accept(&mut vec![told(""), publish("s", PublishKind::State, "")]);
    assert_eq!(shown(&pump(&mut outbox)), ["d=", "s=", "p={}"]);
    assert_eq!(shown(&pump(&mut outbox)), [""; 0], "once");
}
