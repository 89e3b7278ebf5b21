// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_reference.c   The reference is the truth here, so it is held against identities and against
 * numbers that a person can work out. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elem.h"
#include "ops/op_info.h"
#include "random.h"
#include "ref.h"

#define THREADS 2

/* ---- problems with memory -------------------------------------------------------------------- */

static int64_t elems_of(const struct problem *p, int index)
{
    int64_t rows, row_elems;
    if (!tensor_given(problem_tensor_const(p, index)) ||
        !op_table[p->op]->extent(&p->linear, index, &rows, &row_elems))
        return 0;
    return rows * row_elems;
}

static void fill(struct problem *p, int index, uint64_t seed)
{
    struct tensor *t = problem_tensor(p, index);
    const struct op_tensor *info = &op_table[p->op]->tensor[index];
    struct random_stream stream = random_stream_of(seed, info->name);
    if (info->fill == OPERAND_COSINE || info->fill == OPERAND_SINE)
        stream = random_stream_of(seed, "angle");
    for (int64_t i = 0; i < elems_of(p, index); i++) {
        double u = random_uniform(stream, (uint64_t)i);
        double value = info->fill == OPERAND_COSINE  ? cos(4 * u)
                       : info->fill == OPERAND_SINE  ? sin(4 * u)
                       : info->fill == OPERAND_GAIN  ? 1 + u / 8
                       : info->fill == OPERAND_TIME  ? 500 + 500 * u
                       : info->fill == OPERAND_INDEX ? floor((u + 1) / 2 * (double)p->embedding.V)
                                                     : u;
        elem_put(t->data, t->elem, i, t->elem == ELEM_U8 ? 100 * fabs(value) : value);
    }
}

/* Packed tensors, inputs random, outputs NaN. */
static struct problem problem_new(const char *line)
{
    struct problem p;
    struct fault fault = {""};
    if (shape_parse(line, &p, &fault) != ST_OK)
        fail_msg("%s: %s", line, fault.text);
    for (int i = 0; op_table[p.op]->tensor[i].name; i++) {
        struct tensor *t = problem_tensor(&p, i);
        size_t bytes = (size_t)elems_of(&p, i) * elem_bytes(t->elem);
        if (bytes == 0)
            continue;
        t->data = malloc(bytes);
        assert_non_null(t->data);
        memset(t->data, 0xff, bytes);
        if (op_table[p.op]->tensor[i].role != ROLE_OUT)
            fill(&p, i, 11);
    }
    return p;
}

static void problem_free(struct problem *p)
{
    for (int i = 0; op_table[p->op]->tensor[i].name; i++)
        free(problem_tensor(p, i)->data);
}

static void run(const struct problem *p)
{
    struct fault fault = {""};
    if (reference_run(p, THREADS, &fault) != ST_OK)
        fail_msg("%s", fault.text);
}

static void set(const struct tensor *t, int64_t count, const double *values)
{
    for (int64_t i = 0; i < count; i++)
        elem_put(t->data, t->elem, i, values[i]);
}
#define SET(TENSOR, ...)                                                                           \
    set(TENSOR, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)),                       \
        (double[]){__VA_ARGS__})

static void set_all(const struct tensor *t, int64_t count, double value)
{
    for (int64_t i = 0; i < count; i++)
        elem_put(t->data, t->elem, i, value);
}

static double at(const struct tensor *t, int64_t i) { return elem_get(t->data, t->elem, i); }

static void expect(const struct tensor *t, int64_t count, const double *values, double bound)
{
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(at(t, i) - values[i]) <= bound))
            fail_msg("value %d is %.9g, expected %.9g", (int)i, at(t, i), values[i]);
}
#define EXPECT(TENSOR, BOUND, ...)                                                                 \
    expect(TENSOR, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)),                    \
           (double[]){__VA_ARGS__}, BOUND)

/* ---- every op -------------------------------------------------------------------------------- */

static bool is_rounding_only(const struct problem *p) { return p->op == OP_to_rgb; }

/* |value| <= mag holds for any sum of |terms|; u8 frames count steps instead. */
static void check_magnitudes(const struct problem *p, int output, int index, const char *line)
{
    const struct op_info *op = op_table[p->op];
    int64_t width = op->ref_row_elems(&p->linear, index), rows = elems_of(p, index) / width;
    double *value = malloc((size_t)width * 3 * sizeof *value), *mag = value + width;
    double *alone = mag + width;
    assert_non_null(value);
    for (int64_t row = 0; row < rows; row++) {
        op->ref(&p->linear, output, row, value, mag);
        op->ref(&p->linear, output, row, alone, NULL);
        for (int64_t i = 0; i < width; i++) {
            if (!isfinite(value[i]) || value[i] != alone[i])
                fail_msg("%s: %g with magnitudes, %g without", line, value[i], alone[i]);
            if (!is_rounding_only(p) && !(fabs(value[i]) <= mag[i] * (1 + 1e-12)))
                fail_msg("%s: |%g| exceeds its magnitude %g", line, value[i], mag[i]);
        }
    }
    free(value);
}

/* The part of an f32 output that lies beyond the tolerance once it is off by the factor 1.001. */
static double share_caught(const struct problem *p, int output, int index)
{
    const struct op_info *op = op_table[p->op];
    const struct tolerance *t = problem_tolerance(op, ELEM_F32, NUM_F32);
    int64_t width = op->ref_row_elems(&p->linear, index), rows = elems_of(p, index) / width;
    double *value = malloc((size_t)width * 2 * sizeof *value), caught = 0;
    assert_non_null(value);
    for (int64_t row = 0; row < rows; row++) {
        op->ref(&p->linear, output, row, value, value + width);
        for (int64_t i = 0; i < width; i++) {
            double limit =
                (t->rel * fabs(value[i]) + t->abs * value[width + i]) * 0x1p-23 + 0x1p-126;
            caught += fabs(value[i]) * 1e-3 > limit;
        }
    }
    free(value);
    return caught / (double)(rows * width);
}

