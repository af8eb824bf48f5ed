package codestory

// Event is something that happened to a file, an upload, a story or the store. One of its fields is set.
type Event struct {
	ID     uint64
	File   *File
	Upload *Upload // begun, or ended
	Story  StoryID // whose files changed, or what is known of them; how it is now has to be asked
	Remote *RemoteStatus
}

// EventBatch is what happened since an event, the oldest first.
type EventBatch struct {
	Events []Event
	Last   uint64 // the number of the newest event there is, in the batch or not
	// Missed says that some that happened are not remembered any more: whoever wants to know how things are has to
	// look.
	Missed bool
	// Changed is closed when there are more. Those of stories come up to a second after those of their files, to whoever
	// asks again then.
	Changed <-chan struct{}
}
