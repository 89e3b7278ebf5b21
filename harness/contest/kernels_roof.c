// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* kernels_roof.c   What this machine cannot do: a time that beats its arithmetic or its memory is
 * not believed, because the work was not done. Counted is the least work, that no right kernel can
 * leave out: what a variant says of itself may add to it, never take away. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sysfile.h"
#include "contest/kernels.h"
#include "elem.h"
#include "machine/device.h"
#include "machine/host.h"

#define CACHE_DIR "/sys/devices/system/cpu/cpu%d/cache/index%d/"
/* Unless it streams, a copy fetches what it overwrites: three bytes move where two are counted. */
#define COPY_MOVES 1.5
#define COPY_TRIES 3
#define PROBE_TRIES 3
#define SLOW_MEMORY 4e9 /* bytes per second that any memory here reaches */

/* ---- measuring ------------------------------------------------------------------------------- */

/* Threads on several last-level caches hold more than one of them does. 0: unknown. */
static double caches_bytes(void)
{
    int64_t level, last = 0, caches = 0;
    int index = 0;
    char cpus[256];
    for (int i = 0; sysfile_int(&level, CACHE_DIR "level", 0, i); i++)
        if (level > last) {
            last = level;
            index = i;
        }
    for (int cpu = 0; cpu < (int)sysconf(_SC_NPROCESSORS_CONF); cpu++)
        caches += sysfile_line(cpus, sizeof cpus, CACHE_DIR "shared_cpu_list", cpu, index) &&
                  strtol(cpus, NULL, 10) == cpu; /* each counts once, by its first CPU */
    return (double)host_last_level_cache() * (double)(caches > 0 ? caches : 1);
}

static void roof_of_device(struct roof *roof)
{
    struct gpu_info info;
    if (gpu_describe(device_index(), &info, NULL) != ST_OK)
        return;
    roof->device = true;
    for (int n = 0; n < NUM_COUNT; n++)
        roof->class_flops[n] = gpu_peak_flops(&info, (enum numerics)n);
    roof->bus_bytes = gpu_peak_bytes(&info);
    roof->cache_bytes = (double)info.l2_bytes;
    roof->isa = "highest clock";
    snprintf(roof->device_name, sizeof roof->device_name, "%s", info.name);
}

void roof_measure(struct roof *roof, int threads)
{
    const char *isa = "";
    if (device_kind() == DEVICE_CUDA) {
        roof_of_device(roof);
        return;
    }
    double flops = measure_fma_peak(threads, &isa);
    if (flops > roof->flops) {
        roof->flops = flops;
        roof->isa = isa;
    }
    roof->cache_bytes = caches_bytes();
}

/* ---- least work ------------------------------------------------------------------------------ */

/* Taps of one axis, over all outputs, that lie inside of the data and not in the padding. */
static double taps_inside(int64_t out, int64_t stride, int64_t kernel, int64_t pad, int64_t data)
{
    double sum = 0;
    for (int64_t o = 0; o < out; o++) {
        int64_t first = o * stride, end = first + kernel;
        first = first > pad ? first : pad;
        end = end < pad + data ? end : pad + data;
        sum += end > first ? (double)(end - first) : 0;
    }
    return sum;
}

/* The op's flops without the products with zeros of the padding, which a kernel may skip. */
static double direct_flops(const struct problem *p)
{
    if (p->op == OP_conv3d) {
        const struct conv3d_problem *v = &p->conv3d;
        return 2 * (double)v->C * (double)v->O *
               taps_inside(conv3d_To(v), v->st, v->kt, v->lead - v->P, v->P + v->T) *
               taps_inside(conv3d_Ho(v), v->sh, v->kh, v->pad_top, v->H) *
               taps_inside(conv3d_Wo(v), v->sw, v->kw, v->pad_left, v->W);
    }
    if (p->op == OP_norm_conv3d) {
        const struct norm_conv3d_problem *v = &p->norm_conv3d;
        return 2 * (double)v->C * (double)v->O *
               taps_inside(norm_conv3d_To(v), 1, v->kt, v->lead - v->P, v->P + v->T) *
               taps_inside(norm_conv3d_Ho(v), 1, v->kh, v->pad_top, v->H) *
               taps_inside(norm_conv3d_Wo(v), 1, v->kw, v->pad_left, v->W);
    }
    return problem_flops(p);
}

/* Winograd and sparse variants do less than the direct algorithm, so there their own word is all
 * there is. */
static double least_flops(const struct problem *p, const struct arm *a)
{
    /* A variant that claims nothing comes with the op's figure, padding included. */
    double claimed = a->flops == problem_flops(p) ? 0 : a->flops;
    if (a->numerics == NUM_WINOGRAD || a->numerics == NUM_SPARSE)
        return claimed;
    return fmax(direct_flops(p), claimed);
}

/* A table's unwanted rows, a crop's border and what a stride steps over need not be read. */
static bool read_in_part(enum op_id op, const char *tensor)
{
    static const struct {
        enum op_id op;
        const char *tensor;
    } parts[] = {{OP_embedding, "table"}, {OP_to_rgb, "x"}, {OP_conv3d, "x"}, {OP_conv3d, "past"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].op == op && !strcmp(parts[i].tensor, tensor))
            return true;
    return false;
}

/* Narrower classes may keep packed weights narrower than the problem states them; activations come
 * and go as it states them. Sparse ones may leave out anything. */