static void every_verify_shape(void **state)
{
    (void)state;
    for (int o = 0; o < OP_COUNT; o++) {
        for (const char *const *line = op_table[o]->verify_shapes; *line; line++) {
            struct problem p = problem_new(*line);
            run(&p);
            for (int i = 0, output = 0; op_table[o]->tensor[i].name; i++) {
                if (op_table[o]->tensor[i].role != ROLE_OUT)
                    continue;
                check_magnitudes(&p, output, i, *line);
                if (problem_tensor(&p, i)->elem == ELEM_F32 && !(share_caught(&p, output, i) > 0.5))
                    fail_msg("%s: a factor of 1.001 would pass", *line);
                for (int64_t e = 0; e < elems_of(&p, i); e++)
                    assert_true(isfinite(at(problem_tensor(&p, i), e)));
                output++;
            }
            problem_free(&p);
        }
    }
}

/* Largest |got - ref| over its tolerance, class f32, of the op's first output. */
static double worst_ratio(const struct problem *p, const float *got)
{
    const struct op_info *op = op_table[p->op];
    const struct tolerance *t = problem_tolerance(op, ELEM_F32, NUM_F32);
    int index = 0;
    while (op->tensor[index].role != ROLE_OUT)
        index++;
    int64_t width = op->ref_row_elems(&p->linear, index), rows = elems_of(p, index) / width;
    double *value = malloc((size_t)width * 2 * sizeof *value), worst = 0;
    assert_non_null(value);
    for (int64_t row = 0; row < rows; row++) {
        op->ref(&p->linear, 0, row, value, value + width);
        for (int64_t i = 0; i < width; i++) {
            double ref = elem_round(ELEM_F32, value[i]);
            double limit = (t->rel * fabs(ref) + t->abs * value[width + i]) * 0x1p-23 + 0x1p-126;
            worst = fmax(worst, fabs(got[row * width + i] - ref) / limit);
        }
    }
    free(value);
    return worst;
}

/* The plainest f32 kernels, one sum after the other, must have room under the tolerance. */
static void plain_f32_is_within_tolerance(void **state)
{
    (void)state;
    struct problem p = problem_new("linear:S=16,K=8960,O=64,bias=0");
    const float *x = p.linear.x.data, *w = p.linear.w.data;
    float *y = p.linear.y.data;
    for (int64_t i = 0; i < 16 * 64; i++) {
        volatile float sum = 0; /* keeps the order whatever the compiler may do */
        for (int64_t k = 0; k < 8960; k++)
            sum += x[i / 64 * 8960 + k] * w[i % 64 * 8960 + k];
        y[i] = sum;
    }
    assert_true(worst_ratio(&p, y) < 0.5);
    problem_free(&p);

    p = problem_new("rms_norm:S=64,C=5120");
    x = p.rms_norm.x.data, w = p.rms_norm.weight.data, y = p.rms_norm.y.data;
    for (int64_t s = 0; s < 64; s++) {
        volatile float sum = 0;
        for (int64_t c = 0; c < 5120; c++)
            sum += x[s * 5120 + c] * x[s * 5120 + c];
        float r = 1 / sqrtf(sum / 5120 + 1e-6f);
        for (int64_t c = 0; c < 5120; c++)
            y[s * 5120 + c] = x[s * 5120 + c] * r * w[c];
    }
    assert_true(worst_ratio(&p, y) < 0.5);
    problem_free(&p);
}

/* Output in place of its alias gives what it gives apart from it. */
static void in_place_equals_apart(void **state)
{
    (void)state;
    const char *lines[] = {"qk_norm_rope:S=9,N=3,D=8", "qk_norm_rope:S=9,N=3,D=8,norm=layer",
                           "norm_silu:S=7,C=12",       "linear:S=6,K=5,O=7,epilogue=gate,G=2",
                           "modulate:S=6,C=9",         "elementwise:S=5,C=4,kind=silu",
                           "rms_norm:S=4,C=9",         "conv3d:T=2,H=3,W=4,C=3,O=5,aux=1",
                           "sampler_step:S=5,C=4",     "ddpm_step:S=5,C=4"};
    for (size_t l = 0; l < sizeof lines / sizeof lines[0]; l++) {
        struct problem p = problem_new(lines[l]), q;
        run(&p);
        q = p;
        for (int i = 0; op_table[p.op]->tensor[i].name; i++)
            if (op_table[p.op]->tensor[i].role == ROLE_OUT)
                problem_tensor(&q, i)->data =
                    problem_tensor(&q, op_table[p.op]->tensor[i].alias)->data;
        run(&q);
        for (int i = 0; op_table[p.op]->tensor[i].name; i++)
            if (op_table[p.op]->tensor[i].role == ROLE_OUT)
                assert_memory_equal(problem_tensor(&p, i)->data, problem_tensor(&q, i)->data,
                                    (size_t)elems_of(&p, i) * sizeof(float));
        problem_free(&p);
    }
}

/* ---- attention ------------------------------------------------------------------------------- */

static void attention_weights_sum_to_one(void **state)
{
    (void)state;
    struct problem p = problem_new("attention:B=2,Sq=7,Sk=11,N=3,D=16,bias=1");
    set_all(&p.attention.v, elems_of(&p, 2), 1);
    run(&p);
    for (int64_t i = 0; i < elems_of(&p, 4); i++)
        assert_true(fabs(at(&p.attention.o, i) - 1) <= 1e-7);
    problem_free(&p);
}

static void attention_with_one_key_is_its_value(void **state)
{
    (void)state;
    struct problem p = problem_new("attention:B=2,Sq=3,Sk=1,N=2,D=5");
    run(&p);
    for (int64_t b = 0; b < 2; b++)
        for (int64_t i = 0; i < 30; i++)
            assert_true(at(&p.attention.o, b * 30 + i) == at(&p.attention.v, b * 10 + i % 10));
    problem_free(&p);
}

