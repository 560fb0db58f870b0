//! Extracting a field as the audit and JSON plugins do.
//!
//! Two answers stand for *no value*: absent, and unknown when the audit level, the stage or a cut may have
//! kept the body out. A list that is empty, and a value of an unexpected type, is absent.

use std::borrow::Cow;

use super::super::read::Value;
use super::{Expr, Seen, bend, time};
use crate::event::{Event, Recorded, query_pairs, text};
use crate::json::Json;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Got<'e> {
    /// One text.
    Text(Cow<'e, str>),
    /// A list; never empty.
    List(Vec<Cow<'e, str>>),
    /// A whole number.
    Number(i64),
}

/// A value, or whether its lack is certain.
pub(super) type Answer<'e> = Result<Got<'e>, Seen>;

/// Calls `f` for each value below `falco`; `f` returns true to stop.
pub(in crate::field) fn visit(event: &Event<'_>, path: &str, f: &mut dyn FnMut(Value<'_>) -> bool) -> Seen {
    let answer = if path.contains('~') {
        Expr::unspell(path).map_or(Err(Seen::Absent), |expr| get(event, &expr))
    } else {
        let (name, arg) = path.split_once('/').map_or((path, None), |(name, arg)| (name, Some(arg)));
        field(event, name, arg)
    };
    match answer {
        Err(seen) => return seen,
        Ok(Got::Text(text)) => {
            f(Value::Text(&text));
        }
        Ok(Got::Number(n)) => {
            f(Value::Int(n));
        }
        Ok(Got::List(items)) => {
            items.iter().any(|item| f(Value::Text(item)));
        }
    }
    Seen::Present
}

/// The value of an expression in an event, or whether its lack is certain.
///
/// # Errors
/// [`Seen::Absent`] or [`Seen::Unknown`].
pub fn get<'e>(event: &'e Event<'_>, expr: &Expr) -> Answer<'e> {
    match expr {
        Expr::Field(name, arg) => field(event, name, arg.as_deref()),
        Expr::Literal(text) => Ok(Got::Text(text.clone().into())),
        Expr::Call(function, args) => {
            let args = args.iter().map(|arg| get(event, arg)).collect::<Result<Vec<_>, _>>()?;
            bend::apply(*function, args)
        }
    }
}

fn field<'e>(event: &'e Event<'_>, name: &str, arg: Option<&str>) -> Answer<'e> {
    if let Some(rest) = name.strip_prefix("ka.") {
        return audit(event, rest, arg);
    }
    match name {
        "jevt.value" | "json.value" => pointer(event, arg.unwrap_or_default()),
        "jevt.obj" | "json.obj" => Ok(Got::Text(time::indent(event.json()).into())),
        "jevt.rawtime" | "json.rawtime" => time::of(event, "evt.rawtime").map(|got| match got {
            Got::Number(n) => Got::Text(n.to_string().into()),
            other => other,
        }),
        "evt.source" => Ok(Got::Text("k8s_audit".into())),
        "evt.type" => Ok(Got::Text("pluginevent".into())),
        "evt.category" => Ok(Got::Text("other".into())),
        "evt.pluginname" => Ok(Got::Text("k8saudit".into())),
        "evt.is_async" => Ok(Got::Text("false".into())),
        "evt.plugininfo" => Ok(Got::Text(event.json().into())),
        other => time::of(event, other),
    }
}

/// `jevt.value[…]`: RFC 6901, the leading slash may be left out.
fn pointer<'e>(event: &'e Event<'_>, arg: &str) -> Answer<'e> {
    let arg = arg.strip_prefix('/').unwrap_or(arg);
    // What the event holds as plain text needs no tree of the whole event.
    let whole = if event.salvaged { Recorded::No } else { Recorded::Yes };
    let (plain, recorded) = match arg {
        "verb" => (text(&event.verb), whole),
        "requestURI" => (text(&event.request_uri), whole),
        "userAgent" => (text(&event.user_agent), whole),
        "auditID" => (text(&event.audit_id), whole),
        "stageTimestamp" => (text(&event.staged), whole),
        "user/username" => (text(&event.user.name), whole),
        "impersonatedUser/username" => (event.impersonated.as_ref().and_then(|i| text(&i.name)), whole),
        "objectRef/resource" => (text(&event.object.resource), whole),
        "objectRef/subresource" => (text(&event.object.subresource), whole),
        "objectRef/namespace" => (text(&event.object.namespace), whole),
        "objectRef/name" => (text(&event.object.name), whole),
        "responseStatus/reason" => (text(&event.reason), event.outcome_recorded()),
        _ => return below_pointer(event, arg),
    };
    plain.map(|found| Got::Text(found.into())).ok_or_else(|| lack(recorded))
}

