use super::*;

fn values(field: &str, json: &str) -> String {
    let rule = rule_text("r", "ka.verb exists").replace("output: o", &format!("output: '%{field}'"));
    let (set, problems) = load(&[&rule]);
    assert!(problems.is_empty(), "{field}: {}", problems[0].message);
    set.rules[0].output.as_ref().unwrap().render(&Event::parse(json).unwrap())
}

fn check(field: &str, json: &str, want: &str) {
    assert_eq!(values(field, json), want, "{field}");
}

/// A field gives a rule the same values as it prints.
fn check_both(field: &str, json: &str, want: &str) {
    check(field, json, want);
    let rule = match want.strip_prefix('(').and_then(|w| w.strip_suffix(')')) {
        Some(list) => only_rule(&format!("join(\",\", {field}) = \"{}\"", list.replace('"', "\\\""))),
        None if want == "<NA>" => only_rule(&format!("not {field} exists")),
        None => only_rule(&format!("{field} = \"{}\"", want.replace('"', "\\\""))),
    };
    assert_eq!(verdict(&rule, json), Proven, "{field}");
}

#[test]
fn pod_fields() {
    let event = pod(r#""hostPID":true,"hostNetwork":false,
        "securityContext":{"runAsUser":7,"fsGroup":8,"supplementalGroups":[1,2]},
        "containers":[
          {"name":"a","image":"localhost:5000/x:1","command":["sh","-c"],"args":["id","-u"],"ports":[{"containerPort":80,"hostPort":8080},{"containerPort":443}],
           "securityContext":{"privileged":true,"runAsUser":0,"capabilities":{"add":["NET_ADMIN","SYS_TIME"]},"procMount":"Default"}},
          {"name":"b","image":"r.io/y@sha256:12:34","securityContext":{"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true}}],
        "initContainers":[{"name":"i","image":"z"},{"name":"j"}],
        "volumes":[{"name":"v","hostPath":{"path":"/etc/x"}},{"name":"w","emptyDir":{}},{"name":"u","flexVolume":{"driver":"d"},"hostPath":{"path":"/var"}}]"#);
    for (field, want) in [
        ("ka.req.pod.host_pid", "true"),
        ("ka.req.pod.host_network", "false"),
        ("ka.req.container.host_network", "false"),
        ("ka.req.pod.host_ipc", "<NA>"),
        ("ka.req.pod.run_as_user", "7"),
        ("ka.req.pod.run_as_group", "<NA>"),
        ("ka.req.pod.fs_group", "8"),
        ("ka.req.pod.supplemental_groups", "(1,2)"),
        ("ka.req.pod.containers.name", "(a,b)"),
        ("ka.req.pod.containers.image", "(localhost:5000/x:1,r.io/y@sha256:12:34)"),
        ("ka.req.pod.containers.image.repository", "(localhost,r.io/y)"),
        ("ka.req.pod.containers.image.repository[1]", "(r.io/y)"),
        ("ka.req.container.image", "localhost:5000/x:1"),
        ("ka.req.container.image.repository", "localhost"),
        ("ka.req.container.privileged", "true"),
        ("ka.req.pod.containers.command", "(sh -c)"),
        ("ka.req.pod.containers.args", "(id -u)"),
        ("ka.req.pod.containers.args[1]", "<NA>"),
        ("ka.req.pod.containers.host_port", "(8080,443)"),
        ("ka.req.pod.containers.privileged", "(true)"),
        ("ka.req.pod.containers.privileged[1]", "<NA>"),
        ("ka.req.pod.containers.allow_privilege_escalation", "(false)"),
        ("ka.req.pod.containers.read_only_fs", "(true)"),
        ("ka.req.pod.containers.run_as_user", "(0)"),
        ("ka.req.pod.containers.run_as_group", "<NA>"),
        ("ka.req.pod.containers.eff_run_as_user", "(0,0)"),
        ("ka.req.pod.containers.eff_run_as_group", "(0,0)"),
        ("ka.req.pod.containers.proc_mount", "(Default)"),
        ("ka.req.pod.containers.add_capabilities", r#"(["NET_ADMIN","SYS_TIME"])"#),
        // One init container has no image, so there are no images.
        ("ka.req.pod.initContainers.name", "(i,j)"),
        ("ka.req.pod.initContainers.image", "<NA>"),
        ("ka.req.pod.initContainers.image.repository", "<NA>"),
        ("ka.req.pod.initContainers.image[0]", "(z)"),
        ("ka.req.pod.ephemeralContainers.name", "<NA>"),
        ("ka.req.pod.volumes.hostpath", "(/etc/x,/var)"),
        ("ka.req.pod.volumes.hostpath[2]", "(/var)"),
        ("ka.req.pod.volumes.flexvolume_driver", "(d)"),
        ("ka.req.pod.volumes.volume_type", "(hostPath,emptyDir,flexVolume,hostPath)"),
        ("ka.req.volume.hostpath[/etc*]", "true"),
        ("ka.req.volume.hostpath[/etc]", "false"),
        ("ka.req.volume.hostpath[/var]", "true"),
        ("ka.resp.name", "cart-1"),
        ("ka.target.pod.name", "cart-1"),
        ("ka.req.binding.subject.has_name[x]", "true"),
    ] {
        check_both(field, &event, want);
    }
}

#[test]
fn role_binding_service_and_config_fields() {
    let with = |resource: &str, body: &str| {
        let full = pod("").replace(r#""resource":"pods""#, &format!(r#""resource":"{resource}","name":"n""#));
        full.replace(r#"{"kind":"Pod","spec":{}}"#, body)
    };
    let role = with(
        "roles",
        r#"{"rules":[{"verbs":["get","list"],"resources":["pods"],"apiGroups":[""]},{"verbs":["*"],"nonResourceURLs":["/x"]}]}"#,
    );
    let binding = with(
        "rolebindings",
        r#"{"roleRef":{"name":"admin"},"subjects":[{"kind":"User","name":"u"},{"kind":"Group","name":"g"},{"kind":"ServiceAccount","name":"s","namespace":"ns"},{"kind":"ServiceAccount","name":"t"}]}"#,
    );
    let service = with("services", r#"{"spec":{"type":"NodePort","ports":[{"port":80},{"port":443}]}}"#);
    let config = with("configmaps", r#"{"data":{"k":"a \"q\"","password":"x"}}"#);
    for (field, json, want) in [
        ("ka.req.role.rules.verbs", &role, "(get,list,*)"),
        ("ka.req.role.rules.verbs[1]", &role, "(*)"),
        ("ka.req.role.rules.resources", &role, "(pods)"),
        ("ka.req.role.rules.resources[1]", &role, "<NA>"),
        ("ka.req.role.rules.nonResourceURLs", &role, "(/x)"),
        ("ka.req.role.rules.apiGroups[0]", &role, "()"),
        ("ka.req.binding.role", &binding, "admin"),
        ("ka.req.binding.subjects.user_names", &binding, "(u)"),
        ("ka.req.binding.subjects.group_names", &binding, "(g)"),
        ("ka.req.binding.subjects.serviceaccount_names", &binding, "(s,t)"),
        ("ka.req.binding.subjects.serviceaccount_ns_names", &binding, "(ns:s)"),
        ("ka.req.binding.subjects.user_names", &service, "<NA>"),
        ("ka.target.pod.name", &service, "<NA>"),
        ("ka.req.service.type", &service, "NodePort"),
        ("ka.req.service.ports", &service, r#"([{"port":80},{"port":443}])"#),
        ("ka.req.configmap.name", &config, "n"),
    ] {
        check_both(field, json, want);
    }
    check(
        "ka.req.role.rules",
        &role,
        r#"({"verbs":["get","list"],"resources":["pods"],"apiGroups":[""]},{"verbs":["*"],"nonResourceURLs":["/x"]})"#,
    );
    check("ka.req.configmap.obj", &config, r#"{"k":"a \"q\"","password":"x"}"#);
    assert_eq!(
        verdict(
            &only_rule("ka.req.configmap.obj contains nothing or ka.req.configmap.obj contains password"),
            &config
        ),
        Proven
    );
}

#[test]
fn metadata_fields() {
    let event = pod("").replace(
        r#""annotations":{"#,
        r#""impersonatedUser":{"username":"root"},"annotations":{"authentication.openshift.io/decision":"allow","cluster_name":"c1",
        "validation.policy.admission.k8s.io/validation_failure":"[]","pod-security.kubernetes.io/audit-violations":"bad","#,
    ).replace("shop/pods\"", "shop/pods?command=sh&command=-c&x=1\"");
    for (field, want) in [
        ("ka.auditid", "a1"),
        ("ka.stage", "ResponseComplete"),
        ("ka.verb", "create"),
        ("ka.uri", "/api/v1/namespaces/shop/pods?command=sh&command=-c&x=1"),
        ("ka.uri.param[command]", "sh"),
        ("ka.uri.param[y]", "<NA>"),
        ("ka.useragent", "kubectl/v1.36.1"),
        ("ka.user.name", "carla"),
        ("ka.user.groups", "(devs,system:authenticated)"),
        ("ka.impuser.name", "root"),
        ("ka.auth.decision", "allow"),
        ("ka.auth.reason", "RBAC: ok"),
        ("ka.auth.openshift.decision", "allow"),
        ("ka.auth.openshift.username", "<NA>"),
        ("ka.validations.admission.policy.failure", "[]"),
        ("ka.security.pod.violations", "bad"),
        ("ka.cluster.name", "c1"),
        ("ka.target.name", "<NA>"),
        ("ka.target.namespace", "shop"),
        ("ka.target.resource", "pods"),
        ("ka.target.subresource", "<NA>"),
        ("ka.response.code", "201"),
        ("ka.response.reason", "<NA>"),
        ("jevt.value[/annotations/authorization.k8s.io~1decision]", "allow"),
        ("jevt.value[/annotations/cluster_name]", "c1"),
        ("jevt.value[/sourceIPs/1]", "10.0.0.4"),
        ("jevt.value[/sourceIPs/2]", "<NA>"),
        ("jevt.value[/user/groups]", r#"["devs","system:authenticated"]"#),
        ("json.value[kind]", "Event"),
        ("jevt.rawtime", "1772360430123456000"),
        ("evt.source", "k8s_audit"),
        ("evt.pluginname", "k8saudit"),
        ("evt.hostname", "<NA>"),
    ] {
        check_both(field, &event, want);
    }
}

#[test]
fn source_addresses_are_absent_as_in_falco() {
    assert_eq!(
        verdict(&only_rule("ka.sourceips exists or ka.sourceips intersects (10.0.0.4)"), &pod("")),
        Quiet
    );
    assert_eq!(verdict(&only_rule("not ka.sourceips exists"), &bare_pod()), Proven);
}

#[test]
fn equal_fields_become_registry_fields() {
    let filter = only_rule("ka.verb=a and jevt.value[/stage]=b and jevt.value[/objectRef/resource]=c and ka.req.pod.volumes.hostpath in (/etc) and jevt.value[/a.b/~0~1]=d").filter;
    let mut names = Vec::new();
    filter.each_field(&mut |f| names.push(f.name().to_owned()));
    assert_eq!(
        names,
        [
            "verb",
            "stage",
            "resource",
            "falco.ka.req.pod.volumes.hostpath",
            "falco.jevt.value//a~2eb/~7e0~7e1",
            "audit.id"
        ]
    );
    for name in names {
        assert_eq!(klio_model::FieldRef::parse(&name).unwrap().name(), name);
    }
}
