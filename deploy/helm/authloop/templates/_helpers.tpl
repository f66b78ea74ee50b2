{{- define "authloop.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "authloop.selector" -}}
app.kubernetes.io/name: authloop
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "authloop.labels" -}}
{{ include "authloop.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "authloop.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* What the schema cannot say. */ -}}
{{- define "authloop.check" -}}
{{- $v := .Values -}}
{{- if not $v.publicOrigin }}{{ fail "publicOrigin is required: what people's browsers open, as in https://relay.example" }}{{ end -}}
{{- if and (not $v.apiKeys.secretName) (not $v.openRegistration) }}{{ fail "apiKeys.secretName is required, or anyone who reaches the server could register sessions; openRegistration: true says that this is meant" }}{{ end -}}
{{- if and (not $v.hostNetwork) (not $v.relay.advertise) }}{{ fail "relay.advertise is required without hostNetwork: the address of the load balancer before the relay's UDP port" }}{{ end -}}
{{- if and (gt (int $v.replicas) 1) (not $v.redis.secretName) }}{{ fail "redis.secretName is required with more than one replica, or each would know its own sessions only" }}{{ end -}}
{{- if and $v.redis.secretName (not $v.hostNetwork) }}{{ fail "hostNetwork is required with redis: each pod's relay needs an address of its own" }}{{ end -}}
{{- if and $v.ingress.enabled (not $v.ingress.host) }}{{ fail "ingress.host is required with ingress.enabled" }}{{ end -}}
{{- if $v.tls.acme.claimName -}}
{{- if $v.tls.secretName }}{{ fail "tls.secretName and tls.acme are two ways to one certificate: name one" }}{{ end -}}
{{- if not $v.tls.acme.agreeTermsOfService }}{{ fail "tls.acme.agreeTermsOfService is required with tls.acme: read the authority's terms first" }}{{ end -}}
{{- if gt (int $v.replicas) 1 }}{{ fail "tls.acme is for one replica: the authority would reach any of several; let cert-manager make the Secret of tls.secretName" }}{{ end -}}
{{- end -}}
{{- if and $v.audit.claimName (gt (int $v.replicas) 1) }}{{ fail "audit.claimName is for one replica: a chained log has one writer" }}{{ end -}}
{{- if and $v.audit.retainDays (not $v.audit.claimName) }}{{ fail "audit.retainDays makes no sense without audit.claimName" }}{{ end -}}
{{- if and $v.streams.advertise (not $v.streams.enabled) }}{{ fail "streams.advertise makes no sense with streams.enabled: false" }}{{ end -}}
{{- end -}}
