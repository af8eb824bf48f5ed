package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/watch"
	"github.com/codestory/codestoryd/internal/problem"
	"github.com/codestory/codestoryd/queue"
)

// A database that cannot be written for a while is a problem, and is waited for; the daemon can be stopped meanwhile.
// What was uploaded then is not uploaded again and again.
func TestDatabaseThatFailsIsAProblemAndNoEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		w.write(codestory.ChapterPath(kilo, 1), "one")
		if err := w.queue.Close(); err != nil {
			t.Fatal(err)
		}
		problems := problem.NewSet(slog.New(slog.DiscardHandler))
		q, err := queue.Open(w.file, "", queue.Options{ReadOnly: true, Problems: problems})
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		w.Daemon = New(w.tree, q, w.store, Options{Problems: problems})
		soft, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Upload(soft, t.Context()) }()
		time.Sleep(time.Hour)
		s, err := w.Status(t.Context())
		failing := slices.ContainsFunc(s.Problems, func(p codestory.Problem) bool {
			return p.Code == "database_failing" && time.Since(p.Since) > 59*time.Minute
		})
		if err != nil || !failing {
			t.Errorf("problems: %+v, %v", s.Problems, err)
		}
		if n := len(w.store.puts()); n != 1 {
			t.Errorf("uploaded %d times", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Upload: %v", err)
		}
	})
}

// untilFiles brings a bubble's clock, which begins in the year 2000, behind the times of files that are made now.
const untilFiles = 100 * 365 * 24 * time.Hour

// A database that is damaged under the daemon ends it, and is set aside when it is opened again. What is in the store
// already is found there, and not uploaded again; what is not, is.
func TestDamagedDatabaseIsSetAside(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		time.Sleep(untilFiles)
		store := &scripted{}
		w := newWorld(t, store, Options{})
		first, second := codestory.ChapterPath(kilo, 1), codestory.ChapterPath(kilo, 2)
		store.put = func(_ context.Context, key string) error {
			if key != first.Key() {
				return nil
			}
			return noise(w.file)
		}
		w.write(first, "one")
		err := w.Upload(t.Context(), t.Context())
		if !errors.Is(err, queue.ErrDamaged) {
			t.Fatalf("Upload: %v", err)
		}
		w.reopen(err)
		r := w.queue.Recovery()
		if r == nil || !r.Now || r.Aside == "" || r.Reason == "" {
			t.Fatalf("recovered: %+v", r)
		}
		if problems := DatabaseProblems(w.queue); len(problems) != 1 || problems[0].Code != "database_set_aside" {
			t.Errorf("problems: %+v", problems)
		}
		w.settle(first) // as the scan does
		w.write(second, "two")
		w.upload(time.Minute)
		for _, path := range []codestory.Path{first, second} {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s", path, got)
			}
		}
		if got := store.puts(); !slices.Equal(got, []string{first.Key(), second.Key()}) {
			t.Errorf("uploaded %q", got)
		}
		if err := os.Remove(r.Aside); err != nil {
			t.Fatal(err)
		}
		if problems := DatabaseProblems(w.queue); len(problems) != 0 {
			t.Errorf("problems: %+v", problems)
		}
	})
}

// A backup knows nothing of what was uploaded since. That is found in the store, and not uploaded again; what a person
// dropped before it stays dropped.
func TestDamagedDatabaseIsReplacedByItsBackup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		time.Sleep(untilFiles)
		w := newWorld(t, &scripted{}, Options{})
		kept, changed, later, dropped := codestory.ChapterPath(kilo, 1), codestory.ChapterPath(kilo, 2), codestory.ChapterPath(kilo, 3), codestory.ChapterPath(kilo, 4)
		w.write(kept, "one")
		w.write(changed, "two")
		w.upload(time.Minute)
		w.write(dropped, "four")
		if err := errors.Join(w.Drop(t.Context(), string(dropped)), w.queue.Backup(t.Context())); err != nil {
			t.Fatal(err)
		}
		w.write(changed, "two, but longer")
		w.write(later, "three")
		w.upload(time.Minute)
		puts := w.store.puts()
		if len(puts) != 4 {
			t.Fatalf("uploaded %q", puts)
		}
		w.lose()
		if r := w.queue.Recovery(); r == nil || !r.Now || r.Backup.IsZero() {
			t.Fatalf("recovered: %+v", r)
		}
		for _, path := range []codestory.Path{kept, changed, later, dropped} {
			w.settle(path) // as the scan does
		}
		w.upload(time.Minute)
		for _, path := range []codestory.Path{kept, changed, later} {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s", path, got)
			}
		}
		if got := w.state(dropped); got != codestory.LeftOut {
			t.Errorf("%s is %s", dropped, got)
		}
		if got := w.store.puts(); !slices.Equal(got, puts) {
			t.Errorf("uploaded %q, and before %q", got, puts)
		}
	})
}