/* Scores 0 and ln 3 weigh 1/4 and 3/4; the bias by distance does the same. */
static void attention_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("attention:Sq=2,N=1,D=1");
    p.attention.scale = 0.5;
    SET(&p.attention.q, 2 * log(3), 0);
    SET(&p.attention.k, 0, 1);
    SET(&p.attention.v, 4, 8);
    run(&p);
    EXPECT(&p.attention.o, 1e-6, 7, 6);
    problem_free(&p);

    p = problem_new("attention:Sq=2,N=1,D=1,bias=1");
    SET(&p.attention.q, 0, 0);
    SET(&p.attention.v, 4, 8);
    SET(&p.attention.bias, log(3), 0, 0); /* key before query, same, after */
    run(&p);
    EXPECT(&p.attention.o, 1e-6, 6, 5);
    problem_free(&p);
}

static void attention_survives_large_scores(void **state)
{
    (void)state;
    struct problem p = problem_new("attention:Sq=1,Sk=2,N=1,D=1");
    SET(&p.attention.q, 1e10);
    SET(&p.attention.k, 1e10, -1e10);
    SET(&p.attention.v, 3, 5);
    run(&p);
    EXPECT(&p.attention.o, 0, 3);
    SET(&p.attention.k, INFINITY, 1);
    run(&p);
    assert_true(isnan(at(&p.attention.o, 0)));
    problem_free(&p);
}

/* ---- rotation -------------------------------------------------------------------------------- */

static void tables_of_angle(struct problem *p, double factor)
{
    for (int64_t i = 0; i < elems_of(p, 2); i++) {
        elem_put(p->qk_norm_rope.cos.data, ELEM_F32, i, cos(factor * (double)i));
        elem_put(p->qk_norm_rope.sin.data, ELEM_F32, i, sin(factor * (double)i));
    }
}

static void rotation_keeps_norms(void **state)
{
    (void)state;
    struct problem p = problem_new("qk_norm_rope:B=2,S=5,N=3,D=8,norm=none");
    run(&p);
    for (int64_t i = 0; i < elems_of(&p, 4); i += 2) {
        const struct tensor *x = &p.qk_norm_rope.x, *y = &p.qk_norm_rope.y;
        assert_true(fabs(hypot(at(x, i), at(x, i + 1)) - hypot(at(y, i), at(y, i + 1))) < 1e-6);
    }
    problem_free(&p);
}

static void rotations_compose(void **state)
{
    (void)state;
    struct problem once = problem_new("qk_norm_rope:B=2,S=5,N=3,D=8,norm=none");
    struct problem twice = problem_new("qk_norm_rope:B=2,S=5,N=3,D=8,norm=none");
    tables_of_angle(&once, 0.9);
    run(&once);
    tables_of_angle(&twice, 0.5);
    run(&twice);
    memcpy(twice.qk_norm_rope.x.data, twice.qk_norm_rope.y.data, (size_t)elems_of(&twice, 0) * 4);
    tables_of_angle(&twice, 0.4);
    run(&twice);
    for (int64_t i = 0; i < elems_of(&once, 4); i++)
        assert_true(fabs(at(&once.qk_norm_rope.y, i) - at(&twice.qk_norm_rope.y, i)) < 1e-6);
    problem_free(&once);
    problem_free(&twice);
}

/* With the angles of all heads in a row, pairs are those of one wide head, and halves are the same
 * pairs elsewhere. */
static void own_angles(void **state)
{
    (void)state;
    const int64_t S = 4, N = 3, D = 8, half = D / 2;
    struct problem wide = problem_new("qk_norm_rope:S=4,N=1,D=24,norm=none");
    struct problem pairs = problem_new("qk_norm_rope:S=4,N=3,D=8,norm=none,rope=2");
    struct problem halves = problem_new("qk_norm_rope:S=4,N=3,D=8,norm=none,rope=3");
    tables_of_angle(&wide, 0.3);
    tables_of_angle(&pairs, 0.3);
    tables_of_angle(&halves, 0.3);
    assert_int_equal(elems_of(&halves, 2), S * N * half);
    for (int64_t i = 0; i < S * N * D; i++) {
        const double value = sin(1.7 * (double)i);
        const int64_t d = i % D, first = i - d;
        elem_put(wide.qk_norm_rope.x.data, ELEM_F32, i, value);
        elem_put(pairs.qk_norm_rope.x.data, ELEM_F32, i, value);
        elem_put(halves.qk_norm_rope.x.data, ELEM_F32, first + d / 2 + d % 2 * half, value);
    }
    run(&wide);
    run(&pairs);
    run(&halves);
    for (int64_t i = 0; i < S * N * D; i++) {
        const int64_t d = i % D, first = i - d;
        assert_true(at(&wide.qk_norm_rope.y, i) == at(&pairs.qk_norm_rope.y, i));
        assert_true(at(&wide.qk_norm_rope.y, i) ==
                    at(&halves.qk_norm_rope.y, first + d / 2 + d % 2 * half));
    }
    problem_free(&wide);
    problem_free(&pairs);
    problem_free(&halves);
}

static void rotation_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("qk_norm_rope:S=1,N=1,D=2,norm=none");
    SET(&p.qk_norm_rope.x, 3, 5);
    SET(&p.qk_norm_rope.cos, 0);
    SET(&p.qk_norm_rope.sin, 1);
    run(&p);
    EXPECT(&p.qk_norm_rope.y, 0, -5, 3);
    problem_free(&p);
}

