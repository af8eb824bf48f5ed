package daemon

import (
	"sync"
	"time"

	"github.com/codestory/codestoryd"
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
