package remotetest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote/remotetest"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		conns.Wait()
	})
	return "http://" + listener.Addr().String()
}

func through(t *testing.T, network *remotetest.Network) *net.TCPConn {
	t.Helper()
	u, err := url.Parse(network.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// TestNetworkFaults: each fault does what it says, in both directions, and ends when it is mended.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	data := remotetest.Bytes(100_000)
	for name, direction := range map[string]remotetest.Direction{"to": remotetest.ToServer, "from": remotetest.FromServer} {
		for fault, test := range map[string]struct {
			remotetest.NetworkFault
			whole bool          // all comes through
			least time.Duration // it takes
			most  int           // bytes that come through else
		}{
			"none":       {remotetest.NetworkFault{}, true, 0, 0},
			"latency":    {remotetest.NetworkFault{Latency: 200 * time.Millisecond}, true, 200 * time.Millisecond, 0},
			"slow close": {remotetest.NetworkFault{SlowClose: 200 * time.Millisecond}, true, 200 * time.Millisecond, 0},
			"rate":       {remotetest.NetworkFault{Rate: 200_000}, true, 400 * time.Millisecond, 0},
			"black hole": {remotetest.NetworkFault{BlackHole: true}, false, 0, 0},
			"reset":      {remotetest.NetworkFault{Reset: true}, false, 0, 0},
			"cut":        {remotetest.NetworkFault{CutAfter: 50_001}, false, 0, 50_001},
		} {
			t.Run(fault+" "+name, func(t *testing.T) {
				t.Parallel()
				network := remotetest.NewNetwork(t, echo(t))
				network.Break(direction, test.NetworkFault)
				begun := time.Now()
				got, err := exchange(through(t, network), data)
				if test.whole && (err != nil || !bytes.Equal(got, data)) || !test.whole && len(got) > test.most {
					t.Errorf("%d of %d bytes came through, %v", len(got), len(data), err)
				}
				if took := time.Since(begun); took < test.least {
					t.Errorf("it took %v", took)
				}
				network.Mend()
				if got, err := exchange(through(t, network), data); err != nil || !bytes.Equal(got, data) {
					t.Errorf("mended: %d of %d bytes came through, %v", len(got), len(data), err)
				}
			})
		}
	}
}

func exchange(conn *net.TCPConn, data []byte) (got []byte, err error) {
	var sending sync.WaitGroup
	var sent error
	sending.Go(func() {
		if _, sent = conn.Write(data); sent == nil {
			sent = conn.CloseWrite()
		}
	})
	got, err = io.ReadAll(conn)
	conn.Close()
	sending.Wait()
	return got, errors.Join(err, sent)
}

// TestNetworkMendsWhileRunning: a fault ends for the connection that it holds up.
func TestNetworkMendsWhileRunning(t *testing.T) {
	t.Parallel()
	network := remotetest.NewNetwork(t, echo(t))
	network.Break(remotetest.FromServer, remotetest.NetworkFault{Rate: 1})
	conn := through(t, network)
	if _, err := conn.Write(remotetest.Bytes(1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	network.Mend()
	if _, err := io.ReadFull(conn, make([]byte, 999)); err != nil {
		t.Error(err)
	}
	network.Stop()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("stopped, the network still has its connection")
	}
}
