#!/usr/bin/env bash
# Everything that has to hold: formatting, lints, tests, documentation. Needs the Rust toolchain, a C compiler and Python 3.
set -euo pipefail
cd "$(dirname "$0")"

need() {
  command -v "$1" >/dev/null 2>&1 || { echo "test.sh: '$1' is missing: $2" >&2; exit 1; }
}
need cargo "install the Rust toolchain (1.95 or newer) from https://rustup.rs"
need cc "install a C compiler (Debian: apt-get install build-essential); the bundled SQLite is built with it"
need python3 "install Python 3; the program in examples/ is run by a test"

step() { printf '\n== %s\n' "$*"; "$@"; }
step cargo fmt --all --check
step cargo clippy --release --locked --workspace --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --release --locked --workspace --no-deps
step cargo test --release --locked --workspace
# What needs the machine to itself.
step cargo test --release --locked --workspace --test nodes -- --ignored
# Networks of nodes in virtual time.
step simulations/test.sh
