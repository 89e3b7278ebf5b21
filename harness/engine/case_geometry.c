// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* case_geometry.c   A model as a line of text, whose hash records carry. The line begins with the
 * sizes that Wan 2.1 has; what other models have follows only where it is not as in Wan 2.1, so that
 * the hashes in older records stay what they were. */
#include "engine/case_geometry.h"
#include "model/cogvideox.h"
#include "model/dit.h"
#include "model/hunyuan.h"
#include "model/ltx_2.h"
#include "model/open_sora.h"
#include "presets/wan.h"
#include "records/record.h"

#include <stdarg.h>
#include <string.h>

/* Long enough for all statistics of an autoencoder in full beside everything else. */
struct line {
    char text[8192];
    size_t used;
};

static void put(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(struct line *l, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int n = vsnprintf(l->text + l->used, sizeof l->text - l->used, format, values);
    va_end(values);
    l->used += (size_t)n < sizeof l->text - l->used ? (size_t)n : 0;
}

static void put_counts(struct line *l, const char *title, const int64_t *count, int n)
{
    put(l, "%s", title);
    for (int i = 0; i < n; i++)
        put(l, " %lld", (long long)count[i]);
}

/* In full, so that no two values look alike. */
static void put_reals(struct line *l, const char *title, const double *value, int n)
{
    put(l, "%s", title);
    for (int i = 0; i < n; i++)
        put(l, " %.17g", value[i]);
}

#define COUNTS(LINE, TITLE, ...)                                                                   \
    put_counts(LINE, TITLE, (const int64_t[]){__VA_ARGS__},                                        \
               (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define REALS(LINE, TITLE, ...)                                                                    \
    put_reals(LINE, TITLE, (const double[]){__VA_ARGS__},                                          \
              (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))

/* ---- what every model has -------------------------------------------------------------------- */

static void put_sizes(struct line *l, const struct model_config *m)
{
    const struct text_config *x = &m->text;
    const struct transformer_config *t = &m->transformer;
    const struct vae_config *v = &m->vae;
    COUNTS(l, "text", x->vocab, x->C, x->N, x->D, x->F, x->layers, x->buckets, x->max_distance,
           x->rows);
    COUNTS(l, "; transformer", t->in_channels, t->out_channels, t->pt, t->ph, t->pw, t->layers,
           t->N, t->D, t->F, t->text_dim, t->freq_dim);
    COUNTS(l, "; vae", v->base, v->z_dim, v->res_blocks);
    put_counts(l, "", v->mult, VAE_LEVELS);
}

static void put_autoencoder(struct line *l, const struct vae_config *v)
{
    const struct vae_config *usual = &preset_wan_2_1_t2v_1_3b.vae;
    if (memcmp(v->time_up, usual->time_up, sizeof v->time_up) != 0)
        put_counts(l, "; time", v->time_up, VAE_LEVELS - 1);
    if (v->scale_time != usual->scale_time || v->scale_space != usual->scale_space)
        COUNTS(l, "; cell", v->scale_time, v->scale_space);
    if (v->decoder_base || v->residual || v->patch)
        COUNTS(l, "; levels", v->decoder_base, v->residual, v->patch);
    if (memcmp(v->mean, usual->mean, sizeof v->mean) != 0)
        put_reals(l, "; mean", v->mean, VAE_Z_MAX);
    if (memcmp(v->std, usual->std, sizeof v->std) != 0)
        put_reals(l, "; std", v->std, VAE_Z_MAX);
}

static void put_image(struct line *l, const struct model_config *m)
{
    const struct image_config *i = &m->image;
    const struct transformer_config *t = &m->transformer;
    if (i->layers) {
        COUNTS(l, "; image", i->size, i->patch, i->N, i->D, i->F, i->layers);
        REALS(l, "", i->eps);
    }
    if (t->image_dim || t->image_rows)
        COUNTS(l, "; attended", t->image_dim, t->image_rows);
    if (m->image_input != IMAGE_NONE)
        COUNTS(l, "; input", m->image_input);
}

static void put_others(struct line *l, const struct model_config *m)
{
    const struct model_config *usual = &preset_wan_2_1_t2v_1_3b;
    if (m->family != usual->family)
        COUNTS(l, "; family", m->family);
    if (m->text.eps != usual->text.eps || m->transformer.eps != usual->transformer.eps)
        REALS(l, "; eps", m->text.eps, m->transformer.eps);
    if (m->boundary > 0)
        REALS(l, "; boundary", m->boundary);
    if (m->told_guidance || m->guided)
        COUNTS(l, "; guidance", m->told_guidance, m->guided);
}

/* ---- what one family has --------------------------------------------------------------------- */

static void put_dit(struct line *l, const struct dit_config *c)
{
    COUNTS(l, "; dit", c->classes, c->sample, c->time_drop, c->shared_embedder);
    REALS(l, "", c->mlp_eps);
}

static void put_hunyuan(struct line *l, const struct hunyuan_config *c)
{
    COUNTS(l, "; hunyuan", c->single_layers, c->refiner_layers, c->axis[0], c->axis[1], c->axis[2],
           c->pooled_dim, c->image_channels, c->glyph_dim, c->glyph_F);
    REALS(l, "", c->theta);
}

static void put_cogvideox(struct line *l, const struct cogvideox_config *c)
{
    COUNTS(l, "; cogvideox", c->time_dim, c->position, c->trained_height, c->trained_width);
    REALS(l, "", c->interval);
}

static void put_ltx_2(struct line *l, const struct ltx_2_config *c)
{
    COUNTS(l, "; ltx 2", c->audio_channels, c->audio_N, c->audio_D, c->audio_F, c->sample_rate,
           c->hop, c->scale);
    REALS(l, "", c->gate_time);
}

static void put_family(struct line *l, const struct model_config *m)
{
    const struct open_sora_config *o = m->open_sora;
    if (m->dit)
        put_dit(l, m->dit);
    if (m->hunyuan)
        put_hunyuan(l, m->hunyuan);
    if (m->cogvideox)
        put_cogvideox(l, m->cogvideox);
    if (m->ltx)
        COUNTS(l, "; ltx", m->ltx->pixel_frames);
    if (m->ltx_2)
        put_ltx_2(l, m->ltx_2);
    if (o)
        COUNTS(l, "; open-sora", o->form, o->chunk_frames, o->single_layers, o->pooled_dim);
}

void case_geometry_sha256(const struct model_config *model, char out[65])
{
    struct line l = {.used = 0};
    put_sizes(&l, model);
    put_autoencoder(&l, &model->vae);
    put_image(&l, model);
    put_others(&l, model);
    put_family(&l, model);
    sha256_hex(l.text, l.used, out);
}
