package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// farmYAML is the farm file, with which every command finds the queue.
const farmYAML = `# Three wikis made from the source tree of Go; written by the demo.
domains: [std, cmd, internal]
backends:
  jobs: {kind: sqlite, path: jobs.db}
default:
  backend: jobs
  timeout: 60s
`

// files are where a farm is kept. The zero store is opened when it is needed.
type files struct {
	dir    string
	source string // "" means that of the Go installation
	store  *store
}

func (f *files) farmFile() string { return filepath.Join(f.dir, "farm.yaml") }
func (f *files) log() string      { return filepath.Join(f.dir, "runjobs.log") }
func (f *files) wiki() string     { return filepath.Join(f.dir, "wiki.db") }

// reset makes the folder, without what an earlier demo left there.
func (f *files) reset() error {
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		return err
	}
	for _, db := range []string{f.wiki(), filepath.Join(f.dir, "jobs.db")} {
		for _, name := range []string{db, db + "-wal", db + "-shm"} {
			if err := remove(name); err != nil {
				return err
			}
		}
	}
	if err := remove(f.log()); err != nil {
		return err
	}
	return os.WriteFile(f.farmFile(), []byte(farmYAML), 0o666)
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// with calls do with the queue open.
func (f *files) with(ctx context.Context, do func(*farm) error) (err error) {
	conf, err := config.Load(f.farmFile())
	if err != nil {
		return err
	}
	var reg jobqueue.Registry
	queues, err := conf.Open(ctx, &reg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, queues.Close()) }()
	farm, err := f.farm(ctx, &reg, queues.Group)
	if err != nil {
		return err
	}
	return do(farm)
}

// farm returns the farm whose jobs are in g, and adds them to reg.
func (f *files) farm(ctx context.Context, reg *jobqueue.Registry, g *jobqueue.Group) (*farm, error) {
	if f.source == "" {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return nil, err
		}
		f.source = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	if f.store == nil {
		s, err := openStore(ctx, f.wiki())
		if err != nil {
			return nil, err
		}
		f.store = s
	}
	return newFarm(tree{os.DirFS(f.source)}, f.store, reg, g), nil
}

// close closes the wikis.
func (f *files) close() error {
	if f.store == nil {
		return nil
	}
	return f.store.Close()
}
