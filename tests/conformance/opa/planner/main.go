// Command opa-planner is the real OPA, of one version, behind two lines of JSON.
//
//	opa-planner suite   writes OPA's own v1 conformance cases, one a line, each with its plan
//	opa-planner serve   answers a line {modules, query, data, inputs, …} with {plan, outcomes} or {invalid}
//
// A plan is what OPA's planner makes of a query and its modules, handed over by OPA to a target that keeps it.
// Values that JSON cannot say (sets, objects by any key) are written as OPA's own JSON form of terms.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/test/cases/testdata"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/open-policy-agent/opa/v1/util"
)

const (
	target  = "plan"
	longest = 5 * time.Second // that one evaluation may take
)

// keeper is a target of OPA's that evaluates nothing: it keeps the plan that it is given.
type keeper struct{ plan *ir.Policy }

func (*keeper) IsTarget(name string) bool { return name == target }

func (k *keeper) PrepareForEval(_ context.Context, plan *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	k.plan = plan
	return k, nil
}

func (*keeper) Eval(context.Context, *rego.EvalContext, ast.Value) (ast.Value, error) {
	return nil, errors.New("plans are evaluated elsewhere")
}

// planned asks OPA for the plan of a query.
func (k *keeper) planned(compiler *ast.Compiler, query string) (*ir.Policy, error) {
	k.plan = nil
	options := []func(*rego.Rego){rego.Target(target), rego.Compiler(compiler), rego.Query(query)}
	_, err := rego.New(options...).PrepareForEval(context.Background())
	return k.plan, err
}

// compiled reads modules and checks them, all but the stages that are skipped.
func compiled(modules []string, experimental bool, skipped ...ast.StageID) (*ast.Compiler, error) {
	capabilities := ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(experimental))
	parsed := map[string]*ast.Module{}
	for i, module := range modules {
		name := fmt.Sprintf("module-%d.rego", i)
		one, err := ast.ParseModuleWithOpts(name, module, ast.ParserOptions{Capabilities: capabilities})
		if err != nil {
			return nil, err
		}
		parsed[name] = one
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities).WithSkipStages(skipped...)
	if compiler.Compile(parsed); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

// suiteCase is a case of OPA's suite with its plan, or why there is none.
type suiteCase struct {
	cases.TestCase
	File      string     `json:"file"`
	InputTerm *ast.Term  `json:"input_term,omitempty"` // in OPA's JSON form of terms
	Plan      *ir.Policy `json:"plan,omitempty"`
	PlanError string     `json:"plan_error,omitempty"`
}

func (k *keeper) suiteCase(file string, test cases.TestCase) suiteCase {
	made := suiteCase{TestCase: test, File: file}
	if test.InputTerm != nil {
		made.InputTerm = ast.MustParseTerm(*test.InputTerm)
	}
	compiler, err := compiled(test.Modules, test.ExperimentalKeywords)
	if err == nil {
		made.Plan, err = k.planned(compiler, test.Query)
	}
	if err != nil {
		made.PlanError = err.Error()
	}
	return made
}

// suite writes every v1 case.
func (k *keeper) suite(out *json.Encoder) error {
	registerSleep()
	return fs.WalkDir(testdata.V1, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := testdata.V1.ReadFile(file)
		if err != nil {
			return err
		}
		var set cases.Set
		if err := util.Unmarshal(text, &set); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for _, test := range set.Cases {
			if err := out.Encode(k.suiteCase(file, test)); err != nil {
				return err
			}
		}
		return nil
	})
}

// registerSleep declares the one function that the suite has and OPA has not.
func registerSleep() {
	ast.RegisterBuiltin(&ast.Builtin{
		Name: "test.sleep",
		Decl: types.NewFunction(types.Args(types.S), types.NewNull()),
	})
}

