// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gpu_cuda.c   The one file of the harness that calls the CUDA runtime. Compiled a second time
 * against tests/emu/cuda_runtime_api.h for the emulated program. */
#ifdef HAVE_CUDA

#include "machine/gpu.h"

#include <cuda_runtime_api.h>
#ifndef PATCHMARK_EMULATED
#include <cuda.h>
#include <cuda_profiler_api.h>
#include <dlfcn.h>
#include <nvtx3/nvToolsExt.h>
#endif
#include <stdlib.h>
#include <string.h>

#define MARKS_MAX 4096
#define STAGING_BYTES (2 * GPU_STAGE_BYTES) /* one region is filled while another is copied */
#define CAPTURE_BYTES ((size_t)1 << 20)     /* free when a graph begins: it cannot wait */

struct gpu {
    struct gpu_info info;
    cudaStream_t stream;
    char *staging;
    size_t staged;
    bool capturing;
    cudaEvent_t mark[MARKS_MAX];
    int marks;
};

struct gpu_graph {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int64_t nodes;
};

/* What the caller should know of a runtime error. Those of a launch stick to the process; others
 * are told once, here, and not again by the next launch that asks for the last error. */
static enum status failed(cudaError_t error, const char *what, struct fault *fault)
{
    cudaGetLastError();
    if (error == cudaErrorMemoryAllocation)
        return fault_set(fault, ST_NO_MEMORY, "the CUDA device has no memory left for %s", what);
    return fault_set(fault, ST_DEVICE, "the CUDA device failed at %s: %s (%s)", what,
                     cudaGetErrorString(error), cudaGetErrorName(error));
}

#define CU(call, what)                                                                             \
    do {                                                                                           \
        cudaError_t cu_error_ = (call);                                                            \
        if (cu_error_ != cudaSuccess)                                                              \
            return failed(cu_error_, what, fault);                                                 \
    } while (0)

/* ---- which devices ---- */

enum status gpu_count(int *count, struct fault *fault)
{
    int driver = 0, runtime = 0;
    *count = 0;
    cudaError_t error = cudaGetDeviceCount(count);
    if (error == cudaSuccess && *count > 0)
        return ST_OK;
    cudaGetLastError();
    cudaRuntimeGetVersion(&runtime);
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return fault_set(fault, ST_UNAVAILABLE,
                         "no CUDA device can be used: this machine has no NVIDIA driver");
    if (error == cudaErrorInsufficientDriver)
        return fault_set(fault, ST_UNAVAILABLE,
                         "no CUDA device can be used: the NVIDIA driver serves CUDA %d.%d and this "
                         "program needs %d.%d; update the driver",
                         driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    return fault_set(fault, ST_UNAVAILABLE, "no CUDA device can be used: %s",
                     error == cudaSuccess || error == cudaErrorNoDevice
                         ? "this machine has none"
                         : cudaGetErrorString(error));
}

static int64_t attribute(enum cudaDeviceAttr name, int index)
{
    int value = 0;
    if (cudaDeviceGetAttribute(&value, name, index) == cudaSuccess)
        return value;
    cudaGetLastError();
    return 0;
}

static void print_uuid(const cudaUUID_t *uuid, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(out, bytes, "GPU");
    for (int i = 0; i < 16 && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%02x",
                                 i == 0 || i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                                 (unsigned char)uuid->bytes[i]);
}

enum status gpu_describe(int index, struct gpu_info *out, struct fault *fault)
{
    struct cudaDeviceProp properties;
    *out = (struct gpu_info){.index = index};
    CU(cudaGetDeviceProperties(&properties, index), "reading the device's properties");
    snprintf(out->name, sizeof out->name, "%.*s", (int)sizeof out->name - 1, properties.name);
    print_uuid(&properties.uuid, out->uuid, sizeof out->uuid);
#ifdef PATCHMARK_EMULATED
    out->emulated = true;
#endif
    out->major = properties.major;
    out->minor = properties.minor;
    out->processors = properties.multiProcessorCount;
    out->warp_limit = properties.maxThreadsPerMultiProcessor / 32;
    out->memory_bytes = properties.totalGlobalMem;
    out->l2_bytes = (size_t)properties.l2CacheSize;
    out->shared_bytes = properties.sharedMemPerBlockOptin;
    out->bus_bits = properties.memoryBusWidth;
    out->clock_hz = attribute(cudaDevAttrClockRate, index) * 1000;
    out->memory_clock_hz = attribute(cudaDevAttrMemoryClockRate, index) * 1000;
    cudaDriverGetVersion(&out->driver);
    cudaRuntimeGetVersion(&out->runtime);
    return ST_OK;
}

uint64_t gpu_features(int index)
{
    int count;
    if (gpu_count(&count, NULL) != ST_OK || index >= count)
        return 0;
    int64_t major = attribute(cudaDevAttrComputeCapabilityMajor, index);
    int64_t minor = attribute(cudaDevAttrComputeCapabilityMinor, index);
    return GPU_CUDA | (major >= 8 ? GPU_SM80 : 0) | (major == 9 && minor == 0 ? GPU_SM90A : 0) |
           (major == 10 && minor == 0 ? GPU_SM100A : 0);
}

/* ---- one device ---- */

enum status gpu_open(int index, struct gpu **out, struct fault *fault)
{
    struct gpu *g = calloc(1, sizeof *g);
    if (!g)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the CUDA device's state");
    enum status s = gpu_describe(index, &g->info, fault);
    cudaError_t error = s == ST_OK ? cudaSetDevice(index) : cudaSuccess;
    if (s == ST_OK && error == cudaSuccess)
        error = cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking);
    if (s == ST_OK && error == cudaSuccess)
        error = cudaHostAlloc((void **)&g->staging, STAGING_BYTES, cudaHostAllocDefault);
    if (error != cudaSuccess)
        s = failed(error, "opening it", fault);
    if (s != ST_OK) {
        gpu_close(g);
        return s;
    }
    *out = g;
    return ST_OK;
}

