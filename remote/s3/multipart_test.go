package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

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
		ids = append(ids, u.UploadID)
	}
	slices.Sort(ids)
	return ids
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

func TestMinIOInParts(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	for name, suite := range map[string]struct {
		change func(*Options)
		opts   remotetest.Options
	}{
		"suite": {inParts, remotetest.Options{
			Metadata: metadata(server), NoLargeMD5: "only the MD5s of its parts are known",
		}},
		"suite, read ahead": {inPartsReadAhead, remotetest.Options{Metadata: metadata(server)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remotetest.TestStore(t, func(t *testing.T) remote.Store {
				return open(t, server, server.Bucket(t), suite.change)
			}, suite.opts)
		})
	}
	for name, test := range map[string]func(*testing.T, *scene){
		"whole":                                whole,
		"killed and gone on with":              killedAndResumed,
		"parts that the server disagrees with": disagreement,
		"the ledger lost":                      ledgerLost,
		"the server lost it":                   serverLost,
		"the server loses it meanwhile":        serverLoses,
		"states that do not fit":               statesThatDoNotFit,
		"the ledger refuses":                   ledgerRefuses,
		"a changed file":                       changedFile,
		"a change that only its bytes show":    changedBytes,
		"without a ledger":                     noLedger,
		"abort":                                abortOurs,
		"the uploads of others":                othersSurvive,
		"complete answered by nobody":          completeUnanswered,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newScene(t, server))
		})
	}
}

func whole(t *testing.T, s *scene) {
	data := remotetest.Bytes(3*testPart + 1)
	digest := md5.Sum(data)
	sum := hex.EncodeToString(digest[:])
	for _, c := range []struct {
		change func(*Options)
		md5    string
		meta   string
	}{
		{inPartsReadAhead, sum, base64.StdEncoding.EncodeToString(digest[:])},
		{inParts, "", ""},
	} {
		store := s.open(t, c.change)
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{})
		if err != nil {
			t.Fatal(err)
		}
		wantCounts(t, s.counts(), map[string]int{"create": 1, "part": 4, "complete": 1})
		if object.MD5 != c.md5 || object.ETag != etagOf(data) || object.Size != int64(len(data)) {
			t.Errorf("put: %+v, want the MD5 %q and the ETag %s", object, c.md5, etagOf(data))
		}
		info := s.wantObject(t, data)
		if info.UserMetadata["Md5chksum"] != c.meta || info.ContentType != "audio/mpeg" || info.ETag != object.ETag {
			t.Errorf("another client sees %+v, want Md5chksum %q", info, c.meta)
		}
		stat, err := store.Stat(t.Context(), key)
		if err != nil || stat.MD5 != c.md5 {
			t.Errorf("stat: %+v, %v, want the MD5 %q", stat, err, c.md5)
		}
		body, opened, err := store.Open(t.Context(), key, testPart-1, 2)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.Equal(got, data[testPart-1:testPart+1]) || opened.MD5 != c.md5 {
			t.Errorf("open across parts: %x, %v of %+v", got, err, opened)
		}
		s.wantOpen(t)
		s.counts()
	}
}

func killedAndResumed(t *testing.T, s *scene) {
	data := remotetest.Bytes(9*testPart + 12345)
	for _, change := range []func(*Options){inParts, inPartsReadAhead} {
		l := &ledger{}
		cutAfter(t, s.open(t, change), data, l, 3)
		if first := s.counts(); first["create"] != 1 || first["complete"] != 0 {
			t.Errorf("before the kill: %v", first)
		}
		cut := l.upload(t, len(data))
		s.wantOpen(t, cut.ID)
		s.anew(t)
		missing := len(cut.missing())
		if missing != 7 {
			t.Fatalf("%d parts are missing in the ledger, want 7 of 10", missing)
		}
		object, err := putLedger(t.Context(), t, s.open(t, change), remotetest.NewSource(data), l)
		if err != nil {
			t.Fatal(err)
		}
		wantCounts(t, s.counts(), map[string]int{"list": 1, "part": missing, "complete": 1})
		if id := l.upload(t, len(data)).ID; id != cut.ID {
			t.Errorf("upload %s was gone on with as %s", cut.ID, id)
		}
		if object.ETag != etagOf(data) || object.MD5 != cut.MD5 {
			t.Errorf("put: %+v, want the ETag %s and the MD5 %q", object, etagOf(data), cut.MD5)
		}
		s.wantObject(t, data)
		s.wantOpen(t)
	}
}

