package codestory

import (
	"io"
	"time"
)

// Location is where the present version of a file can be had.
type Location struct {
	Size   int64  // bytes
	ETag   string // of the object in the store, without quotes; "" until it is there
	Stored bool   // it is in the store, and the store answers
	Local  bool   // it is on this machine
}

// LinkRequest says what a link to a file is for.
type LinkRequest struct {
	Method      string        // GET or HEAD
	Expires     time.Duration // whole seconds, 1 s to 7 days
	Disposition string        // Content-Disposition of the answer; "" for none
}

// Content is one version of a file. Whoever was given it closes it.
type Content struct {
	Body
	Size     int64     // bytes
	Modified time.Time // zero where it is not known
	ETag     string    // strong, without quotes; "" where there is none
}

// Body reads one version of a file, and never gives bytes of another: where the file is not that version any more,
// reading fails with an error that wraps ErrChanged. It is used by one goroutine at a time.
type Body interface {
	// Range begins to read length bytes, at least 1, from offset on, all within the version's size. A reader that
	// ends early says so with an error that is not io.EOF. It is good until the next Range or Close. One that is an
	// io.WriterTo begins to write once it has something to.
	Range(offset, length int64) (io.Reader, error)
	io.Closer
}
