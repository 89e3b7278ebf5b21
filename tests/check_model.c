// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_model.c   Sizes, parameters, work and memory of the presets; synthetic weights; the chunked
 * decoder against the whole-sequence definition; what synthetic clips look like. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/generate.h"
#include "model/sampler.h"
#include "model/text.h"
#include "model/transformer.h"
#include "model/vae.h"
#include "ops/op_info.h"
#include "random.h"
#include "support/mini.h"
#include "support/plain_ops.h"

static const struct model_config *preset(const char *name)
{
    for (int i = 0; model_presets[i]; i++)
        if (strcmp(model_presets[i]->name, name) == 0)
            return model_presets[i];
    fail_msg("no preset %s", name);
    return NULL;
}

/* ---- parameters, geometry, tokens ------------------------------------------------------------ */

static void parameters(void **state)
{
    (void)state;
    const struct model_config *small = preset("wan2.1-t2v-1.3b"), *large = preset("wan2.1-t2v-14b");
    assert_int_equal(transformer_parameters(small), 1418996800);
    assert_int_equal(transformer_parameters(large), INT64_C(14288491584));
    assert_int_equal(vae_decoder_parameters(&large->vae), 73295603);
    assert_int_equal(text_parameters(&large->text), INT64_C(5680910336));
    /* CLIPVisionModel of ViT-H/14: 630766080 in all, less the last layer and the norm behind it */
    assert_int_equal(image_parameters(&preset("wan2.1-i2v-14b-480p")->image), 630766080 - 19680000);
    assert_int_equal(image_parameters(&large->image), 0);
}

/* WanTransformer3DModel of the published configs; of two experts, one. */
static void transformers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t parameters;
    } row[] = {
        {"wan2.1-i2v-14b-480p", INT64_C(16394878784)},
        {"wan2.1-i2v-14b-720p", INT64_C(16394878784)},
        {"wan2.1-i2v-14b-4step", INT64_C(16394878784)},
        {"wan2.1-flf2v-14b", INT64_C(16395536704)},
        {"wan2.2-t2v-a14b", INT64_C(14288491584)},
        {"wan2.2-i2v-a14b", INT64_C(14288901184)},
        {"wan2.2-t2v-a14b-4step", INT64_C(14288491584)},
        {"wan2.2-i2v-a14b-4step", INT64_C(14288901184)},
        {"wan2.2-ti2v-5b", INT64_C(4999787712)},
        {"wan2.2-ti2v-5b-4step", INT64_C(4999787712)},
        {"wan2.1-t2v-1.3b-4step", 1418996800},
        {"wan2.1-t2v-14b-4step", INT64_C(14288491584)},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(transformer_parameters(preset(row[i].name)), row[i].parameters);
}

static void geometry(void **state)
{
    (void)state;
    const struct model_config *m = preset("tiny");
    static const struct {
        int64_t width, height, frames, pad_width, pad_height, pad_frames, T, S;
    } row[] = {
        {832, 480, 81, 832, 480, 81, 21, 32760},
        {1280, 720, 81, 1280, 720, 81, 21, 75600},
        {16, 16, 1, 16, 16, 1, 1, 1},
        {17, 16, 2, 32, 16, 5, 2, 4},
        {50, 34, 5, 64, 48, 5, 2, 24},
        {72, 128, 17, 80, 128, 17, 5, 200},
        {128, 72, 6, 128, 80, 9, 3, 120},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct geometry g;
        assert_int_equal(geometry_of(m, row[i].width, row[i].height, row[i].frames, &g, NULL),
                         ST_OK);
        assert_int_equal(g.pad_width, row[i].pad_width);
        assert_int_equal(g.pad_height, row[i].pad_height);
        assert_int_equal(g.pad_frames, row[i].pad_frames);
        assert_int_equal(g.T, row[i].T);
        assert_int_equal(g.H * 8, row[i].pad_height);
        assert_int_equal(g.W * 8, row[i].pad_width);
        assert_int_equal(g.S, row[i].S);
        assert_int_equal(g.C, 16);
    }
}

