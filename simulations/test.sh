#!/usr/bin/env bash
# What has to hold of the simulations: formatting, lints, tests, and every scenario with one fixed seed.
set -euo pipefail
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; "$@"; }
step cargo fmt --all --check
step cargo clippy --release --locked --workspace --all-targets -- -D warnings
step cargo test --release --locked --workspace
step target/release/porchlight-sim sweep scenarios --seeds 1
