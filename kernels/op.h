// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* op.h   The whole plug-in ABI: what a kernel variant sees and what the generator calls.
 *
 * Shape alphabet, the same letters everywhere:
 *   B clips          T H W latent or pixel grid    S tokens (rows)     M text tokens
 *   N heads          D head width                  C model width or input channels
 *   F mlp width      K reduction width             O output width or output channels
 *   G rows of a broadcast operand: row s of the large operand meets row s / (S / G); G divides S
 *   P past frames    V vocabulary
 * Strides are in elements, sizes in bytes carry _bytes, everything is row-major, the last axis is
 * contiguous. Depends on libc only. A change that breaks a compiled variant raises
 * PATCHMARK_ABI. */
#ifndef PATCHMARK_OP_H
#define PATCHMARK_OP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PATCHMARK_ABI 3

/* Every function that can fail returns one of these; the sentence for people goes once into the
 * struct fault at hand, where the failure happened. */
enum status {
    ST_OK = 0,
    ST_REFUSED,     /* the variant says no to this problem */
    ST_UNAVAILABLE, /* this machine lacks what it needs */
    ST_NOT_BUILT,   /* this build lacks it */
    ST_BAD_INPUT,   /* a flag, file, size or shape the caller must mend */
    ST_NO_MEMORY,
    ST_IO,
    ST_WRONG,     /* a numerical check failed */
    ST_NONFINITE, /* a check found NaN or infinity where the reference has none */
    ST_CRASHED,
    ST_TIMEOUT,
    ST_DEVICE, /* the device or a vendor library reported an error */
    ST_INTERRUPTED,
    ST_COUNT
};

#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum status try_status_ = (expression);                                                    \
        if (try_status_ != ST_OK)                                                                  \
            return try_status_;                                                                    \
    } while (0)

struct fault {
    char text[1024]; /* one sentence: what, where, how to mend it */
};

/* Keeps the first sentence and passes the status through: return fault_set(f, ST_IO, "...",
 * ...). */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline enum status
fault_set(struct fault *f, enum status s, const char *format, ...)
{
    if (f && !f->text[0]) {
        va_list args;
        va_start(args, format);
        vsnprintf(f->text, sizeof f->text, format, args);
        va_end(args);
    }
    return s;
}

/* ---- tensors --------------------------------------------------------------------------------- */

enum elem {
    ELEM_NONE = 0,
    ELEM_F32,
    ELEM_BF16,
    ELEM_F16,
    ELEM_I8,
    ELEM_E4M3,
    ELEM_E5M2,
    ELEM_E8M0,
    ELEM_MXFP8,
    ELEM_MXFP4,
    ELEM_NVFP4,
    ELEM_U8,
    ELEM_I32,
    ELEM_I64,
    ELEM_F64,
    ELEM_COUNT
};

/* One scale factor per ... ; type = element x scale layout. */
enum scale_layout {
    SCALE_NONE = 0,
    SCALE_TENSOR,
    SCALE_TOKEN,
    SCALE_CHANNEL,
    SCALE_BLOCK16,
    SCALE_BLOCK32,
    SCALE_BLOCK128,
    SCALE_COUNT
};

/* Extents live in the problem, so a tensor is an address and how to step through it. The memory
 * belongs to the caller. Bases are aligned to TENSOR_ALIGN bytes. */
struct tensor {
    void *data;     /* not to be read while tracing; NULL: absent, or packed away */
    int64_t stride; /* elements from one row (token, pixel) to the next */
    enum elem elem;
    enum scale_layout scale_layout;
    const void *scale;    /* scale factors where scale_layout asks for them */
    enum elem scale_elem; /* their type: f32, or e8m0, e4m3 for the block types */
    int32_t weight;       /* 1-based number of a weight within its stage; 0: activation */
};

#define TENSOR_ALIGN 64

static inline bool tensor_given(const struct tensor *t) { return t->elem != ELEM_NONE; }

/* ---- execution ------------------------------------------------------------------------------- */

