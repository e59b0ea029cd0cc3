package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// printJSON prints a value with its strings as they are, but for what commands a terminal.
func printJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(calm(b.Bytes()))
	return err
}

// calm escapes the control characters that JSON allows in a string as they are: U+007F to U+009F.
func calm(text []byte) []byte {
	control := func(r rune) bool { return r >= utf8.RuneSelf-1 && unicode.IsControl(r) }
	if bytes.IndexFunc(text, control) < 0 {
		return text
	}
	calm := make([]byte, 0, len(text)+len(text)/8)
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if control(r) {
			calm = fmt.Appendf(calm, `\u%04x`, r)
		} else {
			calm = append(calm, text[i:i+size]...)
		}
		i += size
	}
	return calm
}
