package queue_test

import (
	"errors"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// TestMigrate: a database of schema 1 keeps what it has and takes what came later.
func TestMigrate(t *testing.T) {
	t.Parallel()
	path, _ := newFile(t)
	q, err := queue.Open(path, "", queue.Options{})
	must(t, err)
	want := stats(t, q)
	must(t, q.Close())
	edit(t, path, func(tx *bolt.Tx) error {
		return errors.Join(
			tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("1")),
			tx.DeleteBucket([]byte("found")), tx.DeleteBucket([]byte("forms")), tx.DeleteBucket([]byte("removals")),
			tx.DeleteBucket([]byte("unanswered")),
		)
	})
	reader, err := queue.Open(path, "", queue.Options{ReadOnly: true})
	must(t, err)
	if got := stats(t, reader); got.Queued != want.Queued || got.SyncedFiles != want.SyncedFiles {
		t.Errorf("read only: %+v, want %+v", got, want)
	}
	must(t, reader.Close())

	q = openAt(t, path, "a")
	if got := stats(t, q); got.Queued != want.Queued || got.SyncedFiles != want.SyncedFiles {
		t.Errorf("migrated: %+v, want %+v", got, want)
	}
	must(t, q.Found(codestory.StoryAudioPath(storyB), put(1, 10), nil))
	if err := q.Delete(storyB, "deleted"); !errors.Is(err, codestory.ErrNotOurs) {
		t.Errorf("deleting what another stored: %v", err)
	}
}
