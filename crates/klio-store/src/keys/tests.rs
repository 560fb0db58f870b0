use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use super::*;

fn provider(dir: &Path, name: &str) -> Arc<dyn KeyProvider> {
    Arc::new(FileKeyProvider::generate(&dir.join(name)).unwrap())
}

fn opens(cipher: &Cipher, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut out = Vec::new();
    cipher.open(b"aad", sealed, &mut out).map(|()| out)
}

fn seals(cipher: &Cipher) -> Vec<u8> {
    let mut out = Vec::new();
    cipher.seal(b"aad", b"planted", &mut out).unwrap();
    out
}

#[test]
fn no_altered_byte_opens() {
    let cipher = Cipher::new(Secret::random().unwrap());
    let sealed = seals(&cipher);
    assert_eq!(sealed.len(), b"planted".len() + Cipher::OVERHEAD);
    assert_eq!(opens(&cipher, &sealed).unwrap(), b"planted");
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert!(opens(&cipher, &altered).is_err(), "byte {at}");
        assert!(opens(&cipher, &sealed[..at]).is_err(), "length {at}");
    }
    let mut out = b"before".to_vec();
    assert!(matches!(cipher.open(b"other", &sealed, &mut out), Err(KeyError::Altered)));
    assert_eq!(out, b"before");
    assert_ne!(seals(&cipher), sealed, "each message has a key of its own");
}

#[test]
fn keys_outlive_the_ring_and_their_versions_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let kek = provider(dir.path(), "kek");
    let ring = Keyring::open(&dir.path().join("keys"), Arc::clone(&kek)).unwrap();
    assert!(matches!(ring.existing("spool"), Err(KeyError::Unknown(_))));
    let old = seals(&ring.cipher("spool").unwrap());
    let rotated = ring.rotate("spool").unwrap();
    let new = seals(&rotated);
    assert_ne!(old[..4], new[..4]);
    let kek = FileKeyProvider::from_reference(&format!("file:{}", dir.path().join("kek").display())).unwrap();
    let again = Keyring::open(&dir.path().join("keys"), Arc::new(kek)).unwrap().existing("spool").unwrap();
    assert_eq!(opens(&again, &old).unwrap(), b"planted");
    assert_eq!(opens(&again, &new).unwrap(), b"planted");
}

#[test]
fn a_new_wrapping_key_leaves_everything_readable() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (provider(dir.path(), "old"), provider(dir.path(), "new"));
    let keys = dir.path().join("keys");
    let ring = Keyring::open(&keys, Arc::clone(&old)).unwrap();
    let names = ["log", "events/default/2026-11-21"];
    let sealed = names.map(|name| seals(&ring.cipher(name).unwrap()));
    assert_eq!(ring.rotate_kek(Arc::clone(&new)).unwrap(), 2);
    for (name, sealed) in names.iter().zip(&sealed) {
        assert!(opens(&ring.existing(name).unwrap(), sealed).is_ok());
    }
    let stale = Keyring::open(&keys, Arc::clone(&old)).unwrap();
    assert!(matches!(stale.existing("log"), Err(KeyError::Provider { .. })));
    // As after an interruption: the rest is taken over, what is done stays.
    assert_eq!(stale.rotate_kek(new).unwrap(), 2);
    assert!(opens(&stale.existing("log").unwrap(), &sealed[0]).is_ok());
}

#[test]
fn a_destroyed_key_stays_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let kek = provider(dir.path(), "kek");
    let keys = dir.path().join("keys");
    let ring = Keyring::open(&keys, Arc::clone(&kek)).unwrap();
    ring.cipher("events/default/2026-11-21").unwrap();
    let file = keys.join("events~default~2026-11-21.key.json");
    let stored = fs::read(&file).unwrap();
    ring.destroy("events/default/2026-11-21", "retention: 30 days").unwrap();
    assert!(!file.exists());
    // As a crash between the tombstone and the deletion leaves it.
    fs::write(&file, stored).unwrap();
    let ring = Keyring::open(&keys, kek).unwrap();
    for result in [ring.cipher("events/default/2026-11-21"), ring.rotate("events/default/2026-11-21")] {
        let error = result.unwrap_err();
        assert!(matches!(&error, KeyError::Destroyed { why, .. } if why == "retention: 30 days"), "{error}");
    }
    let listed = ring.list().unwrap();
    assert_eq!((listed.len(), listed[0].versions, listed[0].destroyed.is_some()), (1, 0, true));
    ring.destroy("events/default/2026-11-21", "again").unwrap();
    assert!(!file.exists());
}

