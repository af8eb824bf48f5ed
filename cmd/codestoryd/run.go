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
		Long: `Run the daemon in the foreground: watch the output directory, upload finished files, serve links.

When it is ready it prints one line on stdout, "codestoryd ready URL". On SIGINT or SIGTERM it gives uploads under way
some seconds to finish and exits 0; a second signal ends it at once. Nothing is lost either way. On SIGHUP it reads the
config file again: log level and bandwidth limit take effect, other changes need a restart.`,
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

// runDaemon opens what the daemon needs, runs it, and closes in reverse order.
func (p *program) runDaemon(c config) (err error) {
	level := new(slog.LevelVar)
	level.Set(c.logLevel)
	log := p.logger(c, level)
	takeStandardLog(log)
	reload, release := p.newReloader(c, level, log)
	defer release()
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
	defer closing(&err, func() error { return removeInstance(c.dataDir) }) // until then the commands know who has the lock
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
	if s.listener, err = p.openListener(c, problems, log); err != nil {
		return err
	}
	defer func() { _ = s.listener.Close() }() // once it serves, serving closes it
	c.checkConfigFile(problems)
	s.listener.started = s.started
	if err := s.listener.writeInstance(); err != nil && !errors.Is(err, codestory.ErrDiskFull) {
		return err
	}

	return p.serve(s, reload)
}

// serve runs all services until the first signal.
func (p *program) serve(s *sessions, reload *reloader) error {
	ready := func() { fmt.Fprintf(p.stdout, "codestoryd ready %s\n", s.listener.local) }
	// The API is served until all else has ended: local files play, and status answers, while uploads finish.
	drained, end := context.WithCancel(p.hard)
	defer end()
	return daemon.Serve(p.soft, p.hard,
		func(soft, hard context.Context) error {
			defer end()
			return daemon.Serve(soft, hard,
				s.run,
				func(soft, _ context.Context) error { return s.identity.runAccess(soft) },
				func(soft, _ context.Context) error { return s.identity.runKeys(soft) },
				func(soft, _ context.Context) error { return s.listener.run(soft) },
				func(soft, _ context.Context) error { return reload.run(soft, s.readAgain) },
			)
		},
		func(soft, hard context.Context) error {
			return s.listener.serve(soft, drained, hard, api.NewServer(s.handler), ready)
		},
	)
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

// closing calls f, and makes its error the caller's, if that has none.
func closing(err *error, f func() error) {
	if e := f(); e != nil && *err == nil {
		*err = e
	}
}