/// A pointer that needs a tree.
fn below_pointer<'e>(event: &'e Event<'_>, arg: &str) -> Answer<'e> {
    if let ("responseStatus/code", Some(code)) = (arg, event.code) {
        return Ok(Got::Text(code.to_string().into()));
    }
    if let Some(key) = arg.strip_prefix("annotations/").filter(|key| !key.contains('/')) {
        let key = key.replace("~1", "/").replace("~0", "~");
        if let Some(found) = event.annotation(&key) {
            return Ok(Got::Text(found));
        }
    }
    let (first, rest) = arg.split_at(arg.find('/').unwrap_or(arg.len()));
    let below = |tree: Option<&'e Json<'_>>, missing: Recorded| match tree.map(|t| t.pointer(rest)) {
        Some(Some(value)) => Ok(Got::Text(as_text(value))),
        Some(None) => Err(Seen::Absent),
        None => Err(lack(missing)),
    };
    match first {
        "requestObject" => below(event.request_object.tree(), event.request_recorded()),
        "responseObject" => below(event.response_object.tree(), event.response_recorded()),
        "annotations" if event.annotations.unreadable() => Err(Seen::Unknown),
        "annotations" => below(event.annotations.tree(), event.outcome_recorded()),
        "responseStatus" => below(event.document().and_then(|d| d.get(first)), event.outcome_recorded()),
        "" if arg.is_empty() => Ok(Got::Text(event.json().into())),
        _ => {
            let first = first.replace("~1", "/").replace("~0", "~");
            below(
                event.document().and_then(|d| d.get(&first)),
                if event.salvaged || event.document().is_none() { Recorded::No } else { Recorded::Yes },
            )
        }
    }
}

fn lack(recorded: Recorded) -> Seen {
    if recorded == Recorded::Yes { Seen::Absent } else { Seen::Unknown }
}

fn request<'e, 'a>(event: &'e Event<'a>) -> Result<&'e Json<'a>, Seen> {
    event.request_object.tree().ok_or_else(|| {
        if event.request_object.text().is_some() { Seen::Unknown } else { lack(event.request_recorded()) }
    })
}

/// A string as it is, anything else as JSON.
fn as_text<'e>(json: &'e Json<'_>) -> Cow<'e, str> {
    match json {
        Json::String(s) => Cow::Borrowed(s),
        other => other.to_text().into(),
    }
}

fn one<'e>(node: Option<&'e Json<'_>>) -> Answer<'e> {
    node.map(|json| Got::Text(as_text(json))).ok_or(Seen::Absent)
}

fn many<'e>(items: impl IntoIterator<Item = Cow<'e, str>>) -> Answer<'e> {
    let items: Vec<_> = items.into_iter().collect();
    if items.is_empty() { Err(Seen::Absent) } else { Ok(Got::List(items)) }
}

/// Follows `keys`; a list on the way is entered at `index` or, without one, at each element, and an element
/// that lacks the rest counts as `None`. Returns false when the path is not there at all.
fn collect<'j, 'a>(
    mut node: &'j Json<'a>,
    keys: &[&str],
    index: Option<usize>,
    out: &mut Vec<Option<&'j Json<'a>>>,
) -> bool {
    for (i, key) in keys.iter().enumerate() {
        if let Json::Array(items) = node {
            let Some(index) = index else {
                for item in items {
                    if !collect(item, &keys[i..], None, out) {
                        out.push(None);
                    }
                }
                return true;
            };
            let Some(item) = items.get(index) else { return false };
            node = item;
        }
        if !key.is_empty() {
            let Some(value) = node.get(key) else { return false };
            node = value;
        }
    }
    out.push(Some(node));
    true
}

fn below<'e>(
    event: &'e Event<'_>,
    keys: &[&str],
    index: Option<usize>,
) -> Result<Vec<Option<&'e Json<'e>>>, Seen> {
    let mut out = Vec::new();
    if collect(request(event)?, keys, index, &mut out) { Ok(out) } else { Err(Seen::Absent) }
}

fn texts<'e>(found: Vec<Option<&'e Json<'e>>>) -> Answer<'e> {
    many(found.into_iter().flatten().map(as_text))
}

