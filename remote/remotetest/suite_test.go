package remotetest_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestSuitePassesAGoodStore(t *testing.T) {
	t.Parallel()
	open := func(*testing.T) remote.Store { return &remotetest.Memory{} }
	remotetest.TestStore(t, open, remotetest.Options{
		Metadata: func(_ *testing.T, store remote.Store, key string) map[string]string {
			return store.(*remotetest.Memory).Metadata(key)
		},
	})
}

func TestMemoryMeetsItsFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		store := &remotetest.Memory{}
		store.Fail(t,
			remotetest.Fault{Call: "put", Key: "b", After: 1, Err: broken, Kept: true},
			remotetest.Fault{Call: "put", Key: "c", Cut: 3, Err: broken},
			remotetest.Fault{Call: "open", Cut: 2, Err: broken},
			remotetest.Fault{Call: "stat", Times: 2, Delay: time.Minute},
			remotetest.Fault{Call: "remove", Times: -1, Err: broken},
			remotetest.Fault{Call: "list", Key: "x", Err: broken},
		)
		put := func(key, content string) error {
			_, err := store.Put(t.Context(), key, remotetest.NewSource([]byte(content)), remote.PutOptions{})
			return err
		}
		for _, c := range []struct {
			key, content string
			want         error
		}{{"a", "one", nil}, {"b", "two", nil}, {"b", "three", broken}, {"c", "four", broken}} {
			if err := put(c.key, c.content); !errors.Is(err, c.want) {
				t.Errorf("put %s: %v, want %v", c.content, err, c.want)
			}
		}
		if content, _ := store.Content("b"); content != "three" {
			t.Errorf("b is %q: an answer that was lost is that of a put which was done", content)
		}
		if _, ok := store.Content("c"); ok {
			t.Error("half a put was stored")
		}
		body, _, err := store.Open(t.Context(), "a", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(body); string(data) != "on" || !errors.Is(err, broken) {
			t.Errorf("read %q, %v", data, err)
		}
		begun := time.Now()
		for range 3 {
			if _, err := store.Stat(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begun); took != 2*time.Minute {
			t.Errorf("three took %v, want two of them a minute each", took)
		}
		var refused *remote.RemoveError
		if err := store.Remove(t.Context(), []string{"a", "b"}); !errors.As(err, &refused) || len(refused.Failed) != 2 {
			t.Errorf("remove: %v", err)
		}
		for object, err := range store.List(t.Context(), "x", "") {
			if !errors.Is(err, broken) {
				t.Errorf("list: %+v, %v", object, err)
			}
		}
		if got := store.Calls("put b"); len(got) != 2 {
			t.Errorf("calls: %q", got)
		}
	})
}

// failures stands in for a test that is to fail.
type failures struct {
	testing.TB
	cleanups []func()
	n        int
}

func (f *failures) Helper()               {}
func (f *failures) Cleanup(do func())     { f.cleanups = append(f.cleanups, do) }
func (f *failures) Errorf(string, ...any) { f.n++ }

func TestMemoryTellsOfFaultsThatWereNotMet(t *testing.T) {
	t.Parallel()
	store, test := &remotetest.Memory{}, &failures{}
	store.Fail(test, remotetest.Fault{Call: "check", Times: 2, Err: context.Canceled}, remotetest.Fault{Call: "put", Err: context.Canceled})
	_ = store.Check(t.Context())
	for _, do := range test.cleanups {
		do()
	}
	if test.n != 2 {
		t.Errorf("%d failures, want one for each fault", test.n)
	}
}
