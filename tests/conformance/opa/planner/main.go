// Command opa-planner is the real OPA, of one version, behind lines of JSON.
//
//	opa-planner suite   writes OPA's own v1 conformance cases, one a line, each with its plan
//	opa-planner serve   answers a line {modules, query, data, inputs, …} with {plan, outcomes} or {invalid}
//
// A plan is what OPA's planner makes of a query and its modules, handed over by OPA to a target that keeps it.
// Values that JSON cannot say (sets, objects by any key) are written as OPA's own JSON form of terms.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"log"
	"os"

	"github.com/open-policy-agent/opa/v1/rego"
)

func main() {
	k := &keeper{}
	rego.RegisterPlugin(target, k)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "suite":
		err = k.suite(json.NewEncoder(out))
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = k.serve(bufio.NewReader(os.Stdin), out)
	default:
		err = errors.New("usage: opa-planner suite|serve")
	}
	if err != nil {
		log.Fatal(err)
	}
}
