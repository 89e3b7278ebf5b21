// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* op_table.c   The table of ops, and shape lines, sizes and the reference for all of them. */
#include "op_info.h"

#include <errno.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/patchmark.h"
#include "elem.h"

#define OP_EXTERN(folder, op) extern const struct op_info op_info_##op;
OP_LIST(OP_EXTERN)
#undef OP_EXTERN

#define OP_ENTRY(folder, op) [OP_##op] = &op_info_##op,
const struct op_info *const op_table[OP_COUNT] = {OP_LIST(OP_ENTRY)};
#undef OP_ENTRY

/* A tensor larger than this is a slip of the keyboard, not a wish: 64 TiB. */
#define TENSOR_BYTES_MOST (INT64_C(1) << 46)
#define LINE_MOST 512

static const enum elem float_types[] = {ELEM_F32, ELEM_BF16, ELEM_F16};

/* Every member of the union starts at the same address. */
static void *body(struct problem *p) { return &p->attention; }
static const void *body_const(const struct problem *p) { return &p->attention; }

enum status op_find(const char *name, enum op_id *op, struct fault *fault)
{
    const char *names[OP_COUNT];
    char near[128];
    for (int i = 0; i < OP_COUNT; i++) {
        names[i] = op_table[i]->name;
        if (strcmp(names[i], name) == 0) {
            *op = (enum op_id)i;
            return ST_OK;
        }
    }
    nearest_names(name, names, OP_COUNT, near, sizeof near);
    return fault_set(fault, ST_BAD_INPUT, "there is no op '%s'%s", name, near);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static int tensor_count(const struct op_info *op)
{
    int n = 0;
    while (n < OP_TENSORS_MAX && op->tensor[n].name)
        n++;
    return n;
}

struct tensor *problem_tensor(struct problem *p, int index)
{
    return (struct tensor *)((char *)body(p) + op_table[p->op]->tensor[index].offset);
}

const struct tensor *problem_tensor_const(const struct problem *p, int index)
{
    return (const struct tensor *)((const char *)body_const(p) +
                                   op_table[p->op]->tensor[index].offset);
}

enum elem problem_type(const struct problem *p)
{
    const struct op_info *op = op_table[p->op];
    for (int i = 0; i < tensor_count(op); i++)
        if (!op->tensor[i].exact_type)
            return problem_tensor_const(p, i)->elem;
    return ELEM_F32;
}

static bool tensor_extent(const struct problem *p, int index, int64_t *rows, int64_t *row_elems)
{
    return tensor_given(problem_tensor_const(p, index)) &&
           op_table[p->op]->extent(body_const(p), index, rows, row_elems);
}

double problem_flops(const struct problem *p) { return op_table[p->op]->flops(body_const(p)); }

double problem_bytes(const struct problem *p)
{
    double bytes = 0;
    int64_t rows, row_elems;
    for (int i = 0; i < tensor_count(op_table[p->op]); i++)
        if (tensor_extent(p, i, &rows, &row_elems))
            bytes += (double)rows * (double)row_elems *
                     (double)elem_bytes(problem_tensor_const(p, i)->elem);
    return bytes;
}

const struct tolerance *problem_tolerance(const struct op_info *op, enum elem type,
                                          enum numerics numerics)
{
    for (const struct tolerance *t = op->tolerance; t->rel > 0 || t->abs > 0 || t->l2 > 0; t++)
        if (t->type == type && t->numerics == numerics)
            return t;
    return NULL;
}

/* ---- fields of a shape line ------------------------------------------------------------------ */

static int dim_count(const struct op_info *op)
{
    int n = 0;
    while (n < OP_DIMS_MAX && op->dim[n].name)
        n++;
    return n;
}

static int64_t dim_get(const struct problem *p, const struct op_dim *d)
{
    if (d->flag_tensor)
        return tensor_given(problem_tensor_const(p, d->flag_tensor - 1));
    if (d->type_tensor)
        return problem_tensor_const(p, d->type_tensor - 1)->elem;
    return *(const int64_t *)((const char *)body_const(p) + d->offset);
}

static void dim_set(struct problem *p, const struct op_dim *d, int64_t value)
{
    if (d->flag_tensor && !value)
        problem_tensor(p, d->flag_tensor - 1)->elem = ELEM_NONE;
    else if (d->type_tensor && value != ELEM_NONE)
        problem_tensor(p, d->type_tensor - 1)->elem = (enum elem)value;
    else if (!d->flag_tensor && !d->type_tensor)
        *(int64_t *)((char *)body(p) + d->offset) = value;
}

/* What a silent line means for this field; `previous` is the value of the field before it. */
static int64_t dim_fallback(const struct op_dim *d, int64_t previous, enum elem type)
{
    if (d->fallback == DIM_PREVIOUS)
        return previous;
    return d->type_tensor && d->fallback == ELEM_NONE ? (int64_t)type : d->fallback;
}

/* ---- parsing --------------------------------------------------------------------------------- */

struct draft {
    const struct op_info *op;
    int64_t value[OP_DIMS_MAX];
    bool given[OP_DIMS_MAX];
    enum elem type; /* ELEM_NONE until the line names it */
    struct fault *fault;
};

static enum status refuse_name(const struct draft *d, const char *name)
{
    const char *names[OP_DIMS_MAX + 1];
    char near[128];
    int count = dim_count(d->op);
    for (int i = 0; i < count; i++)
        names[i] = d->op->dim[i].name;
    names[count] = "type";
    nearest_names(name, names, count + 1, near, sizeof near);
    return fault_set(d->fault, ST_BAD_INPUT, "shape %s has no field '%s'%s; for example %s",
                     d->op->name, name, near, d->op->timing_shape);
}

static enum status parse_type(struct draft *d, const char *text)
{
    enum elem type = elem_find(text);
    bool known = d->op->other_types >> type & 1;
    for (size_t i = 0; i < sizeof float_types / sizeof float_types[0]; i++)
        known |= type == float_types[i];
    if (!known || type == ELEM_NONE)
        return fault_set(d->fault, ST_BAD_INPUT, "shape %s: type=%s must be f32, bf16 or f16%s",
                         d->op->name, text, d->op->other_types ? ", or i32 or u8 to copy" : "");
    if (d->type != ELEM_NONE)
        return fault_set(d->fault, ST_BAD_INPUT, "shape %s names type twice", d->op->name);
    d->type = type;
    return ST_OK;
}

static enum status parse_symbol(const struct draft *d, const struct op_dim *dim, const char *text,
                                int64_t *value)
{
    char list[128] = "";
    for (*value = 0; dim->symbols[*value]; ++*value) {
        if (strcmp(dim->symbols[*value], text) == 0)
            return ST_OK;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", dim->symbols[*value]);
    }
    return fault_set(d->fault, ST_BAD_INPUT, "shape %s: %s=%s must be one of %s", d->op->name,
                     dim->name, text, list);
}

static enum status parse_number(const struct draft *d, const struct op_dim *dim, const char *text,
                                int64_t *value)
{
    char *end = NULL;
    errno = 0;
    bool digits = text[0] >= '0' && text[0] <= '9'; /* strtoll would skip blanks and take a sign */
    *value = digits ? strtoll(text, &end, 10) : 0;
    if (digits && *end == '\0' && errno == 0 && *value >= dim->least && *value <= dim->most)
        return ST_OK;
    return fault_set(d->fault, ST_BAD_INPUT,
                     "shape %s: %s=%s must be a whole number from %lld to %lld", d->op->name,
                     dim->name, text, (long long)dim->least, (long long)dim->most);
}

static enum status parse_elem(const struct draft *d, const struct op_dim *dim, const char *text,
                              int64_t *value)
{
    *value = elem_find(text);
    if (*value != ELEM_NONE && elem_bytes((enum elem) * value) > 0)
        return ST_OK;
    return fault_set(d->fault, ST_BAD_INPUT, "shape %s: %s=%s is no element type; f32, for example",
                     d->op->name, dim->name, text);
}

/* One "name=value", which it cuts in two. */
static enum status parse_word(struct draft *d, char *word)
{
    char *text = strchr(word, '=');
    if (!text || text == word || !text[1])
        return fault_set(d->fault, ST_BAD_INPUT,
                         "shape %s: '%s' must read NAME=VALUE; for example %s", d->op->name, word,
                         d->op->timing_shape);
    *text++ = '\0';
    if (strcmp(word, "type") == 0)
        return parse_type(d, text);
    int i = 0, count = dim_count(d->op);
    while (i < count && strcmp(d->op->dim[i].name, word) != 0)
        i++;
    if (i == count)
        return refuse_name(d, word);
    if (d->given[i])
        return fault_set(d->fault, ST_BAD_INPUT, "shape %s names %s twice", d->op->name, word);
    d->given[i] = true;
    const struct op_dim *dim = &d->op->dim[i];
    return dim->symbols       ? parse_symbol(d, dim, text, &d->value[i])
           : dim->type_tensor ? parse_elem(d, dim, text, &d->value[i])
                              : parse_number(d, dim, text, &d->value[i]);
}

static bool has_free_type(const struct op_info *op)
{
    bool found = false;
    for (int i = 0; i < tensor_count(op); i++)
        found |= !op->tensor[i].exact_type;
    return found;
}

static enum status fill_fallbacks(struct draft *d)
{
    if (d->type == ELEM_NONE)
        d->type = ELEM_F32;
    if (d->type != ELEM_F32 && !has_free_type(d->op))
        return fault_set(d->fault, ST_BAD_INPUT, "shape %s: this op works in f32 only, not in %s",
                         d->op->name, elem_name(d->type));
    for (int i = 0; i < dim_count(d->op); i++) {
        const struct op_dim *dim = &d->op->dim[i];
        if (d->given[i])
            continue;
        if (dim->fallback == DIM_REQUIRED)
            return fault_set(d->fault, ST_BAD_INPUT, "shape %s: %s is missing; for example %s",
                             d->op->name, dim->name, d->op->timing_shape);
        d->value[i] = dim_fallback(dim, i > 0 ? d->value[i - 1] : 0, d->type);
    }
    return ST_OK;
}

/* Packed strides for what is present; what is absent is cleared. */
static enum status lay_out(struct problem *p, struct fault *fault)
{
    const struct op_info *op = op_table[p->op];
    for (int i = 0; i < tensor_count(op); i++) {
        struct tensor *t = problem_tensor(p, i);
        int64_t rows, row_elems, elems, bytes;
        if (!tensor_extent(p, i, &rows, &row_elems)) {
            *t = (struct tensor){0};
            continue;
        }
        if (__builtin_mul_overflow(rows, row_elems, &elems) ||
            __builtin_mul_overflow(elems, (int64_t)elem_bytes(t->elem), &bytes) ||
            bytes > TENSOR_BYTES_MOST)
            return fault_set(fault, ST_BAD_INPUT,
                             "shape %s: tensor %s would be larger than 64 TiB; make it smaller",
                             op->name, op->tensor[i].name);
        t->stride = row_elems;
    }
    return ST_OK;
}

static enum status build(const struct draft *d, struct problem *out)
{
    *out = (struct problem){.op = d->op->id};
    memset(body(out), 0, d->op->problem_bytes);
    for (int i = 0; i < tensor_count(d->op); i++) {
        const struct op_tensor *t = &d->op->tensor[i];
        problem_tensor(out, i)->elem = t->exact_type ? t->elem : d->type;
    }
    for (int i = 0; i < dim_count(d->op); i++)
        dim_set(out, &d->op->dim[i], d->value[i]);
    if (d->op->complete)
        d->op->complete(body(out), d->type);
    if (d->op->check)
        TRY(d->op->check(body(out), d->fault));
    return lay_out(out, d->fault);
}

enum status shape_parse(const char *line, struct problem *out, struct fault *fault)
{
    char text[LINE_MOST];
    if (strlen(line) >= sizeof text)
        return fault_set(fault, ST_BAD_INPUT, "a shape line has at most %d characters, not %zu",
                         LINE_MOST - 1, strlen(line));
    strcpy(text, line);
    char *word = strchr(text, ':');
    if (word)
        *word++ = '\0';
    enum op_id op;
    TRY(op_find(text, &op, fault));
    struct draft d = {.op = op_table[op], .fault = fault};
    while (word) {
        char *next = strchr(word, ',');
        if (next)
            *next++ = '\0';
        TRY(parse_word(&d, word));
        word = next;
    }
    TRY(fill_fallbacks(&d));
    return build(&d, out);
}

/* ---- printing -------------------------------------------------------------------------------- */

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
append(char *out, size_t bytes, const char *format, ...)
{
    size_t used = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + used, bytes - used, format, args);
    va_end(args);
}

