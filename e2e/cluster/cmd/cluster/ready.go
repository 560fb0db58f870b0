package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// awaitReady asks /readyz until it says yes and returns the server's version. The requests are audited like
// any other: a test that counts should expect a few from admin with the agent "e2e-cluster".
func awaitReady(ctx context.Context, f files, children ...*child) (string, error) {
	authority, err := os.ReadFile(f.ca)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	defer client.CloseIdleConnections()
	last := "no answer"
	for {
		status, body, err := get(ctx, client, f, "/readyz")
		switch {
		case err != nil:
			last = err.Error()
		case status == http.StatusOK:
			return version(ctx, client, f)
		default:
			last = body
		}
		for _, c := range children {
			select {
			case <-c.ended:
				return "", c.failure()
			default:
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("not ready: %s", last)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func version(ctx context.Context, client *http.Client, f files) (string, error) {
	_, body, err := get(ctx, client, f, "/version")
	if err != nil {
		return "", err
	}
	var said struct {
		GitVersion string `json:"gitVersion"`
	}
	err = json.Unmarshal([]byte(body), &said)
	return said.GitVersion, err
}

func get(ctx context.Context, client *http.Client, f files, path string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server+path, nil)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+f.tokens["admin"])
	request.Header.Set("User-Agent", "e2e-cluster")
	answer, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}
