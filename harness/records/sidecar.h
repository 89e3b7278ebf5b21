// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sidecar.h   Every sample as it was taken, and the file that keeps them beside a record:
 * results/<machine>/<utc>-<commit>.samples. All numbers are little-endian:
 *   "PMSAMPLE", u32 version 1, u32 bytes of an entry (17)
 *   entries: f64 seconds, f32 clock in MHz or NaN, u8 flags, u32 block
 *   "PMSAMEND", u64 entries, 64 hex digits: SHA-256 of all that stands before these 80 bytes
 * A case's entries stand together; its record says where, how many, and their SHA-256. Written to a
 * .part file first, which is synced and renamed. */
#ifndef PATCHMARK_SIDECAR_H
#define PATCHMARK_SIDECAR_H

#include "base/json.h"

/* One sample: seconds of one run, of a pipeline of one clip. */
struct raw_sample {
    double seconds;
    float mhz;     /* clock while its block ran; NaN: it cannot be read here */
    uint8_t flags; /* RAW_* */
    uint32_t block;
};

/* Why a sample is in no statistic (DISCARDED, with at least one reason), or looks odd and is. */
enum {
    RAW_DISCARDED = 1,
    RAW_OUTLIER = 2, /* more than ten deviations from the median: kept */
    RAW_CLOCK = 4,   /* the processor was slower than it had settled at */
    RAW_THROTTLE = 8,
    RAW_STEAL = 16,
    RAW_MIGRATION = 32,
    RAW_QUOTA = 64
};

/* Zero-initialised; raw_free. */
struct raw {
    struct raw_sample *at;
    int64_t count, room;
    uint32_t blocks;
};
/* The samples of one more block, in the order taken; false: no memory. */
bool raw_add(struct raw *r, const double *seconds, int64_t count, double mhz, uint8_t flags);
void raw_free(struct raw *r);

/* Flags entries that lie more than ten deviations from the median, the deviation estimated by the
 * median absolute one (as hyperfine warns); they are kept. Discarded entries are no part of it. Where
 * over half are equal nothing can be said of the rest. How many were flagged. */
int64_t raw_flag_outliers(struct raw *r);

/* Where a case's samples are. */
struct sidecar_place {
    char file[96]; /* its last name; "": nothing was kept */
    int64_t offset, count;
    char sha256[65];
};
/* Member `raw`, or null: no record is kept. */
void sidecar_json(const struct sidecar_place *p, struct json *j);

struct sidecar;
/* ST_REFUSED, without a sentence, where the file exists or another process writes it. */
enum status sidecar_create(const char *path, struct sidecar **out, struct fault *fault);
/* Goes on with the .part file that sidecar_leave, or a process that was killed, left: its first
 * `bytes` bytes are kept. A file that was ended while its record was not is opened again. */
enum status sidecar_resume(const char *path, int64_t bytes, struct sidecar **out,
                           struct fault *fault);
enum status sidecar_add(struct sidecar *s, const struct raw *raw, struct sidecar_place *out,
                        struct fault *fault);
int64_t sidecar_bytes(const struct sidecar *s);                     /* so far */
enum status sidecar_sync(struct sidecar *s, struct fault *fault);   /* so far, onto the disk */
enum status sidecar_commit(struct sidecar *s, struct fault *fault); /* end, digest, name */
void sidecar_leave(struct sidecar *s);                              /* frees; the .part stays */
void sidecar_free(struct sidecar *s);                               /* without commit: removes it */

/* The samples of one case, after the whole file was held to its end and digest. ST_BAD_INPUT in one
 * sentence where it is truncated, changed, of another kind or version, or not the place's. */
enum status sidecar_read(const char *path, const struct sidecar_place *place, struct raw *out,
                         struct fault *fault);

#endif
