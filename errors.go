package codestory

import (
	"context"
	"errors"
)

// Class says what the queue does with an error. The adapter that meets the error decides, by its code; an error
// that nobody classified is retried.
type Class int

const (
	ClassRetry   Class = iota // try this item again later
	ClassBlock                // this item waits until a person acts
	ClassPause                // the destination is at fault: no attempt is spent
	ClassStopped              // our own context ended: the item goes back untouched
)

// Error is an error that an adapter has classified.
type Error struct {
	Class Class
	State RemoteState // what is wrong with the destination; with ClassPause only
	Hint  string      // one sentence for people: what is wrong and, where it is known, what to do
	Err   error       // the cause, for the log
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Hint
	}
	if e.Hint == "" {
		return e.Err.Error()
	}
	return e.Hint + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Block makes err one that blocks its item, for the reason that hint gives.
func Block(hint string, err error) error { return &Error{Class: ClassBlock, Hint: hint, Err: err} }

// Pause makes err one that pauses the destination.
func Pause(state RemoteState, hint string, err error) error {
	return &Error{Class: ClassPause, State: state, Hint: hint, Err: err}
}

// ClassOf says what to do about err, which a call under ctx returned. A context of somebody else that ended, such as
// a time-out from below, is no stop of ours.
func ClassOf(ctx context.Context, err error) Class {
	if ctx.Err() != nil {
		return ClassStopped
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ClassRetry
}

// Hint is the sentence for people in err, or its text where it has none.
func Hint(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	return err.Error()
}

var (
	// ErrNotFound: there is no such file, object or story.
	ErrNotFound = errors.New("not found")
	// ErrChanged: the file is no longer the version that was named. It has to settle again.
	ErrChanged = errors.New("the file changed while it was read")
	// ErrUnavailable: the store cannot be asked at the moment, so nothing is known.
	ErrUnavailable = errors.New("storage temporarily unavailable")
	// ErrDiskFull: there is no room left where the daemon keeps its data.
	ErrDiskFull = errors.New("the disk is full")
	// ErrCursor: a paging cursor that was not made here.
	ErrCursor = errors.New("not a cursor of this list")
	// ErrNoLinks: the store cannot make links; the daemon serves the bytes itself.
	ErrNoLinks = errors.New("the store makes no links")
	// ErrNoForms: the store takes no posted forms; the daemon takes them itself.
	ErrNoForms = errors.New("the store takes no forms")
	// ErrFormUsed: the form has brought its file; each is good for one.
	ErrFormUsed = errors.New("the form was used")
	// ErrFormBusy: another file is being posted to the same path.
	ErrFormBusy = errors.New("another file is being posted there")
	// ErrNotOurs: it was stored by somebody else, and is not touched.
	ErrNotOurs = errors.New("stored by somebody else")
)
