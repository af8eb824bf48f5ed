package watch

import (
	"path/filepath"
	"strings"
	"sync"
)

// fileID tells directories apart whatever they are called; the zero value is of a system that has none.
type fileID struct{ device, inode uint64 }

// dirs are the directories that are watched: it mirrors what the notifier has been told, so that a directory that was
// renamed is let go of before it is watched under its new name. inotify knows a directory by its inode, and would
// report what happens in it under the old name for ever.
type dirs struct {
	notify notifier
	base   string // absolute path of the output directory

	mu    sync.Mutex
	root  *dirNode
	byID  map[fileID]*dirNode
	count int    // of the nodes that are watched
	round uint64 // of the scan that is under way, or the last one
}

// dirNode is a directory; below it hang those that are in it.
type dirNode struct {
	parent   *dirNode
	name     string // in parent
	children map[string]*dirNode
	watched  bool
	id       fileID
	round    uint64 // in which it was last found
}

func newDirs(notify notifier, base string) *dirs {
	return &dirs{notify: notify, base: base, root: &dirNode{}, byID: make(map[fileID]*dirNode)}
}

// watch makes sure that the directory is watched. It tells the notifier again about one that is: what it knows may be
// about a directory that was removed since.
func (d *dirs) watch(name string, id fileID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other := d.byID[id]; other != nil && other.path() != name {
		d.forget(other)
	}
	if node := d.find(name); node != nil && node.watched && node.id != id {
		d.unwatch(node)
	}
	if err := d.notify.Add(d.absolute(name)); err != nil {
		return err
	}
	node := d.make(name)
	if !node.watched {
		node.watched = true
		d.count++
	}
	node.id = id
	if id != (fileID{}) {
		d.byID[id] = node
	}
	return nil
}

// has reports whether the directory is watched.
func (d *dirs) has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	node := d.find(name)
	return node != nil && node.watched
}

// drop lets go of the directory and of all below it, and reports whether there was one.
func (d *dirs) drop(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	node := d.find(name)
	if node == nil {
		return false
	}
	d.forget(node)
	return true
}

// begin begins a round: the directories that are found until sweep are those that are there.
func (d *dirs) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.round++
}

// sweep lets go of the directories that were not found since begin.
func (d *dirs) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweepBelow(d.root)
}

func (d *dirs) sweepBelow(node *dirNode) {
	for _, child := range node.children {
		if child.round < d.round {
			d.forget(child)
		} else {
			d.sweepBelow(child)
		}
	}
}

// len is the number of directories that are watched.
func (d *dirs) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

func (d *dirs) find(name string) *dirNode {
	node := d.root
	for e := range elements(name) {
		if node = node.children[e]; node == nil {
			return nil
		}
	}
	return node
}

// make finds the node, or makes it, and marks it and those above it as found in this round.
func (d *dirs) make(name string) *dirNode {
	node := d.root
	node.round = d.round
	for e := range elements(name) {
		child := node.children[e]
		if child == nil {
			child = &dirNode{parent: node, name: e}
			if node.children == nil {
				node.children = make(map[string]*dirNode)
			}
			node.children[e] = child
		}
		node = child
		node.round = d.round
	}
	return node
}

// forget takes the node and all below it out.
func (d *dirs) forget(node *dirNode) {
	for _, child := range node.children {
		d.forget(child)
	}
	d.unwatch(node)
	if node.parent != nil {
		delete(node.parent.children, node.name)
	}
}

func (d *dirs) unwatch(node *dirNode) {
	if !node.watched {
		return
	}
	// The notifier has dropped by itself what was removed or renamed, and answers with an error.
	_ = d.notify.Remove(d.absolute(node.path()))
	node.watched = false
	d.count--
	if d.byID[node.id] == node {
		delete(d.byID, node.id)
	}
}

func (d *dirs) absolute(name string) string { return filepath.Join(d.base, filepath.FromSlash(name)) }

func (n *dirNode) path() string {
	if n.parent == nil {
		return ""
	}
	return join(n.parent.path(), n.name)
}

// elements are those of a name; the root's, "", has none.
func elements(name string) func(yield func(string) bool) {
	if name == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(name, "/")
}