void gpu_close(struct gpu *g)
{
    cudaGraph_t unfinished = NULL;
    if (!g)
        return;
    if (g->capturing && cudaStreamEndCapture(g->stream, &unfinished) == cudaSuccess)
        cudaGraphDestroy(unfinished);
    for (int i = 0; i < g->marks; i++)
        cudaEventDestroy(g->mark[i]);
    gpu_pinned_free(g, g->staging);
    if (g->stream)
        cudaStreamDestroy(g->stream);
    free(g);
}

const struct gpu_info *gpu_info(const struct gpu *g) { return &g->info; }

void gpu_exec(const struct gpu *g, struct exec *exec)
{
    exec->device = DEVICE_CUDA;
    exec->device_index = g->info.index;
    exec->processors = g->info.processors;
    exec->stream = g->stream;
}

/* ---- memory ---- */

enum status gpu_alloc(struct gpu *g, size_t bytes, const char *what, void **out,
                      struct fault *fault)
{
    (void)g;
    *out = NULL;
    if (!bytes)
        return ST_OK;
    cudaError_t error = cudaMalloc(out, bytes);
    if (error != cudaErrorMemoryAllocation) {
        CU(error, what);
        return ST_OK;
    }
    cudaGetLastError(); /* this one does not stick */
    size_t unused = 0;
    gpu_memory_free(g, &unused, NULL);
    return fault_set(fault, ST_NO_MEMORY,
                     "the CUDA device has %.2f GiB free and %s takes %.2f GiB; make the shape or "
                     "the model smaller",
                     (double)unused / (1 << 30), what, (double)bytes / (1 << 30));
}

/* Freeing nothing would make a context all the same. */
void gpu_free(struct gpu *g, void *memory)
{
    (void)g;
    if (memory)
        cudaFree(memory);
}

enum status gpu_memory_free(struct gpu *g, size_t *free_bytes, struct fault *fault)
{
    size_t total;
    (void)g;
    CU(cudaMemGetInfo(free_bytes, &total), "asking for its free memory");
    return ST_OK;
}

/* Regions of the pinned buffer are handed out one behind the other; when it is full, the stream's
 * end frees it whole. A graph's copies read their regions when it is launched. */
enum status gpu_stage(struct gpu *g, size_t bytes, void **out, struct fault *fault)
{
    bytes = (bytes + 255) & ~(size_t)255;
    if (bytes > STAGING_BYTES || (g->capturing && bytes > STAGING_BYTES - g->staged))
        return fault_set(fault, ST_NO_MEMORY, "%zu bytes do not fit the staging buffer of %zu",
                         bytes, STAGING_BYTES);
    if (bytes > STAGING_BYTES - g->staged)
        TRY(gpu_sync(g, fault));
    *out = g->staging + g->staged;
    g->staged += bytes;
    return ST_OK;
}

