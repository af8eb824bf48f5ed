package queue_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// storyN is the n-th of the stories that addStory makes.
func storyN(n int) codestory.StoryID {
	return codestory.StoryID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", n))
}

// addStory enqueues a version of the story's metadata.json.
func addStory(t *testing.T, q *queue.Queue, n int, v int64, m *codestory.Metadata) {
	t.Helper()
	c := change(codestory.MetadataPath(storyN(n)), v, 10)
	c.Metadata = m
	enqueue(t, q, c)
}

// pages follows the cursors from one page to the next; between pages it calls between.
func pages(t *testing.T, q *queue.Queue, owner *string, limit int, between func()) (ids []codestory.StoryID) {
	t.Helper()
	for cursor := ""; ; {
		page, next, err := q.Stories(owner, limit, cursor)
		must(t, err)
		if len(page) > limit || next != "" && len(page) != limit {
			t.Errorf("a page of %d stories with a limit of %d, next %q", len(page), limit, next)
		}
		for _, s := range page {
			ids = append(ids, s.ID)
		}
		if next == "" {
			return ids
		}
		cursor = next
		between()
	}
}

// TestStoriesByOwner: each user's stories, the newest first, in pages of any size.
func TestStoriesByOwner(t *testing.T) {
	t.Parallel()
	q := open(t)
	made := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	want := map[string][]codestory.StoryID{}
	users := []string{"ann", "", "bob", "ann", "ann", "", "ann"}
	for n, user := range users {
		addStory(t, q, n, 1, &codestory.Metadata{Owner: codestory.OwnedBy(user), CreatedAt: made.Add(time.Duration(n) * time.Hour)})
		want[user] = slices.Insert(want[user], 0, storyN(n))
		want["all"] = slices.Insert(want["all"], 0, storyN(n))
	}
	want["nobody"] = nil
	for owner, want := range want {
		for limit := 1; limit <= len(users)+1; limit++ {
			who := &owner
			if owner == "all" {
				who = nil
			}
			if got := pages(t, q, who, limit, func() {}); !slices.Equal(got, want) {
				t.Errorf("the stories of %q by %d are %q, want %q", owner, limit, got, want)
			}
		}
	}
}

// TestStoriesChangeBetweenPages: a story that goes, or comes, while somebody pages takes no other one with it.
func TestStoriesChangeBetweenPages(t *testing.T) {
	t.Parallel()
	q := open(t)
	made := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(n int) *codestory.Metadata {
		return &codestory.Metadata{CreatedAt: made.Add(time.Duration(n) * time.Hour)}
	}
	for n := range 6 {
		addStory(t, q, n, 1, at(n))
	}
	// Claims come in the order of arrival, so the first is of story 0.
	claims := map[codestory.StoryID]*queue.Claim{}
	for range 6 {
		c := next(t, q)
		claims[c.Path.Story()] = c
	}
	turn := 0
	got := pages(t, q, nil, 2, func() {
		if turn++; turn == 1 {
			must(t, claims[storyN(4)].Finish(queue.Outcome{Kind: queue.Gone})) // the last of the page that was seen
			must(t, claims[storyN(3)].Finish(queue.Outcome{Kind: queue.Gone})) // the first of the page to come
			addStory(t, q, 9, 1, at(9))                                        // before all
		}
	})
	want := []codestory.StoryID{storyN(5), storyN(4), storyN(2), storyN(1), storyN(0)}
	if !slices.Equal(got, want) {
		t.Errorf("the pages held %q, want %q", got, want)
	}
}

func TestStoriesCursor(t *testing.T) {
	t.Parallel()
	q := open(t)
	for n := range 3 {
		addStory(t, q, n, 1, nil)
	}
	encode := base64.RawURLEncoding.EncodeToString
	for name, cursor := range map[string]string{
		"not base64":           "no cursor!",
		"padded":               "AAAAAAAAAAAAAAAAAAAA====",
		"too short":            encode([]byte("12345678")),
		"text":                 encode([]byte("this is not a cursor of the stories")),
		"an id that is no one": encode([]byte("12345678" + strings.Repeat("z", 36))),
		"a path":               encode([]byte("12345678" + string(chapter))),
		"long":                 strings.Repeat("A", 10_000),
	} {
		if page, next, err := q.Stories(nil, 10, cursor); !errors.Is(err, codestory.ErrCursor) {
			t.Errorf("%s: %+v, %q, %v", name, page, next, err)
		}
	}
	_, cursor, err := q.Stories(nil, 1, "")
	must(t, err)
	if page, next, err := q.Stories(nil, 10, cursor); err != nil || len(page) != 2 || next != "" {
		t.Errorf("a cursor made here: %+v, %q, %v", page, next, err)
	}
}

