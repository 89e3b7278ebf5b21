// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gpu.h   What CUDA kernels may use of the machine, under names of our own, and the only place of
 * PTX. tests/emu/target/gpu.h is its twin for the CPU: the same names with the same meaning, found
 * first by the emulated build. A name is added in both, with a line in tests/emu/calibrate.cu.
 *
 * So that a kernel runs on both, it holds to these rules: launches only through LAUNCH, dynamic
 * shared memory only through DYN_SHARED, __shared__ only in the __global__ function itself, all
 * lanes of a warp reach a warp's function together, no waiting of one block for another. */
#ifndef PATCHMARK_TARGET_GPU_H
#define PATCHMARK_TARGET_GPU_H

#include "op.h"

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <math.h>

/* ---- launch ---------------------------------------------------------------------------------- */

#define GPU_FN __device__ __forceinline__

/* KERNEL stands in parentheses where it has commas; GRID and BLOCK are dim3 or int. */
#define LAUNCH(KERNEL, GRID, BLOCK, SHARED_BYTES, STREAM, ...)                                     \
    (KERNEL)<<<(GRID), (BLOCK), (SHARED_BYTES), (cudaStream_t)(STREAM)>>>(__VA_ARGS__)
/* Status of the launches so far; asking forgives an error that does not stick. */
#define LAUNCHED() (cudaGetLastError() == cudaSuccess ? ST_OK : ST_DEVICE)

/* T *NAME is the block's dynamic shared memory, aligned to 1024 bytes, as swizzled tiles ask. */
#define DYN_SHARED(T, NAME)                                                                        \
    extern __shared__ __align__(1024) unsigned char gpu_dynamic_shared[];                          \
    T *NAME = (T *)gpu_dynamic_shared
/* Comes before a launch with more than 48 KiB of dynamic shared memory. A refusal shows in
 * LAUNCHED(). */
#define SHARED_LIMIT(KERNEL, BYTES)                                                                \
    ((void)cudaFuncSetAttribute((const void *)(KERNEL),                                            \
                                cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(BYTES)))

/* ---- elements -------------------------------------------------------------------------------- */

typedef __nv_bfloat16 bf16;
typedef __half f16;

GPU_FN float to_float(float x) { return x; }
GPU_FN float to_float(bf16 x) { return __bfloat162float(x); }
GPU_FN float to_float(f16 x) { return __half2float(x); }

/* Rounds to nearest even. */
template <class T> GPU_FN T from_float(float x);
template <> GPU_FN float from_float<float>(float x) { return x; }
template <> GPU_FN bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }
template <> GPU_FN f16 from_float<f16>(float x) { return __float2half_rn(x); }

/* Two values in one register, `low` in the low half. */
GPU_FN uint32_t pack_bf16(float low, float high)
{
    return __bfloat16_as_ushort(__float2bfloat16_rn(low)) |
           (uint32_t)__bfloat16_as_ushort(__float2bfloat16_rn(high)) << 16;
}
GPU_FN uint32_t pack_f16(float low, float high)
{
    return __half_as_ushort(__float2half_rn(low)) |
           (uint32_t)__half_as_ushort(__float2half_rn(high)) << 16;
}
GPU_FN float bf16_low(uint32_t pair) { return __uint_as_float(pair << 16); }
GPU_FN float bf16_high(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

/* 2^x to about 2 ulp; subnormal results are 0. */
GPU_FN float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* 16 bytes at an address that is a multiple of 16. */
GPU_FN uint4 load_128(const void *from) { return *(const uint4 *)from; }
GPU_FN void store_128(void *to, uint4 value) { *(uint4 *)to = value; }

/* Address within the shared window, as PTX takes it. */
GPU_FN uint32_t gpu_shared_address(const void *shared)
{
    return (uint32_t)__cvta_generic_to_shared(shared);
}

/* ---- compute capability 8.0 ------------------------------------------------------------------ */

/* d += A B of 16x8 over 16: a, b, d are the fragments of mma.m16n8k16 (A row-major, B columns). */
#define GPU_MMA(NAME, TYPE)                                                                        \
    GPU_FN void NAME(float *d, const uint32_t *a, const uint32_t *b)                               \
    {                                                                                              \
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE ".f32 "                \
                     "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"             \
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                              \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));          \
    }
