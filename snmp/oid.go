package snmp

import (
	"slices"
	"strconv"
	"strings"
)

// mostNumbers is how many numbers an OID may have.
const mostNumbers = 128

// An OID is the name of a value: the numbers between the points.
type OID []uint32

// ParseOID reads an OID such as .1.3.6.1; the first point may be left out. ok is false
// for what is none: a number over 32 bits, over 128 of them, or anything but digits and points.
func ParseOID(s string) (o OID, ok bool) {
	for word := range strings.SplitSeq(strings.TrimPrefix(s, "."), ".") {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil || word[0] == '+' || len(o) == mostNumbers {
			return nil, false
		}
		o = append(o, uint32(n))
	}
	return o, true
}

// String returns the OID with a point before each number.
func (o OID) String() string {
	var b strings.Builder
	for _, n := range o {
		b.WriteByte('.')
		b.WriteString(strconv.FormatUint(uint64(n), 10))
	}
	return b.String()
}

// Plus returns the OID that continues with these numbers.
func (o OID) Plus(numbers ...uint32) OID { return append(slices.Clone(o), numbers...) }

// PlusString returns the OID that continues with the length of s and its bytes, as a string is in the index of a table.
func (o OID) PlusString(s string) OID {
	longer := append(slices.Clone(o), uint32(len(s)))
	for _, c := range []byte(s) {
		longer = append(longer, uint32(c))
	}
	return longer
}
