package main

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

// A store that sends more than was asked for gets no line of its own into the log.
func TestLibrariesWriteIntoTheLog(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = conn.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\nunasked\nfor"))
					_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
				}
			}()
		}
	}()
	m := newMachine(t, "S3_BUCKET=bucket", "S3_ENDPOINT_URL=http://"+listener.Addr().String(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
	m.args = []string{"--log-format", "json", "--log-level", "debug"}
	m.start()
	m.await("what net/http writes", func(codestory.Status) bool { return strings.Contains(m.running.log.String(), "Unsolicited response") })
	for line := range strings.Lines(m.running.log.String()) {
		if !json.Valid([]byte(line)) && strings.HasSuffix(line, "\n") {
			t.Errorf("no JSON: %s", line)
		}
	}
}
