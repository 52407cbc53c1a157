#!/usr/bin/env bash
# Installs what is missing, then runs the demo: ./run.sh [options of `sluice demo`], or the waiting rooms: ./run.sh admission
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./.ci/install
if [ "${1:-}" = admission ]; then
  exec node bin/sluice admission --demo
fi
exec node bin/sluice demo "$@"
