{{/* Names. The selector's labels never change: a Deployment's selector cannot. */}}
{{- define "darkroom.fullname" -}}
{{- .Release.Name | trunc 49 | trimSuffix "-" -}}
{{- end -}}

{{/* Of what belongs to no namespace: NodePool, EC2NodeClass, PersistentVolume. */}}
{{- define "darkroom.clusterwide" -}}
{{- printf "%s-%s" (.Release.Namespace | default "default") (include "darkroom.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "darkroom.selector" -}}
app.kubernetes.io/name: darkroom-runtime
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "darkroom.labels" -}}
{{- $labels := include "darkroom.selector" . | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63) -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "darkroom" -}}
{{- $_ := set $labels "darkroom/runtime-type" .Values.runtime.type -}}
{{- toYaml (merge $labels .Values.runtime.labels) -}}
{{- end -}}

{{/* A pod's labels, without the chart's version: it would replace every pod. */}}
{{- define "darkroom.podLabels" -}}
{{- toYaml (omit (include "darkroom.labels" . | fromYaml) "helm.sh/chart" "app.kubernetes.io/managed-by") -}}
{{- end -}}

{{- define "darkroom.serviceAccount" -}}
{{- .Values.runtime.serviceAccountName | default (include "darkroom.fullname" .) -}}
{{- end -}}

{{- define "darkroom.cluster" -}}
{{- .Values.global.clusterName | default .Values.global.stackName -}}
{{- end -}}

{{/* What the runtime's registration says, and older values beside it; the registration wins. */}}
{{- define "darkroom.agentEnvironment" -}}
{{- $agent := .Values.runtime.queueAgent -}}
{{- $env := dict "DARKROOM_RUNTIME_NAME" .Release.Name "DARKROOM_RUNTIME_TYPE" .Values.runtime.type -}}
{{- $_ := set $env "DARKROOM_DYNAMIC_MODEL" (toString $agent.dynamicModel) -}}
{{- range $name, $value := dict "DARKROOM_QUEUE_URL" $agent.sqsQueueUrl "DARKROOM_OUTPUT_BUCKET" $agent.s3Bucket "DARKROOM_MODEL" .Values.runtime.inferenceApi.modelFilename -}}
{{- if $value }}{{ $_ := set $env $name $value }}{{ end -}}
{{- end -}}
{{- range $name, $value := $agent.registration.agent -}}
{{- if $value }}{{ $_ := set $env $name (toString $value) }}{{ end -}}
{{- end -}}
{{- $longest := int .Values.runtime.taskTimeoutSeconds -}}
{{- $_ := set $env "DARKROOM_RUNTIME_URL" (printf "http://127.0.0.1:%d" (int .Values.runtime.inferenceApi.port)) -}}
{{- $_ := set $env "DARKROOM_HEALTH_PORT" (toString (int $agent.healthPort)) -}}
{{- $_ := set $env "DARKROOM_RUN_TIMEOUT_SECONDS" (toString $longest) -}}
{{- $_ := set $env "DARKROOM_DRAIN_SECONDS" (toString (add $longest 20)) -}}
{{- $_ := set $env "DARKROOM_STARTUP_TIMEOUT_SECONDS" (toString (add (int .Values.runtime.inferenceApi.startupTimeoutSeconds) 300)) -}}
{{- $_ := set $env "DARKROOM_LOG_FORMAT" "json" -}}
{{- $_ := set $env "AWS_REGION" (include "darkroom.region" .) -}}
{{- $_ := set $env "DARKROOM_PUBLISH_DELETION_COST" (toString $agent.publishDeletionCost) -}}
{{- $_ := set $env "DARKROOM_WATCH_INTERRUPTIONS" (toString $agent.watchInterruptions) -}}
{{- if $agent.XRay.enabled -}}
{{- $_ := set $env "DARKROOM_OTLP_ENDPOINT" $agent.XRay.endpoint -}}
{{- end -}}
{{ toYaml $env }}
{{- end -}}

{{/* Extra environment: a map, or a list as Kubernetes writes it. */}}
{{- define "darkroom.extraEnv" -}}
{{- if not . }}
{{- else if kindIs "slice" . }}
{{ toYaml . }}
{{- else }}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How many GPUs a pod takes. */}}
{{- define "darkroom.gpus" -}}
{{- $resources := .Values.runtime.inferenceApi.resources -}}
{{- $limit := get ($resources.limits | default dict) "nvidia.com/gpu" -}}
{{- $limit | default (get ($resources.requests | default dict) "nvidia.com/gpu") | default 0 | toString -}}
{{- end -}}