// disagreement has another part 2 on the server than in the ledger, and lacks what the ledger says is part 3.
func disagreement(t *testing.T, s *scene) {
	data := remotetest.Bytes(4 * testPart)
	l := &ledger{}
	store := s.open(t, inParts)
	core := minio.Core{Client: s.server.Client()}
	id, err := core.NewMultipartUpload(t.Context(), s.bucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state := newUploadState(id, newLayout(int64(len(data)), testPart))
	for i, content := range [][]byte{data[:testPart], bytes.Repeat([]byte("x"), testPart)} {
		_, err := core.PutObjectPart(t.Context(), s.bucket, key, id, i+1, bytes.NewReader(content), testPart,
			minio.PutObjectPartOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		digest := md5.Sum(data[i*testPart : (i+1)*testPart])
		sum := hex.EncodeToString(digest[:])
		state.Parts[i] = sentPart{MD5: sum, ETag: sum}
	}
	u := &upload{opts: remote.PutOptions{Ledger: l}, state: state}
	if err := u.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, s.counts(), map[string]int{"list": 1, "part": 3, "complete": 1})
	s.wantObject(t, data)
	s.wantOpen(t)
}

func ledgerLost(t *testing.T, s *scene) {
	data := remotetest.Bytes(4 * testPart)
	lost := &ledger{}
	cutAfter(t, s.open(t, inParts), data, lost, 2)
	s.anew(t)
	if _, err := putLedger(t.Context(), t, s.open(t, inParts), remotetest.NewSource(data), &ledger{}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, s.counts(), map[string]int{"create": 1, "part": 4, "complete": 1})
	s.wantObject(t, data)
	s.wantOpen(t, lost.upload(t, len(data)).ID) // nobody knows whose it is
}

func serverLost(t *testing.T, s *scene) {
	data := remotetest.Bytes(4 * testPart)
	for _, parts := range []int{2, 4} {
		l := &ledger{}
		cutAfter(t, s.open(t, inParts), data, l, parts)
		lost := l.upload(t, len(data)).ID
		core := minio.Core{Client: s.server.Client()}
		if err := core.AbortMultipartUpload(t.Context(), s.bucket, key, lost); err != nil {
			t.Fatal(err)
		}
		if err := s.server.Client().RemoveObject(t.Context(), s.bucket, key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		s.anew(t)
		if _, err := putLedger(t.Context(), t, s.open(t, inParts), remotetest.NewSource(data), l); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"list": 1, "create": 1, "part": 4, "complete": 1}
		if parts == 4 {
			want["HEAD"] = 1
		}
		wantCounts(t, s.counts(), want)
		if l.upload(t, len(data)).ID == lost {
			t.Error("the lost upload was gone on with")
		}
		s.wantObject(t, data)
		s.wantOpen(t)
	}
}

func serverLoses(t *testing.T, s *scene) {
	data := remotetest.Bytes(8 * testPart)
	l := &ledger{}
	store := s.open(t, inParts)
	core := minio.Core{Client: s.server.Client()}
	l.onSave = func(saves int) error {
		if saves != 2 {
			return nil
		}
		return core.AbortMultipartUpload(t.Context(), s.bucket, key, s.openUploads(t)[0])
	}
	_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
	if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry || !errors.Is(err, errUploadGone) {
		t.Errorf("put: %v, want an error to try again that says that the upload is gone", err)
	}
	if len(l.State()) != 0 {
		t.Errorf("the ledger still has %q", l.State())
	}
	l.onSave = nil
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
		t.Fatal(err)
	}
	s.wantObject(t, data)
	s.wantOpen(t)
}

