package api

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// mendRange puts right what http.ServeContent makes of some ranges of a file of size bytes (RFC 9110, section 14): a
// unit that is not understood is ignored, and so is every range of an empty file; a suffix of no bytes is no range, and
// where there is no other the answer is 416.
func mendRange(h http.Header, size int64) {
	ranges, ok := strings.CutPrefix(h.Get("Range"), "bytes=")
	if !ok || size == 0 {
		h.Del("Range")
		return
	}
	some := slices.DeleteFunc(strings.Split(ranges, ","), func(spec string) bool {
		digits, suffix := strings.CutPrefix(strings.TrimSpace(spec), "-")
		return suffix && digits != "" && strings.Trim(digits, "0") == ""
	})
	if len(some) == 0 {
		some = []string{fmt.Sprintf("%d-", size)} // past the end
	}
	h.Set("Range", "bytes="+strings.Join(some, ","))
}

// severalRanges reports whether more than one range is asked for.
func severalRanges(h http.Header) bool { return strings.Contains(h.Get("Range"), ",") }

// serialContent lets one call through at a time, and none after Close. http.ServeContent needs that for several ranges
// alone: it leaves a goroutine behind that may still be reading when the client has gone and the content is closed.
type serialContent struct {
	mu      sync.Mutex
	closed  bool
	content io.ReadSeekCloser
}

func (c *serialContent) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, fs.ErrClosed
	}
	return c.content.Read(b)
}

func (c *serialContent) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, fs.ErrClosed
	}
	return c.content.Seek(offset, whence)
}

// Close waits for the call that is under way.
func (c *serialContent) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return c.content.Close()
}
