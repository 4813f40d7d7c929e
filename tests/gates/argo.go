package main

import (
	"errors"
	"fmt"

	"github.com/tidwall/gjson"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/yaml"
)

// newArgoCD takes a health.lua. Argo CD's own package for it can't be imported without the whole of Argo CD, so this
// is its interpreter with the libraries that a script from argocd-cm gets: no string, no math, of os only the clock.
// https://argo-cd.readthedocs.io/en/stable/operator-manual/health/#custom-health-checks
func newArgoCD(script []byte) (reader, error) {
	return func(object *unstructured.Unstructured) (verdict, error) {
		state := lua.NewState(lua.Options{SkipOpenLibs: true})
		defer state.Close()
		for name, open := range map[string]lua.LGFunction{
			lua.LoadLibName: lua.OpenPackage,
			lua.BaseLibName: lua.OpenBase,
			lua.TabLibName:  lua.OpenTable,
		} {
			if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
				return verdict{}, err
			}
		}
		text, err := object.MarshalJSON()
		if err != nil {
			return verdict{}, err
		}
		value, err := luajson.Decode(state, text)
		if err != nil {
			return verdict{}, err
		}
		state.SetGlobal("obj", value)
		if err := state.DoString(string(script)); err != nil {
			return verdict{}, err
		}
		health, ok := state.Get(-1).(*lua.LTable)
		if !ok {
			return verdict{}, errors.New("health.lua returned no table")
		}
		status := health.RawGetString("status").String()
		switch status {
		case "Healthy", "Progressing", "Degraded", "Suspended":
		default:
			return verdict{}, fmt.Errorf("health.lua returned %s", status)
		}
		message, ok := health.RawGetString("message").(lua.LString)
		if !ok || message == "" {
			return verdict{}, errors.New("health.lua returned no message")
		}
		return verdict{Status: status, Message: string(message)}, nil
	}, nil
}

// newArgoWorkflows takes the conditions of a Workflow's first resource template. Argo Workflows can't be had as a
// module, so this is its rule anew: both conditions are label selectors whose keys are gjson paths; any requirement
// of failureCondition fails the step, all of successCondition's together end it.
// https://argo-workflows.readthedocs.io/en/latest/walk-through/kubernetes-resources/
func newArgoWorkflows(text []byte) (reader, error) {
	var workflow struct {
		Spec struct {
			Templates []struct {
				Resource *struct {
					SuccessCondition string `json:"successCondition"`
					FailureCondition string `json:"failureCondition"`
				} `json:"resource"`
			} `json:"templates"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &workflow); err != nil {
		return nil, err
	}
	for _, template := range workflow.Spec.Templates {
		if template.Resource == nil {
			continue
		}
		success, err := labels.ParseToRequirements(template.Resource.SuccessCondition)
		if err != nil {
			return nil, err
		}
		failure, err := labels.ParseToRequirements(template.Resource.FailureCondition)
		if err != nil {
			return nil, err
		}
		if len(success) == 0 || len(failure) == 0 {
			return nil, errors.New("a condition is missing")
		}
		return func(object *unstructured.Unstructured) (verdict, error) {
			text, err := object.MarshalJSON()
			if err != nil {
				return verdict{}, err
			}
			paths := gjsonPaths(text)
			for _, requirement := range failure {
				if requirement.Matches(paths) {
					return verdict{Status: "Failed"}, nil
				}
			}
			for _, requirement := range success {
				if !requirement.Matches(paths) {
					return verdict{Status: "Running"}, nil
				}
			}
			return verdict{Status: "Succeeded"}, nil
		}, nil
	}
	return nil, errors.New("no resource template")
}

// gjsonPaths shows the values of a JSON text as labels.
type gjsonPaths []byte

func (text gjsonPaths) Has(path string) bool { return gjson.GetBytes(text, path).Exists() }

func (text gjsonPaths) Get(path string) string { return gjson.GetBytes(text, path).String() }

func (text gjsonPaths) Lookup(path string) (string, bool) { return text.Get(path), text.Has(path) }
