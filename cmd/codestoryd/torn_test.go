package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// Files that are rewritten all the while, also in the middle of their uploads: each object that the store ever had is
// one version whole, and the last is the file.
func TestRewrittenDuringUploads(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	if err := server.Client().EnableVersioning(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	env := append(stored(server, server.Endpoint, bucket), "CODESTORYD_SETTLE=100ms", "CODESTORYD_BWLIMIT=20M")
	m := newMachine(t, env...)
	rewritten := map[codestory.Path]func(file string, content []byte) error{
		codestory.ChapterPath(story, 1): inPlace,
		codestory.ChapterPath(story, 2): truncated,
		codestory.ChapterPath(story, 3): renamed,
	}
	const size = 256 << 10
	for path := range rewritten {
		m.write(path, bytes.Repeat([]byte{'a'}, size))
	}
	m.start()

	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	for path, rewrite := range rewritten {
		file := filepath.Join(m.dir, filepath.FromSlash(string(path)))
		writers.Go(func() {
			pause := time.NewTicker(40 * time.Millisecond) // about what an upload takes
			defer pause.Stop()
			for fill := byte('b'); ctx.Err() == nil; fill = 'a' + (fill-'a'+1)%26 {
				if err := rewrite(file, bytes.Repeat([]byte{fill}, size)); err != nil {
					t.Error(err)
					return
				}
				<-pause.C
			}
		})
	}
	m.await("two versions of each", func(codestory.Status) bool {
		versions := versions(t, server, bucket)
		for path := range rewritten {
			if len(versions[path.Key()]) < 2 {
				return false
			}
		}
		return true
	})
	stop()
	writers.Wait()
	m.await("the last versions", func(codestory.Status) bool { return maps.Equal(m.files(), objects(t, server, bucket)) })
	for key, versions := range versions(t, server, bucket) {
		for _, content := range versions {
			if n := bytes.Count(content, content[:1]); len(content) != size || n != size {
				t.Errorf("an object of %s has %d bytes, of which %d are of one version", key, len(content), n)
			}
		}
	}
}

// inPlace rewrites the file with the same size and the modification time that it had.
func inPlace(file string, content []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err1 := f.Write(content[:len(content)/2])
	_, err2 := f.Write(content[len(content)/2:])
	return errors.Join(err1, err2, f.Close(), os.Chtimes(file, info.ModTime(), info.ModTime()))
}

func truncated(file string, content []byte) error { return os.WriteFile(file, content, 0o666) }

func renamed(file string, content []byte) error {
	next := file + ".tmp"
	return errors.Join(os.WriteFile(next, content, 0o666), os.Rename(next, file))
}

// versions are all the objects that the bucket ever had, by key.
func versions(t *testing.T, server *remotetest.MinIO, bucket string) map[string][][]byte {
	t.Helper()
	found := map[string][][]byte{}
	options := minio.ListObjectsOptions{Recursive: true, WithVersions: true}
	for info := range server.Client().ListObjects(t.Context(), bucket, options) {
		if info.Err != nil {
			t.Fatal(info.Err)
		}
		object, err := server.Client().GetObject(t.Context(), bucket, info.Key, minio.GetObjectOptions{VersionID: info.VersionID})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(object)
		if err != nil {
			t.Fatal(err)
		}
		found[info.Key] = append(found[info.Key], b)
	}
	return found
}
