package library

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
)

// wantOwner holds everything that tells whose the story is against the owner.
func (w *env) wantOwner(when string, id codestory.StoryID, want codestory.Owner) {
	w.t.Helper()
	for range 2 { // the first may find it out
		owner, err := w.Owner(w.t.Context(), id)
		now, nowErr := w.OwnerNow(id)
		story, storyErr := w.Story(w.t.Context(), id)
		if owner != want || now != want || story.Owner != want || err != nil || nowErr != nil || storyErr != nil {
			w.t.Errorf("%s: the owner is %q, %q and %q, %v, %v, %v; want %q", when, owner.Text(), now.Text(), story.Owner.Text(),
				err, nowErr, storyErr, want.Text())
		}
	}
	w.wantListed(when, id, want)
}

// wantListed holds the lists of stories against the owner.
func (w *env) wantListed(when string, id codestory.StoryID, want codestory.Owner) {
	w.t.Helper()
	listed := func(user *string) bool {
		page, err := w.Stories(w.t.Context(), user, 100, "")
		if err != nil {
			w.t.Fatal(err)
		}
		return slices.ContainsFunc(page.Stories, func(s codestory.Story) bool { return s.ID == id && s.Owner == want })
	}
	for _, user := range []string{"", "ada", "bob", "=ada", "=", "null", "42"} {
		if got := listed(&user); got != want.Is(user) {
			w.t.Errorf("%s: in the list of %q: %t", when, user, got)
		}
	}
	if !listed(nil) {
		w.t.Errorf("%s: it is not in the list of all", when)
	}
}

var (
	unknown = codestory.Owner{}
	ada     = codestory.OwnedBy("ada")
	bob     = codestory.OwnedBy("bob")
	own     = codestory.OwnedBy("")
)

// Metadata that tells no owner, in each way that there is: nobody sees the story who is no manager, and one that has an
// owner keeps it, with its title.
func TestMetadataThatTellsNoOwner(t *testing.T) {
	t.Parallel()
	text := func(content string) func(*env, string) {
		return func(w *env, _ string) { w.write(codestory.MetadataPath(kilo), content) }
	}
	for name, put := range map[string]func(w *env, name string){
		"none":           func(*env, string) {},
		"half of one":    text(`{"title": "T", "user_id": `),
		"empty":          text(""),
		"null":           text("null"),
		"an array":       text(`[{"user_id": "ada"}]`),
		"a number":       text("42"),
		"a text":         text(`"ada"`),
		"user in a list": text(`{"title": "T", "user_id": ["ada"]}`),
		"user an object": text(`{"title": "T", "user_id": {"name": "ada"}}`),
		"user a bool":    text(`{"title": "T", "user_id": false}`),
		"too large":      text(`{"title": "T", "user_id": "ada", "x": "` + strings.Repeat("x", codestory.MaxMetadataBytes) + `"}`),
		"a symlink": func(w *env, name string) {
			elsewhere := filepath.Join(w.t.TempDir(), "metadata.json")
			if err := os.WriteFile(elsewhere, []byte(`{"title": "T", "user_id": "eve"}`), 0o666); err != nil {
				w.t.Fatal(err)
			}
			_ = os.Remove(name)
			if err := os.Symlink(elsewhere, name); err != nil {
				w.t.Skip(err)
			}
		},
		"a directory": func(w *env, name string) {
			_ = os.Remove(name)
			if err := os.Mkdir(name, 0o777); err != nil {
				w.t.Fatal(err)
			}
		},
		"no permission": func(w *env, name string) {
			if os.Geteuid() <= 0 {
				w.t.Skip("this user may read every file")
			}
			if err := os.WriteFile(name, []byte(`{"title": "T", "user_id": "eve"}`), 0); err != nil {
				w.t.Fatal(err)
			}
			w.settle(codestory.MetadataPath(kilo))
		},
		"not settled": func(w *env, name string) {
			if err := os.WriteFile(name, []byte(`{"title": "T", "user_id": "eve"}`), 0o666); err != nil {
				w.t.Fatal(err)
			}
		},
		"deleted": func(w *env, name string) {
			_ = os.Remove(name)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newEnv(t, &scripted{}, Options{})
				w.upload(time.Second) // the store answers
				w.write(codestory.ChapterPath(kilo, 1), "one")
				path := filepath.Join(w.tree.Dir(), string(codestory.MetadataPath(kilo)))
				put(w, path)
				w.wantOwner("before there was an owner", kilo, unknown)
				for _, owner := range []codestory.Owner{bob, ada, own} {
					_ = os.RemoveAll(path)
					b, _ := owner.MarshalJSON()
					w.write(codestory.MetadataPath(kilo), `{"title": "of `+owner.String()+`", "user_id": `+string(b)+`}`)
					w.wantOwner("with one", kilo, owner)
					put(w, path)
					w.wantOwner("after that", kilo, owner)
					s, err := w.Story(t.Context(), kilo)
					if err != nil || s.Title != "of "+owner.String() && s.Title != "T" {
						t.Errorf("the title is %q, %v", s.Title, err)
					}
				}
				_ = os.RemoveAll(path)
				w.write(codestory.MetadataPath(kilo), `{}`)
				w.wantOwner("without user_id", kilo, own)
			})
		})
	}
}

