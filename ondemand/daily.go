package ondemand

import (
	"context"
	"fmt"
	"time"

	"github.com/wikifarm/jobqueue"
)

// Daily returns a Work that does w in the first run of each domain on a day, in UTC; what has failed is done again in the next run.
// A domain that has no visitor on a day has no such run on it. A process that dies when it has done w, and before that is
// noted in c, leaves it to be done again.
func Daily(c jobqueue.Control, w Work) Work {
	return Work{Name: w.Name, Do: func(ctx context.Context, domain string) (int, error) {
		key := fmt.Sprintf("daily/%d/%s/%s", len(domain), domain, w.Name)
		values, err := c.Values(ctx, key)
		if err != nil {
			return 0, err
		}
		today := time.Now().UTC().Format(time.DateOnly)
		for _, v := range values {
			// A process whose clock is behind finds tomorrow.
			if v.Key == key && string(v.Data) >= today {
				return 0, nil
			}
		}
		n, err := w.Do(ctx, domain)
		if err != nil {
			return n, err
		}
		_, _, err = c.SetValue(ctx, jobqueue.Value{Key: key, Data: []byte(today), Version: jobqueue.AnyVersion, TTL: 72 * time.Hour})
		return n, err
	}}
}
