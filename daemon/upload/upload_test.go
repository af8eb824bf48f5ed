package upload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

func TestPlayableFirst(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{Concurrency: 1})
		paths := []codestory.Path{
			codestory.MetadataPath(kilo), codestory.ChapterPath(kilo, 1), codestory.StoryAudioPath(kilo),
			codestory.Path(kilo + "/cover.jpg"), codestory.ChapterPath(kilo, 2),
		}
		contents := []string{"{}", "one", "all of it", "c", "the second chapter, which is longer than the cover"}
		for _, i := range []int{4, 3, 2, 1, 0} {
			w.write(paths[i], contents[i])
		}
		w.upload(time.Second)
		var want []string
		for _, path := range paths {
			want = append(want, path.Key())
		}
		if got := store.puts(); !slices.Equal(got, want) {
			t.Errorf("uploaded in the order\n%q, want\n%q", got, want)
		}
	})
}

// One file that the store refuses holds up no other, and is tried again without end.
func TestFailingFileIsNoHostage(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds")
	}
	inBubble(t, func(t *testing.T) {
		bad := codestory.ChapterPath(kilo, 1).Key()
		store := &scripted{put: func(_ context.Context, key string) error {
			if key == bad {
				return errors.New("500")
			}
			return nil
		}}
		w := newEnv(t, store, Options{})
		paths := chapters(w, 30)
		w.upload(time.Minute)
		for _, path := range paths[1:] {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s", path, got)
			}
		}
		w.upload(24 * time.Hour)
		store.put = nil
		w.upload(itemDelays.Most + time.Minute)
		if got := w.state(paths[0]); got != codestory.Synced {
			t.Errorf("the file is %s after the store takes it", got)
		}
		if n := store.count("put " + bad); n < 24*6 || n > 24*60*2 {
			t.Errorf("%d attempts in a day", n)
		}
	})
}

func TestRefusedFileWaitsForAPerson(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{put: func(context.Context, string) error {
			return codestory.Block("the store refuses the name: rename the file", errors.New("400"))
		}}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		w.upload(24 * time.Hour)
		f, err := w.queue.File(path)
		if err != nil || f.State != codestory.Blocked || f.Reason != "the store refuses the name: rename the file" {
			t.Errorf("file: %+v, %v", f, err)
		}
		if n := len(store.puts()); n != 1 {
			t.Errorf("%d attempts at a file that is blocked", n)
		}
		if got := w.breaker.storeState().State; got != codestory.RemoteOK {
			t.Errorf("the store is %s over a file that it refuses", got)
		}
	})
}

// What this machine's disk does says nothing of the store.
func TestReadErrorIsNotTheStoresFault(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		w.upload(time.Second)
		for i, tc := range []struct {
			err  error
			want codestory.FileState
		}{
			{&readError{codestory.Block("the file cannot be read", os.ErrPermission)}, codestory.Blocked},
			{&readError{errors.New("input/output error")}, codestory.Retrying},
		} {
			path := codestory.ChapterPath(kilo, i+1)
			w.write(path, "content")
			claim, err := w.queue.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			permit, err := w.breaker.acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := claim.Finish(w.conclude(t.Context(), claim, permit, remote.Object{}, tc.err)); err != nil {
				t.Error(err)
			}
			if got := w.state(path); got != tc.want {
				t.Errorf("after %v the file is %s, want %s", tc.err, got, tc.want)
			}
		}
		if got := w.breaker.storeState().State; got != codestory.RemoteOK {
			t.Errorf("the store is %s", got)
		}
	})
}

func TestGoneFileIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		if err := os.Remove(filepath.Join(w.tree.Dir(), string(path))); err != nil {
			t.Fatal(err)
		}
		w.upload(time.Minute)
		if _, err := w.queue.File(path); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("the file is still known: %v", err)
		}
		if got := store.puts(); len(got) != 0 {
			t.Errorf("put %q", got)
		}
	})
}

// While the whole directory is away nothing in it is taken for deleted.
func TestMissingDirectoryForgetsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		paths := chapters(w, 10)
		away := w.tree.Dir() + ".away"
		if err := os.Rename(w.tree.Dir(), away); err != nil {
			t.Fatal(err)
		}
		w.upload(time.Hour)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Queued {
				t.Errorf("%s is %s while the directory is away", path, got)
			}
		}
		if err := os.Rename(away, w.tree.Dir()); err != nil {
			t.Fatal(err)
		}
		w.upload(time.Minute)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s after the directory is back", path, got)
			}
		}
	})
}

// A file that changes while it is read is never visible, and waits to settle again.
func TestChangedFileGoesBackToTheWatcher(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		path := codestory.ChapterPath(kilo, 1)
		var name string
		store := &scripted{put: func(context.Context, string) error {
			return os.WriteFile(name, []byte("two"), 0o666)
		}}
		w := newEnv(t, store, Options{})
		name = filepath.Join(w.tree.Dir(), string(path))
		w.write(path, "one")
		w.upload(time.Minute)
		if content, ok := store.Content(path.Key()); ok {
			t.Errorf("the store has %q", content)
		}
		if got := w.state(path); got != codestory.Settling {
			t.Errorf("the file is %s", got)
		}
		store.put = nil
		w.settle(path)
		w.upload(time.Minute)
		if content, _ := store.Content(path.Key()); content != "two" {
			t.Errorf("the store has %q", content)
		}
	})
}

func TestTouchedFileIsNotSentAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		w.upload(time.Second)
		w.write(path, "one")
		w.upload(time.Second)
		if n := len(store.puts()); n != 1 {
			t.Errorf("%d uploads of the same bytes", n)
		}
		w.write(path, "two")
		w.upload(time.Second)
		if content, _ := store.Content(path.Key()); content != "two" || w.state(path) != codestory.Synced {
			t.Errorf("after a change of the same size the store has %q, the file is %s", content, w.state(path))
		}
	})
}

// The first signal lets an upload finish; where that takes too long it is cut and waits again, untouched.
func TestStopIsSoftThenHard(t *testing.T) {
	for _, tc := range []struct {
		name  string
		takes time.Duration
		want  codestory.FileState
	}{
		{"finishes", drainTime - time.Second, codestory.Synced},
		{"is cut", drainTime + time.Hour, codestory.Queued},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := &scripted{put: func(ctx context.Context, _ string) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(tc.takes):
						return nil
					}
				}}
				w := newEnv(t, store, Options{})
				path := codestory.ChapterPath(kilo, 1)
				w.write(path, "one")
				soft, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- w.Run(soft, t.Context()) }()
				synctest.Wait()
				signal := time.Now()
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if took := time.Since(signal); took > drainTime {
					t.Errorf("stopping took %s", took)
				}
				f, err := w.queue.File(path)
				if err != nil || f.State != tc.want || f.Attempt != 0 {
					t.Errorf("the file is %s with %d attempts, want %s (%v)", f.State, f.Attempt, tc.want, err)
				}
			})
		})
	}
}

func TestHardStopCutsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{put: func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		hard, cut := context.WithCancel(t.Context())
		soft, stop := context.WithCancel(hard)
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- w.Run(soft, hard) }()
		synctest.Wait()
		began := time.Now()
		cut()
		<-ended
		if took := time.Since(began); took != 0 {
			t.Errorf("a hard stop took %s", took)
		}
		if got := w.state(path); got != codestory.Queued {
			t.Errorf("the file is %s", got)
		}
	})
}

// parts is a store that sends objects in parts, as far as the ledger is concerned.
type parts struct {
	*scripted
	aborted []string
	abort   func(key string) error // nil aborts
}

func (s *parts) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	if err := opts.Ledger.Save([]byte("id of " + string(opts.Ledger.State()))); err != nil {
		return remote.Object{}, err
	}
	return s.scripted.Put(ctx, key, src, opts)
}

func (s *parts) Abort(_ context.Context, key string, state []byte) error {
	if s.abort != nil {
		if err := s.abort(key); err != nil {
			return err
		}
	}
	s.aborted = append(s.aborted, key+" "+string(state))
	return nil
}

func TestProgressIsThatOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		store := &halfway{scripted: &scripted{}, release: release}
		w := newEnv(t, store.scripted, Options{})
		w.Pipeline.store, w.breaker.store = store, store
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "0123456789")
		soft, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(soft, t.Context()) }()
		synctest.Wait()
		if got := w.Uploads(); len(got) != 1 || got[0].SentBytes != 5 || got[0].TotalBytes != 10 || got[0].Path != string(path) {
			t.Errorf("uploads: %+v", got)
		}
		close(release)
		synctest.Wait()
		if got := w.Uploads(); len(got) != 0 {
			t.Errorf("uploads after the end: %+v", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// halfway is a store that rests when half is sent.
type halfway struct {
	*scripted
	release chan struct{}
}

func (s *halfway) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	opts.Progress(src.Size() / 2)
	<-s.release
	return s.scripted.Put(ctx, key, src, opts)
}

// A key that the store denies for its own sake holds up no other.
func TestDeniedKeyIsNoHostage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		denied := codestory.ChapterPath(kilo, 1)
		store := &scripted{put: func(_ context.Context, key string) error {
			if key == denied.Key() {
				return errDenied
			}
			return nil
		}}
		w := newEnv(t, store, Options{})
		paths := chapters(w, 30)
		w.upload(10 * time.Minute)
		for _, path := range paths[1:] {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s", path, got)
			}
		}
		if f, err := w.queue.File(denied); err != nil || f.State != codestory.Queued || f.Attempt != 0 {
			t.Errorf("the denied file: %+v, %v", f, err)
		}
	})
}

// What is excluded after it was queued is not uploaded.
func TestExcludedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{Rules: watch.Rules{
			Exclude: func(path string, _ bool) (string, bool) { return "*.wav", strings.HasSuffix(path, ".wav") },
		}})
		w.write(codestory.Path(string(kilo)+"/raw.wav"), "raw")
		w.upload(time.Minute)
		if got := w.store.puts(); len(got) != 0 {
			t.Errorf("uploaded %q", got)
		}
	})
}

// What a store says that it has sent is counted once, for the upload and for all.
func TestProgressOfAnUpload(t *testing.T) {
	t.Parallel()
	d := newEnv(t, &scripted{}, Options{})
	progress, done := d.begin(&queue.Claim{Path: codestory.ChapterPath(kilo, 1), Version: codestory.Version{Size: 10}})
	progress(4)
	progress(3)
	if got := d.Uploads(); len(got) != 1 || got[0].SentBytes != 7 || d.counters.sent.Load() != 7 {
		t.Errorf("in flight: %+v; in all: %d", got, d.counters.sent.Load())
	}
	done()
	if got := d.Uploads(); len(got) != 0 {
		t.Errorf("after its end: %+v", got)
	}
}