GPU_MMA(mma_bf16_16816, "bf16")
GPU_MMA(mma_f16_16816, "f16")

/* Four 8x8 matrices of 2-byte elements; lane i gives the address of row i % 8 of matrix i / 8, a
 * multiple of 16. x2 reads two matrices and the addresses of lanes 0 to 15. */
GPU_FN void ldmatrix_x4(uint32_t *r, const void *shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(gpu_shared_address(shared))
                 : "memory");
}
GPU_FN void ldmatrix_x4_trans(uint32_t *r, const void *shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(gpu_shared_address(shared))
                 : "memory");
}
GPU_FN void ldmatrix_x2(uint32_t *r, const void *shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(gpu_shared_address(shared))
                 : "memory");
}

/* 16 bytes to shared memory, both addresses multiples of 16: `bytes` of them read, the rest zero.
 * The data is there after the wait, and for other threads after a barrier behind it. */
GPU_FN void cp_async_16(void *shared, const void *global, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(gpu_shared_address(shared)), "l"(__cvta_generic_to_global(global)),
                   "r"(bytes)
                 : "memory");
}
GPU_FN void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Until at most N of this thread's newest groups are under way. */
template <int N> GPU_FN void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory");
}

/* Barriers 1 to 15 over `threads` threads, whole warps; 0 is __syncthreads. */
GPU_FN void named_barrier_sync(int id, int threads)
{
    asm volatile("bar.sync %0, %1;" : : "r"(id), "r"(threads) : "memory");
}
GPU_FN void named_barrier_arrive(int id, int threads)
{
    asm volatile("bar.arrive %0, %1;" : : "r"(id), "r"(threads) : "memory");
}

/* ---- compute capability 9.0a: mbarriers and the tensor memory accelerator -------------------- */

/* A phase ends when `count` arrivals came and the bytes expected are there. A new barrier's first
 * phase has parity 0; a wait for the parity of the phase before the current one returns at once, so
 * who waits for an empty stage starts with 1. */
GPU_FN void mbarrier_init(uint64_t *m, int count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;"
                 :
                 : "r"(gpu_shared_address(m)), "r"(count)
                 : "memory");
}
/* After the last init and before the barrier that lets others use them, so that copies see them. */
GPU_FN void mbarrier_init_fence()
{
    asm volatile("fence.mbarrier_init.release.cluster;\n\t"
                 "fence.proxy.async.shared::cta;" ::
                     : "memory");
}
GPU_FN void mbarrier_arrive(uint64_t *m)
{
    asm volatile("{\n\t"
                 ".reg .b64 state;\n\t"
                 "mbarrier.arrive.shared::cta.b64 state, [%0];\n\t"
                 "}"
                 :
                 : "r"(gpu_shared_address(m))
                 : "memory");
}
/* Arrives, and the phase waits for so many more bytes of copies. */
GPU_FN void mbarrier_arrive_expect(uint64_t *m, uint32_t bytes)
{
    asm volatile("{\n\t"
                 ".reg .b64 state;\n\t"
                 "mbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n\t"
                 "}"
                 :
                 : "r"(gpu_shared_address(m)), "r"(bytes)
                 : "memory");
}
GPU_FN void mbarrier_wait(uint64_t *m, uint32_t parity)
{
    uint32_t done;
    do {
        asm volatile("{\n\t"
                     ".reg .pred p;\n\t"
                     "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
                     "selp.u32 %0, 1, 0, p;\n\t"
                     "}"
                     : "=r"(done)
                     : "r"(gpu_shared_address(m)), "r"(parity)
                     : "memory");
    } while (!done);
}

/* How a tensor lies in global memory and which box of it a copy moves; made on the host, passed to
 * the kernel as const __grid_constant__ tensor_map. */
struct tensor_map {
    CUtensorMap map;
};

GPU_FN void tma_prefetch(const tensor_map *map)
{
    asm volatile("prefetch.tensormap [%0];" : : "l"(map) : "memory");
}

