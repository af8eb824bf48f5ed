package library

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

func TestLocate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		expect := func(when string, want codestory.Location) {
			t.Helper()
			if got, err := w.Locate(t.Context(), path); err != nil || got != want {
				t.Errorf("%s: %+v, %v; want %+v", when, got, err, want)
			}
		}
		w.write(path, "one")
		expect("before the upload", codestory.Location{Size: 3, Local: true})
		w.upload(time.Second)
		etag := describeBytes("", []byte("one")).ETag
		expect("after the upload", codestory.Location{Size: 3, ETag: etag, Stored: true, Local: true})

		store.check = func() error { return errDown }
		w.upload(2 * time.Minute)
		expect("while the store is away", codestory.Location{Size: 3, ETag: etag, Local: true})
		name := filepath.Join(w.tree.Dir(), string(path))
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Locate(t.Context(), path); !errors.Is(err, codestory.ErrUnavailable) {
			t.Errorf("neither here nor to be had from the store: %v", err)
		}
		store.check = nil
		w.upload(time.Minute)
		expect("with the local file gone", codestory.Location{Size: 3, ETag: etag, Stored: true})

		w.write(path, "other")
		expect("with a newer version here", codestory.Location{Size: 5, Local: true})
	})
}

// What neither this machine nor the index knows is asked of the store, and the answer kept.
func TestUnknownStoryIsAskedOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		if _, err := w.Owner(t.Context(), router); !errors.Is(err, codestory.ErrUnavailable) {
			t.Errorf("before the store answers: %v", err)
		}
		w.upload(time.Second)
		for range 10 {
			if _, err := w.Owner(t.Context(), router); !errors.Is(err, codestory.ErrNotFound) {
				t.Errorf("a story that is nowhere: %v", err)
			}
		}
		if stats, lists := store.count("stat"), store.count("list"); stats != 0 || lists != 1 {
			t.Errorf("the store was asked %d times for a file and %d times for a list", stats, lists)
		}
		store.Set(codestory.MetadataPath(router).Key(), `{"user_id": "ada", "title": "T"}`)
		store.Set(codestory.StoryAudioPath(router).Key(), "audio")
		time.Sleep(absenceTime)
		if owner, err := w.Owner(t.Context(), router); !owner.Is("ada") || err != nil {
			t.Errorf("owner %q, %v", owner, err)
		}
		loc, err := w.Locate(t.Context(), codestory.StoryAudioPath(router))
		if err != nil || !loc.Stored || loc.Local || loc.Size != 5 {
			t.Errorf("location %+v, %v", loc, err)
		}
		story, err := w.Story(t.Context(), router)
		if err != nil || story.Title != "T" || story.State != codestory.StorySynced || len(story.Files) != 2 {
			t.Errorf("story %+v, %v", story, err)
		}
	})
}

// Nothing is asked of the store beyond what the caller may ask, and each story that is nowhere costs one request.
func TestUnknownStoriesWithinALimit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		left, errLimit := 20, errors.New("too many")
		ctx := codestory.WithAskLimit(t.Context(), func() error {
			if left--; left < 0 {
				return errLimit
			}
			return nil
		})
		before := store.count("")
		for i := range 200 {
			_, err := w.Owner(ctx, codestory.StoryID(fmt.Sprintf("77777777-7777-4777-8777-%012d", i)))
			if want := map[bool]error{true: codestory.ErrNotFound, false: errLimit}[i < 20]; !errors.Is(err, want) {
				t.Fatalf("story %d: %v", i, err)
			}
		}
		if n := store.count("") - before; n != 20 {
			t.Errorf("the store was asked %d times", n)
		}
	})
}

func TestOpenReadsHereThenFromTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "0123456789")
		var tags []string
		for _, where := range []string{"here", "here and in the store", "in the store"} {
			c, err := w.Open(t.Context(), path)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			r, err := c.Range(c.Size-4, 4)
			if err != nil {
				t.Fatal(err)
			}
			tail, err := io.ReadAll(r)
			if err != nil || string(tail) != "6789" || c.Size != 10 {
				t.Errorf("%s: read %q of %d bytes, %v", where, tail, c.Size, err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			tags = append(tags, c.ETag)
			if where == "here" {
				w.upload(time.Second)
			} else {
				_ = os.Remove(filepath.Join(w.tree.Dir(), string(path)))
			}
		}
		if tags[0] == "" || tags[0] != tags[1] || tags[1] != tags[2] {
			t.Errorf("the same bytes have the ETags %q", tags)
		}
		store.Set(path.Key(), "9876543210")
		if c, err := w.Open(t.Context(), path); err != nil || c.ETag == tags[0] {
			t.Errorf("other bytes have the ETag %q, %v", c.ETag, err)
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestStoryStates(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		expect := func(want codestory.StoryState) codestory.Story {
			t.Helper()
			s, err := w.Story(t.Context(), kilo)
			if err != nil || s.State != want {
				t.Errorf("the story is %s, %v; want %s", s.State, err, want)
			}
			return s
		}
		w.write(codestory.MetadataPath(kilo), `{"title": "Kilo", "chapters": [{"number": 1, "title": "One"}, {"number": 3}]}`)
		w.write(codestory.ChapterPath(kilo, 1), "one")
		s := expect(codestory.StoryWaiting)
		if s.Title != "Kilo" || len(s.Chapters) != 2 || s.Chapters[0].Title != "One" ||
			s.Chapters[0].State != codestory.Queued || s.Chapters[1].State != codestory.Missing {
			t.Errorf("story: %+v", s)
		}
		if s.Files[0].Reason == nil || *s.Files[0].Reason != "the store is unavailable: not asked yet" {
			t.Errorf("reason: %v", s.Files[0].Reason)
		}
		w.upload(time.Second)
		expect(codestory.StorySynced)
		w.write(codestory.ChapterPath(kilo, 2), "two")
		expect(codestory.StoryPartial)
	})
}

func TestMetadataThatDoesNotParseIsUploadedAndReported(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.MetadataPath(kilo)
		w.write(path, `{"user_id": "ada"}`)
		w.write(path, `{"user_id": `)
		w.upload(time.Second)
		if content, _ := store.Content(path.Key()); content != `{"user_id": ` {
			t.Errorf("stored %q", content)
		}
		s, err := w.Story(t.Context(), kilo)
		if err != nil || !s.Owner.Is("ada") || len(s.Files) != 1 || s.Files[0].State != codestory.Synced || s.Files[0].Reason == nil {
			t.Errorf("story %+v, %v", s, err)
		}
	})
}

// One file that the store cannot take leaves readers what it has.
func TestFailingUploadLeavesTheStoreReadable(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds")
	}
	inBubble(t, func(t *testing.T) {
		bad, good := codestory.ChapterPath(kilo, 1), codestory.ChapterPath(kilo, 2)
		for _, fault := range []error{errors.New("500"), errDenied} {
			store := &scripted{put: func(_ context.Context, key string) error {
				if key == bad.Key() {
					return fault
				}
				return nil
			}}
			w := newEnv(t, store, Options{})
			w.write(good, "good")
			w.upload(time.Second)
			if err := os.Remove(filepath.Join(w.tree.Dir(), string(good))); err != nil {
				t.Fatal(err)
			}
			w.write(bad, "bad")
			for range 100 {
				w.upload(10 * time.Minute)
				if loc, err := w.Locate(t.Context(), good); err != nil || !loc.Stored {
					t.Fatalf("after %v for another file: %+v, %v", fault, loc, err)
				}
			}
		}
	})
}

// A store that went away a moment ago gets no links while the file is here.
func TestLinkOfAStoreThatWentAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		w.upload(time.Second)
		store.check = func() error { return errDown }
		time.Sleep(2 * fresh)
		for range 10 {
			if loc, err := w.Locate(t.Context(), path); err != nil || loc.Stored || !loc.Local {
				t.Errorf("location %+v, %v", loc, err)
			}
		}
		if n := store.count("check"); n != 2 {
			t.Errorf("the store was asked %d times", n)
		}
	})
}

// A chapter is found under any number of digits, and of two files with one number the one named as codestoryd does is it, if it is
// anywhere.
func TestChaptersOfAnyDigits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newEnv(t, &scripted{}, Options{})
		in := func(name string) codestory.Path { return codestory.Path(string(kilo) + "/chapters/" + name) }
		w.write(codestory.MetadataPath(kilo), `{"chapters": [{"number": 1, "title": "One"}, {"number": 2, "title": "Two"}, {"number": 100, "title": "Hundred"}]}`)
		for _, name := range []string{"chapter_001.mp3", "chapter_002.mp3", "chapter_100.mp3"} {
			w.write(in(name), name)
		}
		expect := func(names ...string) {
			t.Helper()
			s, err := w.Story(t.Context(), kilo)
			if err != nil || len(s.Chapters) != len(names) {
				t.Fatalf("chapters %+v, %v", s.Chapters, err)
			}
			for i, c := range s.Chapters {
				if c.Path != in(names[i]) || c.Title == "" || c.State == codestory.Missing || w.Chapter(kilo, c.Number) != c.Path {
					t.Errorf("chapter %+v, and %s, want %s", c, w.Chapter(kilo, c.Number), names[i])
				}
			}
		}
		expect("chapter_001.mp3", "chapter_002.mp3", "chapter_100.mp3")
		w.write(in("chapter_1.mp3"), "one")
		expect("chapter_001.mp3", "chapter_002.mp3", "chapter_100.mp3")
		w.write(in("chapter_01.mp3"), "one")
		expect("chapter_01.mp3", "chapter_002.mp3", "chapter_100.mp3")
		if got := w.Chapter(kilo, 7); got != codestory.ChapterPath(kilo, 7) {
			t.Errorf("one that is nowhere is at %s", got)
		}
	})
}
