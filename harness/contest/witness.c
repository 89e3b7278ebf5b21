// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "contest/witness.h"

#include <string.h>
#include <sys/random.h>

#include "elem.h"
#include "random.h"
#include "timing/measure.h"

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

/* Of one output of the copy that comes next. */
static void speck_output(struct witness *w, const struct rotation *r, int tensor,
                         struct random_stream stream)
{
    const struct op_info *info = op_table[r->bound->problem.op];
    const struct tensor *t = problem_tensor_const(&r->bound->problem, tensor);
    const size_t bytes = elem_bytes(t->elem);
    int64_t rows, row_elems;
    unsigned char *data = rotation_data(r, tensor, w->speck_copy);
    const unsigned char *ran = rotation_data(r, tensor, 0); /* the first run's, all there */
    if (!data || bytes > sizeof w->speck[0].was ||
        !info->extent(problem_body(&r->bound->problem), tensor, &rows, &row_elems) || rows < 1)
        return;
    for (uint64_t i = 0; w->specks < WITNESS_SPECKS; i += 2) {
        const int64_t row = (int64_t)(random_bits(stream, i) % (uint64_t)rows);
        const int64_t at = (int64_t)(random_bits(stream, i + 1) % (uint64_t)row_elems);
        struct witness_speck *s = &w->speck[w->specks++];
        const size_t place = (size_t)(row * t->stride + at) * bytes;
        s->at = data + place;
        s->bytes = bytes;
        memcpy(s->was, ran + place, bytes);
    }
    for (int i = 0; i < w->specks; i++)
        memset(w->speck[i].at, 0xff, w->speck[i].bytes);
}

/* The first output will do: who leaves out work leaves out some of it. */
void witness_speck(struct witness *w, const struct rotation *r, uint64_t seed)
{
    const struct op_info *info = op_table[r->bound->problem.op];
    w->specks = 0;
    w->speck_copy = r->copies > 1 ? r->next : 0;
    for (int i = 0; !r->bound->mirror.gpu && i < OP_TENSORS_MAX && info->tensor[i].name; i++)
        if (info->tensor[i].role == ROLE_OUT && !w->specks)
            speck_output(w, r, i, random_stream_of(seed, "specks"));
}

static enum status specks_gone(const struct witness *w, struct fault *fault)
{
    int left = 0;
    for (int i = 0; i < w->specks; i++)
        left += memcmp(w->speck[i].at, w->speck[i].was, w->speck[i].bytes) != 0;
    if (!left)
        return ST_OK;
    return fault_set(
        fault, ST_WRONG,
        "of %d values poisoned before the timed runs %d were not computed anew: it leaves"
        " work to runs that are checked",
        w->specks, left);
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
    TRY(specks_gone(w, fault));
    TRY(rotation_hash(r, w->speck_copy, &hash, fault));
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
