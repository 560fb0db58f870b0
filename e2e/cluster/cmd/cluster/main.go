// Command cluster runs a real Kubernetes API server and its etcd on loopback, as a child process of a test:
// one JSON line on stdout when it is ready, nothing left behind when it ends. There is no kubelet, scheduler
// or controller: what the tests want is what an API server writes about the requests it gets.
//
// Arguments after "--" go to kube-apiserver as they are.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Ready is the line on stdout.
type Ready struct {
	Server     string            `json:"server"`
	Version    string            `json:"version"`
	CA         string            `json:"ca"`
	Kubeconfig string            `json:"kubeconfig"`
	AuditLog   string            `json:"audit_log,omitempty"`
	Logs       map[string]string `json:"logs"`
	Pids       map[string]int    `json:"pids"`
	Tokens     map[string]string `json:"tokens"`
}

type options struct {
	dir, bin      string
	policy        string
	auditLog      string
	auditLogSize  int
	auditLogFiles int
	webhook       string
	patience      time.Duration
	stdin         bool
	more          []string
}

// besideOthers stands for audit.log in -dir; empty means no log.
const besideOthers = "DIR/audit.log"

func main() {
	// A child is killed when the *thread* that started it ends (prctl(2), PR_SET_PDEATHSIG): keep that thread.
	runtime.LockOSThread()
	if err := run(read()); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func read() options {
	var o options
	beside := "."
	if exe, err := os.Executable(); err == nil {
		beside = filepath.Dir(exe)
	}
	flag.StringVar(&o.dir, "dir", "", "folder for keys, data, logs and the kubeconfig; made when missing (required)")
	flag.StringVar(&o.bin, "bin", beside, "folder of the programs etcd and kube-apiserver")
	flag.StringVar(&o.policy, "audit-policy", "", "audit policy; without one nothing is audited")
	flag.StringVar(&o.auditLog, "audit-log", besideOthers, "audit log file, empty for none")
	flag.IntVar(&o.auditLogSize, "audit-log-maxsize", 100, "megabytes after which the audit log is rotated")
	flag.IntVar(&o.auditLogFiles, "audit-log-maxbackup", 0, "rotated audit logs that are kept, 0 for all")
	flag.StringVar(&o.webhook, "audit-webhook-config", "", "kubeconfig of the audit webhook, empty for none")
	flag.DurationVar(&o.patience, "timeout", 2*time.Minute, "how long the cluster may take to become ready")
	flag.BoolVar(&o.stdin, "stdin", false, "stop when stdin ends too: a test that dies takes its cluster with it")
	flag.Parse()
	o.more = flag.Args()
	return o
}

func run(o options) error {
	if o.dir == "" {
		return fmt.Errorf("-dir is missing")
	}
	if o.auditLog == besideOthers {
		o.auditLog = filepath.Join(o.dir, "audit.log")
	}
	// The children work in that folder, the caller does not: a relative path means the caller's.
	for _, path := range []*string{&o.dir, &o.bin, &o.policy, &o.auditLog, &o.webhook} {
		if *path == "" {
			continue
		}
		full, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = full
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	files, err := write(o.dir, ports[2])
	if err != nil {
		return err
	}

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if o.stdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}

	etcd, err := start(o.bin, "etcd", o.dir, etcdArguments(o.dir, ports[0], ports[1]))
	if err != nil {
		return err
	}
	defer etcd.stop(2 * time.Second)
	apiserver, err := start(o.bin, "kube-apiserver", o.dir, apiserverArguments(o, files, ports[0], ports[2]))
	if err != nil {
		return err
	}
	// It hands over the audit events that it still holds before it ends; etcd must live that long.
	defer apiserver.stop(7 * time.Second)

	waiting, done := context.WithTimeout(stop, o.patience)
	defer done()
	version, err := awaitReady(waiting, files, etcd, apiserver)
	if err != nil {
		if stop.Err() != nil {
			return nil
		}
		return err
	}
	line := Ready{
		Server: files.server, Version: version, CA: files.ca, Kubeconfig: files.kubeconfig,
		Logs:   map[string]string{"etcd": etcd.log, "kube-apiserver": apiserver.log},
		Pids:   map[string]int{"etcd": etcd.pid(), "kube-apiserver": apiserver.pid()},
		Tokens: files.tokens,
	}
	if o.policy != "" {
		line.AuditLog = o.auditLog
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		return err
	}

	select {
	case <-stop.Done():
		return nil
	case <-etcd.ended:
		return etcd.failure()
	case <-apiserver.ended:
		return apiserver.failure()
	}
}
