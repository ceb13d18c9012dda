//! Bundles that must be signed, with signatures of the real minisign.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{Broker, Client, Config, cooltwin, stderr, stdout, tiny_bundle};

const CONFIGURATION: Option<i32> = Some(78);
const STATUS: &str = "cooltwin/test/status";

fn minisign(dir: &Path, arguments: &[&str]) {
    let output = Command::new("minisign")
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .expect("minisign is installed; tests/run.sh --setup does it");
    assert!(output.status.success(), "minisign {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A copy of the tiny bundle, and two keys to sign it with.
struct Signed {
    dir: TempDir,
}

impl Signed {
    fn new() -> Self {
        let signed = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(signed.bundle()).unwrap();
        for entry in fs::read_dir(tiny_bundle()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), signed.bundle().join(entry.file_name())).unwrap();
        }
        for name in ["ours", "theirs"] {
            let (public, secret) = (format!("{name}.pub"), format!("{name}.key"));
            minisign(signed.dir.path(), &["-G", "-W", "-p", &public, "-s", &secret]);
        }
        signed
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.bundle().join(name)
    }

    fn sign(&self, key: &str) {
        let key = format!("{key}.key");
        minisign(
            self.dir.path(),
            &["-S", "-s", &key, "-m", "bundle/bundle.toml", "-t", "made for the tests"],
        );
    }

    fn key_file(&self) -> PathBuf {
        self.dir.path().join("ours.pub")
    }

    /// The key itself, as it may stand in the configuration.
    fn key(&self) -> String {
        fs::read_to_string(self.key_file()).unwrap().lines().nth(1).unwrap().to_owned()
    }

    fn config(&self, url: &str) -> Config {
        Config::new(url).path("bundle.path", &self.bundle()).path("bundle.public_key", &self.key_file())
    }

    /// What `cooltwin COMMAND` says of it, and its exit code.
    fn judged(&self, command: &str) -> (Option<i32>, String) {
        let file = self.dir.path().join("cooltwin.toml");
        self.config("mqtt://127.0.0.1:1").write(&file);
        let output = cooltwin(&[command, "--config", file.to_str().unwrap()]);
        (output.status.code(), stdout(&output) + &stderr(&output))
    }
}

#[test]
fn only_what_the_key_signed_is_loaded() {
    type Spoil = fn(&Signed);
    let spoil: [(&str, Spoil); 7] = [
        ("bundle.toml.minisig: the bundle is not signed", |_| ()),
        ("bundle.toml.minisig: was made with another key", |bundle| bundle.sign("theirs")),
        ("bundle.toml.minisig: does not fit", |bundle| {
            bundle.sign("ours");
            let text = fs::read_to_string(bundle.file("bundle.toml")).unwrap();
            fs::write(bundle.file("bundle.toml"), text + "\n# changed\n").unwrap();
        }),
        ("bundle.toml.minisig: is damaged", |bundle| {
            bundle.sign("ours");
            fs::write(bundle.file("bundle.toml.minisig"), "untrusted comment: none\n").unwrap();
        }),
        ("t.onnx: its SHA-256 is", |bundle| {
            bundle.sign("ours");
            let mut bytes = fs::read(bundle.file("t.onnx")).unwrap();
            bytes.push(0);
            fs::write(bundle.file("t.onnx"), bytes).unwrap();
        }),
        ("golden.jsonl: the file is missing", |bundle| {
            bundle.sign("ours");
            fs::remove_file(bundle.file("golden.jsonl")).unwrap();
        }),
        // Sealed by whoever changed it: all hashes are right again, but the signature is not.
        ("bundle.toml.minisig: does not fit", |bundle| {
            bundle.sign("ours");
            let text = fs::read_to_string(bundle.file("bundle.toml")).unwrap();
            fs::write(bundle.file("bundle.toml"), text.replace("R / D", "R / D + 1.0")).unwrap();
            let output = cooltwin(&["seal", bundle.bundle().to_str().unwrap()]);
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(stderr(&output).contains("minisign -Sm bundle.toml"), "{}", stderr(&output));
        }),
    ];
    for (reason, spoil) in spoil {
        let bundle = Signed::new();
        spoil(&bundle);
        for command in ["check", "run"] {
            let (code, said) = bundle.judged(command);
            assert_eq!(code, CONFIGURATION, "{command}: {said}");
            assert!(said.contains(reason), "{command} does not say `{reason}`: {said}");
        }
    }
}

#[test]
fn check_says_who_signed() {
    let bundle = Signed::new();
    bundle.sign("ours");
    let (code, said) = bundle.judged("check");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("signed by:  {} (made for the tests)", bundle.key())), "{said}");
}

#[test]
fn a_key_that_is_none_is_named() {
    for wrong in ["RWnonsense", "/nowhere/minisign.pub"] {
        let output = cooltwin(&["check", "--set", &format!("bundle.public_key={wrong}")]);
        assert_eq!(output.status.code(), CONFIGURATION);
        assert!(stderr(&output).contains("bundle.public_key"), "{}", stderr(&output));
    }
}

#[test]
fn a_reload_keeps_the_running_bundle_when_the_new_one_is_not_signed() {
    let broker = Broker::start();
    let client = Client::connect(&broker, &["hvac/+/predictions", "cooltwin/test/#"]);
    let bundle = Signed::new();
    bundle.sign("ours");
    // The key itself this time, not a file.
    let config = bundle.config(&broker.url()).text("bundle.public_key", &bundle.key());
    let mut daemon = config.start();
    client.wait_text(STATUS, "online");
    let before = client.predict_until_answered("attic").json()["model"]["sha256"].clone();

    let text = fs::read_to_string(bundle.file("bundle.toml")).unwrap();
    fs::write(bundle.file("bundle.toml"), text.replace("R / D", "R / D + 1.0")).unwrap();
    assert!(cooltwin(&["seal", bundle.bundle().to_str().unwrap()]).status.success());
    daemon.signal("HUP");
    daemon.wait_ready(2);
    daemon.wait_notified("a status line that says why", |line| {
        line.starts_with("STATUS=") && line.contains("bundle.toml.minisig: does not fit")
    });
    assert_eq!(
        client.predict_until_answered("attic").json()["model"]["sha256"],
        before,
        "the old bundle goes on"
    );

    bundle.sign("ours");
    daemon.signal("HUP");
    daemon.wait_ready(3);
    assert_ne!(client.predict_until_answered("attic").json()["model"]["sha256"], before);
}
