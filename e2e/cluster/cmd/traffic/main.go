// Command traffic makes requests at an API server as several people and one service account: ordinary ones,
// or with -attack the chain of one intruder. On stdout it prints one JSON object that says what it sent, so
// that a test can compare it with what was audited.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/util/flowcontrol"
)

type options struct {
	kubeconfig string
	total      int
	rate       float64
	workers    int
	seed       uint64
	answers    string
	attack     bool
	setupOnly  bool
}

func main() {
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig with contexts admin, alice, ci-bot, eve and anonymous (required)")
	flag.IntVar(&o.total, "total", 1000, "stop after about so many ordinary requests: scenes are played to their end")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second over all workers, 0 for as fast as possible")
	flag.IntVar(&o.workers, "workers", 8, "how many work at the same time")
	flag.Uint64Var(&o.seed, "seed", 1, "what the choice of scenes begins with")
	flag.StringVar(&o.answers, "answers", "", "file for one line per answer: audit id, status, user, method, path")
	flag.BoolVar(&o.attack, "attack", false, "instead of ordinary requests, one intrusion by eve, step by step")
	flag.BoolVar(&o.setupOnly, "setup-only", false, "only create the namespaces, roles and bindings that everything else needs")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	tally, err := newTally(o.answers)
	if err != nil {
		return err
	}
	limit := flowcontrol.NewFakeAlwaysRateLimiter()
	if o.rate > 0 {
		limit = flowcontrol.NewTokenBucketRateLimiter(float32(o.rate), max(1, int(o.rate/10)))
	}
	cast, err := newCast(o.kubeconfig, tally, limit)
	if err != nil {
		return err
	}
	if err := prepare(ctx, cast); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}

	begin := time.Now()
	report := map[string]any{"setup_requests": tally.count()}
	var failed error
	switch {
	case o.setupOnly:
	case o.attack:
		report["steps"], failed = attack(ctx, cast, tally)
	default:
		failed = everyday(ctx, cast, o, tally)
	}
	took := time.Since(begin)
	if err := tally.close(); err != nil {
		return err
	}
	report["requests"] = tally.count()
	report["seconds"] = took.Seconds()
	report["status"] = tally.byStatus
	report["user"] = tally.byUser
	return errors.Join(failed, json.NewEncoder(os.Stdout).Encode(report))
}
