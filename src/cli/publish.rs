//! Simulated rows onto a broker, in step with the clock or faster.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use rumqttc::{AsyncClient, Event, EventLoop, Outgoing, Packet, QoS};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Outcome;
use super::exit::complain;
use super::mqtt::Address;
use crate::domain::TopicTemplate;
use crate::simulator::{Simulator, UnitRow, format};

/// Longest wait for the first connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before connecting again; this is a tool at somebody's hand, not a fleet.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait for the broker to confirm what was sent before the end.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);

/// How rows go onto the broker.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "With --mqtt")]
pub struct Style {
    /// How many times faster than real time, or `max` for as fast as the broker takes them
    #[arg(long, default_value = "1", requires = "mqtt")]
    pub speed: Speed,
    /// One message with all readings of a unit, or one message for each reading
    #[arg(long = "as", value_enum, default_value_t = Shape::Frames, requires = "mqtt")]
    pub shape: Shape,
    /// Quality of service: 0 sends and forgets, 1 waits for the broker's acknowledgement
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1), requires = "mqtt")]
    pub qos: u8,
    /// Topic of frames
    #[arg(long, default_value = "hvac/{unit}/sensors", value_parser = frame_topic, requires = "mqtt")]
    pub topic: TopicTemplate,
    /// Topic of single readings
    #[arg(
        long,
        default_value = "hvac/{unit}/sensors/{sensor}",
        value_parser = reading_topic,
        requires = "mqtt"
    )]
    pub reading_topic: TopicTemplate,
    /// Which time the payloads carry; see below
    #[arg(long, value_enum, default_value_t = Timestamps::Auto, requires = "mqtt")]
    pub timestamps: Timestamps,
}

/// One message a unit, or one a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// `{"timestamp":...,"data":{"UCAIT":24.1,...}}`
    Frames,
    /// `{"value":24.1,"time":...}`, the sensor in the topic
    Readings,
}

/// Which time payloads carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Timestamps {
    /// The simulated time at speed 1, none at other speeds
    Auto,
    /// The simulated time
    Simulated,
    /// None: the receiver uses the time of arrival
    None,
}

/// How many times faster than real time; infinite for `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(f64);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self(f64::INFINITY));
        }
        text.parse()
            .ok()
            .filter(|times: &f64| times.is_finite() && *times >= 0.001)
            .map(Self)
            .ok_or_else(|| "expected a number of at least 0.001, or `max`".to_owned())
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() { f.write_str("max") } else { write!(f, "{}", self.0) }
    }
}

fn frame_topic(text: &str) -> Result<TopicTemplate, String> {
    TopicTemplate::parse(text, &["unit"], false).map_err(|error| error.to_string())
}

fn reading_topic(text: &str) -> Result<TopicTemplate, String> {
    TopicTemplate::parse(text, &["unit", "sensor"], false).map_err(|error| error.to_string())
}

impl Style {
    fn carries_time(&self) -> bool {
        match self.timestamps {
            Timestamps::Auto => self.speed == Speed(1.0),
            Timestamps::Simulated => true,
            Timestamps::None => false,
        }
    }

    /// The time of the first row: what was asked for; else now, or so far back that rows sent faster than
    /// real time end now instead of in the future.
    pub(super) fn start_us(
        &self,
        asked: Option<i64>,
        now_us: i64,
        rows: Option<u64>,
        step: Duration,
    ) -> Result<i64, String> {
        if asked.is_some() || !self.carries_time() || self.speed.0 <= 1.0 {
            return Ok(asked.unwrap_or(now_us));
        }
        let rows = rows.ok_or(
            "--timestamps simulated at this speed needs --rows, so that the last row can be laid at the \
             present, or --start",
        )?;
        let ahead = rows.saturating_sub(1) as f64 * step.as_micros() as f64 * (1.0 - 1.0 / self.speed.0);
        Ok(now_us.saturating_sub(ahead as i64))
    }

    fn qos(&self) -> QoS {
        if self.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce }
    }

    /// The messages of one row of one unit: topics and payloads.
    fn messages(&self, row: &UnitRow) -> Vec<(String, String)> {
        let time = self.carries_time().then_some(row.time_us);
        match self.shape {
            Shape::Frames => {
                vec![(self.topic.render(&[("unit", &row.unit)]), frame(row, time.is_some()))]
            }
            Shape::Readings => format::readings(row)
                .map(|(sensor, value)| {
                    let topic = self.reading_topic.render(&[("unit", &row.unit), ("sensor", sensor)]);
                    (topic, reading(value, time))
                })
                .collect(),
        }
    }
}

