package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/codestory/codestoryd/remote"
)

// defaultStall is how long no byte may move on a connection before it counts as dead.
const defaultStall = 30 * time.Second

var errStalled = errors.New("no byte moved on the connection")

// conn is a connection that ends where nothing moves on it, in either direction, and is left alone for hours while
// anything does, however slowly. What it sends is held to the limiter's bandwidth; to wait for that is no stall.
//
// A deadline for the whole request would do neither. One for every single read and write is not enough: while a large
// body goes out there is nothing to read, and the last megabytes wait in the kernel, where the writes that brought
// them there are long done. So it looks every now and then whether that queue gets shorter.
type conn struct {
	net.Conn
	pieces  *pieceBuffers
	limiter *remote.Limiter
	stall   time.Duration
	queue   func() (bytes int, known bool) // what the kernel has yet to send, or to see acknowledged

	ctx    context.Context // ended by Close, for a writer that waits for the limiter
	cancel context.CancelFunc

	mu       sync.Mutex
	moved    time.Time     // when the last byte was seen to move
	queued   int           // bytes in the queue when it was last looked at
	waiting  int           // writers that wait for the limiter
	patience time.Duration // of the request at hand; no shorter than stall counts
	dead     bool          // it has stalled
}

func newConn(c net.Conn, limiter *remote.Limiter, stall time.Duration, pieces *pieceBuffers) *conn {
	ctx, cancel := context.WithCancel(context.Background())
	return &conn{
		Conn: c, pieces: pieces, limiter: limiter, stall: stall, queue: func() (int, bool) { return unsentBytes(c) },
		ctx: ctx, cancel: cancel, moved: time.Now(),
	}
}

// Read begins a new time-out: while nobody read, nothing could be seen to move.
func (c *conn) Read(p []byte) (int, error) {
	c.touch()
	for {
		if err := c.SetReadDeadline(c.nextLook()); err != nil {
			return 0, c.reason(err)
		}
		n, err := c.Conn.Read(p)
		if n > 0 {
			c.touch()
		}
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, c.reason(err)
		}
		if c.stalled() {
			return 0, errStalled
		}
	}
}

func (c *conn) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		piece := p[sent:min(len(p), sent+c.limiter.Chunk())]
		if err := c.waitForLimit(len(piece)); err != nil {
			return sent, err
		}
		n, err := c.write(piece)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// ReadFrom implements io.ReaderFrom, by which net/http sends a body: in larger pieces than it would by itself, and
// without a new buffer for each.
func (c *conn) ReadFrom(r io.Reader) (sent int64, err error) {
	buf := c.pieces.take()
	defer c.pieces.giveBack(buf)
	for {
		n, readErr := r.Read(buf[:])
		if n > 0 {
			n, err := c.Write(buf[:n])
			sent += int64(n)
			if err != nil {
				return sent, err
			}
		}
		switch readErr {
		case nil:
		case io.EOF:
			return sent, nil
		default:
			return sent, readErr
		}
	}
}

func (c *conn) waitForLimit(n int) error {
	c.wait(1)
	defer c.wait(-1)
	if err := c.limiter.Wait(c.ctx, n); err != nil {
		return c.reason(net.ErrClosed)
	}
	return nil
}

func (c *conn) write(p []byte) (int, error) {
	sent := 0
	for {
		if err := c.SetWriteDeadline(c.nextLook()); err != nil {
			return sent, c.reason(err)
		}
		n, err := c.Conn.Write(p[sent:])
		sent += n
		if n > 0 {
			c.touch()
		}
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, c.reason(err)
		}
		if c.stalled() {
			return sent, errStalled
		}
	}
}

func (c *conn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

func (c *conn) nextLook() time.Time { return time.Now().Add(c.stall / 6) }

func (c *conn) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = time.Now()
}

func (c *conn) wait(writers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += writers
	c.moved = time.Now()
}

// setPatience is for the request that begins on the connection.
func (c *conn) setPatience(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience = d
}

// stalled reports whether nothing has moved for too long.
func (c *conn) stalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	queued, known := c.queue()
	if c.waiting > 0 || known && queued < c.queued {
		c.moved = time.Now()
	}
	c.queued = queued
	c.dead = c.dead || time.Since(c.moved) >= max(c.stall, c.patience)
	return c.dead
}

// reason is err, unless it only follows from a stall: when a read finds one, the connection is closed, and a write
// that is under way then learns no more than that.
func (c *conn) reason(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead && errors.Is(err, net.ErrClosed) {
		return errStalled
	}
	return err
}
