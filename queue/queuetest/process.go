package queuetest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

const (
	envMode = "CODESTORYD_QUEUETEST_MODE"
	envPath = "CODESTORYD_QUEUETEST_DB"

	modeWrite = "write"
	modeAsk   = "ask"
)

// Main makes the test binary one that other processes can be made of. Call it first in TestMain; in such a process it
// does not return.
func Main() {
	path := os.Getenv(envPath)
	var err error
	switch os.Getenv(envMode) {
	case "":
		return
	case modeWrite:
		err = write(path)
	case modeAsk:
		err = ask(path)
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
