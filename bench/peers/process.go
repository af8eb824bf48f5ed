package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs, and what it took so far.
type process struct {
	cmd    *exec.Cmd
	began  time.Time
	output bytes.Buffer  // of both streams, but for the first line that start waited for
	exited chan struct{} // closed once it has ended, and err is set
	err    error
	peak   int64 // resident bytes; of its own address space, and not of the one that it was forked from
	cpu    time.Duration
}

// start starts the program. The system's own settings for S3 clients are kept from it.
func start(ctx context.Context, c client, args, env []string) (p *process, stdout *bufio.Reader, err error) {
	p = &process{cmd: exec.CommandContext(ctx, c.binary, args...), exited: make(chan struct{})}
	p.cmd.Env = append(ownEnv(), env...)
	p.cmd.Stderr = &p.output
	pipe, writer, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p.cmd.Stdout = writer
	p.began = time.Now()
	err = p.cmd.Start()
	writer.Close()
	if err != nil {
		pipe.Close()
		return nil, nil, err
	}
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
		p.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	}()
	return p, bufio.NewReader(pipe), nil
}

// ownEnv is the environment without what would change how a client finds its server, or how much memory it takes.
func ownEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(setting string) bool {
		for _, prefix := range []string{"AWS_", "S3_", "MC_", "RCLONE_", "CODESTORYD_", "GO", "HTTP", "http"} {
			if strings.HasPrefix(setting, prefix) {
				return true
			}
		}
		return false
	})
}

// finish waits for the program to end by itself, and looks at its memory meanwhile.
func (p *process) finish(stdout io.Reader) error {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, stdout)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.exited:
			<-drained
			return p.err
		case <-tick.C:
			p.look()
		}
	}
}

// look notes how much memory was resident at most, and the time on the processors. A program that has just ended keeps
// what was seen last.
func (p *process) look() {
	if usage, err := usageOf(p.cmd.Process.Pid); err == nil {
		p.peak, p.cpu = max(p.peak, usage.peak), usage.cpu
	}
}

// stop ends the program, and waits for it.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return errors.New("it did not end when it was told to")
	}
	return nil
}

// fault is err with what the program had to say.
func (p *process) fault(err error) error {
	said := p.output.Bytes()
	if len(said) > 2000 {
		said = said[len(said)-2000:]
	}
	return fmt.Errorf("%s: %w\n%s", p.cmd, err, said)
}
