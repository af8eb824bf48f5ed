package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

const (
	fetchTimeout = 5 * time.Second
	maxSet       = 1 << 20 // bytes
)

// newFetch gets a JWK set from a URL. What came over a line that others can write to is worth nothing, so it is https,
// or does not leave this machine.
func newFetch(place string) (fetch func(context.Context) ([]byte, error), shown string, err error) {
	u, err := url.Parse(place)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, "", errors.New("use https:// and an address without user or fragment, or a file")
	case u.Scheme == "http" && isLoopback(u.Hostname()):
	case u.Scheme != "https":
		return nil, "", errors.New("use https://: whoever is on the way of an answer to http:// could let anybody in")
	}
	client := &http.Client{
		Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it redirects: give the address that it leads to")
		},
	}
	return func(ctx context.Context) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		resp, err := client.Do(req)
		if failed, ok := errors.AsType[*url.Error](err); ok {
			return nil, failed.Err // without the address, which is named anyway
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("it answers %s", resp.Status)
		}
		set, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
		if len(set) > maxSet {
			return nil, fmt.Errorf("it has more than %d bytes", maxSet)
		}
		return set, err
	}, u.Scheme + "://" + u.Host + u.EscapedPath(), nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
