package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	auth "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// stage is what a scene plays on. Names carry the worker's number: workers do not meet, so that the mix of
// statuses is the same for every number of workers.
type stage struct {
	*cast
	ctx    context.Context
	cart   kubernetes.Interface
	worker int
	turn   int
}

func (s *stage) name(what string) string { return fmt.Sprintf("%s-%d-%d", what, s.worker, s.turn) }

// everyday plays scenes until enough was answered. That a request fails belongs to the scenes; that none is
// answered any more shows in the tally.
func everyday(ctx context.Context, all *cast, o options, t *tally) error {
	cart, err := signIn(ctx, all)
	if err != nil {
		return err
	}
	enough := o.total + t.count()
	weights := 0
	for _, s := range scenes {
		weights += s.weight
	}
	var wait sync.WaitGroup
	for worker := range o.workers {
		wait.Go(func() {
			dice := rand.New(rand.NewPCG(o.seed, uint64(worker)))
			for turn := 0; ctx.Err() == nil && t.count() < enough; turn++ {
				pick := dice.IntN(weights)
				for _, s := range scenes {
					if pick -= s.weight; pick < 0 {
						s.play(&stage{all, ctx, cart, worker, turn})
						break
					}
				}
			}
		})
	}
	wait.Wait()
	return nil
}

// signIn gets the token that a kubelet would get for a pod of this service account.
func signIn(ctx context.Context, all *cast) (kubernetes.Interface, error) {
	answer, err := all.CoreV1().ServiceAccounts(shop).CreateToken(ctx, "cart", &auth.TokenRequest{}, meta.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return all.withToken("cart", answer.Status.Token)
}
