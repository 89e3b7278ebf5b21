// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tensor_core.cc   Matrix fragments of a warp: ldmatrix, stmatrix, mma. Lane l holds of each 8x8
 * matrix the row l / 4 and the columns 2 (l % 4) and the next (PTX ISA, "Matrix fragments"). Sums
 * run in f32 one after another; a tensor core's own order and rounding differ. */
#include "core.h"
#include "narrow.h"
#include "race.h"

#include <string.h>

/* ---- mma ------------------------------------------------------------------------------------- */

struct mma {
    float *d;
    const uint32_t *a, *b;
};

static void all_lanes(const char *what, void **arguments)
{
    for (int lane = 0; lane < 32; lane++)
        if (!arguments[lane])
            emu_finding("%s: lane %d takes no part", what, lane);
}

/* Register q of A holds rows l / 4 + 8 (q % 2), columns 2 (l % 4) + 8 (q / 2) and the next. */
template <float (*FROM)(uint16_t)>
static void gather_a(float a[16][16], const uint32_t *r, int lane)
{
    for (int q = 0; q < 4; q++) {
        float *at = &a[lane / 4 + q % 2 * 8][lane % 4 * 2 + q / 2 * 8];
        at[0] = FROM((uint16_t)r[q]);
        at[1] = FROM((uint16_t)(r[q] >> 16));
    }
}

/* Register q of B holds column l / 4, rows 2 (l % 4) + 8 q and the next. */
template <float (*FROM)(uint16_t)> static void gather_b(float b[16][8], const uint32_t *r, int lane)
{
    for (int q = 0; q < 2; q++) {
        int k = lane % 4 * 2 + q * 8;
        b[k][lane / 4] = FROM((uint16_t)r[q]);
        b[k + 1][lane / 4] = FROM((uint16_t)(r[q] >> 16));
    }
}

template <float (*FROM)(uint16_t)> static void mma_act(void **arguments)
{
    float a[16][16], b[16][8], d[16][8];
    all_lanes("mma", arguments);
    for (int lane = 0; lane < 32; lane++) {
        const struct mma *m = (const struct mma *)arguments[lane];
        gather_a<FROM>(a, m->a, lane);
        gather_b<FROM>(b, m->b, lane);
        memcpy(&d[lane / 4][lane % 4 * 2], m->d, 2 * sizeof(float));
        memcpy(&d[lane / 4 + 8][lane % 4 * 2], m->d + 2, 2 * sizeof(float));
    }
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++)
                d[row][column] += a[row][k] * b[k][column];
    for (int lane = 0; lane < 32; lane++) {
        const struct mma *m = (const struct mma *)arguments[lane];
        memcpy(m->d, &d[lane / 4][lane % 4 * 2], 2 * sizeof(float));
        memcpy(m->d + 2, &d[lane / 4 + 8][lane % 4 * 2], 2 * sizeof(float));
    }
}

void emu_mma_bf16(float *d, const uint32_t *a, const uint32_t *b)
{
    struct mma m = {d, a, b};
    emu_meet(~0u, "mma_bf16_16816", &m, mma_act<narrow_from_bf16>);
}

void emu_mma_f16(float *d, const uint32_t *a, const uint32_t *b)
{
    struct mma m = {d, a, b};
    emu_meet(~0u, "mma_f16_16816", &m, mma_act<narrow_from_f16>);
}

/* ---- ldmatrix -------------------------------------------------------------------------------- */

struct ldmatrix {
    uint32_t *r;
    const void *row;
    int matrices;
};

template <bool TRANSPOSED> static void ldmatrix_act(void **arguments)
{
    uint16_t m[4][8][8];
    all_lanes("ldmatrix", arguments);
    int matrices = ((const struct ldmatrix *)arguments[0])->matrices;
    for (int i = 0; i < matrices * 8; i++)
        memcpy(m[i / 8][i % 8], ((const struct ldmatrix *)arguments[i])->row, 16);
    for (int lane = 0; lane < 32; lane++) {
        uint32_t *r = ((const struct ldmatrix *)arguments[lane])->r;
        int major = lane / 4, minor = lane % 4 * 2;
        for (int q = 0; q < matrices; q++)
            r[q] = TRANSPOSED ? m[q][minor][major] | (uint32_t)m[q][minor + 1][major] << 16
                              : m[q][major][minor] | (uint32_t)m[q][major][minor + 1] << 16;
    }
}

void emu_ldmatrix(uint32_t *r, const void *shared, int matrices, bool transposed)
{
    struct ldmatrix l = {r, shared, matrices};
    if (emu_lane() < matrices * 8) {
        emu_need_shared("ldmatrix", shared, 16, 16);
        race_read(shared, 16);
    }
    emu_meet(~0u,
             matrices == 2 ? "ldmatrix_x2"
             : transposed  ? "ldmatrix_x4_trans"
                           : "ldmatrix_x4",
             &l, transposed ? ldmatrix_act<true> : ldmatrix_act<false>);
}

/* ---- stmatrix -------------------------------------------------------------------------------- */

struct stmatrix {
    const uint32_t *r;
    void *row;
};

static void stmatrix_act(void **arguments)
{
    uint16_t m[4][8][8];
    all_lanes("stmatrix_x4", arguments);
    for (int lane = 0; lane < 32; lane++) {
        const uint32_t *r = ((const struct stmatrix *)arguments[lane])->r;
        for (int q = 0; q < 4; q++) {
            m[q][lane / 4][lane % 4 * 2] = (uint16_t)r[q];
            m[q][lane / 4][lane % 4 * 2 + 1] = (uint16_t)(r[q] >> 16);
        }
    }
    for (int i = 0; i < 32; i++)
        memcpy(((const struct stmatrix *)arguments[i])->row, m[i / 8][i % 8], 16);
}

void emu_stmatrix(void *shared, const uint32_t *r)
{
    struct stmatrix s = {r, shared};
    emu_need_shared("stmatrix_x4", shared, 16, 16);
    race_write(shared, 16);
    emu_meet(~0u, "stmatrix_x4", &s, stmatrix_act);
}
