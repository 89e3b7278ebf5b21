// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* calibrate.cu   One small test for each name of target/gpu.h, with random inputs, whose outputs a
 * GPU and the emulator must agree on. A program of its own: nvcc builds it for a GPU, g++ with the
 * other files of this folder for the emulator.
 *
 *   calibrate [FILE]             writes one line for each test, to FILE or stdout
 *   calibrate --compare FILE     names the tests whose lines differ; exit 1 where there are any
 *
 * A line is: name, exact or close, words, hash of all words, some of the words in hex. Matrix tests
 * use whole numbers, so that every sum is exact in whatever order and width it is formed, and
 * layout errors cannot hide in a tolerance. Tests marked close hold floats: of these the words
 * shown may differ by 2^-12 of the larger of 1 and the value, because tensor cores and libraries
 * round differently. A test that fails or hangs is named, and the others follow. */
#include <cuda_runtime_api.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* After the runtime's header, since in emulation gridDim and its kin are macros; in angle brackets,
 * since the twin stands beside this file. */
#include <target/gpu.h>

/* Code for 9.0a is compiled for no other target; there these kernels are empty and not launched. */
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SM90_CODE 1
#else
#define SM90_CODE 0
#endif

enum { IN_WORDS = 16384, OUT_WORDS = 16384, THREADS = 128 };

static __device__ __forceinline__ uint32_t bits(float x) { return __float_as_uint(x); }

/* ---- elements -------------------------------------------------------------------------------- */

__global__ void narrow_kernel(const uint32_t *in, uint32_t *out)
{
    int t = threadIdx.x;
    float x = __uint_as_float(in[t]);
    bf16 b = from_float<bf16>(x);
    f16 h = from_float<f16>(x);
    out[t] = x != x ? 0 : bits(to_float(b));
    out[t + 128] = x != x ? 0 : bits(to_float(h));
    out[t + 256] = x != x ? 0 : pack_bf16(x, -x);
    out[t + 384] = x != x ? 0 : pack_f16(-x, x);
    out[t + 512] = bits(bf16_low(in[t] & 0x7f7f7f7f));
    out[t + 640] = bits(bf16_high(in[t] & 0x7f7f7f7f));
    out[t + 768] = bits(from_float<float>(to_float(x)));
}

__global__ void vector_kernel(const uint32_t *in, uint32_t *out)
{
    uint4 v = load_128(in + threadIdx.x * 4);
    store_128(out + threadIdx.x * 4, make_uint4(v.w, v.z, v.y, v.x));
}

__global__ void exp2_kernel(const uint32_t *in, uint32_t *out)
{
    out[threadIdx.x] = bits(fast_exp2(__uint_as_float(in[threadIdx.x]) * 8));
}

__global__ void math_kernel(const uint32_t *in, uint32_t *out)
{
    int t = threadIdx.x & 7;
    float x = __uint_as_float(in[threadIdx.x]), y = fabsf(x) + 0.5f;
    float all[16] = {expf(x),
                     exp2f(x),
                     logf(y),
                     sqrtf(y),
                     rsqrtf(y),
                     tanhf(x),
                     erff(x),
                     sinf(x),
                     cosf(x),
                     fmaxf(x, 0),
                     fminf(x, 0),
                     fmaf(x, y, x),
                     (float)exp((double)x),
                     (float)cos((double)x),
                     (float)sin((double)x),
                     (float)sqrt((double)y)};
    out[threadIdx.x] = bits(all[t]);
    out[threadIdx.x + 128] = bits(all[t + 8]);
}

/* ---- warps and blocks ------------------------------------------------------------------------ */

__global__ void shuffle_kernel(const uint32_t *in, uint32_t *out)
{
    int t = threadIdx.x;
    uint32_t x = in[t];
    out[t] = __shfl_sync(~0u, x, in[t & ~31] & 31);
    out[t + 128] = __shfl_sync(~0u, x, 3, 8);
    out[t + 256] = __shfl_xor_sync(~0u, x, 5);
    out[t + 384] = __shfl_down_sync(~0u, x, 7);
    out[t + 512] = __shfl_down_sync(~0u, x, 3, 16);
    out[t + 640] = __shfl_up_sync(~0u, x, 2);
    out[t + 768] = __shfl_xor_sync(t & 16 ? 0xffff0000u : 0xffffu, x, 9, 16);
}

