package s3

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestLayout(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, c := range []struct {
		size, partSize int64
		parts          int
		last           int64
	}{
		{1, 16 * mib, 1, 1},
		{100*mib + 1, 16 * mib, 7, 4*mib + 1},
		{128 * mib, 16 * mib, 8, 16 * mib},
		{16 * mib * maxParts, 16 * mib, maxParts, 16 * mib},
		{16*mib*maxParts + 1, 17 * mib, 9412, 13*mib + 1},
		{1 << 40, 105 * mib, 9987, 46 * mib},
		{maxObject - 1, 525 * mib, 9987, 230*mib - 1},
		{maxObject, 525 * mib, 9987, 230 * mib},
	} {
		l := newLayout(c.size, minPart)
		offset, last := l.part(l.parts())
		if l.PartSize != c.partSize || l.parts() != c.parts || last != c.last || offset+last != c.size {
			t.Errorf("%d bytes: %d parts of %d, the last of %d at %d, want %d of %d, the last of %d", c.size, l.parts(),
				l.PartSize, last, offset, c.parts, c.partSize, c.last)
		}
	}
}

// fullState has every part, each with an ETag that is its MD5 or, where opaque, is not.
func fullState(size int64, opaque bool) uploadState {
	s := newUploadState("the-upload", newLayout(size, minPart))
	for i := range s.Parts {
		sum := strings.Repeat("0123456789abcdef", 2)
		s.Parts[i] = sentPart{MD5: sum, ETag: sum}
		if opaque {
			s.Parts[i] = sentPart{MD5: sum, CRC: "AAAAAAAAAAA=", ETag: strings.Repeat("e", 32)}
		}
	}
	return s
}

func TestStateIsKept(t *testing.T) {
	t.Parallel()
	for _, opaque := range []bool{false, true} {
		want := fullState(maxObject, opaque)
		want.Parts[3] = sentPart{}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if limit := 1 << 20; len(text) > limit {
			t.Errorf("the state of %d parts has %d bytes, want at most %d", len(want.Parts), len(text), limit)
		}
		got, err := decodeState(text, want.layout)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := json.Marshal(got); !bytes.Equal(again, text) {
			t.Errorf("decoded and encoded again it is another")
		}
		if missing := got.missing(); len(missing) != 1 || missing[0] != 4 || got.opaque() != opaque {
			t.Errorf("missing %v, opaque %t, want 4 and %t", missing, got.opaque(), opaque)
		}
	}
}

func TestStatesThatDoNotFit(t *testing.T) {
	t.Parallel()
	l := newLayout(100<<20, minPart)
	good, err := json.Marshal(fullState(100<<20, false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeState(good, l); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		old, new string
		id       string // that can be read all the same
	}{
		"another version":    {`"v":1`, `"v":2`, "the-upload"},
		"no version":         {`"v":1,`, ``, "the-upload"},
		"another size":       {`"size":104857600`, `"size":104857601`, "the-upload"},
		"another part size":  {`"part_size":16777216`, `"part_size":5242880`, "the-upload"},
		"a part size of 0":   {`"part_size":16777216`, `"part_size":0`, "the-upload"},
		"a part less":        {`"parts":["0123456789abcdef0123456789abcdef",`, `"parts":[`, "the-upload"},
		"a part without MD5": {`"parts":["0123456789abcdef0123456789abcdef",`, `"parts":["0123",`, "the-upload"},
		"two words":          {`"parts":["0123456789abcdef0123456789abcdef",`, `"parts":["0123456789abcdef0123456789abcdef x",`, "the-upload"},
		"one checksum":       {`"parts"`, `"crc":["AAAAAAAAAAA="],"parts"`, "the-upload"},
		"no id":              {`"id":"the-upload",`, ``, ""},
		"no JSON":            {`{`, `[`, ""},
	} {
		bad := bytes.Replace(good, []byte(c.old), []byte(c.new), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%s: the test is wrong, %q is not in %s", name, c.old, good)
		}
		if s, err := decodeState(bad, l); err == nil {
			t.Errorf("%s: decoded %+v", name, s)
		}
		if id := idOfState(bad); id != c.id {
			t.Errorf("%s: id %q, want %q", name, id, c.id)
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	l := newLayout(100<<20, minPart)
	for _, opaque := range []bool{false, true} {
		text, err := json.Marshal(fullState(100<<20, opaque))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"v":1,"id":"x","parts":["",""]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := decodeState(text, l)
		if err != nil {
			_ = idOfState(text)
			return
		}
		if id := idOfState(text); id != s.ID || id == "" {
			t.Errorf("id %q, and read alone %q", s.ID, id)
		}
		for _, number := range s.missing() {
			if number < 1 || number > l.parts() {
				t.Errorf("part %d is missing, of %d", number, l.parts())
			}
		}
		_, _, _ = s.etag(), s.crc(), s.opaque()
	})
}

// TestCRCOfParts: those of the parts, as they were read ahead, make that of the whole.
func TestCRCOfParts(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(3<<20 + 17)
	whole := newLayout(int64(len(data)), 4<<20)
	cut := newLayout(int64(len(data)), 1<<20)
	digest := func(l layout) (string, []string) {
		sum, crcs, err := readAhead(t.Context(), remotetest.NewSource(data), l)
		if err != nil {
			t.Fatal(err)
		}
		return string(sum), crcs
	}
	sum, one := digest(whole)
	same, four := digest(cut)
	if sum != same || len(one) != 1 || len(four) != 4 {
		t.Fatalf("%x, %x, %d and %d parts, want the same, 1 and 4", sum, same, len(one), len(four))
	}
	s := newUploadState("x", cut)
	for i := range s.Parts {
		s.Parts[i].CRC = four[i]
	}
	if got := s.crc(); got != one[0] {
		t.Errorf("the CRCs %q make %q, want %q", four, got, one[0])
	}
	s.Parts[2].CRC = ""
	if got := s.crc(); got != "" {
		t.Errorf("without one of them: %q, want none", got)
	}
}
