package api_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mmcdole/gofeed"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/feed"
)

// addStory adds alice's story of these files, of which the chapters have those titles.
func (w *world) addStory(id codestory.StoryID, files map[string]file, titles ...string) {
	w.lib.change(func() {
		story := codestory.Story{ID: id, Title: `Ätna & <b>"x"</b>` + "\x01", Owner: codestory.OwnedBy("alice"), CreatedAt: modified, Description: "On rock."}
		for i, title := range titles {
			story.Chapters = append(story.Chapters, codestory.Chapter{Number: i + 1, Title: title, Path: codestory.ChapterPath(id, i+1),
				State: codestory.Missing, DurationSeconds: new(float64(60 * (i + 1)))})
		}
		for name, f := range files {
			path := codestory.Path(string(id) + "/" + name)
			w.lib.files[path] = f
			described := codestory.File{Path: path, Size: int64(len(f.data)), ContentType: path.ContentType(), State: codestory.Queued}
			if f.stored {
				described.State = codestory.Synced
			}
			if f.local {
				described.ModifiedAt = new(modified)
			}
			story.Files = append(story.Files, described)
		}
		w.lib.stories[id] = story
	})
}

const newStory = codestory.StoryID("44444444-4444-4444-8444-444444444444")

var newFiles = map[string]file{
	"chapters/chapter_01.mp3": {data: []byte("one"), local: true},
	"chapters/chapter_02.mp3": {data: []byte("two, longer"), local: true},
	"audio/story.mp3":         {data: []byte("one and two"), local: true},
	"cover.png":               {data: []byte("picture"), local: true},
	"chapters/chapter_02.vtt": {data: []byte("WEBVTT\n"), local: true},
}

func (w *world) feedURL(id codestory.StoryID, ending string) string {
	return "/feed/" + string(id) + ending + "?k=" + w.key(id)
}

// A podcast parser finds each chapter, and each enclosure downloads to its stated length and type.
func TestFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, newFiles, "First & <only>", "", "not there")
	resp := w.request("GET", w.feedURL(newStory, ".xml"), "")
	wantStatus(t, resp, 200)
	if got := resp.Header.Get("Content-Type"); got != feed.ContentType {
		t.Errorf("content type: got %q", got)
	}
	got, err := gofeed.NewParser().ParseString(body(t, resp))
	if err != nil {
		t.Fatal(err)
	}
	if got.Title != `Ätna & <b>"x"</b>` || got.FeedLink != w.public+w.feedURL(newStory, ".xml") || len(got.Items) != 2 ||
		!strings.Contains(got.ITunesExt.Image, "/cover.png?k=") || got.Description != "On rock." {
		t.Fatalf("the podcast is %+v", got)
	}
	for i, item := range got.Items {
		wantTitle := []string{"First & <only>", "Chapter 2"}[i]
		wantGUID := string(newStory) + "/chapters/chapter_0" + strconv.Itoa(i+1) + ".mp3"
		if item.Title != wantTitle || item.GUID != wantGUID || item.ITunesExt.Duration != strconv.Itoa(60*(i+1)) {
			t.Errorf("episode %d is %+v", i+1, item)
		}
		wantEnclosure(t, w, item)
		var chapters feed.Chapters
		resp := w.request("GET", item.Extensions["podcast"]["chapters"][0].Attrs["url"], "")
		if err := json.Unmarshal([]byte(body(t, resp)), &chapters); err != nil || len(chapters.Chapters) != 1 ||
			resp.Header.Get("Content-Type") != feed.ChaptersType {
			t.Errorf("chapters of %d: %+v, %v", i+1, chapters, err)
		}
	}
	for _, url := range []string{got.ITunesExt.Image, got.Items[1].Extensions["podcast"]["transcript"][0].Attrs["url"]} {
		wantStatus(t, w.request("GET", url, ""), 200)
	}
	if _, ok := got.Items[0].Extensions["podcast"]["transcript"]; ok {
		t.Error("the first chapter has a transcript, and there is none")
	}
}

