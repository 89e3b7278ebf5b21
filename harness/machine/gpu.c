// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gpu.c   What a device could do at best, from its facts; and the device a process works on. */
#include "machine/gpu.h"

/* Dense multiply-adds per clock and multiprocessor (NVIDIA's architecture papers of A100, GA102,
 * AD102 and H100). A device takes the last row of its major version that is not above it. */
static const struct roof_row {
    int major, minor;
    double f32, tf32, half, fp8;
} roof_rows[] = {
    {8, 0, 64, 512, 1024, 0},    /* A100 */
    {8, 6, 128, 256, 512, 0},    /* GA10x */
    {8, 9, 128, 256, 512, 1024}, /* AD10x */
    {9, 0, 128, 1024, 2048, 4096} /* H100, H200 */,
};

double gpu_peak_flops(const struct gpu_info *info, enum numerics numerics)
{
    const struct roof_row *row = NULL;
    for (size_t i = 0; i < sizeof roof_rows / sizeof *roof_rows; i++)
        if (roof_rows[i].major == info->major && roof_rows[i].minor <= info->minor)
            row = &roof_rows[i];
    if (!row)
        return 0;
    const double rate[NUM_COUNT] = {
        [NUM_F32] = row->f32,     [NUM_TF32] = row->tf32, [NUM_BF16] = row->half,
        [NUM_F16] = row->half,    [NUM_FP8] = row->fp8,   [NUM_INT8] = row->fp8,
        [NUM_WINOGRAD] = row->f32};
    return 2.0 * rate[numerics] * info->processors * (double)info->clock_hz;
}

/* Both edges of the clock. */
double gpu_peak_bytes(const struct gpu_info *info)
{
    return 2.0 * (double)info->memory_clock_hz * info->bus_bits / 8;
}

enum status gpu_process(int index, struct gpu **out, struct fault *fault)
{
    static struct gpu *opened;
    if (!opened)
        TRY(gpu_open(index, &opened, fault));
    *out = opened;
    return ST_OK;
}