static void geometry_refused(void **state)
{
    (void)state;
    static const int64_t bad[][3] = {{15, 16, 1},
                                     {16, 15, 1},
                                     {16, 16, 0},
                                     {-64, 64, 1},
                                     {GEOMETRY_MAX_SIDE + 1, 16, 1},
                                     {16, 16, GEOMETRY_MAX_FRAMES + 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct geometry g;
        struct fault fault = {0};
        assert_int_equal(geometry_of(preset("tiny"), bad[i][0], bad[i][1], bad[i][2], &g, &fault),
                         ST_BAD_INPUT);
        assert_true(fault.text[0] != '\0');
    }
}

static void tokens(void **state)
{
    (void)state;
    int32_t ids[8];
    assert_int_equal(tokenize_bytes("", 8, ids), 1);
    assert_int_equal(ids[0], 1);
    assert_int_equal(tokenize_bytes("a\xff", 8, ids), 3);
    assert_int_equal(ids[0], 'a' + 3);
    assert_int_equal(ids[1], 258);
    assert_int_equal(ids[2], 1);
    assert_int_equal(tokenize_bytes("abcdefgh", 4, ids), 4);
    assert_int_equal(ids[2], 'c' + 3);
    assert_int_equal(ids[3], 1);
}

/* Buckets of the published encoder at the edges of its ranges. */
static void text_buckets(void **state)
{
    (void)state;
    static const int64_t edge[][2] = {{0, 0},   {1, 1},   {7, 7},   {8, 8},   {11, 8},
                                      {12, 9},  {15, 9},  {16, 10}, {22, 10}, {23, 11},
                                      {31, 11}, {32, 12}, {45, 12}, {46, 13}, {63, 13},
                                      {64, 14}, {90, 14}, {91, 15}, {500, 15}};
    for (size_t i = 0; i < sizeof edge / sizeof *edge; i++) {
        assert_int_equal(text_bucket(&mini.text, -edge[i][0]), edge[i][1]);
        assert_int_equal(text_bucket(&mini.text, edge[i][0]), edge[i][1] + 16 * (edge[i][0] > 0));
    }
}

/* ---- samplers, against figures worked out from the published formulas ------------------------ */

static void assert_near(double got, double want, double limit)
{
    if (!(fabs(got - want) <= limit))
        fail_msg("%.9g, expected %.9g", got, want);
}

static void noise_levels(void **state)
{
    (void)state;
    static const struct {
        enum scheduler scheduler;
        int64_t steps;
        double shift;
        struct {
            int64_t at;
            double sigma, time;
        } level[4];
    } row[] = {
        {SCHEDULER_UNIPC,
         4,
         3,
         {{0, .999999, 999}, {1, .90011998, 900}, {2, .75037481, 750}, {3, .50099900, 500}}},
        {SCHEDULER_UNIPC_ORIGINAL,
         4,
         3,
         {{0, .99966644, 999}, {1, .89963978, 899}, {2, .74962481, 749}, {3, .49966656, 499}}},
        {SCHEDULER_UNIPC,
         50,
         3,
         {{1, .99325009, 993}, {3, .97918837, 979}, {48, .11357587, 113}, {49, .06040539, 60}}},
        {SCHEDULER_UNIPC_ORIGINAL,
         50,
         3,
         {{0, .99966644, 999}, {1, .99290747, 992}, {48, .11100822, 111}, {49, .05763683, 57}}},
        {SCHEDULER_UNIPC,
         50,
         5,
         {{1, .99593909, 995}, {3, .98740820, 987}, {48, .17596921, 175}, {49, .09677836, 96}}},
        {SCHEDULER_EULER,
         50,
         5,
         {{0, 1, 1000},
          {1, .99587163, 995.87163},
          {48, .11481946, 114.81946},
          {49, .02441406, 24.41406}}},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        struct sampler s;
        assert_int_equal(sampler_new(row[i].scheduler, row[i].steps, row[i].shift, &s, NULL),
                         ST_OK);
        for (int k = 0; k < 4; k++) {
            assert_near(s.level[row[i].level[k].at], row[i].level[k].sigma, 6e-8);
            assert_near(s.time[row[i].level[k].at], row[i].level[k].time, 2e-5);
        }
        assert_true(s.level[s.steps] == 0.0);
        sampler_free(&s);
    }
}

/* One scalar through four steps with v = 0.3 x + sigma: corrected x, data prediction, next x. The
 * expected figures have noise levels in f64; ours are f32 values, as the published sampler's
 * are. */
static void toy_walk(enum scheduler scheduler, double walk[4][3])
{
    struct sampler s;
    double x = 1.0, last = 0.0, m1 = 0.0, m2 = 0.0;
    assert_int_equal(sampler_new(scheduler, 4, 3.0, &s, NULL), ST_OK);
    for (int i = 0; i < 4; i++) {
        struct sampler_step_problem p;
        sampler_coefficients(&s, i, &p);
        const double v = 0.3 * x + s.level[i], m = p.model[0] * x + p.model[1] * v;
        if (p.corrector)
            x = p.correct[0] * last + p.correct[1] * m1 + p.correct[2] * m2 + p.correct[3] * m;
        last = walk[i][0] = x;
        walk[i][1] = m;
        x = p.predict[0] * x + p.predict[1] * m + p.predict[2] * m1 + p.predict[3] * v;
        walk[i][2] = x;
        m2 = m1;
        m1 = m;
    }
    sampler_free(&s);
}

static void toy_example(void **state)
{
    (void)state;
    static const double want[4][3] = {{1.0, -.29999770, .87015737},
                                      {.87639808, -.17503241, .70246312},
                                      {.71647527, -.01873243, .49808055},
                                      {.50861071, .17221919, .17221919}};
    double walk[4][3];
    toy_walk(SCHEDULER_UNIPC, walk);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++)
            assert_near(walk[i][k], want[i][k], 3e-6);
    toy_walk(SCHEDULER_UNIPC_ORIGINAL, walk);
    assert_near(walk[3][2], .17352280, 3e-6);
}

