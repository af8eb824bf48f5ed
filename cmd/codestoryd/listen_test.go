package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// writeCertificate makes a certificate as a person does at home: signed by itself, for some name.
func writeCertificate(t *testing.T, dir string, serial int64, ends time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: ends,
		DNSNames: []string{"nas.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// command runs a command that knows the data directory alone.
func (m *machine) command(args ...string) (code int, stdout, stderr string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dataDir, "config.toml"), nil, 0o600); err != nil {
		m.t.Fatal(err)
	}
	return invoke(m.t, m.dataDir, args...)
}

// statusByCommand is what `status --json` says.
func (m *machine) statusByCommand() (s codestory.Status) {
	m.t.Helper()
	code, stdout, stderr := m.command("status", "--json")
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != exitDone {
		m.t.Fatalf("status: exit code %d, %v, %s", code, err, stderr)
	}
	return s
}

func hasProblem(s codestory.Status, code string) bool {
	for _, p := range s.Problems {
		if p.Code == code {
			return true
		}
	}
	return false
}

// shown is the serial number of the certificate that the daemon shows.
func (m *machine) shown() int64 {
	m.t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(m.running.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// The commands find a daemon that serves TLS without being told of its certificate, which is renewed without a restart.
func TestTLS(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	certs := t.TempDir()
	cert, key := writeCertificate(t, certs, 1, time.Now().Add(24*time.Hour))
	m.args = []string{"--tls-cert", cert, "--tls-key", key}
	m.start()
	if !strings.HasPrefix(m.running.url, "https://127.0.0.1:") {
		t.Errorf("ready at %s", m.running.url)
	}
	if s := m.statusByCommand(); len(s.Problems) > 0 || s.Address == nil || "https://"+*s.Address != m.running.url {
		t.Errorf("status: %+v", s)
	}
	_, err := tls.Dial("tcp", strings.TrimPrefix(m.running.url, "https://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	plain, err := http.Get("http" + strings.TrimPrefix(m.running.url, "https") + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered with %s", plain.Status)
	}

	writeCertificate(t, certs, 2, time.Now().Add(24*time.Hour))
	if got := m.shown(); got != 2 {
		t.Errorf("certificate %d is shown after a renewal, want 2", got)
	}
	writeCertificate(t, certs, 3, time.Now().Add(time.Minute))
	if s := m.statusByCommand(); !hasProblem(s, "tls_certificate_ends") {
		t.Errorf("a minute before the certificate ends: %+v", s.Problems)
	}
	if err := os.WriteFile(key, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := m.statusByCommand(); !hasProblem(s, "tls_certificate") || m.shown() != 3 {
		t.Errorf("with a broken key: %+v, certificate %d", s.Problems, m.shown())
	}
	writeCertificate(t, certs, 4, time.Now().Add(24*time.Hour))
	if s := m.statusByCommand(); len(s.Problems) > 0 || m.shown() != 4 {
		t.Errorf("mended: %+v, certificate %d", s.Problems, m.shown())
	}
	if err := m.stop(); err != nil {
		t.Error(err)
	}
}

// A daemon that other machines reach in the clear says so wherever somebody may look.
func TestInsecureListen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.args = []string{"--listen", "0.0.0.0:0", "--insecure-listen", "--log-level", "error"}
	m.start()
	s := m.statusByCommand()
	if !hasProblem(s, "insecure_listen") || !hasProblem(s, "no_public_url") || !strings.HasPrefix(m.running.url, "http://127.0.0.1:") {
		t.Errorf("at %s: %+v", m.running.url, s.Problems)
	}
	if !strings.Contains(m.running.log.String(), "codestoryd: WARNING: the API serves other machines without TLS") {
		t.Errorf("stderr: %s", m.running.log)
	}
	_, port, _ := net.SplitHostPort(*s.Address)
	for host, want := range map[string]int{"evil.example": 403, "0.0.0.0:" + port: 403, "127.0.0.1:" + port: 200} {
		req, err := http.NewRequest(http.MethodGet, m.running.url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if resp, _ := m.do(req); resp.StatusCode != want {
			t.Errorf("Host %s: %s, want %d", host, resp.Status, want)
		}
	}
}
