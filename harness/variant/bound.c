// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "variant/bound.h"

#include <string.h>

#include "machine/device.h"
#include "variant/library.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static enum status host_memory(struct bound *b, struct fault *fault)
{
    TRY(guarded_new(&b->scratch, b->need.scratch_bytes, "scratch", fault));
    TRY(guarded_new(&b->packed, b->need.packed_bytes, "packed weights", fault));
    TRY(guarded_new(&b->state, b->need.state_bytes, "state", fault));
    memset(b->state.data, 0, b->state.bytes);
    b->exec.scratch = b->scratch.data;
    b->exec.state = b->state.data;
    return ST_OK;
}

static enum status device_memory(struct bound *b, struct fault *fault)
{
    struct mirror *m = &b->mirror;
    struct operand_memory memory;
    TRY(gpu_process(device_index(), &m->gpu, fault));
    gpu_exec(m->gpu, &b->exec);
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (operands_memory(b->operands, i, &memory))
            TRY(device_block_new(m->gpu, memory.bytes, memory.name, &m->tensor[i], fault));
    }
    TRY(device_block_new(m->gpu, b->need.scratch_bytes, "its scratch", &m->scratch, fault));
    TRY(device_block_new(m->gpu, b->need.packed_bytes, "its packed weights", &m->packed, fault));
    TRY(device_block_new(m->gpu, b->need.state_bytes, "its state", &m->state, fault));
    b->exec.scratch = m->scratch.data;
    b->exec.state = m->state.data;
    return gpu_fill(m->gpu, m->state.data, 0, m->state.bytes, fault);
}

enum status bound_new(const struct variant *variant, const int64_t *knob, struct operands *operands,
                      int threads, struct bound *out, struct fault *fault)
{
    *out = (struct bound){.variant = variant, .operands = operands};
    out->exec = (struct exec){.threads = threads};
    operands->threads = threads;
    variant_default_knobs(variant, out->knob);
    if (knob)
        memcpy(out->knob, knob, sizeof out->knob);
    out->need.threads = threads;
    if (!variant->plan(problem_body(&operands->problem), out->knob, &out->need))
        return fault_set(fault, ST_REFUSED, "%s",
                         out->need.reason ? out->need.reason : "refused without a reason");
    enum status status = needs_device(variant->needs) == DEVICE_CUDA ? device_memory(out, fault)
                                                                     : host_memory(out, fault);
    if (status == ST_OK)
        status = library_open(variant, &out->exec, fault);
    if (status != ST_OK)
        bound_free(out);
    return status;
}

size_t bound_bytes(const struct bound *b)
{
    const struct mirror *m = &b->mirror;
    size_t sum = device_block_taken(&m->scratch) + device_block_taken(&m->packed) +
                 device_block_taken(&m->state);
    for (int i = 0; i < OP_TENSORS_MAX; i++)
        sum += device_block_taken(&m->tensor[i]);
    return m->gpu ? sum
                  : operands_bytes(b->operands) + b->need.scratch_bytes + b->need.packed_bytes +
                        b->need.state_bytes;
}

static void free_device_memory(struct mirror *m)
{
    for (int i = 0; i < OP_TENSORS_MAX; i++)
        device_block_free(m->gpu, &m->tensor[i]);
    device_block_free(m->gpu, &m->scratch);
    device_block_free(m->gpu, &m->packed);
    device_block_free(m->gpu, &m->state);
}

void bound_free(struct bound *b)
{
    free_device_memory(&b->mirror);
    guarded_free(&b->scratch);
    guarded_free(&b->packed);
    guarded_free(&b->state);
    *b = (struct bound){0};
}

/* ---- what stands on the device --------------------------------------------------------------- */

/* What a run must find: poison in outputs, and as filled what an output takes the place of. Inputs
 * are `all` there once and must stay. */
static enum status put_operands(const struct bound *b, bool all, struct fault *fault)
{
    const struct mirror *m = &b->mirror;
    struct operand_memory memory;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (!operands_memory(b->operands, i, &memory))
            continue;
        if (memory.output && device_memory_is_bare() && !b->operands->spread)
            continue; /* gaps between rows are never written and are fetched with the rest */
        if (memory.output)
            TRY(gpu_fill(m->gpu, m->tensor[i].data, memory.poison, memory.bytes, fault));
        else if (all || memory.overwritten)
            TRY(gpu_upload(m->gpu, m->tensor[i].data, memory.data, memory.bytes, fault));
    }
    return ST_OK;
}

/* Odd seeds give addresses that are aligned as contracts promise and no further. */
static enum status place(struct bound *b, struct fault *fault)
{
    struct mirror *m = &b->mirror;
    bool narrow = b->operands->seed % 2 == 1;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (m->tensor[i].base)
            TRY(device_block_place(m->gpu, &m->tensor[i], narrow, fault));
        int at = operands_place_of(b->operands, i);
        if (m->tensor[at].base)
            problem_tensor(&b->problem, i)->data = m->tensor[at].data;
    }
    TRY(device_block_place(m->gpu, &m->scratch, narrow, fault));
    TRY(device_block_place(m->gpu, &m->packed, narrow, fault));
    b->exec.scratch = m->scratch.data;
    return device_block_poison(m->gpu, &m->packed, fault);
}

