package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type child struct {
	name  string
	log   string
	run   *exec.Cmd
	ended chan struct{}
	how   error
}

func start(bin, name, dir string, args []string) (*child, error) {
	c := &child{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c.run = exec.Command(filepath.Join(bin, name), args...)
	c.run.Stdout, c.run.Stderr, c.run.Dir = log, log, dir
	// Its own group, so that Ctrl-C in a terminal reaches us alone and the order of stopping is kept; and it
	// does not outlive us, however we end.
	c.run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := c.run.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.how = c.run.Wait()
		close(c.ended)
	}()
	return c, nil
}

func (c *child) pid() int { return c.run.Process.Pid }

// stop asks, waits that long, then insists.
func (c *child) stop(patience time.Duration) {
	_ = c.run.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(patience):
		fmt.Fprintf(os.Stderr, "cluster: %s did not stop within %s and was killed\n", c.name, patience)
		_ = c.run.Process.Kill()
		<-c.ended
	}
}

// failure tells that a child ended by itself, with the last that it said.
func (c *child) failure() error {
	text, _ := os.ReadFile(c.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := lines[max(0, len(lines)-15):]
	return fmt.Errorf("%s ended by itself (%v); %s says:\n%s", c.name, c.how, c.log, strings.Join(last, "\n"))
}