__global__ void ballot_kernel(const uint32_t *in, uint32_t *out)
{
    int t = threadIdx.x;
    out[t] = __ballot_sync(~0u, in[t] & 1);
    out[t + 128] = __any_sync(~0u, in[t] % 32 == 0);
    out[t + 256] = __all_sync(~0u, in[t] % 32 != 0);
}

__global__ void shared_kernel(const uint32_t *in, uint32_t *out)
{
    __shared__ uint32_t fixed[THREADS];
    DYN_SHARED(uint32_t, dynamic);
    int t = threadIdx.x;
    fixed[t] = in[t], dynamic[t] = in[t + THREADS];
    __syncthreads();
    out[t] = fixed[THREADS - 1 - t];
    out[t + 128] = dynamic[t * 5 % THREADS];
    out[t + 256] = blockDim.x + gridDim.x * 1000 + blockIdx.x + (uint32_t)warpSize;
    __syncwarp();
}

__global__ void atomic_kernel(const uint32_t *in, uint32_t *out)
{
    atomicAdd(&out[threadIdx.x % 8], in[threadIdx.x] & 0xffff);
    atomicAdd((float *)&out[8 + threadIdx.x % 8], (float)(in[threadIdx.x] & 0xff));
    atomicAdd((int *)&out[16], -(int)(threadIdx.x % 3));
}

/* Warps 2 and 3 take what warps 0 and 1 left, and say so before it is overwritten. */
__global__ void named_barrier_kernel(const uint32_t *in, uint32_t *out)
{
    __shared__ uint32_t stage[64];
    int t = threadIdx.x;
    for (int i = 0; i < 4; i++)
        if (t < 64) {
            if (i > 0)
                named_barrier_sync(2, 128);
            stage[t] = in[t + i * 64];
            named_barrier_arrive(1, 128);
        } else {
            named_barrier_sync(1, 128);
            out[t - 64 + i * 64] = stage[127 - t];
            if (i < 3)
                named_barrier_arrive(2, 128);
        }
}

/* ---- compute capability 8.0 ------------------------------------------------------------------ */

template <bool F16> __global__ void mma_kernel(const uint32_t *in, uint32_t *out)
{
    int t = threadIdx.x;
    uint32_t a[4], b[2];
    float d[4];
    for (int q = 0; q < 4; q++)
        a[q] = in[t * 6 + q], d[q] = (float)(t - q);
    for (int q = 0; q < 2; q++)
        b[q] = in[t * 6 + 4 + q];
    if (F16)
        mma_f16_16816(d, a, b);
    else
        mma_bf16_16816(d, a, b);
    for (int q = 0; q < 4; q++)
        out[t * 4 + q] = bits(d[q]);
}

template <int FORM> __global__ void ldmatrix_kernel(const uint32_t *in, uint32_t *out)
{
    __shared__ __align__(16) uint32_t tile[32 * 4];
    uint32_t r[4] = {0, 0, 0, 0};
    int t = threadIdx.x;
    for (int q = 0; q < 4; q++)
        tile[t * 4 + q] = in[t * 4 + q];
    __syncthreads();
    const uint32_t *row = tile + (t * 5 + 3) % 32 * 4;
    if (FORM == 0)
        ldmatrix_x4(r, row);
    else if (FORM == 1)
        ldmatrix_x4_trans(r, row);
    else
        ldmatrix_x2(r, row);
    for (int q = 0; q < 4; q++)
        out[t * 4 + q] = r[q];
}

__global__ void cp_async_kernel(const uint32_t *in, uint32_t *out)
{
    __shared__ __align__(16) uint32_t stage[2][THREADS * 4];
    int t = threadIdx.x;
    cp_async_16(&stage[0][t * 4], in + t * 4, t % 17);
    cp_async_commit();
    cp_async_16(&stage[1][t * 4], in + (127 - t) * 4, 16);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    for (int q = 0; q < 4; q++)
        out[t * 4 + q] = stage[0][(t ^ 33) * 4 + q];
    cp_async_wait<0>();
    __syncthreads();
    for (int q = 0; q < 4; q++)
        out[512 + t * 4 + q] = stage[1][(t ^ 65) * 4 + q];
}

