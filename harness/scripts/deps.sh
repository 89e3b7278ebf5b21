#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# deps.sh GOAL...   Set-up before the build: installs what this machine lacks, or says in one line
# each what is switched off without it. Silent where everything is there; never asks. What $WITHOUT
# names (or "all") is neither probed nor installed. For gpu-check and gpu-bundle nothing is
# installed: such a machine is often without a network, and its minutes are dear. Exit 2: the build
# cannot go on.
export LC_ALL=C
goals=" $* "
without=" ${WITHOUT:-} "
cc=${CC:-gcc}
cxx=${CXX:-g++}

# name | probe | Debian packages | what is off without it
features="\
openblas|pkg-config --exists openblas|libopenblas-dev|OpenBLAS variants
papi|pkg-config --exists papi|libpapi-dev|hardware counters
benchmark|command -v $cxx && pkg-config --exists benchmark|libbenchmark-dev g++|\
timing through Google Benchmark (a plain loop times instead)
gnuplot|command -v gnuplot|gnuplot-nox|pictures of plots (their data files are still written)
ffmpeg|pkg-config --exists libavformat libavcodec libswscale libavutil|\
libavformat-dev libavcodec-dev libswscale-dev libavutil-dev|\
.mp4, .gif and .png files and scaling (.y4m and .ppm need no library)
jansson|pkg-config --exists jansson|libjansson-dev|reading records back (plot, export, gate)
hwloc|pkg-config --exists hwloc|libhwloc-dev|places of threads by hwloc (/sys tells of less)
sentencepiece|command -v $cxx && pkg-config --exists sentencepiece|libsentencepiece-dev g++|\
prompts with published checkpoints (--prompt-embeds alone)"

say() { echo "set-up: $*" >&2; }
stop() { say "$*"; exit 2; }
listed() { case $1 in *" $2 "*) return 0 ;; esac; return 1; }
has() { sh -c "$1" >/dev/null 2>&1; }

# Compiles and links the C source on stdin; the compiler's words go to stderr.
builds() {
    binary=$(mktemp) || stop "no temporary file can be made in ${TMPDIR:-/tmp}"
    $cc -x c - -o "$binary" "$@"
    built=$?
    rm -f "$binary"
    return $built
}
openmp() { echo '#include <omp.h>
int main(void) { return omp_get_max_threads() < 1; }' | builds -fopenmp; }
cmocka() { echo '#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
int main(void) { return _cmocka_run_group_tests("", NULL, 0, NULL, NULL); }' | builds -lcmocka; }

check_names() {
    for name in ${WITHOUT:-}; do
        listed " all cuda openblas papi benchmark gnuplot ffmpeg jansson hwloc sentencepiece " "$name" ||
            stop "WITHOUT names '$name', which is none of: all openblas papi benchmark gnuplot" \
                "ffmpeg jansson hwloc sentencepiece cuda"
    done
}

# Fills needed (Debian packages) and off (one line per missing feature).
probe() {
    needed=
    off=
    has "command -v $cc" && openmp 2>/dev/null || needed=" gcc libc6-dev"
    listed "$goals" test && { cmocka 2>/dev/null || needed="$needed libcmocka-dev"; }
    listed "$goals" test && ! has "command -v sqlite3" && {
        needed="$needed sqlite3"
        off="sqlite3 is missing: the test that reads 'export --format sql' with it is skipped
"
    }
    listed "$goals" test && ! has "dpkg-query -s libbenchmark-tools python3-scipy" && {
        needed="$needed libbenchmark-tools python3-scipy"
        off="${off}compare.py is missing: the test that reads 'export --format gbench' with it is skipped
"
    }
    listed "$without" all && return
    has "command -v pkg-config" || needed="$needed pkg-config"
    while IFS='|' read -r name check packages loss; do
        listed "$without" "$name" || has "$check" && continue
        needed="$needed $packages"
        off="$off$name is switched off ($packages missing): no $loss
"
    done <<END
$features
END
}

# Quiet unless it fails; then the last words of apt-get are shown.
install() {
    log=$(mktemp) || return 1
    say "installing$needed (apt-get)"
    {
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
            -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 $needed
    } </dev/null >"$log" 2>&1
    installed=$?
    [ $installed = 0 ] || { say "apt-get failed:"; tail -n 6 "$log" | sed 's/^/    /' >&2; }
    rm -f "$log"
    return $installed
}

check_names
probe
[ -n "$needed" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
    ! listed "$goals" gpu-check && ! listed "$goals" gpu-bundle; then
    install
    probe
fi
[ -n "$needed" ] || exit 0

say "to install what is missing, type (Debian, Ubuntu; elsewhere the packages of these libraries):"
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo "
echo "    ${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends$needed" >&2
has "command -v $cc" || stop "no C compiler: '$cc' is not found; nothing can be built without it"
openmp || stop "'$cc' cannot build a program with OpenMP (-fopenmp), which Patchmark needs"
if listed "$goals" test && ! cmocka 2>/dev/null; then
    stop "cmocka (libcmocka-dev) is missing, and make test needs it; make alone builds without it"
fi
printf '%s' "$off" | sed 's/^/set-up: /' >&2
