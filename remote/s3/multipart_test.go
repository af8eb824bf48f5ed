package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestMinIOInParts(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	testInParts(t, server, ofMinIO(server))
}

func TestVersityInParts(t *testing.T) {
	t.Parallel()
	server := remotetest.StartVersity(t, remotetest.VersityOptions{})
	testInParts(t, server, ofVersity(server))
}

func testInParts(t *testing.T, server *remotetest.Server, opts remotetest.Options) {
	partsOnly := opts
	partsOnly.NoLargeMD5 = "only the MD5s of its parts are known"
	for name, suite := range map[string]struct {
		change func(*Options)
		opts   remotetest.Options
	}{
		"suite":           {inParts, partsOnly},
		"suite, with MD5": {inPartsWithMD5, opts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			remotetest.TestStore(t, func(t *testing.T) remote.Store {
				return open(t, server, server.Bucket(t), suite.change)
			}, suite.opts)
		})
	}
	for name, test := range map[string]func(*testing.T, *env){
		"whole":                             whole,
		"killed and resumed":                killedAndResumed,
		"parts that differ are sent again":  partsThatDiffer,
		"without its ledger it starts over": ledgerLost,
		"the server has lost it":            serverLost,
		"the server loses it meanwhile":     serverLoses,
		"states that do not fit":            statesThatDoNotFit,
		"the ledger refuses":                ledgerRefuses,
		"a changed file":                    changedFile,
		"a change that only its bytes show": changedBytes,
		"without a ledger":                  noLedger,
		"abort":                             abortOurs,
		"the uploads of others":             othersSurvive,
		"complete without an answer":        completeUnanswered,
		"complete with a late answer":       completeSilent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newEnv(t, server))
		})
	}
}

func whole(t *testing.T, e *env) {
	data := remotetest.Bytes(3*testPart + 1)
	digest := md5.Sum(data)
	for _, c := range []struct {
		change    func(*Options)
		md5, meta string
	}{
		{inPartsWithMD5, hex.EncodeToString(digest[:]), base64.StdEncoding.EncodeToString(digest[:])},
		{inParts, "", ""},
	} {
		store := e.open(t, c.change)
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{})
		if err != nil {
			t.Fatal(err)
		}
		wantCounts(t, e.counts(), map[string]int{"create": 1, "part": 4, "complete": 1})
		if object.MD5 != c.md5 || object.ETag != etagOf(data, testPart) || object.Size != int64(len(data)) {
			t.Errorf("put: %+v, want the MD5 %q and the ETag %s", object, c.md5, etagOf(data, testPart))
		}
		info := e.wantObject(t, data)
		if info.UserMetadata["Md5chksum"] != c.meta || info.ContentType != "audio/mpeg" || info.ETag != object.ETag {
			t.Errorf("another client sees %+v, want Md5chksum %q", info, c.meta)
		}
		if stat, err := store.Stat(t.Context(), key); err != nil || stat.MD5 != c.md5 {
			t.Errorf("stat: %+v, %v, want the MD5 %q", stat, err, c.md5)
		}
		e.wantUploads(t)
		e.counts()
	}
}

func killedAndResumed(t *testing.T, e *env) {
	data := remotetest.Bytes(9*testPart + 12345)
	digest := md5.Sum(data)
	for want, change := range map[string]func(*Options){"": inParts, hex.EncodeToString(digest[:]): inPartsWithMD5} {
		l := &ledger{}
		e.cutAfter(t, change, data, l, 3)
		id := l.id(t)
		e.wantUploads(t, id)
		e.wantNoObject(t, e.open(t, change))
		e.cutAfter(t, change, data, l, 4) // and again
		var progress int64
		object, err := e.open(t, change).Put(t.Context(), key, remotetest.NewSource(data), remote.PutOptions{
			ContentType: "audio/mpeg", Ledger: l, Progress: countTo(&progress),
		})
		if err != nil {
			t.Fatal(err)
		}
		wantCounts(t, e.counts(), map[string]int{"list": 1, "part": 3, "complete": 1})
		if again := l.id(t); again != id {
			t.Errorf("upload %s was resumed as %s", id, again)
		}
		if object.ETag != etagOf(data, testPart) || object.MD5 != want || progress != int64(len(data)) {
			t.Errorf("put: %+v, want the ETag %s and the MD5 %q; progress of %d bytes", object, etagOf(data, testPart), want, progress)
		}
		e.wantObject(t, data)
		e.wantUploads(t)
		e.remove(t)
	}
}

