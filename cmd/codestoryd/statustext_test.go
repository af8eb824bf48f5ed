package main

import (
	"strings"
	"testing"
	"time"

	"github.com/codestory/codestoryd"
)

// What a problem is about stands below it, a line for each, without what a terminal would take for a command.
func TestStatusListsDetails(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := writeStatus(&b, codestory.Status{Dir: "/out", Problems: []codestory.Problem{
		{Code: "audio_faults", Message: "players trip", Since: time.Now(), Details: []string{"a.mp3: cut", "\x1b[2Jb.mp3: cut", "and 3 more"}},
		{Code: "other", Message: "another", Since: time.Now()},
	}})
	const want = "problem    players trip\n             a.mp3: cut\n             \"\\x1b[2Jb.mp3: cut\"\n             and 3 more\nproblem    another\n"
	if err != nil || !strings.HasSuffix(b.String(), want) {
		t.Errorf("%v:\n%s\nwant at its end\n%s", err, b.String(), want)
	}
}
