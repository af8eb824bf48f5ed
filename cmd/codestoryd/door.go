package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/client"
	"github.com/codestory/codestoryd/daemon"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

// door is where the API is served: a listener, with a certificate or without one.
type door struct {
	net.Listener
	cert     *atomicfile.Followed[*tls.Certificate] // nil serves HTTP
	local    *url.URL                               // reaches it from this machine
	public   *url.URL                               // players' links begin with it
	problems *problem.Set
	log      *slog.Logger

	dataDir   string      // where the commands look for the daemon
	started   time.Time   // set before announce
	announced atomic.Bool // they find it there
}

// openDoor listens. What is unsafe about it is printed on stderr, and is a problem as long as the daemon runs.
func (p *program) openDoor(c config, problems *problem.Set, log *slog.Logger) (*door, error) {
	d := &door{log: log.With("component", "http"), public: c.publicURL, problems: problems, dataDir: c.dataDir}
	var err error
	if c.listen.certFile != "" {
		if d.cert, err = openCertificate(c.listen.certFile, c.listen.keyFile, problems); err != nil {
			return nil, err
		}
	}
	if d.Listener, err = new(net.ListenConfig).Listen(p.soft, "tcp", c.listen.address); err != nil {
		return nil, fmt.Errorf("%w: stop the program that has the port, or choose another with --listen", err)
	}
	host, _, _ := net.SplitHostPort(d.address())
	if !c.listen.guarded() && !isLoopback(host) { // a name meant another address than it says
		_ = d.Close()
		return nil, usagef("listen %q is %s, which other machines reach: use 127.0.0.1", c.listen.address, d.address())
	}
	warn := func(code, message string) {
		fmt.Fprintln(p.stderr, "codestoryd: WARNING: "+message)
		problems.Report(codestory.Problem{Code: code, Message: message})
	}
	d.local = localURL(c.listen.scheme(), d.address())
	if c.listen.exposed {
		warn("insecure_listen", "the API serves other machines without TLS (insecure-listen): "+
			"anybody between them can read tokens, links and stories; set tls-cert and tls-key")
	}
	if d.public == nil {
		d.public = d.local
		if d.local.Host != d.address() {
			warn("no_public_url", "links lead to this machine itself, "+d.local.String()+": set public-url to the address that players use")
		}
	}
	return d, nil
}

func (d *door) address() string { return d.Addr().String() }

const (
	announceEvery = 5 * time.Second // between attempts to write where the daemon is
	certEvery     = time.Minute     // between looks at the certificate, if nobody connects
)

// announce writes for the commands where the daemon is. On a full disk it cannot: the daemon runs all the same, and run
// tries again.
func (d *door) announce() error {
	i := instance{PID: os.Getpid(), Address: d.address(), StartedAt: d.started}
	if d.cert != nil {
		i.TLS = client.Fingerprint(d.cert.Now().Leaf)
	}
	err := writeInstance(d.dataDir, i)
	d.announced.Store(err == nil)
	if err != nil {
		d.problems.Report(codestory.Problem{Code: "not_announced", Message: "the commands cannot find the daemon, since " + instanceFile +
			" cannot be written to the data directory: " + err.Error()})
		return err
	}
	d.problems.Clear("not_announced")
	return nil
}

// run announces the daemon if that failed, and looks at the certificate, until ctx ends.
func (d *door) run(ctx context.Context) error {
	announce, look := time.NewTicker(announceEvery), time.NewTicker(certEvery)
	defer announce.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-announce.C:
			if !d.announced.Load() {
				_ = d.announce() // reported
			}
		case <-look.C:
			if d.cert != nil {
				d.certificate()
			}
		}
	}
}

// serverDrain is how long requests under way may go on after the first signal.
const serverDrain = 5 * time.Second

// serve is the API as a service. It says when it is ready.
func (d *door) serve(server *http.Server, ready func()) daemon.Service {
	server.ErrorLog = slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)
	return func(soft, hard context.Context) error {
		stopped := make(chan error, 1)
		stop := context.AfterFunc(soft, func() {
			draining, cancel := context.WithTimeout(hard, serverDrain)
			defer cancel()
			if server.Shutdown(draining) != nil {
				_ = server.Close() // a player may hold its stream for hours
			}
			stopped <- nil
		})
		ready()
		var err error
		if d.cert == nil {
			err = server.Serve(d)
		} else {
			server.TLSConfig = &tls.Config{
				MinVersion:     tls.VersionTLS12,
				GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return d.certificate(), nil },
			}
			err = server.ServeTLS(d, "", "")
		}
		if !errors.Is(err, http.ErrServerClosed) {
			stop()
			return fmt.Errorf("serving HTTP: %w", err)
		}
		return <-stopped
	}
}
