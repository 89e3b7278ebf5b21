// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gpu.h   The twin of kernels/target/gpu.h for the CPU: the same names with the same meaning, and
 * those words of CUDA C++ that our kernels use. See there and ../emu.h. */
#ifndef PATCHMARK_TARGET_GPU_H
#define PATCHMARK_TARGET_GPU_H

#include "op.h"

#include "../emu.h"
#include "../narrow.h"

#include <math.h>
#include <string.h>
#include <type_traits>

/* ---- CUDA C++ -------------------------------------------------------------------------------- */

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __grid_constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(BYTES) __attribute__((aligned(BYTES)))
/* One block runs at a time, so its arrays are statics; emu_static_shared finds them by name. */
#define __shared__ static

#define threadIdx emu_place.thread
#define blockIdx emu_place.block
#define blockDim emu_place.threads
#define gridDim emu_place.blocks

/* clang-format off */
#define EMU_VECTOR(TYPE, NAME, ALIGN2, ALIGN4)                                                     \
    struct alignas(ALIGN2) NAME##2 {                                                               \
        TYPE x, y;                                                                                 \
    };                                                                                             \
    struct alignas(ALIGN4) NAME##4 {                                                               \
        TYPE x, y, z, w;                                                                           \
    };                                                                                             \
    static inline NAME##2 make_##NAME##2(TYPE x, TYPE y) { return {x, y}; }                        \
    static inline NAME##4 make_##NAME##4(TYPE x, TYPE y, TYPE z, TYPE w) { return {x, y, z, w}; }
/* clang-format on */
EMU_VECTOR(float, float, 8, 16)
EMU_VECTOR(int, int, 8, 16)
EMU_VECTOR(unsigned, uint, 8, 16)
EMU_VECTOR(unsigned short, ushort, 4, 8)
EMU_VECTOR(double, double, 16, 16)
#undef EMU_VECTOR

template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b)
{
    typedef std::common_type_t<A, B> T;
    if constexpr (std::is_floating_point_v<T>)
        return a != a || (T)b < (T)a ? b : a;
    else
        return (T)b < (T)a ? (T)b : (T)a;
}
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b)
{
    typedef std::common_type_t<A, B> T;
    if constexpr (std::is_floating_point_v<T>)
        return a != a || (T)b > (T)a ? b : a;
    else
        return (T)b > (T)a ? (T)b : (T)a;
}

static inline float rsqrtf(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fdividef(float a, float b) { return a / b; }
/* The C library has hidden functions of these names. */
#define __expf expf
#define __logf logf
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }

static inline float __uint_as_float(unsigned x) { return narrow_float(x); }
static inline unsigned __float_as_uint(float x) { return narrow_bits(x); }
static inline float __int_as_float(int x) { return narrow_float((unsigned)x); }
static inline int __float_as_int(float x) { return (int)narrow_bits(x); }

template <class T> static inline T __ldg(const T *from) { return *from; }

/* The address stays out of the race detector's plain accesses. */
template <class T> __attribute__((noinline, no_sanitize("thread"))) T emu_atomic_add(T *to, T value)
{
    emu_atomic(to, sizeof *to);
    T old = *to;
    *to = old + value;
    return old;
}
template <class T> static inline T atomicAdd(T *to, std::type_identity_t<T> value)
{
    return emu_atomic_add(to, value);
}

/* ---- warps and blocks ------------------------------------------------------------------------ */

static const int warpSize = 32;

static inline void __syncthreads() { emu_syncthreads(); }
static inline void __syncwarp(unsigned mask = ~0u) { emu_syncwarp(mask); }

template <class T> static inline T emu_shuffled(unsigned mask, const char *what, T value, int lane)
{
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emu_shuffle(mask, what, bits, lane);
    memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T> static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32)
{
    int lane = (emu_lane() & ~(width - 1)) + (source & (width - 1));
    return emu_shuffled(mask, "__shfl_sync", value, lane);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int x, int width = 32)
{
    int lane = emu_lane() ^ x, last = emu_lane() | (width - 1);
    return emu_shuffled(mask, "__shfl_xor_sync", value, lane <= last ? lane : -1);
}
template <class T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned d, int width = 32)
{
    int lane = emu_lane() + (int)d, last = emu_lane() | (width - 1);
    return emu_shuffled(mask, "__shfl_down_sync", value, lane <= last ? lane : -1);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned d, int width = 32)
{
    int lane = emu_lane() - (int)d, first = emu_lane() & ~(width - 1);
    return emu_shuffled(mask, "__shfl_up_sync", value, lane >= first ? lane : -1);
}
static inline unsigned __ballot_sync(unsigned mask, int yes)
{
    return emu_ballot(mask, "__ballot_sync", yes != 0);
}
static inline int __any_sync(unsigned mask, int yes)
{
    return emu_ballot(mask, "__any_sync", yes != 0) != 0;
}
static inline int __all_sync(unsigned mask, int yes)
{
    return emu_ballot(mask, "__all_sync", yes == 0) == 0;
}

