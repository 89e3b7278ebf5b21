// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_try.c   What a library takes is known only when it is asked, and run() never falls back.
 * So before a plan stands, each library variant in it runs each of its problems once on a CUDA
 * device, on zeros in memory of its own; where it refuses, words choose the next variant. */
#include "elem.h"
#include "engine/engine_state.h"
#include "variant/library.h"

struct trial_memory {
    char *base;
    size_t used;
};

static char *take(struct trial_memory *m, size_t bytes)
{
    char *at = m->base + m->used;
    m->used += (bytes + 255) & ~(size_t)255;
    return at;
}

/* Every operand in a place of its own, then what the variant wants for itself. */
static void place(struct trial_memory *m, struct problem *p, const struct need *need,
                  struct exec *exec)
{
    const struct op_info *info = op_table[p->op];
    for (int i = 0; info->tensor[i].name; i++) {
        struct tensor *t = problem_tensor(p, i);
        int64_t rows, row_elems;
        if (tensor_given(t) && info->extent(&p->attention, i, &rows, &row_elems) && rows > 0)
            t->data = take(m, (size_t)((rows - 1) * t->stride + row_elems) * elem_bytes(t->elem));
    }
    exec->scratch = take(m, need->scratch_bytes);
    exec->packed = take(m, need->packed_bytes);
    exec->state = take(m, need->state_bytes);
}

static enum status run_on_zeros(struct engine *e, const struct variant *v, const struct problem *p,
                                struct exec *exec, const struct trial_memory *m, struct fault *why)
{
    TRY(library_open(v, exec, why));
    TRY(gpu_fill(e->gpu, m->base, 0, m->used, why));
    if (v->prepare && exec->packed)
        TRY(v->prepare(&p->attention, exec, (void *)exec->packed));
    TRY(v->run(&p->attention, exec));
    return gpu_sync(e->gpu, why);
}

static enum status told(struct engine *e, const struct site *site, enum status s,
                        const struct fault *why, bool *changed)
{
    char line[256];
    const struct registry_entry *entry = site->resolved.entry;
    bool absent = s == ST_UNAVAILABLE || s == ST_NOT_BUILT, refused = absent || s == ST_REFUSED;
    *changed = *changed || refused;
    if (s == ST_OK || refused)
        return choice_note_trial(e->choice, entry, absent ? NULL : &site->problem, refused);
    shape_print(&site->problem, line, sizeof line);
    return fault_set(&e->fault, s, "%s/%s failed on %s when it was tried%s%s", entry->op,
                     entry->name, line, why->text[0] ? ": " : "", why->text);
}

/* Where there is no room for a trial, the plan will not fit either: that is said elsewhere. */
static enum status try_site(struct engine *e, const struct site *site, bool *changed)
{
    const struct resolved *r = &site->resolved;
    struct problem p = site->problem;
    struct exec exec = device_exec(e);
    struct trial_memory m = {(char *)(uintptr_t)TENSOR_ALIGN, 0};
    struct fault why = {{0}};
    void *memory;
    exec.knob = r->knob;
    place(&m, &p, &r->need, &exec); /* counts alone */
    enum status s = gpu_alloc(e->gpu, m.used, "a trial", &memory, &why);
    if (s != ST_OK)
        return s == ST_NO_MEMORY ? ST_OK : told(e, site, s, &why, changed);
    m = (struct trial_memory){memory, 0};
    place(&m, &p, &r->need, &exec);
    s = run_on_zeros(e, r->entry->variant, &p, &exec, &m, &why);
    gpu_free(e->gpu, memory);
    return told(e, site, s, &why, changed);
}

enum status libraries_try(struct engine *e, bool *changed)
{
    *changed = false;
    for (int32_t i = 0; on_device(e) && i < e->sites; i++) {
        const struct site *site = &e->site[i];
        const struct registry_entry *entry = site->resolved.entry;
        if (site->resolved.serve != SERVE_VARIANT || !entry->variant->open ||
            choice_tried(e->choice, entry, &site->problem))
            continue;
        TRY(device_open(e));
        TRY(try_site(e, site, changed));
    }
    return ST_OK;
}
