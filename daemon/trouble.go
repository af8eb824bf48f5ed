package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// databaseTrouble is whether the database fails at the moment, as a problem for the status.
type databaseTrouble struct {
	mu  sync.Mutex
	now *codestory.Problem // nil while all is well
}

// set notes the error, and reports whether it is the first in a row.
func (t *databaseTrouble) set(err error) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first = t.now == nil
	if first {
		t.now = &codestory.Problem{Code: "database_failing", Since: time.Now().Round(0)}
	}
	t.now.Message = "the database cannot be used: " + err.Error() + "; nothing is lost, and it is tried again"
	return first
}

func (t *databaseTrouble) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = nil
}

// list is the problem, if there is one.
func (t *databaseTrouble) list() []codestory.Problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return nil
	}
	return []codestory.Problem{*t.now}
}

// databaseProblems are what is wrong with the database now.
func (d *Daemon) databaseProblems() []codestory.Problem {
	problems := DatabaseProblems(d.queue)
	if damage := d.queue.Damage(); damage != nil {
		return append(problems, codestory.Problem{Code: "database_damaged", Since: time.Now().Round(0), Message: fmt.Sprintf(
			"%v; nothing is lost: it is being set aside, and made anew from the output directory and the store", damage)})
	}
	since, err := d.queue.Trouble()
	if !errors.Is(err, codestory.ErrDiskFull) {
		return append(problems, d.database.list()...)
	}
	return append(problems, codestory.Problem{Code: "disk_full", Since: since, Message: fmt.Sprintf(
		"the disk with the data directory %s is full: make room there; nothing is lost, and it goes on by itself",
		filepath.Dir(d.queue.Path()))})
}

// DatabaseProblems are what became of the database before, for as long as what was set aside is there.
func DatabaseProblems(q *queue.Queue) []codestory.Problem {
	asides := q.Asides()
	if len(asides) == 0 {
		return nil
	}
	aside := asides[len(asides)-1]
	info, err := os.Stat(aside)
	if err != nil {
		return nil
	}
	since, reason, unread := info.ModTime(), "", ""
	if r := q.Rebuilt(); r != nil && r.Aside == aside {
		since, reason = r.At, " ("+r.Reason+")"
		if r.Unread > 0 {
			unread = fmt.Sprintf(" but for %d things that were asked for, such as to drop a file or to pause", r.Unread)
		}
	}
	return []codestory.Problem{{Code: "database_set_aside", Since: since, Message: fmt.Sprintf(
		"the database was damaged%s and is set aside as %s; it was made anew from the output directory and the store, and nothing was lost%s: "+
			"remove that file when you have no use for it, which ends this message", reason, aside, unread)}}
}
