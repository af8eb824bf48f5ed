package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// A database that turns to noise, under the daemon or while it is down, is set aside and made anew; nothing is uploaded
// a second time for it.
func TestDatabaseTurnsToNoise(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	if err := server.Client().EnableVersioning(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, stored(server, server.Endpoint, bucket)...)
	const files = 12
	for i := range files {
		m.write(codestory.ChapterPath(story, i+1), []byte{byte(i)})
	}
	m.start()
	m.awaitSynced(files)
	times := 0
	for _, running := range []bool{true, false} {
		if !running {
			if err := m.stop(); err != nil {
				t.Fatal(err)
			}
		}
		noise(t, filepath.Join(m.dataDir, databaseFile))
		if !running {
			m.start()
		}
		times++
		awaitAside(t, m, times)
		m.await("all to be known again", func(s codestory.Status) bool {
			return s.Synced.Files == files && slices.ContainsFunc(s.Problems, func(p codestory.Problem) bool {
				return p.Code == "database_set_aside"
			})
		})
	}
	objects := 0
	for info := range server.Client().ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if info.Err != nil {
			t.Fatal(info.Err)
		}
		objects++
	}
	if objects != files {
		t.Errorf("%d versions of %d objects", objects, files)
	}
	sameObjects(t, m, server, bucket)
}

// awaitAside waits until so many databases were set aside. The status cannot be asked of one that is noise.
func awaitAside(t *testing.T, m *machine, times int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(longest); ; <-tick.C {
		aside, err := filepath.Glob(filepath.Join(m.dataDir, databaseFile+".damaged-*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(aside) == times {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("set aside are %q", aside)
		}
	}
}

// A player that goes on playing waits a moment, and is not refused, whatever happens to the database under the daemon.
// What a person has dropped and paused is so afterwards.
func TestPlayersWaitWhileADatabaseIsRecovered(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(path string) error{
		"noise":  func(path string) error { return scribble(path, 2*os.Getpagesize(), -1) },
		"metas":  func(path string) error { return scribble(path, 0, 2*os.Getpagesize()) },
		"cut":    func(path string) error { return os.Truncate(path, int64(3*os.Getpagesize())) },
		"gone":   os.Remove,
		"killed": nil, // and damaged meanwhile
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			played, dropped := codestory.ChapterPath(story, 1), codestory.ChapterPath(another, 1)
			m.write(played, bytes.Repeat([]byte("x"), 10_000))
			m.start()
			m.awaitSynced(1)
			if code := m.post("/api/queue/pause"); code != http.StatusOK && code != http.StatusNoContent {
				t.Fatalf("pause: %d", code)
			}
			m.write(dropped, []byte("y"))
			m.await("the other to wait", func(s codestory.Status) bool { return s.Queue.Queued == 1 })
			if code := m.ask(http.MethodDelete, "/api/queue/"+string(dropped), nil); code != http.StatusOK && code != http.StatusNoContent {
				t.Fatalf("drop: %d", code)
			}
			db := filepath.Join(m.dataDir, databaseFile)
			awaitBackup(t, db+".bak")
			if harm == nil {
				m.kill()
				if err := scribble(db, 2*os.Getpagesize(), -1); err != nil {
					t.Fatal(err)
				}
				m.start()
			} else if err := harm(db); err != nil {
				t.Fatal(err)
			}
			longest := m.playUntilRecovered(played)
			if longest > 5*time.Second {
				t.Errorf("a player waited %v", longest)
			}
			t.Logf("a player waited %v at most", longest)
			s := m.await("the file to be known", func(s codestory.Status) bool { return s.Synced.Files == 1 })
			if !s.Queue.Paused || s.Queue.Queued > 0 {
				t.Errorf("the queue is %+v", s.Queue)
			}
		})
	}
}

// playUntilRecovered plays the file again and again until the database was lost and recovered, and returns how long the
// longest request took.
func (m *machine) playUntilRecovered(path codestory.Path) (longest time.Duration) {
	m.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(m.running.log.String(), "the database was lost"); {
		begun := time.Now()
		var link codestory.Link
		if code := m.get("/api/storage/stories/"+string(path.Story())+"/chapters/1/audio", &link); code != http.StatusOK {
			m.t.Fatalf("refused with %d after %v", code, time.Since(begun))
		}
		longest = max(longest, time.Since(begun))
		if time.Now().After(deadline) {
			m.t.Fatal("it was not noticed")
		}
	}
	return longest
}

// awaitBackup waits until the backup has what the test has asked for.
func awaitBackup(t *testing.T, name string) {
	t.Helper()
	has := func() bool {
		q, err := queue.Open(name, "", queue.Options{ReadOnly: true})
		if err != nil {
			return false
		}
		defer q.Close()
		stats, statsErr := q.Stats()
		ignored, err := q.Ignored(10)
		return errors.Join(statsErr, err) == nil && stats.Paused && len(ignored) == 1
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(longest); !has(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("there is no backup with what was asked for")
		}
	}
}

// noise overwrites all but the two meta pages of a database.
func noise(t *testing.T, path string) {
	t.Helper()
	if err := scribble(path, 2*os.Getpagesize(), -1); err != nil {
		t.Fatal(err)
	}
}

// scribble overwrites n bytes of the file with noise; -1 for all that follow.
func scribble(path string, at, n int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if n < 0 {
		n = int(info.Size()) - at
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	_, err = f.WriteAt(b, int64(at))
	return errors.Join(err, f.Close())
}
