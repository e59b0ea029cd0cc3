package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what is handed to the YAML parser, whose cost grows with the square of the nesting.
const (
	maxSize  = 1 << 20 // bytes
	maxDepth = 20      // levels within one line
)

// A reader walks a farm file and collects every mistake in it.
// It only ever descends as deep as the keys it knows, so that aliases
// cannot make it do more work than the file has lines.
type reader struct {
	path      string
	anchors   map[string]ast.Node
	errs      []error
	files     []file // that it came across
	mentioned []namedDomain
	last      []string // domains, if the domains file cannot be used; may be nil
}

// parse returns the top node of a document, nil for an empty one.
func (r *reader) parse(data []byte) (ast.Node, error) {
	tokens := lexer.Tokenize(string(data))
	if err := r.bounded(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, r.syntax(err)
	}
	r.anchors = map[string]ast.Node{}
	var top ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if top != nil {
			return nil, r.at(doc.Body, "a second document begins here, a farm file has one")
		}
		top = doc.Body
		ast.Walk(r, top)
	}
	return top, nil
}

// Visit notes the anchors. It implements [ast.Visitor].
func (r *reader) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		r.anchors[a.Name.GetToken().Value] = a.Value
	}
	return r
}

func (r *reader) bounded(tokens token.Tokens) error {
	depth, line, entries := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType, token.AliasType:
			if t.Position.Line != line {
				line, entries = t.Position.Line, 0
			}
			entries++
		}
		if depth > maxDepth || entries > maxDepth {
			return fmt.Errorf("%s:%d: nested deeper than %d", r.path, t.Position.Line, maxDepth)
		}
	}
	return nil
}

// syntax turns the parser's error, which quotes the source on several lines, into one line.
func (r *reader) syntax(err error) error {
	var e interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &e) && e.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", r.path, e.GetToken().Position.Line, oneLine(e.GetMessage()))
	}
	return fmt.Errorf("%s: %s", r.path, oneLine(err.Error()))
}

func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	var b strings.Builder
	for _, c := range strings.TrimSpace(s) {
		if unicode.IsControl(c) {
			q := strconv.QuoteRune(c)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func (r *reader) at(n ast.Node, format string, args ...any) error {
	line := 0
	if t := n.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	return fmt.Errorf("%s:%d: %s", r.path, line, fmt.Sprintf(format, args...))
}

func (r *reader) fail(n ast.Node, format string, args ...any) {
	r.errs = append(r.errs, r.at(n, format, args...))
}

// resolve follows anchors, aliases and tags to the node that holds the value.
// It returns nil, and has noted why, when there is none.
func (r *reader) resolve(n ast.Node) ast.Node {
	at := n
	for range maxDepth {
		switch v := n.(type) {
		case *ast.AnchorNode:
			n = v.Value
		case *ast.TagNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			target, ok := r.anchors[name]
			if !ok {
				r.fail(at, "no anchor %q", name)
				return nil
			}
			n = target
		case nil:
			r.fail(at, "the value is missing")
			return nil
		default:
			return n
		}
	}
	r.fail(at, "aliases lead in a circle")
	return nil
}

// pairs calls each for every key of a mapping. Nothing at all counts as an empty mapping.
func (r *reader) pairs(n ast.Node, what string, each func(key string, at, value ast.Node)) {
	n = r.resolve(n)
	switch n.(type) {
	case nil, *ast.NullNode:
		return
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		r.fail(n, "%s must be a mapping, key: value", what)
		return
	}
	for it := m.MapRange(); it.Next(); {
		key := it.Key()
		if key.IsMergeKey() {
			r.fail(key, "merge keys (<<) are not supported, write the keys out")
			continue
		}
		switch key := key.(type) {
		case *ast.StringNode:
			each(key.Value, key, it.Value())
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
			// A word is a word: there is a type null.
			each(key.GetToken().Value, key, it.Value())
		default:
			r.fail(key, "a key of %s must be a plain word", what)
		}
	}
}

// A section says what may stand under each key of a mapping.
type section map[string]func(value ast.Node)

func (r *reader) section(n ast.Node, what string, s section) {
	r.sectionOf(n, what, s, slices.Sorted(maps.Keys(s)))
}

// sectionOf is section of which only some keys are worth naming.
func (r *reader) sectionOf(n ast.Node, what string, s section, keys []string) {
	r.pairs(n, what, func(key string, at, value ast.Node) {
		if read, ok := s[key]; ok {
			read(value)
			return
		}
		for _, k := range keys {
			if strings.EqualFold(k, key) {
				r.fail(at, "unknown key %q of %s, write %s", key, what, k)
				return
			}
		}
		if len(keys) == 1 {
			r.fail(at, "unknown key %q of %s, the only key is %s", key, what, keys[0])
			return
		}
		r.fail(at, "unknown key %q of %s, the keys are %s", key, what, strings.Join(keys, ", "))
	})
}

// peek returns the word under a key of a mapping, "" if there is none. What is wrong with it is told when it is read.
func (r *reader) peek(n ast.Node, key string) (word string) {
	quiet := &reader{path: r.path, anchors: r.anchors}
	quiet.pairs(n, key, func(k string, _, value ast.Node) {
		if k == key {
			v, _ := quiet.scalar(value, key)
			word = v.text
		}
	})
	return word
}

// list calls each for every item of a sequence.
func (r *reader) list(n ast.Node, what string, each func(ast.Node)) {
	n = r.resolve(n)
	if n == nil {
		return
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fail(n, "%s must be a list, such as [a, b]", what)
		return
	}
	for _, item := range s.Values {
		each(item)
	}
}

// absolute returns a path of the farm file, relative to where the file is.
func (r *reader) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	// Joining would turn ./prog into prog, which is looked for elsewhere.
	if abs, err := filepath.Abs(filepath.Join(filepath.Dir(r.path), path)); err == nil {
		return abs
	}
	return path
}
