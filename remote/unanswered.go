package remote

// UnansweredError is what went wrong with an object of which all was sent, and the store has not said whether it took
// it. It may still do so, at any later time, and put it in the place of what was stored meanwhile.
type UnansweredError struct {
	ETag string // that the object has if the store takes it
	Err  error  // classified
}

func (e *UnansweredError) Error() string { return e.Err.Error() }
func (e *UnansweredError) Unwrap() error { return e.Err }
