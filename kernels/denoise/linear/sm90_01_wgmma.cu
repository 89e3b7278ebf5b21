// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* linear/sm90_01_wgmma.cu
 * Idea:     one block per multiprocessor takes tile after tile of 128 rows by 256 or 128 outputs.
 *           One thread keeps a ring of four slices of 64 of K filled by TMA, across tiles; two
 *           warpgroups multiply 64 rows each by wgmma straight from the swizzled slices and apply
 *           the epilogue to the sums in their registers.
 * Differs:  from a plain kernel: operands never pass through registers, copies and products run at
 *           the same time in different warps, registers move from the copying warps to the others.
 * Bound:    2 S K O flops at the tensor cores' rate: for one warpgroup a step of 16 of K by 256
 *           outputs is 128 clocks of products and 80 of shared memory. Not hidden is the epilogue:
 *           a tile takes 16 clocks of products for each element of K and then writes 64 KB, 3300
 *           clocks at an H200's memory rate.
 * Floor:    S=32760 K=1536 O=8960 0.91 ms, S=75600 K=5120 O=13824 10.8 ms at 989 TFLOP/s.
 *           Expected: 0.6 to 0.7 of that rate, more for the larger K.
 * Source:   PTX ISA, wgmma, cp.async.bulk.tensor and setmaxnreg; CUTLASS's description of
 *           warp-specialised persistent kernels.
 * Outcome:  not yet run on a GPU. */
#include "denoise/linear/linear.h"
#include "target/cuda.h"

#define TILE_ROWS 128
#define SLICE 64 /* of K: the 128 bytes of one swizzled row */
#define STAGES 4
#define THREADS 384      /* a producing warpgroup and two consuming ones */
#define CONSUMER_WARPS 8 /* each says for itself that it is done with a slice */
/* 128 x (40 + 2 x 232) is what 384 threads of 168 registers have. */
#define PRODUCER_REGISTERS 40
#define CONSUMER_REGISTERS 232

struct linear_job {
    int64_t y_stride, aux_stride, gate_stride;
    const float *bias; /* NULL: none */
    const float *gate;
    const void *aux;
    void *y;
    int S, O, rows_per_gate;
    int steps;                 /* slices of K */
    int row_tiles, tile_count; /* of the whole problem */
    int column_tiles, group;   /* rows of tiles that are walked together */
    bool pairs;                /* two neighbours may be read and written as one */
};

/* ---- order of tiles -------------------------------------------------------------------------- */

/* Tiles of `group` rows of tiles go column by column, so that the blocks of one time share few
 * rows of x and few of w in L2. */
GPU_FN void tile_at(const struct linear_job &job, int tile, int *row, int *column)
{
    int span = job.group * job.column_tiles, first = tile / span * job.group;
    int rows = min(job.group, job.row_tiles - first);
    *row = first + tile % span % rows;
    *column = tile % span / rows;
}

/* ---- ring of slices -------------------------------------------------------------------------- */

template <int COLUMNS> struct slice_ring {
    bf16 x[STAGES][TILE_ROWS * SLICE]; /* 1024-byte aligned, each */
    bf16 w[STAGES][COLUMNS * SLICE];
    uint64_t full[STAGES], empty[STAGES];
};

/* Where one role is in the ring; the parity turns with each round. */
struct place {
    int stage, parity;
};

GPU_FN void advance(struct place *at)
{
    if (++at->stage == STAGES) {
        at->stage = 0;
        at->parity ^= 1;
    }
}

/* One thread. In the first round a slice counts as emptied by the round before. */
template <int COLUMNS>
GPU_FN void produce(struct slice_ring<COLUMNS> *ring, const tensor_map *x, const tensor_map *w,
                    const struct linear_job &job)
{
    struct place at = {0, 1};
    for (int tile = blockIdx.x; tile < job.tile_count; tile += gridDim.x) {
        int row, column;
        tile_at(job, tile, &row, &column);
        for (int step = 0; step < job.steps; step++) {
            uint64_t *full = &ring->full[at.stage];
            mbarrier_wait(&ring->empty[at.stage], at.parity);
            mbarrier_arrive_expect(full, (TILE_ROWS + COLUMNS) * SLICE * sizeof(bf16));
            tma_load_2d(ring->x[at.stage], x, full, step * SLICE, row * TILE_ROWS);
            tma_load_2d(ring->w[at.stage], w, full, step * SLICE, column * COLUMNS);
            advance(&at);
        }
    }
}

