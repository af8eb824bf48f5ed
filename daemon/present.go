package daemon

import (
	"context"
	"sync"
	"time"
)

// present is when the output directory was last seen to be there, with files in it. A file that is not found in it makes
// it looked at again, so it need not be before each.
type present struct {
	mu   sync.Mutex
	seen time.Time
}

// presentFor is how long the directory is taken to be there after it was seen.
const presentFor = time.Second

func (p *present) set(seen time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = seen
}

func (p *present) fresh() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.seen.IsZero() && time.Since(p.seen) < presentFor
}

// awaitDir waits while the output directory is gone, or empty though files of it wait: that says nothing of them. The
// status reports it.
func (d *Daemon) awaitDir(ctx context.Context) error {
	if d.present.fresh() {
		return ctx.Err()
	}
	for {
		looked := time.Now()
		if d.tree.Check() == nil && !(d.anythingWaits() && d.tree.Empty()) {
			d.present.set(looked)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Second):
		}
	}
}
