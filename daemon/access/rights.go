package access

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/internal/problem"
)

// maxDetails bounds the files that a problem names.
const maxDetails = 10

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
		if OpenToAll(parent) {
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

// OpenToAll reports whether every user may replace what is in a directory.
func OpenToAll(dir string) bool {
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