/* The box whose first element has these coordinates, innermost first; outside of the tensor it is
 * zero, and the mbarrier hears of the whole box's bytes all the same. `shared` is a multiple of
 * 128, and of 1024 where the box is to be a swizzled tile of wgmma. One thread calls. */
GPU_FN void tma_load_2d(void *shared, const tensor_map *map, uint64_t *m, int x, int y)
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4}], [%2];"
                 :
                 : "r"(gpu_shared_address(shared)), "l"(map), "r"(gpu_shared_address(m)), "r"(x),
                   "r"(y)
                 : "memory");
}
GPU_FN void tma_load_3d(void *shared, const tensor_map *map, uint64_t *m, int x, int y, int z)
{
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];"
                 :
                 : "r"(gpu_shared_address(shared)), "l"(map), "r"(gpu_shared_address(m)), "r"(x),
                   "r"(y), "r"(z)
                 : "memory");
}
GPU_FN void tma_load_4d(void *shared, const tensor_map *map, uint64_t *m, int x, int y, int z,
                        int w)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6}], [%2];"
                 :
                 : "r"(gpu_shared_address(shared)), "l"(map), "r"(gpu_shared_address(m)), "r"(x),
                   "r"(y), "r"(z), "r"(w)
                 : "memory");
}

/* The other way; what lies outside of the tensor is not written. Generic writes of the box need
 * fence_proxy_async and then a barrier before one thread calls, commits and, before the box is
 * overwritten or the block ends, waits: until the box was read. */
GPU_FN void tma_store_2d(const tensor_map *map, const void *shared, int x, int y)
{
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];"
                 :
                 : "l"(map), "r"(gpu_shared_address(shared)), "r"(x), "r"(y)
                 : "memory");
}
GPU_FN void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int N> GPU_FN void tma_store_wait()
{
    asm volatile("cp.async.bulk.wait_group.read %0;" : : "n"(N) : "memory");
}

/* Shared memory written by this thread, or known to it, becomes visible to wgmma and TMA. */
GPU_FN void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/* ---- compute capability 9.0a: warpgroups ----------------------------------------------------- */

/* Before the first wgmma, and after other code wrote the registers that a wgmma uses. */
GPU_FN void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
GPU_FN void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/* Until at most N of the newest groups are under way. Before that nobody may touch their registers
 * or overwrite their tiles. */
template <int N> GPU_FN void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" : : "n"(N) : "memory");
}

/* Tile in shared memory whose rows of 128 bytes run along the reduction (K-major), swizzled as TMA
 * does; groups of 8 rows follow each other. 16 further along the reduction: descriptor + 2. */
