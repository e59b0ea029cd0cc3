package main

import (
	"context"
	"database/sql"
)

// A scanner reads the columns of a row.
type scanner func(columns ...any) error

// A querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// query returns the rows of a query, each as read by one.
func query[T any](ctx context.Context, q querier, one func(scanner) (T, error), stmt string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, stmt, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		t, err := one(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

func scanText(scan scanner) (s string, err error) { err = scan(&s); return s, err }

func scanTitle(scan scanner) (t title, err error) { err = scan(&t.Wiki, &t.Path); return t, err }

// numbers returns the rows of a query for a name and a number.
func numbers(ctx context.Context, q querier, stmt string) (map[string]int, error) {
	values := map[string]int{}
	_, err := query(ctx, q, func(scan scanner) (name string, err error) {
		var n int
		err = scan(&name, &n)
		values[name] = n
		return name, err
	}, stmt)
	return values, err
}

// byPage returns what a query finds of each page.
func byPage(ctx context.Context, q querier, stmt string) (map[title]set, error) {
	found := map[title]set{}
	_, err := query(ctx, q, func(scan scanner) (t title, err error) {
		var what string
		err = scan(&t.Wiki, &t.Path, &what)
		if found[t] == nil {
			found[t] = set{}
		}
		found[t][what] = true
		return t, err
	}, stmt)
	return found, err
}