/* ---- compute capability 9.0a ----------------------------------------------------------------- */

/* Warp 0 fills, the others take turns; the count of each barrier is what arrives. */
__global__ void mbarrier_kernel(const uint32_t *in, uint32_t *out)
{
#if SM90_CODE
    __shared__ uint64_t full[2], empty[2];
    __shared__ uint32_t stage[2][32];
    int t = threadIdx.x, warp = t / 32, lane = t % 32;
    if (t == 0) {
        for (int s = 0; s < 2; s++)
            mbarrier_init(&full[s], 32), mbarrier_init(&empty[s], 96);
        mbarrier_init_fence();
    }
    __syncthreads();
    for (int i = 0; i < 6; i++) {
        int s = i % 2, phase = i / 2 % 2;
        if (warp == 0) {
            mbarrier_wait(&empty[s], phase ^ 1);
            stage[s][lane] = in[i * 32 + lane];
            mbarrier_arrive(&full[s]);
        } else {
            mbarrier_wait(&full[s], phase);
            out[(i * 3 + warp - 1) * 32 + lane] = stage[s][(lane + warp) % 32];
            mbarrier_arrive(&empty[s]);
        }
    }
#endif
}

/* A box of bf16, partly outside, as it lies in shared memory: 64 columns of each row. */
template <int RANK>
__global__ void tma_load_kernel(const __grid_constant__ tensor_map map, uint32_t *out, int x, int y)
{
#if SM90_CODE
    const int words = RANK == 2 ? 24 * 32 : 48 * 32;
    DYN_SHARED(uint32_t, box);
    __shared__ uint64_t full;
    if (threadIdx.x == 0) {
        tma_prefetch(&map);
        mbarrier_init(&full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&full, words * 4);
        if (RANK == 2)
            tma_load_2d(box, &map, &full, x, y);
        else if (RANK == 3)
            tma_load_3d(box, &map, &full, x, y, 1);
        else
            tma_load_4d(box, &map, &full, x, y, -1, 1);
    }
    __syncthreads();
    mbarrier_wait(&full, 0);
    for (int i = threadIdx.x; i < words; i += THREADS)
        out[i] = box[i];
#endif
}

__global__ void tma_store_kernel(const __grid_constant__ tensor_map map, const uint32_t *in, int x,
                                 int y)
{
#if SM90_CODE
    DYN_SHARED(uint32_t, box);
    for (int i = threadIdx.x; i < 24 * 32; i += THREADS)
        box[i] = in[i];
    fence_proxy_async();
    __syncthreads();
    if (threadIdx.x == 0) {
        tma_store_2d(&map, box, x, y);
        tma_store_commit();
        tma_store_wait<0>();
    }
#endif
}

__global__ void stmatrix_kernel(const uint32_t *in, uint32_t *out)
{
#if SM90_CODE
    __shared__ __align__(16) uint32_t tile[32 * 4];
    int t = threadIdx.x;
    stmatrix_x4(tile + (t * 5 + 3) % 32 * 4, in + t * 4);
    __syncthreads();
    for (int q = 0; q < 4; q++)
        out[t * 4 + q] = tile[t * 4 + q];
#endif
}

/* Three warpgroups begin with 168 registers per thread; two take what the first gives away. */
__global__ void __launch_bounds__(384, 1) registers_kernel(const uint32_t *in, uint32_t *out)
{
#if SM90_CODE
    if (threadIdx.x < 128) {
        registers_decrease<40>();
        out[threadIdx.x] = in[threadIdx.x] + 1;
    } else {
        registers_increase<232>();
        out[threadIdx.x] = in[threadIdx.x] + 2;
    }
#endif
}