GPU_FN uint64_t wgmma_descriptor(const void *shared)
{
    return (uint64_t)((gpu_shared_address(shared) & 0x3ffff) >> 4) | (uint64_t)1 << 16 |
           (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}
/* Tile for the _bt forms: its rows of 128 bytes are 64 columns at one place of the reduction
 * (MN-major), swizzled; the next 64 columns lie `next_bytes` further. 16 further along the
 * reduction: descriptor + 128. */
GPU_FN uint64_t wgmma_descriptor_bt(const void *shared, uint32_t next_bytes)
{
    return (uint64_t)((gpu_shared_address(shared) & 0x3ffff) >> 4) |
           (uint64_t)(next_bytes >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

#define GPU_D4(I) "+f"(d[I]), "+f"(d[I + 1]), "+f"(d[I + 2]), "+f"(d[I + 3])
#define GPU_D16(I) GPU_D4(I), GPU_D4(I + 4), GPU_D4(I + 8), GPU_D4(I + 12)
#define GPU_D32 GPU_D16(0), GPU_D16(16)
#define GPU_D64 GPU_D32, GPU_D16(32), GPU_D16(48)
#define GPU_D96 GPU_D64, GPU_D16(64), GPU_D16(80)
#define GPU_D128 GPU_D96, GPU_D16(96), GPU_D16(112)
/* clang-format off */
#define GPU_R32                                                                                    \
    "%0, %1, %2, %3, %4, %5, %6, %7, "                                                             \
    "%8, %9, %10, %11, %12, %13, %14, %15, "                                                       \
    "%16, %17, %18, %19, %20, %21, %22, %23, "                                                     \
    "%24, %25, %26, %27, %28, %29, %30, %31"
#define GPU_R64                                                                                    \
    GPU_R32 ", "                                                                                   \
    "%32, %33, %34, %35, %36, %37, %38, %39, "                                                     \
    "%40, %41, %42, %43, %44, %45, %46, %47, "                                                     \
    "%48, %49, %50, %51, %52, %53, %54, %55, "                                                     \
    "%56, %57, %58, %59, %60, %61, %62, %63"
#define GPU_R96                                                                                    \
    GPU_R64 ", "                                                                                   \
    "%64, %65, %66, %67, %68, %69, %70, %71, "                                                     \
    "%72, %73, %74, %75, %76, %77, %78, %79, "                                                     \
    "%80, %81, %82, %83, %84, %85, %86, %87, "                                                     \
    "%88, %89, %90, %91, %92, %93, %94, %95"
#define GPU_R128                                                                                   \
    GPU_R96 ", "                                                                                   \
    "%96, %97, %98, %99, %100, %101, %102, %103, "                                                 \
    "%104, %105, %106, %107, %108, %109, %110, %111, "                                             \
    "%112, %113, %114, %115, %116, %117, %118, %119, "                                             \
    "%120, %121, %122, %123, %124, %125, %126, %127"

/* d (+)= A B of 64xN over 16. d: of a row of 8x8 matrices, lane l of warp w holds the rows
 * 16 w + l / 4 and 8 below, columns 2 (l % 4) and the next. A comes by descriptor, or as the
 * fragments of mma.m16n8k16, 16 rows to a warp. The operands' numbers follow those of d. */
#define GPU_WGMMA(N, D, A, B, P, BT, ...)                                                          \
    asm volatile("{\n\t"                                                                           \
                 ".reg .pred p;\n\t"                                                               \
                 "setp.ne.b32 p, %" P ", 0;\n\t"                                                   \
                 "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 "                       \
                 "{" GPU_R##D "}, " A ", %" B ", p, 1, 1, " BT ";\n\t"                             \
                 "}"                                                                               \
                 : GPU_D##D                                                                        \
                 : __VA_ARGS__)
#define GPU_WGMMA_SS(N, D, A, B, P, BT)                                                            \
    GPU_WGMMA(N, D, "%" A, B, P, "0, %" BT, "l"(desc_a), "l"(desc_b), "r"(accumulate), "n"(TRANS))
#define GPU_WGMMA_RS(N, D, A0, A1, A2, A3, B, P, BT)                                               \
    GPU_WGMMA(N, D, "{%" A0 ", %" A1 ", %" A2 ", %" A3 "}", B, P, "%" BT, "r"(a[0]), "r"(a[1]),    \
              "r"(a[2]), "r"(a[3]), "l"(desc_b), "r"(accumulate), "n"(TRANS))
/* clang-format on */

template <int N, int TRANS>
GPU_FN void gpu_wgmma_ss(float *d, uint64_t desc_a, uint64_t desc_b, int accumulate)
{
    static_assert(N == 64 || N == 128 || N == 192 || N == 256);
    if constexpr (N == 64)
        GPU_WGMMA_SS(64, 32, "32", "33", "34", "35");
    else if constexpr (N == 128)
        GPU_WGMMA_SS(128, 64, "64", "65", "66", "67");
    else if constexpr (N == 192)
        GPU_WGMMA_SS(192, 96, "96", "97", "98", "99");
    else
        GPU_WGMMA_SS(256, 128, "128", "129", "130", "131");
}
template <int N, int TRANS>
GPU_FN void gpu_wgmma_rs(float *d, const uint32_t *a, uint64_t desc_b, int accumulate)
{
    static_assert(N == 64 || N == 128 || N == 192 || N == 256);
    if constexpr (N == 64)
        GPU_WGMMA_RS(64, 32, "32", "33", "34", "35", "36", "37", "38");
    else if constexpr (N == 128)
        GPU_WGMMA_RS(128, 64, "64", "65", "66", "67", "68", "69", "70");
    else if constexpr (N == 192)
        GPU_WGMMA_RS(192, 96, "96", "97", "98", "99", "100", "101", "102");
    else
        GPU_WGMMA_RS(256, 128, "128", "129", "130", "131", "132", "133", "134");
}

template <int N> GPU_FN void wgmma_bf16(float *d, uint64_t desc_a, uint64_t desc_b, int accumulate)
{
    gpu_wgmma_ss<N, 0>(d, desc_a, desc_b, accumulate);
}
template <int N>
GPU_FN void wgmma_bf16_bt(float *d, uint64_t desc_a, uint64_t desc_b, int accumulate)
{
    gpu_wgmma_ss<N, 1>(d, desc_a, desc_b, accumulate);
}
template <int N>
GPU_FN void wgmma_bf16_rs(float *d, const uint32_t *a, uint64_t desc_b, int accumulate)
{
    gpu_wgmma_rs<N, 0>(d, a, desc_b, accumulate);
}
template <int N>
GPU_FN void wgmma_bf16_rs_bt(float *d, const uint32_t *a, uint64_t desc_b, int accumulate)
{
    gpu_wgmma_rs<N, 1>(d, a, desc_b, accumulate);
}

/* Registers per thread for the rest of the warpgroup's life: 24 to 256, a multiple of 8. */
template <int N> GPU_FN void registers_increase()
{
    static_assert(N >= 24 && N <= 256 && N % 8 == 0);
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" : : "n"(N));
}
template <int N> GPU_FN void registers_decrease()
{
    static_assert(N >= 24 && N <= 256 && N % 8 == 0);
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" : : "n"(N));
}

/* The reverse of ldmatrix_x4. */
GPU_FN void stmatrix_x4(void *shared, const uint32_t *r)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
                 :
                 : "r"(gpu_shared_address(shared)), "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

/* ---- tensor maps, on the host ---------------------------------------------------------------- */

static const struct {
    enum elem elem;
    uint32_t bytes;
    CUtensorMapDataType type;
} gpu_tensor_map_types[] = {
    {ELEM_F32, 4, CU_TENSOR_MAP_DATA_TYPE_FLOAT32},
    {ELEM_BF16, 2, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16},
    {ELEM_F16, 2, CU_TENSOR_MAP_DATA_TYPE_FLOAT16},
    {ELEM_U8, 1, CU_TENSOR_MAP_DATA_TYPE_UINT8},
};

/* The driver's encoder is found through the runtime, so that nothing links the driver. */
static inline enum status gpu_tensor_map(tensor_map *out, const void *global, enum elem elem,
                                         int rank, const uint64_t *size,
                                         const uint64_t *stride_bytes, const uint32_t *box)
{
    const cuuint32_t each[5] = {1, 1, 1, 1, 1};
    cudaDriverEntryPointQueryResult found;
    void *entry = NULL;
    int row = 0;
    while (row < 4 && gpu_tensor_map_types[row].elem != elem)
        row++;
    if (row == 4 || box[0] * gpu_tensor_map_types[row].bytes != 128)
        return ST_DEVICE;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault,
                                         &found) != cudaSuccess ||
        !entry)
        return ST_DEVICE;
    CUresult (*encode)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                       const cuuint64_t *, const cuuint32_t *, const cuuint32_t *,
                       CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
                       CUtensorMapFloatOOBfill) = (decltype(&cuTensorMapEncodeTiled))entry;
    CUresult result =
        encode(&out->map, gpu_tensor_map_types[row].type, (cuuint32_t)rank, (void *)global,
               (const cuuint64_t *)size, (const cuuint64_t *)stride_bytes, box, each,
               CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return result == CUDA_SUCCESS ? ST_OK : ST_DEVICE;
}

/* Extents and strides from the innermost on; boxes are swizzled by 128 bytes and exactly that wide;
 * strides are multiples of 16 bytes. ST_DEVICE for anything else, and where the driver refuses. */
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
