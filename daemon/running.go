package daemon

import (
	"context"
	"sync"

	"github.com/codestory/codestoryd"
)

// running are the claims that are being settled, each of which can be cut.
type running struct {
	mu   sync.Mutex
	runs map[codestory.Path]run
}

type run struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the claim is settled
}

// begin makes ctx one that cut ends. done has to be called when the claim is settled.
func (r *running) begin(ctx context.Context, path codestory.Path) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	this := run{cancel, make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = map[codestory.Path]run{}
	}
	r.runs[path] = this
	return ctx, func() {
		r.mu.Lock()
		delete(r.runs, path)
		r.mu.Unlock()
		cancel()
		close(this.done)
	}
}

// cut ends the uploads of the story's files that are under way, and returns when they have ended.
func (r *running) cut(ctx context.Context, id codestory.StoryID) error {
	r.mu.Lock()
	var cut []run
	for path, run := range r.runs {
		if path.Story() == id {
			run.cancel()
			cut = append(cut, run)
		}
	}
	r.mu.Unlock()
	for _, run := range cut {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-run.done:
		}
	}
	return nil
}
