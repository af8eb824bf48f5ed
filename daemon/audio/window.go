package audio

import (
	"context"
	"errors"
	"io"
)

const (
	windowSize = 256 << 10
	maxLook    = 16 << 10 // that is looked at in one piece; larger than any frame of MPEG audio
)

// window is the part of a file that is in memory. Reading forward costs each byte once.
type window struct {
	ctx   context.Context
	r     io.ReaderAt
	size  int64
	buf   []byte
	start int64 // in the file, of buf
	err   error // the first of reading; what is read after it is empty
}

func newWindow(ctx context.Context, r io.ReaderAt, size int64) *window {
	return &window{ctx: ctx, r: r, size: size}
}

// at is n bytes from off on, at most maxLook, and fewer at the file's end. It is good until the next call.
func (w *window) at(off int64, n int) []byte {
	if off < 0 || off >= w.size || w.err != nil {
		return nil
	}
	n = int(min(int64(n), w.size-off))
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		w.fill(off)
	}
	if off-w.start >= int64(len(w.buf)) {
		return nil
	}
	b := w.buf[off-w.start:]
	return b[:min(n, len(b))]
}

func (w *window) fill(off int64) {
	if w.err = w.ctx.Err(); w.err != nil {
		w.buf = w.buf[:0]
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, min(windowSize, w.size))
	}
	w.buf = w.buf[:min(int64(cap(w.buf)), w.size-off)]
	n, err := w.r.ReadAt(w.buf, off)
	if n < len(w.buf) {
		w.err = err
		if err == nil || errors.Is(err, io.EOF) {
			w.err = io.ErrUnexpectedEOF // it was longer when its size was taken
		}
	}
	w.buf, w.start = w.buf[:n], off
}
