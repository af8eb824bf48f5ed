package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
