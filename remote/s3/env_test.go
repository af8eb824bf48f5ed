package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/sse"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// TestMain keeps tests that run in a cloud from asking for the role of their machine.
func TestMain(m *testing.M) {
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Exit(m.Run())
}

const key = "stories/0f9619ff-8b86-4d01-b42d-00c04fc964ff/audio/story.mp3"

// testPart is the smallest part that S3 takes.
const testPart = 5 << 20

// inParts sends everything above testPart in parts, without its MD5.
func inParts(o *Options) { o.sizes = sizes{partsAbove: testPart, minPart: testPart, digestUpTo: 1} }

// inPartsWithMD5 computes that ahead.
func inPartsWithMD5(o *Options) { o.sizes = sizes{partsAbove: testPart, minPart: testPart} }

// inSmallParts is for servers that take parts of any size.
func inSmallParts(o *Options) { o.sizes = sizes{partsAbove: 1000, minPart: 1000, digestUpTo: 1} }

// open makes a store for bucket of the server, with what change sets.
func open(t *testing.T, server *remotetest.MinIO, bucket string, change func(*Options)) *Store {
	t.Helper()
	opts := Options{
		Bucket: bucket, Endpoint: server.Endpoint,
		AccessKey: server.AccessKey, SecretKey: Secret(server.SecretKey),
	}
	if change != nil {
		change(&opts)
	}
	return mustNew(t, opts)
}

func mustNew(t *testing.T, opts Options) *Store {
	t.Helper()
	store, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func put(t *testing.T, store *Store, data []byte) (remote.Object, error) {
	t.Helper()
	return store.Put(t.Context(), key, remotetest.NewSource(data), remote.PutOptions{ContentType: "audio/mpeg"})
}

// putLedger puts data with a ledger, and closes the source afterwards as its owner does.
func putLedger(ctx context.Context, t *testing.T, store *Store, src *remotetest.Source, l remote.Ledger,
) (remote.Object, error) {
	t.Helper()
	object, err := store.Put(ctx, key, src, remote.PutOptions{ContentType: "audio/mpeg", Ledger: l})
	src.Close()
	t.Cleanup(func() {
		if src.ReadLate() {
			t.Error("the source was read after Put had returned")
		}
	})
	return object, err
}

// ledger is a remote.Ledger in memory.
type ledger struct {
	mu     sync.Mutex
	state  []byte
	onSave func() error // may be nil
}

func (l *ledger) State() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *ledger) Save(state []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onSave != nil {
		if err := l.onSave(); err != nil {
			return err
		}
	}
	l.state = state
	return nil
}

// id is the upload that the ledger names.
func (l *ledger) id(t *testing.T) string {
	t.Helper()
	u := &upload{src: remotetest.NewSource([]byte("x"))}
	if err := u.load(l.State()); err != nil {
		t.Fatalf("the ledger has %q: %v", l.State(), err)
	}
	return u.state.ID
}

// env is a bucket of a real server, and the way to it.
type env struct {
	server *remotetest.MinIO
	bucket string
	proxy  *remotetest.Proxy
}

func newEnv(t *testing.T, server *remotetest.MinIO) *env {
	t.Helper()
	return &env{server, server.Bucket(t), remotetest.CountingProxy(t, server.Endpoint)}
}

// open makes a store that goes through the proxy.
func (e *env) open(t *testing.T, change func(*Options)) *Store {
	t.Helper()
	return open(t, e.server, e.bucket, func(o *Options) {
		o.Endpoint = e.proxy.URL
		change(o)
	})
}

// core is another client of the server.
func (e *env) core() minio.Core { return minio.Core{Client: e.server.Client()} }

