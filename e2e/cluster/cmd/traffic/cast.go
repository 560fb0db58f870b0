package main

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"
)

// cast is everybody who sends requests, each with a client of their own.
type cast struct {
	kubernetes.Interface // admin
	alice, ci, eve       kubernetes.Interface
	anonymous            kubernetes.Interface
	withToken            func(name, token string) (kubernetes.Interface, error)
}

func newCast(kubeconfig string, t *tally, limit flowcontrol.RateLimiter) (*cast, error) {
	config := func(context, agent string) (*rest.Config, error) {
		c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
			&clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig},
			&clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
		if err != nil {
			return nil, err
		}
		c.RateLimiter, c.UserAgent = limit, agent
		c.Wrap(t.of(context))
		return c, nil
	}
	const kubectl = "kubectl/v1.36.4 (linux/amd64) kubernetes/0d1e2f3"
	var all cast
	for _, who := range []struct {
		name, agent string
		client      *kubernetes.Interface
	}{
		{"admin", kubectl, &all.Interface},
		{"alice", kubectl, &all.alice},
		{"ci-bot", "pipeline/2.14.0", &all.ci},
		{"eve", kubectl, &all.eve},
		{"anonymous", "curl/8.14.1", &all.anonymous},
	} {
		c, err := config(who.name, who.agent)
		if err != nil {
			return nil, err
		}
		if *who.client, err = kubernetes.NewForConfig(c); err != nil {
			return nil, err
		}
	}
	all.withToken = func(name, token string) (kubernetes.Interface, error) {
		c, err := config("anonymous", name)
		if err != nil {
			return nil, err
		}
		c.BearerToken, c.WrapTransport = token, t.of(name)
		return kubernetes.NewForConfig(c)
	}
	return &all, nil
}
