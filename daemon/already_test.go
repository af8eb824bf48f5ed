package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// What the store has already is not sent to it again when its endpoint gets another name; what it has not, is.
func TestNewNameOfAStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		paths := chapters(w, 20)
		w.upload(time.Minute)
		lost, other, changed := paths[0], paths[1], paths[2]
		w.store.Unset(lost.Key())
		w.store.Set(other.Key(), "other bytes")
		if err := w.queue.Use("memory\tby another name\t"); err != nil {
			t.Fatal(err)
		}
		for _, path := range paths { // as the scan does
			w.settle(path)
		}
		w.write(changed, "another version")
		before := len(w.store.puts())
		w.upload(time.Minute)
		if n := len(w.store.puts()) - before; n != 3 {
			t.Errorf("%d uploads, want those of what is lost, other and changed", n)
		}
		for i, path := range paths {
			want, err := os.ReadFile(filepath.Join(w.tree.Dir(), string(path)))
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := w.store.Content(path.Key()); got != string(want) || w.state(path) != codestory.Synced {
				t.Errorf("file %d is %s, and the store has %q of it", i, w.state(path), got)
			}
		}
	})
}

// TestKilledBeforeItWasWrittenDown: a version that the store took, and of which nobody heard any more, is replaced by the
// one that follows, though that has the bytes of the last one that is known to be there.
func TestKilledBeforeItWasWrittenDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := chapters(w, 1)[0]
		w.write(path, "one")
		w.upload(time.Minute)
		w.write(path, "two")
		w.store.Set(path.Key(), "two") // and the daemon is killed
		w.write(path, "one")
		w.upload(time.Minute)
		if got, _ := w.store.Content(path.Key()); got != "one" || w.state(path) != codestory.Synced {
			t.Errorf("the file is %s, and the store has %q of it", w.state(path), got)
		}
	})
}
