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
    assert!(matches!(error, SpoolError::Full { limit: 10_000, .. }), "{error}");
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

#[test]
fn a_missing_and_a_shortened_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path(), &small());
    for n in 1..=12_u8 {
        spool.append(&[n], &[n; 1000]).unwrap();
    }
    let files = walk::files(dir.path()).unwrap();
    let firsts: Vec<u64> = files.iter().map(|(first, _)| *first).collect();
    assert_eq!(firsts, [1, 4, 7, 10]);
    let read = |from| -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut good, mut bad) = (vec![], vec![]);
        for item in spool.read_from(from) {
            match item {
                Ok(batch) => good.push(batch.seq),
                Err(SpoolError::Damaged { first, last, .. }) => bad.push((first, last)),
                Err(other) => panic!("{other}"),
            }
        }
        (good, bad)
    };
    // At a record's border: only the chain from file to file can tell.
    let second = fs::read(&files[1].1).unwrap();
    let record = (second.len() as u64 - format::FILE_HEAD) / 3;
    fs::write(&files[1].1, &second[..second.len() - record as usize]).unwrap();
    assert_eq!(read(1), (vec![1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12], vec![(6, 6)]));
    // Within a record.
    fs::write(&files[1].1, &second[..second.len() - 500]).unwrap();
    assert_eq!(read(5), (vec![5, 7, 8, 9, 10, 11, 12], vec![(6, 6)]));
    // Two records in each other's place.
    let (head, records) = second.split_at(format::FILE_HEAD as usize);
    let (a, rest) = records.split_at(record as usize);
    let (b, c) = rest.split_at(record as usize);
    fs::write(&files[1].1, [head, b, a, c].concat()).unwrap();
    let (good, bad) = read(1);
    assert_eq!((good.len(), bad[0]), (11, (4, 4)));
    fs::remove_file(&files[1].1).unwrap();
    assert_eq!(read(1), (vec![1, 2, 3, 7, 8, 9, 10, 11, 12], vec![(4, 6)]));
    fs::remove_file(&files[0].1).unwrap();
    assert_eq!(read(1), (vec![7, 8, 9, 10, 11, 12], vec![(1, 6)]));
}

#[test]
fn a_payload_that_looks_like_a_record_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bytes, batches, _) = three_records(dir.path(), &small());
    let forged = &bytes[format::FILE_HEAD as usize..];
    let (spool, _) = open(dir.path(), &small());
    spool.append(forged, forged).unwrap();
    spool.append(b"", b"last").unwrap();
    assert_eq!(whole(&spool, 1).len(), 5);
    drop(spool);
    // The fourth record's head is damaged: its payload, with records of another file's salt, is passed over.
    let mut altered = fs::read(&path).unwrap();
    altered[bytes.len() + 20] ^= 1;
    for byte in &mut altered[bytes.len() + format::RECORD_HEAD..] {
        if *byte == b'K' {
            *byte = b'k';
        }
    }
    altered[bytes.len()] = b'K';
    fs::write(&path, &altered).unwrap();
    let (spool, recovered) = open(dir.path(), &small());
    assert_eq!(whole_or_nothing(&spool), batches);
    assert!(recovered.torn.is_some() || !recovered.damage.is_empty());
}

fn whole_or_nothing(spool: &Spool) -> Vec<Batch> {
    spool.read_from(1).filter_map(Result::ok).filter(|b| b.seq <= 3).collect()
}

