package watch

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// The codes of Problems.
const (
	problemDirMissing    = "dir_missing"     // the output directory is gone or unreadable
	problemScanFailed    = "scan_failed"     // the last scan did not reach its end
	problemDirUnreadable = "dir_unreadable"  // directories in it cannot be read
	problemWatchLimit    = "watch_limit"     // directories cannot be watched
	problemEventsLost    = "events_lost"     // the system's file events do not work
	problemHandOver      = "handover_failed" // the sink does not take what has settled
	problemLookUp        = "lookup_failed"   // the sink does not say what it knows
)

// problems are those that there are now. Each is logged when it begins and when it is over.
type problems struct {
	log *slog.Logger

	mu     sync.Mutex
	byCode map[string]codestory.Problem
}

func newProblems(log *slog.Logger) *problems {
	return &problems{log: log, byCode: make(map[string]codestory.Problem)}
}

func (p *problems) set(code, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	problem, known := p.byCode[code]
	if !known {
		problem = codestory.Problem{Code: code, Since: time.Now().Round(0)}
		p.log.Warn(message, "code", code)
	}
	problem.Message = message
	p.byCode[code] = problem
}

func (p *problems) clear(code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if problem, known := p.byCode[code]; known {
		delete(p.byCode, code)
		p.log.Info("over: "+problem.Message, "code", code)
	}
}

// list is sorted by code.
func (p *problems) list() []codestory.Problem {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.byCode), func(a, b codestory.Problem) int {
		return strings.Compare(a.Code, b.Code)
	})
}
