//! How a cluster is connected, step by step, and whether its events arrive.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use klio_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::frame::{About, Asked, Frame, Screen};
use super::{draw, words};
use crate::view::SourceView;
use crate::visitor::Visitor;
use crate::{OWN_CLUSTER, Problem, Web, api};

/// Ways in which clusters are run, as `klio connect cluster --platform` has them, and what people call them.
pub const PLATFORMS: [(&str, &str); 7] = [
    ("kubeadm", "kubeadm"),
    ("k3s", "k3s"),
    ("rke2", "RKE2"),
    ("kind", "kind"),
    ("eks", "Amazon EKS"),
    ("aks", "Azure AKS"),
    ("gke", "Google GKE"),
];
/// Those whose API server takes no webhook: it writes to the provider's logs.
const MANAGED: [&str; 3] = ["eks", "aks", "gke"];

/// What the address says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The cluster's name, as it is to be.
    name: Option<String>,
    platform: Option<String>,
}

/// The steps, as a page has them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectView {
    cluster: String,
    platform: &'static str,
    /// Why the name cannot be one.
    wrong: Option<&'static str>,
    steps: Vec<StepView>,
    /// What has come from this cluster since the server began.
    sources: Vec<SourceView>,
}

#[derive(Serialize)]
struct StepView {
    title: String,
    text: String,
    /// What is copied.
    code: String,
    /// What else there is to say.
    more: Option<String>,
}

fn step(title: &str, text: impl Into<String>, code: impl Into<String>) -> StepView {
    StepView { title: title.to_owned(), text: text.into(), code: code.into(), more: None }
}

/// Why a text cannot be a cluster's name; nothing if it can.
fn wrong(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        OWN_CLUSTER => Some("`klio` is the name of Klio's own audit"),
        _ if name.is_empty() || name.len() > 63 || name.starts_with('.') || !name.chars().all(is_plain) => {
            Some("a name has 1 to 63 letters, digits, `-`, `_` or `.`, and does not begin with `.`")
        }
        _ => None,
    }
}

/// What is done, in order. `guide` is what `klio connect` says of the cluster's own side.
fn steps(platform: &str, cluster: &str, guide: String) -> Vec<StepView> {
    if MANAGED.contains(&platform) {
        return vec![step("Bring the provider's logs", "The API server is run by somebody else:", guide)];
    }
    let mut make = step(
        "On Klio's server, make the cluster's credential",
        format!(
            "It writes {cluster}/klio-webhook.yaml and {cluster}/audit-policy.yaml, and then waits for the first event."
        ),
        format!("sudo -u klio klio connect cluster {cluster} --platform {platform} --data /var/lib/klio"),
    );
    make.more = Some(format!(
        "docker exec klio /klio connect cluster {cluster} --platform {platform} --out - > klio-webhook.yaml\n\
         kubectl --namespace audit exec klio-0 -- /klio connect cluster {cluster} --platform {platform} --out - > klio-webhook.yaml"
    ));
    vec![
        make,
        step("Tell the API server", "The kubeconfig holds the credential: nobody but root reads it.", guide),
        step(
            "Try the way without waiting for the cluster",
            "It delivers one event as the API server would, and says how long it took until it was on disk.",
            format!("klio connect test {cluster}/klio-webhook.yaml"),
        ),
    ]
}

#[derive(Template)]
#[template(path = "connect.html")]
struct Connect {
    frame: Frame,
    view: ConnectView,
    now: Timestamp,
    /// The address of this page.
    here: String,
    /// Platforms by name and title.
    platforms: &'static [(&'static str, &'static str)],
}

impl Connect {
    /// Whether something came: then the page does not look any more.
    fn arrived(&self) -> bool {
        self.view.sources.iter().any(|source| source.last_seen.is_some())
    }
}

pub(crate) async fn page(
    State(web): State<Web>,
    visitor: Visitor,
    screen: Screen,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let cluster = wanted.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let cluster = cluster.unwrap_or_else(|| "prod-eu".to_owned());
    let named = wanted.platform.as_deref().unwrap_or("kubeadm");
    let platform = PLATFORMS.iter().find(|(name, _)| *name == named).map(|(name, _)| *name);
    let platform =
        platform.ok_or_else(|| Problem::bad(format!("`{named}` is no platform that Klio knows")))?;
    let wrong = wrong(&cluster);
    let mut sources = api::sources::list(State(web.clone()), visitor.clone()).await?.0.items;
    sources.retain(|source| source.cluster == cluster && cluster != OWN_CLUSTER);
    let guide = web.inner.options.library.guide(platform, &cluster).unwrap_or_default();
    let steps = if wrong.is_some() { Vec::new() } else { steps(platform, &cluster, guide) };
    let about = About {
        title: "Connect a cluster".to_owned(),
        place: "/sources",
        command: wrong
            .is_none()
            .then(|| format!("klio connect cluster {} --platform {named}", draw::shell(&cluster))),
    };
    let here = Address::new("/sources/connect").with("name", &cluster).with("platform", named).to_string();
    let view = ConnectView { cluster, platform, wrong, steps, sources };
    let now = web.now();
    let platforms = &PLATFORMS;
    screen.show(&web, &visitor, about, view, |frame, view| Connect { frame, view, now, here, platforms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_are_checked() {
        assert!(wrong("klio").is_some() && wrong("a b").is_some() && wrong(".a").is_some());
        assert!(wrong("prod-eu.1").is_none());
    }
}
