package watch

// Check returns nil while the directory is there, the one that was opened; else an error that wraps ErrDirMissing.
func (t *Tree) Check() error { return t.check() }
