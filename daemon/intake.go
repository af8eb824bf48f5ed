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

// Finished enqueues the versions that the index does not have yet, with what a metadata.json among them says of its
// story. One that cannot be read for now is an error, after all others were enqueued: the watcher comes again, and they
// are known then.
func (in intake) Finished(_ context.Context, files []watch.Change, ready func(watch.Change) bool) error {
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
		if !known[i] && ready(c) {
			changes = append(changes, c)
		}
	}
	return in.enqueue(changes)
}

func (in intake) enqueue(changes []watch.Change) error {
	batch := make([]queue.Change, 0, len(changes))
	var unread error
	for _, c := range changes {
		change := queue.Change{Path: c.Name, Version: c.Version}
		switch {
		case len(c.Name) > queue.MaxPath:
			in.d.log.Warn("a path is too long to be kept in the queue: shorten it", "bytes", len(c.Name), "begins", c.Name[:100])
			continue
		case c.Fault != nil:
			change.Fault = c.Fault.Reason
		case c.Path.IsMetadata():
			m, faults, err := in.metadata(c.Path)
			if err != nil {
				unread = errors.Join(unread, err)
				continue
			}
			change.Metadata = m
			if faults != "" {
				change.Note = faults + "; it is uploaded as it is"
				in.d.log.Warn("a story's metadata cannot be read", "path", c.Path, "faults", faults)
			}
		}
		batch = append(batch, change)
	}
	if err := in.d.queue.Enqueue(batch); err != nil {
		return errors.Join(err, unread)
	}
	for _, c := range batch {
		if c.Fault == "" {
			in.d.sounds.add(codestory.Path(c.Path), c.Version)
		}
	}
	return unread
}

// metadata reads the file for its fields; nil where it cannot be parsed, or read by this user, or is gone. faults is
// what is wrong with it, in a sentence. Where it changes meanwhile it settles again, and is read again. An error is one
// of the disk: the file has to be read later.
func (in intake) metadata(path codestory.Path) (m *codestory.Metadata, faults string, err error) {
	f, err := in.d.tree.Open(path)
	switch {
	case errors.Is(err, codestory.ErrNotFound):
		return nil, "", nil
	case errors.Is(err, fs.ErrPermission):
		return nil, "metadata.json cannot be read: give the user that the daemon runs as the right to", nil
	case err != nil:
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	m, faults, err = readMetadata(f)
	return m, faults, err
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
