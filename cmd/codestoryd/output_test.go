package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/codestory/codestoryd"
)

// Neither JSON nor text holds a control character that a name or a server's answer brought, and JSON keeps its meaning.
func TestControlCharactersAreEscaped(t *testing.T) {
	t.Parallel()
	var hostile strings.Builder
	for r := rune(0); r <= 0xa0; r++ {
		hostile.WriteRune(r)
	}
	hostile.WriteString("é\u202e😀")
	text := hostile.String()
	status := codestory.Status{
		Dir: text, Uploads: []codestory.Upload{{Path: text}}, Remote: codestory.RemoteStatus{Message: &text, Since: new(time.Now())},
		Problems: []codestory.Problem{{Message: text, Details: []string{text}}},
	}
	page := codestory.QueuePage{Items: []codestory.QueueItem{{Path: text, Reason: &text}}}

	var out bytes.Buffer
	if err := printJSON(&out, status); err != nil {
		t.Fatal(err)
	}
	var back codestory.Status
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Problems[0].Message != text {
		t.Errorf("the JSON does not say %q, %v: %s", text, err, &out)
	}
	wantNoControls(t, "JSON", out.String())
	if !strings.Contains(out.String(), `\u0080`) || !strings.Contains(out.String(), `\u009f`) {
		t.Errorf("C1 characters are not escaped: %s", &out)
	}
	out.Reset()
	if err := writeStatus(&out, status, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := writeQueue(&out, page); err != nil {
		t.Fatal(err)
	}
	wantNoControls(t, "text", out.String())
	if !strings.Contains(out.String(), "é") || strings.Contains(out.String(), "\u202e") || !strings.Contains(out.String(), "😀") {
		t.Errorf("text: %q", out.String())
	}
}

func wantNoControls(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }); i >= 0 {
		t.Errorf("%s holds the control character %q: %q", what, text[i:i+2], text)
	}
}

// What a problem is about stands below it, a line for each, without what a terminal would take for a command.
func TestStatusListsDetails(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := writeStatus(&b, codestory.Status{Dir: "/out", Problems: []codestory.Problem{
		{Code: "audio_faults", Message: "players trip", Since: time.Now(), Details: []string{"a.mp3: cut", "\x1b[2Jb.mp3: cut", "and 3 more"}},
		{Code: "other", Message: "another", Since: time.Now()},
	}}, time.Time{})
	const want = "problem    players trip\n             a.mp3: cut\n             \"\\x1b[2Jb.mp3: cut\"\n             and 3 more\nproblem    another\n"
	if err != nil || !strings.HasSuffix(b.String(), want) {
		t.Errorf("%v:\n%s\nwant at its end\n%s", err, b.String(), want)
	}
}
