{{/* Names and labels. */}}
{{- define "klio.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Short enough that what is added to it, at most "-dashboards", still fits into 63 characters, also with a pod's number. */}}
{{- define "klio.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "klio.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "klio.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "klio.selector" -}}
app.kubernetes.io/name: {{ include "klio.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{- define "klio.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "klio.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: klio
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* registry/repository:tag or @digest; the argument has `image` and `default`. */}}
{{- define "klio.image" -}}
{{- $place := .image.repository }}
{{- if .image.registry }}{{- $place = printf "%s/%s" .image.registry .image.repository }}{{- end }}
{{- if .image.digest }}
{{- printf "%s@%s" $place .image.digest }}
{{- else }}
{{- printf "%s:%s" $place (default .default .image.tag) }}
{{- end }}
{{- end }}
