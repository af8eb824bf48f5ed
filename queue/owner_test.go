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
	if o, err := q.Owner(id); o != (Owner{}) || err != nil {
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
		want := Owner{fmt.Sprint("user ", n), true}
		put(2+n, codestory.MetadataPath(id), &codestory.Metadata{UserID: want.User})
		if o, err := q.Owner(id); o != want || err != nil {
			t.Errorf("got %+v, %v; want %+v", o, err, want)
		}
	}
	close(stop)
	asking.Wait()
}
