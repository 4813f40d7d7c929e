// Command kro says whether kro takes CloudOperations for ready.
//
// It is a module of its own, since kro wants a newer evaluator of CEL than Flux has. It reads objects from standard
// input, one JSON object a line, and prints for each `true` or `false`: whether each readyWhen of the first resource of
// the ResourceGraphDefinition named on the command line holds.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/cel-go/cel"
	krocel "github.com/kubernetes-sigs/kro/pkg/cel"
	"github.com/kubernetes-sigs/kro/pkg/graph/parser"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string, in io.Reader, out io.Writer) error {
	id, expressions, err := read(file)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(in)
	for {
		object := map[string]any{}
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		ready := true
		for _, expression := range expressions {
			value, err := expression.Eval(map[string]any{id: object})
			if err != nil {
				return err
			}
			ready = ready && value == true
		}
		if _, err := fmt.Fprintln(out, ready); err != nil {
			return err
		}
	}
}

// read compiles the readyWhen of the first resource, and returns its ID beside.
func read(file string) (string, []*krocel.Expression, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", nil, err
	}
	var graph struct {
		Spec struct {
			Resources []struct {
				ID        string   `json:"id"`
				ReadyWhen []string `json:"readyWhen"`
			} `json:"resources"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &graph); err != nil {
		return "", nil, err
	}
	if len(graph.Spec.Resources) == 0 || len(graph.Spec.Resources[0].ReadyWhen) == 0 {
		return "", nil, errors.New("no readyWhen")
	}
	resource := graph.Spec.Resources[0]
	expressions, err := parser.UnwrapExpressions(resource.ReadyWhen)
	if err != nil {
		return "", nil, err
	}
	environment, err := krocel.DefaultEnvironment(krocel.WithResourceIDs([]string{resource.ID}))
	if err != nil {
		return "", nil, err
	}
	for _, expression := range expressions {
		checked, issues := environment.Compile(expression.Original)
		if issues.Err() != nil {
			return "", nil, issues.Err()
		}
		if checked.OutputType() != cel.BoolType {
			return "", nil, fmt.Errorf("%s is no condition", expression.Original)
		}
		if expression.Program, err = environment.Program(checked); err != nil {
			return "", nil, err
		}
	}
	return resource.ID, expressions, nil
}
