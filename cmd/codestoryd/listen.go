package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/codestory/codestoryd/api"
)

// listenSettings are where the API is served, and how. Unless it is a loopback address it needs TLS, or a person's word
// that it does not.
type listenSettings struct {
	address           string
	certFile, keyFile string // absolute; "" serves HTTP
	exposed           bool   // others on the network reach it, and what they send and get can be read on the way
}

// checkListen checks the settings that belong together. wrong makes an error about one of them.
func checkListen(v values, wrong func(name string, err error) error) (l listenSettings, err error) {
	l.address = v.get("listen")
	host, port, err := net.SplitHostPort(l.address)
	if err != nil {
		return l, wrong("listen", fmt.Errorf("use HOST:PORT, such as 127.0.0.1:7788"))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return l, wrong("listen", fmt.Errorf("%q is no port: use a number up to 65535, or 0 for a free one", port))
	}
	insecure, err := parseYes(v.get("insecure-listen"))
	if err != nil {
		return l, wrong("insecure-listen", err)
	}
	cert, key := v.get("tls-cert"), v.get("tls-key")
	if (cert == "") != (key == "") {
		return l, usagef("tls-cert and tls-key belong together: set both, or neither")
	}
	if cert != "" {
		if l.certFile, err = filepath.Abs(cert); err != nil {
			return l, wrong("tls-cert", err)
		}
		if l.keyFile, err = filepath.Abs(key); err != nil {
			return l, wrong("tls-key", err)
		}
		return l, nil
	}
	l.exposed = !isLoopback(host)
	if l.exposed && !insecure {
		return l, wrong("listen", fmt.Errorf("other machines would send their tokens in the clear: set tls-cert and tls-key, "+
			"or insecure-listen where something else encrypts, or use 127.0.0.1:%s", port))
	}
	return l, nil
}

// isLoopback reports whether only this machine reaches what listens there. A name other than localhost may mean any
// address.
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

// localURL is where programs on this machine reach the API that listens at an address: one that means every address
// of the machine is none to connect to.
func localURL(scheme, address string) *url.URL {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Unmap().IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(a.Port())))
	}
	return &url.URL{Scheme: scheme, Host: address}
}

// allowedHosts are the host names that requests may bring besides the loopback ones: the one to listen at.
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
