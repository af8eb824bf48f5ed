package library

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// findTimeout bounds a question to the store that a player waits for.
const findTimeout = 10 * time.Second

// lookup asks the store for an object that is neither here nor in the index, and indexes it. The error wraps
// codestory.ErrNotFound where the store has none, codestory.ErrUnavailable where it does not answer.
func (l *Library) lookup(ctx context.Context, path codestory.Path) error {
	if l.absent.has(path) {
		if posting, err := l.queue.FormSigned(path); err != nil {
			return err
		} else if !posting {
			return fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
		}
	}
	if removed, err := l.queue.Removed(path); err != nil {
		return err
	} else if removed {
		return fmt.Errorf("%s: %w", path, codestory.ErrNotFound)
	}
	if !l.uploads.Reads() {
		return fmt.Errorf("%s: %w", path, codestory.ErrUnavailable)
	}
	if err := codestory.MayAsk(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	l.asked.take(string(path), true)
	object, err := l.store.Stat(ctx, path.Key())
	if errors.Is(err, codestory.ErrNotFound) {
		l.noteAbsent(path)
	}
	if err != nil {
		return l.unanswered(ctx, err)
	}
	var metadata *codestory.Metadata
	if path.IsMetadata() {
		if metadata, object, err = l.fetchMetadata(ctx, path); err != nil {
			return l.unanswered(ctx, err)
		}
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	err = l.queue.Found(path, storedObject(object), l.sayOf(path, metadata))
	if metadata != nil {
		l.storyChanged(path.Story())
	}
	return err
}

// storedObject is the object as the index has it.
func storedObject(object remote.Object) queue.Stored {
	return queue.Stored{Size: object.Size, ETag: object.ETag, MD5: object.MD5}
}

// noteAbsent keeps the store's answer that it has no such object, unless somebody may be posting it.
func (l *Library) noteAbsent(path codestory.Path) {
	if posting, err := l.queue.FormSigned(path); err == nil && !posting {
		l.absent.add(path)
	}
}

// lookupStory asks the store for a story that nothing is known of here, and indexes what there is of it: by one list, if the
// store can list.
func (l *Library) lookupStory(ctx context.Context, id codestory.StoryID) error {
	lister, ok := l.store.(remote.Lister)
	if !ok {
		return l.lookupStoryFiles(ctx, id)
	}
	unknown := fmt.Errorf("story %s: %w", id, codestory.ErrNotFound)
	if _, posting, err := l.queue.OthersOf(id); err != nil {
		return err
	} else if len(posting) == 0 && l.absent.has(codestory.Path(id)) {
		return unknown
	}
	if !l.uploads.Reads() {
		return fmt.Errorf("story %s: %w", id, codestory.ErrUnavailable)
	}
	if err := codestory.MayAsk(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	l.asked.take(string(id), true)
	if err := l.syncStoryFrom(ctx, lister, id); mayNotList(err) {
		return l.lookupStoryFiles(ctx, id)
	} else if err != nil {
		return l.unanswered(ctx, err)
	}
	_, err := l.queue.Owner(id)
	if errors.Is(err, codestory.ErrNotFound) {
		l.absent.add(codestory.Path(id))
		return unknown
	}
	return err
}

// lookupStoryFiles is lookupStory for a store that cannot list: it asks for the metadata, which says whose the story is, or else
// for the whole story.
func (l *Library) lookupStoryFiles(ctx context.Context, id codestory.StoryID) error {
	err := l.lookup(ctx, codestory.MetadataPath(id))
	if errors.Is(err, codestory.ErrNotFound) {
		err = l.lookup(ctx, codestory.StoryAudioPath(id))
	}
	return err
}

// mayNotList reports whether the store refused to list, although it may answer for single objects.
func mayNotList(err error) bool {
	e, ok := errors.AsType[*codestory.Error](err)
	return errors.Is(err, errors.ErrUnsupported) || ok && e.State == codestory.RemoteDenied
}

// fetchMetadata reads a metadata.json in the store, and says which object it was. One that does not parse is nil: it
// says nothing.
func (l *Library) fetchMetadata(ctx context.Context, path codestory.Path) (*codestory.Metadata, remote.Object, error) {
	r, object, err := l.store.Open(ctx, path.Key(), 0, -1)
	if err != nil {
		return nil, remote.Object{}, err
	}
	defer func() { _ = r.Close() }()
	m, faults, err := readMetadata(r)
	if faults != "" {
		l.log.Warn("a story's metadata in the store cannot be read", "path", path, "faults", faults)
	}
	return m, object, err
}

// unanswered makes an error of the store one for players: not found, or temporarily unavailable, with the cause in
// the log.
func (l *Library) unanswered(ctx context.Context, err error) error {
	if errors.Is(err, codestory.ErrNotFound) {
		return err
	}
	if ctx.Err() == nil {
		l.log.Warn("the store did not answer a question", "error", err)
	}
	return fmt.Errorf("%w: %w", codestory.ErrUnavailable, err)
}

// absences remembers for a while what the store said it has not, so that a player that asks again and again does not
// ask the store each time.
type absences struct {
	mu    sync.Mutex
	until map[codestory.Path]time.Time
}

const (
	absenceTime = 10 * time.Second
	maxAbsences = 1024
)

func (a *absences) has(path codestory.Path) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.until[path])
}

func (a *absences) add(path codestory.Path) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until == nil || len(a.until) >= maxAbsences {
		a.until = map[codestory.Path]time.Time{}
	}
	a.until[path] = time.Now().Add(absenceTime)
}
