package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

// The links that a client gets play, wherever the file is.
func TestAudioPlays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		story   codestory.StoryID
		change  func(*library)
		source  string
		chapter bool
	}{
		{"in the store and here", aliceStory, nil, "remote", false},
		{"in the store only", farStory, nil, "remote", true},
		{"here only", homeStory, nil, "local", true},
		{"here, and the store is down", aliceStory, func(l *library) { l.down = true }, "local", false},
		{"here, and the store makes no links", aliceStory, func(l *library) { l.noLinks = true }, "local", true},
		{"in a store that makes no links", farStory, func(l *library) { l.noLinks = true }, "local", false},
		{"here, and the store is in trouble", aliceStory,
			func(l *library) { l.fault = errors.New("no signature today") }, "local", false},
		{"here, and the store fell silent", aliceStory, func(l *library) { l.fault = codestory.ErrUnavailable },
			"local", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.change != nil {
				c.change(w.lib)
			}
			path, route := codestory.StoryAudioPath(c.story), storyURL(c.story, "/audio")
			if c.chapter {
				path, route = codestory.ChapterPath(c.story, 1), storyURL(c.story, "/chapters/1/audio")
			}
			want := string(w.lib.files[path].data)

			resp := w.request("GET", route, ownerToken)
			wantStatus(t, resp, 200)
			link := decode[codestory.Link](t, resp)
			if link.Source != c.source || link.ContentType != "audio/mpeg" || link.Size != int64(len(want)) ||
				link.ExpiresIn != 3600 {
				t.Errorf("link: %+v", link)
			}
			if left := time.Until(link.ExpiresAt); left < 59*time.Minute || left > 61*time.Minute {
				t.Errorf("expires_at: %v", link.ExpiresAt)
			}
			if (link.ChapterNumber != nil) != c.chapter || c.chapter && *link.ChapterNumber != 1 {
				t.Errorf("chapter_number: %v", link.ChapterNumber)
			}
			if got := body(t, w.request("GET", link.URL, "")); got != want {
				t.Errorf("the link serves %q, want %q", got, want)
			}

			resp = w.request("GET", route+"/stream", ownerToken)
			wantStatus(t, resp, 302)
			if resp.Header.Get("Cache-Control") != "no-store" || resp.ContentLength > 0 {
				t.Errorf("redirect: %v", resp.Header)
			}
			target := resp.Header.Get("Location")
			wantStatus(t, w.request("GET", target, ""), 200)
			resp = w.request("GET", target, "", "Range", "bytes=0-4")
			wantStatus(t, resp, 206)
			if got := body(t, resp); got != want[:5] {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAudioAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lib.change(func() {
		w.lib.files[codestory.StoryAudioPath(aliceStory)] = file{}
		w.lib.fault = errors.New("internals")
	})
	for _, route := range []string{"/audio", "/audio/stream"} {
		wantProblem(t, w.request("GET", storyURL(aliceStory, route), aliceToken), 404, "not_found")
		p := wantProblem(t, w.request("GET", storyURL(farStory, route), aliceToken), 500, "internal")
		if strings.Contains(p.Detail, "internals") {
			t.Errorf("served: %q", p.Detail)
		}
	}
	if !strings.Contains(w.log.String(), "internals") {
		t.Errorf("log: %q", w.log)
	}
	w.lib.change(func() { w.lib.down = true })
	for _, story := range []codestory.StoryID{aliceStory, farStory} {
		for _, route := range []string{"/audio", "/audio/stream"} {
			resp := w.request("GET", storyURL(story, route), aliceToken)
			if p := wantProblem(t, resp, 503, "storage_unavailable"); p.Detail != "storage temporarily unavailable" {
				t.Errorf("detail: %q", p.Detail)
			}
			if resp.Header.Get("Retry-After") != "10" {
				t.Errorf("retry after: %q", resp.Header.Get("Retry-After"))
			}
		}
	}
}

func TestExpiresIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, want := range map[string]int64{
		"": 3600, "?expires_in=1": 1, "?expires_in=61": 61, "?expires_in=604800": 604800, "?download=0": 3600,
	} {
		for _, story := range []codestory.StoryID{aliceStory, homeStory} {
			link := decode[codestory.Link](t, w.request("GET", storyURL(story, "/audio"+query), ownerToken))
			if link.ExpiresIn != want {
				t.Errorf("%q: got %d, want %d", query, link.ExpiresIn, want)
			}
		}
	}
	for _, query := range []string{
		"?expires_in=0", "?expires_in=604801", "?expires_in=-1", "?expires_in=", "?expires_in=1h", "?expires_in=1.5",
		"?expires_in=+5",
		"?expires_in=1e3", "?expires_in=0x10", "?expires_in=99999999999999999999", "?expires_in=5&expires_in=6",
		"?download=yes", "?download=",
	} {
		wantProblem(t, w.request("GET", storyURL(aliceStory, "/audio"+query), ownerToken), 400, "invalid_parameter")
		wantProblem(t, w.request("GET", storyURL(aliceStory, "/audio/stream"+query), ownerToken), 400,
			"invalid_parameter")
	}
}

// A link of the store that ends early says so.
func TestExpiresEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFakes(t, testOptions(t))
		for lasts, want := range map[time.Duration]int64{
			90500 * time.Millisecond: 90, 90 * time.Second: 90, 3599500 * time.Millisecond: 3600, time.Hour: 3600,
			-time.Minute: 0,
		} {
			w.lib.ends = &lasts
			rec := w.record("GET", storyURL(aliceStory, "/audio"), aliceToken)
			link := decode[codestory.Link](t, rec.Result())
			if link.ExpiresIn != want || !link.ExpiresAt.Equal(time.Now().Add(lasts)) {
				t.Errorf("%v: got %d until %v, want %d", lasts, link.ExpiresIn, link.ExpiresAt, want)
			}
		}
	})
}