enum device_kind { DEVICE_CPU = 0, DEVICE_CUDA };

/* On a CUDA device every address of tensors, scratch, packed and state is the device's; the structs
 * themselves are read on the host. */
struct exec {
    enum device_kind device;
    int device_index;
    int processors;      /* multiprocessors of the CUDA device; 0 on the CPU */
    int threads;         /* CPU threads to use, at least 1 */
    void *stream;        /* CUDA stream; prepare() and run() only enqueue on it */
    void *scratch;       /* need.scratch_bytes, contents undefined, TENSOR_ALIGN aligned */
    const void *packed;  /* what prepare() wrote, or NULL where need.packed_bytes is 0 */
    void *state;         /* need.state_bytes, zeroed once per worker, kept between runs */
    void *handle;        /* what open() returned */
    const int64_t *knob; /* one value per knob, in the variant's order */
};

#define KNOB_MAX 8
#define KNOB_VALUES_MAX 16

struct knob {
    const char *name;
    int count; /* values[0] is the default */
    int64_t values[KNOB_VALUES_MAX];
};

/* What plan() answers for one problem and one setting of the knobs. */
struct need {
    int threads; /* in: the most threads that run() will be given */
    size_t scratch_bytes, packed_bytes, state_bytes;
    const char *reason; /* static text, set when plan() says no */
};

struct work {
    double flops, bytes;
};

/* Numerics class: how a variant computes, declared by it; tolerance rows are keyed by it. */
enum numerics {
    NUM_F32 = 0,
    NUM_TF32,
    NUM_BF16,
    NUM_F16,
    NUM_FP8,
    NUM_INT8,
    NUM_FP4,
    NUM_WINOGRAD,
    NUM_SPARSE,
    NUM_COUNT
};

/* What a variant needs; the harness checks all of it before calling any function of the variant. */
#define CPU_SSE42 (UINT64_C(1) << 0)
#define CPU_AVX2 (UINT64_C(1) << 1) /* with FMA */
#define CPU_F16C (UINT64_C(1) << 2)
#define CPU_AVX512 (UINT64_C(1) << 3) /* F, BW, DQ, VL */
#define CPU_AVX512_BF16 (UINT64_C(1) << 4)
#define CPU_AVX512_VNNI (UINT64_C(1) << 5)
#define CPU_AMX_BF16 (UINT64_C(1) << 6)
#define CPU_AMX_INT8 (UINT64_C(1) << 7)
#define CPU_NEON (UINT64_C(1) << 8)
#define CPU_NEON_BF16 (UINT64_C(1) << 9)
#define CPU_NEON_I8MM (UINT64_C(1) << 10)
#define CPU_AVX512_FP16 (UINT64_C(1) << 11)
#define CPU_AVX_VNNI (UINT64_C(1) << 12) /* 256 bits wide, without AVX-512 */
#define CPU_NEON_FP16 (UINT64_C(1) << 13)
#define CPU_NEON_DOT (UINT64_C(1) << 14)
#define GPU_SM80 (UINT64_C(1) << 32)     /* compute capability 8.0 or newer */
#define GPU_SM90A (UINT64_C(1) << 33)    /* exactly 9.0: wgmma, setmaxnreg */
#define GPU_SM100A (UINT64_C(1) << 34)   /* exactly 10.0 */
#define GPU_CUDA (UINT64_C(1) << 40)     /* any CUDA device */
#define LIB_CUBLASLT (UINT64_C(1) << 48) /* libraries that are loaded when they are used */
#define LIB_CUDNN (UINT64_C(1) << 49)
#define GPU_BITS (GPU_CUDA | GPU_SM80 | GPU_SM90A | GPU_SM100A)

/* A variant that needs any kind of GPU runs there and nowhere else. */
static inline enum device_kind needs_device(uint64_t needs)
{
    return needs & GPU_BITS ? DEVICE_CUDA : DEVICE_CPU;
}

