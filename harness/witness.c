// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "witness.h"

#include <sys/random.h>

#include "measure.h"

static double output_bytes(const struct bound *b)
{
    const struct op_info *info = op_table[b->problem.op];
    struct operand_memory memory;
    double sum = 0;
    for (int i = 0; i < OP_TENSORS_MAX && info->tensor[i].name; i++)
        if (info->tensor[i].role == ROLE_OUT && operands_memory(b->operands, i, &memory))
            sum += (double)memory.bytes;
    return sum;
}

enum status witness_run(struct witness *w, struct rotation *r, struct fault *fault)
{
    w->run_s = w->read_s = w->read_bytes = 0;
    if (r->bound->mirror.gpu)
        return ST_OK;
    w->read_bytes = output_bytes(r->bound);
    const double begin = clock_seconds();
    if (rotation_run(r) != ST_OK)
        return fault_set(fault, ST_WRONG, "run() reported an error");
    const double returned = clock_seconds();
    enum status status = rotation_hash(r, 0, &w->hash, fault);
    w->read_s = clock_seconds() - returned;
    w->run_s = returned - begin;
    return status;
}

/* One of all blocks by equal chances, whatever their number will be; not by the seed, which a
 * variant could know. */
static bool keep_this_one(uint64_t blocks)
{
    uint64_t bits = 0;
    return getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits || bits % blocks == 0;
}

enum status witness_compare(struct witness *w, struct rotation *r, uint64_t seed,
                            struct fault *fault)
{
    uint64_t hash;
    if (r->bound->mirror.gpu)
        return ST_OK;
    TRY(rotation_hash(r, 0, &hash, fault));
    if (hash != w->hash)
        return fault_set(fault, ST_WRONG,
                         "its output had changed after run() returned: written late, by a thread"
                         " of its own, or not the same from one run to the next");
    if (keep_this_one(++w->blocks)) {
        w->kept_seed = seed;
        w->kept_hash = hash;
    }
    return ST_OK;
}

enum status witness_replay(const struct witness *w, struct bound *b, struct fault *fault)
{
    if (!w->blocks)
        return ST_OK;
    TRY(check_replay(b, w->kept_seed, fault));
    if (check_outputs_hash(b->operands) != w->kept_hash)
        return fault_set(fault, ST_WRONG,
                         "in an earlier block it left another output than the same data gives now");
    return ST_OK;
}
