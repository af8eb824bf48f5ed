package api_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

func (w *world) playURL(path codestory.Path) string {
	return "/play/" + string(path) + "?k=" + w.key(path.Story())
}

// key is the KEY of the story as it is owned now.
func (w *world) key(id codestory.StoryID) string {
	owner, _ := w.lib.OwnerNow(id)
	return w.access.PlayKey(id, owner)
}

func TestRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := codestory.StoryAudioPath(aliceStory)
	f := w.lib.files[path]
	size := len(f.data)
	whole, etag := string(f.data), `"`+f.etag()+`"`
	after := modified.Add(time.Hour).Format(http.TimeFormat)
	before := modified.Add(-time.Hour).Format(http.TimeFormat)
	at := modified.Format(http.TimeFormat)
	for _, c := range []struct {
		headers []string
		status  int
		from    int // of the bytes that are served, to is after their last; 0, 0 is none
		to      int
	}{
		{nil, 200, 0, size},
		{[]string{"Range", "bytes=0-1"}, 206, 0, 2},
		{[]string{"Range", "bytes=0-0"}, 206, 0, 1},
		{[]string{"Range", "bytes=7-"}, 206, 7, size},
		{[]string{"Range", "bytes=-500"}, 206, size - 500, size},
		{[]string{"Range", "bytes=-999999"}, 206, 0, size},
		{[]string{"Range", "bytes=0-999999"}, 206, 0, size},
		{[]string{"Range", fmt.Sprintf("bytes=%d-", size-1)}, 206, size - 1, size},
		{[]string{"Range", "lines=1-2"}, 200, 0, size},
		{[]string{"Range", fmt.Sprintf("bytes=%d-", size)}, 416, 0, 0},
		{[]string{"Range", "bytes=999999-"}, 416, 0, 0},
		{[]string{"Range", "bytes=-0"}, 416, 0, 0},
		{[]string{"Range", "bytes=-0, 3-4"}, 206, 3, 5},
		{[]string{"Range", "bytes=-"}, 200, 0, size}, // what does not parse is passed over
		{[]string{"Range", "bytes="}, 200, 0, size},
		{[]string{"Range", "bytes=5-1"}, 200, 0, size},
		{[]string{"Range", "bytes=x"}, 200, 0, size},
		{[]string{"Range", "bytes=0-1", "Range", "bytes=2-3"}, 200, 0, size},
		{[]string{"Range", "bytes=0-,0-,0-"}, 200, 0, size}, // more than the file: served whole
		{[]string{"Range", "bytes=0-1", "If-Range", etag}, 206, 0, 2},
		{[]string{"Range", "bytes=0-1", "If-Range", at}, 206, 0, 2},
		{[]string{"Range", "bytes=0-1", "If-Range", `"old"`}, 200, 0, size},
		{[]string{"Range", "bytes=0-1", "If-Range", "W/" + etag}, 200, 0, size},
		{[]string{"Range", "bytes=0-1", "If-Range", before}, 200, 0, size},
		{[]string{"If-None-Match", etag}, 304, 0, 0},
		{[]string{"If-None-Match", "W/" + etag}, 304, 0, 0},
		{[]string{"If-None-Match", `"old", ` + etag}, 304, 0, 0},
		{[]string{"If-None-Match", "*"}, 304, 0, 0},
		{[]string{"If-None-Match", `"old"`}, 200, 0, size},
		{[]string{"If-None-Match", `"old"`, "If-Modified-Since", after}, 200, 0, size},
		{[]string{"If-None-Match", etag, "Range", "bytes=0-1"}, 304, 0, 0},
		{[]string{"If-Modified-Since", at}, 304, 0, 0},
		{[]string{"If-Modified-Since", before}, 200, 0, size},
		{[]string{"If-Match", etag}, 200, 0, size},
		{[]string{"If-Match", "*", "If-Unmodified-Since", before}, 200, 0, size},
		{[]string{"If-Match", `"old", ` + etag, "Range", "bytes=0-1"}, 206, 0, 2},
		{[]string{"If-Match", `"old"`}, 412, 0, 0},
		{[]string{"If-Match", "W/" + etag}, 412, 0, 0},
		{[]string{"If-Match", `"old"`, "If-None-Match", etag}, 412, 0, 0},
		{[]string{"If-Unmodified-Since", at}, 200, 0, size},
		{[]string{"If-Unmodified-Since", before}, 412, 0, 0},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			name := fmt.Sprint(method, " ", c.headers)
			resp := w.request(method, w.playURL(path), "", c.headers...)
			if method == "HEAD" && (c.status == 206 || c.status == 416) { // ranges are for GET
				c.status, c.from, c.to = 200, 0, size
			}
			if resp.StatusCode != c.status {
				t.Errorf("%s: got %s, want %d", name, resp.Status, c.status)
				continue
			}
			wantSecure(t, resp)
			h, want := resp.Header, whole[c.from:c.to]
			if c.status == 416 && h.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) {
				t.Errorf("%s: content range %q", name, h.Get("Content-Range"))
			}
			if c.status < 400 && (h.Get("ETag") != etag || h.Get("Cache-Control") != "private, no-cache") {
				t.Errorf("%s: headers %v", name, h)
			}
			if c.status == 206 && h.Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, size) {
				t.Errorf("%s: content range %q", name, h.Get("Content-Range"))
			}
			if c.status/100 == 2 && (h.Get("Content-Type") != "audio/mpeg" || h.Get("Accept-Ranges") != "bytes" ||
				h.Get("Last-Modified") != at ||
				resp.ContentLength != int64(len(want)) || h.Get("Content-Security-Policy") != "") {
				t.Errorf("%s: headers %v", name, h)
			}
			if c.status >= 400 && method == "GET" {
				wantProblem(t, resp, c.status, map[int]string{416: "range_not_satisfiable",
					412: "precondition_failed"}[c.status])
				continue
			}
			if method == "HEAD" {
				want = ""
			}
			if got := body(t, resp); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
}

func TestSeveralRanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := codestory.StoryAudioPath(aliceStory)
	data := w.lib.files[path].data
	resp := w.request("GET", w.playURL(path), "", "Range", "bytes=0-4,10-19,-3")
	wantStatus(t, resp, 206)
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		t.Fatalf("content type %q: %v", resp.Header.Get("Content-Type"), err)
	}
	parts := multipart.NewReader(resp.Body, params["boundary"])
	for _, want := range [][]byte{data[:5], data[10:20], data[len(data)-3:]} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(got, want) || part.Header.Get("Content-Type") != "audio/mpeg" {
			t.Errorf("part: got %q %v (%v), want %q", got, part.Header, err, want)
		}
	}
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := codestory.Path(aliceStory + "/empty.mp3")
	w.lib.files[path] = file{local: true}
	for _, headers := range [][]string{nil, {"Range", "bytes=0-"}, {"Range", "bytes=-5"}, {"Range", "bytes=7-9"}} {
		resp := w.request("GET", w.playURL(path), "", headers...)
		wantStatus(t, resp, 200)
		if got := body(t, resp); got != "" {
			t.Errorf("%v: got %q", headers, got)
		}
	}
}

// What a browser could run is served in a sandbox.
func TestSandbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, want := range map[string]struct {
		contentType string
		sandbox     bool
	}{
		"a.mp3": {"audio/mpeg", false}, "a.mp4": {"video/mp4", false}, "cover.jpg": {"image/jpeg", false},
		"a.pdf":  {"application/pdf", false},
		"a.html": {"text/html; charset=utf-8", true}, "a.svg": {"image/svg+xml", true}, "a.xml": {"application/xml",
			true},
		"A.HTML": {"text/html; charset=utf-8", true}, "a.xhtml": {"application/octet-stream", true},
		"a.txt":                   {"text/plain; charset=utf-8", true},
		"notes/größe & more?.vtt": {"text/vtt; charset=utf-8", true},
	} {
		path := codestory.Path(string(aliceStory) + "/" + name)
		w.lib.change(func() { w.lib.files[path] = file{data: []byte("<script>alert(1)</script>"), local: true} })
		u := url.URL{Path: "/play/" + string(path), RawQuery: "k=" + w.key(aliceStory)}
		resp := w.request("GET", u.String(), "")
		wantStatus(t, resp, 200)
		csp := resp.Header.Get("Content-Security-Policy")
		if resp.Header.Get("Content-Type") != want.contentType || strings.Contains(csp, "sandbox") != want.sandbox {
			t.Errorf("%s: got %q and %q", name, resp.Header.Get("Content-Type"), csp)
		}
		wantSecure(t, resp)
	}
}

func TestPlayerURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	story := decode[codestory.Story](t, w.request("GET", storyURL(farStory, ""), aliceToken))
	link := decode[codestory.Link](t, w.request("GET", storyURL(farStory, "/audio"), aliceToken))
	chapter := decode[codestory.Link](t, w.request("GET", storyURL(farStory, "/chapters/1/audio"), aliceToken))
	if story.PlayURL == nil || link.PlayURL == nil || *story.PlayURL != *link.PlayURL ||
		*chapter.PlayURL == *link.PlayURL {
		t.Fatalf("player URLs: %v, %v, %v", story.PlayURL, link.PlayURL, chapter.PlayURL)
	}
	want := string(w.lib.files[codestory.StoryAudioPath(farStory)].data)
	resp := w.request("GET", *story.PlayURL, "")
	wantStatus(t, resp, 302)
	if resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Errorf("cache control: %q", resp.Header.Get("Cache-Control"))
	}
	wantSecure(t, resp)
	wantStatus(t, w.request("GET", resp.Header.Get("Location"), ""), 200)
	w.lib.change(func() { w.lib.noLinks = true })
	if got := body(t, w.request("GET", *story.PlayURL, "")); got != want {
		t.Errorf("store without links: got %q, want %q", got, want)
	}
	w.lib.change(func() { w.lib.noLinks, w.lib.down = false, true })
	wantProblem(t, w.request("GET", *story.PlayURL, ""), 503, "storage_unavailable")
	if got := body(t, w.request("GET", w.playURL(codestory.StoryAudioPath(aliceStory)), "")); !strings.HasPrefix(got,
		string(aliceStory)) {
		t.Errorf("local file with the store down: got %q", got)
	}
	w.lib.change(func() { w.lib.down = false })
	wantProblem(t, w.request("GET", w.playURL(codestory.Path(aliceStory+"/none.mp3")), ""), 404, "not_found")
}

// A wrong KEY, and one of another story, get one answer, before anything is looked up.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(aliceStory)
	answers := map[string]bool{}
	for _, target := range []string{
		"/play/" + string(aliceStory) + "/audio/story.mp3",
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=",
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=x",
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=" + key + "x",
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=" + strings.ToLower(key),
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=x&k=" + key,
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=" + key + "&k=x",
		"/play/" + string(aliceStory) + "/audio/story.mp3?K=" + key,
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=" + w.key(homeStory),
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=" + ownerToken,
		"/play/" + string(aliceStory) + "/none.mp3?k=x",
		"/play/" + string(homeStory) + "/audio/story.mp3?k=" + key,
		"/play/" + string(noStory) + "/audio/story.mp3?k=" + key,
		"/play/" + string(aliceStory) + "/audio/story.mp3?k=%zz",
	} {
		resp := w.request("GET", target, "")
		wantStatus(t, resp, 403)
		answers[body(t, resp)] = true
	}
	if len(answers) != 1 {
		t.Errorf("answers: %v", answers)
	}
	if asked := w.lib.takeAsked(); len(asked) > 0 {
		t.Errorf("looked up: %q", asked)
	}
}