/* 1, 7, 10, 0 have the mean square 37.5 together; as two heads 25 and 50. */
static void norm_of_queries_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("qk_norm_rope:S=1,N=2,D=2,rope=0");
    p.qk_norm_rope.eps = 0;
    SET(&p.qk_norm_rope.x, 1, 7, 10, 0);
    SET(&p.qk_norm_rope.weight, 1, 1, 1, 2);
    run(&p);
    double r = 1 / sqrt(150.0 / 4);
    EXPECT(&p.qk_norm_rope.y, 1e-6, r, 7 * r, 10 * r, 0);
    problem_free(&p);

    p = problem_new("qk_norm_rope:S=1,N=2,D=2,norm=head,rope=0");
    p.qk_norm_rope.eps = 0;
    SET(&p.qk_norm_rope.x, 1, 7, 10, 0);
    SET(&p.qk_norm_rope.weight, 1, 2);
    run(&p);
    EXPECT(&p.qk_norm_rope.y, 1e-6, 0.2, 2.8, sqrt(2), 0);
    problem_free(&p);

    p = problem_new("qk_norm_rope:S=1,N=2,D=2,norm=layer,rope=0");
    p.qk_norm_rope.eps = 7;
    SET(&p.qk_norm_rope.x, 1, 7, 10, 0);
    SET(&p.qk_norm_rope.weight, 1, 2);
    SET(&p.qk_norm_rope.bias, 0, 5);
    run(&p);
    EXPECT(&p.qk_norm_rope.y, 1e-6, -0.75, 6.5, 5 / sqrt(32), 5 - 10 / sqrt(32));
    problem_free(&p);
}

/* ---- linear and small ops -------------------------------------------------------------------- */

static void linear_with_identity_is_x(void **state)
{
    (void)state;
    struct problem p = problem_new("linear:S=5,K=9,O=9,bias=0");
    set_all(&p.linear.w, 81, 0);
    for (int64_t i = 0; i < 9; i++)
        elem_put(p.linear.w.data, ELEM_F32, i * 10, 1);
    run(&p);
    assert_memory_equal(p.linear.x.data, p.linear.y.data, 45 * sizeof(float));
    problem_free(&p);
}

/* x w + b = 2 3 - 5 = 1 and 2 -1 + 1 = -1, then each epilogue. */
static void linear_epilogues_by_hand(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double y[2];
    } cases[] = {{"none", {1, -1}},
                 {"gelu", {0.8411919906082768, -0.15880800939172324}},
                 {"silu", {0.7310585786300049, -0.2689414213699951}},
                 {"add", {11, 19}},
                 {"gate", {14, 15}},
                 {"mul", {10, -20}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "linear:S=1,K=1,O=2,epilogue=%s", cases[i].name);
        struct problem p = problem_new(line);
        SET(&p.linear.x, 2);
        SET(&p.linear.w, 3, -1);
        SET(&p.linear.bias, -5, 1);
        if (tensor_given(&p.linear.aux))
            SET(&p.linear.aux, 10, 20);
        if (tensor_given(&p.linear.gate))
            SET(&p.linear.gate, 4, 5);
        run(&p);
        expect(&p.linear.y, 2, cases[i].y, 1e-6);
        problem_free(&p);
    }
}

static void gates_belong_to_groups_of_rows(void **state)
{
    (void)state;
    struct problem p = problem_new("linear:S=4,K=1,O=1,G=2,epilogue=gate,bias=0");
    SET(&p.linear.x, 1, 2, 3, 4);
    SET(&p.linear.w, 1);
    SET(&p.linear.aux, 0, 0, 0, 100);
    SET(&p.linear.gate, 10, 20);
    run(&p);
    EXPECT(&p.linear.y, 0, 10, 20, 60, 180);
    problem_free(&p);
}

/* 1, 3 has mean 2 and variance 1; 3, 4 has the root mean square sqrt(12.5). */
static void modulate_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("modulate:S=1,C=2");
    p.modulate.eps = 0;
    SET(&p.modulate.x, 1, 3);
    SET(&p.modulate.scale, 1, 2);
    SET(&p.modulate.shift, 10, 20);
    run(&p);
    EXPECT(&p.modulate.y, 1e-6, 8, 23);
    p.modulate.form = MODULATE_AFFINE;
    run(&p);
    EXPECT(&p.modulate.y, 1e-6, 9, 22);
    p.modulate.norm = MODULATE_RMS;
    SET(&p.modulate.x, 3, 4);
    run(&p);
    EXPECT(&p.modulate.y, 1e-5, 10 + 3 / sqrt(12.5), 20 + 8 / sqrt(12.5));
    problem_free(&p);
}

static void rms_norm_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("rms_norm:S=1,C=2");
    p.rms_norm.eps = 12.5;
    SET(&p.rms_norm.x, 3, 4);
    SET(&p.rms_norm.weight, 5, 10);
    run(&p);
    EXPECT(&p.rms_norm.y, 1e-6, 3, 8);
    problem_free(&p);
}

static void elementwise_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("elementwise:S=2,C=2,G=2,kind=affine");
    SET(&p.elementwise.a, 1, 2, 3, 4);
    SET(&p.elementwise.b, 1, 2, 3, 4);
    SET(&p.elementwise.c, 10, 20, 30, 40);
    run(&p);
    EXPECT(&p.elementwise.y, 0, 11, 24, 39, 56);
    p.elementwise.kind = ELEMENTWISE_ADD;
    p.elementwise.G = 1;
    run(&p);
    EXPECT(&p.elementwise.y, 0, 2, 4, 4, 6);
    p.elementwise.kind = ELEMENTWISE_SILU;
    run(&p);
    EXPECT(&p.elementwise.y, 1e-6, 0.7310585786300049, 1.7615941559557649, 2.8577223804673,
           3.9280551601516338);
    problem_free(&p);
}

static void time_embed_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("time_embed:S=2,C=4");
    SET(&p.time_embed.t, 0, 250);
    run(&p);
    EXPECT(&p.time_embed.y, 1e-7, 1, 1, 0, 0, cos(250.0), cos(2.5), sin(250.0), sin(2.5));
    p.time_embed.drop = 1; /* the last frequency is then 1/10000 exactly */
    run(&p);
    EXPECT(&p.time_embed.y, 1e-7, 1, 1, 0, 0, cos(250.0), cos(0.025), sin(250.0), sin(0.025));
    problem_free(&p);
}

