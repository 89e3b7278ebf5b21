// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* text.h   Text that comes from outside: is it UTF-8, and how it may stand in a sentence. */
#ifndef PATCHMARK_TEXT_H
#define PATCHMARK_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 sequence at s, 1 to 4; 0 where it is malformed, overlong, a surrogate or past
 * U+10FFFF. At most n bytes are looked at. (Unicode 15, table 3-7.) */
static inline size_t text_utf8_bytes(const void *s, size_t n)
{
    const uint8_t *b = s;
    if (n == 0 || (b[0] >= 0x80 && b[0] < 0xC2) || b[0] > 0xF4)
        return 0;
    size_t bytes = b[0] < 0x80 ? 1 : b[0] < 0xE0 ? 2 : b[0] < 0xF0 ? 3 : 4;
    if (bytes > n)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if ((b[i] & 0xC0) != 0x80)
            return 0;
    if ((b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xED && b[1] > 0x9F) ||
        (b[0] == 0xF0 && b[1] < 0x90) || (b[0] == 0xF4 && b[1] > 0x8F))
        return 0;
    return bytes;
}

/* A copy of `in` fit for a terminal: control characters and broken UTF-8 become '?', and what does
 * not fit is cut with "...". Returns out; bytes >= 4. */
static inline const char *text_printable(const char *in, size_t in_bytes, char *out, size_t bytes)
{
    size_t used = 0, i = 0;
    while (i < in_bytes) {
        size_t n = text_utf8_bytes(in + i, in_bytes - i);
        if (used + (n ? n : 1) + 4 > bytes) {
            for (int dot = 0; dot < 3; dot++)
                out[used++] = '.';
            break;
        }
        uint8_t c = (uint8_t)in[i];
        /* C1 controls (U+0080 .. U+009F) steer terminals as ESC does. */
        if (n == 0 || c < 0x20 || c == 0x7F || (c == 0xC2 && (uint8_t)in[i + 1] < 0xA0)) {
            out[used++] = '?';
            i += n ? n : 1;
            continue;
        }
        while (n--)
            out[used++] = in[i++];
    }
    out[used] = '\0';
    return out;
}

#endif