// countTo is a progress that may be called by many at once.
func countTo(sum *int64) func(n int64) {
	var mu sync.Mutex
	return func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		*sum += n
	}
}

func partsThatDiffer(t *testing.T, e *env) {
	data := remotetest.Bytes(4 * testPart)
	id := e.begin(t)
	e.putPart(t, id, 1, data[:testPart])
	e.putPart(t, id, 2, bytes.Repeat([]byte("x"), testPart))
	e.putPart(t, id, 3, data[2*testPart:3*testPart+1])
	state, err := json.Marshal(uploadState{ID: id, PartSize: testPart})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := putLedger(t.Context(), t, e.open(t, inParts), remotetest.NewSource(data), &ledger{state: state}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, e.counts(), map[string]int{"list": 1, "part": 3, "complete": 1})
	e.wantObject(t, data)
	e.wantUploads(t)
}

func ledgerLost(t *testing.T, e *env) {
	data := remotetest.Bytes(4 * testPart)
	lost := &ledger{}
	e.cutAfter(t, inParts, data, lost, 2)
	if _, err := putLedger(t.Context(), t, e.open(t, inParts), remotetest.NewSource(data), &ledger{}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, e.counts(), map[string]int{"create": 1, "part": 4, "complete": 1})
	e.wantObject(t, data)
	e.wantUploads(t, lost.id(t)) // nobody knows whose it is
}

func serverLost(t *testing.T, e *env) {
	data := remotetest.Bytes(4 * testPart)
	for _, parts := range []int{2, 4} {
		l := &ledger{}
		e.cutAfter(t, inParts, data, l, parts)
		lost := l.id(t)
		e.abortByOthers(t, lost)
		e.remove(t)
		if _, err := putLedger(t.Context(), t, e.open(t, inParts), remotetest.NewSource(data), l); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, e.counts(), map[string]int{"list": 1, "HEAD": 1, "create": 1, "part": 4, "complete": 1})
		if l.id(t) == lost {
			t.Error("the lost upload was resumed")
		}
		e.wantObject(t, data)
		e.wantUploads(t)
	}
}

func serverLoses(t *testing.T, e *env) {
	data := remotetest.Bytes(8 * testPart)
	l := &ledger{}
	store := e.open(t, inParts)
	var once sync.Once
	e.proxy.Before(func(w http.ResponseWriter, r *http.Request) (answered bool) {
		if strings.Contains(r.URL.RawQuery, "partNumber=3") {
			once.Do(func() { _ = e.core().AbortMultipartUpload(t.Context(), e.bucket, key, r.URL.Query().Get("uploadId")) })
		}
		return false
	})
	_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
	if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
		t.Errorf("put: %v, want an error to try again", err)
	}
	e.abortByOthers(t, l.id(t))
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
		t.Fatal(err)
	}
	e.wantObject(t, data)
	e.wantUploads(t)
}

