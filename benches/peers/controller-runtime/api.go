package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "cloudop.dev", Version: "v1alpha1"}

// CloudOperation holds the members that this operator reads or writes; the decoder drops all others, so the cache holds
// no more than these.
type CloudOperation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec   `json:"spec"`
	Status Status `json:"status,omitempty"`
}

type CloudOperationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CloudOperation `json:"items"`
}

type Spec struct {
	Provider            Provider `json:"provider"`
	OperationID         string   `json:"operationId"`
	CredentialsRef      NameRef  `json:"credentialsRef"`
	PollIntervalSeconds *int32   `json:"pollIntervalSeconds,omitempty"`
	Suspend             bool     `json:"suspend,omitempty"`
}

type NameRef struct {
	Name string `json:"name"`
}

// Provider has exactly one member set; the schema sees to that.
type Provider struct {
	Numspot   *Numspot   `json:"numspotKubernetes,omitempty"`
	Upgrade   *Upgrade   `json:"huaweiCceUpgrade,omitempty"`
	Fleet     *Fleet     `json:"huaweiUcsFederation,omitempty"`
	Job       *Job       `json:"otcCceJob,omitempty"`
	Sbercloud *Sbercloud `json:"sbercloudOpenshiftTask,omitempty"`
}

type Numspot struct {
	SpaceID   string `json:"spaceId"`
	ClusterID string `json:"clusterId,omitempty"`
}

type Upgrade struct {
	ProjectID string `json:"projectId"`
	ClusterID string `json:"clusterId"`
}

type Fleet struct{}

type Job struct {
	ProjectID string `json:"projectId"`
}

type Sbercloud struct {
	ServiceInstanceID string `json:"serviceInstanceId"`
}

type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Provider           string             `json:"provider,omitempty"`
	Phase              string             `json:"phase,omitempty"`
	UpstreamState      string             `json:"upstreamState,omitempty"`
	OperationType      string             `json:"operationType,omitempty"`
	Target             *Target            `json:"target,omitempty"`
	Progress           *Progress          `json:"progress,omitempty"`
	StartTime          *metav1.Time       `json:"startTime,omitempty"`
	CompletionTime     *metav1.Time       `json:"completionTime,omitempty"`
	TrackingStartTime  *metav1.Time       `json:"trackingStartTime,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

type Target struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	URL  string `json:"url,omitempty"`
}

type Progress struct {
	Message string `json:"message,omitempty"`
}

func (in *Status) deepCopy() Status {
	out := *in
	if in.Target != nil {
		target := *in.Target
		out.Target = &target
	}
	if in.Progress != nil {
		progress := *in.Progress
		out.Progress = &progress
	}
	out.StartTime = in.StartTime.DeepCopy()
	out.CompletionTime = in.CompletionTime.DeepCopy()
	out.TrackingStartTime = in.TrackingStartTime.DeepCopy()
	out.Conditions = make([]metav1.Condition, len(in.Conditions))
	for i := range in.Conditions {
		in.Conditions[i].DeepCopyInto(&out.Conditions[i])
	}
	return out
}

// DeepCopy shares the spec's pointers: nothing here ever writes to a spec.
func (in *CloudOperation) DeepCopy() *CloudOperation {
	out := &CloudOperation{TypeMeta: in.TypeMeta, Spec: in.Spec, Status: in.Status.deepCopy()}
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	return out
}

func (in *CloudOperation) DeepCopyObject() runtime.Object { return in.DeepCopy() }

func (in *CloudOperationList) DeepCopyObject() runtime.Object {
	out := &CloudOperationList{TypeMeta: in.TypeMeta, Items: make([]CloudOperation, len(in.Items))}
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range in.Items {
		out.Items[i] = *in.Items[i].DeepCopy()
	}
	return out
}

func addToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(groupVersion, &CloudOperation{}, &CloudOperationList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
}
