// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* checkpoint_values.c   NaN and infinity in weights, by their bits, a piece of a file at a time. */
#include "weights/checkpoint.h"

#include "base/patchmark.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES ((size_t)4 << 20)

/* How a dtype writes what is not finite: with the sign bit cleared by `mask`, patterns above
 * `finite` are NaN, but for `infinity` where there is one. */
static const struct format {
    const char *dtype;
    unsigned bits;
    uint64_t mask, finite, infinity; /* infinity 0: none */
} formats[] = {
    {"F32", 32, 0x7FFFFFFF, 0x7F7FFFFF, 0x7F800000},
    {"C64", 32, 0x7FFFFFFF, 0x7F7FFFFF, 0x7F800000}, /* its two halves */
    {"F64", 64, INT64_MAX, UINT64_C(0x7FEFFFFFFFFFFFFF), UINT64_C(0x7FF0000000000000)},
    {"BF16", 16, 0x7FFF, 0x7F7F, 0x7F80},
    {"F16", 16, 0x7FFF, 0x7BFF, 0x7C00},
    {"F8_E5M2", 8, 0x7F, 0x7B, 0x7C},
    {"F8_E4M3", 8, 0x7F, 0x7E, 0},
    {"F8_E8M0", 8, 0xFF, 0xFE, 0},
};

/* The two types whose one NaN is the pattern of minus zero. */
static bool nan_is_minus_zero(const char *dtype)
{
    return !strcmp(dtype, "F8_E4M3FNUZ") || !strcmp(dtype, "F8_E5M2FNUZ");
}

static const struct format *format_of(const char *dtype)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].dtype, dtype))
            return &formats[i];
    return NULL;
}

#define COUNT_IN(type)                                                                             \
    static void count_##type(const void *data, size_t bytes, const struct format *f,               \
                             struct checkpoint_values *out)                                        \
    {                                                                                              \
        const type *value = data, mask = (type)f->mask, finite = (type)f->finite,                  \
                   infinity = (type)f->infinity;                                                   \
        int64_t above = 0, inf = 0;                                                                \
        for (size_t i = 0; i < bytes / sizeof *value; i++) {                                       \
            type v = value[i] & mask;                                                              \
            above += v > finite;                                                                   \
            inf += v > finite && v == infinity;                                                    \
        }                                                                                          \
        out->nan += above - inf;                                                                   \
        out->inf += inf;                                                                           \
    }
COUNT_IN(uint8_t)
COUNT_IN(uint16_t)
COUNT_IN(uint32_t)
COUNT_IN(uint64_t)
#undef COUNT_IN

static void count_piece(const void *data, size_t bytes, const struct format *f,
                        struct checkpoint_values *out)
{
    const uint8_t *byte = data;
    if (!f)
        for (size_t i = 0; i < bytes; i++)
            out->nan += byte[i] == 0x80;
    else
        (f->bits == 8    ? count_uint8_t
         : f->bits == 16 ? count_uint16_t
         : f->bits == 32 ? count_uint32_t
                         : count_uint64_t)(data, bytes, f, out);
}

void checkpoint_values_add(enum elem elem, const void *data, int64_t count,
                           struct checkpoint_values *out)
{
    const struct format *f = format_of(elem == ELEM_F32    ? "F32"
                                       : elem == ELEM_BF16 ? "BF16"
                                                           : "F16");
    count_piece(data, (size_t)count * (f->bits / 8), f, out);
}

static enum status count_tensor(struct safetensors *file, const struct safetensor *t, char *buffer,
                                struct checkpoint_values *out, struct fault *fault)
{
    const struct format *f = format_of(t->dtype);
    const uint64_t total = t->end - t->begin;
    const int64_t pieces = (int64_t)((total + PIECE_BYTES - 1) / PIECE_BYTES);
    int64_t nan = 0, inf = 0;
    enum status failed = ST_OK;
#pragma omp parallel for schedule(dynamic) reduction(+ : nan, inf) if (pieces > 1)
    for (int64_t i = 0; i < pieces; i++) {
        struct fault why = {{0}};
        struct checkpoint_values v = {0};
        char *piece = buffer + (size_t)omp_get_thread_num() * PIECE_BYTES;
        uint64_t first = (uint64_t)i * PIECE_BYTES;
        size_t bytes = total - first < PIECE_BYTES ? (size_t)(total - first) : PIECE_BYTES;
        enum status status = ST_INTERRUPTED;
        if (!interrupted_by)
            status = safetensors_read_bytes(file, t, first, bytes, piece, &why);
        if (status == ST_OK)
            count_piece(piece, bytes, f, &v);
        else
#pragma omp critical(checkpoint_values)
        {
            failed = status;
            if (why.text[0])
                fault_set(fault, status, "%s", why.text);
        }
        nan += v.nan;
        inf += v.inf;
    }
    *out = (struct checkpoint_values){nan, inf};
    return failed;
}

enum status checkpoint_count_values(struct checkpoint *c, struct checkpoint_values *values,
                                    void (*progress)(uint64_t bytes), struct fault *fault)
{
    struct safetensors *file;
    uint64_t done = 0;
    enum status status = ST_OK;
    char *buffer = aligned_alloc(TENSOR_ALIGN, (size_t)omp_get_max_threads() * PIECE_BYTES);
    if (!buffer)
        return fault_set(fault, ST_NO_MEMORY, "out of memory for reading weights");
    /* File by file, so that each is opened once. */
    for (int f = 0; f < checkpoint_files(c); f++)
        for (int64_t i = 0; i < checkpoint_count(c) && status == ST_OK; i++) {
            const struct checkpoint_tensor *t = checkpoint_at(c, i);
            if (t->file != f)
                continue;
            values[i] = (struct checkpoint_values){0};
            if (format_of(t->is->dtype) || nan_is_minus_zero(t->is->dtype)) {
                status = checkpoint_wake(c, f, &file, fault);
                if (status == ST_OK)
                    status = count_tensor(file, t->is, buffer, &values[i], fault);
            }
            done += t->is->end - t->is->begin;
            if (progress)
                progress(done);
        }
    free(buffer);
    return status;
}