func statesThatDoNotFit(t *testing.T, e *env) {
	data := remotetest.Bytes(2 * testPart)
	for name, state := range map[string]string{
		"no part size":  `{"id":"%s"}`,
		"another kind":  `{"id":"%s","part_size":5242880,"crc":["x"]}`,
		"tiny parts":    `{"id":"%s","part_size":7}`,
		"an unknown id": `{"id":"11111111-%s","part_size":5242880}`,
		"no JSON":       "%%%s",
		"no id":         `{"part_size":5242880}`,
	} {
		id := e.begin(t)
		l := &ledger{state: []byte(strings.Replace(state, "%s", id, 1))}
		if _, err := putLedger(t.Context(), t, e.open(t, inParts), remotetest.NewSource(data), l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		e.wantObject(t, data)
		if name == "no part size" || name == "another kind" || name == "tiny parts" {
			e.wantUploads(t)
			continue
		}
		e.wantUploads(t, id) // it was not named
		e.abortByOthers(t, id)
	}
}

func ledgerRefuses(t *testing.T, e *env) {
	full := errors.New("the test's disk is full")
	l := &ledger{onSave: func() error { return full }}
	_, err := putLedger(t.Context(), t, e.open(t, inParts), remotetest.NewSource(remotetest.Bytes(4*testPart)), l)
	if !errors.Is(err, full) {
		t.Errorf("put: %v, want the ledger's error", err)
	}
	wantCounts(t, e.counts(), map[string]int{"create": 1, "abort": 1}) // no part was sent before the id was saved
	e.wantUploads(t)
}

func changedFile(t *testing.T, e *env) {
	data := remotetest.Bytes(6 * testPart)
	size := int64(len(data))
	store := e.open(t, inParts)
	for _, at := range []int64{0, 1, 2*testPart + 5, size} {
		l := &ledger{}
		_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(at), l)
		if !errors.Is(err, codestory.ErrChanged) {
			t.Errorf("changed at %d: %v, want ErrChanged", at, err)
		}
		if got := e.counts(); got["complete"] != 0 || got["abort"] != 1 {
			t.Errorf("changed at %d: the server got %v, want one abort and no complete", at, got)
		}
		e.wantNoObject(t, store)
		e.abort(t, store, l) // which the ledger still names
		e.wantUploads(t)
		e.counts()
	}

	// A resumed upload, all of whose parts are sent, is not completed either.
	l := &ledger{}
	e.cutAfter(t, inParts, data, l, 6)
	store = e.open(t, inParts)
	_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(0), l)
	if !errors.Is(err, codestory.ErrChanged) {
		t.Errorf("changed while it was cut off: %v, want ErrChanged", err)
	}
	e.wantNoObject(t, store)
	e.abort(t, store, l)
}

// turning has other bytes at a later reading, which Check does not notice.
type turning struct {
	*remotetest.Source
	mu    sync.Mutex
	after int64 // bytes that were read until then
}

func (s *turning) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.Source.ReadAt(p, offset)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.after -= int64(n); s.after < 0 && offset > 2*testPart {
		p[0]++
	}
	return n, err
}

func changedBytes(t *testing.T, e *env) {
	const size = 4 * testPart
	for name, src := range map[string]*turning{
		"after its MD5":      {after: size},
		"after a part's MD5": {after: size + size/2 + testPart},
	} {
		src.Source = remotetest.NewSource(remotetest.Bytes(size))
		l := &ledger{}
		_, err := e.open(t, inPartsWithMD5).Put(t.Context(), key, src, remote.PutOptions{Ledger: l})
		if err == nil {
			t.Errorf("%s: it was put", name)
		}
		e.wantNoObject(t, e.open(t, inParts))
		e.abort(t, e.open(t, inParts), l)
	}
}

// noLedger: an upload that nothing names is aborted at once.
func noLedger(t *testing.T, e *env) {
	data := remotetest.Bytes(6 * testPart)
	store := e.open(t, inParts)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src := remotetest.NewSource(data).OnReach(2*testPart, cancel)
	if _, err := putLedger(ctx, t, store, src, nil); codestory.ClassOf(ctx, err) != codestory.ClassStopped {
		t.Errorf("put: %v, want it stopped", err)
	}
	e.wantNoObject(t, store)
	if got := e.counts()["abort"]; got != 1 {
		t.Errorf("%d aborts, want one", got)
	}
}

