package config

import (
	"encoding/json"
	"fmt"
)

// saved is a farm file that was right, and what it needs of others.
type saved struct {
	Text    []byte
	Domains []string // of the domains file
}

// Save returns what [Restore] needs for the same farm, whatever becomes of the farm file and the domains file. It holds no
// more secrets than the file.
func (f *Farm) Save() []byte {
	s := saved{Text: f.text}
	if f.domains.file.text != "" {
		s.Domains = f.Domains()
	}
	data, err := json.Marshal(s)
	if err != nil {
		panic(err) // Texts can be written.
	}
	return data
}

// Restore is [Load] for a file at path that once held what was saved. If the domains file cannot be used the list is
// that of then.
func Restore(path string, data []byte) (*Farm, error) {
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read the saved farm file: %w", err)
	}
	return parse(&reader{path: path, last: s.Domains}, s.Text)
}
