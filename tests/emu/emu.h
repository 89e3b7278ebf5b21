// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* emu.h   CUDA's execution model on one CPU thread: what target/gpu.h of this folder is made of. A
 * CUDA thread is a fiber; the blocks of a launch run one after another; the threads of a block take
 * turns where they wait for each other, in an order that the environment chooses:
 *
 *   EMU_ORDER   lockstep         every thread as far as its next wait, by number (default)
 *               reversed         the same from the last thread to the first
 *               shuffled         the same in a random order, drawn anew each round
 *               greedy           a warp as far as it can alone, then the next one
 *               greedy-reversed  the same from the last warp to the first
 *               greedy-shuffled  the same, each time a random warp
 *   EMU_SEED    of the random orders (1)
 *   EMU_EAGER   0: asynchronous work happens at the wait that needs it, as late as the model allows
 *               (default); 1: at the instruction that starts it
 *
 * What a kernel may not do ends the process with one line on stderr,
 *   emulation: <kernel> block (x,y,z) thread t: <what>
 * and exit code 70, or 71 for a data race (race build), 72 for a deadlock. */
#ifndef PATCHMARK_EMU_H
#define PATCHMARK_EMU_H

#include <stddef.h>
#include <stdint.h>
#include <tuple>

enum emu_exit { EMU_EXIT_FINDING = 70, EMU_EXIT_RACE = 71, EMU_EXIT_DEADLOCK = 72 };

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

/* Where the running thread stands. */
struct emu_place {
    uint3 thread, block;
    dim3 threads, blocks;
};
extern struct emu_place emu_place;

[[noreturn]] void emu_finding(const char *format, ...) __attribute__((format(printf, 1, 2)));
int emu_lane();

/* ---- launch ---------------------------------------------------------------------------------- */

/* A launch as it lies in a stream or graph. */
struct emu_work {
    const char *name;
    const void *kernel;
    dim3 blocks, threads;
    size_t shared_bytes;
    void (*call)(void *arguments);
    void (*release)(void *arguments);
    void *arguments;
};

/* Takes the arguments over. */
void emu_enqueue(void *stream, const struct emu_work *work);
bool emu_launched();
void emu_shared_limit(const void *kernel, int64_t bytes);
void *emu_dynamic_shared();

template <class... P> struct emu_arguments {
    void (*kernel)(P...);
    std::tuple<P...> values;
};

template <class... P> void emu_call(void *arguments)
{
    emu_arguments<P...> *a = (emu_arguments<P...> *)arguments;
    std::apply(a->kernel, a->values);
}

template <class... P> void emu_release(void *arguments) { delete (emu_arguments<P...> *)arguments; }

template <class... P, class... A>
void emu_launch(const char *name, void (*kernel)(P...), dim3 blocks, dim3 threads,
                size_t shared_bytes, void *stream, A... values)
{
    struct emu_work work = {name,
                            (const void *)kernel,
                            blocks,
                            threads,
                            shared_bytes,
                            emu_call<P...>,
                            emu_release<P...>,
                            new emu_arguments<P...>{kernel, std::tuple<P...>(P(values)...)}};
    emu_enqueue(stream, &work);
}

/* ---- warps and barriers ---------------------------------------------------------------------- */

/* The value of lane `source`, or the own one where that is -1. */
uint64_t emu_shuffle(unsigned mask, const char *what, uint64_t value, int source);
unsigned emu_ballot(unsigned mask, const char *what, bool yes);
void emu_syncwarp(unsigned mask);
void emu_syncthreads();
void emu_named_barrier(int id, int threads, bool wait);

/* Announces an atomic access to the race detector. */
void emu_atomic(void *address, size_t bytes);

/* ---- asynchronous copies --------------------------------------------------------------------- */

void emu_cp_async(void *shared, const void *global, int bytes);
void emu_cp_async_commit();
void emu_cp_async_wait(int groups);

/* ---- matrices -------------------------------------------------------------------------------- */

void emu_mma_bf16(float *d, const uint32_t *a, const uint32_t *b);
void emu_mma_f16(float *d, const uint32_t *a, const uint32_t *b);
void emu_ldmatrix(uint32_t *r, const void *shared, int matrices, bool transposed);
void emu_stmatrix(void *shared, const uint32_t *r);

/* ---- mbarriers and boxes --------------------------------------------------------------------- */

struct tensor_map {
    uint64_t magic;
    char *global;
    uint64_t size[4], stride_bytes[4];
    uint32_t box[4];
    int rank, elem_bytes;
};

void emu_mbarrier_init(uint64_t *m, int count);
void emu_mbarrier_init_fence();
void emu_mbarrier_arrive(uint64_t *m);
void emu_mbarrier_arrive_expect(uint64_t *m, uint32_t bytes);
void emu_mbarrier_wait(uint64_t *m, uint32_t parity);

bool emu_tensor_map(struct tensor_map *out, const void *global, int elem_bytes, int rank,
                    const uint64_t *size, const uint64_t *stride_bytes, const uint32_t *box);
void emu_tma_load(const char *what, void *shared, const struct tensor_map *map, uint64_t *m,
                  int rank, const int *at);
void emu_tma_store(const char *what, const struct tensor_map *map, const void *shared, int rank,
                   const int *at);
void emu_tma_store_commit();
void emu_tma_store_wait(int groups);
void emu_fence_proxy_async();

/* ---- warpgroups ------------------------------------------------------------------------------ */

uint32_t emu_shared_address(const void *shared);
void emu_wgmma_fence();
void emu_wgmma_commit();
void emu_wgmma_wait(int groups);
void emu_wgmma(float *d, int columns, uint64_t desc_a, uint64_t desc_b, int accumulate,
               bool b_transposed);
void emu_wgmma_rs(float *d, int columns, const uint32_t *a, uint64_t desc_b, int accumulate,
                  bool b_transposed);
void emu_registers();

#endif