static void embedding_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("embedding:S=3,V=3,C=2");
    SET(&p.embedding.table, 1, 2, 3, 4, 5, 6);
    SET(&p.embedding.ids, 2, 0, 2);
    run(&p);
    EXPECT(&p.embedding.y, 0, 5, 6, 1, 2, 5, 6);
    problem_free(&p);
}

/* ---- sampler --------------------------------------------------------------------------------- */

static void euler_step(void **state)
{
    (void)state;
    struct problem p = problem_new("sampler_step:S=1,C=2,corrector=0,m1=0,m2=0");
    memcpy(p.sampler_step.model, (double[]){1, -0.5}, sizeof p.sampler_step.model);
    memcpy(p.sampler_step.predict, (double[]){1, 0, 0, -0.25}, sizeof p.sampler_step.predict);
    p.sampler_step.guidance = 3;
    SET(&p.sampler_step.x, 10, 20);
    SET(&p.sampler_step.cond, 2, 4);
    SET(&p.sampler_step.uncond, 1, 8);
    run(&p); /* v = 4, -4 */
    EXPECT(&p.sampler_step.m, 0, 8, 22);
    EXPECT(&p.sampler_step.corrected, 0, 10, 20);
    EXPECT(&p.sampler_step.next, 0, 9, 21);
    problem_free(&p);
}

static void corrected_step(void **state)
{
    (void)state;
    struct problem p = problem_new("sampler_step:S=1,C=1,uncond=0");
    memcpy(p.sampler_step.model, (double[]){1, -2}, sizeof p.sampler_step.model);
    memcpy(p.sampler_step.correct, (double[]){2, 3, 5, 7}, sizeof p.sampler_step.correct);
    memcpy(p.sampler_step.predict, (double[]){1, 10, 100, 1000}, sizeof p.sampler_step.predict);
    SET(&p.sampler_step.x, 9);
    SET(&p.sampler_step.cond, 4);
    SET(&p.sampler_step.last, 1);
    SET(&p.sampler_step.m1, 2);
    SET(&p.sampler_step.m2, 3);
    run(&p); /* m = 9 - 8 = 1, corrected = 2 + 6 + 15 + 7 = 30 */
    EXPECT(&p.sampler_step.m, 0, 1);
    EXPECT(&p.sampler_step.corrected, 0, 30);
    EXPECT(&p.sampler_step.next, 0, 30 + 10 + 200 + 4000);
    problem_free(&p);
}

static void partly_guided_step(void **state)
{
    (void)state;
    struct problem p = problem_new("sampler_step:S=1,C=2,corrector=0,m1=0,m2=0,guided=1");
    memcpy(p.sampler_step.model, (double[]){0, 1}, sizeof p.sampler_step.model);
    p.sampler_step.guidance = 3;
    SET(&p.sampler_step.cond, 2, 4);
    SET(&p.sampler_step.uncond, 1, 8);
    run(&p);
    EXPECT(&p.sampler_step.m, 0, 4, 4);
    problem_free(&p);
}

/* Rows of cond and uncond: two predictions, then two shares of the variance's range. */
static void learned_variance_step(void **state)
{
    (void)state;
    struct problem p = problem_new("ddpm_step:S=1,C=2,guided=1");
    memcpy(p.ddpm_step.mean, (double[]){2, -1}, sizeof p.ddpm_step.mean);
    memcpy(p.ddpm_step.log_variance, (double[]){log(4), log(16)}, sizeof p.ddpm_step.log_variance);
    p.ddpm_step.guidance = 3;
    SET(&p.ddpm_step.x, 10, 20);
    SET(&p.ddpm_step.cond, 2, 4, -1, 0);
    SET(&p.ddpm_step.uncond, 1, 8, 9, 9);
    SET(&p.ddpm_step.noise, 1, -0.5);
    run(&p); /* v = 4, 4; variances 4 and 8, halfway between 4 and 16 by logarithm */
    EXPECT(&p.ddpm_step.next, 4e-6, 20 - 4 + 2, 40 - 4 - 0.5 * sqrt(8));
    problem_free(&p);
}

/* ---- patches and frames ---------------------------------------------------------------------- */

static void patches_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("patchify:T=1,H=2,W=4,C=2");
    for (int64_t i = 0; i < 16; i++) /* ten times the pixel, plus the channel */
        elem_put(p.patchify.x.data, ELEM_F32, i, (double)(i / 2 * 10 + i % 2));
    run(&p);
    EXPECT(&p.patchify.y, 0, 0, 10, 40, 50, 1, 11, 41, 51, 20, 30, 60, 70, 21, 31, 61, 71);
    problem_free(&p);

    p = problem_new("unpatchify:T=1,H=2,W=4,C=2");
    for (int64_t i = 0; i < 16; i++)
        elem_put(p.unpatchify.x.data, ELEM_F32, i, (double)i);
    run(&p);
    EXPECT(&p.unpatchify.y, 0, 0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15);
    problem_free(&p);
}

/* With the channel slowest in a patch, as patchify has it, they undo each other. */
static void patches_of_many_channels_return(void **state)
{
    (void)state;
    struct problem p = problem_new("patchify:B=2,T=4,H=6,W=8,C=5,pt=2,ph=3");
    struct problem q = problem_new("unpatchify:B=2,T=4,H=6,W=8,C=5,pt=2,ph=3,channel=slowest");
    run(&p);
    memcpy(q.unpatchify.x.data, p.patchify.y.data, (size_t)elems_of(&p, 1) * sizeof(float));
    run(&q);
    assert_memory_equal(p.patchify.x.data, q.unpatchify.y.data,
                        (size_t)elems_of(&p, 0) * sizeof(float));
    problem_free(&p);
    problem_free(&q);
}

