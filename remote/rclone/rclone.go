// Package rclone keeps objects with rclone as a library: Folder is the embedded store, a folder of the data directory
// over rclone's local backend, and Store is any remote of the user's own rclone.conf.
//
// It knows rclone and nothing of the queue, the output directory or HTTP. rclone promises no stable Go API, so the
// wrapper is thin: names, bytes, hashes and moves are rclone's; what is decided here is when an object counts.
//
// # What a Folder promises, killed at any line
//
// Put writes the bytes to a temporary of the hidden folder .codestoryd, synced to disk, and only then touches
// anything that can be seen:
//
//  1. bytes to .codestoryd/tmp/X        killed: a temporary, which the next NewFolder removes
//  2. sync of X                         the same
//  3. directories, each one synced      killed: empty directories, which nothing reads
//  4. sidecar: X is described, and      killed: the old object stands and is still described. What is said of X fits
//     so still is the object that is    no object, since it names X's size and modification time
//     there; synced
//  5. X is moved to its key             a rename is whole or not at all. Killed: the new object is there, described
//  6. sync of the directories           after this, and not before, Put returns
//
// A power cut may undo steps that were not synced, never make a part of one: the bytes are on disk before their name
// is. Where the sidecar did not make it, or somebody changed the object by hand, size or modification time do not
// match; the MD5 is then computed anew by rclone and kept. Content type and user metadata are lost in that case only.
//
// The proof of a Put is that the MD5 of the bytes as they were written goes into the sidecar, that the file system
// says the file has every one of them, and that the syncs succeeded. Reading the file back would show the page cache
// and not the disk.
//
// # What rclone keeps once for the whole process
//
// Its configuration file, its logger, its handler of signals and its HTTP transport are process-wide. What is touched
// of them is in process.go, once; all else is set in contexts and configuration maps of the store's own. Importing
// rclone has effects that nobody can stop: it makes its per-user configuration folder where that is absent, and it
// reads the RCLONE_* variables of the environment.
package rclone

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/encoder"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Options are what both stores take. The zero value is fit for use.
type Options struct {
	// Logger gets what rclone has to say; nil discards it. rclone has one logger for the process, so the last store
	// that was made decides.
	Logger *slog.Logger
	// Limiter holds uploads to a bandwidth, also those to a disk of this machine; nil for none.
	Limiter *remote.Limiter
}

// hidden is the folder, beside the objects, of what is not an object.
const hidden = ".codestoryd"

// settings is a context with the configuration that rclone's calls run under. Only the queue retries.
func settings() context.Context {
	ctx, config := fs.AddConfig(context.Background())
	config.LowLevelRetries = 1
	config.Retries = 1
	config.UserAgent = "codestoryd"
	return ctx
}

// objectName is what rclone calls the object of that key. Backends decode rclone's own encoding of difficult
// characters before they apply theirs, so the key is put into it first: else two keys could be one file. The error
// blocks.
func objectName(key string) (string, error) {
	elements := strings.Split(key, "/")
	if !utf8.ValidString(key) || strings.EqualFold(elements[0], hidden) {
		return "", codestory.Block(fmt.Sprintf("no object can have the key %q: rename the file", key), nil)
	}
	for i, element := range elements {
		if element == "" || element == "." || element == ".." || strings.ContainsRune(element, 0) {
			return "", codestory.Block(fmt.Sprintf("no file can have the key %q: rename the file", key), nil)
		}
		elements[i] = encoder.Standard.Encode(element)
	}
	return strings.Join(elements, "/"), nil
}

// open reads length bytes of the file from offset on, clipped to the size that it has; all that follow with length -1.
func open(ctx context.Context, file fs.Object, size, offset, length int64) (io.ReadCloser, error) {
	left := max(size-offset, 0)
	if length >= 0 {
		left = min(left, length)
	}
	switch left {
	case 0: // which some backends take for a range that cannot be had
		return io.NopCloser(strings.NewReader("")), nil
	case size:
		return file.Open(ctx)
	}
	return file.Open(ctx, &fs.RangeOption{Start: offset, End: offset + left - 1})
}
