// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_residency.c   How long weights stay: for the engine's life, for their stage, or for the
 * block that needs them. What each takes, and which one a request gets. */
#include "engine/case.h"
#include "engine/engine_state.h"

const char *const residency_names[RESIDENCY_COUNT] = {
    [RESIDENCY_AUTO] = "auto",
    [RESIDENCY_RESIDENT] = "resident",
    [RESIDENCY_EXPERT_SWAP] = "expert-swap",
    [RESIDENCY_STAGE] = "stage",
    [RESIDENCY_BLOCK_STREAM] = "block-stream",
};

/* The autoencoder passes its levels once a chunk and is small; the others are long rows of blocks. */
static bool stage_streams(const struct engine *e, int stage)
{
    return e->residency == RESIDENCY_BLOCK_STREAM &&
           (stage == STAGE_TEXT || stage_denoises((enum stage)stage));
}

static bool stage_stays(const struct engine *e) { return e->residency == RESIDENCY_RESIDENT; }

/* What stays is only put down. */
void weights_leave(struct engine *e)
{
    for (int i = 0; i < STAGE_COUNT; i++)
        if (e->weights_slab && e->kept[i] == e->weights_slab)
            e->weights_slab = NULL;
    slab_drop(e, &e->weights_slab);
    slab_drop(e, &e->staging);
}

enum status weights_enter(struct engine *e, enum stage stage)
{
    weights_leave(e);
    if (e->kept[stage]) {
        e->weights_slab = e->kept[stage];
        return ST_OK;
    }
    TRY(slab_take(e, &e->weights_slab, e->stage[stage].slab_bytes));
    TRY(weights_load(e, stage));
    if (stage_stays(e))
        e->kept[stage] = e->weights_slab;
    return ST_OK;
}

static void lay_out(struct engine *e, enum residency residency)
{
    e->residency = residency;
    for (int i = 0; i < STAGE_COUNT; i++) {
        struct stage_plan *plan = &e->stage[i];
        struct stage_figures *f = &plan->figures;
        const size_t elem_size = e->ops.type == ELEM_F32 ? 4 : 2;
        weights_layout(plan, stage_streams(e, i));
        f->activation_bytes = e->arena[i].peak_bytes;
        f->peak_bytes = plan->slab_bytes + plan->staging_elems * elem_size + f->activation_bytes +
                        f->scratch_bytes + f->state_bytes;
    }
}

/* What outlives stages, the weights that stay, and the largest of what comes and goes. */
static size_t bytes_of(const struct engine *e)
{
    size_t kept = e->arena[OUTSIDE].peak_bytes, most = 0;
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_plan *plan = &e->stage[i];
        const size_t stays = stage_stays(e) ? plan->slab_bytes : 0;
        const size_t goes = plan->figures.peak_bytes - stays;
        kept += stays;
        most = goes > most ? goes : most;
    }
    return kept + most;
}

void residency_measure(struct engine *e)
{
    for (int r = RESIDENCY_RESIDENT; r < RESIDENCY_COUNT; r++) {
        lay_out(e, (enum residency)r);
        e->residency_bytes[r] = bytes_of(e);
    }
}

/* A clip's time leaves loading out, so weights that stay longer than their stage buy nothing there;
 * those that leave sooner cost time within it. */
void residency_choose(struct engine *e, size_t available)
{
    const enum residency stage = e->experts ? RESIDENCY_EXPERT_SWAP : RESIDENCY_STAGE;
    enum residency r = e->config.residency;
    if (r == RESIDENCY_STAGE || r == RESIDENCY_EXPERT_SWAP)
        r = stage;
    if (r == RESIDENCY_AUTO)
        r = e->residency_bytes[stage] <= available ||
                    e->residency_bytes[RESIDENCY_BLOCK_STREAM] > available
                ? stage
                : RESIDENCY_BLOCK_STREAM;
    lay_out(e, r);
}

enum residency engine_residency(const struct engine *engine) { return engine->residency; }

size_t engine_residency_bytes(const struct engine *engine, enum residency residency)
{
    return engine->residency_bytes[residency];
}

void engine_describe_fit(const struct engine *engine, size_t available, char *out, size_t bytes)
{
    const enum residency asked = engine->config.residency, plan = engine->residency;
    const size_t needed = engine->residency_bytes[plan];
    const bool first = plan != RESIDENCY_BLOCK_STREAM || asked == RESIDENCY_BLOCK_STREAM;
    if (needed > available)
        snprintf(out, bytes, "does not fit: %s needs %.2f GiB, %.2f GiB are available",
                 residency_names[plan], (double)needed / (1 << 30), (double)available / (1 << 30));
    else
        snprintf(out, bytes, first ? "fits (%s)" : "fits by plan %s", residency_names[plan]);
}
