package remote

// Credentialed is a Store whose credentials may be renewed while it is in use, by a file that is rewritten.
type Credentialed interface {
	// CredentialsSeen is an opaque text that differs once the credentials may have been renewed: a store that denied
	// is then worth asking again at once. It asks nobody but this machine's disk, and holds no secret.
	CredentialsSeen() string
}
