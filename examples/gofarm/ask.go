package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// html returns a page as it was rendered last.
func (s *store) html(ctx context.Context, t title) (html string, err error) {
	err = s.reader.QueryRowContext(ctx,
		"select html from rendered join pages on page = id where wiki = ? and path = ?", t.Wiki, t.Path).Scan(&html)
	if err != nil {
		return "", fmt.Errorf("%v: %w", t, err)
	}
	return html, nil
}

// print prints the rows of a query as a table.
func (s *store) print(ctx context.Context, w io.Writer, stmt string) error {
	rows, err := s.reader.QueryContext(ctx, stmt)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	values, places := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		for i, v := range values {
			if v == nil {
				v = ""
			}
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, v)
		}
		fmt.Fprintln(t)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return t.Flush()
}
