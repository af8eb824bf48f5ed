package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// These tests run the real program against a real MinIO.

// objects are those in the bucket, by key, as a client that is not ours sees them.
func objects(t *testing.T, server *remotetest.MinIO, bucket string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for info := range server.Client().ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if info.Err != nil {
			t.Fatal(info.Err)
		}
		object, err := server.Client().GetObject(t.Context(), bucket, info.Key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(object)
		if err != nil {
			t.Fatal(err)
		}
		found[info.Key] = string(b)
	}
	return found
}

// sameObjects holds the bucket against the directory.
func sameObjects(t *testing.T, m *machine, server *remotetest.MinIO, bucket string) {
	t.Helper()
	want, got := m.files(), objects(t, server, bucket)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if content, ok := got[key]; !ok {
			t.Errorf("%s is not in the bucket", key)
		} else if content != want[key] {
			t.Errorf("%s has %d bytes in the bucket that are not the file's %d", key, len(content), len(want[key]))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s is in the bucket and not in the directory", key)
		}
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestStoryIsUploadedAndPlays(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	m := newMachine(t, stored(server, server.Endpoint, bucket)...)
	m.start()
	copyTree(t, filepath.Join("..", "..", "testdata", "output"), m.dir)
	m.awaitSynced(len(m.files()))
	sameObjects(t, m, server, bucket)

	const kilo = "3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06"
	info, err := server.Client().StatObject(t.Context(), bucket, "stories/"+kilo+"/audio/story.mp3", minio.StatObjectOptions{})
	if err != nil || info.ContentType != "audio/mpeg" {
		t.Errorf("content type %q, %v", info.ContentType, err)
	}
	var link codestory.Link
	if code := m.get("/api/storage/stories/"+kilo+"/audio", &link); code != http.StatusOK {
		t.Fatalf("audio: %d", code)
	}
	if link.Source != "remote" || link.ExpiresIn != 3600 || !strings.HasPrefix(link.URL, server.Endpoint) {
		t.Errorf("link: %+v", link)
	}
	want := m.files()["stories/"+kilo+"/audio/story.mp3"]
	resp, body := m.fetch(link.URL)
	if resp.StatusCode != http.StatusOK || string(body) != want || resp.Header.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("the link answers %s with %d bytes of %s", resp.Status, len(body), resp.Header.Get("Content-Type"))
	}
	tampered := strings.Replace(link.URL, "X-Amz-Expires=3600", "X-Amz-Expires=36000", 1)
	if resp, _ := m.fetch(tampered); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a tampered link is answered with %s", resp.Status)
	}
	if code := m.get("/api/storage/stories/"+kilo+"/chapters/9/audio", nil); code != http.StatusNotFound {
		t.Errorf("a chapter that is not there: %d", code)
	}
	if code := m.get("/api/storage/stories/"+string(another)+"/audio", nil); code != http.StatusNotFound {
		t.Errorf("a story that is not there: %d", code)
	}
	if code := m.get("/api/storage/stories/"+kilo+"/audio/stream", nil); code != http.StatusFound {
		t.Errorf("stream: %d", code)
	}
}

func TestStoreThatComesUpLater(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	server.Stop()
	m := newMachine(t, stored(server, server.Endpoint, bucket)...)
	m.write(codestory.StoryAudioPath(story), []byte("all of it"))
	m.start()
	m.await("the store to be unavailable", func(s codestory.Status) bool {
		return s.Remote.State == codestory.RemoteUnavailable && s.Remote.Message != nil &&
			*s.Remote.Message != "not asked yet" && s.Queue.Queued == 1
	})
	var link codestory.Link
	if code := m.get("/api/storage/stories/"+string(story)+"/audio", &link); code != http.StatusOK || link.Source != "local" {
		t.Errorf("audio with the store away: %d, %+v", code, link)
	}
	if resp, body := m.fetch(link.URL); resp.StatusCode != http.StatusOK || string(body) != "all of it" {
		t.Errorf("the local link answers %s, %q", resp.Status, body)
	}
	server.Start(t)
	m.awaitSynced(1)
	sameObjects(t, m, server, bucket)
}

func TestWrongSecretKey(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	proxy := remotetest.CountingProxy(t, server.Endpoint)
	bucket := server.Bucket(t)
	env := stored(server, proxy.URL, bucket)
	m := newMachine(t, append(env, "AWS_SECRET_ACCESS_KEY=wrong-secret")...)
	for i := range 50 {
		m.write(codestory.ChapterPath(story, i+1), []byte("chapter"))
	}
	m.start()
	m.await("denied", func(s codestory.Status) bool {
		return s.Remote.State == codestory.RemoteDenied && s.Queue.Queued == 50
	})
	if n := len(proxy.Requests()); n >= 20 {
		t.Errorf("%d requests reached the server", n)
	}
	if err := m.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	m.env = env
	m.start()
	m.awaitSynced(50)
	sameObjects(t, m, server, bucket)
}

// Killed at any moment while files are written and rewritten, nothing is lost or torn.
func TestKilledTwentyTimes(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	m := newMachine(t, stored(server, server.Endpoint, bucket)...)
	const files, kills = 200, 20
	for i := range files {
		if i%(files/kills) == 0 {
			if m.running != nil {
				m.kill()
			}
			m.start()
		}
		m.write(codestory.ChapterPath(story, i+1), bytes.Repeat(fmt.Appendf(nil, "file %d ", i), 1+i*100))
		if i%7 == 0 {
			m.write(codestory.ChapterPath(story, i/2+1), fmt.Appendf(nil, "rewritten %d", i))
		}
	}
	m.kill()
	m.start()
	m.awaitSynced(files)
	sameObjects(t, m, server, bucket)
	for upload := range server.Client().ListIncompleteUploads(t.Context(), bucket, "", true) {
		t.Errorf("an upload is left open: %+v", upload)
	}
}

// The first signal ends the daemon in time even where uploads are slow, and the next start finishes them.
func TestSIGTERMInTheMiddleOfUploads(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	bucket := server.Bucket(t)
	m := newMachine(t, append(stored(server, server.Endpoint, bucket), "CODESTORYD_BWLIMIT=100k")...)
	for i := range 4 {
		m.write(codestory.ChapterPath(story, i+1), bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	}
	m.start()
	m.await("an upload under way", func(s codestory.Status) bool {
		return len(s.Uploads) > 0 && s.Uploads[0].SentBytes > 0
	})
	if err := m.stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	if len(objects(t, server, bucket)) == 4 {
		t.Error("the uploads were too quick to be stopped in their middle")
	}
	m.env = stored(server, server.Endpoint, bucket)
	m.start()
	m.awaitSynced(4)
	sameObjects(t, m, server, bucket)
}

func TestDaemonFileIsThereWhileRunning(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	name := filepath.Join(m.dataDir, "daemon.json")
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("daemon.json is left behind")
	}
}
