package api

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimiters is how many clients have a limiter of their own.
const maxLimiters = 4096

// limiters bound how often each client does something.
type limiters struct {
	every time.Duration
	burst int

	mu     sync.Mutex // guards what follows
	byName map[string]*rate.Limiter
}

func newLimiters(every time.Duration, burst int) limiters {
	return limiters{every: every, burst: burst, byName: map[string]*rate.Limiter{}}
}

// wait counts one more time of the client. It returns how long the client has to wait first, and counts nothing then; 0 is
// not at all.
func (l *limiters) wait(client string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.of(client, now)
	if limiter.AllowN(now, 1) {
		return 0
	}
	return time.Duration((1 - limiter.TokensAt(now)) * float64(l.every))
}

// of is the client's limiter. If too many clients have one, those beyond share the limiter of the name "".
func (l *limiters) of(client string, now time.Time) *rate.Limiter {
	if limiter := l.byName[client]; limiter != nil {
		return limiter
	}
	if len(l.byName) >= maxLimiters {
		maps.DeleteFunc(l.byName, func(_ string, limiter *rate.Limiter) bool {
			return limiter.TokensAt(now) >= float64(l.burst)
		})
	}
	if len(l.byName) >= maxLimiters {
		client = ""
	}
	if l.byName[client] == nil {
		l.byName[client] = rate.NewLimiter(rate.Every(l.every), l.burst)
	}
	return l.byName[client]
}

// network is what a remote address belongs to: the address for IPv4, and the /64 for IPv6, in which one machine has as many
// addresses as it likes.
func network(remoteAddr string) string {
	remote, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return ""
	}
	addr, bits := remote.Addr().Unmap().WithZone(""), 64
	if addr.Is4() || addr.IsLoopback() {
		bits = addr.BitLen()
	}
	prefix, _ := addr.Prefix(bits)
	return prefix.String()
}
