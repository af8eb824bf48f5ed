package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// program is what the commands share.
type program struct {
	soft, hard     context.Context // ended by the first signal, and by the second
	getenv         func(string) string
	stdout, stderr io.Writer

	flags flagValues
	began bool // the command line was understood: what fails now is no wrong usage
}

const help = `codestoryd runs beside the audio generator. It watches the output directory, makes every finished file durable
in a queue, uploads it to S3, MinIO, a folder or any rclone remote, and serves links that play to this machine.

Settings come from flags, then the environment, then the config file: see "codestoryd config".

Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 the daemon is not running.`

// command is the command tree.
func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:                "codestoryd",
		Short:              "Stores an audio generator's output, and plays it",
		Long:               help,
		SilenceUsage:       true,
		SilenceErrors:      true,
		DisableSuggestions: true,
		PersistentPreRun:   func(*cobra.Command, []string) { p.began = true },
	}
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
	return root
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

// version is that of the module, as the go command has recorded it in the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
