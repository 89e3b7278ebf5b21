// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* engine_device.c   Where an engine's memory lies and its work is done: on the CPU at once, or on a
 * CUDA device in the order of one stream. Steps are timed by marks in that stream and may be
 * recorded into a graph each. */
#include "elem.h"
#include "engine/case.h"
#include "engine/engine_state.h"

#include <stdlib.h>
#include <string.h>

bool on_device(const struct engine *e) { return e->config.device == DEVICE_CUDA; }

enum status device_open(struct engine *e)
{
    if (!on_device(e) || e->gpu)
        return ST_OK;
    return gpu_process(e->config.device_index, &e->gpu, &e->fault);
}

/* A step that broke off leaves its stream recording. */
void device_close(struct engine *e)
{
    if (e->capturing)
        gpu_capture_end(e->gpu, &e->graph, NULL);
    e->capturing = false;
    gpu_graph_free(e->graph);
    e->graph = NULL;
    e->gpu = NULL;
}

struct exec device_exec(const struct engine *e)
{
    struct exec exec = {.threads = e->config.threads};
    if (e->gpu)
        gpu_exec(e->gpu, &exec);
    return exec;
}

enum status device_wait(struct engine *e) { return e->gpu ? gpu_sync(e->gpu, &e->fault) : ST_OK; }

/* ---- memory ---------------------------------------------------------------------------------- */

/* Touched by the threads that will use it, so that page faults fall into loading. */
static enum status host_slab(struct engine *e, char **slab, size_t bytes)
{
    enum { PAGES = 1 << 21 };
    size_t room = (bytes + PAGES) & ~(size_t)(PAGES - 1);
    if (!(*slab = aligned_alloc(4096, room)))
        return fault_set(&e->fault, ST_NO_MEMORY,
                         "the machine gave no %zu MiB though they were planned", room >> 20);
#pragma omp parallel for schedule(static) num_threads(e->config.threads)
    for (size_t at = 0; at < room; at += PAGES)
        memset(*slab + at, 0, PAGES);
    return ST_OK;
}

enum status slab_take(struct engine *e, char **slab, size_t bytes)
{
    slab_drop(e, slab);
    if (!on_device(e))
        return host_slab(e, slab, bytes);
    void *memory;
    TRY(gpu_alloc(e->gpu, bytes, "the pipeline", &memory, &e->fault));
    *slab = memory;
    return ST_OK;
}

void slab_drop(struct engine *e, char **slab)
{
    if (on_device(e))
        gpu_free(e->gpu, *slab);
    else
        free(*slab);
    *slab = NULL;
}

enum status state_take(struct engine *e, struct site *site)
{
    size_t bytes = site->resolved.need.state_bytes;
    if (!bytes || site->state)
        return ST_OK;
    TRY(slab_take(e, &site->state, bytes));
    return on_device(e) ? gpu_fill(e->gpu, site->state, 0, bytes, &e->fault) : ST_OK;
}

/* ---- data ------------------------------------------------------------------------------------ */

/* The host's side of a tensor: f32 for any float type, else the tensor's own. */
static enum elem host_elem(const struct tensor *t)
{
    return t->elem == ELEM_BF16 || t->elem == ELEM_F16 ? ELEM_F32 : t->elem;
}

static size_t span_bytes(const struct tensor *t, int64_t rows, int64_t row_elems)
{
    return (size_t)((rows - 1) * t->stride + row_elems) * elem_bytes(t->elem);
}

/* Rows of a device tensor that lie apart leave what is between them as it is. */
static enum status put_rows(struct engine *e, const struct tensor *t, const char *rows_packed,
                            int64_t rows, int64_t row_elems)
{
    size_t row = (size_t)row_elems * elem_bytes(t->elem);
    size_t step = (size_t)t->stride * elem_bytes(t->elem);
    if (t->stride == row_elems)
        return gpu_upload(e->gpu, t->data, rows_packed, (size_t)rows * row, &e->fault);
    for (int64_t r = 0; r < rows; r++)
        TRY(gpu_upload(e->gpu, (char *)t->data + (size_t)r * step, rows_packed + (size_t)r * row,
                       row, &e->fault));
    return ST_OK;
}

