package postgres_test

import (
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/queuedb/postgres"
	"github.com/wikifarm/jobqueue/queuetest"
)

func TestAggregator(t *testing.T) {
	queuetest.TestAggregator(t, func(t testing.TB) jobqueue.Aggregator {
		return openSchema(t, &postgres.Options{Schema: newSchema(t)}).Aggregator()
	})
}