enum status gpu_send(struct gpu *g, void *to, const void *staged, size_t bytes, struct fault *fault)
{
    CU(cudaMemcpyAsync(to, staged, bytes, cudaMemcpyHostToDevice, g->stream), "a copy to it");
    return ST_OK;
}

enum status gpu_upload(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault)
{
    void *staged;
    for (size_t at = 0, part; at < bytes; at += part) {
        part = bytes - at < GPU_STAGE_BYTES ? bytes - at : GPU_STAGE_BYTES;
        TRY(gpu_stage(g, part, &staged, fault));
        memcpy(staged, (const char *)from + at, part);
        TRY(gpu_send(g, (char *)to + at, staged, part, fault));
    }
    return ST_OK;
}

enum status gpu_download(struct gpu *g, void *to, const void *from, size_t bytes,
                         struct fault *fault)
{
    void *staged;
    for (size_t at = 0, part; at < bytes; at += part) {
        part = bytes - at < GPU_STAGE_BYTES ? bytes - at : GPU_STAGE_BYTES;
        TRY(gpu_stage(g, part, &staged, fault));
        CU(cudaMemcpyAsync(staged, (const char *)from + at, part, cudaMemcpyDeviceToHost,
                           g->stream),
           "a copy from it");
        TRY(gpu_sync(g, fault));
        memcpy((char *)to + at, staged, part);
    }
    return ST_OK;
}

enum status gpu_fill(struct gpu *g, void *to, unsigned char value, size_t bytes,
                     struct fault *fault)
{
    if (bytes)
        CU(cudaMemsetAsync(to, value, bytes, g->stream), "filling memory");
    return ST_OK;
}

enum status gpu_copy(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault)
{
    if (bytes)
        CU(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, g->stream), "a copy");
    return ST_OK;
}

enum status gpu_pinned(struct gpu *g, size_t bytes, void **out, struct fault *fault)
{
    (void)g;
    *out = NULL;
    if (!bytes || cudaHostAlloc(out, bytes, cudaHostAllocDefault) == cudaSuccess)
        return ST_OK;
    cudaGetLastError();
    return fault_set(fault, ST_NO_MEMORY, "the machine gives no %zu MiB of pinned memory",
                     bytes >> 20);
}

void gpu_pinned_free(struct gpu *g, void *memory)
{
    (void)g;
    if (memory)
        cudaFreeHost(memory);
}

/* ---- order and time ---- */

enum status gpu_sync(struct gpu *g, struct fault *fault)
{
    CU(cudaStreamSynchronize(g->stream), "work enqueued before");
    g->staged = 0;
    return ST_OK;
}

enum status gpu_sync_device(struct gpu *g, struct fault *fault)
{
    CU(cudaDeviceSynchronize(), "work enqueued before, on any stream");
    g->staged = 0;
    return ST_OK;
}

enum status gpu_mark(struct gpu *g, int mark, struct fault *fault)
{
    if (mark >= MARKS_MAX)
        return fault_set(fault, ST_BAD_INPUT, "more than %d marks in one stream", MARKS_MAX);
    for (; g->marks <= mark; g->marks++)
        CU(cudaEventCreate(&g->mark[g->marks]), "making an event");
    CU(cudaEventRecord(g->mark[mark], g->stream), "recording an event");
    return ST_OK;
}

enum status gpu_elapsed(struct gpu *g, int from, int to, double *seconds, struct fault *fault)
{
    float ms = 0;
    CU(cudaEventSynchronize(g->mark[to]), "work enqueued before");
    CU(cudaEventElapsedTime(&ms, g->mark[from], g->mark[to]), "reading its clock");
    *seconds = ms * 1e-3;
    return ST_OK;
}

/* ---- graphs ---- */

/* Relaxed: a library that meets a shape for the first time may allocate and load code. */
enum status gpu_capture_begin(struct gpu *g, struct fault *fault)
{
    if (STAGING_BYTES - g->staged < CAPTURE_BYTES)
        TRY(gpu_sync(g, fault));
    CU(cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeRelaxed),
       "beginning to record a graph");
    g->capturing = true;
    return ST_OK;
}

