#!/bin/sh
# usage: test.sh PROGRAM       what PROGRAM counts, against od and awk
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

agrees() {
    expected=$(od -An -v -tu1 "$1" | awk '
        { for (i = 1; i <= NF; i++) {
            words += $i > 32 && !inside
            inside = $i > 32
            letters += $i == 69 || $i == 101
            sum += $i
        } }
        END { print words + 0, letters + 0, sum % 65521 }')
    got=$("$program" "$1")
    [ "$got" = "$expected" ] || { echo "$1: $got, not $expected"; exit 1; }
}

program=$1
: >"$scratch/empty"
printf 'e' >"$scratch/one"
printf '  The  quick\tbrown\nfox eEe \n' >"$scratch/few"
awk 'BEGIN { for (i = 0; i < 20000; i++) printf "%s%s", substr("Everyone reads eleven letters", i % 23 + 1, i % 9), i % 5 ? "" : " " }' >"$scratch/many"
LC_ALL=C awk 'BEGIN { for (i = 0; i < 70000; i++) printf "%c", 255 }' >"$scratch/large"
for file in "$scratch"/*; do
    agrees "$file"
done
echo "5 texts counted alike"
