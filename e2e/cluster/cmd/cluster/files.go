package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// Who may sign in. Only admin may do anything by itself; the others get their rights from RBAC objects that
// a test (or the traffic program) creates.
var people = []struct{ name, groups string }{
	{"admin", "system:masters"},
	{"alice", "dev"},
	{"ci-bot", "ci"},
	{"eve", "contractors"},
}

type files struct {
	server                    string
	ca, cert, key             string
	accountKey, accountPublic string
	users                     string
	kubeconfig                string
	tokens                    map[string]string
}

func write(dir string, port int) (files, error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	f := files{
		server: loopback("https", port),
		ca:     in("ca.crt"), cert: in("server.crt"), key: in("server.key"),
		accountKey: in("serviceaccount.key"), accountPublic: in("serviceaccount.pub"),
		users: in("users.csv"), kubeconfig: in("kubeconfig"),
		tokens: map[string]string{},
	}
	if err := writeKeys(f); err != nil {
		return f, err
	}
	var csv strings.Builder
	for _, who := range people {
		secret := make([]byte, 16)
		if _, err := rand.Read(secret); err != nil {
			return f, err
		}
		f.tokens[who.name] = hex.EncodeToString(secret)
		csv.WriteString(f.tokens[who.name] + "," + who.name + ",uid-" + who.name + ",\"" + who.groups + "\"\n")
	}
	if err := os.WriteFile(f.users, []byte(csv.String()), 0o600); err != nil {
		return f, err
	}
	return f, writeKubeconfig(f)
}

type object = map[string]any

// One context for everybody, named like the user; admin's is the current one.
func writeKubeconfig(f files) error {
	users := []object{{"name": "anonymous", "user": object{}}}
	contexts := []object{contextOf("anonymous")}
	for _, who := range people {
		users = append(users, object{"name": who.name, "user": object{"token": f.tokens[who.name]}})
		contexts = append(contexts, contextOf(who.name))
	}
	cluster := object{"server": f.server, "certificate-authority": f.ca}
	config := object{
		"apiVersion": "v1", "kind": "Config", "current-context": "admin",
		"clusters": []object{{"name": "e2e", "cluster": cluster}},
		"users":    users, "contexts": contexts,
	}
	text, err := json.MarshalIndent(config, "", "  ") // JSON is YAML
	if err != nil {
		return err
	}
	return os.WriteFile(f.kubeconfig, text, 0o600)
}

func contextOf(name string) object {
	return object{"name": name, "context": object{"cluster": "e2e", "user": name}}
}
