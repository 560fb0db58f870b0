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

/// How a cluster is run, and where its API server's files lie.
struct Platform {
    /// As `klio connect cluster --platform` has it.
    name: &'static str,
    title: &'static str,
    way: Way,
}

/// How its events come.
enum Way {
    /// Its API server sends them: `place` is where it reads its files, `file` where its flags stand, `flag` how one is written,
    /// `anew` what starts it again.
    Webhook { place: &'static str, file: &'static str, flag: &'static str, anew: &'static str },
    /// Somebody else runs the API server, and exports what it wrote.
    Files { turn_on: &'static str, bring: &'static str },
}

const PLATFORMS: [Platform; 7] = [
    Platform {
        name: "kubeadm",
        title: "kubeadm",
        way: Way::Webhook {
            place: "/etc/kubernetes/klio",
            file: "/etc/kubernetes/manifests/kube-apiserver.yaml",
            flag: "    - --",
            anew: "kubectl get --raw /readyz",
        },
    },
    Platform {
        name: "k3s",
        title: "k3s",
        way: Way::Webhook {
            place: "/var/lib/rancher/k3s/server/klio",
            file: "/etc/rancher/k3s/config.yaml",
            flag: "  - ",
            anew: "systemctl restart k3s",
        },
    },
    Platform {
        name: "rke2",
        title: "RKE2",
        way: Way::Webhook {
            place: "/etc/rancher/rke2/klio",
            file: "/etc/rancher/rke2/config.yaml",
            flag: "  - ",
            anew: "systemctl restart rke2-server",
        },
    },
    Platform {
        name: "kind",
        title: "kind",
        way: Way::Webhook {
            place: "/etc/kubernetes/klio",
            file: "kind.yaml",
            flag: "        ",
            anew: "kind create cluster --config kind.yaml",
        },
    },
    Platform {
        name: "eks",
        title: "Amazon EKS",
        way: Way::Files {
            turn_on: "aws eks update-cluster-config --name CLUSTER --logging '{\"clusterLogging\":[{\"types\":[\"audit\"],\"enabled\":true}]}'",
            bring: "An export task of CloudWatch Logs, or a Firehose, brings the log group /aws/eks/CLUSTER/cluster to a bucket; copy from there to a directory of the server.",
        },
    },
    Platform {
        name: "aks",
        title: "Azure AKS",
        way: Way::Files {
            turn_on: "az monitor diagnostic-settings create --name klio --resource CLUSTER_ID --storage-account ACCOUNT --logs '[{\"category\":\"kube-audit\",\"enabled\":true}]'",
            bring: "Azure Monitor writes blobs (PT1H.json) to the storage account; copy them to a directory of the server.",
        },
    },
    Platform {
        name: "gke",
        title: "Google GKE",
        way: Way::Files {
            turn_on: "gcloud logging sinks create klio storage.googleapis.com/BUCKET --log-filter='resource.type=\"k8s_cluster\"'",
            bring: "Turn on Data Access audit logs for the Kubernetes Engine API too: without them reads are not recorded. Copy the bucket's objects to a directory of the server.",
        },
    },
];

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

/// What is done, in order.
fn steps(platform: &Platform, cluster: &str) -> Vec<StepView> {
    match platform.way {
        Way::Webhook { place, file, flag, anew } => {
            webhook(platform.name, cluster, (place, file, flag, anew))
        }
        Way::Files { turn_on, bring } => vec![
            step(
                "Turn audit logs on",
                "The API server is run by somebody else and takes no webhook. It writes audit events to the provider's logs:",
                turn_on.replace("CLUSTER", cluster).replace(&format!("{cluster}_ID"), "CLUSTER_ID"),
            ),
            step(
                "Let the server follow the copies",
                format!(
                    "{} The server's klio.yaml names that directory, and is read again by itself:",
                    bring.replace("CLUSTER", cluster)
                ),
                format!("clusters:\n  {cluster}:\n    files: [/srv/audit/{cluster}]"),
            ),
        ],
    }
}

