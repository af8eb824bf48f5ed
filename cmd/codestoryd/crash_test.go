package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

var crashRounds = flag.Int("crash", 4, "how many times TestCrash kills the daemon")

const (
	crashWriters    = 3
	crashFiles      = 8                       // of each writer
	crashWithin     = 1500 * time.Millisecond // of the daemon's start, or of its being ready
	crashCheckEvery = 20                      // rounds
)

// TestCrash kills the daemon at random moments while files are written and rewritten, and looks at every version of every
// object that ever became visible: each is whole, none is older than the one before it, and in the end each file is there
// as it is on the disk.
func TestCrash(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	if err := server.Client().EnableVersioning(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, append(stored(server, server.Endpoint, bucket), "CODESTORYD_SETTLE=100ms")...)
	stop, writers := writeSteadily(t, m.dir)
	history := crashHistory{t: t, server: server, bucket: bucket, last: map[string]int{}, seen: map[string]bool{}}
	for round := range *crashRounds {
		if rand.IntN(4) > 0 {
			m.start()
		} else {
			m.launch() // and perhaps kill it before it is ready
		}
		running := m.running
		time.AfterFunc(rand.N(crashWithin), func() { _ = running.cmd.Process.Kill() })
		<-running.exit
		m.logOnFailure()
		if round%crashCheckEvery == crashCheckEvery-1 {
			history.check()
			t.Logf("%d rounds, %d versions", round+1, len(history.seen))
		}
		if t.Failed() {
			break
		}
	}
	stop()
	if err := writers(); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.awaitSynced(crashWriters * crashFiles)
	s := m.await("an empty queue", func(s codestory.Status) bool {
		return s.Queue.Queued+s.Queue.Uploading+s.Queue.Retrying+s.Queue.Blocked == 0
	})
	for _, p := range s.Problems {
		if p.Code == "database_set_aside" || p.Code == "database_failing" {
			t.Errorf("a problem is left: %+v", p)
		}
	}
	history.check()
	sameObjects(t, m, server, bucket)
	t.Logf("%d rounds, %d versions of %d objects", *crashRounds, len(history.seen), len(history.last))
	if len(history.seen) < crashWriters*crashFiles {
		t.Error("too few versions to show anything")
	}
}

// writeSteadily writes and rewrites files below dir from several goroutines until stop is called. wait returns when they
// have ended, with what went wrong.
func writeSteadily(t *testing.T, dir string) (stop func(), wait func() error) {
	ctx, stop := context.WithCancel(t.Context())
	errs := make([]error, crashWriters)
	var writers sync.WaitGroup
	for n := range crashWriters {
		writers.Go(func() { errs[n] = rewrite(ctx, dir, n) })
	}
	wait = func() error {
		writers.Wait()
		return errors.Join(errs...)
	}
	t.Cleanup(func() {
		stop()
		_ = wait()
	})
	return stop, wait
}

// rewrite writes one version after another of its files, each in one of several ways.
func rewrite(ctx context.Context, dir string, writer int) error {
	numbers := make([]int, crashFiles)
	for n := 0; ctx.Err() == nil || n < crashFiles; n++ { // each file at least once
		i := n
		if n >= crashFiles {
			i = rand.IntN(crashFiles)
		}
		numbers[i]++
		path := codestory.ChapterPath(story, writer*crashFiles+i+1)
		name := filepath.Join(dir, filepath.FromSlash(string(path)))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		if err := writeVersion(name, crashVersion(path.Key(), numbers[i])); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(40 * time.Millisecond)):
		}
	}
	return nil
}

// writeVersion writes the file in pieces: in its place, or under a name that is not uploaded, to be renamed.
func writeVersion(name string, content []byte) error {
	as := name
	if rand.IntN(2) == 0 {
		as += ".tmp"
	}
	f, err := os.Create(as)
	if err != nil {
		return err
	}
	for piece := range 4 {
		_, writeErr := f.Write(content[len(content)*piece/4 : len(content)*(piece+1)/4])
		err = errors.Join(err, writeErr)
	}
	if err = errors.Join(err, f.Close()); err != nil || as == name {
		return err
	}
	return os.Rename(as, name)
}

// crashVersion is the content of the file's n-th version. It says so, so that a torn one shows.
func crashVersion(key string, n int) []byte {
	body := make([]byte, rand.IntN(200_000))
	if rand.IntN(20) == 0 {
		body = make([]byte, 3_000_000)
	}
	rng := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, key, n)))
	_, _ = rng.Read(body) // never fails
	return append(fmt.Appendf(nil, "%s %d %x\n", key, n, sha256.Sum256(body)), body...)
}

// numberOf is the number of the version that the content of an object is, if it is whole.
func numberOf(key string, content []byte) (n int, err error) {
	line, body, _ := bytes.Cut(content, []byte("\n"))
	var sum string
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(line), key), " %d %s", &n, &sum); err != nil {
		return 0, fmt.Errorf("%d bytes that begin with %.100q are no version", len(content), line)
	}
	if sum != fmt.Sprintf("%x", sha256.Sum256(body)) {
		return 0, fmt.Errorf("version %d is torn: it has %d bytes", n, len(content))
	}
	return n, nil
}

// crashHistory holds every version of every object against those before it.
type crashHistory struct {
	t      *testing.T
	server *remotetest.MinIO
	bucket string
	last   map[string]int  // the newest version, by key
	seen   map[string]bool // version ids
}

// check looks at the versions that have come since the last time, in the order in which they became visible.
func (v *crashHistory) check() {
	v.t.Helper()
	fresh := map[string][]minio.ObjectInfo{} // by key, the newest first
	for info := range v.server.Client().ListObjects(v.t.Context(), v.bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if info.Err != nil {
			v.t.Fatal(info.Err)
		}
		if info.IsDeleteMarker {
			v.t.Errorf("%s was deleted", info.Key)
		}
		if !v.seen[info.VersionID] {
			v.seen[info.VersionID] = true
			fresh[info.Key] = append(fresh[info.Key], info)
		}
	}
	for key, infos := range fresh {
		for i := len(infos) - 1; i >= 0; i-- {
			n, err := numberOf(key, v.read(infos[i]))
			if err != nil {
				v.t.Errorf("%s: %v", key, err)
			} else if n < v.last[key] {
				v.t.Errorf("%s: version %d became visible after version %d", key, n, v.last[key])
			}
			v.last[key] = max(n, v.last[key])
		}
	}
}

func (v *crashHistory) read(info minio.ObjectInfo) []byte {
	v.t.Helper()
	object, err := v.server.Client().GetObject(v.t.Context(), v.bucket, info.Key, minio.GetObjectOptions{VersionID: info.VersionID})
	if err != nil {
		v.t.Fatal(err)
	}
	defer func() { _ = object.Close() }()
	content, err := io.ReadAll(object)
	if err != nil {
		v.t.Fatal(err)
	}
	return content
}
