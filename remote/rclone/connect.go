package rclone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/cache"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd"
)

// connection is a remote that has answered once. If a connection breaks, rclone connects again by itself.
type connection struct {
	fs.Fs
	checksum hash.Type // proves uploads; hash.None if they have to be read back
	growing  bool      // files are visible while they grow
}

// connect returns the remote, and ctx with rclone's settings for requests to it. The first call connects.
func (s *Store) connect(ctx context.Context) (*connection, context.Context, error) {
	select {
	case s.connecting <- struct{}{}:
		defer func() { <-s.connecting }()
	case <-ctx.Done():
		return nil, ctx, ctx.Err()
	}
	if err := ctx.Err(); err != nil || s.conn != nil {
		return s.conn, fs.CopyConfig(ctx, s.base), err
	}
	// A backend keeps the context that it is made under, for its tokens among others. So that one ends with ctx only
	// while the backend is being made.
	dialing, cancel := context.WithCancel(s.base)
	detach := context.AfterFunc(ctx, cancel)
	f, err := fs.NewFs(dialing, s.remote)
	if !detach() {
		return nil, ctx, ctx.Err()
	}
	if err == nil {
		s.conn, err = newConnection(s.endpoint, f)
	}
	if err != nil {
		cancel()
		return nil, ctx, s.refused(err)
	}
	ctx = fs.CopyConfig(ctx, s.base)
	s.conn.sweep(ctx)
	return s.conn, ctx, nil
}

// refused is the error of a remote that could not be connected to. One object is never to blame for that. What has no
// class is most often a remote that was never set up to its end, which only rclone's own words tell.
func (s *Store) refused(err error) error {
	if errors.Is(err, fs.ErrorIsFile) {
		return codestory.Pause(codestory.RemoteMissing, s.endpoint+" is a file: name a folder", s.hide(err))
	}
	err = s.classify(err)
	if e, ok := errors.AsType[*codestory.Error](err); ok && e.Class == codestory.ClassPause {
		return err
	}
	return codestory.Pause(codestory.RemoteUnavailable, fmt.Sprintf("rclone cannot use %s: %v", s.endpoint, err), nil)
}

func newConnection(endpoint string, f fs.Fs) (*connection, error) {
	// rclone does not count WebDAV as growing, but what its servers show is their own affair. Besides, the backend deletes
	// the object after an upload that failed, the old one too.
	growing := f.Features().PartialUploads || fs.Type(fs.UnWrapFs(f)) == "webdav"
	if growing && f.Features().Move == nil {
		return nil, codestory.Pause(codestory.RemoteDenied,
			endpoint+" shows files while they grow and cannot move them: use another remote", nil)
	}
	cache.Pin(f) // an alias is the very backend in rclone's cache, which shuts down what was not used for a while
	c := &connection{Fs: f, growing: growing}
	for _, kind := range append([]hash.Type{hash.MD5, hash.SHA1, hash.SHA256}, f.Hashes().Array()...) {
		if f.Hashes().Contains(kind) {
			c.checksum = kind
			break
		}
	}
	return c, nil
}

// uploads is the folder of temporaries.
const uploads = hidden + "/uploads"

// sweep removes temporaries that nobody has written to for a day: those of a killed process, ours or another machine's.
// It may fail.
func (c *connection) sweep(ctx context.Context) {
	if !c.growing {
		return
	}
	entries, _ := c.List(ctx, uploads)
	for _, entry := range entries {
		if leftover, ok := entry.(fs.Object); ok && time.Since(leftover.ModTime(ctx)) > 24*time.Hour {
			_ = leftover.Remove(ctx)
		}
	}
}
