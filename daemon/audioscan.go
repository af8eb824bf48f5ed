package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/audio"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
)

// What a file of sound says of itself is read after it was enqueued, and after it was uploaded where that is soon: it
// must delay neither. What was not read when the daemon ended is found in the index at the next start.

const (
	soundDelay    = time.Second      // from a file's turn in the queue, so that the upload has the disk to itself
	soundPatience = 10 * time.Second // that uploads are waited for
	soundBatch    = 256              // files whose facts are written together
	maxAudioHints = 4096             // files that are remembered to be read; of more the index is asked
	unreadBatch   = 1000             // records that are looked at in one transaction
)

// audioHints are files that have come, and were not read.
type audioHints struct {
	mu     sync.Mutex
	files  map[codestory.Path]codestory.Version
	missed bool          // there were more
	came   chan struct{} // holds one when there is something
}

func newAudioHints() *audioHints {
	h := &audioHints{files: map[codestory.Path]codestory.Version{}, came: make(chan struct{}, 1)}
	h.miss() // at the start, whatever an earlier run left
	return h
}

// add notes a file of sound. It never waits.
func (h *audioHints) add(path codestory.Path, version codestory.Version) {
	if !audio.Known(string(path)) {
		return
	}
	h.mu.Lock()
	if len(h.files) < maxAudioHints {
		h.files[path] = version
	} else {
		h.missed = true
	}
	h.mu.Unlock()
	h.wake()
}

// miss lets the whole index be looked through.
func (h *audioHints) miss() {
	h.mu.Lock()
	h.missed = true
	h.mu.Unlock()
	h.wake()
}

func (h *audioHints) wake() {
	select {
	case h.came <- struct{}{}:
	default:
	}
}

func (h *audioHints) take() (files map[codestory.Path]codestory.Version, missed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	files, missed = h.files, h.missed
	h.files, h.missed = map[codestory.Path]codestory.Version{}, false
	return files, missed
}

// ScanAudio reads what files of sound say of themselves, one at a time, until ctx ends.
func (d *Daemon) ScanAudio(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.sounds.came:
		}
		if d.awaitQuiet(ctx) != nil || d.uploads.WaitForDir(ctx) != nil {
			return nil
		}
		a := audioScan{Daemon: d}
		files, missed := d.sounds.take()
		for path, version := range files {
			a.scan(ctx, path, version)
		}
		if missed {
			a.scanUnread(ctx)
		}
		if err := a.save(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// awaitQuiet waits until nothing is being uploaded or about to be, but not for ever: a store may be away for days.
func (d *Daemon) awaitQuiet(ctx context.Context) error {
	for end := time.Now().Add(soundPatience); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(soundDelay):
		}
		if !d.busy() || time.Now().After(end) {
			return nil
		}
	}
}

func (d *Daemon) busy() bool {
	s, err := d.queue.Stats()
	return err == nil && s.Queued+s.Uploading > 0
}

// audioScan is one round of ScanAudio.
type audioScan struct {
	*Daemon
	read []queue.Sound // that is not saved
	gone bool          // the output directory is
	err  error         // ctx has ended
}

// scanUnread goes through the index.
func (a *audioScan) scanUnread(ctx context.Context) {
	for after := ""; ctx.Err() == nil && a.err == nil && !a.gone; {
		var (
			files []queue.Change
			next  string
		)
		a.err = queue.RetryDB(ctx, func() (err error) {
			files, next, err = a.queue.Unread(after, unreadBatch, audio.Known)
			return err
		})
		for _, f := range files {
			a.scan(ctx, codestory.Path(f.Path), f.Version)
		}
		if next == "" {
			return
		}
		after = next
	}
}

// scan reads one file. One that has changed, or is gone, comes again by itself; one that cannot be read is uploaded all
// the same, and reports it there.
func (a *audioScan) scan(ctx context.Context, path codestory.Path, version codestory.Version) {
	if ctx.Err() != nil || a.err != nil || a.gone {
		return
	}
	began := time.Now()
	facts, err := a.facts(ctx, path, version)
	if err != nil {
		if a.gone = errors.Is(err, watch.ErrDirMissing); a.gone {
			a.sounds.miss() // for when it is back
			a.uploads.DirGone()
		}
		return
	}
	a.read = append(a.read, queue.Sound{Path: path, Version: version, Audio: facts, At: time.Now().Round(0).UTC()})
	if len(a.read) == soundBatch {
		a.err = a.save(ctx)
	}
	if a.busy() { // uploads have half of the machine at least
		select {
		case <-ctx.Done():
		case <-time.After(time.Since(began)):
		}
	}
}

func (a *audioScan) facts(ctx context.Context, path codestory.Path, version codestory.Version) (codestory.Audio, error) {
	f, err := a.tree.Open(path)
	if err != nil {
		return codestory.Audio{}, err
	}
	defer func() { _ = f.Close() }()
	if f.Version() != version {
		return codestory.Audio{}, codestory.ErrChanged
	}
	facts, err := audio.Read(ctx, f, f.Size(), string(path))
	return facts, errors.Join(err, f.Check())
}

// save writes down what was read. A database that cannot be written for a while is waited for.
func (a *audioScan) save(ctx context.Context) error {
	if a.err != nil {
		return a.err
	}
	read := a.read
	a.read = nil
	return queue.RetryDB(ctx, func() error { return a.queue.SaveSounds(read) })
}
