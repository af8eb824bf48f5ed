package s3

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

var errNoCredentials = errors.New("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")

// credentials finds what requests are signed with. It reads the credentials file, and runs the credential_process of
// a profile that has one, because a mistake there is better told before anything is sent.
func (o Options) credentials() (*credentials.Credentials, error) {
	switch {
	case o.AccessKey != "" && o.SecretKey != "":
		return credentials.NewStaticV4(o.AccessKey, string(o.SecretKey), string(o.SessionToken)), nil
	case o.AccessKey != "":
		return nil, errors.New("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY: set both")
	case o.SecretKey != "":
		return nil, errors.New("AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID: set both")
	}
	file, err := o.credentialsFile()
	if err != nil {
		return nil, err
	}
	profile := o.Profile
	if profile == "" {
		if _, err := os.Stat(file); err != nil {
			return nil, errNoCredentials
		}
		profile = "default"
	}
	creds := credentials.NewFileAWSCredentials(file, profile)
	value, err := creds.GetWithContext(nil)
	if err != nil {
		return nil, fmt.Errorf("profile %q of %s: %w", profile, file, err)
	}
	if value.AccessKeyID == "" || value.SecretAccessKey == "" {
		return nil, fmt.Errorf("profile %q of %s has no aws_access_key_id and aws_secret_access_key", profile, file)
	}
	return creds, nil
}

func (o Options) credentialsFile() (string, error) {
	if o.CredentialsFile != "" {
		return o.CredentialsFile, nil
	}
	if file := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); file != "" {
		return file, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errNoCredentials
	}
	return filepath.Join(home, ".aws", "credentials"), nil
}