bool problem_dim(const struct problem *p, const struct op_dim *d, int64_t previous, int64_t *value)
{
    *value = dim_get(p, d);
    return *value == dim_fallback(d, previous, problem_type(p));
}

void shape_print(const struct problem *p, char *out, size_t bytes)
{
    const struct op_info *op = op_table[p->op];
    int64_t previous = 0, value;
    char mark = ':';
    snprintf(out, bytes, "%s", op->name);
    for (int i = 0; i < dim_count(op); i++) {
        const struct op_dim *d = &op->dim[i];
        bool silent = problem_dim(p, d, previous, &value);
        previous = value;
        if (silent)
            continue;
        if (d->symbols || d->type_tensor)
            append(out, bytes, "%c%s=%s", mark, d->name,
                   d->symbols ? d->symbols[value] : elem_name((enum elem)value));
        else
            append(out, bytes, "%c%s=%lld", mark, d->name, (long long)value);
        mark = ',';
    }
    append(out, bytes, "%ctype=%s", mark, elem_name(problem_type(p)));
}

/* ---- the reference --------------------------------------------------------------------------- */

/* Bytes from a tensor's first element to the end of its last row; 0: absent. */
static size_t span_bytes(const struct problem *p, int index)
{
    int64_t rows, row_elems;
    const struct tensor *t = problem_tensor_const(p, index);
    if (!tensor_extent(p, index, &rows, &row_elems))
        return 0;
    return (size_t)((rows - 1) * t->stride + row_elems) * elem_bytes(t->elem);
}

