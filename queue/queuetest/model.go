// Package queuetest tries the queue: at random against a plain reference, and by killing the process that writes to
// it. It is imported by tests only, and knows the queue through its exported methods alone.
package queuetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// Model takes the given number of random steps with a queue and with the reference, and compares the two after each.
// invariants looks into the database itself. It runs in a bubble of testing/synctest, so that the hours between steps take
// no time. The same seed takes the same steps; a failure prints it, with the last of them.
func Model(t *testing.T, seed uint64, steps int, invariants func(*queue.Queue) error) {
	t.Helper()
	db := filepath.Join(t.TempDir(), "codestoryd.db")
	synctest.Test(t, func(t *testing.T) {
		m := &model{
			rng: rand.New(rand.NewPCG(seed, 0)), db: db, invariants: invariants,
			ref: newReference("a"), paths: modelPaths(),
		}
		fail := func(step int, err error) {
			t.Fatalf("seed %d, step %d: %v\nthe last steps were:\n%s", seed, step, err, strings.Join(m.trace, "\n"))
		}
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.q.Close() }()
		for step := range steps {
			if err := errors.Join(m.step(), m.compare()); err != nil {
				fail(step, err)
			}
		}
		if err := m.drain(); err != nil {
			fail(steps, err)
		}
	})
}

type model struct {
	rng        *rand.Rand
	db         string
	invariants func(*queue.Queue) error
	q          *queue.Queue
	ref        *reference
	backup     *reference // as the queue was when it was backed up last
	paths      []string
	claims     []claim
	puts       int
	trace      []string
}

// claim is an open one, with the reference's number for its version.
type claim struct {
	*queue.Claim
	generation int
}

const unstorable = "33333333-0000-4000-8000-000000000000/bad\xff.mp3"

func modelPaths() []string {
	a, b := codestory.StoryID("11111111-0000-4000-8000-000000000000"), codestory.StoryID("22222222-0000-4000-8000-000000000000")
	return []string{
		string(codestory.MetadataPath(a)), string(codestory.ChapterPath(a, 1)), string(codestory.ChapterPath(a, 2)),
		string(codestory.StoryAudioPath(a)), string(a) + "/cover.jpg",
		string(codestory.MetadataPath(b)), string(codestory.ChapterPath(b, 1)), unstorable,
	}
}

const traceLength = 30

func (m *model) logf(format string, args ...any) {
	m.trace = append(m.trace, time.Now().Format("  15:04:05.000 ")+fmt.Sprintf(format, args...))
	m.trace = m.trace[max(0, len(m.trace)-traceLength):]
}

func (m *model) open() (err error) {
	m.q, err = queue.Open(m.db, m.ref.destination, queue.Options{})
	return err
}

func (m *model) step() error {
	switch n := m.rng.IntN(100); {
	case n < 30:
		return m.enqueue()
	case n < 55:
		return m.next()
	case n < 85:
		return m.settle()
	case n < 87:
		return m.found()
	case n < 88:
		return m.correct()
	case n < 91:
		return m.operate()
	case n < 96:
		d := time.Duration(m.rng.Int64N(int64(5 * time.Hour)))
		m.logf("sleep %v", d)
		time.Sleep(d)
		return nil
	case n < 97:
		m.logf("back up")
		m.backup = m.ref.clone()
		return m.q.Backup(context.Background())
	case n < 98:
		return m.lose()
	default:
		return m.reopen()
	}
}

func (m *model) enqueue() error {
	changes := make([]queue.Change, 1+m.rng.IntN(3))
	for i := range changes {
		c := queue.Change{Path: m.paths[m.rng.IntN(len(m.paths))]}
		// Few versions, so that known and older ones come again.
		n := m.rng.Int64N(6)
		c.Version = codestory.Version{Size: 1 << (4 * n), ModTime: 1000 + n, ChangeTime: 2000 + n, Inode: 7}
		if c.Path == unstorable {
			c.Fault = "rename it"
		}
		if m.rng.IntN(4) == 0 {
			c.Note = "odd"
		}
		if codestory.Path(c.Path).IsMetadata() && m.rng.IntN(3) > 0 {
			c.Metadata = m.metadata()
		}
		changes[i] = c
	}
	now := time.Now()
	m.logf("enqueue %+v", changes)
	for _, c := range changes {
		m.ref.enqueue(c, now)
	}
	return m.q.Enqueue(changes)
}

