// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* runtime.cc   The CUDA runtime of the emulated device: errors, devices, memory, streams, events,
 * graphs. A graph keeps each piece of work with its arguments as recorded, and a launch runs them
 * again: a buffer or an argument that changed in between shows as it would on a device. */
#include "core.h"
#include "cuda_runtime_api.h"

#include <map>
#include <memory>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct {
    cudaError_t error;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorGraphExecUpdateFailure, "cudaErrorGraphExecUpdateFailure",
     "the graph update was not performed"},
};

static cudaError_t last_error;
static bool sticky;

const char *cudaGetErrorName(cudaError_t error)
{
    for (auto &e : errors)
        if (e.error == error)
            return e.name;
    return "cudaErrorUnknown";
}

const char *cudaGetErrorString(cudaError_t error)
{
    for (auto &e : errors)
        if (e.error == error)
            return e.text;
    return "unknown error";
}

static cudaError_t answer(cudaError_t error)
{
    if (sticky)
        error = cudaErrorIllegalAddress;
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

cudaError_t cudaPeekAtLastError(void) { return last_error; }

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    if (!sticky)
        last_error = cudaSuccess;
    return error;
}

bool emu_launched() { return cudaGetLastError() == cudaSuccess; }

static int64_t environment(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    return text && text[0] ? strtoll(text, NULL, 10) : otherwise;
}

static bool environment_is(const char *name, const char *word)
{
    const char *text = getenv(name);
    return text && strcmp(text, word) == 0;
}

/* ---- devices --------------------------------------------------------------------------------- */

enum { VERSION = 13000, VERSION_OLD = 11040, PROCESSORS = 4, L2_BYTES = 1 << 20 };
enum { THREADS_PER_PROCESSOR = 2048, THREADS_PER_BLOCK = 1024 };
static const size_t shared_bytes = 48 << 10, shared_optin_bytes = 232448;

static size_t memory_bytes() { return (size_t)environment("EMU_MEMORY_MIB", 4096) << 20; }

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    if (environment_is("EMU_DRIVER", "old"))
        return answer(cudaErrorInsufficientDriver);
    if (environment_is("EMU_DEVICES", "0"))
        return answer(cudaErrorNoDevice);
    *count = 1;
    return cudaSuccess;
}

static cudaError_t device_check(int device)
{
    int count;
    cudaError_t error = cudaGetDeviceCount(&count);
    return error != cudaSuccess ? error : answer(device ? cudaErrorInvalidDevice : cudaSuccess);
}

cudaError_t cudaSetDevice(int device) { return device_check(device); }

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return device_check(0);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    cudaError_t error = device_check(device);
    if (error != cudaSuccess)
        return error;
    *out = {};
    strcpy(out->name, "CUDA emulation on the CPU");
    memcpy(out->uuid.bytes, "CUDA emulation ", 16);
    out->totalGlobalMem = memory_bytes();
    out->sharedMemPerBlock = shared_bytes, out->sharedMemPerBlockOptin = shared_optin_bytes;
    out->major = 9, out->minor = 0;
    out->multiProcessorCount = PROCESSORS, out->l2CacheSize = L2_BYTES;
    out->maxThreadsPerMultiProcessor = THREADS_PER_PROCESSOR;
    out->maxThreadsPerBlock = THREADS_PER_BLOCK, out->warpSize = 32;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    static const struct {
        enum cudaDeviceAttr attribute;
        int value; /* 0: nothing that an emulator has */
    } table[] = {
        {cudaDevAttrClockRate, 0},
        {cudaDevAttrMultiProcessorCount, PROCESSORS},
        {cudaDevAttrMemoryClockRate, 0},
        {cudaDevAttrGlobalMemoryBusWidth, 0},
        {cudaDevAttrL2CacheSize, L2_BYTES},
        {cudaDevAttrMaxThreadsPerMultiProcessor, THREADS_PER_PROCESSOR},
        {cudaDevAttrComputeCapabilityMajor, 9},
        {cudaDevAttrComputeCapabilityMinor, 0},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, (int)shared_optin_bytes},
    };
    cudaError_t error = device_check(device);
    if (error != cudaSuccess)
        return error;
    for (auto &row : table)
        if (row.attribute == attribute) {
            *value = row.value;
            return cudaSuccess;
        }
    return answer(cudaErrorNotSupported);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = environment_is("EMU_DRIVER", "old") ? VERSION_OLD : VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = VERSION;
    return cudaSuccess;
}