/* A recorded step is launched before the host looks at what it made, or sends much. */
static enum status graph_close(struct engine *e)
{
    if (!e->capturing)
        return ST_OK;
    struct stage_figures *f = &e->stage[STAGE_DENOISE].figures;
    int64_t start = clock_ns();
    e->capturing = false;
    TRY(gpu_capture_end(e->gpu, &e->graph, &e->fault));
    TRY(gpu_graph_launch(e->gpu, e->graph, &e->fault));
    e->enqueue_ns += clock_ns() - start;
    int64_t nodes = gpu_graph_nodes(e->graph);
    f->graph_nodes = nodes > f->graph_nodes ? nodes : f->graph_nodes;
    return ST_OK;
}

enum status tensor_put(struct engine *e, const struct tensor *t, const void *host, int64_t rows,
                       int64_t row_elems)
{
    enum { SMALL = 1 << 16 }; /* what a graph may carry in its staging region */
    size_t size = elem_bytes(t->elem), bytes = (size_t)(rows * row_elems) * size;
    char *to = t->data;
    int64_t stride = t->stride;
    if (on_device(e)) {
        if (bytes > SMALL)
            TRY(graph_close(e));
        if (!(to = malloc(bytes)))
            return fault_set(&e->fault, ST_NO_MEMORY, "no memory for what goes to the device");
        stride = row_elems;
    }
    size_t host_row = (size_t)row_elems * elem_bytes(host_elem(t));
    for (int64_t r = 0; r < rows; r++)
        elem_convert(to + (size_t)(r * stride) * size, t->elem,
                     (const char *)host + (size_t)r * host_row, host_elem(t), row_elems);
    if (!on_device(e))
        return ST_OK;
    enum status s = put_rows(e, t, to, rows, row_elems);
    free(to);
    return s;
}

enum status tensor_get(struct engine *e, const struct tensor *t, void *host, int64_t rows,
                       int64_t row_elems)
{
    size_t row = (size_t)t->stride * elem_bytes(t->elem);
    size_t host_row = (size_t)row_elems * elem_bytes(host_elem(t));
    char *copy = NULL, *from = t->data;
    enum status s = graph_close(e);
    if (s == ST_OK && on_device(e)) {
        size_t bytes = span_bytes(t, rows, row_elems);
        if (!(from = copy = malloc(bytes)))
            return fault_set(&e->fault, ST_NO_MEMORY, "no memory for what comes from the device");
        s = gpu_download(e->gpu, copy, t->data, bytes, &e->fault);
    }
    for (int64_t r = 0; s == ST_OK && r < rows; r++)
        elem_convert((char *)host + (size_t)r * host_row, host_elem(t), from + (size_t)r * row,
                     t->elem, row_elems);
    free(copy);
    return s;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Marks stand at the steps' borders: mark i at the begin of a stage's step i + 1. Hooks ran in
 * between are taken out: their time is kept, negative, where the step's time will be added. What the
 * host needs is one figure for all experts, kept with the first. */
static enum status border(struct engine *e)
{
    int64_t now = clock_ns() - e->hooks_ns;
    struct stage_figures *f = &e->stage[STAGE_DENOISE].figures;
    int closed = e->marked;
    if (closed > 0) {
        int64_t *step_ns = e->step_ns ? &e->step_ns[e->first_step + closed - 1] : NULL;
        if (step_ns && on_device(e))
            *step_ns = -(e->hooks_ns - e->stepped_hooks_ns);
        else if (step_ns)
            *step_ns = now - e->stepped_ns;
        if (on_device(e) && (!f->host_ns || e->enqueue_ns < f->host_ns))
            f->host_ns = e->enqueue_ns;
    }
    e->stepped_ns = now;
    e->stepped_hooks_ns = e->hooks_ns;
    e->enqueue_ns = 0;
    e->marked++;
    return on_device(e) ? gpu_mark(e->gpu, closed, &e->fault) : ST_OK;
}

enum status step_begin(struct engine *e)
{
    TRY(graph_close(e));
    if (!e->marked)
        e->first_step = e->step - 1;
    TRY(border(e));
    if (!on_device(e) || e->config.launch != LAUNCH_GRAPH || e->config.op_times || e->marked < 2)
        return ST_OK;
    TRY(gpu_capture_begin(e->gpu, &e->fault));
    e->capturing = true;
    return ST_OK;
}

enum status steps_end(struct engine *e)
{
    TRY(graph_close(e));
    TRY(border(e));
    for (int i = 0; on_device(e) && e->step_ns && i + 1 < e->marked; i++) {
        double seconds;
        TRY(gpu_elapsed(e->gpu, i, i + 1, &seconds, &e->fault));
        e->step_ns[e->first_step + i] += (int64_t)(seconds * 1e9);
    }
    return ST_OK;
}
