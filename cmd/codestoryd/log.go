package main

import (
	"log"
	"log/slog"
)

// takeStandardLog has what libraries write to Go's standard log in ours, for whoever debugs: net/http's client writes there
// what a server sends unasked. It is one for the process, and never given back.
func takeStandardLog(logger *slog.Logger) {
	ours := slog.NewLogLogger(logger.With("component", "library").Handler(), slog.LevelDebug)
	log.SetFlags(0)
	log.SetOutput(ours.Writer())
}