#[test]
fn keys_cannot_be_exchanged_nor_altered() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let ring = Keyring::open(&keys, provider(dir.path(), "kek")).unwrap();
    ring.cipher("a").unwrap();
    ring.cipher("b").unwrap();
    let b = fs::read_to_string(keys.join("b.key.json")).unwrap();
    fs::write(keys.join("a.key.json"), &b).unwrap();
    assert!(matches!(ring.existing("a"), Err(KeyError::Stored { .. })));
    fs::write(keys.join("a.key.json"), b.replace("\"b\"", "\"a\"")).unwrap();
    assert!(matches!(ring.existing("a"), Err(KeyError::Altered)));
    for bad in ["", "/", "a//b", "../a", "a/..", ".a", "a b", "a~b", "ä", &"a".repeat(201)] {
        assert!(matches!(ring.cipher(bad), Err(KeyError::Name(_))), "{bad:?}");
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    FileKeyProvider::generate(&path).unwrap();
    assert!(FileKeyProvider::generate(&path).is_err(), "a key is never overwritten");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = FileKeyProvider::open(&path).unwrap_err().to_string();
    assert!(error.contains("0640") && error.contains("chmod 600"), "{error}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(FileKeyProvider::open(&path).is_ok());
    assert!(FileKeyProvider::from_reference("env:KLIO_TEST_NO_SUCH_VARIABLE").is_err());
    assert!(FileKeyProvider::from_reference("/plain/path").is_err());
}

#[test]
fn secrets_are_not_printed() {
    let key = Secret::from_slice(&[0xAB; 32]).unwrap();
    let printed = format!("{key:?} {:?}", Cipher::new(key.clone()));
    assert!(!printed.contains("171") && !printed.to_lowercase().contains("ab, ab"), "{printed}");
}

fn script(dir: &Path, text: &str, timeout: Duration) -> CommandKeyProvider {
    let path = dir.join("kms.sh");
    fs::write(&path, text).unwrap();
    CommandKeyProvider::new("test", "sh", vec![path.into()], timeout)
}

#[test]
fn a_program_can_be_the_key_service() {
    let dir = tempfile::tempdir().unwrap();
    // Swaps the first two groups of the base64: no encryption, but not the key itself and its own inverse.
    let text = r#"read -r line
key=$(printf '%s' "$line" | sed 's/.*"key":"\([^"]*\)".*/\1/' | sed 's/^\(....\)\(....\)/\2\1/')
printf '{"key":"%s"}' "$key""#;
    let kms: Arc<dyn KeyProvider> = Arc::new(script(dir.path(), text, Duration::from_secs(20)));
    let ring = Keyring::open(&dir.path().join("keys"), kms).unwrap();
    let sealed = seals(&ring.cipher("spool").unwrap());
    assert!(opens(&ring.existing("spool").unwrap(), &sealed).is_ok());
}

#[test]
fn a_program_that_fails_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let key = Secret::random().unwrap();
    for (text, said) in [
        ("echo no credentials >&2; exit 3", "no credentials"),
        ("echo hello", "something else than"),
        (r#"echo '{"key":"???"}'"#, "no base64"),
        ("cat", "instead of wrapping"),
        ("head -c 100000 /dev/zero", "more than"),
    ] {
        let error = script(dir.path(), text, Duration::from_secs(20)).wrap(&key).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    for text in ["sleep 100", "sleep 100 & exit 0", "exec >&- 2>&-; sleep 100"] {
        let kms = script(dir.path(), text, Duration::from_millis(300));
        let error = kms.unwrap(b"x").unwrap_err().to_string();
        assert!(error.contains("within"), "{text}: {error}");
    }
    let none = CommandKeyProvider::new("test", "/no/such/program", vec![], Duration::from_secs(1));
    assert!(none.wrap(&key).unwrap_err().to_string().contains("cannot be started"));
}
