package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

const (
	minRSABits = 2048
	maxKeys    = 128 // in a set
)

// key is a public key that verifies signatures of one algorithm.
type key struct {
	id        string // "" has none
	algorithm jose.SignatureAlgorithm
	public    any
}

// parseKeys reads a JWK set. Keys for other purposes are passed over, as RFC 7517 asks, even if none is left. A set with
// a private key in it is an error: it has no business there.
func parseKeys(set []byte) (keys []key, err error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(set, &raw); err != nil {
		return nil, fmt.Errorf("not a JWK set: %w", err)
	}
	if raw.Keys == nil {
		return nil, errors.New("not a JWK set: it has no list of keys")
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("it has more than %d keys", maxKeys)
	}
	for _, text := range raw.Keys {
		var found jose.JSONWebKey
		if err := found.UnmarshalJSON(text); err != nil {
			continue
		}
		switch found.Key.(type) {
		case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
			return nil, errors.New("it holds a private key: only public ones belong in it")
		}
		algorithm := algorithmOf(found.Key)
		if algorithm == "" || found.Use != "" && found.Use != "sig" || found.Algorithm != "" && found.Algorithm != string(algorithm) {
			continue
		}
		keys = append(keys, key{id: found.KeyID, algorithm: algorithm, public: found.Key})
	}
	return keys, nil
}

// algorithmOf is the one algorithm that a public key is used with here; "" is none.
func algorithmOf(public any) jose.SignatureAlgorithm {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() >= minRSABits {
			return jose.RS256
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return jose.ES256
		}
	case ed25519.PublicKey:
		return jose.EdDSA
	}
	return ""
}

// fitting are the public keys that a token of that key id and algorithm may be signed with. Without a key id it has to
// be clear which key is meant.
func fitting(keys []key, id string, algorithm jose.SignatureAlgorithm) (public []any) {
	for _, k := range keys {
		if k.algorithm == algorithm && (id == "" || k.id == id) {
			public = append(public, k.public)
		}
	}
	if id == "" && len(public) > 1 {
		return nil
	}
	return public
}