/* sum = 64 rows of x times all rows of w, for one tile. The products of one slice run while the
 * next are issued; then the slice before it is given back. */
template <int COLUMNS>
GPU_FN void multiply(struct slice_ring<COLUMNS> *ring, int first_row, int steps, struct place *at,
                     float *sum)
{
    bool speaker = threadIdx.x % 32 == 0;
    int before = 0;
    for (int step = 0; step < steps; step++) {
        mbarrier_wait(&ring->full[at->stage], at->parity);
        uint64_t x = wgmma_descriptor(ring->x[at->stage] + first_row * SLICE);
        uint64_t w = wgmma_descriptor(ring->w[at->stage]);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < SLICE / 16; k++)
            wgmma_bf16<COLUMNS>(sum, x + 2 * k, w + 2 * k, step + k > 0);
        wgmma_commit();
        wgmma_wait<1>(); /* all but this slice */
        if (step > 0 && speaker)
            mbarrier_arrive(&ring->empty[before]);
        before = at->stage;
        advance(at);
    }
    wgmma_wait<0>(); /* the last slice too */
    if (speaker)
        mbarrier_arrive(&ring->empty[before]);
}

/* ---- epilogue -------------------------------------------------------------------------------- */

/* As cuda_sigmoid, with the hardware's power and quotient: the divisor lies between 1 and 2. */
GPU_FN float fast_sigmoid(float a)
{
    float power = fast_exp2(fabsf(a) * -1.4426950408889634f);
    return __fdividef(a >= 0 ? 1 : power, 1 + power);
}

template <int EPILOGUE> GPU_FN float finish(float a, float aux, float gate)
{
    if constexpr (EPILOGUE == EPI_GELU)
        return a * fast_sigmoid(1.5957691216057308f * (a + 0.044715f * a * a * a));
    else if constexpr (EPILOGUE == EPI_SILU)
        return a * fast_sigmoid(a);
    else if constexpr (EPILOGUE == EPI_ADD)
        return aux + a;
    else if constexpr (EPILOGUE == EPI_GATE)
        return aux + gate * a;
    else if constexpr (EPILOGUE == EPI_MUL)
        return aux * a;
    else
        return a;
}

/* Two neighbours in a row: one access where every row starts even, else one by one, the second only
 * where the row goes on. */
enum reach { ONE, BOTH, AT_ONCE };

template <typename T> struct alignas(2 * sizeof(T)) pair {
    T low, high;
};

template <typename T> GPU_FN pair<T> load_pair(const T *from, enum reach reach)
{
    if (reach == AT_ONCE)
        return *(const pair<T> *)from;
    return {from[0], from[reach == BOTH]};
}

template <typename T> GPU_FN void store_pair(T *to, enum reach reach, pair<T> value)
{
    if (reach == AT_ONCE) {
        *(pair<T> *)to = value;
        return;
    }
    to[0] = value.low;
    if (reach == BOTH)
        to[1] = value.high;
}

/* One row of the outputs and what meets it. */
template <typename T> struct output_row {
    T *y;
    const T *aux;
    const float *gate, *bias;
};

template <int EPILOGUE, typename T>
GPU_FN void put(const struct output_row<T> &row, int64_t o, enum reach reach, float low, float high)
{
    pair<float> bias = {0, 0}, gate = {0, 0};
    float aux[2] = {0, 0};
    if (row.bias)
        bias = load_pair(row.bias + o, reach);
    if constexpr (EPILOGUE >= EPI_ADD) {
        pair<T> two = load_pair(row.aux + o, reach);
        aux[0] = to_float(two.low);
        aux[1] = to_float(two.high);
    }
    if constexpr (EPILOGUE == EPI_GATE)
        gate = load_pair(row.gate + o, reach);
    low = finish<EPILOGUE>(low + bias.low, aux[0], gate.low);
    high = finish<EPILOGUE>(high + bias.high, aux[1], gate.high);
    store_pair(row.y + o, reach, pair<T>{from_float<T>(low), from_float<T>(high)});
}

