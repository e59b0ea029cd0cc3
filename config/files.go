package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
)

// A file is one that the farm file names, and that is read when it is needed.
type file struct {
	line  ast.Node
	what  string // the key
	path  value
	holds string             // what it must hold
	check func([]byte) error // whether that is in it
}

// file reads the path of a file, and notes what the file must hold.
func (r *reader) file(n ast.Node, what, holds string, check func([]byte) error) string {
	v, ok := r.text(n, what)
	if !ok {
		return ""
	}
	path := r.absolute(v.text)
	r.files = append(r.files, file{n, what, value{path, v.written}, holds, check})
	return path
}

func (r *reader) passwordFile(n ast.Node, what string) string {
	return r.file(n, what, "the password", func(text []byte) error { return notEmpty([]byte(trimPassword(text))) })
}

// fits checks that a certificate and its key belong together.
func (t *tlsFiles) fits([]byte) error {
	_, err := tls.LoadX509KeyPair(t.cert, t.key)
	if _, unread := errors.AsType[*fs.PathError](err); unread {
		return nil // That is told of that file.
	}
	return err
}

var errEmpty = errors.New("it is empty")

func notEmpty(text []byte) error {
	if strings.TrimSpace(string(text)) == "" {
		return errEmpty
	}
	return nil
}

func holdsCertificates(text []byte) error {
	if !x509.NewCertPool().AppendCertsFromPEM(text) {
		return errors.New("it holds no certificate")
	}
	return nil
}

// Check looks at what may change without the farm file: the error joins one for each file with a password, a token, a key or
// a certificate that cannot be read or does not hold that, and for each domain of a section that is not in the domains file,
// each naming the line and what would be right. It opens no backend. What it finds right may be wrong when it is needed.
func (f *Farm) Check() error {
	var errs []error
	r := &reader{path: f.path}
	for _, c := range f.files {
		text, err := os.ReadFile(c.path.text)
		if err == nil {
			err = c.check(text)
		} else {
			err = withoutPath(err)
		}
		if err != nil {
			errs = append(errs, r.at(c.line, "%s %s: %v; it must be a file that can be read and holds %s", c.what, c.path.show(), err, c.holds))
		}
	}
	if f.domains.file.text != "" {
		errs = append(errs, f.strangers()...)
	}
	return errors.Join(errs...)
}

// strangers returns an error for each domain of a section or a type that is not one of the farm's.
func (f *Farm) strangers() (errs []error) {
	list := f.Domains()
	if len(list) == 0 {
		return nil
	}
	which := "the farm's domains"
	if f.domains.file.text != "" {
		which = "the domains in domainsFile " + f.domains.file.show()
	}
	r := &reader{path: f.path}
	all := slices.Clone(f.mentioned)
	for _, name := range slices.Sorted(maps.Keys(f.backends)) {
		all = append(all, f.backends[name].federation.domains...)
	}
	for _, d := range all {
		if !f.Has(d.text) {
			errs = append(errs, r.at(d.line, "%s: %s must be one of %s, such as %s", d.what, d.show(), which, jobqueue.EscapeName(list[0])))
		}
	}
	return errs
}
