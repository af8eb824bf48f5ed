package api

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"

	"github.com/codestory/codestoryd"
)

// maxTitleRunes bounds the part of a download's name that is the title: file systems take 255 bytes in all, and a
// character is up to 4 of them.
const maxTitleRunes = 55

// attachment is the Content-Disposition that makes a browser save the file, under a name made from the story's title.
// A story that tells no title lends its id.
func (s *server) attachment(ctx context.Context, p codestory.Path) string {
	title := ""
	if story, err := s.lib.Story(ctx, p.Story()); err == nil {
		runes := []rune(safeName(story.Title))
		title = strings.TrimRight(string(runes[:min(len(runes), maxTitleRunes)]), ". ")
	}
	if title == "" {
		title = string(p.Story())
	}
	return attachmentNamed(downloadName(title, p))
}

// downloadName is "My story.mp3" or "My story - chapter 01.mp3".
func downloadName(title string, p codestory.Path) string {
	if n := p.Chapter(); n > 0 {
		title += fmt.Sprintf(" - chapter %02d", n)
	}
	return safeName(title + path.Ext(string(p)))
}

// safeName makes one line of text that every file system takes as part of a name.
func safeName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(`/\:*?"<>|`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == unicode.ReplacementChar:
			return -1
		default:
			return r
		}
	}, name)
	return strings.Trim(strings.Join(strings.Fields(name), " "), ". ")
}

// attachmentNamed writes the header of RFC 6266: a plain name for everyone, and the true one in UTF-8 where the plain
// one is not it. A "%" is not left in the plain name, since some browsers decode it there.
func attachmentNamed(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || r == '%' {
			return '_'
		}
		return r
	}, name)
	header := `attachment; filename="` + plain + `"`
	if plain != name {
		header += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return header
}
