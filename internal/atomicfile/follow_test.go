package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd/internal/atomicfile"
)

func TestFollower(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
		follower := atomicfile.Follow(time.Second, path, other)
		changed := func(step string, want bool) {
			t.Helper()
			if got := follower.Changed(); got != want {
				t.Errorf("%s: changed is %t", step, got)
			}
		}
		write := func(path, content string, age time.Duration) {
			t.Helper()
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
				t.Fatal(err)
			}
		}
		changed("no files", false)
		write(path, "a", time.Hour)
		changed("at once", false)
		time.Sleep(time.Second)
		changed("made", true)
		time.Sleep(time.Second)
		changed("as it was", false)

		write(path, "b", time.Minute)
		time.Sleep(time.Second)
		changed("other times", true)
		if err := atomicfile.Write(other, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		changed("the other one is made", true)

		write(path, "c", 0)
		time.Sleep(time.Second)
		changed("just now", true)
		time.Sleep(time.Second)
		changed("perhaps again, within its times", true)
		time.Sleep(time.Second)
		changed("that is over", false)

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		changed("removed", true)
		time.Sleep(time.Second)
		changed("still gone", false)
	})
}
