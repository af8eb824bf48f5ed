package watch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

// clutter fills a directory with one of everything, and returns what is to be reported of it.
func clutter(t *testing.T, dir string) (files []string, ignored map[string]string) {
	t.Helper()
	files = []string{
		storyA + "/audio/story.mp3", storyA + "/metadata.json", storyA + "/notes/deep/er.txt", storyB + "/cover.jpg",
	}
	ignored = map[string]string{
		"readme.txt":                "outside a story",
		"staging/":                  "outside a story",
		".cache/":                   "dotfile",
		storyA + "/.hidden":         "dotfile",
		storyA + "/.git/":           "dotfile",
		storyA + "/audio/x.mp3.tmp": "*.tmp",
		storyA + "/a.part":          "*.part",
		storyA + "/a.partial":       "*.partial",
		storyA + "/a.crdownload":    "*.crdownload",
		storyA + "/a.txt~":          "*~",
		storyA + "/a.swp":           "*.swp",
		storyA + "/unpacked.tmp/":   "*.tmp",
		storyA + "/draft.wav":       `excluded by the pattern "*.wav"`,
		storyA + "/drafts/":         `excluded by the pattern "drafts/"`,
	}
	for _, name := range files {
		put(t, dir, name)
	}
	for name := range ignored {
		put(t, dir, name)
	}
	symlink(t, "metadata.json", filepath.Join(dir, storyA, "link.json"))
	symlink(t, "audio", filepath.Join(dir, storyA, "linked"))
	ignored[storyA+"/link.json"] = "symlink"
	ignored[storyA+"/linked"] = "symlink"
	return files, ignored
}

// put makes a file, or where name ends with "/" a directory with a file in it.
func put(t testing.TB, dir, name string) {
	t.Helper()
	if base, isDir := strings.CutSuffix(name, "/"); isDir {
		name = base + "/inside.txt"
	}
	file := filepath.Join(dir, filepath.FromSlash(name))
	mkdir(t, filepath.Dir(file))
	write(t, file, name)
}

func clutterRules() Rules {
	return Rules{Exclude: func(path string, isDir bool) (string, bool) {
		switch {
		case isDir && strings.HasSuffix(path, "/drafts"):
			return "drafts/", true
		case !isDir && strings.HasSuffix(path, ".wav"):
			return "*.wav", true
		}
		return "", false
	}}
}

func TestWalk(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	files, ignored := clutter(t, tree.Dir())
	var got []string
	err := tree.Walk(t.Context(), clutterRules(), func(e Entry) error {
		switch {
		case e.Ignored != "":
			if want, ok := ignored[e.Name]; !ok || !strings.Contains(e.Ignored, want) {
				t.Errorf("%q is ignored: %q, want %q", e.Name, e.Ignored, want)
			}
			delete(ignored, e.Name)
		case e.Path != "":
			got = append(got, e.Name)
			if v, err := tree.Stat(e.Path); err != nil || v != e.Version {
				t.Errorf("version of %s = %v, want %v, %v", e.Name, e.Version, v, err)
			}
		default:
			t.Errorf("unexpected %+v", e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(files)
	if !slices.Equal(got, files) {
		t.Errorf("files\n got %q\nwant %q", got, files)
	}
	if len(ignored) > 0 {
		t.Errorf("not reported as ignored: %q", ignored)
	}
}

func TestWalkReadsDirectoriesLargerThanABatch(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	const n = 2*readBatch + 7
	for i := range n {
		put(t, tree.Dir(), storyA+"/chapters/"+strings.Repeat("x", i%50)+string(codestory.ChapterPath(storyA, i+1).InStory()[9:]))
	}
	seen := make(map[string]bool)
	err := tree.Walk(t.Context(), Rules{}, func(e Entry) error {
		seen[e.Name] = true
		return nil
	})
	if err != nil || len(seen) != n {
		t.Errorf("Walk found %d files, %v, want %d", len(seen), err, n)
	}
}

func TestWalkReportsNamesThatCannotBeKeys(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	long := storyA + strings.Repeat("/"+strings.Repeat("d", 200), 5) + "/x.txt"
	invalid := storyA + "/caf\xe9.mp3"
	put(t, tree.Dir(), long)
	file := filepath.Join(tree.Dir(), invalid)
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Skipf("the file system takes no such name: %v", err)
	}
	want := map[string]string{long: "shorten the name", invalid: "not valid UTF-8"}
	err := tree.Walk(t.Context(), Rules{}, func(e Entry) error {
		if e.Fault == nil || e.Path != "" || !strings.Contains(e.Fault.Reason, want[e.Name]) || e.Version.Size == 0 {
			t.Errorf("%q: %+v, want the fault %q", e.Name, e, want[e.Name])
		}
		delete(want, e.Name)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("Walk = %v; not reported: %q", err, want)
	}
}

func TestWalkEnds(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	put(t, tree.Dir(), storyA+"/a.txt")
	put(t, tree.Dir(), storyA+"/b.txt")
	enough := errors.New("that will do")
	var calls int
	err := tree.Walk(t.Context(), Rules{}, func(Entry) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("Walk = %v after %d calls, want the error of the first", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tree.Walk(ctx, Rules{}, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Walk = %v, want the context's error", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	err = tree.Walk(ctx, Rules{}, func(Entry) error {
		return os.RemoveAll(tree.Dir())
	})
	if !errors.Is(err, ErrDirMissing) {
		t.Errorf("Walk of a directory that goes away = %v, want ErrDirMissing", err)
	}
	if err := tree.Walk(ctx, Rules{}, func(Entry) error { return nil }); !errors.Is(err, ErrDirMissing) {
		t.Errorf("Walk of a directory that is gone = %v, want ErrDirMissing", err)
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	tree := openTree(t)
	_, ignored := clutter(t, tree.Dir())
	list, err := tree.Ignored(t.Context(), clutterRules(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if want, ok := ignored[i.Path]; !ok || !strings.Contains(i.Reason, want) {
			t.Errorf("%q: %q, want %q", i.Path, i.Reason, want)
		}
	}
	if len(list) != len(ignored) {
		t.Errorf("%d are listed, want %d", len(list), len(ignored))
	}
	if list, err = tree.Ignored(t.Context(), clutterRules(), 3); err != nil || len(list) != 3 {
		t.Errorf("with a limit of 3: %d, %v", len(list), err)
	}
}