/* With one channel the two orders inside a patch are the same, so they undo each other. */
static void patches_of_one_channel_return(void **state)
{
    (void)state;
    struct problem p = problem_new("patchify:B=2,T=4,H=6,W=8,C=1,pt=2,ph=3");
    struct problem q = problem_new("unpatchify:B=2,T=4,H=6,W=8,C=1,pt=2,ph=3");
    run(&p);
    memcpy(q.unpatchify.x.data, p.patchify.y.data, (size_t)elems_of(&p, 1) * sizeof(float));
    run(&q);
    assert_memory_equal(p.patchify.x.data, q.unpatchify.y.data,
                        (size_t)elems_of(&p, 0) * sizeof(float));
    problem_free(&p);
    problem_free(&q);
}

static void upsample_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("upsample:T=1,H=1,W=2,C=1,ft=2");
    SET(&p.upsample.x, 1, 2, 3, 4); /* pixel 0: frames 1 and 2; pixel 1: 3 and 4 */
    run(&p);
    EXPECT(&p.upsample.y, 0, 1, 1, 3, 3, 1, 1, 3, 3, 2, 2, 4, 4, 2, 2, 4, 4);
    problem_free(&p);
}

/* Two frames of 2x2 pixels with 2 channels: the value is 100 frame + 10 pixel + channel. */
static void set_cells(struct tensor *x)
{
    for (int64_t i = 0; i < 16; i++)
        elem_put(x->data, ELEM_F32, i, (double)(i / 8 * 100 + i / 2 % 4 * 10 + i % 2));
}

static void average_down_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("average_down:T=2,H=2,W=2,C=2,O=4,ft=2");
    set_cells(&p.average_down.x);
    run(&p); /* a channel's four pixels of one frame */
    EXPECT(&p.average_down.y, 0, 15, 115, 16, 116);
    problem_free(&p);
    p = problem_new("average_down:T=2,H=2,W=2,C=2,O=8,order=columns");
    set_cells(&p.average_down.x);
    run(&p); /* nothing averaged: pixels 0, 2, 1, 3 of each channel */
    EXPECT(&p.average_down.y, 0, 0, 20, 10, 30, 1, 21, 11, 31, 100, 120, 110, 130);
    problem_free(&p);
    p = problem_new("average_down:T=1,H=2,W=2,C=1,O=2,ft=2,lead=1,aux=1");
    SET(&p.average_down.x, 1, 2, 3, 6);
    SET(&p.average_down.aux, 50, 60);
    run(&p);
    EXPECT(&p.average_down.y, 0, 50, 63);
    problem_free(&p);
}

static void duplicate_up_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("duplicate_up:T=1,H=1,W=2,C=2,O=1,skip=0,aux=1");
    SET(&p.duplicate_up.x, 1, 2, 3, 4);
    SET(&p.duplicate_up.aux, 10, 20, 30, 40, 50, 60, 70, 80);
    run(&p); /* a line per channel */
    EXPECT(&p.duplicate_up.y, 0, 11, 21, 33, 43, 52, 62, 74, 84);
    problem_free(&p);
    p = problem_new("duplicate_up:T=1,H=1,W=1,C=4,O=1,order=columns");
    SET(&p.duplicate_up.x, 1, 2, 3, 4);
    run(&p);
    EXPECT(&p.duplicate_up.y, 0, 1, 3, 2, 4);
    problem_free(&p);
    p = problem_new("duplicate_up:T=2,H=1,W=1,C=2,O=1,ft=2,fs=1,skip=1");
    SET(&p.duplicate_up.x, 1, 2, 3, 4);
    run(&p);
    EXPECT(&p.duplicate_up.y, 0, 2, 3, 4);
    problem_free(&p);
}

static void folding_returns(void **state)
{
    (void)state;
    struct problem p = problem_new("average_down:T=4,H=6,W=8,C=3,O=24,ft=2,order=columns");
    struct problem q = problem_new("duplicate_up:T=2,H=3,W=4,C=24,O=3,ft=2,order=columns");
    run(&p);
    memcpy(q.duplicate_up.x.data, p.average_down.y.data, (size_t)elems_of(&p, 0) * sizeof(float));
    run(&q);
    assert_memory_equal(p.average_down.x.data, q.duplicate_up.y.data,
                        (size_t)elems_of(&p, 0) * sizeof(float));
    problem_free(&p);
    problem_free(&q);
}

static void to_rgb_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("to_rgb:T=1,H=3,W=2,Ho=3,Wo=1");
    SET(&p.to_rgb.x, -1, 1, 0, 9, 9, 9, -7, NAN, INFINITY, 9, 9, 9, -0.003, 0.001, 7, 9, 9, 9);
    run(&p); /* 127.5 goes to the even 128 */
    EXPECT(&p.to_rgb.y, 0, 0, 255, 128, 0, 0, 255, 127, 128, 255);
    problem_free(&p);
    p = problem_new("to_rgb:T=1,H=1,W=1,Ho=1,Wo=1,out=f32");
    SET(&p.to_rgb.x, -0.5, NAN, 4);
    run(&p);
    assert_true(at(&p.to_rgb.y, 0) == 0.25 && isnan(at(&p.to_rgb.y, 1)) && at(&p.to_rgb.y, 2) == 1);
    problem_free(&p);
}

/* ---- convolution ----------------------------------------------------------------------------- */

#define FLAT "pad_top=0,pad_left=0,pad_bottom=0,pad_right=0"

static void convolution_in_space_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("conv3d:T=1,H=2,W=2,C=1,O=1,kt=1,lead=0,aux=1");
    SET(&p.conv3d.x, 1, 2, 3, 4);
    SET(&p.conv3d.w, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    SET(&p.conv3d.bias, 0.5);
    SET(&p.conv3d.aux, 1000, 2000, 3000, 4000);
    run(&p);
    EXPECT(&p.conv3d.y, 0, 1077.5, 2067.5, 3047.5, 4037.5);
    problem_free(&p);
}

