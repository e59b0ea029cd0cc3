package snmp

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxString is how many bytes of a text are told.
const MaxString = 255

// A Value is one that can be asked for.
type Value struct {
	OID  OID
	kind string
	text string
}

// Integer is a number with a sign, or one that stands for a word.
func Integer(o OID, n int32) Value { return Value{o, "integer", strconv.Itoa(int(n))} }

// Gauge is a number that goes up and down. What is too large for SNMP is told as the largest, as its rules say.
func Gauge(o OID, n int) Value {
	return Value{o, "gauge", strconv.FormatUint(uint64(min(max(n, 0), math.MaxUint32)), 10)}
}

// Text is a text, without its line breaks and cut to [MaxString] bytes.
func Text(o OID, s string) Value {
	s = strings.NewReplacer("\n", " ", "\r", " ", "\x00", " ").Replace(s)
	if len(s) > MaxString {
		end := MaxString
		for !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return Value{o, "string", s}
}

// A Table is values in the order of their OIDs.
type Table struct{ values []Value }

// NewTable returns a table of some values, in any order. Of two with the same OID one is kept.
func NewTable(values ...Value) *Table {
	t := &Table{slices.Clone(values)}
	slices.SortStableFunc(t.values, func(a, b Value) int { return slices.Compare(a.OID, b.OID) })
	t.values = slices.CompactFunc(t.values, func(a, b Value) bool { return slices.Equal(a.OID, b.OID) })
	return t
}

// get returns the value of an OID.
func (t *Table) get(o OID) (Value, bool) {
	i, ok := t.find(o)
	if !ok {
		return Value{}, false
	}
	return t.values[i], true
}

// next returns the first value behind an OID, which need not be one of the table.
func (t *Table) next(o OID) (Value, bool) {
	i, ok := t.find(o)
	if ok {
		i++
	}
	if i == len(t.values) {
		return Value{}, false
	}
	return t.values[i], true
}

func (t *Table) find(o OID) (int, bool) {
	return slices.BinarySearchFunc(t.values, o, func(v Value, o OID) int { return slices.Compare(v.OID, o) })
}
