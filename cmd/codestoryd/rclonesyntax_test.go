package main

import "testing"

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
		limiter, err := parseBandwidth(s)
		if err != nil || limiter.Chunk() != want {
			t.Errorf("%q: chunks of %d, %v; want %d", s, limiter.Chunk(), err, want)
		}
	}
}
