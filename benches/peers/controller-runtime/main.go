// An operator for CloudOperations on controller-runtime, to measure cloudop against. The README explains its choices.
package main

import (
	"flag"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const (
	workers        = 64
	lastApplied    = "kubectl.kubernetes.io/last-applied-configuration"
	clientRequests = 1000
)

func main() {
	namespace := flag.String("namespace", "", "the namespace to watch; all by default")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*namespace); err != nil {
		ctrl.Log.Error(err, "cannot go on")
		os.Exit(1)
	}
}

func run(namespace string) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// The defaults (20 and 30) would throttle the first statuses of many objects.
	config.QPS, config.Burst = clientRequests, 2*clientRequests

	scheme := runtime.NewScheme()
	addToScheme(scheme)
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	shared := true
	caching := cache.Options{
		DefaultTransform: trim,
		ByObject:         map[client.Object]cache.ByObject{&CloudOperation{}: {UnsafeDisableDeepCopy: &shared}},
	}
	if namespace != "" {
		caching.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Cache:   caching,
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	reconciler := &reconciler{client: manager.GetClient(), accounts: newAccounts(manager.GetAPIReader())}
	err = ctrl.NewControllerManagedBy(manager).
		For(&CloudOperation{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(reconciler)
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

// trim drops what no line here reads before an object gets into the cache.
func trim(object any) (any, error) {
	if operation, ok := object.(*CloudOperation); ok {
		operation.ManagedFields = nil
		delete(operation.Annotations, lastApplied)
	}
	return object, nil
}

var _ toolscache.TransformFunc = trim
