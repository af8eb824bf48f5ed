package rclone

import (
	"context"
	"crypto/rand"
	"io"
	"sync"
	"testing"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

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
	var mu sync.Mutex
	open := func(t *testing.T) remote.Store {
		store := newStore(t, "mem:"+rand.Text())
		c, _, err := store.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.Fs = summed{c.Fs, &mu}
		return store
	}
	remotetest.TestStore(t, open, remotetest.Options{NoMetadata: "rclone's memory backend keeps none"})
}

// summed is rclone's memory backend, which computes the sum of an object when it is first asked for it, and has no lock
// for that. Here it has: whoever gets an object has asked.
type summed struct {
	fs.Fs
	mu *sync.Mutex
}

func (s summed) NewObject(ctx context.Context, name string) (fs.Object, error) {
	file, err := s.Fs.NewObject(ctx, name)
	return s.sum(ctx, file, err)
}

func (s summed) Put(ctx context.Context, in io.Reader, src fs.ObjectInfo, options ...fs.OpenOption) (fs.Object, error) {
	file, err := s.Fs.Put(ctx, in, src, options...)
	return s.sum(ctx, file, err)
}

func (s summed) sum(ctx context.Context, file fs.Object, err error) (fs.Object, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = file.Hash(ctx, hash.MD5)
	return file, err
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
