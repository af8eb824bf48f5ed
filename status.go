package codestory

import "time"

// Status is what `codestoryd status --json` and GET /api/status print. Every field is always there; a pointer is nil,
// and its JSON null, where the value is unknown.
type Status struct {
	Running   bool           `json:"running"`
	Version   string         `json:"version"`
	PID       *int           `json:"pid"`
	StartedAt *time.Time     `json:"started_at"`
	Address   *string        `json:"address"`
	Dir       string         `json:"dir"`
	Remote    RemoteStatus   `json:"remote"`
	Queue     QueueStatus    `json:"queue"`
	Synced    SyncedStatus   `json:"synced"`
	Uploads   []Upload       `json:"uploads"`
	Storage   *StorageStatus `json:"storage"`
	Watch     *WatchStatus   `json:"watch"`
	Problems  []Problem      `json:"problems"`
}

// RemoteStatus is the destination, and how it answers.
type RemoteStatus struct {
	Kind     string      `json:"kind"`     // local, s3 or rclone
	Endpoint *string     `json:"endpoint"` // a URL, a folder or an rclone remote
	Bucket   *string     `json:"bucket"`
	State    RemoteState `json:"state"`
	Message  *string     `json:"message"` // one sentence, nil while all is well
	Since    *time.Time  `json:"since"`   // when State began
}

// QueueStatus counts what waits. An item is in exactly one of the four counts.
type QueueStatus struct {
	Queued        int64 `json:"queued"`
	Uploading     int64 `json:"uploading"`
	Retrying      int64 `json:"retrying"`
	Blocked       int64 `json:"blocked"`
	Bytes         int64 `json:"bytes"`          // of all items
	OldestSeconds int64 `json:"oldest_seconds"` // how long the oldest item has waited, blocked ones left out
	Paused        bool  `json:"paused"`         // by a person
}

// SyncedStatus counts the files whose present version is in the store.
type SyncedStatus struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Upload is one upload in flight.
type Upload struct {
	Path           string `json:"path"`
	Key            string `json:"key"`
	SentBytes      int64  `json:"sent_bytes"`
	TotalBytes     int64  `json:"total_bytes"`
	BytesPerSecond int64  `json:"bytes_per_second"` // since the attempt began
	Attempt        int    `json:"attempt"`          // from 1
}

// StorageStatus is the room left in the store, for stores that tell.
type StorageStatus struct {
	UsedBytes  int64  `json:"used_bytes"`
	QuotaBytes int64  `json:"quota_bytes"`
	Level      string `json:"level"` // ok, warn, critical or full
}

// WatchStatus says how the output directory is being watched.
type WatchStatus struct {
	Directories int        `json:"directories"`
	Mode        string     `json:"mode"`      // events or polling
	LastScan    *time.Time `json:"last_scan"` // the end of the last whole scan
}

// Problem is something wrong beyond single files.
type Problem struct {
	Code     string    `json:"code"` // stable, for programs
	Severity Severity  `json:"severity"`
	Message  string    `json:"message"`
	Since    time.Time `json:"since"`
	Command  *string   `json:"command"` // what to type, or nil
	Details  []string  `json:"details"` // a few of the things it is about, one sentence each
}

// Severity says how bad a Problem is.
type Severity string

const (
	SeverityWarn  Severity = "warn"  // uploads continue
	SeverityError Severity = "error" // a person has to act
)

// Ignored is a file, or a directory with all that is in it, that is not uploaded.
type Ignored struct {
	Path   string `json:"path"` // relative to the output directory, "/" at the end of a directory's
	Reason string `json:"reason"`
}

