//! Who asked, from where, and with what result: what the event's parts say together.

use std::net::IpAddr;

use super::{Event, text};
use crate::json::Json;

/// What kind of identity made a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UserKind {
    /// A person or an outside program: any name that no other kind claims, `system:admin` too.
    Human,
    /// `system:serviceaccount:<namespace>:<name>` of a workload.
    ServiceAccount,
    /// `system:node:<name>`
    Node,
    /// The control plane itself, its controllers included: exact names only.
    System,
    /// `system:anonymous`
    Anonymous,
    /// No user at all, as in a 401.
    Unauthenticated,
}

impl UserKind {
    /// The word that filters use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::ServiceAccount => "serviceaccount",
            Self::Node => "node",
            Self::System => "system",
            Self::Anonymous => "anonymous",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// Classifies a user name. The control plane is a list of exact names: whoever may create a service
    /// account or have a certificate signed chooses its name, and a prefix or an ending would let him in.
    pub fn of(name: Option<&str>) -> Self {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Self::Unauthenticated };
        if let Some(account) = name.strip_prefix("system:serviceaccount:") {
            let controller = account.strip_prefix("kube-system:").is_some_and(|c| CONTROLLERS.contains(&c));
            return if controller { Self::System } else { Self::ServiceAccount };
        }
        if name.starts_with("system:node:") {
            return Self::Node;
        }
        match name {
            "system:anonymous" => Self::Anonymous,
            _ if CONTROL_PLANE.contains(&name) => Self::System,
            _ => Self::Human,
        }
    }
}

/// What control planes call themselves, apart from their controllers.
const CONTROL_PLANE: &[&str] = &[
    // Kubernetes: certificates of a cluster (`cmd/kubeadm/app/constants/constants.go`); the API server's
    // loopback client (`pkg/authentication/user/user.go`, APIServerUser).
    "system:apiserver",
    "system:kube-scheduler",
    "system:kube-controller-manager",
    "system:cloud-controller-manager",
    "system:kube-proxy",
    "system:konnectivity-server",
    // k3s and RKE2 (`pkg/daemons/control/deps/deps.go`).
    "system:k3s-controller",
    "system:k3s-supervisor",
    "system:rke2-controller",
    "system:rke2-supervisor",
    "k3s-cloud-controller-manager",
    "rke2-cloud-controller-manager",
    // AKS. Its `masterclient` is not here: `az aks get-credentials --admin` hands it to people.
    "aksService",
    // EKS.
    "eks:addon-manager",
    "eks:authenticator",
    "eks:az-poller",
    "eks:certificate-controller",
    "eks:cloud-controller-manager",
    "eks:cluster-bootstrap",
    "eks:cluster-event-watcher",
    "eks:coredns-autoscaler",
    "eks:fargate-manager",
    "eks:fargate-scheduler",
    "eks:k8s-metrics",
    "eks:kms-storage-migrator",
    "eks:network-policy-controller",
    "eks:node-manager",
    "eks:nodewatcher",
    "eks:pod-identity-mutating-webhook",
    "eks:service-operations",
    "eks:tagging-controller",
    "eks:vpc-resource-controller",
    // GKE.
    "system:addon-manager",
    "system:clustermetrics",
    "system:gcp-controller-manager",
    "system:gke-common-webhooks",
    "system:gke-controller-manager",
    "system:gke-master-healthcheck",
    "system:gke-master-resourcequota",
    "system:gke-spiffe-controller",
    "system:glbc",
    "system:l7-lb-controller",
    "system:managed-certificate-controller",
    "system:pdcsi-controller",
    "system:snapshot-controller",
    "system:storageversionmigrator",
    "system:vpa-recommender",
];

/// Service accounts of kube-system that kube-controller-manager and the cloud controller manager act as, one
/// for each controller (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`; new ones after
/// `cmd/kube-controller-manager/names/controller_names.go`).
const CONTROLLERS: &[&str] = &[
    "attachdetach-controller",
    "bootstrap-signer",
    "certificate-controller",
    "cloud-provider",
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemon-set-controller",
    "deployment-controller",
    "device-taint-eviction-controller",
    "disruption-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "ephemeral-volume-controller",
    "expand-controller",
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "job-controller",
    "kube-apiserver-serving-clustertrustbundle-publisher",
    "legacy-service-account-token-cleaner",
    "namespace-controller",
    "node-controller",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "podcertificaterequestcleaner",
    "pv-protection-controller",
    "pvc-protection-controller",
    "replicaset-controller",
    "replication-controller",
    "resource-claim-controller",
    "resourcequota-controller",
    "root-ca-cert-publisher",
    "route-controller",
    "selinux-warning-controller",
    "service-account-controller",
    // OpenShift.
    "service-ca-cert-publisher",
    "service-cidrs-controller",
    "service-controller",
    "statefulset-controller",
    "storage-version-garbage-collector",
    "storage-version-migrator-controller",
    "taint-eviction-controller",
    "token-cleaner",
    "ttl-after-finished-controller",
    "ttl-controller",
    "validatingadmissionpolicy-status-controller",
    "volumeattributesclass-protection-controller",
];

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// Answered with a code below 400.
    Allowed,
    /// 401, 403, or the authorizer said `forbid`.
    Denied,
    /// Any other code from 400.
    Failed,
    /// Not known yet or not recorded.
    Unknown,
}

