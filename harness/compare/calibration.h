// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* calibration.h   What this machine says of two arms that are the same: how far apart they come out
 * and how often a verdict is false. `calibrate` measures it and keeps a record of kind `calibration`;
 * whoever judges on this machine reads the newest. */
#ifndef PATCHMARK_CALIBRATION_H
#define PATCHMARK_CALIBRATION_H

#include "base/json.h"

#define CALIBRATION_LEAST 8 /* comparisons; fewer have no 95th percentile worth the name */
#define CALIBRATION_MOST 4096

struct calibration {
    double
        floor; /* of comparisons of pair_seconds: 95th percentile of the ratio's distance from 1 */
    char device[96];              /* device_slug's word */
    int64_t threads;              /* of the arms */
    int64_t comparisons, alarms;  /* alarms: verdicts FASTER or SLOWER, each judged alone */
    double pair_seconds, seconds; /* budget of one comparison, time of all */
    char created_utc[32];
};

/* The newest of this machine in `folder`, of the device chosen and of as many threads (a GPU's are its
 * own): another number of them is another noise. False where there is none, or this build cannot read
 * records. What cannot be read is passed over; note: one sentence on the first such file, "" otherwise. */
bool calibration_newest(const char *folder, int64_t threads, struct calibration *out, char *note,
                        size_t bytes);

/* The floor for comparisons of another length: blocks are independent, and so are processes, so it goes
 * with the inverse square root of their number. What does not shrink so is guarded against by going no lower than to
 * half. */
void calibration_at(struct calibration *c, double pair_seconds);

/* The threshold to judge by: VERDICT_LEAST_EFFECT or the floor, whichever is more. c NULL: a machine
 * that was never calibrated. */
double calibration_floor(const struct calibration *c);
double calibration_threshold(const struct calibration *c);
/* For verdict_processes: all but a twentieth of the comparisons of equal arms stay under the threshold,
 * which is then about twice their deviation. */
double calibration_luck(const struct calibration *c);
/* "floor 1.2 % of comparisons of 8 s, by the calibration of 2026-01-31 (40 of them, cpu, 2 threads)", or
 * that there is none of so many threads. */
void calibration_describe(const struct calibration *c, int64_t threads, char *out, size_t bytes);

/* Members of the record; distance: of each comparison's ratio from 1; arms: what was compared. */
void calibration_json(const struct calibration *c, const double *distance, const char *const *arms,
                      int arm_count, struct json *j);

#endif