/* ---- work ------------------------------------------------------------------------------------ */

struct CUevent_st {
    struct timespec at;
};

enum kind { LAUNCH, COPY, FILL, RECORD };

struct CUgraphNode_st {
    enum kind kind;
    std::shared_ptr<struct emu_work> work;
    void *to;
    const void *from;
    size_t bytes;
    int value;
    cudaEvent_t event;
};
typedef struct CUgraphNode_st op;

struct CUgraph_st {
    std::vector<op> ops;
};

struct CUgraphExec_st {
    std::vector<op> ops;
};

struct CUstream_st {
    std::vector<op> late; /* enqueued and not run yet */
    cudaGraph_t capture;  /* NULL: none */
    bool broken;          /* the capture met a call that it forbids */
};

static struct CUstream_st default_stream;
static std::vector<cudaStream_t> streams = {&default_stream};
static std::map<const void *, const char *> kernel_names;

static struct CUstream_st *stream_of(void *stream)
{
    return stream ? (struct CUstream_st *)stream : &default_stream;
}

/* True where this launch is the one that EMU_FAIL asks to fail. */
static bool launch_fails()
{
    static int64_t launches, fails = environment("EMU_FAIL", 0);
    return ++launches == fails;
}

static void op_run(const op *o)
{
    if (o->kind == LAUNCH && launch_fails()) {
        sticky = true;
        answer(cudaErrorIllegalAddress);
    }
    if (sticky)
        return;
    switch (o->kind) {
    case LAUNCH: emu_run(o->work.get()); break;
    case COPY: memmove(o->to, o->from, o->bytes); break;
    case FILL: memset(o->to, o->value, o->bytes); break;
    case RECORD: clock_gettime(CLOCK_MONOTONIC, &o->event->at); break;
    }
}

static void stream_run(struct CUstream_st *s)
{
    for (auto &o : s->late)
        op_run(&o);
    s->late.clear();
}

static void streams_run()
{
    for (cudaStream_t s : streams)
        stream_run(s);
}

static cudaError_t enqueue(void *stream, const op *o)
{
    static const bool late = environment_is("EMU_STREAM", "late");
    struct CUstream_st *s = stream_of(stream);
    if (s->capture) {
        if (o->kind != RECORD)
            s->capture->ops.push_back(*o);
        return cudaSuccess;
    }
    s->late.push_back(*o);
    if (!late)
        stream_run(s);
    return answer(cudaSuccess);
}

static void work_free(struct emu_work *work)
{
    work->release(work->arguments);
    delete work;
}

void emu_enqueue(void *stream, const struct emu_work *work)
{
    op o = {};
    o.kind = LAUNCH;
    o.work = std::shared_ptr<struct emu_work>(new struct emu_work(*work), work_free);
    kernel_names[work->kernel] = work->name;
    enqueue(stream, &o);
}

/* Calls that wait or allocate break a capture. */
static bool capture_forbids()
{
    bool any = false;
    for (cudaStream_t s : streams)
        if (s->capture)
            s->broken = any = true;
    return any;
}

/* ---- memory ---------------------------------------------------------------------------------- */

enum { ALIGN = 256 };

static std::map<void *, size_t> device_memory, pinned_memory;
static size_t used_bytes;

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    *total = memory_bytes();
    *free_bytes = *total > used_bytes ? *total - used_bytes : 0;
    return answer(cudaSuccess);
}

