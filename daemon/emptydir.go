package daemon

import (
	"fmt"
	"sync"
	"time"

	"github.com/codestory/codestoryd"
)

// emptyDir is since when the output directory is empty while files of it wait. That is what the place of a file system
// looks like that is not mounted, at a start too, so it does not mean that the files are gone.
type emptyDir struct {
	mu    sync.Mutex
	since time.Time // zero while it is not
}

func (e *emptyDir) note(empty bool) (since time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !empty {
		e.since = time.Time{}
	} else if e.since.IsZero() {
		e.since = time.Now().Round(0)
	}
	return e.since
}

// emptyProblems says that uploads wait for the files to be back, where that is so.
func (d *Daemon) emptyProblems(waiting int64) []codestory.Problem {
	empty := waiting > 0 && d.tree.Empty()
	since := d.empty.note(empty)
	if !empty {
		return nil
	}
	return []codestory.Problem{{Code: "dir_empty", Since: since, Message: fmt.Sprintf(
		"the output directory %s is empty, though files of it wait to be uploaded (%d): if the file system that it is on is not mounted, mount it; "+
			"nothing counts as deleted as long as the directory is empty. If they are gone for good, `codestoryd queue drop` them",
		d.tree.Dir(), waiting)}}
}
