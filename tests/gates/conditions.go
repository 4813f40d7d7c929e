package main

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsimple"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// wanted is a condition that a tool waits for.
type wanted struct {
	Type   string `json:"type" hcl:"type"`
	Status string `json:"status" hcl:"status"`
}

// newCrossplane takes the readiness checks of a Composition's first resource. Neither Crossplane nor its functions can
// be had as modules, so this is the rule of function-patch-and-transform anew: a resource is ready once every
// MatchCondition finds its type with its status.
// https://docs.crossplane.io/latest/guides/function-patch-and-transform/#readiness-checks
func newCrossplane(text []byte) (reader, error) {
	var composition struct {
		Spec struct {
			Pipeline []struct {
				Input struct {
					Resources []struct {
						ReadinessChecks []struct {
							Type           string `json:"type"`
							MatchCondition wanted `json:"matchCondition"`
						} `json:"readinessChecks"`
					} `json:"resources"`
				} `json:"input"`
			} `json:"pipeline"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &composition); err != nil {
		return nil, err
	}
	for _, step := range composition.Spec.Pipeline {
		for _, resource := range step.Input.Resources {
			var all []wanted
			for _, check := range resource.ReadinessChecks {
				if check.Type != "MatchCondition" {
					return nil, fmt.Errorf("a readiness check of type %s", check.Type)
				}
				all = append(all, check.MatchCondition)
			}
			return waitFor(all, "ready")
		}
	}
	return nil, errors.New("no resource")
}

// newTerraform takes the wait of a file's first resource. The provider of kubernetes_manifest can't be had as a module
// at a version that has it, so this is its rule anew: the apply goes on once every condition's type has its status.
// https://registry.terraform.io/providers/hashicorp/kubernetes/latest/docs/resources/manifest
func newTerraform(text []byte) (reader, error) {
	var file struct {
		Resources []struct {
			Kind string `hcl:"kind,label"`
			Name string `hcl:"name,label"`
			Wait struct {
				Conditions []wanted `hcl:"condition,block"`
			} `hcl:"wait,block"`
			Others hcl.Body `hcl:",remain"`
		} `hcl:"resource,block"`
	}
	if err := hclsimple.Decode("main.hcl", text, nil, &file); err != nil {
		return nil, err
	}
	if len(file.Resources) == 0 {
		return nil, errors.New("no resource")
	}
	return waitFor(file.Resources[0].Wait.Conditions, "goes on")
}

// waitFor says end of an object that has all the conditions.
func waitFor(conditions []wanted, end string) (reader, error) {
	if len(conditions) == 0 {
		return nil, errors.New("no condition to wait for")
	}
	return func(object *unstructured.Unstructured) (verdict, error) {
		list, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
		if err != nil {
			return verdict{}, err
		}
		for _, condition := range conditions {
			if !has(list, condition) {
				return verdict{Status: "waits"}, nil
			}
		}
		return verdict{Status: end}, nil
	}, nil
}

func has(list []any, condition wanted) bool {
	for _, member := range list {
		member, ok := member.(map[string]any)
		if ok && member["type"] == condition.Type && member["status"] == condition.Status {
			return true
		}
	}
	return false
}
