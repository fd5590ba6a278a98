{{/*
Least rights. No Secrets, no nodes, no pods/exec: the operator never reads a token, and pods never call the API.
Each right is used, or tests/integration/test_rights.py fails; docs/security.md says for what.
Everything here is namespaced, so that a Role per watched namespace can hold the same rules.
*/}}
{{- define "embedding-operator.rules" -}}
- apiGroups: [embedding-operator.io]
  resources: [embeddingservices, embeddingbenchmarks]
  verbs: [get, list, watch]
# a job goes when its time after its end is over
- apiGroups: [embedding-operator.io]
  resources: [embeddingjobs]
  verbs: [get, list, watch, delete]
- apiGroups: [embedding-operator.io]
  resources: [modelcaches]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [embedding-operator.io]
  resources: [embeddingservices/status, embeddingjobs/status, modelcaches/status, embeddingbenchmarks/status]
  verbs: [patch]
# asked for by clusters that guard blockOwnerDeletion
- apiGroups: [embedding-operator.io]
  resources: [embeddingservices/finalizers, embeddingjobs/finalizers, modelcaches/finalizers, embeddingbenchmarks/finalizers]
  verbs: [update]
# deployments and services are not deleted; clusters that guard blockOwnerDeletion ask for it where an owner is put back
- apiGroups: [apps]
  resources: [deployments, controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
# a Job is made once; of one that embeds, parallelism and suspend are changed as people change them
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# of the Gateway API, if the cluster has it
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# of the Prometheus Operator, if the cluster has it
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
# config maps of its own label only are listed, which no rule can say
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
# claims are made, never changed or deleted: they hold weights
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# a pod on an unhealthy device goes once another one serves; its disruption budget is heeded
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
