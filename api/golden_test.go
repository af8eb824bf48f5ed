package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/codestory/codestoryd/api"
)

var update = flag.Bool("update", false, "write the golden files")

// testOptions has a public address as behind a proxy that serves the daemon below a path.
func testOptions(t *testing.T) api.Options {
	t.Helper()
	public, err := url.Parse("https://stories.example/daemon/")
	if err != nil {
		t.Fatal(err)
	}
	return api.Options{PublicURL: public}
}

// golden holds an answer against a file of testdata, both as indented JSON.
func golden(t *testing.T, name string, rec *httptest.ResponseRecorder) {
	t.Helper()
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/json" ||
		rec.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: got %d %v", name, rec.Code, rec.Header())
	}
	var got bytes.Buffer
	if err := json.Indent(&got, rec.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A checkout on Windows may have other line ends.
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got.Bytes(), want)
	}
}
