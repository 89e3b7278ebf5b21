// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sidecar.h   Every sample as it was taken, and the file that keeps them beside a record:
 * results/<machine>/<utc>-<commit>.samples. All numbers are little-endian:
 *   "PMSAMPLE", u32 version 1, u32 bytes of an entry (17)
 *   entries: f64 seconds, f32 clock in MHz or NaN, u8 flags, u32 block
 *   "PMSAMEND", u64 entries, 32 bytes: SHA-256 of all that stands before these 48 bytes
 * A case's entries stand together; its record says where, how many, and their SHA-256. */
#ifndef PATCHMARK_SIDECAR_H
#define PATCHMARK_SIDECAR_H

#include "json.h"

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

#endif
