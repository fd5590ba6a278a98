{{/* The name of all objects: the release's, with the chart's added where the release is called something else. A
Service has no dots in its name. */}}
{{- define "embedding-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | replace "." "-" | trunc 52 | trimAll "-" -}}
{{- end -}}
{{- end -}}

{{- define "embedding-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "embedding-operator.labels" -}}
{{ include "embedding-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Of an object that has some of its own, which come before those of all objects: a list of the root and them. */}}
{{- define "embedding-operator.ownLabels" -}}
{{- merge (dict) (last . | default dict) (include "embedding-operator.labels" (first .) | fromYaml) | toYaml -}}
{{- end -}}

{{/* Of all objects, below their labels. */}}
{{- define "embedding-operator.annotations" -}}
{{- with .Values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "embedding-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "embedding-operator.fullname" .) -}}
{{- else -}}
{{- required "serviceAccount.name: name the existing ServiceAccount, or set serviceAccount.create to true" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "embedding-operator.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
