package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/api/client"
	"github.com/codestory/codestoryd/internal/atomicfile"
)

// certificate is the TLS certificate in two files. It is read again once they change, so that a renewal needs no
// restart. While the new files do not fit each other, as in the middle of a renewal, the old one stays in force.
type certificate struct {
	certFile, keyFile string
	files             *atomicfile.Follower
	log               *slog.Logger
	renewed           func() // called once another certificate is in force; nil tells nobody

	mu      sync.Mutex // guards what follows
	current *tls.Certificate
	trouble *codestory.Problem // with the new files; nil while all is well
}

func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, files: atomicfile.Follow(0, certFile, keyFile), log: log}
	c.files.Changed()
	var err error
	c.current, err = c.load()
	if err != nil {
		return nil, usagef("the TLS certificate cannot be used: %w: see tls-cert and tls-key", err)
	}
	return c, nil
}

func (c *certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	return &pair, err
}

// tlsConfig serves the certificate, to clients of the last decade.
func (c *certificate) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.inForce(), nil },
	}
}

// inForce is the certificate, after a look at the files.
func (c *certificate) inForce() *tls.Certificate {
	current, renewed := c.look()
	if renewed && c.renewed != nil {
		c.renewed()
	}
	return current
}

func (c *certificate) look() (current *tls.Certificate, renewed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.files.Changed() && c.trouble == nil { // what mends a file, such as other rights, may leave its times alone
		return c.current, false
	}
	fresh, err := c.load()
	if err == nil {
		renewed = !fresh.Leaf.Equal(c.current.Leaf)
		if renewed || c.trouble != nil {
			c.log.Info("the TLS certificate was read again", "not_after", fresh.Leaf.NotAfter)
		}
		c.current, c.trouble = fresh, nil
		return c.current, renewed
	}
	if c.trouble == nil {
		c.log.Warn("the new TLS certificate cannot be used, the old one stays", "err", err)
		c.trouble = &codestory.Problem{Code: "tls_certificate", Since: time.Now().Round(0)}
	}
	c.trouble.Message = "the new TLS certificate cannot be used, so the old one stays in force: " + err.Error()
	return c.current, false
}

// problems are what is wrong with the certificate.
func (c *certificate) problems() (list []codestory.Problem) {
	leaf := c.inForce().Leaf
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble != nil {
		list = append(list, *c.trouble)
	}
	if due := leaf.NotAfter.Add(-renewal(leaf)); time.Now().After(due) {
		list = append(list, codestory.Problem{
			Code: "tls_certificate_ends", Since: due,
			Message: fmt.Sprintf("the TLS certificate ends at %s: renew it, and put the new one in the place of the old", leaf.NotAfter.Format(time.RFC3339)),
		})
	}
	return list
}

// renewal is how long before its end a certificate should have been replaced: what automatic renewal leaves at worst.
func renewal(leaf *x509.Certificate) time.Duration {
	return min(7*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/10)
}

// fingerprint is how commands know the certificate in force.
func (c *certificate) fingerprint() string { return client.Fingerprint(c.inForce().Leaf) }
