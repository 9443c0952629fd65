#!/bin/sh
# Installs infermesh: one executable, into ~/.local/bin. Needs a shell, curl or wget, and sha256sum or shasum.
#
#   curl -fsSL "$INFERMESH_BASE_URL/install.sh" | INFERMESH_BASE_URL=$INFERMESH_BASE_URL sh
#   sh install.sh --file dist/infermesh-linux-x64
#   sh install.sh --help
#
# Nothing runs before all of it has arrived: what does the work is a function, called in the last line.
set -eu

usage() {
  cat <<'USAGE'
install.sh: installs infermesh, after its checksum was found to be right

Usage: sh install.sh [flags]

Where it comes from, one of:
  --url URL          The folder of a release: URL/infermesh-linux-x64 and URL/infermesh-linux-x64.sha256, or the
                     same with arm64. Also INFERMESH_BASE_URL.
  --file FILE        An executable on this machine, with FILE.sha256 beside it.

What is done:
  --version VERSION  Of releases that lie side by side, the one at URL/VERSION. (default: the one at URL)
  --prefix DIR       It becomes DIR/bin/infermesh. (default ~/.local, with --system /usr/local)
  --system           For all users of the machine; needs root, which is never asked for otherwise.
  --systemd ROLE     Also install and enable the unit of a router or an agent; implies --system. It comes from the
                     release's archive of deploy/, or of a checkout from beside or above FILE.
  --completions      Also install what makes bash, zsh and fish complete its commands, and the manual pages.
  --uninstall        Remove what was installed at that prefix, units with --system. Configuration and data stay.
  --help             Show this.

Exit codes: 0 installed, 1 failed, and what was changed all the same is said, 2 wrong flags.
USAGE
}

say() { printf '%s\n' "infermesh: $*"; }
fail() {
  printf '%s\n' "infermesh: $*" >&2
  exit 1
}
wrong() {
  printf '%s\n' "infermesh: $*" "see: sh install.sh --help" >&2
  exit 2
}

# fetch URL FILE: all of it, or a failure.
fetch() {
  if command -v curl >/dev/null 2>&1; then
    # What is asked for by https comes by https, wherever the server sends one.
    case "$1" in [Hh][Tt][Tt][Pp][Ss]:*) protocols="=https" ;; *) protocols="=http,https" ;; esac
    curl -fsSL --retry 2 --connect-timeout 15 --proto "$protocols" --proto-redir "$protocols" -o "$2" "$1" ||
      fail "can't download $1 (curl said so above). Is the address right, and can this machine reach it?"
  elif command -v wget >/dev/null 2>&1; then
    # Busybox's knows few flags.
    wget -q -O "$2" "$1" || fail "can't download $1. Is the address right, and can this machine reach it?"
  else
    fail "neither curl nor wget is here: install one of them, or download by hand and use --file FILE"
  fi
}

# checksum FILE
checksum() {
  if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$1" | cut -d ' ' -f 1
  elif command -v shasum >/dev/null 2>&1; then
    shasum -a 256 "$1" | cut -d ' ' -f 1
  else
    fail "neither sha256sum nor shasum is here, and nothing is installed unchecked"
  fi
}

# processor: as the release calls it
processor() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s), and releases are for Linux; elsewhere build it from source: npm run build"
  case "$(uname -m)" in
    x86_64 | amd64) echo x64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) fail "there is no executable for $(uname -m), only for x86_64 and aarch64" ;;
  esac
}

# verify FILE SUMS NAME: SUMS has a line for NAME, and FILE is what it says.
verify() {
  wanted="$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$3\$/\1/p" "$2" | head -n 1)"
  [ -n "$wanted" ] || fail "the checksum file has no line for $3, so that nothing can be checked; nothing was installed"
  found="$(checksum "$1")"
  [ "$found" = "$wanted" ] || fail "the checksum of $3 is wrong, so that it is not what was released, or was cut on its way; nothing was installed
  wanted $wanted
  found  $found"
}

