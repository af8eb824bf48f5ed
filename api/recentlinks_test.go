package api_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// TestRecentLinks: what many ask for is found out once in a moment, for nobody who may not have it, and not kept over a
// change.
func TestRecentLinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakes(t, api.Options{LinkMemory: 50 * time.Millisecond})
		target := storyURL(aliceStory, "/audio")
		get := func(token string) codestory.Link {
			t.Helper()
			return decode[codestory.Link](t, w.record("GET", target, token).Result())
		}
		located := func() (n int) {
			for _, asked := range w.lib.takeAsked() {
				if asked == "locate "+string(codestory.StoryAudioPath(aliceStory)) {
					n++
				}
			}
			return n
		}
		first := get(ownerToken)
		for range 10 {
			if link := get(aliceToken); link.URL != first.URL || *link.PlayURL != *first.PlayURL {
				t.Errorf("another answer: %+v", link)
			}
		}
		if n := located(); n != 1 {
			t.Errorf("looked up %d times", n)
		}
		wantProblem(t, w.record("GET", target, homeToken).Result(), 403, "forbidden")
		wantProblem(t, w.record("GET", target, "").Result(), 401, "unauthorized")
		w.record("GET", target+"?expires_in=7", ownerToken)
		w.record("GET", target+"?download=1", ownerToken)
		if n := located(); n != 2 {
			t.Errorf("two other links: looked up %d times", n)
		}

		wantStatus(t, w.record("POST", storyURL(aliceStory, "/play-key"), ownerToken).Result(), 200)
		if link := get(ownerToken); *link.PlayURL == *first.PlayURL {
			t.Error("the old KEY was given after it was replaced")
		}
		wantStatus(t, w.record("DELETE", storyURL(aliceStory, ""), ownerToken).Result(), 204)
		located()
		get(ownerToken)
		time.Sleep(time.Second)
		get(ownerToken)
		if n := located(); n != 2 {
			t.Errorf("after a deletion and after a moment: looked up %d times, want both times", n)
		}
	})
}

// TestRecentLinksOfTheStore: what only the store has is looked up each time, since others may change it there.
func TestRecentLinksOfTheStore(t *testing.T) {
	t.Parallel()
	w := newFakes(t, api.Options{LinkMemory: time.Hour})
	for _, content := range []string{"one", "another"} {
		w.lib.change(func() {
			w.lib.files[codestory.StoryAudioPath(aliceStory)] = file{data: []byte(content), stored: true}
		})
		link := decode[codestory.Link](t, w.record("GET", storyURL(aliceStory, "/audio"), aliceToken).Result())
		if link.Size != int64(len(content)) {
			t.Errorf("a link to %d bytes, want %d", link.Size, len(content))
		}
	}
}
