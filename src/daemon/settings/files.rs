//! The files that settings name: credentials of the service, and who else may read or change them.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Begins the name of a credential that systemd hands the service (`LoadCredential=`).
const CREDENTIAL: &str = "credential:";
/// Where systemd puts the credentials of a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Permission of everybody to read.
const OTHERS_READ: u32 = 0o004;
/// Permission of everybody to write.
const OTHERS_WRITE: u32 = 0o002;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) enum Content {
    /// Something nobody else should read.
    Secret,
    /// Something everybody may read, and nobody else should change.
    Public,
}

/// Where a file is: the path as it stands, or `credential:NAME` as systemd has laid it out for this service.
///
/// # Errors
/// There are no credentials, or the name is none.
pub(in crate::daemon) fn locate(path: &Path) -> Result<PathBuf, String> {
    locate_in(path, std::env::var_os(CREDENTIALS_DIRECTORY))
}

fn locate_in(path: &Path, credentials: Option<OsString>) -> Result<PathBuf, String> {
    let Some(name) = path.to_str().and_then(|text| text.strip_prefix(CREDENTIAL)) else {
        return Ok(path.to_path_buf());
    };
    let mut parts = Path::new(name).components();
    let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
        return Err("is not the name of a credential: write credential:NAME".to_owned());
    };
    match credentials.filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(Path::new(&folder).join(name)),
        None => Err(format!(
            "there are no credentials ({CREDENTIALS_DIRECTORY} is not set): give the service LoadCredential={name}:FILE \
             (systemd 247 and later); to check by hand, set {CREDENTIALS_DIRECTORY} to the folder with the file {name}"
        )),
    }
}

/// Looks at a file as [`open`] does. Gives a warning for a secret that everybody may read: not a refusal, since containers mount secrets that way where nobody else lives, and a
/// check that stands in the way is soon switched off.
///
/// # Errors
/// The file cannot be read, or everybody may change it, and so decide whom this daemon trusts.
pub(in crate::daemon) fn inspect(path: &Path, content: Content) -> Result<Option<String>, String> {
    let mode = open(path)?.metadata().map_err(unreadable)?.permissions().mode();
    if content == Content::Secret && mode & OTHERS_READ != 0 {
        return Ok(Some(format!(
            "{0} may be read by everybody; run: chmod o-r {0}",
            locate(path)?.display()
        )));
    }
    Ok(None)
}

/// Opens a file for reading.
///
/// # Errors
/// The file cannot be read, or everybody may change it, and so decide whom this daemon trusts.
pub(in crate::daemon) fn open(path: &Path) -> Result<File, String> {
    let path = locate(path)?;
    if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
        // Opening a pipe would wait for whoever writes to it.
        return Err("cannot be read: it is no file".to_owned());
    }
    let file = File::open(&path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.permissions().mode() & OTHERS_WRITE != 0 {
        return Err(format!("may be changed by everybody; run: chmod o-w {}", path.display()));
    }
    Ok(file)
}

/// Reads a file of text.
///
/// # Errors
/// It cannot be read, everybody may change it, it is longer than `most` bytes, or no UTF-8.
pub(in crate::daemon) fn read_text(path: &Path, most: u64) -> Result<String, String> {
    let mut text = String::new();
    let file = open(path)?;
    file.take(most + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > most {
        return Err(format!("is longer than the {most} bytes allowed"));
    }
    Ok(text)
}

// As `map_err` wants it.
#[allow(clippy::needless_pass_by_value)]
fn unreadable(error: std::io::Error) -> String {
    format!("cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_lie_where_systemd_puts_them() {
        let folder = || Some(OsString::from("/run/credentials/cooltwin.service"));
        let found = locate_in(Path::new("credential:mqtt-password"), folder()).unwrap();
        assert_eq!(found, Path::new("/run/credentials/cooltwin.service/mqtt-password"));
        let plain = Path::new("/etc/cooltwin/credential:x");
        assert_eq!(locate_in(plain, folder()).unwrap(), plain);
        for outside in
            ["credential:", "credential:..", "credential:../x", "credential:/etc/shadow", "credential:a/b"]
        {
            assert!(locate_in(Path::new(outside), folder()).is_err(), "{outside}");
        }
        for missing in [None, Some(OsString::new())] {
            let reason = locate_in(Path::new("credential:mqtt"), missing).unwrap_err();
            assert!(reason.contains("LoadCredential=mqtt:"), "{reason}");
        }
    }

    #[test]
    fn who_else_may_read_or_change_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "x").unwrap();
        let judged = |mode, content| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            inspect(&file, content)
        };
        assert_eq!(judged(0o600, Content::Secret), Ok(None));
        assert_eq!(judged(0o440, Content::Secret), Ok(None));
        assert!(judged(0o644, Content::Secret).unwrap().unwrap().contains("chmod o-r"));
        assert_eq!(judged(0o644, Content::Public), Ok(None));
        for content in [Content::Secret, Content::Public] {
            assert!(judged(0o646, content).unwrap_err().contains("chmod o-w"));
        }
        assert!(read_text(&file, 1).unwrap_err().contains("chmod o-w"), "judged at each reading");
        judged(0o600, Content::Secret).unwrap();
        assert_eq!(read_text(&file, 1).unwrap(), "x");
        assert!(read_text(&file, 0).unwrap_err().contains("longer than"));
        assert!(inspect(folder.path(), Content::Public).unwrap_err().contains("no file"));
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read_text(&pipe, 1).unwrap_err().contains("no file"), "nobody writes to it");
        assert!(
            inspect(&folder.path().join("none"), Content::Public).unwrap_err().contains("cannot be read")
        );
    }
}