static double least_width(enum numerics numerics, const struct op_tensor *info, enum elem elem)
{
    static const double packed[NUM_COUNT] = {
        [NUM_F32] = 8, [NUM_TF32] = 8, [NUM_WINOGRAD] = 8, [NUM_BF16] = 2,
        [NUM_F16] = 2, [NUM_FP8] = 1,  [NUM_INT8] = 1,     [NUM_FP4] = 0.5};
    const double stated = (double)elem_bytes(elem);
    if (numerics == NUM_SPARSE)
        return 0;
    return info->role == ROLE_WEIGHT ? fmin(stated, packed[numerics]) : stated;
}

/* Of all tensors, or of weights alone. */
static double operand_bytes(const struct problem *p, enum numerics numerics, bool weights)
{
    const struct op_info *op = op_table[p->op];
    double bytes = 0;
    for (int i = 0; i < OP_TENSORS_MAX && op->tensor[i].name; i++) {
        const struct tensor *t = problem_tensor_const(p, i);
        int64_t rows, row_elems;
        if (tensor_given(t) && (!weights || op->tensor[i].role == ROLE_WEIGHT) &&
            !read_in_part(p->op, op->tensor[i].name) &&
            op->extent(&p->linear, i, &rows, &row_elems))
            bytes +=
                (double)rows * (double)row_elems * least_width(numerics, &op->tensor[i], t->elem);
    }
    return bytes;
}

/* Caches nearer to a core may hold what the last one has lost. */
#define NEARER_CACHES 1.5

/* Of all copies together the caches can keep no more than they hold, whatever they choose to keep:
 * the rest comes from memory in every round of turns. */
static double cold_bytes(const struct problem *p, const struct arm *a)
{
    const bool weights = a->cache == CACHE_COLD_WEIGHTS;
    const double turn = operand_bytes(p, a->numerics, weights);
    if (a->copies < 2)
        return 0;
    return fmax(0, turn - NEARER_CACHES * (double)a->cache_bytes / a->copies);
}

/* Bytes that come from memory or go there in every run, however much the caches kept of the run
 * before; 0 where the data is too small to tell. */
static double least_bytes(const struct problem *p, const struct arm *a, const struct roof *roof)
{
    const double all = operand_bytes(p, a->numerics, false), cache = roof->cache_bytes;
    const double hot = cache > 0 && all > 2 * cache ? all - cache : 0;
    return fmax(hot, cold_bytes(p, a));
}

/* ---- judgement ------------------------------------------------------------------------------- */

static double compute_floor(const struct problem *p, const struct arm *a, const struct roof *roof)
{
    double rate = roof_flops(roof, a->numerics) * MEASURE_PEAK_SLACK;
    return rate > 0 ? least_flops(p, a) / rate : 0;
}

static double memory_rate(const struct roof *roof)
{
    return roof->device ? roof->bus_bytes : roof->copy_bytes * COPY_MOVES;
}

static double memory_floor(const struct problem *p, const struct arm *a, const struct roof *roof)
{
    double rate = memory_rate(roof) * MEASURE_PEAK_SLACK;
    return rate > 0 ? least_bytes(p, a, roof) / rate : 0;
}

bool roof_needs_copy(const struct roof *roof, const struct problem *p, const struct arm *a)
{
    if (roof->device)
        return false;
    return roof->copy_bytes > 0 ? a->summary.median < memory_floor(p, a, roof)
                                : least_bytes(p, a, roof) > SLOW_MEMORY * a->summary.median;
}

void roof_measure_classes(struct roof *roof, int threads, const struct problem *p,
                          const struct arm *arms, int count)
{
    const char *isa;
    for (int i = 0; i < count && !roof->device; i++) {
        const struct arm *a = &arms[i];
        double *known = &roof->class_flops[a->numerics];
        if (!arm_timed(a) || a->numerics == NUM_F32)
            continue;
        for (int attempt = 0; attempt < PROBE_TRIES; attempt++)
            if (*known == 0 || a->summary.median < compute_floor(p, a, roof))
                *known = fmax(*known, measure_peak_of_class(a->numerics, threads, &isa));
    }
}

/* A busy neighbour during one measurement must not brand a kernel: the best of several counts. */
void roof_measure_copy(struct roof *roof, int threads, const struct problem *p,
                       const struct arm *arms, int count)
{
    for (int attempt = 0; attempt < COPY_TRIES; attempt++) {
        bool needed = false;
        for (int i = 0; i < count; i++)
            needed = needed || (arm_timed(&arms[i]) && roof_needs_copy(roof, p, &arms[i]));
        if (!needed)
            return;
        roof->copy_bytes = fmax(roof->copy_bytes, measure_copy_bandwidth(threads));
    }
}

bool roof_beaten(const struct roof *roof, const struct problem *p, const struct arm *a,
                 char *reason, size_t bytes)
{
    double compute = compute_floor(p, a, roof), memory = memory_floor(p, a, roof);
    if (a->summary.median >= fmax(compute, memory))
        return false;
    if (compute >= memory)
        snprintf(reason, bytes,
                 "%.3g ms is less than the %.3g ms that %.3g MFLOP need at a peak of %.1f GFLOP/s",
                 1e3 * a->summary.median, 1e3 * compute, least_flops(p, a) / 1e6,
                 roof_flops(roof, a->numerics) / 1e9);
    else
        snprintf(reason, bytes,
                 "%.3g ms is less than the %.3g ms that %.3g MB beyond the caches need where %s"
                 " reaches %.1f GB/s",
                 1e3 * a->summary.median, 1e3 * memory, least_bytes(p, a, roof) / 1e6,
                 roof->device ? "the bus" : "a copy",
                 (roof->device ? roof->bus_bytes : roof->copy_bytes) / 1e9);
    return true;
}
