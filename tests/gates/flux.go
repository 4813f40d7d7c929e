package main

import (
	"context"
	"errors"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kstatus is what Helm 4 and Flux ask of an object they have no rule for.
func kstatus(object *unstructured.Unstructured) (verdict, error) {
	result, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{Status: result.Status.String(), Message: result.Message}, nil
}

// newFlux takes the health check expressions of a Kustomization.
func newFlux(text []byte) (reader, error) {
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return nil, err
	}
	for _, check := range kustomization.Spec.HealthCheckExprs {
		if check.Kind != "CloudOperation" {
			continue
		}
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return nil, err
		}
		return func(object *unstructured.Unstructured) (verdict, error) {
			result, err := evaluator.Evaluate(context.Background(), object)
			if err != nil {
				return verdict{}, err
			}
			return verdict{Status: result.Status.String(), Message: result.Message}, nil
		}, nil
	}
	return nil, errors.New("no healthCheckExprs for CloudOperation")
}