/* ---- launch ---------------------------------------------------------------------------------- */

#define GPU_FN static inline

#define LAUNCH(KERNEL, GRID, BLOCK, SHARED_BYTES, STREAM, ...)                                     \
    emu_launch(#KERNEL, KERNEL, (GRID), (BLOCK), (SHARED_BYTES), (STREAM)__VA_OPT__(, ) __VA_ARGS__)
#define LAUNCHED() (emu_launched() ? ST_OK : ST_DEVICE)
#define DYN_SHARED(T, NAME) T *NAME = (T *)emu_dynamic_shared()
#define SHARED_LIMIT(KERNEL, BYTES) emu_shared_limit((const void *)(KERNEL), (int64_t)(BYTES))

/* ---- elements -------------------------------------------------------------------------------- */

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};

static inline float to_float(float x) { return x; }
static inline float to_float(bf16 x) { return narrow_from_bf16(x.bits); }
static inline float to_float(f16 x) { return narrow_from_f16(x.bits); }

template <class T> static inline T from_float(float x);
template <> inline float from_float<float>(float x) { return x; }
template <> inline bf16 from_float<bf16>(float x) { return {narrow_to_bf16(x)}; }
template <> inline f16 from_float<f16>(float x) { return {narrow_to_f16(x)}; }

static inline uint32_t pack_bf16(float low, float high)
{
    return narrow_to_bf16(low) | (uint32_t)narrow_to_bf16(high) << 16;
}
static inline uint32_t pack_f16(float low, float high)
{
    return narrow_to_f16(low) | (uint32_t)narrow_to_f16(high) << 16;
}
static inline float bf16_low(uint32_t pair) { return __uint_as_float(pair << 16); }
static inline float bf16_high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

static inline float fast_exp2(float x)
{
    float y = exp2f(x);
    return y < 0x1p-126f ? 0 : y;
}

static inline uint4 load_128(const void *from) { return *(const uint4 *)from; }
static inline void store_128(void *to, uint4 value) { *(uint4 *)to = value; }

/* ---- compute capability 8.0 ------------------------------------------------------------------ */

static inline void mma_bf16_16816(float *d, const uint32_t *a, const uint32_t *b)
{
    emu_mma_bf16(d, a, b);
}
static inline void mma_f16_16816(float *d, const uint32_t *a, const uint32_t *b)
{
    emu_mma_f16(d, a, b);
}

static inline void ldmatrix_x4(uint32_t *r, const void *shared)
{
    emu_ldmatrix(r, shared, 4, false);
}
static inline void ldmatrix_x4_trans(uint32_t *r, const void *shared)
{
    emu_ldmatrix(r, shared, 4, true);
}
static inline void ldmatrix_x2(uint32_t *r, const void *shared)
{
    emu_ldmatrix(r, shared, 2, false);
}

static inline void cp_async_16(void *shared, const void *global, int bytes)
{
    emu_cp_async(shared, global, bytes);
}
static inline void cp_async_commit() { emu_cp_async_commit(); }
template <int N> static inline void cp_async_wait() { emu_cp_async_wait(N); }

static inline void named_barrier_sync(int id, int threads) { emu_named_barrier(id, threads, true); }
static inline void named_barrier_arrive(int id, int threads)
{
    emu_named_barrier(id, threads, false);
}

static inline uint32_t gpu_shared_address(const void *shared) { return emu_shared_address(shared); }

/* ---- compute capability 9.0a: mbarriers and the tensor memory accelerator -------------------- */

static inline void mbarrier_init(uint64_t *m, int count) { emu_mbarrier_init(m, count); }
static inline void mbarrier_init_fence() { emu_mbarrier_init_fence(); }
static inline void mbarrier_arrive(uint64_t *m) { emu_mbarrier_arrive(m); }
static inline void mbarrier_arrive_expect(uint64_t *m, uint32_t bytes)
{
    emu_mbarrier_arrive_expect(m, bytes);
}
static inline void mbarrier_wait(uint64_t *m, uint32_t parity) { emu_mbarrier_wait(m, parity); }