func abortOurs(t *testing.T, e *env) {
	data := remotetest.Bytes(4 * testPart)
	ours, kept := &ledger{}, &ledger{}
	e.cutAfter(t, inParts, data, kept, 1)
	e.cutAfter(t, inParts, data, ours, 2)
	store := e.open(t, inParts)
	if _, err := put(t, store, []byte("the old version")); err != nil {
		t.Fatal(err)
	}
	e.abort(t, store, ours)
	e.counts()
	for range 2 { // what is gone
		if err := store.Abort(t.Context(), key, ours.State()); err != nil {
			t.Errorf("abort: %v", err)
		}
	}
	wantCounts(t, e.counts(), map[string]int{"abort": 2})
	e.wantUploads(t, kept.id(t))
	for _, state := range []string{"", "{}", "null", "no JSON", `{"id":""}`, `{"id":7}`} {
		if err := store.Abort(t.Context(), key, []byte(state)); err != nil {
			t.Errorf("abort of %q: %v", state, err)
		}
	}
	wantCounts(t, e.counts(), map[string]int{})
	e.wantObject(t, []byte("the old version"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Abort(ctx, key, kept.State()); !errors.Is(err, context.Canceled) {
		t.Errorf("abort under an ended context: %v", err)
	}
}

func othersSurvive(t *testing.T, e *env) {
	id, theirs := e.begin(t), remotetest.Bytes(testPart)
	part := e.putPart(t, id, 1, theirs)
	data := remotetest.Bytes(4*testPart + 9)
	l := &ledger{}
	e.cutAfter(t, inParts, data, l, 2)
	store := e.open(t, inParts)
	e.abort(t, store, l)
	changed := &ledger{}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(1), changed); err == nil {
		t.Error("a changed file was put")
	}
	e.abort(t, store, changed)
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l); err != nil {
		t.Fatal(err)
	}
	e.wantObject(t, data)
	e.wantUploads(t, id)
	if _, err := e.core().CompleteMultipartUpload(t.Context(), e.bucket, key, id,
		[]minio.CompletePart{{PartNumber: 1, ETag: part.ETag}}, minio.PutObjectOptions{}); err != nil {
		t.Errorf("the others complete theirs: %v", err)
	}
	e.wantObject(t, theirs)
}

func completeUnanswered(t *testing.T, e *env) {
	data := remotetest.Bytes(3*testPart + 9)
	store := e.open(t, inParts)
	put := func(t *testing.T, l *ledger, stored bool, want map[string]int) {
		t.Helper()
		object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
		if stored && (err != nil || object.ETag != etagOf(data, testPart)) {
			t.Errorf("put: %+v, %v, want it stored", object, err)
		}
		if !stored && (err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry) {
			t.Errorf("put: %v, want an error to try again", err)
		}
		if got := e.counts(); want != nil { // net/http sends a HEAD again whose connection broke
			wantCounts(t, got, want)
		}
		if stored {
			e.wantObject(t, data)
			e.wantUploads(t)
		}
	}
	t.Run("but done", func(t *testing.T) {
		e.drop("", "complete")
		put(t, &ledger{}, true, map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1, "abort": 1})
	})
	t.Run("but done, and then nothing", func(t *testing.T) {
		e.remove(t)
		e.drop("HEAD", "complete")
		l := &ledger{}
		put(t, l, false, nil)
		e.drop("", "")
		put(t, l, true, map[string]int{"list": 1, "HEAD": 1})
	})
	t.Run("and not done", func(t *testing.T) {
		e.remove(t)
		e.drop("complete", "")
		l := &ledger{}
		put(t, l, false, map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1})
		e.drop("", "")
		put(t, l, true, map[string]int{"list": 1, "complete": 1})
	})
	t.Run("and not done, with the same bytes there before", func(t *testing.T) {
		e.drop("complete", "")
		put(t, &ledger{}, true, map[string]int{"create": 1, "part": 4, "complete": 1, "HEAD": 1, "abort": 1})
	})
}

