package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	codestory "github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote/remotetest"
)

const (
	kilo   = codestory.StoryID("3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	router = codestory.StoryID("b81d4f60-27a9-4c05-8e6f-d3a17c5902be")
)

var (
	errDown = codestory.Pause(codestory.RemoteUnavailable, "no connection", errors.New("refused"))
)

// scripted is a store in memory that answers as its script says.
type scripted struct {
	remotetest.Memory
	check  func() error                                // what Check answers; nil is well
	put    func(ctx context.Context, key string) error // what Put answers after its bytes were read; nil is well
	remove func(key string) error                      // what Remove answers for the key; nil is well
	stat   func(key string) error                      // what Stat and Open answer for the key; nil is well
}

func (s *scripted) script(ctx context.Context, call, key string) error {
	switch {
	case call == "check" && s.check != nil:
		return s.check()
	case call == "put" && s.put != nil:
		return s.put(ctx, key)
	case call == "remove" && s.remove != nil:
		return s.remove(key)
	case (call == "stat" || call == "open") && s.stat != nil:
		return s.stat(key)
	}
	return nil
}

func (s *scripted) count(prefix string) int { return len(s.Calls(prefix)) }

func (s *scripted) puts() (keys []string) {
	for _, call := range s.Calls("put ") {
		keys = append(keys, strings.TrimPrefix(call, "put "))
	}
	return keys
}

// world is a daemon with its directory and database, and no watcher that runs: files are enqueued by hand.
type world struct {
	*Daemon
	t     *testing.T
	store *scripted
	file  string // the database
	opts  Options
}

func newWorld(t *testing.T, store *scripted, opts Options) *world {
	t.Helper()
	store.Before = store.script
	tree, err := watch.OpenTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "db")
	q, err := queue.Open(file, store.Info().Destination(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return &world{New(tree, q, store, opts), t, store, file, opts}
}

// write writes a file and, as the watcher does, hands it on.
func (w *world) write(path codestory.Path, content string) {
	w.t.Helper()
	name := filepath.Join(w.tree.Dir(), filepath.FromSlash(string(path)))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		w.t.Fatal(err)
	}
	w.settle(path)
}

func (w *world) settle(path codestory.Path) {
	w.t.Helper()
	version, err := w.tree.Stat(path)
	if err != nil {
		w.t.Fatal(err)
	}
	change := watch.Change{Name: string(path), Path: path, Version: version}
	if err := w.Finished(w.t.Context(), []watch.Change{change}, finished); err != nil {
		w.t.Fatal(err)
	}
}

// finished is what a watcher answers that has looked at the file.
func finished(watch.Change) bool { return true }

// lose has the database turn to noise, and opens it again.
func (w *world) lose() {
	w.t.Helper()
	if err := noise(w.file); err != nil {
		w.t.Fatal(err)
	}
	w.reopen(nil)
}

// noise overwrites all but the meta pages of a database.
func noise(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	metas := 2 * os.Getpagesize()
	_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, int(info.Size())-metas), int64(metas))
	return errors.Join(err, f.Close())
}

// reopen opens the database again, after that error, for a daemon that takes the place of the one before.
func (w *world) reopen(after error) {
	w.t.Helper()
	_ = w.queue.Close() // it may be damaged
	q, err := queue.Open(w.file, w.store.Info().Destination(), queue.Options{After: after})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = q.Close() })
	w.Daemon = New(w.tree, q, w.store, w.opts)
}

// upload runs the uploads for that long and stops them.
func (w *world) upload(d time.Duration) {
	w.t.Helper()
	soft, stop := context.WithTimeout(w.t.Context(), d)
	defer stop()
	if err := w.Upload(soft, w.t.Context()); err != nil {
		w.t.Errorf("Upload: %v", err)
	}
}

func (w *world) state(path codestory.Path) codestory.FileState {
	w.t.Helper()
	f, err := w.queue.File(path)
	if err != nil {
		w.t.Fatalf("file %s: %v", path, err)
	}
	return f.State
}

// problemsBut are the problems in the status but for that of the code, which is not what the test is about.
func (w *world) problemsBut(code string) []codestory.Problem {
	w.t.Helper()
	s, err := w.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.DeleteFunc(s.Problems, func(p codestory.Problem) bool { return p.Code == code })
}

// inBubble runs a test on fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

func chapters(w *world, n int) (paths []codestory.Path) {
	for i := range n {
		path := codestory.ChapterPath(kilo, i+1)
		w.write(path, fmt.Sprintf("chapter %d", i+1))
		paths = append(paths, path)
	}
	return paths
}