# put FILE TARGET MODE [COMMAND...]: at once, or not at all; not if the command, which gets its path, fails.
put() {
  source="$1" place="$2" mode="$3"
  shift 3
  mkdir -p "$(dirname "$place")" || fail "can't make $(dirname "$place"); choose another --prefix"
  [ ! -d "$place" ] || fail "$place is a folder, in the place of which nothing is put; choose another --prefix"
  # Removed at the end, however that comes.
  draft="$place.new.$$"
  { cp "$source" "$draft" && chmod "$mode" "$draft"; } ||
    fail "can't write $place; nothing was changed. Choose another --prefix, or free some space"
  [ $# -eq 0 ] || "$@" "$draft"
  mv -f "$draft" "$place" || fail "can't put $place in its place; nothing was changed"
  draft=""
}

# runs FILE: it is an infermesh that this machine can run.
runs() {
  said="$("$1" --version 2>&1)" || fail "the executable does not run on this machine, and was not installed: $said"
  case "$said" in
    "infermesh "*) ;;
    *) fail "the executable does not say that it is infermesh, and was not installed: $said" ;;
  esac
}

# told FILE ARGUMENTS...: what the executable prints, as that file.
told() {
  place="$1"
  shift
  "$target" "$@" >"$work/told" || fail "infermesh $* failed; the executable is installed, $place is not"
  put "$work/told" "$place" 644
}

extras() {
  share="$prefix/share"
  told "$share/bash-completion/completions/infermesh" ctl completion bash
  told "$share/zsh/site-functions/_infermesh" ctl completion zsh
  told "$share/fish/vendor_completions.d/infermesh.fish" ctl completion fish
  "$target" man --list >"$work/pages" || fail "infermesh man --list failed; the executable is installed, its manual pages are not"
  while read -r page; do told "$share/man/man1/$page.1" man "$page" </dev/null; done <"$work/pages"
  say "completions and manual pages are below $share"
}

remove() {
  [ -e "$target" ] || [ "$system" = yes ] || fail "there is no $target; with --prefix or --system it may be elsewhere"
  if [ "$system" = yes ]; then
    for role in router agent; do
      [ -e "$units/infermesh-$role.service" ] || continue
      [ -n "$root" ] || systemctl disable --now "infermesh-$role.service" >/dev/null 2>&1 || true
      rm -f "$units/infermesh-$role.service" || fail "can't remove $units/infermesh-$role.service"
      say "removed $units/infermesh-$role.service"
    done
    [ -n "$root" ] || systemctl daemon-reload >/dev/null 2>&1 || true
  fi
  rm -f "$target" || fail "can't remove $target"
  for file in bash-completion/completions/infermesh zsh/site-functions/_infermesh fish/vendor_completions.d/infermesh.fish; do
    rm -f "$prefix/share/$file"
  done
  rm -f "$prefix/share/man/man1/infermesh.1" "$prefix"/share/man/man1/infermesh-*.1
  say "removed $target; configuration and data are where they were"
}

install_unit() {
  unit="infermesh-$role.service"
  if [ -n "$file" ]; then
    folder="$(dirname "$file")"
    [ -e "$folder/$unit" ] || folder="$folder/../deploy/systemd"
  else
    fetch "$from/SHA256SUMS" "$work/SHA256SUMS"
    archive="$(sed -n 's/^[0-9a-f]* [ *]\(infermesh-.*-deploy\.tar\.gz\)$/\1/p' "$work/SHA256SUMS" | head -n 1)"
    [ -n "$archive" ] || fail "$from/SHA256SUMS names no archive of deploy/; the executable is installed, the unit is not"
    fetch "$from/$archive" "$work/deploy.tar.gz"
    verify "$work/deploy.tar.gz" "$work/SHA256SUMS" "$archive"
    tar -xzf "$work/deploy.tar.gz" -C "$work" || fail "can't unpack $archive; the executable is installed, the unit is not"
    found="$(find "$work" -path "*/deploy/systemd/$unit" | head -n 1)"
    [ -n "$found" ] || fail "there is no $unit in $archive; the executable is installed, the unit is not"
    folder="$(dirname "$found")"
  fi
  [ -e "$folder/$unit" ] || fail "there is no $unit in $folder; the executable is installed, the unit is not"
  # Below the root of a package it is where that will be unpacked.
  sed "s#/usr/local/bin/infermesh#${target#"$root"}#" "$folder/$unit" >"$work/$unit"
  put "$work/$unit" "$units/$unit" 644
  if command -v systemctl >/dev/null 2>&1 && [ -z "$root" ]; then
    if ! systemctl daemon-reload || ! systemctl enable "$unit"; then
      fail "$units/$unit is installed, and systemctl could not enable it (it says why above)"
    fi
  fi
  say "$units/$unit is installed; start it by: systemctl start infermesh-$role"
}

