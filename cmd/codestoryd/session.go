package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/daemon"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/internal/wait"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

const (
	damageGap   = 10 * time.Second // between one recovery and the next: a disk that is broken is not written full
	reopenEvery = 2 * time.Second  // between attempts to open the database after damage
)

// sessions are the daemon's life: one session after another, each from the opening of the database to its end. Damage
// ends a session, and the next one opens the database again, which recovers it. What outlives a session is here.
type sessions struct {
	c        config
	tree     *watch.Tree
	store    remote.Store
	identity identity
	listener *httpListener
	problems *problem.Set
	log      *slog.Logger
	started  time.Time
	check    func(ctx context.Context, path string) error

	queue   *queue.Queue // nil if none is open
	handler *sessionHandler
}

// open opens the database. after is the error that ended the session before, nil for the first.
func (s *sessions) open(after error) error {
	destination := ""
	if s.store != nil {
		destination = s.store.Info().Destination()
	}
	q, err := queue.Open(filepath.Join(s.c.dataDir, databaseFile), destination,
		queue.Options{Check: s.check, Problems: s.problems, After: after})
	if errors.Is(err, queue.ErrLocked) {
		if running, notRunning := s.c.readInstance(); notRunning == nil {
			err = fmt.Errorf("%w (a daemon runs as process %d)", err, running.PID)
		}
	}
	if err != nil {
		return err
	}
	s.queue = q
	if r := q.Recovery(); r != nil && r.Now {
		s.log.Error("the database was lost: it is completed from the output directory and the store",
			"aside", r.Aside, "reason", r.Reason, "backup", r.Backup)
	}
	return nil
}

func (s *sessions) close() error {
	if s.queue == nil {
		return nil
	}
	defer func() { s.queue = nil }()
	return s.queue.Close()
}

// run runs sessions until soft ends. The last one's database stays open, for requests that are still being answered.
func (s *sessions) run(soft, hard context.Context) error {
	var recovered time.Time
	for {
		err := s.session(soft, hard)
		if !errors.Is(err, queue.ErrDamaged) {
			return err
		}
		s.log.Error("the database is damaged: it is opened again", "error", err)
		s.handler.set(nil)
		if err := s.close(); err != nil {
			s.log.Warn("the damaged database could not be closed", "error", err)
		}
		for delay := time.Until(recovered.Add(damageGap)); ; delay = reopenEvery {
			if !wait.Sleep(soft, delay) {
				return nil
			}
			failed := s.open(err)
			if failed == nil {
				break
			}
			s.log.Error("the database cannot be opened; it is tried again", "error", failed)
		}
		recovered = time.Now()
	}
}

// session runs what works with the database until soft ends, or one part of it fails.
func (s *sessions) session(soft, hard context.Context) error {
	q := s.queue
	soft, stop := context.WithCancel(soft)
	defer stop()
	d := daemon.New(s.tree, q, s.store, daemon.Options{
		Concurrency: s.c.concurrency,
		Watch:       watch.Options{Rules: s.c.rules, Settle: s.c.settle},
		Logger:      s.log, Version: version(), Address: s.listener.address(), Started: s.started, Spool: s.c.dataDir,
		Problems: s.problems,
	})
	s.handler.set(&served{queue: q, Handler: api.New(
		api.Services{Library: d, Access: s.identity, Queue: d, Editor: d, Monitor: d, Events: d},
		api.Options{
			PublicURL: s.listener.public, AllowedHosts: s.c.listen.allowedHosts(), AllowOrigins: s.c.origins,
			Logger: s.log.With("component", "api"), Version: version(), Stopping: soft.Done(),
		},
	)})
	return daemon.Serve(soft, hard,
		func(soft, _ context.Context) error { return q.Run(soft) },
		func(soft, _ context.Context) error { return d.Watch(soft) },
		d.Upload,
		func(soft, _ context.Context) error { return d.ScanAudio(soft) },
	)
}
