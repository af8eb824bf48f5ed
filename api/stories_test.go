package api_test

import (
	"encoding/json"
	"fmt"
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

// A page ends before it has more than 1 MiB, wherever that is, and the next one goes on from there.
func TestStoriesPagesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const stories = 40
	w.lib.change(func() {
		for i := range stories {
			id := codestory.StoryID(fmt.Sprintf("66666666-6666-4666-8666-%012d", i))
			story := codestory.Story{ID: id, Owner: codestory.OwnedBy("bob"), CreatedAt: modified.AddDate(0, 0, i)}
			for n := range 50 * i { // the newest are the largest; some are larger than a page
				story.Chapters = append(story.Chapters, codestory.Chapter{Number: n + 1, Title: strings.Repeat("t", 500), Path: codestory.ChapterPath(id, n+1)})
			}
			w.lib.stories[id] = story
		}
		w.access.tokens["bob-secret"] = codestory.Token{Name: "bob", User: "bob", Scope: codestory.ScopePlay}
	})
	seen, pages := 0, 0
	for cursor := ""; ; pages++ {
		resp := w.request("GET", "/api/storage/stories?limit=1000&cursor="+cursor, "bob-secret")
		wantStatus(t, resp, 200)
		text := body(t, resp)
		var page codestory.StoryPage
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(err)
		}
		if len(text) > 1<<20+1000 && len(page.Stories) > 1 || len(page.Stories) == 0 {
			t.Errorf("a page has %d stories and %d bytes", len(page.Stories), len(text))
		}
		for _, story := range page.Stories {
			if seen++; story.ID != codestory.StoryID(fmt.Sprintf("66666666-6666-4666-8666-%012d", stories-seen)) {
				t.Fatalf("story %d is %s", seen, story.ID)
			}
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	if seen != stories || pages < 10 {
		t.Errorf("%d stories on %d pages", seen, pages)
	}
}

// The library's feed is cut between two stories, and leads to the rest.
func TestLibraryFeedIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lib.change(func() {
		for i := range 5 {
			id := codestory.StoryID(fmt.Sprintf("66666666-6666-4666-8666-%012d", i))
			story := codestory.Story{ID: id, Owner: codestory.OwnedBy("bob"), CreatedAt: modified.AddDate(0, 0, i)}
			for n := range 400 {
				path := codestory.ChapterPath(id, n+1)
				story.Chapters = append(story.Chapters, codestory.Chapter{Number: n + 1, Path: path})
				story.Files = append(story.Files, codestory.File{Path: path, Size: 1, State: codestory.Synced})
			}
			w.lib.stories[id] = story
		}
	})
	first := body(t, w.request("GET", "/feed/library.xml?k="+w.access.LibraryKey("bob"), ""))
	if n := strings.Count(first, "<item>"); n != 1200 || !strings.Contains(first, `rel="next"`) {
		t.Errorf("%d episodes", n)
	}
	if rest := body(t, w.request("GET", "/feed/library.xml?cursor=3&k="+w.access.LibraryKey("bob"), "")); strings.Count(rest, "<item>") != 800 || strings.Contains(rest, `rel="next"`) {
		t.Errorf("the rest has %d episodes", strings.Count(rest, "<item>"))
	}
}

// A story that changes is described once for all who listen.
func TestStoryEventsAreShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var listeners []func(...string) heard
	for range 20 {
		next, _ := w.listenAs(aliceToken)
		listeners = append(listeners, next)
	}
	w.lib.takeAsked()
	w.events.add(storyEvent(aliceStory))
	for _, next := range listeners {
		if h := next("story"); !strings.Contains(h.data, string(aliceStory)) || strings.Contains(h.data, `"files":[{`) {
			t.Errorf("heard %+v", h)
		}
	}
	described := 0
	for _, asked := range w.lib.takeAsked() {
		if asked == "story "+string(aliceStory) {
			described++
		}
	}
	// Each listener's right to it is looked up by the same fake call.
	if described > len(listeners)+5 {
		t.Errorf("described %d times for %d listeners", described-len(listeners), len(listeners))
	}
}
