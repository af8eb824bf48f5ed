package library

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// Others write into the store too: they replace objects, and delete them. So the store is asked again for what only it
// has and others may write, when somebody wants that and the last answer is some seconds old; while a form may be posted,
// each time. And whatever is heard of an object on the way to a player is held against the index. A store that does not
// answer says nothing.

// updateIndex brings the index up to what the store answered for a file that was known like that before it was asked.
func (l *Library) updateIndex(ctx context.Context, known queue.File, object remote.Object, err error) error {
	path, none := codestory.Path(known.Path), errors.Is(err, codestory.ErrNotFound)
	if known.State != codestory.Synced || err != nil && !none || err == nil && sameObject(*known.Stored, object) {
		return nil
	}
	if _, here, err := l.here(path); here || err != nil {
		return nil // it is about to be enqueued
	}
	if none {
		if !l.uploads.AnswersNow(ctx) { // what is missing may be the bucket
			return nil
		}
		l.noteAbsent(path)
		return l.queue.Correct(known, nil, nil)
	}
	var metadata *codestory.Metadata
	if path.IsMetadata() {
		if metadata, object, err = l.fetchMetadata(ctx, path); err != nil {
			return nil // it is asked for again
		}
	}
	stored := storedObject(object)
	l.reading.Lock()
	defer l.reading.Unlock()
	return l.queue.Correct(known, &stored, l.sayOf(path, metadata))
}

// sameObject reports whether the store still has the object that is known. One without an ETag is told by what there is.
func sameObject(known queue.Stored, object remote.Object) bool {
	same := func(a, b string) bool { return a == "" || b == "" || strings.EqualFold(a, b) }
	if known.Size != object.Size || !same(known.ETag, object.ETag) {
		return false
	}
	return known.ETag != "" && object.ETag != "" || same(known.MD5, object.MD5)
}

// refresh is the file, which is not on this machine, with what the store has of it now, where that may have changed.
func (l *Library) refresh(ctx context.Context, known queue.File) (queue.File, error) {
	path := codestory.Path(known.Path)
	others, posting, err := l.queue.Others(path)
	if err != nil || !others || !l.asked.take(known.Path, posting) {
		return known, err
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout) // its answer is for all
	defer cancel()
	object, err := l.store.Stat(asking, path.Key())
	if err != nil && !errors.Is(err, codestory.ErrNotFound) {
		l.asked.unanswered(known.Path)
		return known, nil
	}
	if err := l.updateIndex(asking, known, object, err); err != nil {
		l.log.Warn("what the store has of a file could not be noted", "path", path, "error", err)
		return known, nil
	}
	return l.queue.File(path)
}

// refreshStory is refresh for all of a story, of which others may also have stored what is not known yet.
func (l *Library) refreshStory(ctx context.Context, id codestory.StoryID) error {
	others, posting, err := l.queue.OthersOf(id)
	if err != nil || !others {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	for _, path := range posting {
		_, _ = l.Locate(ctx, path) // where it cannot be told, what is known is all that there is to say
	}
	l.syncStory(ctx, id)
	return nil
}

// indexingStore is the store, for a player of that file: what it answers is learnt.
type indexingStore struct {
	remote.Store
	l    *Library
	path codestory.Path
}

func (a indexingStore) Stat(ctx context.Context, key string) (remote.Object, error) {
	known, knownErr := a.l.queue.File(a.path)
	object, err := a.Store.Stat(ctx, key)
	a.heard(ctx, known, knownErr, object, err)
	return object, err
}

func (a indexingStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	known, knownErr := a.l.queue.File(a.path)
	body, object, err := a.Store.Open(ctx, key, offset, length)
	a.heard(ctx, known, knownErr, object, err)
	return body, object, err
}

func (a indexingStore) heard(ctx context.Context, known queue.File, knownErr error, object remote.Object, err error) {
	if knownErr != nil {
		return
	}
	if err := a.l.updateIndex(ctx, known, object, err); err != nil {
		a.l.log.Warn("what the store has of a file could not be noted", "path", a.path, "error", err)
	}
}

// questions remembers for a while what the store was asked for, so that a player that asks again and again does not ask
// the store each time.
type questions struct {
	keep  time.Duration // an answer; absenceTime if 0
	mu    sync.Mutex
	asked map[string]question
}

type question struct {
	until  time.Time // the answer is good
	silent bool      // there was none
}

const (
	askTimeout   = 2 * time.Second // of a question whose answer a player can do without
	silentTime   = 2 * time.Second // that a store is not asked again which did not answer
	maxQuestions = 8192
)

// take reports whether the store is to be asked, and takes it that it is. urgent is that an answer is never old enough.
func (q *questions) take(what string, urgent bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := q.asked[what]
	if time.Now().Before(last.until) && (!urgent || last.silent) {
		return false
	}
	q.put(what, question{until: time.Now().Add(cmp.Or(q.keep, absenceTime))})
	return true
}

// unanswered says that the store did not answer.
func (q *questions) unanswered(what string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(what, question{time.Now().Add(silentTime), true})
}

func (q *questions) put(what string, asked question) {
	if q.asked == nil || len(q.asked) >= maxQuestions {
		q.asked = map[string]question{}
	}
	q.asked[what] = asked
}
