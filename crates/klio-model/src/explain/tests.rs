use super::explain;
use crate::event::Event;

/// Builds an event around what a case is about.
fn event(rest: &str) -> String {
    format!(
        r#"{{"level":"Request","stage":"ResponseComplete","requestReceivedTimestamp":"2026-11-21T01:01:58.390059Z",{rest}}}"#
    )
}

#[track_caller]
fn says(rest: &str, want: &str) {
    let json = event(rest);
    let event = Event::parse(&json).unwrap();
    assert_eq!(explain(&event), format!("On 2026-11-21 at 01:01:58 UTC, {want}."));
}

const ALICE: &str = r#""user":{"username":"alice","groups":["dev"]},"sourceIPs":["203.0.113.7"],"userAgent":"kubectl/v1.36.1 (linux/amd64) kubernetes/8f94681""#;
const OK: &str = r#""responseStatus":{"code":200}"#;

#[track_caller]
fn alice(verb: &str, object: &str, more: &str, want: &str) {
    let status = if more.contains("responseStatus") { String::new() } else { format!(",{OK}") };
    let more = if more.is_empty() { String::new() } else { format!(",{more}") };
    says(
        &format!(r#""verb":"{verb}",{ALICE},"objectRef":{{{object}}}{status}{more}"#),
        &format!("alice (from 203.0.113.7 with kubectl/v1.36.1) {want}"),
    );
}

const CART: &str = r#""resource":"pods","namespace":"shop","name":"cart""#;

#[test]
fn plain_verbs() {
    let secrets = r#""resource":"secrets","namespace":"kube-system""#;
    alice("get", CART, "", "read pod shop/cart");
    alice("list", r#""resource":"pods""#, "", "listed all pods in the whole cluster");
    alice("list", secrets, "", "read all secrets in namespace kube-system through a list");
    alice(
        "list",
        r#""resource":"pods","namespace":"shop""#,
        r#""requestURI":"/api/v1/namespaces/shop/pods?labelSelector=app%3Dcart""#,
        "listed all pods in namespace shop that match `app=cart`",
    );
    alice(
        "watch",
        secrets,
        r#""requestURI":"/api/v1/secrets?watch=true&sendInitialEvents=true&resourceVersion=7""#,
        "read all secrets in namespace kube-system through a watch",
    );
    alice(
        "watch",
        secrets,
        r#""requestURI":"/api/v1/secrets?watch=true&resourceVersion=812""#,
        "watched all secrets in namespace kube-system",
    );
    alice(
        "create",
        r#""resource":"networkpolicies","namespace":"shop","name":"deny""#,
        "",
        "created networkpolicy shop/deny",
    );
    alice("create", r#""resource":"pods","namespace":"shop""#, "", "created a pod in namespace shop");
    alice(
        "create",
        r#""resource":"pods","namespace":"shop""#,
        r#""requestObject":{"metadata":{"name":"miner"}}"#,
        "created pod shop/miner",
    );
    alice(
        "update",
        r#""resource":"ingresses","namespace":"shop","name":"web""#,
        "",
        "replaced ingress shop/web",
    );
    alice("patch", r#""resource":"clusterroles","name":"view""#, "", "changed clusterrole view");
    alice(
        "delete",
        r#""resource":"namespaces","namespace":"shop","name":"shop""#,
        "",
        "deleted namespace shop",
    );
    alice(
        "deletecollection",
        r#""resource":"events","namespace":"shop""#,
        "",
        "deleted all events in namespace shop",
    );
}

#[test]
fn subresources() {
    let pod = |sub: &str| format!(r#"{CART},"subresource":"{sub}""#);
    alice(
        "get",
        &pod("exec"),
        r#""requestURI":"/api/v1/namespaces/shop/pods/cart/exec?command=cat&command=%2Fetc%2Fshadow","responseStatus":{"code":101}"#,
        "ran `cat /etc/shadow` in pod shop/cart",
    );
    alice(
        "create",
        &pod("exec"),
        r#""requestURI":"/x/exec?command=sh&container=app&stdin=true&tty=true""#,
        "ran `sh` interactively in container app of pod shop/cart",
    );
    alice("create", &pod("attach"), "", "attached to pod shop/cart");
    alice(
        "create",
        &pod("portforward"),
        r#""requestURI":"/x/portforward?ports=5432""#,
        "forwarded port 5432 to pod shop/cart",
    );
    alice("get", &pod("log"), "", "read the log of pod shop/cart");
    alice(
        "get",
        &pod("proxy"),
        r#""requestURI":"/api/v1/namespaces/shop/pods/cart/proxy/debug/vars?a=b""#,
        "sent a request (get) for `/debug/vars` through the proxy of pod shop/cart",
    );
    alice("create", &pod("eviction"), "", "evicted pod shop/cart");
    alice(
        "create",
        &pod("binding"),
        r#""requestObject":{"target":{"name":"n1"}}"#,
        "scheduled pod shop/cart onto node n1",
    );
    alice("patch", &pod("ephemeralcontainers"), "", "put a debug container into pod shop/cart");
    alice("patch", &pod("status"), "", "changed the status of pod shop/cart");
    alice(
        "create",
        r#""resource":"serviceaccounts","namespace":"shop","name":"api","subresource":"token""#,
        "",
        "minted a token for service account shop/api",
    );
    alice(
        "patch",
        r#""resource":"deployments","namespace":"shop","name":"web","subresource":"scale""#,
        r#""requestObject":{"spec":{"replicas":0}}"#,
        "scaled deployment shop/web to 0 replicas",
    );
    alice(
        "update",
        r#""resource":"certificatesigningrequests","name":"csr-1","subresource":"approval""#,
        r#""requestObject":{"status":{"conditions":[{"type":"Approved"}]}}"#,
        "approved certificate signing request csr-1",
    );
    alice(
        "create",
        r#""resource":"selfsubjectaccessreviews""#,
        r#""requestObject":{"spec":{"resourceAttributes":{"verb":"get","resource":"secrets"}}}"#,
        "asked what it may do, namely get secrets",
    );
    alice("create", r#""resource":"selfsubjectrulesreviews""#, "", "asked what it may do");
}

#[test]
fn outcomes_and_stages() {
    alice(
        "get",
        CART,
        r#""responseStatus":{"code":403,"message":"pods \"cart\" is forbidden"}"#,
        r#"tried to read pod shop/cart and was refused (403): "pods \"cart\" is forbidden""#,
    );
    alice("get", CART, r#""responseStatus":{"code":404}"#, "tried to read pod shop/cart, which failed (404)");
    alice(
        "delete",
        CART,
        r#""requestURI":"/api/v1/namespaces/shop/pods/cart?dryRun=All""#,
        "tried out (dry run) to delete pod shop/cart",
    );
    alice("get", CART, r#""responseStatus":{}"#, "asked to read pod shop/cart; the outcome is not recorded");
    alice(
        "get",
        CART,
        r#""stage":"RequestReceived","responseStatus":{}"#,
        "asked to read pod shop/cart; the answer is in a later event",
    );
    alice("watch", CART, r#""stage":"ResponseStarted""#, "began to watch pod shop/cart");
    alice(
        "get",
        CART,
        r#""stage":"Panic","responseStatus":{"code":500}"#,
        "tried to read pod shop/cart, and the API server panicked (500)",
    );
}

#[test]
fn identities() {
    let get =
        |user: &str| format!(r#""verb":"get","objectRef":{{{CART}}},{OK},"user":{{"username":"{user}"}}"#);
    says(&get("system:serviceaccount:payments:api"), "service account payments/api read pod shop/cart");
    says(
        &get("system:serviceaccount:kube-system:job-controller"),
        "controller job-controller read pod shop/cart",
    );
    says(&get("system:node:n1"), "node n1 read pod shop/cart");
    says(&get("system:kube-scheduler"), "the kube-scheduler read pod shop/cart");
    says(&get("system:anonymous"), "an anonymous client read pod shop/cart");
    says(
        &format!(
            r#"{},"impersonatedUser":{{"username":"system:admin","groups":["system:masters","system:authenticated"]}}"#,
            get("alice")
        ),
        "alice acting as system:admin of system:masters read pod shop/cart",
    );
    says(
        r#""verb":"get","requestURI":"/api/v1/secrets?limit=1","objectRef":{"resource":"secrets","name":"x"},"stage":"ResponseStarted","responseStatus":{"code":401}"#,
        "someone without valid credentials tried to read secret x and was turned away as unauthenticated (401)",
    );
    says(
        &format!(r#""verb":"get","requestURI":"/metrics?x=1",{OK},"user":{{"username":"system:anonymous"}}"#),
        "an anonymous client requested `/metrics`",
    );
}

#[test]
fn the_binding_that_allowed_it() {
    let allowed = |reason: &str| {
        let reason = reason.replace('"', "\\\"");
        format!(
            r#""annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"{reason}"}}"#
        )
    };
    alice(
        "get",
        CART,
        &allowed(r#"RBAC: allowed by ClusterRoleBinding "ops" of ClusterRole "admin" to Group "dev""#),
        "read pod shop/cart; allowed by ClusterRoleBinding ops, which gives ClusterRole admin to Group dev",
    );
    alice(
        "get",
        CART,
        &allowed(r#"RBAC: allowed by RoleBinding "read/shop" of Role "reader" to ServiceAccount "api/pay""#),
        "read pod shop/cart; allowed by RoleBinding shop/read, which gives Role reader to ServiceAccount pay/api",
    );
    alice(
        "get",
        CART,
        &allowed("webhook said so"),
        r#"read pod shop/cart; allowed, the authorizer said, by "webhook said so""#,
    );
    says(
        &format!(
            r#""verb":"get","objectRef":{{{CART}}},{OK},"user":{{"username":"root","groups":["system:masters"]}},{}"#,
            allowed("")
        ),
        "root read pod shop/cart; allowed as a member of system:masters, whom no role limits",
    );
}

#[test]
fn hostile_text_cannot_pass_for_the_sentence() {
    let json = "{\"verb\":\"get\",\"user\":{\"username\":\"bob. On 2026-01-01, eve\\u001b[2J\\u202e\"},\"requestURI\":\"/a`b\"}";
    let said = explain(&Event::parse(json).unwrap());
    assert_eq!(
        said,
        r#"At an unrecorded time, "bob. On 2026-01-01, eve\u{1b}[2J\u{202e}" asked to request `/a\`b`; the outcome is not recorded."#
    );
    let long = format!(r#"{{"user":{{"username":"{}"}}}}"#, "a".repeat(5_000));
    assert!(explain(&Event::parse(&long).unwrap()).len() < 600);
}
