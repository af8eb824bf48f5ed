package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api"
	"github.com/codestory/codestoryd/api/client"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

// listenSettings say where and how the API is served. An address other than loopback needs TLS or insecure-listen.
type listenSettings struct {
	address           string
	certFile, keyFile string // absolute; "" serves HTTP
	exposed           bool   // other machines reach it, without TLS
}

// checkListen checks the settings of the listener. wrong makes an error about one of them.
func checkListen(v values, wrong func(name string, err error) error) (l listenSettings, err error) {
	l.address = v.get("listen")
	host, port, err := net.SplitHostPort(l.address)
	if err != nil {
		return l, wrong("listen", fmt.Errorf("use HOST:PORT, such as 127.0.0.1:7788"))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return l, wrong("listen", fmt.Errorf("%q is not a port: use a number up to 65535, or 0 for a free one", port))
	}
	insecure, err := parseBool(v.get("insecure-listen"))
	if err != nil {
		return l, wrong("insecure-listen", err)
	}
	cert, key := v.get("tls-cert"), v.get("tls-key")
	if (cert == "") != (key == "") {
		return l, usagef("tls-cert and tls-key belong together: set both, or neither")
	}
	if cert != "" {
		var keyErr error
		l.certFile, err = filepath.Abs(cert)
		l.keyFile, keyErr = filepath.Abs(key)
		return l, errors.Join(err, keyErr)
	}
	l.exposed = !isLoopback(host)
	if l.exposed && !insecure {
		return l, wrong("listen", fmt.Errorf("other machines would send their tokens in the clear: set tls-cert and tls-key, "+
			"or insecure-listen if something else encrypts, or use 127.0.0.1:%s", port))
	}
	return l, nil
}

// isLoopback reports whether only this machine reaches the host. A name other than localhost may mean any address.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func parseOrigins(items []string) (origins []string, err error) {
	for _, item := range items {
		origin, err := api.ParseOrigin(item)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", withoutSecrets(item, true), err)
		}
		origins = append(origins, origin)
	}
	return origins, nil
}

// localURL is the URL of the API at address, for clients on this machine. Nobody can connect to an unspecified address such as
// 0.0.0.0, so loopback replaces it.
func localURL(scheme, address string) *url.URL {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Unmap().IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(a.Port())))
	}
	return &url.URL{Scheme: scheme, Host: address}
}

// allowedHosts are the hosts besides loopback that a request may have in Host: the one to listen at.
func (l listenSettings) allowedHosts() []string {
	host, _, _ := net.SplitHostPort(l.address)
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.Unmap().IsUnspecified() {
		return nil
	}
	return []string{host}
}

// guarded reports whether other machines may reach it.
func (l listenSettings) guarded() bool { return l.certFile != "" || l.exposed }

func (l listenSettings) scheme() string {
	if l.certFile != "" {
		return "https"
	}
	return "http"
}

// httpListener is where the API is served, with TLS or without.
type httpListener struct {
	net.Listener
	cert     *atomicfile.Followed[*tls.Certificate] // nil serves HTTP
	local    *url.URL                               // reaches it from this machine
	public   *url.URL                               // players' links begin with it
	problems *problem.Set
	log      *slog.Logger

	dataDir  string      // has daemon.json
	started  time.Time   // set before writeInstance
	written  atomic.Bool // daemon.json is written
	stopping atomic.Bool // daemon.json says so, once ctx of run has ended
}

// openListener listens. Anything unsafe about the address is printed on stderr, and is a problem while the daemon runs.
func (p *program) openListener(c config, problems *problem.Set, log *slog.Logger) (*httpListener, error) {
	l := &httpListener{log: log.With("component", "http"), public: c.publicURL, problems: problems, dataDir: c.dataDir}
	var err error
	if c.listen.certFile != "" {
		if l.cert, err = openCertificate(c.listen.certFile, c.listen.keyFile, problems); err != nil {
			return nil, err
		}
	}
	if l.Listener, err = new(net.ListenConfig).Listen(p.soft, "tcp", c.listen.address); err != nil {
		return nil, fmt.Errorf("%w: stop the program that has the port, or choose another with --listen", err)
	}
	host, _, _ := net.SplitHostPort(l.address())
	if !c.listen.guarded() && !isLoopback(host) { // a name resolved to another address
		_ = l.Close()
		return nil, usagef("listen %q is %s, which other machines reach: use 127.0.0.1", c.listen.address, l.address())
	}
	warn := func(code, message string) {
		fmt.Fprintln(p.stderr, "codestoryd: WARNING: "+message)
		problems.Report(codestory.Problem{Code: code, Message: message})
	}
	l.local = localURL(c.listen.scheme(), l.address())
	if c.listen.exposed {
		warn("insecure_listen", "the API serves other machines without TLS (insecure-listen): "+
			"anybody between them can read tokens, links and stories; set tls-cert and tls-key")
	}
	if l.public == nil {
		l.public = l.local
		if l.local.Host != l.address() {
			warn("no_public_url", "links lead to this machine, "+l.local.String()+": set public-url to the address that players use")
		}
	}
	return l, nil
}