static void sampler_refused(void **state)
{
    (void)state;
    struct sampler s;
    struct fault fault = {0};
    assert_int_equal(sampler_new(SCHEDULER_UNIPC, 0, 3.0, &s, &fault), ST_BAD_INPUT);
    assert_int_equal(sampler_new(SCHEDULER_EULER, 4, 0.0, &s, &fault), ST_BAD_INPUT);
    assert_int_equal(sampler_new(SCHEDULER_EULER, 4, NAN, &s, &fault), ST_BAD_INPUT);
}

/* ---- work and memory without running --------------------------------------------------------- */

struct counting_ops {
    struct ops ops; /* first, so that the hooks find the rest */
    enum stage stage;
    double flops[STAGE_COUNT];
};

#define DEFINE_COUNT(folder, op)                                                                   \
    static enum status count_##op(struct ops *ops, const struct op##_problem *problem)             \
    {                                                                                              \
        struct counting_ops *c = (struct counting_ops *)ops;                                       \
        c->flops[c->stage] += op_table[OP_##op]->flops(problem);                                   \
        return ST_OK;                                                                              \
    }
OP_LIST(DEFINE_COUNT)

static enum status count_alloc(struct ops *ops, struct tensor *t, enum elem elem, int64_t rows,
                               int64_t row_elems, const char *name)
{
    (void)ops, (void)rows, (void)name;
    *t = (struct tensor){.elem = elem, .stride = row_elems};
    return ST_OK;
}

static void count_release(struct ops *ops, struct tensor *t) { (void)ops, (void)t; }

static enum status count_weight(struct ops *ops, struct tensor *t, const struct weight_spec *spec)
{
    const bool large = spec->kind == WEIGHT_MATRIX || spec->kind == WEIGHT_EMBEDDING;
    *t = (struct tensor){.elem = large ? ops->type : ELEM_F32, .weight = 1};
    return ST_OK;
}

static enum status count_put(struct ops *ops, const struct tensor *t, const void *host,
                             int64_t rows, int64_t row_elems)
{
    (void)ops, (void)t, (void)host, (void)rows, (void)row_elems;
    return ST_OK;
}

static enum status count_get(struct ops *ops, const struct tensor *t, void *host, int64_t rows,
                             int64_t row_elems)
{
    (void)ops, (void)t, (void)host, (void)rows, (void)row_elems;
    return ST_OK;
}

static enum status count_enter(struct ops *ops, enum stage stage)
{
    ((struct counting_ops *)ops)->stage = stage;
    return ST_OK;
}

static enum status count_leave(struct ops *ops, enum stage stage)
{
    (void)ops, (void)stage;
    return ST_OK;
}

static enum status count_step(struct ops *ops, int index, int count)
{
    (void)ops;
    assert_in_range(index, 0, count - 1);
    return ST_OK;
}

/* A sink must hear nothing while counting. */
static enum status never(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    (void)user, (void)rgb, (void)first, (void)count;
    fail_msg("a sink was called while counting");
    return ST_WRONG;
}

static struct counting_ops count(const char *model, int64_t width, int64_t height, int64_t frames,
                                 double guidance)
{
    struct counting_ops c = {.ops = {.alloc = count_alloc,
                                     .release = count_release,
                                     .weight = count_weight,
                                     .put = count_put,
                                     .get = count_get,
                                     .enter = count_enter,
                                     .leave = count_leave,
                                     .step = count_step,
                                     .mode = MODE_COUNT,
                                     .type = ELEM_BF16}};
#define SET_COUNT(folder, op) c.ops.op = count_##op;
    OP_LIST(SET_COUNT)
    struct generate_request request = {.model = preset(model),
                                       .prompt = "a",
                                       .negative = "",
                                       .steps = 1,
                                       .guidance = guidance,
                                       .shift = 3.0,
                                       .sink = {.frames = never}};
    assert_int_equal(geometry_of(request.model, width, height, frames, &request.geometry, NULL),
                     ST_OK);
    assert_int_equal(generate(&c.ops, &request), ST_OK);
    return c;
}

/* Published figures count matrix products alone; what is element-wise adds well under a percent. */
static void assert_tflop(double flops, double want)
{
    if (!(flops >= 0.9995e12 * want && flops <= 1.003e12 * want))
        fail_msg("%.2f TFLOP, expected %.2f", flops / 1e12, want);
}

static void work(void **state)
{
    (void)state;
    const struct counting_ops small = count("wan2.1-t2v-1.3b", 832, 480, 81, 1.0);
    assert_tflop(small.flops[STAGE_DENOISE], 283.0);
    assert_tflop(small.flops[STAGE_DECODE], 275.35);
    const struct counting_ops large = count("wan2.1-t2v-14b", 1280, 720, 81, 1.0);
    assert_tflop(large.flops[STAGE_DENOISE], 6523.4);
    assert_tflop(large.flops[STAGE_DECODE], 639.22);
    assert_tflop(count("wan2.1-t2v-1.3b", 832, 480, 81, 5.0).flops[STAGE_DENOISE], 2 * 283.0);
    assert_tflop(count("wan2.1-t2v-1.3b", 832, 480, 1, 1.0).flops[STAGE_DECODE], 4.35);
    const struct counting_ops image = count("wan2.1-i2v-14b-720p", 1280, 720, 81, 1.0);
    assert_tflop(image.flops[STAGE_DENOISE], 6540.5);
    assert_tflop(image.flops[STAGE_ENCODE], 381.67);
    const struct counting_ops frame = count("wan2.2-ti2v-5b", 1280, 704, 121, 1.0);
    assert_tflop(frame.flops[STAGE_DENOISE], 517.0);
    assert_tflop(frame.flops[STAGE_DECODE], 2011.1);
    assert_true(frame.flops[STAGE_ENCODE] == 0.0);
}

/* Sizes that no machine could hold must still be countable. */
static void absurd_size(void **state)
{
    (void)state;
    const struct counting_ops c =
        count("tiny", GEOMETRY_MAX_SIDE, GEOMETRY_MAX_SIDE, GEOMETRY_MAX_FRAMES, 5.0);
    assert_true(c.flops[STAGE_DENOISE] > 1e15);
}

/* ---- synthetic weights ----------------------------------------------------------------------- */

static double rms(const float *x, int64_t count)
{
    double sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * x[i];
    return sqrt(sum / (double)count);
}

enum { WEIGHT_O = 64, WEIGHT_K = 1536 };

static void weight_fills(void **state)
{
    (void)state;
    static float all[WEIGHT_O * WEIGHT_K], part[100];
    const struct weight_spec spec = {.name = "blocks.0.attn1.to_q.weight",
                                     .kind = WEIGHT_MATRIX,
                                     .rank = 2,
                                     .dim = {WEIGHT_O, WEIGHT_K}};
    for (enum fill fill = FILL_NORMAL; fill <= FILL_OUTLIER; fill++) {
        weights_synthetic(3, fill, &spec, 0, WEIGHT_O * WEIGHT_K, all);
        const double gain = rms(all, WEIGHT_O * WEIGHT_K) * sqrt(WEIGHT_K);
        assert_true(gain > 0.5 && gain < 2.0);
        weights_synthetic(3, fill, &spec, 12345, 100, part);
        assert_memory_equal(part, all + 12345, sizeof part);
    }
    /* one column in about 64 is 32 times larger than the others */
    int large = 0;
    for (int k = 0; k < WEIGHT_K; k++) {
        double sum = 0.0;
        for (int o = 0; o < WEIGHT_O; o++)
            sum += fabs((double)all[o * WEIGHT_K + k]) / WEIGHT_O;
        large += sum > 8.0 * rms(all, 1) && sum > 2.0 / sqrt(WEIGHT_K);
    }
    assert_in_range(large, WEIGHT_K / 128, WEIGHT_K / 32);
}

static void weight_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum weight_kind kind;
        int gain;
        enum fill fill;
        float low, high;
    } row[] = {
        {"a.norm_q.weight", WEIGHT_GAIN, 0, FILL_NORMAL, 0.875f, 1.125f},
        {"a.norm_q.weight", WEIGHT_GAIN, 0, FILL_OUTLIER, 3.5f, 4.5f},
        {"a.norm_added_k.weight", WEIGHT_GAIN, 0, FILL_OUTLIER, 3.5f, 4.5f},
        {"a.layer_norm.weight", WEIGHT_GAIN, 1, FILL_OUTLIER, 1.75f, 2.25f},
        {"a.bias", WEIGHT_BIAS, 0, FILL_NORMAL, -0.125f, 0.125f},
        {"a.scale_shift_table", WEIGHT_TABLE, -1, FILL_OUTLIER, -0.5f, 0.5f},
        {"shared.weight", WEIGHT_EMBEDDING, 1, FILL_NORMAL, -2.0f, 2.0f},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        float values[512], low = INFINITY, high = -INFINITY;
        const struct weight_spec spec = {
            .name = row[i].name, .kind = row[i].kind, .gain = row[i].gain, .rank = 1, .dim = {512}};
        weights_synthetic(1, row[i].fill, &spec, 0, 512, values);
        for (int k = 0; k < 512; k++) {
            low = fminf(low, values[k]);
            high = fmaxf(high, values[k]);
        }
        assert_true(low >= row[i].low && high <= row[i].high);
        assert_true(high - low > 0.9f * (row[i].high - row[i].low));
    }
}