fn audit<'e>(event: &'e Event<'_>, name: &str, arg: Option<&str>) -> Answer<'e> {
    // An argument that is no number is the key of one of the fields that take keys.
    let index = arg.and_then(|arg| arg.parse().ok());
    let key = arg.unwrap_or_default();
    if let Some((list, last)) = name.strip_prefix("req.pod.").and_then(|rest| rest.split_once('.'))
        && super::LISTS.contains(&list)
    {
        return container(event, list, last, index);
    }
    match name {
        "uri.param" => {
            let first = query_pairs(text(&event.request_uri).unwrap_or_default()).find(|(k, _)| *k == key);
            first.map(|(_, value)| Got::Text(value)).ok_or(Seen::Absent)
        }
        "target.pod.name" => {
            let subresource = text(&event.object.subresource).unwrap_or_default();
            if text(&event.object.resource) != Some("pods") || !subresource.is_empty() {
                return Err(Seen::Absent);
            }
            let Some(body) = event.response_object.tree() else {
                return Err(lack(event.response_recorded()));
            };
            one(body.pointer("/metadata/name"))
        }
        "req.binding.subjects" => array(request(event)?.get("subjects")),
        "req.binding.subjects.user_names" => subjects(event, "User", false),
        "req.binding.subjects.group_names" => subjects(event, "Group", false),
        "req.binding.subjects.serviceaccount_names" => subjects(event, "ServiceAccount", false),
        "req.binding.subjects.serviceaccount_ns_names" => subjects(event, "ServiceAccount", true),
        // Deprecated there; it has always answered so.
        "req.binding.subject.has_name" => Ok(Got::Text("true".into())),
        "req.container.image" => first(container(event, "containers", "image", Some(0))?),
        "req.container.image.repository" => {
            first(container(event, "containers", "image.repository", Some(0))?)
        }
        "req.container.privileged" => {
            let found = below(event, &["spec", "containers", "securityContext", "privileged"], None)?;
            Ok(Got::Text(if found.contains(&Some(&Json::Bool(true))) { "true" } else { "false" }.into()))
        }
        "req.pod.supplemental_groups" => {
            array(request(event)?.pointer("/spec/securityContext/supplementalGroups"))
        }
        "req.pod.volumes.hostpath" => texts(below(event, &["spec", "volumes", "hostPath", "path"], index)?),
        "req.pod.volumes.flexvolume_driver" => {
            texts(below(event, &["spec", "volumes", "flexVolume", "driver"], index)?)
        }
        "req.pod.volumes.volume_type" => {
            let found = below(event, &["spec", "volumes", ""], index)?;
            let keys = found.into_iter().flatten().flat_map(Json::members).map(|(key, _)| key.as_ref());
            many(keys.filter(|key| *key != "name").map(Cow::Borrowed))
        }
        "req.volume.hostpath" => {
            let found = below(event, &["spec", "volumes", "hostPath", "path"], None)?;
            let used = found.into_iter().flatten().map(as_text).any(|path| match key.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix) || path == key,
                None => path == key,
            });
            Ok(Got::Text(if used { "true" } else { "false" }.into()))
        }
        "req.role.rules" => array(request(event)?.get("rules")),
        "req.role.rules.apiGroups" => rules(event, "apiGroups", index),
        "req.role.rules.nonResourceURLs" => rules(event, "nonResourceURLs", index),
        "req.role.rules.verbs" => rules(event, "verbs", index),
        "req.role.rules.resources" => rules(event, "resources", index),
        // The plugin looks for the addresses among the rules of a role, so there are none.
        "sourceips" => rules(event, "sourceIPs", index),
        // The whole list of ports is the one element.
        "req.service.ports" => texts(below(event, &["spec", "ports"], index)?),
        _ => plain(event, name),
    }
}

/// Fields that a rule reads through the registry, for transformers and outputs that name them.
fn plain<'e>(event: &'e Event<'_>, name: &str) -> Answer<'e> {
    let path = match name {
        "user.groups" => return array(event.user.groups.tree()),
        "auditid" => "auditID",
        "stage" => "stage",
        "verb" => "verb",
        "uri" => "requestURI",
        "useragent" => "userAgent",
        "user.name" => "user/username",
        "impuser.name" => "impersonatedUser/username",
        "target.name" | "req.configmap.name" => "objectRef/name",
        "target.namespace" => "objectRef/namespace",
        "target.resource" => "objectRef/resource",
        "target.subresource" => "objectRef/subresource",
        "auth.decision" => "annotations/authorization.k8s.io~1decision",
        "auth.reason" => "annotations/authorization.k8s.io~1reason",
        "auth.openshift.decision" => "annotations/authentication.openshift.io~1decision",
        "auth.openshift.username" => "annotations/authentication.openshift.io~1username",
        "validations.admission.policy.failure" => {
            "annotations/validation.policy.admission.k8s.io~1validation_failure"
        }
        "security.pod.violations" => "annotations/pod-security.kubernetes.io~1audit-violations",
        "cluster.name" => "annotations/cluster_name",
        "response.code" => "responseStatus/code",
        "response.reason" => "responseStatus/reason",
        "resp.name" => "responseObject/metadata/name",
        "req.binding.role" => "requestObject/roleRef/name",
        "req.configmap.obj" => "requestObject/data",
        "req.service.type" => "requestObject/spec/type",
        "req.pod.host_ipc" => "requestObject/spec/hostIPC",
        "req.pod.host_pid" => "requestObject/spec/hostPID",
        "req.pod.host_network" | "req.container.host_network" => "requestObject/spec/hostNetwork",
        "req.pod.run_as_user" => "requestObject/spec/securityContext/runAsUser",
        "req.pod.run_as_group" => "requestObject/spec/securityContext/runAsGroup",
        "req.pod.fs_group" => "requestObject/spec/securityContext/fsGroup",
        _ => return Err(Seen::Absent),
    };
    pointer(event, path)
}

