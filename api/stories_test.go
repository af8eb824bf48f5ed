package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

func TestStories(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		token, query string
		want         []codestory.StoryID
		next         bool
	}{
		{ownerToken, "", []codestory.StoryID{aliceStory, homeStory, farStory}, false},
		{aliceToken, "", []codestory.StoryID{aliceStory, farStory}, false},
		{homeToken, "?limit=200", []codestory.StoryID{homeStory}, false},
		{ownerToken, "?limit=1", []codestory.StoryID{aliceStory}, true},
		{ownerToken, "?limit=2&cursor=1", []codestory.StoryID{homeStory, farStory}, false},
		{aliceToken, "?limit=1&cursor=1", []codestory.StoryID{farStory}, false},
		{aliceToken, "?cursor=2", []codestory.StoryID{}, false},
	} {
		resp := w.request("GET", "/api/storage/stories"+c.query, c.token)
		wantStatus(t, resp, 200)
		page := decode[codestory.StoryPage](t, resp)
		ids := []codestory.StoryID{}
		for _, s := range page.Stories {
			ids = append(ids, s.ID)
			if s.Files != nil || s.PlayURL == nil || s.FeedURL == nil {
				t.Errorf("%s: files %v, play_url %v, feed_url %v", s.ID, s.Files, s.PlayURL, s.FeedURL)
			}
		}
		if !slices.Equal(ids, c.want) || (page.NextCursor != nil) != c.next || page.Stories == nil {
			t.Errorf("%s as %s: got %v and cursor %v, want %v", c.query, c.token, ids, page.NextCursor, c.want)
		}
	}
	for query, code := range map[string]string{
		"?limit=0": "invalid_parameter", "?limit=1001": "invalid_parameter", "?limit=-1": "invalid_parameter",
		"?limit=": "invalid_parameter", "?limit=5x": "invalid_parameter", "?limit=1&limit=2": "invalid_parameter",
		"?limit=%zz": "invalid_parameter", "?cursor=not+one": "invalid_cursor",
	} {
		wantProblem(t, w.request("GET", "/api/storage/stories"+query, ownerToken), 400, code)
	}
}

func TestStory(t *testing.T) {
	t.Parallel()
	w := newFakes(t, testOptions(t))
	golden(t, "story.json", w.record("GET", storyURL(aliceStory, ""), aliceToken))

	w.lib.stories[noStory] = codestory.Story{ID: noStory}
	golden(t, "story_empty.json", w.record("GET", storyURL(noStory, ""), ownerToken))
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resp := w.request("GET", storyURL(homeStory, "/metadata"), homeToken)
	wantStatus(t, resp, 200)
	if got, want := body(t, resp), string(w.lib.files[codestory.MetadataPath(homeStory)].data); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if h := resp.Header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", h)
	}
	w.lib.change(func() { w.lib.files[codestory.MetadataPath(homeStory)] = file{} })
	wantProblem(t, w.request("GET", storyURL(homeStory, "/metadata"), homeToken), 404, "not_found")
	w.lib.change(func() { w.lib.down = true })
	wantProblem(t, w.request("GET", storyURL(homeStory, "/metadata"), homeToken), 503, "storage_unavailable")
}

// Why a file waits is told to the owner; players are told no more than that it does.
func TestReasonsAreTheOwners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const inner = "the store is denied: https://minio.internal:9000/bucket answers AccessDenied"
	w.lib.change(func() {
		story := w.lib.stories[aliceStory]
		for _, state := range []codestory.FileState{codestory.Blocked, codestory.Queued, codestory.Retrying, codestory.Settling,
			codestory.Missing, codestory.Uploading} {
			story.Files = append(story.Files, codestory.File{Path: codestory.Path(aliceStory) + "/x", State: state, Reason: new(inner)})
		}
		w.lib.stories[aliceStory] = story
	})
	if text := body(t, w.request("GET", storyURL(aliceStory, ""), ownerToken)); strings.Count(text, inner) != 6 {
		t.Errorf("the owner is told %s", text)
	}
	text := body(t, w.request("GET", storyURL(aliceStory, ""), aliceToken))
	if strings.Contains(text, "internal") || !strings.Contains(text, `"reason":"it waits to be stored"`) {
		t.Errorf("a player is told %s", text)
	}
	if strings.Contains(body(t, w.request("GET", "/api/storage/stories", aliceToken)), "internal") {
		t.Error("the list of stories tells more than a story")
	}
	alice, _ := w.listenAs(aliceToken)
	event := fileEvent(aliceStory)
	event.File.State, event.File.Reason = codestory.Blocked, new(inner)
	w.events.add(event)
	if h := alice("file"); strings.Contains(h.data, "internal") || !strings.Contains(h.data, `"reason":"it cannot be stored`) {
		t.Errorf("a listener hears %+v", h)
	}
}