func (m *model) metadata() *codestory.Metadata {
	md := &codestory.Metadata{Title: fmt.Sprint("title ", m.rng.IntN(3))}
	switch n := m.rng.IntN(5); {
	case n < 3:
		md.Owner = codestory.OwnedBy([]string{"", "ann", "bob"}[n])
	case n == 3:
		md.Unowned = true
	}
	if m.rng.IntN(2) == 0 {
		md.CreatedAt = time.Date(1990+m.rng.IntN(20), 1, 1, 0, 0, 0, m.rng.IntN(2), time.UTC)
	}
	return md
}

func (m *model) next() error {
	want := m.ref.next(time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	c, err := m.q.Next(ctx)
	if want == "" {
		m.logf("next: nothing")
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("queue.Next gave %+v, %v where nothing waits", c, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("queue.Next: %w, want %s", err, want)
	}
	m.logf("next: %s, size %d", c.Path, c.Version.Size)
	e := m.ref.files[want]
	m.claims = append(m.claims, claim{c, e.generation})
	if string(c.Path) != want || c.Version != e.version || c.Attempt != e.attempt+1 {
		return fmt.Errorf("queue.Next gave %+v, want %s, %+v, attempt %d", c, want, e.version, e.attempt+1)
	}
	if wantStored := m.ref.here(e); !reflect.DeepEqual(c.Stored, wantStored) {
		return fmt.Errorf("queue.Next gave stored %+v, want %+v", c.Stored, wantStored)
	}
	return nil
}

func (m *model) settle() error {
	if len(m.claims) == 0 {
		return nil
	}
	i := m.rng.IntN(len(m.claims))
	c := m.claims[i]
	m.claims = append(m.claims[:i:i], m.claims[i+1:]...)
	path := string(c.Path)
	switch n := m.rng.IntN(12); {
	case n < 4:
		s := m.object(c.Version.Size)
		m.logf("done %s %+v", path, s)
		m.ref.done(path, c.generation, s)
		return c.Finish(queue.Outcome{Kind: queue.Done, Object: s})
	case n < 7:
		due := time.Now().Add(time.Duration(m.rng.Int64N(int64(6*time.Hour))) - time.Hour)
		m.logf("retry %s at %v", path, due)
		m.ref.settle(path, c.generation, func(e *entry) {
			e.state, e.due, e.reason, e.attempt = codestory.Retrying, due, "no answer", e.attempt+1
		})
		return c.Finish(queue.Outcome{Kind: queue.Retry, Due: due, Reason: "no answer"})
	case n < 8:
		m.logf("block %s", path)
		m.ref.settle(path, c.generation, func(e *entry) {
			e.state, e.reason, e.attempt = codestory.Blocked, "too large", e.attempt+1
		})
		return c.Finish(queue.Outcome{Kind: queue.Block, Reason: "too large"})
	case n < 9:
		m.logf("changed %s", path)
		m.ref.settle(path, c.generation, func(e *entry) { e.state = codestory.Settling })
		return c.Finish(queue.Outcome{Kind: queue.Changed})
	case n < 10:
		m.logf("gone %s", path)
		m.ref.gone(path, c.generation)
		return c.Finish(queue.Outcome{Kind: queue.Gone})
	default:
		m.logf("release %s", path)
		m.ref.files[path].claimed = false
		c.Release()
		return nil
	}
}

func (m *model) object(size int64) queue.Stored {
	m.puts++
	return queue.Stored{Size: size, ETag: fmt.Sprint("etag ", m.puts), MD5: fmt.Sprintf("%032x", m.puts)}
}

func (m *model) found() error {
	path := codestory.Path(m.paths[m.rng.IntN(len(m.paths)-1)])
	s := m.object(m.rng.Int64N(1000))
	var md *codestory.Metadata
	if m.rng.IntN(2) == 0 {
		md = m.metadata()
	}
	m.logf("found %s %+v %+v", path, s, md)
	m.ref.found(path, s, md, time.Now())
	return m.q.Found(path, s, md)
}

// correct has the store answer for what is known of a path, now or a moment ago.
func (m *model) correct() error {
	path := m.paths[m.rng.IntN(len(m.paths)-1)]
	known, err := m.q.File(codestory.Path(path))
	if err != nil {
		return nil // nothing is: compareFiles looks whether that is right
	}
	var object *queue.Stored
	var md *codestory.Metadata
	if m.rng.IntN(2) == 0 {
		object = new(m.object(m.rng.Int64N(1000)))
		if m.rng.IntN(2) == 0 {
			md = m.metadata()
		}
	}
	old := m.rng.IntN(4) == 0
	m.logf("correct %s to %+v %+v, late %t", path, object, md, old)
	if old {
		if err := m.found(); err != nil {
			return err
		}
		if err := m.enqueue(); err != nil {
			return err
		}
	}
	if known.State == codestory.Synced && m.ref.file(path).Version == known.Version {
		m.ref.correct(path, object, md, time.Now())
	}
	return m.q.Correct(known, object, md)
}

// operate does what a person may do to the queue.
func (m *model) operate() error {
	path := m.paths[m.rng.IntN(len(m.paths))]
	switch m.rng.IntN(5) {
	case 0:
		m.logf("retry now %s", path)
		return found(m.q.Retry(path), m.ref.retryNow(path) || m.ref.queued(path))
	case 1:
		want := 0
		for _, path := range m.paths {
			if m.ref.retryNow(path) {
				want++
			}
		}
		m.logf("retry all")
		if n, err := m.q.RetryAll(); n != want || err != nil {
			return fmt.Errorf("queue.RetryAll() = %d, %v, want %d", n, err, want)
		}
		return nil
	case 2:
		m.logf("vanished %s", path)
		m.ref.vanished(path)
		return m.q.Vanished(path)
	case 3:
		m.logf("drop %s", path)
		return found(m.q.Drop(path, "dropped"), m.ref.drop(path, "dropped"))
	default:
		m.ref.paused = !m.ref.paused
		m.logf("paused %t", m.ref.paused)
		return m.q.SetPaused(m.ref.paused)
	}
}

// found holds the error of an operation against whether there was anything to operate on.
func found(err error, want bool) error {
	if want == (err == nil) && (want || errors.Is(err, codestory.ErrNotFound)) {
		return nil
	}
	return fmt.Errorf("the error is %v where the path waits: %t", err, want)
}

func (m *model) reopen() error {
	destination := m.ref.destination
	if m.rng.IntN(3) == 0 {
		destination = []string{"a", "b", "c"}[m.rng.IntN(3)]
	}
	m.logf("reopen for %s", destination)
	m.ref.reopen(destination)
	m.claims = nil
	if err := m.q.Close(); err != nil {
		return err
	}
	return m.open()
}

// lose damages the database and opens it again: it is as it was backed up last.
func (m *model) lose() error {
	m.logf("lose")
	if err := m.q.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(m.db, []byte("noise"), 0o600); err != nil {
		return err
	}
	destination := m.ref.destination
	if m.ref = newReference(destination); m.backup != nil {
		m.ref = m.backup.clone()
	}
	m.ref.reopen(destination)
	m.claims = nil
	return m.open()
}

// drain lets everything that waits come to its end, as it does once the trouble is over: each file is then stored in
// the version that was enqueued last, but for those that wait for somebody else.
func (m *model) drain() error {
	for _, c := range m.claims {
		m.ref.files[string(c.Path)].claimed = false
		c.Release()
	}
	m.claims = nil
	m.ref.paused = false
	if err := m.q.SetPaused(false); err != nil {
		return err
	}
	time.Sleep(24 * time.Hour)
	for {
		if err := m.next(); err != nil {
			return err
		}
		if len(m.claims) == 0 {
			break
		}
		c := m.claims[0]
		m.claims = nil
		s := m.object(c.Version.Size)
		m.ref.done(string(c.Path), c.generation, s)
		if err := errors.Join(c.Finish(queue.Outcome{Kind: queue.Done, Object: s}), m.compare()); err != nil {
			return err
		}
	}
	for path := range m.ref.files {
		f, err := m.q.File(codestory.Path(path))
		if err != nil {
			return err
		}
		switch f.State {
		case codestory.Synced, codestory.Blocked, codestory.Settling, codestory.Missing, codestory.LeftOut:
		default:
			return fmt.Errorf("at the end %s is %s", path, f.State)
		}
	}
	return nil
}
