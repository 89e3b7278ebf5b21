// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cuda_rows.h   Grids over rows of elements, for CUDA kernels that treat all elements alike, and
 * the widest accesses that addresses and strides allow. */
#ifndef PATCHMARK_TARGET_CUDA_ROWS_H
#define PATCHMARK_TARGET_CUDA_ROWS_H

#include "target/cuda.h"

/* ---- which thread does what ------------------------------------------------------------------ */

enum { ROWS_THREADS = 256, ROWS_GRID_Y_MOST = 65535 };

struct cuda_rows {
    dim3 grid, block;
};

/* Blocks as wide as the row's items, up to ROWS_THREADS, and the taller the narrower. Rows go along
 * x of the grid, which alone counts past 65535; a row too long for its y is walked in steps. */
static inline struct cuda_rows cuda_rows_of(int64_t rows, int64_t items)
{
    unsigned wide = 1;
    while (wide < ROWS_THREADS && wide < items)
        wide *= 2;
    unsigned tall = ROWS_THREADS / wide;
    int64_t across = cuda_blocks(items, wide);
    if (across > ROWS_GRID_Y_MOST)
        across = ROWS_GRID_Y_MOST;
    return {dim3((unsigned)cuda_blocks(rows, tall), (unsigned)across), dim3(wide, tall)};
}

GPU_FN int64_t cuda_row() { return (int64_t)blockIdx.x * blockDim.y + threadIdx.y; }
GPU_FN int64_t cuda_item() { return (int64_t)blockIdx.y * blockDim.x + threadIdx.x; }
GPU_FN int64_t cuda_item_step() { return (int64_t)gridDim.y * blockDim.x; }

/* Threads of a block that has one row to itself: whole warps. */
static inline int cuda_row_threads(int64_t items)
{
    return items < ROWS_THREADS ? (int)cuda_blocks(items, 32) * 32 : ROWS_THREADS;
}

/* ---- several elements at once ---------------------------------------------------------------- */

/* Read and written by one access where the machine has one so wide. */
template <typename T, int N> struct alignas(N * sizeof(T)) cuda_packet {
    T at[N];
};

template <int N, typename T> GPU_FN void cuda_load(float (&value)[N], const T *from)
{
    const cuda_packet<T, N> packet = *(const cuda_packet<T, N> *)from;
    for (int i = 0; i < N; i++)
        value[i] = to_float(packet.at[i]);
}

template <int N, typename T> GPU_FN void cuda_store(T *to, const float (&value)[N])
{
    cuda_packet<T, N> packet;
    for (int i = 0; i < N; i++)
        packet.at[i] = from_float<T>(value[i]);
    *(cuda_packet<T, N> *)to = packet;
}

static inline int64_t cuda_elem_bytes(enum elem elem)
{
    return elem == ELEM_U8 ? 1 : elem == ELEM_BF16 || elem == ELEM_F16 ? 2 : 4;
}

/* Sums over every step-th N values from x[first] on: of the values, and of their squares about
 * `mean`. */
template <int N, typename T>
GPU_FN float cuda_sum_of(const T *x, int64_t first, int64_t step, int64_t count)
{
    float sum = 0, value[N];
    for (int64_t i = first; i < count; i += step) {
        cuda_load(value, x + i);
        for (int j = 0; j < N; j++)
            sum += value[j];
    }
    return sum;
}

template <int N, typename T>
GPU_FN float cuda_squares_of(const T *x, float mean, int64_t first, int64_t step, int64_t count)
{
    float sum = 0, value[N];
    for (int64_t i = first; i < count; i += step) {
        cuda_load(value, x + i);
        for (int j = 0; j < N; j++)
            sum += (value[j] - mean) * (value[j] - mean);
    }
    return sum;
}

/* Whether every row of the tensor can be read four elements at a time; an absent one is no bar. */
static inline bool cuda_in_fours(const struct tensor *t)
{
    return t->stride % 4 == 0 && (uintptr_t)t->data % (size_t)(4 * cuda_elem_bytes(t->elem)) == 0;
}

/* ---- moving bytes ---------------------------------------------------------------------------- */

/* A power of two divides the result where it divides both addresses. */
static inline int64_t cuda_divisor(const void *a, const void *b)
{
    return (int64_t)((uintptr_t)a | (uintptr_t)b);
}

/* Runs the statement with U = the widest type of at most 16 bytes that divides all of the sizes
 * and addresses whose bitwise or is BITS. */
#define CUDA_UNIT(BITS, U, ...)                                                                    \
    do {                                                                                           \
        if ((BITS) % 16 == 0) {                                                                    \
            using U = uint4;                                                                       \
            __VA_ARGS__;                                                                           \
        } else if ((BITS) % 4 == 0) {                                                              \
            using U = uint32_t;                                                                    \
            __VA_ARGS__;                                                                           \
        } else if ((BITS) % 2 == 0) {                                                              \
            using U = uint16_t;                                                                    \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            using U = uint8_t;                                                                     \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

#endif
