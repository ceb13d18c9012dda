//! Sparkplug nodes on a real broker: their aliases, and the request for them after a restart.

use prost::Message as _;

use crate::support::{Broker, Client, Config, eventually, frame};

const RULE: &str =
    "[[source]]\nname = \"plant\"\ntopic = \"spBv1.0/plant/+/+/{unit}\"\nkind = \"sparkplug\"\n";
const COMMANDS: &str = "spBv1.0/plant/NCMD/edge";
const DOUBLE: u32 = 10;

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(uint64, optional, tag = "1")]
    timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    seq: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    alias: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    datatype: Option<u32>,
    #[prost(uint64, optional, tag = "11")]
    long_value: Option<u64>,
    #[prost(double, optional, tag = "13")]
    double_value: Option<f64>,
    #[prost(bool, optional, tag = "14")]
    boolean_value: Option<bool>,
}

fn payload(seq: u64, metrics: Vec<Metric>) -> Vec<u8> {
    Payload { timestamp: None, metrics, seq: Some(seq) }.encode_to_vec()
}

fn node_birth() -> Vec<u8> {
    let name = Some("bdSeq".to_owned());
    payload(0, vec![Metric { name, datatype: Some(8), long_value: Some(1), ..Metric::default() }])
}

/// All sensors of the tiny bundle with their aliases, whose numbers differ from birth to birth.
fn device_birth(first_alias: u64) -> Vec<u8> {
    let sensors = [("R", 15.0), ("H", 10.0), ("N", 1000.0), ("D", 2.0)];
    let metrics = sensors.iter().zip(first_alias..).map(|((name, value), alias)| Metric {
        name: Some((*name).to_owned()),
        alias: Some(alias),
        datatype: Some(DOUBLE),
        double_value: Some(*value),
        ..Metric::default()
    });
    payload(1, metrics.collect())
}

fn data(seq: u64, alias: u64, value: f64) -> Vec<u8> {
    payload(seq, vec![Metric { alias: Some(alias), double_value: Some(value), ..Metric::default() }])
}

/// Predictions of the unit since the client was last cleared, by the value of their target.
fn predicted(client: &Client, count: usize) -> u64 {
    let all = eventually("predictions of the device", || {
        Some(client.on("hvac/c1/predictions")).filter(|all| all.len() >= count)
    });
    all[count - 1].json()["T"].as_f64().unwrap().to_bits()
}

#[test]
fn aliases_are_understood_and_asked_for_after_a_restart() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "spBv1.0/plant/NCMD/+"]);
    let config = Config::new(&broker.url()).rules(RULE);
    let mut daemon = config.start();
    let expected = client.predict_until_answered("other").json()["T"].as_f64().unwrap().to_bits();

    client.publish("spBv1.0/plant/NBIRTH/edge", node_birth());
    client.publish("spBv1.0/plant/DBIRTH/edge/c1", device_birth(100));
    client.publish("spBv1.0/plant/DDATA/edge/c1", data(2, 100, 20.0));
    assert_eq!(predicted(&client, 2), expected, "the same readings as {}", frame(20.0));
    assert!(client.on(COMMANDS).is_empty(), "nothing was missing");

    daemon.kill();
    daemon.restart(&config);
    client.predict_until_answered("other");
    client.clear();
    client.publish("spBv1.0/plant/DDATA/edge/c1", data(3, 100, 20.0));
    let request = client.wait_on(COMMANDS);
    assert!(!request.retained);
    let request = Payload::decode(&*request.payload).unwrap();
    assert_eq!(request.seq, None);
    let [metric] = request.metrics.as_slice() else { panic!("{request:?}") };
    assert_eq!(metric.name.as_deref(), Some("Node Control/Rebirth"));
    assert_eq!((metric.datatype, metric.boolean_value), (Some(11), Some(true)));
    assert!(client.on("hvac/c1/predictions").is_empty(), "nobody can know what 100 is");

    client.publish("spBv1.0/plant/NBIRTH/edge", node_birth());
    client.publish("spBv1.0/plant/DBIRTH/edge/c1", device_birth(7));
    client.publish("spBv1.0/plant/DDATA/edge/c1", data(2, 7, 20.0));
    assert_eq!(predicted(&client, 2), expected);
    assert_eq!(client.on(COMMANDS).len(), 1, "it was asked once");
}

#[test]
fn nothing_is_asked_where_the_rule_forbids_it() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "spBv1.0/#", "cooltwin/test/health"]);
    let _daemon = Config::new(&broker.url()).rules(&format!("{RULE}rebirth = false\n")).start();
    client.predict_until_answered("other");
    client.publish("spBv1.0/plant/DDATA/edge/c1", data(3, 100, 20.0));
    client.wait("the drop in the health document", |message| {
        message.topic == "cooltwin/test/health" && message.json()["drops"]["missing_birth"] == 1
    });
    assert!(client.on(COMMANDS).is_empty());
}