impl Outcome {
    /// The word that filters use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Where an address lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceScope {
    /// The machine itself.
    Loopback,
    /// RFC 1918, RFC 6598, link-local or unique-local.
    Private,
    /// Everything else.
    Public,
}

impl SourceScope {
    /// The word that filters use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// Classifies an address; `None` if the text is not one.
    pub fn of(address: &str) -> Option<Self> {
        address.parse().ok().map(Self::of_ip)
    }

    /// Classifies an address.
    pub fn of_ip(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) => {
                let [a, b, ..] = v4.octets();
                let shared = a == 100 && (64..128).contains(&b);
                if v4.is_private() || v4.is_link_local() || shared { Self::Private } else { Self::Public }
            }
            IpAddr::V6(v6) => {
                let first = v6.segments()[0];
                let local = (first & 0xfe00) == 0xfc00 || (first & 0xffc0) == 0xfe80;
                if local { Self::Private } else { Self::Public }
            }
        }
    }
}

impl Event<'_> {
    /// What kind of identity authenticated.
    pub fn user_kind(&self) -> UserKind {
        UserKind::of(text(&self.user.name))
    }

    /// The namespace of a service account.
    pub fn user_namespace(&self) -> Option<&str> {
        let account = text(&self.user.name)?.strip_prefix("system:serviceaccount:")?;
        account.split_once(':').map(|(namespace, _)| namespace)
    }

    /// The TCP peer: the last of `sourceIPs`; the earlier ones are headers that the client sets
    /// (`apimachinery/pkg/util/net/http.go`, `SourceIPs`).
    pub fn source_ip(&self) -> Option<&str> {
        let list = self.source_ips.text().unwrap_or_default();
        // The usual list has one plain string: no tree is needed for it.
        if let Some(inner) = list.strip_prefix("[\"").and_then(|l| l.strip_suffix("\"]")) {
            if !inner.contains(['"', '\\']) {
                return Some(inner);
            }
        }
        self.source_ips.tree()?.items().last()?.as_str()
    }

    /// The credential's id, as in `JTI=…` or `X509SHA256=…`.
    pub fn credential(&self) -> Option<&str> {
        let values = self.user.extra.tree()?.get("authentication.kubernetes.io/credential-id")?;
        values.items().first().and_then(Json::as_str)
    }

    /// What became of the request.
    pub fn outcome(&self) -> Outcome {
        match self.code {
            Some(401 | 403) => Outcome::Denied,
            Some(code) if code >= 400 => Outcome::Failed,
            Some(_) => Outcome::Allowed,
            None => match self.annotation("authorization.k8s.io/decision").as_deref() {
                Some("forbid") => Outcome::Denied,
                _ => Outcome::Unknown,
            },
        }
    }

    /// Whether the request changes stored objects and is no dry run.
    pub fn is_write(&self) -> bool {
        matches!(text(&self.verb), Some("create" | "update" | "patch" | "delete" | "deletecollection"))
            && !self.dry_run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_identities_apart() {
        let check = |name: Option<&str>, want: UserKind| assert_eq!(UserKind::of(name), want, "{name:?}");
        check(Some("alice@example.com"), UserKind::Human);
        check(Some("system:serviceaccount:kube-system:job-controller"), UserKind::System);
        check(Some("system:serviceaccount:kube-system:fluent-bit"), UserKind::ServiceAccount);
        check(Some("system:serviceaccount:shop:cart-controller"), UserKind::ServiceAccount);
        check(Some("system:serviceaccount:kube-system:kube-controller"), UserKind::ServiceAccount);
        check(Some("system:serviceaccount:kube-system:my-controller"), UserKind::ServiceAccount);
        check(Some("system:kube-scheduler"), UserKind::System);
        check(Some("system:kube-scheduler2"), UserKind::Human);
        check(Some("system:admin"), UserKind::Human);
        check(Some("system:bootstrap:abcdef"), UserKind::Human);
        check(Some("aksService"), UserKind::System);
        check(Some("masterclient"), UserKind::Human);
        check(Some("eks:node-manager"), UserKind::System);
        check(Some("eks:admin"), UserKind::Human);
        check(Some("system:node:n1"), UserKind::Node);
        check(Some("system:anonymous"), UserKind::Anonymous);
        check(None, UserKind::Unauthenticated);
    }

    #[test]
    fn trusts_only_the_last_hop() {
        let event = Event::parse(r#"{"sourceIPs":["10.0.0.1","203.0.113.9"]}"#).unwrap();
        assert_eq!(event.source_ip(), Some("203.0.113.9"));
        assert_eq!(SourceScope::of("203.0.113.9"), Some(SourceScope::Public));
        assert_eq!(SourceScope::of("::ffff:10.1.2.3"), Some(SourceScope::Private));
        assert_eq!(SourceScope::of("100.64.1.1"), Some(SourceScope::Private));
    }
}
