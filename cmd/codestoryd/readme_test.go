package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every setting stands in README's table, by its flag and its variable.
func TestReadmeNamesEverySetting(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(b), "\n## Settings\n")
	table, _, ended := strings.Cut(table, "\n## ")
	if !found || !ended {
		t.Fatal("README.md has no section of settings")
	}
	for _, s := range settings {
		if s.flag != "" && !strings.Contains(table, "`--"+s.flag+"`") || !strings.Contains(table, "`"+s.env+"`") {
			t.Errorf("README.md says nothing of --%s, %s", s.flag, s.env)
		}
	}
}