static bool overlap(const struct problem *p, int a, int b)
{
    uintptr_t at_a = (uintptr_t)problem_tensor_const(p, a)->data;
    uintptr_t at_b = (uintptr_t)problem_tensor_const(p, b)->data;
    return at_a < at_b + span_bytes(p, b) && at_b < at_a + span_bytes(p, a);
}

static bool overwritten(const struct problem *p, int input)
{
    const struct op_info *op = op_table[p->op];
    for (int i = 0; i < tensor_count(op); i++)
        if (op->tensor[i].role == ROLE_OUT && overlap(p, i, input))
            return true;
    return false;
}

/* Points the inputs that an output overwrites at copies, kept in `copy`. */
static enum status keep_inputs(struct problem *p, void *copy[OP_TENSORS_MAX], struct fault *fault)
{
    const struct op_info *op = op_table[p->op];
    for (int i = 0; i < tensor_count(op); i++) {
        size_t bytes = span_bytes(p, i);
        if (op->tensor[i].role == ROLE_OUT || bytes == 0 || !overwritten(p, i))
            continue;
        copy[i] = malloc(bytes);
        if (!copy[i])
            return fault_set(fault, ST_NO_MEMORY,
                             "no memory for a copy of input %s of %s (%zu bytes)",
                             op->tensor[i].name, op->name, bytes);
        memcpy(copy[i], problem_tensor(p, i)->data, bytes);
    }
    for (int i = 0; i < tensor_count(op); i++)
        if (copy[i])
            problem_tensor(p, i)->data = copy[i];
    return ST_OK;
}

