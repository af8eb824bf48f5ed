package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Memory is a store in memory that keeps every promise, but for the faults that a test gives it. The zero value is empty.
type Memory struct {
	// Before is called with put, stat, open, list, remove or check, and the key or prefix, before the call has an effect; for a
	// put the bytes have been read by then. An error of it is that of the call. Set it before the store is used; it may be nil.
	Before func(ctx context.Context, call, key string) error

	mu      sync.Mutex
	objects map[string]memoryObject
	calls   []string // the call and its key, in order
	faults  []*plannedFault
}

type memoryObject struct {
	remote.Object
	data     []byte
	metadata map[string]string
}

// Fault is one thing that goes wrong.
type Fault struct {
	Call  string        // put, stat, open, list, remove or check
	Key   string        // of the object, or the prefix of the list; "" is any
	After int           // how many such calls go well first
	Times int           // how many are met then; 0 is one, a negative number all that follow
	Delay time.Duration // passes first, or ctx ends
	Cut   int64         // how many bytes of a put or an open pass before Err
	Kept  bool          // a put or a removal is done all the same, and its answer is lost
	Err   error         // that the call returns; nil to delay it only
}

type plannedFault struct {
	Fault
	seen, met int
}

// Fail adds faults. Of those that one call meets, the first counts. At the end of the test each has to have been met.
func (m *Memory) Fail(t testing.TB, faults ...Fault) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range faults {
		planned := &plannedFault{Fault: f}
		m.faults = append(m.faults, planned)
		t.Cleanup(func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			if planned.met < max(f.Times, 1) {
				t.Errorf("fault %+v was met %d times", f, planned.met)
			}
		})
	}
}

// begin notes a call and gives the fault that it meets; the zero Fault if there is none.
func (m *Memory) begin(call, key string) Fault {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, strings.TrimSpace(call+" "+key))
	for _, f := range m.faults {
		if f.Call != call || f.Key != "" && f.Key != key {
			continue
		}
		f.seen++
		if f.seen > f.After && (f.Times < 0 || f.met < max(f.Times, 1)) {
			f.met++
			return f.Fault
		}
	}
	return Fault{}
}

// meet is what becomes of a call that is about to have its effect.
func (m *Memory) meet(ctx context.Context, f Fault, call, key string) error {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
		}
	}
	if m.Before != nil {
		if err := m.Before(ctx, call, key); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil || f.Kept || f.Cut > 0 {
		return err
	}
	return f.Err
}

// Calls are the calls that began with prefix, such as "put stories/", in order.
func (m *Memory) Calls(prefix string) (calls []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, call := range m.calls {
		if strings.HasPrefix(call, prefix) {
			calls = append(calls, call)
		}
	}
	return calls
}

// Set puts an object as another program does: no fault is met, and no call noted.
func (m *Memory) Set(key, content string) {
	m.set(key, []byte(content), remote.PutOptions{})
}

func (m *Memory) set(key string, data []byte, opts remote.PutOptions) remote.Object {
	object := memoryObject{
		Object: remote.Object{Key: key, Size: int64(len(data)), ETag: sum(data), MD5: sum(data), ContentType: opts.ContentType},
		data:   data, metadata: maps.Clone(opts.Metadata),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[string]memoryObject{}
	}
	m.objects[key] = object
	return object.Object
}

// Unset removes an object as another program does.
func (m *Memory) Unset(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
}

// Content is that of an object; false if there is none.
func (m *Memory) Content(key string) (string, bool) {
	object, ok := m.get(key)
	return string(object.data), ok
}

// Metadata is the user metadata of an object.
func (m *Memory) Metadata(key string) map[string]string {
	object, _ := m.get(key)
	return object.metadata
}

func (m *Memory) get(key string) (memoryObject, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	object, ok := m.objects[key]
	return object, ok
}

// Info implements remote.Store.
func (m *Memory) Info() remote.Info { return remote.Info{Kind: "memory", Endpoint: "test"} }

// Check implements remote.Store.
func (m *Memory) Check(ctx context.Context) error {
	return m.meet(ctx, m.begin("check", ""), "check", "")
}

// Put implements remote.Store.
func (m *Memory) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	fault := m.begin("put", key)
	body := remote.NewBody(src, opts.Meter())
	defer body.Close()
	if fault.Cut > 0 {
		if _, err := io.CopyN(io.Discard, body, fault.Cut); err != nil {
			return remote.Object{}, err
		}
		return remote.Object{}, errors.Join(m.meet(ctx, fault, "put", key), fault.Err)
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = m.meet(ctx, fault, "put", key)
	}
	if err == nil {
		err = src.Check() // Before may have changed it
	}
	if err != nil {
		return remote.Object{}, err
	}
	object := m.set(key, data, opts)
	return object, fault.Err
}

// Stat implements remote.Store.
func (m *Memory) Stat(ctx context.Context, key string) (remote.Object, error) {
	object, err := m.find(ctx, m.begin("stat", key), "stat", key)
	return object.Object, err
}

func (m *Memory) find(ctx context.Context, fault Fault, call, key string) (memoryObject, error) {
	if err := m.meet(ctx, fault, call, key); err != nil {
		return memoryObject{}, err
	}
	object, ok := m.get(key)
	if !ok {
		return object, fmt.Errorf("%s: %w", key, codestory.ErrNotFound)
	}
	return object, nil
}

// Open implements remote.Store.
func (m *Memory) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	fault := m.begin("open", key)
	object, err := m.find(ctx, fault, "open", key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	if length < 0 {
		length = object.Size
	}
	var section io.Reader = io.NewSectionReader(bytes.NewReader(object.data), offset, length)
	if fault.Cut > 0 {
		section = io.MultiReader(io.LimitReader(section, fault.Cut), failing{fault.Err})
	}
	return io.NopCloser(section), object.Object, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// List implements remote.Lister.
func (m *Memory) List(ctx context.Context, prefix, after string) iter.Seq2[remote.Object, error] {
	return func(yield func(remote.Object, error) bool) {
		if err := m.meet(ctx, m.begin("list", prefix), "list", prefix); err != nil {
			yield(remote.Object{}, err)
			return
		}
		m.mu.Lock()
		objects := maps.Clone(m.objects)
		m.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			object := objects[key].Object
			object.ContentType = ""
			if strings.HasPrefix(key, prefix) && key > after && !yield(object, nil) {
				return
			}
		}
	}
}

// Remove implements remote.Remover.
func (m *Memory) Remove(ctx context.Context, keys []string) error {
	failed := map[string]error{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		fault := m.begin("remove", key)
		err := m.meet(ctx, fault, "remove", key)
		if err == nil {
			m.Unset(key)
			err = fault.Err
		}
		if err != nil {
			failed[key] = err
		}
	}
	if len(failed) > 0 {
		return &remote.RemoveError{Failed: failed}
	}
	return nil
}
