package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
)

// TestTwins: one name in two Unicode forms is two files, both stored, and said so until one is gone.
func TestTwins(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newWorld(t, store, Options{})
		composed, decomposed := codestory.Path(kilo+"/Caf\u00e9.mp3"), codestory.Path(kilo+"/Cafe\u0301.mp3")
		if !distinctNames(t, w.tree.Dir()) {
			t.Log("this file system takes both forms for one name, so there are no twins on it")
			return
		}
		w.write(composed, "one")
		w.write(codestory.Path(kilo+"/na\u00efve.mp3"), "alone")
		if status, err := w.Status(t.Context()); err != nil || len(status.Problems) != 0 {
			t.Errorf("without twins: %+v, %v", status.Problems, err)
		}
		w.write(decomposed, "two")
		w.upload(time.Second)
		for path, want := range map[codestory.Path]string{composed: "one", decomposed: "two"} {
			if got, _ := store.Content(path.Key()); got != want {
				t.Errorf("%+q has %q, want %q", path, got, want)
			}
		}
		status, err := w.Status(t.Context())
		if err != nil || len(status.Problems) != 1 || status.Problems[0].Code != "unicode_twins" ||
			!strings.Contains(status.Problems[0].Message, `Caf\u00e9`) || !strings.Contains(status.Problems[0].Message, `Cafe\u0301`) {
			t.Errorf("with twins: %+v, %v", status.Problems, err)
		}

		again := New(w.tree, w.queue, store, Options{}) // after a restart the scan finds them
		version, err := w.tree.Stat(composed)
		if err != nil {
			t.Fatal(err)
		}
		seen := []watch.Change{{Name: string(composed), Path: composed, Version: version}}
		refuse := func(c watch.Change) bool {
			t.Errorf("%s is not known", c.Name)
			return false
		}
		if err := (intake{again}).Finished(t.Context(), seen, refuse); err != nil {
			t.Error(err)
		}
		if status, err := again.Status(t.Context()); err != nil || len(status.Problems) != 1 {
			t.Errorf("after a restart: %+v, %v", status.Problems, err)
		}

		if err := os.Remove(filepath.Join(w.tree.Dir(), string(decomposed))); err != nil {
			t.Fatal(err)
		}
		if status, err := w.Status(t.Context()); err != nil || len(status.Problems) != 0 {
			t.Errorf("with one of them gone: %+v, %v", status.Problems, err)
		}
	})
}

// distinctNames reports whether the file system of dir tells the two forms of a name apart.
func distinctNames(t *testing.T, dir string) bool {
	t.Helper()
	name := filepath.Join(dir, "\u00e9")
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(name)
	_, err := os.Stat(filepath.Join(dir, "e\u0301"))
	return os.IsNotExist(err)
}
