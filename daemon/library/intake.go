package library

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
)

// Finished records the versions that the index does not have yet. One of a metadata.json that cannot be read for now is an
// error, after all others were enqueued: the watcher comes again, and they are known then.
func (l *Library) Finished(ctx context.Context, files []watch.Change, ready func(watch.Change) bool) error {
	paths := make([]string, len(files))
	versions := make([]codestory.Version, len(files))
	for i, c := range files {
		paths[i], versions[i] = c.Name, c.Version
		l.collisions.note(l.tree, c.Name, c.Version)
	}
	known, err := l.queue.Known(paths, versions)
	if err != nil {
		return err
	}
	var changes []watch.Change
	for i, c := range files {
		if l.readOnly(c) {
			if known[i], err = l.wasRead(c); err != nil {
				return err
			}
		}
		if (c.Again || !known[i]) && ready(c) {
			changes = append(changes, c)
		}
	}
	return l.record(ctx, changes)
}

// readOnly reports whether this is a metadata.json that is excluded: it is read, and not uploaded.
func (l *Library) readOnly(c watch.Change) bool {
	return c.Path.IsMetadata() && l.rules.Excludes(c.Path)
}

// wasRead reports whether an excluded metadata.json was read in that version, or is to be once the index knows the story.
func (l *Library) wasRead(c watch.Change) (bool, error) {
	read, err := l.queue.MetadataRead(c.Path.Story(), c.Version)
	if read || err != nil {
		return read, err
	}
	if _, err := l.queue.Owner(c.Path.Story()); !errors.Is(err, codestory.ErrNotFound) {
		return false, err
	}
	l.reading.Lock()
	defer l.reading.Unlock()
	return l.settled[c.Path.Story()] == c.Version, nil
}

// record enqueues the changes, with what a metadata.json among them says of its story.
func (l *Library) record(ctx context.Context, changes []watch.Change) error {
	l.reading.Lock()
	defer l.reading.Unlock()
	batch, readOnly := make([]queue.Change, 0, len(changes)), []queue.Change(nil)
	var unread error
	read := int64(0) // bytes of metadata in the batch
	for _, c := range changes {
		change := queue.Change{Path: c.Name, Version: c.Version, ReadOnly: l.readOnly(c)}
		switch {
		case len(c.Name) > queue.MaxPath:
			l.log.Warn("a path is too long to be kept in the queue: shorten it", "bytes", len(c.Name), "begins", c.Name[:100])
			continue
		case c.Fault != nil:
			change.Fault = c.Fault.Reason
		case c.Path.IsMetadata():
			m, faults, err := l.metadata(ctx, c)
			if errors.Is(err, codestory.ErrChanged) {
				l.watcher.Recheck(c.Path)
				continue
			}
			if err != nil {
				unread = errors.Join(unread, err)
				continue
			}
			change.Metadata = m
			if faults != "" {
				l.tellFaults(c, faults)
				change.Note = faults + "; it is uploaded as it is"
			}
		}
		if change.ReadOnly {
			readOnly = append(readOnly, change)
		} else {
			batch = append(batch, change)
		}
		if change.Metadata != nil {
			read += c.Version.Size
		}
		if read > maxMetadataRead {
			if err := l.enqueue(ctx, batch); err != nil {
				return errors.Join(err, unread)
			}
			batch, read = nil, 0
		}
	}
	batch = append(batch, readOnly...) // which counts once the story is known
	return errors.Join(l.enqueue(ctx, batch), unread)
}

// maxMetadataRead is how many bytes of metadata.json files are read before what they say is enqueued: a scan may find
// thousands of them at once.
const maxMetadataRead = 4 << 20

func (l *Library) enqueue(ctx context.Context, batch []queue.Change) error {
	if err := l.queue.Enqueue(batch); err != nil {
		return err
	}
	var unread error
	for _, c := range batch {
		unread = errors.Join(unread, l.enqueued(ctx, c))
	}
	return unread
}

// enqueued goes on with a change that is durable.
func (l *Library) enqueued(ctx context.Context, c queue.Change) error {
	path := codestory.Path(c.Path)
	if c.Fault != "" {
		return nil
	}
	if !c.ReadOnly {
		l.enqueuedFile(path, c.Version)
	}
	if !path.IsMetadata() {
		return l.readExcluded(ctx, path.Story())
	}
	if _, err := l.queue.Owner(path.Story()); err == nil {
		l.storyChanged(path.Story()) // which may be somebody else's now
	} else if c.ReadOnly {
		if l.settled == nil || len(l.settled) >= maxSettled {
			l.settled = map[codestory.StoryID]codestory.Version{}
		}
		l.settled[path.Story()] = c.Version
	}
	return nil
}

// maxSettled bounds the versions that are remembered of excluded metadata.json. The others have to settle once more.
const maxSettled = 4096

// readExcluded has the metadata.json of a story read that is excluded, if nobody knows whose the story is: the file was
// handed on before the index knew the story, and makes none.
func (l *Library) readExcluded(ctx context.Context, id codestory.StoryID) error {
	path := codestory.MetadataPath(id)
	if !l.rules.Excludes(path) {
		return nil
	}
	if owner, err := l.queue.Owner(id); err != nil || owner.Known() {
		return err
	}
	version, here, err := l.here(path)
	if !here && err == nil {
		return nil
	}
	if err == nil && l.settled[id] == version {
		c := watch.Change{Name: string(path), Path: path, Version: version}
		if m, _, err := l.metadata(ctx, c); err == nil {
			l.storyChanged(id)
			return l.queue.Enqueue([]queue.Change{{Path: c.Name, Version: version, Metadata: m, ReadOnly: true}})
		}
	}
	l.reread(path)
	return nil
}

// tellFaults logs what is wrong with a metadata.json, once for each version.
func (l *Library) tellFaults(c watch.Change, faults string) {
	known, err := l.queue.Known([]string{c.Name}, []codestory.Version{c.Version})
	if l.readOnly(c) {
		known[0], err = l.queue.MetadataRead(c.Path.Story(), c.Version)
	}
	if err == nil && !known[0] {
		l.log.Warn("a story's metadata cannot be read", "path", c.Path, "faults", faults)
	}
}

// metadata reads the file for its fields; nil if it cannot be parsed, or read by this user, or is gone. faults is what is
// wrong with it, in a sentence. codestory.ErrChanged says that it is not the version that has settled, or is open for
// writing. Any other error is one of the disk: the file has to be read later.
func (l *Library) metadata(ctx context.Context, c watch.Change) (m *codestory.Metadata, faults string, err error) {
	f, err := l.tree.OpenVersion(ctx, c.Path, c.Version)
	switch {
	case errors.Is(err, codestory.ErrNotFound):
		return nil, "", nil
	case errors.Is(err, fs.ErrPermission):
		return nil, "metadata.json cannot be read: give the user that the daemon runs as the right to", nil
	case err != nil:
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	if m, faults, err = readMetadata(f); err != nil {
		return nil, "", err
	}
	return m, faults, f.Unchanged()
}

// readMetadata reads a metadata.json; nil where nothing of it parses. Its error is one of reading.
func readMetadata(r io.Reader) (m *codestory.Metadata, faults string, err error) {
	b, err := io.ReadAll(io.LimitReader(r, codestory.MaxMetadataBytes+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading metadata.json: %w", err)
	}
	parsed, faults, err := codestory.ParseMetadata(b)
	if err != nil {
		return nil, err.Error(), nil
	}
	return &parsed, faults, nil
}
