#!/bin/bash
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# gpu_bundle.sh [BUILD]   What `make gpu-bundle` does: builds the program with CUDA and nothing else
# beyond libc, and packs it with all that gpu_check.sh needs into BUILD/gpu-bundle.tar.gz, for a
# machine that has a GPU with its driver and no compiler. Exit 3: no CUDA Toolkit here.
build=${1:-build}
own=$build/bundle
folder=$build/gpu-bundle
here=$(dirname "$0")

stop() {
    echo "gpu-bundle: $2" >&2
    exit "$1"
}

make=${MAKE:-make}
jobs=-j$(nproc 2>/dev/null || echo 2)
case $MAKEFLAGS in *jobserver*) jobs= ;; esac
$make --no-print-directory $jobs B="$own" CFLAGS="-O2 -static-libgcc" program "$own/calibrate" \
    WITHOUT="openblas papi benchmark gnuplot ffmpeg jansson hwloc sentencepiece" || stop 2 "it does not build"
grep -q '^#define BUILD_WITHOUT .*cuda' "$own/build_info.h" &&
    stop 3 "nvcc is not on this machine, and a bundle without CUDA is of no use"

rm -rf "$folder"
mkdir -p "$folder/lib" || exit 2
cp "$own/patchmark" "$folder/patchmark"
cp "$own/calibrate" "$folder/calibrate"
strip "$folder/patchmark" "$folder/calibrate" 2>/dev/null
cp "$here/gpu_check.sh" "$folder/gpu-check"
cp "$here/gpu_shapes.txt" "$here/peer_pytorch.py" "$folder/"
cp tests/emu/calibration.tsv "$folder/" 2>/dev/null ||
    echo "gpu-bundle: there is no tests/emu/calibration.tsv; the wrappers will not be compared" >&2
"$here/cuda_report.sh" "$own" >"$folder/cuda-report.txt"
cp LICENSE "$folder/"

# Parts of the compiler's runtime; gpu-check uses them only where the machine has none.
ldd "$folder/patchmark" "$folder/calibrate" |
    awk '/lib(gomp|stdc\+\+|gcc_s)\.so/ && $3 ~ /^\// { print $3 }' | sort -u |
    while read -r library; do cp -L "$library" "$folder/lib/"; done

glibc=$(objdump -T "$folder/patchmark" "$folder/calibrate" "$folder"/lib/* 2>/dev/null |
    grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
cuda=$("${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}" --version |
    sed -n 's/.*release \([0-9.]*\),.*/\1/p')
commit=$(sed -n 's/#define BUILD_COMMIT "\(.*\)"/\1/p' "$own/build_info.h")
cat >"$folder/README" <<END
Patchmark $commit for $(uname -m) Linux with glibc ${glibc#GLIBC_} or newer and an NVIDIA driver that
serves CUDA $cuda: ./gpu-check checks and times the GPU in under 8 minutes and leaves records, logs and
a summary in gpu-check.out/. The head of that script says what can be chosen.
cuBLASLt and cuDNN are not in here: where the loader finds them, they are measured too.
END
tar -C "$build" -czf "$build/gpu-bundle.tar.gz" gpu-bundle || exit 2
bytes=$(stat -c %s "$build/gpu-bundle.tar.gz")
[ "$bytes" -le $((30 << 20)) ] || stop 1 "$build/gpu-bundle.tar.gz has $bytes bytes, over 30 MiB"
echo "  built  $build/gpu-bundle.tar.gz ($((bytes >> 10)) KiB): unpack it there, then ./gpu-check"
