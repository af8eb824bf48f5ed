package upload

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// inFlight are the uploads in flight, with their progress.
type inFlight struct {
	mu      sync.Mutex
	uploads map[*transfer]struct{}
}

type transfer struct {
	path    codestory.Path
	total   int64
	attempt int
	began   time.Time
	sent    atomic.Int64
}

// begin counts an upload as in flight until done is called, which returns what it was in the end. progress is to be told
// of the bytes that are sent.
func (u *inFlight) begin(claim *queue.Claim) (began codestory.Upload, progress func(n int64), done func() codestory.Upload) {
	up := &transfer{path: claim.Path, total: claim.Version.Size, attempt: claim.Attempt, began: time.Now()}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.uploads == nil {
		u.uploads = map[*transfer]struct{}{}
	}
	u.uploads[up] = struct{}{}
	return up.describe(), func(n int64) { up.sent.Add(n) }, func() codestory.Upload {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.uploads, up)
		return up.describe()
	}
}

func (up *transfer) describe() codestory.Upload {
	sent := min(up.sent.Load(), up.total)
	return codestory.Upload{
		Path: string(up.path), Key: up.path.Key(),
		SentBytes: sent, TotalBytes: up.total,
		BytesPerSecond: int64(float64(sent) / max(time.Since(up.began).Seconds(), 1e-3)),
		Attempt:        up.attempt,
	}
}

// list describes the uploads in flight, by path.
func (u *inFlight) list() []codestory.Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]codestory.Upload, 0, len(u.uploads))
	for up := range u.uploads {
		list = append(list, up.describe())
	}
	slices.SortFunc(list, func(a, b codestory.Upload) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// counters count what the daemon has done since it started.
type counters struct {
	uploads, sent            atomic.Int64
	retried, blocked, paused atomic.Int64
}

// failed counts an attempt that failed.
func (c *counters) failed(class codestory.Class) {
	switch class {
	case codestory.ClassPause:
		c.paused.Add(1)
	case codestory.ClassBlock:
		c.blocked.Add(1)
	default:
		c.retried.Add(1)
	}
}

// Counters is what the pipeline has done since it started.
func (p *Pipeline) Counters() codestory.Counters {
	c := &p.counters
	return codestory.Counters{
		Uploads: c.uploads.Load(), SentBytes: c.sent.Load(),
		Failures: map[string]int64{"retry": c.retried.Load(), "block": c.blocked.Load(), "pause": c.paused.Load()},
	}
}

// Uploads lists the uploads in flight, by path.
func (p *Pipeline) Uploads() []codestory.Upload { return p.inFlight.list() }

// begin counts an upload as in flight until done is called.
func (p *Pipeline) begin(claim *queue.Claim) (progress func(n int64), done func()) {
	began, sent, end := p.inFlight.begin(claim)
	p.observer.FileChanged(queue.File{
		Path: string(claim.Path), State: codestory.Uploading, Version: claim.Version, Attempt: claim.Attempt - 1,
		Stored: claim.Stored,
	})
	p.observer.UploadChanged(began)
	count := func(n int64) {
		p.counters.sent.Add(n)
		sent(n)
	}
	return count, func() { p.observer.UploadChanged(end()) }
}

// Cut ends the uploads of the story's files that are under way, and returns when they have ended.
func (p *Pipeline) Cut(ctx context.Context, id codestory.StoryID) error {
	return p.running.cut(ctx, id)
}

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
