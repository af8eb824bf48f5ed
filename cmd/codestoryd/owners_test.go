package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// ofUser is a story that a generator makes in a test, and whose it becomes once that is known.
type ofUser struct {
	id      codestory.StoryID
	user    string // "nobody" if that never is
	written []func(m *machine, id codestory.StoryID, user string)
}

// The steps of a generator.
type step = func(m *machine, id codestory.StoryID, user string)

func chapterStep(m *machine, id codestory.StoryID, user string) {
	m.write(codestory.ChapterPath(id, 1), []byte("chapter of "+user+string(id)))
}

func secondStep(m *machine, id codestory.StoryID, user string) {
	m.write(codestory.ChapterPath(id, 2), []byte("second chapter of "+user+string(id)))
}

func tellStep(m *machine, id codestory.StoryID, user string) {
	m.write(codestory.MetadataPath(id), fmt.Appendf(nil, `{"title": "secret of %s", "user_id": %q}`, user, user))
}

// readStep waits until the story's metadata.json was read: what is replaced before says nothing.
func readStep(m *machine, id codestory.StoryID, user string) {
	m.t.Helper()
	var s codestory.Story
	for end := time.Now().Add(longest); ; time.Sleep(20 * time.Millisecond) {
		if code := m.get("/api/storage/stories/"+string(id), &s); code == http.StatusOK && s.Owner.Is(user) {
			return
		}
		if time.Now().After(end) {
			m.t.Fatalf("story %s is not known to be %q's: %q", id, user, s.Owner.Text())
		}
	}
}

func badStep(text string) step {
	return func(m *machine, id codestory.StoryID, _ string) { m.write(codestory.MetadataPath(id), []byte(text)) }
}

func symlinkStep(m *machine, id codestory.StoryID, user string) {
	elsewhere := filepath.Join(m.t.TempDir(), "metadata.json")
	if err := os.WriteFile(elsewhere, []byte(`{}`), 0o666); err != nil {
		m.t.Fatal(err)
	}
	name := filepath.Join(m.dir, string(codestory.MetadataPath(id)))
	_ = os.Remove(name)
	if err := os.Symlink(elsewhere, name); err != nil {
		m.t.Fatal(err)
	}
}

// slowStep writes metadata.json in pieces, of which the first parses and names nobody.
func slowStep(m *machine, id codestory.StoryID, user string) {
	f, err := os.Create(filepath.Join(m.dir, string(codestory.MetadataPath(id))))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, piece := range []string{"{}", fmt.Sprintf(`{"title": "secret of %s", `, user), fmt.Sprintf(`"user_id": %q}`, user)} {
		if strings.HasPrefix(piece, `{"`) { // over what was there
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				m.t.Fatal(err)
			}
		}
		if _, err := f.WriteString(piece); err != nil {
			m.t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err := f.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func ownersStories() []ofUser {
	orders := [][]step{
		{tellStep, chapterStep},
		{chapterStep, secondStep, tellStep},
		{chapterStep, slowStep},
		{chapterStep, badStep(`{"title": "secret"`), secondStep, tellStep},
		{chapterStep, badStep(`null`), badStep(`{"user_id": ["ada"]}`), badStep(`{"user_id": {}}`), tellStep},
		{chapterStep, symlinkStep, func(m *machine, id codestory.StoryID, _ string) {
			_ = os.Remove(filepath.Join(m.dir, string(codestory.MetadataPath(id))))
		}, tellStep},
		{tellStep, chapterStep, readStep, badStep(`{`), secondStep},
		{tellStep, chapterStep, readStep, badStep(`{"title": "secret"}`), badStep(`null`)},
		{badStep(`{"user_id": "` + strings.Repeat("x", codestory.MaxMetadataBytes) + `"}`), chapterStep, tellStep},
	}
	var stories []ofUser
	for n, written := range orders {
		for u, user := range []string{"ada", "bob", ""} {
			id := codestory.StoryID(fmt.Sprintf("%08d-%04d-4000-8000-000000000000", n, u))
			stories = append(stories, ofUser{id, user, written})
		}
	}
	for n, written := range [][]step{{chapterStep}, {chapterStep, badStep(`[]`)}, {chapterStep, symlinkStep}} {
		stories = append(stories, ofUser{codestory.StoryID(fmt.Sprintf("%08d-9999-4000-8000-000000000000", n)), "nobody", written})
	}
	return stories
}

// watched are watchers: one for each play token, that ask everything all the time.
type watched struct {
	m       *machine
	stories []ofUser
	tokens  map[string]string // by user
	mu      sync.Mutex
	url     string // of the daemon that runs
	asked   int    // answers that were looked at
}

func (w *watched) base() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.url
}

// moved says that the daemon was started again.
func (w *watched) moved() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.url = w.m.running.url
}