/* Of each 8 outputs a thread holds two neighbours in the rows s and s + 8. */
template <int COLUMNS, int EPILOGUE, bool PAIRS, typename T>
GPU_FN void store_tile(const struct linear_job &job, const float *sum, int64_t s, int64_t first)
{
#pragma unroll
    for (int h = 0; h < 2; h++, s += 8) {
        if (s >= job.S)
            return;
        struct output_row<T> row = {
        };
        row.y = (T *)job.y + s * job.y_stride;
        row.bias = job.bias;
        if constexpr (EPILOGUE >= EPI_ADD)
            row.aux = (const T *)job.aux + s * job.aux_stride;
        if constexpr (EPILOGUE == EPI_GATE)
            row.gate = job.gate + s / job.rows_per_gate * job.gate_stride;
#pragma unroll
        for (int j = 0; j < COLUMNS / 8; j++) {
            int64_t o = first + 8 * j;
            enum reach reach = PAIRS ? AT_ONCE : o + 1 < job.O ? BOTH : ONE;
            if (o < job.O)
                put<EPILOGUE>(row, o, reach, sum[4 * j + 2 * h], sum[4 * j + 2 * h + 1]);
        }
    }
}

/* ---- kernel ---------------------------------------------------------------------------------- */

template <int COLUMNS, int EPILOGUE, typename T>
static __global__ void __launch_bounds__(THREADS, 1)
    wgmma_linear(const __grid_constant__ tensor_map x, const __grid_constant__ tensor_map w,
                 const __grid_constant__ struct linear_job job)
{
    DYN_SHARED(struct slice_ring<COLUMNS>, ring);
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; stage++) {
            mbarrier_init(&ring->full[stage], 1);
            mbarrier_init(&ring->empty[stage], CONSUMER_WARPS);
        }
        mbarrier_init_fence();
    }
    __syncthreads();

    int group = threadIdx.x / 128;
    if (group == 0) {
        registers_decrease<PRODUCER_REGISTERS>();
        if (threadIdx.x == 0)
            produce<COLUMNS>(ring, &x, &w, job);
    } else {
        registers_increase<CONSUMER_REGISTERS>();
        int first_row = (group - 1) * 64;
        int row_in_tile = first_row + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
        struct place at = {0, 0};
        for (int tile = blockIdx.x; tile < job.tile_count; tile += gridDim.x) {
            float sum[COLUMNS / 2];
            int row, column;
            tile_at(job, tile, &row, &column);
            multiply<COLUMNS>(ring, first_row, job.steps, &at, sum);
            int64_t s = (int64_t)row * TILE_ROWS + row_in_tile;
            int64_t o = (int64_t)column * COLUMNS + threadIdx.x % 4 * 2;
            if (job.pairs)
                store_tile<COLUMNS, EPILOGUE, true, T>(job, sum, s, o);
            else
                store_tile<COLUMNS, EPILOGUE, false, T>(job, sum, s, o);
        }
    }
}

/* ---- variant --------------------------------------------------------------------------------- */

enum { KNOB_COLUMNS, KNOB_GROUP };

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    int64_t row_tiles = cuda_blocks(p->S, TILE_ROWS),
            columns = cuda_blocks(p->O, knob[KNOB_COLUMNS]);
    if (!cuda_is(&p->x, ELEM_BF16) || !cuda_is(&p->w, ELEM_BF16))
        need->reason = "x and w must be bf16";
    else if (!cuda_is(&p->y, ELEM_BF16) && !cuda_is(&p->y, ELEM_F32))
        need->reason = "y must be bf16 or f32";
    else if (!cuda_is_f32_or_absent(&p->bias) ||
             (p->epilogue == EPI_GATE && !cuda_is(&p->gate, ELEM_F32)))
        need->reason = "bias and gate must be f32";
    else if (p->epilogue >= EPI_ADD && !cuda_is(&p->aux, p->y.elem))
        need->reason = "aux must be of y's type";
    else if (p->K % 8 != 0 || p->x.stride % 8 != 0)
        need->reason = "K and the stride of x must be multiples of 8 elements, the 16 bytes in "
                       "which TMA steps";
    else if (p->S > INT32_MAX || p->K > INT32_MAX - SLICE || p->O > INT32_MAX ||
             row_tiles > INT32_MAX / 2 / columns || columns > INT32_MAX / knob[KNOB_GROUP])
        need->reason = "more rows, outputs or tiles than 32 bits count";
    return !need->reason;
}

