package s3

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
	"github.com/codestory/codestoryd/remote/remotetest"
)

func TestCABundle(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(newGatekeeper(t, "key"))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client
	t.Cleanup(server.Close)
	opts := valid()
	opts.Endpoint = server.URL
	wantPause(t, mustNew(t, opts).Check(t.Context()), codestory.RemoteUnavailable, "certificate")

	opts.CABundle = filepath.Join(t.TempDir(), "ca.pem")
	write(t, opts.CABundle, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if err := mustNew(t, opts).Check(t.Context()); err != nil {
		t.Errorf("with the certificate in the bundle: %v", err)
	}
}

func TestProxies(t *testing.T) {
	t.Parallel()
	server := newGatekeeper(t, "key")
	var through []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through = append(through, r.URL.Host)
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	opts := valid()
	opts.Endpoint = "http://store.test"
	opts.Proxies = Proxies{HTTP: proxy.URL, None: "other.test"}
	if err := mustNew(t, opts).Check(t.Context()); err != nil || len(through) != 1 || through[0] != "store.test" {
		t.Errorf("%v, by the proxy to %q", err, through)
	}
	for _, direct := range []string{"http://other.test/", "https://store.test/", "http://127.0.0.1/", "http://169.254.169.254/"} {
		req := httptest.NewRequest(http.MethodGet, direct, nil)
		if by, err := opts.Proxies.forRequest()(req); by != nil || err != nil {
			t.Errorf("%s goes by %v, %v", direct, by, err)
		}
	}
	opts.Proxies.HTTP = "http://127.0.0.1:1"
	wantPause(t, mustNew(t, opts).Check(t.Context()), codestory.RemoteUnavailable, "cannot be reached")
}

func TestMinIOOnBadNetworks(t *testing.T) {
	t.Parallel()
	testNetwork(t, remotetest.StartMinIO(t, remotetest.MinIOOptions{}))
}

func TestVersityOnBadNetworks(t *testing.T) {
	t.Parallel()
	testNetwork(t, remotetest.StartVersity(t, remotetest.VersityOptions{}))
}

func testNetwork(t *testing.T, server *remotetest.Server) {
	remotetest.TestNetwork(t, remotetest.NetworkOptions{
		Server: server, PartSize: testPart,
		Open: func(t *testing.T, endpoint string, stall time.Duration) remote.Store {
			return open(t, server, server.Bucket(t), func(o *Options) {
				inParts(o)
				o.Endpoint, o.stall = endpoint, stall
			})
		},
	})
}