// Story is what GET /api/storage/stories/{id} answers. The list of stories leaves Files out.
type Story struct {
	ID          StoryID    `json:"id"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Language    string     `json:"language"`
	Source      *Source    `json:"source"`
	Owner       Owner      `json:"user_id"` // null while it is not known
	CreatedAt   time.Time  `json:"created_at"`
	State       StoryState `json:"state"`
	Bytes       int64      `json:"bytes"`
	Chapters    []Chapter  `json:"chapters"`
	PlayURL     *string    `json:"play_url"` // of the whole story, else of what there is of it; nil where nothing plays
	FeedURL     *string    `json:"feed_url"`
	PlaylistURL *string    `json:"playlist_url"`
	Files       []File     `json:"files,omitzero"`
	Kept        []Path     `json:"-"` // not among Files, since they are left out, and play from this machine all the same
}

// Chapter is one chapter of a Story, whether the metadata names it, a file holds it, or both.
type Chapter struct {
	Number          int       `json:"number"`
	Title           string    `json:"title"`
	Path            Path      `json:"path"` // relative to the output directory, as File.Path is
	State           FileState `json:"state"`
	DurationSeconds *float64  `json:"duration_seconds"` // of the metadata, else of the file
}

// File is one file of a Story.
type File struct {
	Path        Path       `json:"path"`
	Key         string     `json:"key"`
	Size        int64      `json:"size"` // bytes
	State       FileState  `json:"state"`
	Reason      *string    `json:"reason"` // why it waits, in one sentence; nil where there is nothing to say
	ETag        *string    `json:"etag"`   // of the object in the store, without quotes; nil until it is there
	ContentType string     `json:"content_type"`
	ModifiedAt  *time.Time `json:"modified_at"` // nil where it is not on this machine
	Audio       *Audio     `json:"audio"`       // nil for other files, and until it was read
}

// KeyURLs are the URLs of a story that its KEY opens. They do not expire, but end when the KEY is replaced.
type KeyURLs struct {
	PlayURL     string `json:"play_url"`     // as Story.PlayURL; of the whole story where nothing plays yet
	FeedURL     string `json:"feed_url"`     // the story as a podcast
	PlaylistURL string `json:"playlist_url"` // its chapters in order
}

// Library is how all the stories of one user are played.
type Library struct {
	UserID  string `json:"user_id"`
	FeedURL string `json:"feed_url"` // ends when its KEY is replaced
}

// StoryPage is one page of the stories, newest first.
type StoryPage struct {
	Stories    []Story `json:"stories"`
	NextCursor *string `json:"next_cursor"` // opaque; nil on the last page
}

// Link is what the audio routes answer: a URL for whoever holds it, until it expires.
type Link struct {
	ChapterNumber *int      `json:"chapter_number,omitempty"`
	URL           string    `json:"url"`
	ExpiresIn     int64     `json:"expires_in"` // seconds
	ExpiresAt     time.Time `json:"expires_at"`
	ContentType   string    `json:"content_type"`
	Size          int64     `json:"size"`   // bytes
	ETag          *string   `json:"etag"`   // without quotes
	Source        string    `json:"source"` // remote or local
	PlayURL       *string   `json:"play_url"`
}

// MaxFormBytes is the largest file that a form takes: 500 MiB, as the contract has it.
const MaxFormBytes = 500 << 20

// UploadForm is what POST …/audio/upload-url answers: where and with which fields a browser posts a file, as
// multipart/form-data with the file in the last field, which is called "file".
type UploadForm struct {
	URL       string            `json:"url"`
	Fields    map[string]string `json:"fields"`
	ExpiresIn int64             `json:"expires_in"` // seconds
	MaxBytes  int64             `json:"max_bytes"`
}

// QueueItem is one file that waits, as GET /api/queue and `queue ls --json` list it.
type QueueItem struct {
	Path        string     `json:"path"`
	Key         string     `json:"key"`
	State       FileState  `json:"state"`
	Size        int64      `json:"size"`         // bytes
	Attempt     int        `json:"attempt"`      // attempts that failed
	NextAttempt *time.Time `json:"next_attempt"` // of a retrying one; nil for others
	Reason      *string    `json:"reason"`       // why it waits, in one sentence
}

// QueuePage is one page of the queue: what is uploaded now or next, by urgency, then what waits for another attempt,
// then what needs a person.
type QueuePage struct {
	Items      []QueueItem `json:"items"`
	NextCursor *string     `json:"next_cursor"` // opaque; nil on the last page
}

// Counters are what the daemon has done since it started.
type Counters struct {
	Uploads   int64            // that were stored
	SentBytes int64            // to the store, with those of attempts that failed
	Failures  map[string]int64 // attempts that failed, by what the queue made of them: retry, block, pause
	ScanTook  time.Duration    // the last whole scan; 0 before there was one
}
