package library

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// far is a story that only the store has.
func (s *scripted) far(id codestory.StoryID, title string) {
	s.Set(codestory.MetadataPath(id).Key(), `{"title": "`+title+`", "chapters": [{"number": 1}, {"number": 2}]}`)
	s.Set(codestory.StoryAudioPath(id).Key(), "audio")
	s.Set(codestory.ChapterPath(id, 1).Key(), "one")
	s.Set(codestory.ChapterPath(id, 2).Key(), "two")
}

func (s *scripted) lose(path codestory.Path) {
	s.Unset(path.Key())
}

// located is the size that a player is told, -1 where there is none.
func (w *env) located(path codestory.Path) int64 {
	w.t.Helper()
	loc, err := w.Locate(w.t.Context(), path)
	if errors.Is(err, codestory.ErrNotFound) {
		return -1
	}
	if err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
	return loc.Size
}

// A story that is found in the store is there whole, at once, for one list.
func TestFoundStoryIsWholeAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		store.far(router, "T")
		store.Set(codestory.KeyPrefix+string(router)+"/cover.jpg", "cover")
		store.Set(codestory.KeyPrefix+string(router)+"/", "")
		story, err := w.Story(t.Context(), router)
		if err != nil || story.State != codestory.StorySynced || len(story.Files) != 5 || story.Bytes == 0 {
			t.Errorf("story %+v, %v", story, err)
		}
		for _, c := range story.Chapters {
			if c.State != codestory.Synced {
				t.Errorf("chapter %d is %s", c.Number, c.State)
			}
		}
		for range 10 {
			_, _ = w.Story(t.Context(), router)
			_ = w.located(codestory.ChapterPath(router, 1))
		}
		if lists := store.count("list"); lists != 1 {
			t.Errorf("the store was asked for %d lists", lists)
		}
	})
}

// What others do in the store to what they stored is seen within some seconds.
func TestOthersObjectsAreAskedForAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		store.far(router, "before")
		one, two := codestory.ChapterPath(router, 1), codestory.ChapterPath(router, 2)
		if _, err := w.Story(t.Context(), router); err != nil {
			t.Fatal(err)
		}
		store.Set(one.Key(), "replaced")
		store.Set(codestory.ChapterPath(router, 3).Key(), "three")
		store.lose(two)
		if got := w.located(one); got != 3 && got != 8 {
			t.Errorf("chapter 1 has %d bytes", got)
		}
		time.Sleep(absenceTime)
		if got := w.located(one); got != 8 {
			t.Errorf("a replaced chapter has %d bytes", got)
		}
		if got := w.located(two); got != -1 {
			t.Errorf("a deleted chapter has %d bytes", got)
		}
		store.Set(codestory.MetadataPath(router).Key(), `{"title": "after"}`)
		time.Sleep(absenceTime)
		story, err := w.Story(t.Context(), router)
		if err != nil || story.Title != "after" || len(story.Files) != 4 || len(story.Chapters) != 2 {
			t.Errorf("story %+v, %v", story, err)
		}

		store.stat = func(string) error { return errDown }
		time.Sleep(absenceTime)
		store.Set(one.Key(), "replaced again")
		if got := w.located(one); got != 8 {
			t.Errorf("with a store that does not answer chapter 1 has %d bytes", got)
		}
		store.stat = nil
		time.Sleep(silentTime)
		if got := w.located(one); got != 14 {
			t.Errorf("with the store back chapter 1 has %d bytes", got)
		}

		for _, path := range []codestory.Path{codestory.MetadataPath(router), codestory.StoryAudioPath(router), one, codestory.ChapterPath(router, 3)} {
			store.lose(path)
		}
		time.Sleep(absenceTime)
		if story, err := w.Story(t.Context(), router); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("a story that is gone from the store: %+v, %v", story, err)
		}
	})
}

