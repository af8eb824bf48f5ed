package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/codestory/codestoryd"
)

// A player that began before the upload resumes after it, with the file here and with the object alone: its If-Range still holds.
// The chapter's name and the metadata.json are as other generators write them.
func TestResumeAfterTheUpload(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	if code := m.post("/api/queue/pause"); code != http.StatusNoContent && code != http.StatusOK {
		t.Fatalf("pause: %d", code)
	}
	chapter := codestory.Path(story + "/chapters/chapter_001.mp3")
	m.write(codestory.MetadataPath(story), []byte("\ufeff"+`{"title": "T", "user_id": 42, "created_at": "2026-01-12", "chapters": [{"title": "One", "duration_seconds": NaN}]}`))
	m.write(chapter, of(1))
	m.await("the files to be queued", func(s codestory.Status) bool { return s.Queue.Queued == 2 })
	var link codestory.Link
	if code := m.get("/api/storage/stories/"+string(story)+"/chapters/1/audio", &link); code != http.StatusOK {
		t.Fatalf("link: %d", code)
	}
	begun, _ := m.fetch(*link.PlayURL)
	etag := begun.Header.Get("ETag")
	if begun.StatusCode != http.StatusOK || etag == "" {
		t.Fatalf("%s, ETag %q", begun.Status, etag)
	}
	m.post("/api/queue/resume")
	m.awaitSynced(2)
	for _, where := range []string{"here", "in the store"} {
		req, err := http.NewRequest(http.MethodGet, *link.PlayURL+"&proxy=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=300000-")
		req.Header.Set("If-Range", etag)
		if resp, rest := m.do(req); resp.StatusCode != http.StatusPartialContent || len(rest) != 1000 || resp.Header.Get("ETag") != etag {
			t.Errorf("%s: %s, %d bytes, ETag %q, want %q", where, resp.Status, len(rest), resp.Header.Get("ETag"), etag)
		}
		if err := os.RemoveAll(filepath.Join(m.dir, string(story))); err != nil {
			t.Fatal(err)
		}
	}
	var s codestory.Story
	if code := m.get("/api/storage/stories/"+string(story), &s); code != http.StatusOK || !s.Owner.Is("42") || s.Title != "T" ||
		s.CreatedAt.Format("2006-01-02T15:04:05Z07:00") != "2026-01-12T00:00:00Z" || len(s.Chapters) != 1 || s.Chapters[0].Title != "One" || s.Chapters[0].Path != chapter {
		t.Errorf("the story is %d, %+v", code, s)
	}
}
