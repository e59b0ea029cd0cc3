package cli

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wikifarm/jobqueue"
	"github.com/wikifarm/jobqueue/config"
)

// normalize gives flags their second names.
func normalize(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "wiki" {
		name = "domain"
	}
	return pflag.NormalizedName(name)
}

func flagError(c *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if ok && errors.Is(err, errTwice) {
		return usagef("--%s is given twice, it may be given once", e.GetFlag().Name)
	}
	if ok && e.GetFlag().Value.Type() == "bool" {
		return usagef("invalid argument %q for \"--%s\" flag: it must be true or false", e.GetValue(), e.GetFlag().Name)
	}
	if _, unknown := errors.AsType[*pflag.NotExistError](err); !unknown {
		return &statusError{exitUsage, err}
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return usagef("%w, the flags are %s", err, enumerate(names))
}

var errTwice = errors.New("it is given twice")

// A once is a flag that may be given once: of two, one would be forgotten.
type once struct {
	pflag.Value
	flag *pflag.Flag
}

func (o once) Set(s string) error {
	if o.flag.Changed {
		return errTwice
	}
	return o.Value.Set(s)
}

// onlyOnce has no flag of a command and its subcommands be given twice, but for those that may be repeated.
func onlyOnce(c *cobra.Command) {
	for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if own, ok := f.Value.(*flag); !ok || !own.repeats {
				f.Value = once{f.Value, f}
			}
		})
	}
	for _, sub := range c.Commands() {
		onlyOnce(sub)
	}
}

// A flag is a pflag.Value made of a function that reads it.
type flag struct {
	text, kind string
	read       func(string) error
	repeats    bool
	all        []string // the texts of one that repeats
}

func (f *flag) String() string { return f.text }
func (f *flag) Type() string   { return f.kind }
func (f *flag) Set(s string) error {
	if err := f.read(s); err != nil {
		return err
	}
	if f.text = s; f.repeats {
		f.all = append(f.all, s)
	}
	return nil
}

// name is a flag for a domain or a type.
func name(p *string, kind string) *flag {
	return &flag{kind: kind, read: func(s string) error {
		n := jobqueue.Name{Domain: s, Type: s}
		if err := n.Check(); err != nil {
			return errors.New("it must be 1 to 255 bytes of UTF-8 without control characters")
		}
		*p = s
		return nil
	}}
}

// given is a flag for text that is not empty, as it is when a variable of a script is not set.
func given(p *string, kind string) *flag {
	return &flag{kind: kind, read: func(s string) error {
		if s == "" {
			return errors.New("it must not be empty")
		}
		*p = s
		return nil
	}}
}

// each makes a flag for one value a repeatable one.
func each(list *[]string, one func(p *string, kind string) *flag, kind string) *flag {
	var s string
	f := one(&s, kind)
	return &flag{kind: kind, repeats: true, read: func(text string) error {
		err := f.read(text)
		if err == nil {
			*list = append(*list, s)
		}
		return err
	}}
}

// whole is a flag for a whole number.
func whole(p *int, low, high int) *flag {
	return &flag{kind: "N", read: func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < low || n > high {
			if high == math.MaxInt {
				return fmt.Errorf("it must be a whole number, at least %d", low)
			}
			return fmt.Errorf("it must be a whole number from %d to %d", low, high)
		}
		*p = n
		return nil
	}}
}

// seconds is a flag for a length of time that is in seconds unless it has a unit.
func seconds(p *time.Duration) *flag {
	return &flag{kind: "S", read: func(s string) error {
		d, err := config.ParseDuration(s)
		if n, bare := strconv.ParseFloat(s, 64); bare == nil && n < 1e9 {
			d, err = time.Duration(n*float64(time.Second)), nil
		}
		if err != nil || d <= 0 {
			return errors.New("it must be a number of seconds, more than 0, or such as 90s or 10m")
		}
		*p = d
		return nil
	}}
}

// duration is a flag for a length of time, which may be 0.
func duration(p *time.Duration) *flag {
	text := ""
	if *p != 0 {
		text = p.String()
	}
	return &flag{text: text, kind: "duration", read: func(s string) error {
		d, err := config.ParseDuration(s)
		if err != nil || d < 0 {
			return errors.New("it must be a length of time, such as 90s, 10m or 7d")
		}
		*p = d
		return nil
	}}
}

// size is a flag for a number of bytes.
func size(p *int64) *flag {
	return &flag{kind: "size", read: func(s string) error {
		digits, unit := s, int64(1)
		if s != "" {
			if i := strings.IndexByte("KMGT", s[len(s)-1]&^0x20); i >= 0 {
				digits, unit = s[:len(s)-1], 1<<(10*(i+1))
			}
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > math.MaxInt64/unit {
			return errors.New("it must be a number of bytes, such as 150M or 2G")
		}
		*p = n * unit
		return nil
	}}
}

// instant is a flag for a point in time.
func instant(p *time.Time) *flag {
	return &flag{kind: "time", read: func(s string) error {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return errors.New("it must be a time such as 2006-01-02T15:04:05Z")
		}
		*p = t
		return nil
	}}
}

// states is a repeatable flag for states of jobs.
func states(p *[]jobqueue.State) *flag {
	return &flag{kind: "state", repeats: true, read: func(s string) error {
		for _, word := range strings.Split(s, ",") {
			st, ok := jobqueue.ParseState(word)
			if !ok {
				var all []string
				for _, st := range jobqueue.States() {
					all = append(all, st.String())
				}
				return fmt.Errorf("it must be one of %s", enumerate(all))
			}
			*p = append(*p, st)
		}
		return nil
	}}
}

// oneOf is a flag for one of some words.
func oneOf(p *string, words ...string) *flag {
	return &flag{kind: strings.Join(words, "|"), read: func(s string) error {
		for _, w := range words {
			if s == w {
				*p = s
				return nil
			}
		}
		return fmt.Errorf("it must be %s", strings.Join(words, " or "))
	}}
}

// noArgs refuses arguments that are no flags.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unexpected argument %q, only flags are allowed here", args[0])
	}
	return nil
}