// get is the answer to the user; ok is false while no daemon runs.
func (w *watched) get(ctx context.Context, user, url string) (status int, body string, ok bool) {
	if strings.HasPrefix(url, "/") {
		url = w.base() + url
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", false
	}
	if !strings.Contains(url, "k=") {
		req.Header.Set("Authorization", "Bearer "+w.tokens[user])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, "", false
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err == nil
}

// foreign fails the test if the text that the user got tells of a story that is not the user's.
func (w *watched) foreign(user, what, text string) {
	w.mu.Lock()
	w.asked++
	w.mu.Unlock()
	for _, s := range w.stories {
		if s.user != user && strings.Contains(text, string(s.id)) {
			w.m.t.Errorf("%q sees a story of %q by %s: %.300s", user, s.user, what, text)
		}
	}
}

// ask asks everything until ctx ends.
func (w *watched) ask(ctx context.Context, user string) {
	for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if _, body, ok := w.get(ctx, user, "/api/storage/stories?limit=2"); ok {
			w.foreign(user, "the list", body)
			var page codestory.StoryPage
			if json.Unmarshal([]byte(body), &page) == nil && page.NextCursor != nil {
				_, next, _ := w.get(ctx, user, "/api/storage/stories?cursor="+*page.NextCursor)
				w.foreign(user, "the next page", next)
			}
		}
		var library codestory.Library
		if _, body, ok := w.get(ctx, user, "/api/storage/library"); ok && json.Unmarshal([]byte(body), &library) == nil {
			_, feed, _ := w.get(ctx, user, library.FeedURL)
			w.foreign(user, "library.xml", feed)
		}
		for _, s := range w.stories {
			for _, route := range []string{"", "/metadata", "/chapters/1/audio", "/chapters/1/audio/stream"} {
				status, body, ok := w.get(ctx, user, "/api/storage/stories/"+string(s.id)+route)
				if ok && s.user != user && status < 400 {
					w.m.t.Errorf("%q gets %d by %q of a story of %q: %.300s", user, status, route, s.user, body)
				}
			}
		}
	}
}

// hear listens to the events until ctx ends.
func (w *watched) hear(ctx context.Context, user string) {
	for last := ""; ctx.Err() == nil; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base()+"/api/events", nil)
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+w.tokens[user])
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			w.foreign(user, "an event", lines.Text())
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				last = id
			}
		}
		_ = resp.Body.Close()
	}
}

// awaitOwners returns once each of the stories is seen by its user, in each list, and by scope manage.
func (w *watched) awaitOwners(when string, stories []ofUser) {
	w.m.t.Helper()
	var missing string
	for end := time.Now().Add(longest); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		missing = ""
		lists := map[string]string{}
		for user := range w.tokens {
			_, lists[user], _ = w.get(w.m.t.Context(), user, "/api/storage/stories?limit=1000")
		}
		for _, s := range stories {
			if s.user != "nobody" && !strings.Contains(lists[s.user], string(s.id)) || !strings.Contains(lists["manage"], string(s.id)) {
				missing += fmt.Sprintf(" %s of %q", s.id, s.user)
			}
		}
		if missing == "" {
			for _, s := range stories {
				status, _, _ := w.get(w.m.t.Context(), s.user, "/api/storage/stories/"+string(s.id))
				if s.user != "nobody" && status != http.StatusOK {
					w.m.t.Errorf("%s: %q gets %d for %s", when, s.user, status, s.id)
				}
			}
			return
		}
	}
	w.m.t.Fatalf("%s: not to be seen:%s", when, missing)
}

