// Package rclone keeps objects in any remote of the user's own rclone.conf, with rclone as a library.
//
// It knows rclone and nothing of the queue, the output directory or HTTP. rclone promises no stable Go API, so the
// wrapper is thin: names, bytes, hashes and moves are rclone's; what is decided here is when an object counts.
//
// # What rclone keeps once for the whole process
//
// Its configuration file, its logger, its handler of signals and its HTTP transport are process-wide. What is touched
// of them is in process.go, once; all else is set in contexts and configuration maps of the store's own. An
// import of rclone reads the RCLONE_* variables of the environment; package lazy keeps it from more.
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

// Options are optional. The zero value is fit for use.
type Options struct {
	// Logger gets what rclone has to say; nil discards it. rclone has one logger for the process, so the last store
	// that was made decides.
	Logger *slog.Logger
	// Limiter holds uploads to a bandwidth; nil for none.
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
