package upload

import (
	"context"
	"sync"
	"time"
)

// dirSeen is when the output directory was last seen to be there, with files in it. A file that is not found in it makes
// it looked at again, so it need not be before each.
type dirSeen struct {
	mu   sync.Mutex
	seen time.Time
}

// seenFor is how long the directory is taken to be there after it was seen.
const seenFor = time.Second

func (s *dirSeen) set(seen time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = seen
}

func (s *dirSeen) fresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.seen.IsZero() && time.Since(s.seen) < seenFor
}

// DirGone says that the output directory was found to be missing.
func (p *Pipeline) DirGone() { p.dirSeen.set(time.Time{}) }

// WaitForDir waits while the output directory is gone, or empty though files of it wait: that says nothing of them. The
// status reports it.
func (p *Pipeline) WaitForDir(ctx context.Context) error {
	if p.dirSeen.fresh() {
		return ctx.Err()
	}
	for {
		looked := time.Now()
		if p.tree.Check() == nil && !(p.anythingWaits() && p.tree.Empty()) {
			p.dirSeen.set(looked)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}