// A story that never had an owner is the daemon's own user's once a metadata.json without user_id is read.
func TestMetadataWithoutUser(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"user_id": null}`, `{"user_id": ""}`} {
		t.Run(text, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newEnv(t, &scripted{}, Options{})
				w.write(codestory.ChapterPath(kilo, 1), "one")
				w.wantOwner("before", kilo, unknown)
				w.write(codestory.MetadataPath(kilo), text)
				w.wantOwner("after", kilo, own)
			})
		})
	}
}

// Of a story whose metadata.json only the store has the owner is not known while the store is down, and then known
// whoever asks first: a list, which asks nobody, or a player.
func TestOwnerInTheStoreOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		store.Set(codestory.MetadataPath(kilo).Key(), `{"user_id": "ada", "title": "T"}`)
		store.Set(codestory.MetadataPath(router).Key(), `{"user_id": "bob"}`)
		store.check = func() error { return errDown }
		store.stat = func(string) error { return errDown }
		w.write(codestory.ChapterPath(kilo, 1), "one")
		w.write(codestory.ChapterPath(router, 1), "one")
		w.upload(3 * time.Minute)
		w.wantOwner("while the store is down", kilo, unknown)
		w.wantListed("while the store is down", router, unknown)
		says := func(p codestory.Problem) bool {
			return p.Code == problemOwnerUnknown && strings.Contains(p.Message, "whose 2 of") && len(p.Details) == 2
		}
		if problems := w.problemsBut(""); !slices.ContainsFunc(problems, says) {
			t.Errorf("problems: %+v", problems)
		}
		store.check, store.stat = nil, nil
		w.upload(20 * time.Second)
		w.wantOwner("once it is up", kilo, ada)
		w.upload(sweepEvery)
		w.wantListed("once it was swept", router, bob)
		if problems := w.problemsBut(""); slices.ContainsFunc(problems, func(p codestory.Problem) bool { return p.Code == problemOwnerUnknown }) {
			t.Errorf("problems: %+v", problems)
		}
	})
}

// A story without any metadata.json costs the store a question now and then, not one in each minute.
func TestStoreIsSparedForUnowned(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.write(codestory.ChapterPath(kilo, 1), "one")
		w.upload(5 * time.Hour)
		if n := store.count("stat " + codestory.MetadataPath(kilo).Key()); n == 0 || n > 6 {
			t.Errorf("the store was asked %d times in five hours", n)
		}
	})
}

// Metadata that another machine stored is read when the story's files are found, and what is on this machine counts
// before it.
func TestOwnerFoundWithTheFiles(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		store.Set(codestory.MetadataPath(kilo).Key(), `{"user_id": "ada"}`)
		store.Set(codestory.ChapterPath(kilo, 1).Key(), "one")
		if _, err := w.Locate(t.Context(), codestory.ChapterPath(kilo, 1)); err != nil {
			t.Fatal(err)
		}
		w.wantOwner("after a chapter was found", kilo, ada)
		store.Set(codestory.MetadataPath(router).Key(), `null`)
		if _, err := w.Owner(t.Context(), router); err != nil {
			t.Fatal(err)
		}
		w.wantOwner("with metadata in the store that does not parse", router, unknown)
		w.write(codestory.MetadataPath(router), `{"user_id": "bob"}`)
		w.wantOwner("with one here", router, bob)
	})
}

// A database that is begun anew knows no owner before it has read a metadata.json again, here or in the store.
func TestOwnerAfterTheDatabaseIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		for _, id := range []codestory.StoryID{kilo, router} {
			w.write(codestory.MetadataPath(id), `{"user_id": "ada"}`)
			w.write(codestory.ChapterPath(id, 1), "one")
		}
		w.upload(time.Second)
		if err := os.Remove(filepath.Join(w.tree.Dir(), string(codestory.MetadataPath(router)))); err != nil {
			t.Fatal(err)
		}
		w.lose()
		w.settle(codestory.ChapterPath(kilo, 1))
		w.settle(codestory.ChapterPath(router, 1))
		w.wantListed("before anything was read", kilo, unknown)
		w.wantListed("before anything was read", router, unknown)
		w.settle(codestory.MetadataPath(kilo))
		w.wantOwner("with its metadata here", kilo, ada)
		w.upload(time.Second) // which finds that the store answers
		time.Sleep(absenceTime)
		w.wantOwner("with its metadata in the store", router, ada)
	})
}

// What is excluded is read all the same: first, last, changed, at a start, and with a story that the store has. It is
// not uploaded, and is none of the story's files.
func TestExcludedMetadataIsRead(t *testing.T) {
	t.Parallel()
	exclude := func(path string, _ bool) (string, bool) { return "*.json", strings.HasSuffix(path, ".json") }
	opts := Options{Rules: watch.Rules{Exclude: exclude}}
	w := newEnv(t, &scripted{}, opts)
	put := func(path codestory.Path, content string) {
		t.Helper()
		name := filepath.Join(w.tree.Dir(), string(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+".tmp", []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".tmp", name); err != nil {
			t.Fatal(err)
		}
	}
	run := func(f func()) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.watcher.Run(ctx) }()
		f()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	await := func(when string, id codestory.StoryID, want codestory.Owner) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if owner, err := w.OwnerNow(id); err == nil && owner == want {
				w.wantListed(when, id, want)
				return
			}
		}
		owner, err := w.OwnerNow(id)
		t.Fatalf("%s: the owner is %q, %v; want %q", when, owner.Text(), err, want.Text())
	}
	first, last := kilo, router
	put(codestory.MetadataPath(first), `{"user_id": "ada", "title": "first"}`)
	run(func() {
		put(codestory.ChapterPath(first, 1), "one")
		await("metadata before the chapter", first, ada)
		put(codestory.ChapterPath(last, 1), "one")
		await("no metadata yet", last, unknown)
		put(codestory.MetadataPath(last), `{"user_id": "bob", "title": "last"}`)
		await("metadata after the chapter", last, bob)
		put(codestory.MetadataPath(last), `{"user_id": "ada"}`)
		await("changed", last, ada)
	})
	put(codestory.MetadataPath(last), `{"user_id": 42, "title": "now"}`)
	w.build(w.queue)
	run(func() { await("changed while nobody watched", last, codestory.OwnedBy("42")) })
	s, err := w.Story(t.Context(), last)
	if err != nil || s.Title != "now" || len(s.Files) != 1 {
		t.Errorf("the story is %+v, %v", s, err)
	}
	if _, err := w.queue.File(codestory.MetadataPath(last)); err == nil {
		t.Error("the file that is excluded is in the index")
	}
}

// The owner that was read here last is not replaced by what the store has of a metadata.json.
func TestStoreDoesNotReplaceWhatIsHere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		exclude := func(path string, _ bool) (string, bool) { return "*.json", strings.HasSuffix(path, ".json") }
		store := &scripted{}
		w := newEnv(t, store, Options{Rules: watch.Rules{Exclude: exclude}})
		w.upload(time.Second)
		store.Set(codestory.MetadataPath(kilo).Key(), `{"user_id": "bob"}`)
		w.write(codestory.ChapterPath(kilo, 1), "one")
		w.write(codestory.MetadataPath(kilo), `{"user_id": "ada"}`)
		w.wantOwner("read here", kilo, ada)
		if err := w.lookup(t.Context(), codestory.MetadataPath(kilo)); err != nil {
			t.Fatal(err)
		}
		w.wantOwner("after the store was asked", kilo, ada)
		if got := store.puts(); len(got) != 0 {
			t.Errorf("uploaded %q", got)
		}
	})
}
