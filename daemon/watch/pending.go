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

	mu     sync.Mutex
	files  map[string]*pendingFile
	heap   pendingHeap
	recent recent
	room   chan struct{} // closed and replaced when there are fewer than maxFromScan again
}

// rule says what finishes a file.
type rule int

const (
	// byWriters: nobody has it open for writing any more.
	byWriters rule = iota
	// byQuiet: besides, nothing has happened to it for Settle. That is for files of which nobody can tell who has them
	// open, that were written again soon after they were handed on, and that are to be handed on once more.
	byQuiet
)

// pendingFile is one of them. What it was last seen as, and since when, is its own clock: a modification time may be
// restored, or lie in the future.
type pendingFile struct {
	name  string
	path  codestory.Path       // "" where fault is set
	fault *codestory.PathError // it has no key
	began time.Time            // when it began to settle

	rule    rule
	version codestory.Version
	since   time.Time // when version, or an event, was first seen; zero until a version was
	looked  time.Time // when it was taken to be looked at last
	due     time.Time // when to look again
	delay   time.Duration
	reason  string // why it is not finished, for people; "" while that is a matter of moments

	again    bool   // it was handed on a moment before it began to settle
	touches  uint64 // how often it was touched: a look that took place meanwhile does not count
	rechecks uint64 // touches at the latest recheck: hand it on even if the sink knows it; 0 where there was none
	index    int    // in the heap; -1 while it is looked at
}

func newPending(settle time.Duration) *pending {
	return &pending{
		settle: settle,
		wake:   make(chan struct{}, 1),
		files:  make(map[string]*pendingFile),
		recent: newRecent(settle),
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

// add lets a file settle that was just seen as c says, unless it is what was handed on a moment ago.
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
	f := &pendingFile{name: c.Name, path: c.Path, fault: c.Fault, began: now, version: c.Version, since: now, due: now}
	if last, ok := p.recent.of(c.Name, now); ok {
		if last.version == c.Version {
			return
		}
		f.again = true
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
		now := time.Now()
		f = &pendingFile{name: string(path), path: path, began: now, due: now, rule: byQuiet}
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
	soon := now.Add(p.settle)
	if f.rule == byWriters {
		soon = f.soonest(now)
	}
	if f.index >= 0 && f.due.After(soon) {
		f.due = soon
		heap.Fix(&p.heap, f.index)
		signal(p.wake)
	}
}

// soonest is when the file may be probed again: after an event at once, but for one that is being written not each time.
func (f *pendingFile) soonest(now time.Time) time.Time {
	if next := f.looked.Add(shortestProbe(now.Sub(f.began))); next.After(now) {
		return next
	}
	return now
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
	began   time.Time
	rule    rule
	version codestory.Version
	since   time.Time
	before  time.Time     // when it was looked at before
	delay   time.Duration // after the latest error
	touches uint64
	again   bool
	recheck bool
	sent    bool // the sink has taken version
}

// take takes up to limit files that are due, and says how long it is until the next one is: -1 where there is none.
func (p *pending) take(limit int) (looks []look, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.heap) > 0 && len(looks) < limit && !p.heap[0].due.After(now) {
		f := heap.Pop(&p.heap).(*pendingFile)
		looks = append(looks, look{
			file: f, name: f.name, began: f.began, rule: f.rule, version: f.version, since: f.since, before: f.looked,
			delay: f.delay, touches: f.touches, again: f.again, recheck: f.rechecks > 0,
		})
		f.looked = now
	}
	if len(p.heap) == 0 {
		return looks, -1
	}
	return looks, max(0, p.heap[0].due.Sub(now))
}

// putBack puts the file back as the look has found it, to be looked at again after wait; 0 is once it has been quiet
// for long enough.
func (p *pending) putBack(l look, wait time.Duration, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := l.file
	f.version, f.delay, f.reason = l.version, l.delay, reason
	f.rule = max(f.rule, l.rule)
	touched := f.touches != l.touches
	if !touched || f.since.IsZero() {
		f.since = l.since
	}
	now := time.Now()
	switch {
	case wait > 0 && touched && f.rule == byWriters:
		f.due = f.soonest(now)
	case wait > 0:
		f.due = now.Add(wait)
	default:
		f.due = f.since.Add(p.settle)
	}
	p.push(f)
}

// done forgets the file, unless something happened to it since it was taken.
func (p *pending) done(l look) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, now := l.file, time.Now()
	if l.sent {
		p.recent.note(l.name, l.version, now)
	}
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
	if l.sent {
		f.began, f.again = now, true
	}
	f.due = now
	p.push(f)
}

// handed is what was handed on of the file a moment ago, if it was.
func (p *pending) handed(name string) (last handed, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recent.of(name, time.Now())
}

// forget forgets what was handed on a moment ago.
func (p *pending) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recent = newRecent(p.settle)
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
