#!/bin/bash
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# gpu_check.sh [BUILD]   What `make gpu-check` and a bundle's ./gpu-check do on a machine with a
# GPU: the parts below in this order, most important first, each with its share of the time that is
# left. What one writes stays when a later one fails, and what is missing is said, never skipped
# silently. Exit 1: a check failed; 3: there is no GPU to check. By environment:
#   GPU_CHECK=parity,attention   these parts alone     GPU_CHECK_SECONDS  for all together (470)
#   GPU_CHECK_OUT   folder of logs and summary         GPU_DEVICE   cuda:0
#   RESULTS         folder of records                  PATCHMARK, CALIBRATE   the programs
# parts: name and share
PARTS="facts:1 calibration:3 parity:14 attention:7 linear:6 conv3d:5 elementwise:4 peer:6
       sanitizer:9 pipeline:6 roofline:3 decode:4"

here=$(dirname "$0")
build=${1:-build}
device=${GPU_DEVICE:-cuda:0}
total=${GPU_CHECK_SECONDS:-470}
if [ -x "$here/patchmark" ]; then # a bundle
    build=$here shapes=$here/gpu_shapes.txt expected=$here/calibration.tsv
    out=${GPU_CHECK_OUT:-$here/gpu-check.out}
else
    shapes=$here/gpu_shapes.txt expected=tests/emu/calibration.tsv
    out=${GPU_CHECK_OUT:-$build/gpu-check.out}
fi
program=${PATCHMARK:-$build/patchmark}
calibrate=${CALIBRATE:-$build/calibrate}
if [ -n "$RESULTS" ]; then results=$RESULTS
elif [ -n "$GPU_CHECK_OUT" ] || [ "$build" = "$here" ]; then results=$out/results
else results=results
fi

