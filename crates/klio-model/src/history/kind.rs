//! What people call kinds of objects: `deploy`, `Deployment`, `deployments.apps`.

use std::fmt::Write as _;

/// A resource that every Kubernetes API server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// As the path of a request and `objectRef.resource` have it.
    pub plural: &'static str,
    /// The kind in lower case.
    singular: &'static str,
    /// What kubectl takes as well, with spaces between.
    short: &'static str,
    /// The API groups in which it is or was, with spaces between; `core` for the one without a name.
    groups: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

impl Kind {
    /// The built-in resource that somebody means by a plural, a singular or a short name, in any case of letters.
    pub fn named(name: &str) -> Option<&'static Self> {
        let name = name.to_ascii_lowercase();
        let means = |kind: &&Self| kind.names().any(|known| known == name);
        KINDS.iter().find(means)
    }

    /// The built-in plural that is written most alike, if one is.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let name = name.to_ascii_lowercase();
        let all = KINDS.iter().flat_map(|kind| kind.names().map(|known| (known, kind.plural)));
        let alike = all.map(|(known, plural)| (strsim::normalized_damerau_levenshtein(known, &name), plural));
        alike.filter(|(score, _)| *score > 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, plural)| plural)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.plural, self.singular].into_iter().chain(self.short.split_whitespace())
    }

    /// Its API groups; the core group is the empty text.
    pub fn groups(&self) -> impl Iterator<Item = &'static str> {
        self.groups.split(' ').map(|group| if group == "core" { "" } else { group })
    }

    /// How it is told apart in an error: `deployments (deploy)`.
    pub(super) fn told(&self) -> String {
        let mut out = self.plural.to_owned();
        if !self.short.is_empty() {
            let _ = write!(out, " ({})", self.short.replace(' ', ", "));
        }
        out
    }
}

const fn kind(
    plural: &'static str,
    singular: &'static str,
    short: &'static str,
    groups: &'static str,
    namespaced: bool,
) -> Kind {
    Kind { plural, singular, short, groups, namespaced }
}

