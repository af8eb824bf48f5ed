package s3

import (
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/sse"
)

func kmsEncryption() *sse.Configuration { return sse.NewConfigurationSSEKMS("test") }

// ending is a provider of credentials that are good until then.
type ending time.Time

func endingCredentials(end time.Time) *credentials.Credentials { return credentials.New(ending(end)) }

func (e ending) Retrieve() (credentials.Value, error) { return e.RetrieveWithCredContext(nil) }

func (e ending) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	return credentials.Value{
		AccessKeyID: "key", SecretAccessKey: "secret", SignerType: credentials.SignatureV4, Expiration: time.Time(e),
	}, nil
}

func (e ending) IsExpired() bool { return time.Now().After(time.Time(e)) }
