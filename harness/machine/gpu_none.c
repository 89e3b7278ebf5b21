// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gpu_none.c   gpu.h in a build without the CUDA Toolkit. */
#ifndef HAVE_CUDA

#include "machine/gpu.h"

static enum status not_built(struct fault *fault)
{
    return fault_set(fault, ST_NOT_BUILT,
                     "no CUDA device can be used: this program was built without the CUDA Toolkit");
}

enum status gpu_count(int *count, struct fault *fault)
{
    *count = 0;
    return not_built(fault);
}

enum status gpu_describe(int index, struct gpu_info *out, struct fault *fault)
{
    *out = (struct gpu_info){.index = index};
    return not_built(fault);
}

uint64_t gpu_features(int index)
{
    (void)index;
    return 0;
}

enum status gpu_open(int index, struct gpu **out, struct fault *fault)
{
    (void)index;
    *out = NULL;
    return not_built(fault);
}

/* Nothing below is reached, for there is no struct gpu to call it with. */
void gpu_close(struct gpu *g) { (void)g; }

const struct gpu_info *gpu_info(const struct gpu *g)
{
    (void)g;
    return NULL;
}

void gpu_exec(const struct gpu *g, struct exec *exec) { (void)g, (void)exec; }

enum status gpu_alloc(struct gpu *g, size_t bytes, const char *what, void **out,
                      struct fault *fault)
{
    (void)g, (void)bytes, (void)what, (void)out;
    return not_built(fault);
}

void gpu_free(struct gpu *g, void *memory) { (void)g, (void)memory; }

enum status gpu_memory_free(struct gpu *g, size_t *free_bytes, struct fault *fault)
{
    (void)g, (void)free_bytes;
    return not_built(fault);
}

enum status gpu_stage(struct gpu *g, size_t bytes, void **out, struct fault *fault)
{
    (void)g, (void)bytes, (void)out;
    return not_built(fault);
}

enum status gpu_send(struct gpu *g, void *to, const void *staged, size_t bytes, struct fault *fault)
{
    (void)g, (void)to, (void)staged, (void)bytes;
    return not_built(fault);
}

enum status gpu_upload(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault)
{
    (void)g, (void)to, (void)from, (void)bytes;
    return not_built(fault);
}

enum status gpu_download(struct gpu *g, void *to, const void *from, size_t bytes,
                         struct fault *fault)
{
    (void)g, (void)to, (void)from, (void)bytes;
    return not_built(fault);
}

enum status gpu_fill(struct gpu *g, void *to, unsigned char value, size_t bytes,
                     struct fault *fault)
{
    (void)g, (void)to, (void)value, (void)bytes;
    return not_built(fault);
}

enum status gpu_copy(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault)
{
    (void)g, (void)to, (void)from, (void)bytes;
    return not_built(fault);
}

enum status gpu_pinned(struct gpu *g, size_t bytes, void **out, struct fault *fault)
{
    (void)g, (void)bytes, (void)out;
    return not_built(fault);
}

void gpu_pinned_free(struct gpu *g, void *memory) { (void)g, (void)memory; }

enum status gpu_sync(struct gpu *g, struct fault *fault)
{
    (void)g;
    return not_built(fault);
}

enum status gpu_sync_device(struct gpu *g, struct fault *fault)
{
    (void)g;
    return not_built(fault);
}

enum status gpu_mark(struct gpu *g, int mark, struct fault *fault)
{
    (void)g, (void)mark;
    return not_built(fault);
}

enum status gpu_elapsed(struct gpu *g, int from, int to, double *seconds, struct fault *fault)
{
    (void)g, (void)from, (void)to, (void)seconds;
    return not_built(fault);
}

enum status gpu_capture_begin(struct gpu *g, struct fault *fault)
{
    (void)g;
    return not_built(fault);
}

enum status gpu_capture_end(struct gpu *g, struct gpu_graph **graph, struct fault *fault)
{
    (void)g, (void)graph;
    return not_built(fault);
}

enum status gpu_graph_launch(struct gpu *g, const struct gpu_graph *graph, struct fault *fault)
{
    (void)g, (void)graph;
    return not_built(fault);
}

int64_t gpu_graph_nodes(const struct gpu_graph *graph)
{
    (void)graph;
    return 0;
}

void gpu_graph_free(struct gpu_graph *graph) { (void)graph; }

enum status gpu_profile_begin(struct gpu *g, const char *name, struct fault *fault)
{
    (void)g, (void)name;
    return not_built(fault);
}

enum status gpu_profile_end(struct gpu *g, struct fault *fault)
{
    (void)g;
    return not_built(fault);
}

enum status gpu_launches(struct gpu *g, enum status (*fn)(void *user), void *user,
                         struct gpu_launch *out, int room, int *count, struct fault *fault)
{
    (void)g, (void)fn, (void)user, (void)out, (void)room, (void)count;
    return not_built(fault);
}

#endif
