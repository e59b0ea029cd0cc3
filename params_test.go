package jobqueue_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wikifarm/jobqueue"
)

type inner struct{ X int }

type Pointed struct{ Y *int }

// everything has a field of each kind that encoding/json treats in its own way.
type everything struct {
	typed
	N       json.Number
	NP      *json.Number
	NS      []json.Number
	NM      map[string]json.Number
	R       json.RawMessage
	A       any
	M       map[string]any
	MI      map[int]string
	S       string `json:",string"`
	I       int    `json:"i,string"`
	B       []byte
	AR      [2]int
	T       time.Time
	D       time.Duration
	U       *url.URL
	Big     *big.Int
	F       float32
	U8      uint8
	Iface   fmt.Stringer
	Ignored int `json:"-"`
	inner
	*Pointed
}

var texts = []string{
	`{"N":12}`, `{"N":"12"}`, `{"N":null}`, `{"N":"abc"}`, `{"N":""}`, `{"N":" 1"}`, `{"N":"1 "}`, `{"N":"01"}`, `{"N":"1\n"}`, `{"N":true}`, `{"N":[]}`, `{"n":7}`,
	`{"NP":-1.5e3}`, `{"NP":null}`, `{"NS":[1,"2",null]}`, `{"NM":{"a":1}}`,
	`{"R":{"a": 1}}`, `{"R":null}`, `{"A":{"b":[1,null,"x",true,1.5]}}`, `{"a":1}`, `{"A":1e400}`, `{"A":12345678901234567890}`,
	`{"M":{"k":1,"k":2}}`, `{"M":{"a":{"x":1}},"M":{"a":{"y":2}}}`, `{"A":1,"A":{"x":1}}`,
	`{"MI":{"1":"x"}}`, `{"MI":{"z":"x"}}`, `{"i":"12"}`, `{"i":12}`, `{"S":"\"q\""}`, `{"S":"q"}`,
	`{"B":"aGk="}`, `{"B":"%%"}`, `{"B":null}`, `{"AR":[1,2,3]}`, `{"AR":[1]}`,
	`{"T":"2020-01-01T00:00:00Z"}`, `{"T":1}`, `{"D":5}`, `{"D":"5s"}`, `{"U":{"Host":"x"}}`, `{"Big":123456789012345678901234567890}`,
	`{"X":4}`, `{"Y":4}`, `{"F":1e40}`, `{"F":null}`, `{"U8":300}`, `{"U8":-1}`, `{"U8":1.5}`, `{"Iface":null}`, `{"Iface":3}`, `{"Ignored":3}`, `{"-":3}`,
	"{\"A\":\"\xff\"}", `{"A":"\ud800"}`, `{"A":"\u0000"}`, "{\"A\":\"\n\"}", `{"Unknown":{"deep":[1]}}`,
	`null`, ` {} `, `[]`, `3`, `""`, ``, `{`, `{"A":1}x`, `{"A":01}`, `{"A":1,}`, `{'A':1}`, `{"A":NaN}`, "\xef\xbb\xbf{}",
	`{"A":` + strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990) + `}`, `{"A":` + strings.Repeat("[", 1_000_000) + `}`,
}

// A job finds in its fields what encoding/json would have put there.
func TestParamsAsEncodingJSON(t *testing.T) {
	reg := new(jobqueue.Registry)
	reg.Add(func() jobqueue.Job { return &everything{typed: "everything"} }, jobqueue.Policy{})
	for _, text := range texts {
		want := &everything{typed: "everything"}
		refused := json.Unmarshal([]byte(text), want)
		got, err := reg.Job(&jobqueue.Claim{Record: jobqueue.Record{Name: jobqueue.Name{Domain: "d", Type: "everything"}, Params: json.RawMessage(text)}})
		switch {
		case (err == nil) != (refused == nil):
			t.Errorf("%.80q: %v, encoding/json: %v", text, err, refused)
		case err == nil && !reflect.DeepEqual(got, want):
			t.Errorf("%.80q:\n%+v, encoding/json:\n%+v", text, got, want)
		}
	}
}
