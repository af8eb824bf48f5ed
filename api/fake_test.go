package api_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// file is a file of the library in memory.
type file struct {
	data          []byte
	local, stored bool
}

func (f file) etag() string { sum := sha256.Sum256(f.data); return hex.EncodeToString(sum[:8]) }

var modified = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// library is a Library in memory, with a store that links to storeURL.
type library struct {
	storeURL string

	mu        sync.Mutex
	stories   map[codestory.StoryID]codestory.Story
	listed    string              // what order is of
	order     []codestory.StoryID // see newest
	files     map[codestory.Path]file
	down      bool           // the store does not answer
	noLinks   bool           // the store makes no links
	fault     error          // of the store's links
	ends      *time.Duration // how long the store's links last at most
	asked     []string       // what was looked up
	questions int            // of the store, for stories that are not known
	panics    any
	open      func(*codestory.Content) // changes what is opened; nil does not
	before    *codestory.Owner         // what Owner and OwnerNow say, of stories that have changed hands since; nil for none
	found     func(codestory.Path)     // told of what was located and is not among its story's files; nil for nobody
}

func (l *library) enter(what string, args ...any) func() {
	l.mu.Lock()
	l.asked = append(l.asked, fmt.Sprintf(what, args...))
	if l.panics != nil {
		defer l.mu.Unlock()
		panic(l.panics)
	}
	return l.mu.Unlock
}

// takeAsked returns what was looked up since the last call.
func (l *library) takeAsked() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.asked = nil
	return asked
}

// storeAsked is how often something had to be asked of the store.
func (l *library) storeAsked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.questions
}

// change changes the library while a server reads it.
func (l *library) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *library) Stories(_ context.Context, owner *string, limit int, cursor string) (codestory.StoryPage, error) {
	defer l.enter("stories")()
	all := l.newest(owner)
	from := 0
	if cursor != "" {
		var err error
		if from, err = strconv.Atoi(cursor); err != nil || from > len(all) {
			return codestory.StoryPage{}, fmt.Errorf("list: %w", codestory.ErrCursor)
		}
	}
	var page codestory.StoryPage
	for _, id := range all[from:min(from+limit, len(all))] {
		page.Stories = append(page.Stories, l.stories[id])
	}
	if from+limit < len(all) {
		page.NextCursor = new(strconv.Itoa(from + limit))
	}
	return page, nil
}

// newest lists the stories of the owner, the newest first. The list is kept while there are as many stories.
func (l *library) newest(owner *string) []codestory.StoryID {
	key := fmt.Sprint(owner == nil, len(l.stories))
	if owner != nil {
		key += *owner
	}
	if l.listed != key {
		l.listed, l.order = key, nil
		for id, s := range l.stories {
			if owner == nil || s.Owner.Is(*owner) {
				l.order = append(l.order, id)
			}
		}
		slices.SortFunc(l.order, func(a, b codestory.StoryID) int {
			return cmp.Or(l.stories[b].CreatedAt.Compare(l.stories[a].CreatedAt), strings.Compare(string(a), string(b)))
		})
	}
	return l.order
}

func (l *library) Owner(ctx context.Context, id codestory.StoryID) (codestory.Owner, error) {
	story, err := l.Story(ctx, id)
	if l.before != nil {
		return *l.before, err
	}
	return story.Owner, err
}

// OwnerNow looks nothing up, as far as takeAsked is concerned: it is part of the proof of a KEY.
func (l *library) OwnerNow(id codestory.StoryID) (codestory.Owner, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	story, ok := l.stories[id]
	if !ok {
		return codestory.Owner{}, fmt.Errorf("story %s: %w", id, codestory.ErrNotFound)
	}
	if l.before != nil {
		return *l.before, nil
	}
	return story.Owner, nil
}

func (l *library) Story(ctx context.Context, id codestory.StoryID) (codestory.Story, error) {
	defer l.enter("story %s", id)()
	story, ok := l.stories[id]
	if !ok {
		if err := codestory.MayAsk(ctx); err != nil {
			return story, err
		}
		l.questions++
		return story, fmt.Errorf("story %s: %w", id, codestory.ErrNotFound)
	}
	return story, nil
}

