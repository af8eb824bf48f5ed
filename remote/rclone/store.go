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

	turn chan struct{} // holds one token: whoever has it may look at, and make, conn
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

// connection is a remote that has answered once. rclone connects anew by itself where a connection breaks.
type connection struct {
	fs.Fs
	checksum hash.Type  // what uploads are proved by; hash.None where they have to be read back
	growing  bool       // files are seen while they grow
	hashing  sync.Mutex // rclone's memory backend fills in a sum when it is first asked for it, unguarded
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
	parsed, err := fspath.Parse(name)
	if err != nil || parsed.Name == "" {
		return nil, notARemote(name, err)
	}
	if err := known(name, 0); err != nil {
		return nil, err
	}
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	s := &Store{
		remote: name, endpoint: endpoint(parsed), limiter: opts.Limiter, base: settings(), turn: turn, hiding: hiding(name),
	}
	process.hiding.Store(s.hiding)
	setUp(opts.Logger)
	return s, nil
}

// endpoint names the remote. Parameters, as in NAME,url='…':PATH, may be secret, and may make it another remote.
func endpoint(parsed fspath.Parsed) string {
	name := parsed.Name
	if len(parsed.Config) > 0 {
		digest := sha256.Sum256([]byte(parsed.ConfigString))
		name += "{" + hex.EncodeToString(digest[:4]) + "}"
	}
	return name + ":" + strings.TrimSuffix(parsed.Path, "/")
}

// notARemote is the error for a name that cannot be one, because of err or because it is a path.
func notARemote(name string, err error) error {
	if err == nil {
		return fmt.Errorf("%q is no rclone remote, which is written NAME:PATH", Redacted(name))
	}
	return fmt.Errorf("%q is no rclone remote, which is written NAME:PATH: %w", Redacted(name), err)
}

// deepest is how many remotes may stand for another. One that stands for itself is told of by rclone, when it connects.
const deepest = 8

// known returns nil where rclone has the remote, and those that it stands for, and a backend for each.
func known(name string, depth int) error {
	parsed, err := fspath.Parse(name)
	if err != nil {
		return notARemote(name, err)
	}
	section := parsed.Name
	if section == "" {
		return nil // a path of this machine
	}
	info, _, _, params, err := fs.ParseRemote(name)
	switch {
	case errors.Is(err, fs.ErrorNotFoundInConfigFile):
		return fmt.Errorf("rclone has no remote of the name %s: add it to %s with rclone config", section, config.GetConfigPath())
	case err != nil:
		instead := ""
		if kind, _ := fs.ConfigFileGet(section, "type"); kind == "s3" {
			instead = "use --remote s3 for it, or "
		}
		return fmt.Errorf("the remote %s is of a type that this program has no backend for: %sbuild it with -tags rclone_all: %w",
			section, instead, err)
	}
	inner, ok := fs.ConfigMap(info.Prefix, info.Options, section, params).Get("remote")
	if ok && inner != "" && depth < deepest {
		if err := known(inner, depth+1); err != nil {
			return fmt.Errorf("%s stands for %s: %w", section, Redacted(inner), err)
		}
	}
	return nil
}

// Info implements remote.Store.
func (s *Store) Info() remote.Info { return remote.Info{Kind: "rclone", Endpoint: s.endpoint} }

func (s *Store) classify(err error) error { return classify(s.endpoint, s.hide(err)) }

// connect returns the remote, connecting where that has not been done.
func (s *Store) connect(ctx context.Context) (*connection, error) {
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
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
	switch {
	case err == nil && !file.Storable(): // a symlink, a pipe
		return nil, remote.Object{}, notFound(fs.ErrorNotAFile)
	case err != nil && c.throughFile(ctx, name, err):
		return nil, remote.Object{}, notFound(err)
	case err != nil:
		return nil, remote.Object{}, s.missing(err)
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

// throughFile reports whether err comes of a name that leads through a file. Each kind of server has words of its own
// for that: none that the classes know, or that it is forbidden.
func (c *connection) throughFile(ctx context.Context, name string, err error) bool {
	known, ok := errors.AsType[*codestory.Error](classify("", err))
	if absent(err) || ok && known.State != codestory.RemoteDenied {
		return false
	}
	for parent := path.Dir(name); parent != "." && ctx.Err() == nil; parent = path.Dir(parent) {
		if file, err := c.NewObject(ctx, parent); err == nil && file.Storable() {
			return true
		}
	}
	return false
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

// sum is the backend's checksum of the object, "" where it has none of this one.
func (c *connection) sum(ctx context.Context, file fs.Object) (string, error) {
	if !c.Features().SlowHash {
		c.hashing.Lock()
		defer c.hashing.Unlock()
	}
	sum, err := file.Hash(ctx, c.checksum)
	if errors.Is(err, hash.ErrUnsupported) {
		return "", nil
	}
	return sum, err
}
