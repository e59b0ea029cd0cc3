// Package handler has ready-made jobs: a [Program] runs or an [Endpoint] is called
// for each, so that jobs can be written in any language, and [Null] does
// nothing, for tests and measurements.
package handler