/* Stride 2 with padding below and to the right only, as the encoder's downsampling. */
static void convolution_stride_and_padding(void **state)
{
    (void)state;
    struct problem p =
        problem_new("conv3d:T=1,H=4,W=4,C=1,O=1,kt=1,sh=2,sw=2,lead=0,pad_top=0,pad_left=0,bias=0");
    for (int64_t i = 0; i < 16; i++)
        elem_put(p.conv3d.x.data, ELEM_F32, i, (double)(i + 1));
    SET(&p.conv3d.w, 1, 0, 0, 0, 0, 0, 0, 0, 100);
    run(&p);
    EXPECT(&p.conv3d.y, 0, 1 + 100 * 11, 3, 9, 11);
    problem_free(&p);
}

static void convolution_in_time_by_hand(void **state)
{
    (void)state;
    struct problem p =
        problem_new("conv3d:T=4,H=1,W=1,C=1,O=1,kh=1,kw=1,st=2,lead=1,P=1,bias=0," FLAT);
    SET(&p.conv3d.past, 5);
    SET(&p.conv3d.x, 1, 2, 3, 4);
    SET(&p.conv3d.w, 1, 10, 100);
    run(&p);
    EXPECT(&p.conv3d.y, 0, 215, 432);
    problem_free(&p);

    p = problem_new("conv3d:T=2,H=1,W=1,C=1,O=1,kh=1,kw=1,P=1,bias=0," FLAT);
    SET(&p.conv3d.past, 5);
    SET(&p.conv3d.x, 1, 2);
    SET(&p.conv3d.w, 1, 10, 100);
    run(&p); /* one frame of zeros in front of the past one */
    EXPECT(&p.conv3d.y, 0, 150, 215);
    problem_free(&p);
}

static void convolution_channels_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("conv3d:T=1,H=1,W=1,C=2,O=3,kt=1,kh=1,kw=1,lead=0," FLAT);
    SET(&p.conv3d.x, 3, 5);
    SET(&p.conv3d.w, 1, 10, 2, 20, 3, 30);
    SET(&p.conv3d.bias, 100, 200, 300);
    run(&p);
    EXPECT(&p.conv3d.y, 0, 153, 306, 459);
    problem_free(&p);
}

/* A whole sequence equals the same in chunks of 1, 1 and 3 frames, those before as past. */
static void convolution_in_chunks(void **state)
{
    (void)state;
    const char *chunks[] = {"conv3d:T=1,H=3,W=4,C=3,O=2,P=0", "conv3d:T=1,H=3,W=4,C=3,O=2,P=1",
                            "conv3d:T=3,H=3,W=4,C=3,O=2,P=2"};
    const int64_t start[] = {0, 1, 2};
    struct problem whole = problem_new("conv3d:T=5,H=3,W=4,C=3,O=2");
    const float *x = whole.conv3d.x.data, *y = whole.conv3d.y.data;
    run(&whole);
    for (int i = 0; i < 3; i++) {
        struct problem p = problem_new(chunks[i]);
        size_t frame = 12 * 3, past = (size_t)p.conv3d.P;
        memcpy(p.conv3d.w.data, whole.conv3d.w.data, 162 * sizeof(float));
        memcpy(p.conv3d.bias.data, whole.conv3d.bias.data, 2 * sizeof(float));
        memcpy(p.conv3d.x.data, x + frame * (size_t)start[i],
               frame * (size_t)p.conv3d.T * sizeof(float));
        if (past)
            memcpy(p.conv3d.past.data, x + frame * ((size_t)start[i] - past),
                   frame * past * sizeof(float));
        run(&p);
        assert_memory_equal(p.conv3d.y.data, y + 24 * start[i],
                            24 * (size_t)p.conv3d.T * sizeof(float));
        problem_free(&p);
    }
    problem_free(&whole);
}

/* More channels than one gathering step holds; each holds its own number. */
static void convolution_counts_all_channels(void **state)
{
    (void)state;
    struct problem p = problem_new("conv3d:T=3,H=3,W=3,C=200,O=2,bias=0");
    for (int64_t i = 0; i < elems_of(&p, 0); i++)
        elem_put(p.conv3d.x.data, ELEM_F32, i, (double)(i % 200));
    set_all(&p.conv3d.w, elems_of(&p, 2), 1);
    run(&p);
    assert_true(at(&p.conv3d.y, (2 * 9 + 4) * 2 + 1) == 19900 * 27); /* middle of the last frame */
    assert_true(at(&p.conv3d.y, 0) == 19900 * 4);                    /* a corner of the first */
    problem_free(&p);
}

static void norm_silu_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("norm_silu:S=2,C=2,silu=0");
    SET(&p.norm_silu.x, 3, -4, 0, 0);
    SET(&p.norm_silu.gamma, 5, 10);
    run(&p);
    EXPECT(&p.norm_silu.y, 1e-5, 3 * sqrt(2), -8 * sqrt(2), 0, 0);
    p.norm_silu.silu = 1;
    SET(&p.norm_silu.gamma, 5 / (3 * sqrt(2)), 5 / (4 * sqrt(2)));
    run(&p);
    EXPECT(&p.norm_silu.y, 1e-6, 0.7310585786300049, -0.2689414213699951, 0, 0);
    SET(&p.norm_silu.x, NAN, 1, 1, 1);
    run(&p);
    assert_true(isnan(at(&p.norm_silu.y, 0)) && isnan(at(&p.norm_silu.y, 1)));
    assert_true(isfinite(at(&p.norm_silu.y, 2)));
    problem_free(&p);
}

/* ---- composites ------------------------------------------------------------------------------ */

