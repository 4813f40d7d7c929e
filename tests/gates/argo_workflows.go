package main

import (
	"errors"

	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

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
