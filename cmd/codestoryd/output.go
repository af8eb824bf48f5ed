package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// A file's name or a server's answer can hold what a terminal takes for a command. Nothing that commands print does.

// printJSON prints v as one document.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(jsonWriter{w})
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonWriter escapes the control characters that encoding/json leaves as they are, U+007F to U+009F. Each Write has to
// be of whole characters.
type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(b []byte) (int, error) {
	var escaped bytes.Buffer
	for _, r := range string(b) {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	if _, err := j.w.Write(escaped.Bytes()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// visible is text for a terminal: control characters, and those that turn the direction of writing, are escaped.
func visible(text string) string {
	var escaped strings.Builder
	for _, r := range text {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			fmt.Fprintf(&escaped, `\u%04x`, r)
		} else {
			escaped.WriteRune(r)
		}
	}
	return escaped.String()
}

// printable is a name for a terminal: quoted if it holds what would have to be escaped.
func printable(name string) string {
	if quoted := strconv.Quote(name); strings.ContainsAny(quoted[1:len(quoted)-1], "\\") {
		return quoted
	}
	return name
}
