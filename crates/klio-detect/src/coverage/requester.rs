//! Who may make the requests that a rule is about: a few who stand for all.
//!
//! A policy tells identities apart by exact names and groups, a rule by names, kinds and namespaces. So each rule is asked
//! about one of each kind, and about those whom it names itself.

use klio_model::event::UserKind;

use super::named::Named;

/// At most so many identities that a rule names are asked about.
const NAMED: usize = 12;
/// At most so many namespaces of service accounts.
const HOMES: usize = 4;

/// In all at most so many identities.
const ALL: usize = 40;
/// The parts of a control plane, where a rule speaks of it.
const PLANE: [&str; 4] =
    ["system:apiserver", "system:kube-controller-manager", "system:kube-proxy", "system:kube-scheduler"];

/// An identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Requester {
    /// Empty when nobody authenticated.
    pub name: String,
    pub groups: Vec<String>,
    pub kind: UserKind,
    /// The rule says this name, exactly.
    pub named: bool,
}

impl Requester {
    /// With the groups that the API server gives whoever has this name
    /// (`staging/src/k8s.io/apiserver/pkg/authentication/user/user.go`, `serviceaccount/util.go`).
    pub fn of(name: &str) -> Self {
        let kind = UserKind::of(Some(name));
        let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let mut groups: Vec<String> = match (kind, account) {
            (UserKind::Unauthenticated, _) => Vec::new(),
            (UserKind::Anonymous, _) => vec!["system:unauthenticated".into()],
            (_, Some((namespace, _))) => {
                vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
            }
            (UserKind::Node, _) => vec!["system:nodes".into()],
            _ if name.starts_with("system:bootstrap:") => vec!["system:bootstrappers".into()],
            _ if name == "system:apiserver" => vec!["system:masters".into()],
            _ => Vec::new(),
        };
        if !matches!(kind, UserKind::Unauthenticated | UserKind::Anonymous) {
            groups.push("system:authenticated".into());
        }
        Self { name: name.to_owned(), groups, kind, named: false }
    }

    fn with(mut self, group: &str) -> Self {
        self.groups.insert(0, group.to_owned());
        self
    }

    /// The group that few others are in.
    pub fn narrow_group(&self) -> Option<&str> {
        self.groups.iter().map(String::as_str).find(|g| *g != "system:authenticated")
    }
}

/// Those whom a rule with these values is asked about.
pub(super) fn all(named: &Named) -> Vec<Requester> {
    let mut all: Vec<Requester> = [
        "jane@example.com",
        "system:serviceaccount:some-team:some-app",
        "system:serviceaccount:kube-system:some-agent",
        "system:node:some-node",
        "system:anonymous",
        "",
    ]
    .map(Requester::of)
    .into();
    let mut add = |one: Requester| match all.iter_mut().find(|k| k.name == one.name && k.groups == one.groups)
    {
        Some(known) => known.named |= one.named,
        None => all.push(one),
    };
    if named.kinds.iter().any(|k| k == UserKind::System.name()) {
        for name in PLANE {
            add(Requester { named: true, ..Requester::of(name) });
        }
    }
    for name in named.users.iter().take(NAMED) {
        let one = Requester::of(&name.text);
        if one.kind == UserKind::ServiceAccount && one.groups.len() == 1 {
            // A pattern such as `system:serviceaccount:azure-arc*`.
            add(Requester::of(&format!("{}:some-app", name.text)));
        } else if one.kind != UserKind::Unauthenticated {
            add(Requester { named: name.exact, ..one });
        }
    }
    for home in named.homes.iter().take(HOMES) {
        add(Requester::of(&format!("system:serviceaccount:{}:some-app", home.text)));
    }
    let given = ["system:authenticated", "system:unauthenticated", "system:nodes"];
    let groups = named.groups.iter().map(|g| g.text.as_str());
    for group in groups.filter(|g| !given.contains(g) && !g.starts_with("system:serviceaccounts")).take(NAMED)
    {
        add(Requester::of("jane@example.com").with(group));
        for name in named.users.iter().filter(|n| n.exact).take(NAMED) {
            let one = Requester::of(&name.text);
            if one.kind == UserKind::Human {
                add(Requester { named: true, ..one.with(group) });
            }
        }
    }
    all.truncate(ALL);
    all
}
