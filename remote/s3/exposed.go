package s3

import (
	"net/netip"
	"net/url"
)

// exposed reports whether what is sent to the endpoint can be tampered with on its way. Then the bodies of parts are
// signed, piece by piece, or else who listens could keep a request and send other bytes with it. Over https TLS guards
// them, and to a server on this machine there is no way; a signature would cost as much as half of all else, here and
// there. That a part is whole its MD5 proves, before Complete.
//
// An object that is put at once over http is signed in any case: some servers take one whose connection was cut for a
// whole one, unless a signature is missing at its end.
func exposed(endpoint *url.URL) bool {
	if endpoint.Scheme == "https" {
		return false
	}
	if endpoint.Hostname() == "localhost" { // which RFC 6761 keeps for this machine
		return false
	}
	address, err := netip.ParseAddr(endpoint.Hostname())
	return err != nil || !address.Unmap().IsLoopback()
}
