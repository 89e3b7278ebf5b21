#!/bin/sh
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# fake_engine.sh HOW   An engine (harness/external/external.h) of two steps that makes nothing: for
# tests of what becomes of good ones and every kind of bad one. Needs a shell and coreutils alone.
how=$1
ours=$2 # a folder with what `generate --dump` wrote of the same case; of silent: where its pid goes

read -r first
case $how in
exits) exit 3 ;;
dies) kill -SEGV $$ ;;
silent) sleep 1000 & echo $! >"$ours" && wait ;;
garbage) echo 'Loading weights: 100%' ;;
cut) printf '{"event": "ready", "protocol": 1' && exit 0 ;;
refuses) echo '{"event": "fail", "status": "refused", "reason": "only on Tuesdays"}' && exit ;;
full) echo '{"event": "fail", "status": "out_of_memory", "reason": "24 GiB are not enough"}' && exit ;;
esac
protocol=1 weights=own text=prompt
case $how in
later) protocol=2 ;;
copies | scaled | once) weights=folder ;;
rows) text=embeds ;;
esac
echo "{\"event\": \"ready\", \"protocol\": $protocol, \"name\": \"fake\", \"version\": \"1\"," \
    "\"libraries\": {\"sh\": \"posix\"}, \"device\": \"cpu\", \"weights\": \"$weights\"," \
    "\"text\": \"$text\", \"load_ns\": 1000}"

latents=$(printf %s "$first" | sed 's/.*"latents":"\([^"]*\)".*/\1/')
frames=$(printf %s "$first" | sed 's/.*"frames":"\([^"]*\)".*/\1/')
dump() {
    case $how in
    copies) cp "$ours/latents_final.safetensors" "$latents" && cp "$ours/frames.safetensors" "$frames" ;;
    once) [ "$clip" = 0 ] && cp "$ours/latents_final.safetensors" "$latents" ;;
    scaled) cp "$ours/other.safetensors" "$latents" ;;
    esac
}

hash=abc
while read -r go; do
    start=$(date +%s%N)
    clip=$(printf %s "$go" | sed 's/.*"clip": \([0-9]*\).*/\1/')
    case $go in *'"end"'*) exit 0 ;; *'true'*) dump ;; esac
    echo '{"event": "progress", "share": 0.5}'
    sleep 0.1
    total=$(($(date +%s%N) - start)) steps='40000000, 40000000'
    case $how in
    fast) total=1000000 steps='400000, 400000' ;;
    short) steps='80000000' ;;
    sums) steps='80000000, 80000000' ;;
    hangs) [ "$clip" = 2 ] && sleep 1000 ;;
    leaves) [ "$clip" = 2 ] && exit 0 ;;
    varies) hash=$clip ;;
    esac
    denoise=$((total * 9 / 10))
    echo "{\"event\": \"clip\", \"clip\": $clip, \"total_ns\": $total, \"text_ns\": null," \
        "\"denoise_ns\": $denoise, \"decode_ns\": 1000, \"step_ns\": [$steps], \"frames_hash\": \"$hash\"}"
done
