package queue

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/codestory/codestoryd"
)

// someRecord is any record that is written.
func someRecord(rng *rand.Rand) record {
	number := func() int64 { return rng.Int64() >> rng.IntN(64) }
	text := func() string {
		b := make([]byte, rng.IntN(1<<rng.IntN(12)))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	return record{
		state:      stateQueued + state(rng.IntN(int(stateSynced))),
		generation: uint64(number()),
		version: codestory.Version{
			Size: number(), ModTime: -number(), ChangeTime: number(), Inode: rng.Uint64() >> rng.IntN(64),
		},
		since: number(), order: number(), attempt: uint64(number()), due: number(), reason: text(), note: text(),
		stored: stored{
			destination: uint64(number()), generation: uint64(number()),
			size: number(), etag: text(), md5: text(), at: number(),
		},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	roundTrip := func(seed uint64) bool {
		r := someRecord(rand.New(rand.NewPCG(seed, 0)))
		got, err := decode([]byte("path"), r.encode())
		return err == nil && reflect.DeepEqual(got, r)
	}
	if err := quick.Check(roundTrip, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

// TestRecordCutShort: every part of a record is refused, and one with something behind it.
func TestRecordCutShort(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := someRecord(rand.New(rand.NewPCG(seed, 0)))
		r.note, r.reason = "odd", "no answer"
		whole := r.encode()
		for n := range whole {
			if got, err := decode([]byte("path"), whole[:n]); !errors.Is(err, ErrDamaged) || got != (record{}) {
				t.Fatalf("seed %d: of %d bytes, the first %d decode to %+v, %v", seed, len(whole), n, got, err)
			}
		}
		if got, err := decode([]byte("path"), append(whole, 0)); !errors.Is(err, ErrDamaged) {
			t.Fatalf("seed %d: with a byte too many it decodes to %+v, %v", seed, got, err)
		}
	}
}

func TestIndexKey(t *testing.T) {
	t.Parallel()
	numbers := []int64{0, 1, 255, 256, 1 << 32, math.MaxInt64}
	for i, n := range numbers {
		key := indexKey(n, "a/b")
		if got, path, ok := splitIndexKey(key); got != n || path != "a/b" || !ok {
			t.Errorf("%d is split into %d, %q, %v", n, got, path, ok)
		}
		if i > 0 && string(indexKey(numbers[i-1], "z")) >= string(key) {
			t.Errorf("%d does not sort after %d", n, numbers[i-1])
		}
	}
	if _, _, ok := splitIndexKey(make([]byte, 7)); ok {
		t.Error("a key of 7 bytes is split")
	}
}

// FuzzDecode: whatever the bytes, they are refused, or a record that is written as it was read.
func FuzzDecode(f *testing.F) {
	for seed := range uint64(5) {
		r := someRecord(rand.New(rand.NewPCG(seed, 0)))
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decode([]byte("path"), b)
		if err != nil {
			if r != (record{}) {
				t.Errorf("refused, and yet %+v", r)
			}
			return
		}
		if n := len(r.reason) + len(r.note) + len(r.stored.etag) + len(r.stored.md5); n > len(b) {
			t.Errorf("%d bytes of text out of %d", n, len(b))
		}
		again, err := decode([]byte("path"), r.encode())
		if err != nil || again != r {
			t.Errorf("%+v is read again as %+v, %v", r, again, err)
		}
		for _, e := range r.entries("path") {
			if _, path, ok := splitIndexKey(e.key); path != "path" || !ok {
				t.Errorf("the entry %x of %+v is not split", e.key, r)
			}
		}
	})
}
