package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
)

// announceEvery is how long to wait before the commands are told once more where the daemon is.
const announceEvery = 5 * time.Second

// announcement tells the commands where the daemon is. On a disk that is full it cannot: the daemon runs all the same,
// and tells them when there is room.
type announcement struct {
	write   func() error
	log     *slog.Logger
	problem atomic.Pointer[codestory.Problem] // nil once it is told
}

// begin tells them, or says why that will be later. Its error is any other than a full disk.
func (a *announcement) begin() error {
	err := a.write()
	if !errors.Is(err, codestory.ErrDiskFull) {
		return err
	}
	a.log.Error("the commands cannot find the daemon for now; it is tried again", "error", err)
	a.problem.Store(&codestory.Problem{Code: "not_announced", Since: time.Now().Round(0), Message: "the commands cannot find the daemon, since there is no room for " +
		instanceFile + " in the data directory: make room there; it goes on by itself"})
	return nil
}

// run tells them once there is room, or ctx has ended.
func (a *announcement) run(ctx context.Context) error {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for a.problem.Load() != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if a.write() == nil {
				a.problem.Store(nil)
			}
		}
	}
	<-ctx.Done()
	return nil
}

func (a *announcement) problems() []codestory.Problem {
	if p := a.problem.Load(); p != nil {
		return []codestory.Problem{*p}
	}
	return nil
}
