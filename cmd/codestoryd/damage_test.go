package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
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

// noise overwrites all but the two meta pages of a database.
func noise(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	metas := int64(2 * os.Getpagesize())
	b := make([]byte, info.Size()-metas)
	_, _ = rand.Read(b) // never fails
	if _, err := f.WriteAt(b, metas); err != nil {
		t.Fatal(err)
	}
}
