// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tells_stack.c   Right, and no fault: each run writes its process and where in a page its frame
 * stands to $STACK_FILE. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "honest.h"

static enum status run(const struct rms_norm_problem *p, const struct exec *exec)
{
    static int file = -1;
    (void)exec;
    if (file < 0)
        file = open(getenv("STACK_FILE"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    dprintf(file, "%d %d\n", (int)getpid(), (int)((uintptr_t)__builtin_frame_address(0) % 4096));
    for (int64_t s = 0; s < p->S; s++)
        honest_row(p, s);
    return ST_OK;
}

VARIANT(rms_norm, broken_90_tells_stack, .numerics = NUM_F32);
PLUGIN(&variant_rms_norm_broken_90_tells_stack);
