package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd/remote"
)

func TestExcludes(t *testing.T) {
	t.Parallel()
	exclude, err := parseExcludes([]string{"*.wav", "drafts/", "/a/*.{x,y}"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		path  string
		isDir bool
		want  string
	}{
		{"a/b.mp3", false, ""},
		{"a/b.wav", false, "*.wav"},
		{"a/b.wav", true, ""},
		{"a/drafts", true, "drafts/"},
		{"a/drafts/b.mp3", false, "drafts/"},
		{"a/b.x", false, "/a/*.{x,y}"},
		{"b/a/b.x", false, ""},
	} {
		if got, excluded := exclude(tc.path, tc.isDir); got != tc.want || excluded != (tc.want != "") {
			t.Errorf("%q (directory: %t) is excluded by %q (%t), want %q", tc.path, tc.isDir, got, excluded, tc.want)
		}
	}
}

func TestBandwidth(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"off": 64 << 10, "8k": 2 << 10, "8k:1M": 2 << 10, "00:00,8k": 2 << 10} {
		limit, err := parseBandwidth(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := remote.NewLimiter(limit.at).Chunk(); got != want {
			t.Errorf("%q: chunks of %d, want %d", s, got, want)
		}
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "7d": 7 * day, "1w": 7 * day, "1d12h": 36 * time.Hour,
		".5d": day / 2, "100w": 700 * day,
		// What rclone takes besides, and what is none.
		"": -1, "5": -1, "1M": -1, "1y": -1, "off": -1, "2026-12-24": -1, "-1d": -1, "d": -1, "1 d": -1, "1e3d": -1, "9999999999999w": -1,
	} {
		var got duration
		if err := got.Set(text); (err != nil) != (want < 0) || err == nil && got != duration(want) {
			t.Errorf("%q is %s, %v; want %s", text, &got, err, want)
		}
	}
}

// Every setting is in the table of docs/settings.md, by its flag and its variable.
func TestDocsNameEverySetting(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "settings.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(b), "\n## Settings\n")
	table, _, ended := strings.Cut(table, "\n## ")
	if !found || !ended {
		t.Fatal("docs/settings.md has no section of settings")
	}
	for _, s := range settings {
		if s.flag != "" && !strings.Contains(table, "`--"+s.flag+"`") || !strings.Contains(table, "`"+s.env+"`") {
			t.Errorf("docs/settings.md does not mention of --%s, %s", s.flag, s.env)
		}
	}
}