func (l *httpListener) address() string { return l.Addr().String() }

const (
	writeAgain = 5 * time.Second // between attempts to write daemon.json
	certEvery  = time.Minute     // between looks at the certificate, if nobody connects
)

// writeInstance writes daemon.json, by which the commands find the daemon. If the disk is full the daemon runs all the
// same, and run tries again.
func (l *httpListener) writeInstance() error {
	i := instance{PID: os.Getpid(), Address: l.address(), StartedAt: l.started, Stopping: l.stopping.Load()}
	if l.cert != nil {
		i.TLS = client.Fingerprint(l.cert.Now().Leaf)
	}
	err := writeInstance(l.dataDir, i)
	l.written.Store(err == nil)
	if err != nil {
		l.problems.Report(codestory.Problem{Code: "not_announced", Message: "the commands cannot find the daemon, since " + instanceFile +
			" cannot be written to the data directory: " + err.Error()})
		return err
	}
	l.problems.Clear("not_announced")
	return nil
}

// run writes daemon.json if that failed, and checks the certificate, until ctx ends. Then the daemon stops,
// and daemon.json says so.
func (l *httpListener) run(ctx context.Context) error {
	write, look := time.NewTicker(writeAgain), time.NewTicker(certEvery)
	defer write.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			l.problems.Report(codestory.Problem{Code: stoppingCode, Message: "the daemon is stopping: uploads under way may finish for some seconds, and local files play until then"})
			l.stopping.Store(true)
			_ = l.writeInstance() // reported
			return nil
		case <-write.C:
			if !l.written.Load() {
				_ = l.writeInstance() // reported
			}
		case <-look.C:
			if l.cert != nil {
				l.certificate()
			}
		}
	}
}

// stoppingCode is of the problem that says that the daemon stops.
const stoppingCode = "stopping"

// Requests under way may go on for requestDrain after soft ended, and for lastRequests after the last upload.
const (
	requestDrain = 5 * time.Second
	lastRequests = time.Second
)

// serve serves the API until drained ends, and calls ready when it begins.
func (l *httpListener) serve(soft, drained, hard context.Context, server *http.Server, ready func()) error {
	server.ErrorLog = slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
	stopped := make(chan struct{})
	stop := context.AfterFunc(soft, func() {
		defer close(stopped)
		end := time.Now().Add(requestDrain)
		<-drained.Done()
		draining, cancel := context.WithTimeout(hard, max(time.Until(end), lastRequests))
		defer cancel()
		if server.Shutdown(draining) != nil {
			_ = server.Close() // a player may hold its stream for hours
		}
	})
	ready()
	var err error
	if l.cert == nil {
		err = server.Serve(l)
	} else {
		server.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.certificate(), nil },
		}
		err = server.ServeTLS(l, "", "")
	}
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serving HTTP: %w", err)
	}
	<-stopped
	return nil
}

// openCertificate reads the TLS certificate and its key. They are read again when the files change, so that a renewal needs
// no restart. While certificate and key do not match, as in the middle of a renewal, the old ones stay in force.
func openCertificate(certFile, keyFile string, problems *problem.Set) (*atomicfile.Followed[*tls.Certificate], error) {
	cert, err := atomicfile.Open(atomicfile.FollowOptions{
		Paths: []string{certFile, keyFile}, Problems: problems, Code: "tls_certificate",
		Message: "the new TLS certificate cannot be used, so the old one stays in force: ",
	}, func(*tls.Certificate) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		return &pair, err
	})
	if err != nil {
		return nil, usagef("the TLS certificate cannot be used: %w: see tls-cert and tls-key", err)
	}
	return cert, nil
}

// certificate returns the certificate in force, after it read the files again if they changed.
func (l *httpListener) certificate() *tls.Certificate {
	before := l.cert.Now()
	cert, read := l.cert.Look()
	if read && !cert.Leaf.Equal(before.Leaf) {
		l.log.Info("another TLS certificate is in force", "not_after", cert.Leaf.NotAfter)
		l.writeInstance()
	}
	// Automatic renewal replaces certificates long before this.
	due := cert.Leaf.NotAfter.Add(-min(7*24*time.Hour, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)/10))
	if time.Now().After(due) {
		l.problems.Report(codestory.Problem{Code: "tls_certificate_ends", Since: due, Message: fmt.Sprintf(
			"the TLS certificate ends at %s: renew it, and put the new one in the place of the old", cert.Leaf.NotAfter.Format(time.RFC3339))})
	} else {
		l.problems.Clear("tls_certificate_ends")
	}
	return cert
}
