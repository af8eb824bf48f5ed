package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// inParts is a size that goes in parts, in bytes.
const inParts = 101 << 20

// writeLarge writes a file of that many bytes which are all 0, but takes no room for them.
func (m *machine) writeLarge(path codestory.Path, size int64) {
	m.t.Helper()
	m.write(path, nil)
	if err := os.Truncate(filepath.Join(m.dir, filepath.FromSlash(string(path))), size); err != nil {
		m.t.Fatal(err)
	}
}

func isCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploads")
}
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}
func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

// A web page in the place of an answer is no success, and no reason to delete anything.
func TestWebPagesAreNoAnswers(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	for name, which := range map[string]func(*http.Request) bool{
		"to everything": isAny,
		"to a put":      func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.RawQuery == "" },
		"to Create":     isCreate,
		"to a part":     isPart,
		"to Complete":   isComplete,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := server.Bucket(t)
			proxy := remotetest.CountingProxy(t, server.Endpoint)
			var pages atomic.Int32
			proxy.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if !which(r) {
					return false
				}
				pages.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = io.WriteString(w, "<!DOCTYPE html><html><body>Log in to this network</body></html>")
				return true
			})
			m := newMachine(t, stored(server, proxy.URL, bucket)...)
			small, large := codestory.ChapterPath(story, 1), codestory.StoryAudioPath(story)
			m.write(small, []byte("a chapter"))
			m.writeLarge(large, inParts)
			m.start()
			s := m.await("some pages", func(codestory.Status) bool { return pages.Load() >= 2 })
			var described codestory.Story
			if code := m.get("/api/storage/stories/"+string(story), &described); code != http.StatusOK {
				t.Fatalf("the story: %d", code)
			}
			found := objects(t, server, bucket)
			for _, f := range described.Files {
				if _, there := found[f.Key]; f.State == codestory.Synced && !there {
					t.Errorf("%s is synced, and not in the store", f.Path)
				}
			}
			if s.Synced.Files > 1 || name == "to everything" && s.Synced.Files != 0 {
				t.Errorf("%d files are synced", s.Synced.Files)
			}
			for _, r := range proxy.Requests() {
				if strings.HasPrefix(r, http.MethodDelete) {
					t.Errorf("the store got %s", r)
				}
			}
			proxy.Before(nil)
			m.post("/api/queue/retry")
			m.awaitSynced(2)
			sameObjects(t, m, server, bucket)
		})
	}
}

// A server that makes the object and hangs up before it says so has it once, of one upload.
func TestCompleteWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	if err := server.Client().EnableVersioning(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	proxy := remotetest.CountingProxy(t, server.Endpoint)
	var once sync.Once
	proxy.Before(func(w http.ResponseWriter, r *http.Request) (answered bool) {
		if !isComplete(r) {
			return false
		}
		once.Do(func() {
			proxy.Forward(httptest.NewRecorder(), r)
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = c.Close()
			}
			answered = true
		})
		return answered
	})
	m := newMachine(t, stored(server, proxy.URL, bucket)...)
	m.writeLarge(codestory.StoryAudioPath(story), inParts)
	m.start()
	m.awaitSynced(1)
	sameObjects(t, m, server, bucket)
	var creates, completes, parts int
	for _, r := range proxy.Requests() {
		switch {
		case strings.Contains(r, "uploads="):
			creates++
		case strings.HasPrefix(r, http.MethodPost):
			completes++
		case strings.Contains(r, "partNumber="):
			parts++
		}
	}
	if creates != 1 || completes != 1 || parts != 7 {
		t.Errorf("%d uploads of %d parts, completed %d times", creates, parts, completes)
	}
	versions := 0
	for info := range server.Client().ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if info.Err != nil {
			t.Fatal(info.Err)
		}
		versions++
	}
	if versions != 1 {
		t.Errorf("the object was made %d times", versions)
	}
}

// A server that got a whole upload, never answered, and stores it when there is a newer version: that comes back, after
// the daemon was killed meanwhile too.
func TestUploadThatIsStoredLate(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", kill), func(t *testing.T) {
			t.Parallel()
			storedLate(t, server, kill)
		})
	}
}

func storedLate(t *testing.T, server *remotetest.MinIO, kill bool) {
	bucket := server.Bucket(t)
	proxy := remotetest.CountingProxy(t, server.Endpoint)
	held := make(chan func(), 1)
	var once sync.Once
	proxy.Before(func(w http.ResponseWriter, r *http.Request) (answered bool) {
		if r.Method != http.MethodPut {
			return false
		}
		once.Do(func() {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			late := r.Clone(t.Context())
			late.Body = io.NopCloser(bytes.NewReader(body))
			held <- func() { proxy.Forward(httptest.NewRecorder(), late) }
			answered = true
			if kill { // it says nothing as long as anybody waits
				<-r.Context().Done()
			} else if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				_ = c.Close()
			}
		})
		return answered
	})
	m := newMachine(t, stored(server, proxy.URL, bucket)...)
	path, first, second := codestory.StoryAudioPath(story), "the first version", "the second, newer version"
	m.write(path, []byte(first))
	m.start()
	storeLate := <-held
	if kill {
		m.await("the upload to be noted", func(s codestory.Status) bool { return s.Queue.OldestSeconds >= 5 })
		m.kill()
	}
	m.write(path, []byte(second))
	if kill {
		m.start()
	}
	holds := func(content string) func(codestory.Status) bool {
		return func(codestory.Status) bool { return objects(t, server, bucket)[path.Key()] == content }
	}
	m.await("the newer version to be stored", holds(second))
	m.awaitSynced(1)
	storeLate()
	if !holds(first)(codestory.Status{}) {
		t.Fatal("the older version is not what the server has after it was late")
	}
	m.await("the newer version to be back", holds(second))
	m.awaitSynced(1)
}
