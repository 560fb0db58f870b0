package main

import (
	"fmt"

	apps "k8s.io/api/apps/v1"
	authorization "k8s.io/api/authorization/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What happens on an ordinary day, and how often compared with the rest. Leases are most of any real audit log.
var scenes = []struct {
	weight int
	play   func(*stage)
}{
	{30, renewLease},
	{20, look},
	{15, editConfig},
	{10, tryPod},
	{10, release},
	{8, rotateSecret},
	{5, askWhatIsAllowed},
	{2, stray},
}

var (
	getting  = meta.GetOptions{}
	creating = meta.CreateOptions{}
	updating = meta.UpdateOptions{}
	patching = meta.PatchOptions{}
	page     = meta.ListOptions{Limit: 50}
)

// renewLease is the leader election of an application.
func renewLease(s *stage) {
	leases := s.cart.CoordinationV1().Leases(shop)
	name := fmt.Sprintf("cart-leader-%d", s.worker)
	lease, err := leases.Get(s.ctx, name, getting)
	if err != nil {
		_, _ = leases.Create(s.ctx, &coordination.Lease{ObjectMeta: named(name)}, creating)
		return
	}
	now := meta.NowMicro()
	lease.Spec.RenewTime = &now
	_, _ = leases.Update(s.ctx, lease, updating)
}

// look is a developer with a dashboard open.
func look(s *stage) {
	_, _ = s.alice.AppsV1().Deployments(shop).List(s.ctx, page)
	_, _ = s.alice.CoreV1().Pods(shop).List(s.ctx, page)
	_, _ = s.alice.CoreV1().Events(shop).List(s.ctx, page)
}

func editConfig(s *stage) {
	maps, name := s.alice.CoreV1().ConfigMaps(shop), s.name("settings")
	_, _ = maps.Create(s.ctx, &core.ConfigMap{ObjectMeta: named(name), Data: map[string]string{"currency": "EUR"}}, creating)
	_, _ = s.cart.CoreV1().ConfigMaps(shop).Get(s.ctx, name, getting)
	_, _ = maps.Patch(s.ctx, name, types.MergePatchType, []byte(`{"data":{"currency":"CHF"}}`), patching)
	_, _ = maps.List(s.ctx, page)
	_ = maps.Delete(s.ctx, name, meta.DeleteOptions{})
}

func tryPod(s *stage) {
	pods, name := s.alice.CoreV1().Pods(shop), s.name("trial")
	_, _ = pods.Create(s.ctx, &core.Pod{ObjectMeta: named(name), Spec: podSpec("registry.example/shop/cart:1.8")}, creating)
	_, _ = pods.Get(s.ctx, name, getting)
	_, _ = pods.Patch(s.ctx, name, types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"try":"2"}}}`), patching)
	_, _ = s.cart.CoreV1().Events(shop).Create(s.ctx, &core.Event{
		ObjectMeta: named(name), Reason: "Unschedulable", Type: core.EventTypeWarning, Message: "no node",
		InvolvedObject: core.ObjectReference{Kind: "Pod", Namespace: shop, Name: name},
	}, creating)
	_ = pods.Delete(s.ctx, name, meta.DeleteOptions{})
}

// release is a pipeline that brings out a version, looks whether it runs, and cleans up.
func release(s *stage) {
	deployments, name := s.ci.AppsV1().Deployments(shop), s.name("cart")
	labels := map[string]string{"app": name}
	_, _ = deployments.Create(s.ctx, &apps.Deployment{
		ObjectMeta: named(name),
		Spec: apps.DeploymentSpec{
			Selector: &meta.LabelSelector{MatchLabels: labels},
			Template: core.PodTemplateSpec{
				ObjectMeta: meta.ObjectMeta{Labels: labels},
				Spec:       podSpec("registry.example/shop/cart:1.8"),
			},
		},
	}, creating)
	_, _ = deployments.Patch(s.ctx, name, types.StrategicMergePatchType, []byte(`{"spec":{"replicas":3}}`), patching)
	_, _ = deployments.Get(s.ctx, name, getting)
	_, _ = deployments.Get(s.ctx, name, getting)
	_ = deployments.Delete(s.ctx, name, meta.DeleteOptions{})
}

func rotateSecret(s *stage) {
	secrets, name := s.ci.CoreV1().Secrets(shop), s.name("cart-db")
	_, _ = secrets.Create(s.ctx, &core.Secret{ObjectMeta: named(name), StringData: map[string]string{"password": name}}, creating)
	_, _ = secrets.Patch(s.ctx, name, types.MergePatchType, []byte(`{"stringData":{"password":"next"}}`), patching)
	_, _ = secrets.Get(s.ctx, name, getting)
	_ = secrets.Delete(s.ctx, name, meta.DeleteOptions{})
}

func askWhatIsAllowed(s *stage) {
	what := &authorization.ResourceAttributes{Namespace: shop, Verb: "delete", Group: "apps", Resource: "deployments"}
	_, _ = s.alice.AuthorizationV1().SelfSubjectAccessReviews().Create(s.ctx, &authorization.SelfSubjectAccessReview{
		Spec: authorization.SelfSubjectAccessReviewSpec{ResourceAttributes: what},
	}, creating)
	_, _ = s.AuthorizationV1().SubjectAccessReviews().Create(s.ctx, &authorization.SubjectAccessReview{
		Spec: authorization.SubjectAccessReviewSpec{ResourceAttributes: what, User: "alice", Groups: []string{"dev"}},
	}, creating)
}

// stray is what goes wrong every day without meaning anything.
func stray(s *stage) {
	_, _ = s.alice.CoreV1().ConfigMaps(shop).Get(s.ctx, "setings", getting) // 404
	_, _ = s.alice.CoreV1().Nodes().List(s.ctx, page)                       // 403
	_, _ = s.alice.CoreV1().ConfigMaps(shop).Create(s.ctx, &core.ConfigMap{ObjectMeta: named("Not_A_Name")}, creating)
}

func podSpec(image string) core.PodSpec {
	return core.PodSpec{Containers: []core.Container{{Name: "main", Image: image}}}
}
