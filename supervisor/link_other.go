//go:build !unix

package supervisor

// A Link connects a child with its supervisor. There is none on this system.
type Link struct{}

// Parent returns nil: there is no supervisor on this system.
func Parent() *Link { return nil }

// Gone returns nil.
func (*Link) Gone() <-chan struct{} { return nil }

// Alive does nothing.
func (*Link) Alive() {}

// Recycle does nothing.
func (*Link) Recycle(string) {}

// Refuse does nothing.
func (*Link) Refuse(string) {}