/* A claimant for one op. Problems are the op's struct <op>_problem.
 *   plan     may say no (false, need->reason); must be cheap, pure, and accept tensors without data
 *   prepare  turns the weights of `problem` into `packed` (need.packed_bytes), once per weight. The
 *            packed form depends on the weights' own shape and the knobs alone, so that one form
 *            serves problems that differ in rows, frames or pixels. run() then finds the large
 *            weights (matrices, convolution kernels) without data; vectors keep theirs
 *   run      computes the problem; never allocates, prints, locks, falls back or keeps statics
 *   work     flops and bytes really done, where they differ from the direct algorithm's
 *   open     library variants only: a handle, kept for the life of the worker; ST_UNAVAILABLE where
 *            the library is absent or too old
 *   describe library variants only, after a run(): what was asked of the library for this problem
 *            and these knobs and what it chose, as one line of text */
struct variant {
    int abi;
    const char *op, *name;
    bool (*plan)(const void *problem, const int64_t *knob, struct need *need);
    enum status (*run)(const void *problem, const struct exec *exec);
    uint64_t needs;
    enum numerics numerics;
    struct knob knob[KNOB_MAX];
    enum status (*prepare)(const void *problem, const struct exec *exec, void *packed);
    void (*work)(const void *problem, const int64_t *knob, struct work *work);
    enum status (*open)(const struct exec *exec, void **handle);
    void (*close)(void *handle);
    void (*describe)(void *handle, const void *problem, const int64_t *knob, char *out,
                     size_t bytes);
};

#ifdef __cplusplus
#define VARIANT_EXTERN extern "C"
#else
#define VARIANT_EXTERN
#endif

/* Ends a variant's file. The file defines `plan` and `run` with its op's problem type; further
 * members are given by name, knobs among them. NAME repeats the file name without its suffix. */
