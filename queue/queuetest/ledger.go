package queuetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// ledger is what the killed writer said, by path: what has to be in the database, and what may be.
type ledger struct {
	files map[codestory.Path]*account
}

// account is of one path. Versions are numbers that only grow, 0 for none.
type account struct {
	version, nextVersion int64                 // the last acknowledged, and the last begun
	stored, nextStored   int64                 // by Done: the last acknowledged, and the last begun
	states               []codestory.FileState // that the last acknowledged version may be in
	settled              int64                 // the version that states is about
}

// since starts an account from what the database holds; states are those that a restart may find it in.
func since(f queue.File) account {
	a := account{version: f.Version.Size, nextVersion: f.Version.Size, settled: f.Version.Size, states: []codestory.FileState{f.State}}
	if f.State == codestory.Retrying {
		a.states = append(a.states, codestory.Queued) // its time comes
	}
	if f.Stored != nil {
		a.stored, a.nextStored = f.Stored.Size, f.Stored.Size
	}
	return a
}

func (l *ledger) file(path codestory.Path) *account {
	if l.files == nil {
		l.files = map[codestory.Path]*account{}
	}
	if l.files[path] == nil {
		l.files[path] = &account{}
	}
	return l.files[path]
}

// note takes over one line of the writer.
func (l *ledger) note(line string) error {
	f := strings.Fields(line)
	if len(f) != 4 {
		return fmt.Errorf("the writer said %q", line)
	}
	n, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil {
		return fmt.Errorf("the writer said %q: %w", line, err)
	}
	if f[1] != enqueue {
		l.file(codestory.Path(f[2])).settle(f[0] == acked, f[1], n)
		return nil
	}
	lane, err := strconv.Atoi(f[2])
	for _, path := range lanePaths(lane) {
		if a := l.file(path); f[0] == acked {
			a.version = n
		} else {
			a.nextVersion = n
		}
	}
	return err
}

// after is the state that each outcome leaves an item in. One that is retried at once is soon queued.
var after = map[string][]codestory.FileState{
	done:    {codestory.Synced},
	retry:   {codestory.Retrying, codestory.Queued},
	block:   {codestory.Blocked},
	changed: {codestory.Settling},
}

func (a *account) settle(ack bool, outcome string, n int64) {
	switch {
	case outcome == done && ack:
		a.stored = n
	case outcome == done:
		a.nextStored = n
	}
	if n < a.settled { // an older claim that ended after a newer version was settled on
		return
	}
	if a.settled != n || ack {
		a.states = nil
	}
	if !ack { // it was claimed, so it was queued
		a.states = append(a.states, codestory.Queued)
	}
	a.settled = n
	a.states = append(a.states, after[outcome]...)
}

// check holds what the database has of the path against the account.
func (a *account) check(f queue.File) error {
	n := f.Version.Size
	if n != a.version && n != a.nextVersion {
		return fmt.Errorf("version %d was acknowledged, %d begun", a.version, a.nextVersion)
	}
	if n == 0 {
		return nil
	}
	states := []codestory.FileState{codestory.Queued}
	if a.settled == n {
		states = a.states
	}
	if !slices.Contains(states, f.State) {
		return fmt.Errorf("of version %d the states may be %q", n, states)
	}
	var stored int64
	if f.Stored != nil {
		stored = f.Stored.Size
		if f.Stored.ETag != etagOf(stored) {
			return fmt.Errorf("what is stored is of two versions")
		}
	}
	if stored != a.stored && stored != a.nextStored {
		return fmt.Errorf("version %d was acknowledged as stored, %d begun", a.stored, a.nextStored)
	}
	if f.State == codestory.Synced && stored != n {
		return fmt.Errorf("it counts as synced with version %d stored", stored)
	}
	return nil
}
