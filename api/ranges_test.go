package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	many := strings.TrimSuffix(strings.Repeat("1-1,", maxRanges), ",")
	for _, c := range []struct {
		header        string
		size          int64
		want          []byteRange
		unsatisfiable bool
	}{
		{"bytes=0-1", 10, []byteRange{{0, 2}}, false},
		{"BYTES=0-1", 10, []byteRange{{0, 2}}, false},
		{"bytes=9-", 10, []byteRange{{9, 1}}, false},
		{"bytes=10-", 10, nil, true},
		{"bytes=10-20", 10, nil, true},
		{"bytes=-3", 10, []byteRange{{7, 3}}, false},
		{"bytes=-99", 10, []byteRange{{0, 10}}, false},
		{"bytes=-0", 10, nil, true},
		{"bytes=-00, -0", 10, nil, true},
		{"bytes=-0, 3-4", 10, []byteRange{{3, 2}}, false},
		{"bytes= ,\t0-0 , -1,,", 10, []byteRange{{0, 1}, {9, 1}}, false},
		{"bytes=0-99999999999999999999999", 10, []byteRange{{0, 10}}, false},
		{"bytes=99999999999999999999999-", 10, nil, true},
		{"bytes=-99999999999999999999999", 10, []byteRange{{0, 10}}, false},
		{"bytes=0-4,20-", 10, []byteRange{{0, 5}}, false},
		{"bytes=5-6,0-1", 10, []byteRange{{5, 2}, {0, 2}}, false},
		{"bytes=" + many, 100, slices.Repeat([]byteRange{{1, 1}}, maxRanges), false},
		{"bytes=" + many + ",2-2", 100, nil, false}, // too many
		{"bytes=0-,0-,0-", 10, nil, false},          // more than the file
		{"bytes=0-1", 0, nil, false},                // of nothing
		{"bytes=-5", 0, nil, false},
		// What does not parse.
		{"", 10, nil, false}, {"bytes", 10, nil, false}, {"bytes=", 10, nil, false}, {"bytes=,", 10, nil, false},
		{"bytes=-", 10, nil, false}, {"bytes=x", 10, nil, false}, {"bytes=5-1", 10, nil, false},
		{"bytes=1", 10, nil, false}, {"bytes=1-2-3", 10, nil, false}, {"bytes=--1", 10, nil, false},
		{"bytes=+1-2", 10, nil, false}, {"bytes=0x1-2", 10, nil, false}, {"bytes=1 - 2", 10, nil, false},
		{"bytes=0-1,x", 10, nil, false}, {"lines=0-1", 10, nil, false}, {" bytes=0-1", 10, nil, false},
	} {
		got, unsatisfiable := parseRange(c.header, c.size)
		if !slices.Equal(got, c.want) || unsatisfiable != c.unsatisfiable {
			t.Errorf("%q of %d: got %v, %v; want %v, %v", c.header, c.size, got, unsatisfiable, c.want, c.unsatisfiable)
		}
	}
}

// Whatever the header holds: the ranges are of the file, few, and together no more than it.
func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-1", "bytes=-500", "bytes=7-", "bytes=0-0,-1", "bytes=5-1",
		"bytes=99999999999999999999-", "bytes=-0", "bytes= , 1-2\t,", "lines=1-2", "bytes=0-9223372036854775807"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			t.Skip()
		}
		ranges, unsatisfiable := parseRange(header, size)
		total := int64(0)
		for _, r := range ranges {
			if r.offset < 0 || r.length < 1 || r.offset > size-r.length {
				t.Fatalf("%q of %d: range %+v", header, size, r)
			}
			total += r.length
		}
		if total > size || len(ranges) > maxRanges || unsatisfiable && (len(ranges) > 0 || size == 0) {
			t.Fatalf("%q of %d: %d ranges of %d bytes, unsatisfiable %v", header, size, len(ranges), total, unsatisfiable)
		}
		if len(ranges) == 0 {
			return
		}
		// What the ranges are is what a header that names them plainly means.
		plain := make([]string, len(ranges))
		for i, r := range ranges {
			plain[i] = fmt.Sprintf("%d-%d", r.offset, r.offset+r.length-1)
		}
		if again, _ := parseRange("bytes="+strings.Join(plain, ","), size); !slices.Equal(again, ranges) {
			t.Fatalf("%q of %d: %v, and written plainly %v", header, size, ranges, again)
		}
	})
}
