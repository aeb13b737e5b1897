# usage: fetch.sh REGION TARGET: a source that is busy at times, the same way in every run.
# "south" refuses the first two calls; the number of calls is kept beside TARGET, which a retry sees again.
set -eu
region=$1 target=$2
calls=$(cat "$target.calls" 2>/dev/null || echo 0)
calls=$((calls + 1))
echo "$calls" > "$target.calls"

if [ "$region" = south ] && [ "$calls" -le 2 ]; then
    echo "GET /orders?region=$region: 503 service unavailable (call $calls)"
    exit 75
fi
cp "etl/orders-$region.csv" "$target.part"
mv "$target.part" "$target"
echo "GET /orders?region=$region: $(wc -l < "$target") orders"
