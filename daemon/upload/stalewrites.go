package upload

import (
	"context"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// A store may take long over an upload that was cut off before it answered, and put it where a newer version is by then:
// nothing that a client sends can call it back. So each such upload is noted in the database, and while there is a
// newer version the store is asked again and again which one it has: after some seconds, then half as often each time,
// until a day is over. Where the older one is back, the newer one is put again.
//
// What is not noticed is an upload whose process was killed within two seconds after it was sent.

const (
	staleWriteEvery = 5 * time.Second // between looks at the notes, and the first delay of a question
	staleWriteTime  = 24 * time.Hour  // how late an upload may be

	staleWriteTimeout = 10 * time.Second // of one question
)

// staleWrite is what is known of a note.
type staleWrite struct {
	newer string    // the ETag of the newer version; "" while there is none
	asked int       // how often the store was, since it is that one
	next  time.Time // when to look again
}

// watchStaleWrites looks after notes until ctx ends.
func (p *Pipeline) watchStaleWrites(ctx context.Context) {
	tick := time.NewTicker(staleWriteEvery)
	defer tick.Stop()
	known := map[string]*staleWrite{} // by path and ETag
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.checkStaleWrites(ctx, known); err != nil && ctx.Err() == nil {
			p.log.Warn("an upload without an answer could not be looked after; it is tried again", "error", err)
		}
	}
}

func (p *Pipeline) checkStaleWrites(ctx context.Context, known map[string]*staleWrite) error {
	var last *queue.Unanswered
	for {
		notes, err := p.queue.Unanswered(last, sweepBatch)
		if err != nil {
			return err
		}
		for _, u := range notes {
			if err := p.checkStaleWrite(ctx, u, known); err != nil {
				return err
			}
			last = &u
		}
		if len(notes) < sweepBatch {
			return nil
		}
	}
}

// checkStaleWrite asks the store, if it is time to, whether an upload was late.
func (p *Pipeline) checkStaleWrite(ctx context.Context, u queue.Unanswered, known map[string]*staleWrite) error {
	name := string(u.Path) + "\x00" + u.ETag
	if age := time.Since(u.At); age > staleWriteTime || age < -staleWriteTime { // or the clock was set
		delete(known, name)
		return p.queue.ForgetUnanswered(u)
	}
	if !u.Here {
		return nil
	}
	l := known[name]
	if l == nil {
		l = &staleWrite{}
		known[name] = l
	}
	if time.Now().Before(l.next) || !p.breaker.reads() {
		return nil
	}
	f, err := p.queue.File(u.Path)
	switch {
	case err != nil, f.State != codestory.Synced, f.Stored == nil, strings.EqualFold(f.Stored.ETag, u.ETag),
		f.Version == (codestory.Version{}): // no newer version, or none that is here to be put again
		l.next = time.Now().Add(min(time.Since(u.At), time.Minute))
		return nil
	case l.newer != f.Stored.ETag:
		*l = staleWrite{newer: f.Stored.ETag, next: time.Now().Add(staleWriteEvery)}
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, staleWriteTimeout)
	defer cancel()
	object, err := p.store.Stat(asking, u.Path.Key())
	if err != nil {
		return nil // gone, or not to be asked: the next time
	}
	l.asked++
	l.next = time.Now().Add(staleWriteEvery << l.asked)
	if !strings.EqualFold(object.ETag, u.ETag) {
		return nil
	}
	p.log.Warn("the store has put an older version in the place of a newer one, which is put again", "path", u.Path)
	return p.queue.PutAgain(u.Path, f.Stored.ETag)
}
