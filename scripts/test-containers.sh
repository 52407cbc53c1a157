#!/usr/bin/env bash
# The containers that tests have left behind: those that testcontainers labels, of every project on this Docker.
set -euo pipefail

readonly FILTER='label=org.testcontainers=true'

usage() {
  cat <<'TEXT'
usage: scripts/test-containers.sh <command>
  list            id, image, name and status of all of them, also of those that have ended
  list --labels   their labels besides
  kill            ends those that run; they can still be looked at
  kill-remove     ends those that run, and removes what was ended
  remove          ends and removes all of them, with their volumes
It means every such container of this Docker, also of tests that are running: list them first.
TEXT
}

# Ids, one a line; with -a also of those that have ended.
ids() { docker ps --quiet --no-trunc --filter "$FILTER" "$@"; }

# Runs a command with the ids that come in; without any it says so, since docker would refuse to be given none.
with_ids() {
  local given=()
  while read -r id; do given+=("$id"); done
  if [[ ${#given[@]} -eq 0 ]]; then
    echo 'no test containers' >&2
    return
  fi
  "$@" "${given[@]}"
}

list() {
  local columns='table {{.ID}}\t{{.Image}}\t{{.Names}}\t{{.Status}}'
  [[ ${1:-} == --labels ]] && columns+='\t{{.Labels}}'
  docker ps --all --filter "$FILTER" --format "$columns"
}

case "$*" in
  list | 'list --labels') list "${2:-}" ;;
  kill) ids | with_ids docker kill ;;
  # docker tells the ids that it has killed, and only those are removed.
  kill-remove) ids | with_ids docker kill | with_ids docker rm --volumes ;;
  remove) ids --all | with_ids docker rm --force --volumes ;;
  -h | --help | help) usage ;;
  *)
    usage >&2
    exit 2
    ;;
esac
