//! Reloads under load that go wrong, are interrupted, or come without end.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Client, Site, cooltwin, eventually, scaled, stderr};

const HEALTH: &str = "cooltwin/test/health";

/// Waits for a health document that was written after now and says what is wanted.
fn wait_health(client: &Client, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
    client.clear();
    client.wait(what, |message| message.topic == HEALTH && wanted(&message.json()));
}

fn is_refused(health: &serde_json::Value) -> bool {
    health["reload_failure"].is_string()
}

#[test]
fn a_configuration_replaced_by_garbage() {
    let site = Site::start();
    let client = Client::connect(&site.broker, &[HEALTH]);
    site.flow(200);
    let garbage: [&[u8]; 5] = [b"", b"\x00\xff\xfe\x01", b"[mqtt\nurl", b"[mqtt]\nurl = 3", b"x = 1"];
    let file = site.daemon.config_file();
    for content in &garbage {
        fs::write(&file, content).unwrap();
        site.daemon.signal("HUP");
        wait_health(&client, "the refusal", is_refused);
        site.observer.wait_seen(site.observer.seen() + 20);
    }
    fs::remove_file(&file).unwrap();
    site.daemon.signal("HUP");
    wait_health(&client, "the refusal", is_refused);
    site.config.write(&file);
    site.daemon.signal("HUP");
    wait_health(&client, "the reload", |health| !is_refused(health));
    site.settle("configuration replaced by garbage", Instant::now());
    assert_eq!(site.proxy.connects().len(), 1, "connections were lost over it");
}

#[test]
fn a_model_folder_replaced_half_way() {
    let site = Site::start();
    let client = Client::connect(&site.broker, &[HEALTH]);
    site.flow(200);
    let (model, manifest) = (site.bundle().join("t.onnx"), site.bundle().join("bundle.toml"));
    let (bytes, text) = (fs::read(&model).unwrap(), fs::read_to_string(&manifest).unwrap());
    // The model is copied and half of it is there; it is not there at all; it is there, and the new manifest not yet.
    for half in [Some(&bytes[..bytes.len() / 2]), None, Some(&[])] {
        match half {
            Some(half) => fs::write(&model, half).unwrap(),
            None => fs::remove_file(&model).unwrap(),
        }
        site.daemon.signal("HUP");
        wait_health(&client, "the refusal", is_refused);
        site.observer.wait_seen(site.observer.seen() + 20);
    }
    fs::write(&model, &bytes).unwrap();
    fs::write(&manifest, text.replace("version = \"1\"", "version = \"2\"")).unwrap();
    let sealed = cooltwin(&["seal", site.bundle().to_str().unwrap()]);
    assert!(sealed.status.success(), "{}", stderr(&sealed));
    site.daemon.signal("HUP");
    wait_health(&client, "the new version", |health| health["bundle"]["version"] == "2");
    site.settle("model folder replaced half way", Instant::now());
    assert_eq!(site.proxy.connects().len(), 1, "connections were lost over it");
}

#[test]
fn reloads_without_end() {
    let mut site = Site::start();
    site.flow(200);
    for _ in 0..scaled(30, 300) {
        site.daemon.signal("HUP");
        std::thread::sleep(Duration::from_millis(30));
    }
    let healed = Instant::now();
    // The last one was asked for while another ran, or it has ended by itself.
    site.daemon.wait_ready(2);
    site.settle("reloads without end", healed);
}

#[test]
fn a_daemon_killed_while_it_reloads() {
    let mut site = Site::start();
    site.flow(200);
    let mut healed = Instant::now();
    for delay in 0..scaled(6, 30) {
        site.daemon.signal("HUP");
        std::thread::sleep(Duration::from_millis(delay * 5));
        site.daemon.kill();
        site.daemon.restart(&site.config);
        healed = Instant::now();
        let seen = site.observer.seen();
        eventually("predictions", || (site.observer.seen() > seen).then_some(()));
    }
    site.settle("daemon killed while it reloads", healed);
}
