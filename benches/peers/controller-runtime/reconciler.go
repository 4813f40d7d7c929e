package main

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const defaultInterval = 15 * time.Second

type reconciler struct {
	client   client.Client
	accounts *accounts
}

// Reconcile polls once and writes the status if it says something new. The object from the cache is shared with the
// cache: it is copied before anything is changed.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var cached CloudOperation
	if err := r.client.Get(ctx, request.NamespacedName, &cached); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if cached.Spec.Suspend || isEnd(cached.Status.Phase) {
		return ctrl.Result{}, nil
	}

	status := cached.Status.deepCopy()
	status.ObservedGeneration = cached.Generation
	if status.TrackingStartTime == nil {
		now := metav1.Now().Rfc3339Copy()
		status.TrackingStartTime = &now
	}
	seen, provider, err := r.poll(ctx, &cached)
	status.Provider = provider
	if err != nil {
		set(&status, "UpstreamReachable", metav1.ConditionFalse, "Unreachable", err.Error())
		set(&status, "Succeeded", metav1.ConditionUnknown, "PollFailing", "the cloud does not say how the operation stands")
	} else {
		apply(&status, seen)
	}

	if !equality.Semantic.DeepEqual(&status, &cached.Status) {
		changed := cached
		changed.Status = status
		if err := r.client.Status().Update(ctx, &changed); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	if isEnd(status.Phase) {
		return ctrl.Result{}, nil
	}
	interval := defaultInterval
	if seconds := cached.Spec.PollIntervalSeconds; seconds != nil {
		interval = time.Duration(*seconds) * time.Second
	}
	return ctrl.Result{RequeueAfter: interval}, nil
}

func (r *reconciler) poll(ctx context.Context, operation *CloudOperation) (observation, string, error) {
	question, err := ask(&operation.Spec)
	if err != nil {
		return observation{}, "", err
	}
	secret := types.NamespacedName{Namespace: operation.Namespace, Name: operation.Spec.CredentialsRef.Name}
	account, err := r.accounts.get(ctx, secret)
	if err != nil {
		return observation{}, question.provider, err
	}
	body, err := account.get(ctx, &question)
	if err != nil {
		return observation{}, question.provider, err
	}
	seen, err := question.read(body, operation.Spec.OperationID)
	return seen, question.provider, err
}

func apply(status *Status, seen observation) {
	status.Phase, status.UpstreamState, status.OperationType = seen.phase, seen.state, seen.kind
	status.StartTime, status.CompletionTime = seconds(seen.start), nil
	status.Target, status.Progress = nil, nil
	if seen.target != (Target{}) {
		status.Target = &seen.target
	}
	if seen.progress != "" {
		status.Progress = &Progress{Message: seen.progress}
	}
	set(status, "UpstreamReachable", metav1.ConditionTrue, "PollSucceeded", "the cloud answers")
	succeeded, finished, ready := metav1.ConditionUnknown, metav1.ConditionFalse, metav1.ConditionUnknown
	reason := seen.phase
	switch seen.phase {
	case "Succeeded":
		succeeded, finished, ready = metav1.ConditionTrue, metav1.ConditionTrue, metav1.ConditionTrue
		reason = "OperationSucceeded"
	case "Failed":
		succeeded, finished, ready = metav1.ConditionFalse, metav1.ConditionTrue, metav1.ConditionFalse
		reason = "OperationFailed"
	}
	message := "the cloud says " + seen.state
	set(status, "Succeeded", succeeded, reason, message)
	set(status, "Finished", finished, reason, message)
	set(status, "Ready", ready, reason, message)
	if isEnd(seen.phase) {
		status.CompletionTime = seconds(seen.end)
		apimeta.RemoveStatusCondition(&status.Conditions, "Reconciling")
		return
	}
	set(status, "Reconciling", metav1.ConditionTrue, "Progressing", message)
}

func set(status *Status, kind string, value metav1.ConditionStatus, reason, message string) {
	apimeta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: status.ObservedGeneration,
	})
}

func isEnd(phase string) bool { return phase == "Succeeded" || phase == "Failed" }
