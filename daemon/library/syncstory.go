package library

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// maxListed bounds the objects of a story that are listed at once. Those after them are found when they are asked for.
const maxListed = 2000

// listing is an object of a list that is a file's.
type listing struct {
	path   codestory.Path
	object remote.Object
}

// list yields the files that are not on this machine and of which the store has objects whose keys begin with the
// prefix. An error ends it.
func (l *Library) list(ctx context.Context, lister remote.Lister, prefix string) iter.Seq2[listing, error] {
	return func(yield func(listing, error) bool) {
		for object, err := range lister.List(ctx, prefix, "") {
			if err != nil {
				yield(listing{}, err)
				return
			}
			path, err := codestory.ParsePath(strings.TrimPrefix(object.Key, codestory.KeyPrefix))
			if err != nil {
				continue // not ours
			}
			if _, here, err := l.here(path); here || err != nil {
				continue // the scan finds it
			}
			if !yield(listing{path, object}, nil) {
				return
			}
		}
	}
}

// syncStory lists what the store has of a story: what is not known of it is indexed in one go, and where the list says
// otherwise than the index the store is asked for that object. It does so once in a while. A store that cannot list, or
// does not answer, leaves the index as it is.
func (l *Library) syncStory(ctx context.Context, id codestory.StoryID) {
	lister, ok := l.store.(remote.Lister)
	if !ok || !l.uploads.Reads() || !l.asked.take(string(id), false) {
		return
	}
	if err := l.syncStoryFrom(ctx, lister, id); err != nil {
		l.asked.unanswered(string(id))
		l.log.Debug("a story was not listed whole", "story", id, "error", err)
	}
}

func (l *Library) syncStoryFrom(ctx context.Context, lister remote.Lister, id codestory.StoryID) error {
	files, err := l.queue.Files(id) // before the store is asked
	if err != nil {
		return err
	}
	known := map[codestory.Path]queue.File{}
	for _, f := range files {
		known[codestory.Path(f.Path)] = f
	}
	fresh, doubtful, err := l.compare(ctx, lister, id, known)
	if err := errors.Join(err, l.indexAll(fresh)); err != nil {
		return err
	}
	for _, f := range doubtful {
		object, err := l.store.Stat(ctx, codestory.Path(f.Path).Key())
		if err := errors.Join(l.updateIndex(ctx, f, object, err), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// indexAll indexes what was found.
func (l *Library) indexAll(found []queue.Found) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	for i := range found {
		found[i].Metadata = l.sayOf(found[i].Path, found[i].Metadata)
	}
	return l.queue.FoundAll(found)
}

// compare holds the list against what is known. What was listed before an error counts.
func (l *Library) compare(ctx context.Context, lister remote.Lister, id codestory.StoryID, known map[codestory.Path]queue.File,
) (fresh []queue.Found, doubtful []queue.File, err error) {
	n := 0
	for item, err := range l.list(ctx, lister, codestory.KeyPrefix+string(id)+"/") {
		if err != nil {
			return fresh, doubtful, err
		}
		if n++; n > maxListed {
			return fresh, doubtful, nil
		}
		f, ok := known[item.path]
		delete(known, item.path)
		switch {
		case ok && f.State == codestory.Synced:
			if !sameObject(*f.Stored, item.object) {
				doubtful = append(doubtful, f)
			}
		case !ok || f.State == codestory.Missing:
			found := queue.Found{Path: item.path, Stored: storedObject(item.object)}
			if item.path.IsMetadata() {
				metadata, object, err := l.fetchMetadata(ctx, item.path)
				if err != nil {
					continue // it is asked for by itself
				}
				found.Stored, found.Metadata = storedObject(object), metadata
			}
			fresh = append(fresh, found)
		}
	}
	for path, f := range known { // and not listed
		if _, here, err := l.here(path); f.State == codestory.Synced && !here && err == nil {
			doubtful = append(doubtful, f)
		}
	}
	return fresh, doubtful, nil
}
