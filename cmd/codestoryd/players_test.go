package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// of is a version of a file: its number in every byte, and a size of its own.
func of(version int) []byte {
	return bytes.Repeat([]byte{byte(version)}, 300_000+version*1000)
}

// replacements are the ways in which programs replace files.
var replacements = []func(name string, content []byte) error{
	func(name string, content []byte) error { // beside it, and renamed
		next := name + ".tmp"
		return errors.Join(os.WriteFile(next, content, 0o666), os.Rename(next, name))
	},
	func(name string, content []byte) error { return os.WriteFile(name, content, 0o666) }, // cut, and written
	func(name string, content []byte) error { // written over
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		return errors.Join(err, f.Truncate(int64(len(content))), f.Close())
	},
	func(name string, content []byte) error { // removed, and made anew
		return errors.Join(os.Remove(name), os.WriteFile(name, content, 0o666))
	},
}

// No answer holds bytes of two versions, however a file is replaced while 64 play it.
func TestManyPlayersWhileFilesAreReplaced(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it plays for seconds")
	}
	t.Parallel()
	m := newMachine(t)
	path := codestory.StoryAudioPath(story)
	m.write(path, of(1))
	m.start()
	m.awaitSynced(1)
	var link codestory.Link
	if code := m.get("/api/storage/stories/"+string(story)+"/audio", &link); code != http.StatusOK {
		t.Fatalf("audio: %d", code)
	}

	ctx, stop := context.WithCancel(t.Context())
	var replacing, playing sync.WaitGroup
	replacing.Go(func() {
		name := filepath.Join(m.dir, filepath.FromSlash(string(path)))
		for version := 2; ctx.Err() == nil; version++ {
			if err := replacements[version%len(replacements)](name, of(version%200)); err != nil {
				t.Error(err)
			}
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	var whole atomic.Int64
	for i := range 64 {
		playing.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 20 {
				target := *link.PlayURL
				if random.IntN(2) == 0 {
					target += "&proxy=1"
				}
				if playOnce(t, transport, target, random) {
					whole.Add(1)
				}
			}
		})
	}
	playing.Wait()
	stop()
	replacing.Wait()
	if whole.Load() == 0 {
		t.Error("nobody got an answer: the test shows nothing")
	}
	if log := m.running.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
		t.Errorf("the daemon's log:\n%s", log)
	}
}

// playOnce asks for a range and reports whether it came whole. What came has to be of one version.
func playOnce(t *testing.T, transport http.RoundTripper, target string, random *rand.Rand) bool {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Error(err)
		return false
	}
	switch random.IntN(3) {
	case 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", random.IntN(300_000)))
	case 1:
		req.Header.Set("Range", fmt.Sprintf("bytes=0-9,%d-%d", 100_000, 100_000+random.IntN(100_000)))
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return false // cut off before the answer began
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return false // it was gone, or written to, at that moment
	}
	got, err := io.ReadAll(resp.Body)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "multipart/") {
		return err == nil // the text between has other bytes
	}
	if len(got) > 0 && len(bytes.Trim(got, string(got[:1]))) > 0 {
		t.Errorf("%s with %d bytes is of more than one version", resp.Status, len(got))
	}
	return err == nil
}

// moody stands in front of a store: it notes what headers come, and misbehaves once when it is told to.
type moody struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []http.Header
	ranges []string
	next   string // "refuse" or "cut", the next GET of an object
}

func newMoody(t *testing.T, target string) *moody {
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &moody{}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}, ErrorLog: nil}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch p.note(r) {
		case "refuse":
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>ExpiredToken</Code><Message>expired</Message></Error>")
		case "cut":
			forward.ServeHTTP(&cutter{ResponseWriter: w, left: 100_000}, r)
		default:
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// note returns how to answer the request.
func (p *moody) note(r *http.Request) (mood string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Header.Clone())
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ".mp3") {
		p.ranges = append(p.ranges, r.Header.Get("Range"))
		mood, p.next = p.next, ""
	}
	return mood
}

// be sets the mood, and forgets what came before.
func (p *moody) be(mood string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.seen, p.ranges = mood, nil, nil
}

// cutter breaks the connection in the middle of an answer.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	if c.left < len(b) {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

// A store that refuses, or breaks off, is asked once more before a player hears of it; what the player sends stays here.
func TestProxiedPlayerHearsNothingOfAStoresMoods(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	front := newMoody(t, server.Endpoint)
	m := newMachine(t, stored(server, front.URL, server.Bucket(t))...)
	path, content := codestory.StoryAudioPath(story), make([]byte, 1<<20)
	for i := range content {
		content[i] = byte(i / 251)
	}
	m.write(path, content)
	m.start()
	m.awaitSynced(1)
	var link codestory.Link
	if code := m.get("/api/storage/stories/"+string(story)+"/audio", &link); code != http.StatusOK {
		t.Fatalf("audio: %d", code)
	}
	if err := os.Remove(filepath.Join(m.dir, filepath.FromSlash(string(path)))); err != nil {
		t.Fatal(err)
	}
	for _, mood := range []string{"", "refuse", "cut"} {
		front.be(mood)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *link.PlayURL+"&proxy=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=1000-900000")
		for name, value := range map[string]string{"Authorization": "Bearer mine", "Cookie": "mine=1", "Referer": "http://mine.example/"} {
			req.Header.Set(name, value)
		}
		resp, got := m.do(req)
		if resp.StatusCode != http.StatusPartialContent || !bytes.Equal(got, content[1000:900_001]) {
			t.Errorf("%q: %s with %d bytes", mood, resp.Status, len(got))
		}
		front.mu.Lock()
		for _, h := range front.seen {
			if h.Get("Cookie") != "" || h.Get("Referer") != "" || strings.Contains(fmt.Sprint(h), "mine") {
				t.Errorf("%q: the store got %v", mood, h)
			}
		}
		for _, r := range front.ranges {
			if !strings.HasSuffix(r, "-900000") || r == "bytes=0-900000" {
				t.Errorf("%q: the store was asked for %q", mood, front.ranges)
			}
		}
		front.mu.Unlock()
	}
}
