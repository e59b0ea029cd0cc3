package aggregator_test

import (
	"testing"

	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/aggregator"
	"github.com/wikifarm/jobqueue/queuetest"
)

func TestMemory(t *testing.T) {
	queuetest.TestAggregator(t, func(testing.TB) jobqueue.Aggregator { return new(aggregator.Memory) })
}

func TestFailoverOfOne(t *testing.T) {
	queuetest.TestAggregator(t, func(testing.TB) jobqueue.Aggregator {
		return aggregator.NewFailover(new(aggregator.Memory))
	})
}
