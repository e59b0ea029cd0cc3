package handler_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/handler"
	"github.com/wikifarm/jobqueue/queuememory"
	"github.com/wikifarm/jobqueue/runner"
)

// Jobs of one type are calls of an endpoint, whose status says what became of each.
func ExampleEndpoint() {
	ctx := context.Background()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("attempt", r.Header.Get("Jobqueue-Attempt"))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	var reg jobqueue.Registry
	purge := handler.Endpoint{URL: server.URL + "/purge"}.Jobs()
	reg.Add(func() jobqueue.Job { return purge("purge") }, jobqueue.Policy{})
	g := jobqueue.NewGroup("enwiki", jobqueue.Routes{Default: queuememory.New(), Policy: reg.Policy})
	g.Push(ctx, jobqueue.Spec{Type: "purge", Params: []byte(`{"page":"Berlin"}`)})
	res, err := runner.Run(ctx, g, &reg, nil)
	fmt.Println(res.Counts.Done, "done", err)
	// Output:
	// attempt 1
	// 1 done <nil>
}
