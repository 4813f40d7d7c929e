// Command argo-cd says what Argo CD makes of CloudOperations, by its own code.
//
// It is a module of its own, since Argo CD wants older libraries of Kubernetes than Flux has. It reads objects from
// standard input, one JSON object a line, and prints for each a line with the health that Argo CD gives it, and the
// object as Argo CD compares it to see whether it was updated: both as the ConfigMap named on the command line says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/v3/util/argo/normalizers"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

type verdict struct {
	Status   string         `json:"status"`
	Message  string         `json:"message"`
	Compared map[string]any `json:"compared"`
}

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string, in io.Reader, out io.Writer) error {
	manager, err := read(file)
	if err != nil {
		return err
	}
	overrides, err := manager.GetResourceOverrides()
	if err != nil {
		return err
	}
	updates, err := manager.GetIgnoreResourceUpdatesOverrides()
	if err != nil {
		return err
	}
	normalizer, err := normalizers.NewIgnoreNormalizer(nil, updates, normalizers.IgnoreNormalizerOpts{})
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(in)
	encoder := json.NewEncoder(out)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		health, err := lua.ResourceHealthOverrides(overrides).GetResourceHealth(object)
		if err != nil {
			return err
		}
		if health == nil {
			return fmt.Errorf("%s has no script for CloudOperations", file)
		}
		if err := normalizer.Normalize(object); err != nil {
			return err
		}
		if err := encoder.Encode(verdict{string(health.Status), health.Message, object.Object}); err != nil {
			return err
		}
	}
}

// read shows Argo CD its settings as it finds them in a cluster.
func read(file string) (*settings.SettingsManager, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := &corev1.ConfigMap{}
	if err := yaml.UnmarshalStrict(text, config); err != nil {
		return nil, err
	}
	// As Argo CD's own manifests have it.
	config.Labels = map[string]string{"app.kubernetes.io/part-of": "argocd"}
	// Since its version 3 Argo CD compares no status at all unless told to, and the keys under test would not show.
	config.Data["resource.compareoptions"] = "ignoreResourceStatusField: none"
	return settings.NewSettingsManager(context.Background(), fake.NewClientset(config), config.Namespace), nil
}