// watchAll has the play tokens' users ask all the time. end ends them.
func watchAll(m *machine, stories []ofUser) (w *watched, end func()) {
	m.t.Helper()
	token, err := os.ReadFile(filepath.Join(m.dataDir, "token"))
	if err != nil {
		m.t.Fatal(err)
	}
	w = &watched{m: m, stories: stories, tokens: map[string]string{"manage": strings.TrimSpace(string(token))}}
	w.moved()
	for name, user := range map[string]string{"a": "ada", "b": "bob", "home": ""} {
		body := strings.NewReader(fmt.Sprintf(`{"name": %q, "user": %q, "scope": "play"}`, name, user))
		req, err := http.NewRequest(http.MethodPost, m.running.url+"/api/tokens", body)
		if err != nil {
			m.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.tokens["manage"])
		req.Header.Set("Content-Type", "application/json")
		_, answer := m.do(req)
		var made api.NewToken
		if err := json.Unmarshal(answer, &made); err != nil || made.Secret == "" {
			m.t.Fatalf("%s, %v", answer, err)
		}
		w.tokens[user] = made.Secret
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	var running sync.WaitGroup
	for _, user := range []string{"ada", "bob", ""} {
		running.Go(func() { w.ask(ctx, user) })
		running.Go(func() { w.hear(ctx, user) })
	}
	return w, func() {
		cancel()
		running.Wait()
	}
}

// No play token sees another user's story at any moment, while a generator writes metadata.json first, last, in pieces,
// badly and never; while it is excluded; and while only the store has it.
func TestNobodySeesAnothersStory(t *testing.T) {
	t.Parallel()
	for _, excluded := range []bool{false, true} {
		t.Run(fmt.Sprintf("excluded %t", excluded), func(t *testing.T) {
			t.Parallel()
			server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
			m := newMachine(t, stored(server, server.Endpoint, server.Bucket(t))...)
			if excluded {
				m.args = []string{"--exclude", "*.json"}
			}
			m.start()
			w, end := watchAll(m, ownersStories())
			defer end()
			w.generate()
			w.awaitOwners("once all is written", w.stories)
			w.wantKeys()
			if !excluded {
				m.await("the queue to be empty", func(s codestory.Status) bool { return s.Queue.Queued+s.Queue.Uploading+s.Queue.Retrying == 0 })
				w.loseDatabase(server)
			}
			end()
			if w.asked < 100 {
				t.Errorf("only %d answers were looked at", w.asked)
			}
		})
	}
}

// generate takes the stories through their steps, all at once.
func (w *watched) generate() {
	for n, more := 0, true; more; n++ {
		more = false
		for _, s := range w.stories {
			if n < len(s.written) {
				s.written[n](w.m, s.id, s.user)
				more = true
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// wantKeys holds the KEYs of a story against its owner as that changes.
func (w *watched) wantKeys() {
	w.m.t.Helper()
	story := w.stories[0]
	of := func() (s codestory.Story) {
		w.m.t.Helper()
		if code := w.m.get("/api/storage/stories/"+string(story.id), &s); code != http.StatusOK {
			w.m.t.Fatalf("the story: %d", code)
		}
		return s
	}
	before := of()
	w.m.write(codestory.MetadataPath(story.id), []byte(`{"user_id": "carol"}`))
	for end := time.Now().Add(longest); !of().Owner.Is("carol"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.m.t.Fatal("the story does not change hands")
		}
	}
	after := of()
	for _, urls := range [][2]*string{{before.PlayURL, after.PlayURL}, {before.FeedURL, after.FeedURL}, {before.PlaylistURL, after.PlaylistURL}} {
		if resp, _ := w.m.fetch(*urls[0]); resp.StatusCode != http.StatusForbidden {
			w.m.t.Errorf("a KEY of the owner before is answered %s", resp.Status)
		}
		if resp, _ := w.m.fetch(*urls[1]); resp.StatusCode >= 400 {
			w.m.t.Errorf("the KEY of the owner is answered %s", resp.Status)
		}
	}
	tellStep(w.m, story.id, story.user)
	w.awaitOwners("once it is back", w.stories)
	if resp, _ := w.m.fetch(*before.FeedURL); resp.StatusCode != http.StatusOK {
		w.m.t.Errorf("back with its owner, its KEY is answered %s", resp.Status)
	}
}

// loseDatabase has the database begun anew while metadata.json is in the store alone, and that is down at first.
func (w *watched) loseDatabase(server *remotetest.MinIO) {
	w.m.t.Helper()
	if err := w.m.stop(); err != nil {
		w.m.t.Fatal(err)
	}
	server.Stop()
	for _, s := range w.stories {
		_ = os.Remove(filepath.Join(w.m.dir, string(codestory.MetadataPath(s.id))))
	}
	for _, name := range []string{"codestoryd.db", "codestoryd.db.kept"} {
		_ = os.Remove(filepath.Join(w.m.dataDir, name))
	}
	// What is in the store of these does not say whose they are any more.
	stories := slices.DeleteFunc(slices.Clone(w.stories), func(s ofUser) bool { return len(s.written) >= 4 })
	w.m.start()
	w.moved()
	w.m.await("the stories to be known", func(s codestory.Status) bool { return s.Queue.Queued > 0 })
	time.Sleep(2 * time.Second) // for the watchers to look
	server.Start(w.m.t)
	w.awaitOwners("once the store answers", stories)
}
