package main

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	bearer     = "Authorization"
	xAuthToken = "X-Auth-Token"
)

var errNotFound = errors.New("the operation is not among those listed")

// question is what to ask a cloud, and how to read what it says.
type question struct {
	provider string
	path     string
	header   string
	read     func(body []byte, id string) (observation, error)
}

// observation is what a cloud says of an operation.
type observation struct {
	phase    string
	state    string
	kind     string
	progress string
	target   Target
	start    *metav1.Time
	end      *metav1.Time
}

func ask(spec *Spec) (question, error) {
	id := url.PathEscape(spec.OperationID)
	switch p := &spec.Provider; {
	case p.Numspot != nil && p.Numspot.ClusterID != "":
		path := "/kubernetes/spaces/" + url.PathEscape(p.Numspot.SpaceID) + "/clusters/" + url.PathEscape(p.Numspot.ClusterID) + "/operations"
		return question{"numspotKubernetes", path, bearer, readNumspotList}, nil
	case p.Numspot != nil:
		path := "/kubernetes/spaces/" + url.PathEscape(p.Numspot.SpaceID) + "/operations/" + id
		return question{"numspotKubernetes", path, bearer, readNumspot}, nil
	case p.Upgrade != nil:
		path := "/api/v3/projects/" + url.PathEscape(p.Upgrade.ProjectID) + "/clusters/" + url.PathEscape(p.Upgrade.ClusterID) + "/operation/upgradeworkflows/" + id
		return question{"huaweiCceUpgrade", path, xAuthToken, readUpgrade}, nil
	case p.Fleet != nil:
		return question{"huaweiUcsFederation", "/v1/clustergroups/" + id + "/federations/progress", xAuthToken, readJob}, nil
	case p.Job != nil:
		return question{"otcCceJob", "/api/v3/projects/" + url.PathEscape(p.Job.ProjectID) + "/jobs/" + id, xAuthToken, readJob}, nil
	case p.Sbercloud != nil:
		path := "/openshift/v1/" + url.PathEscape(p.Sbercloud.ServiceInstanceID) + "/tasks/" + id
		return question{"sbercloudOpenshiftTask", path, bearer, readTask}, nil
	default:
		return question{}, errors.New("no provider that this operator knows")
	}
}

type numspotOperation struct {
	ID         string       `json:"id"`
	Kind       string       `json:"operationType"`
	Status     string       `json:"status"`
	Progress   string       `json:"progress"`
	Target     string       `json:"target"`
	CreateTime *metav1.Time `json:"createTime"`
	StartTime  *metav1.Time `json:"startTime"`
	EndTime    *metav1.Time `json:"endTime"`
}

func readNumspot(body []byte, _ string) (observation, error) {
	var operation numspotOperation
	if err := json.Unmarshal(body, &operation); err != nil {
		return observation{}, err
	}
	return operation.observe(), nil
}

func readNumspotList(body []byte, id string) (observation, error) {
	var list struct {
		Operations []numspotOperation `json:"operations"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return observation{}, err
	}
	for i := range list.Operations {
		if strings.EqualFold(list.Operations[i].ID, id) {
			return list.Operations[i].observe(), nil
		}
	}
	return observation{}, errNotFound
}

func (o *numspotOperation) observe() observation {
	start := o.StartTime
	if start == nil {
		start = o.CreateTime
	}
	return observation{
		phase: phaseOf(o.Status), state: o.Status, kind: o.Kind, progress: o.Progress,
		target: Target{URL: o.Target}, start: start, end: o.EndTime,
	}
}

type meta struct {
	Created *metav1.Time `json:"creationTimestamp"`
	Updated *metav1.Time `json:"updateTimestamp"`
}

func readUpgrade(body []byte, _ string) (observation, error) {
	var flow struct {
		Kind     string `json:"kind"`
		Metadata meta   `json:"metadata"`
		Spec     struct {
			ClusterID string `json:"clusterID"`
		} `json:"spec"`
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &flow); err != nil {
		return observation{}, err
	}
	phase := phaseOf(flow.Status.Phase)
	if strings.EqualFold(flow.Status.Phase, "Pending") {
		// A task of the workflow failed: it waits for somebody to retry or cancel it.
		phase = "Blocked"
	}
	return observation{
		phase: phase, state: flow.Status.Phase, kind: flow.Kind,
		target: Target{ID: flow.Spec.ClusterID}, start: flow.Metadata.Created, end: flow.Metadata.Updated,
	}, nil
}

func readJob(body []byte, _ string) (observation, error) {
	var job struct {
		Metadata meta `json:"metadata"`
		Spec     struct {
			Type         string `json:"type"`
			ResourceID   string `json:"resourceID"`
			ResourceName string `json:"resourceName"`
		} `json:"spec"`
		Status struct {
			Phase  string `json:"phase"`
			Reason string `json:"reason"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &job); err != nil {
		return observation{}, err
	}
	return observation{
		phase: phaseOf(job.Status.Phase), state: job.Status.Phase, kind: job.Spec.Type, progress: job.Status.Reason,
		target: Target{ID: job.Spec.ResourceID, Name: job.Spec.ResourceName},
		start:  job.Metadata.Created, end: job.Metadata.Updated,
	}, nil
}

func readTask(body []byte, _ string) (observation, error) {
	var reply struct {
		Task struct {
			Command  string       `json:"command"`
			Status   string       `json:"status"`
			Created  *metav1.Time `json:"createdAt"`
			Modified *metav1.Time `json:"modifiedAt"`
			Error    *struct {
				Message string `json:"message"`
			} `json:"error"`
		} `json:"task"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return observation{}, err
	}
	task := &reply.Task
	seen := observation{phase: phaseOf(task.Status), state: task.Status, kind: task.Command, start: task.Created, end: task.Modified}
	if task.Error != nil {
		seen.phase, seen.progress = "Failed", task.Error.Message
	}
	return seen, nil
}

// phaseOf reads the words of all five clouds, which do not contradict each other but for an upgrade's "Pending". A
// word that it does not know is no end.
func phaseOf(word string) string {
	switch strings.ToUpper(word) {
	case "PENDING", "INIT", "INITIALIZING", "CREATED", "QUEUED":
		return "Pending"
	case "DONE", "SUCCEEDED", "SUCCESS", "COMPLETED":
		return "Succeeded"
	case "FAILED", "ERROR", "CANCEL", "CANCELLED":
		return "Failed"
	default:
		return "Running"
	}
}

// seconds cuts a time to what the API server stores.
func seconds(at *metav1.Time) *metav1.Time {
	if at == nil {
		return nil
	}
	cut := metav1.NewTime(at.Truncate(time.Second).Local())
	return &cut
}
