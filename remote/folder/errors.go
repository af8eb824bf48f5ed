package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
)

// classify translates an error of the operating system. What is not listed is retried.
func (s *Store) classify(err error) error {
	if _, ok := errors.AsType[*codestory.Error](err); ok || err == nil || errors.Is(err, codestory.ErrNotFound) {
		return err
	}
	switch {
	case errors.Is(atomicfile.Explain(err), codestory.ErrDiskFull):
		return codestory.Pause(codestory.RemoteFull, s.where()+" is full: make room there", err)
	case isAny(err, fs.ErrPermission, syscall.EROFS):
		return codestory.Pause(codestory.RemoteDenied, s.where()+" refuses permission: check its owner, its permissions and how it is mounted", err)
	case isNotDirectory(err):
		return codestory.Block("a file in "+s.where()+" stands where a directory is needed: rename one of the two", err)
	case errors.Is(err, syscall.EISDIR):
		return codestory.Block("a directory in "+s.where()+" stands where the file is to go: rename one of the two", err)
	case isBadName(err):
		return codestory.Block("the name is longer than "+s.where()+" can keep, or has what it cannot keep: rename the file", err)
	case isAny(err, goneDisk...):
		return codestory.Pause(codestory.RemoteUnavailable, s.where()+" cannot be reached", err)
	}
	return err
}

// judge is the error of a call about one object. A permission that is missing while the folder as a whole takes files
// concerns that object only, and must not block the others.
func (s *Store) judge(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	classified := s.classify(err)
	if denied, ok := errors.AsType[*codestory.Error](classified); ok && denied.State == codestory.RemoteDenied && s.Check(ctx) == nil {
		return err
	}
	return classified
}

// checkKey returns nil if the key can be the name of a file; else an error that blocks.
func checkKey(key string) error {
	elements := strings.Split(key, "/")
	if !utf8.ValidString(key) || strings.EqualFold(elements[0], hidden) {
		return codestory.Block(fmt.Sprintf("no object can have the key %q: rename the file", key), nil)
	}
	if !fs.ValidPath(key) || key == "." || strings.ContainsRune(key, 0) ||
		runtime.GOOS == "windows" && slices.ContainsFunc(elements, isOddOnWindows) {
		return codestory.Block(fmt.Sprintf("no file can have the key %q: rename the file", key), nil)
	}
	return nil
}

// isOddOnWindows reports whether Windows cannot keep the name, or takes it for another one's.
func isOddOnWindows(name string) bool {
	return !filepath.IsLocal(name) || strings.ContainsAny(name, `<>:"\|?*`) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ")
}

func isNotDirectory(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// isBadName reports whether the file system cannot keep the name.
func isBadName(err error) bool { return isAny(err, badName...) }

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}
