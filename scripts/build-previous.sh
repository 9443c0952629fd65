#!/usr/bin/env bash
# Builds the executable of the version before this one, which package.json pins by its commit, into a cache folder: for
# tests of meshes in which both are at work (tests/process/previous.test.ts). Never needed to build or run infermesh, so
# nothing here is fatal. What is there already is left alone.
set -u
cd "$(dirname "$0")/.."

say() { echo "> previous: $*"; }
commit="$(node -p 'require("./package.json").config.previous' 2>/dev/null)"
[ "${#commit}" -eq 40 ] || { say "package.json names no commit (config.previous); tests of mixed meshes are left out"; exit 0; }
cache="${INFERMESH_PREVIOUS:-${XDG_CACHE_HOME:-$HOME/.cache}/infermesh-previous}"
out="$cache/$commit/infermesh"
# An executable takes such variables for settings.
unset "${!INFERMESH_@}"
[ -x "$out" ] && { say "$commit is there"; exit 0; }
leave() {
  say "$1; tests of mixed meshes are left out"
  exit 0
}

git rev-parse --git-dir >/dev/null 2>&1 || leave "this is no git repository"
if ! git cat-file -e "$commit^{commit}" 2>/dev/null; then
  # A shallow clone lacks it; one that asks a server for a single commit may be refused.
  timeout 120 git fetch -q --depth=1 origin "$commit" 2>/dev/null </dev/null
  git cat-file -e "$commit^{commit}" 2>/dev/null || leave "$commit is not in this clone (git fetch --unshallow brings it)"
fi

mkdir -p "$cache/$commit" || leave "$cache can't be written"
work="$(mktemp -d "$cache/$commit/.work-XXXXXX")" || leave "$cache can't be written"
trap 'rm -rf "$work"' EXIT
started=$SECONDS
# A repository of its own over these objects: a shallow clone can't be cloned with them.
git init -q "$work" &&
  git rev-parse --path-format=absolute --git-path objects >"$work/.git/objects/info/alternates" &&
  git -C "$work" checkout -q --detach "$commit" || leave "$commit can't be checked out"
# With the same packages, those that are here do.
if cmp -s package-lock.json "$work/package-lock.json" && [ -e node_modules/.infermesh-lock ]; then
  ln -s "$(realpath node_modules)" "$work/node_modules"
  # Else the version that it tells ends with -dirty.
  echo /node_modules >>"$work/.git/info/exclude"
fi
if ! (cd "$work" && timeout 600 nice -n 5 node scripts/build.mjs) >"$cache/$commit/build.log" 2>&1 </dev/null; then
  tail -n 20 "$cache/$commit/build.log"
  leave "$commit can't be built"
fi
mv "$work/dist/infermesh" "$out"
say "$commit built in $((SECONDS - started)) s"
exit 0
