package upload

import (
	"context"
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

const (
	kilo   = codestory.StoryID("3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	router = codestory.StoryID("b81d4f60-27a9-4c05-8e6f-d3a17c5902be")
)

// scripted is a store in memory that answers as its script says.
type scripted struct {
	remotetest.Memory
	check func() error                                // what Check answers; nil is well
	put   func(ctx context.Context, key string) error // what Put answers after its bytes were read; nil is well
}

func (s *scripted) script(ctx context.Context, call, key string) error {
	switch {
	case call == "check" && s.check != nil:
		return s.check()
	case call == "put" && s.put != nil:
		return s.put(ctx, key)
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

// describeBytes is the object that the store has of these bytes.
func describeBytes(key string, b []byte) remote.Object {
	digest := fmt.Sprintf("%x", md5.Sum(b))
	return remote.Object{Key: key, Size: int64(len(b)), ETag: digest, MD5: digest}
}

// env is a pipeline with its directory and database: files are enqueued by hand.
type env struct {
	*Pipeline
	t     *testing.T
	store *scripted
}

func newEnv(t *testing.T, store *scripted, opts Options) *env {
	t.Helper()
	store.Before = store.script
	tree, err := watch.OpenTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Open(filepath.Join(t.TempDir(), "db"), store.Info().Destination(), queue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return &env{New(tree, q, store, opts), t, store}
}

// write writes a file and enqueues it.
func (w *env) write(path codestory.Path, content string) {
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

// settle enqueues the file as it is now.
func (w *env) settle(path codestory.Path) {
	w.t.Helper()
	version, err := w.tree.Stat(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.queue.Enqueue([]queue.Change{{Path: string(path), Version: version}}); err != nil {
		w.t.Fatal(err)
	}
}

// upload runs the pipeline for that long and stops it.
func (w *env) upload(d time.Duration) {
	w.t.Helper()
	soft, stop := context.WithTimeout(w.t.Context(), d)
	defer stop()
	if err := w.Run(soft, w.t.Context()); err != nil {
		w.t.Errorf("Run: %v", err)
	}
}

func (w *env) state(path codestory.Path) codestory.FileState {
	w.t.Helper()
	f, err := w.queue.File(path)
	if err != nil {
		w.t.Fatalf("file %s: %v", path, err)
	}
	return f.State
}

// inBubble runs a test on fake time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}

func chapters(w *env, n int) (paths []codestory.Path) {
	for i := range n {
		path := codestory.ChapterPath(kilo, i+1)
		w.write(path, fmt.Sprintf("chapter %d", i+1))
		paths = append(paths, path)
	}
	return paths
}

// Many small files are uploaded at once, fewer large ones, and never more than a person has set.
func TestUploadsAtOnce(t *testing.T) {
	for name, tc := range map[string]struct{ size, limit, want int }{
		"small":       {1, 0, 32},
		"large":       {smallBytes, 0, 8},
		"large, by 3": {smallBytes, 3, 3},
		"small, by 3": {1, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var mu sync.Mutex
				now, most := 0, 0
				w := newEnv(t, &scripted{put: func(context.Context, string) error {
					mu.Lock()
					now++
					most = max(most, now)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					defer mu.Unlock()
					now--
					return nil
				}}, Options{Concurrency: tc.limit})
				for n := range 40 {
					w.write(codestory.ChapterPath(kilo, n+1), strings.Repeat("x", tc.size))
				}
				w.upload(time.Minute)
				if most != tc.want {
					t.Errorf("%d uploads at once, want %d", most, tc.want)
				}
			})
		})
	}
}