func (l *library) Chapter(id codestory.StoryID, n int) codestory.Path {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := codestory.ChapterPath(id, n)
	if f := l.files[path]; f.local || f.stored {
		return path
	}
	isIt := func(c codestory.Chapter) bool { return c.Number == n }
	if chapters := l.stories[id].Chapters; slices.ContainsFunc(chapters, isIt) {
		return chapters[slices.IndexFunc(chapters, isIt)].Path
	}
	return path
}

func (l *library) Locate(_ context.Context, path codestory.Path) (codestory.Location, error) {
	defer l.enter("locate %s", path)()
	f := l.files[path]
	if l.down && !f.local {
		return codestory.Location{}, fmt.Errorf("locate: %w", codestory.ErrUnavailable)
	}
	if !f.local && !f.stored {
		return codestory.Location{}, fmt.Errorf("locate: %w", codestory.ErrNotFound)
	}
	loc := codestory.Location{Size: int64(len(f.data)), Local: f.local, Stored: f.stored && !l.down}
	if f.stored {
		loc.ETag = f.etag()
	}
	isIt := func(f codestory.File) bool { return f.Path == path }
	if l.found != nil && !slices.ContainsFunc(l.stories[path.Story()].Files, isIt) {
		l.found(path)
	}
	return loc, nil
}

func (l *library) Presign(_ context.Context, path codestory.Path, req codestory.LinkRequest) (string, time.Time, error) {
	defer l.enter("presign %s", path)()
	if l.noLinks {
		return "", time.Time{}, fmt.Errorf("presign: %w", codestory.ErrNoLinks)
	}
	if l.fault != nil {
		return "", time.Time{}, l.fault
	}
	lasts := req.Expires
	if l.ends != nil {
		lasts = min(lasts, *l.ends)
	}
	q := url.Values{"method": {req.Method}, "disposition": {req.Disposition}, "signature": {"store-secret"}}
	return l.storeURL + "/" + path.Key() + "?" + q.Encode(), time.Now().Add(lasts), nil
}

// bytesBody is a Body in memory.
type bytesBody []byte

func (b bytesBody) Range(offset, length int64) (io.Reader, error) {
	return bytes.NewReader(b[offset : offset+length]), nil
}

func (bytesBody) Close() error { return nil }

func (l *library) OpenHere(ctx context.Context, path codestory.Path) (*codestory.Content, error) {
	l.mu.Lock()
	here := l.files[path].local
	l.mu.Unlock()
	if !here {
		return nil, fmt.Errorf("open: %w", codestory.ErrNotFound)
	}
	return l.Open(ctx, path)
}

func (l *library) Open(_ context.Context, path codestory.Path) (*codestory.Content, error) {
	defer l.enter("open %s", path)()
	f := l.files[path]
	if !f.local && l.down {
		return nil, fmt.Errorf("open: %w", codestory.ErrUnavailable)
	}
	if !f.local && !f.stored {
		return nil, fmt.Errorf("open: %w", codestory.ErrNotFound)
	}
	content := &codestory.Content{Body: bytesBody(f.data), Size: int64(len(f.data)), Modified: modified, ETag: f.etag()}
	if l.open != nil {
		l.open(content)
	}
	return content, nil
}

