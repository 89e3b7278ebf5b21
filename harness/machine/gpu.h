// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gpu.h   CUDA devices as the harness uses them: facts, memory, one stream, events, graphs. No CUDA
 * header is needed to include this, and a build without CUDA has every function: they answer
 * ST_NOT_BUILT. The emulated program has the same functions on top of tests/emu. */
#ifndef PATCHMARK_GPU_H
#define PATCHMARK_GPU_H

#include "op.h"

struct gpu_info {
    int index;
    char name[128], uuid[48];
    bool emulated; /* the CPU in a GPU's place: right or wrong, never fast or slow */
    int major, minor, processors, warp_limit;    /* compute capability; resident warps of one SM */
    size_t memory_bytes, l2_bytes, shared_bytes; /* shared: most that one block may ask for */
    int64_t clock_hz, memory_clock_hz;           /* highest; 0 unknown */
    int bus_bits;
    int driver, runtime; /* CUDA versions as 13000; 0 unknown */
};

/* How many devices; ST_NOT_BUILT without CUDA, ST_UNAVAILABLE with the reason (no device, driver
 * missing or too old). Creates no context, so a supervisor may ask. */
enum status gpu_count(int *count, struct fault *fault);
enum status gpu_describe(int index, struct gpu_info *out, struct fault *fault);
/* GPU_* bits of the device; 0 where there is none. */
uint64_t gpu_features(int index);
/* Multiply-adds and other operations per second that the device's units could reach at its highest
 * clock, 2 flops each; 0 where the class or the chip is not in the table. A roof, not a promise. */
double gpu_peak_flops(const struct gpu_info *info, enum numerics numerics);
double gpu_peak_bytes(const struct gpu_info *info); /* memory bus, bytes per second; 0 unknown */

struct gpu; /* one device with a stream of its own and a pinned staging buffer */

enum status gpu_open(int index, struct gpu **out, struct fault *fault);
void gpu_close(struct gpu *g);
/* The process's own: opened when first asked for and kept, like its context and what libraries know
 * of its stream. Its index is the first one's: a process works on one device. */
enum status gpu_process(int index, struct gpu **out, struct fault *fault);
const struct gpu_info *gpu_info(const struct gpu *g);
/* Members device, device_index, processors and stream. */
void gpu_exec(const struct gpu *g, struct exec *exec);

/* ---- memory ---------------------------------------------------------------------------------- */

/* ST_NO_MEMORY with the sentence; bytes 0 gives NULL. Aligned to 256 bytes, contents undefined. */
enum status gpu_alloc(struct gpu *g, size_t bytes, const char *what, void **out,
                      struct fault *fault);
void gpu_free(struct gpu *g, void *memory);
enum status gpu_memory_free(struct gpu *g, size_t *free_bytes, struct fault *fault);
/* A region of the pinned buffer to write what `send` then copies in the stream's order; it belongs to
 * the caller until the next gpu_sync. May wait for the stream; not while a graph is recorded. */
#define GPU_STAGE_BYTES ((size_t)32 << 20) /* the most of one region */
enum status gpu_stage(struct gpu *g, size_t bytes, void **out, struct fault *fault);
enum status gpu_send(struct gpu *g, void *to, const void *staged, size_t bytes,
                     struct fault *fault);
/* In the stream's order, through the pinned buffer: after upload the host's memory may change, after
 * download it is complete. */
enum status gpu_upload(struct gpu *g, void *to, const void *from, size_t bytes,
                       struct fault *fault);
enum status gpu_download(struct gpu *g, void *to, const void *from, size_t bytes,
                         struct fault *fault);
enum status gpu_fill(struct gpu *g, void *to, unsigned char value, size_t bytes,
                     struct fault *fault);
/* Between any two of device and pinned memory. */
enum status gpu_copy(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault);
/* Memory the device reads fast. */
enum status gpu_pinned(struct gpu *g, size_t bytes, void **out, struct fault *fault);
void gpu_pinned_free(struct gpu *g, void *memory);

/* ---- order and time -------------------------------------------------------------------------- */

/* Waits for the stream. ST_DEVICE where anything enqueued before went wrong; such an error sticks:
 * the process can use this device no more. */
enum status gpu_sync(struct gpu *g, struct fault *fault);
/* Likewise for all that any stream of this process has on the device: what a clock's stop waits for,
 * so that work beside the stream is in the time. */
enum status gpu_sync_device(struct gpu *g, struct fault *fault);

/* Marks in the stream, numbered from 0, as many as are used; elapsed waits for `to`. */
enum status gpu_mark(struct gpu *g, int mark, struct fault *fault);
enum status gpu_elapsed(struct gpu *g, int from, int to, double *seconds, struct fault *fault);

/* ---- graphs ---------------------------------------------------------------------------------- */

struct gpu_graph;
/* Between begin and end the stream's work is recorded, not run. end makes a graph, or puts the
 * recorded work into *graph where that has the same shape; launch enqueues it. */
enum status gpu_capture_begin(struct gpu *g, struct fault *fault);
enum status gpu_capture_end(struct gpu *g, struct gpu_graph **graph, struct fault *fault);
enum status gpu_graph_launch(struct gpu *g, const struct gpu_graph *graph, struct fault *fault);
int64_t gpu_graph_nodes(const struct gpu_graph *graph);
void gpu_graph_free(struct gpu_graph *graph);

/* ---- profilers ------------------------------------------------------------------------------- */

/* Tells a CUDA profiler to look from here on, with an NVTX range of this name, and no longer. Both
 * wait for the stream. Never run on a GPU so far. */
enum status gpu_profile_begin(struct gpu *g, const char *name, struct fault *fault);
enum status gpu_profile_end(struct gpu *g, struct fault *fault);

/* ---- what a run launches --------------------------------------------------------------------- */

struct gpu_launch {
    char kernel[160];
    unsigned grid[3], block[3];
    size_t shared_bytes;                              /* dynamic and static together */
    int registers, local_bytes, blocks_per_processor; /* per thread; resident; -1 unknown */
    double occupancy;                                 /* resident warps / warp_limit; -1 unknown */
};
/* Records fn into a graph that is never launched and lists its kernels, at most `room`; *count is
 * how many there were. ST_UNAVAILABLE with the reason where the runtime cannot tell. */
enum status gpu_launches(struct gpu *g, enum status (*fn)(void *user), void *user,
                         struct gpu_launch *out, int room, int *count, struct fault *fault);

#endif
