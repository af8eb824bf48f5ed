package watch

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// maxFromScan is how many files may settle before a scan waits for them: what it finds is on the disk, and need not
// be in memory.
const maxFromScan = 10_000

// pending are the files that settle. Each is in the heap until it is taken to be looked at, and then forgotten or put
// back.
type pending struct {
	settle time.Duration
	wake   chan struct{} // holds a token when the earliest due time may have changed

	mu    sync.Mutex
	files map[string]*pendingFile
	heap  pendingHeap
	room  chan struct{} // closed and replaced when there are fewer than maxFromScan again
}

// pendingFile is one of them. What it was last seen as, and since when, is its own clock: a modification time may be
// restored, or lie in the future.
type pendingFile struct {
	name  string
	path  codestory.Path       // "" where fault is set
	fault *codestory.PathError // it has no key

	version codestory.Version
	since   time.Time     // when version, or an event, was first seen; zero until a version was
	due     time.Time     // when to look again
	delay   time.Duration // between looks at a file that is not finished for reason; 0 while it settles by time
	reason  string        // why, for people; "" while it settles by time

	touches  uint64 // how often it was touched: a look that took place meanwhile does not count
	rechecks uint64 // touches at the latest recheck: hand it on even if the sink knows it; 0 where there was none
	index    int    // in the heap; -1 while it is looked at
}

func newPending(settle time.Duration) *pending {
	return &pending{
		settle: settle,
		wake:   make(chan struct{}, 1),
		files:  make(map[string]*pendingFile),
		room:   make(chan struct{}),
	}
}

// touch notes that something happened to the file, if it is one that settles.
func (p *pending) touch(name string) (settles bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[name]
	if f == nil {
		return false
	}
	p.touched(f)
	return true
}

// add lets a file settle that was just seen as c says.
func (p *pending) add(c Change) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.files[c.Name]; f != nil {
		if f.version != c.Version {
			p.touched(f)
		}
		return
	}
	now := time.Now()
	f := &pendingFile{name: c.Name, path: c.Path, fault: c.Fault, version: c.Version, since: now, due: now}
	if !quiet(c.Version, now, p.settle) {
		f.due = now.Add(p.settle)
	}
	p.files[c.Name] = f
	p.push(f)
}

// recheck lets the file settle again, and be handed on whatever the sink knows of it.
func (p *pending) recheck(path codestory.Path) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[string(path)]
	if f == nil {
		f = &pendingFile{name: string(path), path: path, due: time.Now()}
		p.files[f.name] = f
		p.push(f)
	}
	p.touched(f)
	f.rechecks = f.touches
}

func (p *pending) touched(f *pendingFile) {
	now := time.Now()
	f.touches++
	if !f.since.IsZero() {
		f.since = now
	}
	if soon := now.Add(p.settle); f.index >= 0 && f.due.After(soon) {
		f.due = soon
		heap.Fix(&p.heap, f.index)
		signal(p.wake)
	}
}

// quiet reports whether the file's own times say that it has not changed for that long. A time in the future, or no
// change time at all, says nothing.
func quiet(v codestory.Version, now time.Time, settle time.Duration) bool {
	latest := now.Add(-settle).UnixNano()
	return v.ChangeTime != 0 && v.ChangeTime <= latest && v.ModTime <= latest
}

func (p *pending) push(f *pendingFile) {
	heap.Push(&p.heap, f)
	if f.index == 0 {
		signal(p.wake)
	}
}

// look is a file that was taken to be looked at, as it was then.
type look struct {
	file    *pendingFile
	name    string
	version codestory.Version
	since   time.Time
	delay   time.Duration
	touches uint64
	recheck bool
}

// take takes up to limit files that are due, and says how long it is until the next one is: -1 where there is none.
func (p *pending) take(limit int) (looks []look, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.heap) > 0 && len(looks) < limit && !p.heap[0].due.After(now) {
		f := heap.Pop(&p.heap).(*pendingFile)
		looks = append(looks, look{f, f.name, f.version, f.since, f.delay, f.touches, f.rechecks > 0})
	}
	if len(p.heap) == 0 {
		return looks, -1
	}
	return looks, max(0, p.heap[0].due.Sub(now))
}

// putBack puts the file back, with the version, since and delay of l, which the look has brought up to date. Without
// a delay it is due when it has been the same for long enough.
func (p *pending) putBack(l look, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := l.file
	f.version, f.delay, f.reason = l.version, l.delay, reason
	if f.touches == l.touches || f.since.IsZero() {
		f.since = l.since
	}
	if f.delay > 0 {
		f.due = time.Now().Add(f.delay)
	} else {
		f.due = f.since.Add(p.settle)
	}
	p.push(f)
}

// done forgets the file, unless something happened to it since it was taken.
func (p *pending) done(l look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := l.file
	if f.touches == l.touches {
		delete(p.files, f.name)
		if len(p.files) == maxFromScan-1 {
			close(p.room)
			p.room = make(chan struct{})
		}
		return
	}
	if f.rechecks <= l.touches {
		f.rechecks = 0
	}
	f.due = time.Now()
	p.push(f)
}

// waitForRoom returns once few enough files settle for a scan to add more, or with the context's error.
func (p *pending) waitForRoom(ctx context.Context) error {
	for {
		p.mu.Lock()
		full, room := len(p.files) >= maxFromScan, p.room
		p.mu.Unlock()
		if !full {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-room:
		}
	}
}

// reason says why the file is not finished yet, "" where that is a matter of time; settles is false where it does not
// settle.
func (p *pending) reason(name string) (reason string, settles bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.files[name]
	if f == nil {
		return "", false
	}
	return f.reason, true
}

// ofStory are the files of the story that settle, in no order.
func (p *pending) ofStory(story codestory.StoryID) (paths []codestory.Path) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.files {
		if f.path != "" && f.path.Story() == story {
			paths = append(paths, f.path)
		}
	}
	return paths
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.files)
}

// pendingHeap has the file that is due first at its top.
type pendingHeap []*pendingFile

func (h pendingHeap) Len() int           { return len(h) }
func (h pendingHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h pendingHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *pendingHeap) Push(x any) {
	f := x.(*pendingFile)
	f.index = len(*h)
	*h = append(*h, f)
}

func (h *pendingHeap) Pop() any {
	old := *h
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	f.index = -1
	return f
}
