// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cudnn.h   Convolution by cuDNN's graph API, channels innermost on both sides.
 *
 * cuDNN reads one packed input: past and new frames are copied behind each other in scratch where
 * there are past frames; zero frames and the spatial border are the library's padding. prepare()
 * turns weights to [O][kt][kh][kw][C]. Convolution, bias and aux are one graph with f32 between, so
 * that y is rounded once. For f32 with aux the library has such a graph in TF32 alone: there an FMA
 * engine convolves and a kernel adds bias and aux.
 * Scratch: [workspace][frames][sums]. */
#ifndef PATCHMARK_CONV3D_CUDNN_H
#define PATCHMARK_CONV3D_CUDNN_H

#include "decode/conv3d/conv3d.h"
#include "target/cuda.h"
#include "target/cudnn.h"

// clang-format off
#define CONV_KNOBS {{"choice", 8, {0, 1, 2, 3, 4, 5, 6, 7}}}
// clang-format on

enum { KNOB_CHOICE };
enum { ID_X = 1, ID_W, ID_BIAS, ID_AUX, ID_Y, ID_SUMS, ID_BIASED };
enum { THREADS = 256, ROWS_MAX = 32768 };

/* An engine that wants more is passed over. */
static const size_t workspace_bytes = (size_t)128 << 20;

static size_t elem_bytes(enum elem elem) { return elem == ELEM_F32 ? 4 : 2; }
static size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

static bool is_f32(const struct conv3d_problem *p) { return p->x.elem == ELEM_F32; }

static int64_t frame_elems(const struct conv3d_problem *p) { return p->H * p->W * p->C; }
static int64_t output_pixels(const struct conv3d_problem *p)
{
    return conv3d_To(p) * conv3d_Ho(p) * conv3d_Wo(p);
}

static size_t frames_bytes(const struct conv3d_problem *p)
{
    return p->P > 0 ? (size_t)((p->P + p->T) * frame_elems(p)) * elem_bytes(p->x.elem) : 0;
}

static bool in_library(const struct conv3d_problem *p)
{
    return !is_f32(p) || !tensor_given(&p->aux);
}

/* y may be aux, and a convolution does not read what it writes. */
static size_t sums_bytes(const struct conv3d_problem *p)
{
    return !in_library(p) ? (size_t)(output_pixels(p) * p->O) * sizeof(float) : 0;
}

/* ---- the graph ------------------------------------------------------------------------------- */

/* [frames][H][W][channels] as the library counts axes: 1, channels, frames, H, W. */
static cudnnBackendDescriptor_t pixels_of(struct cudnn_graph *g, int64_t id, enum elem elem,
                                          int64_t channels, int64_t frames, int64_t H, int64_t W,
                                          enum cudnn_place place)
{
    const int64_t dim[] = {1, channels, frames, H, W};
    const int64_t stride[] = {frames * H * W * channels, 1, H * W * channels, W * channels,
                              channels};
    return cudnn_tensor(g, id, cudnn_type(elem), 5, dim, stride, place);
}

static cudnnBackendDescriptor_t weights_of(struct cudnn_graph *g, const struct conv3d_problem *p)
{
    const int64_t dim[] = {p->O, p->C, p->kt, p->kh, p->kw};
    const int64_t stride[] = {p->kt * p->kh * p->kw * p->C, 1, p->kh * p->kw * p->C, p->kw * p->C,
                              p->C};
    return cudnn_tensor(g, ID_W, cudnn_type(p->w.elem), 5, dim, stride, CUDNN_STORED);
}

