package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
)

const target = "plan"

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