#[test]
fn threads_share_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path(), &Options { file_bytes: 100_000, ..small() });
    let mut seqs: Vec<u64> = std::thread::scope(|scope| {
        let spool = &spool;
        let threads: Vec<_> = (0..16_u8)
            .map(|n| {
                scope.spawn(move || {
                    (0..50).map(|_| spool.append(&[n], &[n; 300]).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=800).collect::<Vec<_>>());
    assert!(spool.syncs() < 600, "{} syncs for 800 batches", spool.syncs());
    assert_eq!(whole(&spool, 1).len(), 800);
}

#[test]
fn after_a_failed_sync_the_file_is_given_up() {
    for options in [small(), sealed()] {
        let dir = tempfile::tempdir().unwrap();
        let (spool, _) = open(dir.path(), &options);
        spool.append(b"", b"kept").unwrap();
        let mut reader = SpoolReader::after(dir.path(), options.key.clone(), 0);
        assert_eq!(reader.next().unwrap().unwrap().payload, b"kept");
        spool.faults.store(true, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..3 {
            let error = spool.append(b"", b"refused").unwrap_err();
            assert!(matches!(&error, SpoolError::Io { doing: "sync", .. }), "{error}");
        }
        spool.faults.store(false, std::sync::atomic::Ordering::SeqCst);
        // Numbers are not used twice: somebody may have read what was refused.
        assert_eq!(spool.append(b"", b"healed").unwrap(), 5);
        assert_eq!(whole(&spool, 1), [batch(1, b"", b"kept"), batch(5, b"", b"healed")]);
        assert_eq!(reader.next().unwrap().unwrap(), batch(5, b"", b"healed"));
        drop(spool);
        let (spool, recovered) = open(dir.path(), &options);
        assert!(recovered.damage.is_empty() && recovered.last == 5);
        assert_eq!(whole(&spool, 1).len(), 2);
    }
}

#[test]
fn another_process_reads_along_and_learns_of_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, _) = open(dir.path(), &small());
    let mut reader = SpoolReader::after(dir.path(), None, 0);
    assert!(reader.next().is_none());
    for n in 1..=20_u8 {
        spool.append(&[n], &[n; 1500]).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().seq, u64::from(n));
        assert!(reader.next().is_none());
    }
    let mut late = SpoolReader::after(dir.path(), None, 3);
    assert_eq!(late.next().unwrap().unwrap().seq, 4);
    spool.cut(15).unwrap();
    // The file that it has open is still read to its end.
    let rest: Vec<_> = late.collect();
    assert!(matches!(rest.last(), Some(Err(SpoolError::Gap { oldest: 16, .. }))), "{rest:?}");
    let begun = SpoolReader::after(dir.path(), None, 15).map(|b| b.unwrap().seq).collect::<Vec<_>>();
    assert_eq!(begun, [16, 17, 18, 19, 20]);
    spool.cut(20).unwrap();
    spool.append(b"", b"next").unwrap();
    assert_eq!(reader.next().unwrap().unwrap().seq, 21);
}

#[test]
fn nothing_is_readable_without_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let options = sealed();
    let (spool, _) = open(dir.path(), &options);
    spool.append(b"planted-header", b"planted-payload").unwrap();
    spool.append(b"planted-header", b"planted-payload").unwrap();
    for (_, path) in walk::files(dir.path()).unwrap() {
        let bytes = fs::read(path).unwrap();
        assert!(memchr::memmem::find(&bytes, b"planted").is_none());
    }
    drop(spool);
    let error = SpoolReader::after(dir.path(), None, 0).next().unwrap().unwrap_err();
    assert!(matches!(error, SpoolError::Seal { .. }), "{error}");
    let (spool, _) = open(dir.path(), &sealed());
    let wrong: Vec<_> = spool.read_from(1).collect();
    assert!(wrong.len() == 2 && wrong.iter().all(Result::is_err), "{wrong:?}");
    // What is written under the new key is read, what was written under the old one is named.
    assert_eq!(spool.append(b"", b"new").unwrap(), 3);
    assert_eq!(spool.read_from(1).filter_map(Result::ok).collect::<Vec<_>>(), [batch(3, b"", b"new")]);
}

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    Cut(u64),
    Reopen,
    Tear(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3000_usize).prop_map(Step::Append),
        2 => (0..8_u64).prop_map(Step::Cut),
        1 => Just(Step::Reopen),
        1 => (1..200_usize).prop_map(Step::Tear),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_behaves_like_a_list(steps in steps(), secret in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { max_bytes: 20_000, ..if secret { sealed() } else { small() } };
        let mut spool = Some(open(dir.path(), &options).0);
        let (mut model, mut cut, mut last) = (Vec::new(), 0, 0);
        for (n, step) in steps.into_iter().enumerate() {
            let now = spool.as_ref().unwrap();
            match step {
                Step::Append(len) => match now.append(&[n as u8], &vec![n as u8; len]) {
                    Ok(seq) => {
                        prop_assert_eq!(seq, last + 1);
                        last = seq;
                        model.push(batch(seq, &[n as u8], &vec![n as u8; len]));
                    }
                    Err(SpoolError::Full { .. }) => prop_assert!(now.bytes() > 10_000),
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                },
                Step::Cut(back) => {
                    cut = cut.max(last.saturating_sub(back));
                    now.cut(last.saturating_sub(back)).unwrap();
                    model.retain(|b| b.seq > cut);
                }
                Step::Reopen | Step::Tear(_) => {
                    drop(spool.take());
                    let tears = if let Step::Tear(len) = step { len } else { 0 };
                    if let Some((_, path)) = walk::files(dir.path()).unwrap().pop() {
                        let mut bytes = fs::read(&path).unwrap();
                        bytes.extend(std::iter::repeat_n(b'K', tears));
                        fs::write(&path, bytes).unwrap();
                    }
                    let (again, recovered) = open(dir.path(), &options);
                    prop_assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
                    prop_assert_eq!((recovered.last, recovered.cut), (last, cut));
                    spool = Some(again);
                }
            }
            let now = spool.as_ref().unwrap();
            let files: u64 = walk::files(dir.path()).unwrap().iter().map(|(_, p)| fs::metadata(p).unwrap().len()).sum();
            prop_assert_eq!(now.bytes(), files);
            prop_assert!(files <= options.max_bytes);
            prop_assert_eq!(&whole(now, 1), &model);
        }
    }
}
