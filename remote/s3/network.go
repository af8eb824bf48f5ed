package s3

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"golang.org/x/net/http/httpproxy"
)

// Proxies are those that requests go through, as HTTP_PROXY, HTTPS_PROXY and NO_PROXY name them: URLs by the scheme of
// the endpoint, and the hosts that are reached without.
type Proxies struct{ HTTP, HTTPS, None string }

// forRequest chooses a request's proxy. What only this machine or its own network card knows is never asked of one:
// loopback addresses, and the link-local ones at which clouds give out credentials.
func (p Proxies) forRequest() func(*http.Request) (*url.URL, error) {
	config := httpproxy.Config{HTTPProxy: p.HTTP, HTTPSProxy: p.HTTPS, NoProxy: p.None}
	choose := config.ProxyFunc()
	return func(req *http.Request) (*url.URL, error) {
		if ip := net.ParseIP(req.URL.Hostname()); ip.IsLinkLocalUnicast() {
			return nil, nil
		}
		return choose(req.URL)
	}
}

// roots are the certificates of the bundle; nil for the system's.
func (o Options) roots() (*x509.CertPool, error) {
	if o.CABundle == "" {
		return nil, nil
	}
	b, err := os.ReadFile(o.CABundle)
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE cannot be read: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("AWS_CA_BUNDLE %s has no certificates in PEM", o.CABundle)
	}
	return roots, nil
}

// credentialsClient asks for credentials, by the same ways.
func (o Options) credentialsClient(roots *x509.CertPool) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.Proxy = o.Proxies.forRequest()
		t.TLSClientConfig = &tls.Config{RootCAs: roots}
		t.DisableKeepAlives = true // once in an hour
	})
}
