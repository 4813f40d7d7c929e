// Command gates says what other people's tools make of CloudOperations.
//
// It reads objects from standard input, one JSON object a line, and prints for each a line with the verdict of each
// reader.
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
	argoWorkflows := flag.String("argo-workflows", "", "a Workflow of Argo whose first resource template is used")
	crossplane := flag.String("crossplane", "", "a Composition of Crossplane whose first resource's readiness is used")
	terraform := flag.String("terraform", "", "a file of Terraform whose first resource's wait is used")
	flag.Parse()

	readers := map[string]reader{"kstatus": kstatus}
	for name, choice := range map[string]struct {
		file string
		read func([]byte) (reader, error)
	}{
		"flux":           {*flux, newFlux},
		"argo-workflows": {*argoWorkflows, newArgoWorkflows},
		"crossplane":     {*crossplane, newCrossplane},
		"terraform":      {*terraform, newTerraform},
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
			if verdicts[name], err = read(object); err != nil {
				return fmt.Errorf("%s of %s: %w", name, object.GetName(), err)
			}
		}
		if err := encoder.Encode(verdicts); err != nil {
			return err
		}
	}
}
