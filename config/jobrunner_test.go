package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestImportJobrunner(t *testing.T) {
	made, err := config.ImportJobrunner([]byte(readTestdata(t, "jobrunner.json")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readTestdata(t, "jobrunner.yaml"), made.File); diff != "" {
		t.Errorf("the farm file (-want +got):\n%s", diff)
	}
	notes := strings.Join(made.Notes, "\n")
	for _, about := range []string{
		"redis.queues", "redis.password", "groups.transcode", `"curl -XPOST http://127.0.0.1/RunJobs.php?wiki=%(db)u&type=%(type)u"`,
		"limits.memory of transcode", "statsd", "hpMaxDelay", "jobs that are in the queues now",
	} {
		if !strings.Contains(notes, about) {
			t.Errorf("no note about %s:\n%s", about, notes)
		}
	}
	if strings.Contains(made.File+notes, "hunter2") {
		t.Error("the password is shown")
	}
}

func TestImportJobrunnerMistakes(t *testing.T) {
	const queues = `"redis": {"queues": ["a"]}`
	for _, test := range []struct{ text, want string }{
		{"", "it is not valid JSON: it ends too soon"},
		{"{", "it is not valid JSON: it ends too soon"},
		{"{x}", "it is not valid JSON: at byte 2: invalid character 'x' looking for beginning of object key string"},
		{"[]", "the configuration must be a JSON object"},
		{"{} {}", "there is something behind the JSON object"},
		{`{"dispatcher": "http://x"}`, "groups must be there, with at least one group"},
		{`{"groups": [], ` + queues + `}`, "groups must be a JSON object"},
		{`{"groups": {"a": {"include": ["*"]}}, ` + queues + `}`, "groups.a.runners must be a whole number"},
		{`{"groups": {"a": {"runners": "3"}}, ` + queues + `}`, "groups.a.runners must be a whole number"},
		{`{"groups": {"a": {"runners": 1, "include": "*"}}, ` + queues + `}`, "groups.a.include must be a list of types"},
		{`{"groups": {"a": {"runners": 1}}}`, "redis.queues must be a list of at least one server"},
		{`{"groups": {"a": {"runners": 1}}, "redis": {"queues": "a"}}`, "redis.queues must be a list of servers"},
		{`{"groups": {"a": {"runners": 1}}, "limits": {"real": 3}, ` + queues + `}`, "limits.real must be an object of numbers by type"},
	} {
		made, err := config.ImportJobrunner([]byte(test.text))
		if !errors.Is(err, jobqueue.ErrInvalid) || made != nil {
			t.Errorf("ImportJobrunner(%s) = %v, %v", test.text, made, err)
			continue
		}
		if want := "invalid: " + test.want; err.Error() != want {
			t.Errorf("ImportJobrunner(%s):\n got %v\nwant %s", test.text, err, want)
		}
	}
}

// Names that YAML would take for something else, and slashes in strings, survive.
func TestImportJobrunnerNames(t *testing.T) {
	made, err := config.ImportJobrunner([]byte(`{
		"groups": {"a: {b}": {"runners": 1, "include": ["x//y", "null", "*", "a\"b"]}}, // "quoted
		"limits": {"attempts": {"x//y": 2, "- [z]": 4}},
		"redis": {"queues": ["h:1"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"a: {b}":`, `include: ["x//y", "null", "*", "a\"b"]`, `"x//y": {maxTries: 2}`, `"- [z]": {maxTries: 4}`} {
		if !strings.Contains(made.File, want) {
			t.Errorf("the farm file lacks %s:\n%s", want, made.File)
		}
	}
}

// Whatever the groups say, the farm file that is made can be used, and the first of its groups that runs a type
// is the one that names it.
func TestImportJobrunnerGroups(t *testing.T) {
	made, err := config.ImportJobrunner([]byte(`{
		"groups": {
			"basic": {"runners": 3, "include": ["*"], "low-priority": ["links"]},
			"none": {"runners": 1, "include": ["x"], "exclude": ["*"]},
			"upload": {"runners": 2, "include": ["upload", ""], "low-priority": ["thumb", "upload"]}
		},
		"limits": {"attempts": {"": 2, "links": 4}},
		"redis": {"queues": ["h:1"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	f, err := config.Load(write(t, made.File))
	if err != nil {
		t.Fatalf("%v\n%s", err, made.File)
	}
	if g := f.Group("upload"); len(f.Groups()) != 2 || g == nil || g.Name != "upload" {
		t.Errorf("upload is run by %v of %v", g, f.Groups())
	}
	notes := strings.Join(made.Notes, "\n")
	for _, want := range []string{
		"groups.none: it has no runners or no types", "groups.upload.low-priority: thumb is left out",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note %q:\n%s", want, notes)
		}
	}
}
