package folder

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("CODESTORYD_TEST_PUT"); dir != "" {
		fmt.Println(putForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func newStore(t *testing.T) *Store {
	t.Helper()
	store, err := New(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestFolder(t *testing.T) {
	t.Parallel()
	remotetest.TestStore(t, func(t *testing.T) remote.Store { return newStore(t) }, remotetest.Options{
		Metadata: func(t *testing.T, store remote.Store, key string) map[string]string {
			s := store.(*Store)
			return s.kept(t, key).of(s.stat(t, key)).Metadata
		},
	})
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	limiter := remote.NewLimiter(func(time.Time) int64 {
		asked.Add(1)
		return 0
	})
	store, err := New(t.TempDir(), Options{Limiter: limiter})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, store, key, "x")
	if asked.Load() == 0 {
		t.Error("nobody asked the limiter")
	}
}
