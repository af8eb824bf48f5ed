package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
)

const (
	ownerToken = "owner-secret"
	aliceToken = "alice-secret"
	homeToken  = "home-secret" // of the daemon's own user, scope play

	aliceStory = codestory.StoryID("11111111-1111-4111-8111-111111111111") // stored and local
	homeStory  = codestory.StoryID("22222222-2222-4222-8222-222222222222") // of the daemon's own user; local only
	farStory   = codestory.StoryID("33333333-3333-4333-8333-333333333333") // alice's; in the store only
	noStory    = codestory.StoryID("99999999-9999-4999-8999-999999999999")
)

// world is an API over fakes that work: three stories, three tokens and a store.
type world struct {
	t       testing.TB
	lib     *library
	access  *access
	queue   *waiting
	editor  *editor
	monitor *monitor
	events  *happenings
	handler http.Handler
	public  string // base URL
	client  *http.Client
	log     *syncBuffer
}

// newFakes makes a world without sockets, for tests in a bubble of synctest too.
func newFakes(t testing.TB, opts api.Options) *world {
	w := &world{t: t, lib: newLibrary(), queue: &waiting{}, monitor: &monitor{}, events: newHappenings(), log: &syncBuffer{}}
	w.editor = &editor{lib: w.lib}
	w.access = &access{tokens: map[string]codestory.Token{
		ownerToken: ownersToken()[ownerToken],
		aliceToken: {Name: "phone", User: "alice", Scope: codestory.ScopePlay},
		homeToken:  {Name: "kitchen", Scope: codestory.ScopePlay},
	}}
	if opts.PublicURL == nil {
		opts.PublicURL = &url.URL{Scheme: "http", Host: "127.0.0.1:7788"}
	}
	w.public = opts.PublicURL.String()
	opts.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	opts.Version = "1.2.3"
	w.handler = described(t, api.New(w.services(), opts))
	return w
}

func ownersToken() map[string]codestory.Token {
	return map[string]codestory.Token{ownerToken: {Name: "owner", Scope: codestory.ScopeManage}}
}

func (w *world) services() api.Services {
	return api.Services{Library: w.lib, Access: w.access, Queue: w.queue, Editor: w.editor, Monitor: w.monitor, Events: w.events}
}

// newWorld makes a world that is served on a loopback port, with a store on another.
func newWorld(t *testing.T) *world { return newWorldWith(t, api.Options{}) }

// newWorldWith is newWorld with options, of which PublicURL and AllowedHosts are its own.
func newWorldWith(t *testing.T, opts api.Options) *world {
	srv := httptest.NewUnstartedServer(nil)
	opts.PublicURL = &url.URL{Scheme: "http", Host: srv.Listener.Addr().String()}
	opts.AllowedHosts = []string{"Nas.Local:80", "fd00::7"}
	w := newFakes(t, opts)
	srv.Config = api.NewServer(w.handler)
	srv.Start()
	t.Cleanup(srv.Close)
	store := newStore(w.lib)
	t.Cleanup(store.Close)
	w.client = srv.Client()
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.client.Timeout = 20 * time.Second
	return w
}

func newLibrary() *library {
	l := &library{stories: map[codestory.StoryID]codestory.Story{}, files: map[codestory.Path]file{}}
	add := func(id codestory.StoryID, title, user string, age time.Duration, local, stored bool) {
		story := codestory.Story{ID: id, Title: title, Owner: codestory.OwnedBy(user), CreatedAt: modified.Add(-age),
			State: codestory.StorySynced}
		for _, path := range []codestory.Path{codestory.MetadataPath(id), codestory.ChapterPath(id, 1),
			codestory.StoryAudioPath(id)} {
			f := file{data: bytes.Repeat([]byte(string(path)+"\n"), 20), local: local, stored: stored}
			if path.IsMetadata() {
				f.data = []byte(`{"title": "` + title + `", "unknown": 1}`)
			}
			l.files[path] = f
			story.Bytes += int64(len(f.data))
			described := codestory.File{Path: path, Key: path.Key(), Size: int64(len(f.data)),
				State: codestory.Queued, ContentType: path.ContentType()}
			if stored {
				described.State, described.ETag = codestory.Synced, new(f.etag())
			}
			story.Files = append(story.Files, described)
		}
		story.Chapters = []codestory.Chapter{{Number: 1, Title: "One", Path: codestory.ChapterPath(id, 1),
			State: codestory.Synced}}
		l.stories[id] = story
	}
	add(aliceStory, "My story", "alice", 0, true, true)
	add(homeStory, `Über "alles"/100%`, "", time.Hour, true, false)
	add(farStory, "Far", "alice", 2*time.Hour, false, true)
	return l
}

// request sends one request, with token as its bearer token unless it is "", and without following redirects.
func (w *world) request(method, target, token string, headers ...string) *http.Response {
	w.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = w.public + target
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, target, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// raw sends bytes as they are, since Go's client mends what is wrong with them.
func (w *world) raw(text string) *http.Response {
	w.t.Helper()
	u, err := url.Parse(w.public)
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatalf("%q: %v", text, err)
	}
	return resp
}

// record answers a request without a socket.
func (w *world) record(method, target, token string) *httptest.ResponseRecorder {
	return w.serve(httptest.NewRequestWithContext(w.t.Context(), method, target, nil), token)
}

// recordBody is record with a body of that type, for whoever has no token.
func (w *world) recordBody(method, target string, body io.Reader, contentType string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(w.t.Context(), method, target, body)
	req.Header.Set("Content-Type", contentType)
	return w.serve(req, "")
}

func (w *world) serve(req *http.Request, token string) *httptest.ResponseRecorder {
	req.Host, req.URL.Host, req.URL.Scheme = "localhost", "", ""
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, req)
	return rec
}

func body(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode[T any](t testing.TB, resp *http.Response) T {
	t.Helper()
	var v T
	text := body(t, resp)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s %q: %v", resp.Status, text, err)
	}
	return v
}

// wantProblem checks that an answer is the problem of that status and code, in full.
func wantProblem(t testing.TB, resp *http.Response, status int, code string) api.Problem {
	t.Helper()
	if resp.StatusCode != status {
		t.Fatalf("status: got %s with %q, want %d", resp.Status, body(t, resp), status)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type: got %q", got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control: got %q", got)
	}
	wantSecure(t, resp)
	p := decode[api.Problem](t, resp)
	want := api.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: p.Detail}
	if p != want || p.Detail == "" {
		t.Errorf("problem: got %+v, want %+v", p, want)
	}
	return p
}

func wantSecure(t testing.TB, resp *http.Response) {
	t.Helper()
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("security headers are not there: %v", resp.Header)
	}
}

func wantStatus(t testing.TB, resp *http.Response, status int) {
	t.Helper()
	if resp.StatusCode != status {
		t.Fatalf("status: got %s with %q, want %d", resp.Status, body(t, resp), status)
	}
}

func storyURL(id codestory.StoryID, rest string) string {
	return "/api/storage/stories/" + string(id) + rest
}

// syncBuffer is a log to look into while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
