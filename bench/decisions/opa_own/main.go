// Command opa-benchmarks writes policies of OPA's own benchmarks, made by OPA's own generators, one a line of JSON:
// {name, modules, data, input, entrypoint}.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/open-policy-agent/opa/v1/test/authz"
	"github.com/open-policy-agent/opa/v1/util/test"
)

type benchmark struct {
	Name       string   `json:"name"`
	Modules    []string `json:"modules"`
	Data       any      `json:"data"`
	Input      any      `json:"input"`
	Entrypoint string   `json:"entrypoint"`
}

var nothing = map[string]any{}

// iteration is of topdown_bench_test.go: one rule makes a collection, another looks into it.
func iteration(name string, module func(int) string, n int) benchmark {
	return benchmark{fmt.Sprintf("%s_%d", name, n), []string{module(n)}, nothing, nothing, "test/main"}
}

// virtualDocs is of topdown_bench_test.go: rules of one name, of which some hold.
func virtualDocs(total, hit int) benchmark {
	module, input := test.GenerateVirtualDocsBenchmarkData(total, hit)
	name := fmt.Sprintf("virtual_docs_%dx%d", total, hit)
	return benchmark{name, []string{module}, nothing, input, "a/b/c/allow"}
}

// concurrency is of topdown_bench_test.go, here one evaluation at a time.
func concurrency() benchmark {
	module, data := test.GenerateConcurrencyBenchmarkData()
	return benchmark{"concurrency", []string{module}, data, nothing, "test/p"}
}

// partialObject is BenchmarkPartialObjectRuleCrossModule of rego_bench_test.go.
func partialObject(n int) benchmark {
	input := map[string]any{}
	for i := range 4 {
		input[fmt.Sprintf("test_input_%d", i)] = "test_input_10"
	}
	name := fmt.Sprintf("partial_object_%d", n)
	return benchmark{name, test.PartialObjectBenchmarkCrossModule(n), nothing, input, "test/foo"}
}

// tokens are of authz_bench_test.go: a request against a token's paths, each a regular expression.
func tokens(name string, mode authz.InputMode, paths int) benchmark {
	profile := authz.DataSetProfile{NumTokens: 1000, NumPaths: paths}
	input, _ := authz.GenerateInput(profile, mode)
	name = fmt.Sprintf("authz_%s_%d", name, paths)
	return benchmark{name, []string{authz.Policy}, authz.GenerateDataset(profile), input, "policy/restauthz/allow"}
}

func main() {
	all := []benchmark{
		iteration("array_iteration", test.ArrayIterationBenchmarkModule, 1000),
		iteration("set_iteration", test.SetIterationBenchmarkModule, 1000),
		iteration("object_iteration", test.ObjectIterationBenchmarkModule, 1000),
		virtualDocs(100, 1),
		virtualDocs(100, 100),
		concurrency(),
		partialObject(10),
		partialObject(100),
		tokens("forbid_identity", authz.ForbidIdentity, 10),
		tokens("forbid_path", authz.ForbidPath, 10),
		tokens("forbid_method", authz.ForbidMethod, 10),
		tokens("allow", authz.Allow, 10),
		tokens("allow", authz.Allow, 100),
	}
	out := json.NewEncoder(os.Stdout)
	for _, one := range all {
		if err := out.Encode(one); err != nil {
			log.Fatal(err)
		}
	}
}
