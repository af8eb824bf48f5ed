package main

import (
	"log"
	"log/slog"
)

// logger is the daemon's log on stderr.
func (p *program) logger(c config, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if c.logJSON {
		return slog.New(slog.NewJSONHandler(jsonWriter{p.stderr}, opts))
	}
	return slog.New(slog.NewTextHandler(p.stderr, opts))
}

// takeStandardLog redirects Go's standard log, which libraries write to, to ours at level debug: net/http's client writes
// there what a server sends unasked. The standard log is one for the process, and is never given back.
func takeStandardLog(logger *slog.Logger) {
	ours := slog.NewLogLogger(logger.With("component", "library").Handler(), slog.LevelDebug)
	log.SetFlags(0)
	log.SetOutput(ours.Writer())
}