fn first(got: Got<'_>) -> Answer<'_> {
    match got {
        Got::List(items) => items.into_iter().next().map(Got::Text).ok_or(Seen::Absent),
        other => Ok(other),
    }
}

/// A field that is a list only if the value is an array.
fn array<'e>(node: Option<&'e Json<'_>>) -> Answer<'e> {
    many(node.map(Json::items).unwrap_or_default().iter().map(as_text))
}

/// `requestObject.rules[].<key>`, flattened.
fn rules<'e>(event: &'e Event<'_>, key: &str, index: Option<usize>) -> Answer<'e> {
    let found = below(event, &["rules", key], index)?;
    many(found.into_iter().flatten().flat_map(Json::items).map(as_text))
}

fn subjects<'e>(event: &'e Event<'_>, kind: &str, namespaced: bool) -> Answer<'e> {
    let list = request(event)?.get("subjects").map(Json::items).unwrap_or_default();
    many(list.iter().filter(|s| s.get("kind").is_some_and(|k| as_text(k) == kind)).filter_map(|subject| {
        let name = as_text(subject.get("name")?);
        if !namespaced {
            return Some(name);
        }
        let namespace = as_text(subject.get("namespace")?);
        Some(format!("{namespace}:{name}").into())
    }))
}

fn container<'e>(event: &'e Event<'_>, list: &str, last: &str, index: Option<usize>) -> Answer<'e> {
    let each = |keys: &[&str]| {
        let mut path = vec!["spec", list];
        path.extend(keys);
        below(event, &path, index)
    };
    match last {
        // One missing name or image makes the whole list missing.
        "name" | "image" => many(complete(each(&[last])?)?),
        "image.repository" => {
            let images = complete(each(&["image"])?)?;
            many(images.into_iter().map(|image| {
                let end = image.find(':').unwrap_or(image.len());
                let end = image[..end].find('@').unwrap_or(end);
                match image {
                    Cow::Borrowed(image) => Cow::Borrowed(&image[..end]),
                    Cow::Owned(image) => Cow::Owned(image[..end].to_owned()),
                }
            }))
        }
        "command" | "args" => {
            let mut lines = Vec::new();
            for words in each(&[last])?.into_iter().flatten() {
                let Json::Array(words) = words else { return Err(Seen::Absent) };
                let words: Option<Vec<_>> = words.iter().map(Json::as_str).collect();
                lines.push(words.ok_or(Seen::Absent)?.join(" ").into());
            }
            many(lines)
        }
        "host_port" => {
            let mut ports = Vec::new();
            for list in each(&["ports"])?.into_iter().flatten() {
                let Json::Array(list) = list else { return Err(Seen::Absent) };
                ports.extend(
                    list.iter()
                        .filter_map(|p| p.get("hostPort").or_else(|| p.get("containerPort")))
                        .map(as_text),
                );
            }
            many(ports)
        }
        // As the plugin has them: it looks beside `securityContext`, not in it, so the answer is the pod's, which
        // it also misses, or 0.
        "eff_run_as_user" | "eff_run_as_group" => {
            let key = if last == "eff_run_as_user" { "runAsUser" } else { "runAsGroup" };
            let pod =
                request(event)?.get("spec").and_then(|s| s.get(key)).map_or(Cow::Borrowed("0"), as_text);
            many(each(&[key])?.into_iter().map(|own| own.map_or_else(|| pod.clone(), as_text)))
        }
        _ => {
            let keys: &[&str] = match last {
                "privileged" => &["securityContext", "privileged"],
                "allow_privilege_escalation" => &["securityContext", "allowPrivilegeEscalation"],
                "read_only_fs" => &["securityContext", "readOnlyRootFilesystem"],
                "run_as_user" => &["securityContext", "runAsUser"],
                "run_as_group" => &["securityContext", "runAsGroup"],
                "proc_mount" => &["securityContext", "procMount"],
                "add_capabilities" => &["securityContext", "capabilities", "add"],
                _ => return Err(Seen::Absent),
            };
            texts(each(keys)?)
        }
    }
}

fn complete<'e>(found: Vec<Option<&'e Json<'e>>>) -> Result<Vec<Cow<'e, str>>, Seen> {
    found.into_iter().map(|node| node.map(as_text).ok_or(Seen::Absent)).collect()
}