func statesThatDoNotFit(t *testing.T, s *scene) {
	data := remotetest.Bytes(2 * testPart)
	core := minio.Core{Client: s.server.Client()}
	for name, state := range map[string]string{
		"another size": `{"v":1,"id":"%s","size":77,"part_size":5242880,"parts":["",""]}`,
		"another kind": `{"v":99,"id":"%s","chunks":true}`,
		"another key":  `{"v":1,"id":"11111111-%s","size":10485760,"part_size":5242880,"parts":["",""]}`,
		"no JSON":      "%%%s",
		"no id":        `{"v":1}`,
	} {
		id, err := core.NewMultipartUpload(t.Context(), s.bucket, key, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l := &ledger{state: []byte(strings.Replace(state, "%s", id, 1))}
		if _, err := putLedger(t.Context(), t, s.open(t, inParts), remotetest.NewSource(data), l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.wantObject(t, data)
		if name == "another size" || name == "another kind" {
			s.wantOpen(t)
			continue
		}
		s.wantOpen(t, id) // it was not named
		if err := core.AbortMultipartUpload(t.Context(), s.bucket, key, id); err != nil {
			t.Fatal(err)
		}
	}
}

func ledgerRefuses(t *testing.T, s *scene) {
	full := errors.New("the test's disk is full")
	data := remotetest.Bytes(4 * testPart)
	store := s.open(t, inParts)
	l := &ledger{onSave: func(int) error { return full }}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); !errors.Is(err, full) {
		t.Errorf("put: %v, want the ledger's error", err)
	}
	wantCounts(t, s.counts(), map[string]int{"create": 1, "abort": 1}) // no part went before the id was written down
	s.wantOpen(t)

	l = &ledger{onSave: func(saves int) error {
		if saves > 2 {
			return full
		}
		return nil
	}}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); !errors.Is(err, full) {
		t.Errorf("put: %v, want the ledger's error", err)
	}
	s.wantNoObject(t, store)
	s.wantOpen(t, l.upload(t, len(data)).ID)
}

func changedFile(t *testing.T, s *scene) {
	data := remotetest.Bytes(6 * testPart)
	size := int64(len(data))
	store := s.open(t, inParts)
	for _, at := range []int64{0, 1, 2*testPart + 5, size} {
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(at), l)
		if !errors.Is(err, codestory.ErrChanged) {
			t.Errorf("changed at %d: %v, want ErrChanged", at, err)
		}
		if got := s.counts(); got["complete"] != 0 || got["abort"] != 1 {
			t.Errorf("changed at %d: the server got %v, want one abort and no complete", at, got)
		}
		if len(l.State()) != 0 {
			t.Errorf("changed at %d: the ledger still has %q", at, l.State())
		}
		s.wantNoObject(t, store)
		s.wantOpen(t)
	}

	// A resumed upload, all of whose parts are sent, is not completed either.
	l := &ledger{}
	cutAfter(t, store, data, l, 6)
	_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(0), l)
	if !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("changed while it was cut off: %v, want ErrChanged", err)
	}
	s.wantNoObject(t, store)
	s.wantOpen(t)

	// With its context ended it is left to whoever keeps the ledger.
	l = &ledger{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := remotetest.NewSource(data).ChangeAfter(testPart).OnReach(testPart, cancel)
	if _, err := putLedger(ctx, t, store, src, l); codestory.ClassOf(ctx, err) != codestory.ClassStopped {
		t.Errorf("changed and cut off: %v, want it stopped", err)
	}
	s.wantOpen(t, l.upload(t, len(data)).ID)
	if err := store.Abort(t.Context(), key, l.State()); err != nil {
		t.Errorf("abort: %v", err)
	}
	s.wantOpen(t)
}

// turning has other bytes at the second reading, which Check does not notice.
type turning struct {
	*remotetest.Source
	mu    sync.Mutex
	ahead int64
}

func (s *turning) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(p, offset)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += int64(n)
	if s.ahead > s.Size() && offset > 2*testPart {
		p[0]++
	}
	return n, err
}

