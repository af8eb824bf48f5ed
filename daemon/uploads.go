package daemon

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// uploads are the uploads in flight, with their progress.
type uploads struct {
	mu       sync.Mutex
	inFlight map[*upload]struct{}
}

type upload struct {
	path    codestory.Path
	total   int64
	attempt int
	began   time.Time
	sent    atomic.Int64
}

// begin counts an upload as in flight until done is called, which returns what it was in the end. progress is to be told
// of the bytes that are sent.
func (u *uploads) begin(claim *queue.Claim) (began codestory.Upload, progress func(n int64), done func() codestory.Upload) {
	up := &upload{path: claim.Path, total: claim.Version.Size, attempt: claim.Attempt, began: time.Now()}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.inFlight == nil {
		u.inFlight = map[*upload]struct{}{}
	}
	u.inFlight[up] = struct{}{}
	return up.describe(), func(n int64) { up.sent.Add(n) }, func() codestory.Upload {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.inFlight, up)
		return up.describe()
	}
}

func (up *upload) describe() codestory.Upload {
	sent := min(up.sent.Load(), up.total)
	return codestory.Upload{
		Path: string(up.path), Key: up.path.Key(),
		SentBytes: sent, TotalBytes: up.total,
		BytesPerSecond: int64(float64(sent) / max(time.Since(up.began).Seconds(), 1e-3)),
		Attempt:        up.attempt,
	}
}

// list describes the uploads in flight, by path.
func (u *uploads) list() []codestory.Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]codestory.Upload, 0, len(u.inFlight))
	for up := range u.inFlight {
		list = append(list, up.describe())
	}
	slices.SortFunc(list, func(a, b codestory.Upload) int { return strings.Compare(a.Path, b.Path) })
	return list
}
