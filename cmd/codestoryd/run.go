package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/daemon"
	"github.com/codestory/codestoryd/daemon/access"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/internal/problem"
)

func (p *program) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon, in the foreground",
		Long: `Run the daemon in the foreground: watch the output directory, upload what is finished, serve links.

Once it serves it prints one line on stdout, "codestoryd ready URL". SIGINT or SIGTERM lets the uploads under way
finish for some seconds and exits 0; a second one exits at once. Nothing is lost either way.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.config()
			if err != nil {
				return err
			}
			return p.runDaemon(c)
		},
	}
}

// runDaemon opens what the daemon needs, runs it, and closes in the other order.
func (p *program) runDaemon(c config) (err error) {
	log := p.logger(c)
	takeStandardLog(log)
	problems := problem.NewSet(log)
	tree, err := openOutput(c.dir)
	if err != nil {
		return err
	}
	if err := makeDataDir(c.dataDir); err != nil {
		return err
	}
	s := &sessions{
		c: c, tree: tree, log: log, problems: problems, started: time.Now().Round(0),
		check: checker(p.hard), handler: newSessionHandler(),
	}
	// The database's lock comes first: it keeps a second daemon from the store's folder too.
	if err := s.open(nil); err != nil {
		return err
	}
	defer closing(&err, s.close)
	if s.store, err = c.openStore(p.hard, log); err != nil {
		return err
	}
	if closer, ok := s.store.(io.Closer); ok {
		defer closing(&err, closer.Close)
	}
	if err := s.queue.Use(s.store.Info().Destination()); err != nil {
		return err
	}
	keys, err := access.Open(c.dataDir, problems)
	if err != nil {
		return err
	}
	defer closing(&err, keys.Close)
	if s.identity, err = openIdentity(keys, c.jwt, problems, log); err != nil {
		return err
	}
	if s.door, err = p.openDoor(c, problems, log); err != nil {
		return err
	}
	defer func() { _ = s.door.Close() }() // once it serves, serving closes it
	c.checkConfigFile(problems)
	s.door.started = s.started
	if err := s.door.announce(); err != nil && !errors.Is(err, codestory.ErrDiskFull) {
		return err
	}
	defer closing(&err, func() error { return removeInstance(c.dataDir) })

	ready := func() { fmt.Fprintf(p.stdout, "codestoryd ready %s\n", s.door.local) }
	return daemon.Serve(p.soft, p.hard,
		s.run,
		func(soft, _ context.Context) error { return s.identity.runAccess(soft) },
		func(soft, _ context.Context) error { return s.identity.runKeys(soft) },
		func(soft, _ context.Context) error { return s.door.run(soft) },
		s.door.serve(api.NewServer(s.handler), ready),
	)
}

func (p *program) logger(c config) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.logLevel}
	if c.logJSON {
		return slog.New(slog.NewJSONHandler(jsonWriter{p.stderr}, opts))
	}
	return slog.New(slog.NewTextHandler(p.stderr, opts))
}

func openOutput(dir string) (*watch.Tree, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, usagef("the output directory cannot be made: %w: choose another with --dir", err)
	}
	tree, err := watch.OpenTree(dir)
	if err != nil {
		return nil, &usageError{err}
	}
	return tree, nil
}

func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return usagef("the data directory cannot be made: %w: choose another with --data-dir", err)
	}
	return nil
}

// closing calls f, and makes its error that of the caller, who has none.
func closing(err *error, f func() error) {
	if e := f(); e != nil && *err == nil {
		*err = e
	}
}
