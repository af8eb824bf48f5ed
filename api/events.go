package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// Events is what happens, for those who want to hear of it at once.
type Events interface {
	// Events returns what happened after the event of that number: at once, without waiting for more. A number that
	// no event has yet stands for now.
	Events(after uint64) (codestory.EventBatch, error)
	// Started is when the numbers began to count.
	Started() time.Time
}

const (
	// lookEvery is how often a listener gets what changes all the time, progress and counts, and asks for events of
	// stories.
	lookEvery = time.Second
	// heartbeat is how often at least something is sent, so that a connection that is dead shows.
	heartbeat = 15 * time.Second
	// listenerPatience is how long a listener may take for what is sent to it, before it is dropped.
	listenerPatience = 10 * time.Second
	// sinceNow is the number of no event.
	sinceNow = ^uint64(0)
)

// listener is one who reads GET /api/events. It has no buffer of its own: it asks for what came after the last event
// that it was sent, and one who is so slow that this is forgotten by then is dropped.
type listener struct {
	s      *server
	r      *http.Request
	caller codestory.Token
	w      http.ResponseWriter
	conn   *http.ResponseController

	epoch   string // of the numbers; in an id, before its number
	after   uint64 // the event that was sent last
	queue   codestory.QueueStatus
	sent    time.Time
	checked time.Time // the token
	err     error     // of sending
}

// listen answers GET /api/events with server-sent events.
func (s *server) listen(w http.ResponseWriter, r *request) error {
	l := &listener{
		s: s, r: r.Request, caller: r.caller, w: w, conn: http.NewResponseController(w),
		epoch: strconv.FormatInt(s.events.Started().UnixNano(), 36), checked: time.Now(),
	}
	batch, missed, err := l.resume(r.Header.Get("Last-Event-ID"))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	l.write("retry: 2000\n\n")
	if missed {
		l.send("", "reset", map[string]string{"reason": "events were missed: read again what you need"})
	}
	l.tell(batch)
	l.look(true) // behind what happened: it is how things are now
	l.run(batch.Changed)
	return nil
}

// resume finds where the listener was, by the id of the last event that it has seen.
func (l *listener) resume(id string) (batch codestory.EventBatch, missed bool, err error) {
	l.after = sinceNow
	if id != "" {
		epoch, digits, _ := strings.Cut(id, "-")
		n, err := strconv.ParseUint(digits, 10, 64)
		missed = err != nil || epoch != l.epoch
		if !missed {
			l.after = n
		}
	}
	if batch, err = l.s.events.Events(l.after); err != nil {
		return batch, false, err
	}
	return batch, missed || l.after != sinceNow && batch.Missed, nil
}

// run sends what happens until the listener goes, is too slow, or the daemon stops.
func (l *listener) run(changed <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		l.flush()
		if l.err != nil {
			return
		}
		select {
		case <-l.r.Context().Done():
			return
		case <-l.s.stopping:
			return
		case <-changed:
		case <-tick.C:
			if !l.welcome() {
				return
			}
			l.look(false)
		}
		batch, err := l.s.events.Events(l.after)
		if err != nil || batch.Missed {
			return
		}
		l.tell(batch)
		changed = batch.Changed
	}
}

// welcome reports whether the listener's token still holds, which is looked up now and then.
func (l *listener) welcome() bool {
	if time.Since(l.checked) < heartbeat {
		return true
	}
	l.checked = time.Now()
	caller, err := l.s.identify(l.w, l.r)
	return err == nil && caller.User == l.caller.User && caller.Scope == l.caller.Scope
}

// tell sends the events that are the listener's to know.
func (l *listener) tell(batch codestory.EventBatch) {
	for _, e := range batch.Events {
		id := l.id(e.ID)
		switch {
		case e.File != nil && l.mayHear(e.File.Path.Story()):
			l.send(id, "file", redactFile(*e.File, l.caller))
		case e.Upload != nil && l.mayHear(codestory.Path(e.Upload.Path).Story()):
			l.send(id, "upload", e.Upload)
		case e.Story != "" && l.mayHear(e.Story):
			event := l.s.shared.of(e.ID, func() sharedStory { return l.s.storyEvent(l.r.Context(), e.Story) })
			if event.data != nil && l.caller.MayRead(event.owner) && l.mayHear(e.Story) { // which may be another by now
				l.sendEncoded(id, "story", event.data)
			}
		case e.Remote != nil && l.manages():
			l.send(id, "remote", e.Remote)
		}
	}
	l.after = batch.Last
}

