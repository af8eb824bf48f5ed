package api

import (
	"errors"
	"io"
	"io/fs"
	"testing"
)

// slowContent is content that minds being closed while it is read.
type slowContent struct {
	entered, leave  chan struct{}
	reading, closed bool // not guarded: the race detector watches them
}

func (c *slowContent) Read(b []byte) (int, error) {
	c.reading = true
	close(c.entered)
	<-c.leave
	c.reading = false
	return len(b), nil
}

func (c *slowContent) Seek(offset int64, _ int) (int64, error) { return offset, nil }

func (c *slowContent) Close() error {
	if c.reading {
		return errors.New("closed while it was read")
	}
	c.closed = true
	return nil
}

func TestSerialContent(t *testing.T) {
	t.Parallel()
	slow := &slowContent{entered: make(chan struct{}), leave: make(chan struct{})}
	content := &serialContent{content: slow}
	read, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := content.Read(make([]byte, 1))
		read <- err
	}()
	<-slow.entered
	go func() { closed <- content.Close() }()
	close(slow.leave)
	if err := <-read; err != nil {
		t.Errorf("read: %v", err)
	}
	if err := <-closed; err != nil || !slow.closed {
		t.Errorf("close: %v", err)
	}
	if _, err := content.Read(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: got %v", err)
	}
	if _, err := content.Seek(0, io.SeekStart); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("seek after close: got %v", err)
	}
}
