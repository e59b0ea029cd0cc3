package main

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/wikifarm/jobqueue"
)

// ran notes, together with what the job that ctx was made for has computed, that it has run.
func ran(ctx context.Context, tx *sql.Tx) error {
	return noteSettled(ctx, tx, jobqueue.FromContext(ctx), 1, 0)
}

func noteSettled(ctx context.Context, tx *sql.Tx, c *jobqueue.Claim, runs, superseded int) error {
	_, err := tx.ExecContext(ctx, `
		insert into jobs values (?, ?, ?, ?, ?)
		on conflict do update set runs = runs + excluded.runs, superseded = superseded + excluded.superseded`,
		c.ID, c.Domain, c.Type, runs, superseded)
	return err
}

// notePush notes the jobs of a push by their ids, and counts the duplicates.
// A stored job may already have run by then.
func notePush(ctx context.Context, tx *sql.Tx, specs []jobqueue.Spec, pushed jobqueue.Pushed) error {
	type job struct {
		ID        string `json:"id"`
		Wiki      string `json:"wiki"`
		Type      string `json:"type"`
		Duplicate bool   `json:"duplicate"`
	}
	jobs := make([]job, len(pushed))
	for i, p := range pushed {
		jobs[i] = job{p.ID, specs[i].Domain, specs[i].Job.Type(), p.Duplicate}
	}
	list, err := json.Marshal(jobs)
	if err != nil {
		return err
	}
	for _, stmt := range []string{
		`insert into jobs select value->>'id', value->>'wiki', value->>'type', 0, 0
			from json_each(?) where not value->>'duplicate' on conflict do nothing`,
		`insert into duplicates select value->>'wiki', value->>'type', count(*)
			from json_each(?) where value->>'duplicate' group by 1, 2
			on conflict do update set jobs = jobs + excluded.jobs`,
	} {
		if _, err := tx.ExecContext(ctx, stmt, string(list)); err != nil {
			return err
		}
	}
	return nil
}
