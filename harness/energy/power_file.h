// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* power_file.h   Watts that an instrument wrote down while we measured: a wall meter, a PDU, a
 * Redfish or IPMI reader. One line per sample, "TIME,WATTS", in the order of time:
 *
 *   # source: Yokogawa WT310E          what measured, free text
 *   # scope: system                    what it saw: system, chassis, package or board
 *   time,watts                         a heading, or none
 *   2026-01-31T23:59:00.250Z,412.5     UTC, or with an offset as +01:00
 *   1769903940.25,412.5                or seconds since 1970
 *
 * Other lines that begin with '#', and empty ones, are passed over; so is a last line without its
 * end, because the instrument may be writing it. */
#ifndef PATCHMARK_POWER_FILE_H
#define PATCHMARK_POWER_FILE_H

#include "op.h"

struct power_sample {
    double utc_s, watts; /* since 1970 */
};

struct power_file {
    struct power_sample *sample; /* in the order of time; power_file_free */
    int64_t count;
    char source[96], scope[16]; /* "" where the file does not say */
};

/* ST_BAD_INPUT with file and line where it is not as above. A file without samples is read. */
enum status power_file_read(const char *path, struct power_file *out, struct fault *fault);
void power_file_free(struct power_file *f);
/* Whether `scope` is one of the four; else the sentence, with `where` in front. */
enum status power_scope_check(const char *scope, const char *where, struct fault *fault);

/* What the instrument saw between two moments: straight lines between samples, and to the two
 * moments. A hole is longer than POWER_HOLE times the usual distance of samples. */
#define POWER_HOLE 5
struct power_figure {
    double joules, peak_w;
    int64_t samples; /* within the window */
    double step_s;   /* usual distance: the median */
    char why[256];   /* where there is no figure */
};
void power_file_between(const struct power_file *f, double begin_utc_s, double end_utc_s,
                        struct power_figure *out);

#endif
