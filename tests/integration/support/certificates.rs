//! Certificates of one's own, made by openssl.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A certificate authority.
pub(crate) struct Authority {
    dir: TempDir,
}

/// A certificate with its key.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Authority {
    /// A new one, whom nobody knows.
    pub(crate) fn new() -> Self {
        let authority = Self { dir: tempfile::tempdir().unwrap() };
        authority.renew();
        authority
    }

    /// Replaces key and certificate; what was issued before is worth nothing then.
    pub(crate) fn renew(&self) {
        let (key, certificate) = (self.path("ca.key"), self.path("ca.pem"));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        openssl(&[
            "req",
            "-x509",
            "-new",
            "-key",
            &key,
            "-out",
            &certificate,
            "-days",
            "2",
            "-subj",
            "/CN=Test authority",
            "-addext",
            "keyUsage=critical,keyCertSign",
        ]);
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Its certificate, which those who trust it are given.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("ca.pem").into()
    }

    /// A certificate for `localhost`, good for servers and clients.
    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.issue_for(name, 2)
    }

    /// The same, of yesterday.
    pub(crate) fn issue_expired(&self, name: &str) -> Identity {
        self.issue_for(name, -1)
    }

    /// Puts certificate and key of that name of another authority, and its own certificate, where those of
    /// this one were: a broker that is configured with the files of this one finds them at its next start.
    pub(crate) fn replace_by(&self, other: &Self, name: &str) {
        for file in [format!("{name}.pem"), format!("{name}.key"), "ca.pem".to_owned()] {
            fs::copy(other.path(&file), self.path(&file)).unwrap();
        }
    }

    fn issue_for(&self, name: &str, days: i32) -> Identity {
        let file = |ending: &str| self.path(&format!("{name}.{ending}"));
        let (key, request, certificate, extensions) = (file("key"), file("csr"), file("pem"), file("ext"));
        fs::write(&extensions, "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
            .unwrap();
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
        openssl(&["req", "-new", "-key", &key, "-out", &request, "-subj", &format!("/CN={name}")]);
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &self.path("ca.pem"),
            "-CAkey",
            &self.path("ca.key"),
            "-CAcreateserial",
            "-days",
            &days.to_string(),
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
        Identity { certificate: certificate.into(), key: key.into() }
    }
}
