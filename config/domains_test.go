package config_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

func TestDomainsFile(t *testing.T) {
	path := write(t, memory+"domainsFile: wikis.txt\n")
	wikis := filepath.Join(filepath.Dir(path), "wikis.txt")
	edition := time.Unix(1_000_000_000, 0)
	save := func(t *testing.T, text string) {
		t.Helper()
		if err := os.WriteFile(wikis, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// Every edition has a time of its own, however coarse the disk's clock is.
		edition = edition.Add(time.Minute)
		if err := os.Chtimes(wikis, edition, edition); err != nil {
			t.Fatal(err)
		}
	}
	save(t, "# the farm\r\n\n  e \r\nc\nd\na\nb\na\n")
	synctest.Test(t, func(t *testing.T) {
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		f.Logger = slog.New(slog.NewTextHandler(&log, nil))
		expect := func(domains, logged string) {
			t.Helper()
			time.Sleep(time.Second)
			for range 2 {
				if diff := cmp.Diff(strings.Split(domains, ""), f.Domains()); diff != "" {
					t.Errorf("domains (-want +got):\n%s", diff)
				}
				time.Sleep(time.Second)
			}
			if (logged == "") != (log.Len() == 0) || !strings.Contains(log.String(), logged) || strings.Count(log.String(), "\n") > 1 {
				t.Errorf("logged %q, want %q once", log.String(), logged)
			}
			log.Reset()
		}
		expect("abcde", "")
		save(t, "a\nb\nc\nd\ne\nf\n")
		expect("abcdef", "")
		save(t, "")
		expect("abcdef", "it holds no domain")
		save(t, "a\nb\n")
		expect("abcdef", "it holds 2 domains, less than half of 6")
		save(t, "a\nb\nx\x01\n")
		expect("abcdef", "line 3: invalid: domain")
		if err := os.Remove(wikis); err != nil {
			t.Fatal(err)
		}
		expect("abcdef", "no such file")
		save(t, "a\nb\ng\n")
		expect("abg", "")
		if !f.Has("g") || f.Has("c") {
			t.Errorf("Has is wrong for %v", f.Domains())
		}
	})
}

func TestAnyDomain(t *testing.T) {
	f := load(t, memory)
	if f.Domains() != nil || !f.Has("anything") {
		t.Errorf("Domains = %v, want any", f.Domains())
	}
}

// What is pushed belongs to a domain of the farm, be it one that has just been added.
func TestPushKnowsDomains(t *testing.T) {
	path := write(t, memory+"domainsFile: wikis.txt\n")
	wikis := filepath.Join(filepath.Dir(path), "wikis.txt")
	save := func(text string) {
		if err := os.WriteFile(wikis, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save("a\nb\n")
	f, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	q, err := f.Open(t.Context(), &jobqueue.Registry{})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	for _, step := range []struct {
		domain string
		ok     bool
	}{{"a", true}, {"c", false}, {"", false}} {
		if _, err := q.Push(t.Context(), jobqueue.Spec{Type: "t", Domain: step.domain}); (err == nil) != step.ok || err != nil && !errors.Is(err, jobqueue.ErrInvalid) {
			t.Errorf("push for %q: %v", step.domain, err)
		}
	}
	save("a\nb\nc\n")
	if _, err := q.Push(t.Context(), jobqueue.Spec{Type: "t", Domain: "c"}); err != nil {
		t.Error(err)
	}
}
