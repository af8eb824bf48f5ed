package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// process is a program that runs until it is stopped; what it says is in the file "log" of its folder.
type process struct{ cmd *exec.Cmd }

// start starts a program with a home folder of its own and the settings in env added to the environment.
func start(ctx context.Context, dir string, env []string, name string, args ...string) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(append(os.Environ(), "HOME="+dir), env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	return &process{cmd}, cmd.Start()
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // killed
}
