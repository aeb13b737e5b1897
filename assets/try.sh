#!/bin/sh
# Build dogwatch and watch it train a small network on real handwritten digits.
#
#   sh assets/try.sh                       about five minutes the first time, about one minute after that
#   sh assets/try.sh -p trouble=crash      the same with something going wrong: crash, hang, diverge or oom
#
# Installs what is missing of gcc, libc6-dev, tmux, bubblewrap, python3 and ca-certificates, and says so first.
# Writes to target/ and export/ in this folder; the run itself is kept in dogwatch's state folder.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
. assets/tools.sh

use_utf8
need_rust
need_packages gcc libc6-dev tmux bubblewrap python3 ca-certificates

say "Building dogwatch: a few minutes the first time."
cargo build --release --locked
dogwatch=${CARGO_TARGET_DIR:-target}/release/dogwatch

say "Training on 1,797 handwritten digits: about a minute. On a terminal the screen opens: q leaves it, and the run goes on."
ended=0
trap : INT # Ctrl-C is for dogwatch, and what follows is still printed
"$dogwatch" run workflows/digits.toml "$@" || ended=$?

state=${DOGWATCH_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/dogwatch}
# shellcheck disable=SC2012 # names of runs are six letters or digits
record=$(ls -t "$state"/runs/*/record.md 2>/dev/null | head -n 1)
say ""
say "What to look at next:"
say "  $dogwatch status @last"
say "  $dogwatch logs @last 'train[lr=0.1]' --tail 20"
[ "$ended" -eq 0 ] || say "  $dogwatch inbox                 # questions that wait for you"
[ -z "$record" ] || say "  $record    # the written record"
say "  $dogwatch engine stop           # the engine waits in the background, without using the CPU"
exit "$ended"
