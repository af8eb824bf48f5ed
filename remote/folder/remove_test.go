package folder

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// TestRemoves deletes and puts in one directory, which is removed whenever it is empty: no put may meet that.
func TestRemoves(t *testing.T) {
	t.Parallel()
	folder := newStore(t)
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			key := fmt.Sprintf("%schapters/chapter_%02d.mp3", story, worker)
			for range 25 {
				if _, err := folder.Put(t.Context(), key, remotetest.NewSource([]byte("x")), remote.PutOptions{}); err != nil {
					t.Errorf("put: %v", err)
				}
				if err := folder.Remove(t.Context(), []string{key}); err != nil {
					t.Errorf("remove: %v", err)
				}
			}
		})
	}
	workers.Wait()
	entries, err := os.ReadDir(folder.dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != hidden {
		t.Errorf("after all were deleted there are %v, %v, want no directory but the hidden one", entries, err)
	}
	var left int
	for object, err := range folder.List(t.Context(), "", "") {
		t.Errorf("listed: %+v, %v", object, err)
	}
	slots, _ := os.ReadDir(folder.at(sidecars))
	for _, slot := range slots {
		names, _ := os.ReadDir(folder.at(sidecars) + "/" + slot.Name())
		left += len(names)
	}
	if left != 0 {
		t.Errorf("%d sidecars are left", left)
	}
}
