// Package problem holds what is wrong with the daemon at the moment: one set for the whole process, which every part
// reports to and which status lists. It must not know what the problems mean.
package problem

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// Set is a set of problems, one per code. Each is logged when it begins and when it ends, and not in between. All
// methods may be called concurrently.
type Set struct {
	log *slog.Logger

	mu     sync.Mutex
	byCode map[string]codestory.Problem
}

// NewSet returns an empty set that logs to log.
func NewSet(log *slog.Logger) *Set {
	return &Set{log: log, byCode: make(map[string]codestory.Problem)}
}

// Report adds p, or replaces the problem of the same code, which keeps its Since. A zero Since is now; a zero Severity
// is SeverityWarn.
func (s *Set) Report(p codestory.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Severity == "" {
		p.Severity = codestory.SeverityWarn
	}
	if p.Details == nil {
		p.Details = []string{} // in JSON a list, never null
	}
	if known, ok := s.byCode[p.Code]; ok {
		p.Since = known.Since
	} else {
		if p.Since.IsZero() {
			p.Since = time.Now().Round(0)
		}
		s.log.Warn(p.Message, "code", p.Code)
	}
	s.byCode[p.Code] = p
}

// Clear ends the problem of that code. It is a no-op if there is none.
func (s *Set) Clear(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.byCode[code]; ok {
		delete(s.byCode, code)
		s.log.Info("resolved: "+p.Message, "code", code)
	}
}

// List returns the current problems, sorted by code.
func (s *Set) List() []codestory.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.byCode), func(a, b codestory.Problem) int {
		return strings.Compare(a.Code, b.Code)
	})
}
