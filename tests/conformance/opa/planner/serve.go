package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

const longest = 5 * time.Second // that one evaluation may take

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
