package queuetest

import (
	"slices"
	"time"

	"github.com/wikifarm/jobqueue"
)

var orderRules = []testCase{
	{"one push", "the order of the records is the order of the queue", testOrderOnePush},
	{"pushes", "Pop claims oldest ready first", testOrderPushes},
	{"queues", "Pop claims of each queue the oldest ready first, whatever else is wanted", testOrderQueues},
	{"retried", "retried jobs go to the back of their queue", testOrderRetried},
	{"given back", "given back jobs go to the back of their queue", testOrderGivenBack},
	{"recycled", "a job whose lease has ended is ready at the back of its queue", testOrderRecycled},
	{"released", "delayed jobs go to the back when they are due", testOrderReleased},
	{"retried later", "retried jobs go to the back of their queue when they are due", testOrderRetriedLater},
	{"requeued", "Requeue makes jobs ready at the back of their queues", testOrderRequeued},
	{"many", "Pop claims oldest ready first, through many pushes and pops", testOrderMany},
	{"passed over", "no ready job is passed over for ever, whatever is pushed and popped", testOrderPassedOver},
}

func testOrderOnePush(t *tester) {
	t.stores(job(5), job(3), job(9), job(1))
	t.hands(5, 3, 9, 1)
}

func testOrderPushes(t *tester) {
	for _, n := range []int{4, 1, 3, 2} {
		t.stores(job(n))
	}
	first := []int{4, 1}
	if t.loose {
		first = numbersOf(t.pop(2))
	} else {
		t.takes(first...)
	}
	t.stores(job(5))
	t.hands(slices.DeleteFunc([]int{4, 1, 3, 2, 5}, func(n int) bool { return slices.Contains(first, n) })...)
}

func testOrderQueues(t *tester) {
	t.stores(typed(job(1), "a"), typed(job(2), "b"), typed(job(3), "a"), typed(job(4), "b"))
	t.same(t.popAs(newLease(), t.want("a", 1), t.want("b", 1)), 1, 2)
	t.same(t.popAs(newLease(), t.want("b", 1), t.want("a", 1)), 4, 3)
}

func testOrderRetried(t *tester) {
	t.stores(jobs(1, 3)...)
	t.settle(retry(t.takes(1)[0], 0))
	t.stores(job(4))
	t.hands(2, 3, 1, 4)
}

func testOrderGivenBack(t *tester) {
	t.stores(jobs(1, 3)...)
	t.settle(giveBack(t.takes(1)[0], 0))
	t.stores(job(4))
	t.hands(2, 3, 1, 4)
}

func testOrderRecycled(t *tester) {
	t.stores(jobs(1, 3)...)
	t.takes(1)
	t.advance(lease + lease/2)
	t.stores(job(4))
	t.hands(2, 3, 1, 4)
}

func testOrderReleased(t *tester) {
	t.stores(delayed(job(1), time.Minute), job(2), delayed(job(3), 30*time.Second))
	t.jump(2 * time.Minute)
	t.maintain()
	t.stores(job(4))
	got := t.pop(10)
	if t.loose {
		t.same(got, 2, 1, 3, 4)
		return
	}
	if n := numbersOf(got); len(n) != 4 || n[0] != 2 || n[3] != 4 {
		t.Fatalf("Pop handed out the jobs %v, want 2, then 1 and 3, then 4", n)
	}
}

func testOrderRetriedLater(t *tester) {
	t.stores(jobs(1, 2)...)
	t.settle(retry(t.takes(1)[0], time.Minute))
	t.jump(2 * time.Minute)
	t.maintain()
	t.stores(job(3))
	t.hands(2, 1, 3)
}

func testOrderRequeued(t *tester) {
	t.stores(jobs(1, 2)...)
	t.settle(abandon(t.takes(1)[0], time.Hour))
	t.requeues(1, jobqueue.Filter{})
	t.stores(job(3))
	t.hands(2, 1, 3)
}

func testOrderMany(t *tester) {
	next, handed := 1, map[int]bool{}
	for n := 1; n <= 500; n += 50 {
		t.stores(jobs(n, n+49)...)
		for range 2 {
			claims := t.pop(20)
			for _, c := range claims {
				if n := numberOf(c.Params); n != next && !t.loose || handed[n] {
					t.Fatalf("Pop handed out the jobs %v, want those from %d on", numbersOf(claims), next)
				}
				handed[numberOf(c.Params)] = true
				next++
			}
			t.settle(each(claims, jobqueue.Outcome{Do: jobqueue.ActionDone})...)
		}
	}
	if next != 401 {
		t.Fatalf("Pop handed out %d jobs, want 400", next-1)
	}
}

// ever is so many rounds that nothing is passed over for so long by chance.
const ever = 300

func testOrderPassedOver(t *tester) {
	t.stores(jobs(1, 7)...)
	for n := 1; n <= 7; n++ { // to wherever they go
		t.stores(job(-n))
	}
	left := map[int]bool{}
	for n := 1; n <= 7; n++ {
		left[n], left[-n] = true, true
	}
	for n := 1000; len(left) > 0; n++ {
		if n == 1000+ever {
			t.Fatalf("the jobs %v were passed over %d times", left, ever)
		}
		t.stores(job(n))
		claims := t.pop(1)
		for _, c := range claims {
			delete(left, numberOf(c.Params))
		}
		t.settle(each(claims, done(nil))...)
	}
}