// wantEnclosure downloads an episode, following redirects as a player does.
func wantEnclosure(t *testing.T, w *world, item *gofeed.Item) {
	t.Helper()
	e := item.Enclosures[0]
	client := http.Client{Transport: w.client.Transport}
	resp, err := client.Get(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != 200 || strconv.FormatInt(n, 10) != e.Length || resp.Header.Get("Content-Type") != e.Type {
		t.Errorf("%s: %s, %d bytes of %q, %v; the feed says %s of %q", item.GUID, resp.Status, n, resp.Header.Get("Content-Type"), err, e.Length, e.Type)
	}
}

// A chapter without a transcript of its own has its part of the whole story's.
func TestFeedTranscripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := maps.Clone(newFiles)
	files["transcript.vtt"] = file{data: []byte("WEBVTT\n\n00:05.000 --> 00:10.000\nOne.\n\n01:05.000 --> 01:10.000\nTwo.\n"), stored: true}
	transcript := func(url string, n int) string {
		t.Helper()
		got, err := gofeed.NewParser().ParseString(body(t, w.request("GET", url, "")))
		if err != nil {
			t.Fatal(err)
		}
		ext := got.Items[n].Extensions["podcast"]["transcript"]
		if len(ext) != 1 || ext[0].Attrs["type"] != "text/vtt" {
			t.Fatalf("transcript: %+v", ext)
		}
		resp := w.request("GET", ext[0].Attrs["url"]+"&proxy=1", "")
		wantStatus(t, resp, 200)
		if got := resp.Header.Get("Content-Type"); got != "text/vtt; charset=utf-8" {
			t.Errorf("content type: got %q", got)
		}
		return body(t, resp)
	}
	w.addStory(newStory, files, "One", "Two")
	story := w.feedURL(newStory, ".xml")
	if got, want := transcript(story, 0), "WEBVTT\n\n00:00:05.000 --> 00:00:10.000\nOne.\n"; got != want {
		t.Errorf("the first chapter: got %q, want %q", got, want)
	}
	if got, want := transcript(story, 1), string(files["chapters/chapter_02.vtt"].data); got != want {
		t.Errorf("the second, which has its own: got %q, want %q", got, want)
	}
	w.lib.change(func() {
		maps.DeleteFunc(w.lib.stories, func(id codestory.StoryID, _ codestory.Story) bool { return id != newStory })
	})
	if got, want := transcript("/feed/library.xml?k="+w.access.LibraryKey("alice"), 0), string(files["transcript.vtt"].data); got != want {
		t.Errorf("the whole story: got %q, want %q", got, want)
	}
	url := w.feedURL(newStory, ".vtt")
	if got, want := body(t, w.request("GET", url+"&chapter=2", "")), "WEBVTT\n\n00:00:05.000 --> 00:00:10.000\nTwo.\n"; got != want {
		t.Errorf("the second chapter's part: got %q, want %q", got, want)
	}
	wantProblem(t, w.request("GET", url+"&chapter=3", ""), 404, "not_found")
	wantProblem(t, w.request("GET", url, ""), 404, "not_found")
	wantProblem(t, w.request("GET", url+"&chapter=0", ""), 400, "invalid_parameter")
	wantProblem(t, w.request("GET", "/feed/"+string(newStory)+".vtt?chapter=1&k=x", ""), 403, "link_invalid")
}

// When files move to the store the feed stays as it is, byte for byte: a player sees no new episode.
func TestFeedOutlivesTheFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, newFiles, "One", "Two")
	before := body(t, w.request("GET", w.feedURL(newStory, ".xml"), ""))
	moved := map[string]file{}
	for name, f := range newFiles {
		moved[name] = file{data: f.data, stored: true}
	}
	w.addStory(newStory, moved, "One", "Two")
	after := body(t, w.request("GET", w.feedURL(newStory, ".xml"), ""))
	parsed, err := gofeed.NewParser().ParseString(after)
	if err != nil || before != after {
		t.Fatalf("before\n%s\nafter\n%s\n%v", before, after, err)
	}
	for _, item := range parsed.Items {
		wantEnclosure(t, w, item)
	}
}

func TestFeedOfWholeStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{"audio/story.mp3": newFiles["audio/story.mp3"]}, "named only")
	got, err := gofeed.NewParser().ParseString(body(t, w.request("GET", w.feedURL(newStory, ".xml"), "")))
	if err != nil || len(got.Items) != 1 || got.Items[0].GUID != string(newStory)+"/audio/story.mp3" {
		t.Fatalf("got %+v, %v", got, err)
	}
	wantEnclosure(t, w, got.Items[0])
}

