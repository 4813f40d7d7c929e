// Command gates says what other people's tools make of CloudOperations.
//
// It reads objects from standard input, one JSON object a line, and prints for each a line with the verdict of each
// reader. An object is shown to every reader with its conditions in each order there is; a reader that changes its
// mind with the order is an error, as is one that can't judge.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// verdict is one tool's judgement of an object, in that tool's own words.
type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

type reader func(*unstructured.Unstructured) (verdict, error)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	flux := flag.String("flux", "", "a Kustomization of Flux whose healthCheckExprs are used")
	argoCD := flag.String("argo-cd", "", "a health.lua of Argo CD")
	argoWorkflows := flag.String("argo-workflows", "", "a Workflow of Argo whose first resource template is used")
	flag.Parse()

	readers := map[string]reader{"kstatus": kstatus}
	for name, choice := range map[string]struct {
		file string
		read func([]byte) (reader, error)
	}{
		"flux":           {*flux, newFlux},
		"argo-cd":        {*argoCD, newArgoCD},
		"argo-workflows": {*argoWorkflows, newArgoWorkflows},
	} {
		if choice.file == "" {
			continue
		}
		text, err := os.ReadFile(choice.file)
		if err != nil {
			return err
		}
		if readers[name], err = choice.read(text); err != nil {
			return fmt.Errorf("%s: %w", choice.file, err)
		}
	}
	return judge(in, out, readers)
}

func judge(in io.Reader, out io.Writer, readers map[string]reader) error {
	lines := bufio.NewReader(in)
	encoder := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(line); err != nil {
			return err
		}
		verdicts := map[string]verdict{}
		for name, read := range readers {
			if verdicts[name], err = inEveryOrder(object, read); err != nil {
				return fmt.Errorf("%s of %s: %w", name, object.GetName(), err)
			}
		}
		if err := encoder.Encode(verdicts); err != nil {
			return err
		}
	}
}

// inEveryOrder is what read says of object whatever the order of its conditions.
func inEveryOrder(object *unstructured.Unstructured, read reader) (verdict, error) {
	first, err := read(object)
	if err != nil {
		return first, err
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return first, err
	}
	return first, permute(conditions, 0, func(ordered []any) error {
		shown := object.DeepCopy()
		if len(ordered) > 0 {
			if err := unstructured.SetNestedSlice(shown.Object, ordered, "status", "conditions"); err != nil {
				return err
			}
		}
		now, err := read(shown)
		if err == nil && now != first {
			err = fmt.Errorf("%v or %v, as the conditions are ordered", first, now)
		}
		return err
	})
}

// permute calls visit with each order of list[from:].
func permute(list []any, from int, visit func([]any) error) error {
	if from == len(list) {
		return visit(list)
	}
	for i := from; i < len(list); i++ {
		list[from], list[i] = list[i], list[from]
		if err := permute(list, from+1, visit); err != nil {
			return err
		}
		list[from], list[i] = list[i], list[from]
	}
	return nil
}
