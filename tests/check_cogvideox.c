// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_cogvideox.c   The CogVideoX transformer in its three forms against the published class
 * (tests/golden/make_cogvideox.py); sizes and work of the presets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "model/cogvideox.h"
#include "support/golden.h"
#include "support/mini.h"

/* ---- transformer ----------------------------------------------------------------------------- */

enum { Z = 16, ROWS = 7, TEXT_DIM = 24, FRAMES_MAX = 4, CELLS_MAX = FRAMES_MAX * 6 * 10 };

/* The same geometries as in tests/golden/make_cogvideox.py. */
static struct model_config small_model(const struct cogvideox_config *own, int64_t pt)
{
    return (struct model_config){
        .name = "small",
        .family = FAMILY_COGVIDEOX,
        .text = {.C = TEXT_DIM, .rows = ROWS},
        .transformer = {.in_channels = Z,
                        .out_channels = Z,
                        .pt = pt,
                        .ph = 2,
                        .pw = 2,
                        .layers = 2,
                        .N = 3,
                        .D = 16,
                        .F = 4 * 48,
                        .text_dim = TEXT_DIM,
                        .eps = 1e-5},
        .vae = {.z_dim = Z, .scale_time = 4, .scale_space = 8},
        .cogvideox = own,
    };
}

struct grid {
    int64_t T, H, W;
};

/* Two forwards, the second at the golden's time: what the first leaves behind must not show. */
static void forward(const struct model_config *model, struct grid g, const float *cells,
                    const float *text, float *prediction)
{
    struct plain_ops *p = golden_ops(FILL_NORMAL);
    struct ops *ops = plain_ops_table(p);
    const struct denoiser_prompt prompt = {.text = text, .rows = ROWS, .real = ROWS};
    const double time[2] = {999.0, 937.0};
    const int64_t count = g.T * g.H * g.W;
    struct denoiser d;
    void *condition;
    struct tensor x, y;
    golden_check(p, ops->enter(ops, STAGE_DENOISE));
    golden_check(p, denoiser_load(ops, model, &d));
    golden_check(p, d.family->begin(d.network, g.T, g.H, g.W, 8.0));
    golden_check(p, denoiser_condition_new(&d, ops, &prompt, &condition));
    golden_check(p, ops->alloc(ops, &x, ELEM_F32, count, Z, "x"));
    golden_check(p, ops->alloc(ops, &y, ELEM_F32, count, Z, "y"));
    golden_check(p, ops->put(ops, &x, cells, count, Z));
    for (int i = 0; i < 2; i++) {
        golden_check(p, d.family->set_time(d.network, &time[i], 1));
        golden_check(p, d.family->forward(d.network, condition, x, y));
    }
    golden_check(p, ops->get(ops, &y, prediction, count, Z));
    golden_check(p, ops->leave(ops, STAGE_DENOISE));
    denoiser_condition_free(&d, condition);
    denoiser_free(&d);
    plain_ops_free(p);
}

static void check_form(const char *name, const struct cogvideox_config *own, int64_t pt,
                       struct grid g)
{
    struct safetensors *file = golden_open("cogvideox");
    const struct model_config model = small_model(own, pt);
    const int64_t cells = g.T * g.H * g.W;
    float *latents = mini_uniform("cogvideox.latents", Z * cells, 2.0f);
    float *packed = golden_transposed(latents, Z, cells);
    float *text = mini_uniform("cogvideox.text", ROWS * TEXT_DIM, 1.0f);
    float prediction[CELLS_MAX * Z];
    forward(&model, g, packed, text, prediction);
    float *got = golden_transposed(prediction, cells, Z);
    float *want = golden_values(file, name, Z * cells);
    golden_close(name, got, want, Z * cells, 1e-5);
    free(want), free(got), free(text), free(packed), free(latents);
    safetensors_free(file);
}

static void sines(void **state)
{
    (void)state;
    const struct cogvideox_config own = {.time_dim = 32, .interval = 1.875};
    check_form("sines", &own, 1, (struct grid){3, 6, 10});
}

/* 3 by 4 tokens in 5 by 9: as high, centred in the width. */
static void rotation_fitted(void **state)
{
    (void)state;
    const struct cogvideox_config own = {
        .time_dim = 32, .position = COGVIDEOX_FITTED, .trained_height = 10, .trained_width = 18};
    check_form("fitted", &own, 1, (struct grid){3, 6, 8});
}

static void patches_over_time(void **state)
{
    (void)state;
    const struct cogvideox_config own = {.time_dim = 32, .position = COGVIDEOX_COUNTED};
    check_form("counted", &own, 2, (struct grid){4, 6, 8});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sines),
        cmocka_unit_test(rotation_fitted),
        cmocka_unit_test(patches_over_time),
    };
    return cmocka_run_group_tests_name("cogvideox", tests, NULL, NULL);
}
