package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/codestory/codestoryd"
)

// writeStatus is the status for people.
func writeStatus(w io.Writer, s codestory.Status) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	if s.Running {
		row("daemon", "running at %s since %s (pid %d, %s)", deref(s.Address), deref(s.StartedAt).Local().Format(time.DateTime), deref(s.PID), s.Version)
	} else {
		row("daemon", "not running")
	}
	row("directory", "%s", printable(s.Dir))
	row("store", "%s", describeRemote(s.Remote))
	row("queue", "%s", describeQueue(s.Queue))
	row("synced", "%d files, %s", s.Synced.Files, size(s.Synced.Bytes))
	if s.Watch != nil {
		row("watching", "%d directories by %s", s.Watch.Directories, s.Watch.Mode)
	}
	for _, u := range s.Uploads {
		row("upload", "%s  %s of %s, %s/s%s", printable(u.Path), size(u.SentBytes), size(u.TotalBytes), size(u.BytesPerSecond), attempt(u.Attempt))
	}
	for _, p := range s.Problems {
		row("problem", "%s", visible(p.Message))
		for _, detail := range p.Details {
			row("", "  %s", printable(detail))
		}
	}
	return t.Flush()
}

func describeRemote(r codestory.RemoteStatus) string {
	where := strings.Join(strings.Fields(r.Kind+" "+deref(r.Endpoint)+" "+deref(r.Bucket)), " ")
	if r.Since == nil { // nobody has asked
		return where
	}
	text := where + ": " + string(r.State)
	if r.Message != nil {
		text += ", " + visible(*r.Message)
	}
	return text
}

func describeQueue(q codestory.QueueStatus) string {
	paused := ""
	if q.Paused {
		paused = "paused; "
	}
	if q.Queued+q.Uploading+q.Retrying+q.Blocked == 0 {
		return paused + "empty"
	}
	text := paused + fmt.Sprintf("%d queued, %d uploading, %d retrying, %d blocked, %s", q.Queued, q.Uploading, q.Retrying, q.Blocked, size(q.Bytes))
	if q.OldestSeconds > 0 {
		text += fmt.Sprintf(", the oldest for %s", time.Duration(q.OldestSeconds)*time.Second)
	}
	return text
}

func attempt(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(", attempt %d", n)
}

// size is a number of bytes in binary units (IEC 80000-13).
func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// deref is what p points to; the zero value for nil.
func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
