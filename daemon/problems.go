package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/queue"
)

// reportProblems brings the problem set up to what is wrong now, as far as that has to be looked up.
func (d *Daemon) reportProblems(waiting int64) error {
	d.reportEmptyDir(waiting)
	files, err := FileProblems(d.queue)
	found := append(files, DatabaseProblems(d.queue)...)
	for _, code := range []string{problemMetadata, problemAudioFaults, problemSetAside} {
		if i := slices.IndexFunc(found, func(p codestory.Problem) bool { return p.Code == code }); i >= 0 {
			d.problems.Report(found[i])
		} else if err == nil {
			d.problems.Clear(code)
		}
	}
	return errors.Join(err, d.Library.ReportProblems())
}

const problemDirEmpty = "dir_empty"

// reportEmptyDir reports that the output directory is empty while files of it wait. That is what the place of a file system
// looks like that is not mounted, at a start too, so it does not mean that the files are gone.
func (d *Daemon) reportEmptyDir(waiting int64) {
	if waiting == 0 || !d.tree.Empty() {
		d.problems.Clear(problemDirEmpty)
		return
	}
	d.problems.Report(codestory.Problem{Code: problemDirEmpty, Message: fmt.Sprintf(
		"the output directory %s is empty, though files of it wait to be uploaded (%d): if the file system that it is on is not mounted, mount it; "+
			"nothing counts as deleted as long as the directory is empty. If they are gone for good, `codestoryd queue drop` them",
		d.tree.Dir(), waiting)})
}

const problemSetAside = "database_set_aside"

// DatabaseProblems says what became of a damaged database, for as long as that is still there.
func DatabaseProblems(q *queue.Queue) []codestory.Problem {
	asides := q.Asides()
	if len(asides) == 0 {
		return nil
	}
	aside := asides[len(asides)-1]
	info, err := os.Stat(aside)
	if err != nil {
		return nil
	}
	since, reason, instead := info.ModTime(), "", ""
	if r := q.Recovery(); r != nil && r.Aside == aside {
		since, reason, instead = r.At, " ("+r.Reason+")", "; an empty one was begun instead"
		if !r.Backup.IsZero() {
			instead = "; its backup of " + r.Backup.UTC().Format(time.RFC3339) + " took its place"
		}
	}
	return []codestory.Problem{{Code: problemSetAside, Since: since, Message: fmt.Sprintf(
		"the database was damaged%s and is set aside as %s%s: files and objects that it does not know are looked up in the output "+
			"directory and the store; remove %[2]s when you have no use for it, which ends this message", reason, aside, instead)}}
}

const (
	maxFaultyListed = 5 // files that the status names

	problemMetadata    = "metadata"
	problemAudioFaults = "audio_faults"
)

// FileProblems are the problems of files that are stored as they are, as far as the database knows.
func FileProblems(q *queue.Queue) ([]codestory.Problem, error) {
	faulty, faultyErr := faultySounds(q)
	odd, oddErr := oddMetadata(q)
	return append(faulty, odd...), errors.Join(faultyErr, oddErr)
}

// oddMetadata is the problem of what is not read of metadata.json files, if there is any.
func oddMetadata(q *queue.Queue) ([]codestory.Problem, error) {
	odd, others, err := q.Odd(maxFaultyListed)
	if err != nil || len(odd) == 0 {
		return nil, err
	}
	p := codestory.Problem{
		Code: problemMetadata, Since: odd[0].Version.Modified(),
		Message: "not all of metadata.json is read: what is listed does not show in stories and feeds",
	}
	for _, f := range odd {
		p.Details = append(p.Details, f.Path+": "+strings.TrimPrefix(f.Reason, "metadata.json: ")) // the path says it
	}
	if others > 0 {
		p.Details = append(p.Details, fmt.Sprintf("and %d more", others))
	}
	return []codestory.Problem{p}, nil
}

// faultySounds is the problem of files that players trip over, if the database knows any.
func faultySounds(q *queue.Queue) ([]codestory.Problem, error) {
	faulty, others, err := q.Faulty(maxFaultyListed)
	if err != nil || len(faulty) == 0 {
		return nil, err
	}
	p := codestory.Problem{
		Code: problemAudioFaults, Since: faulty[0].At,
		Message: "players trip over files of sound, which are stored as they are: each story lists the faults of its own",
	}
	for _, s := range faulty {
		p.Details = append(p.Details, string(s.Path)+": "+s.Audio.Faults[0].Message)
		if s.At.Before(p.Since) {
			p.Since = s.At
		}
	}
	if others > 0 {
		p.Details = append(p.Details, fmt.Sprintf("and %d more", others))
	}
	return []codestory.Problem{p}, nil
}
