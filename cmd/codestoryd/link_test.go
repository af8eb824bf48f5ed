package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codestory/codestoryd"
)

const (
	kiloStory = "3f0e8a52-6c1b-4d7e-9a34-5b2c8d917e06" // of the daemon's own user
	adasStory = "b81d4f60-27a9-4c05-8e6f-d3a17c5902be"
)

// link runs the command and returns what it prints.
func (m *machine) link(args ...string) string {
	m.t.Helper()
	code, stdout, stderr := invoke(m.t, m.dataDir, append([]string{"link"}, args...)...)
	if code != exitDone || strings.Count(stdout, "\n") < 1 {
		m.t.Fatalf("link %q: exit code %d, %q, %q", args, code, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// wantFetch asks for a URL that was printed by this daemon, or by one before it at another port.
func (m *machine) wantFetch(printed string, status int) {
	m.t.Helper()
	u, err := url.Parse(printed)
	if err != nil {
		m.t.Fatal(err)
	}
	if resp, body := m.fetch(m.running.url + u.RequestURI()); resp.StatusCode != status {
		m.t.Errorf("%s answers %s, want %d: %.200s", printed, resp.Status, status, body)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if err := os.WriteFile(filepath.Join(m.dataDir, "config.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	copyTree(t, filepath.Join("..", "..", "testdata", "output"), m.dir)
	m.start()
	m.awaitSynced(len(m.files()))

	kilo, kiloFeed, ada := m.link(kiloStory), m.link(kiloStory, "--feed"), m.link(adasStory, "--feed")
	library, adasLibrary := m.link("--library"), m.link("--library", "--user", "ada")
	for _, printed := range []string{kilo, m.link(kiloStory, "--chapter", "3"), kiloFeed, ada, library, adasLibrary} {
		m.wantFetch(printed, http.StatusOK)
	}
	var urls codestory.KeyURLs
	if err := json.Unmarshal([]byte(m.link(kiloStory, "--feed", "--json")), &urls); err != nil || urls.FeedURL != kiloFeed {
		t.Errorf("--feed --json: %+v, %v", urls, err)
	}
	m.wantFetch(urls.PlaylistURL, http.StatusOK)

	// A new KEY ends the old one at once, and nothing else.
	next := m.link(kiloStory, "--rotate")
	for _, old := range []string{kiloFeed, urls.PlayURL, urls.PlaylistURL} {
		m.wantFetch(old, http.StatusForbidden)
	}
	nextLibrary := m.link("--library", "--rotate")
	m.wantFetch(library, http.StatusForbidden)
	others := []string{kilo, next, m.link(kiloStory, "--feed"), nextLibrary, ada, adasLibrary}
	for _, printed := range others {
		m.wantFetch(printed, http.StatusOK)
	}
	m.wantFetch(m.link(kiloStory, "--rotate", "--chapter", "2"), http.StatusOK)
	m.wantFetch(next, http.StatusForbidden)
	feed := m.link(kiloStory, "--rotate", "--feed")

	// The same after a crash, and with a new database.
	m.kill()
	if err := os.Remove(filepath.Join(m.dataDir, databaseFile)); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.awaitSynced(len(m.files()))
	for _, printed := range []string{feed, nextLibrary, ada, adasLibrary} {
		m.wantFetch(printed, http.StatusOK)
	}
	for _, old := range []string{kiloFeed, next, library} {
		m.wantFetch(old, http.StatusForbidden)
	}
}