/* 64xN of A B over 64, in four steps; the first one forgets what d held. */
template <int N, bool RS, bool BT>
__global__ void __launch_bounds__(THREADS)
    wgmma_kernel(const __grid_constant__ tensor_map a_map, const __grid_constant__ tensor_map b_map,
                 const uint32_t *a_words, uint32_t *out)
{
#if SM90_CODE
    DYN_SHARED(unsigned char, shared);
    __shared__ uint64_t full;
    unsigned char *a_tile = shared, *b_tile = shared + 64 * 128;
    int t = threadIdx.x, lane = t % 32, row = t / 32 * 16 + lane / 4;
    if (t == 0) {
        mbarrier_init(&full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&full, (64 + N) * 128);
        tma_load_2d(a_tile, &a_map, &full, 0, 0);
        for (int i = 0; i < N; i += BT ? 64 : N)
            tma_load_2d(b_tile + i * 128, &b_map, &full, BT ? i : 0, BT ? 0 : i);
    }
    __syncthreads();
    mbarrier_wait(&full, 0);
    float d[N / 2];
    uint32_t a[4][4];
#pragma unroll
    for (int i = 0; i < N / 2; i++)
        d[i] = 7;
#pragma unroll
    for (int i = 0; i < 16; i++)
        a[i / 4][i % 4] = a_words[(row + i % 2 * 8) * 32 + i / 4 * 8 + lane % 4 + i % 4 / 2 * 4];
    uint64_t desc_a = wgmma_descriptor(a_tile);
    uint64_t desc_b = BT ? wgmma_descriptor_bt(b_tile, 64 * 128) : wgmma_descriptor(b_tile);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; k++)
        if (RS && BT)
            wgmma_bf16_rs_bt<N>(d, a[k], desc_b + k * 128, k > 0);
        else if (RS)
            wgmma_bf16_rs<N>(d, a[k], desc_b + k * 2, k > 0);
        else if (BT)
            wgmma_bf16_bt<N>(d, desc_a + k * 2, desc_b + k * 128, k > 0);
        else
            wgmma_bf16<N>(d, desc_a + k * 2, desc_b + k * 2, k > 0);
    wgmma_commit();
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < N / 2; i++)
        out[i * THREADS + t] = bits(d[i]);
#endif
}

/* ---- the tests ------------------------------------------------------------------------------- */

typedef bool launch_fn(const uint32_t *in, uint32_t *out);

#define PLAIN(NAME, KERNEL, COUNT, SHARED)                                                         \
    static bool launch_##NAME(const uint32_t *in, uint32_t *out)                                   \
    {                                                                                              \
        LAUNCH((KERNEL), 1, COUNT, SHARED, NULL, in, out);                                         \
        return true;                                                                               \
    }
PLAIN(narrow, narrow_kernel, THREADS, 0)
PLAIN(vector, vector_kernel, THREADS, 0)
PLAIN(exp2, exp2_kernel, THREADS, 0)
PLAIN(math, math_kernel, THREADS, 0)
PLAIN(shuffle, shuffle_kernel, THREADS, 0)
PLAIN(ballot, ballot_kernel, THREADS, 0)
PLAIN(shared, shared_kernel, THREADS, THREADS * 4)
PLAIN(atomic, atomic_kernel, THREADS, 0)
PLAIN(named_barrier, named_barrier_kernel, THREADS, 0)
PLAIN(mma_bf16, mma_kernel<false>, 32, 0)
PLAIN(mma_f16, mma_kernel<true>, 32, 0)
PLAIN(ldmatrix_x4, ldmatrix_kernel<0>, 32, 0)
PLAIN(ldmatrix_x4_trans, ldmatrix_kernel<1>, 32, 0)
PLAIN(ldmatrix_x2, ldmatrix_kernel<2>, 32, 0)
PLAIN(cp_async, cp_async_kernel, THREADS, 0)
PLAIN(mbarrier, mbarrier_kernel, THREADS, 0)
PLAIN(stmatrix, stmatrix_kernel, 32, 0)
PLAIN(registers, registers_kernel, 384, 0)

static bool launch_tma_load_2d(const uint32_t *in, uint32_t *out)
{
    tensor_map map;
    if (tensor_map_2d(&map, in, ELEM_BF16, 90, 40, 192, 64, 24) != ST_OK)
        return false;
    LAUNCH((tma_load_kernel<2>), 1, THREADS, 24 * 128, NULL, map, out, 40, -5);
    return true;
}

