#!/usr/bin/env bash
# Sourced by those of install-*.sh that put things into a cache folder ($cache). $about: what they are, in words; $without:
# what becomes of tests where one is not there.

say() { echo "> ${about:?}: $*"; }

# fetched NAME VERSION: what install_NAME makes in the folder that it is given, linked into the cache's bin folder where it
# is an executable of that name. What is there already is left alone.
fetched() {
  local name="$1" folder="${cache:?}/$1-$2" started=$SECONDS
  if [ ! -e "$folder/.complete" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    if ! "install_${name//-/_}" "$folder"; then
      say "$name $2 could not be installed; ${without:?}"
      rm -rf "$folder"
      return 1
    fi
    touch "$folder/.complete"
    say "$name $2 installed in $((SECONDS - started)) s"
  fi
  [ ! -x "$folder/$name" ] || ln -sfn "$folder/$name" "$cache/bin/$name"
}
