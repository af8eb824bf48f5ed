package daemon

import (
	"context"
	"os"
	"time"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/daemon/upload"
	"github.com/codestory/codestoryd/queue"
	"github.com/codestory/codestoryd/remote"
)

// Status describes the daemon as it is now.
func (d *Daemon) Status(context.Context) (codestory.Status, error) {
	stats, err := d.queue.Stats()
	if err != nil {
		return codestory.Status{}, err
	}
	s := OfflineStatus(stats, d.remote.Info(), d.tree.Dir(), d.version)
	pid, w := os.Getpid(), d.watcher.Status()
	s.Running, s.PID, s.StartedAt, s.Address = true, &pid, &d.started, &d.address
	s.Remote = d.remoteStatus(d.uploads.Store())
	s.Uploads = d.uploads.Uploads()
	s.Watch = &w
	if err := d.reportProblems(stats.Queued + stats.Retrying); err != nil {
		return codestory.Status{}, err
	}
	s.Problems = append(s.Problems, d.problems.List()...)
	return s, nil
}

// remoteStatus describes the store as that upload.StoreState finds it.
func (d *Daemon) remoteStatus(v upload.StoreState) codestory.RemoteStatus {
	info := d.remote.Info()
	return codestory.RemoteStatus{
		Kind: info.Kind, Endpoint: text(info.Endpoint), Bucket: text(info.Bucket),
		State: v.State, Message: text(v.Message), Since: &v.Since,
	}
}

// OfflineStatus describes what the database holds, which is all there is to say while no daemon runs.
func OfflineStatus(stats queue.Stats, info remote.Info, dir, version string) codestory.Status {
	s := codestory.Status{
		Version: version,
		Dir:     dir,
		Remote: codestory.RemoteStatus{
			Kind: info.Kind, Endpoint: text(info.Endpoint), Bucket: text(info.Bucket),
		},
		Queue: codestory.QueueStatus{
			Queued: stats.Queued, Uploading: stats.Uploading, Retrying: stats.Retrying, Blocked: stats.Blocked,
			Bytes: stats.Bytes, Paused: stats.Paused,
		},
		Synced:   codestory.SyncedStatus{Files: stats.SyncedFiles, Bytes: stats.SyncedBytes},
		Uploads:  []codestory.Upload{},
		Problems: []codestory.Problem{},
	}
	if !stats.Oldest.IsZero() {
		s.Queue.OldestSeconds = max(0, int64(time.Since(stats.Oldest).Seconds()))
	}
	return s
}

// Ignored lists what is not uploaded, and why.
func (d *Daemon) Ignored(ctx context.Context, limit int) ([]codestory.Ignored, error) {
	dropped, err := d.queue.Ignored(limit)
	if err != nil {
		return nil, err
	}
	left, err := d.tree.Ignored(ctx, d.rules, limit-len(dropped))
	return append(dropped, left...), err
}

// Ready returns nil while the database can be read.
func (d *Daemon) Ready(context.Context) error { return d.queue.Ping() }

// text is nil for "".
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
