package config

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// Digest tells what a farm file says from what others say, in a few letters; "" if there is no file. Files that it
// names, such as the domains file, do not matter.
func (f *Farm) Digest() string { return f.digest }

func digestOf(text []byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(text))[:12]
}

// Types returns the types that the farm file names, as one of types, of a group or of an event, sorted. There may be others.
func (f *Farm) Types() []string {
	types := slices.Collect(maps.Keys(f.types))
	for _, g := range f.sharing.groups {
		types = append(types, slices.DeleteFunc(slices.Clone(g.Include), func(typ string) bool { return typ == "*" })...)
	}
	for _, e := range f.emitted {
		types = append(types, e.typ)
	}
	slices.Sort(types)
	return slices.Compact(types)
}
