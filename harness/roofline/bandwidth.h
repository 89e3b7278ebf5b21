// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* bandwidth.h   How fast this CPU's threads walk through each place of the memory hierarchy. */
#ifndef PATCHMARK_BANDWIDTH_H
#define PATCHMARK_BANDWIDTH_H

#include "machine/cache_levels.h"
#include "peak/stream.h"

/* One buffer for all walks, in huge pages where the system gives them, its parts first touched by
 * the threads that use them. */
struct bandwidth {
    unsigned char *data;
    size_t bytes, cursor; /* cursor: walks outside the caches go on where the last one ended */
    uint64_t sink;
};

/* bytes: room for every place at every number of threads. ST_NO_MEMORY. */
enum status bandwidth_new(struct bandwidth *b, size_t bytes, int threads, struct fault *fault);
void bandwidth_free(struct bandwidth *b);

int stream_units(void);
const struct stream_probe *stream_unit(int index); /* NULL: not compiled, or not on this CPU */

/* One sample of about `seconds`: bytes read and written by all threads over the time of the slowest.
 * place->bytes hold all arrays of a walk. dram: a part of the buffer that was last touched a whole
 * buffer ago. `passes` is how often a cache is walked through, found by bandwidth_passes. */
double bandwidth_sample(struct bandwidth *b, const struct stream_probe *unit, enum stream_walk walk,
                        const struct memory_place *place, bool dram, int threads, int64_t passes);
int64_t bandwidth_passes(struct bandwidth *b, const struct stream_probe *unit,
                         enum stream_walk walk, const struct memory_place *place, int threads,
                         double seconds);

#endif
