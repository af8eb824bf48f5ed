// Command codestoryd makes the files of an audio generator durable in an object store, and plays them meanwhile.
//
// This package is the command tree, the configuration and the wiring. What the daemon does is in the packages beside
// it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/codestory/codestoryd/api/client"
)

// The exit codes, which scripts rely on.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotRunning = 3
)

func main() {
	soft, hard, release := signals(context.Background())
	p := &program{soft: soft, hard: hard, getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr}
	code := p.run(os.Args[1:])
	release()
	os.Exit(code)
}

const (
	// patience is how long after the first signal the second one is taken for given.
	patience = 12 * time.Second
	// lastWord is how long after that the program has to end by itself.
	lastWord = 2 * time.Second
)

// signals returns a context that ends with the first SIGINT or SIGTERM, and one that ends with the second. Where not
// even that ends the program, as when a disk does not answer, it exits: nothing is lost.
func signals(parent context.Context) (soft, hard context.Context, release func()) {
	hard, cut := context.WithCancel(parent)
	soft, stop := context.WithCancel(hard)
	received := make(chan os.Signal, 2)
	done := make(chan struct{})
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-received:
		case <-done:
			return
		}
		stop()
		select {
		case <-received:
		case <-time.After(patience):
		case <-done:
			return
		}
		cut()
		select {
		case <-time.After(lastWord):
			os.Exit(exitDone)
		case <-done:
		}
	}()
	return soft, hard, func() {
		signal.Stop(received)
		close(done)
		cut()
	}
}

// run runs one command line and returns its exit code. What went wrong is one line on stderr.
func (p *program) run(args []string) int {
	root := p.command()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(p.soft)
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[exitError](err); ok {
		return int(code)
	}
	fmt.Fprintln(p.stderr, "codestoryd: "+visible(oneLine(err.Error())))
	switch {
	case errors.Is(err, errNotRunning), errors.Is(err, client.ErrNotRunning):
		return exitNotRunning
	case !p.began, isUsage(err):
		return exitUsage
	default:
		return exitFailed
	}
}

// errNotRunning: a command needs the daemon.
var errNotRunning = errors.New("the daemon is not running; start it with: codestoryd run")

// usageError is a wrong command line or configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func isUsage(err error) bool {
	_, ok := errors.AsType[*usageError](err)
	return ok
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
