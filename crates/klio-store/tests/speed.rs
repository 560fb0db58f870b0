//! CPU time of questions to a lake that exists: `KLIO_LAKE=DIR cargo test -p klio -p klio-store --test speed -- --ignored --nocapture`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use klio_model::{Filter, TimeRange, Timestamp};
use klio_store::{Lake, Settings};

/// CPU milliseconds of this process, all threads (proc(5), `schedstat`).
fn cpu() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let each = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    each.sum::<f64>() / 1e6
}

fn measure(name: &str, mut f: impl FnMut() -> String) {
    let mut best = f64::MAX;
    let mut said = String::new();
    for _ in 0..5 {
        let before = cpu();
        said = f();
        best = best.min(cpu() - before);
    }
    println!("{best:8.1} ms  {name}: {said}");
}

fn lake() -> Option<Lake> {
    let dir = PathBuf::from(std::env::var_os("KLIO_LAKE")?);
    Some(Lake::open(&dir, &Settings::default()).unwrap())
}

fn range(start: &str, end: &str) -> TimeRange {
    TimeRange { start: Timestamp::parse(start), end: Timestamp::parse(end) }
}

#[test]
#[ignore = "measures a lake that the caller names"]
fn finding() {
    let Some(mut lake) = lake() else { return };
    let (mut id, mut user, mut first) = (String::new(), String::new(), None);
    let mut number = 0;
    lake.find(&Filter::parse("verb:delete").unwrap(), TimeRange::default(), &mut |kept| {
        let event = klio_model::Event::parse(&kept.raw).unwrap();
        number += 1;
        if number == 500 {
            id = event.audit_id.as_ref().unwrap().0.to_string();
            user = event.user.name.as_ref().unwrap().0.to_string();
            first = kept.time;
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let hour = TimeRange { start: first, end: first.map(|t| Timestamp(t.micros() + 3_600_000_000)) };
    println!("id {id}, user {user}, {hour:?}");
    let only = std::env::var("KLIO_ONLY").unwrap_or_default();
    let mut ask = |name: &str, filter: &str, range: TimeRange| {
        if !name.contains(&only) {
            return;
        }
        let filter = Filter::parse(filter).unwrap();
        measure(name, || {
            let mut bytes = 0;
            let scanned = lake
                .find(&filter, range, &mut |kept| {
                    bytes += kept.raw.len();
                    ControlFlow::Continue(())
                })
                .unwrap();
            format!("{scanned:?}, {bytes} bytes")
        });
    };
    let all = TimeRange::default();
    ask("nothing", "audit.id:none", range("2001-01-01T00:00:00Z", "2001-01-02T00:00:00Z"));
    ask("point", &format!("audit.id:\"{id}\""), all);
    ask("user's hour", &format!("user:\"{user}\""), hour);
    ask(
        "any hour of a user",
        &format!("user:\"{user}\""),
        range("2026-11-02T03:00:00Z", "2026-11-02T04:00:00Z"),
    );
    ask("keyword, rare", "\"payments-api-7\"", all);
    ask("keyword, none", "\"stolen-token-xyz\"", all);
    ask("body", "request.spec.containers.image:*cryptominer*", all);
    ask("agent contains", "agent:*kubectl/v1.30*", all);
}

#[test]
#[ignore = "measures a lake that the caller names"]
fn counting() {
    let Some(mut lake) = lake() else { return };
    let all = TimeRange::default();
    let field = |name: &str| klio_model::FieldRef::parse(name).unwrap();
    measure("count", || format!("{:?}", lake.count(&Filter::All, all).unwrap()));
    let get = Filter::parse("verb:get and code >= 400").unwrap();
    measure("count of a filter", || format!("{:?}", lake.count(&get, all).unwrap()));
    measure("top 20 by code", || {
        format!("{:?}", lake.top(&field("code"), &Filter::All, all, 20).unwrap().values.len())
    });
    measure("top 20 by user", || {
        format!("{:?}", lake.top(&field("user"), &Filter::All, all, 20).unwrap().values.len())
    });
    measure("per minute", || {
        format!("{:?}", lake.histogram(&Filter::All, all, 60_000_000).unwrap().steps.len())
    });
    let three = [field("user"), field("resource"), field("verb")];
    measure("distinct", || {
        format!("{:?}", lake.distinct(&three, &Filter::All, all, 100_000).unwrap().rows.len())
    });
}
