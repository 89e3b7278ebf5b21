// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* peak.h   One probe of arithmetic peak per unit and type: a loop of independent multiply-adds that
 * never leaves the registers. A probe's file begins with the target whose compiler flags it needs,
 * as with kernel variants. */
#ifndef PATCHMARK_PEAK_H
#define PATCHMARK_PEAK_H

#include "op.h"

struct peak_probe {
    const char *isa;
    uint64_t needs; /* CPU_* */
    enum elem elem; /* of what is multiplied; narrow ones are summed in 32 bits, f16 in f16 */
    double flops_per_round; /* a multiply-add is two, of integers too */
    /* The result depends on every round and must be used; NULL where not compiled for this machine.
     * gain and lift come from outside so that nothing is known when compiling: v = v gain + lift */
    float (*run)(int64_t rounds, float gain, float lift);
};

#define PEAK_LIST(X)                                                                               \
    X(c)                                                                                           \
    X(avx2)                                                                                        \
    X(avx512)                                                                                      \
    X(neon) X(c_f64) X(avx2_f64) X(avx512_f64) X(neon_f64) X(avx512bf16) X(amx_bf16) X(avx512fp16) \
        X(avx2_int8) X(avx512_int8) X(avxvnni) X(avx512vnni) X(amx_int8) X(neonbf16) X(neonfp16)   \
            X(neondot) X(neoni8mm)
#define PEAK_DECLARE(name) extern const struct peak_probe peak_##name;
PEAK_LIST(PEAK_DECLARE)
#undef PEAK_DECLARE

#endif
