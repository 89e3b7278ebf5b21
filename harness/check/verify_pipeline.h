// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify_pipeline.h   Parity above single ops: blocks, steps, final latent and frames with plans
 * swapped in, against the gates of design section 3. */
#ifndef PATCHMARK_VERIFY_PIPELINE_H
#define PATCHMARK_VERIFY_PIPELINE_H

#include "op.h"

struct record_file;

/* The clip that plans are compared on: small enough for the double reference, with a tail to crop
 * in every direction and two chunks. */
#define PARITY_MODEL "tiny"
#define PARITY_PROMPT "a red ball rolls to the left"
enum {
    PARITY_WIDTH = 40,
    PARITY_HEIGHT = 24,
    PARITY_FRAMES = 4,
    PARITY_STEPS = 3,
    PARITY_SEED = 42, /* of the first noise; the next noise has the next one */
    PARITY_GUIDANCE = 5,
    PARITY_HALF_GUIDANCE = 1, /* of whole pipelines in half types: see parity_worker.c */
    PARITY_HALF_NOISES = 4
};

/* What the worker found of one plan. */
struct parity_row {
    char plan[160], type[16], fill[16], device[16]; /* plan: the words of --kernels */
    char served[2048];                              /* "op=variant ..."; "": it was not planned */
    double block, step, latent, psnr;
    double gate_latent, gate_psnr; /* infinite: an approximate plan, which has no gate */
    enum status status;
    char reason[512];
};

struct parity_request {
    const char *glob;           /* variants as in verify, each a plan; NULL: the usual plans */
    const char *const *devices; /* "cpu", "cuda:0", NULL-terminated, a table each */
    int threads;
    bool text;
    struct record_file *record; /* takes a case for each row; NULL: none is kept */
};

/* bf16 and f16 are judged by the half types' noises and guidance. */
bool parity_is_half(const struct parity_row *row);

/* Prints to out; returns an exit code. text false: prints exactly one JSON value, null where it
 * fails early; verify puts it into its document. */
int verify_pipeline(const struct parity_request *request, FILE *out, struct fault *fault);

#endif
