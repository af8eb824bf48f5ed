package rclone

import (
	"crypto/rand"
	"testing"

	"github.com/rclone/rclone/fs"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func newStore(t *testing.T, name string) *Store {
	t.Helper()
	store, err := New(t.Context(), name, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// on returns a store that is empty: a path of the remote that nobody else uses.
func on(name string) func(t *testing.T) remote.Store {
	return func(t *testing.T) remote.Store { return newStore(t, name+":"+rand.Text()) }
}

func TestMemoryRemote(t *testing.T) {
	t.Parallel()
	remotetest.TestStore(t, on("mem"), remotetest.Options{NoMetadata: "rclone's memory backend keeps none"})
}

func TestDiskRemote(t *testing.T) {
	t.Parallel()
	remotetest.TestStore(t, on("disk"), remotetest.Options{
		NoContentType: "rclone's local backend keeps none",
		NoCopy:        "rclone's local backend copies nothing by itself",
		Metadata:      userMetadata,
	})
}

func TestCryptRemote(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite takes seconds")
	}
	t.Parallel()
	remotetest.TestStore(t, on("secret"), remotetest.Options{
		NoLongKey:     "an encrypted name is longer than the name",
		NoContentType: "rclone's local backend keeps none",
		NoCopy:        "rclone's local backend copies nothing by itself",
		Metadata:      userMetadata,
	})
}

// TestHasherRemote has checksums of its own making, over a remote that need not have any.
func TestHasherRemote(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the suite takes seconds")
	}
	t.Parallel()
	remotetest.TestStore(t, on("hashed"), remotetest.Options{
		NoContentType: "rclone's local backend keeps none",
		NoCopy:        "rclone's local backend copies nothing by itself",
		Metadata:      userMetadata,
	})
}

// userMetadata reads it as rclone does.
func userMetadata(t *testing.T, store remote.Store, key string) map[string]string {
	s := store.(*Store)
	c, ctx, err := s.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := s.find(ctx, c, key)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := fs.GetMetadata(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return metadata
}
