package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/wikifarm/jobqueue"
)

// maxDomains bounds the domains file, in bytes.
const maxDomains = 64 << 20

// domains are the farm's domains, from the farm file or a file of their own.
type domains struct {
	file    value // "" means a fixed list
	mu      sync.Mutex
	list    []string // the last good one, sorted; nil means any domain
	version version
	checked time.Time
}

// A version tells whether a file is still the one that was read.
type version struct {
	size    int64
	changed time.Time
}

func (d *domains) read(r *reader, n ast.Node) {
	list := []string{}
	r.list(n, "domains", func(n ast.Node) {
		v, ok := r.text(n, "a domain")
		if !ok {
			return
		}
		if checkDomain(v.text) != nil {
			r.fail(n, "domains: %s is not 1 to 255 bytes of UTF-8 without control characters", v.show())
			return
		}
		list = append(list, v.text)
	})
	if len(list) == 0 && len(r.errs) == 0 {
		r.fail(n, "domains is empty, leave it out to allow any domain")
	}
	d.list = sorted(list)
}

func (d *domains) readFile(r *reader, n ast.Node) {
	v, ok := r.text(n, "domainsFile")
	if !ok {
		return
	}
	d.file = value{r.absolute(v.text), v.written}
	list, version, err := readDomains(d.file.text)
	if err != nil && r.last != nil {
		list, err = r.last, nil
	}
	if err != nil {
		r.fail(n, "domainsFile %s: %v", d.file.show(), err)
	}
	d.list, d.version = list, version
}

func checkDomain(s string) error { return jobqueue.Name{Domain: s, Type: "t"}.Check() }

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// readDomains reads a file of domains. Its errors leave out the path.
func readDomains(path string) ([]string, version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, version{}, withoutPath(err)
	}
	v := version{info.Size(), info.ModTime()}
	if v.size > maxDomains {
		return nil, v, fmt.Errorf("it is over %d bytes", maxDomains)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, v, withoutPath(err)
	}
	var list []string
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		n++
		if i := strings.IndexByte(line, '#'); i == 0 || i > 0 && (line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
		}
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := checkDomain(line); err != nil {
			return nil, v, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, line)
	}
	if len(list) == 0 {
		return nil, v, errors.New("it holds no domain")
	}
	return sorted(list), v, nil
}

func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Domains returns the farm's domains, sorted; nil means that any domain is
// allowed. The caller does not change the result.
//
// A domains file is read again when it has changed, which is looked for at
// most once a second. If it cannot be read, holds a mistake, no domain, or
// less than half as many as before, the last good list stays, and the Logger is
// told once for each version of the file. To remove more than half of the domains, start the
// program again.
func (f *Farm) Domains() []string {
	d := &f.domains
	if d.file.text == "" {
		return d.list
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.checked) >= time.Second {
		d.checked = now
		f.refresh()
	}
	return d.list
}

// Has reports whether domain is one of the farm's.
func (f *Farm) Has(domain string) bool {
	list := f.Domains()
	if list == nil {
		return true
	}
	_, found := slices.BinarySearch(list, domain)
	return found
}

func (f *Farm) refresh() {
	d := &f.domains
	if info, err := os.Stat(d.file.text); err == nil && (version{info.Size(), info.ModTime()}) == d.version {
		return
	}
	list, v, err := readDomains(d.file.text)
	if err == nil && len(list) < (len(d.list)+1)/2 {
		err = fmt.Errorf("it holds %d domains, less than half of %d", len(list), len(d.list))
	}
	if err != nil {
		if v != d.version {
			f.logger().Warn("domains file not used, the last good list stays",
				"file", d.file.written, "domains", len(d.list), "error", err)
		}
		d.version = v
		return
	}
	d.list, d.version = list, v
}
