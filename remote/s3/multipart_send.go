package s3

import (
	"context"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/codestory/codestoryd"
	"github.com/codestory/codestoryd/remote"
)

// sendMissing sends the parts that the server does not have, a few at once. The first error ends it.
func (u *upload) sendMissing(ctx context.Context) error {
	missing := u.state.missing()
	u.tellKept(missing)
	numbers := make(chan int, len(missing))
	for _, number := range missing {
		numbers <- number
	}
	close(numbers)

	sending, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers sync.WaitGroup
	for range min(partsAtOnce, len(missing)) {
		workers.Go(func() {
			for number := range numbers {
				if sending.Err() != nil {
					return
				}
				if err := u.sendPart(sending, number); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	workers.Wait()
	if err := context.Cause(sending); err != nil {
		return fmt.Errorf("put %s: %w", u.key, u.forgetIfGone(err))
	}
	return nil
}

// tellKept counts the parts that were sent by an earlier attempt.
func (u *upload) tellKept(missing []int) {
	if u.opts.Progress == nil {
		return
	}
	kept := u.src.Size()
	for _, number := range missing {
		_, length := u.state.part(number)
		kept -= length
	}
	u.opts.Progress(kept)
}

// sendPart sends one part, straight from the file, and writes down that the server has it.
func (u *upload) sendPart(ctx context.Context, number int) error {
	doing := fmt.Sprintf("part %d", number)
	offset, length := u.state.part(number)
	crc := minio.ChecksumCRC64NVME.Hasher()
	body := remote.NewBody(section{u.src, offset, length}, crc, u.opts.Meter())
	defer body.Close()
	answer, err := u.store.core.PutObjectPart(ctx, u.store.info.Bucket, u.key, u.state.ID, number, body, length,
		minio.PutObjectPartOptions{DisableContentSha256: !u.store.signParts})
	if cause := body.Err(); cause != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	if err != nil {
		return u.fail(ctx, doing, err)
	}
	if !body.Complete() || answer.ETag == "" {
		return u.store.fail(ctx, doing, &foreignError{status: "200 OK, without an ETag of what was sent"})
	}
	part := sentPart{MD5: body.Sum(), ETag: answer.ETag}
	checksum := base64.StdEncoding.EncodeToString(crc.Sum(nil))
	if ahead := u.state.CRCs; ahead != nil && ahead[number-1] != checksum {
		return fmt.Errorf("%s: %w: it has other bytes than when it was read ahead", doing, codestory.ErrChanged)
	}
	if part.ETag != part.MD5 {
		part.CRC = checksum
		if theirs := answer.ChecksumCRC64NVME; theirs != "" && theirs != checksum {
			return fmt.Errorf("%s: the server has a CRC64NVME of %s, what was sent has %s", doing, theirs, checksum)
		}
	}
	return u.finish(number, part)
}

// section is the part of a source that goes into one part of the upload.
type section struct {
	remote.Source
	offset, length int64
}

func (s section) Size() int64 { return s.length }

func (s section) ReadAt(p []byte, offset int64) (int, error) {
	return io.NewSectionReader(s.Source, s.offset, s.length).ReadAt(p, offset)
}

// partSums is written to with a whole object, and digests each of its parts.
type partSums struct {
	size int64 // of a part
	hash hash.Hash
	in   int64 // bytes in hash
	done []string
}

func (c *partSums) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(int64(len(rest)), c.size-c.in)]
		c.hash.Write(piece)
		c.in += int64(len(piece))
		rest = rest[len(piece):]
		if c.in == c.size {
			c.next()
		}
	}
	return len(p), nil
}

func (c *partSums) next() {
	c.done = append(c.done, base64.StdEncoding.EncodeToString(c.hash.Sum(nil)))
	c.hash.Reset()
	c.in = 0
}

// sums ends the last part. They are in base64.
func (c *partSums) sums() []string {
	if c.in > 0 {
		c.next()
	}
	return c.done
}