main() {
  url="${INFERMESH_BASE_URL:-}" file="" version="" prefix="" system=no role="" completions=no uninstall=no
  while [ $# -gt 0 ]; do
    case "$1" in
      --url | --file | --version | --prefix | --systemd)
        if [ $# -lt 2 ] || [ -z "$2" ]; then wrong "$1 needs a value"; fi
        case "$1" in
          --url) url="$2" ;;
          --file) file="$2" ;;
          --version) version="$2" ;;
          --prefix) prefix="$2" ;;
          --systemd) role="$2" system=yes ;;
        esac
        shift
        ;;
      --system) system=yes ;;
      --completions) completions=yes ;;
      --uninstall) uninstall=yes ;;
      --help | -h) usage && exit 0 ;;
      *) wrong "no such flag: $1" ;;
    esac
    shift
  done
  case "$role" in "" | router | agent) ;; *) wrong "--systemd takes router or agent, not $role" ;; esac
  case "$version" in *[!A-Za-z0-9._-]* | .*) wrong "that is no version: $version" ;; esac
  case "$prefix" in "" | /*) ;; *) prefix="$PWD/$prefix" ;; esac
  # It becomes a word of a unit, where others mean something.
  case "$role:$prefix" in :*) ;; *[!A-Za-z0-9:/._+-]*) wrong "--systemd takes a --prefix of letters, digits and /._+- alone, not $prefix" ;; esac

  # For packages and tests: the root under which files of the system are put.
  root="${INFERMESH_ROOT:-}"
  if [ "$system" = yes ]; then
    [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "--system and --systemd install for the whole machine: run this as root, or leave them out"
    prefix="$root${prefix:-/usr/local}"
  elif [ -z "$prefix" ]; then
    [ -n "${HOME:-}" ] || fail "HOME is not set, so that there is no ~/.local; use --prefix DIR"
    prefix="$HOME/.local"
  fi
  units="$root/etc/systemd/system"
  target="$prefix/bin/infermesh"
  if [ "$uninstall" = yes ]; then
    remove
    return
  fi

  name="infermesh-linux-$(processor)"
  work="$(mktemp -d "${TMPDIR:-/tmp}/infermesh-install.XXXXXX")" || fail "can't make a folder in ${TMPDIR:-/tmp}"
  draft=""
  trap 'rm -rf "$work"; [ -z "$draft" ] || rm -f "$draft"' EXIT
  trap 'exit 1' HUP INT TERM
  if [ -n "$file" ]; then
    [ -f "$file" ] || fail "there is no $file"
    [ -f "$file.sha256" ] || fail "there is no $file.sha256 beside it, and nothing is installed unchecked"
    cp "$file" "$work/$name" || fail "can't copy $file; is there room in ${TMPDIR:-/tmp}?"
    verify "$work/$name" "$file.sha256" "$(basename "$file")"
  else
    [ -n "$url" ] || fail "where from? Say --url URL (or INFERMESH_BASE_URL) of a release, or --file FILE of an executable"
    from="${url%/}${version:+/$version}"
    say "downloading $from/$name"
    fetch "$from/$name.sha256" "$work/$name.sha256"
    fetch "$from/$name" "$work/$name"
    verify "$work/$name" "$work/$name.sha256" "$name"
  fi
  put "$work/$name" "$target" 755 runs
  say "$said is installed: $target"
  [ "$completions" = no ] || extras
  [ -z "$role" ] || install_unit
  case ":$PATH:" in
    *":$prefix/bin:"*) ;;
    *) say "$prefix/bin is not in PATH; add it by: export PATH=\"$prefix/bin:\$PATH\"" ;;
  esac
}

main "$@"