// What is still being written, or is nowhere, is not offered.
func TestFeedLeavesOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, newFiles, "One", "Two")
	w.lib.change(func() {
		for i := range w.lib.stories[newStory].Files {
			f := &w.lib.stories[newStory].Files[i]
			switch f.Path.InStory() {
			case "chapters/chapter_01.mp3":
				f.State = codestory.Settling
			case "chapters/chapter_02.mp3":
				f.State = codestory.Missing
			case "audio/story.mp3":
				f.State, f.ETag = codestory.Settling, new("stored before")
			}
		}
	})
	got, err := gofeed.NewParser().ParseString(body(t, w.request("GET", w.feedURL(newStory, ".xml"), "")))
	if err != nil || len(got.Items) != 1 || !strings.HasSuffix(got.Items[0].GUID, "/audio/story.mp3") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What another machine has stored is asked of the store, once.
func TestFeedOfAnotherMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{"metadata.json": {data: []byte("{}"), stored: true}}, "One", "Two")
	w.lib.change(func() {
		w.lib.files[codestory.ChapterPath(newStory, 2)] = file{data: []byte("two"), stored: true}
		w.lib.found = func(path codestory.Path) { // as the daemon does
			story := w.lib.stories[newStory]
			story.Files = append(story.Files, codestory.File{Path: path, Size: 3, ContentType: path.ContentType(), State: codestory.Synced})
			w.lib.stories[newStory] = story
		}
	})
	for range 2 {
		got, err := gofeed.NewParser().ParseString(body(t, w.request("GET", w.feedURL(newStory, ".xml"), "")))
		if err != nil || len(got.Items) != 1 || got.Items[0].Title != "Two" {
			t.Fatalf("got %+v, %v", got, err)
		}
		wantEnclosure(t, w, got.Items[0])
		w.lib.change(func() {
			w.lib.found = func(path codestory.Path) { t.Errorf("%s was asked for again", path) }
		})
	}
}

func TestLibraryFeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{"chapters/chapter_01.mp3": newFiles["chapters/chapter_01.mp3"]}, "First")
	url := "/feed/library.xml?k=" + w.access.LibraryKey("alice")
	resp := w.request("GET", url, "")
	wantStatus(t, resp, 200)
	got, err := gofeed.NewParser().ParseString(body(t, resp))
	if err != nil || got.FeedLink != w.public+url || len(got.Items) != 3 {
		t.Fatalf("got %+v, %v", got, err)
	}
	titles := map[string]bool{}
	for _, item := range got.Items {
		titles[item.Title] = true
		wantEnclosure(t, w, item)
	}
	if !titles["My story"] || !titles["Far"] || !titles[`Ätna & <b>"x"</b> : First`] {
		t.Errorf("episodes: %v", titles)
	}
	whole := got.Items[len(got.Items)-1].Extensions["podcast"]["chapters"][0].Attrs["url"]
	wantStatus(t, w.request("GET", whole, ""), 200)
	wantProblem(t, w.request("GET", "/feed/library.xml?cursor=x&k="+w.access.LibraryKey("alice"), ""), 400, "invalid_cursor")
}

func TestPlaylist(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, newFiles, "One", "Two")
	resp := w.request("GET", w.feedURL(newStory, ".m3u8"), "")
	wantStatus(t, resp, 200)
	text := body(t, resp)
	if got := resp.Header.Get("Content-Type"); got != feed.PlaylistType || !strings.Contains(text, "#EXTINF:60.000,One\n"+w.public) {
		t.Errorf("%s: %s", got, text)
	}
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, "#") {
			wantStatus(t, w.request("GET", strings.TrimSpace(l), ""), 200)
		}
	}
}

