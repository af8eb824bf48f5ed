package remotetest

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Network is a way to a server that can be made a bad one: a proxy of TCP connections.
type Network struct {
	URL string

	address, target string
	mu              sync.Mutex // guards what follows
	listener        net.Listener
	conns           map[*net.TCPConn]struct{} // both ends of each way; nil while none are taken
	faults          [2]NetworkFault
	changed         chan struct{} // closed when a fault is made or mended
	copies          sync.WaitGroup
}

// NetworkFault is what is wrong with one direction of a network. The zero value is nothing.
type NetworkFault struct {
	Latency   time.Duration // each piece comes so much later
	Jitter    time.Duration // and at most this besides
	SlowClose time.Duration // so does the end
	Rate      int           // bytes a second; 0 for no limit
	BlackHole bool          // what is sent disappears
	Reset     bool          // the connections are reset as soon as something is sent
	CutAfter  int64         // so are they after so many bytes; 0 is never
}

// Direction is from or to the server.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	FromServer
)

// NewNetwork makes a way to the server at target, a URL without a path. It ends with the test.
func NewNetwork(t testing.TB, target string) *Network {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	n := &Network{address: "127.0.0.1:0", target: to.Host, changed: make(chan struct{})}
	n.Start(t)
	t.Cleanup(n.Stop)
	n.URL = "http://" + n.address
	return n
}

// Start takes connections.
func (n *Network) Start(t testing.TB) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener, n.address, n.conns = listener, listener.Addr().String(), map[*net.TCPConn]struct{}{}
	n.copies.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			n.copies.Go(func() { n.connect(client.(*net.TCPConn)) })
		}
	})
}

// Stop takes no connections any more, and closes those that there are.
func (n *Network) Stop() {
	n.mu.Lock()
	n.listener.Close()
	for conn := range n.conns {
		conn.Close()
	}
	n.conns = nil
	n.mu.Unlock()
	n.set(func() { n.faults = [2]NetworkFault{} })
	n.copies.Wait()
}

// Break makes a fault in the direction, instead of one that it has, for the connections that are open too. It lasts until
// Mend.
func (n *Network) Break(d Direction, f NetworkFault) { n.set(func() { n.faults[d] = f }) }

// Mend takes all faults away.
func (n *Network) Mend() { n.set(func() { n.faults = [2]NetworkFault{} }) }

func (n *Network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
	close(n.changed)
	n.changed = make(chan struct{})
}

// fault is that of the direction, and a channel that is closed when it is another.
func (n *Network) fault(d Direction) (NetworkFault, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults[d], n.changed
}

// connect joins the client to the server until both have ended.
func (n *Network) connect(client *net.TCPConn) {
	defer n.close(client)
	conn, err := net.Dial("tcp", n.target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer n.close(server)
	if !n.open(client, server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { n.copy(server, client, ToServer) })
	both.Go(func() { n.copy(client, server, FromServer) })
	both.Wait()
}

// open reports whether connections are still taken.
func (n *Network) open(conns ...*net.TCPConn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range conns {
		if n.conns == nil {
			return false
		}
		n.conns[conn] = struct{}{}
	}
	return true
}

func (n *Network) close(conn *net.TCPConn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, conn)
	conn.Close()
}

// errReset says that a fault reset the connections.
var errReset = errors.New("reset by the test")

// copy passes on what src sends, as well as the fault of the direction lets it.
func (n *Network) copy(dst, src *net.TCPConn, d Direction) {
	var passed int64
	buffer := make([]byte, 1<<20) // what comes within a latency is one piece
	for {
		read, err := src.Read(buffer)
		if sendErr := n.send(dst, buffer[:read], d, &passed); sendErr != nil {
			reset(dst, src)
			return
		}
		if err != nil {
			fault, changed := n.fault(d)
			wait(fault.SlowClose, changed)
			if err == io.EOF {
				dst.CloseWrite()
			} else {
				reset(dst, src)
			}
			return
		}
	}
}

// send passes on a piece. A fault that changes meanwhile counts for what is left of it.
func (n *Network) send(dst *net.TCPConn, piece []byte, d Direction, passed *int64) error {
	for late := false; len(piece) > 0; {
		fault, changed := n.fault(d)
		next := piece
		switch {
		case fault.Reset || fault.CutAfter > 0 && *passed >= fault.CutAfter:
			return errReset
		case fault.BlackHole:
			return nil
		case !late && fault.Latency > 0:
			wait(fault.Latency+rand.N(fault.Jitter+1), changed)
			late = true
			continue
		case fault.Rate > 0:
			next = piece[:min(len(piece), max(fault.Rate/10, 1))]
			if !wait(time.Duration(len(next))*time.Second/time.Duration(fault.Rate), changed) {
				continue
			}
		}
		if fault.CutAfter > 0 {
			next = next[:min(int64(len(next)), fault.CutAfter-*passed)]
		}
		written, err := dst.Write(next)
		*passed += int64(written)
		if err != nil {
			return err
		}
		piece = piece[written:]
	}
	return nil
}

// wait returns true after that time, false when the channel is closed before.
func wait(d time.Duration, changed <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-changed:
		return false
	}
}

// reset closes both, with RST instead of FIN.
func reset(conns ...*net.TCPConn) {
	for _, conn := range conns {
		conn.SetLinger(0)
		conn.Close()
	}
}
