package queue

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/codestory/codestoryd"
)

// The owner is that of the last metadata that was made durable, however often it was asked for before.
func TestOwnerIsTheLastOne(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it writes many thousand records")
	}
	t.Parallel()
	q := openQueue(t)
	const id = codestory.StoryID("3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	if _, err := q.Owner(id); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("a story that nothing is known of: %v", err)
	}
	put := func(version int64, path codestory.Path, m *codestory.Metadata) {
		t.Helper()
		c := Change{Path: string(path), Version: codestory.Version{Size: 1, ModTime: version}, Metadata: m}
		if err := q.Enqueue([]Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	put(1, codestory.ChapterPath(id, 1), nil)
	if o, err := q.Owner(id); o != (codestory.Owner{}) || err != nil {
		t.Errorf("without metadata: %+v, %v", o, err)
	}
	var asking sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = q.Owner(id)
				}
			}
		})
	}
	for n := range int64(50) {
		want := codestory.OwnedBy(fmt.Sprint("user ", n))
		put(2+n, codestory.MetadataPath(id), &codestory.Metadata{Owner: want})
		if o, err := q.Owner(id); o != want || err != nil {
			t.Errorf("got %+v, %v; want %+v", o, err, want)
		}
	}
	close(stop)
	asking.Wait()
}

// What makes a story somebody's, and what does not: each step begins where the one before has ended.
func TestOwnerOfWhatIsRead(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	const id = codestory.StoryID("3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	version := int64(0)
	enqueue := func(path codestory.Path, m *codestory.Metadata, readOnly bool) {
		t.Helper()
		version++
		c := Change{Path: string(path), Version: codestory.Version{Size: 1, ModTime: version}, Metadata: m, ReadOnly: readOnly}
		if err := q.Enqueue([]Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(text string) *codestory.Metadata {
		m, _, err := codestory.ParseMetadata([]byte(text))
		if err != nil {
			return nil // as the daemon has it
		}
		return &m
	}
	path := codestory.MetadataPath(id)
	enqueue(path, parse(`{"user_id": "eve"}`), true)
	if _, err := q.Owner(id); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("a metadata.json that is not stored made a story: %v", err)
	}
	enqueue(codestory.ChapterPath(id, 1), nil, false)
	unknown, own, ann := codestory.Owner{}, codestory.OwnedBy(""), codestory.OwnedBy("ann")
	for _, step := range []struct {
		metadata string
		want     codestory.Owner
	}{
		{`{"title": `, unknown}, {`null`, unknown}, {`[]`, unknown}, {`7`, unknown}, {`"ann"`, unknown},
		{`{"user_id": ["ann"]}`, unknown}, {`{"user_id": {}}`, unknown}, {`{"user_id": true}`, unknown},
		{`{"title": "T"}`, own}, {`{"user_id": false}`, own}, {`{"user_id": "ann"}`, ann},
		{`{}`, ann}, {`{"user_id": null}`, ann}, {`{"user_id": []}`, ann}, {`null`, ann}, {``, ann},
		{`{"user_id": 42}`, codestory.OwnedBy("42")}, {`{"user_id": 1e3}`, codestory.OwnedBy("1e3")},
		{`{"user_id": 12345678901234567890}`, codestory.OwnedBy("12345678901234567890")},
		{`{"user_id": "="}`, codestory.OwnedBy("=")}, {`{"user_id": ""}`, own}, {`{"user_id": "ann"}`, ann},
	} {
		for _, readOnly := range []bool{true, false} {
			enqueue(path, parse(step.metadata), readOnly)
			s, err := q.Story(id)
			if owner, ownerErr := q.Owner(id); s.Owner != step.want || owner != step.want || err != nil || ownerErr != nil {
				t.Errorf("%s: %q and %q, %v, %v; want %q", step.metadata, s.Owner.Text(), owner.Text(), err, ownerErr, step.want.Text())
			}
			for _, user := range []string{"", "=", "ann", "42", "1e3", "=ann", "null"} {
				if page, _, err := q.Stories(&user, 10, ""); err != nil || (len(page) == 1) != step.want.Is(user) {
					t.Errorf("%s: %q has %d stories, %v", step.metadata, user, len(page), err)
				}
			}
			if unowned, next, err := q.Unowned(10, ""); err != nil || next != "" || (len(unowned) == 1) == step.want.Known() {
				t.Errorf("%s: %+v, %q have no owner, %v", step.metadata, unowned, next, err)
			}
		}
	}
	if err := Invariants(q); err != nil {
		t.Error(err)
	}
}

// Metadata of a file that the index knows counts only while nobody knows whose the story is.
func TestOwnerIsAdoptedOnce(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	const id = codestory.StoryID("3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06")
	c := Change{Path: string(codestory.MetadataPath(id)), Version: codestory.Version{Size: 1, ModTime: 1}}
	for _, user := range []string{"", "ann", "bob"} {
		if user != "" {
			c.Metadata = &codestory.Metadata{Owner: codestory.OwnedBy(user)}
		}
		if err := q.Enqueue([]Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := q.Owner(id); !o.Is("ann") || err != nil {
		t.Errorf("got %q, %v", o.Text(), err)
	}
}

// Stories without an owner are listed in pages.
func TestUnownedPages(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	want := map[codestory.StoryID]bool{}
	for n := range 7 {
		id := codestory.StoryID(fmt.Sprintf("%08d-0000-4000-8000-000000000000", n))
		c := Change{Path: string(codestory.MetadataPath(id)), Version: codestory.Version{Size: 1, ModTime: 1}}
		if n%3 == 0 {
			c.Metadata = &codestory.Metadata{Unowned: true}
		} else {
			want[id] = true
		}
		if err := q.Enqueue([]Change{c}); err != nil {
			t.Fatal(err)
		}
	}
	for cursor, pages := "", 0; pages == 0 || cursor != ""; pages++ {
		list, next, err := q.Unowned(1, cursor)
		if err != nil || pages > 7 {
			t.Fatalf("page %d: %v", pages, err)
		}
		for _, u := range list {
			if !want[u.ID] || u.FirstSeen.IsZero() {
				t.Errorf("listed %+v", u)
			}
			delete(want, u.ID)
		}
		cursor = next
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
}