/// The payload of a frame, with its time or without.
pub(super) fn frame(row: &UnitRow, with_time: bool) -> String {
    let mut text = String::new();
    if with_time {
        format::frame(row, &mut text);
        return text;
    }
    for (sensor, value) in format::readings(row) {
        text.push_str(if text.is_empty() { "{\"data\":{\"" } else { ",\"" });
        text.push_str(sensor);
        text.push_str("\":");
        format::push_number(value, &mut text);
    }
    text.push_str(if text.is_empty() { "{\"data\":{}}" } else { "}}" });
    text
}

fn reading(value: f64, time_us: Option<i64>) -> String {
    let mut text = String::new();
    match time_us {
        Some(time_us) => format::reading(value, time_us, &mut text),
        None => format::push_number(value, &mut text),
    }
    text
}

/// Publishes until `rows` are sent or Ctrl-C, then waits for the broker to have them.
pub(super) fn publish(
    simulator: Simulator,
    step: Duration,
    rows: Option<u64>,
    broker: &Address,
    style: &Style,
) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the asynchronous runtime")?;
    runtime.block_on(session(simulator, step, rows, broker, style))?;
    Ok(())
}

async fn session(
    simulator: Simulator,
    step: Duration,
    rows: Option<u64>,
    broker: &Address,
    style: &Style,
) -> anyhow::Result<()> {
    let (client, event_loop) = broker.client("simulate");
    let (confirmed_tx, mut confirmed) = watch::channel(0_u64);
    let event_loop = connect(event_loop, broker).await?;
    complain(&format!("publishing to {broker}, {} and below; Ctrl-C stops", style.topic.as_str()));
    let poller = tokio::spawn(poll(event_loop, style.qos(), confirmed_tx));
    let mut sent = 0;
    tokio::select! {
        result = feed(simulator, step, rows, &client, style, &mut sent) => result?,
        stopped = tokio::signal::ctrl_c() => stopped.context("waiting for Ctrl-C")?,
    }
    let drained = timeout(DRAIN_PATIENCE, confirmed.wait_for(|count| *count >= sent)).await.is_ok();
    let confirmed = *confirmed.borrow();
    client.disconnect().await.context("disconnecting")?;
    // The task ends by itself once the farewell is written.
    let _ = timeout(RECONNECT_PAUSE, poller).await;
    if !drained {
        bail!("{broker} has confirmed {confirmed} of {sent} messages within {DRAIN_PATIENCE:?}");
    }
    complain(&format!("{sent} messages sent"));
    Ok(())
}

async fn connect(mut event_loop: EventLoop, broker: &Address) -> anyhow::Result<EventLoop> {
    let connected = async {
        loop {
            if let Event::Incoming(Packet::ConnAck(_)) = event_loop.poll().await? {
                return Ok::<(), rumqttc::ConnectionError>(());
            }
        }
    };
    match timeout(CONNECT_PATIENCE, connected).await {
        Ok(Ok(())) => Ok(event_loop),
        Ok(Err(error)) => Err(anyhow!(
            "cannot connect to {broker}: {error}. Is a broker running there, and is the login right?"
        )),
        Err(_) => bail!("{broker} does not answer within {CONNECT_PATIENCE:?}"),
    }
}

/// Moves packets; counts what the broker has, or what is written where nobody confirms.
async fn poll(mut event_loop: EventLoop, qos: QoS, confirmed: watch::Sender<u64>) {
    loop {
        match event_loop.poll().await {
            Ok(Event::Outgoing(Outgoing::Publish(_))) if qos == QoS::AtMostOnce => {
                confirmed.send_modify(|count| *count += 1);
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => confirmed.send_modify(|count| *count += 1),
            // Polling on would connect again.
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
            Ok(_) => {}
            Err(error) => {
                complain(&format!("connection lost: {error}; trying again"));
                sleep(RECONNECT_PAUSE).await;
            }
        }
    }
}

async fn feed(
    mut simulator: Simulator,
    step: Duration,
    rows: Option<u64>,
    client: &AsyncClient,
    style: &Style,
    sent: &mut u64,
) -> anyhow::Result<()> {
    let start = Instant::now();
    for _ in 0..rows.unwrap_or(u64::MAX) {
        let row = simulator.next_row();
        let due_s = row.index as f64 * step.as_secs_f64() / style.speed.0;
        sleep_until(start + Duration::try_from_secs_f64(due_s).context("the run is too long")?).await;
        for (topic, payload) in row.units.iter().flat_map(|unit| style.messages(unit)) {
            client.publish(topic, style.qos(), false, payload).await.context("publishing")?;
            *sent += 1;
        }
    }
    Ok(())
}
