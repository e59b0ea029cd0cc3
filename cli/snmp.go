package cli

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wikifarm/jobqueue/config"
	"github.com/wikifarm/jobqueue/snmp"
)

// playground is jobqueueMIB of JOBQUEUE-MIB, below what Net-SNMP leaves to whoever has no numbers of their own.
const playground = ".1.3.6.1.4.1.8072.9999.9999.5627"

func (e *env) snmpPass() *cobra.Command {
	base, _ := snmp.ParseOID(playground)
	c := &cobra.Command{
		Use:   "snmp-pass",
		Short: "Answer an SNMP agent",
		Long: `Answer the SNMP agent snmpd, which runs this by a line of its snmpd.conf such as

  pass_persist ` + playground + ` /usr/bin/jobctl snmp-pass --config /etc/jobqueue/farm.yaml

What there is to ask for says deploy/snmp/JOBQUEUE-MIB.txt: the state of jobctl check,
how many jobs, runners and workers there are, and the jobs of each store and type.

The stores are read at most every five seconds, and ten times as seldom as it takes. A request
waits for that for a second; then it is answered with what was read before. What is not
known, as a store is away, has no value. The farm file is read again when it changes.`,
		Args: noArgs,
	}
	c.Flags().Var(&flag{text: playground, kind: "OID", read: func(s string) error {
		o, ok := snmp.ParseOID(s)
		if !ok || len(o) < 2 || len(o) > 40 {
			return errors.New("it must be 2 to 40 numbers with points between, such as " + playground)
		}
		base = o
		return nil
	}}, "oid", "where in the tree the values are, as the line of snmpd.conf says")
	c.RunE = func(c *cobra.Command, _ []string) error {
		log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{ReplaceAttr: readable}))
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		a := newAgent(ctx, e, base, &session{Queues: &config.Queues{}, log: log, level: &slog.LevelVar{}})
		return errors.Join(snmp.Pass(c.InOrStdin(), c.OutOrStdout(), a.look), a.close())
	}
	return c
}

// values returns what is to be told of the farm as it was seen.
func (v *view) values(base snmp.OID) []snmp.Value {
	const (
		totals = 1
		stores = 2
		types  = 3
	)
	scalar := func(n uint32) snmp.OID { return base.Plus(1, totals, n, 0) }
	all := []snmp.Value{
		snmp.Integer(scalar(1), int32(v.status)),
		snmp.Text(scalar(2), v.text),
	}
	if v.away >= 0 {
		all = append(all, snmp.Gauge(scalar(13), v.away))
	}
	if v.counted {
		all = append(all, v.sum.gauges(func(column uint32) snmp.OID { return scalar(column + 1) })...)
		all = append(all, snmp.Gauge(scalar(14), int(v.age.Seconds())), snmp.Gauge(scalar(15), v.leftOut))
	}
	if v.crew != nil {
		workers, busy := v.crew.workers()
		all = append(all, snmp.Gauge(scalar(8), len(v.crew.runners)), snmp.Gauge(scalar(9), workers),
			snmp.Gauge(scalar(10), busy), snmp.Gauge(scalar(11), len(v.crew.pauses)))
	}
	if v.paused >= 0 {
		all = append(all, snmp.Gauge(scalar(12), v.paused))
	}
	for _, st := range v.stores {
		cell := func(column uint32) snmp.OID { return base.Plus(1, stores, 1, column).PlusString(st.name) }
		all = append(all, snmp.Integer(cell(2), int32(st.state)), snmp.Text(cell(3), st.text))
		if st.state == storeUp {
			all = append(all, st.sum.gauges(func(column uint32) snmp.OID { return cell(column + 2) })...)
			all = append(all, snmp.Gauge(cell(9), int(st.age.Seconds())))
		}
	}
	for _, t := range v.types {
		all = append(all, t.gauges(func(column uint32) snmp.OID { return base.Plus(1, types, 1, column).PlusString(t.Type) })...)
	}
	return slices.Clip(all)
}

// gauges returns the numbers of r, in the columns from 2.
func (r *row) gauges(at func(column uint32) snmp.OID) []snmp.Value {
	return []snmp.Value{
		snmp.Gauge(at(2), r.Ready), snmp.Gauge(at(3), r.Delayed), snmp.Gauge(at(4), r.Claimed), snmp.Gauge(at(5), r.Abandoned),
		snmp.Gauge(at(6), int(r.Oldest)),
	}
}
