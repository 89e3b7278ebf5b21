// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* elem.h   Element types: size, name, and conversion to and from double, rounded once (to nearest,
 * ties to even; overflow to infinity for f32, bf16 and f16; NaN stays NaN). */
#ifndef PATCHMARK_ELEM_H
#define PATCHMARK_ELEM_H

#include "op.h"

size_t elem_bytes(enum elem elem);      /* 0 for sub-byte and block types */
const char *elem_name(enum elem elem);  /* "f32", "bf16", ... */
enum elem elem_find(const char *name);  /* ELEM_NONE where unknown */
double elem_eps(enum elem elem);        /* distance from 1 to the next value; 1 for integers */
double elem_min_normal(enum elem elem); /* smallest normal value; 0.5 for integers */

double elem_get(const void *data, enum elem elem, int64_t index);
void elem_put(void *data, enum elem elem, int64_t index, double value);
double elem_round(enum elem elem, double value); /* value as the type would store it */

/* count values between f32 in the host's memory and any float type, or a copy for equal types */
void elem_convert(void *to, enum elem to_elem, const void *from, enum elem from_elem,
                  int64_t count);

#endif
