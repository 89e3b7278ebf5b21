// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "bound.h"

#include <string.h>

enum status bound_new(const struct variant *variant, const int64_t *knob, struct operands *operands,
                      int threads, struct bound *out, struct fault *fault)
{
    *out = (struct bound){.variant = variant, .operands = operands};
    out->exec = (struct exec){.threads = threads};
    variant_default_knobs(variant, out->knob);
    if (knob)
        memcpy(out->knob, knob, sizeof out->knob);
    out->need.threads = threads;
    if (!variant->plan(problem_body(&operands->problem), out->knob, &out->need))
        return fault_set(fault, ST_REFUSED, "%s",
                         out->need.reason ? out->need.reason : "refused without a reason");
    enum status status = guarded_new(&out->scratch, out->need.scratch_bytes, "scratch", fault);
    if (status == ST_OK)
        status = guarded_new(&out->packed, out->need.packed_bytes, "packed weights", fault);
    if (status == ST_OK)
        status = guarded_new(&out->state, out->need.state_bytes, "state", fault);
    if (status == ST_OK && variant->open) {
        status = variant->open(&out->exec, &out->exec.handle);
        if (status != ST_OK)
            fault_set(fault, status, "%s/%s could not open its library", variant->op,
                      variant->name);
    }
    if (status != ST_OK) {
        bound_free(out);
        return status;
    }
    memset(out->state.data, 0, out->state.bytes);
    out->exec.scratch = out->scratch.data;
    out->exec.state = out->state.data;
    return ST_OK;
}

/* The generator frees large weights once they are packed. */
static void drop_packed_weights(struct problem *p)
{
    const struct op_tensor *t = op_table[p->op]->tensor;
    for (int i = 0; i < OP_TENSORS_MAX && t[i].name; i++) {
        if (t[i].role == ROLE_WEIGHT && t[i].fill == OPERAND_FAN_IN)
            problem_tensor(p, i)->data = NULL;
    }
}

enum status bound_prepare(struct bound *b, struct fault *fault)
{
    b->exec.knob = b->knob;
    b->problem = b->operands->problem;
    if (!b->variant->prepare || b->need.packed_bytes == 0)
        return ST_OK;
    b->exec.packed = b->packed.data;
    if (b->variant->prepare(problem_body(&b->problem), &b->exec, b->packed.data) != ST_OK)
        return fault_set(fault, ST_WRONG, "prepare() reported an error");
    drop_packed_weights(&b->problem);
    return ST_OK;
}

enum status bound_run(struct bound *b)
{
    return b->variant->run(problem_body(&b->problem), &b->exec);
}

void bound_free(struct bound *b)
{
    if (b->variant && b->variant->close && b->exec.handle)
        b->variant->close(b->exec.handle);
    guarded_free(&b->scratch);
    guarded_free(&b->packed);
    guarded_free(&b->state);
    *b = (struct bound){0};
}
