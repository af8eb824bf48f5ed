package codestory

import (
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// KeyPrefix begins the key of every object that the daemon stores.
const KeyPrefix = "stories/"

// MaxKeyBytes is the longest object key that S3 takes, in bytes of UTF-8.
const MaxKeyBytes = 1024

// Path names a file below the output directory: relative, with "/" between its elements, its first element a story
// id. ParsePath is the one door for names from disk, HTTP and the command line alike.
type Path string

// PathFault says what a name that is no Path is instead.
type PathFault int

const (
	// PathInvalid is no name of a file below a directory: absolute, empty, or with "..", "." or NUL in it.
	PathInvalid PathFault = iota
	// PathIgnored is a file that is not to be uploaded.
	PathIgnored
	// PathUnstorable is a file that should be uploaded, under a key that S3 does not take. A person has to rename it.
	PathUnstorable
)

// PathError is the error of ParsePath. Its Reason is a sentence for people, without the name.
type PathError struct {
	Name   string
	Fault  PathFault
	Reason string
}

func (e *PathError) Error() string { return strconv.Quote(e.Name) + ": " + e.Reason }

// ParsePath reads the name of a file relative to the output directory, with "/" between its elements. Its error is
// always a *PathError.
func ParsePath(name string) (Path, error) {
	fail := func(fault PathFault, reason string) (Path, error) {
		return "", &PathError{Name: name, Fault: fault, Reason: reason}
	}
	if name == "" || strings.ContainsRune(name, 0) {
		return fail(PathInvalid, "not a file name")
	}
	elements := strings.Split(name, "/")
	for _, e := range elements {
		if e == "" || e == "." || e == ".." {
			return fail(PathInvalid, "not a path below the output directory")
		}
	}
	if reason := IgnoredFile(name); reason != "" {
		return fail(PathIgnored, reason)
	}
	if !utf8.ValidString(name) {
		return fail(PathUnstorable, "the name is not valid UTF-8, and object keys have to be: rename it")
	}
	if i := strings.IndexFunc(name, unplayable); i >= 0 {
		return fail(PathUnstorable, fmt.Sprintf("the name holds %s, which URLs and other systems change: rename it", named(name[i:])))
	}
	if n := len(KeyPrefix) + len(name); n > MaxKeyBytes {
		return fail(PathUnstorable, fmt.Sprintf("the object key would be %d bytes, and S3 takes at most %d: shorten the name", n, MaxKeyBytes))
	}
	return Path(name), nil
}

// unplayable reports whether no file with that character in its name is stored. Browsers and players turn a backslash in a URL
// into a slash and drop line ends, and a store's XML cannot hold most control characters.
func unplayable(r rune) bool { return r == '\\' || unicode.IsControl(r) }

// named is the first character of a text, for people.
func named(text string) string {
	r, _ := utf8.DecodeRuneInString(text)
	if r == '\\' {
		return "a backslash"
	}
	return fmt.Sprintf("the control character %U", r)
}

// IgnoredFile says why the file of that name, relative to the output directory, is not uploaded; "" where it is.
func IgnoredFile(name string) (reason string) {
	if reason := IgnoredDir(name); reason != "" {
		return reason
	}
	if !strings.Contains(name, "/") {
		return reasonOutside
	}
	return ""
}

// IgnoredDir says why nothing in the directory of that name, relative to the output directory, is uploaded; "" where
// its files are looked at.
func IgnoredDir(name string) (reason string) {
	elements := strings.Split(name, "/")
	if strings.HasPrefix(elements[0], ".") {
		return reasonDotfile
	}
	if _, err := ParseStoryID(elements[0]); err != nil {
		return reasonOutside
	}
	for _, e := range elements[1:] {
		if reason := ignoredElement(e); reason != "" {
			return reason
		}
	}
	return ""
}

const (
	reasonOutside = "outside a story's folder, which is named by its UUID"
	reasonDotfile = "dotfile"
)

// leftovers are the endings of what editors and downloads leave behind while they work.
var leftovers = []string{".tmp", ".part", ".partial", ".crdownload", "~", ".swp"}

func ignoredElement(e string) (reason string) {
	if strings.HasPrefix(e, ".") {
		return reasonDotfile
	}
	for _, ending := range leftovers {
		if strings.HasSuffix(e, ending) {
			return "editor or download leftover (*" + ending + ")"
		}
	}
	return ""
}

// StoryAudioPath is where the whole story is.
func StoryAudioPath(id StoryID) Path { return Path(id) + "/audio/story.mp3" }

// ChapterPath is where chapter n, from 1 on, is.
func ChapterPath(id StoryID, n int) Path {
	return Path(fmt.Sprintf("%s/chapters/chapter_%02d.mp3", id, n))
}

// MetadataPath is where the story's metadata.json is.
func MetadataPath(id StoryID) Path { return Path(id) + "/metadata.json" }

// Key is the object key that the file is stored under.
func (p Path) Key() string { return KeyPrefix + string(p) }

// Story is the story that the file belongs to.
func (p Path) Story() StoryID {
	id, _, _ := strings.Cut(string(p), "/")
	return StoryID(id)
}

// InStory is the rest of the path below the story's folder.
func (p Path) InStory() string {
	_, rest, _ := strings.Cut(string(p), "/")
	return rest
}

// IsMetadata reports whether this is the story's metadata.json.
func (p Path) IsMetadata() bool { return p.InStory() == "metadata.json" }

// Chapter is the number of the chapter that the file is, or 0 if it is none. Any number of digits will do: chapter_1, _01 and _001
// are chapter 1. If several files have one number, the chapter is the one named as ChapterPath does, else the first by name; one
// that is somewhere goes before one that is missing.
func (p Path) Chapter() int {
	digits, ok := strings.CutPrefix(p.InStory(), "chapters/chapter_")
	if !ok {
		return 0
	}
	digits, ok = strings.CutSuffix(digits, ".mp3")
	if !ok || strings.Trim(digits, "0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

// Rank orders the files of a story for upload, the lowest first, so that a player can start as early as possible:
// metadata, chapter 1, the whole story, everything else.
func (p Path) Rank() int {
	switch {
	case p.IsMetadata():
		return 0
	case p.Chapter() == 1:
		return 1
	case p == StoryAudioPath(p.Story()):
		return 2
	default:
		return 3
	}
}

// contentTypes is a fixed table, so that an object's type does not depend on the machine that stored it. Sources:
// the IANA media types registry; audio/wav as browsers and the WHATWG MIME Sniffing standard have it.
var contentTypes = map[string]string{
	".mp3":  "audio/mpeg",
	".m4a":  "audio/mp4",
	".m4b":  "audio/mp4",
	".aac":  "audio/aac",
	".ogg":  "audio/ogg",
	".oga":  "audio/ogg",
	".opus": "audio/ogg",
	".wav":  "audio/wav",
	".flac": "audio/flac",
	".json": "application/json",
	".vtt":  "text/vtt; charset=utf-8",
	".srt":  "application/x-subrip",
	".txt":  "text/plain; charset=utf-8",
	".md":   "text/markdown; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".xml":  "application/xml",
	".pdf":  "application/pdf",
	".jpg":  "image/jpeg",
	".jpeg": "image/jpeg",
	".png":  "image/png",
	".webp": "image/webp",
	".gif":  "image/gif",
	".svg":  "image/svg+xml",
	".mp4":  "video/mp4",
}

// ContentType is the media type that the file is stored and served with, told by its ending alone.
func (p Path) ContentType() string {
	if t, ok := contentTypes[strings.ToLower(path.Ext(string(p)))]; ok {
		return t
	}
	return "application/octet-stream"
}
