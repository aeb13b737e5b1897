#!/bin/sh
# All checks and all tests, from a fresh clone: about twenty minutes the first time.
#
#   sh tests/run.sh
#
# Installs what is missing (packages and parts of the Rust toolchain), and says so first. Stops at the first failure.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. assets/tools.sh

use_utf8
need_rust
need_rust_parts
need_packages gcc libc6-dev tmux bubblewrap python3 ca-certificates docker.io podman runc busybox-static zsh fish

step() {
    say ""
    say "== $*"
    "$@"
}

step cargo fmt --check
step cargo clippy --all-targets --features faults --locked -- -D warnings
step cargo test --features faults --locked
for workflow in workflows/*.toml; do
    step cargo run --quiet --features faults --locked -- validate "$workflow"
done
step python3 tests/digits.py
say ""
say "== all of it passed"
