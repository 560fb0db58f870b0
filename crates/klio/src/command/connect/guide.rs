//! What an administrator does, by the way in which a cluster is run.

use std::path::Path;

/// How a cluster is run.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Platform {
    /// Static pods in /etc/kubernetes/manifests.
    #[default]
    Kubeadm,
    /// One binary, configured in /etc/rancher/k3s.
    K3s,
    /// Rancher's distribution, configured in /etc/rancher/rke2.
    Rke2,
    /// Nodes in containers, for tests.
    Kind,
    /// Amazon.
    Eks,
    /// Microsoft.
    Aks,
    /// Google.
    Gke,
}

impl Platform {
    /// Whether somebody else runs the API server, and it takes no webhook.
    pub fn is_managed(self) -> bool {
        matches!(self, Self::Eks | Self::Aks | Self::Gke)
    }
}

/// The flags, tuned: small batches soon, room for a burst while the server restarts, and no body that is too large
/// (kubernetes `apiserver/pkg/server/options/audit.go`). Five tries, after 10, 15, 22 and 34 seconds more (`apiserver/pkg/util/webhook`):
/// Klio may be away for 80 seconds. A shorter backoff would bring what came meanwhile sooner, and lose it sooner.
const FLAGS: [(&str, &str); 8] = [
    ("audit-webhook-mode", "batch"),
    ("audit-webhook-batch-max-wait", "1s"),
    ("audit-webhook-batch-max-size", "1000"),
    ("audit-webhook-batch-buffer-size", "50000"),
    ("audit-webhook-batch-throttle-qps", "20"),
    ("audit-webhook-batch-throttle-burst", "40"),
    ("audit-webhook-initial-backoff", "10s"),
    ("audit-webhook-truncate-enabled", "true"),
];
/// Bytes of one event, and of a batch, before it is cut.
const LIMITS: [(&str, &str); 2] = [
    ("audit-webhook-truncate-max-event-size", "8388608"),
    ("audit-webhook-truncate-max-batch-size", "33554432"),
];

/// The whole text for a platform by its name, with the files where `klio connect cluster` puts them.
pub fn of_platform(name: &str, cluster: &str) -> Option<String> {
    let platform = <Platform as clap::ValueEnum>::from_str(name, false).ok()?;
    let dir = Path::new(cluster);
    Some(text(platform, cluster, &dir.join("klio-webhook.yaml"), &dir.join("audit-policy.yaml")))
}