// completeSilent: while Complete is not answered the caller is told, so that it can be written down.
func completeSilent(t *testing.T, e *env) {
	data, told := remotetest.Bytes(testPart+1), make(chan string, 1)
	store := e.open(t, inParts)
	store.silence = 50 * time.Millisecond
	e.proxy.Before(func(_ http.ResponseWriter, r *http.Request) (answered bool) {
		if kindOf(r.Method, r.URL.RequestURI()) == "complete" {
			select {
			case etag := <-told:
				if etag != etagOf(data, testPart) {
					t.Errorf("told of ETag %s, want %s", etag, etagOf(data, testPart))
				}
			case <-r.Context().Done():
			}
		}
		return false
	})
	_, err := store.Put(t.Context(), key, remotetest.NewSource(data), remote.PutOptions{
		ContentType: "audio/mpeg", Ledger: &ledger{}, Silent: func(etag string) { told <- etag },
	})
	if err != nil {
		t.Errorf("put: %v", err)
	}
	e.wantObject(t, data)
}

// TestEncryptedBucketInParts has ETags that are not MD5s, nor made of any.
func TestEncryptedBucketInParts(t *testing.T) {
	t.Parallel()
	e := startKMS(t)
	data := remotetest.Bytes(3*testPart + 1)
	digest := md5.Sum(data)
	sum := hex.EncodeToString(digest[:])
	l := &ledger{}
	e.cutAfter(t, inPartsWithMD5, data, l, 2)
	store := e.open(t, inPartsWithMD5)
	object, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, e.counts(), map[string]int{"list": 1, "part": 2, "complete": 1, "GET": 1})
	if object.MD5 != sum || object.ETag == etagOf(data, testPart) {
		t.Errorf("put: %+v, want the MD5 %s and an ETag that is not made of MD5s", object, sum)
	}
	if stat, err := store.Stat(t.Context(), key); err != nil || stat.MD5 != sum {
		t.Errorf("stat: %+v, %v, want the MD5 %s", stat, err, sum)
	}
	e.wantObject(t, data)

	// An answer to Complete that is lost.
	e.drop("", "complete")
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), &ledger{}); err != nil {
		t.Errorf("put: %v, want it found done", err)
	}
	if got := e.counts(); got["complete"] != 1 || got["GET"] != 1 {
		t.Errorf("the server got %v", got)
	}
	e.wantUploads(t)
}

func TestPartSize(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct{ size, want int64 }{
		{1, 16 * mib}, {128 * mib, 16 * mib}, {16 * mib * maxParts, 16 * mib}, {16*mib*maxParts + 1, 17 * mib},
		{1 << 40, 105 * mib}, {maxObject, 525 * mib},
	} {
		got := partSize(c.size, minPart)
		if parts := (c.size + got - 1) / got; got != c.want || parts > maxParts {
			t.Errorf("%d bytes: %d parts of %d bytes, want parts of %d", c.size, parts, got, c.want)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"id":"x","part_size":5242880,"md5":"00","opaque":true}`))
	f.Add([]byte(`{"id":"x","part_size":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		u := &upload{src: remotetest.NewSource(remotetest.Bytes(20_000))}
		if err := u.load(text); err != nil {
			return
		}
		var size int64
		for i, p := range u.parts {
			if p.number != i+1 || p.offset != size || p.size < 1 {
				t.Errorf("part %d is %+v", i, p)
			}
			size += p.size
		}
		if size != 20_000 || len(u.parts) > maxParts {
			t.Errorf("%d parts of %d bytes", len(u.parts), size)
		}
	})
}

// TestPartsHash: however its input is cut, it is the ETag of S3.
func TestPartsHash(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(2500)
	for _, cut := range []int{1, 7, 999, 1000, 1001, 2500} {
		h := newPartsHash(1000)
		for piece := range bytes.NewReader(data).Len() / cut {
			_, _ = h.Write(data[piece*cut : (piece+1)*cut])
		}
		_, _ = io.Copy(h, bytes.NewReader(data[len(data)/cut*cut:]))
		if got := h.etag(); got != etagOf(data, 1000) {
			t.Errorf("cut into %d: %s, want %s", cut, got, etagOf(data, 1000))
		}
	}
}
