package remotetest

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote"
)

func (s suite) links(t *testing.T, store remote.Store) {
	linker, ok := store.(remote.Linker)
	if !ok {
		t.Skip("the store makes no links")
	}
	// Characters that are escaped differently in a path, in a query and in a signature.
	key := story + "audio/story #1 (50% + ü).mp3"
	data := Bytes(100_000)
	mustPut(t, store, key, data)
	l := linkTest{linker, key, data}
	t.Run("GET plays", l.plays)
	t.Run("HEAD answers", l.head)
	t.Run("ranges", l.ranges)
	t.Run("type and disposition are overridden", l.overrides)
	t.Run("changed links are refused", l.tampered)
	t.Run("an expired link is refused", l.expired)
	t.Run("an absent object is the client's to find out", l.absent)
	t.Run("how long they last", l.lasts)
	t.Run("what cannot be linked is an error", l.invalid)
}

type linkTest struct {
	linker remote.Linker
	key    string
	data   []byte
}

func (l linkTest) link(t *testing.T, req remote.LinkRequest) string {
	t.Helper()
	if req.Key == "" {
		req.Key = l.key
	}
	if req.Expires == 0 {
		req.Expires = time.Hour
	}
	before := time.Now()
	link, err := l.linker.Link(t.Context(), req)
	if err != nil {
		t.Fatalf("link: %v", err)
	}
	if earliest := before.Add(req.Expires - time.Second); link.Expires.Before(earliest) ||
		link.Expires.After(time.Now().Add(req.Expires)) {
		t.Errorf("expires %v, want %v from now", link.Expires, req.Expires)
	}
	return link.URL
}

// fetch asks as a player does that was given nothing but the URL.
func fetch(t *testing.T, method, link, byteRange string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func (l linkTest) plays(t *testing.T) {
	resp, body := fetch(t, http.MethodGet, l.link(t, remote.LinkRequest{Method: http.MethodGet}), "")
	if resp.StatusCode != http.StatusOK || !bytes.Equal(body, l.data) {
		t.Errorf("%s, %d bytes, want 200 and the %d that were put", resp.Status, len(body), len(l.data))
	}
	if got := resp.Header.Get("Content-Type"); got != mp3 {
		t.Errorf("content type %q, want %s", got, mp3)
	}
}

func (l linkTest) head(t *testing.T) {
	resp, _ := fetch(t, http.MethodHead, l.link(t, remote.LinkRequest{Method: http.MethodHead}), "")
	if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(l.data)) {
		t.Errorf("%s, length %d, want 200 and %d", resp.Status, resp.ContentLength, len(l.data))
	}
}

func (l linkTest) ranges(t *testing.T) {
	link := l.link(t, remote.LinkRequest{Method: http.MethodGet})
	for byteRange, want := range map[string][]byte{
		"bytes=0-0": l.data[:1], "bytes=100-199": l.data[100:200], "bytes=99990-": l.data[99990:],
		"bytes=-10": l.data[99990:],
	} {
		resp, body := fetch(t, http.MethodGet, link, byteRange)
		if resp.StatusCode != http.StatusPartialContent || !bytes.Equal(body, want) {
			t.Errorf("%s: %s, %d bytes, want 206 and the %d there", byteRange, resp.Status, len(body), len(want))
		}
	}
	if resp, _ := fetch(t, http.MethodGet, link, "bytes=200000-"); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("past the end: %s, want 416", resp.Status)
	}
}

func (l linkTest) overrides(t *testing.T) {
	const disposition = `attachment; filename="a b.mp3"; filename*=UTF-8''a%20b%20%C3%BC.mp3`
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		link := l.link(t, remote.LinkRequest{Method: method, ContentType: "text/plain; charset=utf-8", Disposition: disposition})
		resp, _ := fetch(t, method, link, "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
			resp.Header.Get("Content-Disposition") != disposition {
			t.Errorf("%s: %s with %q and %q", method, resp.Status, resp.Header.Get("Content-Type"),
				resp.Header.Get("Content-Disposition"))
		}
	}
}

func (l linkTest) tampered(t *testing.T) {
	other := story + "metadata.json"
	good := l.link(t, remote.LinkRequest{Method: http.MethodGet, Expires: time.Minute})
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]string{"another object": strings.Replace(good, u.EscapedPath(), strings.TrimSuffix(u.Path, l.key)+other, 1)}
	for name, values := range u.Query() {
		query := u.Query()
		last := values[0][len(values[0])-1:]
		query.Set(name, strings.TrimSuffix(values[0], last)+map[bool]string{true: "1", false: "0"}[last == "0"])
		v := *u
		v.RawQuery = query.Encode()
		changed[name] = v.String()
	}
	for name, link := range changed {
		resp, body := fetch(t, http.MethodGet, link, "")
		if resp.StatusCode < 400 || resp.StatusCode >= 500 || bytes.Equal(body, l.data) {
			t.Errorf("with another %s: %s, want it refused", name, resp.Status)
		}
	}
	if resp, _ := fetch(t, http.MethodGet, changed["another object"], ""); resp.StatusCode != http.StatusForbidden {
		t.Errorf("for another object: %s, want 403", resp.Status)
	}
}

func (l linkTest) expired(t *testing.T) {
	link := l.link(t, remote.LinkRequest{Method: http.MethodGet, Expires: time.Second})
	deadline := time.Now().Add(15 * time.Second)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, _ := fetch(t, http.MethodGet, link, "")
		switch {
		case resp.StatusCode == http.StatusForbidden:
			return
		case resp.StatusCode != http.StatusOK:
			t.Fatalf("%s, want 200 and then 403", resp.Status)
		case time.Now().After(deadline):
			t.Fatal("a link for 1 s still plays after 15")
		}
		<-tick.C
	}
}

func (l linkTest) absent(t *testing.T) {
	link := l.link(t, remote.LinkRequest{Method: http.MethodGet, Key: story + "absent"})
	if resp, _ := fetch(t, http.MethodGet, link, ""); resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s, want 404", resp.Status)
	}
}

func (l linkTest) lasts(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		0: time.Hour, time.Second: time.Second, remote.MaxExpires: 7 * 24 * time.Hour,
	} {
		now := time.Now()
		link, err := l.linker.Link(t.Context(), remote.LinkRequest{Method: http.MethodGet, Key: l.key, Expires: asked})
		if got := link.Expires.Sub(now); err != nil || (got-want).Abs() > 10*time.Second {
			t.Errorf("asked for %v: good for %v, %v, want %v", asked, got, err, want)
		}
	}
}

func (l linkTest) invalid(t *testing.T) {
	for name, req := range map[string]remote.LinkRequest{
		"method":    {Method: http.MethodPut, Key: l.key, Expires: time.Hour},
		"no method": {Key: l.key, Expires: time.Hour},
		"negative":  {Method: http.MethodGet, Key: l.key, Expires: -time.Second},
		"too short": {Method: http.MethodGet, Key: l.key, Expires: 999 * time.Millisecond},
		"too long":  {Method: http.MethodGet, Key: l.key, Expires: 7*24*time.Hour + time.Second},
	} {
		if link, err := l.linker.Link(t.Context(), req); err == nil {
			t.Errorf("%s: got %s, want an error", name, link.URL)
		}
	}
}
