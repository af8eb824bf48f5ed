package library

import (
	"errors"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// What is in the store and not on this machine any more is found by listing the store, once.
func TestLostIndexOfWhatIsOnlyStored(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		store.Set(codestory.MetadataPath(router).Key(), `{"user_id": "ada", "title": "Router"}`)
		store.Set(codestory.ChapterPath(router, 1).Key(), "one")
		store.Set(codestory.KeyPrefix+"not a story's", "another's")
		w.lose()
		w.upload(time.Hour)
		page, err := w.Stories(t.Context(), nil, 10, "")
		if err != nil || len(page.Stories) != 1 || page.Stories[0].Title != "Router" || len(page.Stories[0].Chapters) != 1 {
			t.Errorf("stories: %+v, %v", page, err)
		}
		w.upload(time.Hour)
		if n := store.count("list"); n != 1 {
			t.Errorf("the store was listed %d times", n)
		}
	})
}

// An object that the store tells nothing of holds up no other, and does not make it listed again and again.
func TestLostIndexAndADeniedObject(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		denied, other := codestory.ChapterPath(router, 1), codestory.ChapterPath(router, 2)
		store.Set(denied.Key(), "one")
		store.Set(other.Key(), "two")
		store.stat = func(key string) error {
			if key == denied.Key() {
				return errors.New("403")
			}
			return nil
		}
		w.lose()
		w.upload(6 * time.Hour)
		if f, err := w.queue.File(other); err != nil || f.State != codestory.Synced {
			t.Errorf("the other is %+v, %v", f, err)
		}
		if n := store.count("list"); n < 2 || n > 30 { // eighteen or so: each delay is one hour at most, and its jitter makes it half of that
			t.Errorf("the store was listed %d times", n)
		}
		store.stat = nil
		w.upload(2 * time.Hour)
		if f, err := w.queue.File(denied); err != nil || f.State != codestory.Synced {
			t.Errorf("the denied one is %+v, %v", f, err)
		}
	})
}