static bool launch_tma_load_3d(const uint32_t *in, uint32_t *out)
{
    const uint64_t size[3] = {100, 30, 3}, stride_bytes[2] = {208, 208 * 30};
    const uint32_t box[3] = {64, 12, 4};
    tensor_map map;
    if (tensor_map_3d(&map, in, ELEM_BF16, size, stride_bytes, box) != ST_OK)
        return false;
    LAUNCH((tma_load_kernel<3>), 1, THREADS, 48 * 128, NULL, map, out, -9, 22);
    return true;
}

static bool launch_tma_load_4d(const uint32_t *in, uint32_t *out)
{
    const uint64_t size[4] = {96, 7, 5, 3}, stride_bytes[3] = {192, 192 * 7, 192 * 35};
    const uint32_t box[4] = {64, 6, 4, 2};
    tensor_map map;
    if (tensor_map_4d(&map, in, ELEM_BF16, size, stride_bytes, box) != ST_OK)
        return false;
    LAUNCH((tma_load_kernel<4>), 1, THREADS, 48 * 128, NULL, map, out, 32, 3);
    return true;
}

static bool launch_tma_store_2d(const uint32_t *in, uint32_t *out)
{
    tensor_map map;
    if (tensor_map_2d(&map, out, ELEM_BF16, 90, 40, 192, 64, 24) != ST_OK)
        return false;
    LAUNCH(tma_store_kernel, 1, THREADS, 24 * 128, NULL, map, in, 40, 30);
    return true;
}

template <int N, bool RS, bool BT> static bool launch_wgmma(const uint32_t *in, uint32_t *out)
{
    tensor_map a, b;
    const uint32_t *b_words = in + 64 * 32;
    size_t shared_bytes = (64 + N) * 128;
    if (tensor_map_2d(&a, in, ELEM_BF16, 64, 64, 128, 64, 64) != ST_OK ||
        tensor_map_2d(&b, b_words, ELEM_BF16, BT ? N : 64, BT ? 64 : N, BT ? N * 2 : 128, 64,
                      BT ? 64 : N) != ST_OK)
        return false;
    SHARED_LIMIT((wgmma_kernel<N, RS, BT>), shared_bytes);
    LAUNCH((wgmma_kernel<N, RS, BT>), 1, THREADS, shared_bytes, NULL, a, b, in, out);
    return true;
}

enum fill { BITS, WHOLE_BF16, WHOLE_F16, REAL_BF16, REAL_F16, REAL_F32 };

