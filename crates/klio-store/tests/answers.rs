//! SQL and exports say what the records say, within their limits.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests are not tests to the lint

#[path = "oracle/lake.rs"]
mod both;
#[path = "oracle/events.rs"]
mod events;
#[path = "oracle/random.rs"]
mod random;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use both::{Both, both};
use klio_model::{Event, Filter, TimeRange};
use klio_store::{Cancel, ExportColumns, Format, Limits, StoreError, VerdictKind, Wanted};
use random::Random;

type Rows = Vec<Vec<Option<String>>>;

fn ask_within(both: &mut Both, query: &str, limits: &Limits) -> Result<Rows, StoreError> {
    let mut rows = Vec::new();
    both.lake.sql(query, limits, &Cancel::default(), &mut |page| {
        for row in 0..page.rows() {
            rows.push((0..page.columns().len()).map(|column| page.text(row, column)).collect());
        }
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

fn ask(both: &mut Both, query: &str) -> Result<Rows, StoreError> {
    ask_within(both, query, &Limits::default())
}

fn one(both: &mut Both, query: &str) -> String {
    let rows = ask(both, query).unwrap();
    rows[0][0].clone().unwrap_or_default()
}

fn count(both: &Both, filter: &str) -> String {
    let filter = Filter::parse(filter).unwrap();
    both.memory.find(&filter, TimeRange::default()).count().to_string()
}

#[test]
fn sql_counts_what_is_there() {
    let mut both = both(&mut Random(3));
    let all = both.events.len().to_string();
    assert_eq!(one(&mut both, "SELECT count(*) FROM events"), all);
    assert_eq!(one(&mut both, "SELECT count(raw) FROM events"), all);
    let get = count(&both, "verb:cased(get)");
    assert_eq!(one(&mut both, "SELECT count(*) FROM events WHERE verb = 'get'"), get);
    let denied = count(&both, "code >= 400 and code < 500");
    assert_eq!(one(&mut both, "SELECT count(*) FROM events WHERE code >= 400 AND code < 500"), denied);
    let groups =
        ask(&mut both, "SELECT verb, count(*) AS n FROM events GROUP BY verb ORDER BY n DESC, verb").unwrap();
    let sum: u64 = groups.iter().map(|row| row[1].as_ref().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum.to_string(), all);
    // Flushed rows have a class and all have a day.
    let fresh = one(&mut both, "SELECT count(*) FROM events WHERE class IS NULL");
    assert!(fresh.parse::<u64>().unwrap() > 0);
    assert_eq!(one(&mut both, "SELECT count(*) FROM events WHERE day IS NOT NULL"), all);
    let user = one(&mut both, "SELECT count(*) FROM events WHERE json_get(raw, 'user.username') = user_name");
    let same = one(&mut both, "SELECT count(*) FROM events WHERE user_name IS NOT NULL");
    assert_eq!(user, same);
    assert_eq!(one(&mut both, "SELECT count(*) FROM findings"), "0");
    let time = one(&mut both, "SELECT time FROM events WHERE time > '2026-01-01' ORDER BY time LIMIT 1");
    assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 27, "{time}");
    let tables = ask(&mut both, "SHOW TABLES").unwrap();
    assert!(tables.iter().flatten().any(|cell| cell.as_deref() == Some("incidents")));
    let columns = ask(&mut both, "DESCRIBE events").unwrap();
    assert!(columns.iter().any(|row| row[0].as_deref() == Some("source_ip")));
    assert!(!ask(&mut both, "EXPLAIN SELECT 1").unwrap().is_empty());
    let wrong = ask(&mut both, "SELECT usr_name FROM events").unwrap_err().to_string();
    assert!(wrong.contains("usr_name"), "{wrong}");
    assert!(ask(&mut both, "SELEC 1").is_err());
}

#[test]
fn sql_only_reads() {
    let mut both = both(&mut Random(4));
    let target = both.dir.path().join("out.csv").display().to_string();
    for query in [
        format!("COPY (SELECT * FROM events) TO '{target}'"),
        format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{target}'"),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT 1".to_owned(),
        "DROP TABLE events".to_owned(),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "DELETE FROM events".to_owned(),
        "UPDATE events SET verb = 'get'".to_owned(),
        "SET datafusion.runtime.memory_limit = '100G'".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "BEGIN".to_owned(),
        "SELECT 1; DROP TABLE events".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
    ] {
        let answer = ask(&mut both, &query);
        assert!(matches!(answer, Err(StoreError::Query(_))), "{query}: {answer:?}");
    }
    assert!(!both.dir.path().join("out.csv").exists());
    assert_eq!(one(&mut both, "SELECT count(*) FROM events"), both.events.len().to_string());
}

#[test]
fn sql_stops_at_its_limits() {
    let mut both = both(&mut Random(5));
    let began = Instant::now();
    let limits = Limits { time: Duration::from_millis(1_500), ..Limits::default() };
    let long =
        "SELECT count(*) FROM events a, events b, events c, events d WHERE a.raw || b.raw <> c.raw || d.raw";
    let stopped = ask_within(&mut both, long, &limits).unwrap_err();
    assert!(matches!(&stopped, StoreError::Stopped(said) if said.contains("1.5 s")), "{stopped}");
    let cancel = Cancel::default();
    let other = cancel.clone();
    let waiting = std::thread::spawn(move || other.cancel());
    let stopped =
        both.lake.sql(long, &Limits::default(), &cancel, &mut |_| ControlFlow::Continue(())).unwrap_err();
    waiting.join().unwrap();
    assert!(matches!(&stopped, StoreError::Stopped(said) if said.contains("cancelled")), "{stopped}");
    assert!(began.elapsed() < Duration::from_secs(20));

    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let large = "SELECT a.raw FROM events a, events b ORDER BY a.raw || b.verb";
    let stopped = ask_within(&mut both, large, &limits).unwrap_err();
    assert!(matches!(&stopped, StoreError::Stopped(said) if said.contains("memory")), "{stopped}");

    let limits = Limits { rows: Some(7), ..Limits::default() };
    let answered = both.lake.sql("SELECT verb FROM events", &limits, &Cancel::default(), &mut |page| {
        assert!(page.rows() <= 7);
        ControlFlow::Continue(())
    });
    let answered = answered.unwrap();
    assert_eq!((answered.rows, answered.cut, answered.columns), (7, true, vec!["verb".to_owned()]));
    // Nothing goes on in the background.
    drop(both);
}

#[test]
fn exports_hold_all_that_matches() {
    let mut both = both(&mut Random(6));
    let filter = Filter::parse("verb:get or code >= 400").unwrap();
    let mut expected: Vec<String> =
        both.memory.find(&filter, TimeRange::default()).map(str::to_owned).collect();
    expected.sort();
    let all = TimeRange::default();

    let mut lines = Vec::new();
    let scanned = both.lake.export(&filter, all, &Format::Jsonl, &mut lines).unwrap();
    assert_eq!(scanned.matched, expected.len() as u64);
    let mut lines: Vec<String> = String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, expected);

    let mut csv = Vec::new();
    let columns = ExportColumns::parse(&["time", "user_name", "agent", "request.kind"]).unwrap();
    both.lake.export(&filter, all, &Format::Csv { columns, guarded: true }, &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.starts_with("time,user_name,agent,request.kind\r\n"));
    assert!(csv.matches("\r\n").count() > expected.len());
    assert!(ExportColumns::parse(&["user_nam"]).unwrap_err().to_string().contains("user_nam"));

    let mut parquet = Vec::new();
    both.lake
        .export(&filter, all, &Format::Parquet { columns: ExportColumns::default() }, &mut parquet)
        .unwrap();
    let parquet = bytes::Bytes::from(parquet);
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet)
        .unwrap()
        .build()
        .unwrap();
    let mut raws = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        assert_eq!(batch.schema().field(0).name(), "time");
        let texts = arrow::array::AsArray::as_string::<i32>(batch.column_by_name("raw").unwrap());
        raws.extend(texts.iter().flatten().map(str::to_owned));
    }
    raws.sort();
    assert_eq!(raws, expected);
    assert!(raws.iter().all(|raw| Event::parse(raw).is_ok()));
    assert!(both.lake.verdicts(VerdictKind::Finding, Wanted::default()).unwrap().is_empty());
}

