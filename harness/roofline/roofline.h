// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* roofline.h   What the parts of `roofline` share: the command (cmd_roofline.c), figures of the CPU
 * (roofline_cpu.c) and of a CUDA device (roofline_cuda.c), products of matrices by libraries on both
 * (roofline_matmul.c), tables and JSON (roofline_print.c), records (roofline_record.c). */
#ifndef PATCHMARK_ROOFLINE_H
#define PATCHMARK_ROOFLINE_H

#include "base/json.h"
#include "base/stats.h"
#include "machine/gpu.h"
#include "machine/nvml.h"
#include "machine/topology.h"
#include "roofline/bandwidth.h"
#include "variant/bound.h"

#define ROOF_SAMPLES_MAX 64
#define ROOF_THREADS_MAX 8
#define ROOF_FIGURES_MAX 320

enum roof_kind {
    ROOF_PEAK,   /* arithmetic of one unit on one type */
    ROOF_MEMORY, /* a walk through one place of the hierarchy */
    ROOF_MATMUL, /* a library's product of matrices */
    ROOF_COPY    /* of a CUDA device: within its memory, and to and from the host */
};

/* One figure: so many seconds for so much work. Rates are what is measured on the CPU, so there the
 * work of a sample is one of a fixed amount. */
struct roof_figure {
    enum roof_kind kind;
    const char *name; /* "peak", "read", "copy", "triad", "matmul", "upload", "download" */
    const char *type; /* of peaks and products: "f32"; else NULL */
    const char *unit; /* vector set, or variant; NULL: none is here */
    char shape[96];   /* of products */
    int64_t side;
    double units_rate; /* of products on a CUDA device: what its units could, highest clock; or 0 */
    int threads;
    struct memory_place place; /* of walks; `name` is "" elsewhere */
    double work;
    enum status status;
    struct fault why;
    double samples[ROOF_SAMPLES_MAX]; /* seconds for `work` */
    int64_t n;

    /* how a sample is taken */
    int peak_index;
    enum stream_walk walk;
    const struct stream_probe *stream;
    bool dram;
    int64_t passes;
    struct operands *operands;
    struct bound *bound;
    struct nvml_window window;
};

struct roofline {
    const char *device, *results;
    int threads[ROOF_THREADS_MAX], thread_counts; /* ascending */
    int64_t rounds;
    struct cache_level level[CACHE_LEVELS_MAX];
    int levels;
    struct roof_figure *figure;
    int count;
    int64_t redone;         /* rounds around a dip of the clock, not among the samples */
    bool unsettled;         /* so many dips that all rounds were kept */
    struct pinning pinning; /* of the threads of the CPU */
    struct pinned pinned;
    struct gpu_info gpu; /* of a CUDA device */
    struct nvml *nvml;   /* NULL: not watched, or none */
    const char *record;  /* path, once written */
};

/* Adds a figure, all zero but for what is given; NULL where there is no more room. */
struct roof_figure *roof_add(struct roofline *r, enum roof_kind kind, const char *name,
                             int threads);
/* The figure with this kind, type or level, and threads that was measured and is fastest; NULL. */
const struct roof_figure *roof_best(const struct roofline *r, enum roof_kind kind, const char *type,
                                    const char *level, int threads);
bool roof_is_bytes(const struct roof_figure *f); /* else flops */
/* Per second; 0: not measured. Roofs are the best that was seen, because nothing but the machine
 * itself makes it faster. */
double roof_rate(const struct roof_figure *f);
double roof_rate_best(const struct roof_figure *f);

/* Everything of the CPU, in rounds over all figures. */
enum status roof_measure_cpu(struct roofline *r, struct fault *fault);
/* Adds the copies of a CUDA device, not measured; then all of the device that was chosen. */
void roof_add_copies(struct roofline *r);
enum status roof_measure_cuda(struct roofline *r, struct fault *fault);

/* Adds a verified product of matrices for every library variant of linear that runs on the device
 * at hand, of about `seconds` at a rate of `peak`; bound, ready to be timed. */
void roof_add_matmuls(struct roofline *r, int threads, double peak, double seconds);
double roof_matmul_seconds(struct roof_figure *f); /* of one product; 0 and f->status on failure */
void roof_free_matmul(struct roof_figure *f);

void roof_print(const struct roofline *r, FILE *out);
void roof_json(const struct roofline *r, struct json *j);
/* Writes one case for each figure and closes the file; r->record is then its path, file's own. */
struct record_file;
enum status roof_write_records(struct roofline *r, struct record_file *file, struct fault *fault);

#endif