/* The executable graph is made anew where the recorded one has another shape. */
static enum status make_exec(struct gpu_graph *made, cudaGraph_t graph, struct fault *fault)
{
    cudaGraphExecUpdateResultInfo info;
    size_t nodes = 0;
    if (made->exec && cudaGraphExecUpdate(made->exec, graph, &info) != cudaSuccess) {
        cudaGetLastError();
        cudaGraphExecDestroy(made->exec);
        made->exec = NULL;
    }
    if (!made->exec)
        CU(cudaGraphInstantiate(&made->exec, graph, 0), "making a graph");
    CU(cudaGraphGetNodes(graph, NULL, &nodes), "counting a graph's nodes");
    made->nodes = (int64_t)nodes;
    return ST_OK;
}

enum status gpu_capture_end(struct gpu *g, struct gpu_graph **graph, struct fault *fault)
{
    cudaGraph_t recorded = NULL;
    g->capturing = false;
    CU(cudaStreamEndCapture(g->stream, &recorded), "recording a graph");
    if (!*graph && !(*graph = calloc(1, sizeof **graph))) {
        cudaGraphDestroy(recorded);
        return fault_set(fault, ST_NO_MEMORY, "no memory for a graph");
    }
    enum status s = make_exec(*graph, recorded, fault);
    if ((*graph)->graph)
        cudaGraphDestroy((*graph)->graph);
    (*graph)->graph = recorded;
    return s;
}

enum status gpu_graph_launch(struct gpu *g, const struct gpu_graph *graph, struct fault *fault)
{
    CU(cudaGraphLaunch(graph->exec, g->stream), "launching a graph");
    return ST_OK;
}

int64_t gpu_graph_nodes(const struct gpu_graph *graph) { return graph->nodes; }

void gpu_graph_free(struct gpu_graph *graph)
{
    if (!graph)
        return;
    if (graph->exec)
        cudaGraphExecDestroy(graph->exec);
    if (graph->graph)
        cudaGraphDestroy(graph->graph);
    free(graph);
}

/* ---- profilers, and what a run launches ---- */

#ifdef PATCHMARK_EMULATED
enum status gpu_profile_begin(struct gpu *g, const char *name, struct fault *fault)
{
    (void)g, (void)name;
    return fault_set(fault, ST_UNAVAILABLE, "no profiler sees an emulated device");
}

enum status gpu_profile_end(struct gpu *g, struct fault *fault)
{
    (void)g, (void)fault;
    return ST_OK;
}

enum status gpu_launches(struct gpu *g, enum status (*fn)(void *user), void *user,
                         struct gpu_launch *out, int room, int *count, struct fault *fault)
{
    (void)g, (void)fn, (void)user, (void)out, (void)room;
    *count = 0;
    return fault_set(fault, ST_UNAVAILABLE, "an emulated kernel has no registers");
}
#else
/* NVTX is a header alone: it finds the profiler by itself, and does nothing without one. */
enum status gpu_profile_begin(struct gpu *g, const char *name, struct fault *fault)
{
    TRY(gpu_sync(g, fault));
    CU(cudaProfilerStart(), "starting the profiler");
    nvtxRangePushA(name);
    return ST_OK;
}

enum status gpu_profile_end(struct gpu *g, struct fault *fault)
{
    TRY(gpu_sync(g, fault));
    nvtxRangePop();
    CU(cudaProfilerStop(), "stopping the profiler");
    return ST_OK;
}

/* The driver knows every kernel; the runtime knows none that a library brought along. */
static struct driver {
    CUresult (*node)(CUgraphNode, CUDA_KERNEL_NODE_PARAMS *);
    CUresult (*function)(CUfunction *, CUkernel);
    CUresult (*attribute)(int *, CUfunction_attribute, CUfunction);
    CUresult (*occupancy)(int *, CUfunction, int, size_t);
    CUresult (*name)(const char **, CUfunction); /* since 12.3 */
} driver;

