package api_test

import (
	"io"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

// own gives the story to the owner.
func (w *world) own(id codestory.StoryID, owner codestory.Owner) {
	w.lib.change(func() {
		story := w.lib.stories[id]
		story.Owner = owner
		w.lib.stories[id] = story
	})
}

func (w *world) body(target, token string) string {
	w.t.Helper()
	resp := w.request("GET", target, token)
	wantStatus(w.t, resp, 200)
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// A story is there for its owner and for scope manage, in every route and list alike; one whose owner is not known, for
// scope manage only.
func TestWhoSeesAStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := map[string]string{aliceToken: "alice", homeToken: ""}
	for _, owner := range []codestory.Owner{
		{}, codestory.OwnedBy("alice"), codestory.OwnedBy(""), codestory.OwnedBy("bob"), codestory.OwnedBy("="), codestory.OwnedBy("null"),
	} {
		w.own(aliceStory, owner)
		for token, user := range users {
			sees := owner.Is(user)
			for _, route := range []string{
				"", "/metadata", "/audio", "/audio/stream", "/audio/stream?proxy=1", "/chapters/1/audio", "/chapters/1/audio/stream",
			} {
				for _, method := range []string{"GET", "HEAD"} {
					resp := w.request(method, storyURL(aliceStory, route), token)
					if sees == (resp.StatusCode == 403) || resp.StatusCode == 404 {
						t.Errorf("owned by %q, %q is answered %s to %s %s", owner.Text(), user, resp.Status, method, route)
					}
				}
			}
			if got := strings.Contains(w.body("/api/storage/stories", token), string(aliceStory)); got != sees {
				t.Errorf("owned by %q, it is in the list of %q: %t", owner.Text(), user, got)
			}
			library := decode[codestory.Library](t, w.request("GET", "/api/storage/library", token))
			if got := strings.Contains(w.body(library.FeedURL, ""), string(aliceStory)); got != sees {
				t.Errorf("owned by %q, it is in the library of %q: %t", owner.Text(), user, got)
			}
			wantProblem(t, w.request("POST", storyURL(aliceStory, "/audio/upload-url"), token), 403, "scope_insufficient")
		}
		if story := w.body(storyURL(aliceStory, ""), ownerToken); strings.Contains(story, `"user_id":null`) == owner.Known() {
			t.Errorf("owned by %q, it is told as %s", owner.Text(), story)
		}
		if !strings.Contains(w.body("/api/storage/stories", ownerToken), string(aliceStory)) {
			t.Errorf("owned by %q, it is not in the list of all", owner.Text())
		}
		wantStatus(t, w.request("POST", storyURL(aliceStory, "/audio/upload-url"), ownerToken), 200)
	}
}

// Another owner is another KEY: what was handed out before opens nothing.
func TestKeyIsOfTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owners := []codestory.Owner{codestory.OwnedBy("alice"), {}, codestory.OwnedBy("bob"), codestory.OwnedBy(""), codestory.OwnedBy("=")}
	var urls [][]string
	for _, owner := range owners {
		w.own(aliceStory, owner)
		link := decode[codestory.Link](t, w.request("GET", storyURL(aliceStory, "/audio"), ownerToken))
		story := decode[codestory.Story](t, w.request("GET", storyURL(aliceStory, ""), ownerToken))
		urls = append(urls, []string{
			*link.PlayURL, *story.PlayURL, *story.FeedURL, *story.PlaylistURL, w.feedURL(aliceStory, ".chapters.json"),
			w.playURL(codestory.MetadataPath(aliceStory)),
		})
	}
	for n, owner := range owners {
		w.own(aliceStory, owner)
		for of, list := range urls {
			for _, url := range list {
				for _, method := range []string{"GET", "HEAD"} {
					if of == n {
						wantStatus(t, w.request(method, url, ""), 200)
					} else if method == "GET" {
						wantProblem(t, w.request(method, url, ""), 403, "link_invalid")
					} else {
						wantStatus(t, w.request(method, url, ""), 403)
					}
				}
			}
		}
	}
}

// Whose the story is, is held against the story itself that is told: it may have changed hands since it was looked up.
func TestStoryChangesHandsMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	feed := w.feedURL(aliceStory, ".xml")
	playlist := w.feedURL(aliceStory, ".m3u8")
	w.own(aliceStory, codestory.OwnedBy("bob"))
	w.lib.change(func() { w.lib.before = new(codestory.OwnedBy("alice")) })
	wantProblem(t, w.request("GET", storyURL(aliceStory, ""), aliceToken), 403, "forbidden")
	for _, url := range []string{feed, playlist} {
		wantProblem(t, w.request("GET", url, ""), 403, "link_invalid")
	}
	alice, _ := w.listenAs(aliceToken)
	w.events.add(storyEvent(aliceStory), fileEvent(farStory)) // alice's
	if h := alice("story", "file"); h.event != "file" || strings.Contains(h.data, string(aliceStory)) {
		t.Errorf("alice hears %+v", h)
	}
}

// An event is told to whoever has the story when it is sent, not when it happened.
func TestEventsFollowTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.own(homeStory, codestory.Owner{})
	next, resp := w.listenAs(aliceToken)
	w.events.add(fileEvent(farStory))
	seen := next("file")
	resp.Body.Close()
	upload := codestory.Event{Upload: &codestory.Upload{Path: string(codestory.StoryAudioPath(homeStory))}}
	w.events.add(fileEvent(homeStory), upload, storyEvent(homeStory), fileEvent(aliceStory)) // while nobody knows whose it is

	w.own(homeStory, codestory.OwnedBy("alice"))
	next, resp = w.listenAs(aliceToken, "Last-Event-ID", seen.id)
	for _, want := range []string{"file", "upload", "story"} {
		if h := next("file", "upload", "story"); h.event != want || !strings.Contains(h.data, string(homeStory)) {
			t.Errorf("alice, whose it is now, hears %+v, want the %s", h, want)
		}
	}
	resp.Body.Close()
	for _, owner := range []codestory.Owner{{}, codestory.OwnedBy("")} {
		w.own(homeStory, owner)
		next, resp = w.listenAs(aliceToken, "Last-Event-ID", seen.id)
		if h := next("file", "upload", "story"); !strings.Contains(h.data, string(aliceStory)) {
			t.Errorf("alice, whose it is not, hears %+v", h)
		}
		resp.Body.Close()
	}
}

// A link has the KEY of the owner of now.
func TestLinkIsOfTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, owner := range []codestory.Owner{codestory.OwnedBy("alice"), codestory.OwnedBy("bob"), {}, codestory.OwnedBy("")} {
		w.own(homeStory, owner)
		link := decode[codestory.Link](t, w.request("GET", storyURL(homeStory, "/audio"), ownerToken))
		wantStatus(t, w.request("GET", *link.PlayURL, ""), 200)
	}
}
