#!/bin/sh
# Kills the example with kill -9 at random moments, twenty times or as often as told, then lets it finish.
#   examples/orders/kill.sh [TIMES [OPTIONS OF THE EXAMPLE…]]
set -eu
times=${1:-20}
[ $# -eq 0 ] || shift
root=$(cd "$(dirname "$0")/../.." && pwd)
cargo build --quiet --manifest-path "$root/Cargo.toml" --example orders
target=${CARGO_TARGET_DIR:-$root/target}
folder=$(mktemp -d)
cd "$folder"
random() { # below the argument
    echo $(($(od -An -N2 -tu2 /dev/urandom) % $1))
}
for run in $(seq "$times"); do
    "$target/debug/examples/orders" "$@" 2>out >table &
    sleep "0.$(printf %03d $((20 + $(random 380))))"
    kill -9 $! 2>/dev/null && end=killed || end="ended by itself"
    wait $! || true
    echo "run $run, $end: $(tail -n 1 out)"
done 2>/dev/null
status=0
"$target/debug/examples/orders" "$@" || status=$?
echo "exit status $status; the files are in $folder"
exit $status
