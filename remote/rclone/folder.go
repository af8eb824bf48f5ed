package rclone

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config/configmap"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/lib/encoder"
	"github.com/rclone/rclone/lib/file"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Folder is the embedded store: a folder that keeps each object as a file, named by its key. It belongs to one
// process at a time.
type Folder struct {
	dir   string // for people
	root  string // the same, as the operating system takes any length of it
	tmp   string // temporaries
	sums  string // sidecars
	local fs.Fs
	base  context.Context // carries rclone's settings
	folds folding
	limit *remote.Limiter

	commits [64]sync.Mutex // by the digest of a key: what is in place, and what is said of it
	tidying sync.RWMutex   // empty directories are removed by whoever locks it, and needed by whoever reads under it
	dirsMu  sync.Mutex
	dirs    map[string]struct{} // directories whose names are known to be on disk, all the way from the root
}

var (
	_ remote.Store   = (*Folder)(nil)
	_ remote.Lister  = (*Folder)(nil)
	_ remote.Remover = (*Folder)(nil)
)

// NewFolder opens the store in dir, which is made if absent, and removes what a process that was killed has left
// there. A second process that opens the same folder costs the first one's puts in flight a retry, no more.
func NewFolder(dir string, opts Options) (*Folder, error) {
	setUp(opts.Logger)
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the embedded store: %w", err)
	}
	root := file.UNCPath(dir)
	f := &Folder{
		dir:  dir,
		root: root,
		tmp:  filepath.Join(root, hidden, "tmp"),
		sums: filepath.Join(root, hidden, "sums"),
		base: settings(), limit: opts.Limiter,
		dirs: map[string]struct{}{},
	}
	if err := f.prepare(); err != nil {
		return nil, fmt.Errorf("opening the embedded store: %w", f.classify(err))
	}
	return f, nil
}

func (f *Folder) prepare() error {
	if err := makeRoot(f.root); err != nil {
		return err
	}
	for _, dir := range []string{f.tmp, f.sums} {
		if err := f.makeDir(dir); err != nil {
			return err
		}
	}
	leftovers, err := os.ReadDir(f.tmp)
	if err != nil {
		return err
	}
	for _, leftover := range leftovers {
		if err := os.RemoveAll(filepath.Join(f.tmp, leftover.Name())); err != nil {
			return err
		}
	}
	if f.folds, err = probe(f.tmp); err != nil {
		return err
	}
	// Not fs.NewFs, which would mix in the configuration and environment that the user has for other purposes. The
	// backend applies its encoding to the root as well: what is given to it is the name that comes out as f.root.
	f.local, err = local.NewFs(f.base, "local", encoder.OS.ToStandardPath(filepath.ToSlash(f.dir)), configmap.Simple{
		"encoding":      encoder.OS.String(),
		"hashes":        hash.MD5.String(),
		"skip_links":    "true", // without a word in the log
		"skip_specials": "true",
	})
	return err
}

