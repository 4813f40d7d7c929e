{{- define "cloudop.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "cloudop.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "cloudop.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* For what belongs to no namespace: two releases may have one name in two namespaces. */}}
{{- define "cloudop.clusterName" -}}
{{- $name := include "cloudop.fullname" . }}
{{- $namespace := include "cloudop.namespace" . }}
{{- if eq $namespace $name }}{{ $name }}{{ else }}{{ printf "%s:%s" $namespace $name }}{{ end }}
{{- end }}

{{- define "cloudop.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "cloudop.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: say which ServiceAccount to use, as serviceAccount.create is off" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "cloudop.selectorLabels" -}}
app.kubernetes.io/name: {{ include "cloudop.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cloudop.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "cloudop.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/part-of" "cloudop"
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
}}
{{- merge $own .Values.commonLabels | toYaml }}
{{- end }}

{{- define "cloudop.image" -}}
{{- $registry := default .Values.image.registry .Values.global.imageRegistry }}
{{- $image := list $registry .Values.image.repository | compact | join "/" }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $image .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Those of the chart that has this one inside may be names alone, as some charts have them. */}}
{{- define "cloudop.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat (default list .Values.global.imagePullSecrets) .Values.imagePullSecrets }}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}
{{- end }}
{{- $secrets | uniq | toYaml }}
{{- end }}

{{- define "cloudop.runbookUrl" -}}
{{- default (printf "%s/docs/operations" .Chart.Home) .Values.metrics.prometheusRule.runbookUrl }}
{{- end }}

{{/* What the proxy's files are mounted from. */}}
{{- define "cloudop.proxyVolumes" -}}
{{- with .Values.egress.proxy }}
{{- if and .url .credentialsSecret }}
- name: proxy-credentials
  secret:
    secretName: {{ .credentialsSecret }}
    items:
      - key: credentials
        path: credentials
{{- end }}
{{- if and .url .caConfigMap }}
- name: proxy-ca
  configMap:
    name: {{ .caConfigMap }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end }}
{{- end }}

{{/* Where they are. */}}
{{- define "cloudop.proxyMounts" -}}
{{- with .Values.egress.proxy }}
{{- if and .url .credentialsSecret }}
- name: proxy-credentials
  mountPath: /etc/cloudop/proxy-credentials
  readOnly: true
{{- end }}
{{- if and .url .caConfigMap }}
- name: proxy-ca
  mountPath: /etc/cloudop/proxy-ca
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{/* The endpoint of a ServiceMonitor or a PodMonitor, which is given. */}}
{{- define "cloudop.scrape" -}}
- port: metrics
  path: /metrics
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The labels that Prometheus gives the series of this release; where somebody else has it scraped, any. Within YAML. */}}
{{- define "cloudop.series" -}}
{{- $namespace := include "cloudop.namespace" . }}
{{- $name := include "cloudop.fullname" . }}
{{- if .Values.metrics.serviceMonitor.enabled -}}
namespace={{ $namespace | quote }},job={{ $name | quote }}
{{- else if .Values.metrics.podMonitor.enabled -}}
namespace={{ $namespace | quote }},job={{ printf "%s/%s" $namespace $name | quote }}
{{- else -}}
job=~".+"
{{- end }}
{{- end }}
