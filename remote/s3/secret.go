package s3

import "log/slog"

// Secret is text that is not to be seen: whatever prints it shows that it is there, at most.
type Secret string

const redacted = "REDACTED"

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString is what %#v prints.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue is what a log line gets.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what JSON gets.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
