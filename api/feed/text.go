package feed

import (
	"strings"
	"unicode"
)

// line makes one line of a text, without what XML and playlists cannot hold.
func line(s string) string {
	return strings.Join(strings.Fields(printable(s, func(rune) rune { return ' ' })), " ")
}

// paragraphs is line for a text that keeps its line breaks.
func paragraphs(s string) string {
	return strings.TrimSpace(printable(strings.ReplaceAll(s, "\r\n", "\n"), func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return ' '
	}))
}

// printable replaces control characters, and leaves out bytes that are no text and what is no character (Unicode,
// section 23.7): XML 1.0 forbids both.
func printable(s string, control func(rune) rune) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return control(r)
		case r == unicode.ReplacementChar, r&0xfffe == 0xfffe, 0xfdd0 <= r && r <= 0xfdef:
			return -1
		default:
			return r
		}
	}, s)
}
