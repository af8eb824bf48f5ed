package daemon

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

const (
	kilo   = codestory.StoryID("3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	router = codestory.StoryID("b81d4f60-27a9-4c05-8e6f-d3a17c5902be")
)

// scripted is a store in memory that answers as its script says.
type scripted struct {
	check  func() error                                // what Check answers; nil is well
	put    func(ctx context.Context, key string) error // what Put answers after its bytes were read; nil is well
	remove func(key string) error                      // what Remove answers for the key; nil is well
	stat   func(key string) error                      // what Stat answers for the key; nil is well

	mu      sync.Mutex
	objects map[string][]byte
	calls   []string // method and key, in order
}

func (s *scripted) Info() remote.Info { return remote.Info{Kind: "memory", Endpoint: "test"} }

func (s *scripted) called(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

func (s *scripted) count(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

func (s *scripted) puts() (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if key, ok := strings.CutPrefix(c, "put "); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func (s *scripted) object(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.objects[key]
	return string(b), ok
}

func (s *scripted) store(key, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		s.objects = map[string][]byte{}
	}
	s.objects[key] = []byte(content)
}

func (s *scripted) Check(context.Context) error {
	s.called("check")
	if s.check == nil {
		return nil
	}
	return s.check()
}

func (s *scripted) Put(ctx context.Context, key string, src remote.Source, _ remote.PutOptions) (remote.Object, error) {
	s.called("put " + key)
	b, err := io.ReadAll(io.NewSectionReader(src, 0, src.Size()))
	if err != nil {
		return remote.Object{}, err
	}
	if s.put != nil {
		if err := s.put(ctx, key); err != nil {
			return remote.Object{}, err
		}
	}
	if err := errors.Join(src.Check(), ctx.Err()); err != nil {
		return remote.Object{}, err
	}
	s.store(key, string(b))
	return describeBytes(key, b), nil
}

func (s *scripted) Remove(_ context.Context, keys []string) error {
	refused := &remote.RemoveError{Failed: map[string]error{}}
	for _, key := range keys {
		s.called("remove " + key)
		if s.remove != nil {
			if err := s.remove(key); err != nil {
				refused.Failed[key] = err
				continue
			}
		}
		s.mu.Lock()
		delete(s.objects, key)
		s.mu.Unlock()
	}
	if len(refused.Failed) > 0 {
		return refused
	}
	return nil
}

func describeBytes(key string, b []byte) remote.Object {
	sum := md5.Sum(b)
	digest := hex.EncodeToString(sum[:])
	return remote.Object{Key: key, Size: int64(len(b)), ETag: digest, MD5: digest}
}

func (s *scripted) Stat(_ context.Context, key string) (remote.Object, error) {
	s.called("stat " + key)
	if s.stat != nil {
		if err := s.stat(key); err != nil {
			return remote.Object{}, err
		}
	}
	content, ok := s.object(key)
	if !ok {
		return remote.Object{}, fmt.Errorf("%s: %w", key, codestory.ErrNotFound)
	}
	return describeBytes(key, []byte(content)), nil
}

func (s *scripted) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	object, err := s.Stat(ctx, key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	content, _ := s.object(key)
	rest := strings.NewReader(content[offset:])
	if length < 0 {
		return io.NopCloser(rest), object, nil
	}
	return io.NopCloser(io.LimitReader(rest, length)), object, nil
}

func (s *scripted) List(_ context.Context, prefix, after string) iter.Seq2[remote.Object, error] {
	s.called("list " + prefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []remote.Object
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(key, prefix) && key > after {
			found = append(found, describeBytes(key, s.objects[key]))
		}
	}
	return func(yield func(remote.Object, error) bool) {
		for _, object := range found {
			if !yield(object, nil) {
				return
			}
		}
	}
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
	if err := (intake{w.Daemon}).Settled(w.t.Context(), []watch.Change{change}); err != nil {
		w.t.Fatal(err)
	}
}

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
