// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* amx_bf16.c   Products of tiles, 16 x 32 bf16 by 32 x 16, added to 16 x 16 sums in f32. */
#include "peak/peak.h"

#if defined __AMX_BF16__
#include <immintrin.h>

/* Six tiles of sums cover the latency of one product; the last two of the eight are operands. */
enum { ROWS = 16, ROW_BYTES = 64, SUMS = 6, PRODUCTS = ROWS * 32 * 16 };

/* Palette 1: every tile is 16 rows of 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* The intrinsics do not say that they read memory. */
#define IN_MEMORY(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static void configure(void)
{
    struct tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = ROW_BYTES;
        c.rows[i] = ROWS;
    }
    IN_MEMORY(&c);
    _tile_loadconfig(&c);
}

static float run(int64_t rounds, float gain, float lift)
{
    uint16_t data[ROWS * 32];
    float sum[ROWS * 16];
    for (int i = 0; i < ROWS * 32; i++)
        data[i] = (uint16_t)(0x3f00 + (gain > lift) + i % 2);
    IN_MEMORY(data);
    configure();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_loadd(6, data, ROW_BYTES);
    _tile_loadd(7, data, ROW_BYTES);
    for (int64_t r = 0; r < rounds; r++) {
        _tile_dpbf16ps(0, 6, 7);
        _tile_dpbf16ps(1, 6, 7);
        _tile_dpbf16ps(2, 6, 7);
        _tile_dpbf16ps(3, 6, 7);
        _tile_dpbf16ps(4, 6, 7);
        _tile_dpbf16ps(5, 6, 7);
    }
    _tile_stored(0, sum, ROW_BYTES);
    _tile_release();
    return (float)sum[0] + (float)sum[ROWS * 16 - 1];
}

const struct peak_probe peak_amx_bf16 = {"amx_bf16", CPU_AMX_BF16, ELEM_BF16, 2.0 * PRODUCTS *SUMS,
                                         run};
#else
const struct peak_probe peak_amx_bf16 = {"amx_bf16", CPU_AMX_BF16, ELEM_BF16, 0, NULL};
#endif