enum status bound_fetch(struct bound *b, struct fault *fault)
{
    const struct mirror *m = &b->mirror;
    struct operand_memory memory;
    if (!m->gpu)
        return ST_OK;
    TRY(gpu_sync(m->gpu, fault));
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (operands_memory(b->operands, i, &memory))
            TRY(gpu_download(m->gpu, memory.data, m->tensor[i].data, memory.bytes, fault));
    }
    return ST_OK;
}

/* ---- work ------------------------------------------------------------------------------------ */

/* The generator frees large weights once they are packed. */
static void drop_packed_weights(struct problem *p)
{
    const struct op_tensor *t = op_table[p->op]->tensor;
    for (int i = 0; i < OP_TENSORS_MAX && t[i].name; i++) {
        if (t[i].role == ROLE_WEIGHT && t[i].fill == OPERAND_FAN_IN)
            problem_tensor(p, i)->data = NULL;
    }
}

/* On a device an error of what was enqueued says more than the variant's status. */
static enum status reported(const struct bound *b, enum status status, const char *who,
                            struct fault *fault)
{
    if (b->mirror.gpu)
        TRY(gpu_sync(b->mirror.gpu, fault));
    return status == ST_OK ? ST_OK : fault_set(fault, status, "%s reported an error", who);
}

void bound_scatter(struct bound *b, uint64_t seed)
{
    struct guarded *own[] = {&b->scratch, &b->packed};
    if (b->mirror.gpu)
        return;
    operands_scatter(b->operands, seed);
    for (uint64_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i]->map) {
            guarded_scatter(own[i], seed + OP_TENSORS_MAX + i, b->exec.threads);
            guarded_place(own[i], true);
        }
}

enum status bound_prepare(struct bound *b, struct fault *fault)
{
    b->exec.knob = b->knob;
    b->problem = b->operands->problem;
    if (b->mirror.gpu) {
        TRY(place(b, fault));
        TRY(put_operands(b, true, fault));
    }
    if (!b->variant->prepare || b->need.packed_bytes == 0)
        return ST_OK;
    void *packed = b->mirror.gpu ? b->mirror.packed.data : b->packed.data;
    b->exec.packed = packed;
    enum status status = b->variant->prepare(problem_body(&b->problem), &b->exec, packed);
    if (status != ST_OK && status != ST_DEVICE)
        status = ST_WRONG;
    TRY(reported(b, status, "prepare()", fault));
    drop_packed_weights(&b->problem);
    return ST_OK;
}

enum status bound_renew(struct bound *b, struct fault *fault)
{
    return b->mirror.gpu ? put_operands(b, true, fault) : ST_OK;
}

enum status bound_run(struct bound *b)
{
    return b->variant->run(problem_body(&b->problem), &b->exec);
}

enum status bound_run_checked(struct bound *b, struct fault *fault)
{
    struct mirror *m = &b->mirror;
    if (m->gpu) {
        TRY(put_operands(b, false, fault));
        TRY(device_block_poison(m->gpu, &m->scratch, fault));
    } else {
        guarded_poison(&b->scratch);
    }
    TRY(reported(b, bound_run(b), "run()", fault));
    return bound_fetch(b, fault);
}

/* ---- what changed ---------------------------------------------------------------------------- */

static enum status host_intact(const struct bound *b, struct fault *fault)
{
    static const char *const names[] = {"scratch", "packed weights", "state"};
    const struct guarded *blocks[] = {&b->scratch, &b->packed, &b->state};
    for (int i = 0; i < 3; i++) {
        int64_t offset = 0;
        if (!guarded_intact(blocks[i], &offset))
            return fault_set(fault, ST_WRONG, "wrote outside of its %s (byte %lld of %zu)",
                             names[i], (long long)offset, blocks[i]->bytes);
    }
    return ST_OK;
}

static enum status block_intact(struct gpu *g, const struct device_block *block, const char *name,
                                struct fault *fault)
{
    bool intact = true;
    int64_t offset = 0;
    if (block->base)
        TRY(device_block_look(g, block, &intact, &offset, fault));
    if (intact)
        return ST_OK;
    if (offset < 0)
        return fault_set(fault, ST_WRONG, "wrote %lld bytes in front of %s on the device",
                         (long long)-offset, name);
    return fault_set(fault, ST_WRONG,
                     "wrote past the end of %s on the device (byte %lld behind it)", name,
                     (long long)offset - (long long)block->bytes);
}

static enum status device_intact(const struct bound *b, struct fault *fault)
{
    const struct mirror *m = &b->mirror;
    struct operand_memory memory;
    for (int i = 0; i < OP_TENSORS_MAX; i++) {
        if (operands_memory(b->operands, i, &memory))
            TRY(block_intact(m->gpu, &m->tensor[i], memory.name, fault));
    }
    TRY(block_intact(m->gpu, &m->scratch, "its scratch", fault));
    TRY(block_intact(m->gpu, &m->packed, "its packed weights", fault));
    return block_intact(m->gpu, &m->state, "its state", fault);
}

enum status bound_intact(const struct bound *b, struct fault *fault)
{
    char where[256];
    if (!operands_intact(b->operands, where, sizeof where))
        return fault_set(fault, ST_WRONG, "%s", where);
    return b->mirror.gpu ? device_intact(b, fault) : host_intact(b, fault);
}