/* Output number `output`, which is tensor `index`. */
static enum status run_output(const struct problem *p, int output, int index, int threads)
{
    const struct op_info *op = op_table[p->op];
    const struct tensor *t = problem_tensor_const(p, index);
    int64_t rows, row_elems;
    if (!tensor_extent(p, index, &rows, &row_elems))
        return ST_OK;
    int64_t elems = op->ref_row_elems(body_const(p), index), parts = row_elems / elems;
    double *values = malloc((size_t)threads * (size_t)elems * sizeof *values);
    if (!values)
        return ST_NO_MEMORY;
#pragma omp parallel for num_threads(threads) schedule(guided)
    for (int64_t row = 0; row < rows * parts; row++) {
        double *value = values + omp_get_thread_num() * elems;
        op->ref(body_const(p), output, row, value, NULL);
        int64_t at = row / parts * t->stride + row % parts * elems;
        for (int64_t i = 0; i < elems; i++)
            elem_put(t->data, t->elem, at + i, value[i]);
    }
    free(values);
    return ST_OK;
}

enum status reference_run(const struct problem *problem, int threads, struct fault *fault)
{
    const struct op_info *op = op_table[problem->op];
    struct problem p = *problem;
    void *copy[OP_TENSORS_MAX] = {NULL};
    enum status status = keep_inputs(&p, copy, fault);
    for (int i = 0, output = 0; i < tensor_count(op) && status == ST_OK; i++)
        if (op->tensor[i].role == ROLE_OUT)
            status = run_output(&p, output++, i, threads);
    for (int i = 0; i < tensor_count(op); i++)
        free(copy[i]);
    if (status == ST_NO_MEMORY)
        fault_set(fault, status, "no memory for rows of the reference of %s", op->name);
    return status;
}
