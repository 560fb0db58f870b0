package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

func etcdArguments(dir string, client, peer int) []string {
	clients, peers := loopback("http", client), loopback("http", peer)
	return []string{
		"--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", clients, "--advertise-client-urls", clients,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
		"--initial-cluster", "default=" + peers,
		// The data ends with the test; waiting for the disk would only slow down the others who use it.
		"--unsafe-no-fsync",
		"--log-level", "warn",
	}
}

func apiserverArguments(o options, f files, etcd, port int) []string {
	args := []string{
		"--etcd-servers=" + loopback("http", etcd),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		// Endpoints of the service "kubernetes" may not be on loopback, and nobody here connects to it.
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--cert-dir=" + o.dir,
		"--tls-cert-file=" + f.cert,
		"--tls-private-key-file=" + f.key,
		"--token-auth-file=" + f.users,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + f.accountPublic,
		"--service-account-signing-key-file=" + f.accountKey,
		"--authorization-mode=RBAC",
		"--anonymous-auth=true",
		// Without it a privileged pod is refused by validation before anything else looks at it.
		"--allow-privileged=true",
	}
	if o.policy != "" {
		args = append(args, "--audit-policy-file="+o.policy)
		if o.auditLog != "" {
			args = append(args,
				"--audit-log-path="+o.auditLog,
				"--audit-log-format=json",
				"--audit-log-maxsize="+strconv.Itoa(o.auditLogSize),
				"--audit-log-maxbackup="+strconv.Itoa(o.auditLogFiles))
		}
	}
	if o.webhook != "" {
		args = append(args, "--audit-webhook-config-file="+o.webhook)
	}
	return append(args, o.more...)
}

func loopback(scheme string, port int) string {
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
}

// freePorts holds all of them before it lets any go, so that they differ.
func freePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		held, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer held.Close()
		ports = append(ports, held.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
