// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* roofline_cuda.c   Figures of a CUDA device: copies within its memory and to and from the host's,
 * and products of matrices by its libraries, by the device's own clock. */
#include <math.h>
#include <string.h>

#include "machine/device.h"
#include "roofline/roofline.h"

#define SAMPLES 30
#define SAMPLE_SECONDS 0.01
#define MATMUL_SECONDS 0.02
#define DEVICE_BYTES ((size_t)1 << 30) /* far over any last-level cache */
#define PINNED_BYTES ((size_t)256 << 20)

enum { COPIES = 3 };

struct copy {
    struct gpu *gpu;
    void *to, *from;
    size_t bytes;
};

/* Seconds of `runs` copies, by marks in the stream. */
static enum status copy_seconds(const struct copy *c, int64_t runs, double *seconds,
                                struct fault *fault)
{
    TRY(gpu_mark(c->gpu, 0, fault));
    for (int64_t i = 0; i < runs; i++)
        TRY(gpu_copy(c->gpu, c->to, c->from, c->bytes, fault));
    TRY(gpu_mark(c->gpu, 1, fault));
    return gpu_elapsed(c->gpu, 0, 1, seconds, fault);
}

/* The first stretch warms up and says how many copies make a sample. */
static enum status sample_copies(const struct copy *c, struct nvml *nvml, struct roof_figure *f)
{
    double seconds;
    TRY(copy_seconds(c, 4, &seconds, &f->why));
    int64_t runs = 1 + (int64_t)(SAMPLE_SECONDS / fmax(seconds / 4, 1e-9));
    enum status status = ST_OK;
    nvml_window_open(nvml, &f->window);
    for (; f->n < SAMPLES && status == ST_OK; f->n += status == ST_OK) {
        status = copy_seconds(c, runs, &seconds, &f->why);
        f->samples[f->n] = seconds / (double)runs;
    }
    nvml_window_close(nvml, &f->window);
    return status;
}

/* Memory of the device, two halves of it, and as much pinned memory of the host. */
static void take_copies(struct roofline *r, struct gpu *gpu, struct roof_figure *f)
{
    size_t large = r->gpu.memory_bytes / 8 < DEVICE_BYTES ? r->gpu.memory_bytes / 8 : DEVICE_BYTES;
    size_t small = large < PINNED_BYTES ? large : PINNED_BYTES;
    void *device[2] = {NULL, NULL}, *host = NULL;
    struct fault why = {{0}};
    enum status status = gpu_alloc(gpu, large, "a copy", &device[0], &why);
    if (status == ST_OK)
        status = gpu_alloc(gpu, large, "a copy", &device[1], &why);
    if (status == ST_OK)
        status = gpu_pinned(gpu, small, &host, &why);
    if (status == ST_OK)
        memset(host, 1, small);
    const struct copy copies[] = {{gpu, device[0], device[1], large},
                                  {gpu, device[0], host, small},
                                  {gpu, host, device[0], small}};
    for (int i = 0; i < COPIES; i++) {
        f[i].work = (i == 0 ? 2.0 : 1.0) * (double)copies[i].bytes; /* read and written */
        f[i].why = why;
        f[i].status = status == ST_OK ? sample_copies(&copies[i], r->nvml, &f[i]) : status;
    }
    gpu_pinned_free(gpu, host);
    gpu_free(gpu, device[1]);
    gpu_free(gpu, device[0]);
}

static void take_matmul(struct nvml *nvml, struct roof_figure *f)
{
    nvml_window_open(nvml, &f->window);
    for (int i = 0; i <= SAMPLES && f->status == ST_OK; i++) {
        double seconds = roof_matmul_seconds(f); /* the first warms up */
        f->samples[f->n] = seconds;
        f->n += i > 0 && f->status == ST_OK;
    }
    nvml_window_close(nvml, &f->window);
}

void roof_add_copies(struct roofline *r)
{
    static const char *const names[COPIES] = {"copy", "upload", "download"};
    for (int i = 0; i < COPIES; i++)
        roof_add(r, ROOF_COPY, names[i], r->threads[r->thread_counts - 1]);
}

enum status roof_measure_cuda(struct roofline *r, struct fault *fault)
{
    struct gpu *gpu = NULL;
    struct fault unwatched = {{0}};
    int first = r->count;
    TRY(gpu_process(device_index(), &gpu, fault));
    nvml_open(r->gpu.uuid, &r->nvml, &unwatched);
    take_copies(r, gpu, &r->figure[first - COPIES]);
    roof_add_matmuls(r, r->threads[r->thread_counts - 1], gpu_peak_flops(&r->gpu, NUM_BF16),
                     MATMUL_SECONDS);
    for (int i = first; i < r->count; i++) {
        if (r->figure[i].status == ST_OK)
            take_matmul(r->nvml, &r->figure[i]);
        roof_free_matmul(&r->figure[i]);
    }
    return ST_OK;
}