type request struct {
	Modules []string       `json:"modules"`
	Query   string         `json:"query"`
	Data    map[string]any `json:"data"`
	Inputs  [][]any        `json:"inputs"` // the query is evaluated for each: one value, or none for no input
	Strict  bool           `json:"strict"`
	Untyped bool           `json:"untyped"` // do not refuse what can only be undefined by its types
	Now     int64          `json:"now"`     // nanoseconds since 1970
}

type response struct {
	Plan     *ir.Policy `json:"plan,omitempty"`
	Outcomes []outcome  `json:"outcomes,omitempty"`
	Invalid  string     `json:"invalid,omitempty"` // what is wrong with the modules or the query
}

type outcome struct {
	Result []map[string]any `json:"result"`          // bindings, as terms
	Error  string           `json:"error,omitempty"` // OPA's code
}

func (k *keeper) answer(line []byte) response {
	made, err := k.answered(line)
	if err != nil {
		return response{Invalid: err.Error()}
	}
	return made
}

func (k *keeper) answered(line []byte) (made response, err error) {
	var asked request
	if err = util.Unmarshal(line, &asked); err != nil {
		return made, err
	}
	var skipped []ast.StageID
	if asked.Untyped {
		skipped = append(skipped, ast.StageCheckTypes)
	}
	compiler, err := compiled(asked.Modules, false, skipped...)
	if err != nil {
		return made, err
	}
	if made.Plan, err = k.planned(compiler, asked.Query); err != nil {
		return made, err
	}
	query, err := prepared(compiler, asked)
	if err != nil {
		return made, err
	}
	if asked.Untyped {
		if compiler.TypeEnv, err = functionsOf(compiler); err != nil {
			return made, err
		}
	}
	for _, input := range asked.Inputs {
		made.Outcomes = append(made.Outcomes, evaluated(query, input, time.Unix(0, asked.Now)))
	}
	return made, nil
}

// functionsOf returns the types of the functions alone, by which an evaluation knows what `with` puts a value in place of.
func functionsOf(compiler *ast.Compiler) (*ast.TypeEnv, error) {
	var stubs []string
	seen := map[string]bool{}
	for _, module := range compiler.Modules {
		for _, rule := range module.Rules {
			if name := rule.Ref().String(); len(rule.Head.Args) > 0 && !seen[name] {
				seen[name] = true
				arguments := strings.Repeat("_, ", len(rule.Head.Args))
				stubs = append(stubs, fmt.Sprintf("%v\n%v(%s) := input", module.Package, rule.Head.Ref(), arguments))
			}
		}
	}
	stub, err := compiled(stubs, false)
	if err != nil {
		return nil, err
	}
	return stub.TypeEnv, nil
}

func prepared(compiler *ast.Compiler, asked request) (rego.PreparedEvalQuery, error) {
	return rego.New(
		rego.Compiler(compiler),
		rego.Query(asked.Query),
		rego.StrictBuiltinErrors(asked.Strict),
		rego.Store(inmem.NewFromObject(asked.Data)),
		rego.GenerateJSON(func(term *ast.Term, _ *rego.EvalContext) (any, error) { return term, nil }),
	).PrepareForEval(context.Background())
}

func evaluated(query rego.PreparedEvalQuery, input []any, now time.Time) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	options := []rego.EvalOption{rego.EvalTime(now)}
	if len(input) == 1 {
		options = append(options, rego.EvalInput(input[0]))
	}
	found, err := query.Eval(ctx, options...)
	made := outcome{Result: make([]map[string]any, 0, len(found)), Error: code(err)}
	for _, one := range found {
		made.Result = append(made.Result, one.Bindings)
	}
	return made
}

func code(err error) string {
	var of *topdown.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &of):
		return of.Code
	default:
		return err.Error()
	}
}

// serve answers until the input ends.
func (k *keeper) serve(in *bufio.Reader, out *bufio.Writer) error {
	encoder := json.NewEncoder(out)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		if err := encoder.Encode(k.answer(line)); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

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
