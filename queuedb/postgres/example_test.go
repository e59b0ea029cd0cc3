package postgres_test

import (
	"context"
	"log"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
)

// A refreshLinks is a job that an edit leads to.
type refreshLinks struct{ Title string }

func (*refreshLinks) Type() string              { return "refreshLinks" }
func (*refreshLinks) Run(context.Context) error { return nil }

// A handler that saves a page and pushes a job in one transaction: there is
// never one without the other.
func ExampleBackend_PushTx() {
	const url = "postgres://wiki@db.example.org/wiki"
	ctx := context.Background()
	backend, err := postgres.Open(ctx, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer backend.Close()
	group := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: backend})

	http.HandleFunc("POST /page/{title}", func(w http.ResponseWriter, r *http.Request) {
		conn, err := pgx.Connect(r.Context(), url) // or from a pool
		if err != nil {
			http.Error(w, "the database is away", http.StatusServiceUnavailable)
			return
		}
		defer conn.Close(context.WithoutCancel(r.Context()))
		err = pgx.BeginFunc(r.Context(), conn, func(tx pgx.Tx) error {
			title, text := r.PathValue("title"), r.FormValue("text")
			if _, err := tx.Exec(r.Context(), "update page set text = $2 where title = $1", title, text); err != nil {
				return err
			}
			_, err := backend.PushTx(r.Context(), tx, group, jobqueue.Spec{Job: &refreshLinks{title}, Dedupe: true})
			return err
		})
		if err != nil {
			http.Error(w, "the page was not saved", http.StatusInternalServerError)
		}
	})
}
