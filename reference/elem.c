// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elem.c   The table of element types, and rounding in integers: no machine state matters. */
#include "elem.h"

#include <math.h>
#include <string.h>

struct elem_row {
    const char *name;
    size_t bytes;
    double eps, min_normal;
};

static const struct elem_row rows[ELEM_COUNT] = {
    [ELEM_NONE] = {"none", 0, 0, 0},
    [ELEM_F32] = {"f32", 4, 0x1p-23, 0x1p-126},
    [ELEM_BF16] = {"bf16", 2, 0x1p-7, 0x1p-126},
    [ELEM_F16] = {"f16", 2, 0x1p-10, 0x1p-14},
    [ELEM_I8] = {"i8", 1, 1, 0.5},
    [ELEM_E4M3] = {"e4m3", 1, 0x1p-3, 0x1p-6},
    [ELEM_E5M2] = {"e5m2", 1, 0x1p-2, 0x1p-14},
    [ELEM_E8M0] = {"e8m0", 1, 1, 0x1p-127},
    [ELEM_MXFP8] = {"mxfp8", 0, 0x1p-3, 0x1p-6},
    [ELEM_MXFP4] = {"mxfp4", 0, 0.5, 1},
    [ELEM_NVFP4] = {"nvfp4", 0, 0.5, 1},
    [ELEM_U8] = {"u8", 1, 1, 0.5},
    [ELEM_I32] = {"i32", 4, 1, 0.5},
    [ELEM_I64] = {"i64", 8, 1, 0.5},
    [ELEM_F64] = {"f64", 8, 0x1p-52, 0x1p-1022},
};

size_t elem_bytes(enum elem elem) { return rows[elem].bytes; }
const char *elem_name(enum elem elem) { return rows[elem].name; }
double elem_eps(enum elem elem) { return rows[elem].eps; }
double elem_min_normal(enum elem elem) { return rows[elem].min_normal; }

enum elem elem_find(const char *name)
{
    for (int e = ELEM_NONE + 1; e < ELEM_COUNT; e++)
        if (strcmp(rows[e].name, name) == 0)
            return (enum elem)e;
    return ELEM_NONE;
}

/* ---- bits ------------------------------------------------------------------------------------ */

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float f32_of_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

static uint16_t bf16_of_f32(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40); /* quiet, so that truncation cannot make an infinity */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float f32_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 0)
        return sign ? -(float)fraction * 0x1p-24f : (float)fraction * 0x1p-24f;
    if (exponent == 31)
        return float_of(sign | 0x7f800000 | fraction << 13);
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

static uint16_t f16_of_f32(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (u >= bits_of(65520.0f)) /* half way between the largest value and the next power of two */
        return (uint16_t)(sign | 0x7c00);
    if (u < bits_of(0x1p-14f)) /* below 1 the spacing of f32 next to 1/2 is that of f16 denormals */
        return (uint16_t)(sign | (bits_of(float_of(u) + 0.5f) - bits_of(0.5f)));
    return (uint16_t)(sign | (u - (112u << 23) + 0xfff + (u >> 13 & 1)) >> 13);
}

/* value to `digits` binary digits, at least unit 2^lowest: what is left fits f32 exactly, so that
 * the way from double to a 16-bit type rounds once and not twice. */
static double round_digits(double value, int digits, int lowest)
{
    int exponent;
    if (!isfinite(value) || value == 0)
        return value;
    frexp(value, &exponent);
    int unit = exponent - digits < lowest ? lowest : exponent - digits;
    return ldexp(nearbyint(ldexp(value, -unit)), unit);
}

static double round_integer(double value, double least, double most)
{
    double r = isnan(value) ? 0 : nearbyint(value);
    return r < least ? least : r > most ? most : r;
}

/* ---- one value ------------------------------------------------------------------------------- */

double elem_get(const void *data, enum elem elem, int64_t index)
{
    switch (elem) {
    case ELEM_F32: return ((const float *)data)[index];
    case ELEM_BF16: return f32_of_bf16(((const uint16_t *)data)[index]);
    case ELEM_F16: return f32_of_f16(((const uint16_t *)data)[index]);
    case ELEM_I8: return ((const int8_t *)data)[index];
    case ELEM_U8: return ((const uint8_t *)data)[index];
    case ELEM_I32: return ((const int32_t *)data)[index];
    case ELEM_I64: return (double)((const int64_t *)data)[index];
    case ELEM_F64: return ((const double *)data)[index];
    default: return NAN; /* types that so far have only a name */
    }
}

void elem_put(void *data, enum elem elem, int64_t index, double value)
{
    double r = elem_round(elem, value);
    switch (elem) {
    case ELEM_F32: ((float *)data)[index] = (float)r; break;
    case ELEM_BF16: ((uint16_t *)data)[index] = bf16_of_f32((float)r); break;
    case ELEM_F16: ((uint16_t *)data)[index] = f16_of_f32((float)r); break;
    case ELEM_I8: ((int8_t *)data)[index] = (int8_t)r; break;
    case ELEM_U8: ((uint8_t *)data)[index] = (uint8_t)r; break;
    case ELEM_I32: ((int32_t *)data)[index] = (int32_t)r; break;
    case ELEM_I64: ((int64_t *)data)[index] = (int64_t)r; break;
    case ELEM_F64: ((double *)data)[index] = r; break;
    default: break;
    }
}

double elem_round(enum elem elem, double value)
{
    switch (elem) {
    case ELEM_F32: return (float)value;
    case ELEM_BF16: return f32_of_bf16(bf16_of_f32((float)round_digits(value, 8, -133)));
    case ELEM_F16: return f32_of_f16(f16_of_f32((float)round_digits(value, 11, -24)));
    case ELEM_I8: return round_integer(value, INT8_MIN, INT8_MAX);
    case ELEM_U8: return round_integer(value, 0, UINT8_MAX);
    case ELEM_I32: return round_integer(value, INT32_MIN, INT32_MAX);
    case ELEM_I64: return round_integer(value, -0x1p63, 0x1p63 - 1024); /* the last double below */
    default: return value;
    }
}

/* ---- many ------------------------------------------------------------------------------------ */

#define CONVERT_LOOP(TO_TYPE, FROM_TYPE, FUNCTION)                                                 \
    for (int64_t i = 0; i < count; i++)                                                            \
    ((TO_TYPE *)to)[i] = FUNCTION(((const FROM_TYPE *)from)[i])

void elem_convert(void *to, enum elem to_elem, const void *from, enum elem from_elem, int64_t count)
{
    if (to_elem == from_elem)
        memmove(to, from, (size_t)count * elem_bytes(to_elem));
    else if (from_elem == ELEM_F32 && to_elem == ELEM_BF16)
        CONVERT_LOOP(uint16_t, float, bf16_of_f32);
    else if (from_elem == ELEM_F32 && to_elem == ELEM_F16)
        CONVERT_LOOP(uint16_t, float, f16_of_f32);
    else if (from_elem == ELEM_BF16 && to_elem == ELEM_F32)
        CONVERT_LOOP(float, uint16_t, f32_of_bf16);
    else if (from_elem == ELEM_F16 && to_elem == ELEM_F32)
        CONVERT_LOOP(float, uint16_t, f32_of_f16);
    else
        for (int64_t i = 0; i < count; i++)
            elem_put(to, to_elem, i, elem_get(from, from_elem, i));
}
