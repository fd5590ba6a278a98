{{/*
What a user needs beside the right to write an object, by the fields that he writes: docs/security.md says why.
Fields are below spec; what is as good as absent stands behind a "=". A kind that gets such fields gets an entry here, and nothing else.
*/}}
{{- define "embedding-operator.guards" -}}
embeddingservices:
  # its secretRef is sent to where the source says, and what it opens is put where the cache says
  source: model.source
  sentBy: [model.source, cache.claimName, cache.claimTemplate, cache.subPath]
  secrets: [exposure.apiKeySecretRef, exposure.tls.secretRef]
  profile: runtime.profile
  # arguments may have code of the weights run: who chooses weights for them needs what they need
  arguments: runtime.args=[]
  loads: [model.source, model.cacheRef, cache.claimName, cache.claimTemplate, cache.subPath]
  create:
    deployments.apps:
      - runtime.image
      - runtime.imagePullSecrets=[]
      - runtime.args=[]
      - runtime.env=[]
      - runtime.podTemplate
      - cache.securityContext
      - scheduling.tolerations=[]
      - scheduling.affinity
      - scheduling.priorityClassName=''
      - scheduling.schedulerName=''
    persistentvolumeclaims: [cache.claimTemplate]
    services:
      - exposure.service.type='ClusterIP'
      - exposure.service.nodePort
      - exposure.service.annotations={}
      - exposure.service.loadBalancerClass
      - exposure.service.loadBalancerSourceRanges=[]
    httproutes.gateway.networking.k8s.io: [exposure.gateway]
    networkpolicies.networking.k8s.io: [exposure.networkPolicy]
    podmonitors.monitoring.coreos.com:
      - monitoring.podMonitor=false
      - monitoring.labels={}
embeddingjobs:
  source: model.source
  sentBy: [model.source, cache.claimName, cache.subPath]
  # that of a url opens what the url names, for reading or for writing
  secrets: [input.secretRef, output.secretRef, serviceRef.apiKeySecretRef]
  profile: runtime.profile
  arguments: runtime.args=[]
  loads: [model.source, model.cacheRef, cache.claimName, cache.subPath]
  create:
    deployments.apps:
      - runtime.image
      - runtime.imagePullSecrets=[]
      - runtime.args=[]
      - runtime.env=[]
      - runtime.podTemplate
      - cache.securityContext
      - output.securityContext
      - scheduling.tolerations=[]
      - scheduling.affinity
      - scheduling.priorityClassName=''
      - scheduling.schedulerName=''
    # its pods read and write what is on these claims
    jobs.batch: [input.claimName, output.claimName]
modelcaches:
  source: source
  sentBy: [source, storage, download.proxy, download.caBundleRef]
  secrets: [download.proxy.secretRef]
  # its token goes the same way as that of a secretRef
  identity: stager.serviceAccountName=''
  create:
    deployments.apps:
      - stager.serviceAccountName
      - stager.securityContext
      - stager.tolerations=[]
embeddingbenchmarks:
  # its pod reads and writes what is on these claims
  create:
    jobs.batch: [input, output]
{{- end -}}

{{/* A field of the object, and the same of the object as it was: optionals, or their value where absence has one. */}}
{{- define "embedding-operator.new" -}}
{{- $field := splitn "=" 2 . -}}
object.spec.?{{ replace "." ".?" $field._0 }}{{ with $field._1 }}.orValue({{ . }}){{ end }}
{{- end -}}
{{- define "embedding-operator.old" -}}
{{- $field := splitn "=" 2 . -}}
variables.old.?{{ replace "." ".?" $field._0 }}{{ with $field._1 }}.orValue({{ . }}){{ end }}
{{- end -}}
{{- define "embedding-operator.changed" -}}
{{ include "embedding-operator.new" . }} != {{ include "embedding-operator.old" . }}
{{- end -}}