func changedBytes(t *testing.T, s *scene) {
	store := s.open(t, inPartsReadAhead)
	src := &turning{Source: remotetest.NewSource(remotetest.Bytes(4 * testPart))}
	_, err := store.Put(t.Context(), key, src, remote.PutOptions{Ledger: &ledger{}})
	if !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("put: %v, want ErrChanged", err)
	}
	s.wantNoObject(t, store)
	s.wantOpen(t)
}

// noLedger: what nobody would ever know of does not stay.
func noLedger(t *testing.T, s *scene) {
	data := remotetest.Bytes(6 * testPart)
	store := s.open(t, inParts)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := remotetest.NewSource(data).OnReach(2*testPart, cancel)
	if _, err := putLedger(ctx, t, store, src, nil); codestory.ClassOf(ctx, err) != codestory.ClassStopped {
		t.Errorf("put: %v, want it stopped", err)
	}
	s.wantNoObject(t, store)
	s.wantOpen(t)
}

func abortOurs(t *testing.T, s *scene) {
	data := remotetest.Bytes(4 * testPart)
	ours, kept := &ledger{}, &ledger{}
	cutAfter(t, s.open(t, inParts), data, kept, 1)
	cutAfter(t, s.open(t, inParts), data, ours, 2)
	s.anew(t)
	store := s.open(t, inParts)
	if _, err := put(t, store, []byte("the old version")); err != nil {
		t.Fatal(err)
	}
	s.counts()
	for range 2 {
		if err := store.Abort(t.Context(), key, ours.State()); err != nil {
			t.Errorf("abort: %v", err)
		}
	}
	wantCounts(t, s.counts(), map[string]int{"abort": 2})
	s.wantOpen(t, kept.upload(t, len(data)).ID)
	for _, state := range []string{"", "{}", "null", "no JSON", `{"id":""}`, `{"id":7}`} {
		if err := store.Abort(t.Context(), key, []byte(state)); err != nil {
			t.Errorf("abort of %q: %v", state, err)
		}
	}
	wantCounts(t, s.counts(), map[string]int{})
	s.wantObject(t, []byte("the old version"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Abort(ctx, key, kept.State()); !errors.Is(err, context.Canceled) {
		t.Errorf("abort under an ended context: %v", err)
	}
}

func othersSurvive(t *testing.T, s *scene) {
	core := minio.Core{Client: s.server.Client()}
	id, err := core.NewMultipartUpload(t.Context(), s.bucket, key, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	theirs := remotetest.Bytes(testPart)
	part, err := core.PutObjectPart(t.Context(), s.bucket, key, id, 1, bytes.NewReader(theirs), testPart,
		minio.PutObjectPartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data := remotetest.Bytes(4*testPart + 9)
	store := s.open(t, inParts)
	l := &ledger{}
	cutAfter(t, store, data, l, 2)
	if err := store.Abort(t.Context(), key, l.State()); err != nil {
		t.Fatal(err)
	}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(1), &ledger{}); err == nil {
		t.Error("a changed file was put")
	}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
		t.Fatal(err)
	}
	s.wantObject(t, data)
	s.wantOpen(t, id)
	if _, err := core.CompleteMultipartUpload(t.Context(), s.bucket, key, id,
		[]minio.CompletePart{{PartNumber: 1, ETag: part.ETag}}, minio.PutObjectOptions{}); err != nil {
		t.Errorf("the others complete theirs: %v", err)
	}
	s.wantObject(t, theirs)
}

// breaking is a proxy that drops the connection instead of handing on the answer to some requests; those that it
// holds back do not get to the server either.
type breaking struct {
	url string

	mu       sync.Mutex
	drop     func(r *http.Request) bool
	hold     func(r *http.Request) bool
	requests []string
}

func newBreaking(t *testing.T, target string) *breaking {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	never := func(*http.Request) bool { return false }
	b := &breaking{drop: never, hold: never}
	transport := &http.Transport{DisableCompression: true}
	forward := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.requests = append(b.requests, r.Method+" "+r.URL.RequestURI())
		drop, hold := b.drop(r), b.hold(r)
		b.mu.Unlock()
		if hold {
			panic(http.ErrAbortHandler)
		}
		if drop {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	b.url = server.URL
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return b
}

func (b *breaking) set(drop, hold func(r *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop, b.hold = drop, hold
}

func (b *breaking) counts() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.requests = nil }()
	return countRequests(b.requests)
}

func isComplete(r *http.Request) bool { return r.Method == "POST" && r.URL.Query().Has("uploadId") }
func isHead(r *http.Request) bool     { return r.Method == "HEAD" }
func never(*http.Request) bool        { return false }

func completeUnanswered(t *testing.T, s *scene) {
	data := remotetest.Bytes(3*testPart + 9)
	proxy := newBreaking(t, s.server.Endpoint)
	store := open(t, s.server, s.bucket, func(o *Options) {
		inParts(o)
		o.Endpoint = proxy.url
	})
	remove := func() {
		if err := s.server.Client().RemoveObject(t.Context(), s.bucket, key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("but done", func(t *testing.T) {
		proxy.set(isComplete, never)
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{})
		if err != nil || object.ETag != etagOf(data) {
			t.Errorf("put: %+v, %v, want it found done", object, err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1, "abort": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
	t.Run("but done, and then nothing", func(t *testing.T) {
		remove()
		proxy.set(isComplete, isHead)
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
			t.Errorf("put: %v, want an error to try again", err)
		}
		proxy.counts()
		proxy.set(never, never)
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if err != nil || object.ETag != etagOf(data) {
			t.Errorf("put again: %+v, %v, want it found done", object, err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"list": 1, "HEAD": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
	t.Run("and not done", func(t *testing.T) {
		remove()
		proxy.set(never, isComplete)
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
			t.Errorf("put: %v, want an error to try again", err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1})
		proxy.set(never, never)
		if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
			t.Error(err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"list": 1, "HEAD": 1, "complete": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
	t.Run("and not done, with the same bytes there before", func(t *testing.T) {
		proxy.set(never, isComplete)
		if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{}); err != nil {
			t.Error(err)
		}
		wantCounts(t, proxy.counts(), map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1, "abort": 1})
		s.wantObject(t, data)
		s.wantOpen(t)
	})
}

// TestEncryptedBucketInParts has ETags that are no MD5s, nor made of any.
func TestEncryptedBucketInParts(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{Env: []string{
		"MINIO_KMS_SECRET_KEY=test:" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	}})
	s := newScene(t, server)
	if err := server.Client().SetBucketEncryption(t.Context(), s.bucket, kmsEncryption()); err != nil {
		t.Fatal(err)
	}
	data := remotetest.Bytes(3*testPart + 1)
	digest := md5.Sum(data)
	sum := hex.EncodeToString(digest[:])
	l := &ledger{}
	cutAfter(t, s.open(t, inPartsReadAhead), data, l, 2)
	if !slices.ContainsFunc(l.upload(t, len(data)).Parts, func(p sentPart) bool { return p.ETag != p.MD5 }) {
		t.Fatal("the ETags are MD5s: this server does not show what the test is about")
	}
	s.anew(t)
	store := s.open(t, inPartsReadAhead)
	object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, s.counts(), map[string]int{"list": 1, "part": 2, "complete": 1, "GET": 1})
	if object.MD5 != sum || object.ETag == etagOf(data) {
		t.Errorf("put: %+v, want the MD5 %s and an ETag that is not made of MD5s", object, sum)
	}
	if stat, err := store.Stat(t.Context(), key); err != nil || stat.MD5 != sum {
		t.Errorf("stat: %+v, %v, want the MD5 %s", stat, err, sum)
	}
	s.wantObject(t, data)

	// The same with an answer to Complete that is lost.
	proxy := newBreaking(t, server.Endpoint)
	proxy.set(isComplete, never)
	store = open(t, server, s.bucket, func(o *Options) {
		inPartsReadAhead(o)
		o.Endpoint = proxy.url
	})
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{}); err != nil {
		t.Errorf("put: %v, want it found done", err)
	}
	if got := proxy.counts(); got["complete"] != 1 || got["HEAD"] != 1 || got["GET"] != 1 {
		t.Errorf("the server got %v", got)
	}
	s.wantOpen(t)
}
