package queuetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wikifarm/jobqueue"
)

var controlRules = []testCase{
	{"set", "SetValue stores v.Data, and returns what the store has afterwards and whether that is what was asked for", testValueSet},
	{"provided", "SetValue stores v.Data provided that the store has v.Version: 0 means none, and AnyVersion whatever it has", testValueProvided},
	{"delete", "nil Data deletes the value", testValueDelete},
	{"empty", "data of no bytes is a value; only nil Data deletes", testValueEmpty},
	{"ttl", "a value lives for v.TTL by the store's clock, or for ever if that is 0; then it is as if deleted", testValueTTL},
	{"age", "Age is the time since the value was set, by the store's clock", testValueAge},
	{"versions", "no version of a key comes twice, not even after it was deleted or ran out", testValueVersions},
	{"prefix", "Values returns the values whose keys begin with prefix, sorted by the bytes of the key", testValuePrefix},
	{"copies", "a value is what was stored, whatever the caller does to the bytes it gave or got", testValueCopies},
	{"repeat", "repeating a call whose answer was lost may find its own value and report false; the caller compares the data", testValueRepeat},
	{"limits", "a value has a key of 1 to MaxKey bytes of UTF-8 without control characters and at most MaxValue bytes", testValueLimits},
	{"apart", "values are apart from all queues", testValueApart},
	{"forget", "Maintain forgets values whose TTL has run out, and no others", testValueForget},
	{"one wins", "of many that set one version, exactly one does", testValueOneWins},
	{"count", "a value that is only set at the version it was read at loses no update", testValueCount},
}

// control returns the backend as a Control.
func (t *tester) control() jobqueue.Control {
	t.Helper()
	c, ok := t.b.(jobqueue.Control)
	if !ok {
		t.Skip("the backend is no Control")
	}
	return c
}

// key returns a key that only this test has.
func (t *tester) key(s string) string { return t.q.Domain + "/" + s }

// sets sets a value, which must be done, and returns it.
func (t *tester) sets(key, data string, version int64, ttl time.Duration) jobqueue.Value {
	t.Helper()
	now, ok := t.set(key, []byte(data), version, ttl)
	if !ok || now.Key != t.key(key) || string(now.Data) != data || now.Data == nil || now.Version <= 0 {
		t.Fatalf("SetValue of %s to %q at version %d = %+v, %v", key, data, version, now, ok)
	}
	return now
}

func (t *tester) set(key string, data []byte, version int64, ttl time.Duration) (jobqueue.Value, bool) {
	t.Helper()
	now, ok, err := t.control().SetValue(t.Context(), jobqueue.Value{Key: t.key(key), Data: data, Version: version, TTL: ttl})
	t.ok(err, "SetValue")
	return now, ok
}

// refuses sets a value, which must not be done because the store has data.
func (t *tester) refuses(key string, version int64, has string) {
	t.Helper()
	now, ok := t.set(key, []byte("refused"), version, 0)
	if ok || string(now.Data) != has {
		t.Fatalf("SetValue of %s at version %d = %q, %v, want %q, false", key, version, now.Data, ok, has)
	}
	t.keeps(key, has)
}

// value returns one value, the zero Value if there is none.
func (t *tester) value(key string) jobqueue.Value {
	t.Helper()
	for _, v := range t.values(key) {
		if v.Key == t.key(key) {
			return v
		}
	}
	return jobqueue.Value{}
}

func (t *tester) values(prefix string) []jobqueue.Value {
	t.Helper()
	values, err := t.control().Values(t.Context(), t.key(prefix))
	t.ok(err, "Values")
	return values
}

// keeps wants a value to have this data, "" meaning that there is none.
func (t *tester) keeps(key, data string) {
	t.Helper()
	v := t.value(key)
	if string(v.Data) != data || (v.Data == nil) != (data == "") || (v.Version == 0) != (data == "") {
		t.Fatalf("the store has %+v of %s, want %q", v, key, data)
	}
}

func testValueSet(t *tester) {
	first := t.sets("k", "one", 0, 0)
	t.keeps("k", "one")
	second := t.sets("k", "two", first.Version, time.Minute)
	t.keeps("k", "two")
	if got := t.value("k"); second.Version <= first.Version || got.Version != second.Version {
		t.Fatalf("the versions were %d and %d, and Values says %d", first.Version, second.Version, got.Version)
	}
	if second.TTL != time.Minute || second.Age != 0 || first.TTL != 0 {
		t.Fatalf("SetValue returned the lives %v and %v and the age %v, want 0, 1m and 0", first.TTL, second.TTL, second.Age)
	}
}

func testValueProvided(t *tester) {
	first := t.sets("k", "one", 0, 0)
	t.refuses("k", 0, "one")
	t.refuses("k", first.Version+1, "one")
	second := t.sets("k", "two", first.Version, 0)
	t.refuses("k", first.Version, "two")
	t.sets("k", "three", jobqueue.AnyVersion, 0)
	t.refuses("k", second.Version, "three")
	t.sets("new", "four", jobqueue.AnyVersion, 0)
	if now, ok := t.set("none", []byte("five"), first.Version, 0); ok || now.Version != 0 || now.Data != nil {
		t.Fatalf("SetValue at a version of a value that there is not = %+v, %v", now, ok)
	}
	t.keeps("none", "")
}

