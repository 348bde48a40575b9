#!/bin/sh
# Kills the example with kill -9 at random moments, twenty times or as often as told, then lets it finish.
#   examples/orders/kill.sh [TIMES [OPTIONS OF THE EXAMPLE…]]
#   examples/orders/kill.sh 20 --store postgres://…
set -eu
times=${1:-20}
[ $# -eq 0 ] || shift
root=$(cd "$(dirname "$0")/../.." && pwd)
feature=sqlite
for option; do
    case $option in # what follows --store, or stands in --store=URL
        *postgres://* | *postgresql://*) feature=postgres ;;
        *mysql://* | *mariadb://*) feature=mysql ;;
        *redis://* | *rediss://* | *redis-cluster://* | *rediss-cluster://*) feature=redis ;;
        sled:* | --store=sled:*) feature=sled ;;
    esac
done
cargo build --quiet --manifest-path "$root/Cargo.toml" --example orders --features "${FEATURES:-$feature}"
target=${CARGO_TARGET_DIR:-$root/target}
folder=$(mktemp -d)
cd "$folder"
random() { # below the argument
    echo $(($(od -An -N2 -tu2 /dev/urandom) % $1))
}
for run in $(seq "$times"); do
    "$target/debug/examples/orders" "$@" 2>out >table &
    # Half-way through the start, through the orders, through the deliveries.
    millis=$((20 + $(random 1200)))
    sleep "$((millis / 1000)).$(printf %03d $((millis % 1000)))"
    kill -9 $! 2>/dev/null && end=killed || end="ended by itself"
    wait $! || true
    echo "run $run, $end: $(tail -n 1 out)"
done 2>/dev/null
status=0
"$target/debug/examples/orders" "$@" || status=$?
echo "exit status $status; the files are in $folder"
exit $status
