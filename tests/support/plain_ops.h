// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* plain_ops.h   The smallest struct ops that executes: the first plain C variant of every op, heap
 * memory, synthetic weights. Fresh activations hold NaN, so that nothing reads before it writes. */
#ifndef PATCHMARK_PLAIN_OPS_H
#define PATCHMARK_PLAIN_OPS_H

#include "model/weights.h"

struct plain_ops;

struct plain_config {
    uint64_t seed;
    enum fill fill;
    enum elem type;
    int threads;
};

struct plain_ops *plain_ops_new(const struct plain_config *config);
void plain_ops_free(struct plain_ops *p);
struct ops *plain_ops_table(struct plain_ops *p);
const char *plain_ops_fault(const struct plain_ops *p);
/* Most bytes of activations alive at once since the last stage began. */
size_t plain_ops_peak_bytes(const struct plain_ops *p);

#endif
