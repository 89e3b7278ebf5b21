#!/bin/bash
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# bench.sh BUILD   What `make bench` does with the program it built: a clip, the parity table,
# kernel and pipeline times, a published model sampled, plots. A step that fails does not stop the next; the first failure is
# the exit code. What this build or machine lacks (exit code 3) is said by the program and is no
# failure.
build=${1:-build}
program=$build/patchmark
clip=plots/out/clip.mp4
grep -q '^#define BUILD_WITHOUT .*ffmpeg' "$build/build_info.h" && clip=plots/out/clip.y4m
result=0

step() {
    echo
    echo "== $1"
    shift
    SECONDS=0
    "$program" "$@"
    local code=$?
    echo "-- $SECONDS s"
    case $code in
        0 | 3) ;;
        130 | 143) exit $code ;;
        *)
            echo "-- failed with exit code $code: $program $*"
            [ $result != 0 ] || result=$code
            ;;
    esac
}

mkdir -p plots/out
step "A clip from a prompt" generate --model tiny --prompt "a red ball rolls to the left" \
    --size 192x112 --seconds 2 --steps 8 -o "$clip"
step "Parity: every variant against the double-precision reference" verify
step "What this machine reaches" roofline --rounds 6
for op in linear attention conv3d; do
    step "Kernels: $op" kernels "$op"
done
step "Pipeline: sizes and durations" run --suite quick --budget 6
step "A real model: Wan 2.1 1.3B, 5 s at 832x480, 50 steps, sampled" run --sample \
    --model wan2.1-t2v-1.3b --size 832x480 --frames 81 --steps 50 --budget 40
# The folder that was just written is this machine's; committed records of others stay out of it.
machine=$(ls -td results/*/ 2>/dev/null | head -n 1)
step "Plots" plot $machine

echo
echo "clip     $clip"
echo "records  ${machine:-none}"
echo "plots    plots/out/ ('$program plot' sets every machine of results/ side by side)"
exit $result
