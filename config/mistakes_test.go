package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wikifarm/jobqueue/config"
)

// federation returns a farm with a federated backend m, whose partitions begin the rest.
func federation(rest string) string {
	return "backends: {q: {kind: memory}, m: {kind: federated, partitions: " + rest + "}"
}

func TestMistakes(t *testing.T) {
	t.Setenv("FARM_SECRET", "hunter2")
	for _, test := range []struct{ file, want string }{
		{"", "farm.yaml: the file is empty, at least backends is needed"},
		{"# nothing\n", "farm.yaml: the file is empty, at least backends is needed"},
		{"a\n", "farm.yaml:1: the farm file must be a mapping, key: value"},
		{"[a]", "farm.yaml:1: the farm file must be a mapping, key: value"},
		{"domains: [a]", "farm.yaml:1: backends is missing; for one SQLite file write backends: {main: {kind: sqlite, path: jobs.db}}"},
		{memory + "domain: [a]", `farm.yaml:2: unknown key "domain" of the farm file, the keys are aggregator, backends, caps, classes, default, domains, domainsFile, events, groups, ondemand, readOnly, reserved, types, weights`},
		{memory + "Domains: [a]", `farm.yaml:2: unknown key "Domains" of the farm file, write domains`},
		{memory + "types:\n  mail:\n    maxtries: 3", `farm.yaml:4: unknown key "maxtries" of types.mail, write maxTries`},
		{memory + "types: {a: {b: 1}}", `farm.yaml:2: unknown key "b" of types.a, the keys are async, atMostOnce, backend, backoff, claimTTL, class, dedupe, domains, exclude, fallback, handler, keep, lease, maxTries, throttle, timeout`},
		{memory + "default: {async: some}", `farm.yaml:2: default.async must be all, "" for none, or a list of domains, such as [enwiki, dewiki], not "some"`},
		{memory + "types: {a: {async: }}", "farm.yaml:2: types.a.async has no value"},
		{memory + "types: {a: {async: {b: c}}}", "farm.yaml:2: types.a.async must be a single value"},
		{memory + "types: {a: {async: [b, b]}}", `farm.yaml:2: types.a.async: "b" is given twice`},
		{memory + "domains: [b]\ntypes: {a: {async: [c]}}", `farm.yaml:3: types.a.async: "c" must be one of the farm's domains, such as b`},
		{memory + "domains: [b]\ntypes: {a: {domains: [c]}}", `farm.yaml:3: types.a.domains: "c" must be one of the farm's domains, such as b`},
		{memory + "types: {a: {domains: []}}", "farm.yaml:2: types.a.domains is empty, leave it out to enable the type on every domain, or set async or exclude"},
		{memory + "types: {a: {domains: all}}", "farm.yaml:2: types.a.domains must be a list, such as [a, b]"},
		{memory + "default: {domains: [b]}", "farm.yaml:2: default.domains would be that of every type, set it in types"},
		{memory + "types: {a: {fallback: yes}}", `farm.yaml:2: types.a.fallback must be inline or none, not "yes"`},
		{memory + "events: {e: a}", "farm.yaml:2: events.e must be a list, such as [a, b]"},
		{memory + "events: {e: [a, a]}", `farm.yaml:2: events.e: "a" is given twice`},
		{memory + "events: {e: ['*']}", `farm.yaml:2: events.e: name the types one by one, not "*"`},
		{memory + "events: {\"e\\n\": [a]}", `farm.yaml:2: events: the name of an event is 1 to 255 bytes of UTF-8 without control characters, not "e\n"`},
		{memory + "groups: {g: {workers: 1, include: [a]}}\nevents:\n  e: [a, b]", "farm.yaml:4: events.e: no group runs b, add it to the include of one"},
		{memory + "groups: {g: {workers: 1, include: [a]}}\ndefault: {async: ''}\ntypes:\n  b: {}\n  c: {async: [x]}", "farm.yaml:6: types.c: no group runs it, add it to the include of one"},
		{memory + "types: [a]", "farm.yaml:2: types must be a mapping, key: value"},
		{memory + "types: {a: 3}", "farm.yaml:2: types.a must be a mapping, key: value"},
		{memory + "types: {? [a] : {}}", "farm.yaml:2: found an invalid key for this map"},
		{memory + "types:\n  ? |\n    a\n  : {}", "farm.yaml:3: a key of types must be a plain word"},
		{memory + "types: {\"a\\nb\": {}}", `farm.yaml:2: types: invalid: type "a\nb" has a control character`},
		{memory + "default: {<<: {}}", "farm.yaml:2: merge keys (<<) are not supported, write the keys out"},
		{memory + "classes: {}", "farm.yaml:2: classes is empty, give each class its share of the workers, the most urgent first, such as {urgent: 60, normal: 40}"},
		{memory + "classes: {a: 0}", `farm.yaml:2: classes.a must be a number more than 0, not "0"`},
		{memory + "classes: {a: x}", `farm.yaml:2: classes.a must be a number more than 0, not "x"`},
		{memory + "types: {t: {class: a}}", "farm.yaml:2: types.t.class: there are no classes, give each its share, such as classes: {urgent: 60, normal: 40}"},
		{memory + "classes: {a: 1, b: 1}\ndefault: {class: c}", `farm.yaml:3: default.class must be one of a, b, not "c"`},
		{memory + "weights: {en: -1}", `farm.yaml:2: weights.en must be a number more than 0, not "-1"`},
		{memory + "weights: {en: .inf}", `farm.yaml:2: weights.en must be a number more than 0, not ".inf"`},
		{memory + "weights: [en]", "farm.yaml:2: weights must be a mapping, key: value"},
		{memory + "groups: {}", "farm.yaml:2: groups is empty, leave it out to run all types with the same workers"},
		{memory + "groups: {g: {include: ['*']}}", "farm.yaml:2: groups.g.workers is missing, it is how many jobs of the group run at once"},
		{memory + "groups: {g: {workers: 1}}", `farm.yaml:2: groups.g.include is missing, it lists the types of the group; "*" is every type`},
		{memory + "groups: {g: {workers: 1, include: [*x]}}", `farm.yaml:2: no anchor "x"`},
		{memory + "groups: {g: {workers: 1, include: [~]}}", `farm.yaml:2: groups.g.include has no value`},
		{memory + "groups: {g: {workers: 0, include: [a]}}", `farm.yaml:2: groups.g.workers must be a whole number, at least 1, not "0"`},
		{memory + "groups: {g: {workers: 1, processes: 0, include: [a]}}", `farm.yaml:2: groups.g.processes must be a whole number, at least 1, not "0"`},
		{memory + "groups: {g: {workers: 1, processes: 101, include: [a]}}", "farm.yaml:2: groups.g.processes must be at most 100, not 101"},
		{memory + "groups: {g: {workers: 2000000000, include: [a]}}", "farm.yaml:2: groups.g.workers must be at most 1000, not 2000000000"},
		{memory + "groups: {g: {workers: 1, include: [a], exclude: ['*']}}", `farm.yaml:2: groups.g.exclude: name the types one by one, not "*"`},
		{memory + "groups: {g: {workers: 1, include: [a], lowPriority: [b]}}", `farm.yaml:2: groups.g.lowPriority: "b" is no type of the group, add it to include`},
		{memory + "groups: {g: {workers: 1, include: [a]}}\ntypes:\n  a: {}\n  b: {}\n  c: {exclude: true}", "farm.yaml:5: types.b: no group runs it, add it to the include of one"},
		{memory + "classes: {a: 1}\nreserved: {b: 2}", `farm.yaml:3: reserved: "b" is none of the classes, which are a`},
		{memory + "classes: {a: 1}\nreserved: {a: 0}", `farm.yaml:3: reserved.a must be a whole number, at least 1, not "0"`},
		{memory + "caps: {type: {a: 1}}", `farm.yaml:2: unknown key "type" of caps, the keys are domains, perDomain, types`},
		{memory + "caps: {types: {a: 0}}", `farm.yaml:2: caps.types.a must be a whole number, at least 1, not "0"`},
		{memory + "caps: {perDomain: many}", `farm.yaml:2: caps.perDomain must be a whole number, at least 1, not "many"`},
		{memory + "caps: {domains: {\"a\\nb\": 1}}", `farm.yaml:2: caps.domains: the name of a domain is 1 to 255 bytes of UTF-8 without control characters, not "a\nb"`},
		{memory + "groups: {g: {runners: 1}}", `farm.yaml:2: unknown key "runners" of groups.g, the keys are exclude, include, lowPriority, processes, workers`},
		{memory + "domains: a", "farm.yaml:2: domains must be a list, such as [a, b]"},
		{memory + "domains: []", "farm.yaml:2: domains is empty, leave it out to allow any domain"},
		{memory + "domains: [[a]]", "farm.yaml:2: a domain must be a single value"},
		{memory + "domains:\n- a\n- ''", "farm.yaml:4: a domain is empty"},
		{memory + "domains: [~]", "farm.yaml:2: a domain has no value"},
		{memory + `domains: ["a\tb"]`, `farm.yaml:2: domains: "a\tb" is not 1 to 255 bytes of UTF-8 without control characters`},
		{memory + "domains: [a]\ndomainsFile: farm.yaml", "farm.yaml:3: give either domains or domainsFile"},
		{memory + "domainsFile: nowhere", "farm.yaml:2: domainsFile \"nowhere\": no such file or directory"},
		{memory + "domainsFile: .", "farm.yaml:2: domainsFile \".\": is a directory"},
		{"backends: {m: {}}", "farm.yaml:1: backends.m.kind is missing, it must be federated or memory or postgres or redis or sqlite"},
		{"backends: {m: {kind: mysql}}", `farm.yaml:1: backends.m.kind must be federated or memory or postgres or redis or sqlite, not "mysql"`},
		{"backends: {m: {kind: sqlite}}", "farm.yaml:1: backends.m.path is missing, it is the file to keep the jobs in"},
		{"backends: {m: {kind: memory, path: a}}", "farm.yaml:1: backends.m: kind memory takes no path"},
		{"backends: {m: {kind: sqlite, path: a, wal: no}}", `farm.yaml:1: unknown key "wal" of backends.m, the keys are kind, path`},
		{"backends: {m: {wal: no, kind: memory}}", `farm.yaml:1: unknown key "wal" of backends.m, the only key is kind`},
		{"backends: {m: {kind: federated, partition: {q: 1}}}", `farm.yaml:1: unknown key "partition" of backends.m, the keys are kind, partitions, sections`},
		{"backends: {m: {kind: federated, URL: a}}", `farm.yaml:1: unknown key "URL" of backends.m, the keys are kind, partitions, sections`},
		{memory + "aggregator: [{kind: postgres, url: a, wal: no}]", `farm.yaml:2: unknown key "wal" of aggregator, server 1, the keys are backend, kind`},
		{"backends: {m: {kind: sqlite, path: a}, n: {kind: sqlite, path: ./a}}\ndefault: {backend: m}", "farm.yaml:1: backends.n.path is that of backends.m already"},
		{"backends: {m: {kind: redis, url: 'redis://h'}, n: {kind: redis, url: 'redis://h', prefix: jobqueue}}\ndefault: {backend: m}", "farm.yaml:1: backends.n is the same store as backends.m; give it another server, database or prefix"},
		{"backends: {m: {kind: postgres, url: 'postgres://h/d'}, n: {kind: postgres, url: 'postgres://h/d'}}\ndefault: {backend: m}", "farm.yaml:1: backends.n is the same store as backends.m; give it another server, database or schema"},
		{"backends: {m: {kind: postgres}}", "farm.yaml:1: backends.m.url is missing, such as postgres://user@host/database"},
		{"backends: {m: {kind: postgres, url: 'postgres://a/b', path: c}}", "farm.yaml:1: backends.m: kind postgres takes no path"},
		{"backends: {m: {kind: sqlite, path: a, schema: c}}", "farm.yaml:1: backends.m: kind sqlite takes no schema"},
		{"backends: {m: {kind: postgres, url: 'postgres://ann:hunter2@a/b'}}", "farm.yaml:1: backends.m.url must not have a password; put it into a file and name that in passwordFile"},
		{"backends: {m: {kind: postgres, url: 'http://a/b'}}", "farm.yaml:1: backends.m.url must be like postgres://user@host/database"},
		{"backends: {m: {kind: postgres, url: 'postgres://a/b', schema: pg_jobs}}", `farm.yaml:1: backends.m.schema: invalid: schema "pg_jobs" is not 1 to 63 bytes that do not begin with pg_`},
		{"backends: {m: {kind: redis}}", "farm.yaml:1: backends.m.url is missing, such as redis://host:6379, or addrs for Sentinels or a Cluster"},
		{"backends: {m: {kind: redis, url: 'redis://h', schema: a}}", "farm.yaml:1: backends.m: kind redis takes no schema"},
		{"backends: {m: {kind: redis, url: 'redis://ann:hunter2@h'}}", "farm.yaml:1: backends.m.url must not have a password; put it into a file and name that in passwordFile"},
		{"backends: {m: {kind: redis, url: 'redis://h', addrs: ['h:1']}}", "farm.yaml:1: backends.m: invalid: redis: give either a url, such as redis://host:6379/0, or addrs"},
		{"backends: {m: {kind: redis, addrs: [h]}}", `farm.yaml:1: backends.m.addrs: an address must be like host:6379, not "h"`},
		{"backends: {m: {kind: redis, url: 'redis://h', shards: 0}}", `farm.yaml:1: backends.m.shards must be a whole number, at least 1, not "0"`},
		{"backends: {m: {kind: redis, url: 'redis://h', db: x}}", `farm.yaml:1: backends.m.db must be the number of a database, not "x"`},
		{"backends: {m: {kind: redis, url: 'redis://h', sentinelPasswordFile: x}}", "farm.yaml:1: backends.m: sentinelUser and sentinelPasswordFile need a master"},
		{"backends: {m: {kind: redis, addrs: ['h:1'], master: m, sentinelUser: x}}", "farm.yaml:1: backends.m.sentinelPasswordFile is missing, the sentinelUser needs a password"},
		{"backends: {m: {kind: redis, url: 'redis://ann@h'}}", "farm.yaml:1: backends.m.passwordFile is missing, the user needs a password"},
		{"backends: {m: {kind: redis, url: 'redis://h', user: ann}}", "farm.yaml:1: backends.m.passwordFile is missing, the user needs a password"},
		{"backends: {m: {kind: redis, url: 'redis://h', tls: {cert: a}}}", "farm.yaml:1: backends.m.tls: cert and key go together"},
		{"backends: {m: {kind: redis, url: 'redis://h', compress: some}}", `farm.yaml:1: backends.m.compress must be a number of bytes, such as 512M or 2G, not "some"`},
		{"backends: {m: {kind: federated}}", "farm.yaml:1: backends.m.partitions is missing, it names the backends and their weights, such as {q1: 2, q2: 1}"},
		{"backends: {m: {kind: federated, partitions: {}}}", "farm.yaml:1: backends.m: at least one of its partitions must take new jobs"},
		{"backends: {m: {kind: federated, partitions: [q]}}", "farm.yaml:1: backends.m.partitions must be a mapping, key: value"},
		{federation("{q: 1}, path: a}"), "farm.yaml:1: backends.m: kind federated takes no path"},
		{"backends: {m: {kind: memory, partitions: {q: 1}}}", "farm.yaml:1: backends.m: kind memory takes no partitions"},
		{federation("{q: 1,\n nowhere: 2}}"), `farm.yaml:2: backends.m: there is no backend "nowhere" to be a partition`},
		{federation("{q: 1,\n m: 2}}"), "farm.yaml:2: backends.m cannot be a partition of itself"},
		{federation("{q: 1}},\n n: {kind: federated, partitions: {m: 1}}}\ndefault: {backend: m"), `farm.yaml:2: backends.n: "m" is federated itself, name its partitions`},
		{federation("{q: 1}},\n n: {kind: federated, partitions: {q: 1}}}\ndefault: {backend: m"), `farm.yaml:2: backends.n: "q" is a partition of backends.m already`},
		{federation("{q: 0}}"), `farm.yaml:1: backends.m.partitions.q must be a weight, a number above 0, not "0"`},
		{federation("{q: -1}}"), `farm.yaml:1: backends.m.partitions.q must be a weight, a number above 0, not "-1"`},
		{federation("{q: .inf}}"), `farm.yaml:1: backends.m.partitions.q must be a weight, a number above 0, not ".inf"`},
		{federation("{q: {weight: much}}}"), `farm.yaml:1: backends.m.partitions.q.weight must be a weight, a number above 0, not "much"`},
		{federation("{q: {noPush: 1}}}"), `farm.yaml:1: backends.m.partitions.q.noPush must be true or false, not "1"`},
		{federation("{q: {push: no}}}"), `farm.yaml:1: unknown key "push" of backends.m.partitions.q, the keys are noPush, weight`},
		{federation("{q: {noPush: true}}}"), "farm.yaml:1: backends.m: at least one of its partitions must take new jobs"},
		{federation("{q: 1}, sections: {s: {}}}"), "farm.yaml:1: backends.m.sections.s must have partitions and domains"},
		{federation("{q: 1}, sections: {s: {partitions: {q: 1}, domains: [a]}, t: {partitions: {q: 1}, domains: [b, a]}}}"), `farm.yaml:1: backends.m.sections.t.domains: "a" is in section s already`},
		{federation("{q: 1}, sections: {s: {partitions: {q: 0}, domains: [a]}}}"), `farm.yaml:1: backends.m.sections.s.partitions.q must be a weight, a number above 0, not "0"`},
		{federation("{q: 1}, sections: {s: {partitions: {p: 1}, domains: [a]}}}"), `farm.yaml:1: backends.m: there is no backend "p" to be a partition`},
		{federation("{q: 1, p: {noPush: true}}, sections: {s: {partitions: {p: 1}, domains: [a]}}}, p: {kind: memory}"), "farm.yaml:1: backends.m.sections.s: at least one of its partitions must take new jobs"},
		{federation("{q: 1}, sections: {s: {partitions: {q: 1},\n domains: [a, enwki]}}}") + "\ndomains: [b, a]", `farm.yaml:2: backends.m.sections.s.domains: "enwki" must be one of the farm's domains, such as a`},
		{federation("{q: 1}}}\ndefault: {backend: q"), `farm.yaml:2: default.backend must be one of m, not "q"`},
		{federation("{q: 1}}, o: {kind: memory}"), "farm.yaml:1: default.backend is missing, it must be one of m, o"},
		{"backends: {m: {kind: federated, partitions: {q: 1}}, q: {kind: postgres, url: 'postgres://a/b'}}\naggregator: [{kind: postgres, backend: q}]", `farm.yaml:2: aggregator, server 1.backend: "q" is a partition of backends.m, which may be away`},
		{memory + "aggregator: []", "farm.yaml:2: aggregator is empty, leave it out if there is none, or list servers such as [{kind: redis, url: redis://host:6379}]"},
		{memory + "aggregator: {kind: redis}", "farm.yaml:2: aggregator must be a list, such as [a, b]"},
		{memory + "aggregator: [{kind: memory}]", `farm.yaml:2: aggregator, server 1.kind must be postgres or redis, not "memory"`},
		{memory + "aggregator: [{kind: postgres}]", "farm.yaml:2: aggregator, server 1.backend is missing, it names the backend that keeps the aggregator"},
		{memory + "aggregator: [{kind: postgres, backend: m}]", `farm.yaml:2: aggregator, server 1.backend: there is no backend "m" of kind postgres`},
		{memory + "aggregator: [{kind: postgres, url: 'postgres://a/b'}]", "farm.yaml:2: aggregator, server 1: kind postgres takes no url"},
		{"backends: {m: {kind: memory, backend: m}}", "farm.yaml:1: backends.m: kind memory takes no backend"},
		{memory + "aggregator: [{kind: redis, url: 'redis://h', shards: 2}]", "farm.yaml:2: aggregator, server 1: kind redis takes no shards"},
		{"backends: {'a:b': {kind: memory}}", `farm.yaml:1: backends: the name "a:b" must not be empty or have colons or spaces`},
		{"backends: {m: {kind: memory}, n: {kind: memory}}", "farm.yaml:1: default.backend is missing, it must be one of m, n"},
		{memory + "default: {backend: x}", `farm.yaml:2: default.backend must be one of m, not "x"`},
		{memory + "types:\n  a: {backend: x}", `farm.yaml:3: types.a.backend must be one of m, not "x"`},
		{memory + "default: {exclude: true}", "farm.yaml:2: default.exclude would leave out every type, set it in types"},
		{memory + "default: {maxTries: 0}", `farm.yaml:2: default.maxTries must be a whole number, at least 1, not "0"`},
		{memory + "default: {maxTries: 1.5}", `farm.yaml:2: default.maxTries must be a whole number, at least 1, not "1.5"`},
		{memory + "default: {maxTries: '${FARM_SECRET}'}", "farm.yaml:2: default.maxTries must be a whole number, at least 1, not \"${FARM_SECRET}\""},
		{memory + "default: {dedupe: yes}", `farm.yaml:2: default.dedupe must be true or false, not "yes"`},
		{memory + "default: {atMostOnce: 1}", `farm.yaml:2: default.atMostOnce must be true or false, not "1"`},
		{memory + "default: {timeout: 90}", `farm.yaml:2: default.timeout must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, or none, not "90"`},
		{memory + "default: {lease: none}", `farm.yaml:2: default.lease must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "none"`},
		{memory + "default: {lease: -1s}", `farm.yaml:2: default.lease must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "-1s"`},
		{memory + "default: {keep: never}", `farm.yaml:2: default.keep must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, or forever, not "never"`},
		{memory + "default: {throttle: fast}", `farm.yaml:2: default.throttle must be a number of work items a second, 0 for no limit, not "fast"`},
		{memory + "default: {throttle: -1}", `farm.yaml:2: default.throttle must be a number of work items a second, 0 for no limit, not "-1"`},
		{memory + "default: {throttle: .inf}", `farm.yaml:2: default.throttle must be a number of work items a second, 0 for no limit, not ".inf"`},
		{memory + "default: {backoff: 3s}", "farm.yaml:2: default.backoff must be a mapping, key: value"},
		{memory + "default: {backoff: {first: 2h}}", "farm.yaml:2: default.backoff: first, 2h0m0s, must not be longer than most, 1h0m0s"},
		{memory + "default: {handler: {shell: a}}", `farm.yaml:2: unknown key "shell" of default.handler, the keys are env, exec, http, jsonl, memory, restart`},
		{memory + "default: {handler: {}}", "farm.yaml:2: default.handler must have exec or http"},
		{memory + "default:\n  handler:\n    exec: [a]\n    http: {url: 'http://a'}", "farm.yaml:5: default.handler: give either exec or http"},
		{memory + "default: {handler: {http: a}}", "farm.yaml:2: default.handler.http must be a mapping, key: value"},
		{memory + "default: {handler: {http: {}}}", "farm.yaml:2: default.handler.http.url is missing"},
		{memory + "default: {handler: {http: {url: a}}}", "farm.yaml:2: default.handler.http: the URL must be of the form http://host/path or https://host/path"},
		{memory + "default: {handler: {http: {url: 'http://ann:${FARM_SECRET}@a'}}}", "farm.yaml:2: default.handler.http: the URL must not have a user or password; put a token into a file"},
		{memory + "default: {handler: {http: {url: 'http://a', headers: {a b: c}}}}", `farm.yaml:2: default.handler.http: header "a b" is not of the form that HTTP allows`},
		{memory + "default: {handler: {http: {url: 'http://a', timeout: 5}}}", `farm.yaml:2: default.handler.http.timeout must be a length of time of at least 1ms, such as 90s, 10m, 1h30m or 7d, not "5"`},
		{memory + "default: {handler: {http: {url: 'http://a', token: x}}}", `farm.yaml:2: unknown key "token" of default.handler.http, the keys are connect, headers, hmacFile, timeout, tokenFile, url`},
		{memory + "default: {handler: {http: {url: 'http://a'}, memory: 1G}}", "farm.yaml:2: default.handler.memory goes with exec, not http"},
		{memory + "default: {handler: {exec: [a], memory: lots}}", `farm.yaml:2: default.handler.memory must be a number of bytes, such as 512M or 2G, not "lots"`},
		{memory + "default: {handler: {exec: [a], memory: ''}}", `farm.yaml:2: default.handler.memory must be a number of bytes, such as 512M or 2G, not ""`},
		{memory + "default: {handler: {exec: [a], memory: 9999999999T}}", `farm.yaml:2: default.handler.memory must be a number of bytes, such as 512M or 2G, not "9999999999T"`},
		{memory + "default: {handler: {exec: [a], env: {A-B: c}}}", `farm.yaml:2: default.handler.env: "A-B" is no name of an environment variable: letters, digits and _`},
		{memory + "default: {handler: {exec: [a], env: [A=b]}}", "farm.yaml:2: default.handler.env must be a mapping, key: value"},
		{memory + "default: {handler: {exec: [a], jsonl: 3}}", `farm.yaml:2: default.handler.jsonl must be true or false, not "3"`},
		{memory + "default: {handler: {exec: [a], restart: {jobs: 3}}}", "farm.yaml:2: default.handler.restart goes with jsonl: true"},
		{memory + "default: {handler: {exec: [a], jsonl: true, restart: {jobs: 0}}}", `farm.yaml:2: default.handler.restart.jobs must be a whole number, at least 1, not "0"`},
		{memory + "default: {handler: {exec: [\"a\\0\"]}}", "farm.yaml:2: default.handler.exec: no argument can have a NUL byte"},
		{memory + "default: {handler: {exec: []}}", "farm.yaml:2: default.handler.exec must be a list of a program and its arguments"},
		{memory + "default: {handler: {exec: mail}}", "farm.yaml:2: default.handler.exec must be a list, such as [a, b]"},
		{memory + "default: {handler: {exec: [a, {b: c}]}}", "farm.yaml:2: default.handler.exec must be a single value"},
		{memory + "readOnly: ''", "farm.yaml:2: readOnly is empty"},
		{memory + "readOnly: ${FARM_NOT_SET}", "farm.yaml:2: readOnly: environment variable FARM_NOT_SET is not set; write $${ for a literal ${"},
		{memory + "readOnly: ${FARM", "farm.yaml:2: readOnly: ${ must be followed by the name of an environment variable and }; write $${ for a literal ${"},
		{memory + "readOnly: *x", `farm.yaml:2: no anchor "x"`},
		{memory + "readOnly: &x *x", "farm.yaml:2: unexpected scalar value type"},
		{memory + "readOnly: &x [*x]", "farm.yaml:2: readOnly must be a single value"},
		{memory + "readOnly: a\nreadOnly: b", "farm.yaml:3: mapping key \"readOnly\" already defined at [2:1]"},
		{memory + "readOnly: [a", "farm.yaml:2: sequence end token ']' not found"},
		{memory + "---\na: b", "farm.yaml:3: a second document begins here, a farm file has one"},
		{strings.Repeat("[", 100_000), "farm.yaml:1: nested deeper than 20"},
		{strings.Repeat("- ", 100_000), "farm.yaml:1: nested deeper than 20"},
		{strings.Repeat("#\n", 1<<20), "farm.yaml: the file is over 1048576 bytes; long lists of domains go into a domainsFile"},
	} {
		path := write(t, test.file)
		_, err := config.Load(path)
		got := "no error"
		if err != nil {
			got = strings.ReplaceAll(err.Error(), filepath.Dir(path)+"/", "")
		}
		if got != test.want {
			t.Errorf("%.60q:\n got %s\nwant %s", test.file, got, test.want)
		}
	}
}

