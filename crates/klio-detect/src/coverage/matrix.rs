//! The two matrices that Kubernetes is measured by, and which of their techniques no audit log shows.
//!
//! Sources: MITRE ATT&CK (enterprise, with the platform Containers), <https://attack.mitre.org>; Microsoft's Threat Matrix for
//! Kubernetes, <https://microsoft.github.io/Threat-Matrix-for-Kubernetes/>. What is invisible is what happens where no request
//! to the API server is made: in an application, on a node, in a registry, in the network, at a cloud.

use klio_model::Tactic;
use klio_model::Tactic::{
    Collection, CommandAndControl, CredentialAccess, DefenseEvasion, Discovery, Execution, Exfiltration,
    Impact, InitialAccess, LateralMovement, Persistence, PrivilegeEscalation, Reconnaissance,
};

/// A technique of ATT&CK.
#[derive(Debug)]
pub(super) struct Known {
    pub id: &'static str,
    pub name: &'static str,
    pub tactics: &'static [Tactic],
    /// It stands in the Containers matrix.
    pub containers: bool,
    /// Why audit data cannot show it.
    pub hidden: Option<&'static str>,
}

const fn inside(id: &'static str, name: &'static str, tactics: &'static [Tactic]) -> Known {
    Known { id, name, tactics, containers: true, hidden: None }
}

/// One of the Containers matrix that no request shows.
const fn hidden(
    id: &'static str,
    name: &'static str,
    tactics: &'static [Tactic],
    why: &'static str,
) -> Known {
    Known { id, name, tactics, containers: true, hidden: Some(why) }
}

/// One that stands in other matrices of ATT&CK and that rules tag all the same.
const fn beside(id: &'static str, name: &'static str, tactics: &'static [Tactic]) -> Known {
    Known { id, name, tactics, containers: false, hidden: None }
}

const VALID: &[Tactic] = &[InitialAccess, Persistence, PrivilegeEscalation, DefenseEvasion];
const KEPT_HIGH: &[Tactic] = &[Persistence, PrivilegeEscalation];
const SCHEDULED: &[Tactic] = &[Execution, Persistence, PrivilegeEscalation];

pub(super) const ATTACK: &[Known] = &[
    beside("T1595", "Active Scanning", &[Reconnaissance]),
    inside("T1190", "Exploit Public-Facing Application", &[InitialAccess]),
    inside("T1133", "External Remote Services", &[InitialAccess, Persistence]),
    inside("T1078", "Valid Accounts", VALID),
    inside("T1078.001", "Default Accounts", VALID),
    inside("T1078.003", "Local Accounts", VALID),
    beside("T1078.004", "Cloud Accounts", VALID),
    inside("T1609", "Container Administration Command", &[Execution]),
    inside("T1610", "Deploy Container", &[Execution, DefenseEvasion]),
    beside("T1059", "Command and Scripting Interpreter", &[Execution]),
    beside("T1059.004", "Unix Shell", &[Execution]),
    inside("T1053.007", "Container Orchestration Job", SCHEDULED),
    inside("T1204.003", "Malicious Image", &[Execution]),
    inside("T1098", "Account Manipulation", KEPT_HIGH),
    beside("T1098.001", "Additional Cloud Credentials", KEPT_HIGH),
    inside("T1098.006", "Additional Container Cluster Roles", KEPT_HIGH),
    inside("T1136.001", "Create Local Account", &[Persistence]),
    inside("T1543.005", "Container Service", KEPT_HIGH),
    beside("T1546", "Event Triggered Execution", KEPT_HIGH),
    hidden("T1525", "Implant Internal Image", &[Persistence], "it happens in the registry"),
    inside("T1611", "Escape to Host", &[PrivilegeEscalation]),
    hidden(
        "T1068",
        "Exploitation for Privilege Escalation",
        &[PrivilegeEscalation],
        "it happens in the node's kernel",
    ),
    beside("T1134", "Access Token Manipulation", &[DefenseEvasion, PrivilegeEscalation]),
    hidden("T1612", "Build Image on Host", &[DefenseEvasion], "it is asked of the container runtime"),
    inside("T1036", "Masquerading", &[DefenseEvasion]),
    inside("T1036.005", "Match Legitimate Resource Name or Location", &[DefenseEvasion]),
    inside("T1070", "Indicator Removal", &[DefenseEvasion]),
    inside("T1550", "Use Alternate Authentication Material", &[DefenseEvasion, LateralMovement]),
    inside("T1550.001", "Application Access Token", &[DefenseEvasion, LateralMovement]),
    beside("T1553.004", "Install Root Certificate", &[DefenseEvasion]),
    inside("T1562.001", "Disable or Modify Tools", &[DefenseEvasion]),
    beside("T1562.004", "Disable or Modify System Firewall", &[DefenseEvasion]),
    inside("T1110", "Brute Force", &[CredentialAccess]),
    inside("T1110.001", "Password Guessing", &[CredentialAccess]),
    inside("T1110.003", "Password Spraying", &[CredentialAccess]),
    inside("T1110.004", "Credential Stuffing", &[CredentialAccess]),
    inside("T1528", "Steal Application Access Token", &[CredentialAccess]),
    inside("T1552", "Unsecured Credentials", &[CredentialAccess]),
    inside("T1552.001", "Credentials In Files", &[CredentialAccess]),
    beside("T1552.004", "Private Keys", &[CredentialAccess]),
    beside("T1552.005", "Cloud Instance Metadata API", &[CredentialAccess]),
    inside("T1552.007", "Container API", &[CredentialAccess]),
    beside("T1557", "Adversary-in-the-Middle", &[CredentialAccess, Collection]),
    beside("T1649", "Steal or Forge Authentication Certificates", &[CredentialAccess]),
    inside("T1613", "Container and Resource Discovery", &[Discovery]),
    hidden("T1046", "Network Service Discovery", &[Discovery], "it happens in the network"),
    inside("T1069", "Permission Groups Discovery", &[Discovery]),
    beside("T1069.003", "Cloud Groups", &[Discovery]),
    beside("T1087", "Account Discovery", &[Discovery]),
    beside("T1005", "Data from Local System", &[Collection]),
    beside("T1530", "Data from Cloud Storage", &[Collection]),
    beside("T1090", "Proxy", &[CommandAndControl]),
    beside("T1105", "Ingress Tool Transfer", &[CommandAndControl]),
    beside("T1020", "Automated Exfiltration", &[Exfiltration]),
    inside("T1485", "Data Destruction", &[Impact]),
    beside("T1489", "Service Stop", &[Impact]),
    inside("T1490", "Inhibit System Recovery", &[Impact]),
    inside("T1496", "Resource Hijacking", &[Impact]),
    inside("T1496.001", "Compute Hijacking", &[Impact]),
    hidden("T1496.002", "Bandwidth Hijacking", &[Impact], "it happens in the network"),
    hidden("T1498", "Network Denial of Service", &[Impact], "it happens in the network"),
    inside("T1499", "Endpoint Denial of Service", &[Impact]),
    beside("T1565.001", "Stored Data Manipulation", &[Impact]),
];

