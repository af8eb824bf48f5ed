package queuetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/codestory/codestoryd/queue"
)

const (
	envMode = "CODESTORYD_QUEUETEST_MODE"
	envPath = "CODESTORYD_QUEUETEST_DB"

	modeWrite = "write"
	modeAsk   = "ask"
	modeHold  = "hold"
)

// Main makes the test binary one that other processes can be made of. Call it first in TestMain; in such a process it
// does not return. compact compacts a database whether that pays or not.
func Main(compact func(*queue.Queue) error) {
	path := os.Getenv(envPath)
	var err error
	switch os.Getenv(envMode) {
	case "":
		return
	case modeWrite:
		err = write(path, compact)
	case modeAsk:
		err = ask(path)
	case modeHold:
		err = hold(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is this test binary in another mode. It is killed, and has ended, when the test has.
type process struct {
	*exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func start(t testing.TB, mode, path string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self)}
	p.Env = append(os.Environ(), envMode+"="+mode, envPath+"="+path)
	p.Stderr = os.Stderr
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Hold lets another process have the database open until release is called, or the test ends, and returns its pid.
func Hold(t testing.TB, path string) (pid int, release func()) {
	t.Helper()
	p := start(t, modeHold, path)
	release = sync.OnceFunc(func() {
		_ = p.stdin.Close()
		_ = p.Wait()
	})
	t.Cleanup(release)
	if !p.lines.Scan() {
		t.Fatalf("the other process opened nothing: %v", p.lines.Err())
	}
	return p.Process.Pid, release
}

// hold has the database open until standard input ends.
func hold(path string) error {
	q, err := queue.Open(path, "a", queue.Options{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return q.Close()
}
