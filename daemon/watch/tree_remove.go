package watch

import (
	"fmt"

	"github.com/codestory/codestoryd"
)

// RemoveStory removes the story's folder with all that is in it, because a person asked for that: it is the one thing
// that is ever changed in the output directory. A folder that is not there is no error; a symlink in its place is
// removed, and not followed.
func (t *Tree) RemoveStory(id codestory.StoryID) error {
	dir, base, err := t.parent(string(id))
	if err != nil {
		return t.wrap(string(id), err)
	}
	defer dir.Close()
	if err := dir.RemoveAll(base); err != nil {
		return fmt.Errorf("removing the files of story %s: %w", id, cause(err))
	}
	return nil
}