func TestAudioGolden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // whose clock always begins at the same time
		w := newFakes(t, testOptions(t))
		w.lib.storeURL = "https://store.example/bucket"
		golden(t, "link_remote.json", w.record("GET", storyURL(aliceStory, "/audio"), aliceToken))
		golden(t, "link_local.json", w.record("GET", storyURL(homeStory, "/chapters/1/audio?download=1"), homeToken))
	})
}

func TestDownloadNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for title, want := range map[string]string{
		"My story":               `attachment; filename="My story.mp3"`,
		"":                       `attachment; filename="` + string(homeStory) + `.mp3"`,
		" .. ":                   `attachment; filename="` + string(homeStory) + `.mp3"`,
		`a "b" \c/d`:             `attachment; filename="a _b_ _c_d.mp3"`,
		"50% off":                `attachment; filename="50_ off.mp3"; filename*=UTF-8''50%25%20off.mp3`,
		"Über\r\nX-Evil: 1":      `attachment; filename="_ber X-Evil_ 1.mp3"; filename*=UTF-8''%C3%9Cber%20X-Evil_%201.mp3`,
		"日本":                     `attachment; filename="__.mp3"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.mp3`,
		"txt\u202e3pm":           `attachment; filename="txt3pm.mp3"`,
		"a;b='c'+d":              `attachment; filename="a;b='c'+d.mp3"`,
		strings.Repeat("x ", 99): `attachment; filename="` + strings.Repeat("x ", 27) + `x.mp3"`,
	} {
		w.lib.change(func() {
			w.lib.stories[homeStory] = codestory.Story{ID: homeStory, Owner: codestory.OwnedBy(""), Title: title}
		})
		for _, stored := range []bool{false, true} { // by a link of the daemon, then by one of the store
			w.lib.change(func() {
				f := w.lib.files[codestory.StoryAudioPath(homeStory)]
				f.stored = stored
				w.lib.files[codestory.StoryAudioPath(homeStory)] = f
			})
			link := decode[codestory.Link](t, w.request("GET", storyURL(homeStory, "/audio?download=1"), homeToken))
			if got := w.request("GET", link.URL, "").Header.Get("Content-Disposition"); got != want {
				t.Errorf("%q, stored %v: got %s, want %s", title, stored, got, want)
			}
		}
	}
	link := decode[codestory.Link](t, w.request("GET", storyURL(aliceStory, "/chapters/1/audio?download=1"), aliceToken))
	if got, want := w.request("GET", link.URL, "").Header.Get("Content-Disposition"),
		`attachment; filename="My story - chapter 01.mp3"`; got != want {
		t.Errorf("chapter: got %s, want %s", got, want)
	}
	resp := w.request(http.MethodGet, storyURL(aliceStory, "/chapters/1/audio/stream?download=1"), aliceToken)
	if got := w.request("GET", resp.Header.Get("Location"),
		"").Header.Get("Content-Disposition"); !strings.HasPrefix(got, "attachment") {
		t.Errorf("stream: got %s", got)
	}
}

// A chapter whose file is numbered with other digits has its link, its player URL and its place in the feed.
func TestAudioOfAChapterOfOtherDigits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const name = "chapters/chapter_001.mp3"
	w.addStory(newStory, map[string]file{name: {data: []byte("one"), local: true}}, "One")
	w.lib.change(func() {
		w.lib.stories[newStory].Chapters[0].Path = codestory.Path(string(newStory) + "/" + name)
	})
	for _, url := range []string{storyURL(newStory, "/chapters/1/audio"), storyURL(newStory, ""), w.feedURL(newStory, ".xml")} {
		resp := w.request("GET", url, ownerToken)
		wantStatus(t, resp, 200)
		if got := body(t, resp); !strings.Contains(got, "/play/"+string(newStory)+"/"+name) || strings.Contains(got, "chapter_01.mp3") {
			t.Errorf("%s: %s", url, got)
		}
	}
	wantStatus(t, w.request("GET", storyURL(newStory, "/chapters/1/audio/stream?proxy=1"), ownerToken), 200)
}