func testValueDelete(t *tester) {
	v := t.sets("k", "one", 0, 0)
	if now, ok := t.set("k", nil, v.Version+1, 0); ok || string(now.Data) != "one" {
		t.Fatalf("deleting another version = %+v, %v", now, ok)
	}
	for _, version := range []int64{v.Version, 0, jobqueue.AnyVersion} {
		if now, ok := t.set("k", nil, version, 0); !ok || now.Version != 0 || now.Data != nil || now.Key != t.key("k") {
			t.Fatalf("deleting version %d = %+v, %v", version, now, ok)
		}
		t.keeps("k", "")
	}
	t.sets("k", "two", 0, 0)
	t.set("k", nil, jobqueue.AnyVersion, 0)
	t.keeps("k", "")
}

func testValueEmpty(t *tester) {
	now, ok := t.set("k", []byte{}, 0, 0)
	if got := t.value("k"); !ok || now.Data == nil || got.Data == nil || len(got.Data) > 0 || got.Version != now.Version {
		t.Fatalf("SetValue of no bytes = %+v, %v, and then Values has %+v", now, ok, got)
	}
}

func testValueTTL(t *tester) {
	t.sets("stays", "x", 0, 0)
	v := t.sets("goes", "one", 0, time.Minute)
	t.jump(50 * time.Second)
	t.keeps("goes", "one")
	if left := t.value("goes").TTL; left != 10*time.Second {
		t.Fatalf("after 50 s of a minute the TTL is %v", left)
	}
	t.sets("goes", "two", v.Version, time.Minute)
	t.jump(50 * time.Second)
	t.keeps("goes", "two")
	t.jump(10 * time.Second)
	t.keeps("goes", "")
	t.jump(365 * 24 * time.Hour)
	t.keeps("stays", "x")
	t.sets("goes", "three", 0, time.Millisecond)
	t.jump(time.Millisecond)
	t.keeps("goes", "")
}

func testValueAge(t *tester) {
	t.sets("k", "one", 0, time.Hour)
	t.jump(time.Minute)
	if age := t.value("k").Age; age != time.Minute {
		t.Fatalf("after a minute the age is %v", age)
	}
	t.jump(-time.Hour)
	if age := t.value("k").Age; age != 0 {
		t.Fatalf("before it was set the age is %v, want 0", age)
	}
}

func testValueVersions(t *tester) {
	seen := map[int64]bool{}
	last := int64(0)
	add := func(v jobqueue.Value) {
		t.Helper()
		if seen[v.Version] || v.Version <= last {
			t.Fatalf("version %d follows %d", v.Version, last)
		}
		last = v.Version
		seen[last] = true
	}
	for range 3 {
		add(t.sets("k", "one", 0, 0))
		add(t.sets("k", "one", last, 0))
		t.set("k", nil, jobqueue.AnyVersion, 0)
		add(t.sets("k", "one", 0, time.Second))
		t.jump(time.Second)
		add(t.sets("k", "one", 0, time.Second))
		t.jump(time.Second)
		t.maintain()
	}
}

