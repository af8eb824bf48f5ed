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

// signals returns a context that ends with the first SIGINT or SIGTERM, and one that ends with the second.
func signals(parent context.Context) (soft, hard context.Context, release func()) {
	hard, cut := context.WithCancel(parent)
	soft, stop := context.WithCancel(hard)
	received := make(chan os.Signal, 2)
	signal.Notify(received, os.Interrupt, syscall.SIGTERM)
	go func() {
		for _, end := range []context.CancelFunc{stop, cut} {
			if _, ok := <-received; !ok {
				return
			}
			end()
		}
	}()
	return soft, hard, func() {
		signal.Stop(received)
		close(received)
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
	fmt.Fprintln(p.stderr, "codestoryd: "+oneLine(err.Error()))
	switch {
	case errors.Is(err, errNotRunning):
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
