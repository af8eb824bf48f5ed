package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
)

// Fingerprint is the SHA-256 of a certificate, in hexadecimal.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// pinned trusts the one certificate of that fingerprint, and no other: the daemon's is often made by its owner and names
// neither this machine nor an authority that this machine knows.
func pinned(fingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection is stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			shown := Fingerprint(state.PeerCertificates[0])
			if subtle.ConstantTimeCompare([]byte(shown), []byte(fingerprint)) != 1 {
				return errors.New("another certificate than the daemon's is shown")
			}
			return nil
		},
	}
}
