package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	maxSoundHints = 4096             // files that are remembered to be read; of more the index is asked
	unreadBatch   = 1000             // records that are looked at in one transaction
)

// soundHints are files that have come, and were not read.
type soundHints struct {
	mu     sync.Mutex
	files  map[codestory.Path]codestory.Version
	missed bool          // there were more
	came   chan struct{} // holds one when there is something
}

func newSoundHints() *soundHints {
	h := &soundHints{files: map[codestory.Path]codestory.Version{}, came: make(chan struct{}, 1)}
	h.miss() // at the start, whatever an earlier run left
	return h
}

// add notes a file of sound. It never waits.
func (h *soundHints) add(path codestory.Path, version codestory.Version) {
	if !audio.Known(string(path)) {
		return
	}
	h.mu.Lock()
	if len(h.files) < maxSoundHints {
		h.files[path] = version
	} else {
		h.missed = true
	}
	h.mu.Unlock()
	h.wake()
}

// miss lets the whole index be looked through.
func (h *soundHints) miss() {
	h.mu.Lock()
	h.missed = true
	h.mu.Unlock()
	h.wake()
}

func (h *soundHints) wake() {
	select {
	case h.came <- struct{}{}:
	default:
	}
}

func (h *soundHints) take() (files map[codestory.Path]codestory.Version, missed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	files, missed = h.files, h.missed
	h.files, h.missed = map[codestory.Path]codestory.Version{}, false
	return files, missed
}

// Listen reads what files of sound say of themselves, one at a time, until ctx ends.
func (d *Daemon) Listen(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.sounds.came:
		}
		if d.awaitQuiet(ctx) != nil || d.awaitDir(ctx) != nil {
			return nil
		}
		l := listener{Daemon: d}
		files, missed := d.sounds.take()
		for path, version := range files {
			l.hear(ctx, path, version)
		}
		if missed {
			l.hearUnread(ctx)
		}
		if err := l.save(ctx); err != nil {
			return stopped(ctx, err)
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

// listener is one round of Listen.
type listener struct {
	*Daemon
	read []queue.Sound // that is not saved
	gone bool          // the output directory is
	err  error         // ctx has ended
}

// hearUnread goes through the index.
func (l *listener) hearUnread(ctx context.Context) {
	for after := ""; ctx.Err() == nil && l.err == nil && !l.gone; {
		var (
			files []queue.Change
			next  string
		)
		l.err = l.surely(ctx, func() (err error) {
			files, next, err = l.queue.Unread(after, unreadBatch, audio.Known)
			return err
		})
		for _, f := range files {
			l.hear(ctx, codestory.Path(f.Path), f.Version)
		}
		if next == "" {
			return
		}
		after = next
	}
}

// hear reads one file. One that has changed, or is gone, comes again by itself; one that cannot be read is uploaded all
// the same, and reports it there.
func (l *listener) hear(ctx context.Context, path codestory.Path, version codestory.Version) {
	if ctx.Err() != nil || l.err != nil || l.gone {
		return
	}
	began := time.Now()
	facts, err := l.facts(ctx, path, version)
	if err != nil {
		if l.gone = errors.Is(err, watch.ErrDirMissing); l.gone {
			l.sounds.miss() // for when it is back
			l.present.set(time.Time{})
		}
		return
	}
	l.read = append(l.read, queue.Sound{Path: path, Version: version, Audio: facts, At: time.Now().Round(0).UTC()})
	if len(l.read) == soundBatch {
		l.err = l.save(ctx)
	}
	if l.busy() { // uploads have half of the machine at least
		select {
		case <-ctx.Done():
		case <-time.After(time.Since(began)):
		}
	}
}

func (l *listener) facts(ctx context.Context, path codestory.Path, version codestory.Version) (codestory.Audio, error) {
	f, err := l.tree.Open(path)
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
func (l *listener) save(ctx context.Context) error {
	if l.err != nil {
		return l.err
	}
	read := l.read
	l.read = nil
	return l.surely(ctx, func() error { return l.queue.SaveSounds(read) })
}

// maxFaultyListed bounds the files that are named in the status.
const maxFaultyListed = 5

// FileProblems are the problems of files that are stored as they are, as far as the database knows.
func FileProblems(q *queue.Queue) ([]codestory.Problem, error) {
	faulty, faultyErr := faultySounds(q)
	odd, oddErr := oddMetadata(q)
	return append(faulty, odd...), errors.Join(faultyErr, oddErr)
}

// oddMetadata is the problem of what is not read of metadata.json files, if there is any.
func oddMetadata(q *queue.Queue) ([]codestory.Problem, error) {
	odd, others, err := q.Odd(maxFaultyListed)
	if err != nil || len(odd) == 0 {
		return nil, err
	}
	p := codestory.Problem{
		Code: "metadata", Since: odd[0].Version.Modified(),
		Message: "not all of metadata.json is read: what is listed does not show in stories and feeds",
	}
	for _, f := range odd {
		p.Details = append(p.Details, f.Path+": "+strings.TrimPrefix(f.Reason, "metadata.json: ")) // the path says it
	}
	if others > 0 {
		p.Details = append(p.Details, fmt.Sprintf("and %d more", others))
	}
	return []codestory.Problem{p}, nil
}

// faultySounds is the problem of files that players trip over, if the database knows any.
func faultySounds(q *queue.Queue) ([]codestory.Problem, error) {
	faulty, others, err := q.Faulty(maxFaultyListed)
	if err != nil || len(faulty) == 0 {
		return nil, err
	}
	p := codestory.Problem{
		Code: "audio_faults", Since: faulty[0].At,
		Message: "players trip over files of sound, which are stored as they are: each story lists the faults of its own",
	}
	for _, s := range faulty {
		p.Details = append(p.Details, string(s.Path)+": "+s.Audio.Faults[0].Message)
		if s.At.Before(p.Since) {
			p.Since = s.At
		}
	}
	if others > 0 {
		p.Details = append(p.Details, fmt.Sprintf("and %d more", others))
	}
	return []codestory.Problem{p}, nil
}