/* ---- clips ----------------------------------------------------------------------------------- */

struct look {
    int64_t values; /* per frame */
    int64_t frames;
    double least_std, most_std, most_saturated;
};

/* Standard deviation over the full range, and the share of black and white. */
static enum status see(void *user, const uint8_t *rgb, int64_t first, int64_t count)
{
    struct look *look = user;
    assert_int_equal(first, look->frames);
    for (int64_t f = 0; f < count; f++) {
        const uint8_t *frame = rgb + f * look->values;
        double sum = 0.0, squares = 0.0, saturated = 0.0;
        for (int64_t i = 0; i < look->values; i++) {
            sum += frame[i];
            squares += (double)frame[i] * frame[i];
            saturated += frame[i] == 0 || frame[i] == 255;
        }
        const double mean = sum / (double)look->values;
        const double std = sqrt(squares / (double)look->values - mean * mean) / 255.0;
        look->least_std = fmin(look->least_std, std);
        look->most_std = fmax(look->most_std, std);
        look->most_saturated = fmax(look->most_saturated, saturated / (double)look->values);
    }
    look->frames += count;
    return ST_OK;
}

static size_t run_clip(const struct model_config *model, enum fill fill, enum elem type,
                       int64_t width, int64_t height, int64_t frames, struct look *look)
{
    struct plain_ops *p =
        plain_ops_new(&(struct plain_config){.seed = 1, .fill = fill, .type = type, .threads = 2});
    struct generate_request request = {.model = model,
                                       .prompt = "a red ball",
                                       .negative = "",
                                       .steps = 2,
                                       .guidance = 5.0,
                                       .shift = 3.0,
                                       .seed = 5,
                                       .sink = {.user = look, .frames = see}};
    *look = (struct look){.values = width * height * 3, .least_std = INFINITY};
    assert_int_equal(geometry_of(model, width, height, frames, &request.geometry, NULL), ST_OK);
    const enum status status = generate(plain_ops_table(p), &request);
    if (status != ST_OK)
        fail_msg("%s", plain_ops_fault(p));
    assert_int_equal(look->frames, frames);
    const size_t peak = plain_ops_peak_bytes(p);
    plain_ops_free(p);
    return peak;
}

