//! The requests that there are: the resources of Kubernetes with their verbs and subresources, and the paths beside them.
//!
//! Source: the API reference of Kubernetes 1.36 and `staging/src/k8s.io/api`; verbs of subresources from `pkg/registry`
//! (a connect is `create` or `get` by its method, `staging/src/k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`).
//! A few kinds of add-ons follow, which are asked about only where a rule names them.

use super::target::Subject;

/// A kind of objects.
#[derive(Debug)]
pub(super) struct Kind {
    pub group: &'static str,
    pub resource: &'static str,
    pub namespaced: bool,
    pub verbs: &'static [&'static str],
    pub subresources: &'static [(&'static str, &'static [&'static str])],
    /// Not of Kubernetes itself: asked about only if a rule names it.
    pub addon: bool,
}

pub(super) const ALL: &[&str] =
    &["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const CREATE: &[&str] = &["create"];
const GET: &[&str] = &["get"];
const PART: &[&str] = &["get", "update", "patch"];
const CONNECT: &[&str] = &["get", "create"];
const PROXY: &[&str] = &["get", "create", "update", "patch", "delete"];

type Subs = &'static [(&'static str, &'static [&'static str])];
const STATUS: Subs = &[("status", PART)];
const SCALED: Subs = &[("status", PART), ("scale", PART)];
const NONE: Subs = &[];

/// Namespaced.
const N: bool = true;
/// Cluster-scoped.
const C: bool = false;

const fn kind(
    group: &'static str,
    resource: &'static str,
    namespaced: bool,
    verbs: &'static [&'static str],
    subresources: Subs,
) -> Kind {
    Kind { group, resource, namespaced, verbs, subresources, addon: false }
}