# Where libraries lie that the loader does not look for: the Toolkit's, those of Python's packages,
# and the compiler's runtime that a bundle brings along. For the program alone: PyTorch has its own.
libraries() {
    local python=
    command -v python3 >/dev/null &&
        python=$(python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null)
    ls -d "${CUDA_HOME:-/usr/local/cuda}"/lib64 ${python:+"$python"/*/lib} 2>/dev/null
    ! ldd "$program" 2>/dev/null | grep -q 'not found' || echo "$here/lib"
}

names=$(for part in $PARTS; do echo "${part%:*}"; done)
wanted=$(echo "${GPU_CHECK:-$names}" | tr ', ' '\n\n' | grep .)
for part in $wanted; do
    if ! echo "$names" | grep -qx "$part"; then
        echo "gpu-check: GPU_CHECK names '$part', which is none of:" $names >&2
        exit 2
    fi
done
if [ ! -x "$program" ]; then
    echo "gpu-check: there is no program $program; 'make program' builds it" >&2
    exit 2
fi
path=$({ echo "$LD_LIBRARY_PATH"; libraries; } | grep . | paste -sd:)
# What knows no --device sees one alone.
alone=(env)
[ "$device" = cuda:0 ] || alone=(env CUDA_VISIBLE_DEVICES="${device#*:}")
run=(env ${path:+LD_LIBRARY_PATH="$path"} "$program")

rm -rf "$out/logs"
mkdir -p "$out/logs" "$results" || exit 2
summary=$out/summary.tsv
: >"$summary"
exec > >(tee "$out/log.txt") 2>&1
tee=$!
failed=0

# ---- one step ------------------------------------------------------------------------------------

left() { echo $((total - SECONDS)); }

# note STATE ITEM TEXT: one line of the summary.
note() {
    printf '%s\t%s\t%s\t%s\n' "$part" "$2" "$1" "$3" >>"$summary"
}

# sums: of the tables in the logs, what a model's convolutions of one decode chunk take together, by
# the library variants and by the best of each shape; said with how many of the shapes were timed.
sums() {
    cat "$shapes" "$out"/logs/conv3d.txt "$out"/logs/decode.txt 2>/dev/null | awk '
        !/^#/ && ($1 == "conv3d" || $1 == "decode") && NF >= 5 && $5 ~ /bf16$/ {
            model[$5] = $2; times[$5] = $4; total[$2]++
        }
        /^conv3d:/ && NF == 1 { shape = $1 }
        /^  [a-z0-9_]+ +(passed|unstable) / && (shape in model) {
            ms = $3 * ($4 == "s" ? 1e3 : $4 == "us" ? 1e-3 : $4 == "ns" ? 1e-6 : 1)
            if ($1 ~ /_00_/ && (!(shape in base) || ms < base[shape])) base[shape] = ms
            if (!(shape in best) || ms < best[shape]) best[shape] = ms
        }
        END {
            for (s in best) {
                m = model[s]; seen[m]++; sum[m] += times[s] * best[s]
                if (s in base) { library[m] += times[s] * base[s]; known[m]++ }
            }
            for (m in seen)
                printf "%s\tbest %.2f ms, %d of %d shapes; library variants %.2f ms, %d of them\n",
                    m, sum[m], seen[m], total[m], library[m], known[m]
        }' | sort
}

# finish: the summary as a table, and the exit code.
finish() {
    part=decode
    while IFS=$'\t' read -r model text; do
        note measured "convolutions of one decode chunk of $model" "$text"
    done < <(sums)
    echo
    echo "== summary, $SECONDS s"
    awk -F'\t' '{ printf "%-12s %-12s %s%s\n", $1, $3, $2, $4 == "" ? "" : ": " $4 }' "$summary"
    awk -F'\t' '{ n[$3]++ } END { for (s in n) print n[s], s }' "$summary" | sort -rn |
        paste -sd, | sed 's/,/, /g'
    echo "logs and summary in $out/, records in $results/"
    exec >&- 2>&-
    wait "$tee"
    exit "$1"
}

# attempt SECONDS ITEM LOG COMMAND...: runs the command, at most so long and never past the end of
# all. Its output goes to LOG and is shown from there: a process that it leaves behind must not hold
# a pipe open. Returns its code, 124 where the time was up, 125 where none was left.
attempt() {
    local seconds=$1 item=$2 log=$out/logs/$3.txt code begin
    shift 3
    [ "$seconds" -le "$(left)" ] || seconds=$(left)
    if [ "$seconds" -lt 3 ]; then
        note unavailable "$item" "no time was left for it"
        return 125
    fi
    echo "-- $item"
    echo "\$ $*" >>"$log"
    begin=$(wc -c <"$log")
    timeout -k 5 "$seconds" "$@" >>"$log" 2>&1 </dev/null
    code=$?
    tail -c +$((begin + 1)) "$log"
    case $code in
        124 | 137 | 143)
            note unfinished "$item" "stopped after $seconds s: $(detail "$log")"
            return 124
            ;;
        130) finish 130 ;;
    esac
    return $code
}

# step: as attempt, and the code decides: 3 is "cannot run here", as is a device with too little
# memory; any other but 0 is a failure.
step() {
    local item=$2 log=$out/logs/$3.txt code
    attempt "$@"
    code=$?
    [ $code != 2 ] || ! detail "$log" | grep -q "of the CUDA device's memory" || code=3
    case $code in
        0) note passed "$item" "$(detail "$log")" ;;
        3) note unavailable "$item" "$(detail "$log")" ;;
        124 | 125) ;;
        *) failed=1; note failed "$item" "exit code $code: $(detail "$log")" ;;
    esac
    # A table cut short may have said enough.
    if [ $code = 124 ] && grep -qE '  (wrong|nonfinite|crashed)( |$)' "$log"; then
        failed=1
        note failed "$item" "before it was stopped"
    fi
    return "$code"
}

# detail LOG: the last line that says something.
detail() {
    grep -v -e '^ *$' -e '^record: ' -e '^\$ ' -e ': interrupted$' "$1" | tail -n 1 |
        sed 's/^ *//' | tr '\t' ' ' | cut -c1-160
}

# ---- the parts -----------------------------------------------------------------------------------

facts() {
    step 20 "what the device is" facts "${run[@]}" roofline --device "$device" --facts
    if command -v nvidia-smi >/dev/null; then
        step 10 "nvidia-smi" facts nvidia-smi
    else
        note unavailable nvidia-smi "not on this machine"
    fi
}

# Every wrapper of target/gpu.h on known inputs: the hardware's own answers are kept, to hold the
# emulation to them, and compared with those that the emulation is held to now.
calibration() {
    if [ ! -x "$calibrate" ]; then
        note unavailable "wrappers of target/gpu.h" "there is no program $calibrate"
        return
    fi
    step "$1" "answers of the wrappers" calibration \
        "${alone[@]}" "$calibrate" "$out/calibration.tsv"
    if [ -e "$expected" ]; then
        step "$1" "wrappers against emulation" calibration \
            "${alone[@]}" "$calibrate" --compare "$expected"
    else
        note unavailable "wrappers against emulation" "there is no $expected"
    fi
}

# targets PATTERN [OP]: of the variants that can run here, targets that match, each once.
targets() {
    echo "$variants" | awk -v op="${2:-.*}" -v pattern="$1" '
        / runs here/ && $1 ~ "^" op "/" && $2 ~ pattern && !seen[$2]++ { print $2 }'
}

# Our own variants first, a target at a time: a library that takes its time must not cost them
# theirs.
parity() {
    local end=$((SECONDS + $1)) op_end=$((SECONDS + $1 * 7 / 10)) found target
    found=$(targets '^(cuda|sm[0-9]+)$'; targets '^cu(dnn|blaslt)$')
    for target in ${found:-every}; do
        local glob=("${target}_*")
        [ "$target" != every ] || glob=()
        step $((op_end - SECONDS)) "$target variant against the reference" parity_op \
            "${run[@]}" verify "${glob[@]}" --device "$device" --level op --results "$results"
    done
    step $((end - SECONDS)) "whole pipeline against the reference" parity_pipeline \
        "${run[@]}" verify --device "$device" --level pipeline --results "$results"
}

# lines PART: seconds, shape and what is left out of each line of the shape file.
lines() { awk -v part="$1" '!/^#/ && $1 == part { print $3, $5, $6 }' "$shapes"; }

# timings PART SECONDS: each line against the other variants of its op, until the part's time is up.
timings() {
    local end=$((SECONDS + $2)) seconds shape without
    while read -r seconds shape without <&3; do
        if [ $((end - SECONDS)) -lt "$seconds" ] && [ "$SECONDS" -gt $((end - $2)) ]; then
            note unavailable "$shape" "this part's time was up"
            continue
        fi
        step $((3 * seconds)) "$shape" "$1" "${run[@]}" kernels "${shape%%:*}/*" --shape "$shape" \
            --device "$device" --budget "$seconds" --results "$results" \
            ${without:+--without "$without"}
        [ -z "$without" ] || note unavailable "$shape" "$without left out, too slow for this shape"
    done 3< <(lines "$1")
}

peer() {
    local script=$here/peer_pytorch.py
    if ! command -v python3 >/dev/null; then
        note unavailable PyTorch "python3 is not on this machine"
    elif ! python3 -c 'import torch' 2>/dev/null; then
        note unavailable PyTorch "python3 has no torch"
    else
        step "$1" "PyTorch at the same shapes" peer "${alone[@]}" python3 "$script" \
            --shapes "$shapes" --device "${device%:*}" --results "$results" \
            --budget "$(($1 > 16 ? $1 - 8 : 8))"
    fi
}

# sanitize TOOL OP... : the lines of these ops under one tool, our own variants alone: libraries
# have many kernels, which all would be instrumented first. The tool's own words decide, because the
# exit code may be that of a variant the reference disagrees with; warnings of hazards are said, no
# more. A tool that does not work here is not tried again.
sanitize() {
    local tool=$1 shape target
    while read -r _ shape <&3; do
        [[ " $* " = *" ${shape%%:*} "* ]] && [ -n "$sanitizer" ] || continue
        for target in $(targets '^(cuda|sm[0-9]+)$' "${shape%%:*}"); do
            sanitize_one "$tool" "${target}_*" "$shape"
        done
    done 3< <(lines sanitizer)
}

sanitize_one() {
    local item="$1 $2 $3" log=sanitizer_$((number += 1)) said code
    attempt 40 "$item" "$log" "$sanitizer" --tool "$1" --target-processes all "${run[@]}" \
        verify "${3%%:*}/$2" --level op --device "$device" --bare --shape "$3" --timeout 40
    code=$?
    [ $code -lt 124 ] || return
    log=$out/logs/$log.txt
    said=$(grep 'SUMMARY:' "$log" | tail -n 1)
    if [ $code = 3 ]; then
        note unavailable "$item" "$(detail "$log")"
    elif grep -qE '^=+ .*(not supported|Internal .*[Ee]rror)' "$log" || [ -z "$said" ]; then
        note unavailable "$item" \
            "$(grep -m 1 '^=.* [Ee]rror\|not supported' "$log" || detail "$log")"
        sanitizer=
    elif ! grep 'SUMMARY:' "$log" | grep -qvE 'SUMMARY: 0 (errors|hazards)'; then
        note passed "$item" "$said"
    elif ! grep 'SUMMARY:' "$log" | grep -qvE 'SUMMARY: 0 (errors|hazards)|\(0 errors'; then
        note warnings "$item" "$said"
    else
        failed=1
        note failed "$item" "$said"
    fi
}

sanitizer() {
    sanitizer=$(command -v compute-sanitizer ||
        ls "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer" 2>/dev/null)
    if [ -z "$sanitizer" ]; then
        note unavailable compute-sanitizer "not on this machine"
        return
    fi
    local end=$((SECONDS + $1)) whole=$total tool number=0
    [ "$end" -ge "$total" ] || total=$end
    for tool in memcheck racecheck synccheck initcheck; do
        sanitize $tool attention linear conv3d
    done
    sanitize memcheck modulate qk_norm_rope norm_silu upsample average_down duplicate_up elementwise \
        sampler_step ddpm_step to_rgb patchify unpatchify embedding rms_norm time_embed
    total=$whole
}

pipeline() {
    local clip="--prompt a-lighthouse-in-a-storm --device $device"
    local tiny="--model tiny --size 128x72 --frames 17 --steps 4"
    step $(($1 / 4)) "a clip of the model tiny" pipeline "${run[@]}" generate $tiny $clip \
        --ops -o "$out/tiny.y4m"
    step $(($1 / 4)) "the same clip, a graph for each step" pipeline "${run[@]}" generate $tiny \
        $clip --launch graph -o "$out/graph.y4m"
    if [ -e "$out/tiny.y4m" ] && [ -e "$out/graph.y4m" ] &&
        ! cmp -s "$out/tiny.y4m" "$out/graph.y4m"; then
        failed=1
        note failed "frames by graphs" "they differ from those by calls in a stream"
    fi
    step $(($1 / 2)) "one step of wan2.1-t2v-1.3b" pipeline "${run[@]}" generate \
        --model wan2.1-t2v-1.3b $clip --dtype bf16 --size 832x480 --frames 17 --steps 1 --ops \
        -o "$out/wan.y4m"
}

roofline() {
    step 45 "memory, buses and library products" roofline "${run[@]}" roofline --device "$device" --results "$results"
    timings roofline $(($1 * 2 / 3))
}

# ---- all of them, or why not ---------------------------------------------------------------------

answer=$(timeout 60 "${run[@]}" roofline --device "$device" --facts 2>&1)
code=$?
if [ $code != 0 ]; then
    why=$(echo "$answer" | tail -n 1)
    timeout 60 "${run[@]}" roofline --device "$device" --results "$results" \
        >"$out/logs/facts.txt" 2>&1
    why=${why#patchmark: }
    for part in $wanted; do note unavailable "$part" "$why"; done
    echo "gpu-check: ${why:-the program ended with exit code $code without a word}"
    exec >&- 2>&-
    wait "$tee"
    [ $code = 3 ] && exit 3
    exit 1
fi

variants=$(timeout 60 "${run[@]}" list variants 2>/dev/null)
# Where the driver lets go of a GPU that nobody holds, every process below would wait for its start.
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --loop=600 >/dev/null 2>&1 </dev/null &
    trap "kill $! 2>/dev/null" EXIT
fi

todo=0
for part in $PARTS; do
    echo "$wanted" | grep -qx "${part%:*}" && todo=$((todo + ${part#*:}))
done
for row in $PARTS; do
    part=${row%:*} share=${row#*:}
    echo "$wanted" | grep -qx "$part" || continue
    seconds=$(($(left) * share / todo))
    todo=$((todo - share))
    echo
    echo "== $part, at most $seconds s"
    case $answer:$part in
        *"(emulated)"*:facts | *"(emulated)"*:calibration | *"(emulated)"*:parity)
            "$part" "$seconds" ;;
        *"(emulated)"*) note unavailable "$part" "an emulated device is never timed" ;;
        *:attention | *:linear | *:conv3d | *:elementwise | *:decode) timings "$part" "$seconds" ;;
        *) "$part" "$seconds" ;;
    esac
done
finish $failed
