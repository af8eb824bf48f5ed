package remotetest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"sync"
	"testing"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// memory is the simplest store that keeps every promise.
type memory struct {
	mu      sync.Mutex
	objects map[string]memoryObject
}

type memoryObject struct {
	remote.Object
	data     []byte
	metadata map[string]string
}

func (m *memory) Info() remote.Info { return remote.Info{Kind: "memory", Endpoint: "here"} }

func (m *memory) Check(ctx context.Context) error { return ctx.Err() }

func (m *memory) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	body := remote.NewBody(src)
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return remote.Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return remote.Object{}, err
	}
	object := memoryObject{
		Object: remote.Object{
			Key: key, Size: int64(len(data)), ETag: body.Sum(), MD5: body.Sum(), ContentType: opts.ContentType,
		},
		data: data, metadata: maps.Clone(opts.Metadata),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = object
	return object.Object, nil
}

func (m *memory) get(ctx context.Context, key string) (memoryObject, error) {
	if err := ctx.Err(); err != nil {
		return memoryObject{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	object, ok := m.objects[key]
	if !ok {
		return object, fmt.Errorf("%s: %w", key, codestory.ErrNotFound)
	}
	return object, nil
}

func (m *memory) Stat(ctx context.Context, key string) (remote.Object, error) {
	object, err := m.get(ctx, key)
	return object.Object, err
}

func (m *memory) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	object, err := m.get(ctx, key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	if length < 0 {
		length = object.Size
	}
	section := io.NewSectionReader(bytes.NewReader(object.data), offset, length)
	return io.NopCloser(section), object.Object, nil
}

func TestSuitePassesAGoodStore(t *testing.T) {
	t.Parallel()
	open := func(*testing.T) remote.Store { return &memory{objects: map[string]memoryObject{}} }
	remotetest.TestStore(t, open, remotetest.Options{
		Metadata: func(t *testing.T, store remote.Store, key string) map[string]string {
			object, err := store.(*memory).get(t.Context(), key)
			if err != nil {
				t.Error(err)
			}
			return object.metadata
		},
	})
}
