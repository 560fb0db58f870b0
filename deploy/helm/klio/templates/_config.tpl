{{/* klio.yaml: what the chart knows, below what the values say. */}}
{{- define "klio.config" -}}
{{- $full := include "klio.fullname" . }}
{{- $server := dict "listen" "0.0.0.0:8443" "ops" "0.0.0.0:8080" }}
{{- $tls := dict }}
{{- $names := dig "tls" "names" list (default dict .Values.config.server) }}
{{- if .Values.tls.existingSecret }}
{{- $_ := set $tls "certificate" "/etc/klio/tls/tls.crt" }}
{{- $_ := set $tls "key" "/etc/klio/tls/tls.key" }}
{{- else }}
{{- $host := printf "%s.%s.svc" $full .Release.Namespace }}
{{- $names = concat (list $full (printf "%s.%s" $full .Release.Namespace) $host (printf "%s.cluster.local" $host)) $names }}
{{- end }}
{{- if .Values.tls.clientCA.existingSecret }}
{{- $_ := set $tls "client_ca" (printf "/etc/klio/client-ca/%s" .Values.tls.clientCA.key) }}
{{- end }}
{{- $_ := set $server "tls" $tls }}
{{- $_ := set $server "url" (printf "https://%s.%s.svc:%v" $full .Release.Namespace .Values.service.port) }}
{{- $config := mergeOverwrite (dict "server" $server) (deepCopy .Values.config) }}
{{- with $names }}{{- $_ := set $config.server.tls "names" (uniq .) }}{{- end }}
{{- range $key, $value := $config }}
{{- if not $value }}{{- $_ := unset $config $key }}{{- end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* What counts after a restart only: everything but what Klio reads again (docs/server.md#what-listens-where). */}}
{{- define "klio.config.restart" -}}
{{- $config := include "klio.config" . | fromYaml }}
{{- $_ := unset $config "sign_in" }}
{{- range $key := list "tls" "body_bytes" "in_flight_bytes" }}
{{- $_ := unset $config.server $key }}
{{- end }}
{{- range $name, $cluster := $config.clusters }}
{{- range $key := list "token" "certificate" }}
{{- $_ := unset $cluster $key }}
{{- end }}
{{- if not $cluster }}{{- $_ := unset $config.clusters $name }}{{- end }}
{{- end }}
{{- if not $config.clusters }}{{- $_ := unset $config "clusters" }}{{- end }}
{{- toJson $config }}
{{- end }}
