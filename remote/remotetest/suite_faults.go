package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

var errDisk = errors.New("the test's disk is broken")

func (s suite) faults(t *testing.T, store remote.Store) {
	for _, size := range []int64{0, 1, 2, 64 << 10, large} {
		data := Bytes(int(size))
		for name, fault := range map[string]struct {
			src  func() *Source
			want error
		}{
			"changed at the end":   {func() *Source { return NewSource(data).ChangeAfter(size) }, codestory.ErrChanged},
			"changed at the start": {func() *Source { return NewSource(data).ChangeAfter(0) }, codestory.ErrChanged},
			"shorter by 1 B":       {func() *Source { return NewSource(data).Claim(size + 1) }, codestory.ErrChanged},
			"shorter by half":      {func() *Source { return NewSource(data[:size/2]).Claim(size + 1) }, codestory.ErrChanged},
			"unreadable":           {func() *Source { return NewSource(data).Claim(size+1).FailAt(0, errDisk) }, errDisk},
			"unreadable half-way":  {func() *Source { return NewSource(data).Claim(size+1).FailAt(size/2, errDisk) }, errDisk},
			"unreadable at the end": {
				func() *Source { return NewSource(data).Claim(size+1).FailAt(size, errDisk) }, errDisk,
			},
		} {
			t.Run(fmt.Sprintf("%d B %s", size, name), func(t *testing.T) {
				t.Parallel()
				storesNothing(t, store, func(key string) {
					_, err := put(t, store, key, fault.src(), remote.PutOptions{ContentType: mp3})
					if !errors.Is(err, fault.want) {
						t.Errorf("put: %v, want an error that wraps %q", err, fault.want)
					} else if class := codestory.ClassOf(t.Context(), err); class != codestory.ClassRetry {
						t.Errorf("put: class %v of %v, want retry: the store has done nothing wrong", class, err)
					}
				})
			})
		}
	}
}

// stop ends the context while most of a large object is still to be sent. Nothing is promised of one that is small
// enough to be in the store before its put hears of the end.
func (s suite) stop(t *testing.T, store remote.Store) {
	for _, at := range []int64{1, large / 2} {
		t.Run(fmt.Sprintf("after %d B", at), func(t *testing.T) {
			storesNothing(t, store, func(key string) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				src := NewSource(Bytes(large)).OnReach(at, cancel)
				_, err := putUnder(ctx, t, store, key, src, remote.PutOptions{ContentType: mp3})
				if err == nil || codestory.ClassOf(ctx, err) != codestory.ClassStopped {
					t.Errorf("put: %v, want an error of class stopped", err)
				}
			})
		})
	}
}

// storesNothing runs attempt on a key without an object, and on one with an older object that has to stay. After
// that, a good put has to succeed.
func storesNothing(t *testing.T, store remote.Store, attempt func(key string)) {
	t.Helper()
	fresh, taken := story+t.Name()+"/fresh", story+t.Name()+"/taken"
	attempt(fresh)
	if object, err := store.Stat(t.Context(), fresh); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("afterwards: %+v, %v, want no object", object, err)
	}
	mustPut(t, store, taken, []byte("the old version"))
	attempt(taken)
	holds(t, store, taken, []byte("the old version"))
	mustPut(t, store, fresh, []byte("at last"))
	holds(t, store, fresh, []byte("at last"))
}

func (s suite) endedContext(t *testing.T, store remote.Store) {
	key := story + "audio/story.mp3"
	mustPut(t, store, key, Bytes(10))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"put": func() error {
			_, err := putUnder(ctx, t, store, key, NewSource(Bytes(20)), remote.PutOptions{ContentType: mp3})
			return err
		},
		"stat": func() error { _, err := store.Stat(ctx, key); return err },
		"open": func() error {
			body, _, err := store.Open(ctx, key, 0, -1)
			if err != nil {
				return err
			}
			defer body.Close()
			_, err = io.ReadAll(body)
			return err
		},
		"check": func() error { return store.Check(ctx) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's error", name, err)
		}
	}
	holds(t, store, key, Bytes(10))
}

func (s suite) manyKeys(t *testing.T, store remote.Store) {
	const workers, each = 8, 12
	content := func(worker, i int) (string, []byte) {
		return fmt.Sprintf("%s%d/chapters/chapter_%02d.mp3", story, i%3, worker*each+i), Bytes(worker*1000 + i*10_007)
	}
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := range each {
				key, data := content(worker, i)
				if _, err := put(t, store, key, NewSource(data), remote.PutOptions{ContentType: mp3}); err != nil {
					t.Errorf("put %s: %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	for worker := range workers {
		for i := range each {
			key, data := content(worker, i)
			holds(t, store, key, data)
		}
	}
}

// oneKey puts two versions under one key, over and over, while others read it.
func (s suite) oneKey(t *testing.T, store remote.Store) {
	if s.opts.NoIsolation != "" {
		t.Skip(s.opts.NoIsolation)
	}
	key := story + "audio/story.mp3"
	versions := map[string][]byte{}
	for _, data := range [][]byte{bytes.Repeat([]byte("a"), 300_000), bytes.Repeat([]byte("b"), 200_000)} {
		versions[sum(data)] = data
	}
	for _, data := range versions {
		mustPut(t, store, key, data)
	}
	written := make(chan struct{})
	var readers, writers sync.WaitGroup
	for _, data := range versions {
		writers.Go(func() {
			for range 20 {
				if _, err := put(t, store, key, NewSource(data), remote.PutOptions{ContentType: mp3}); err != nil {
					t.Errorf("put: %v", err)
				}
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			for {
				if !readsOneOf(t, store, key, versions) {
					return
				}
				select {
				case <-written:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(written)
	readers.Wait()
	readsOneOf(t, store, key, versions)
}

func readsOneOf(t *testing.T, store remote.Store, key string, versions map[string][]byte) bool {
	body, object, err := store.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Errorf("open while it is replaced: %v", err)
		return false
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil {
		t.Errorf("read while it is replaced: %v", err)
		return false
	}
	if _, ok := versions[sum(got)]; !ok {
		t.Errorf("read %d bytes that are no version that was put", len(got))
		return false
	}
	if object.Size != int64(len(got)) || object.MD5 != "" && object.MD5 != sum(got) {
		t.Errorf("open says %+v, but what it gives is %d bytes with MD5 %s", object, len(got), sum(got))
		return false
	}
	return true
}
