//! Signed bundles: a minisign signature over the manifest, whose hashes speak of every other file.

use std::fmt;

use minisign_verify::{Error, PublicKey as Key, Signature};

use super::load::{check_hashes, file_text};
use super::manifest::{MANIFEST_FILE, Manifest};
use super::{BundleErrors, BundleFiles};

/// The signature beside the manifest, under the name that minisign gives it.
pub const SIGNATURE_FILE: &str = "bundle.toml.minisig";
/// Longest signature file: minisign's comments may have 8 KiB and 1 KiB.
const MAX_SIGNATURE_BYTES: usize = 16 * 1024;
/// Longest public key file: one comment of 1 KiB and one line of 56 characters.
const MAX_KEY_BYTES: usize = 4 * 1024;
/// Longest trusted comment shown.
const MAX_COMMENT_CHARS: usize = 200;
const HOW_TO_SIGN: &str = "sign it with: minisign -Sm bundle.toml";

/// A minisign public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: Key,
    base64: String,
}

impl PublicKey {
    /// Reads the key alone, or a `minisign.pub` file: a comment and the key.
    ///
    /// # Errors
    /// The text is no minisign public key.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "is no minisign public key: it begins with RW and has 56 characters".to_owned();
        if text.len() > MAX_KEY_BYTES {
            return Err(wrong());
        }
        let is_comment = |line: &str| line.starts_with("untrusted comment:");
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_comment(line));
        match (lines.next(), lines.next()) {
            (Some(base64), None) => {
                let key = Key::from_base64(base64).map_err(|_| wrong())?;
                Ok(Self { key, base64: base64.to_owned() })
            }
            _ => Err(wrong()),
        }
    }

    /// Checks a signature over bytes and gives its trusted comment.
    ///
    /// # Errors
    /// Why the signature does not prove that the owner of this key signed these bytes.
    pub fn verify(&self, bytes: &[u8], signature: &str) -> Result<String, String> {
        let damaged = || "is damaged or no minisign signature".to_owned();
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(damaged());
        }
        let signature = Signature::decode(signature).map_err(|_| damaged())?;
        self.key.verify(bytes, &signature, false).map_err(|error| match error {
            Error::UnexpectedKeyId => "was made with another key".to_owned(),
            Error::UnexpectedAlgorithm => {
                "is of minisign's old kind; make it with minisign 0.10 or later".to_owned()
            }
            Error::InvalidSignature => {
                "does not fit: what was signed has been changed since, or its comment has".to_owned()
            }
            _ => damaged(),
        })?;
        let comment = signature.trusted_comment().chars().filter(|c| !c.is_control());
        Ok(comment.take(MAX_COMMENT_CHARS).collect())
    }
}

/// Who signed a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBy {
    key: String,
    comment: String,
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.comment)
    }
}

/// Verifies that the owner of `key` signed this bundle: first the signature over the manifest, then the hashes it
/// states for all other files. Nothing is parsed before that but the signature itself, and no model at all.
///
/// # Errors
/// The bundle is not signed, not by this key, or was changed since.
pub fn verify(files: &BundleFiles, key: &PublicKey) -> Result<SignedBy, BundleErrors> {
    let problem = |text: String| BundleErrors(vec![text]);
    let manifest = file_text(files, MANIFEST_FILE)?;
    if !files.0.contains_key(SIGNATURE_FILE) {
        return Err(problem(format!(
            "{SIGNATURE_FILE}: the bundle is not signed, and bundle.public_key asks for it; {HOW_TO_SIGN}"
        )));
    }
    let comment = key.verify(manifest.as_bytes(), file_text(files, SIGNATURE_FILE)?).map_err(|reason| {
        problem(format!(
            "{SIGNATURE_FILE}: {reason}; expected is a signature by {}; {HOW_TO_SIGN}",
            key.base64
        ))
    })?;
    let manifest = Manifest::parse(manifest).map_err(BundleErrors)?;
    let problems = check_hashes(files, &manifest);
    if problems.is_empty() {
        Ok(SignedBy { key: key.base64.clone(), comment })
    } else {
        Err(BundleErrors(problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with minisign 0.11: `minisign -GW`, `minisign -Sm message -t 'version 1'`, the second one with -l.
    const MESSAGE: &str = include_str!("../../tests/signatures/message");
    const KEY: &str = include_str!("../../tests/signatures/key.pub");
    const OTHER_KEY: &str = include_str!("../../tests/signatures/other.pub");
    const SIGNATURE: &str = include_str!("../../tests/signatures/message.minisig");
    const OLD_KIND: &str = include_str!("../../tests/signatures/message.legacy.minisig");

    fn key() -> PublicKey {
        PublicKey::parse(KEY).unwrap()
    }

    #[test]
    fn keys_come_alone_or_with_their_comment() {
        let alone = KEY.lines().nth(1).unwrap();
        assert_eq!(PublicKey::parse(alone), PublicKey::parse(KEY));
        assert_eq!(PublicKey::parse(&format!("  {alone}\r\n\n")), PublicKey::parse(KEY));
        let twice = format!("{alone}\n{alone}");
        for wrong in
            ["", "RW", "untrusted comment: x\n", &alone[1..], &twice, &"R".repeat(100_000), SIGNATURE]
        {
            assert!(PublicKey::parse(wrong).unwrap_err().contains("56 characters"));
        }
    }

    #[test]
    fn a_signature_proves_every_byte() {
        assert_eq!(key().verify(MESSAGE.as_bytes(), SIGNATURE).unwrap(), "version 1");
        for place in 0..MESSAGE.len() {
            let mut changed = MESSAGE.as_bytes().to_vec();
            changed[place] ^= 1;
            assert!(key().verify(&changed, SIGNATURE).unwrap_err().contains("changed since"));
        }
        let renamed = SIGNATURE.replace("version 1", "version 2");
        assert!(key().verify(MESSAGE.as_bytes(), &renamed).is_err(), "the trusted comment is signed as well");
    }

    #[test]
    fn no_character_of_a_signature_can_be_changed() {
        // But in the first line, the comment that is not trusted.
        let trusted = SIGNATURE.find('\n').unwrap();
        for place in trusted..SIGNATURE.len() {
            let mut changed = SIGNATURE.as_bytes().to_vec();
            changed[place] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            // The line end after the last line is no part of it.
            if changed.trim_end() != SIGNATURE.trim_end() {
                assert!(key().verify(MESSAGE.as_bytes(), &changed).is_err(), "{place}: {changed}");
            }
        }
    }

    #[test]
    fn other_keys_and_other_kinds_are_named() {
        let other = PublicKey::parse(OTHER_KEY).unwrap();
        assert!(other.verify(MESSAGE.as_bytes(), SIGNATURE).unwrap_err().contains("another key"));
        assert!(key().verify(MESSAGE.as_bytes(), OLD_KIND).unwrap_err().contains("old kind"));
        let long = format!("{SIGNATURE}{}", "x".repeat(100_000));
        for damaged in ["", "x", KEY, &SIGNATURE[..100], &long] {
            assert!(key().verify(MESSAGE.as_bytes(), damaged).unwrap_err().contains("damaged"));
        }
    }
}
