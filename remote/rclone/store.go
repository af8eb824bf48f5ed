package rclone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/cache"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/fspath"
	"github.com/rclone/rclone/fs/hash"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// Store is a remote of the user's rclone.conf. It connects when it is first asked for something, so that it can be
// made while the remote is down.
//
// Uploads go straight to their key where the backend shows an object only once it is whole, as object storage does.
// Where files grow in sight (SFTP, FTP, WebDAV, a disk) they go to a temporary of the folder .codestoryd/uploads and
// are moved. How whole that is depends on the server: SFTP without posix-rename@openssh.com removes the old object a
// moment before the new one is in its place.
type Store struct {
	remote   string // as rclone takes it: NAME:PATH
	endpoint string // the same for people and for the index
	limiter  *remote.Limiter
	base     context.Context   // carries rclone's settings
	hiding   *strings.Replacer // of secrets in rclone's messages

	turn chan struct{} // a lock that can be given up: sending locks conn, receiving unlocks it
	conn *connection   // nil until the remote has answered

	moves [64]sync.RWMutex // by the checksum of a key: what is opened is what was looked at, not what replaced it
}

var (
	_ remote.Store   = (*Store)(nil)
	_ remote.Copier  = (*Store)(nil)
	_ remote.Lister  = (*Store)(nil)
	_ remote.Prover  = (*Store)(nil)
	_ remote.Remover = (*Store)(nil)
)

// connection is a remote that has answered once. If a connection breaks, rclone connects again by itself.
type connection struct {
	fs.Fs
	checksum hash.Type // proves uploads; hash.None if they have to be read back
	growing  bool      // files are visible while they grow
}

// New makes a store of an rclone remote, NAME:PATH. Its error says in one line what to change. It reads the
// configuration and does not connect; ctx is for what a configuration may have to run, such as a password command.
func New(ctx context.Context, name string, opts Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	setUp(nil) // until it is known what its messages must not show
	if err := loadConfig(); err != nil {
		return nil, err
	}
	if err := configured(name); err != nil {
		return nil, err
	}
	s := &Store{
		remote: name, endpoint: endpoint(name), limiter: opts.Limiter, base: settings(), turn: make(chan struct{}, 1), hiding: hiding(name),
	}
	process.hiding.Store(s.hiding)
	setUp(opts.Logger)
	return s, nil
}

// endpoint names the remote. Parameters, as in NAME,url='…':PATH, may be secret, and may make it another remote.
func endpoint(remote string) string {
	parsed, _ := fspath.Parse(remote) // configured has parsed it
	name := parsed.Name
	if len(parsed.Config) > 0 {
		digest := sha256.Sum256([]byte(parsed.ConfigString))
		name += "{" + hex.EncodeToString(digest[:4]) + "}"
	}
	return name + ":" + strings.TrimSuffix(parsed.Path, "/")
}

// configured returns nil if rclone has a remote of that name and this program the backend for it. If that stands for
// another remote, the first connection tells whether there is such a one.
func configured(name string) error {
	parsed, err := fspath.Parse(name)
	if err == nil && parsed.Name == "" {
		err = errors.New("it is a path")
	}
	if err != nil {
		return fmt.Errorf("%q is no rclone remote, which is written NAME:PATH: %w", Redacted(name), err)
	}
	_, _, _, _, err = fs.ParseRemote(name)
	if errors.Is(err, fs.ErrorNotFoundInConfigFile) {
		return fmt.Errorf("rclone has no remote of the name %s: add it to %s with rclone config", parsed.Name, config.GetConfigPath())
	}
	if err != nil {
		instead := ""
		if kind, _ := fs.ConfigFileGet(parsed.Name, "type"); kind == "s3" {
			instead = "use --remote s3 for it, or "
		}
		return fmt.Errorf("this program has no backend for the remote %s: %sbuild it with -tags rclone_all: %w",
			parsed.Name, instead, err)
	}
	return nil
}

// Info implements remote.Store.
func (s *Store) Info() remote.Info { return remote.Info{Kind: "rclone", Endpoint: s.endpoint} }

func (s *Store) classify(err error) error { return classify(s.endpoint, s.hide(err)) }

// connect returns the remote, connecting where that has not been done.
func (s *Store) connect(ctx context.Context) (*connection, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil || s.conn != nil {
		return s.conn, err
	}
	// A backend keeps the context that it is made under, for its tokens among others. So it gets one that ends with
	// ctx only as long as it is being made.
	dialing, cancel := context.WithCancel(s.base)
	detach := context.AfterFunc(ctx, cancel)
	f, err := fs.NewFs(dialing, s.remote)
	if !detach() {
		return nil, ctx.Err()
	}
	if err == nil {
		s.conn, err = newConnection(s.endpoint, f)
	}
	if err != nil {
		cancel()
		return nil, s.refused(err)
	}
	s.sweep(ctx, s.conn)
	return s.conn, nil
}

