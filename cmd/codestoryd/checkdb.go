package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd/queue"
)

// checkCommandName is the command that the daemon runs in a process of its own to check a database: see queue/db.
const checkCommandName = "check-db"

func (p *program) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:    checkCommandName + " FILE",
		Short:  "Check a database that nobody has open",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if code := queue.CheckMain(args[0], os.Stdin, p.stderr); code != exitDone {
				return exitError(code)
			}
			return nil
		},
	}
}

// exitError is an exit code of a command that has said itself what is wrong.
type exitError int

func (e exitError) Error() string { return "it failed" }

// checker checks databases with this program, until ctx ends.
func checker(ctx context.Context) func(ctx context.Context, path string) error {
	check := queue.CheckWith(func(ctx context.Context, path string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self(), checkCommandName, path)
		cmd.Args[0] = os.Args[0]
		return cmd
	})
	return func(checking context.Context, path string) error {
		checking, cancel := context.WithCancel(checking)
		defer context.AfterFunc(ctx, cancel)()
		defer cancel()
		return check(checking, path)
	}
}

// self is the file of this program; on Linux also after an upgrade has replaced it.
func self() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
