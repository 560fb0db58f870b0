package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// tally counts answers, not calls: a request that the client library repeats is audited twice and counts twice.
type tally struct {
	lock     sync.Mutex
	byStatus map[string]int
	byUser   map[string]int
	last     map[string]answer
	total    int
	file     *os.File
	lines    *bufio.Writer
}

type answer struct {
	status  int
	auditID string
}

func newTally(path string) (*tally, error) {
	t := &tally{byStatus: map[string]int{}, byUser: map[string]int{}, last: map[string]answer{}}
	if path == "" {
		return t, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	t.file, t.lines = file, bufio.NewWriter(file)
	return t, nil
}

func (t *tally) count() int {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.total
}

// lastOf is what that user was answered last.
func (t *tally) lastOf(user string) answer {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.last[user]
}

func (t *tally) close() error {
	if t.file == nil {
		return nil
	}
	if err := t.lines.Flush(); err != nil {
		return err
	}
	return t.file.Close()
}

// of wraps the transport of one user.
func (t *tally) of(user string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return &counted{next, t, user} }
}

type counted struct {
	next http.RoundTripper
	t    *tally
	user string
}

func (c *counted) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(request)
	c.t.lock.Lock()
	defer c.t.lock.Unlock()
	c.t.total++
	c.t.byUser[c.user]++
	if err != nil {
		c.t.byStatus["no answer"]++
		c.t.last[c.user] = answer{}
		return response, err
	}
	code, id := response.StatusCode, response.Header.Get("Audit-Id")
	c.t.byStatus[strconv.Itoa(code)]++
	c.t.last[c.user] = answer{code, id}
	if c.t.lines != nil {
		fmt.Fprintln(c.t.lines, id, code, c.user, request.Method, request.URL.RequestURI())
	}
	return response, nil
}