// serveObject is the store: it answers the links that Presign made, each for its method.
func (l *library) serveObject(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	f, ok := l.files[codestory.Path(strings.TrimPrefix(r.URL.Path, "/"+codestory.KeyPrefix))]
	l.mu.Unlock()
	q := r.URL.Query()
	if !ok || !f.stored || q.Get("method") != r.Method || q.Get("signature") != "store-secret" ||
		r.Header.Get("Authorization") != "" {
		http.Error(w, "AccessDenied", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "audio/mpeg")
	w.Header().Set("Content-Disposition", q.Get("disposition"))
	http.ServeContent(w, r, "", modified, bytes.NewReader(f.data))
}

func newStore(l *library) *httptest.Server {
	store := httptest.NewServer(http.HandlerFunc(l.serveObject))
	l.storeURL = store.URL
	return store
}

// access is an Access in memory.
type access struct {
	mu      sync.Mutex
	tokens  map[string]codestory.Token // by secret
	diskErr error
	rotated map[string]int // how often, by story and by "library " and user
}

func (a *access) Identify(_ context.Context, secret string) (codestory.Token, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.tokens[secret]
	return t, ok
}

func (a *access) Prove(challenge string) string { return "proof of " + challenge }

func (a *access) LinkKey() []byte { return []byte("a link key of 32 bytes or more...") }

func (a *access) PlayKey(id codestory.StoryID, owner codestory.Owner) string {
	return a.key(a.playKey(id)+"."+hex.EncodeToString([]byte(owner.Text())), "user "+owner.Text())
}

func (a *access) PlayKeyOf(id codestory.StoryID, key string) bool {
	story, _, ok := strings.Cut(key, ".")
	return ok && story == a.playKey(id)
}

func (a *access) playKey(id codestory.StoryID) string {
	return a.key("KEY-"+string(id)[:8], string(id))
}

func (a *access) RotatePlayKey(id codestory.StoryID) error { return a.rotate(string(id)) }

func (a *access) LibraryKey(user string) string { return a.key("LIBRARY-"+user, "library "+user) }

func (a *access) LibraryUser(key string) (string, bool) {
	user, ok := strings.CutPrefix(key, "LIBRARY-")
	user, _, _ = strings.Cut(user, "-")
	return user, ok && key == a.LibraryKey(user)
}

func (a *access) RotateLibraryKey(user string) error { return a.rotate("library " + user) }

// key is the first KEY of what is named, or a later one.
func (a *access) key(first, name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := a.rotated[name]; n > 0 {
		return first + "-" + strconv.Itoa(n)
	}
	return first
}

func (a *access) rotate(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.diskErr != nil {
		return a.diskErr
	}
	if a.rotated == nil {
		a.rotated = map[string]int{}
	}
	a.rotated[name]++
	return nil
}

func (a *access) Tokens() []codestory.Token {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []codestory.Token
	for secret, t := range a.tokens {
		if secret != ownerToken {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(x, y codestory.Token) int { return strings.Compare(x.Name, y.Name) })
	return list
}

func (a *access) AddToken(t codestory.Token) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.diskErr != nil {
		return "", a.diskErr
	}
	if t.Name == "owner" {
		return "", errors.New(`"owner" is no name for a token`)
	}
	t.CreatedAt = modified
	secret := "secret-of-" + t.Name
	a.tokens[secret] = t
	return secret, nil
}

func (a *access) RemoveToken(name string, keys bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for secret, t := range a.tokens {
		if t.Name == name && secret != ownerToken {
			delete(a.tokens, secret)
			if keys {
				a.rotated = map[string]int{"library " + t.User: 1, "user =" + t.User: 1}
			}
			return nil
		}
	}
	return fmt.Errorf("token %q: %w", name, codestory.ErrNotFound)
}

// monitor is a Monitor in memory.
type monitor struct {
	mu       sync.Mutex
	ignored  []codestory.Ignored
	notReady error
	fault    error
}

func (m *monitor) Status(context.Context) (codestory.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return codestory.Status{Running: true, Version: "1.2.3", Dir: "/out", Remote: codestory.RemoteStatus{
		Kind: "local", State: codestory.RemoteOK}}, m.fault
}

func (m *monitor) Ignored(_ context.Context, limit int) ([]codestory.Ignored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ignored[:min(limit, len(m.ignored))], nil
}

func (m *monitor) Counters() codestory.Counters {
	return codestory.Counters{Uploads: 5, SentBytes: 700, Failures: map[string]int64{"retry": 2}, ScanTook: time.Second / 2}
}

func (m *monitor) Ready(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.notReady
}
