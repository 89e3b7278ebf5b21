#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# nvcc.sh SOURCE OBJECT FLAG...   Compiles one CUDA file and keeps ptxas's report in OBJECT.ptxas
# (cuda_report.sh shows it). What costs a kernel its speed unasked fails the build: an ignored
# setmaxnreg, waits that the compiler put between wgmma, registers spilled to memory.
source=$1 object=$2 report=$2.ptxas
shift 2
filter=$(command -v c++filt || echo cat)
here=${0%/*}
# What the compiler itself has to say.
words() { grep -v -e '^ptxas info' -e '^    [0-9]* bytes stack frame' "$report" >&2; }

if ! "${NVCC:-nvcc}" "$@" -Xptxas -v -c "$source" -o "$object" >"$report" 2>&1; then
    words
    rm -f "$object"
    exit 1
fi
words

findings=$("$filter" <"$report" | awk -f "$here/ptxas.awk" | grep '^finding')
[ -n "$findings" ] || exit 0
printf '%s\n' "$findings" | while IFS="$(printf '\t')" read -r _ kernel finding; do
    if [ "$kernel" = '?' ]; then
        echo "$source: in one of its kernels $finding" >&2
    else
        echo "$source: kernel $kernel: $finding" >&2
    fi
done
rm -f "$object"
exit 1
