{{- define "infermesh.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "infermesh.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "infermesh.name" . }}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "infermesh.selector" -}}
app.kubernetes.io/name: {{ include "infermesh.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "infermesh.labels" -}}
{{ include "infermesh.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "infermesh.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "infermesh.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "infermesh.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* The seeds of every member: all pods, ready or not, by the headless service. */ -}}
{{- define "infermesh.joinArgs" -}}
- --join={{ include "infermesh.fullname" . }}-gossip.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}:{{ .Values.mesh.gossipPort }}
{{- range .Values.mesh.join }}
- {{ printf "--join=%s" . | quote }}
{{- end }}
- --cluster={{ .Values.mesh.cluster }}
- --gossip=:{{ .Values.mesh.gossipPort }}
- --data-dir=/data
- --log-format={{ .Values.log.format }}
- --log-level={{ .Values.log.level }}
{{- end }}

{{- /* Who the member is: by the pod's name, or another field. */ -}}
{{- define "infermesh.memberEnv" -}}
- name: INFERMESH_ID
  valueFrom: { fieldRef: { fieldPath: {{ .id }} } }
- name: INFERMESH_ADVERTISE
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
{{- with .root.Values.mesh.gossipKey }}
{{- if .existingSecret }}
- name: INFERMESH_GOSSIP_KEY
  valueFrom: { secretKeyRef: { name: {{ .existingSecret }}, key: {{ .key }} } }
{{- end }}
{{- end }}
{{- end }}

{{- define "infermesh.probes" -}}
startupProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 30
livenessProbe:
  httpGet: { path: /livez, port: metrics }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 3
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}

{{- define "infermesh.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "infermesh.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "infermesh.spread" -}}
{{- if .given }}
{{- toYaml .given }}
{{- else }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "infermesh.selector" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.component }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Where pods are to run; each is left out where nothing is said of it. */ -}}
{{- define "infermesh.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- /* The namespaces that router.discover names, each once; "*" for all. */ -}}
{{- define "infermesh.discovered" -}}
{{- $names := list }}
{{- range .Values.router.discover }}
{{- $names = append $names (regexReplaceAll "^k8s://([^/?]*).*$" . "${1}") }}
{{- end }}
{{- uniq $names | toJson }}
{{- end }}
