//! The table of fields.

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holds {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// true or false.
    Bool,
    /// A list of texts.
    Strings,
    /// An object or a list of objects; paths go on below it.
    Object,
    /// A point in time, RFC 3339.
    Time,
}

/// One entry of the registry.
#[derive(Debug)]
pub struct FieldInfo {
    /// Which field.
    pub field: Field,
    /// The short name that filters use.
    pub name: &'static str,
    /// The path in audit.k8s.io/v1; empty for a value that Klio computes.
    pub path: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Whether it comes from a request or response body.
    pub needs_body: bool,
    /// Whether it tells of the past: unknown until [`Event::facts`](crate::Event::facts) are there.
    pub needs_memory: bool,
    /// Whether it rests on lists and databases that the site gives: unknown until
    /// [`Event::outside`](crate::Event::outside) is there.
    pub needs_outside: bool,
    /// The least audit level at which it exists.
    pub level: &'static str,
    /// One sentence for the field guide.
    pub doc: &'static str,
    /// A typical value.
    pub example: &'static str,
}

macro_rules! fields {
    ($($variant:ident $name:literal $path:literal $holds:ident $level:ident $doc:literal $example:literal;)*) => {
        /// A registry field.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum Field { $($variant),* }

        /// All fields, in the order of the field guide.
        pub const FIELDS: &[FieldInfo] = &[$(FieldInfo {
            field: Field::$variant,
            name: $name,
            path: $path,
            holds: Holds::$holds,
            needs_body: !matches!(stringify!($level).as_bytes(), b"Metadata" | b"Past" | b"Outside"),
            needs_memory: matches!(stringify!($level).as_bytes(), b"Past"),
            needs_outside: matches!(stringify!($level).as_bytes(), b"Outside"),
            level: match stringify!($level).as_bytes() {
                b"Past" | b"Outside" => "Metadata",
                _ => stringify!($level),
            },
            doc: $doc,
            example: $example,
        }),*];
    };
}

