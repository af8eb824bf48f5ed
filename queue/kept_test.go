package queue

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

// FuzzKept: whatever is in the file, what is read of it is written and read again the same.
func FuzzKept(f *testing.F) {
	lines, err := encodeKept([]kept{
		keepDropped("a/\xff", record{version: codestory.Version{Size: 1, ModTime: -1}, since: 2, reason: "dropped"}),
		form{until: 3}.keep("b", "s3\tx\ty"), removal{since: 4, until: 5, once: true}.keep("c", "a"),
		ledgerEntry{generation: 6, state: []byte("state")}.keep("d", "a"), ended(keepUpload("d", 6)), {Kind: keptPaused, Reason: "now"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte(keptHeader), lines...))
	f.Add(lines[:len(lines)-5])
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _ := parseKept(b)
		again, err := encodeKept(slices.Collect(maps.Values(all)))
		if err != nil {
			t.Fatal(err)
		}
		if got, damaged := parseKept(again); damaged > 0 || !reflect.DeepEqual(got, all) {
			t.Errorf("%+v is read again as %+v, %d damaged", all, got, damaged)
		}
	})
}

// TestKeptFollows: what could not be committed is not kept either, once anything else is.
func TestKeptFollows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "codestoryd.db")
	q, err := Open(path, "a", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Enqueue([]Change{{Path: "a", Version: codestory.Version{Size: 1}}}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	q.db.MaxSize = int(info.Size())
	if err := q.Drop("a", strings.Repeat("dropped ", 10_000)); err == nil {
		t.Fatal("what has no room was written")
	}
	q.db.MaxSize = 0
	if err := q.SetPaused(true); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if saved, _, _, err := readKept(path + keptSuffix); err != nil || len(saved) != 1 {
		t.Errorf("kept are %d things, %v", len(saved), err)
	}
}