// TestCreatedAt: a story is as old as its metadata says, or as the first that was seen of it, and moves when that
// changes.
func TestCreatedAt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := open(t)
		start := time.Now()
		list := func() []codestory.StoryID { return pages(t, q, nil, 10, func() {}) }
		enqueue(t, q, change(codestory.ChapterPath(storyN(0), 1), 1, 10))
		time.Sleep(time.Hour)
		addStory(t, q, 1, 1, &codestory.Metadata{})
		time.Sleep(time.Hour)
		addStory(t, q, 2, 1, &codestory.Metadata{CreatedAt: start.Add(-time.Hour)})
		if got, want := list(), []codestory.StoryID{storyN(1), storyN(0), storyN(2)}; !slices.Equal(got, want) {
			t.Errorf("the stories are %q, want %q", got, want)
		}
		addStory(t, q, 2, 2, &codestory.Metadata{CreatedAt: start.Add(time.Minute)})
		addStory(t, q, 1, 2, &codestory.Metadata{CreatedAt: start.Add(-time.Minute)})
		if got, want := list(), []codestory.StoryID{storyN(2), storyN(0), storyN(1)}; !slices.Equal(got, want) {
			t.Errorf("with other times the stories are %q, want %q", got, want)
		}
		addStory(t, q, 2, 3, &codestory.Metadata{})
		s, err := q.Story(storyN(2))
		if err != nil || !s.CreatedAt().Equal(start.Add(2*time.Hour)) {
			t.Errorf("without its time, the story is %+v, %v", s, err)
		}
	})
}

// TestCreatedAtAnyTime: metadata may say any time that RFC 3339 can, and the order holds.
func TestCreatedAtAnyTime(t *testing.T) {
	t.Parallel()
	q := open(t)
	times := []string{
		"0001-01-01T00:00:01Z", "1500-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z",
		"2026-03-01T12:00:00+02:00", "2026-03-01T11:00:00.000000001Z", "2300-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59",
	}
	var want []codestory.StoryID
	for i, text := range times {
		m, _, err := codestory.ParseMetadata([]byte(`{"created_at": "` + text + `"}`))
		must(t, err)
		// The ids fall, so that times which have one place in the order still come as listed.
		n := len(times) - i
		addStory(t, q, n, 1, &m)
		want = slices.Insert(want, 0, storyN(n))
	}
	if got := pages(t, q, nil, 3, func() {}); !slices.Equal(got, want) {
		t.Errorf("the stories are %q, want %q", got, want)
	}
}

// TestOwnerIsKept: metadata that does not parse any more leaves the story with what it had, so that it does not fall
// to the daemon's own user.
func TestOwnerIsKept(t *testing.T) {
	t.Parallel()
	q := open(t)
	duration := 61.5
	m := codestory.Metadata{
		StoryID: string(storyN(0)), Title: "one", Description: "of the first", Owner: codestory.OwnedBy("ann"), Language: "en",
		CreatedAt: time.Date(2020, 1, 1, 0, 0, 0, 1, time.UTC),
		Source:    &codestory.Source{Repository: "r", Commit: "c"},
		Chapters:  []codestory.MetadataChapter{{Number: 1, Title: "first", DurationSeconds: &duration}},
	}
	addStory(t, q, 0, 1, &m)
	c := change(codestory.MetadataPath(storyN(0)), 2, 10)
	c.Note = "does not parse"
	enqueue(t, q, c)
	s, err := q.Story(storyN(0))
	m.Owner = codestory.Owner{} // which is kept apart
	if err != nil || !s.Owner.Is("ann") || !reflect.DeepEqual(s.Metadata, m) || s.ID != storyN(0) {
		t.Errorf("the story is %+v, %v", s, err)
	}
	ann, own := "ann", ""
	if got := pages(t, q, &ann, 10, func() {}); len(got) != 1 {
		t.Errorf("its owner has %q", got)
	}
	if got := pages(t, q, &own, 10, func() {}); len(got) != 0 {
		t.Errorf("the daemon's user has %q", got)
	}
	addStory(t, q, 0, 3, &codestory.Metadata{Owner: codestory.OwnedBy("bob")})
	if got := pages(t, q, &ann, 10, func() {}); len(got) != 0 {
		t.Errorf("its former owner has %q", got)
	}
}

// TestStoryNotFound: an id of which there is nothing, also one that is the beginning of another.
func TestStoryNotFound(t *testing.T) {
	t.Parallel()
	q := open(t)
	addStory(t, q, 0, 1, nil)
	for _, id := range []codestory.StoryID{storyN(1), storyN(0)[:35], ""} {
		if s, err := q.Story(id); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("Story(%q) = %+v, %v", id, s, err)
		}
		if files, err := q.Files(id); err != nil || len(files) != 0 {
			t.Errorf("Files(%q) = %+v, %v", id, files, err)
		}
	}
}
