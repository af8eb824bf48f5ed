package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// hostList holds the host names that a request may name beside the loopback ones. A page that a browser got from
// elsewhere can point a name of its own at this machine (DNS rebinding), but cannot make the browser send another
// Host than that name.
type hostList map[string]struct{}

func newHostList(hosts []string) hostList {
	l := hostList{}
	for _, h := range hosts {
		l.add(h)
	}
	return l
}

// add allows a host: a name or an address, with or without a port. An address of IPv6 may come without brackets.
func (l hostList) add(host string) {
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.WithZone("").String()
	} else {
		host = hostName(host)
	}
	if host != "" {
		l[host] = struct{}{}
	}
}

// allows reports whether a Host header, with or without a port, names this daemon.
func (l hostList) allows(hostport string) bool {
	host := hostName(hostport)
	if host == "" {
		return false
	}
	if addr, err := netip.ParseAddr(host); err == nil && (addr.Is4() && addr.IsLoopback() ||
		addr == netip.IPv6Loopback()) {
		return true
	}
	_, listed := l[host]
	return listed || host == "localhost"
}

// hostName is the host of a Host header in its canonical form: without port, brackets and trailing dot, in lower case.
// It is "" for what is no host.
func hostName(hostport string) string {
	host, port := hostport, ""
	if inner, ok := strings.CutPrefix(hostport, "["); ok {
		literal, rest, closed := strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(literal)
		if !closed || err != nil || !addr.Is6() {
			return ""
		}
		host, port = addr.String(), rest
	} else if i := strings.IndexByte(hostport, ':'); i >= 0 {
		host, port = hostport[:i], hostport[i:]
	}
	if port != "" && (port[0] != ':' || strings.Trim(port[1:], "0123456789") != "") {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// arrivedAt reports whether the Host names the very address that the request came in at. A name can be pointed at this
// machine by whoever owns it, an address cannot.
func arrivedAt(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	host, err := netip.ParseAddr(hostName(r.Host))
	return err == nil && host.WithZone("") == local.AddrPort().Addr().Unmap().WithZone("")
}

// guard lets only requests for an allowed host through. A request whose target is a whole URL is for a proxy, which
// this is not: net/http takes the host from the target then and hides the Host header, so it could hold anything.
func (l hostList) guard(next http.Handler) http.Handler {
	refused := newProblem(http.StatusForbidden, "host_not_allowed",
		"this Host is not served here: ask for localhost, or allow the name with --public-url")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host != "" || r.URL.Scheme != "" || !l.allows(r.Host) && !arrivedAt(r) {
			refused.write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}
