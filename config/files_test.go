package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue/config"
)

// Every file that is not as it should be is told, with its own line, and so is each domain that the domains file does not have.
func TestCheck(t *testing.T) {
	path := write(t, `domainsFile: wikis.txt
backends:
  m:
    kind: redis
    addrs: [h:1]
    master: m
    user: u
    passwordFile: none
    sentinelPasswordFile: empty
    tls: {ca: text,
      cert: text,
      key: none}
  q: {kind: memory}
  all: {kind: federated, partitions: {q: 1}, sections: {big: {partitions: {q: 1},
    domains: [enwiki, enwki]}}}
  fine: {kind: postgres, url: postgres://h/d, passwordFile: text}
default: {backend: m, handler: {http: {url: http://h, tokenFile: none}}}
types:
  t: {handler: {http: {url: http://h,
    tokenFile: "${FARM_DIR}",
    hmacFile: empty}}}
  fine: {handler: {http: {url: http://h, tokenFile: text}}}
`)
	dir := filepath.Dir(path)
	t.Setenv("FARM_DIR", dir)
	for name, text := range map[string]string{"wikis.txt": "dewiki\nenwiki\n", "text": "hunter2\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	const must = "; it must be a file that can be read and holds "
	want := []string{
		`farm.yaml:8: backends.m.passwordFile "none": no such file or directory` + must + "the password",
		`farm.yaml:9: backends.m.sentinelPasswordFile "empty": it is empty` + must + "the password",
		`farm.yaml:10: backends.m.tls.ca "text": it holds no certificate` + must + "certificates in PEM",
		`farm.yaml:12: backends.m.tls.key "none": no such file or directory` + must + "the certificate's key in PEM",
		`farm.yaml:17: default.handler.http.tokenFile "none": no such file or directory` + must + "the token",
		`farm.yaml:20: types.t.handler.http.tokenFile "${FARM_DIR}": is a directory` + must + "the token",
		`farm.yaml:21: types.t.handler.http.hmacFile "empty": it is empty` + must + "the key",
		`farm.yaml:15: backends.all.sections.big.domains: "enwki" must be one of the domains in domainsFile "wikis.txt", such as dewiki`,
	}
	got := "no mistake"
	if err := f.Check(); err != nil {
		got = strings.ReplaceAll(err.Error(), dir+"/", "")
	}
	if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
}

// The word null is the name of a type, in a list as anywhere.
func TestTypeNull(t *testing.T) {
	f := load(t, memory+"groups: {g: {workers: 1, include: [null]}}\n")
	if !f.Runs("null") || f.Runs("other") {
		t.Errorf("the groups are %+v, want one of null", f.Groups())
	}
}
