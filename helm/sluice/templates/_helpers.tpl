{{/* Names, labels and the answers that several manifests share. */}}

{{- define "sluice.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sluice.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- $name := include "sluice.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sluice.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sluice.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sluice.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "sluice.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "sluice.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "sluice.packConfigMap" -}}
{{- if .Values.pack.existingConfigMap }}
{{- .Values.pack.existingConfigMap }}
{{- else if .Values.pack.text }}
{{- printf "%s-pack" (include "sluice.fullname" .) }}
{{- end }}
{{- end }}

{{/* sluiced.yaml: what the chart decides on top of .Values.config. In a pod of its own a TCP port is for the node's
other pods; as a sidecar it is for the gateway in the same pod alone. That of mutual TLS is for other machines. */}}
{{- define "sluice.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $listen := default dict (get $config "listen") }}
{{- if eq .Values.check.transport "unix" }}
{{- $_ := set $listen "check" "unix:/run/sluice/check.sock" }}
{{- $_ := set $listen "check_mode" .Values.check.socketMode }}
{{- else }}
{{- $_ := set $listen "check" (printf "%s:%d" (ternary "0.0.0.0" "127.0.0.1" .Values.daemonSet.enabled) (int .Values.check.port)) }}
{{- if .Values.daemonSet.enabled }}
{{- /* Who reaches it is NetworkPolicy's to say. */}}
{{- $_ := set $listen "plain_beyond_host" true }}
{{- end }}
{{- end }}
{{- if .Values.checkTls.enabled }}
{{- $folder := .Values.tls.mountPath }}
{{- $_ := set $listen "check_tls" (printf "0.0.0.0:%d" (int .Values.checkTls.port)) }}
{{- $_ := set $config "check_tls" (dict
  "certificate" (printf "%s/%s" $folder .Values.checkTls.certificate)
  "key" (printf "%s/%s" $folder .Values.checkTls.key)
  "client_ca" (printf "%s/%s" $folder .Values.checkTls.clientCa)) }}
{{- end }}
{{- $_ := set $listen "admin" "unix:/run/sluice/admin.sock" }}
{{- $_ := set $listen "http" (printf "0.0.0.0:%d" (int .Values.http.port)) }}
{{- $store := default dict (get $config "store") }}
{{- $_ := set $store "path" "/var/lib/sluice/store" }}
{{- $_ := set $config "listen" $listen }}
{{- $_ := set $config "store" $store }}
{{- if include "sluice.packConfigMap" . }}
{{- $_ := set $config "pack" "/etc/sluice/pack/agreement.yaml" }}
{{- end }}
{{- toYaml $config }}
{{- end }}
