package remotetest

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// NetworkOptions say how a store of an S3 server is opened at another address.
type NetworkOptions struct {
	Server *Server
	// Open makes a store whose server is reached at endpoint, and that gives a connection up on which nothing has
	// moved for stall; 0 is its own time. It sends what is larger than PartSize in parts of that.
	Open     func(t *testing.T, endpoint string, stall time.Duration) remote.Store
	PartSize int64
}

// TestNetwork holds a store against networks that are slow, cut connections, or swallow what is sent.
func TestNetwork(t *testing.T, opts NetworkOptions) {
	s := networkSuite{opts}
	for name, test := range map[string]func(t *testing.T){
		"latency":                      s.latency,
		"slow close":                   s.slowClose,
		"reset in a put":               s.resetInPut,
		"reset in a part":              s.resetInPart,
		"cut in Complete":              s.cutInComplete,
		"black hole to the server":     func(t *testing.T) { s.blackHole(t, ToServer) },
		"black hole from the server":   func(t *testing.T) { s.blackHole(t, FromServer) },
		"1 KiB per second to it":       s.slowPut,
		"1 KiB per second from it":     s.slowOpen,
		"nobody takes the connections": s.noServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

type networkSuite struct{ NetworkOptions }

// impatient is a time after which nothing comes any more, on a slow machine too.
const impatient = 2 * time.Second

// open makes a store behind a network, with a proxy between that and the server that sees the requests.
func (s networkSuite) open(t *testing.T, stall time.Duration) (remote.Store, *Network, *Proxy) {
	t.Helper()
	proxy := CountingProxy(t, s.Server.Endpoint)
	network := NewNetwork(t, proxy.URL)
	return s.Open(t, network.URL, stall), network, proxy
}

func (s networkSuite) key(t *testing.T) string { return story + t.Name() + "/story.mp3" }

func (s networkSuite) latency(t *testing.T) {
	store, network, _ := s.open(t, 0)
	network.Break(ToServer, NetworkFault{Latency: 50 * time.Millisecond, Jitter: 100 * time.Millisecond})
	network.Break(FromServer, NetworkFault{Latency: 50 * time.Millisecond, Jitter: 100 * time.Millisecond})
	mustPut(t, store, s.key(t), Bytes(large))
	holds(t, store, s.key(t), Bytes(large))
}

func (s networkSuite) slowClose(t *testing.T) {
	store, network, _ := s.open(t, 0)
	network.Break(ToServer, NetworkFault{SlowClose: 500 * time.Millisecond})
	network.Break(FromServer, NetworkFault{SlowClose: 500 * time.Millisecond})
	for _, size := range []int{0, 1000, large} {
		mustPut(t, store, s.key(t), Bytes(size))
		holds(t, store, s.key(t), Bytes(size))
	}
}

// failsFor fails the test unless err is one after which the put is tried again.
func failsFor(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("a put succeeded on a network that cuts it")
	}
	if class := codestory.ClassOf(t.Context(), err); class != codestory.ClassRetry && class != codestory.ClassPause {
		t.Errorf("class %v of %v, want one after which it is tried again", class, err)
	}
}

func (s networkSuite) resetInPut(t *testing.T) {
	store, network, _ := s.open(t, 0)
	mustPut(t, store, s.key(t), []byte("the old version"))
	data := Bytes(4 << 20)
	src := NewSource(data).OnReach(2<<20, func() { network.Break(ToServer, NetworkFault{Reset: true}) })
	_, err := put(t, store, s.key(t), src, remote.PutOptions{ContentType: mp3})
	failsFor(t, err)
	network.Mend()
	holds(t, store, s.key(t), []byte("the old version"))
	mustPut(t, store, s.key(t), data)
	holds(t, store, s.key(t), data)
}

func (s networkSuite) resetInPart(t *testing.T) {
	store, network, proxy := s.open(t, 0)
	data, l := Bytes(int(5*s.PartSize)), &memoryLedger{}
	src := NewSource(data).OnReach(4*s.PartSize+s.PartSize/2, func() {
		network.Break(ToServer, NetworkFault{Reset: true})
	})
	_, err := put(t, store, s.key(t), src, remote.PutOptions{ContentType: mp3, Ledger: l})
	failsFor(t, err)
	network.Mend()
	if object, err := store.Stat(t.Context(), s.key(t)); !errors.Is(err, codestory.ErrNotFound) {
		t.Errorf("after the reset: %+v, %v, want no object", object, err)
	}
	proxy.Requests()
	if _, err := put(t, store, s.key(t), NewSource(data), remote.PutOptions{ContentType: mp3, Ledger: l}); err != nil {
		t.Fatal(err)
	}
	requests := proxy.Requests()
	if creates, parts := count(requests, "POST", "uploads="), count(requests, "PUT", "partNumber="); creates != 0 || parts > 4 {
		t.Errorf("to go on it took %d new uploads and %d of 5 parts: %q", creates, parts, requests)
	}
	holds(t, store, s.key(t), data)
}

// cutInComplete cuts the connection when the server has the request and before its answer. It makes one object of it.
func (s networkSuite) cutInComplete(t *testing.T) {
	store, network, proxy := s.open(t, 0)
	proxy.Before(func(_ http.ResponseWriter, r *http.Request) (answered bool) {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
			network.Break(FromServer, NetworkFault{Reset: true})
		}
		return false
	})
	data, l := Bytes(int(2*s.PartSize)), &memoryLedger{}
	_, err := put(t, store, s.key(t), NewSource(data), remote.PutOptions{ContentType: mp3, Ledger: l})
	failsFor(t, err)
	network.Mend()
	object, err := put(t, store, s.key(t), NewSource(data), remote.PutOptions{ContentType: mp3, Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	requests := proxy.Requests()
	if n := count(requests, "POST", "uploadId="); n != 1 {
		t.Errorf("Complete was sent %d times: %q", n, requests)
	}
	if creates, parts := count(requests, "POST", "uploads="), count(requests, "PUT", "partNumber="); creates != 1 || parts != 2 {
		t.Errorf("%d uploads of %d parts: %q", creates, parts, requests)
	}
	if object.Size != int64(len(data)) {
		t.Errorf("put: %+v", object)
	}
	holds(t, store, s.key(t), data)
}

func (s networkSuite) blackHole(t *testing.T, direction Direction) {
	store, network, _ := s.open(t, impatient)
	mustPut(t, store, s.key(t), []byte("the old version"))
	for name, data := range map[string][]byte{"small": Bytes(1000), "in parts": Bytes(int(2 * s.PartSize))} {
		network.Break(direction, NetworkFault{BlackHole: true})
		start := time.Now()
		_, err := put(t, store, s.key(t), NewSource(data), remote.PutOptions{ContentType: mp3, Ledger: &memoryLedger{}})
		failsFor(t, err)
		if took := time.Since(start); took < impatient/2 || took > 10*impatient {
			t.Errorf("a put of what is %s ended after %v", name, took)
		}
		network.Mend()
		mustPut(t, store, s.key(t), data)
		holds(t, store, s.key(t), data)
	}
}

func (s networkSuite) slowPut(t *testing.T) {
	store, network, proxy := s.open(t, 0)
	network.Break(ToServer, NetworkFault{Rate: 1 << 10})
	start, data := time.Now(), Bytes(8<<10)
	mustPut(t, store, s.key(t), data)
	if took, n := time.Since(start), len(proxy.Requests()); took < 7*time.Second || n != 1 {
		t.Errorf("it took %v and %d requests", took, n)
	}
	network.Mend()
	holds(t, store, s.key(t), data)
}

// slowOpen is far longer than a stall, and something moves all the time.
func (s networkSuite) slowOpen(t *testing.T) {
	store, network, _ := s.open(t, impatient)
	data := Bytes(8 << 10)
	mustPut(t, store, s.key(t), data)
	network.Break(FromServer, NetworkFault{Rate: 1 << 10})
	start := time.Now()
	body, _, err := store.Open(t.Context(), s.key(t), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || sum(got) != sum(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if took := time.Since(start); took < 3*impatient {
		t.Errorf("8 KiB took %v", took)
	}
}

func (s networkSuite) noServer(t *testing.T) {
	store, network, _ := s.open(t, 0)
	network.Stop()
	_, err := put(t, store, s.key(t), NewSource(Bytes(1000)), remote.PutOptions{ContentType: mp3})
	if e, ok := errors.AsType[*codestory.Error](err); !ok || e.State != codestory.RemoteUnavailable {
		t.Errorf("put: %v, want that the store is unavailable", err)
	}
	network.Start(t)
	mustPut(t, store, s.key(t), Bytes(1000))
}

// memoryLedger is a remote.Ledger.
type memoryLedger struct {
	mu    sync.Mutex
	state []byte
}

func (l *memoryLedger) State() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *memoryLedger) Save(state []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	return nil
}
