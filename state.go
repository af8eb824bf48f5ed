package codestory

import "encoding/json"

// FileState is what a person is told about one file. The values are the contract's, as they stand in JSON.
type FileState string

const (
	Settling  FileState = "settling"  // still being written
	Queued    FileState = "queued"    // waits for its turn
	Uploading FileState = "uploading" // on its way
	Retrying  FileState = "retrying"  // waits for its next attempt
	Blocked   FileState = "blocked"   // needs a person
	Synced    FileState = "synced"    // in the store, proved
	Missing   FileState = "missing"   // named by the metadata, and nowhere to be found
	LeftOut   FileState = "ignored"   // dropped or deleted by a person, until it changes
)

// StoryState sums up the files of one story.
type StoryState string

const (
	StorySynced  StoryState = "synced"  // all of it is in the store
	StoryPartial StoryState = "partial" // some of it is
	StoryWaiting StoryState = "waiting" // nothing is yet, all plays from this machine
	StoryMissing StoryState = "missing" // neither here nor in the store
)

// RemoteState is how the store answers; "", and null in JSON, if that is not known.
type RemoteState string

// MarshalJSON returns the state as a JSON string, or null.
func (s RemoteState) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

const (
	RemoteOK          RemoteState = "ok"
	RemoteUnavailable RemoteState = "unavailable" // does not answer, or not as a store
	RemoteDenied      RemoteState = "denied"      // credentials or permission
	RemoteMissing     RemoteState = "missing"     // no such bucket
	RemoteFull        RemoteState = "full"        // quota or disk
)