/* Contents are NaN in every floating type. */
static cudaError_t memory_make(std::map<void *, size_t> *list, void **out, size_t bytes)
{
    *out = NULL;
    if (capture_forbids())
        return answer(cudaErrorStreamCaptureUnsupported);
    if (sticky || !bytes)
        return answer(cudaSuccess);
    if (posix_memalign(out, ALIGN, bytes) != 0)
        return answer(cudaErrorMemoryAllocation);
    if (list == &device_memory) /* the harness's large pinned buffer costs no time untouched */
        memset(*out, 0xff, bytes);
    (*list)[*out] = bytes;
    return cudaSuccess;
}

static cudaError_t memory_free(std::map<void *, size_t> *list, void *memory)
{
    if (!memory)
        return answer(cudaSuccess);
    if (capture_forbids())
        return answer(cudaErrorStreamCaptureUnsupported);
    if (!list->count(memory))
        return answer(cudaErrorInvalidValue);
    streams_run();
    list->erase(memory);
    free(memory);
    return answer(cudaSuccess);
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    size_t whole = memory_bytes();
    if (used_bytes > whole || bytes > whole - used_bytes) {
        *out = NULL;
        return answer(cudaErrorMemoryAllocation);
    }
    cudaError_t error = memory_make(&device_memory, out, bytes);
    if (error == cudaSuccess)
        used_bytes += bytes;
    return error;
}

cudaError_t cudaFree(void *memory)
{
    auto at = device_memory.find(memory);
    size_t bytes = at == device_memory.end() ? 0 : at->second;
    cudaError_t error = memory_free(&device_memory, memory);
    if (!device_memory.count(memory))
        used_bytes -= bytes;
    return error;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    return memory_make(&pinned_memory, out, bytes);
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return memory_make(&pinned_memory, out, bytes);
}

cudaError_t cudaFreeHost(void *memory) { return memory_free(&pinned_memory, memory); }

/* Where in an allocation of the list the address lies; NULL: nowhere. */
static const std::pair<void *const, size_t> *allocation(const std::map<void *, size_t> &list,
                                                        const void *address)
{
    auto after = list.upper_bound((void *)address);
    if (after == list.begin())
        return NULL;
    auto at = std::prev(after);
    return (const char *)address < (const char *)at->first + at->second ? &*at : NULL;
}

bool emu_allocation(const void *address, size_t *offset, size_t *bytes)
{
    auto at = allocation(device_memory, address);
    if (at) {
        *offset = (size_t)((const char *)address - (const char *)at->first);
        *bytes = at->second;
    }
    return at != NULL;
}

static bool inside(const std::map<void *, size_t> &list, const void *address, size_t bytes)
{
    auto at = allocation(list, address);
    return at && (const char *)address + bytes <= (const char *)at->first + at->second;
}

/* Each side of a copy lies where its kind says; memory that is not pinned is no device's. */
static bool copy_right(const void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    return kind == cudaMemcpyDefault || (inside(device_memory, to, bytes) == to_device &&
                                         inside(device_memory, from, bytes) == from_device);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    op o = {};
    if (!bytes)
        return answer(cudaSuccess);
    if (!copy_right(to, from, bytes, kind))
        return answer(cudaErrorInvalidValue);
    o.kind = COPY, o.to = to, o.from = from, o.bytes = bytes;
    cudaError_t error = enqueue(stream, &o);
    bool pageable = (kind == cudaMemcpyHostToDevice && !inside(pinned_memory, from, bytes)) ||
                    (kind == cudaMemcpyDeviceToHost && !inside(pinned_memory, to, bytes));
    if (pageable) /* it is done when the call returns */
        stream_run(stream_of(stream));
    return error;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, NULL);
    stream_run(&default_stream);
    return error;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    op o = {};
    if (!bytes)
        return answer(cudaSuccess);
    if (!inside(device_memory, to, bytes))
        return answer(cudaErrorInvalidValue);
    o.kind = FILL, o.to = to, o.value = value, o.bytes = bytes;
    return enqueue(stream, &o);
}

