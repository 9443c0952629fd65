#!/usr/bin/env bash
# Puts what checks the chart and the manifests of deploy/ into a cache folder: Helm, kubeconform with the schemas of
# Kubernetes and of the Prometheus operator, kube-score. Never needed to build or run infermesh, so nothing here is fatal;
# tests that need one say so where it is absent. All of it comes as Go modules; Helm alone takes minutes to compile.
# `install-kube-checkers.sh NAME...` installs those alone.
set -u
cd "$(dirname "$0")/.."

cache="${INFERMESH_CHECKERS:-${XDG_CACHE_HOME:-$HOME/.cache}/infermesh-checkers}"
helm=4.3.1
kubeconform=0.8.0
kube_score=1.20.0
# Of which the schemas are; and of the operator's resources.
kubernetes=1.34.4
prometheus_operator=0.85.0

mkdir -p "$cache/bin" || exit 0
about="kube checkers" without="what it checks is left out"
. scripts/cached.sh

# compile FOLDER MODULE@VERSION: an executable of a Go module.
compile() {
  GOBIN="$1" CGO_ENABLED=0 timeout 1800 nice -n 10 go install -p 2 -ldflags "-s -w" "$2" >"$1/build.log" 2>&1 </dev/null || {
    tail -n 5 "$1/build.log"
    return 1
  }
}

# module MODULE VERSION: fetches a Go module's sources, and prints their folder.
module() {
  timeout 300 go mod download -json "$1@v$2" </dev/null 2>/dev/null | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p'
}

install_helm() { compile "$1" "helm.sh/helm/v4/cmd/helm@v$helm"; }
install_kubeconform() { compile "$1" "github.com/yannh/kubeconform/cmd/kubeconform@v$kubeconform"; }
install_kube_score() { compile "$1" "github.com/zegl/kube-score/cmd/kube-score@v$kube_score"; }

install_kube_schemas() {
  local api operator crds
  api="$(module k8s.io/kubernetes "$kubernetes")/api/openapi-spec/swagger.json"
  operator="$(module github.com/prometheus-operator/prometheus-operator "$prometheus_operator")"
  crds="$operator/example/prometheus-operator-crd/monitoring.coreos.com"
  [ -f "$api" ] && [ -f "${crds}_podmonitors.yaml" ] || return 1
  node scripts/kube-schemas.mjs "$1" "$api" "${crds}_podmonitors.yaml" "${crds}_servicemonitors.yaml"
}

command -v go >/dev/null || { say "there is no Go; nothing is installed"; exit 0; }
names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(kubeconform kube-schemas kube-score helm)
for name in "${names[@]}"; do
  case "$name" in
    helm) fetched helm "$helm" ;;
    kubeconform) fetched kubeconform "$kubeconform" ;;
    kube-score) fetched kube-score "$kube_score" ;;
    kube-schemas) fetched kube-schemas "$kubernetes" && ln -sfn "$cache/kube-schemas-$kubernetes" "$cache/kube-schemas" ;;
    *) say "$name: no such checker" ;;
  esac
done
exit 0
