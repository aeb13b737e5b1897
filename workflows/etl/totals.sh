# usage: totals.sh ORDERS.csv...: units and cents per product, from lines of region,product,units,cents.
set -eu
awk -F, '{ units[$2] += $3; cents[$2] += $3 * $4 } END { for (p in units) print p "," units[p] "," cents[p] }' "$@" | sort
