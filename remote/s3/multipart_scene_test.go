package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// testPart is the smallest part that S3 takes.
const testPart = 5 << 20

// inParts sends everything above testPart in parts, without reading it ahead.
func inParts(o *Options) { o.sizes = sizes{partsAbove: testPart, minPart: testPart, readAheadUpTo: 1} }

// inPartsReadAhead reads it ahead, too.
func inPartsReadAhead(o *Options) { o.sizes = sizes{partsAbove: testPart, minPart: testPart} }

// ledger is a remote.Ledger in memory.
type ledger struct {
	mu     sync.Mutex
	state  []byte
	saves  int
	onSave func(saves int) error // may be nil
}

func (l *ledger) State() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *ledger) Save(state []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saves++
	if l.onSave != nil {
		if err := l.onSave(l.saves); err != nil {
			return err
		}
	}
	l.state = state
	return nil
}

// upload decodes what the ledger has, which must be a state of size bytes in parts of testPart.
func (l *ledger) upload(t *testing.T, size int) uploadState {
	t.Helper()
	s, err := decodeState(l.State(), newLayout(int64(size), testPart))
	if err != nil {
		t.Fatalf("the ledger has %q: %v", l.State(), err)
	}
	return s
}

// scene is a bucket of a real server, and the way to it.
type scene struct {
	server *remotetest.MinIO
	bucket string
	proxy  *remotetest.Proxy
}

func newScene(t *testing.T, server *remotetest.MinIO) *scene {
	t.Helper()
	return &scene{server, server.Bucket(t), remotetest.CountingProxy(t, server.Endpoint)}
}

// open makes a store that goes through the proxy.
func (s *scene) open(t *testing.T, change func(*Options)) *Store {
	t.Helper()
	return open(t, s.server, s.bucket, func(o *Options) {
		o.Endpoint = s.proxy.URL
		change(o)
	})
}

// anew counts from here on: what a put that was cut off still had on the way is not told from what comes next, unless
// that takes another way.
func (s *scene) anew(t *testing.T) {
	t.Helper()
	s.proxy = remotetest.CountingProxy(t, s.server.Endpoint)
}

// counts are the requests since the last call, by what they do.
func (s *scene) counts() map[string]int { return countRequests(s.proxy.Requests()) }

func countRequests(requests []string) map[string]int {
	counts := map[string]int{}
	for _, r := range requests {
		method, uri, _ := strings.Cut(r, " ")
		switch {
		case method == "POST" && strings.Contains(uri, "uploads="):
			counts["create"]++
		case method == "POST":
			counts["complete"]++
		case method == "PUT" && strings.Contains(uri, "partNumber="):
			counts["part"]++
		case method == "GET" && strings.Contains(uri, "uploadId="):
			counts["list"]++
		case method == "DELETE":
			counts["abort"]++
		default:
			counts[method]++
		}
	}
	return counts
}

func wantCounts(t *testing.T, got, want map[string]int) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the server got %v, want %v", got, want)
	}
}

// openUploads are the ids of the uploads in parts of the key that are open on the server.
func (s *scene) openUploads(t *testing.T) []string {
	t.Helper()
	core := minio.Core{Client: s.server.Client()}
	list, err := core.ListMultipartUploads(t.Context(), s.bucket, key, "", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, u := range list.Uploads {
		// MinIO goes on listing one that is gone where a part of it was on its way just then.
		if _, err := core.ListObjectParts(t.Context(), s.bucket, key, u.UploadID, 0, 1); codeOf(err) != minio.NoSuchUpload {
			ids = append(ids, u.UploadID)
		}
	}
	slices.Sort(ids)
	return ids
}

// abortCut aborts an upload that was cut off, as its keeper does, until it stays gone.
func (s *scene) abortCut(t *testing.T, store *Store, l *ledger, size int) {
	t.Helper()
	s.untilGone(t, l.upload(t, size).ID, func() error { return store.Abort(t.Context(), key, l.State()) })
}

// abortFromOutside aborts an upload behind its keeper's back, until it stays gone.
func (s *scene) abortFromOutside(t *testing.T, id string) {
	t.Helper()
	core := minio.Core{Client: s.server.Client()}
	s.untilGone(t, id, func() error {
		err := core.AbortMultipartUpload(t.Context(), s.bucket, key, id)
		if codeOf(err) == minio.NoSuchUpload {
			return nil
		}
		return err
	})
}

// untilGone aborts again and again until the upload was not to be seen for a moment: a part that was on its way may
// outlive an abort (AbortMultipartUpload in the API reference of Amazon S3), and versitygw answers 500 as long as one
// is.
func (s *scene) untilGone(t *testing.T, id string, abort func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(20 * time.Second)
	for looks := 0; looks < 6; looks++ {
		err := abort()
		if err != nil || slices.Contains(s.openUploads(t), id) {
			looks = -1
		}
		if time.Now().After(deadline) {
			t.Fatalf("the upload %s outlives every abort: %v", id, err)
		}
		<-tick.C
	}
}

func (s *scene) wantOpen(t *testing.T, want ...string) {
	t.Helper()
	if got := s.openUploads(t); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("the uploads %q are open, want %q", got, want)
	}
}

// wantObject reads the object with another client and holds it against data.
func (s *scene) wantObject(t *testing.T, data []byte) minio.ObjectInfo {
	t.Helper()
	object, err := s.server.Client().GetObject(t.Context(), s.bucket, key, minio.GetObjectOptions{})
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

func (s *scene) wantNoObject(t *testing.T, store *Store) {
	t.Helper()
	if object, err := store.Stat(t.Context(), key); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("stat: %+v, %v, want no object", object, err)
	}
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

// cutAfter puts data and is killed once so many parts are in the ledger, though more may be on the server.
func cutAfter(t *testing.T, store *Store, data []byte, l *ledger, parts int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l.saves = 0
	l.onSave = func(saves int) error {
		switch {
		case saves == 1+parts:
			cancel()
		case saves > 1+parts:
			return errors.New("the process is dead")
		}
		return nil
	}
	_, err := putLedger(ctx, t, store, remotetest.NewSource(data), l)
	if codestory.ClassOf(ctx, err) != codestory.ClassStopped || err == nil {
		t.Fatalf("the put that was cut off: %v, want it stopped", err)
	}
	l.onSave = nil
}

// etagOf is the ETag of data in parts of testPart, by S3's rule.
func etagOf(data []byte) string {
	sums, n := md5.New(), 0
	for piece := range slices.Chunk(data, testPart) {
		sum := md5.Sum(piece)
		sums.Write(sum[:])
		n++
	}
	return fmt.Sprintf("%x-%d", sums.Sum(nil), n)
}
