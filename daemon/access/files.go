package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/atomicfile"
	"github.com/codestory/codestoryd/internal/problem"
)

const (
	maxFile    = 64 << 20 // bytes
	maxDetails = 10       // files that a problem names
)

// readJSON reads a file into v, and takes away others' rights to it. It is a no-op if there is no file. hint says what to
// do about a file that does not parse.
func readJSON(path string, v any, hint string) error {
	b, err := atomicfile.Read(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s does not parse (%w): %s", path, err, hint)
	}
	_, err = closeToOthers(path)
	return err
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding %s: %w", filepath.Base(path), err)
	}
	return atomicfile.Write(path, append(b, '\n'), 0o600)
}

// closeToOthers makes a file its owner's alone, and reports whether others could read it. Windows has no such rights:
// what is in a user's folder there is the user's.
func closeToOthers(path string) (wasOpen bool, err error) {
	if runtime.GOOS == "windows" {
		return false, nil
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Perm() != 0o600 {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return false, fmt.Errorf("taking away others' rights to a secret: %w", err)
	}
	return info.Mode().Perm()&0o044 != 0, nil
}

// closeDir takes away other users' rights to write to the data directory and what lies directly in it. It reports what
// they could write to until now or can write to still, and what belongs to them. Windows has no such rights.
func closeDir(dir string, problems *problem.Set) {
	if runtime.GOOS == "windows" {
		return
	}
	var closed, open, foreign []string
	look := func(path string, taken fs.FileMode) {
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return
		}
		ours, trusted := ownerOf(info)
		if !trusted {
			foreign = append(foreign, path)
		}
		switch shared := info.Mode()&fs.ModeSticky != 0; { // such as /tmp, which is not ours to close
		case info.Mode().Perm()&0o022 == 0:
		case ours && !shared && os.Chmod(path, info.Mode()&^taken) == nil:
			closed = append(closed, path)
		default:
			open = append(open, path)
		}
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	look(dir, 0o022)
	entries, _ := os.ReadDir(dir) // what cannot be listed cannot be used either, and that is told elsewhere
	for _, entry := range entries {
		look(filepath.Join(dir, entry.Name()), 0o077)
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		if openToAll(parent) {
			open = append(open, parent)
		}
		if parent == filepath.Dir(parent) {
			break
		}
	}
	if len(closed) > 0 { // or it is known from before, until a restart
		report(problems, "data_dir_was_open", closed, "other users of this machine could write to the data directory "+dir+
			" until now: if you do not trust them, remove token and link.key there, and the daemon makes others")
	}
	report(problems, "data_dir_foreign", foreign, "other users of this machine own files of the data directory "+dir+
		", and can change them: make them yours with chown")
	report(problems, "data_dir_open", open, "other users of this machine can replace files of the data directory "+dir+
		": take that right away with chmod go-w")
}

// openToAll reports whether every user may replace what is in a directory.
func openToAll(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
}

// report reports a problem of files, or clears it if there are none.
func report(problems *problem.Set, code string, files []string, message string) {
	if len(files) == 0 {
		problems.Clear(code)
		return
	}
	problems.Report(codestory.Problem{Code: code, Message: message, Details: files[:min(len(files), maxDetails)]})
}
