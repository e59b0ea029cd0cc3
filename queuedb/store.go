package queuedb

import (
	"context"
	"strconv"
)

// A Store is a database that has the tables and runs the statements of one
// dialect. Each statement is a file whose name, without .sql, the engine passes.
//
// Errors are, or wrap, those that [jobqueue.Backend] names.
type Store interface {
	// Write runs fn in a transaction that no other Write overlaps in its effect,
	// and returns after its commit. When fn fails, nothing it did remains, and
	// its error is returned. Urgent writes go before those that wait.
	// On an error fn may not have run. It may run more than once, and only what it did last remains.
	Write(ctx context.Context, urgent bool, fn func(Tx) error) error

	// Read runs fn in a transaction that sees one instant and writes nothing.
	Read(ctx context.Context, fn func(Tx) error) error
}

// A Tx runs statements inside a transaction. It is not safe for concurrent use.
//
// Arguments and columns are int64, string, []byte (nil is NULL) or [Numbers].
// A NULL argument of any type is nil.
type Tx interface {
	// Now returns the time of the transaction by the store's clock, in microseconds since 1970.
	Now() int64

	// Exec runs a statement and returns how many rows it changed.
	Exec(statement string, args ...any) (int, error)

	// Query runs a statement and calls row for each row it returns.
	// The row is valid during the call; scan copies its columns.
	Query(statement string, row func(scan Scan) error, args ...any) error

	// ExecEach runs a statement for each row of a table, whose columns are
	// given: []int64, []string or [][]byte, all of one length.
	ExecEach(statement string, columns ...any) error

	// QueryEach is Query for each row of a table, in order.
	QueryEach(statement string, row func(scan Scan) error, columns ...any) error
}

// Scan copies the columns of a row to *int64, *bool, *string, *[]byte or
// *[Numbers]. NULL becomes the zero value, as does what is no array of numbers.
type Scan func(dest ...any) error

// Numbers is an array of numbers as one value.
type Numbers []int64

// AppendJSON appends n as a JSON array, for dialects without arrays.
func (n Numbers) AppendJSON(b []byte) []byte {
	b = append(b, '[')
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, v, 10)
	}
	return append(b, ']')
}

// ParseNumbers reads what AppendJSON wrote, and reports whether it is that.
func ParseNumbers(s string) (n Numbers, ok bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return nil, false
	}
	if s = s[1 : len(s)-1]; s == "" {
		return Numbers{}, true
	}
	n = make(Numbers, 0, len(s)/4+1)
	for start, i := 0, 0; i <= len(s); i++ {
		if i == len(s) || s[i] == ',' {
			v, err := strconv.ParseInt(s[start:i], 10, 64)
			if err != nil {
				return nil, false
			}
			n = append(n, v)
			start = i + 1
		}
	}
	return n, true
}
