package upload

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// tardy is a store that does not answer the first upload, and takes it much later.
func tardy(w *env, path codestory.Path, later time.Duration) {
	first := true
	w.store.put = func(_ context.Context, key string) error {
		if key != path.Key() || !first {
			return nil
		}
		first = false
		const old = "the first version"
		go func() {
			time.Sleep(later)
			w.store.Set(key, old)
		}()
		return &remote.UnansweredError{ETag: describeBytes(key, []byte(old)).ETag, Err: errors.New("no byte moved on the connection")}
	}
}

func TestLateUploadDoesNotReplaceANewerVersion(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds")
	}
	for _, later := range []time.Duration{time.Second, 10 * time.Minute, 5 * time.Hour} {
		t.Run(later.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newEnv(t, &scripted{}, Options{})
				path := codestory.ChapterPath(kilo, 1)
				tardy(w, path, later)
				w.write(path, "the first version")
				soft, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- w.Run(soft, t.Context()) }()
				time.Sleep(quickDelays.First / 20) // before it is tried again
				w.write(path, "the second")
				time.Sleep(time.Second / 2)
				if got, _ := w.store.Content(path.Key()); got != "the second" {
					t.Errorf("the store has %q", got)
				}
				time.Sleep(later)
				synctest.Wait()
				stop() // a restart does not forget it
				if err := <-ended; err != nil {
					t.Error(err)
				}
				w.upload(2*later + time.Minute)
				if got, _ := w.store.Content(path.Key()); got != "the second" || w.state(path) != codestory.Synced {
					t.Errorf("in the end the store has %q, and the file is %s", got, w.state(path))
				}
				if n := w.store.count("put"); n != 3 {
					t.Errorf("%d uploads, want the unanswered one, the newer version, and that again", n)
				}
				w.upload(staleWriteTime + time.Minute)
				if notes, err := w.queue.Unanswered(nil, 10); err != nil || len(notes) != 0 {
					t.Errorf("after a day there are the notes %+v, %v", notes, err)
				}
				if n := w.store.count("stat " + path.Key()); n > 60 {
					t.Errorf("the store was asked %d times", n)
				}
			})
		})
	}
}

// An object that is neither the newer version nor the late one is somebody's, and stays. Where the same bytes are sent
// again there is nothing to ask.
func TestUnansweredUploadsAreLeftAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		path := codestory.ChapterPath(kilo, 1)
		tardy(w, path, time.Minute)
		w.write(path, "the first version")
		w.upload(2 * time.Hour)
		if n := w.store.count("stat " + path.Key()); n != 0 {
			t.Errorf("the store was asked %d times about bytes that it may take twice", n)
		}
		w.write(path, "the second")
		w.upload(time.Second)
		w.store.Set(path.Key(), "what another program put")
		w.upload(staleWriteTime)
		if got, _ := w.store.Content(path.Key()); got != "what another program put" {
			t.Errorf("the store has %q", got)
		}
	})
}
