package library

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
		w := newEnv(t, store, Options{})
		composed, decomposed := codestory.Path(kilo+"/Caf\u00e9.mp3"), codestory.Path(kilo+"/Cafe\u0301.mp3")
		if !distinctNames(t, w.tree.Dir()) {
			t.Log("this file system takes both forms for one name, so there are no twins on it")
			return
		}
		w.write(composed, "one")
		w.write(codestory.Path(kilo+"/na\u00efve.mp3"), "alone")
		if problems := w.problemsBut(""); len(problems) != 0 {
			t.Errorf("without twins: %+v", problems)
		}
		w.write(decomposed, "two")
		w.upload(time.Second)
		for path, want := range map[codestory.Path]string{composed: "one", decomposed: "two"} {
			if got, _ := store.Content(path.Key()); got != want {
				t.Errorf("%+q has %q, want %q", path, got, want)
			}
		}
		problems := w.problemsBut("")
		if len(problems) != 1 || problems[0].Code != "unicode_twins" ||
			!strings.Contains(problems[0].Message, `Caf\u00e9`) || !strings.Contains(problems[0].Message, `Cafe\u0301`) {
			t.Errorf("with twins: %+v", problems)
		}

		w.build(w.queue) // after a restart the scan finds them
		version, err := w.tree.Stat(composed)
		if err != nil {
			t.Fatal(err)
		}
		seen := []watch.Change{{Name: string(composed), Path: composed, Version: version}}
		refuse := func(c watch.Change) bool {
			t.Errorf("%s is not known", c.Name)
			return false
		}
		if err := w.Finished(t.Context(), seen, refuse); err != nil {
			t.Error(err)
		}
		if problems := w.problemsBut(""); len(problems) != 1 {
			t.Errorf("after a restart: %+v", problems)
		}

		if err := os.Remove(filepath.Join(w.tree.Dir(), string(decomposed))); err != nil {
			t.Fatal(err)
		}
		if problems := w.problemsBut(""); len(problems) != 0 {
			t.Errorf("with one of them gone: %+v", problems)
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
