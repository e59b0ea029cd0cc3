// Package snmp answers the SNMP agent of Net-SNMP, snmpd, which runs a program for a part of its tree:
//
//	pass_persist .1.3.6.1.4.1.8072.9999.9999 /usr/bin/program
//
// The agent writes requests to the program's standard input and reads answers from its standard output, lines of text both.
package snmp

import (
	"bufio"
	"errors"
	"io"
)

// mostLine is how long a line may be: an OID of 128 numbers is shorter.
const mostLine = 16 << 10

// errLine says that a request cannot be one of the agent's.
var errLine = errors.New("a line of a request is longer than 16 KiB")

// Pass answers requests until the agent says that it is done, by an empty line or the end of r, or an error of r or w. Each is answered from
// the table that look returns then. The agent answers nobody while it waits, so look must not take long.
// Nothing can be set.
func Pass(r io.Reader, w io.Writer, look func() *Table) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, mostLine)
	for in.Scan() && in.Text() != "" {
		if _, err := io.WriteString(w, answer(in, look)); err != nil {
			return err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return errLine
	}
	return in.Err()
}

const none = "NONE\n"

// answer answers the request that begins with the line that was read last.
func answer(in *bufio.Scanner, look func() *Table) string {
	ask := (*Table).get
	switch in.Text() {
	case "PING":
		return "PONG\n"
	case "get":
	case "getnext":
		ask = (*Table).next
	case "set":
		in.Scan() // the OID
		in.Scan() // the type and the value
		return "not-writable\n"
	default:
		return none
	}
	if !in.Scan() {
		return none
	}
	o, ok := ParseOID(in.Text())
	if !ok {
		return none
	}
	v, ok := ask(look(), o)
	if !ok {
		return none
	}
	return v.OID.String() + "\n" + v.kind + "\n" + v.text + "\n"
}
