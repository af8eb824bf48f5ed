package daemon

import (
	"context"
	"fmt"
	"io"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
)

// intake makes what the watcher hands on durable.
type intake struct{ d *Daemon }

// Unknown leaves out the versions that the index has already.
func (in intake) Unknown(_ context.Context, seen []watch.Change) ([]watch.Change, error) {
	paths := make([]string, len(seen))
	versions := make([]codestory.Version, len(seen))
	for i, c := range seen {
		paths[i], versions[i] = c.Name, c.Version
	}
	known, err := in.d.queue.Known(paths, versions)
	if err != nil {
		return nil, err
	}
	var unknown []watch.Change
	for i, c := range seen {
		if !known[i] {
			unknown = append(unknown, c)
		}
	}
	return unknown, nil
}

// Settled enqueues the changes, with what a metadata.json among them says of its story.
func (in intake) Settled(_ context.Context, changes []watch.Change) error {
	batch := make([]queue.Change, len(changes))
	for i, c := range changes {
		batch[i] = queue.Change{Path: c.Name, Version: c.Version}
		switch {
		case c.Fault != nil:
			batch[i].Fault = c.Fault.Reason
		case c.Path.IsMetadata():
			m, err := in.metadata(c.Path)
			if err != nil {
				batch[i].Note = err.Error() + "; it is uploaded as it is"
				in.d.log.Warn("a story's metadata cannot be read", "path", c.Path, "error", err)
				continue
			}
			batch[i].Metadata = &m
		}
	}
	return in.d.queue.Enqueue(batch)
}

// metadata reads the file for its fields. Where it changes meanwhile it settles again, and is read again.
func (in intake) metadata(path codestory.Path) (codestory.Metadata, error) {
	f, err := in.d.tree.Open(path)
	if err != nil {
		return codestory.Metadata{}, err
	}
	defer func() { _ = f.Close() }()
	return readMetadata(f)
}

func readMetadata(r io.Reader) (codestory.Metadata, error) {
	b, err := io.ReadAll(io.LimitReader(r, codestory.MaxMetadataBytes+1))
	if err != nil {
		return codestory.Metadata{}, fmt.Errorf("reading metadata.json: %w", err)
	}
	return codestory.ParseMetadata(b)
}
