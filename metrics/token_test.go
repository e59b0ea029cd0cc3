package metrics_test

import (
	"testing"

	"github.com/google/uuid"
)

func token(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewRandom()
	if err != nil {
		t.Fatal(err)
	}
	return id
}