static const struct test {
    const char *name;
    bool close;
    enum fill fill;
    int out_words;
    int major; /* compute capability: at least 8, exactly 9 */
    launch_fn *launch;
} tests[] = {
    {"to_float, from_float, pack", false, BITS, 896, 8, launch_narrow},
    {"load_128, store_128", false, BITS, 512, 8, launch_vector},
    {"fast_exp2", true, REAL_F32, 128, 8, launch_exp2},
    {"math functions", true, REAL_F32, 256, 8, launch_math},
    {"__shfl_sync and kin", false, BITS, 896, 8, launch_shuffle},
    {"__ballot_sync and kin", false, BITS, 384, 8, launch_ballot},
    {"__shared__, DYN_SHARED", false, BITS, 384, 8, launch_shared},
    {"atomicAdd", false, BITS, 17, 8, launch_atomic},
    {"named_barrier", false, BITS, 256, 8, launch_named_barrier},
    {"mma_bf16_16816", false, WHOLE_BF16, 128, 8, launch_mma_bf16},
    {"mma_f16_16816", false, WHOLE_F16, 128, 8, launch_mma_f16},
    {"mma_bf16_16816 rounding", true, REAL_BF16, 128, 8, launch_mma_bf16},
    {"mma_f16_16816 rounding", true, REAL_F16, 128, 8, launch_mma_f16},
    {"ldmatrix_x4", false, BITS, 128, 8, launch_ldmatrix_x4},
    {"ldmatrix_x4_trans", false, BITS, 128, 8, launch_ldmatrix_x4_trans},
    {"ldmatrix_x2", false, BITS, 128, 8, launch_ldmatrix_x2},
    {"cp_async", false, BITS, 1024, 8, launch_cp_async},
    {"mbarrier", false, BITS, 576, 9, launch_mbarrier},
    {"tma_load_2d", false, BITS, 768, 9, launch_tma_load_2d},
    {"tma_load_3d", false, BITS, 1536, 9, launch_tma_load_3d},
    {"tma_load_4d", false, BITS, 1536, 9, launch_tma_load_4d},
    {"tma_store_2d", false, BITS, 1920, 9, launch_tma_store_2d},
    {"stmatrix_x4", false, BITS, 128, 9, launch_stmatrix},
    {"registers_increase, _decrease", false, BITS, 384, 9, launch_registers},
    {"wgmma_bf16 64", false, WHOLE_BF16, 4096, 9, launch_wgmma<64, false, false>},
    {"wgmma_bf16 128", false, WHOLE_BF16, 8192, 9, launch_wgmma<128, false, false>},
    {"wgmma_bf16 192", false, WHOLE_BF16, 12288, 9, launch_wgmma<192, false, false>},
    {"wgmma_bf16 256", false, WHOLE_BF16, 16384, 9, launch_wgmma<256, false, false>},
    {"wgmma_bf16 64 rounding", true, REAL_BF16, 4096, 9, launch_wgmma<64, false, false>},
    {"wgmma_bf16_bt 64", false, WHOLE_BF16, 4096, 9, launch_wgmma<64, false, true>},
    {"wgmma_bf16_bt 128", false, WHOLE_BF16, 8192, 9, launch_wgmma<128, false, true>},
    {"wgmma_bf16_bt 192", false, WHOLE_BF16, 12288, 9, launch_wgmma<192, false, true>},
    {"wgmma_bf16_bt 256", false, WHOLE_BF16, 16384, 9, launch_wgmma<256, false, true>},
    {"wgmma_bf16_rs 64", false, WHOLE_BF16, 4096, 9, launch_wgmma<64, true, false>},
    {"wgmma_bf16_rs 128", false, WHOLE_BF16, 8192, 9, launch_wgmma<128, true, false>},
    {"wgmma_bf16_rs 192", false, WHOLE_BF16, 12288, 9, launch_wgmma<192, true, false>},
    {"wgmma_bf16_rs 256", false, WHOLE_BF16, 16384, 9, launch_wgmma<256, true, false>},
    {"wgmma_bf16_rs_bt 64", false, WHOLE_BF16, 4096, 9, launch_wgmma<64, true, true>},
    {"wgmma_bf16_rs_bt 128", false, WHOLE_BF16, 8192, 9, launch_wgmma<128, true, true>},
    {"wgmma_bf16_rs_bt 192", false, WHOLE_BF16, 12288, 9, launch_wgmma<192, true, true>},
    {"wgmma_bf16_rs_bt 256", false, WHOLE_BF16, 16384, 9, launch_wgmma<256, true, true>},
};
enum { TESTS = sizeof tests / sizeof tests[0] };

/* ---- inputs ---------------------------------------------------------------------------------- */

static uint64_t hash_of(const void *data, size_t bytes)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 0x100000001b3;
    return h;
}

