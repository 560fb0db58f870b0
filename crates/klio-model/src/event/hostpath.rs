//! Directories of the node that a request mounts, as the node will read them.

use super::workload::Stop;
use super::{Event, Recorded, text};
use crate::json::Json;

impl Event<'_> {
    /// Calls `f` with the path of each `hostPath` volume of the pods that are written.
    pub(crate) fn host_paths(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        self.pods(&mut |pod| {
            let volumes =
                pod.get("spec").and_then(|spec| spec.get("volumes")).map(Json::items).unwrap_or_default();
            volumes.iter().filter_map(|v| v.get("hostPath")).any(|source| path_of(source, f))
        })
    }

    /// Calls `f` with the path of the `hostPath` or `local` source of a persistent volume that is written.
    pub(crate) fn volume_paths(&self, f: &mut dyn FnMut(&str) -> Stop) -> Recorded {
        let verb = matches!(text(&self.verb), Some("create" | "update" | "patch") | None);
        if !verb
            || text(&self.object.resource) != Some("persistentvolumes")
            || text(&self.object.subresource).is_some()
        {
            return Recorded::Yes;
        }
        if let Some(spec) = self.patched().and_then(|body| body.get("spec")) {
            ["hostPath", "local"].iter().filter_map(|key| spec.get(key)).any(|source| path_of(source, f));
        }
        self.written()
    }
}

fn path_of(source: &Json<'_>, f: &mut dyn FnMut(&str) -> Stop) -> Stop {
    source.get("path").and_then(Json::as_str).filter(|p| !p.is_empty()).is_some_and(|p| f(&normal(p)))
}

/// A path without `//`, `/./`, `/../` and a slash at its end. The kubelet takes a relative path from the root
/// (`pkg/volume/util/util.go`, `MakeAbsolutePath`). Windows paths stay as they are.
fn normal(path: &str) -> String {
    if path.contains('\\') || path.as_bytes().get(1) == Some(&b':') {
        return path.to_owned();
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
