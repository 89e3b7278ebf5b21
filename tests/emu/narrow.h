// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* narrow.h   The 2-byte floating types, by their bits; to nearest even, as a GPU rounds. */
#ifndef PATCHMARK_EMU_NARROW_H
#define PATCHMARK_EMU_NARROW_H

#include <stdint.h>
#include <string.h>

static inline float narrow_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t narrow_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float narrow_from_bf16(uint16_t x) { return narrow_float((uint32_t)x << 16); }

static inline uint16_t narrow_to_bf16(float x)
{
    uint32_t bits = narrow_bits(x);
    return x != x ? 0x7fff : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float narrow_from_f16(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, rest = x & 0x7fff;
    if (rest >= 0x7c00)
        return narrow_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    /* 2^112 brings the exponent up, and makes subnormals normal. */
    return narrow_float(sign | narrow_bits(narrow_float(rest << 13) * 0x1p112f));
}

static inline uint16_t narrow_to_f16(float x)
{
    uint32_t bits = narrow_bits(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    if (rest > 0x7f800000)
        return 0x7fff;
    if (rest >= 0x477ff000) /* 65520, which rounds to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (rest < 0x38800000) /* subnormal: a step of 2^-24 is the last bit of a float near 0.5 */
        return (uint16_t)(sign | (narrow_bits(narrow_float(rest) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13);
}

#endif
