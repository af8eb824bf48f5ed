package api

import (
	"math"
	"strings"
)

// maxRanges is how many ranges one answer gives at most. A request for more is answered with the whole file.
const maxRanges = 32

// byteRange is length bytes from offset on: never none, and never past the end of the file.
type byteRange struct{ offset, length int64 }

// parseRange reads a Range header for a file of size bytes (RFC 9110, section 14). Without ranges the whole file is
// the answer, unless the header asks only for what is past its end: that is unsatisfiable, a 416.
//
// What has another unit, or does not parse, is passed over as the RFC allows, and so is a request for more than the
// file has in all, which is cheaper to answer whole. Of an empty file there are no ranges to give.
func parseRange(header string, size int64) (ranges []byteRange, unsatisfiable bool) {
	unit, set, ok := strings.Cut(header, "=")
	if !ok || !strings.EqualFold(unit, "bytes") || size == 0 {
		return nil, false
	}
	var total int64
	some := false
	for spec := range strings.SplitSeq(set, ",") {
		spec = strings.Trim(spec, " \t")
		if spec == "" {
			continue // a list may have empty elements
		}
		some = true
		r, ok := parseRangeSpec(spec, size)
		if !ok {
			return nil, false
		}
		if r.length == 0 {
			continue
		}
		ranges = append(ranges, r)
		total += r.length
		if len(ranges) > maxRanges || total > size {
			return nil, false
		}
	}
	return ranges, some && len(ranges) == 0
}

// parseRangeSpec reads "first-", "first-last" or "-suffix". A range past the end has no length.
func parseRangeSpec(spec string, size int64) (r byteRange, ok bool) {
	from, to, ok := strings.Cut(spec, "-")
	if !ok || from == "" && to == "" {
		return byteRange{}, false
	}
	first, ok := parsePosition(from)
	last, lastOK := parsePosition(to)
	switch {
	case !ok || !lastOK:
		return byteRange{}, false
	case from == "": // a suffix: last is its length
		n := min(last, size)
		return byteRange{size - n, n}, true
	case to == "":
		last = math.MaxInt64
	case last < first:
		return byteRange{}, false
	}
	if first >= size {
		return byteRange{}, true
	}
	return byteRange{first, min(last, size-1) - first + 1}, true
}

// parsePosition reads decimal digits; none are 0. What no file can be as long as is the greatest number.
func parsePosition(digits string) (n int64, ok bool) {
	for i := range len(digits) {
		d := digits[i]
		if d < '0' || d > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}
