//! Rescues an event that its transport cut in the middle (CloudWatch ends such messages with `[Truncated...]`): the
//! members that are complete make a valid event, since who, what and when come first.

use jiff::Timestamp;

use crate::scan::Members;
use crate::write;

/// Annotation by which the apiserver itself marks an event whose bodies it left out
/// (kubernetes `staging/src/k8s.io/apiserver/plugin/pkg/audit/truncate/truncate.go`).
pub(crate) const TRUNCATED: &[u8] = br#""audit.k8s.io/truncated":"true""#;

/// Members without which it is not worth calling it an audit event.
const TELLING: [&[u8]; 5] = [b"auditID", b"verb", b"requestURI", b"stage", b"user"];

/// A valid event of the complete members of the cut object `b`; `None` if too little of an audit event is left.
/// `millis` (time of the delivery) stands in for a lost time. Lost bodies are marked as the apiserver marks them.
pub fn salvage(b: &[u8], millis: Option<i64>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(b.len().min(16 << 10) + 128);
    out.push(b'{');
    let (mut telling, mut bodies, mut received, mut time, mut annotations) = (0, 0, false, false, false);
    for member in Members::new(b).map_while(Result::ok) {
        match member.key {
            b"kind" if member.value != b"\"Event\"" => return None,
            b"apiVersion" if !member.value.starts_with(b"\"audit.k8s.io/") => return None,
            b"requestObject" | b"responseObject" => bodies += 1,
            b"requestReceivedTimestamp" => received = true,
            b"stageTimestamp" => time = true,
            b"annotations" => annotations = true,
            key if TELLING.contains(&key) => telling += 1,
            _ => {}
        }
        write::key(&mut out, member.key);
        out.extend_from_slice(member.value);
    }
    if telling < 2 {
        return None;
    }
    if !time
        && !received
        && let Some(time) = millis.and_then(|m| Timestamp::from_millisecond(m).ok())
    {
        write::key(&mut out, b"stageTimestamp");
        write::string(&mut out, &format!("{time:.6}"));
    }
    // The times come after the bodies: where they are complete, so are the bodies.
    if !annotations && !received && bodies < 2 {
        write::key(&mut out, b"annotations");
        out.push(b'{');
        out.extend_from_slice(TRUNCATED);
        out.push(b'}');
    }
    out.push(b'}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cut: &str, millis: Option<i64>, want: Option<&str>) {
        let got = salvage(cut.as_bytes(), millis).map(|v| String::from_utf8(v).unwrap());
        assert_eq!(got.as_deref(), want, "{cut}");
    }

    #[test]
    fn complete_members_survive() {
        check(
            r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"get","requestObject":{"a":[1,"b[Truncated...]"#,
            Some(1_787_220_004_001),
            Some(
                r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"get","stageTimestamp":"2026-08-20T10:00:04.001000Z","annotations":{"audit.k8s.io/truncated":"true"}}"#,
            ),
        );
        check(
            r#"{"auditID":"a","verb":"get","requestReceivedTimestamp":"2026-08-20T10:00:04.001000Z","annot"#,
            None,
            Some(r#"{"auditID":"a","verb":"get","requestReceivedTimestamp":"2026-08-20T10:00:04.001000Z"}"#),
        );
    }

    #[test]
    fn too_little_is_not_salvaged() {
        check(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","audi"#, None, None);
        check(r#"{"kind":"Event","apiVersion":"v1","auditID":"a","verb":"x","stage":"#, None, None);
        check(r#"{"msg":"hello","#, None, None);
        check("", None, None);
    }
}