// id is what a listener that comes back names the event by.
func (l *listener) id(event uint64) string { return l.epoch + "-" + strconv.FormatUint(event, 10) }

func (l *listener) manages() bool { return l.caller.Scope == codestory.ScopeManage }

// mayHear reports whether the listener may read the story as it is owned now, whoever had it when the event happened.
func (l *listener) mayHear(id codestory.StoryID) bool {
	owner, _ := l.s.lib.OwnerNow(id) // not known if the story is not
	return l.caller.MayRead(owner)
}

// look sends what is not an event by itself: how far uploads have come, the counts of the queue. The first time it says
// how the store is, too. A listener that comes back gets all of it again, and resumes behind the last event, so that is the id
// it has.
func (l *listener) look(first bool) {
	status, err := l.s.monitor.Status(l.r.Context())
	if err != nil {
		return
	}
	id := l.id(l.after)
	if first && l.manages() {
		l.send(id, "remote", status.Remote)
	}
	for _, u := range status.Uploads {
		if l.mayHear(codestory.Path(u.Path).Story()) {
			l.send(id, "upload", u)
		}
	}
	counts := status.Queue
	counts.OldestSeconds = 0 // grows by itself
	if l.manages() && (first || counts != l.queue) {
		l.queue = counts
		l.send(id, "queue", status.Queue)
	}
	if time.Since(l.sent) >= heartbeat {
		l.write(": still here\n\n")
	}
}

// send writes one event. After one without an id a listener that comes back goes on where it would have before it.
func (l *listener) send(id, event string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // our own shapes always encode
	}
	l.sendEncoded(id, event, b)
}

func (l *listener) sendEncoded(id, event string, data []byte) {
	if id != "" {
		id = "id: " + id + "\n"
	}
	l.write(id + "event: " + event + "\ndata: ")
	l.writeBytes(data)
	l.write("\n\n")
}

func (l *listener) write(text string) { l.writeBytes([]byte(text)) }

func (l *listener) writeBytes(b []byte) {
	if l.err != nil {
		return
	}
	extend(l.w, listenerPatience)
	_, l.err = l.w.Write(b)
	l.sent = time.Now()
}

func (l *listener) flush() {
	if l.err == nil {
		l.err = l.conn.Flush()
	}
}

const (
	// maxShared is how many stories are kept for other listeners. Each may have half a megabyte.
	maxShared = 8
	// sharedFor is for how long: an event tells how its story is by now.
	sharedFor = time.Second
)

// sharedStories are the stories of the last events, encoded once for all who listen.
type sharedStories struct {
	mu   sync.Mutex // guards what follows
	last []sharedStory
}

type sharedStory struct {
	event uint64
	made  time.Time
	owner codestory.Owner // when it was made
	data  []byte          // nil if the story cannot be had
}

// of is the story of that event. make makes it, unless another listener was sent it a moment ago.
func (s *sharedStories) of(event uint64, make func() sharedStory) sharedStory {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = slices.DeleteFunc(s.last, func(e sharedStory) bool { return time.Since(e.made) >= sharedFor })
	if i := slices.IndexFunc(s.last, func(e sharedStory) bool { return e.event == event }); i >= 0 {
		return s.last[i]
	}
	story := make()
	story.event, story.made = event, time.Now()
	if story.data != nil && len(s.last) < maxShared {
		s.last = append(s.last, story)
	}
	return story
}

// storyEvent is the story as listeners get it.
func (s *server) storyEvent(ctx context.Context, id codestory.StoryID) sharedStory {
	story, err := s.lib.Story(ctx, id)
	if err != nil {
		return sharedStory{}
	}
	return sharedStory{owner: story.Owner, data: s.encodeListed(story)}
}