/* Vectors of two need an even start in every row. */
static bool in_pairs(const struct linear_problem *p)
{
    return p->O % 2 == 0 && p->y.stride % 2 == 0 &&
           (p->epilogue < EPI_ADD || p->aux.stride % 2 == 0) &&
           (p->epilogue != EPI_GATE || p->gate.stride % 2 == 0);
}

static struct linear_job job_of(const struct linear_problem *p, const int64_t *knob)
{
    int64_t row_tiles = cuda_blocks(p->S, TILE_ROWS),
            columns = cuda_blocks(p->O, knob[KNOB_COLUMNS]);
    return {.y_stride = p->y.stride,
            .aux_stride = p->aux.stride,
            .gate_stride = p->gate.stride,
            .bias = tensor_given(&p->bias) ? (const float *)p->bias.data : NULL,
            .gate = (const float *)p->gate.data,
            .aux = p->aux.data,
            .y = p->y.data,
            .S = (int)p->S,
            .O = (int)p->O,
            .rows_per_gate = p->epilogue == EPI_GATE ? (int)(p->S / p->G) : 1,
            .steps = (int)cuda_blocks(p->K, SLICE),
            .row_tiles = (int)row_tiles,
            .tile_count = (int)(row_tiles * columns),
            .column_tiles = (int)columns,
            .group = (int)knob[KNOB_GROUP],
            .pairs = in_pairs(p)};
}

template <int WIDTH, int EPILOGUE, typename T>
static void launch(const tensor_map &x, const tensor_map &w, const struct linear_job &job,
                   const struct exec *exec)
{
    size_t bytes = sizeof(struct slice_ring<WIDTH>);
    int blocks = min(job.tile_count, max(exec->processors, 1));
    SHARED_LIMIT((wgmma_linear<WIDTH, EPILOGUE, T>), bytes);
    LAUNCH((wgmma_linear<WIDTH, EPILOGUE, T>), blocks, THREADS, bytes, exec->stream, x, w, job);
}

typedef void launch_fn(const tensor_map &x, const tensor_map &w, const struct linear_job &job,
                       const struct exec *exec);

#define BY_EPILOGUE(WIDTH, T)                                                                      \
    {                                                                                              \
        launch<WIDTH, EPI_NONE, T>, launch<WIDTH, EPI_GELU, T>, launch<WIDTH, EPI_SILU, T>,        \
            launch<WIDTH, EPI_ADD, T>, launch<WIDTH, EPI_GATE, T>, launch<WIDTH, EPI_MUL, T>       \
    }

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    static launch_fn *const table[2][2][EPI_MUL + 1] = {
        {BY_EPILOGUE(256, bf16), BY_EPILOGUE(256, float)},
        {BY_EPILOGUE(128, bf16), BY_EPILOGUE(128, float)},
    };
    int64_t columns = exec->knob[KNOB_COLUMNS];
    tensor_map x, w;
    TRY(tensor_map_2d(&x, p->x.data, ELEM_BF16, p->K, p->S, p->x.stride * sizeof(bf16), SLICE,
                      TILE_ROWS));
    TRY(tensor_map_2d(&w, p->w.data, ELEM_BF16, p->K, p->O, p->K * sizeof(bf16), SLICE, columns));
    table[columns == 128][p->y.elem == ELEM_F32][p->epilogue](x, w, job_of(p, exec->knob), exec);
    return LAUNCHED();
}

VARIANT(linear, sm90_01_wgmma, .needs = GPU_SM90A, .numerics = NUM_BF16,
        .knob = {{"columns", 2, {256, 128}}, {"group", 3, {8, 4, 16}}});