{{/* Resources, without a GPU count of zero. */}}
{{- define "darkroom.resources" -}}
{{- $all := dict -}}
{{- range $kind, $amounts := . -}}
{{- $kept := dict -}}
{{- range $name, $amount := $amounts -}}
{{- if not (and (eq $name "nvidia.com/gpu") (eq (toString $amount) "0")) }}{{ $_ := set $kept $name (toString $amount) }}{{ end -}}
{{- end -}}
{{- if $kept }}{{ $_ := set $all $kind $kept }}{{ end -}}
{{- end -}}
{{ toYaml $all }}
{{- end -}}

{{- define "darkroom.runtimeImage" -}}
{{- $image := .Values.runtime.inferenceApi.image -}}
{{- $samples := dict "sdwebui" "public.ecr.aws/bingjiao/sd-on-eks/sdwebui" "comfyui" "public.ecr.aws/bingjiao/sd-on-eks/comfyui" -}}
{{- $none := printf "runtime.inferenceApi.image.repository: there is no sample image of type %s; name your own" .Values.runtime.type -}}
{{- $repository := $image.repository | default (get $samples .Values.runtime.type) | required $none -}}
{{- if hasPrefix "sha256:" $image.tag }}{{ printf "%s@%s" $repository $image.tag }}{{ else }}{{ printf "%s:%s" $repository $image.tag }}{{ end -}}
{{- end -}}

{{- define "darkroom.agentImage" -}}
{{- $image := .Values.runtime.queueAgent.image -}}
{{- if hasPrefix "sha256:" $image.tag }}{{ printf "%s@%s" $image.repository $image.tag }}{{ else }}{{ printf "%s:%s" $image.repository $image.tag }}{{ end -}}
{{- end -}}

{{/* What asks the runtime whether it can work. Of a type that is not known here, only its port is. */}}
{{- define "darkroom.probe" -}}
{{- $own := dict "sdwebui" "/sdapi/v1/memory" "comfyui" "/system_stats" "http" "/ready" -}}
{{- with .Values.runtime.inferenceApi.probePath | default (get $own .Values.runtime.type) -}}
httpGet: {path: {{ . }}, port: api}
{{- else -}}
tcpSocket: {port: api}
{{- end -}}
{{- end -}}

{{/* WebUI's config.json: an option that it never stored would leak from one task into the next. */}}
{{- define "darkroom.webuiOptions" -}}
{{- $options := .Files.Get "files/sdwebui-options.json" | fromJson -}}
{{- with .Values.runtime.inferenceApi.modelFilename }}{{ $_ := set $options "sd_model_checkpoint" . }}{{ end -}}
{{- mergeOverwrite $options .Values.runtime.inferenceApi.options | toPrettyJson -}}
{{- end -}}

{{- define "darkroom.queueUrl" -}}
{{- get (.Values.runtime.queueAgent.registration.agent | default dict) "DARKROOM_QUEUE_URL" | default .Values.runtime.queueAgent.sqsQueueUrl -}}
{{- end -}}

{{/* The region: as told, or as the queue's address says. */}}
{{- define "darkroom.region" -}}
{{- $told := regexReplaceAll "^https://sqs\\.([a-z0-9-]+)\\..*$" (include "darkroom.queueUrl" .) "${1}" -}}
{{- .Values.global.awsRegion | default $told | default "us-east-1" -}}
{{- end -}}

{{/* The role of the nodes; without one, the name that Karpenter's own documents use. */}}
{{- define "darkroom.nodeRole" -}}
{{- .Values.karpenter.nodeTemplate.iamRole | default (printf "KarpenterNodeRole-%s" (include "darkroom.cluster" .)) -}}
{{- end -}}

{{/* A bound claim and its volume cannot be changed: what would change them gives them another name. */}}
{{- define "darkroom.models" -}}
{{- $p := .Values.runtime.persistence -}}
{{- $fixed := list $p.bucket $p.prefix $p.storageClass $p.size $p.accessModes $p.cache | toJson -}}
{{- printf "%s-models-%s" (include "darkroom.fullname" . | trunc 44 | trimSuffix "-") ($fixed | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "darkroom.claim" -}}
{{- .Values.runtime.persistence.existingClaim | default (include "darkroom.models" .) -}}
{{- end -}}

{{/* A volume of a node; iops and throughput are gp3's to have. */}}
{{- define "darkroom.ebs" -}}
volumeSize: {{ .volumeSize }}
volumeType: {{ .volumeType }}
deleteOnTermination: {{ .deleteOnTermination }}
encrypted: {{ .encrypted }}
{{- if has .volumeType (list "gp3" "io1" "io2") }}
{{- with .iops }}
iops: {{ int . }}
{{- end }}
{{- end }}
{{- if eq .volumeType "gp3" }}
{{- with .throughput }}
throughput: {{ int . }}
{{- end }}
{{- end }}
{{- with .snapshotID }}
snapshotID: {{ . }}
{{- end }}
{{- if .snapshotID }}
{{- with .volumeInitializationRate }}
volumeInitializationRate: {{ int . }}
{{- end }}
{{- end }}
{{- end -}}