// A player that asks again is told that nothing has changed, until something has.
func TestFeedIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{"audio/story.mp3": newFiles["audio/story.mp3"]})
	for _, ending := range []string{".xml", ".m3u8", ".chapters.json"} {
		url := w.feedURL(newStory, ending)
		first := w.request("GET", url, "")
		h := first.Header
		if h.Get("Cache-Control") != "private, no-cache" || h.Get("Last-Modified") != "" || h.Get("ETag") == "" {
			t.Errorf("%s: %v", ending, h)
		}
		wantSecure(t, first)
		wantStatus(t, w.request("GET", url, "", "If-None-Match", h.Get("ETag")), 304)
		// Its files may be old, and what is known of them new.
		wantStatus(t, w.request("GET", url, "", "If-Modified-Since", time.Now().UTC().Format(http.TimeFormat)), 200)
		wantStatus(t, w.request("GET", url, "", "If-None-Match", `"old"`), 200)
		wantStatus(t, w.request("GET", url, "", "Range", "bytes=0-1"), 206)
		wantProblem(t, w.request("GET", url, "", "If-Match", `"old"`), 412, "precondition_failed")
		head := w.request("HEAD", url, "")
		if head.StatusCode != 200 || head.ContentLength != first.ContentLength || head.Header.Get("ETag") != h.Get("ETag") {
			t.Errorf("HEAD %s: %s, %v", ending, head.Status, head.Header)
		}
	}
	etag := w.request("GET", w.feedURL(newStory, ".xml"), "").Header.Get("ETag")
	w.addStory(newStory, newFiles, "One", "Two")
	wantStatus(t, w.request("GET", w.feedURL(newStory, ".xml"), "", "If-None-Match", etag), 200)
}

// Without its KEY a feed tells nothing, not even whether the story is there.
func TestFeedNeedsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, far := w.key(aliceStory), w.key(farStory)
	library := w.access.LibraryKey("alice")
	w.lib.takeAsked()
	for _, url := range []string{
		"/feed/" + string(aliceStory) + ".xml", "/feed/" + string(aliceStory) + ".xml?k=", "/feed/" + string(aliceStory) + ".xml?k=" + far,
		"/feed/" + string(aliceStory) + ".xml?k=" + library, "/feed/" + string(aliceStory) + ".xml?k=" + alice + "&k=" + alice,
		"/feed/" + string(aliceStory) + ".m3u8?k=" + alice + "x", "/feed/" + string(aliceStory) + ".chapters.json?k=" + far,
		"/feed/" + string(noStory) + ".xml?k=" + alice, "/feed/library.xml", "/feed/library.xml?k=" + alice, "/feed/library.xml?k=%zz",
	} {
		wantProblem(t, w.request("GET", url, ownerToken), 403, "link_invalid")
	}
	for _, url := range []string{
		"/feed/", "/feed/x.xml?k=" + alice, "/feed/library.m3u8?k=" + library, "/feed/..%2fx.xml?k=" + alice,
		w.feedURL(aliceStory, ""), w.feedURL(aliceStory, ".json"), w.feedURL(aliceStory, ".xml.xml"), w.feedURL(noStory, ".xml"),
		w.feedURL(aliceStory, ".chapters.json") + "&chapter=9",
	} {
		wantProblem(t, w.request("GET", url, ""), 404, "not_found")
	}
	for _, asked := range w.lib.takeAsked() {
		if asked != "story "+string(aliceStory) && asked != "story "+string(noStory) {
			t.Errorf("looked up without a key: %s", asked)
		}
	}
}

// A library of any size is served in files of a bounded one, each of which leads to the next.
func TestLibraryFeedInFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lib.change(func() {
		for i := range 2100 {
			id := codestory.StoryID("55555555-5555-4555-8555-" + strconv.Itoa(100000000000+i))
			w.lib.stories[id] = codestory.Story{ID: id, Owner: codestory.OwnedBy("bob"), CreatedAt: modified.AddDate(0, 0, i),
				Files: []codestory.File{{Path: codestory.StoryAudioPath(id), Size: 1, State: codestory.Synced}}}
		}
	})
	seen, files := map[string]bool{}, 0
	for url := "/feed/library.xml?k=" + w.access.LibraryKey("bob"); url != ""; files++ {
		var page struct {
			Links []struct {
				Rel  string `xml:"rel,attr"`
				Href string `xml:"href,attr"`
			} `xml:"http://www.w3.org/2005/Atom channel>link"`
			GUIDs []string `xml:"channel>item>guid"`
		}
		if err := xml.Unmarshal([]byte(body(t, w.request("GET", url, ""))), &page); err != nil {
			t.Fatal(err)
		}
		for _, guid := range page.GUIDs {
			seen[guid] = true
		}
		url = ""
		for _, l := range page.Links {
			if l.Rel == "next" {
				url = l.Href
			}
		}
	}
	if len(seen) != 2100 || files != 3 {
		t.Errorf("%d stories in %d files, want 2100 in 3", len(seen), files)
	}
}