// tampered is every link that differs from a good one in one part.
func tampered(t *testing.T, good string) map[string]string {
	t.Helper()
	edit := func(f func(u *url.URL, q url.Values)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		f(u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	set := func(name, value string) string { return edit(func(_ *url.URL, q url.Values) { q.Set(name, value) }) }
	links := map[string]string{
		"no exp":           edit(func(_ *url.URL, q url.Values) { q.Del("exp") }),
		"no sig":           edit(func(_ *url.URL, q url.Values) { q.Del("sig") }),
		"no download":      edit(func(_ *url.URL, q url.Values) { q.Del("download") }),
		"download=0":       set("download", "0"),
		"download=true":    set("download", "true"),
		"two downloads":    edit(func(_ *url.URL, q url.Values) { q.Add("download", "1") }),
		"two exps":         edit(func(_ *url.URL, q url.Values) { q.Add("exp", q.Get("exp")) }),
		"two sigs":         edit(func(_ *url.URL, q url.Values) { q.Add("sig", q.Get("sig")) }),
		"empty sig":        set("sig", ""),
		"later":            edit(func(_ *url.URL, q url.Values) { q.Set("exp", q.Get("exp")+"0") }),
		"zero in front":    edit(func(_ *url.URL, q url.Values) { q.Set("exp", "0"+q.Get("exp")) }),
		"plus in front":    edit(func(_ *url.URL, q url.Values) { q.Set("exp", "+"+q.Get("exp")) }),
		"space behind":     edit(func(_ *url.URL, q url.Values) { q.Set("exp", q.Get("exp")+" ") }),
		"never":            set("exp", "9223372036854775807"),
		"out of range":     set("exp", "92233720368547758070"),
		"long ago":         set("exp", "1"),
		"negative":         set("exp", "-1"),
		"no number":        set("exp", "soon"),
		"padded sig":       edit(func(_ *url.URL, q url.Values) { q.Set("sig", q.Get("sig")+"=") }),
		"sig with a break": edit(func(_ *url.URL, q url.Values) { q.Set("sig", q.Get("sig")+"\n") }),
		"shorter sig":      edit(func(_ *url.URL, q url.Values) { q.Set("sig", q.Get("sig")[1:]) }),
		"other chapter":    strings.Replace(good, "chapter_01", "chapter_02", 1),
		"other file":       strings.Replace(good, "chapters/chapter_01.mp3", "audio/story.mp3", 1),
		"no such file":     strings.Replace(good, "chapter_01.mp3", "none.mp3", 1),
		"other story":      strings.Replace(good, string(homeStory), string(aliceStory), 1),
		"no such story":    strings.Replace(good, string(homeStory), string(noStory), 1),
		"semicolon":        good + ";",
	}
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	sig := u.Query().Get("sig")
	for i := range sig {
		flipped := byte('A')
		if sig[i] == 'A' {
			flipped = 'B'
		}
		links[fmt.Sprintf("sig[%d]", i)] = set("sig", sig[:i]+string(flipped)+sig[i+1:])
	}
	return links
}

// A link holds for its file, time and purpose. What is wrong with another one is not told, and nothing is looked up.
func TestTamperedLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := decode[codestory.Link](t, w.request("GET", storyURL(homeStory, "/chapters/1/audio?download=1"),
		homeToken)).URL
	plain := decode[codestory.Link](t, w.request("GET", storyURL(homeStory, "/chapters/1/audio"), homeToken)).URL
	for _, link := range []string{good, plain, good + "&utm_source=mail"} {
		wantStatus(t, w.request("GET", link, ""), 200)
		wantStatus(t, w.request("HEAD", link, ""), 200)
		wantStatus(t, w.request("POST", link, ""), 405)
	}
	w.lib.takeAsked()
	links := tampered(t, good)
	links["download added"] = plain + "&download=1"
	answers := map[string]bool{}
	for name, link := range links {
		resp := w.request("GET", link, "")
		if resp.StatusCode != 403 {
			t.Errorf("%s: got %s, want 403", name, resp.Status)
		}
		answers[body(t, resp)] = true
	}
	if len(answers) != 1 {
		t.Errorf("answers: %v", answers)
	}
	wantProblem(t, w.request("GET", links["never"], ""), 403, "link_invalid")
	if asked := w.lib.takeAsked(); len(asked) > 0 {
		t.Errorf("looked up: %q", asked)
	}
}

// A link ends when it says, and not before.
func TestLinkExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakes(t, testOptions(t))
		time.Sleep(300 * time.Millisecond) // off the full second
		link := decode[codestory.Link](t, w.record("GET", storyURL(homeStory, "/audio?expires_in=60"),
			homeToken).Result())
		target := strings.TrimPrefix(link.URL, "https://stories.example/daemon")
		if link.ExpiresIn != 60 || time.Until(link.ExpiresAt) < time.Minute {
			t.Errorf("link: %+v", link)
		}
		time.Sleep(time.Until(link.ExpiresAt) - time.Nanosecond)
		if got := w.record("GET", target, "").Code; got != 200 {
			t.Errorf("just before the end: got %d", got)
		}
		w.lib.takeAsked()
		time.Sleep(time.Nanosecond)
		wantProblem(t, w.record("GET", target, "").Result(), 403, "link_expired")
		for name, link := range map[string]string{"other exp": strings.Replace(target, "exp=", "exp=1", 1),
			"other path": strings.Replace(target, "story.mp3", "none.mp3", 1)} {
			if p := wantProblem(t, w.record("GET", link, "").Result(), 403, "link_invalid"); p.Code == "" {
				t.Errorf("%s: %+v", name, p)
			}
		}
		if asked := w.lib.takeAsked(); len(asked) > 0 {
			t.Errorf("looked up: %q", asked)
		}
	})
}

