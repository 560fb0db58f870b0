package main

import (
	"context"

	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const shop = "shop"

// prepare gives everybody a place and rights, as admin. It may be repeated: what is there stays.
//
// The roles are our own because the built-in edit and view are put together by a controller that is not here,
// and so are the service accounts named default, without which no pod is admitted.
func prepare(ctx context.Context, all *cast) error {
	var failed error
	try := func(err error) {
		if err != nil && !errors.IsAlreadyExists(err) && failed == nil {
			failed = err
		}
	}
	how := meta.CreateOptions{}
	_, err := all.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: named(shop)}, how)
	try(err)
	for _, account := range []struct{ namespace, name string }{
		{shop, "default"}, {shop, "cart"}, {"kube-system", "deployer"},
	} {
		_, err = all.CoreV1().ServiceAccounts(account.namespace).Create(ctx, &core.ServiceAccount{ObjectMeta: named(account.name)}, how)
		try(err)
	}

	const group, user = rbac.GroupKind, rbac.UserKind
	inShop := []struct {
		role  string
		who   rbac.Subject
		rules []rbac.PolicyRule
	}{
		{"developer", rbac.Subject{Kind: group, Name: "dev"}, []rbac.PolicyRule{
			may("*", "", "configmaps", "pods", "pods/log", "services", "events"), may("*", "apps", "deployments"),
		}},
		{"pipeline", rbac.Subject{Kind: user, Name: "ci-bot"}, []rbac.PolicyRule{
			may("*", "", "configmaps", "secrets", "services"), may("*", "apps", "deployments"), may("get", "", "pods"),
		}},
		{"cart", rbac.Subject{Kind: rbac.ServiceAccountKind, Name: "cart", Namespace: shop}, []rbac.PolicyRule{
			may("*", "coordination.k8s.io", "leases"), may("get", "", "configmaps"), may("create", "", "events"),
		}},
	}
	for _, grant := range inShop {
		_, err = all.RbacV1().Roles(shop).Create(ctx, &rbac.Role{ObjectMeta: named(grant.role), Rules: grant.rules}, how)
		try(err)
		_, err = all.RbacV1().RoleBindings(shop).Create(ctx, &rbac.RoleBinding{
			ObjectMeta: named(grant.role), Subjects: []rbac.Subject{subject(grant.who)},
			RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: grant.role},
		}, how)
		try(err)
	}

	// The two mistakes on which the intrusion lives: a contractor who may do too much, and a service account
	// that may do everything.
	_, err = all.RbacV1().ClusterRoles().Create(ctx, &rbac.ClusterRole{ObjectMeta: named("contractor"), Rules: []rbac.PolicyRule{
		may("get", "", "secrets", "pods", "pods/exec", "serviceaccounts"), may("list", "", "secrets", "pods", "serviceaccounts"),
		may("create", "", "pods", "pods/exec", "serviceaccounts/token"), may("delete", "", "pods"),
	}}, how)
	try(err)
	for _, grant := range []struct {
		role string
		who  rbac.Subject
	}{
		{"contractor", rbac.Subject{Kind: group, Name: "contractors"}},
		{"cluster-admin", rbac.Subject{Kind: rbac.ServiceAccountKind, Name: "deployer", Namespace: "kube-system"}},
	} {
		_, err = all.RbacV1().ClusterRoleBindings().Create(ctx, &rbac.ClusterRoleBinding{
			ObjectMeta: named("e2e-" + grant.role), Subjects: []rbac.Subject{subject(grant.who)},
			RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: grant.role},
		}, how)
		try(err)
	}
	return failed
}

func named(name string) meta.ObjectMeta { return meta.ObjectMeta{Name: name} }

func may(verb, group string, resources ...string) rbac.PolicyRule {
	return rbac.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: resources}
}

func subject(who rbac.Subject) rbac.Subject {
	if who.Kind != rbac.ServiceAccountKind {
		who.APIGroup = rbac.GroupName
	}
	return who
}