func testValuePrefix(t *tester) {
	keys := []string{
		"a%b", "aXb", "a_b", "a\\b", "A%b", "a%", "a", "b", "a%b/c", "*", "?", "'", `"`, "a b", "é", "e",
		"\uD7FF", "\uD7FFx", "\uE000", "\U0010FFFF", "\U0010FFFFx", "\uFFFF", "\U00010000", "ß", "SS",
	}
	for _, k := range keys {
		t.sets(k, k, 0, 0)
	}
	slices.Sort(keys)
	for _, prefix := range append(slices.Clone(keys), "", "nothing", "a%b/", "a*", "%", "_") {
		want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		var got []string
		for _, v := range t.values(prefix) {
			if got = append(got, strings.TrimPrefix(v.Key, t.key(""))); string(v.Data) != got[len(got)-1] {
				t.Fatalf("Values returns %q for %q", v.Data, v.Key)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("Values(%q) = %q, want %q", prefix, got, want)
		}
	}
	all, err := t.control().Values(t.Context(), "")
	t.ok(err, "Values")
	if len(all) < len(keys) {
		t.Fatalf("Values without a prefix returns %d values, want at least %d", len(all), len(keys))
	}
	for _, p := range []string{"\U0010FFFF", "\U0010FFFF\U0010FFFF"} {
		if all, err := t.control().Values(t.Context(), p); err != nil || len(all) > 0 {
			t.Fatalf("Values(%q) = %+v, %v, want none", p, all, err)
		}
	}
}

func testValueCopies(t *tester) {
	data := []byte("one")
	now, _ := t.set("k", data, 0, 0)
	got := t.value("k")
	for _, b := range [][]byte{data, now.Data, got.Data} {
		b[0] = 'X'
	}
	t.keeps("k", "one")
}

func testValueRepeat(t *tester) {
	v := t.sets("k", "mine", 0, time.Minute)
	now, ok := t.set("k", []byte("mine"), 0, time.Minute)
	if string(now.Data) != "mine" || now.Version < v.Version || ok && now.Version == v.Version {
		t.Fatalf("the same call again = %+v, %v", now, ok)
	}
}

func testValueLimits(t *tester) {
	c := t.control()
	long := t.key("")
	long += strings.Repeat("k", jobqueue.MaxKey-len(long))
	big := bytes.Repeat([]byte{0}, jobqueue.MaxValue)
	if _, ok, err := c.SetValue(t.Context(), jobqueue.Value{Key: long, Data: big}); err != nil || !ok {
		t.Fatalf("SetValue of the largest value = %v, %v", ok, err)
	}
	if got, err := c.Values(t.Context(), long); err != nil || len(got) != 1 || !bytes.Equal(got[0].Data, big) {
		t.Fatalf("Values of the largest value = %d values, %v", len(got), err)
	}
	for _, bad := range []struct {
		v    jobqueue.Value
		want error
	}{
		{jobqueue.Value{Data: []byte("x")}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: long + "k", Data: []byte("x")}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("\x00"), Data: []byte("x")}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("\n"), Data: []byte("x")}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("\xff"), Data: []byte("x")}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("v"), Data: []byte("x"), Version: -2}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("t"), Data: []byte("x"), TTL: -1}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("t"), Data: []byte("x"), TTL: 1<<63 - 1}, jobqueue.ErrInvalid},
		{jobqueue.Value{Key: t.key("b"), Data: append(big, 0)}, jobqueue.ErrTooLarge},
	} {
		if _, ok, err := c.SetValue(t.Context(), bad.v); !errors.Is(err, bad.want) || ok {
			t.Fatalf("SetValue of %.60q, version %d, for %v = %v, %v, want %v", bad.v.Key, bad.v.Version, bad.v.TTL, ok, err, bad.want)
		}
	}
	if _, err := c.Values(t.Context(), "\xff"); !errors.Is(err, jobqueue.ErrInvalid) {
		t.Fatalf("Values of a prefix that is not UTF-8 = %v, want %v", err, jobqueue.ErrInvalid)
	}
}

func testValueApart(t *tester) {
	t.sets("k", "one", 0, 0)
	t.stores(job(1))
	t.counts(1, 0, 0, 0)
	t.hands(1)
	t.deletes(1, jobqueue.Filter{States: jobqueue.States()})
	t.keeps("k", "one")
	for c, err := range t.b.Ready(t.Context()) {
		t.Fatalf("Ready yields %v, %v", c, err)
	}
}

func testValueForget(t *tester) {
	t.sets("stays", "x", 0, 0)
	t.sets("lives", "x", 0, 2*time.Hour)
	t.sets("goes", "x", 0, time.Minute)
	t.sets("goes too", "x", 0, time.Minute)
	if n := t.maintain().Forgotten; n != 0 {
		t.Fatalf("Maintain forgot %d values that live", n)
	}
	t.jump(time.Hour)
	if n := t.maintain().Forgotten; n != 2 {
		t.Fatalf("Maintain forgot %d values, want 2", n)
	}
	t.keeps("stays", "x")
	t.keeps("lives", "x")
	if all := t.values(""); len(all) != 2 {
		t.Fatalf("Values = %+v, want 2", all)
	}
}

func testValueOneWins(t *tester) {
	version := int64(0)
	for range 10 {
		var won atomic.Int64
		winner := make([]string, workers)
		t.together(workers, func(i int) error {
			me := fmt.Sprint("worker ", i)
			v := jobqueue.Value{Key: t.key("k"), Data: []byte(me), Version: version, TTL: time.Hour}
			now, ok, err := t.control().SetValue(t.Context(), v)
			if ok {
				won.Add(1)
			}
			winner[i] = string(now.Data)
			return err
		})
		v := t.value("k")
		if won.Load() != 1 || v.Version <= version {
			t.Fatalf("%d of %d set version %d, and now it is %d", won.Load(), workers, version, v.Version)
		}
		for _, w := range winner {
			if w != string(v.Data) {
				t.Fatalf("it was %q that set the value, and one was told that %q did", v.Data, w)
			}
		}
		version = v.Version
	}
}

func testValueCount(t *tester) {
	const each = 10
	c := t.control()
	t.together(workers, func(int) error {
		for done := 0; done < each; {
			values, err := c.Values(t.Context(), t.key("k"))
			if err != nil {
				return err
			}
			v := jobqueue.Value{Key: t.key("k")}
			if len(values) > 0 {
				v = values[0]
			}
			_, ok, err := c.SetValue(t.Context(), jobqueue.Value{Key: v.Key, Data: append(v.Data, '.'), Version: v.Version})
			if err != nil {
				return err
			}
			if ok {
				done++
			}
		}
		return nil
	})
	if n := len(t.value("k").Data); n != workers*each {
		t.Fatalf("%d updates of %d are left", n, workers*each)
	}
}
