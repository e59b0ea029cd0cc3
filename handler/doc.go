// Package handler has ready-made jobs: a [Program] runs for each job, so
// that jobs can be written in any language, and [Null] does nothing, for tests
// and measurements.
package handler