/// A technique of Microsoft's matrix.
#[derive(Debug)]
pub(super) struct Threat {
    /// The number after `MS-TA`.
    pub number: u16,
    pub name: &'static str,
    pub tactic: Tactic,
    /// Why audit data cannot show it.
    pub hidden: Option<&'static str>,
}

const fn threat(number: u16, name: &'static str, tactic: Tactic) -> Threat {
    Threat { number, name, tactic, hidden: None }
}

const fn unseen(number: u16, name: &'static str, tactic: Tactic, why: &'static str) -> Threat {
    Threat { number, name, tactic, hidden: Some(why) }
}

/// All forty; there is no MS-TA9032.
pub(super) const THREATS: &[Threat] = &[
    threat(9001, "Using cloud credentials", InitialAccess),
    threat(9002, "Compromised image in registry", InitialAccess),
    threat(9003, "Kubeconfig file", InitialAccess),
    unseen(9004, "Application vulnerability", InitialAccess, "it happens in the application"),
    threat(9005, "Exposed sensitive interfaces", InitialAccess),
    threat(9006, "Exec into container", Execution),
    threat(9007, "bash/cmd inside container", Execution),
    threat(9008, "New container", Execution),
    threat(9009, "Application exploit (RCE)", Execution),
    unseen(9010, "SSH server running inside container", Execution, "it happens in the container"),
    threat(9011, "Sidecar injection", Execution),
    threat(9012, "Backdoor container", Persistence),
    threat(9013, "Writable hostPath mount", Persistence),
    threat(9014, "Kubernetes CronJob", Persistence),
    threat(9015, "Malicious admission controller", Persistence),
    threat(9016, "Container service account", Persistence),
    threat(9017, "Static pods", Persistence),
    threat(9018, "Privileged container", PrivilegeEscalation),
    threat(9019, "Cluster-admin binding", PrivilegeEscalation),
    threat(9020, "Access cloud resources", PrivilegeEscalation),
    unseen(9021, "Clear container logs", DefenseEvasion, "it happens on the node"),
    threat(9022, "Delete Kubernetes events", DefenseEvasion),
    threat(9023, "Pod or container name similarity", DefenseEvasion),
    threat(9024, "Connect from proxy server", DefenseEvasion),
    threat(9025, "List Kubernetes secrets", CredentialAccess),
    unseen(9026, "Mount service principal", CredentialAccess, "it happens on the node"),
    threat(9027, "Application credentials in configuration files", CredentialAccess),
    unseen(
        9028,
        "Access managed identity credentials",
        CredentialAccess,
        "it is asked of the cloud's metadata service",
    ),
    threat(9029, "Access Kubernetes API server", Discovery),
    threat(9030, "Access Kubelet API", Discovery),
    unseen(9031, "Network mapping", Discovery, "it happens in the network"),
    threat(9033, "Instance Metadata API", Discovery),
    threat(9034, "Cluster internal networking", LateralMovement),
    threat(9035, "CoreDNS poisoning", LateralMovement),
    unseen(9036, "ARP poisoning and IP spoofing", LateralMovement, "it happens in the network"),
    unseen(9037, "Images from a private registry", Collection, "it is asked of the registry"),
    threat(9038, "Data destruction", Impact),
    threat(9039, "Resource hijacking", Impact),
    unseen(9040, "Denial of service", Impact, "it happens in the network and in the application"),
    threat(9041, "Collecting data from pod", Collection),
];
