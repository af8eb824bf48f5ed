package daemon

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// maxGathered bounds the objects of a story that are listed at once. Those after them are found when they are asked for.
const maxGathered = 2000

// listing is an object of a list that is a file's.
type listing struct {
	path   codestory.Path
	object remote.Object
}

// list yields the files that are not on this machine and of which the store has objects whose keys begin with the
// prefix. An error ends it.
func (d *Daemon) list(ctx context.Context, lister remote.Lister, prefix string) iter.Seq2[listing, error] {
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
			if _, here, err := d.here(path); here || err != nil {
				continue // the scan finds it
			}
			if !yield(listing{path, object}, nil) {
				return
			}
		}
	}
}

// gather lists what the store has of a story: what is not known of it is indexed in one go, and where the list says
// otherwise than the index the store is asked for that object. It does so once in a while. A store that cannot list, or
// does not answer, leaves the index as it is.
func (d *Daemon) gather(ctx context.Context, id codestory.StoryID) {
	lister, ok := d.remote.(remote.Lister)
	if !ok || !d.uploads.Reads() || !d.asked.take(string(id), false) {
		return
	}
	if err := d.gatherFrom(ctx, lister, id); err != nil {
		d.asked.unanswered(string(id))
		d.log.Debug("a story was not listed whole", "story", id, "error", err)
	}
}

func (d *Daemon) gatherFrom(ctx context.Context, lister remote.Lister, id codestory.StoryID) error {
	files, err := d.queue.Files(id) // before the store is asked
	if err != nil {
		return err
	}
	known := map[codestory.Path]queue.File{}
	for _, f := range files {
		known[codestory.Path(f.Path)] = f
	}
	fresh, doubtful, err := d.compare(ctx, lister, id, known)
	if err := errors.Join(err, d.indexAll(fresh)); err != nil {
		return err
	}
	for _, f := range doubtful {
		object, err := d.remote.Stat(ctx, codestory.Path(f.Path).Key())
		if err := errors.Join(d.learn(ctx, f, object, err), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// indexAll indexes what was found.
func (d *Daemon) indexAll(found []queue.Found) error {
	d.reading.Lock()
	defer d.reading.Unlock()
	for i := range found {
		found[i].Metadata = d.sayOf(found[i].Path, found[i].Metadata)
	}
	return d.queue.FoundAll(found)
}

// compare holds the list against what is known. What was listed before an error counts.
func (d *Daemon) compare(ctx context.Context, lister remote.Lister, id codestory.StoryID, known map[codestory.Path]queue.File,
) (fresh []queue.Found, doubtful []queue.File, err error) {
	n := 0
	for l, err := range d.list(ctx, lister, codestory.KeyPrefix+string(id)+"/") {
		if err != nil {
			return fresh, doubtful, err
		}
		if n++; n > maxGathered {
			return fresh, doubtful, nil
		}
		f, ok := known[l.path]
		delete(known, l.path)
		switch {
		case ok && f.State == codestory.Synced:
			if !sameObject(*f.Stored, l.object) {
				doubtful = append(doubtful, f)
			}
		case !ok || f.State == codestory.Missing:
			found := queue.Found{Path: l.path, Stored: storedObject(l.object)}
			if l.path.IsMetadata() {
				metadata, object, err := d.fetchMetadata(ctx, l.path)
				if err != nil {
					continue // it is asked for by itself
				}
				found.Stored, found.Metadata = storedObject(object), metadata
			}
			fresh = append(fresh, found)
		}
	}
	for path, f := range known { // and not listed
		if _, here, err := d.here(path); f.State == codestory.Synced && !here && err == nil {
			doubtful = append(doubtful, f)
		}
	}
	return fresh, doubtful, nil
}
