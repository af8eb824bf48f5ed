package library

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd"
)

// TestDelete: the objects go, the local files stay and play, and are not uploaded again until they change.
func TestDelete(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		one, theirs := codestory.ChapterPath(kilo, 1), codestory.Path(kilo+"/notes.txt")
		other := codestory.ChapterPath(router, 1)
		w.write(one, "one")
		w.write(other, "another story's")
		w.upload(time.Second)
		store.Set(theirs.Key(), "another program's")

		if err := w.Delete(t.Context(), kilo, false); err != nil {
			t.Fatal(err)
		}
		w.upload(5 * time.Minute)
		if _, there := store.Content(one.Key()); there {
			t.Error("the object is still in the store")
		}
		for _, path := range []codestory.Path{theirs, other} {
			if _, there := store.Content(path.Key()); !there {
				t.Errorf("%s was deleted too", path)
			}
		}
		if loc, err := w.Locate(t.Context(), one); err != nil || !loc.Local || loc.Stored {
			t.Errorf("the kept file is at %+v, %v", loc, err)
		}
		story, err := w.Story(t.Context(), kilo)
		if err != nil || story.State != codestory.StoryWaiting || len(story.Chapters) != 1 || story.Chapters[0].State != codestory.LeftOut {
			t.Errorf("the story is %+v, %v", story, err)
		}
		ignored, err := w.queue.Ignored(10)
		if err != nil || len(ignored) != 1 || ignored[0] != (codestory.Ignored{Path: string(one), Reason: deletedByRequest}) {
			t.Errorf("ignored: %v, %v", ignored, err)
		}

		w.settle(one)
		w.upload(time.Second)
		if _, there := store.Content(one.Key()); there {
			t.Error("it was uploaded again, unchanged")
		}
		w.write(one, "rewritten")
		w.upload(5 * time.Minute)
		if got, _ := store.Content(one.Key()); got != "rewritten" {
			t.Errorf("after a change the store has %q", got)
		}
	})
}

// TestDeleteLocal: with the local files gone nothing is known of the story.
func TestDeleteLocal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		w.write(codestory.ChapterPath(kilo, 1), "one")
		w.upload(time.Second)
		if err := os.WriteFile(filepath.Join(w.tree.Dir(), string(kilo), "draft.tmp"), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := w.Delete(t.Context(), kilo, true); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(w.tree.Dir(), string(kilo))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder: %v", err)
		}
		for what, err := range map[string]error{
			"story": second(w.Story(t.Context(), kilo)), "deleting it again": w.Delete(t.Context(), kilo, true),
		} {
			if !errors.Is(err, codestory.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestDeleteWhileTheStoreIsAway: the deletion is durable, said in the status, and done when the store is back.
func TestDeleteWhileTheStoreIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{})
		paths := chapters(w, 3)
		w.upload(time.Second)
		store.remove = func(key string) error {
			if key == paths[0].Key() {
				return nil
			}
			return errDown
		}
		if err := w.Delete(t.Context(), kilo, false); err != nil {
			t.Fatal(err)
		}
		problems := w.problemsBut("")
		if len(problems) != 1 || problems[0].Code != "deletions_wait" ||
			!strings.HasPrefix(problems[0].Message, "2 objects") || time.Since(problems[0].Since) > time.Minute {
			t.Errorf("problems: %+v", problems)
		}
		if err := os.RemoveAll(filepath.Join(w.tree.Dir(), string(kilo))); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Locate(t.Context(), paths[1]); !errors.Is(err, codestory.ErrNotFound) {
			t.Errorf("a deleted object is found: %v", err)
		}
		store.remove = nil
		w.upload(3 * time.Minute)
		for _, path := range paths {
			if _, there := store.Content(path.Key()); there {
				t.Errorf("%s is still there", path)
			}
		}
		if problems := w.problemsBut(problemOwnerUnknown); len(problems) != 0 {
			t.Errorf("problems: %+v", problems)
		}
	})
}

// TestDeleteDuringUpload: what is on its way is cut, and gone even where the store took it.
func TestDeleteDuringUpload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var begun, late = make(chan struct{}), make(chan struct{})
		store := &scripted{}
		store.put = func(ctx context.Context, key string) error {
			close(begun)
			<-ctx.Done()
			go func() { // the server goes on with what it has
				<-late
				store.Set(key, "one")
			}()
			return ctx.Err()
		}
		w := newEnv(t, store, Options{})
		path := codestory.ChapterPath(kilo, 1)
		w.write(path, "one")
		ctx, stop := context.WithCancel(t.Context())
		uploaded := make(chan error, 1)
		go func() { uploaded <- w.run(ctx, t.Context()) }()
		<-begun
		if err := w.Delete(t.Context(), kilo, false); err != nil {
			t.Fatal(err)
		}
		close(late)
		synctest.Wait()
		if _, there := store.Content(path.Key()); !there {
			t.Fatal("the store of this test did not go on")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if _, there := store.Content(path.Key()); there {
			t.Error("what a cut request brought is still there")
		}
		stop()
		if err := <-uploaded; err != nil {
			t.Error(err)
		}
	})
}

// TestReceive: what a form brought is in the index, and a story that it makes can be deleted.
func TestReceive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := &scripted{}
		w := newEnv(t, store, Options{Spool: t.TempDir()})
		path := codestory.StoryAudioPath(kilo)
		w.upload(time.Second)
		if _, err := w.Locate(t.Context(), path); !errors.Is(err, codestory.ErrNotFound) {
			t.Fatal(err)
		}
		if _, _, _, err := w.SignForm(t.Context(), path, time.Hour); !errors.Is(err, codestory.ErrNoForms) {
			t.Fatal(err)
		}
		expires := time.Now().Add(time.Hour)
		broken := errors.New("cut off")
		if err := w.Receive(t.Context(), path, expires, io.MultiReader(strings.NewReader("some"), failing{broken})); !errors.Is(err, broken) {
			t.Errorf("a reader that fails: %v", err)
		}
		if _, there := store.Content(path.Key()); there {
			t.Error("a part of it was stored")
		}
		if err := w.Receive(t.Context(), path, expires, strings.NewReader("sound")); err != nil {
			t.Fatal(err)
		}
		if loc, err := w.Locate(t.Context(), path); err != nil || !loc.Stored || loc.Size != 5 {
			t.Errorf("it is at %+v, %v", loc, err)
		}
		if err := w.Delete(t.Context(), kilo, false); err != nil {
			t.Fatal(err)
		}
		store.Set(path.Key(), "posted once more") // by whoever still has the form
		w.upload(2 * time.Hour)
		if _, there := store.Content(path.Key()); there {
			t.Error("it is still there")
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
