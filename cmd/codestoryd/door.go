package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon"
)

// door is where the API is served: a listener, with a certificate or without one.
type door struct {
	net.Listener
	cert    *certificate // nil serves HTTP
	local   *url.URL     // reaches it from this machine
	public  *url.URL     // players' links begin with it
	warning []codestory.Problem
	told    announcement
	log     *slog.Logger
}

// openDoor listens. What is unsafe about it is said on stderr and in the log, and stays in the status.
func (p *program) openDoor(c config, log *slog.Logger) (*door, error) {
	d := &door{log: log.With("component", "http"), public: c.publicURL}
	var err error
	if c.listen.certFile != "" {
		if d.cert, err = openCertificate(c.listen.certFile, c.listen.keyFile, d.log); err != nil {
			return nil, err
		}
	}
	if d.Listener, err = listen(p.soft, c.listen.address); err != nil {
		return nil, err
	}
	if !c.listen.guarded() && !isLoopback(d.host()) { // a name meant another address than it says
		d.close()
		return nil, usagef("listen %q is %s, which other machines reach: use 127.0.0.1", c.listen.address, d.address())
	}
	d.local = localURL(c.listen.scheme(), d.address())
	if c.listen.exposed {
		d.warn(p, "insecure_listen", exposedWarning)
	}
	if d.public == nil {
		d.public = d.local
		if d.local.Host != d.address() {
			d.warn(p, "no_public_url", "links lead to this machine itself, "+d.local.String()+": set public-url to the address that players use")
		}
	}
	return d, nil
}

func (d *door) warn(p *program, code, message string) {
	fmt.Fprintln(p.stderr, "codestoryd: WARNING: "+message)
	d.log.Warn(message)
	d.warning = append(d.warning, codestory.Problem{Code: code, Message: message, Since: time.Now().Round(0)})
}

func (d *door) address() string { return d.Addr().String() }

func (d *door) host() string {
	host, _, _ := net.SplitHostPort(d.address())
	return host
}

// close is for a daemon that ends before it serves; afterwards the listener is closed already.
func (d *door) close() { _ = d.Close() }

func (d *door) problems() []codestory.Problem {
	problems := append(d.told.problems(), d.warning...)
	if d.cert == nil {
		return problems
	}
	return append(d.cert.problems(), problems...)
}

// announce tells the commands where the daemon is, and again whenever its certificate is another.
func (d *door) announce(dataDir string, started time.Time) error {
	write := func() error {
		i := instance{PID: os.Getpid(), Address: d.address(), StartedAt: started}
		if d.cert != nil {
			i.TLS = d.cert.fingerprint()
		}
		return writeInstance(dataDir, i)
	}
	if d.cert != nil {
		d.cert.renewed = func() {
			if err := write(); err != nil {
				d.log.Warn("the commands do not know the new TLS certificate, and will not find the daemon", "err", err)
			}
		}
	}
	d.told.write, d.told.log = write, d.log
	return d.told.begin()
}

// serve serves until the server is told to stop.
func (d *door) serve(server *http.Server) error {
	if d.cert == nil {
		return server.Serve(d)
	}
	server.TLSConfig = d.cert.tlsConfig()
	return server.ServeTLS(d, "", "")
}

// serverDrain is how long requests under way may go on after the first signal.
const serverDrain = 5 * time.Second

// serveHTTP is the API as a service. It says when it is ready.
func serveHTTP(d *door, server *http.Server, ready func()) daemon.Service {
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
		if err := d.serve(server); !errors.Is(err, http.ErrServerClosed) {
			stop()
			return fmt.Errorf("serving HTTP: %w", err)
		}
		return <-stopped
	}
}
