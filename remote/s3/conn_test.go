package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codestory/codestoryd/remote"
)

// pipe is a connection and its other end, in memory.
func pipe(limiter *remote.Limiter) (*conn, net.Conn) {
	near, far := net.Pipe()
	return newConn(near, limiter, defaultStall, new(pieceBuffers)), far
}

func wantStall(t *testing.T, err error, took, want time.Duration) {
	t.Helper()
	if !errors.Is(err, errStalled) || took < want || took > want+defaultStall/5 {
		t.Errorf("%v after %v, want a stall after %v", err, took, want)
	}
}

func TestConnEndsWhereNothingMoves(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*conn) error{
		"read":  func(c *conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"write": func(c *conn) error { _, err := c.Write(make([]byte, 1)); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, far := pipe(nil)
			defer far.Close()
			defer c.Close()
			start := time.Now()
			err := do(c)
			t.Log(name)
			wantStall(t, err, time.Since(start), defaultStall)
		})
	}
}

// TestConnHasThePatienceOfItsRequest and not that of the one before.
func TestConnHasThePatienceOfItsRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, want time.Duration }{{0, defaultStall}, {time.Second, defaultStall}, {5 * time.Minute, 5 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			near, far := pipe(nil)
			defer far.Close()
			defer near.Close()
			near.setPatience(time.Hour)
			near.setPatience(c.set)
			start := time.Now()
			_, err := near.Read(make([]byte, 1))
			wantStall(t, err, time.Since(start), c.want)
		})
	}
}

func TestConnLeavesASlowReaderAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, far := pipe(nil)
		defer c.Close()
		go func() {
			defer far.Close()
			for range 500 { // a byte every 29 s, for four hours
				time.Sleep(29 * time.Second)
				if _, err := far.Write([]byte("x")); err != nil {
					t.Errorf("the server: %v", err)
					return
				}
			}
		}()
		if got, err := io.ReadAll(c); err != nil || len(got) != 500 {
			t.Errorf("%d bytes, %v, want 500", len(got), err)
		}
	})
}

// TestConnReadsNothingWhileItWrites is an upload: the answer is waited for while the body goes out.
func TestConnReadsNothingWhileItWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, far := pipe(nil)
		defer c.Close()
		defer far.Close()
		go func() { // takes a byte every 20 s, for more than half an hour, and then says nothing
			for range 100 {
				time.Sleep(20 * time.Second)
				if _, err := far.Read(make([]byte, 1)); err != nil {
					t.Errorf("the server: %v", err)
				}
			}
		}()
		go func() {
			if _, err := c.Write(make([]byte, 100)); err != nil {
				t.Errorf("write: %v", err)
			}
		}()
		start := time.Now()
		_, err := c.Read(make([]byte, 1))
		wantStall(t, err, time.Since(start), 100*20*time.Second+defaultStall)
	})
}

func TestConnSeesTheKernelsQueueGetShorter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, far := pipe(nil)
		defer c.Close()
		defer far.Close()
		start := time.Now()
		c.queue = func() (int, bool) { // 1,000 bytes a second for ten minutes, then nothing more
			return 1_000_000 - 1000*int(min(time.Since(start), 10*time.Minute)/time.Second), true
		}
		_, err := c.Read(make([]byte, 1))
		wantStall(t, err, time.Since(start), 10*time.Minute+defaultStall)
	})
}

func TestConnWaitsForTheLimitWithoutAStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Forty who share a byte a second: each waits longer for its turn than a stall takes.
		limiter := remote.NewLimiter(func(time.Time) int64 { return 1 })
		start := time.Now()
		var wg sync.WaitGroup
		var got atomic.Int64
		for range 40 {
			c, far := pipe(limiter)
			wg.Go(func() {
				defer c.Close()
				if _, err := c.Write(make([]byte, 3)); err != nil {
					t.Errorf("write: %v", err)
				}
			})
			wg.Go(func() { // the answer is waited for
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, errStalled) {
					t.Errorf("read: %v", err)
				}
			})
			wg.Go(func() {
				defer far.Close()
				n, _ := io.Copy(io.Discard, far)
				got.Add(n)
			})
		}
		wg.Wait()
		if took := time.Since(start); got.Load() != 120 || took < 119*time.Second || took > 121*time.Second {
			t.Errorf("%d bytes in %v, want 120 in 120 s", got.Load(), took)
		}
	})
}

func TestConnCloseEndsAWaitForTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, far := pipe(remote.NewLimiter(func(time.Time) int64 { return 1 }))
		defer far.Close()
		failed := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 1000))
			failed <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v, want that the connection is closed", err)
		}
	})
}

func TestUnsentBytes(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if n, known := unsentBytes(near); n != 0 {
		t.Errorf("%d bytes (%v) before anything was written", n, known)
	} else if !known {
		t.Skip("this system does not tell")
	}
	if err := near.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(near, endless{}); err == nil {
		t.Fatal("a peer that does not read takes everything")
	}
	full, _ := unsentBytes(near)
	if full == 0 {
		t.Fatal("nothing is in the queue of a peer that does not read")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for left := full; left > 0; left, _ = unsentBytes(near) {
		if err := far.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.CopyN(io.Discard, far, 1<<20) // the deadline, once it is empty
		if ctx.Err() != nil {
			t.Fatalf("%d of %d bytes stay in the queue of a peer that reads", left, full)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
