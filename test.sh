#!/usr/bin/env bash
# Installs what is missing, then checks everything: ./test.sh [part of a test file's path…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./.ci/install

step() { printf '\n== %s\n' "$*"; }

step lint
npx --no-install biome check .
step types
npx --no-install tsc --noEmit
step build
npm run --silent build
step tests
exec node --import tsx test/run.ts "$@"
