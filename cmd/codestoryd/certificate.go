package main

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

// openCertificate reads the TLS certificate in two files. It is read again once they change, so that a renewal needs no
// restart. While the new files do not fit each other, as in the middle of a renewal, the old one stays in force.
func openCertificate(certFile, keyFile string, problems *problem.Set) (*atomicfile.Followed[*tls.Certificate], error) {
	cert, err := atomicfile.Open(atomicfile.FollowOptions{
		Paths: []string{certFile, keyFile}, Problems: problems, Code: "tls_certificate",
		Message: "the new TLS certificate cannot be used, so the old one stays in force: ",
	}, func(*tls.Certificate) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		return &pair, err
	})
	if err != nil {
		return nil, usagef("the TLS certificate cannot be used: %w: see tls-cert and tls-key", err)
	}
	return cert, nil
}

// certificate is the one in force, after a look at the files.
func (d *door) certificate() *tls.Certificate {
	before := d.cert.Now()
	cert, read := d.cert.Look()
	if read && !cert.Leaf.Equal(before.Leaf) {
		d.log.Info("another TLS certificate is in force", "not_after", cert.Leaf.NotAfter)
		d.announce()
	}
	// It should have been replaced by now: this is what automatic renewal leaves at worst.
	due := cert.Leaf.NotAfter.Add(-min(7*24*time.Hour, cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)/10))
	if time.Now().After(due) {
		d.problems.Report(codestory.Problem{Code: "tls_certificate_ends", Since: due, Message: fmt.Sprintf(
			"the TLS certificate ends at %s: renew it, and put the new one in the place of the old", cert.Leaf.NotAfter.Format(time.RFC3339))})
	} else {
		d.problems.Clear("tls_certificate_ends")
	}
	return cert
}
