// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_open_sora.c   Figures by formula: parameters against the release's own classes, work against
 * the closed formulas of the blocks; and that such a model is refused wherever it would run. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "engine/case.h"
#include "model/denoiser.h"

static struct denoiser_figures figures_of(const char *name)
{
    struct denoiser_figures figures;
    const struct model_config *model = case_model(name, NULL);
    assert_non_null(model);
    denoiser_families[model->family]->figures(model, &figures);
    assert_int_equal(figures.parameters, transformer_parameters(model));
    return figures;
}

/* STDiT3Config(depth=28, hidden_size=1152, num_heads=16, qk_norm=True) of release 1.2 and
 * configs/diffusion/inference/256px.py of release 2.0, their parameters summed up on the meta
 * device; without the fixed frequencies of 1.2's rotation. */
static void parameters(void **state)
{
    (void)state;
    assert_int_equal(figures_of("open-sora-1.2").parameters, 1207643936);
    assert_int_equal(figures_of("open-sora-2.0").parameters, INT64_C(11891390528));
}

/* 51 frames are three chunks of five latent frames; 129 are 1 + 32. */
static void tokens(void **state)
{
    (void)state;
    assert_int_equal(figures_of("open-sora-1.2").tokens, 15 * 45 * 80);
    assert_int_equal(figures_of("open-sora-2.0").tokens, 33 * 36 * 64);
}

static void expect_near(double got, double want)
{
    assert_true(got >= want && got <= 1.001 * want);
}

/* The blocks are nearly all of a forward. */
static void work(void **state)
{
    (void)state;
    double D = 1152, F = 4 * D, M = 300, T = 15, s = 3600, S = T * s;
    double both = 8 * S * D * D + 4 * (S + M) * D * D + 4 * S * M * D + 4 * S * D * F;
    expect_near(figures_of("open-sora-1.2").forward_flops,
                28 * (2 * both + 4 * T * s * s * D + 4 * s * T * T * D));
    D = 3072, F = 4 * D, S = 33 * 36 * 64 + 512;
    double dual = 8 * S * D * D + 4 * S * S * D + 4 * S * D * F;
    double single = 2 * S * D * (3 * D + F) + 4 * S * S * D + 2 * S * (D + F) * D;
    expect_near(figures_of("open-sora-2.0").forward_flops, 19 * dual + 38 * single);
}

static void running_is_refused(void **state)
{
    (void)state;
    struct case_spec spec = CASE_DEFAULTS;
    struct pipeline_case c;
    struct fault fault = {""};
    struct ops ops = {.fault = &fault};
    struct denoiser d;
    spec.model = "open-sora-2.0";
    assert_int_equal(case_resolve(&spec, &c, &fault), ST_OK); /* in a list it costs one row */
    assert_int_equal(case_ready(&c, &fault), ST_NOT_BUILT);
    assert_non_null(strstr(fault.text, "open-sora-2.0 is known here by its parameters"));
    fault.text[0] = 0;
    assert_int_equal(denoiser_load(&ops, case_model(spec.model, NULL), &d), ST_NOT_BUILT);
    assert_non_null(strstr(fault.text, "cannot run"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),
        cmocka_unit_test(tokens),
        cmocka_unit_test(work),
        cmocka_unit_test(running_is_refused),
    };
    return cmocka_run_group_tests_name("open-sora", tests, NULL, NULL);
}
