package api

import (
	"context"
	"io"
	"time"

	"github.com/codestory/codestoryd"
)

// Library is what the API asks about stories and their files. Its errors wrap codestory.ErrNotFound if there is no
// such thing, and codestory.ErrUnavailable if only the store could tell and it does not answer.
type Library interface {
	// Stories lists stories with their files, newest first, and holds all of them. With owner nil it lists everybody's. cursor is "" or the NextCursor of
	// the page before; one that was not made here is codestory.ErrCursor.
	Stories(ctx context.Context, owner *string, limit int, cursor string) (codestory.StoryPage, error)
	// Owner is whose the story is. If nobody knows, it may ask the store.
	Owner(ctx context.Context, id codestory.StoryID) (codestory.Owner, error)
	// OwnerNow is whose the story is as far as is known now. It asks nobody; codestory.ErrNotFound if the story is not known.
	OwnerNow(id codestory.StoryID) (codestory.Owner, error)
	// Story describes the story with its files. PlayURL and FeedURL are left to the caller.
	Story(ctx context.Context, id codestory.StoryID) (codestory.Story, error)
	// Chapter is where the story's chapter n is: its file if it is known under any number of digits, else its path. It asks
	// nobody.
	Chapter(id codestory.StoryID, n int) codestory.Path
	// Locate says where the present version of the file can be had. A file that is neither here nor in the index
	// is asked of the store.
	Locate(ctx context.Context, path codestory.Path) (codestory.Location, error)
	// Presign makes a link of the store. codestory.ErrNoLinks means that the store makes none.
	Presign(ctx context.Context, path codestory.Path, req codestory.LinkRequest) (url string, expires time.Time, err error)
	// Open opens the bytes: of the file on this machine, else of the object in the store. The caller closes.
	Open(ctx context.Context, path codestory.Path) (*codestory.Content, error)
	// OpenHere opens the bytes of the file on this machine, and wraps codestory.ErrNotFound if it is not here.
	OpenHere(ctx context.Context, path codestory.Path) (*codestory.Content, error)
}

// Access says who is asking. Implementations compare secrets in constant time.
type Access interface {
	// Identify finds the token that a bearer secret belongs to. It may have to ask another service.
	Identify(ctx context.Context, secret string) (codestory.Token, bool)
	// Prove answers a challenge in a way that only a holder of the owner's token can check, and nobody can who has
	// not: so a command knows its daemon before it shows the token.
	Prove(challenge string) string
	// LinkKey is the secret that local links are signed with: at least 32 bytes, the same after a restart.
	LinkKey() []byte
	Keys
	// Tokens lists the tokens that were added, without their secrets.
	Tokens() []codestory.Token
	// AddToken makes a token and returns its secret, which is not kept. A name that is taken or not fit for one
	// is an error for people.
	AddToken(t codestory.Token) (secret string, err error)
	// RemoveToken ends a token, with keys after it has replaced the KEYs of its user: of the library and of all their
	// stories. The error wraps codestory.ErrNotFound if there is no token of that name.
	RemoveToken(name string, keys bool) error
}

// Keys are what player URLs and feeds are opened with: URL-safe texts, the same after a restart.
type Keys interface {
	// PlayKey is the KEY of the story while it has that owner: another owner, or one that is not known, another KEY.
	PlayKey(id codestory.StoryID, owner codestory.Owner) string
	// PlayKeyOf reports whether the KEY is one of the story, of whatever owner.
	PlayKeyOf(id codestory.StoryID, key string) bool
	// RotatePlayKey replaces it: the old one opens nothing from then on.
	RotatePlayKey(id codestory.StoryID) error
	// LibraryKey is the KEY of the feed of all the user's stories.
	LibraryKey(user string) string
	// LibraryUser is the user whose library the KEY opens; false if it opens none.
	LibraryUser(key string) (user string, ok bool)
	// RotateLibraryKey replaces LibraryKey.
	RotateLibraryKey(user string) error
}

// Queue is what a person may see of the queue, and do to it. Its errors wrap codestory.ErrNotFound if a path does
// not wait.
type Queue interface {
	// Queue lists what waits: files of one state, or all if it is "". cursor is as with Library.Stories.
	Queue(ctx context.Context, state codestory.FileState, limit int, cursor string) (codestory.QueuePage, error)
	// Retry tries a file at once, or if path is "" all that wait for another attempt or a person. It returns how
	// many there were.
	Retry(ctx context.Context, path string) (int, error)
	// Drop takes a file out of the queue, until it changes.
	Drop(ctx context.Context, path string) error
	// Pause begins no uploads until it is resumed, restarts included.
	Pause(ctx context.Context, paused bool) error
}

// Editor changes what is stored of a story.
type Editor interface {
	// Delete takes the story out of the queue and deletes the objects that this daemon stored of it, or signed a form
	// for. That is durable when it returns nil: while the store does not answer the objects are still there, and deleted
	// as soon as it does. Files on this machine stay, and are not uploaded again until they change; with local they are
	// removed too. The error wraps codestory.ErrNotOurs if all of the story was stored by others.
	Delete(ctx context.Context, id codestory.StoryID, local bool) error
	// SignForm makes a form of the store, by which its holder may post one audio/mpeg of 1 to codestory.MaxFormBytes bytes
	// to the path. It returns its true end. codestory.ErrNoForms means that the store takes none: what is posted to the
	// API goes to Receive.
	SignForm(ctx context.Context, path codestory.Path, lifetime time.Duration) (url string, fields map[string]string, expires time.Time, err error)
	// Receive stores all that r holds at the path, or nothing if reading fails: it returns that error as it is. The form
	// that brings it is known by when it expires, and good for one file: after that the error is codestory.ErrFormUsed.
	// While another file is received for the path it is codestory.ErrFormBusy, and nothing is read. codestory.ErrDiskFull
	// means that the file would leave too little room on the disk.
	Receive(ctx context.Context, path codestory.Path, expires time.Time, r io.Reader) error
}

// Monitor says how the daemon is.
type Monitor interface {
	Status(ctx context.Context) (codestory.Status, error)
	// Ignored lists what is not uploaded, and why; at most limit of them.
	Ignored(ctx context.Context, limit int) ([]codestory.Ignored, error)
	// Counters is what the daemon has done since it started.
	Counters() codestory.Counters
	// Ready returns nil while the daemon can serve: its database is open.
	Ready(ctx context.Context) error
}
