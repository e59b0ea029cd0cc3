//go:build !unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
)

// Run is not supported on this system.
func Run(context.Context, Options) (Order, error) {
	return End, fmt.Errorf("supervise processes on this system: %w", errors.ErrUnsupported)
}