// All mistakes are told at once, each with its own line.
func TestManyMistakes(t *testing.T) {
	path := write(t, `domain: a
backends:
  m: {kind: memory, size: 3}
default:
  maxTries: none
  lease: 5
types:
  mail: {backend: other, handler: {shell: x}}
`)
	_, err := config.Load(path)
	if err == nil {
		t.Fatal("no error")
	}
	var lines []string
	for _, line := range strings.Split(strings.ReplaceAll(err.Error(), path+":", ""), "\n") {
		number, _, _ := strings.Cut(line, ":")
		lines = append(lines, number)
	}
	if diff := cmp.Diff([]string{"1", "3", "5", "6", "8", "8"}, lines); diff != "" {
		t.Errorf("lines of the mistakes (-want +got):\n%s\n%v", diff, err)
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := config.Load(filepath.Join(t.TempDir(), "farm.yaml")); !os.IsNotExist(err) {
		t.Errorf("Load = %v, want that there is no such file", err)
	}
}

// Aliases cost nothing: each of 30 lists holds the one before it ten times.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString(memory + "domains:\n- &a0 x\n")
	for i := range 30 {
		fmt.Fprintf(&b, "- &a%d [%s]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 10))
	}
	_, err := config.Load(write(t, b.String()))
	if err == nil || !strings.Contains(err.Error(), "a domain must be a single value") {
		t.Errorf("Load = %v, want that a list is no domain", err)
	}
}

// A farm file never makes Load panic or hang, and every mistake is one line that names the file.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		memory + "default: {maxTries: 7, timeout: none, handler: {exec: [a, b]}}",
		"domains: [a, b]\nbackends: {m: {kind: sqlite, path: a.db}}\ntypes: {a: {throttle: 0.5, backoff: {first: 1s}}}",
		memory + "domains: &x\n  - a\n  - |\n    b\ndefault: *x\n? c\n: !!str d\n",
		"a: &a [*a, ${HOME}]\n---\n<<: {}\n",
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "farm.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Load(path)
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, path+":") {
				t.Errorf("a mistake does not begin with the file: %q", line)
			}
		}
	})
}
