package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mmcdole/gofeed"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote/remotetest"
)

// A podcast parser of another house reads the feeds, and every enclosure downloads to its stated length and type: from
// this machine, and from the store once the files are gone, with the same feeds.
func TestFeedsPlay(t *testing.T) {
	t.Parallel()
	server := remotetest.StartMinIO(t, remotetest.MinIOOptions{})
	m := newMachine(t, stored(server, server.Endpoint, server.Bucket(t))...)
	if err := os.WriteFile(filepath.Join(m.dataDir, "config.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	copyTree(t, filepath.Join("..", "..", "testdata", "output"), m.dir)
	m.write(codestory.ChapterPath(story, 1), []byte("no sound at all"))
	m.write(codestory.MetadataPath(story), []byte(`{"title": "A & B < C > \"D\" \u0001 🎧", "chapters": [{"number": 1, "title": "]]>"}]}`))
	m.start()
	m.awaitSynced(len(m.files()))
	stories := []codestory.StoryID{kiloStory, adasStory, story}
	m.await("all sound to be read", func(codestory.Status) bool { return !slices.ContainsFunc(stories, m.unread) })
	if !slices.ContainsFunc(m.status().Problems, func(p codestory.Problem) bool { return p.Code == "audio_faults" }) {
		t.Error("the file that holds no sound is no problem")
	}

	feeds := map[string]int{ // episodes, by URL
		m.link(kiloStory, "--feed"): 3, m.link(adasStory, "--feed"): 2, m.link(string(story), "--feed"): 1,
		m.link("--library"): 2, m.link("--library", "--user", "ada"): 1,
	}
	before := map[string]string{}
	for url, episodes := range feeds {
		before[url] = m.wantFeed(url, episodes, m.running.url)
	}
	for _, id := range stories {
		if err := os.RemoveAll(filepath.Join(m.dir, string(id))); err != nil {
			t.Fatal(err)
		}
	}
	for url, episodes := range feeds {
		if after := m.wantFeed(url, episodes, server.Endpoint); after != before[url] {
			t.Errorf("%s was\n%s\nand is\n%s", url, before[url], after)
		}
	}
}

// unread reports whether there is a file of sound in the story that was not read.
func (m *machine) unread(id codestory.StoryID) bool {
	m.t.Helper()
	var s codestory.Story
	if code := m.get("/api/storage/stories/"+string(id), &s); code != http.StatusOK {
		m.t.Fatalf("story: %d", code)
	}
	return slices.ContainsFunc(s.Files, func(f codestory.File) bool { return f.ContentType == "audio/mpeg" && f.Audio == nil })
}

// wantFeed reads a feed and downloads all its enclosures, which end up at a URL below from.
func (m *machine) wantFeed(url string, episodes int, from string) string {
	m.t.Helper()
	resp, body := m.fetch(url)
	feed, err := gofeed.NewParser().ParseString(string(body))
	if err != nil || resp.StatusCode != http.StatusOK || len(feed.Items) != episodes {
		m.t.Fatalf("%s answers %s, %v:\n%s", url, resp.Status, err, body)
	}
	for _, item := range feed.Items {
		e := item.Enclosures[0]
		resp, err := http.Get(e.URL)
		if err != nil {
			m.t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || strconv.FormatInt(n, 10) != e.Length ||
			resp.Header.Get("Content-Type") != e.Type || !strings.HasPrefix(resp.Request.URL.String(), from) {
			m.t.Errorf("%s: %s from %s, %d bytes of %s, %v; stated are %s of %s", item.GUID, resp.Status, resp.Request.URL.Host, n,
				resp.Header.Get("Content-Type"), err, e.Length, e.Type)
		}
	}
	return string(body)
}
