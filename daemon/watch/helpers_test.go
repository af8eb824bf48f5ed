package watch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

const (
	storyA = "0b5c8f6e-7d5a-4a63-9a2b-0f6f0d5c1a11"
	storyB = "9d2f1c7a-3b64-4e0f-8c55-6a1f2e3d4c5b"
	settle = 100 * time.Millisecond
)

// memorySink knows what it was given.
type memorySink struct {
	mu      sync.Mutex
	fail    error  // of both methods while set
	during  func() // called by Settled before it returns; nil for nothing
	known   map[string]codestory.Version
	settled []Change
	largest int // the most changes that one call had
	asked   int // calls of Unknown
}

func newSink() *memorySink { return &memorySink{known: make(map[string]codestory.Version)} }

func (s *memorySink) Unknown(_ context.Context, seen []Change) (unknown []Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.largest = max(s.largest, len(seen))
	for _, c := range seen {
		if s.known[c.Name] != c.Version {
			unknown = append(unknown, c)
		}
	}
	return unknown, s.fail
}

func (s *memorySink) Settled(_ context.Context, changes []Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.largest = max(s.largest, len(changes))
	if s.fail != nil {
		return s.fail
	}
	for _, c := range changes {
		s.known[c.Name] = c.Version
	}
	s.settled = append(s.settled, changes...)
	if s.during != nil {
		s.during()
	}
	return nil
}

func (s *memorySink) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// of are the changes of one file, in the order in which they came.
func (s *memorySink) of(name string) (changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.settled {
		if c.Name == name {
			changes = append(changes, c)
		}
	}
	return changes
}

func (s *memorySink) names() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make(map[string]int)
	for _, c := range s.settled {
		names[c.Name]++
	}
	return names
}

// logRecorder keeps what was logged.
type logRecorder struct {
	mu    sync.Mutex
	lines []string
}

func (l *logRecorder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logRecorder) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// rig is a watcher of an output directory of its own.
type rig struct {
	t    *testing.T
	dir  string
	tree *Tree
	sink *memorySink
	w    *Watcher
	log  *logRecorder
}

// newRig makes one that is not running yet, and that scans only when it has to.
func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "output")
	mkdir(t, dir)
	tree, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: tree.Dir(), tree: tree, sink: newSink(), log: &logRecorder{}}
	opts := Options{Settle: settle, ScanEvery: time.Hour, Logger: slog.New(slog.NewTextHandler(r.log, nil))}
	for _, c := range change {
		c(&opts)
	}
	r.w = New(tree, r.sink, opts)
	r.w.rootEvery = 20 * time.Millisecond
	return r
}

// cannotTell makes the system one that does not tell who has a file open.
func (r *rig) cannotTell() {
	r.w.writersOf = func(f *os.File) (writers, os.FileInfo, error) {
		info, err := f.Stat()
		return writersUnknown, info, err
	}
}

// needLeases skips the test where the system does not tell who has a file open for writing.
func needLeases(t *testing.T) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if answer, _, _ := writersOf(r); answer != writersSome {
		t.Skip("this system does not tell who has a file open for writing")
	}
}

// start runs the watcher until the test ends, and returns once the first scan is over.
func (r *rig) start() {
	r.t.Helper()
	r.run()
	r.wait("the first scan", func() bool { return r.w.Status().LastScan != nil })
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.w.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				r.t.Errorf("Run = %v, want nil", err)
			}
		case <-time.After(20 * time.Second):
			r.t.Error("Run did not return")
		}
	})
}

// wait polls until cond holds.
func (r *rig) wait(what string, cond func() bool) {
	r.t.Helper()
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-deadline:
			r.t.Fatalf("gave up waiting for %s\nstatus %+v\nproblems %v\nsettling %d",
				what, r.w.Status(), r.w.Problems(), r.w.pending.len())
		case <-ticker.C:
		}
	}
}

func (r *rig) arrives(name string) Change {
	r.t.Helper()
	r.wait(name, func() bool { return len(r.sink.of(name)) > 0 })
	return r.sink.of(name)[0]
}

// quiet waits until everything that has happened so far is dealt with: events come in order, and a file that is made
// now is the last of them.
func (r *rig) quiet() {
	r.t.Helper()
	barrier := storyB + "/barrier-" + time.Now().Format("150405.000000000")
	r.write(barrier, "x")
	r.arrives(barrier)
	r.wait("nothing to settle", func() bool { return r.w.pending.len() == 0 })
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *rig) write(name, content string) {
	r.t.Helper()
	mkdir(r.t, filepath.Dir(r.path(name)))
	write(r.t, r.path(name), content)
}

func (r *rig) problem(code string) (codestory.Problem, bool) {
	for _, p := range r.w.Problems() {
		if p.Code == code {
			return p, true
		}
	}
	return codestory.Problem{}, false
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// age makes a file look as old as one that was there before the daemon: on Linux the change time says the truth, so
// that it has to wait for that.
func age(t *testing.T, file string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
}