static void convolve(struct cudnn_graph *g, const struct conv3d_problem *p,
                     cudnnBackendDescriptor_t y)
{
    const int64_t axes = 3, before[] = {p->lead - p->P, p->pad_top, p->pad_left};
    const int64_t after[] = {0, p->pad_bottom, p->pad_right};
    const int64_t step[] = {p->st, p->sh, p->sw}, dilation[] = {1, 1, 1};
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const float alpha = 1, beta = 0;
    cudnnBackendDescriptor_t how = cudnn_make(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnn_set_type(g, how, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    cudnn_set(g, how, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    cudnn_set(g, how, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &axes);
    cudnn_set(g, how, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes, before);
    cudnn_set(g, how, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes, after);
    cudnn_set(g, how, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes, step);
    cudnn_set(g, how, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes, dilation);
    cudnn_finish(g, how);

    cudnnBackendDescriptor_t x =
        pixels_of(g, ID_X, p->x.elem, p->C, p->P + p->T, p->H, p->W, CUDNN_STORED);
    cudnnBackendDescriptor_t w = weights_of(g, p);
    cudnnBackendDescriptor_t op =
        cudnn_make(g, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, how);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    cudnn_set_part(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    cudnn_set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha);
    cudnn_set(g, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    cudnn_finish_op(g, op);
}

static cudnnBackendDescriptor_t output_of(struct cudnn_graph *g, const struct conv3d_problem *p,
                                          int64_t id, enum elem elem, enum cudnn_place place)
{
    return pixels_of(g, id, elem, p->O, conv3d_To(p), conv3d_Ho(p), conv3d_Wo(p), place);
}

/* Convolution, then bias, then aux: what comes last writes y, the others hand on f32. */
static void build(struct cudnn_graph *g, const struct conv3d_problem *p)
{
    bool bias = in_library(p) && tensor_given(&p->bias);
    bool aux = in_library(p) && tensor_given(&p->aux);
    cudnnBackendDescriptor_t y = output_of(g, p, ID_Y, p->y.elem, CUDNN_STORED), sums = y;
    if (bias || aux)
        sums = output_of(g, p, ID_SUMS, ELEM_F32, CUDNN_VIRTUAL);
    convolve(g, p, sums);
    if (bias) {
        const int64_t dim[] = {1, p->O, 1, 1, 1}, stride[] = {p->O, 1, p->O, p->O, p->O};
        cudnnBackendDescriptor_t b =
            cudnn_tensor(g, ID_BIAS, CUDNN_DATA_FLOAT, 5, dim, stride, CUDNN_STORED);
        cudnnBackendDescriptor_t biased =
            aux ? output_of(g, p, ID_BIASED, ELEM_F32, CUDNN_VIRTUAL) : y;
        cudnn_pointwise(g, CUDNN_POINTWISE_ADD, sums, b, biased);
        sums = biased;
    }
    if (aux)
        cudnn_pointwise(g, CUDNN_POINTWISE_ADD, sums,
                        output_of(g, p, ID_AUX, p->aux.elem, CUDNN_STORED), y);
}

/* ---- the kernels ----------------------------------------------------------------------------- */

/* to[o][tap][c] = from[o][c][tap], a block per o and stretch of its weights. */
template <typename T>
static __global__ void turn_weights(const T *__restrict__ from, T *__restrict__ to, int64_t C,
                                    int64_t taps)
{
    int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, first = blockIdx.y * C * taps;
    if (i < C * taps)
        to[first + i] = from[first + i % C * taps + i / C];
}

/* Past frames, then new ones. Counts are in units of T. */
template <typename T>
static __global__ void join_frames(const T *__restrict__ past, int64_t past_count,
                                   const T *__restrict__ x, int64_t count, T *__restrict__ to)
{
    int64_t step = (int64_t)gridDim.x * THREADS;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < count; i += step)
        to[i] = i < past_count ? past[i] : x[i - past_count];
}

/* y = sums + bias + aux; y may lie on aux. */
static __global__ void add_bias_aux(const float *sums, const float *bias, const float *aux,
                                    float *y, int64_t pixels, int64_t O)
{
    int64_t o = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (o >= O)
        return;
    float b = bias ? bias[o] : 0;
    for (int64_t i = blockIdx.y; i < pixels; i += gridDim.y)
        y[i * O + o] = sums[i * O + o] + b + aux[i * O + o];
}

static int rows_grid(int64_t rows) { return rows < ROWS_MAX ? (int)rows : (int)ROWS_MAX; }

static enum status join(const struct conv3d_problem *p, const struct exec *exec, void *to)
{
    int64_t bytes = (int64_t)elem_bytes(p->x.elem);
    int64_t past = p->P * frame_elems(p) * bytes, all = (p->P + p->T) * frame_elems(p) * bytes;
    if (past % 16 == 0 && all % 16 == 0) {
        int grid = rows_grid(cuda_blocks(all / 16, THREADS));
        LAUNCH(join_frames<uint4>, grid, THREADS, 0, exec->stream, (const uint4 *)p->past.data,
               past / 16, (const uint4 *)p->x.data, all / 16, (uint4 *)to);
    } else {
        int grid = rows_grid(cuda_blocks(all / 2, THREADS));
        LAUNCH(join_frames<uint16_t>, grid, THREADS, 0, exec->stream,
               (const uint16_t *)p->past.data, past / 2, (const uint16_t *)p->x.data, all / 2,
               (uint16_t *)to);
    }
    return LAUNCHED();
}

/* The library's sums become y. */
static enum status finish(const struct conv3d_problem *p, const struct exec *exec,
                          const float *sums)
{
    dim3 grid((unsigned)cuda_blocks(p->O, THREADS), (unsigned)rows_grid(output_pixels(p)));
    LAUNCH(add_bias_aux, grid, THREADS, 0, exec->stream, sums,
           tensor_given(&p->bias) ? (const float *)p->bias.data : NULL, (const float *)p->aux.data,
           (float *)p->y.data, output_pixels(p), p->O);
    return LAUNCHED();
}

/* ---- the contract ---------------------------------------------------------------------------- */

static bool plan_as(const struct conv3d_problem *p, enum elem elem, struct need *need)
{
    if (!cuda_is(&p->x, elem) || !cuda_is(&p->w, elem) || (p->P > 0 && !cuda_is(&p->past, elem)))
        need->reason = "x, past and w must be of the type in the variant's name";
    else if (!cuda_is(&p->y, elem) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be of x's type or f32";
    else if (!cuda_is_f32_or_absent(&p->bias) ||
             (tensor_given(&p->aux) && !cuda_is(&p->aux, p->y.elem)))
        need->reason = "bias must be f32 and aux of y's type";
    else if (p->y.elem != elem && p->C % 8)
        need->reason = "cuDNN turns 16-bit x into f32 y only where C is a multiple of 8";
    else if (p->O > 65535)
        need->reason = "weights are turned by at most 65535 blocks";
    need->scratch_bytes = workspace_bytes + 256 + round_up(frames_bytes(p)) + sums_bytes(p);
    need->packed_bytes = (size_t)(p->O * p->C * p->kt * p->kh * p->kw) * elem_bytes(elem);
    return !need->reason;
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct conv3d_problem *p = (const struct conv3d_problem *)problem;
    int64_t taps = p->kt * p->kh * p->kw;
    dim3 grid((unsigned)cuda_blocks(p->C * taps, THREADS), (unsigned)p->O);
    if (is_f32(p))
        LAUNCH(turn_weights<uint32_t>, grid, THREADS, 0, exec->stream, (const uint32_t *)p->w.data,
               (uint32_t *)packed, p->C, taps);
    else
        LAUNCH(turn_weights<uint16_t>, grid, THREADS, 0, exec->stream, (const uint16_t *)p->w.data,
               (uint16_t *)packed, p->C, taps);
    return LAUNCHED();
}

/* Everything that shapes the graph and the choice of its engine. */
static void key_of(const struct conv3d_problem *p, const int64_t *knob, int64_t *key)
{
    // clang-format off
    const int64_t all[CUDNN_KEY_MAX] = {
        p->T, p->H, p->W, p->C, p->O, p->kt, p->kh, p->kw, p->st, p->sh, p->sw, p->lead, p->P,
        p->pad_top, p->pad_left, p->pad_bottom, p->pad_right, p->x.elem, p->y.elem,
        tensor_given(&p->bias), tensor_given(&p->aux), knob[KNOB_CHOICE]};
    // clang-format on
    memcpy(key, all, sizeof all);
}

static enum status plan_for(const struct conv3d_problem *p, const struct exec *exec,
                            struct cudnn_plan **out)
{
    struct cudnn_handle *h = (struct cudnn_handle *)exec->handle;
    int64_t key[CUDNN_KEY_MAX];
    bool fresh;
    key_of(p, exec->knob, key);
    struct cudnn_plan *plan = cudnn_plan_of(h, key, &fresh);
    if (!plan)
        return ST_NO_MEMORY;
    if (fresh) {
        const struct cudnn_rule rule = {is_f32(p) ? CUDNN_NEVER_F32 : CUDNN_NEVER, workspace_bytes,
                                        (int)exec->knob[KNOB_CHOICE]};
        build(&plan->graph, p);
        cudnn_plan_find(plan, &rule);
    }
    *out = plan;
    return cudnn_status(plan->graph.status);
}

static enum status run(const struct conv3d_problem *p, const struct exec *exec)
{
    struct cudnn_handle *h = (struct cudnn_handle *)exec->handle;
    struct cudnn_plan *plan;
    TRY(plan_for(p, exec, &plan));
    TRY(cudnn_status(h->api.set_stream(h->handle, (cudaStream_t)exec->stream)));

    char *workspace = (char *)round_up((uintptr_t)exec->scratch);
    char *frames = workspace + workspace_bytes, *sums = frames + round_up(frames_bytes(p));
    if (p->P > 0)
        TRY(join(p, exec, frames));
    void *y = sums_bytes(p) > 0 ? sums : p->y.data;
    int64_t id[5] = {ID_X, ID_W, ID_Y};
    void *data[5] = {p->P > 0 ? frames : p->x.data, (void *)exec->packed, y};
    int count = 3;
    if (in_library(p) && tensor_given(&p->bias)) {
        id[count] = ID_BIAS;
        data[count++] = p->bias.data;
    }
    if (in_library(p) && tensor_given(&p->aux)) {
        id[count] = ID_AUX;
        data[count++] = p->aux.data;
    }
    TRY(cudnn_plan_run(plan, count, id, data, workspace));
    return in_library(p) ? ST_OK : finish(p, exec, (const float *)y);
}

static void describe(void *handle, const void *problem, const int64_t *knob, char *out,
                     size_t bytes)
{
    int64_t key[CUDNN_KEY_MAX];
    key_of((const struct conv3d_problem *)problem, knob, key);
    cudnn_describe((struct cudnn_handle *)handle, key, out, bytes);
}

#endif
