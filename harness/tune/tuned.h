// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tuned.h   results/<machine>/tuned.tsv: which variant with which knobs serves a shape bucket on this
 * machine, as `patchmark tune` found it.
 *
 * Tab-separated text. Every line ends in 16 hex digits, FNV-1a over all text before them from the
 * beginning of the file on, so that no byte can change, no line go, come or move unseen:
 *   patchmark tuned 1, machine                                    the first line
 *   place, bucket, variant, knobs, source, against, source, gain, lo, hi, utc, commit
 *   end, number of lines between
 * Read all or nothing. Bytes from outside: whatever is wrong is one sentence that names the line. */
#ifndef PATCHMARK_TUNED_H
#define PATCHMARK_TUNED_H

#include "base/json.h"
#include "tune/bucket.h"
#include "variant/registry.h"

struct tuned_line {
    char place[96];            /* "cpu-2t", "nvidia-h200": where it was timed */
    char bucket[BUCKET_BYTES]; /* bucket.h; place and bucket together are the key */
    char variant[64], knobs[160];
    uint64_t source; /* registry_entry.source_hash of the variant when it was timed */
    char against[64];
    uint64_t against_source; /* what it was faster than: the choice without this line */
    double gain, lo, hi;     /* time of `against` over its own, and the 95 % interval */
    char utc[24], commit[48];
};

struct tuned;

/* The default place of the table below a folder of results; until the next call. */
const char *tuned_path(const char *results);
/* Where work is done, as the first field says it: the CUDA device that --device chose, or the CPU
 * with so many threads. */
void tuned_place(int threads, char *out, size_t bytes);

/* ST_UNAVAILABLE where there is no such file, ST_BAD_INPUT with a sentence where it must not be
 * used: cut short, changed, of another version or machine. Nothing of it is kept then. */
enum status tuned_read(const char *path, struct tuned **out, struct fault *fault);
void tuned_free(struct tuned *t); /* NULL too */
int tuned_count(const struct tuned *t);
const struct tuned_line *tuned_at(const struct tuned *t, int index);
const struct tuned_line *tuned_find(const struct tuned *t, const char *place, const char *bucket);
const char *tuned_hash(const struct tuned *t); /* of the file, 16 hex digits */

/* Whether both variants of a line are in this build as they were when it was made. */
bool tuned_is_fresh(const struct tuned_line *line);
/* Lines of a place that are not. */
int tuned_stale(const struct tuned *t, const char *place);

/* Lines of `add` replace those of their keys; of `drop` only the keys matter. Under a lock, into a
 * file that appears whole or not at all. A table that must not be used is kept beside it, and
 * *kept_aside says under what name ("" otherwise). */
enum status tuned_merge(const char *path, const struct tuned_line *add, int adds,
                        const struct tuned_line *drop, int drops, char *kept_aside, size_t bytes,
                        struct fault *fault);

/* What came of the table of tuned kernels. */
struct tuned_use {
    bool asked;          /* a table was named and is there, or must not be used */
    const char *file;    /* as it was named */
    char hash[17];       /* of the file; "" where it was not used */
    char why[1024];      /* one sentence where it must not be used, else "" */
    int lines, stale;    /* of this place; stale: of kernels that changed since */
    int tuned, problems; /* distinct problems of the plan that it decided, and all that variants
                            serve */
};
/* Member `tuned` of a record: the figures, or null with the reason. untuned: --untuned was given. */
void tuned_use_json(const struct tuned_use *use, bool untuned, struct json *j);

#endif
