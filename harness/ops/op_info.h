// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* op_info.h   What is right: one adapter per op. Everything that verify, kernels, run, plans and
 * replay need to know about an op is in its table entry; every subcommand is a loop over it. */
#ifndef PATCHMARK_OP_INFO_H
#define PATCHMARK_OP_INFO_H

#include "op.h"

#include "attention/attention/attention.h"
#include "attention/patchify/patchify.h"
#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "attention/qkv/qkv.h"
#include "attention/unpatchify/unpatchify.h"
#include "decode/average_down/average_down.h"
#include "decode/conv3d/conv3d.h"
#include "decode/duplicate_up/duplicate_up.h"
#include "decode/norm_conv3d/norm_conv3d.h"
#include "decode/norm_silu/norm_silu.h"
#include "decode/to_rgb/to_rgb.h"
#include "decode/upsample/upsample.h"
#include "denoise/ddpm_step/ddpm_step.h"
#include "denoise/elementwise/elementwise.h"
#include "denoise/linear/linear.h"
#include "denoise/modulate/modulate.h"
#include "denoise/sampler_step/sampler_step.h"
#include "denoise/time_embed/time_embed.h"
#include "text/embedding/embedding.h"
#include "text/rms_norm/rms_norm.h"

/* Any op's problem; op says which member. */
struct problem {
    enum op_id op;
    union {
#define PROBLEM_MEMBER(folder, op) struct op##_problem op;
        OP_LIST(PROBLEM_MEMBER)
#undef PROBLEM_MEMBER
    };
};

enum role { ROLE_IN, ROLE_WEIGHT, ROLE_OUT };

/* How verify fills an input (before hostile patterns are laid over it). */
enum operand_fill {
    OPERAND_UNIFORM, /* [-1, 1) */
    OPERAND_GAIN,    /* 1 + [-1, 1) / 8 */
    OPERAND_FAN_IN,  /* uniform times a power of two so that sums stay O(1) */
    OPERAND_COSINE,
    OPERAND_SINE, /* a rotation table, both from one angle per element */
    OPERAND_TIME, /* 0 .. 1000 */
    OPERAND_INDEX /* 0 .. V-1 (struct embedding_problem) */
};

/* One field of a shape line: an integer of the problem, or, where flag_tensor or type_tensor is
 * set, a property of one of its tensors, so that line and problem cannot disagree. */
struct op_dim {
    const char *name;
    size_t offset;    /* of an int64_t in the problem struct */
    int64_t fallback; /* value where the line is silent; DIM_REQUIRED: must be given */
    int64_t least, most;
    const char *const *symbols; /* names of the values 0, 1, ...; NULL-terminated; or NULL */
    int flag_tensor;            /* 1-based index of the optional tensor whose presence this
                                       0/1 field tells; 0: none */
    int type_tensor;            /* 1-based index of the tensor whose element type this field
                                       names (enum elem; ELEM_NONE: the line's); 0: none */
};
#define DIM_REQUIRED INT64_MIN
#define DIM_PREVIOUS (INT64_MIN + 1) /* fallback: the value of the field before it */

struct op_tensor {
    const char *name;
    size_t offset; /* of a struct tensor in the problem struct */
    enum role role;
    enum operand_fill fill;
    bool strided;    /* the contract leaves its stride free */
    int alias;       /* index of the input this output may overwrite, or -1 */
    bool exact_type; /* always elem below; else the line's type */
    enum elem elem;
};

/* Tolerance of one output type and numerics class (design section 3):
 *   |got - ref| <= (rel |ref| + abs mag) eps(type) + min_normal(type),  relative L2 <= l2 */
struct tolerance {
    enum elem type;
    enum numerics numerics;
    double rel, abs, l2;
};

#define OP_DIMS_MAX 24
#define OP_TENSORS_MAX 18
#define OP_TOLERANCES_MAX 12

struct op_info {
    enum op_id id;
    const char *name, *folder, *summary;
    size_t problem_bytes;
    bool composite;
    uint32_t other_types;                    /* bits 1 << enum elem: what `type` may be
                                                   beyond f32, bf16 and f16 */
    struct op_dim dim[OP_DIMS_MAX];          /* ends where name is NULL; "type" is parsed for all */
    struct op_tensor tensor[OP_TENSORS_MAX]; /* ends where name is NULL */
    struct tolerance tolerance[OP_TOLERANCES_MAX]; /* ends where rel, abs and l2 are all 0 */
    /* what the l2 ceilings are multiplied by at this problem, at least 1; NULL: 1 */
    double (*l2_growth)(const void *problem);
    /* rows and row elements of tensor `index` for the problem's dims; false: absent in this
     * problem. A row is what stride steps over. */
    bool (*extent)(const void *problem, int index, int64_t *rows, int64_t *row_elems);
    /* values per reference row (ref.h) of output tensor `index`; divides row_elems */
    int64_t (*ref_row_elems)(const void *problem, int index);
    /* scalars (scale, eps, coefficients) that a shape line does not carry; element types other than
     * `type` beyond exact_type. Called after dims are known. */
    void (*complete)(void *problem, enum elem type);
    /* combinations the dims' ranges cannot express (divisibility, ...) */
    enum status (*check)(const void *problem, struct fault *fault);
    /* multiply-adds of the direct algorithm, 2 each, padded taps counted, as models are costed; 0
     * for ops whose work is moving memory */
    double (*flops)(const void *problem);
    void (*ref)(const void *problem, int output, int64_t row, double *value, double *mag);
    /* A smaller problem of the same kind, for `run --sample`. Axes 0, 1, ... in the order in which
     * they are cut; units 0 asks how many units there are along one, 0: there is no such axis.
     * Otherwise the problem is cut to `units` or a few less, which are returned. No axis is one
     * that is summed over: an output costs what it cost before. NULL: it is always run whole. */
    int64_t (*cut)(void *problem, int axis, int64_t units);
    enum status (*expand)(struct ops *ops, const void *problem); /* composites */
    const char *const *verify_shapes; /* NULL-terminated shape lines, <= 50 MFLOP each */
    const char *timing_shape;
};

extern const struct op_info *const op_table[OP_COUNT];

/* ---- generic work over the table ---- */

enum status op_find(const char *name, enum op_id *op, struct fault *fault); /* names the nearest */

/* "attention:B=1,Sq=4096,...,type=bf16": fills dims, tensor types and packed strides; no memory. */
enum status shape_parse(const char *line, struct problem *out, struct fault *fault);
/* The canonical line of a problem: every dim that differs from its fallback, then type. */
void shape_print(const struct problem *problem, char *out, size_t bytes);
/* Value of a dim; true where a shape line is silent about it. previous: the dim's before it. */
bool problem_dim(const struct problem *problem, const struct op_dim *dim, int64_t previous,
                 int64_t *value);

enum elem problem_type(const struct problem *problem); /* type of its first free-typed tensor */
struct tensor *problem_tensor(struct problem *problem, int index);
const struct tensor *problem_tensor_const(const struct problem *problem, int index);
double problem_flops(const struct problem *problem);
double problem_bytes(const struct problem *problem); /* every operand touched once */
const struct tolerance *problem_tolerance(const struct op_info *op, enum elem type,
                                          enum numerics numerics); /* NULL: none stated */

/* Computes every output by the reference, rounded to its type, rows over threads. Inputs that an
 * output overwrites must have been kept apart by the caller: scratch copies are made here where the
 * problem runs in place. */
enum status reference_run(const struct problem *problem, int threads, struct fault *fault);

#endif
