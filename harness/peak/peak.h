// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* peak.h   One probe of floating-point peak per vector set: a loop of independent multiply-adds
 * that never leaves the registers. A probe's file is named after the target whose compiler flags it
 * needs, as with kernel variants. */
#ifndef PATCHMARK_PEAK_H
#define PATCHMARK_PEAK_H

#include "op.h"

struct peak_probe {
    const char *isa;
    uint64_t needs; /* CPU_* */
    double flops_per_round;
    /* The result depends on every round and must be used; NULL where not compiled for this machine.
     * gain and lift come from outside so that nothing is known when compiling: v = v gain + lift */
    float (*run)(int64_t rounds, float gain, float lift);
};

extern const struct peak_probe peak_c, peak_avx2, peak_avx512, peak_neon;

#endif
