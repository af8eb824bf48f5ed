package api_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// HEAD is answered by the daemon, wherever the file is: a link is signed for one method, and players GET it.
func TestHeadIsAnsweredHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []codestory.StoryID{aliceStory, homeStory, farStory} {
		path := codestory.StoryAudioPath(id)
		f := w.lib.files[path]
		for target, token := range map[string]string{w.playURL(path): "", storyURL(id, "/audio/stream"): ownerToken,
			w.playURL(path) + "&proxy=1": ""} {
			resp := w.request("HEAD", target, token)
			wantStatus(t, resp, 200)
			h := resp.Header
			if resp.ContentLength != int64(len(f.data)) || h.Get("Content-Type") != "audio/mpeg" || h.Get("Accept-Ranges") != "bytes" ||
				h.Get("ETag") != strconv.Quote(f.etag()) {
				t.Errorf("%s: %v", target, h)
			}
			wantStatus(t, w.request("HEAD", target, token, "If-None-Match", h.Get("ETag")), 304)
		}
	}
	w.lib.change(func() { w.lib.down = true })
	wantStatus(t, w.request("HEAD", w.playURL(codestory.StoryAudioPath(farStory)), ""), 503)
	wantStatus(t, w.request("HEAD", w.playURL(codestory.StoryAudioPath(aliceStory)), ""), 200)
}

// Programs spell UUIDs, numbers and slashes in several ways.
func TestSpellings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const lower, upper = codestory.StoryID("abcdef11-1111-4111-8111-111111111111"), codestory.StoryID("ABCDEF22-1111-4111-8111-111111111111")
	for _, id := range []codestory.StoryID{lower, upper} {
		w.addStory(id, map[string]file{"audio/story.mp3": {data: []byte("sound"), local: true}})
	}
	for spelled, want := range map[string]codestory.StoryID{
		string(lower): lower, strings.ToUpper(string(lower)): lower, "%7B" + string(lower) + "%7D": lower,
		"%7b" + strings.ToUpper(string(lower)) + "%7d": lower, string(upper): upper, "%7B" + string(upper) + "%7D": upper,
	} {
		resp := w.request("GET", "/api/storage/stories/"+spelled, aliceToken)
		wantStatus(t, resp, 200)
		if got := decode[codestory.Story](t, resp); got.ID != want {
			t.Errorf("%s is %s, want %s", spelled, got.ID, want)
		}
	}
	for _, n := range []string{"1", "01", "0001"} {
		wantStatus(t, w.request("GET", storyURL(aliceStory, "/chapters/"+n+"/audio"), aliceToken), 200)
	}
	path := codestory.StoryAudioPath(aliceStory)
	wantStatus(t, w.request("GET", strings.ReplaceAll(w.playURL(path), "/audio/", "%2Faudio%2f"), ""), 200)
	wantProblem(t, w.request("DELETE", "/api/queue/a%2F9.mp3", ownerToken), 404, "not_found")
	w.queue.items = []codestory.QueueItem{{Path: "a/2.mp3"}}
	wantStatus(t, w.request("DELETE", "/api/queue/a%2F2.mp3", ownerToken), 204)
	wantProblem(t, w.request("POST", "/upload/"+string(aliceStory)+"%2Faudio%2Fstory.mp3", ""), 400, "invalid_body")
	wantProblem(t, w.request("GET", storyURL(aliceStory, "%2Faudio"), aliceToken), 404, "not_found")
}

// A 404 names what is not there, and nothing to those who may not know.
func TestMissingIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{"chapters/chapter_01.mp3": {data: []byte("sound"), local: true}}, "One", "Two", "Three")
	key := w.key(newStory)
	for _, c := range []struct{ method, target, want string }{
		{"GET", storyURL(noStory, "/audio"), "no story " + string(noStory)},
		{"GET", storyURL("x", ""), "no story x: a story's id is a UUID"},
		{"GET", storyURL(newStory, "/chapters/7/audio"), "the story has chapters 1 to 3"},
		{"GET", storyURL(newStory, "/chapters/2/audio"), "chapter 2 of the story has no audio"},
		{"GET", storyURL(newStory, "/chapters/0/audio"), "no chapter 0"},
		{"GET", storyURL(aliceStory, "/chapters/2/audio"), "the story has only chapter 1"},
		{"GET", storyURL(newStory, "/audio/stream"), "the story has no audio/story.mp3"},
		{"GET", storyURL(newStory, "/metadata"), "the story has no metadata.json"},
		{"DELETE", "/api/tokens/bob", "no token bob"},
		{"DELETE", "/api/queue/a/9.mp3", "no file a/9.mp3 is in the queue"},
		{"GET", "/api/nothing", "there is nothing at /api/nothing"},
		{"GET", "/play/" + string(newStory) + "/none.mp3?k=" + key, "the story has no file none.mp3"},
		{"GET", "/feed/" + string(newStory) + ".chapters.json?chapter=9&k=" + key, "the story has no chapter 9"},
		{"GET", "/feed/" + string(newStory) + ".vtt?chapter=1&k=" + key, "the story has no transcript of chapter 1"},
	} {
		resp := w.request(c.method, c.target, ownerToken)
		if p := wantProblem(t, resp, 404, "not_found"); p.Detail != c.want {
			t.Errorf("%s %s: %q, want %q", c.method, c.target, p.Detail, c.want)
		}
	}
	for _, asked := range []codestory.StoryID{newStory, noStory} {
		resp := w.request("GET", storyURL(asked, "/chapters/x/audio"), homeToken)
		if p := wantProblem(t, resp, 404, "not_found"); strings.Contains(p.Detail, "has") {
			t.Errorf("another user hears: %q", p.Detail)
		}
	}
}

// A request for very many ranges gets the whole file, and a date proves nothing while the file may still change in its
// second.
func TestRangesThatDoNotCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := codestory.StoryAudioPath(aliceStory)
	resp := w.request("GET", w.playURL(path), "", "Range", "bytes="+strings.Repeat("0-0,", 40)+"1-1")
	wantStatus(t, resp, 200)
	resp = w.request("GET", w.playURL(path), "", "Range", "bytes="+strings.Repeat("0-0,", 20)+"1-1")
	wantStatus(t, resp, 206)
	now := time.Now()
	w.lib.change(func() { w.lib.open = func(c *codestory.Content) { c.Modified = now.Add(time.Minute) } })
	date := now.Add(time.Minute).UTC().Format(http.TimeFormat)
	wantStatus(t, w.request("GET", w.playURL(path), "", "Range", "bytes=0-1", "If-Range", date), 200)
	wantStatus(t, w.request("GET", w.playURL(path), "", "Range", "bytes=0-1", "If-Range",
		strconv.Quote(w.lib.files[path].etag())), 206)
}