// While a form is good its object is asked for each time.
func TestPostedObjectIsSeenAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		path := codestory.StoryAudioPath(router)
		if got := w.located(path); got != -1 {
			t.Errorf("nothing has %d bytes", got)
		}
		sign := func() {
			if _, _, _, err := w.SignForm(t.Context(), path, time.Hour); !errors.Is(err, codestory.ErrNoForms) {
				t.Fatal(err)
			}
		}
		sign()
		for _, content := range []string{"posted", "posted again", "and again"} {
			store.Set(path.Key(), content)
			if got := w.located(path); got != int64(len(content)) {
				t.Errorf("%q has %d bytes", content, got)
			}
		}
		store.Set(path.Key(), "for the feed")
		story, err := w.Story(t.Context(), router)
		if err != nil || len(story.Files) != 1 || story.Files[0].Size != 12 {
			t.Errorf("story %+v, %v", story, err)
		}
	})
}

// What is heard on the way to a player corrects the index, of our own objects too.
func TestProxyTeachesTheIndex(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		path := codestory.StoryAudioPath(kilo)
		other := codestory.ChapterPath(kilo, 1)
		w.write(path, "mine")
		w.write(other, "mine too")
		w.upload(time.Second)
		for _, p := range []codestory.Path{path, other} {
			if err := os.Remove(filepath.Join(w.tree.Dir(), string(p))); err != nil {
				t.Fatal(err)
			}
		}
		store.Set(path.Key(), "somebody's")
		c, err := w.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.located(path); got != 10 || c.Size != 10 {
			t.Errorf("%d bytes, opened %d", got, c.Size)
		}
		store.Set(path.Key(), "of others")
		if _, err := c.Range(0, 10); !errors.Is(err, codestory.ErrChanged) {
			t.Errorf("the version that was begun with: %v", err)
		}
		if got := w.located(path); got != 9 {
			t.Errorf("%d bytes after the object changed under a player", got)
		}
		if err := w.Delete(t.Context(), kilo, false); err != nil { // ours alone
			t.Fatal(err)
		}
		if content, ok := store.Content(path.Key()); content != "of others" {
			t.Errorf("the object of somebody else: %q, %v", content, ok)
		}
		if _, ok := store.Content(other.Key()); ok {
			t.Error("the object of our own is still there")
		}
	})
}

func TestProxyForgetsWhatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		store.far(router, "T")
		path := codestory.ChapterPath(router, 1)
		if _, err := w.Story(t.Context(), router); err != nil {
			t.Fatal(err)
		}
		c, err := w.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Range(0, 3)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "one" || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
		store.lose(path)
		store.check = func() error { return errDown }
		time.Sleep(2 * fresh)
		if _, err := w.Open(t.Context(), path); err == nil {
			t.Error("opened what is gone")
		}
		if f, err := w.queue.File(path); err != nil || f.State != codestory.Synced {
			t.Errorf("of a store that is in trouble: %+v, %v", f, err)
		}
		store.check = nil
		w.upload(time.Minute)
		if _, err := w.Open(t.Context(), path); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("opened what is gone: %v", err)
		}
		if got := w.located(path); got != -1 {
			t.Errorf("what is gone has %d bytes", got)
		}
	})
}

// An answer of the store never touches a file that is here or waits.
func TestWhatIsHereIsNotCorrected(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.upload(time.Second)
		store.far(router, "T")
		path := codestory.ChapterPath(router, 1)
		if _, err := w.Story(t.Context(), router); err != nil {
			t.Fatal(err)
		}
		known, err := w.queue.File(path)
		if err != nil {
			t.Fatal(err)
		}
		w.write(path, "written here")
		if err := w.updateIndex(t.Context(), known, describeBytes(path.Key(), []byte("x")), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.queue.Correct(known, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := w.state(path); got != codestory.Queued {
			t.Errorf("it is %s", got)
		}
		w.upload(time.Second)
		if got := w.located(path); got != 12 {
			t.Errorf("it has %d bytes", got)
		}
	})
}
