use super::*;
use crate::simulator::SimulatorConfig;

fn style() -> Style {
    Style {
        speed: Speed(1.0),
        shape: Shape::Frames,
        qos: 0,
        topic: frame_topic("hvac/{unit}/sensors").unwrap(),
        reading_topic: reading_topic("hvac/{unit}/sensors/{sensor}").unwrap(),
        timestamps: Timestamps::Auto,
    }
}

#[test]
fn runs_faster_than_time_never_reach_the_future() {
    let step = Duration::from_secs(30);
    let fast = Style { speed: Speed(10.0), timestamps: Timestamps::Simulated, ..style() };
    let now = 1_767_571_200_000_000;
    let start = fast.start_us(None, now, Some(11), step).unwrap();
    // The last row is sent 30 s from now and measured then.
    assert_eq!(start + 10 * 30_000_000, now + 30_000_000);
    assert!(fast.start_us(None, now, None, step).unwrap_err().contains("--rows"));
    assert_eq!(fast.start_us(Some(5), now, None, step), Ok(5));
    assert_eq!(style().start_us(None, now, None, step), Ok(now));
}

#[test]
fn payloads_with_and_without_time() {
    let mut simulator = Simulator::new(SimulatorConfig::default()).unwrap();
    let row = simulator.next_row().units.remove(0);
    let [(topic, timed)] = &style().messages(&row)[..] else { panic!("one frame") };
    assert_eq!(topic, "hvac/cooler-01/sensors");
    let untimed_style = Style { speed: Speed(2.0), ..style() };
    let untimed = &untimed_style.messages(&row)[0].1;
    let timed: serde_json::Value = serde_json::from_str(timed).unwrap();
    let untimed: serde_json::Value = serde_json::from_str(untimed).unwrap();
    assert!(timed["timestamp"].is_string() && untimed.get("timestamp").is_none());
    assert_eq!(timed["data"], untimed["data"]);
    let singles = Style { shape: Shape::Readings, ..style() };
    let messages = singles.messages(&row);
    assert_eq!(messages.len(), timed["data"].as_object().unwrap().len());
    assert_eq!(messages[0].0, "hvac/cooler-01/sensors/AMBT");
    assert!(messages[0].1.contains("\"time\""));
}

#[test]
fn speeds() {
    assert_eq!("max".parse(), Ok(Speed(f64::INFINITY)));
    assert_eq!("2.5".parse(), Ok(Speed(2.5)));
    for bad in ["0", "-1", "nan", "inf", "fast"] {
        assert!(bad.parse::<Speed>().is_err(), "{bad}");
    }
}

/// Whatever reaches a broker below `hvac/`: topics and payloads, until `wanted` messages have come.
#[cfg(feature = "demo")]
fn listen(broker: &Address, wanted: usize) -> std::thread::JoinHandle<Vec<(String, Vec<u8>)>> {
    let broker = broker.clone();
    let (ready_tx, ready) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (client, mut event_loop) = broker.client("test");
            client.subscribe("hvac/#", QoS::AtLeastOnce).await.unwrap();
            let mut messages = Vec::new();
            while messages.len() < wanted {
                match event_loop.poll().await.unwrap() {
                    Event::Incoming(Packet::SubAck(_)) => ready_tx.send(()).unwrap(),
                    Event::Incoming(Packet::Publish(publish)) => {
                        messages.push((publish.topic.clone(), publish.payload.to_vec()));
                    }
                    _ => {}
                }
            }
            messages
        })
    });
    ready.recv().unwrap();
    listener
}

#[cfg(feature = "demo")]
#[test]
fn all_rows_reach_the_broker_before_the_end() {
    let broker = Address::new("127.0.0.1", crate::cli::demo::broker::start().unwrap());
    let simulator = || Simulator::new(SimulatorConfig { units: 2, ..SimulatorConfig::default() }).unwrap();
    let step = Duration::from_secs(30);
    for qos in [0, 1] {
        let listener = listen(&broker, 20);
        let style = Style { speed: Speed(f64::INFINITY), qos, ..style() };
        publish(simulator(), step, Some(10), &broker, &style).unwrap();
        let messages = listener.join().unwrap();
        assert_eq!(messages[19].0, "hvac/cooler-02/sensors");
        assert_eq!(String::from_utf8_lossy(&messages[0].1), frame(&simulator().next_row().units[0], false));
    }
    let count = format::readings(&simulator().next_row().units[0]).count();
    let listener = listen(&broker, 2 * count);
    let style = Style { shape: Shape::Readings, ..style() };
    publish(simulator(), step, Some(1), &broker, &style).unwrap();
    let messages = listener.join().unwrap();
    assert_eq!(messages[0].0, "hvac/cooler-01/sensors/AMBT");
}
