package jobqueue_test

import (
	"os"
	"strings"
	"testing"
)

// The program in the README is the Example, which runs.
func TestReadmeProgram(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(readme), "```go\npackage main\n")
	program, _, _ = strings.Cut(program, "```")
	_, want, _ := strings.Cut(string(example), "package jobqueue_test\n")
	want, _, _ = strings.Cut(want, "\t// Output:")
	want = strings.Replace(want, "func Example()", "func main()", 1) + "}\n"
	if program != want {
		t.Errorf("the program in README.md is\n%s\nand the Example\n%s", program, want)
	}
	lines := 0
	for line := range strings.Lines(program) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines > 25 {
		t.Errorf("the program in README.md has %d lines, at most 25 are wanted", lines)
	}
}
