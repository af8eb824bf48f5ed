package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// reloader applies on SIGHUP the settings that can change without a restart, and reads credentials again.
type reloader struct {
	program   *program
	values    values // in force
	level     *slog.LevelVar
	bandwidth *bandwidth
	received  chan os.Signal
	log       *slog.Logger
}

// newReloader keeps SIGHUP and SIGPIPE from ending the process from now on. Without the second a log reader that exits
// would take the daemon with it: Go ends a process that writes to a closed stdout or stderr, unless it receives SIGPIPE.
// Such a write then fails with EPIPE, which the log ignores.
func (p *program) newReloader(c config, level *slog.LevelVar, log *slog.Logger) (r *reloader, release func()) {
	r = &reloader{program: p, values: c.values, level: level, bandwidth: c.bandwidth, received: make(chan os.Signal, 1), log: log}
	pipe := make(chan os.Signal, 1)
	signal.Notify(r.received, syscall.SIGHUP)
	signal.Notify(pipe, syscall.SIGPIPE)
	return r, func() {
		signal.Stop(r.received)
		signal.Stop(pipe)
	}
}

// readAgain reads the certificate again, if its files changed. Tokens, keys and the shared files of AWS are followed anyway.
func (s *sessions) readAgain() {
	if s.listener.cert != nil {
		s.listener.certificate()
	}
}

// run reloads on each SIGHUP until ctx ends. look reads certificates and secrets again, if their files changed.
func (r *reloader) run(ctx context.Context, look func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.received:
			look()
			r.settings()
		}
	}
}

// settings resolves the settings again. If they are wrong, those in force stay.
func (r *reloader) settings() {
	v, err := r.program.resolve()
	if err != nil {
		r.log.Error("SIGHUP: the settings are not applied", "err", err)
		return
	}
	c, err := check(v)
	if err != nil {
		r.log.Error("SIGHUP: the settings are not applied", "err", err)
		return
	}
	var applied, later []string
	for _, s := range settings {
		name := s.name()
		switch {
		case slices.Equal(v[name].items, r.values[name].items):
		case name == "log-level" || name == "bwlimit":
			applied = append(applied, name+"="+v.get(name))
			r.values[name] = v[name]
		default:
			later = append(later, name)
		}
	}
	r.level.Set(c.logLevel)
	r.bandwidth.table.Store(c.bandwidth.table.Load())
	// At the level of a warning, so that it is in the log whatever level is in force.
	r.log.Warn("SIGHUP: certificates, credentials, log level and bandwidth limit were read again",
		"applied", strings.Join(applied, " "), "needs_restart", strings.Join(later, " "))
}
