package api_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// With proxy=1 the bytes come from the daemon wherever they are, and nobody is redirected.
func TestProxy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []codestory.StoryID{aliceStory, homeStory, farStory} {
		for _, target := range []string{
			w.playURL(codestory.StoryAudioPath(id)) + "&proxy=1", storyURL(id, "/audio/stream?proxy=1"),
			storyURL(id, "/audio/stream?proxy=1&download=1"),
		} {
			token := ""
			if strings.HasPrefix(target, "/api") {
				token = ownerToken
			}
			want := string(w.lib.files[codestory.StoryAudioPath(id)].data)
			for _, method := range []string{"GET", "HEAD"} {
				resp := w.request(method, target, token)
				wantStatus(t, resp, 200)
				wantSecure(t, resp)
				h := resp.Header
				if h.Get("Content-Type") != "audio/mpeg" || resp.ContentLength != int64(len(want)) ||
					!strings.HasPrefix(h.Get("Cache-Control"), "private, no-") ||
					strings.HasPrefix(h.Get("Content-Disposition"), "attachment") != strings.Contains(target, "download") {
					t.Errorf("%s %s: %v", method, target, h)
				}
				if got := body(t, resp); method == "GET" && got != want || method == "HEAD" && got != "" {
					t.Errorf("%s %s: got %q", method, target, got)
				}
			}
			resp := w.request("GET", target, token, "Range", "bytes=-5")
			wantStatus(t, resp, 206)
			if got := body(t, resp); got != want[len(want)-5:] {
				t.Errorf("%s: got %q", target, got)
			}
		}
	}
	far := w.playURL(codestory.StoryAudioPath(farStory))
	wantStatus(t, w.request("GET", far+"&proxy=0", ""), 302)
	wantProblem(t, w.request("GET", far+"&proxy=yes", ""), 400, "invalid_parameter")
	wantProblem(t, w.request("GET", storyURL(farStory, "/audio/stream?proxy=yes"), ownerToken), 400, "invalid_parameter")
	wantProblem(t, w.request("GET", storyURL(farStory, "/audio/stream?proxy=1"), homeToken), 403, "forbidden")
	w.lib.change(func() { w.lib.down = true })
	wantProblem(t, w.request("GET", far+"&proxy=1", ""), 503, "storage_unavailable")
}

// changingBody is one version of a file that is replaced after it was read so far.
type changingBody struct {
	bytesBody
	at int64
}

func (b changingBody) Range(offset, length int64) (io.Reader, error) {
	r, err := b.bytesBody.Range(offset, min(length, b.at))
	return struct{ io.Reader }{io.MultiReader(r, failingReader{})}, err
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) {
	return 0, fmt.Errorf("read: %w", codestory.ErrChanged)
}

// A file that is replaced before anything of it was sent is served as it is then; one that is replaced later ends the
// answer, which nobody can take for a whole one.
func TestReplacedWhileServed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ at, status int }{{0, 503}, {40_000, 200}} {
		w := newWorld(t)
		w.lib.files[codestory.StoryAudioPath(aliceStory)] = file{data: make([]byte, 50_000), local: true}
		opened := 0
		w.lib.open = func(content *codestory.Content) {
			opened++
			content.Body = changingBody{content.Body.(bytesBody), int64(c.at)}
		}
		resp := w.request("GET", w.playURL(codestory.StoryAudioPath(aliceStory)), "")
		wantStatus(t, resp, c.status)
		got, err := io.ReadAll(resp.Body)
		if c.at == 0 {
			if !strings.Contains(string(got), "file_changing") || resp.Header.Get("ETag") != "" || opened != 2 {
				t.Errorf("got %s after %d openings", got, opened)
			}
			continue
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) > c.at {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
}

// A date in If-Range proves nothing where the file may have been replaced within its second.
func TestIfRangeDateOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var written time.Time
	w.lib.open = func(content *codestory.Content) { content.Modified = written }
	for age, status := range map[time.Duration]int{0: 200, 3 * time.Second: 206} {
		written = time.Now().Add(-age)
		resp := w.request("GET", w.playURL(codestory.StoryAudioPath(aliceStory)), "", "Range", "bytes=0-1",
			"If-Range", written.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		wantStatus(t, resp, status)
	}
}