const fn addon(group: &'static str, resource: &'static str, namespaced: bool) -> Kind {
    Kind { group, resource, namespaced, verbs: ALL, subresources: STATUS, addon: true }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHN: &str = "authentication.k8s.io";
const AUTHZ: &str = "authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
const SNAPSHOT: &str = "snapshot.storage.k8s.io";

/// A resource of somebody else's, for what a policy says of groups that it does not name.
pub(super) const CUSTOM: Kind = kind("example.com", "widgets", N, ALL, NONE);

pub(super) const KINDS: &[Kind] = &[
    kind("", "bindings", N, CREATE, NONE),
    kind("", "componentstatuses", C, &["get", "list"], NONE),
    kind("", "configmaps", N, ALL, NONE),
    kind("", "endpoints", N, ALL, NONE),
    kind("", "events", N, ALL, NONE),
    kind("", "limitranges", N, ALL, NONE),
    kind("", "namespaces", C, ALL, &[("status", PART), ("finalize", &["update"])]),
    kind("", "nodes", C, ALL, &[("status", PART), ("proxy", PROXY)]),
    kind("", "persistentvolumeclaims", N, ALL, STATUS),
    kind("", "persistentvolumes", C, ALL, STATUS),
    kind(
        "",
        "pods",
        N,
        ALL,
        &[
            ("attach", CONNECT),
            ("binding", CREATE),
            ("ephemeralcontainers", PART),
            ("eviction", CREATE),
            ("exec", CONNECT),
            ("log", GET),
            ("portforward", CONNECT),
            ("proxy", PROXY),
            ("resize", PART),
            ("status", PART),
        ],
    ),
    kind("", "podtemplates", N, ALL, NONE),
    kind("", "replicationcontrollers", N, ALL, SCALED),
    kind("", "resourcequotas", N, ALL, STATUS),
    kind("", "secrets", N, ALL, NONE),
    kind("", "serviceaccounts", N, ALL, &[("token", CREATE)]),
    kind("", "services", N, ALL, &[("status", PART), ("proxy", PROXY)]),
    kind(ADMISSION, "mutatingadmissionpolicies", C, ALL, NONE),
    kind(ADMISSION, "mutatingadmissionpolicybindings", C, ALL, NONE),
    kind(ADMISSION, "mutatingwebhookconfigurations", C, ALL, NONE),
    kind(ADMISSION, "validatingadmissionpolicies", C, ALL, STATUS),
    kind(ADMISSION, "validatingadmissionpolicybindings", C, ALL, NONE),
    kind(ADMISSION, "validatingwebhookconfigurations", C, ALL, NONE),
    kind("apiextensions.k8s.io", "customresourcedefinitions", C, ALL, STATUS),
    kind("apiregistration.k8s.io", "apiservices", C, ALL, STATUS),
    kind("apps", "controllerrevisions", N, ALL, NONE),
    kind("apps", "daemonsets", N, ALL, STATUS),
    kind("apps", "deployments", N, ALL, SCALED),
    kind("apps", "replicasets", N, ALL, SCALED),
    kind("apps", "statefulsets", N, ALL, SCALED),
    kind(AUTHN, "selfsubjectreviews", C, CREATE, NONE),
    kind(AUTHN, "tokenreviews", C, CREATE, NONE),
    kind(AUTHZ, "localsubjectaccessreviews", N, CREATE, NONE),
    kind(AUTHZ, "selfsubjectaccessreviews", C, CREATE, NONE),
    kind(AUTHZ, "selfsubjectrulesreviews", C, CREATE, NONE),
    kind(AUTHZ, "subjectaccessreviews", C, CREATE, NONE),
    kind("autoscaling", "horizontalpodautoscalers", N, ALL, STATUS),
    kind("batch", "cronjobs", N, ALL, STATUS),
    kind("batch", "jobs", N, ALL, STATUS),
    kind(
        "certificates.k8s.io",
        "certificatesigningrequests",
        C,
        ALL,
        &[("status", PART), ("approval", PART)],
    ),
    kind("certificates.k8s.io", "clustertrustbundles", C, ALL, NONE),
    kind("certificates.k8s.io", "podcertificaterequests", N, ALL, STATUS),
    kind("coordination.k8s.io", "leasecandidates", N, ALL, NONE),
    kind("coordination.k8s.io", "leases", N, ALL, NONE),
    kind("discovery.k8s.io", "endpointslices", N, ALL, NONE),
    kind("events.k8s.io", "events", N, ALL, NONE),
    kind(FLOW, "flowschemas", C, ALL, STATUS),
    kind(FLOW, "prioritylevelconfigurations", C, ALL, STATUS),
    kind("networking.k8s.io", "ingressclasses", C, ALL, NONE),
    kind("networking.k8s.io", "ingresses", N, ALL, STATUS),
    kind("networking.k8s.io", "ipaddresses", C, ALL, NONE),
    kind("networking.k8s.io", "networkpolicies", N, ALL, NONE),
    kind("networking.k8s.io", "servicecidrs", C, ALL, STATUS),
    kind("node.k8s.io", "runtimeclasses", C, ALL, NONE),
    kind("policy", "poddisruptionbudgets", N, ALL, STATUS),
    kind(RBAC, "clusterrolebindings", C, ALL, NONE),
    kind(RBAC, "clusterroles", C, ALL, NONE),
    kind(RBAC, "rolebindings", N, ALL, NONE),
    kind(RBAC, "roles", N, ALL, NONE),
    kind("resource.k8s.io", "deviceclasses", C, ALL, NONE),
    kind("resource.k8s.io", "resourceclaims", N, ALL, STATUS),
    kind("resource.k8s.io", "resourceclaimtemplates", N, ALL, NONE),
    kind("resource.k8s.io", "resourceslices", C, ALL, NONE),
    kind("scheduling.k8s.io", "priorityclasses", C, ALL, NONE),
    kind(STORAGE, "csidrivers", C, ALL, NONE),
    kind(STORAGE, "csinodes", C, ALL, NONE),
    kind(STORAGE, "csistoragecapacities", N, ALL, NONE),
    kind(STORAGE, "storageclasses", C, ALL, NONE),
    kind(STORAGE, "volumeattachments", C, ALL, STATUS),
    kind(STORAGE, "volumeattributesclasses", C, ALL, NONE),
    CUSTOM,
    addon("argoproj.io", "applications", N),
    addon("cilium.io", "ciliumclusterwidenetworkpolicies", C),
    addon("cilium.io", "ciliumnetworkpolicies", N),
    addon("crd.projectcalico.org", "globalnetworkpolicies", C),
    addon("projectcalico.org", "globalnetworkpolicies", C),
    addon("policy.networking.k8s.io", "adminnetworkpolicies", C),
    addon(SNAPSHOT, "volumesnapshotclasses", C),
    addon(SNAPSHOT, "volumesnapshotcontents", C),
    addon(SNAPSHOT, "volumesnapshots", N),
    addon("velero.io", "backups", N),
    addon("velero.io", "backupstoragelocations", N),
];

/// All that Kubernetes itself has, with their parts.
pub(super) fn subjects() -> impl Iterator<Item = Subject> {
    KINDS.iter().filter(|k| !k.addon).flat_map(|kind| {
        let parts = std::iter::once("").chain(kind.subresources.iter().map(|(part, _)| *part));
        parts.map(|part| Subject::Resource {
            group: kind.group.into(),
            resource: kind.resource.into(),
            subresource: part.into(),
        })
    })
}

/// Paths that are no resources, and whether probes and discovery ask them all the time.
pub(super) const PATHS: &[(&str, bool)] = &[
    ("/", false),
    ("/api", true),
    ("/apis", true),
    ("/healthz", true),
    ("/livez", true),
    ("/readyz", true),
    ("/metrics", true),
    ("/openapi/v2", true),
    ("/openapi/v3", true),
    ("/version", true),
    ("/.well-known/openid-configuration", false),
    ("/openid/v1/jwks", false),
    ("/debug/pprof/", false),
    ("/logs/", false),
];

/// Requests that the cluster makes of itself all the time. A rule that is about anything is not worse for their
/// absence; one that names them is.
pub(super) fn is_noise(group: &str, resource: &str, subresource: &str, verb: &str) -> bool {
    let deletes = matches!(verb, "delete" | "deletecollection");
    match (group, resource) {
        ("coordination.k8s.io" | "discovery.k8s.io", _) | ("", "endpoints" | "componentstatuses") => true,
        (_, "events") => !deletes,
        _ => subresource == "status",
    }
}

/// Whether a request goes on for as long as its connection, and so has a stage ResponseStarted
/// (`cmd/kube-apiserver`, the default of `LongRunningFunc`).
pub(super) fn is_long(verb: &str, subresource: &str) -> bool {
    verb == "watch" || matches!(subresource, "attach" | "exec" | "proxy" | "log" | "portforward")
}

/// Connections have no object in their request nor in their answer.
pub(super) fn is_connection(subresource: &str) -> bool {
    matches!(subresource, "attach" | "exec" | "portforward" | "proxy")
}