static void clips(void **state)
{
    (void)state;
    static const int64_t size[][3] = {{64, 48, 6}, {34, 50, 2}, {80, 32, 1}};
    for (enum fill fill = FILL_NORMAL; fill <= FILL_OUTLIER; fill++)
        for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
            struct look look;
            run_clip(preset("tiny"), fill, ELEM_F32, size[i][0], size[i][1], size[i][2], &look);
            if (!(look.least_std > 0.06 && look.most_std < 0.35 && look.most_saturated < 0.05))
                fail_msg("fill %d, %dx%d: std %.3f..%.3f, saturated %.3f", (int)fill,
                         (int)size[i][0], (int)size[i][1], look.least_std, look.most_std,
                         look.most_saturated);
        }
}

static void clip_bf16(void **state)
{
    (void)state;
    struct look look;
    run_clip(preset("tiny"), FILL_NORMAL, ELEM_BF16, 32, 32, 5, &look);
    assert_true(look.least_std > 0.06 && look.most_std < 0.35 && look.most_saturated < 0.05);
}

/* The peak is that of the last stage, the decoder: the same for any duration. */
static void decoder_memory_is_flat(void **state)
{
    (void)state;
    struct look look;
    const size_t two = run_clip(&mini, FILL_NORMAL, ELEM_F32, 32, 16, 9, &look);
    assert_int_equal(run_clip(&mini, FILL_NORMAL, ELEM_F32, 32, 16, 25, &look), two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),      cmocka_unit_test(transformers),
        cmocka_unit_test(geometry),        cmocka_unit_test(geometry_refused),
        cmocka_unit_test(tokens),          cmocka_unit_test(text_buckets),
        cmocka_unit_test(noise_levels),    cmocka_unit_test(toy_example),
        cmocka_unit_test(sampler_refused), cmocka_unit_test(work),
        cmocka_unit_test(absurd_size),     cmocka_unit_test(weight_fills),
        cmocka_unit_test(weight_kinds),    cmocka_unit_test(clips),
        cmocka_unit_test(clip_bf16),       cmocka_unit_test(decoder_memory_is_flat),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
