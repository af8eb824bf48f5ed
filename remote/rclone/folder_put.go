package rclone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/object"
	"github.com/rclone/rclone/lib/encoder"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

var errTwin = errors.New("the file system takes the key for another one's")

// Put implements remote.Store. The package comment says what is on disk after each step.
func (f *Folder) Put(ctx context.Context, key string, src remote.Source, opts remote.PutOptions) (remote.Object, error) {
	body := remote.NewBody(src, opts.Meter())
	defer body.Close()
	object, err := f.put(ctx, key, body, src.Size(), opts)
	if err != nil {
		return remote.Object{}, fmt.Errorf("storing %s: %w", key, f.failure(ctx, body, err))
	}
	return object, nil
}

// failure is the error of a put. A permission that is missing where the folder as a whole takes files concerns this
// object only, and must not hold up the others.
func (f *Folder) failure(ctx context.Context, body *remote.Body, err error) error {
	classified := failure(ctx, f.where(), body, err)
	if denied, ok := errors.AsType[*codestory.Error](classified); ok && denied.State == codestory.RemoteDenied && f.Check(ctx) == nil {
		return err
	}
	return classified
}

func (f *Folder) put(ctx context.Context, key string, body *remote.Body, size int64, opts remote.PutOptions) (remote.Object, error) {
	name, err := objectName(key)
	if err != nil {
		return remote.Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return remote.Object{}, err
	}
	if err := f.there(); err != nil {
		return remote.Object{}, err
	}
	temporary := f.temporary()
	defer os.Remove(temporary) // where it is still there
	file, err := f.write(ctx, temporary, body, size)
	if err != nil {
		return remote.Object{}, err
	}
	commit := f.commit(key)
	commit.Lock()
	defer commit.Unlock()
	made := version{Size: size, MD5: body.Sum(), ContentType: opts.ContentType, Metadata: opts.Metadata}
	if err := f.replace(ctx, key, name, file, temporary, &made); err != nil {
		return remote.Object{}, err
	}
	return remote.Object{
		Key: key, Size: size, ETag: made.MD5, MD5: made.MD5,
		ContentType: made.ContentType, Modified: time.Unix(0, made.Modified),
	}, nil
}

// temporary is the path of a file that is nobody else's.
func (f *Folder) temporary() string { return filepath.Join(f.tmp, rand.Text()) }

// commit guards the object of that key and its sidecar. Keys that are one file have the same.
func (f *Folder) commit(key string) *sync.Mutex {
	return &f.commits[int(f.digest(key)[0])%len(f.commits)]
}

// write makes the temporary, with all bytes of body on disk.
func (f *Folder) write(ctx context.Context, temporary string, body *remote.Body, size int64) (fs.Object, error) {
	name := path.Join(hidden, "tmp", filepath.Base(temporary))
	ctx = fs.CopyConfig(ctx, f.base)
	info := object.NewStaticObjectInfo(name, time.Now(), size, true, nil, f.local)
	file, err := f.local.Put(ctx, &stream{ctx: ctx, body: body, limiter: f.limit}, info)
	if err != nil {
		return nil, err
	}
	if !body.Complete() || file.Size() != size {
		return nil, fmt.Errorf("%w: %d of %d bytes", errIncomplete, file.Size(), size)
	}
	return file, syncFile(temporary)
}

// replace moves the temporary to its key, described by made, whose time it sets, and has all of it on disk.
func (f *Folder) replace(ctx context.Context, key, name string, file fs.Object, temporary string, made *version) error {
	place := filepath.Join(f.root, filepath.FromSlash(encoder.OS.FromStandardPath(name)))
	present, err := f.local.NewObject(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrorObjectNotFound) {
		return err
	}
	kept, err := f.readSidecar(key)
	if err != nil {
		return err
	}
	after := sidecar{Key: key}
	if present != nil {
		if kept.Key != "" && kept.Key != key {
			return codestory.Block(fmt.Sprintf("%s cannot tell the file from %s, which differs in case or Unicode form only: rename one of the two",
				f.where(), kept.Key), errTwin)
		}
		if file.ModTime(ctx).Equal(present.ModTime(ctx)) { // a coarse clock: the two must not be taken for each other
			if err := file.SetModTime(ctx, present.ModTime(ctx).Add(2*time.Second)); err != nil {
				return err
			}
			if err := syncFile(temporary); err != nil {
				return err
			}
		}
		if v, ok := kept.of(present.Size(), present.ModTime(ctx)); ok {
			after.Versions = append(after.Versions, v)
		}
	}
	made.Modified = file.ModTime(ctx).UnixNano()
	after.Versions = append(after.Versions, *made)
	f.tidying.RLock()
	defer f.tidying.RUnlock()
	if err := f.makeDir(filepath.Dir(place)); err != nil {
		return err
	}
	slot, err := f.writeSidecar(after)
	if err != nil {
		return err
	}
	if err := f.move(ctx, file, name, temporary, place); err != nil {
		return err
	}
	return errors.Join(syncMoved(slot), syncMoved(place), syncDir(f.tmp))
}

// move lets rclone move the file into its place. rclone keeps to itself why it could not; the operating system,
// asked again, says it.
func (f *Folder) move(ctx context.Context, file fs.Object, name, temporary, place string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := f.local.Features().Move(fs.CopyConfig(ctx, f.base), file, name)
	if errors.Is(err, fs.ErrorCantMove) {
		return os.Rename(temporary, place)
	}
	return err
}

// maxDirs bounds what a Folder remembers of its directories. Those that are forgotten are synced once more.
const maxDirs = 1024

// makeDir makes a directory below the root. Once it returns, the names of it and of all between are on disk, whoever
// made them: another Put a moment ago, or a process that was killed.
func (f *Folder) makeDir(dir string) error {
	f.dirsMu.Lock()
	defer f.dirsMu.Unlock()
	for made := dir; !isDir(made) && made != f.root; made = filepath.Dir(made) {
		delete(f.dirs, made) // somebody has removed it, if it was ever there
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var synced []string
	for ; dir != f.root; dir = filepath.Dir(dir) {
		if _, ok := f.dirs[dir]; ok {
			break
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
		synced = append(synced, dir)
	}
	if len(f.dirs)+len(synced) > maxDirs {
		clear(f.dirs)
	}
	for _, dir := range synced {
		f.dirs[dir] = struct{}{}
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// syncFile has the bytes of a file on disk.
func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("syncing a file: %w", err)
	}
	return errors.Join(file.Sync(), file.Close())
}
