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
	fail    error  // of Finished while set
	during  func() // called by Finished before it returns, if it took something; nil for nothing
	known   map[string]codestory.Version
	settled []Change
	largest int // the most changes that one call had
	calls   int // of Finished
}

func newSink() *memorySink { return &memorySink{known: make(map[string]codestory.Version)} }

func (s *memorySink) Finished(_ context.Context, files []Change, ready func(Change) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.largest = max(s.largest, len(files))
	if s.fail != nil {
		return s.fail
	}
	before := len(s.settled)
	for _, c := range files {
		if (c.Again || s.known[c.Name] != c.Version) && ready(c) {
			s.known[c.Name] = c.Version
			s.settled = append(s.settled, c)
		}
	}
	if s.during != nil && len(s.settled) > before {
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

// env is a watcher of an output directory of its own.
type env struct {
	t    *testing.T
	dir  string
	tree *Tree
	sink *memorySink
	w    *Watcher
	log  *logRecorder
}

// newEnv makes one that is not running yet, and that scans only when it has to.
func newEnv(t *testing.T, change ...func(*Options)) *env {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "output")
	mkdir(t, dir)
	tree, err := OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{t: t, dir: tree.Dir(), tree: tree, sink: newSink(), log: &logRecorder{}}
	opts := Options{Settle: settle, ScanEvery: time.Hour, Logger: slog.New(slog.NewTextHandler(e.log, nil))}
	for _, c := range change {
		c(&opts)
	}
	e.w = New(tree, e.sink, opts)
	e.w.rootEvery, e.w.retryEvery = 20*time.Millisecond, 20*time.Millisecond
	return e
}

// cannotTell makes the system one that does not tell who has a file open.
func (e *env) cannotTell() {
	e.w.writersOf = func(f *os.File) (writers, os.FileInfo, error) {
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
	e, err := os.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if answer, _, _ := writersOf(e); answer != writersSome {
		t.Skip("this system does not tell who has a file open for writing")
	}
}

// start runs the watcher until the test ends, and returns once the first scan is over.
func (e *env) start() {
	e.t.Helper()
	e.run()
	e.wait("the first scan", func() bool { return e.w.Status().LastScan != nil })
}

func (e *env) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.w.Run(ctx) }()
	e.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				e.t.Errorf("Run = %v, want nil", err)
			}
		case <-time.After(20 * time.Second):
			e.t.Error("Run did not return")
		}
	})
}

// wait polls until cond holds.
func (e *env) wait(what string, cond func() bool) {
	e.t.Helper()
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !cond() {
		select {
		case <-deadline:
			e.t.Fatalf("gave up waiting for %s\nstatus %+v\nproblems %v\nsettling %d",
				what, e.w.Status(), e.w.Problems(), e.w.settling.len())
		case <-ticker.C:
		}
	}
}

func (e *env) arrives(name string) Change {
	e.t.Helper()
	e.wait(name, func() bool { return len(e.sink.of(name)) > 0 })
	return e.sink.of(name)[0]
}

// quiet waits until everything that has happened so far is dealt with: events come in order, and a file that is made
// now is the last of them.
func (e *env) quiet() {
	e.t.Helper()
	barrier := storyB + "/barrier-" + time.Now().Format("150405.000000000")
	e.write(barrier, "x")
	e.arrives(barrier)
	e.wait("nothing to settle", func() bool { return e.w.settling.len() == 0 })
}

func (e *env) path(name string) string { return filepath.Join(e.dir, filepath.FromSlash(name)) }

func (e *env) write(name, content string) {
	e.t.Helper()
	mkdir(e.t, filepath.Dir(e.path(name)))
	write(e.t, e.path(name), content)
}

func (e *env) problem(code string) (codestory.Problem, bool) {
	for _, p := range e.w.Problems() {
		if p.Code == code {
			return p, true
		}
	}
	return codestory.Problem{}, false
}

func mkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, file, content string) {
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
