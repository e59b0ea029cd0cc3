//go:build linux

package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
)

// instructions returns the arguments of one kind of instruction in the Containerfile.
func instructions(kind string) (all []string, err error) {
	text, err := os.ReadFile("container/Containerfile")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if args, ok := strings.CutPrefix(line, kind+" "); ok {
			all = append(all, strings.TrimSpace(args))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the Containerfile has no %s", kind)
	}
	return all, nil
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// words are those of an instruction that is a JSON array.
func words(t *testing.T, kind string) (list []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(must[[]string](t)(instructions(kind))[0]), &list); err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return list
}

// What the container is built from and with is there, and the command it begins with runs until it is told to end.
func TestContainer(t *testing.T) {
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(module))[1]
	if from := must[[]string](t)(instructions("FROM"))[0]; from != "docker.io/library/golang:"+version+" AS build" {
		t.Errorf("the container is built from %s, and the module is one of Go %s", from, version)
	}
	if copies := must[[]string](t)(instructions("COPY")); !slices.Equal(copies, []string{". .", "--from=build /out/ /usr/local/bin/"}) {
		t.Errorf("COPY %q: this test does not know where that is from", copies)
	}
	entry := words(t, "ENTRYPOINT")
	program, ok := strings.CutPrefix(entry[0], "/usr/local/bin/")
	if !ok {
		t.Errorf("ENTRYPOINT %s is not where COPY puts it", entry[0])
	}
	m := newManager(t)
	args := slices.Concat(entry[1:], words(t, "CMD"))
	args[slices.Index(args, "/etc/jobqueue/farm.yaml")] = newFarm(t)
	cmd := exec.Command(filepath.Join(bin(t), program), args...)
	cmd.Env = []string{"NOTIFY_SOCKET=" + m.socket.LocalAddr().String(), "GOMEMLIMIT=1GiB"} // and nothing else of this system
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	m.hears("READY=1", 1)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

// What the example of a farm names is there, and its command is that of the container.
func TestCompose(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Build   struct{ Context, Dockerfile string }
			Command any
			Volumes []string
		}
	}
	text, err := os.ReadFile("container/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	jobs := compose.Services["jobs"]
	if _, err := os.Stat(filepath.Join("container", jobs.Build.Context, jobs.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	for _, v := range jobs.Volumes {
		host, _, _ := strings.Cut(v, ":")
		if _, err := os.Stat(filepath.Join("container", host)); err != nil {
			t.Error(err)
		}
	}
	var command []string
	for _, w := range jobs.Command.([]any) {
		command = append(command, w.(string))
	}
	if cmd := words(t, "CMD"); !slices.Equal(command, cmd) {
		t.Errorf("compose.yaml runs %q, the container by itself %q", command, cmd)
	}
}
