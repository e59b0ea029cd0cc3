package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wikifarm/jobqueue"
)

// Codes of PostgreSQL that a caller or this package can do something about.
const (
	codeReadOnly      = "25006"
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeNoTable       = "42P01"
	codeNoColumn      = "42703"
	codeNoSchema      = "3F000"
	codeNoDatabase    = "3D000"
	codeNoRight       = "42501"
	codeLockTimeout   = "55P03"
	codeIdleTimeout   = "25P03"
	codeCancelled     = "57014"
	codeText          = "22021"
	codePlan          = "0A000" // of a statement whose tables have changed
	codeUnprepared    = "26000" // a pooler has given the session to somebody else
)

// deadlineSlack is how much earlier than here the server may find that a deadline has passed.
const deadlineSlack = 100 * time.Millisecond

func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// isConflict reports whether a transaction failed because of others, so that it may succeed when repeated.
func isConflict(err error) bool {
	switch code(err) {
	case codeUnique, codeSerialization, codeDeadlock, codePlan, codeUnprepared:
		return true
	}
	return false
}

// classify says what an error of the driver means for a caller.
func (c *config) classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return gone(ctx)
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("%w: %s: %w", jobqueue.ErrUnavailable, c.where, err)
	}
	if at, bounded := ctx.Deadline(); bounded && e.Code == codeCancelled && time.Until(at) < deadlineSlack {
		// The server keeps the deadline of the call as well, and was faster.
		return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.DeadlineExceeded)
	}
	switch class := e.Code[:min(2, len(e.Code))]; {
	case e.Code == codeReadOnly:
		return fmt.Errorf("%w: %s takes no writes: %s", jobqueue.ErrReadOnly, c.where, e.Message)
	case e.Code == codeNoTable, e.Code == codeNoColumn, e.Code == codeNoSchema:
		return fmt.Errorf("%w: schema %q of %s lacks a table or column of this program; migrate it first: %w",
			jobqueue.ErrInvalid, c.schema, c.where, e)
	case e.Code == codeNoDatabase, e.Code == codeNoRight, class == "28":
		return fmt.Errorf("%w: %s: %w", jobqueue.ErrInvalid, c.where, e)
	case e.Code == codeText:
		return fmt.Errorf("%w: text that PostgreSQL cannot store: %w", jobqueue.ErrInvalid, e)
	case isConflict(err), e.Code == codeLockTimeout, e.Code == codeIdleTimeout,
		e.Code == codeCancelled, class == "08", class == "53", class == "57", class == "58":
		return fmt.Errorf("%w: %s: %w", jobqueue.ErrUnavailable, c.where, e)
	}
	return fmt.Errorf("%s: %w", c.where, e)
}

func gone(ctx context.Context) error {
	return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
}

// CheckSchema returns an [jobqueue.ErrInvalid] unless name can be that of a schema.
func CheckSchema(name string) error {
	if name == "" || len(name) > 63 || strings.ContainsRune(name, 0) || strings.HasPrefix(name, "pg_") {
		return fmt.Errorf("%w: schema %q is not 1 to 63 bytes that do not begin with pg_", jobqueue.ErrInvalid, name)
	}
	return nil
}
