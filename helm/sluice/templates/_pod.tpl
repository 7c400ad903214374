{{/*
The parts of a pod that runs Sluice. The DaemonSet is made of them, and a Deployment of somebody else takes them as they
are: a chart that has this one as a dependency, with daemonSet.enabled: false, includes them with .Subcharts.sluice as
their context. README.md shows a whole Deployment.

  sluice.container       the container; with sidecar.native it goes under initContainers, and starts before the gateway
  sluice.volumes         its volumes
  sluice.podAnnotations  checksums of configuration and pack, so that a change rolls the pods
  sluice.gatewayMount    for the gateway's own container: the folder with the socket
*/}}

{{- define "sluice.container" -}}
- name: sluice
  image: {{ include "sluice.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if and .Values.sidecar.native (not .Values.daemonSet.enabled) }}
  restartPolicy: Always
  {{- end }}
  args: [--config, /etc/sluice/sluiced.yaml, --node-name, $(NODE_NAME)/$(POD_NAME)]
  env:
    - name: NODE_NAME
      valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
    - name: POD_NAME
      valueFrom: {fieldRef: {fieldPath: metadata.name}}
  ports:
    - {name: http-sluice, containerPort: {{ .Values.http.port }}, protocol: TCP}
    {{- if eq .Values.check.transport "tcp" }}
    - {name: check-sluice, containerPort: {{ .Values.check.port }}, protocol: TCP}
    {{- end }}
    {{- if .Values.checkTls.enabled }}
    - {name: tls-sluice, containerPort: {{ .Values.checkTls.port }}, protocol: TCP}
    {{- end }}
  {{- with include "sluice.probes" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with .Values.resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: {{ int64 .Values.securityContext.runAsUser }}
    runAsGroup: {{ int64 .Values.securityContext.runAsGroup }}
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    - {name: sluice-config, mountPath: /etc/sluice/sluiced.yaml, subPath: sluiced.yaml, readOnly: true}
    {{- if include "sluice.packConfigMap" . }}
    - {name: sluice-pack, mountPath: /etc/sluice/pack, readOnly: true}
    {{- end }}
    {{- if .Values.tls.secretName }}
    - {name: sluice-tls, mountPath: {{ .Values.tls.mountPath }}, readOnly: true}
    {{- end }}
    - {name: sluice-socket, mountPath: /run/sluice}
    - {name: sluice-store, mountPath: /var/lib/sluice}
{{- end }}

{{- define "sluice.probes" -}}
{{- $paths := dict "startup" "/healthz" "liveness" "/healthz" "readiness" "/readyz" }}
{{- range $kind := list "startup" "liveness" "readiness" }}
{{- with index $.Values.probes $kind }}
{{- if .enabled }}
{{ $kind }}Probe:
  httpGet: {path: {{ index $paths $kind }}, port: http-sluice}
  periodSeconds: {{ .periodSeconds }}
  failureThreshold: {{ .failureThreshold }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sluice.volumes" -}}
- name: sluice-config
  configMap: {name: {{ include "sluice.fullname" . }}}
{{- with include "sluice.packConfigMap" . }}
- name: sluice-pack
  configMap: {name: {{ . }}}
{{- end }}
{{- with .Values.tls.secretName }}
- name: sluice-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
- name: sluice-socket
  {{- if eq .Values.socket.type "hostPath" }}
  hostPath: {path: {{ .Values.socket.hostPath }}, type: DirectoryOrCreate}
  {{- else }}
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
  {{- end }}
- name: sluice-store
  {{- if eq .Values.store.type "hostPath" }}
  hostPath: {path: {{ .Values.store.hostPath }}, type: DirectoryOrCreate}
  {{- else if eq .Values.store.type "emptyDir" }}
  emptyDir: {sizeLimit: {{ .Values.store.size }}}
  {{- else }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .Values.store.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ .Values.store.size }}}}
  {{- end }}
{{- end }}

{{- define "sluice.podAnnotations" -}}
checksum/sluice-config: {{ include "sluice.config" . | sha256sum }}
{{- with .Values.pack.text }}
checksum/sluice-pack: {{ sha256sum . }}
{{- end }}
{{- end }}

{{- define "sluice.gatewayMount" -}}
- {name: sluice-socket, mountPath: /run/sluice, readOnly: true}
{{- end }}

{{/* Folders of the node belong to root when the kubelet makes them; Sluice runs as somebody else. This is the one
container with a capability, and it ends before Sluice starts. */}}
{{- define "sluice.prepareHostFolders" -}}
{{- $owner := printf "%d:%d" (int64 .Values.securityContext.runAsUser) (int64 .Values.securityContext.runAsGroup) -}}
- name: prepare-host-folders
  image: {{ .Values.prepareHostFolders.image | quote }}
  command: [chown, {{ $owner | quote }}
    {{- if eq .Values.socket.type "hostPath" }}, /run/sluice{{ end }}
    {{- if eq .Values.store.type "hostPath" }}, /var/lib/sluice{{ end }}]
  securityContext:
    runAsUser: 0
    runAsNonRoot: false
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL], add: [CHOWN]}
    seccompProfile: {type: RuntimeDefault}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 16Mi}
  volumeMounts:
    {{- if eq .Values.socket.type "hostPath" }}
    - {name: sluice-socket, mountPath: /run/sluice}
    {{- end }}
    {{- if eq .Values.store.type "hostPath" }}
    - {name: sluice-store, mountPath: /var/lib/sluice}
    {{- end }}
{{- end }}