fields! {
    Time "time" "requestReceivedTimestamp" Time Metadata "When the request reached the API server (microseconds, UTC)." "2026-11-21T01:01:58.390059Z";
    StageTime "stage.time" "stageTimestamp" Time Metadata "When this stage of the request was reached." "2026-11-21T01:01:58.392336Z";
    Level "level" "level" Text Metadata "How much of the request the audit policy recorded." "Metadata";
    Stage "stage" "stage" Text Metadata "The moment in the request's life at which the event was written." "ResponseComplete";
    AuditId "audit.id" "auditID" Text Metadata "Groups the stages of one request. The client may choose it (header Audit-ID): never a proof of identity." "5e8b5a5e-6d0e-4d0e-9a3c-0c2b7a9d7c11";
    Verb "verb" "verb" Text Metadata "Kubernetes verb, or the lower-cased HTTP method of a non-resource request." "create";
    Uri "uri" "requestURI" Text Metadata "Path and query exactly as the client sent them." "/api/v1/namespaces/shop/pods/cart/exec?command=sh";
    UriPath "uri.path" "" Text Metadata "The path of the request URI, decoded, with repeated slashes as one." "/api/v1/namespaces/shop/pods/cart/exec";
    UriParam "uri.param" "" Object Metadata "Query parameters, decoded; `uri.param.NAME` holds each value of NAME." "uri.param.dryRun:All";
    ExecCommand "exec.command" "" Text Metadata "The command of an exec: all `command=` parameters, decoded and joined by a space." "sh -c id";
    DryRun "dryRun" "" Bool Metadata "Whether the request certainly was a server-side dry run, which stores nothing. The query does not prove it for a delete whose body is not recorded, nor for tokens and connections." "true";
    RequestWrite "request.write" "" Bool Metadata "Whether the request changes stored objects (create, update, patch, delete, deletecollection) and is no dry run." "true";
    User "user" "user.username" Text Metadata "Who authenticated; absent in a 401." "alice@example.com";
    UserUid "user.uid" "user.uid" Text Metadata "The identity's uid, if its provider gives one." "b5d1db84-8119-4890-ad7b-e2fcc3c12b1b";
    Groups "groups" "user.groups" Strings Metadata "The groups of the identity." "system:masters";
    Extra "user.extra" "user.extra" Object Metadata "What else the authenticator knows: credential id, pod, node, cloud identity." "user.extra.authentication.kubernetes.io/pod-name:cart-7c9";
    UserKind "user.kind" "" Text Metadata "human, serviceaccount, node, system (control plane), anonymous or unauthenticated." "human";
    UserNamespace "user.namespace" "" Text Metadata "The namespace of a service account." "kube-system";
    Person "user.person" "" Text Metadata "The person who uses the account that authenticated, as people.yaml says; absent if it says nothing." "Alice Example";
    Team "user.team" "" Text Metadata "That person's team." "platform";
    Credential "credential" "" Text Metadata "Which credential was used: JTI=… of a token or X509SHA256=… of a certificate." "JTI=90f3b7c9-7945-4e0b-8ecc-00126100fce8";
    Impersonated "impersonated" "impersonatedUser.username" Text Metadata "As whom the request was made, when impersonation was allowed." "system:admin";
    ImpersonatedUid "impersonated.uid" "impersonatedUser.uid" Text Metadata "The impersonated uid." "1234";
    ImpersonatedGroups "impersonated.groups" "impersonatedUser.groups" Strings Metadata "The impersonated groups." "system:masters";
    ImpersonatedExtra "impersonated.extra" "impersonatedUser.extra" Object Metadata "The impersonated extra values." "impersonated.extra.scopes:*";
    Authentication "authentication" "authenticationMetadata" Object Metadata "How the identity was established (constrained impersonation, Kubernetes 1.35 and later)." "authentication.impersonationConstraint:impersonate\\:user-info";
    SourceIps "source.ips" "sourceIPs" Strings Metadata "X-Forwarded-For, X-Real-Ip and the TCP peer; all but the last are chosen by the client." "203.0.113.7";
    SourceIp "source.ip" "" Text Metadata "The TCP peer: the last of sourceIPs." "203.0.113.7";
    SourceScope "source.scope" "" Text Metadata "Where source.ip lies: loopback, private or public." "public";
    UserAgent "agent" "userAgent" Text Metadata "What the client calls itself; forgeable, cut at 1,024 characters." "kubectl/v1.36.1 (linux/amd64) kubernetes/8f94681";
    Object "object" "objectRef" Text Metadata "The object the request names, as a whole; its parts have names of their own." "object:*";
    Resource "resource" "objectRef.resource" Text Metadata "Resource in the plural; absent for non-resource requests." "secrets";
    Subresource "subresource" "objectRef.subresource" Text Metadata "Part of the object that is addressed." "exec";
    Namespace "namespace" "objectRef.namespace" Text Metadata "Namespace; absent for cluster-scoped and all-namespace requests." "kube-system";
    Name "name" "objectRef.name" Text Metadata "Object name; absent for lists and for creates with generateName." "cart-7c9";
    ObjectUid "object.uid" "objectRef.uid" Text Metadata "Object uid, where the client gave it." "1b436606-5268-4733-902d-95079eb54278";
    ApiGroup "group" "objectRef.apiGroup" Text Metadata "API group; absent for the core group." "rbac.authorization.k8s.io";
    ApiVersion "version" "objectRef.apiVersion" Text Metadata "API version." "v1";
    ResourceVersion "object.version" "objectRef.resourceVersion" Text Metadata "Resource version the client named." "81672";
    Code "code" "responseStatus.code" Number Metadata "HTTP status code; 101 for an upgraded connection such as exec." "403";
    Status "status" "responseStatus.status" Text Metadata "Success or Failure, where the server said so." "Failure";
    Message "message" "responseStatus.message" Text Metadata "What the server answered; present on failures." "secrets is forbidden: User \"bob\" cannot list resource \"secrets\"";
    Reason "reason" "responseStatus.reason" Text Metadata "Machine-readable reason of a failure." "Forbidden";
    Outcome "outcome" "" Text Metadata "allowed, denied (401, 403), failed (other errors) or unknown." "denied";
    Annotations "annotations" "annotations" Object Metadata "Notes of authorization, admission and latency tracking." "annotations.authorization.k8s.io/decision:forbid";
    Decision "decision" "annotations.authorization.k8s.io/decision" Text Metadata "What the authorizer decided: allow or forbid." "allow";
    DecisionReason "decision.reason" "annotations.authorization.k8s.io/reason" Text Metadata "Which binding and role allowed the request; empty for system:masters." "RBAC: allowed by ClusterRoleBinding \"ops\" of ClusterRole \"admin\" to Group \"dev\"";
    PodSecurity "psa.violations" "annotations.pod-security.kubernetes.io/audit-violations" Text Metadata "What the Pod Security Standard of the namespace objects to." "would violate PodSecurity \"baseline:latest\": privileged";
    RequestObject "request" "requestObject" Object Request "The body that was sent; a JSON patch is a list." "request.spec.replicas:3";
    Patch "patch" "" Object Request "The body that was sent, with JSON patches folded into the object they write." "patch.spec.type:LoadBalancer";
    PatchRemoved "patch.removed" "" Strings Request "Each path that a patch removes, as a JSON pointer without escapes: removed or moved away by a JSON patch, null in a merge patch, deleted or replaced by a directive of a strategic one, or set to null, {} or []. Removing a parent shows as the parent only." "/metadata/labels/pod-security.kubernetes.io/enforce";
    ResponseObject "response" "responseObject" Object RequestResponse "The body that was answered." "response.metadata.uid:*";
    Pod "pod" "" Object Request "The spec of each pod or pod template that the request writes; `pod.metadata` is its metadata." "pod.hostPID:true";
    PodHostPath "pod.host_path" "" Strings Request "The path of each hostPath volume of those pods, as the node reads it: absolute, without //, /./, /../ and a slash at the end." "/etc";
    VolumeHostPath "volume.host_path" "" Strings Request "The same of a written persistent volume with a hostPath or local source." "/var/lib/kubelet";
    Container "container" "" Object Request "Each container, init container and ephemeral container of those pods." "container.securityContext.privileged:true";
    Grant "rbac.grant" "" Strings Request "What a written role grants: `<verb> <resource>`, pairs of one rule only." "get secrets";
    Subject "rbac.subject" "" Strings Request "Whom a written binding binds: `User:…`, `Group:…`, `ServiceAccount:<namespace>:<name>`." "Group:system:masters";
    RoleRef "rbac.role" "" Text Request "Which role a written binding binds." "cluster-admin";
    Falco "falco" "" Object Request "A value as a Falco rule names it, with its argument after a slash." "falco.ka.req.pod.volumes.hostpath:\\/etc*";
    Document "event" "" Object Metadata "The whole event, for paths that no other entry names." "event.kind:Event";
    HistoryDays "history.days" "" Number Past "Whole days over which events of this cluster were learnt before this one." "14";
    NewActor "new.actor" "" Bool Past "Whether this identity was not seen within 30 days. An identity is a user name, with the name it impersonates; a service account is one identity whatever its pods. Unknown for the control plane, nodes and anonymous requests, as all fields of an identity are." "true";
    NewAgent "new.agent" "" Bool Past "Whether this identity was not seen with this client (the user agent up to its first slash). This and the like are unknown while the identity itself is new. Who only asks what the API server serves, or who he is, makes it not known." "true";
    AgentAge "agent.age" "" Number Past "Seconds since this identity was first seen with this client, if it was seen with it within 30 days; 0 for the first time." "86400";
    NewAddress "new.address" "" Bool Past "Whether this identity was not seen from this network: the /24 or /48 of a public source.ip, a private one as it is. Who only asks what the API server serves, or who he is, makes no public network known. Unknown for the first request of a pod, whose address is always new." "true";
    NewCountry "new.country" "" Bool Past "Whether this identity was not seen from this `source.country`. Unknown until a country of this identity was seen before." "true";
    NewAsn "new.asn" "" Bool Past "Whether this identity was not seen from this `source.asn`. Unknown until a network of this identity was seen before." "true";
    AddressAge "address.age" "" Number Past "Seconds since this identity first came from this public network, where it had been at work elsewhere within the hour before: a person anywhere, a service account at a private address. Unknown otherwise, after 30 days, where other people are at home, and for a service account after three such arrivals within 30 days: who comes from ever new networks has no home." "60";
    NewNamespace "new.namespace" "" Bool Past "Whether this identity was never let into this namespace before." "true";
    NewAction "new.action" "" Bool Past "Whether this identity was never allowed to do this before: get, list or watch, create, change, delete or connect, with this group, resource and subresource. Denied requests and dry runs make nothing known." "true";
    NewSecret "new.secret" "" Bool Past "Whether this identity never read this secret by its name before. Unknown for requests that read no named secret." "true";
    PeersAction "peers.action" "" Bool Past "Whether somebody else of the same kind (people; service accounts of one namespace) did this before, in any namespace." "false";
    ActorAge "actor.age" "" Number Past "Seconds since this identity was first seen." "86400";
    ActorHourUnusual "actor.hour.unusual" "" Bool Past "Whether a person never worked at this hour of the week (UTC) or the hours next to it. Unknown until there are 14 days of this person's history." "true";
    ActorRate "actor.rate" "" Number Past "By how many deviations this identity's requests of the last 10 minutes, this one counted, exceed its usual number for this action; 0 while there is no history of the action." "6";
    SecretsDay "secrets.day" "" Number Past "Different secrets that this identity read by name within 24 hours, this request counted; an estimate above 128." "20";
    SecretsWeek "secrets.week" "" Number Past "The same within 7 days." "40";
    CredentialAge "credential.age" "" Number Past "Seconds since the credential was issued, if that was seen, else since it was first used; unknown when it is used for the first time and nobody saw it issued." "30";
    CredentialAddresses "credential.addresses" "" Number Past "Different addresses (source.ip) that used this credential within 24 hours, this request counted; at most 32." "2";
    CredentialMoved "credential.moved" "" Bool Past "Whether this credential was used from another address before: not from the one that used it first, or with another pod or node. Unknown for the first use of a credential that nobody saw issued." "true";
    CredentialElsewhere "credential.elsewhere" "" Bool Past "Whether a token that is bound to a pod comes from an address that is neither the pod's nor its node's. Unknown until the pod's address was recorded (level Request of pods/status)." "true";
    CredentialDepth "credential.depth" "" Number Past "How many TokenRequests lie between this credential and `credential.root`; 0 for one that a kubelet or the control plane fetched for its own use, and for certificates. Unknown if the issuing was not seen." "1";
    CredentialIssuer "credential.issuer" "" Text Past "Who had this token issued by TokenRequest." "system:serviceaccount:orders:legacy-importer";
    CredentialRoot "credential.root" "" Text Past "Who is behind a token: up the chain of TokenRequests the first that is no service account, else the outermost. Kubelets and the control plane count only if nobody else is in the chain." "alice@example.com";
    Author "author" "" Text Past "Who is behind a write: for objects that controllers make the one who wrote their owner, else who authenticated." "alice@example.com";
    AuthorSure "author.sure" "" Bool Past "Whether `author` follows from a recorded owner, and not from names alone." "true";
    Workload "workload" "" Text Past "The workload of the pod that the token is bound to, by its owners where they are known, else by its name." "deployments/shop/cart";
    SourceCountry "source.country" "" Text Outside "The country of source.ip, two letters of ISO 3166. Absent for private and loopback addresses; unknown if no database names one." "DE";
    SourceAsn "source.asn" "" Number Outside "The number of the network (autonomous system) that announces source.ip. Absent and unknown as the country is." "64496";
    SourceOrg "source.org" "" Text Outside "Who runs that network. Absent and unknown as the country is." "Example Networks";
    IndicatorList "indicator.list" "" Strings Outside "The lists with an indicator that the request meets: by its source.ip, agent, user, impersonated user, object, credential, or an image that it writes. Unknown for writes of pods whose body is not recorded, if images are looked for." "watch-list";
    IndicatorValue "indicator.value" "" Strings Outside "Each such indicator." "203.0.113.0/24";
    IndicatorNote "indicator.note" "" Strings Outside "What its list says of it." "seen in the attack of May";
}

impl Field {
    /// Its entry.
    pub fn info(self) -> &'static FieldInfo {
        &FIELDS[self as usize]
    }
}
