#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# cuda_report.sh BUILD   What ptxas made of every CUDA kernel of the last build: per architecture,
# registers of a thread, bytes of static shared memory, stack and spilled registers, barriers.
build=${1:-build}
here=${0%/*}
filter=$(command -v c++filt || echo cat)
reports=$(find "$build/obj" -name '*.cu.o.ptxas' 2>/dev/null | sort)
if [ -z "$reports" ]; then
    echo "no CUDA kernel was compiled under $build/: is nvcc there, and was the program built?" >&2
    exit 3
fi
for report in $reports; do
    file=${report#"$build"/obj/}
    "$filter" <"$report" | awk -f "$here/ptxas.awk" | grep '^kernel' |
        sort -t"$(printf '\t')" -k3,3 -k2,2 | sed "s|^kernel|${file%.o.ptxas}|"
done | awk -F'\t' '
{
    file[NR] = $1; kernel[NR] = $2; arch[NR] = $3
    rest[NR] = sprintf("%9d %7d %6d %7d %6d %8d", $4, $5, $6, $7, $8, $9)
    if (length($2) > width) width = length($2)
}
END {
    format = "  %-" width "s %-8s %s\n"
    for (i = 1; i <= NR; i++) {
        if (file[i] != file[i - 1]) {
            print file[i]
            printf format, "kernel", "for", "registers  shared  stack  stores  loads barriers"
        }
        printf format, kernel[i], arch[i], rest[i]
    }
}'
