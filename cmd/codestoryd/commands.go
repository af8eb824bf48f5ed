package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/codestory/codestoryd/queue"
)

// program is what the commands share.
type program struct {
	soft, hard     context.Context // ended by the first signal, and by the second
	getenv         func(string) string
	stdout, stderr io.Writer

	flags flagValues
	began bool // the command line was understood: later errors are not wrong usage
}

const help = `codestoryd runs beside an audio generator. It watches the output directory, queues every finished file, uploads it to
S3, MinIO, a folder or any rclone remote, and serves links that play.

Settings come from flags, then the environment, then the config file: see "codestoryd config".

Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 the daemon is not running.`

// command is the command tree.
func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:              "codestoryd",
		Short:            "Stores an audio generator's output, and plays it",
		Long:             help,
		SilenceUsage:     true,
		SilenceErrors:    true,
		PersistentPreRun: func(*cobra.Command, []string) { p.began = true },
	}
	root.SetFlagErrorFunc(suggestFlag)
	p.flags.register(root.PersistentFlags())
	root.AddCommand(
		p.runCommand(),
		p.statusCommand(),
		p.queueCommand(),
		p.linkCommand(),
		p.tokenCommand(),
		p.configCommand(),
		p.versionCommand(),
		p.checkCommand(),
	)
	refuseUnknown(root)
	return root
}

// refuseUnknown makes unknown shells and help topics wrong usage. Cobra prints its help for them and exits 0.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = func(*cobra.Command, []string) error { return usagef("use completion bash, zsh, fish or powershell") }
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return err
			}
		}
	}
}

// suggestFlag names the flag that is spelled most like an unknown one.
func suggestFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedShortnames()) > 0 {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	suggestion := didYouMean(unknown.GetSpecifiedName(), known)
	if suggestion == "" {
		return err
	}
	return fmt.Errorf("%w%s", err, strings.Replace(suggestion, "mean ", "mean --", 1))
}

// didYouMean suggests the known name that is spelled most like name; it returns "" if none is.
func didYouMean(name string, known []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// distance is the Levenshtein distance in bytes, with _ the same as -.
func distance(a, b string) int {
	a, b = strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-")
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "codestoryd %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// version is the version of the module that the go command recorded in the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// checkCommandName is the command by which the daemon checks a database in another process: see queue/db.
const checkCommandName = "check-db"

func (p *program) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:    checkCommandName + " FILE",
		Short:  "Check a database that no process has open",
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

// exitError is the exit code of a command that has printed its own error.
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

// self is the path of this program; on Linux it works also after an upgrade replaced the file.
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