/* ---- streams and events ---------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned)
{
    *out = new struct CUstream_st();
    streams.push_back(*out);
    return answer(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    stream_run(stream);
    std::erase(streams, stream);
    delete stream->capture;
    delete stream;
    return answer(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (capture_forbids())
        return answer(cudaErrorStreamCaptureUnsupported);
    stream_run(stream_of(stream));
    return answer(cudaSuccess);
}

cudaError_t cudaDeviceSynchronize(void)
{
    if (capture_forbids())
        return answer(cudaErrorStreamCaptureUnsupported);
    streams_run();
    return answer(cudaSuccess);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned)
{
    *out = new struct CUevent_st();
    return answer(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, 0); }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    op o = {};
    o.kind = RECORD, o.event = event;
    return enqueue(stream, &o);
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    if (capture_forbids())
        return answer(cudaErrorStreamCaptureUnsupported);
    streams_run();
    return answer(cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = (float)((double)(to->at.tv_sec - from->at.tv_sec) * 1e3 +
                  (double)(to->at.tv_nsec - from->at.tv_nsec) * 1e-6);
    return answer(cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    streams_run();
    delete event;
    return answer(cudaSuccess);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode)
{
    if (!stream || stream->capture)
        return answer(cudaErrorIllegalState);
    stream->capture = new struct CUgraph_st();
    stream->broken = false;
    return answer(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    cudaGraph_t graph = stream->capture;
    *out = NULL;
    if (!graph)
        return answer(cudaErrorIllegalState);
    stream->capture = NULL;
    if (stream->broken) {
        delete graph;
        return answer(cudaErrorStreamCaptureInvalidated);
    }
    *out = graph;
    return answer(cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long)
{
    *out = new struct CUgraphExec_st();
    (*out)->ops = graph->ops;
    return answer(cudaSuccess);
}

static bool same_shape(const op *a, const op *b)
{
    return a->kind == b->kind && (a->kind != LAUNCH || a->work->kernel == b->work->kernel);
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *info)
{
    bool same = exec->ops.size() == graph->ops.size();
    for (size_t i = 0; same && i < exec->ops.size(); i++)
        same = same_shape(&exec->ops[i], &graph->ops[i]);
    *info = {same ? cudaGraphExecUpdateSuccess : cudaGraphExecUpdateErrorTopologyChanged, NULL,
             NULL};
    if (!same)
        return answer(cudaErrorGraphExecUpdateFailure);
    exec->ops = graph->ops;
    return answer(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (stream_of(stream)->capture)
        return answer(cudaErrorNotSupported);
    for (auto &o : exec->ops)
        enqueue(stream, &o);
    return answer(cudaSuccess);
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    for (size_t i = 0; nodes && i < *count && i < graph->ops.size(); i++)
        nodes[i] = &graph->ops[i];
    if (!nodes || *count > graph->ops.size())
        *count = graph->ops.size();
    return answer(cudaSuccess);
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type)
{
    *type = node->kind == LAUNCH ? cudaGraphNodeTypeKernel
            : node->kind == COPY ? cudaGraphNodeTypeMemcpy
                                 : cudaGraphNodeTypeMemset;
    return answer(cudaSuccess);
}

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, struct cudaKernelNodeParams *out)
{
    if (node->kind != LAUNCH)
        return answer(cudaErrorInvalidValue);
    *out = {};
    out->func = (void *)node->work->kernel;
    out->gridDim = node->work->blocks, out->blockDim = node->work->threads;
    out->sharedMemBytes = (unsigned)node->work->shared_bytes;
    return answer(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    streams_run();
    delete exec;
    return answer(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return answer(cudaSuccess);
}

/* ---- functions ------------------------------------------------------------------------------- */

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute, int value)
{
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return answer(cudaErrorNotSupported);
    emu_shared_limit(function, value);
    return answer(cudaSuccess);
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *, const void *)
{
    return answer(cudaErrorNotSupported);
}

cudaError_t cudaFuncGetName(const char **name, const void *function)
{
    auto at = kernel_names.find(function);
    *name = at == kernel_names.end() ? NULL : at->second;
    return answer(*name ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *, const void *, int, size_t)
{
    return answer(cudaErrorNotSupported);
}
