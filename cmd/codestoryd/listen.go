package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/codestory/codestoryd/api"
)

// listenSettings are where the API is served, and how. An address that is not a loopback one needs TLS, or the setting
// insecure-listen.
type listenSettings struct {
	address           string
	certFile, keyFile string // absolute; "" serves HTTP
	exposed           bool   // other machines reach it, without TLS
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

// localURL reaches, from this machine, the API that listens at the address. One that means every address of the machine
// cannot be connected to.
func localURL(scheme, address string) *url.URL {
	if a, err := netip.ParseAddrPort(address); err == nil && a.Addr().Unmap().IsUnspecified() {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(a.Port())))
	}
	return &url.URL{Scheme: scheme, Host: address}
}

// allowedHosts are the names besides the loopback ones that requests may have as their Host: the one to listen at.
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