static uint64_t random_bits(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Values that both 2-byte types hold exactly: whole numbers to 7, or sixteenths to 1. */
static uint32_t narrow_value(uint64_t random, enum fill fill)
{
    bool whole = fill == WHOLE_BF16 || fill == WHOLE_F16;
    float value = whole ? (float)(random % 15) - 7 : ((float)(random % 255) - 127) / 128;
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    if (fill == WHOLE_BF16 || fill == REAL_BF16)
        return word >> 16;
    uint32_t rest = word & 0x7fffffff;
    return (word >> 16 & 0x8000) | (rest ? (rest - 0x38000000) >> 13 : 0);
}

static uint32_t input_word(uint64_t random, enum fill fill)
{
    float real = ((float)(random % 65535) - 32767) / 16384;
    uint32_t word;
    memcpy(&word, &real, sizeof word);
    if (fill == BITS)
        return (uint32_t)random;
    if (fill == REAL_F32)
        return word;
    return narrow_value(random >> 8, fill) | narrow_value(random >> 36, fill) << 16;
}

/* ---- running --------------------------------------------------------------------------------- */

static uint32_t *device_in, *device_out;

static bool runs_here(const struct test *t, int major, int minor)
{
    return t->major == 9 ? major == 9 && minor == 0 : major >= t->major;
}

static const char *run(const struct test *t, uint32_t *out)
{
    static uint32_t in[IN_WORDS];
    uint64_t state = hash_of(t->name, strlen(t->name));
    for (int i = 0; i < IN_WORDS; i++)
        in[i] = input_word(random_bits(&state), t->fill);
    memset(out, 0, OUT_WORDS * 4);
    cudaMemcpy(device_in, in, sizeof in, cudaMemcpyHostToDevice);
    cudaMemcpy(device_out, out, OUT_WORDS * 4, cudaMemcpyHostToDevice);
    if (!t->launch(device_in, device_out))
        return "the driver refuses the tensor map";
    cudaError_t error = cudaPeekAtLastError();
    if (LAUNCHED() != ST_OK)
        return cudaGetErrorString(error);
    error = cudaDeviceSynchronize();
    if (error == cudaSuccess)
        error = cudaMemcpy(out, device_out, OUT_WORDS * 4, cudaMemcpyDeviceToHost);
    return error == cudaSuccess ? NULL : cudaGetErrorString(error);
}

/* ---- lines ----------------------------------------------------------------------------------- */

enum { SHOWN_EXACT = 8, SHOWN_CLOSE = 256, LINE = 4096, WHERE = 80 };

static int shown(const struct test *t)
{
    int most = t->close ? SHOWN_CLOSE : SHOWN_EXACT;
    return t->out_words < most ? t->out_words : most;
}

static void line_print(FILE *to, const struct test *t, const uint32_t *out)
{
    int count = shown(t);
    fprintf(to, "%s\t%s\t%d\t%016llx\t", t->name, t->close ? "close" : "exact", t->out_words,
            (unsigned long long)hash_of(out, (size_t)t->out_words * 4));
    for (int i = 0; i < count; i++)
        fprintf(to, "%s%08x", i ? " " : "", out[(int64_t)i * t->out_words / count]);
    fputc('\n', to);
}

static bool near_enough(uint32_t got, uint32_t want)
{
    float a, b;
    memcpy(&a, &got, sizeof a);
    memcpy(&b, &want, sizeof b);
    return got == want || fabsf(a - b) <= fmaxf(fabsf(b), 1) * 0x1p-12f;
}

/* The same test's line as another machine wrote it; false: it differs, `where` says in what. */
static bool line_agrees(const char *line, const struct test *t, const uint32_t *out,
                        char where[WHERE])
{
    unsigned long long hash = 0;
    int words = 0, used = 0, count = shown(t), bad = 0;
    const char *at = line + strlen(t->name) + 1;
    if (sscanf(at, t->close ? "close\t%d\t%llx\t%n" : "exact\t%d\t%llx\t%n", &words, &hash,
               &used) != 2 ||
        !used || words != t->out_words) {
        snprintf(where, WHERE, "the file holds another test of this name");
        return false;
    }
    if (hash == hash_of(out, (size_t)words * 4))
        return true;
    at += used;
    snprintf(where, WHERE, "in none of the %d words shown", count);
    for (int i = 0; i < count; i++, at += used) {
        int word = (int)((int64_t)i * words / count);
        uint32_t want;
        if (sscanf(at, "%x%n", &want, &used) != 1)
            return false;
        bool same = t->close ? near_enough(out[word], want) : out[word] == want;
        if (!same && !bad++)
            snprintf(where, WHERE, "first word %d: %08x, in the file %08x", word, out[word], want);
    }
    return t->close && !bad;
}

static bool line_is_of(const char *line, const struct test *t)
{
    size_t n = strlen(t->name);
    return strncmp(line, t->name, n) == 0 && line[n] == '\t';
}

/* One word on the test against a file; false: they differ. */
static bool compare(FILE *file, const struct test *t, const uint32_t *out)
{
    static char line[LINE];
    rewind(file);
    while (fgets(line, sizeof line, file))
        if (line_is_of(line, t)) {
            char where[WHERE] = "";
            bool agrees = line_agrees(line, t, out, where);
            printf("%s\t%s%s\n", t->name, agrees ? "agrees" : "DIFFERS\t", agrees ? "" : where);
            return agrees;
        }
    printf("%s\tnot in the file\n", t->name);
    return false;
}

/* ---- processes -------------------------------------------------------------------------------
 * A kernel that faults spoils the device for its whole process, and one that hangs never returns.
 * So the tests run in a child, and where it dies or gives up another one goes on behind the test. */

enum { TEST_SECONDS = 3, NO_DEVICE = 3 };

/* Seen by all processes. */
struct progress {
    int next, bad; /* the test under way, how many failed */
};

static void calibrate(FILE *file, bool comparing, int major, int minor, struct progress *at)
{
    static uint32_t out[OUT_WORDS];
    for (; at->next < TESTS; at->next++) {
        const struct test *t = &tests[at->next];
        if (!runs_here(t, major, minor)) {
            fprintf(comparing ? stdout : file, "# %s: unavailable on this device\n", t->name);
            continue;
        }
        alarm(TEST_SECONDS);
        const char *failed = run(t, out);
        alarm(0);
        if (failed) {
            fprintf(stderr, "calibrate: %s: %s\n", t->name, failed);
            at->bad++, at->next++;
            return;
        }
        if (comparing)
            at->bad += !compare(file, t, out);
        else
            line_print(file, t, out);
        fflush(comparing ? stdout : file);
    }
}

/* What a child does from the test in `at` on; its exit code. */
static int run_from(FILE *file, bool comparing, struct progress *at)
{
    struct cudaDeviceProp device;
    if (cudaSetDevice(0) != cudaSuccess || cudaGetDeviceProperties(&device, 0) != cudaSuccess ||
        cudaMalloc((void **)&device_in, IN_WORDS * 4) != cudaSuccess ||
        cudaMalloc((void **)&device_out, OUT_WORDS * 4) != cudaSuccess) {
        fprintf(stderr, "calibrate: %s\n", cudaGetErrorString(cudaGetLastError()));
        return NO_DEVICE;
    }
    if (!comparing && at->next == 0)
        fprintf(file, "# outputs of tests/emu/calibrate.cu on: %s, compute capability %d.%d\n",
                device.name, device.major, device.minor);
    calibrate(file, comparing, device.major, device.minor, at);
    return 0;
}

static int supervise(FILE *file, bool comparing, struct progress *at)
{
    while (at->next < TESTS) {
        int how;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            int code = run_from(file, comparing, at);
            fflush(NULL);
            _exit(code);
        }
        if (child < 0 || waitpid(child, &how, 0) != child) {
            perror("calibrate: fork");
            return 1;
        }
        if (WIFEXITED(how) && WEXITSTATUS(how) == NO_DEVICE)
            return at->bad ? 1 : NO_DEVICE;
        if (WIFEXITED(how) && WEXITSTATUS(how) == 0)
            continue;
        const char *name = tests[at->next].name;
        if (WIFEXITED(how))
            fprintf(stderr, "calibrate: %s: exit code %d\n", name, WEXITSTATUS(how));
        else if (WTERMSIG(how) == SIGALRM)
            fprintf(stderr, "calibrate: %s: hangs, ended after %d s\n", name, TEST_SECONDS);
        else
            fprintf(stderr, "calibrate: %s: ended by signal %d\n", name, WTERMSIG(how));
        at->bad++, at->next++;
    }
    if (at->bad)
        fprintf(stderr, "calibrate: %d of %d tests failed\n", at->bad, TESTS);
    return at->bad ? 1 : 0;
}

int main(int argc, char **argv)
{
    bool comparing = argc == 3 && strcmp(argv[1], "--compare") == 0;
    const char *path = comparing ? argv[2] : argc == 2 ? argv[1] : NULL;
    if (argc > 3 || (argc == 3 && !comparing) || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: calibrate [FILE] | calibrate --compare FILE\n");
        return 2;
    }
    FILE *file = path ? fopen(path, comparing ? "r" : "w") : stdout;
    if (!file) {
        fprintf(stderr, "calibrate: cannot open %s\n", path);
        return 2;
    }
    void *at = mmap(NULL, sizeof(struct progress), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("calibrate: mmap");
        return 1;
    }
    int code = supervise(file, comparing, (struct progress *)at);
    return fclose(file) != 0 && code == 0 ? 1 : code;
}
