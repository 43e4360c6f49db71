{{- define "sluice.name" -}}
{{ ternary .Release.Name (printf "%s-sluice" .Release.Name) (contains "sluice" .Release.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sluice.selector" -}}
app.kubernetes.io/name: sluice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sluice.labels" -}}
{{ include "sluice.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "sluice.config" -}}
{{- $own := dict "allowed_hosts" (list .Values.host) "audit" (dict "mode" "off") -}}
{{- if .Values.tlsSecret -}}
{{- $_ := set $own "tls" (dict "cert" "/etc/sluice/tls/tls.crt" "key" "/etc/sluice/tls/tls.key") -}}
{{- end -}}
{{- $theirs := deepCopy .Values.config -}}
{{- $sluice := mergeOverwrite $own ($theirs.sluice | default dict) (dict "listen" "0.0.0.0:7411") -}}
{{ set $theirs "sluice" $sluice | toPrettyJson }}
{{- end }}

{{- define "sluice.probe" -}}
httpGet:
  path: /mcp/server-card
  port: mcp
  scheme: {{ ternary "HTTPS" "HTTP" (not (empty .Values.tlsSecret)) }}
  # The kubelet's own Host would be the pod's address, which is no name of ours.
  httpHeaders: [{ name: Host, value: localhost }]
{{- end }}

{{- define "sluice.surroundings" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.envSecret }}
envFrom:
  - secretRef: { name: {{ . }} }
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - { name: config, mountPath: /etc/sluice/sluice.json, subPath: sluice.json, readOnly: true }
  {{- if .Values.tlsSecret }}
  - { name: tls, mountPath: /etc/sluice/tls, readOnly: true }
  {{- end }}
  {{- range .Values.plugins.files }}
  - { name: plugins, mountPath: /etc/sluice/plugins/{{ . }}, subPath: {{ . }}, readOnly: true }
  {{- end }}
  - { name: data, mountPath: /data }
{{- end }}
