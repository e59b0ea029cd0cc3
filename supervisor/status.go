package supervisor

// The exit statuses of children.
const (
	ExitRecycle = 0
	ExitError   = 1
	ExitStop    = 100
	ExitRestart = 101
)

// An Order is what is to become of the supervisor's own process.
type Order int

const (
	End     Order = iota // its context has ended
	Stop                 // every child said that it is not to be started again
	Restart              // a child said that the program is to be started anew
)

// A RefusalError says why a child refused to begin, see [Link.Refuse].
type RefusalError struct {
	Child string // its name
	Text  string // with a line for each mistake
}

func (e *RefusalError) Error() string { return "child " + e.Child + ": " + e.Text }