#define VARIANT(OP, NAME, ...)                                                                     \
    static bool plan_any(const void *problem, const int64_t *knob, struct need *need)              \
    {                                                                                              \
        return plan((const struct OP##_problem *)problem, knob, need);                             \
    }                                                                                              \
    static enum status run_any(const void *problem, const struct exec *exec)                       \
    {                                                                                              \
        return run((const struct OP##_problem *)problem, exec);                                    \
    }                                                                                              \
    VARIANT_EXTERN const struct variant variant_##OP##_##NAME;                                     \
    const struct variant variant_##OP##_##NAME = {.abi = PATCHMARK_ABI,                            \
                                                  .op = #OP,                                       \
                                                  .name = #NAME,                                   \
                                                  .plan = plan_any,                                \
                                                  .run = run_any,                                  \
                                                  __VA_ARGS__}

/* An out-of-tree variant ends with VARIANT and then PLUGIN(&variant_<op>_<name>, ...). */
struct plugin {
    int abi;
    const struct variant *const *variants; /* NULL-terminated */
};
#define PLUGIN_SYMBOL "patchmark_plugin"
#define PLUGIN(...)                                                                                \
    static const struct variant *const plugin_variants[] = {__VA_ARGS__, NULL};                    \
    VARIANT_EXTERN const struct plugin patchmark_plugin;                                           \
    const struct plugin patchmark_plugin = {PATCHMARK_ABI, plugin_variants}

/* ---- ops ------------------------------------------------------------------------------------- */

/* Every op, by the folder its contract stands in. The contract of OP is
 * kernels/<folder>/OP/OP.h. */
#define OP_LIST(X)                                                                                 \
    X(attention, patchify)                                                                         \
    X(attention, unpatchify)                                                                       \
    X(attention, qk_norm_rope)                                                                     \
    X(attention, attention)                                                                        \
    X(attention, qkv)                                                                              \
    X(denoise, linear)                                                                             \
    X(denoise, modulate)                                                                           \
    X(denoise, time_embed)                                                                         \
    X(denoise, elementwise)                                                                        \
    X(denoise, sampler_step)                                                                       \
    X(denoise, ddpm_step)                                                                          \
    X(decode, conv3d)                                                                              \
    X(decode, norm_silu)                                                                           \
    X(decode, norm_conv3d)                                                                         \
    X(decode, upsample)                                                                            \
    X(decode, average_down)                                                                        \
    X(decode, duplicate_up)                                                                        \
    X(decode, to_rgb)                                                                              \
    X(text, embedding)                                                                             \
    X(text, rms_norm)

#define OP_ENUM(folder, op) OP_##op,
enum op_id { OP_LIST(OP_ENUM) OP_COUNT };
#undef OP_ENUM

#define OP_STRUCT(folder, op) struct op##_problem;
OP_LIST(OP_STRUCT)
#undef OP_STRUCT

enum mode { MODE_EXECUTE = 0, MODE_COUNT, MODE_TRACE };
/* In the order in which a clip passes them. Where a model has two experts, the one for low noise is
 * a stage of its own. */
enum stage {
    STAGE_TEXT = 0,
    STAGE_IMAGE,  /* features of the given image */
    STAGE_ENCODE, /* the given image or video into latents */
    STAGE_DENOISE,
    STAGE_DENOISE_LOW,
    STAGE_DECODE,
    STAGE_COUNT
};

/* How a synthetic weight is drawn; a checkpoint ignores it. u is uniform in [-1, 1). The kind also
 * says how a weight is stored: MATRIX and EMBEDDING in ops->type, all others in f32. */
enum weight_kind {
    WEIGHT_MATRIX,   /* u * 2^(round(log2(sqrt(3 / fan_in))) + gain): unit variance kept */
    WEIGHT_GAIN,     /* 1 + u / 8, times 2^gain */
    WEIGHT_BIAS,     /* u * 2^(gain - 3) */
    WEIGHT_TABLE,    /* u * 2^gain */
    WEIGHT_EMBEDDING /* u * 2^gain; large, so stored like a matrix */
};

#define WEIGHT_RANK_MAX 5

struct weight_spec {
    const char *name; /* the checkpoint's tensor name; valid during the call */
    enum weight_kind kind;
    int gain;
    int rank;
    int64_t dim[WEIGHT_RANK_MAX]; /* fan_in = product of dim[1..] */
};

/* What model code may touch. Filled by whoever runs the model: the harness executes, counts or
 * traces; tests may record. Model code never reads tensor memory but through put and get.
 *   alloc    activation memory of the current stage; the same calls in the same order give the same
 *            addresses, so that a trace is a memory plan. stride is set to `row_elems`
 *   release  gives it back; release in any order
 *   weight   one weight of the current stage, in the type the plan wants, valid until leave()
 *   put get  host data into and out of a tensor, row by row where stride > row_elems; f32 is
 *            converted to and from the tensor's element type, other types are copied
 *   enter leave   a stage's weights and activations live between them
 *   step     called before denoising step `index` (0-based) and before decode chunk `index` of
 *            `count`; plans keyed by step and progress displays listen */
struct ops {
#define OP_POINTER(folder, op) enum status (*op)(struct ops *, const struct op##_problem *);
    OP_LIST(OP_POINTER)
#undef OP_POINTER
    enum status (*alloc)(struct ops *, struct tensor *t, enum elem elem, int64_t rows,
                         int64_t row_elems, const char *name);
    void (*release)(struct ops *, struct tensor *t);
    enum status (*weight)(struct ops *, struct tensor *t, const struct weight_spec *spec);
    enum status (*put)(struct ops *, const struct tensor *t, const void *host, int64_t rows,
                       int64_t row_elems);
    enum status (*get)(struct ops *, const struct tensor *t, void *host, int64_t rows,
                       int64_t row_elems);
    enum status (*enter)(struct ops *, enum stage stage);
    enum status (*leave)(struct ops *, enum stage stage);
    enum status (*step)(struct ops *, int index, int count);
    struct fault *fault;
    enum mode mode;
    enum elem type; /* element type of activations and large weights */
};

#ifdef __cplusplus
}
#endif
#endif