static inline void tma_prefetch(const tensor_map *) {}
static inline void tma_load_2d(void *shared, const tensor_map *map, uint64_t *m, int x, int y)
{
    const int at[2] = {x, y};
    emu_tma_load("tma_load_2d", shared, map, m, 2, at);
}
static inline void tma_load_3d(void *shared, const tensor_map *map, uint64_t *m, int x, int y,
                               int z)
{
    const int at[3] = {x, y, z};
    emu_tma_load("tma_load_3d", shared, map, m, 3, at);
}
static inline void tma_load_4d(void *shared, const tensor_map *map, uint64_t *m, int x, int y,
                               int z, int w)
{
    const int at[4] = {x, y, z, w};
    emu_tma_load("tma_load_4d", shared, map, m, 4, at);
}
static inline void tma_store_2d(const tensor_map *map, const void *shared, int x, int y)
{
    const int at[2] = {x, y};
    emu_tma_store("tma_store_2d", map, shared, 2, at);
}
static inline void tma_store_commit() { emu_tma_store_commit(); }
template <int N> static inline void tma_store_wait() { emu_tma_store_wait(N); }
static inline void fence_proxy_async() { emu_fence_proxy_async(); }

/* ---- compute capability 9.0a: warpgroups ----------------------------------------------------- */

static inline void wgmma_fence() { emu_wgmma_fence(); }
static inline void wgmma_commit() { emu_wgmma_commit(); }
template <int N> static inline void wgmma_wait() { emu_wgmma_wait(N); }

static inline uint64_t wgmma_descriptor(const void *shared)
{
    return (uint64_t)((gpu_shared_address(shared) & 0x3ffff) >> 4) | (uint64_t)1 << 16 |
           (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}
static inline uint64_t wgmma_descriptor_bt(const void *shared, uint32_t next_bytes)
{
    return (uint64_t)((gpu_shared_address(shared) & 0x3ffff) >> 4) |
           (uint64_t)(next_bytes >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

#define EMU_WGMMA_WIDTH(N) static_assert(N == 64 || N == 128 || N == 192 || N == 256)
template <int N>
static inline void wgmma_bf16(float *d, uint64_t desc_a, uint64_t desc_b, int accumulate)
{
    EMU_WGMMA_WIDTH(N);
    emu_wgmma(d, N, desc_a, desc_b, accumulate, false);
}
template <int N>
static inline void wgmma_bf16_bt(float *d, uint64_t desc_a, uint64_t desc_b, int accumulate)
{
    EMU_WGMMA_WIDTH(N);
    emu_wgmma(d, N, desc_a, desc_b, accumulate, true);
}
template <int N>
static inline void wgmma_bf16_rs(float *d, const uint32_t *a, uint64_t desc_b, int accumulate)
{
    EMU_WGMMA_WIDTH(N);
    emu_wgmma_rs(d, N, a, desc_b, accumulate, false);
}
template <int N>
static inline void wgmma_bf16_rs_bt(float *d, const uint32_t *a, uint64_t desc_b, int accumulate)
{
    EMU_WGMMA_WIDTH(N);
    emu_wgmma_rs(d, N, a, desc_b, accumulate, true);
}

template <int N> static inline void registers_increase()
{
    static_assert(N >= 24 && N <= 256 && N % 8 == 0);
    emu_registers();
}
template <int N> static inline void registers_decrease()
{
    static_assert(N >= 24 && N <= 256 && N % 8 == 0);
    emu_registers();
}

static inline void stmatrix_x4(void *shared, const uint32_t *r) { emu_stmatrix(shared, r); }

/* ---- tensor maps, on the host ---------------------------------------------------------------- */

static inline enum status gpu_tensor_map(tensor_map *out, const void *global, enum elem elem,
                                         int rank, const uint64_t *size,
                                         const uint64_t *stride_bytes, const uint32_t *box)
{
    int elem_bytes = elem == ELEM_F32                        ? 4
                     : elem == ELEM_BF16 || elem == ELEM_F16 ? 2
                     : elem == ELEM_U8                       ? 1
                                                             : 0;
    return emu_tensor_map(out, global, elem_bytes, rank, size, stride_bytes, box) ? ST_OK
                                                                                  : ST_DEVICE;
}
static inline enum status tensor_map_2d(tensor_map *out, const void *global, enum elem elem,
                                        uint64_t inner, uint64_t outer, uint64_t outer_stride_bytes,
                                        uint32_t box_inner, uint32_t box_outer)
{
    const uint64_t size[2] = {inner, outer};
    const uint32_t box[2] = {box_inner, box_outer};
    return gpu_tensor_map(out, global, elem, 2, size, &outer_stride_bytes, box);
}
static inline enum status tensor_map_3d(tensor_map *out, const void *global, enum elem elem,
                                        const uint64_t size[3], const uint64_t stride_bytes[2],
                                        const uint32_t box[3])
{
    return gpu_tensor_map(out, global, elem, 3, size, stride_bytes, box);
}
static inline enum status tensor_map_4d(tensor_map *out, const void *global, enum elem elem,
                                        const uint64_t size[4], const uint64_t stride_bytes[3],
                                        const uint32_t box[4])
{
    return gpu_tensor_map(out, global, elem, 4, size, stride_bytes, box);
}

#endif
