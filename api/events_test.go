package api_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

// happenings is an Events in memory, that remembers the last ten.
type happenings struct {
	mu      sync.Mutex
	events  []codestory.Event // all
	changed chan struct{}
}

func newHappenings() *happenings { return &happenings{changed: make(chan struct{})} }

func (h *happenings) Started() time.Time { return modified }

func (h *happenings) Events(after uint64) (codestory.EventBatch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := uint64(len(h.events))
	forgot := last - min(last, 10)
	b := codestory.EventBatch{Last: last, Missed: after < forgot || after > last, Changed: h.changed}
	b.Events = h.events[max(min(after, last), forgot):]
	return b, nil
}

func (h *happenings) add(events ...codestory.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		e.ID = uint64(len(h.events)) + 1
		h.events = append(h.events, e)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

func fileEvent(id codestory.StoryID) codestory.Event {
	path := codestory.StoryAudioPath(id)
	return codestory.Event{File: &codestory.File{Path: path, Key: path.Key(), State: codestory.Synced}}
}

func storyEvent(id codestory.StoryID) codestory.Event { return codestory.Event{Story: id} }

// heard is an event as a client reads it.
type heard struct{ id, event, data string }

// listen opens GET /api/events and returns how to read the next event of one of the names.
func (w *world) listenAs(token string, headers ...string) (next func(names ...string) heard, resp *http.Response) {
	w.t.Helper()
	resp = w.request("GET", "/api/events", token, headers...)
	wantStatus(w.t, resp, 200)
	wantSecure(w.t, resp)
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("headers: %v", resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	return func(names ...string) heard {
		w.t.Helper()
		var h heard
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				h.id = value
			case "event":
				h.event = value
			case "data":
				h.data = value
			case "":
				for _, n := range names {
					if h.event == n {
						return h
					}
				}
				h = heard{}
			}
		}
		w.t.Fatalf("the stream ended: %v", lines.Err())
		return h
	}, resp
}

// A listener hears what its token may read, as the other routes tell it.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner, _ := w.listenAs(ownerToken)
	alice, _ := w.listenAs(aliceToken)
	if h := owner("remote"); !strings.Contains(h.data, `"kind":"local"`) || h.id == "" {
		t.Errorf("first: %+v", h)
	}
	if h := owner("queue"); !strings.Contains(h.data, `"queued":0`) || h.id == "" {
		t.Errorf("first: %+v", h)
	}
	upload := func(id codestory.StoryID) codestory.Event {
		return codestory.Event{Upload: &codestory.Upload{Path: string(codestory.StoryAudioPath(id)), TotalBytes: 7}}
	}
	w.events.add(fileEvent(homeStory), upload(homeStory), codestory.Event{Remote: &codestory.RemoteStatus{State: codestory.RemoteFull}},
		fileEvent(noStory), storyEvent(homeStory), storyEvent(noStory), fileEvent(aliceStory), upload(aliceStory), storyEvent(aliceStory))

	for _, want := range []codestory.StoryID{homeStory, noStory, aliceStory} {
		var file codestory.File
		h := owner("file")
		if err := json.Unmarshal([]byte(h.data), &file); err != nil || file.Path != codestory.StoryAudioPath(want) || h.id == "" {
			t.Errorf("the owner hears %+v, want one of %s", h, want)
		}
	}
	if h := owner("upload"); !strings.Contains(h.data, `"total_bytes":7`) {
		t.Errorf("the owner hears %+v", h)
	}
	for _, want := range []string{"file", "upload", "story"} {
		h := alice("file", "upload", "story", "remote", "queue")
		if h.event != want || h.id == "" || !strings.Contains(h.data, string(aliceStory)) {
			t.Errorf("alice hears %+v, want her %s", h, want)
		}
		if want == "story" && (!strings.Contains(h.data, `"play_url":"http`) || strings.Contains(h.data, `"files"`)) {
			t.Errorf("alice hears %+v", h)
		}
	}
	wantProblem(t, w.request("GET", "/api/events", ""), 401, "unauthorized")
	wantStatus(t, w.request("HEAD", "/api/events", ownerToken), 200)
}

// A listener that comes back goes on where it was, and is told where that is not possible.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.events.add(fileEvent(aliceStory))
	next, resp := w.listenAs(ownerToken)
	w.events.add(fileEvent(homeStory), fileEvent(farStory))
	first := next("file")
	if !strings.Contains(first.data, string(homeStory)) {
		t.Errorf("what happened before is told: %+v", first)
	}
	resp.Body.Close()

	next, resp = w.listenAs(ownerToken, "Last-Event-ID", first.id)
	if h := next("file", "reset"); !strings.Contains(h.data, string(farStory)) {
		t.Errorf("gone on with: %+v", h)
	}
	now := next("queue") // it is how things are, not what happened
	resp.Body.Close()

	w.events.add(storyEvent(homeStory))
	next, _ = w.listenAs(ownerToken, "Last-Event-ID", now.id)
	if h := next("file", "story", "reset"); h.event != "story" || !strings.Contains(h.data, string(homeStory)) {
		t.Errorf("gone on behind %+v with: %+v", now, h)
	}
	for range 20 {
		w.events.add(fileEvent(aliceStory))
	}
	for _, id := range []string{first.id, "x-1", "nonsense", first.id[:len(first.id)-1] + "999"} {
		next, _ = w.listenAs(ownerToken, "Last-Event-ID", id)
		if h := next("file", "reset"); h.event != "reset" {
			t.Errorf("after %s: %+v", id, h)
		}
	}
}

// A listener that does not read is dropped once what it missed is forgotten, and keeps nobody waiting.
func TestSlowListenerIsDropped(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds")
	}
	t.Parallel()
	w := newWorld(t)
	fast, _ := w.listenAs(ownerToken)
	_, slow := w.listenAs(ownerToken)
	big := fileEvent(aliceStory)
	big.File.Reason = new(strings.Repeat("x", 1<<20))
	for range 40 {
		w.events.add(big)
		fast("file")
	}
	buf := make([]byte, 1<<20)
	for {
		if _, err := slow.Body.Read(buf); err != nil {
			break // it was cut off, and got no more than what lay in the sockets
		}
	}
}

// Listeners end when the daemon stops, and when their token is taken away.
func TestEventsEnd(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	w := newWorldWith(t, api.Options{Stopping: stopping})
	next, resp := w.listenAs(ownerToken)
	next("queue")
	close(stopping)
	began := time.Now()
	if _, err := resp.Body.Read(make([]byte, 1<<16)); err == nil {
		_, err = resp.Body.Read(make([]byte, 1<<16))
		if err == nil {
			t.Error("it goes on")
		}
	}
	if time.Since(began) > 5*time.Second {
		t.Errorf("it took %v to end", time.Since(began))
	}
}
