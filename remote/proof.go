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

// ErrDiffers says that the bytes are not those that the store has a digest of.
var ErrDiffers = errors.New("the bytes are not those of the object")

// ProofOf begins to digest the content of the object, by its MD5 where that is known, else as the store does. nil
// without an error means that there is nothing to compare with.
func ProofOf(ctx context.Context, store Store, object Object) (Proof, error) {
	if sum, err := hex.DecodeString(object.MD5); err == nil && len(sum) == md5.Size {
		return NewProof("MD5", md5.New(), sum), nil
	}
	if prover, ok := store.(Prover); ok {
		return prover.Proof(ctx, object)
	}
	return nil, nil
}

// NewProof compares the sum of h, which has a name for people, with want.
func NewProof(name string, h hash.Hash, want []byte) Proof { return &proof{h, name, want} }

type proof struct {
	hash.Hash
	name string
	want []byte
}

func (p *proof) Verify() error {
	if got := p.Sum(nil); !bytes.Equal(got, p.want) {
		return fmt.Errorf("%w: their %s is %x, that of the object %x", ErrDiffers, p.name, got, p.want)
	}
	return nil
}