// Where the store has other bytes than the file, or nobody can tell, the file is uploaded.
func TestLostIndexAndAnotherObject(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		time.Sleep(untilFiles)
		store := &scripted{}
		w := newWorld(t, store, Options{})
		same, other, longer := codestory.ChapterPath(kilo, 1), codestory.ChapterPath(kilo, 2), codestory.ChapterPath(kilo, 3)
		store.Set(same.Key(), "same")
		store.Set(other.Key(), "othr")
		store.Set(longer.Key(), "longer than it")
		for _, path := range []codestory.Path{same, other, longer} {
			w.write(path, "same")
		}
		w.lose()
		for _, path := range []codestory.Path{same, other, longer} {
			w.settle(path)
		}
		w.upload(time.Minute)
		if got := slices.Sorted(slices.Values(store.puts())); !slices.Equal(got, []string{other.Key(), longer.Key()}) {
			t.Errorf("uploaded %q", got)
		}
		for _, path := range []codestory.Path{same, other, longer} {
			if content, _ := store.Content(path.Key()); content != "same" {
				t.Errorf("%s is %q in the store", path, content)
			}
		}
	})
}

// An object that another address of the store had is found again under the new one.
func TestObjectIsFoundUnderANewDestination(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		w.upload(time.Second)
		if err := os.Remove(filepath.Join(w.tree.Dir(), string(path))); err != nil {
			t.Fatal(err)
		}
		if err := w.queue.Use("memory\tby another name\t"); err != nil {
			t.Fatal(err)
		}
		// The scan enqueues what is here, and this is not: the record has an object elsewhere only.
		claimless, err := w.queue.File(path)
		if err != nil || claimless.Stored != nil {
			t.Fatalf("%+v, %v", claimless, err)
		}
		if loc, err := w.Locate(t.Context(), path); err != nil || !loc.Stored {
			t.Errorf("location %+v, %v", loc, err)
		}
	})
}

// An empty directory, as it is found where a file system is not mounted, does not mean that what waits is deleted.
func TestEmptyDirectoryForgetsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		paths := chapters(w, 3)
		blocked := codestory.StoryAudioPath(kilo)
		w.write(blocked, "x")
		if err := w.queue.Drop(string(blocked), "dropped by request"); err != nil {
			t.Fatal(err)
		}
		away := filepath.Join(t.TempDir(), "away")
		story := filepath.Join(w.tree.Dir(), string(kilo))
		if err := os.Rename(story, away); err != nil {
			t.Fatal(err)
		}
		w.upload(time.Hour)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Queued {
				t.Errorf("%s is %s while the directory is empty", path, got)
			}
		}
		s, err := w.Status(t.Context())
		if err != nil || !slices.ContainsFunc(s.Problems, func(p codestory.Problem) bool { return p.Code == "dir_empty" }) {
			t.Errorf("problems: %+v, %v", s.Problems, err)
		}
		if err := os.Rename(away, story); err != nil {
			t.Fatal(err)
		}
		w.upload(5 * time.Minute)
		for _, path := range paths {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s after the files are back", path, got)
			}
		}
		if left, err := w.queue.Ignored(10); err != nil || len(left) != 1 {
			t.Errorf("ignored: %v, %v, want what was dropped", left, err)
		}
		if problems := w.problemsBut("owner_unknown"); len(problems) > 0 {
			t.Errorf("problems: %+v", problems)
		}
	})
}

// A person who has mended the store does not wait for its next question.
func TestRetryAsksTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		full := true
		store := &scripted{put: func(context.Context, string) error {
			if full {
				return codestory.Pause(codestory.RemoteFull, "no room", errors.New("507"))
			}
			return nil
		}}
		w := newWorld(t, store, Options{})
		paths := chapters(w, 20)
		soft, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Upload(soft, t.Context()) }()
		time.Sleep(time.Second)
		synctest.Wait()
		full = false
		if _, err := w.Retry(t.Context(), ""); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, path := range paths {
			if got := w.state(path); got != codestory.Synced {
				t.Errorf("%s is %s", path, got)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// What is left out of a metadata.json is a problem that names it, until the file is another.
func TestOddMetadataIsAProblem(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, &scripted{}, Options{})
		path := codestory.MetadataPath(kilo)
		settle := func(text string) {
			w.write(path, text)
			version, err := w.tree.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Finished(t.Context(), []watch.Change{{Name: string(path), Path: path, Version: version}}, finished); err != nil {
				t.Fatal(err)
			}
		}
		problems := func() string {
			s, err := w.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range s.Problems {
				if p.Code == "metadata" {
					return strings.Join(p.Details, "\n")
				}
			}
			return ""
		}
		settle(`{"chapters": [` + strings.Repeat(`{},`, codestory.MaxChapters) + `{}]}`)
		if p := problems(); !strings.Contains(p, string(path)) || !strings.Contains(p, "the other 1 left out") {
			t.Errorf("problem: %q", p)
		}
		settle(`{"chapters": [{}]}`)
		if p := problems(); p != "" {
			t.Errorf("problem of a good one: %q", p)
		}
	})
}

// TestSpoolsOfAnEarlierProcess are removed, and nothing else is.
func TestSpoolsOfAnEarlierProcess(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, name := range []string{"codestoryd-post-123.tmp", "codestoryd.db"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		newWorld(t, &scripted{}, Options{Spool: dir})
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 1 || left[0].Name() != "codestoryd.db" {
			t.Errorf("there is left %v, %v", left, err)
		}
	})
}