/// As `kubectl api-resources` of Kubernetes 1.36 lists them, with what older servers had.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    kind("pods", "pod", "po", "core", true),
    kind("deployments", "deployment", "deploy", "apps extensions", true),
    kind("services", "service", "svc", "core", true),
    kind("configmaps", "configmap", "cm", "core", true),
    kind("secrets", "secret", "", "core", true),
    kind("serviceaccounts", "serviceaccount", "sa", "core", true),
    kind("namespaces", "namespace", "ns", "core", false),
    kind("nodes", "node", "no", "core", false),
    kind("persistentvolumes", "persistentvolume", "pv", "core", false),
    kind("persistentvolumeclaims", "persistentvolumeclaim", "pvc", "core", true),
    kind("endpoints", "endpoint", "ep", "core", true),
    kind("events", "event", "ev", "core events.k8s.io", true),
    kind("limitranges", "limitrange", "limits", "core", true),
    kind("resourcequotas", "resourcequota", "quota", "core", true),
    kind("replicationcontrollers", "replicationcontroller", "rc", "core", true),
    kind("podtemplates", "podtemplate", "", "core", true),
    kind("daemonsets", "daemonset", "ds", "apps extensions", true),
    kind("statefulsets", "statefulset", "sts", "apps", true),
    kind("replicasets", "replicaset", "rs", "apps extensions", true),
    kind("controllerrevisions", "controllerrevision", "", "apps", true),
    kind("jobs", "job", "", "batch", true),
    kind("cronjobs", "cronjob", "cj", "batch", true),
    kind("horizontalpodautoscalers", "horizontalpodautoscaler", "hpa", "autoscaling", true),
    kind("ingresses", "ingress", "ing", "networking.k8s.io extensions", true),
    kind("ingressclasses", "ingressclass", "", "networking.k8s.io", false),
    kind("networkpolicies", "networkpolicy", "netpol", "networking.k8s.io extensions", true),
    kind("ipaddresses", "ipaddress", "ip", "networking.k8s.io", false),
    kind("servicecidrs", "servicecidr", "", "networking.k8s.io", false),
    kind("poddisruptionbudgets", "poddisruptionbudget", "pdb", "policy", true),
    kind("podsecuritypolicies", "podsecuritypolicy", "psp", "policy extensions", false),
    kind("roles", "role", "", "rbac.authorization.k8s.io", true),
    kind("rolebindings", "rolebinding", "", "rbac.authorization.k8s.io", true),
    kind("clusterroles", "clusterrole", "", "rbac.authorization.k8s.io", false),
    kind("clusterrolebindings", "clusterrolebinding", "", "rbac.authorization.k8s.io", false),
    kind("mutatingwebhookconfigurations", "mutatingwebhookconfiguration", "", "admissionregistration.k8s.io", false),
    kind("validatingwebhookconfigurations", "validatingwebhookconfiguration", "", "admissionregistration.k8s.io", false),
    kind("mutatingadmissionpolicies", "mutatingadmissionpolicy", "", "admissionregistration.k8s.io", false),
    kind("mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", "", "admissionregistration.k8s.io", false),
    kind("validatingadmissionpolicies", "validatingadmissionpolicy", "", "admissionregistration.k8s.io", false),
    kind("validatingadmissionpolicybindings", "validatingadmissionpolicybinding", "", "admissionregistration.k8s.io", false),
    kind("customresourcedefinitions", "customresourcedefinition", "crd crds", "apiextensions.k8s.io", false),
    kind("apiservices", "apiservice", "", "apiregistration.k8s.io", false),
    kind("certificatesigningrequests", "certificatesigningrequest", "csr", "certificates.k8s.io", false),
    kind("clustertrustbundles", "clustertrustbundle", "", "certificates.k8s.io", false),
    kind("leases", "lease", "", "coordination.k8s.io", true),
    kind("endpointslices", "endpointslice", "", "discovery.k8s.io", true),
    kind("flowschemas", "flowschema", "", "flowcontrol.apiserver.k8s.io", false),
    kind("prioritylevelconfigurations", "prioritylevelconfiguration", "", "flowcontrol.apiserver.k8s.io", false),
    kind("runtimeclasses", "runtimeclass", "", "node.k8s.io", false),
    kind("priorityclasses", "priorityclass", "pc", "scheduling.k8s.io", false),
    kind("storageclasses", "storageclass", "sc", "storage.k8s.io", false),
    kind("csidrivers", "csidriver", "", "storage.k8s.io", false),
    kind("csinodes", "csinode", "", "storage.k8s.io", false),
    kind("csistoragecapacities", "csistoragecapacity", "", "storage.k8s.io", true),
    kind("volumeattachments", "volumeattachment", "", "storage.k8s.io", false),
    kind("volumeattributesclasses", "volumeattributesclass", "vac", "storage.k8s.io", false),
    kind("resourceclaims", "resourceclaim", "", "resource.k8s.io", true),
    kind("resourceclaimtemplates", "resourceclaimtemplate", "", "resource.k8s.io", true),
    kind("resourceslices", "resourceslice", "", "resource.k8s.io", false),
    kind("deviceclasses", "deviceclass", "", "resource.k8s.io", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_go_by_all_their_names() {
        let check =
            |name: &str, want: Option<&str>| assert_eq!(Kind::named(name).map(|k| k.plural), want, "{name}");
        check("po", Some("pods"));
        check("Pod", Some("pods"));
        check("deploy", Some("deployments"));
        check("ClusterRoleBinding", Some("clusterrolebindings"));
        check("certificates", None);
        assert_eq!(Kind::nearest("deplyoments"), Some("deployments"));
        assert_eq!(Kind::nearest("clusterolebinding"), Some("clusterrolebindings"));
        assert_eq!(Kind::nearest("certificates"), None);
    }

    #[test]
    fn no_name_means_two_kinds() {
        let mut names: Vec<&str> = KINDS.iter().flat_map(Kind::names).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