static enum status find_driver(struct fault *fault)
{
    static const struct {
        const char *name;
        size_t offset;
        bool required;
    } symbols[] = {
        {"cuGraphKernelNodeGetParams_v2", offsetof(struct driver, node), true},
        {"cuKernelGetFunction", offsetof(struct driver, function), true},
        {"cuFuncGetAttribute", offsetof(struct driver, attribute), true},
        {"cuOccupancyMaxActiveBlocksPerMultiprocessor", offsetof(struct driver, occupancy), true},
        {"cuFuncGetName", offsetof(struct driver, name), false},
    };
    void *library = dlopen("libcuda.so.1", RTLD_LAZY);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *at = library ? dlsym(library, symbols[i].name) : NULL;
        if (!at && symbols[i].required)
            return fault_set(fault, ST_UNAVAILABLE, "this NVIDIA driver has no %s",
                             symbols[i].name);
        memcpy((char *)&driver + symbols[i].offset, &at, sizeof at);
    }
    return ST_OK;
}

static int attribute_of(CUfunction f, CUfunction_attribute name, int unknown)
{
    int value;
    return driver.attribute(&value, name, f) == CUDA_SUCCESS ? value : unknown;
}

static void describe_launch(const struct gpu *g, const CUDA_KERNEL_NODE_PARAMS *p,
                            struct gpu_launch *out)
{
    CUfunction f = p->func;
    const char *name = NULL;
    int blocks = 0, threads = (int)(p->blockDimX * p->blockDimY * p->blockDimZ);
    *out = (struct gpu_launch){.grid = {p->gridDimX, p->gridDimY, p->gridDimZ},
                               .block = {p->blockDimX, p->blockDimY, p->blockDimZ},
                               .shared_bytes = p->sharedMemBytes,
                               .registers = -1,
                               .local_bytes = -1,
                               .blocks_per_processor = -1,
                               .occupancy = -1};
    if (!f && driver.function(&f, p->kern) != CUDA_SUCCESS)
        return;
    if (driver.name && driver.name(&name, f) == CUDA_SUCCESS && name)
        snprintf(out->kernel, sizeof out->kernel, "%s", name);
    out->registers = attribute_of(f, CU_FUNC_ATTRIBUTE_NUM_REGS, -1);
    out->local_bytes = attribute_of(f, CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, -1);
    out->shared_bytes += (size_t)attribute_of(f, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, 0);
    if (driver.occupancy(&blocks, f, threads, p->sharedMemBytes) == CUDA_SUCCESS) {
        out->blocks_per_processor = blocks;
        out->occupancy = (double)blocks * ((threads + 31) / 32) / g->info.warp_limit;
    }
}

static enum status list_nodes(const struct gpu *g, cudaGraph_t graph, struct gpu_launch *out,
                              int room, int *count, struct fault *fault)
{
    cudaGraphNode_t node[64];
    size_t nodes = sizeof node / sizeof *node;
    CU(cudaGraphGetNodes(graph, node, &nodes), "listing a graph's nodes");
    for (size_t i = 0; i < nodes; i++) {
        enum cudaGraphNodeType type;
        CUDA_KERNEL_NODE_PARAMS p = {0};
        CU(cudaGraphNodeGetType(node[i], &type), "listing a graph's nodes");
        if (type != cudaGraphNodeTypeKernel)
            continue;
        if (driver.node(node[i], &p) != CUDA_SUCCESS)
            return fault_set(fault, ST_UNAVAILABLE, "the driver does not tell a kernel's launch");
        if (*count < room)
            describe_launch(g, &p, &out[*count]);
        ++*count;
    }
    return ST_OK;
}

enum status gpu_launches(struct gpu *g, enum status (*fn)(void *user), void *user,
                         struct gpu_launch *out, int room, int *count, struct fault *fault)
{
    cudaGraph_t graph = NULL;
    *count = 0;
    TRY(find_driver(fault));
    TRY(gpu_sync(g, fault));
    TRY(gpu_capture_begin(g, fault));
    enum status s = fn(user);
    g->capturing = false;
    cudaError_t error = cudaStreamEndCapture(g->stream, &graph);
    if (s == ST_OK && error == cudaSuccess)
        s = list_nodes(g, graph, out, room, count, fault);
    else if (s == ST_OK)
        s = fault_set(fault, ST_UNAVAILABLE, "its launches cannot be recorded: %s",
                      cudaGetErrorString(error));
    cudaGetLastError();
    if (graph)
        cudaGraphDestroy(graph);
    return s;
}
#endif

#endif