// begin starts an upload of another client.
func (e *env) begin(t *testing.T) (id string) {
	t.Helper()
	id, err := e.core().NewMultipartUpload(t.Context(), e.bucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (e *env) putPart(t *testing.T, id string, number int, data []byte) minio.ObjectPart {
	t.Helper()
	part, err := e.core().PutObjectPart(t.Context(), e.bucket, key, id, number, bytes.NewReader(data), int64(len(data)),
		minio.PutObjectPartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return part
}

// cutAfter puts data, and the process dies once the server has that many parts.
func (e *env) cutAfter(t *testing.T, change func(*Options), data []byte, l *ledger, parts int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	e.proxy.Before(func(w http.ResponseWriter, r *http.Request) (answered bool) {
		if kindOf(r.Method, r.URL.RequestURI()) != "part" {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if parts == 0 {
			panic(http.ErrAbortHandler)
		}
		e.proxy.Forward(w, r)
		if parts--; parts == 0 {
			cancel()
		}
		return true
	})
	_, err := putLedger(ctx, t, e.open(t, change), remotetest.NewSource(data), l)
	if codestory.ClassOf(ctx, err) != codestory.ClassStopped || err == nil {
		t.Fatalf("the put that was cut off: %v, want it stopped", err)
	}
	// What is still on its way to the old proxy is not counted with what comes next.
	e.proxy = remotetest.CountingProxy(t, e.server.Endpoint)
}

// drop has the proxy cut the connection of some requests: before they reach the server, or in place of the answer.
func (e *env) drop(before, after string) {
	e.proxy.Before(func(w http.ResponseWriter, r *http.Request) (answered bool) {
		switch kindOf(r.Method, r.URL.RequestURI()) {
		case after:
			e.proxy.Forward(discarded{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		case before:
			panic(http.ErrAbortHandler)
		}
		return false
	})
}

// discarded is an answer that gets lost.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

// kindOf is what a request does.
func kindOf(method, uri string) string {
	switch {
	case method == "POST" && strings.Contains(uri, "uploads="):
		return "create"
	case method == "POST":
		return "complete"
	case method == "PUT" && strings.Contains(uri, "partNumber="):
		return "part"
	case method == "GET" && strings.Contains(uri, "uploadId="):
		return "list"
	case method == "DELETE":
		return "abort"
	default:
		return method
	}
}

// counts are the requests since the last call, by kind.
func (e *env) counts() map[string]int {
	counts := map[string]int{}
	for _, r := range e.proxy.Requests() {
		method, uri, _ := strings.Cut(r, " ")
		counts[kindOf(method, uri)]++
	}
	return counts
}

func wantCounts(t *testing.T, got, want map[string]int) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the server got %v, want %v", got, want)
	}
}

// uploads are the ids of the uploads in parts of the key that are open on the server.
func (e *env) uploads(t *testing.T) []string {
	t.Helper()
	list, err := e.core().ListMultipartUploads(t.Context(), e.bucket, key, "", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, u := range list.Uploads {
		// MinIO still lists an upload that is gone if a part of it was on its way just then.
		if _, err := e.core().ListObjectParts(t.Context(), e.bucket, key, u.UploadID, 0, 1); codeOf(err) != minio.NoSuchUpload {
			ids = append(ids, u.UploadID)
		}
	}
	slices.Sort(ids)
	return ids
}

func (e *env) wantUploads(t *testing.T, want ...string) {
	t.Helper()
	if got := e.uploads(t); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the uploads %q are open, want %q", got, want)
	}
}

// untilGone aborts again and again until the upload was not seen for a moment: a part that was on its way may survive an
// abort (AbortMultipartUpload in the API reference of Amazon S3), and versitygw answers 500 while one is.
func (e *env) untilGone(t *testing.T, id string, abort func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
	for looks := 0; looks < 6; looks++ {
		err := abort()
		if err != nil || slices.Contains(e.uploads(t), id) {
			looks = -1
		}
		if time.Now().After(deadline) {
			t.Fatalf("the upload %s survives every abort: %v", id, err)
		}
		<-tick.C
	}
}

// abort aborts the upload of a ledger, as its owner does, until it stays gone.
func (e *env) abort(t *testing.T, store *Store, l *ledger) {
	t.Helper()
	e.untilGone(t, l.id(t), func() error { return store.Abort(t.Context(), key, l.State()) })
}

// abortByOthers aborts an upload behind its owner's back.
func (e *env) abortByOthers(t *testing.T, id string) {
	t.Helper()
	e.untilGone(t, id, func() error {
		err := e.core().AbortMultipartUpload(t.Context(), e.bucket, key, id)
		if codeOf(err) == minio.NoSuchUpload {
			return nil
		}
		return err
	})
}

// wantObject reads the object with another client and compares it with data.
func (e *env) wantObject(t *testing.T, data []byte) minio.ObjectInfo {
	t.Helper()
	object, err := e.server.Client().GetObject(t.Context(), e.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	got, err := io.ReadAll(object)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("another client reads %d bytes, %v, want the %d that were put", len(got), err, len(data))
	}
	info, err := object.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (e *env) wantNoObject(t *testing.T, store *Store) {
	t.Helper()
	if object, err := store.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("stat: %+v, %v, want no object", object, err)
	}
}

func (e *env) remove(t *testing.T) {
	t.Helper()
	if err := e.server.Client().RemoveObject(t.Context(), e.bucket, key, minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// etagOf is the ETag of data in parts of size, by S3's rule.
func etagOf(data []byte, size int) string {
	sums, n := md5.New(), 0
	for piece := range slices.Chunk(data, size) {
		sum := md5.Sum(piece)
		sums.Write(sum[:])
		n++
	}
	return fmt.Sprintf("%x-%d", sums.Sum(nil), n)
}

// startKMS starts a server whose buckets can be encrypted with a key of its own, and encrypts one.
func startKMS(t *testing.T) *env {
	t.Helper()
	e := newEnv(t, remotetest.StartMinIO(t, remotetest.MinIOOptions{Env: []string{
		"MINIO_KMS_SECRET_KEY=test:" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	}}))
	if err := e.server.Client().SetBucketEncryption(t.Context(), e.bucket, sse.NewConfigurationSSEKMS("test")); err != nil {
		t.Fatal(err)
	}
	return e
}