#[test]
fn deep_queries_are_answered_or_refused() {
    let mut both = both(&mut Random(8));
    let repeat = |what: &str, times: usize| what.repeat(times);
    let queries = [30_000, 5_000, 395, 200, 45].map(|times| {
        let times = |most: usize| times.min(most);
        [
            format!("SELECT {}1", repeat("1+", times(30_000))),
            format!("SELECT {}1{}", repeat("(", times(30_000)), repeat(")", times(30_000))),
            format!("SELECT {}true", repeat("NOT ", times(15_000))),
            format!("SELECT {}1", repeat("- ", times(30_000))),
            format!("SELECT 1 WHERE {}true", repeat("true OR ", times(7_000))),
            format!("SELECT 1 FROM events WHERE {}true", repeat("verb = 'a' OR ", times(4_000) / 2)),
            format!("{}SELECT 1", repeat("SELECT 1 UNION ALL ", times(3_000) / 3)),
            format!("SELECT {}raw{} FROM events", repeat("upper(", times(8_000)), repeat(")", times(8_000))),
            format!("SELECT 1{}", repeat("::int", times(10_000))),
            format!("SELECT [1]{}", repeat("[1]", times(10_000))),
            repeat("SELECT", times(10_000)),
        ]
    });
    for query in queries.into_iter().flatten() {
        let limits = Limits { time: Duration::from_secs(5), ..Limits::default() };
        match ask_within(&mut both, &query, &limits) {
            Ok(_) | Err(StoreError::Query(_) | StoreError::Stopped(_)) => {}
            Err(e) => panic!("{e}"),
        }
    }
}
