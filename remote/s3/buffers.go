package s3

import "sync"

const (
	// smallBody is the size, in bytes, up to which a body is held whole while it is sent.
	smallBody = 128 << 10
	// pieceSize is how much of any body is written to a connection at once.
	pieceSize = 64 << 10
)

// buffers are memory that bodies pass through, used again and again: there is as much as bodies are on their way at one
// time. The zero value is ready to use.
type buffers[T any] struct{ pool sync.Pool }

type (
	wholeBuffers = buffers[[smallBody + 1]byte] // with room to see that a body ends where it should
	pieceBuffers = buffers[[pieceSize]byte]
)

func (b *buffers[T]) take() *T {
	if buf, ok := b.pool.Get().(*T); ok {
		return buf
	}
	return new(T)
}

func (b *buffers[T]) giveBack(buf *T) { b.pool.Put(buf) }