// An empty file is no episode and no track. What was read and is no audio stays: it is said elsewhere.
func TestFeedLeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.addStory(newStory, map[string]file{
		"audio/story.mp3": {local: true}, "audio/b.mp3": {local: true}, "audio/c.mp3": {data: []byte("an error page"), local: true},
		"chapters/chapter_01.mp3": {local: true}, "chapters/chapter_02.mp3": {data: []byte("two"), local: true},
	}, "One", "Two")
	w.lib.change(func() {
		for i, f := range w.lib.stories[newStory].Files {
			if f.Path.InStory() == "audio/c.mp3" {
				w.lib.stories[newStory].Files[i].Audio = &codestory.Audio{Faults: []codestory.AudioFault{{Code: codestory.NotAudio}}}
			}
		}
	})
	for path, want := range map[string]string{
		w.feedURL(newStory, ".xml"): "chapter_02.mp3", w.feedURL(newStory, ".m3u8"): "chapter_02.mp3",
		"/feed/library.xml?k=" + w.access.LibraryKey("alice"): "c.mp3",
	} {
		text := body(t, w.request("GET", path, ""))
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %s: %s", path, want, text)
		}
		for _, name := range []string{"story.mp3", "b.mp3", "chapter_01.mp3"} {
			if strings.Contains(text, string(newStory)+"/chapters/"+name) || strings.Contains(text, string(newStory)+"/audio/"+name) {
				t.Errorf("%s has %s: %s", path, name, text)
			}
		}
	}
}

// Whichever way a player sorts the library's feed by date, the chapters of each story stay together and in their order, over the
// files of a long feed too.
func TestLibraryFeedKeepsStoriesTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const stories, chapters = 30, 100
	w.lib.change(func() {
		for i := range stories {
			id := codestory.StoryID("55555555-5555-4555-8555-" + strconv.Itoa(100000000000+i))
			story := codestory.Story{ID: id, Title: strconv.Itoa(i), Owner: codestory.OwnedBy("bob"), CreatedAt: modified.Add(time.Duration(i/3) * 20 * time.Second)}
			for n := range chapters {
				path := codestory.ChapterPath(id, n+1)
				story.Chapters = append(story.Chapters, codestory.Chapter{Number: n + 1, Path: path})
				story.Files = append(story.Files, codestory.File{Path: path, Size: 1, State: codestory.Synced})
			}
			w.lib.stories[id] = story
		}
	})
	var items []*gofeed.Item
	for url := "/feed/library.xml?k=" + w.access.LibraryKey("bob"); url != ""; {
		page, err := gofeed.NewParser().ParseString(body(t, w.request("GET", url, "")))
		if err != nil {
			t.Fatal(err)
		}
		items, url = append(items, page.Items...), ""
		for _, l := range page.Extensions["atom"]["link"] {
			if l.Attrs["rel"] == "next" {
				url = l.Attrs["href"]
			}
		}
	}
	if len(items) != stories*chapters {
		t.Fatalf("%d episodes", len(items))
	}
	for i, item := range items[1:] {
		if !item.PublishedParsed.Before(*items[i].PublishedParsed) {
			t.Fatalf("%s is not older than %s: %s, %s", item.Title, items[i].Title, item.Published, items[i].Published)
		}
	}
	for i, item := range items {
		story, _, _ := strings.Cut(items[i/chapters*chapters].Title, ":")
		if want := story + ": Chapter " + strconv.Itoa(chapters-i%chapters); item.Title != want {
			t.Fatalf("episode %d is %s, want %s", i, item.Title, want)
		}
	}
	wantProblem(t, w.request("GET", "/feed/library.xml?k="+w.access.LibraryKey("bob")+"&before=now", ""), 400, "invalid_parameter")
}