/* struct ops that sends each op to its reference. */
#define OPS_FUNCTION(folder, op_name)                                                              \
    static enum status call_##op_name(struct ops *ops, const struct op_name##_problem *problem)    \
    {                                                                                              \
        struct problem p = {.op = OP_##op_name};                                                   \
        memcpy(&p.linear, problem, sizeof *problem);                                               \
        return reference_run(&p, THREADS, ops->fault);                                             \
    }
OP_LIST(OPS_FUNCTION)

static int live_allocations;

static enum status call_alloc(struct ops *ops, struct tensor *t, enum elem elem, int64_t rows,
                              int64_t row_elems, const char *name)
{
    (void)ops;
    assert_non_null(name);
    *t = (struct tensor){.data = malloc((size_t)(rows * row_elems) * elem_bytes(elem)),
                         .stride = row_elems,
                         .elem = elem};
    live_allocations++;
    return t->data ? ST_OK : ST_NO_MEMORY;
}

static void call_release(struct ops *ops, struct tensor *t)
{
    (void)ops;
    free(t->data);
    *t = (struct tensor){0};
    live_allocations--;
}

/* Largest difference between the expansion's outputs and the composite's reference. */
static double expansion_error(const char *line)
{
#define OPS_POINTER(folder, op_name) .op_name = call_##op_name,
    struct fault fault = {""};
    struct ops ops = {OP_LIST(OPS_POINTER).alloc = call_alloc, .release = call_release,
                      .fault = &fault, .mode = MODE_EXECUTE, .type = ELEM_F32};
    struct problem whole = problem_new(line), parts = problem_new(line);
    double worst = 0;
    run(&whole);
    assert_int_equal(op_table[parts.op]->expand(&ops, &parts.linear), ST_OK);
    for (int i = 0; op_table[parts.op]->tensor[i].name; i++) {
        if (op_table[parts.op]->tensor[i].role != ROLE_OUT)
            continue;
        for (int64_t e = 0; e < elems_of(&parts, i); e++)
            worst = fmax(worst,
                         fabs(at(problem_tensor(&whole, i), e) - at(problem_tensor(&parts, i), e)));
    }
    problem_free(&whole);
    problem_free(&parts);
    assert_int_equal(live_allocations, 0);
    return worst;
}

static void qkv_by_hand(void **state)
{
    (void)state;
    struct problem p = problem_new("qkv:S=1,C=1,N=1,D=2");
    p.qkv.eps = 0;
    SET(&p.qkv.x, 1);
    SET(&p.qkv.wq, 1, 2);
    SET(&p.qkv.bq, 2, 2);
    SET(&p.qkv.nq, 1, 2);
    SET(&p.qkv.wk, 6, 8);
    SET(&p.qkv.bk, 0, 0);
    SET(&p.qkv.nk, 5, 10);
    SET(&p.qkv.wv, 1, 2);
    SET(&p.qkv.bv, 10, 20);
    SET(&p.qkv.cos, 0);
    SET(&p.qkv.sin, 1);
    run(&p);
    EXPECT(&p.qkv.q, 1e-6, -8 / sqrt(12.5), 3 / sqrt(12.5));
    EXPECT(&p.qkv.k, 1e-5, -80 / sqrt(50), 30 / sqrt(50));
    EXPECT(&p.qkv.v, 0, 11, 22);
    problem_free(&p);
}

static void composites_equal_their_parts(void **state)
{
    (void)state;
    assert_true(expansion_error("qkv:B=2,S=4,C=9,N=3,D=6") < 1e-5);
    assert_true(expansion_error("qkv:S=4,C=9,N=3,D=6,norm=head") < 1e-5);
    assert_true(expansion_error("qkv:S=4,C=9,N=3,D=5,norm=none,rope=0") == 0);
    assert_true(expansion_error("qkv:B=2,S=4,C=9,N=3,D=6,norm=layer") < 1e-5);
    assert_true(expansion_error("qkv:S=4,C=16,N=2,D=8,type=bf16") < 0.05);
    assert_true(expansion_error("norm_conv3d:T=2,H=3,W=4,C=5,O=6,P=2") < 1e-5);
    assert_true(expansion_error("norm_conv3d:T=2,H=3,W=4,C=5,O=6,aux=1") < 1e-5);
    assert_true(expansion_error("norm_conv3d:T=1,H=2,W=2,C=200,O=2") < 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verify_shape),
        cmocka_unit_test(plain_f32_is_within_tolerance),
        cmocka_unit_test(in_place_equals_apart),
        cmocka_unit_test(attention_weights_sum_to_one),
        cmocka_unit_test(attention_with_one_key_is_its_value),
        cmocka_unit_test(attention_by_hand),
        cmocka_unit_test(attention_survives_large_scores),
        cmocka_unit_test(rotation_keeps_norms),
        cmocka_unit_test(rotations_compose),
        cmocka_unit_test(own_angles),
        cmocka_unit_test(rotation_by_hand),
        cmocka_unit_test(norm_of_queries_by_hand),
        cmocka_unit_test(linear_with_identity_is_x),
        cmocka_unit_test(linear_epilogues_by_hand),
        cmocka_unit_test(gates_belong_to_groups_of_rows),
        cmocka_unit_test(modulate_by_hand),
        cmocka_unit_test(rms_norm_by_hand),
        cmocka_unit_test(elementwise_by_hand),
        cmocka_unit_test(time_embed_by_hand),
        cmocka_unit_test(embedding_by_hand),
        cmocka_unit_test(euler_step),
        cmocka_unit_test(corrected_step),
        cmocka_unit_test(partly_guided_step),
        cmocka_unit_test(learned_variance_step),
        cmocka_unit_test(patches_by_hand),
        cmocka_unit_test(patches_of_many_channels_return),
        cmocka_unit_test(patches_of_one_channel_return),
        cmocka_unit_test(upsample_by_hand),
        cmocka_unit_test(average_down_by_hand),
        cmocka_unit_test(duplicate_up_by_hand),
        cmocka_unit_test(folding_returns),
        cmocka_unit_test(to_rgb_by_hand),
        cmocka_unit_test(convolution_in_space_by_hand),
        cmocka_unit_test(convolution_stride_and_padding),
        cmocka_unit_test(convolution_in_time_by_hand),
        cmocka_unit_test(convolution_channels_by_hand),
        cmocka_unit_test(convolution_in_chunks),
        cmocka_unit_test(convolution_counts_all_channels),
        cmocka_unit_test(norm_silu_by_hand),
        cmocka_unit_test(qkv_by_hand),
        cmocka_unit_test(composites_equal_their_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