// A link to a file that is gone is no download of an error.
func TestLinkToNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	link := decode[codestory.Link](t, w.request("GET", storyURL(homeStory, "/audio?download=1"), homeToken)).URL
	w.lib.change(func() { w.lib.files[codestory.StoryAudioPath(homeStory)] = file{} })
	resp := w.request("GET", link, "")
	wantProblem(t, resp, 404, "not_found")
	if resp.Header.Get("Content-Disposition") != "" {
		t.Errorf("headers: %v", resp.Header)
	}
}

// A story's player URL is of something that plays, from the moment that it is told on.
func TestPlayerURLIsOfWhatThereIs(t *testing.T) {
	t.Parallel()
	here, stored := file{data: []byte("sound"), local: true}, file{data: []byte("sound"), stored: true}
	for name, c := range map[string]struct {
		files map[string]file
		kept  string // in the story's folder, though it is left out
		asked string // in the store, which nobody has asked for it
		want  string
	}{
		"story.mp3 here":      {files: map[string]file{"audio/a.flac": here, "audio/story.mp3": here, "chapters/chapter_01.mp3": here}, want: "audio/story.mp3"},
		"story.mp3 stored":    {files: map[string]file{"chapters/chapter_01.mp3": here, "audio/story.mp3": stored}, want: "audio/story.mp3"},
		"another name":        {files: map[string]file{"audio/a.flac": here, "chapters/chapter_01.mp3": here}, want: "audio/a.flac"},
		"chapters":            {files: map[string]file{"chapters/chapter_02.mp3": stored, "chapters/chapter_01.mp3": stored}, want: "chapters/chapter_01.mp3"},
		"no first chapter":    {files: map[string]file{"chapters/chapter_02.mp3": here}},
		"nothing that plays":  {files: map[string]file{"cover.png": here, "audio/notes.txt": here}},
		"kept when deleted":   {kept: "audio/story.mp3", want: "audio/story.mp3"},
		"a chapter kept":      {kept: "chapters/chapter_01.mp3", want: "chapters/chapter_01.mp3"},
		"of another machine":  {files: map[string]file{"cover.png": stored}, asked: "audio/story.mp3", want: "audio/story.mp3"},
		"other and not asked": {files: map[string]file{"cover.png": stored}},
	} {
		w := newWorld(t)
		w.addStory(newStory, c.files, "One", "Two")
		w.lib.change(func() {
			story := w.lib.stories[newStory]
			if c.kept != "" {
				path := codestory.Path(string(newStory) + "/" + c.kept)
				story.Kept, w.lib.files[path] = []codestory.Path{path}, here
			}
			w.lib.stories[newStory] = story
			if c.asked != "" {
				w.lib.files[codestory.Path(string(newStory)+"/"+c.asked)] = stored
				w.lib.found = func(path codestory.Path) {
					story.Files = append(story.Files, codestory.File{Path: path, Size: 5, State: codestory.Synced})
					w.lib.stories[newStory] = story
				}
			}
		})
		story := decode[codestory.Story](t, w.request("GET", storyURL(newStory, ""), aliceToken))
		page := decode[codestory.StoryPage](t, w.request("GET", "/api/storage/stories", aliceToken))
		for _, s := range append(page.Stories, story) {
			switch {
			case s.ID != newStory:
			case c.want == "" && s.PlayURL != nil:
				t.Errorf("%s: a player URL: %s", name, *s.PlayURL)
			case c.want == "":
			case s.PlayURL == nil || !strings.Contains(*s.PlayURL, string(newStory)+"/"+c.want+"?"):
				t.Errorf("%s: player URL %v, want one of %s", name, s.PlayURL, c.want)
			default:
				resp := w.request("GET", *s.PlayURL, "")
				if resp.StatusCode >= 400 {
					t.Errorf("%s: %s", name, resp.Status)
				}
			}
		}
	}
}