// refused is the error of a remote that could not be connected to. That is never the fault of one object. What the
// classes do not know is most often a remote that was never set up to its end, which only rclone's own words tell.
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
	features := f.Features()
	// rclone does not count WebDAV among these, but what a server of that kind shows is its own affair. Besides, its
	// backend deletes the object after an upload that failed, the old one too.
	growing := features.PartialUploads || fs.Type(fs.UnWrapFs(f)) == "webdav"
	if growing && features.Move == nil {
		return nil, codestory.Pause(codestory.RemoteDenied,
			endpoint+" shows files while they grow and cannot move them: use another remote", nil)
	}
	// An alias is the very backend that rclone's cache has, and would shut down once it was not asked for in a while.
	cache.Pin(f)
	c := &connection{Fs: f, growing: growing}
	for _, kind := range append([]hash.Type{hash.MD5, hash.SHA1, hash.SHA256}, f.Hashes().Array()...) {
		if f.Hashes().Contains(kind) {
			c.checksum = kind
			break
		}
	}
	return c, nil
}

// uploads is the folder of temporaries on remotes where files are seen while they grow.
const uploads = hidden + "/uploads"

// sweep removes temporaries that nobody has written to for a day: those of a process that was killed, ours or that
// of another machine. It is a courtesy, and may fail.
func (s *Store) sweep(ctx context.Context, c *connection) {
	if !c.growing {
		return
	}
	ctx = fs.CopyConfig(ctx, s.base)
	entries, err := c.List(ctx, uploads)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if leftover, ok := entry.(fs.Object); ok && time.Since(leftover.ModTime(ctx)) > 24*time.Hour {
			_ = leftover.Remove(ctx)
		}
	}
}

// Check implements remote.Store. It looks for an object that is not there: an answer to that shows that the remote
// can be reached and lets us in, and costs the same however much it holds.
func (s *Store) Check(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	_, err = c.NewObject(fs.CopyConfig(ctx, s.base), path.Join(hidden, "check"))
	if err == nil || absent(err) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.refused(err)
}

// Stat implements remote.Store. MD5 and ETag are those of the backend, where it knows them without reading the file.
func (s *Store) Stat(ctx context.Context, key string) (remote.Object, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return remote.Object{}, fmt.Errorf("looking for %s: %w", key, err)
	}
	_, object, err := s.find(ctx, c, key)
	if err != nil {
		return remote.Object{}, fmt.Errorf("looking for %s: %w", key, err)
	}
	return object, nil
}

// Open implements remote.Store. ctx has to last until the reader is closed.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, remote.Object, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, err)
	}
	move := s.move(key)
	move.RLock()
	defer move.RUnlock()
	file, object, err := s.find(ctx, c, key)
	if err != nil {
		return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, err)
	}
	body, err := open(fs.CopyConfig(ctx, s.base), file, object.Size, offset, length)
	if err != nil {
		return nil, remote.Object{}, fmt.Errorf("opening %s: %w", key, s.missing(err))
	}
	return body, object, nil
}

// move guards the object of that key against being replaced between two requests. It knows of this process only.
func (s *Store) move(key string) *sync.RWMutex {
	return &s.moves[crc32.ChecksumIEEE([]byte(key))%uint32(len(s.moves))]
}

func (s *Store) find(ctx context.Context, c *connection, key string) (fs.Object, remote.Object, error) {
	name, err := objectName(key)
	if err != nil {
		return nil, remote.Object{}, err
	}
	ctx = fs.CopyConfig(ctx, s.base)
	file, err := c.NewObject(ctx, name)
	if err != nil {
		return nil, remote.Object{}, s.missing(c.explain(ctx, name, err))
	}
	if !file.Storable() { // a symlink, a pipe
		return nil, remote.Object{}, notFound(fs.ErrorNotAFile)
	}
	object, err := c.describe(ctx, key, file)
	return file, object, s.classify(err)
}

// missing is the error of a remote that was asked for an object.
func (s *Store) missing(err error) error {
	if absent(err) {
		return notFound(err)
	}
	return s.classify(err)
}

// explain returns err, and ENOTDIR with it if the name leads through a file. Servers have words of their own for that, or
// call it forbidden, which would pause all uploads.
func (c *connection) explain(ctx context.Context, name string, err error) error {
	if e, ok := errors.AsType[*codestory.Error](classify("", err)); absent(err) || ok && e.State != codestory.RemoteDenied {
		return err
	}
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if file, lookErr := c.NewObject(ctx, parent); lookErr == nil && file.Storable() {
			return fmt.Errorf("%w: %w", syscall.ENOTDIR, err)
		}
	}
	return err
}

// describe says what rclone knows of an object at little cost.
func (c *connection) describe(ctx context.Context, key string, file fs.Object) (remote.Object, error) {
	object := remote.Object{Key: key, Size: file.Size(), Modified: file.ModTime(ctx)}
	if typed, ok := file.(fs.MimeTyper); ok && c.Features().ReadMimeType {
		object.ContentType = typed.MimeType(ctx)
	}
	if c.checksum != hash.MD5 || c.Features().SlowHash {
		return object, nil
	}
	sum, err := c.sum(ctx, file)
	object.MD5, object.ETag = sum, sum
	return object, err
}

// sum is the backend's checksum of the object, "" if it has none of this one.
func (c *connection) sum(ctx context.Context, file fs.Object) (string, error) {
	sum, err := file.Hash(ctx, c.checksum)
	if errors.Is(err, hash.ErrUnsupported) {
		return "", nil
	}
	return sum, err
}