/// The whole text.
pub fn text(platform: Platform, cluster: &str, kubeconfig: &Path, policy: &Path) -> String {
    let (kubeconfig, policy) = (kubeconfig.display(), policy.display());
    let flags = |dir: &str, line: &dyn Fn(&str, &str) -> String| {
        let files = [
            ("audit-policy-file", format!("{dir}/audit-policy.yaml")),
            ("audit-webhook-config-file", format!("{dir}/klio-webhook.yaml")),
        ];
        let mut all: Vec<String> = files.iter().map(|(flag, value)| line(flag, value)).collect();
        all.extend(FLAGS.iter().chain(&LIMITS).map(|(flag, value)| line(flag, value)));
        all.join("\n")
    };
    match platform {
        Platform::Kubeadm => format!(
            "Cluster {cluster}, run by kubeadm. On each control-plane node:

1. Copy {kubeconfig} and {policy} to /etc/kubernetes/klio/ (owner root, mode 0600).
2. In /etc/kubernetes/manifests/kube-apiserver.yaml add to `command`:
{}
   to `volumeMounts`:
    - {{ name: klio, mountPath: /etc/kubernetes/klio, readOnly: true }}
   and to `volumes`:
    - {{ name: klio, hostPath: {{ path: /etc/kubernetes/klio, type: Directory }} }}
3. The kubelet starts the API server anew by itself; `kubectl get --raw /readyz` says when it is there.
   If it does not come: `crictl logs` of the kube-apiserver container says which flag it refuses.",
            flags("/etc/kubernetes/klio", &|f, v| format!("    - --{f}={v}"))
        ),
        Platform::K3s => format!(
            "Cluster {cluster}, run by k3s. On each server node:

1. Copy {kubeconfig} and {policy} to /var/lib/rancher/k3s/server/klio/ (owner root, mode 0600).
2. Add to /etc/rancher/k3s/config.yaml:
kube-apiserver-arg:
{}
3. systemctl restart k3s",
            flags("/var/lib/rancher/k3s/server/klio", &|f, v| format!("  - {f}={v}"))
        ),
        Platform::Rke2 => format!(
            "Cluster {cluster}, run by RKE2. On each server node:

1. Copy {kubeconfig} and {policy} to /etc/rancher/rke2/klio/ (owner root, mode 0600).
2. Add to /etc/rancher/rke2/config.yaml:
kube-apiserver-arg:
{}
kube-apiserver-extra-mount:
  - /etc/rancher/rke2/klio:/etc/rancher/rke2/klio:ro
3. systemctl restart rke2-server",
            flags("/etc/rancher/rke2/klio", &|f, v| format!("  - {f}={v}"))
        ),
        Platform::Kind => format!(
            "Cluster {cluster}, run by kind. Put {kubeconfig} and {policy} into ./klio and create the cluster with
`kind create cluster --name {cluster} --config kind.yaml`, where kind.yaml is:

kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - {{ hostPath: ./klio, containerPath: /etc/kubernetes/klio, readOnly: true }}
  kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    apiVersion: kubeadm.k8s.io/v1beta3
    apiServer:
      extraVolumes:
      - {{ name: klio, hostPath: /etc/kubernetes/klio, mountPath: /etc/kubernetes/klio, readOnly: true }}
      extraArgs:
{}

The server must be reachable from the node's container: listen on the bridge's address, and give it with --url.",
            flags("/etc/kubernetes/klio", &|f, v| format!("        {f}: \"{v}\""))
        ),
        Platform::Eks => format!(
            "Cluster {cluster}, run by Amazon EKS. Its API server takes no webhook and no audit policy; it writes audit events to
CloudWatch Logs.

1. aws eks update-cluster-config --name {cluster} --logging '{{\"clusterLogging\":[{{\"types\":[\"audit\"],\"enabled\":true}}]}}'
2. aws logs create-export-task … or a Firehose brings /aws/eks/{cluster}/cluster to a bucket;
   when they are copied to a directory,
     clusters: {{ {cluster}: {{ files: [DIRECTORY] }} }}
   in klio.yaml lets the server follow what comes there. Without a server,
   klio ingest --cluster {cluster} DIRECTORY reads it once."
        ),
        Platform::Aks => format!(
            "Cluster {cluster}, run by Azure AKS. Its API server takes no webhook and no audit policy; it writes audit events through
Azure Monitor.

1. az monitor diagnostic-settings create --name klio --resource CLUSTER_ID --storage-account ACCOUNT \\
     --logs '[{{\"category\":\"kube-audit\",\"enabled\":true}}]'
2. When the blobs (PT1H.json) are copied to a directory,
     clusters: {{ {cluster}: {{ files: [DIRECTORY] }} }}
   in klio.yaml lets the server follow what comes there. Without a server,
   klio ingest --cluster {cluster} DIRECTORY reads it once."
        ),
        Platform::Gke => format!(
            "Cluster {cluster}, run by Google GKE. Its API server takes no webhook and no audit policy; it writes audit events to Cloud
Logging.

1. Turn on Data Access audit logs for the Kubernetes Engine API: without them reads are not recorded.
2. gcloud logging sinks create klio storage.googleapis.com/BUCKET --log-filter='resource.type=\"k8s_cluster\"'
3. When the objects are copied to a directory,
     clusters: {{ {cluster}: {{ files: [DIRECTORY] }} }}
   in klio.yaml lets the server follow what comes there. Without a server,
   klio ingest --cluster {cluster} DIRECTORY reads it once."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_knows_each_platform() {
        let own: Vec<String> = <Platform as clap::ValueEnum>::value_variants()
            .iter()
            .filter_map(|platform| Some(clap::ValueEnum::to_possible_value(platform)?.get_name().to_owned()))
            .collect();
        let shown: Vec<&str> = klio_web::PLATFORMS.iter().map(|(name, _)| *name).collect();
        assert_eq!(own, shown);
        for name in shown {
            let (one, other) = (of_platform(name, "prod-eu").unwrap(), of_platform(name, "x.1").unwrap());
            assert!(one.contains("prod-eu"));
            assert_eq!(one.replace("prod-eu", "x.1"), other, "{name}");
        }
        assert_eq!(of_platform("minix", "a"), None);
    }
}