// makeRoot makes dir and what is missing above it, durably.
func makeRoot(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return codestory.Block(dir+" is a file: name a folder", nil)
		}
		return nil
	} else if !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(dir); parent != dir {
		if err := makeRoot(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// Info implements remote.Store.
func (f *Folder) Info() remote.Info { return remote.Info{Kind: "local", Endpoint: f.dir} }

// Check implements remote.Store: the folder is there, takes files, and its disk has room.
func (f *Folder) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.there(); err != nil {
		return err
	}
	for _, dir := range []string{f.root, f.tmp} {
		if err := writable(dir); err != nil {
			return f.classify(err)
		}
	}
	about := f.local.Features().About
	if about == nil { // not on this system
		return nil
	}
	usage, err := about(fs.CopyConfig(ctx, f.base))
	if err != nil {
		return f.classify(err)
	}
	if usage.Free != nil && *usage.Free == 0 {
		return codestory.Pause(codestory.RemoteFull, "the disk of "+f.where()+hintFull, nil)
	}
	return nil
}

// there returns nil while the folder is the one that was opened. One that went away, as a disk that is unmounted
// does, is not made again: the objects would end up on another disk.
func (f *Folder) there() error {
	_, err := os.Stat(f.tmp)
	if errors.Is(err, iofs.ErrNotExist) {
		return codestory.Pause(codestory.RemoteUnavailable,
			f.where()+" is gone: mount its disk, or start again to have it made anew", err)
	}
	return f.classify(err)
}

func (f *Folder) where() string { return "the folder " + f.dir }

func (f *Folder) classify(err error) error { return classify(f.where(), err) }

// Stat implements remote.Store.
func (f *Folder) Stat(ctx context.Context, key string) (remote.Object, error) {
	_, object, err := f.find(ctx, key)
	if err != nil {
		return remote.Object{}, fmt.Errorf("looking for %s: %w", key, err)
	}
	return object, nil
}

// Open implements remote.Store. What was opened is read to its end even when it is replaced meanwhile.
func (f *Folder) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	const tries = 10 // each one lost to a Put that was done just then
	for range tries {
		file, object, err := f.find(ctx, key)
		if err != nil {
			return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, err)
		}
		body, err := open(fs.CopyConfig(ctx, f.base), file, object.Size, offset, length)
		if err != nil {
			return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, f.missing(err))
		}
		if again, err := f.Stat(ctx, key); err == nil && again == object {
			return body, object, nil // what was opened is what was described
		}
		body.Close() // nothing was read of it
	}
	return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, errReplaced)
}

// find finds the object and what is kept of it. Where nothing is, its MD5 is computed, and kept for the next time.
func (f *Folder) find(ctx context.Context, key string) (fs.Object, remote.Object, error) {
	file, object, err := f.look(ctx, key)
	if err != nil || object.MD5 != "" {
		return file, object, err
	}
	commit := f.commit(key)
	commit.Lock()
	defer commit.Unlock()
	if file, object, err = f.look(ctx, key); err != nil || object.MD5 != "" {
		return file, object, err
	}
	if object.MD5, err = file.Hash(ctx, hash.MD5); err != nil {
		return nil, object, f.classify(err)
	}
	object.ETag = object.MD5
	// Not being able to keep it costs time, the next time, and nothing else.
	_, _ = f.writeSidecar(sidecar{Key: key, Versions: []version{
		{Size: object.Size, Modified: object.Modified.UnixNano(), MD5: object.MD5},
	}})
	return file, object, nil
}

// look finds the object; its MD5 is empty where the sidecar does not describe it.
func (f *Folder) look(ctx context.Context, key string) (fs.Object, remote.Object, error) {
	object := remote.Object{Key: key}
	if err := ctx.Err(); err != nil {
		return nil, object, err
	}
	name, err := objectName(key)
	if err != nil {
		return nil, object, err
	}
	file, err := f.local.NewObject(ctx, name)
	if err == nil && !file.Storable() { // a symlink, a pipe
		err = fs.ErrorNotAFile
	}
	if err != nil {
		return nil, object, f.missing(err)
	}
	kept, err := f.readSidecar(key)
	if err != nil {
		return nil, object, f.classify(err)
	}
	if kept.Key != "" && kept.Key != key {
		return nil, object, notFound(errTwin)
	}
	object.Size, object.Modified = file.Size(), file.ModTime(ctx)
	if v, ok := kept.of(object.Size, object.Modified); ok {
		object.MD5, object.ETag, object.ContentType = v.MD5, v.MD5, v.ContentType
	}
	return file, object, nil
}

// missing is the error of rclone's NewObject. That a file is not there means nothing where the folder is not.
func (f *Folder) missing(err error) error {
	if gone := f.there(); gone != nil {
		return gone
	}
	if absent(err) {
		return notFound(err)
	}
	return f.classify(err)
}
