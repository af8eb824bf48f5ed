package remote

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// ErrDiffers says that the bytes do not have the digest that the store has of the object.
var ErrDiffers = errors.New("the bytes are not those of the object")

// ProofOf starts a digest of the content of object: its MD5 if that is known, else one of the store's own. nil without an
// error means that there is none to compare with.
func ProofOf(ctx context.Context, store Store, object Object) (Proof, error) {
	if sum, err := hex.DecodeString(object.MD5); err == nil && len(sum) == md5.Size {
		return NewProof("MD5", md5.New(), sum), nil
	}
	if prover, ok := store.(Prover); ok {
		return prover.Proof(ctx, object)
	}
	return nil, nil
}

// NewProof compares the sum of h with want. The name of the digest is for messages.
func NewProof(name string, h hash.Hash, want []byte) Proof { return &proof{h, name, want} }

type proof struct {
	hash.Hash
	name string
	want []byte
}

func (p *proof) Verify() error {
	if got := p.Sum(nil); !bytes.Equal(got, p.want) {
		return fmt.Errorf("%w: %s %x, the object has %x", ErrDiffers, p.name, got, p.want)
	}
	return nil
}
