package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

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
		"suite":             {inParts, partsOnly},
		"suite, read ahead": {inPartsReadAhead, opts},
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
		"complete answered late":               completeSilent,
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
		s.abortFromOutside(t, lost)
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
	var lost string
	l.onSave = func(saves int) error {
		if saves != 2 {
			return nil
		}
		lost = s.openUploads(t)[0]
		return core.AbortMultipartUpload(t.Context(), s.bucket, key, lost)
	}
	_, err := putLedger(t.Context(), t, store, remotetest.NewSource(data), l)
	if err == nil || codestory.ClassOf(t.Context(), err) != codestory.ClassRetry {
		t.Errorf("put: %v, want an error to try again", err)
	}
	// A server that answers before it has read a part, and closes, may be heard or only felt: in the latter case it
	// is the next attempt that finds the upload gone.
	if errors.Is(err, errUploadGone) && len(l.State()) != 0 {
		t.Errorf("the ledger still has %q", l.State())
	}
	l.onSave = nil
	s.abortFromOutside(t, lost)
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
	s.abortCut(t, store, ours, len(data))
	s.counts()
	for range 2 { // what is gone
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
	s.abortCut(t, store, l, len(data))
	changed := &ledger{}
	if _, err := putLedger(t.Context(), t, store, remotetest.NewSource(data).ChangeAfter(1), changed); err == nil {
		t.Error("a changed file was put")
	}
	s.abortCut(t, store, changed, len(data))
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
