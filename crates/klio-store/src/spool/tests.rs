use std::fs;

use proptest::prelude::*;

use super::*;

fn small() -> Options {
    Options { max_bytes: 1 << 20, file_bytes: 4096, key: None }
}

fn sealed() -> Options {
    Options { key: Some(Arc::new(Cipher::new(crate::keys::Secret::random().unwrap()))), ..small() }
}

fn open(dir: &Path, options: &Options) -> (Spool, Recovered) {
    Spool::open(dir, options.clone()).unwrap()
}

fn batch(seq: u64, header: &[u8], payload: &[u8]) -> Batch {
    Batch { seq, header: header.to_vec(), payload: payload.to_vec() }
}

fn whole(spool: &Spool, from: u64) -> Vec<Batch> {
    spool.read_from(from).collect::<Result<_, _>>().unwrap()
}

/// The only file, its bytes, and what it holds.
fn three_records(dir: &Path, options: &Options) -> (PathBuf, Vec<u8>, Vec<Batch>, u64) {
    let (spool, _) = open(dir, options);
    let mut before_last = 0;
    for n in 1..=3_u8 {
        before_last = spool.bytes();
        spool.append(&[n; 5], &[n; 40]).unwrap();
    }
    let batches = whole(&spool, 1);
    let (_, path) = walk::files(dir).unwrap().remove(0);
    let bytes = fs::read(&path).unwrap();
    (path, bytes, batches, before_last.max(format::FILE_HEAD))
}

#[test]
fn what_is_appended_is_read_after_reopening() {
    for options in [small(), sealed()] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, recovered) = open(dir.path(), &options);
        assert_eq!(recovered.last, 0);
        assert_eq!(spool.append(b"h", b"one").unwrap(), 1);
        assert_eq!(spool.append(b"", b"").unwrap(), 2);
        drop(spool);
        let (spool, recovered) = open(dir.path(), &options);
        assert_eq!((recovered.last, recovered.torn, recovered.damage.len()), (2, None, 0));
        assert_eq!(spool.append(b"h", &[7; 9000]).unwrap(), 3);
        assert_eq!(
            whole(&spool, 1),
            [batch(1, b"h", b"one"), batch(2, b"", b""), batch(3, b"h", &[7; 9000])]
        );
        assert_eq!(whole(&spool, 3), [batch(3, b"h", &[7; 9000])]);
    }
}

#[test]
fn the_second_opener_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let _spool = open(dir.path(), &small());
    let error = Spool::open(dir.path(), small()).unwrap_err();
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn a_full_spool_refuses_and_takes_again_after_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: 10_000, file_bytes: 4000, key: None };
    let (spool, _) = open(dir.path(), &options);
    let error = loop {
        if let Err(error) = spool.append(b"", &[1; 1000]) {
            break error;
        }
    };
    assert!(matches!(error, SpoolError::Full { limit: 10_000, .. }) && error.is_transient(), "{error}");
    assert!(spool.bytes() <= 10_000);
    let last = spool.last();
    spool.cut(last).unwrap();
    assert_eq!(spool.bytes(), format::FILE_HEAD);
    assert_eq!(spool.append(b"", &[1; 1000]).unwrap(), last + 1);
    drop(spool);
    let (spool, recovered) = open(dir.path(), &options);
    assert_eq!((recovered.last, recovered.cut), (last + 1, last));
    assert_eq!(whole(&spool, 1).len(), 1);
    let huge = spool.append(b"", &[1; 10_000]).unwrap_err();
    assert!(matches!(huge, SpoolError::TooLarge { .. }), "{huge}");
}

#[test]
fn a_torn_tail_is_cut_away_at_every_offset() {
    for options in [small(), sealed()] {
        let dir = tempfile::tempdir().unwrap();
        let (path, bytes, batches, before_last) = three_records(dir.path(), &options);
        for len in before_last as usize..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let (spool, recovered) = open(dir.path(), &options);
            assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
            assert_eq!(recovered.torn.is_some(), len as u64 > before_last);
            assert_eq!(whole(&spool, 1), batches[..2]);
            assert_eq!(spool.append(b"new", b"third").unwrap(), 3);
            assert_eq!(whole(&spool, 3), [batch(3, b"new", b"third")]);
        }
    }
}

#[test]
fn every_flipped_byte_is_named() {
    for options in [small(), sealed()] {
        let dir = tempfile::tempdir().unwrap();
        let (path, bytes, batches, before_last) = three_records(dir.path(), &options);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x21;
            fs::write(&path, &altered).unwrap();
            let (spool, recovered) = open(dir.path(), &options);
            let (good, bad): (Vec<_>, Vec<_>) = spool.read_from(1).partition(Result::is_ok);
            let good: Vec<Batch> = good.into_iter().map(Result::unwrap).collect();
            assert!(good.iter().all(|b| batches.contains(b)), "offset {at}: an altered batch was returned");
            if at as u64 >= before_last {
                assert!(recovered.torn.is_some() && bad.is_empty(), "offset {at}: {bad:?}");
                assert_eq!(good, batches[..2]);
            } else {
                let head = (at as u64) < format::FILE_HEAD;
                assert_eq!(good.len(), if head { 3 } else { 2 }, "offset {at}");
                let Some(Err(SpoolError::Damaged { file, .. })) = bad.first() else {
                    panic!("offset {at}: {bad:?}")
                };
                assert_eq!(*file, path);
                assert_eq!(recovered.damage.len(), bad.len());
            }
        }
    }
}
