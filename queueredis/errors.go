package queueredis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/wikifarm/jobqueue"
)

func gone(ctx context.Context) error {
	return fmt.Errorf("%w: %w", jobqueue.ErrUnavailable, context.Cause(ctx))
}

// unanswered reports whether an error is none that the server has answered a call with. What the driver says itself,
// such as that no Sentinel knows the master, may have a reply in it that is not about the call.
func unanswered(err error) bool {
	var reply redis.Error
	return err != nil && (!errors.As(err, &reply) || strings.HasPrefix(err.Error(), "redis: "))
}

// classify says what an error of the server or the driver means for a caller.
func (b *Backend) classify(err error) error {
	if err == nil {
		return nil
	}
	message := strings.TrimPrefix(err.Error(), "ERR ")
	if unanswered(err) {
		return fmt.Errorf("%w: %s: %w", jobqueue.ErrUnavailable, b.where, err)
	}
	code, rest, _ := strings.Cut(message, " ")
	unavailable := func(what string) error {
		return fmt.Errorf("%w: %s %s", jobqueue.ErrUnavailable, b.where, what)
	}
	switch code {
	case "JOBQUEUEFORMAT":
		return invalid("%s needs a newer program, which knows format %s; this one knows formats up to %d", b.where, rest, format)
	case "JOBQUEUESHARDS":
		return invalid("%s has %s shards for the prefix %q, not %d; their number cannot be changed", b.where, rest, b.prefix, b.shards)
	case "OOM":
		return unavailable("is full: its maxmemory is reached")
	case "READONLY":
		return unavailable("takes no writes: it is a replica")
	case "LOADING":
		return unavailable("is loading its data")
	case "MASTERDOWN":
		return unavailable("is a replica that has lost its master")
	case "NOREPLICAS":
		return unavailable("has fewer replicas than it wants for writes")
	case "BUSY":
		return unavailable("is busy with another program's script")
	case "TRYAGAIN":
		return unavailable("is moving the shard to another server")
	case "CLUSTERDOWN":
		return unavailable("is a Cluster that is down: " + rest)
	case "MOVED", "ASK":
		return unavailable("is moving the shard: " + message)
	case "MISCONF":
		return unavailable("takes no writes because it cannot save them to its disk")
	case "NOAUTH":
		return invalid("%s wants a password, and none is given", b.where)
	case "WRONGPASS":
		return invalid("%s does not accept the password of user %q", b.where, b.user)
	case "NOPERM":
		return b.notAllowed(rest)
	}
	if what, found := strings.CutPrefix(message, "The user executing the script "); found {
		what, _, _ = strings.Cut(what, " script:")
		return b.notAllowed(what)
	}
	return fmt.Errorf("%s: %w", b.where, err)
}

// notAllowed is the error of a user whose rights are too few.
func (b *Backend) notAllowed(what string) error {
	return invalid("user %q of %s lacks a right (%s); it needs +@all -@admin -@dangerous +info ~{%s:* &{%s:*", b.user, b.where, what, b.prefix, b.prefix)
}
