package daemon

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

// intake makes what the watcher hands on durable.
type intake struct{ d *Daemon }

// Finished records the versions that the index does not have yet. One of a metadata.json that cannot be read for now is an
// error, after all others were enqueued: the watcher comes again, and they are known then.
func (in intake) Finished(ctx context.Context, files []watch.Change, ready func(watch.Change) bool) error {
	paths := make([]string, len(files))
	versions := make([]codestory.Version, len(files))
	for i, c := range files {
		paths[i], versions[i] = c.Name, c.Version
		in.d.twins.note(in.d.tree, c.Name, c.Version)
	}
	known, err := in.d.queue.Known(paths, versions)
	if err != nil {
		return err
	}
	var changes []watch.Change
	for i, c := range files {
		if in.readOnly(c) {
			if known[i], err = in.wasRead(c); err != nil {
				return err
			}
		}
		if (c.Again || !known[i]) && ready(c) {
			changes = append(changes, c)
		}
	}
	return in.record(ctx, changes)
}

// readOnly reports whether this is a metadata.json that is excluded: it is read, and not uploaded.
func (in intake) readOnly(c watch.Change) bool {
	return c.Path.IsMetadata() && in.d.rules.Excludes(c.Path)
}

// wasRead reports whether an excluded metadata.json was read in that version, or is to be once the index knows the story.
func (in intake) wasRead(c watch.Change) (bool, error) {
	read, err := in.d.queue.MetadataRead(c.Path.Story(), c.Version)
	if read || err != nil {
		return read, err
	}
	if _, err := in.d.queue.Owner(c.Path.Story()); !errors.Is(err, codestory.ErrNotFound) {
		return false, err
	}
	in.d.reading.Lock()
	defer in.d.reading.Unlock()
	return in.d.settled[c.Path.Story()] == c.Version, nil
}

// record enqueues the changes, with what a metadata.json among them says of its story.
func (in intake) record(ctx context.Context, changes []watch.Change) error {
	in.d.reading.Lock()
	defer in.d.reading.Unlock()
	batch, readOnly := make([]queue.Change, 0, len(changes)), []queue.Change(nil)
	var unread error
	read := int64(0) // bytes of metadata in the batch
	for _, c := range changes {
		change := queue.Change{Path: c.Name, Version: c.Version, ReadOnly: in.readOnly(c)}
		switch {
		case len(c.Name) > queue.MaxPath:
			in.d.log.Warn("a path is too long to be kept in the queue: shorten it", "bytes", len(c.Name), "begins", c.Name[:100])
			continue
		case c.Fault != nil:
			change.Fault = c.Fault.Reason
		case c.Path.IsMetadata():
			m, faults, err := in.metadata(ctx, c)
			if errors.Is(err, codestory.ErrChanged) {
				in.d.watcher.Recheck(c.Path)
				continue
			}
			if err != nil {
				unread = errors.Join(unread, err)
				continue
			}
			change.Metadata = m
			if faults != "" {
				in.tellFaults(c, faults)
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
			if err := in.enqueue(ctx, batch); err != nil {
				return errors.Join(err, unread)
			}
			batch, read = nil, 0
		}
	}
	batch = append(batch, readOnly...) // which counts once the story is known
	return errors.Join(in.enqueue(ctx, batch), unread)
}

// maxMetadataRead is how many bytes of metadata.json files are read before what they say is enqueued: a scan may find
// thousands of them at once.
const maxMetadataRead = 4 << 20

func (in intake) enqueue(ctx context.Context, batch []queue.Change) error {
	if err := in.d.queue.Enqueue(batch); err != nil {
		return err
	}
	var unread error
	for _, c := range batch {
		unread = errors.Join(unread, in.enqueued(ctx, c))
	}
	return unread
}

// enqueued goes on with a change that is durable.
func (in intake) enqueued(ctx context.Context, c queue.Change) error {
	path := codestory.Path(c.Path)
	if c.Fault != "" {
		return nil
	}
	if !c.ReadOnly {
		in.d.sounds.add(path, c.Version)
	}
	if !path.IsMetadata() {
		return in.readExcluded(ctx, path.Story())
	}
	if _, err := in.d.queue.Owner(path.Story()); err == nil {
		in.d.events.touch(path.Story()) // which may be somebody else's now
	} else if c.ReadOnly {
		if in.d.settled == nil || len(in.d.settled) >= maxSettled {
			in.d.settled = map[codestory.StoryID]codestory.Version{}
		}
		in.d.settled[path.Story()] = c.Version
	}
	return nil
}

// maxSettled bounds the versions that are remembered of excluded metadata.json. The others have to settle once more.
const maxSettled = 4096

// readExcluded has the metadata.json of a story read that is excluded, if nobody knows whose the story is: the file was
// handed on before the index knew the story, and makes none.
func (in intake) readExcluded(ctx context.Context, id codestory.StoryID) error {
	path := codestory.MetadataPath(id)
	if !in.d.rules.Excludes(path) {
		return nil
	}
	if owner, err := in.d.queue.Owner(id); err != nil || owner.Known() {
		return err
	}
	version, here, err := in.d.here(path)
	if !here && err == nil {
		return nil
	}
	if err == nil && in.d.settled[id] == version {
		c := watch.Change{Name: string(path), Path: path, Version: version}
		if m, _, err := in.metadata(ctx, c); err == nil {
			in.d.events.touch(id)
			return in.d.queue.Enqueue([]queue.Change{{Path: c.Name, Version: version, Metadata: m, ReadOnly: true}})
		}
	}
	in.d.reread(path)
	return nil
}

// tellFaults logs what is wrong with a metadata.json, once for each version.
func (in intake) tellFaults(c watch.Change, faults string) {
	known, err := in.d.queue.Known([]string{c.Name}, []codestory.Version{c.Version})
	if in.readOnly(c) {
		known[0], err = in.d.queue.MetadataRead(c.Path.Story(), c.Version)
	}
	if err == nil && !known[0] {
		in.d.log.Warn("a story's metadata cannot be read", "path", c.Path, "faults", faults)
	}
}

// metadata reads the file for its fields; nil if it cannot be parsed, or read by this user, or is gone. faults is what is
// wrong with it, in a sentence. codestory.ErrChanged says that it is not the version that has settled, or is open for
// writing. Any other error is one of the disk: the file has to be read later.
func (in intake) metadata(ctx context.Context, c watch.Change) (m *codestory.Metadata, faults string, err error) {
	f, err := in.d.tree.OpenVersion(ctx, c.Path, c.Version)
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
