#!/usr/bin/env bash
# Installs what is missing, then runs the demo: ./run.sh [options of `sluice demo`]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./.ci/install
exec node bin/sluice demo "$@"
