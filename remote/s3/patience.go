package s3

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// A proxy between here and the store may take a whole body at once and pass it on slowly, and a store may think for
// long about what it has: nothing is seen to move then, though it does. Whoever finds that out, by attempts that failed
// for it, has more patience the next time.

type patienceKey struct{}

// withPatience is ctx for requests that may wait for that long while nothing moves.
func withPatience(ctx context.Context, d time.Duration) context.Context {
	if d <= 0 {
		return ctx
	}
	return context.WithValue(ctx, patienceKey{}, d)
}

// withItsPatience tells the connection that the request gets how long it may wait.
func withItsPatience(req *http.Request) *http.Request {
	patience, _ := req.Context().Value(patienceKey{}).(time.Duration)
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if c, ok := ours(info.Conn); ok {
				c.setPatience(patience)
			}
		},
	}))
}

// ours is the connection below those that encrypt.
func ours(c net.Conn) (*conn, bool) {
	for {
		encrypted, ok := c.(*tls.Conn)
		if !ok {
			break
		}
		c = encrypted.NetConn()
	}
	found, ok := c.(*conn)
	return found, ok
}