fn webhook(name: &str, cluster: &str, (place, file, flag, anew): (&str, &str, &str, &str)) -> Vec<StepView> {
    let mut make = step(
        "On Klio's server, make the cluster's credential",
        format!(
            "It writes {cluster}/klio-webhook.yaml and {cluster}/audit-policy.yaml, prints every flag that step 3 needs, and then waits \
             for the first event."
        ),
        format!("sudo -u klio klio connect cluster {cluster} --platform {name} --data /var/lib/klio"),
    );
    make.more = Some(format!(
        "docker exec klio /klio connect cluster {cluster} --platform {name} --out - > klio-webhook.yaml\n\
         kubectl --namespace audit exec klio-0 -- /klio connect cluster {cluster} --platform {name} --out - > klio-webhook.yaml"
    ));
    let (policy, config) = match name {
        "kind" => (": \"", "\""),
        _ => ("=", ""),
    };
    let flags = format!(
        "{flag}audit-policy-file{policy}{place}/audit-policy.yaml{config}\n\
         {flag}audit-webhook-config-file{policy}{place}/klio-webhook.yaml{config}"
    );
    let head = match name {
        "k3s" | "rke2" => "kube-apiserver-arg:\n",
        "kind" => "      extraArgs:\n",
        _ => "",
    };
    let node = if name == "kind" {
        step(
            "Put both files where the node sees them",
            "The node is a container: what lies in ./klio is mounted into it.",
            format!("cp -r {cluster} ./klio"),
        )
    } else {
        step(
            "Bring both files to each control-plane node",
            "Owner root, mode 0600: the kubeconfig holds the credential.",
            format!("scp {cluster}/klio-webhook.yaml {cluster}/audit-policy.yaml root@NODE:{place}/"),
        )
    };
    vec![
        make,
        node,
        step(
            "Tell the API server",
            format!(
                "Add these flags to {file}, and those that step 1 printed: they set batches, retries and the size at which events are cut."
            ),
            format!("{head}{flags}"),
        ),
        step(
            "Start the API server anew",
            match name {
                "kubeadm" => "The kubelet does it by itself. This says when it is there:",
                "kind" => "A kind cluster gets its flags when it is made:",
                _ => "On each node, one after the other:",
            },
            anew,
        ),
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
    platforms: Vec<(&'static str, &'static str)>,
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
    let platform = PLATFORMS.iter().find(|platform| platform.name == named);
    let platform =
        platform.ok_or_else(|| Problem::bad(format!("`{named}` is no platform that Klio knows")))?;
    let wrong = wrong(&cluster);
    let mut sources = api::sources::list(State(web.clone()), visitor.clone()).await?.0.items;
    sources.retain(|source| source.cluster == cluster && cluster != OWN_CLUSTER);
    let steps = if wrong.is_some() { Vec::new() } else { steps(platform, &cluster) };
    let about = About {
        title: "Connect a cluster".to_owned(),
        place: "/sources",
        command: wrong
            .is_none()
            .then(|| format!("klio connect cluster {} --platform {named}", draw::shell(&cluster))),
    };
    let here = Address::new("/sources/connect").with("name", &cluster).with("platform", named).to_string();
    let view = ConnectView { cluster, platform: platform.name, wrong, steps, sources };
    let platforms = PLATFORMS.iter().map(|platform| (platform.name, platform.title)).collect();
    let now = web.now();
    screen.show(&web, &visitor, about, view, |frame, view| Connect { frame, view, now, here, platforms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_name_the_cluster_and_nothing_else() {
        let text = |platform: &Platform, cluster: &str| {
            let steps = steps(platform, cluster);
            steps
                .into_iter()
                .map(|step| [step.title, step.text, step.code, step.more.unwrap_or_default()].join("\n"))
                .collect::<Vec<_>>()
        };
        for platform in &PLATFORMS {
            let (one, other) = (text(platform, "prod-eu"), text(platform, "x.1"));
            // All that differs is the name, and no place is left where one would have to be written.
            assert_eq!(one.join("\n").replace("prod-eu", "x.1"), other.join("\n"), "{}", platform.name);
            let left = one.join("\n").replace("CLUSTER_ID", "");
            assert!(!left.contains("CLUSTER"), "{}: {left}", platform.name);
            // Only where the API server's own flags and its start are told there is nothing to name.
            let unnamed: Vec<&String> = one.iter().filter(|step| !step.contains("prod-eu")).collect();
            let bare = unnamed.iter().all(|step| {
                ["Tell the API server", "Start the API server anew", "Turn audit logs on"]
                    .iter()
                    .any(|title| step.starts_with(title))
            });
            assert!(bare && unnamed.len() < one.len(), "{}: {unnamed:?}", platform.name);
        }
        assert!(wrong("klio").is_some() && wrong("a b").is_some() && wrong(".a").is_some());
        assert!(wrong("prod-eu.1").is_none());
    }
}
