package main

import (
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/test/cases/testdata"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/open-policy-agent/opa/v1/util"
)

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
