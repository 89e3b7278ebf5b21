// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* external.h   A case run by another stack (`run --engine COMMAND`), its figures of claim `external`.
 *
 * COMMAND is taken apart into words as a shell would, with ' " and \, and no shell sees it: $, *, |
 * and ; mean nothing. It runs in a process group of its own that is killed whole, is given the
 * environment of this program, and reads and writes lines of JSON on stdin and stdout:
 *
 *   us      {"patchmark_engine": 1, "case": {...}, "inputs": {...}, "outputs": {...}}
 *   engine  {"event": "ready", "protocol": 1, "name": "x", "version": "1", "libraries": {"y": "2"},
 *            "device": "cpu"|"cuda"|"other", "weights": "folder"|"own", "text": "prompt"|"embeds"|"none",
 *            "load_ns": N}
 *   us      {"event": "go", "clip": 0, "dump": true}            clip 0 warms up and is no sample
 *   engine  {"event": "clip", "clip": 0, "total_ns": N, "text_ns": N, "encode_ns": N,
 *            "denoise_ns": N, "decode_ns": N, "step_ns": [N, ...], "frames_hash": "...",
 *            "peak_bytes": N}
 *           ... a clip for each go ...
 *   us      {"event": "end"}, then the end of the file
 *
 * At any time {"event": "progress", "share": 0.5}, which keeps the deadline away, and
 * {"event": "fail", "status": "refused"|"unavailable"|"out_of_memory"|"crashed", "reason": "..."}.
 * `total_ns` runs from the prompt (or the given rows) in host memory to the last frame as bytes in
 * host memory; hashing and dumping come behind it, but in clips without a dump nothing long may:
 * our wall clock around a clip must agree. text_ns, encode_ns, decode_ns, load_ns, peak_bytes may be
 * null or left out. external_case_json() has the members of the case. */
#ifndef PATCHMARK_EXTERNAL_H
#define PATCHMARK_EXTERNAL_H

#include "base/words.h"
#include "run/run_case.h"

#define EXTERNAL_PROTOCOL 1
#define EXTERNAL_WORDS_MOST 120      /* of a command */
#define EXTERNAL_WALL_APART 0.05     /* our clock around a clip over the engine's own, less 1 */
#define EXTERNAL_WALL_SLACK_NS 5e6   /* and so much for lines and hashes */
#define EXTERNAL_CHECK_SECONDS 120.0 /* default of --engine-check */
/* What f32 must keep to, as plans of our own (parity). */
#define EXTERNAL_GATE_L2 1e-4
#define EXTERNAL_GATE_PSNR_DB 60.0

struct external {
    struct words command;
    char name[64], version[64], stack[136]; /* stack: both */
    char device[16], weights[16], text[16];
    struct json libraries;       /* an object */
    char weights_recipe[160];    /* of our own recipe, a JSON object; "": none was made */
    double load_ns;              /* NAN: not told */
    double wall_ns[SAMPLES_MAX]; /* ours, around each clip */
    double wall_ratio;           /* median of ours over the engine's; NAN: nothing timed */
    char frames_hash[72];        /* of clip 0 */
    bool repeatable;             /* every clip had that hash */
    bool compared, rechecked, gated;
    double latent_l2, psnr_db,
        max_abs;            /* the worse of both checks; NAN: that stage was not dumped */
    char not_compared[400]; /* why, where it is not */
};

/* Words of a command. ST_BAD_INPUT where there is none or a quote stays open. */
enum status external_words(const char *command, struct words *out, struct fault *fault);
/* What an engine cannot be asked for. */
enum status external_check(const struct case_spec *spec, struct fault *fault);

/* As run_case; whatever happens is in the outcome. */
void run_external(struct outcome *o, const struct run_limits *limits);
void external_free(struct external *x);

/* external_case.c: one object, the first line to the engine; paths NULL: none. */
struct external_paths {
    const char *noise, *embeds, *latents, *frames;
};
enum status external_case_json(const struct outcome *o, const struct external_paths *paths,
                               struct json *j, struct fault *fault);

/* external_truth.c: our own clip of the case and what both begin with, in a temporary folder. */
struct truth;
/* Draws the noise and, where that can be had within --engine-check and would mean anything, makes our
 * clip. Work and the machine's peak are put into the outcome. */
enum status truth_new(struct outcome *o, const struct run_limits *limits, struct truth **out,
                      struct fault *fault);
void truth_free(struct truth *t); /* deletes the folder */
void truth_paths(const struct truth *t, struct external_paths *out);
/* Reads what the engine dumped, holds it against ours, and deletes it. ST_WRONG where it is beyond a
 * gate or not of the clip's shape. */
enum status truth_compare(struct truth *t, struct outcome *o, struct fault *fault);

/* external_report.c: for records; lines under a row */
const char *external_ran_on(const struct outcome *o); /* "cpu", "cuda"; NULL: it did not say */
void external_json(const struct outcome *o, struct json *j);
void external_correctness_json(const struct outcome *o, struct json *j);
void external_row(const struct outcome *o, FILE *out);

#endif
