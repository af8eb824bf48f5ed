package remotetest

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Network is a way to a server that can be made a bad one: a toxiproxy.
type Network struct {
	URL string

	proxy  *toxiproxy.Proxy
	mu     sync.Mutex
	faults []string
}

// The faults that tests make, by toxiproxy's names for them.
const (
	Latency    = "latency"    // {"latency": MILLISECONDS}
	SlowClose  = "slow_close" // {"delay": MILLISECONDS}
	Reset      = "reset_peer" // {"timeout": MILLISECONDS}
	BlackHole  = "timeout"    // {"timeout": 0}: what is sent disappears
	Bandwidth  = "bandwidth"  // {"rate": KB_PER_SECOND}
	toServer   = "upstream"
	fromServer = "downstream"
)

// NewNetwork makes a way to the server at target, a URL without a path. It ends with the test.
func NewNetwork(t testing.TB, target string) *Network {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	n := &Network{proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", to.Host)}
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	n.URL = "http://" + n.proxy.Listen
	return n
}

// Break makes a fault, in the direction "upstream" or "downstream", that lasts until Mend.
func (n *Network) Break(t testing.TB, fault, direction string, attributes map[string]any) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": fault, "stream": direction, "attributes": attributes})
	if err != nil {
		t.Fatal(err)
	}
	toxic, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(string(text)))
	if err != nil {
		t.Errorf("breaking the network: %v", err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, toxic.Name)
}

// Mend takes all faults away.
func (n *Network) Mend(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range n.faults {
		if err := n.proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
			t.Errorf("mending the network: %v", err)
		}
	}
	n.faults = nil
}
