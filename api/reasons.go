package api

import "github.com/codestory/codestoryd"

// plainReasons are what players' tokens are told of a file that waits. The true reason is the business of whoever runs
// the daemon: it names the store, its bucket, folders, and what they answered.
var plainReasons = map[codestory.FileState]string{
	codestory.Settling: "it is still being written",
	codestory.Queued:   "it waits to be stored",
	codestory.Retrying: "it could not be stored yet, and is tried again",
	codestory.Blocked:  "it cannot be stored: whoever runs the daemon is told why",
	codestory.Missing:  "it is not to be had at the moment",
}

// told is the story as the caller may see it.
func told(story codestory.Story, caller codestory.Token) codestory.Story {
	files := make([]codestory.File, len(story.Files))
	for i, f := range story.Files {
		files[i] = toldFile(f, caller)
	}
	story.Files = files
	return story
}

// toldFile is the file as the caller may see it.
func toldFile(f codestory.File, caller codestory.Token) codestory.File {
	if f.Reason == nil || caller.Scope == codestory.ScopeManage {
		return f
	}
	f.Reason = nil
	if plain, ok := plainReasons[f.State]; ok {
		f.Reason = &plain
	}
	return f
}
