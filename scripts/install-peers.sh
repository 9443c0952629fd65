#!/usr/bin/env bash
# Installs the Debian packages that benchmarks and some tests compare against or drive: never needed to build or run,
# so nothing here is fatal. Needs root and apt; what is there already is left alone.
set -u

peers=(nginx:nginx-light haproxy:haproxy wrk:wrk curl:curl ip:iproute2 serf:serf h2load:nghttp2-client nghttpd:nghttp2-server chromium:chromium etcd:etcd-server fish:fish zsh:zsh busybox:busybox-static)
missing=()
for peer in "${peers[@]}"; do
  PATH="$PATH:/usr/sbin:/sbin" command -v "${peer%%:*}" >/dev/null 2>&1 || missing+=("${peer##*:}")
done
# A library, which no command tells of.
ls /usr/lib/librocm_smi64.so.1 /usr/lib/*-linux-gnu/librocm_smi64.so.1 2>/dev/null | grep -q . || missing+=(librocm-smi64-1)
/usr/bin/python3 -c 'import zmq' >/dev/null 2>&1 || missing+=(python3-zmq)
if [ "${#missing[@]}" -eq 0 ]; then
  echo "> peers: all there"
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "> peers: ${missing[*]} not installed (needs root and apt-get); what compares against them is skipped"
  exit 0
fi
echo "> peers: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install() { timeout 300 apt-get install -y -q --no-install-recommends "$@" </dev/null; }
# The package lists may be missing or old; they are fetched only when the first try fails.
if ! install "${missing[@]}" >/dev/null 2>&1; then
  timeout 120 apt-get update -q </dev/null || echo "> peers: no package lists"
  for package in "${missing[@]}"; do
    install "$package" >/dev/null 2>&1 || echo "> peers: $package could not be installed"
  done
fi
exit 0
