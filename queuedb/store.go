package queuedb

import (
	"context"
	"errors"
	"strconv"
)

// A Store is a database that has the tables and runs the statements of one
// dialect. Each statement is a file whose name, without .sql, the engine passes.
//
// Errors are, or wrap, those that [jobqueue.Backend] names.
type Store interface {
	// Write runs fn in a transaction, and returns after its commit. When fn
	// fails, nothing it did remains, and its error is returned, except that after
	// [ErrAgain] fn runs once more. Urgent writes go before those that wait.
	// On an error fn may not have run. It may run more than once, and only what it did last remains.
	//
	// Other Writes run before it or after it, and not meanwhile, if [Tx].Exclusive says so. Where it does not,
	// each statement sees what was committed before it, and the engine keeps from change what it
	// decides on, with statements whose names end in _hold. It does so in this order, so that no two Writes wait for each
	// other: holds, queues by name, root marks, jobs in their places by id, digests, claims by token.
	Write(ctx context.Context, urgent bool, fn func(Tx) error) error

	// Read runs fn in a transaction that sees one instant and writes nothing.
	Read(ctx context.Context, fn func(Tx) error) error
}

// A Direct is a [Store] that also claims jobs in one round trip, with its statement pop, and sees
// in the same one to delayed jobs, with later_release.
type Direct interface {
	// Direct runs statements as a transaction of its own. The error is
	// [ErrAgain] if it met another one.
	Direct(ctx context.Context, calls ...Call) error
}

// A Call is a statement, its arguments, and what is called for each row that it returns.
type Call struct {
	Statement string
	Args      []any
	Row       func(scan Scan) error
}

// A Tx runs statements inside a transaction. It is not safe for concurrent use.
//
// Arguments are int64, bool, string, []byte (nil is NULL), [Numbers] or [Runs].
// A NULL argument of any type is nil.
type Tx interface {
	// Exclusive reports whether no other Write runs at the same time.
	Exclusive() bool

	// Now returns the time of the transaction by the store's clock, in microseconds since 1970.
	Now() int64

	// Exec runs a statement. It may wait until an answer is needed, here or in the commit, and fail there.
	Exec(statement string, args ...any) error

	// Count is Exec at once, and returns how many rows it changed.
	Count(statement string, args ...any) (int, error)

	// Query runs a statement and calls row for each row it returns.
	// The row is valid during the call; scan copies its columns.
	Query(statement string, row func(scan Scan) error, args ...any) error

	// ExecEach is Exec for each row of a table, whose columns are given: []int64,
	// []string or [][]byte, all of one length, or nil, which is NULL in each row; or, alone, [Runs],
	// whose rows are either ranges or numbers, as the dialect likes it.
	ExecEach(statement string, columns ...any) error

	// QueryEach is Query for each row of a table, in any order.
	QueryEach(statement string, row func(scan Scan) error, columns ...any) error
}

// ErrAgain is returned by what runs in a Write that met another one.
var ErrAgain = errors.New("another transaction was faster")

// Scan copies the columns of a row to *int64, *bool, *string, *[]byte or
// *[Runs]. NULL becomes the zero value, as does what is no list of numbers.
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
