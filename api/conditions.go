package api

import (
	"net/http"
	"strings"
	"time"
)

// representation is what the conditions of a request are about: the version of a file that would be served.
type representation struct {
	etag     string    // with its quotes; "" where there is none
	modified time.Time // zero where it is not known
}

// outcome is what becomes of a request with conditions.
type outcome int

const (
	proceed     outcome = iota
	notModified         // 304
	failed              // 412
)

// conditions decides a GET or HEAD in the order of RFC 9110, section 13.2.2. A date counts only where there is no
// entity tag to go by.
func (f representation) conditions(h http.Header) outcome {
	if tags, ok := tagList(h, "If-Match"); ok {
		if !f.match(tags, false) {
			return failed
		}
	} else if at, ok := f.date(h, "If-Unmodified-Since"); ok && f.seconds().After(at) {
		return failed
	}
	if tags, ok := tagList(h, "If-None-Match"); ok {
		if f.match(tags, true) {
			return notModified
		}
	} else if at, ok := f.date(h, "If-Modified-Since"); ok && !f.seconds().After(at) {
		return notModified
	}
	return proceed
}

// ranged reports whether an If-Range lets the Range count: what the client has is part of this version. A date proves
// that only where nothing else can have been written in its second, and a weak tag never.
func (f representation) ranged(h http.Header, now time.Time) bool {
	values := h.Values("If-Range")
	if len(values) == 0 {
		return true
	}
	value := strings.Trim(values[0], " \t")
	switch {
	case len(values) > 1:
		return false
	case strings.HasPrefix(value, `"`), strings.HasPrefix(value, "W/"):
		return f.etag != "" && value == f.etag && !strings.HasPrefix(value, "W/")
	}
	at, ok := f.date(h, "If-Range")
	return ok && f.seconds().Equal(at) && now.Sub(f.modified) > time.Second
}

// seconds is the modification time as a header tells it.
func (f representation) seconds() time.Time { return f.modified.Truncate(time.Second) }

// date is the date in a header; one that does not parse is as none.
func (f representation) date(h http.Header, name string) (time.Time, bool) {
	values := h.Values(name)
	if len(values) != 1 || f.modified.IsZero() {
		return time.Time{}, false
	}
	at, err := http.ParseTime(values[0])
	return at, err == nil
}

// match reports whether one of the tags is the version's; "*" is any version that there is. The weak comparison takes
// a weak tag for the strong one.
func (f representation) match(tags string, weak bool) bool {
	if strings.Trim(tags, " \t") == "*" {
		return true
	}
	for {
		tag, rest, ok := nextTag(tags)
		if !ok {
			return false
		}
		if weak {
			tag = strings.TrimPrefix(tag, "W/")
		}
		if f.etag != "" && tag == f.etag {
			return true
		}
		tags = rest
	}
}

// tagList is a header of entity tags, on however many lines.
func tagList(h http.Header, name string) (tags string, ok bool) {
	values := h.Values(name)
	return strings.Join(values, ","), len(values) > 0
}

// nextTag cuts the first entity tag off a list, with its quotes. A comma may stand in one.
func nextTag(list string) (tag, rest string, ok bool) {
	list = strings.TrimLeft(list, ", \t")
	opaque := strings.TrimPrefix(list, "W/")
	if !strings.HasPrefix(opaque, `"`) {
		return "", "", false
	}
	end := strings.IndexByte(opaque[1:], '"')
	if end < 0 {
		return "", "", false
	}
	n := len(list) - len(opaque) + end + 2
	return list[:n], list[n:], true
}
