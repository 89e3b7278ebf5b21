// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/generate.h"

#include <stdlib.h>
#include <string.h>

#include "model/clip.h"
#include "model/denoiser.h"
#include "model/given_image.h"
#include "model/sampler.h"
#include "model/text.h"
#include "random.h"

enum { PROMPT = 0, NEGATIVE, PROMPTS };

int64_t tokenize_bytes(const char *text, int64_t rows, int32_t *ids)
{
    const int32_t end_of_sequence = 1, first_byte = 3;
    int64_t count = 0;
    for (; *text && count < rows - 1; text++)
        ids[count++] = (unsigned char)*text + first_byte;
    ids[count++] = end_of_sequence;
    return count;
}

int64_t generate_clips(const struct generate_request *request)
{
    return request->batch > 1 ? request->batch : 1;
}

int generate_passes(const struct model_config *model, double guidance)
{
    return guidance > 1.0 && !model->told_guidance ? 2 : 1;
}

/* ---- state between the stages ---------------------------------------------------------------- */

struct run {
    struct ops *ops;
    const struct generate_request *request;
    const struct model_config *model;
    const struct geometry *grid;
    int passes; /* 2 with guidance */
    int64_t clips;
    float *text[PROMPTS]; /* [clips][rows][text.C] */
    int64_t real[PROMPTS];
    int64_t extra;  /* rows of latents beside the grid */
    float *latents; /* of each clip [C][T][H][W], then [extra][C] */
    float *cells;   /* of each clip [T][H][W][C], as the ops see them, then [extra][C] */
    double *times;  /* of a step, one per latent frame */
    struct given_image given;
};

static bool executing(const struct run *r) { return r->ops->mode == MODE_EXECUTE; }

static int64_t cells_of(const struct run *r) { return r->grid->T * r->grid->H * r->grid->W; }

static int64_t rows_of(const struct run *r) { return cells_of(r) + r->extra; }

/* Numbers of one clip's latents, and its place among them all. */
static int64_t values_of(const struct run *r) { return rows_of(r) * r->grid->C; }

static float *clip_at(const struct run *r, float *all, int64_t clip)
{
    return all + clip * values_of(r);
}

/* [rows][columns] -> [columns][rows] */
static void transpose(const float *from, int64_t rows, int64_t columns, float *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[j * rows + i] = from[i * columns + j];
}

static enum status run_new(struct ops *ops, const struct generate_request *request, struct run *r)
{
    *r = (struct run){.ops = ops,
                      .request = request,
                      .model = request->model,
                      .grid = &request->geometry,
                      .passes = generate_passes(request->model, request->guidance),
                      .clips = generate_clips(request)};
    r->extra = generate_extra_rows(r->model, r->grid, request->fps);
    const struct text_config *text = &r->model->text;
    for (int i = 0; i < r->passes; i++)
        TRY(layer_host_alloc(ops, r->clips * text->rows * text->C, sizeof(float), &r->text[i]));
    TRY(layer_host_alloc(ops, r->clips * values_of(r), sizeof(float), &r->latents));
    TRY(layer_host_alloc(ops, r->clips * values_of(r), sizeof(float), &r->cells));
    r->times = calloc((size_t)r->grid->T, sizeof *r->times);
    return r->times ? ST_OK : fault_set(ops->fault, ST_NO_MEMORY, "no memory for a step's times");
}

static void run_free(struct run *r)
{
    for (int i = 0; i < PROMPTS; i++)
        free(r->text[i]);
    free(r->latents);
    free(r->cells);
    free(r->times);
    given_image_free(&r->given);
}

/* ---- text ------------------------------------------------------------------------------------ */

static enum status encode(struct run *r, struct text *text, const char *prompt, float *out,
                          int64_t *real)
{
    const int64_t rows = r->model->text.rows;
    int32_t *ids = malloc((size_t)rows * sizeof *ids);
    if (!ids)
        return fault_set(r->ops->fault, ST_NO_MEMORY, "no memory for the prompt's tokens");
    const struct generate_tokenizer *t = &r->request->tokenizer;
    int64_t count = 0;
    enum status status = ST_OK;
    if (t->tokenize)
        status = t->tokenize(t->user, prompt, rows, ids, &count, r->ops->fault);
    else
        count = tokenize_bytes(prompt, rows, ids);
    if (status == ST_OK)
        status = text_encode(text, ids, count, out);
    free(ids);
    *real = count;
    return status;
}

/* Where a clip's rows begin; NULL where nothing executes. */
static float *text_at(const struct run *r, int which, int64_t clip)
{
    float *all = r->text[which];
    return all ? all + clip * r->model->text.rows * r->model->text.C : NULL;
}

static const char *prompt_of(const struct run *r, int which, int64_t clip)
{
    const struct generate_request *q = r->request;
    const char *prompt = which == NEGATIVE ? q->negative
                         : q->prompts      ? q->prompts[clip]
                                           : q->prompt;
    return prompt ? prompt : "";
}

static enum status encode_missing(struct run *r, const float *const *given)
{
    struct text text;
    enum status status = text_load(r->ops, &r->model->text, &text);
    for (int i = 0; i < r->passes; i++)
        for (int64_t clip = 0; clip < r->clips && !given[i] && status == ST_OK; clip++)
            status = encode(r, &text, prompt_of(r, i, clip), text_at(r, i, clip), &r->real[i]);
    text_free(&text);
    return status;
}

/* Where no text encoder is at hand rows are drawn, so that the work is the same. */
static void draw_rows(struct run *r, int which)
{
    static const char *const name[PROMPTS] = {"prompt", "negative"};
    const struct random_stream stream = random_stream_of(r->request->seed, name[which]);
    const int64_t values = r->clips * r->model->text.rows * r->model->text.C;
    r->real[which] = r->model->text.rows;
    for (int64_t i = 0; executing(r) && i < values; i++)
        r->text[which][i] = (float)random_normal(stream, (uint64_t)i);
}

static enum status make_rows(struct run *r, const float *const *given)
{
    for (int i = 0; i < r->passes && !r->model->text.layers; i++)
        if (!given[i])
            draw_rows(r, i);
    if (!r->model->text.layers)
        return ST_OK;
    TRY(r->ops->enter(r->ops, STAGE_TEXT));
    TRY(encode_missing(r, given));
    return r->ops->leave(r->ops, STAGE_TEXT);
}

static enum status run_text(struct run *r)
{
    const struct generate_request *q = r->request;
    const float *const given[PROMPTS] = {q->prompt_embeds, q->negative_embeds};
    bool missing = false;
    for (int i = 0; i < r->passes; i++) {
        missing = missing || !given[i];
        r->real[i] = q->embed_rows;
        for (int64_t clip = 0; given[i] && executing(r) && clip < r->clips; clip++)
            memcpy(text_at(r, i, clip), given[i],
                   (size_t)(q->embed_rows * r->model->text.C) * sizeof(float));
    }
    if (missing)
        TRY(make_rows(r, given));
    for (int64_t i = 0; q->sink.text && r->model->text.rows && executing(r) && i < r->clips; i++)
        TRY(q->sink.text(q->sink.user, text_at(r, PROMPT, i), text_at(r, NEGATIVE, i)));
    return ST_OK;
}

/* ---- denoise --------------------------------------------------------------------------------- */

/* `count` normal numbers of a clip: those given or, where there are none, numbers first .. of a
 * stream. */
static void make_noise(const struct run *r, const char *name, int64_t clip, int64_t first,
                       const float *given, int64_t count, float *out)
{
    const uint64_t seed = r->request->seed + (uint64_t)clip * r->request->seed_step;
    const struct random_stream stream = random_stream_of(seed, name);
    for (int64_t i = 0; i < count; i++)
        out[i] = given ? given[i] : (float)random_normal(stream, (uint64_t)(first + i));
}

/* Between the order of files and that of the ops; extra rows are the same in both. */
static void reorder(const struct run *r, const float *from, int64_t rows, int64_t columns,
                    float *to)
{
    const int64_t grid = cells_of(r) * r->grid->C;
    transpose(from, rows, columns, to);
    memcpy(to + grid, from + grid, (size_t)(r->extra * r->grid->C) * sizeof *to);
}

static enum status put_noise(struct run *r, struct tensor x)
{
    const struct generate_request *q = r->request;
    const int64_t C = r->grid->C, grid = cells_of(r) * C;
    for (int64_t i = 0; executing(r) && i < r->clips; i++) {
        float *const latents = clip_at(r, r->latents, i);
        make_noise(r, "noise", i, 0, q->noise, grid, latents);
        make_noise(r, "noise.extra", i, 0, q->extra_noise, r->extra * C, latents + grid);
        reorder(r, latents, C, cells_of(r), clip_at(r, r->cells, i));
    }
    return r->ops->put(r->ops, &x, r->cells, r->clips * rows_of(r), C);
}

/* Drawn on the host, so that every device and plan sees the same. */
static enum status put_step_noise(struct run *r, int64_t step, struct tensor noise)
{
    const int64_t values = values_of(r);
    for (int64_t i = 0; executing(r) && i < r->clips; i++) {
        make_noise(r, "noise.step", i, step * values, NULL, values, clip_at(r, r->latents, i));
        reorder(r, clip_at(r, r->latents, i), r->grid->C, cells_of(r), clip_at(r, r->cells, i));
    }
    return r->ops->put(r->ops, &noise, r->cells, r->clips * rows_of(r), r->grid->C);
}

/* Of the finished clip a given first frame is as it was given. */
static enum status get_latents(struct run *r, struct tensor x, bool finished)
{
    TRY(r->ops->get(r->ops, &x, r->cells, r->clips * rows_of(r), r->grid->C));
    if (executing(r) && finished)
        given_image_keep(&r->given, r->cells);
    for (int64_t i = 0; executing(r) && i < r->clips; i++)
        reorder(r, clip_at(r, r->cells, i), cells_of(r), r->grid->C, clip_at(r, r->latents, i));
    return ST_OK;
}

/* What the sampler keeps between steps; data predictions take turns in two buffers. A sampler that
 * draws keeps no history, but the noise of a step. */
struct sampler_buffers {
    struct tensor x, last, prediction[2], noise, velocity[PROMPTS];
    struct tensor input; /* of the network: x, or more where an image is given */
};

static enum status new_buffers(struct run *r, struct sampler_buffers *b)
{
    struct ops *ops = r->ops;
    struct tensor *const history[] = {&b->x, &b->last, &b->prediction[0], &b->prediction[1]};
    struct tensor *const drawn[] = {&b->x, &b->noise};
    const bool draws = sampler_draws(r->request->scheduler);
    b->velocity[NEGATIVE] = NO_TENSOR;
    for (int i = 0; i < (draws ? 2 : 4); i++)
        TRY(ops->alloc(ops, draws ? drawn[i] : history[i], ELEM_F32, r->clips * rows_of(r),
                       r->grid->C, "latents"));
    for (int i = 0; i < r->passes; i++)
        TRY(ops->alloc(ops, &b->velocity[i], ELEM_F32, r->clips * rows_of(r),
                       r->model->transformer.out_channels, "prediction"));
    return given_image_alloc(ops, &r->given, b->x, &b->input);
}

/* What the sampler starts from, and what of the network's input stays as it is. */
static enum status fill_buffers(struct run *r, const struct sampler_buffers *b)
{
    TRY(put_noise(r, b->x));
    return given_image_put(r->ops, &r->given, b->input);
}

static enum status descend(struct run *r, const struct sampler *sampler, int64_t step,
                           double guidance, const struct sampler_buffers *b)
{
    const bool last = step == sampler->steps - 1;
    struct ddpm_step_problem p = {.S = r->clips * rows_of(r),
                                  .C = r->grid->C,
                                  .guided = r->model->guided,
                                  .guidance = guidance,
                                  .x = b->x,
                                  .cond = b->velocity[PROMPT],
                                  .uncond = b->velocity[NEGATIVE],
                                  .noise = last ? NO_TENSOR : b->noise,
                                  .next = b->x};
    sampler_ddpm_coefficients(sampler, step, &p);
    return r->ops->ddpm_step(r->ops, &p);
}

static enum status advance(struct run *r, const struct sampler *sampler, int64_t step,
                           double guidance, const struct sampler_buffers *b)
{
    if (sampler_draws(sampler->scheduler))
        return descend(r, sampler, step, guidance, b);
    struct sampler_step_problem p = {.S = r->clips * rows_of(r),
                                     .C = r->grid->C,
                                     .guided = r->model->guided,
                                     .guidance = guidance,
                                     .x = b->x,
                                     .cond = b->velocity[PROMPT],
                                     .uncond = b->velocity[NEGATIVE],
                                     .last = b->last,
                                     .m1 = b->prediction[(step + 1) % 2],
                                     .m2 = b->prediction[step % 2],
                                     .m = b->prediction[step % 2],
                                     .corrected = b->last,
                                     .next = b->x};
    sampler_coefficients(sampler, step, &p);
    return r->ops->sampler_step(r->ops, &p);
}

static enum status watch_latents(struct run *r, struct tensor x, int64_t step)
{
    const struct generate_sink *sink = &r->request->sink;
    if (!sink->latents || !executing(r))
        return ST_OK;
    TRY(get_latents(r, x, false));
    for (int64_t i = 0; i < r->clips; i++)
        TRY(sink->latents(sink->user, clip_at(r, r->latents, i), step + 1, r->request->steps));
    return ST_OK;
}

/* One expert's share of the steps: all of them where there is one expert. */
struct expert {
    enum stage stage;
    int64_t first, end;
    double guidance;
    struct denoiser network;
    void *condition[PROMPTS];
};

static enum status new_condition(struct run *r, struct expert *e, int pass)
{
    const struct generate_request *q = r->request;
    const struct denoiser_prompt prompt = {
        .text = r->text[pass],
        .rows = r->model->text.rows,
        .real = r->real[pass],
        .image = r->given.rows,
        .image_rows = r->given.row_count,
        .class_label = pass == PROMPT ? q->class_label : DENOISER_NO_CLASS,
        .guidance = q->guidance,
        .fps = q->fps,
    };
    return denoiser_condition_new(&e->network, r->ops, &prompt, &e->condition[pass]);
}

static enum status step_through(struct run *r, const struct sampler *sampler, struct expert *e,
                                const struct sampler_buffers *b)
{
    const struct denoiser_family *f = e->network.family;
    void *network = e->network.network;
    for (int64_t i = e->first; i < e->end; i++) {
        TRY(r->ops->step(r->ops, (int)i, (int)sampler->steps));
        if (sampler_draws(sampler->scheduler) && i + 1 < sampler->steps)
            TRY(put_step_noise(r, i, b->noise));
        TRY(f->set_time(network, r->times,
                        given_image_times(&r->given, sampler->time[i], r->times)));
        TRY(given_image_refresh(r->ops, &r->given, b->x, b->input));
        for (int pass = 0; pass < r->passes; pass++)
            TRY(f->forward(network, e->condition[pass], b->input, b->velocity[pass]));
        TRY(advance(r, sampler, i, e->guidance, b));
        TRY(watch_latents(r, b->x, i));
    }
    return ST_OK;
}

static enum status run_expert(struct run *r, const struct sampler *sampler, struct expert *e,
                              const struct sampler_buffers *b)
{
    const struct geometry *g = r->grid;
    TRY(denoiser_load(r->ops, r->model, &e->network));
    if (r->clips > 1)
        TRY(e->network.family->clips(e->network.network, r->clips));
    TRY(e->network.family->begin(e->network.network, g->T, g->H, g->W, r->request->fps));
    for (int i = 0; i < r->passes; i++)
        TRY(new_condition(r, e, i));
    return step_through(r, sampler, e, b);
}

static void expert_free(struct expert *e)
{
    for (int i = 0; i < PROMPTS; i++)
        denoiser_condition_free(&e->network, e->condition[i]);
    denoiser_free(&e->network);
}

/* Times fall, so the first expert has the steps at the begin. */
static int split_steps(const struct run *r, const struct sampler *sampler, struct expert expert[2])
{
    const struct generate_request *q = r->request;
    int64_t border = 0;
    while (border < sampler->steps && sampler->time[border] >= 1000.0 * r->model->boundary)
        border++;
    expert[0] =
        (struct expert){.stage = STAGE_DENOISE, .first = 0, .end = border, .guidance = q->guidance};
    expert[1] = (struct expert){.stage = STAGE_DENOISE_LOW,
                                .first = border,
                                .end = sampler->steps,
                                .guidance = q->guidance_low};
    return r->model->boundary > 0 ? 2 : 1;
}

/* What the sampler keeps outlives an expert where there are two, so it lives outside of stages. */
static enum status run_experts(struct run *r, const struct sampler *sampler)
{
    struct ops *ops = r->ops;
    struct expert expert[2];
    struct sampler_buffers b;
    const int count = split_steps(r, sampler, expert);
    bool begun = false;
    if (count == 1)
        expert[0].end = sampler->steps;
    for (int i = 0; i < count; i++) {
        struct expert *e = &expert[i];
        if (e->first == e->end)
            continue;
        if (!begun && count > 1)
            TRY(new_buffers(r, &b));
        TRY(ops->enter(ops, e->stage));
        if (!begun && count == 1)
            TRY(new_buffers(r, &b));
        if (!begun)
            TRY(fill_buffers(r, &b));
        begun = true;
        enum status status = run_expert(r, sampler, e, &b);
        if (status == ST_OK && e->end == sampler->steps)
            status = get_latents(r, b.x, true);
        expert_free(e);
        TRY(status);
        TRY(ops->leave(ops, e->stage));
    }
    return ST_OK;
}

static enum status run_denoise(struct run *r)
{
    const struct generate_request *q = r->request;
    struct sampler sampler;
    TRY(sampler_new(q->scheduler, q->steps, q->shift, &sampler, r->ops->fault));
    const enum status status = run_experts(r, &sampler);
    sampler_free(&sampler);
    TRY(status);
    for (int64_t i = 0; q->sink.denoised && executing(r) && i < r->clips; i++)
        TRY(q->sink.denoised(q->sink.user, clip_at(r, r->latents, i)));
    return ST_OK;
}

/* ---- the video autoencoder ------------------------------------------------------------------- */

static enum status run_encode(struct run *r)
{
    TRY(clip_encode(r->ops, r->model, r->grid, &r->request->tiling, r->request->clip, r->cells));
    if (!executing(r))
        return ST_OK;
    transpose(r->cells, cells_of(r), r->grid->C, r->latents);
    const struct generate_sink *sink = &r->request->sink;
    return sink->denoised ? sink->denoised(sink->user, r->latents) : ST_OK;
}

static enum status run_decode(struct run *r)
{
    return clip_decode(r->ops, r->model, r->grid, &r->request->tiling, r->cells, r->clips,
                       &r->request->sink);
}

bool generate_batches(const struct model_config *model)
{
    return denoiser_families[model->family]->clips && model->image_input != IMAGE_CHANNELS;
}

static enum status check_batch(const struct run *r)
{
    const struct generate_request *q = r->request;
    if (r->clips == 1 || (generate_batches(r->model) && !q->image && !q->clip && !q->clean))
        return ST_OK;
    return fault_set(r->ops->fault, ST_REFUSED,
                     "%s makes one clip at a time%s; batches are of text-to-video models of the"
                     " Wan family",
                     r->model->name, generate_batches(r->model) ? " from what it is given" : "");
}

/* Latents in r->cells: from a clip, as they are given, or from a prompt. */
static enum status make_latents(struct run *r)
{
    const struct generate_request *q = r->request;
    if (q->clip)
        return run_encode(r);
    if (q->clean && executing(r))
        transpose(q->clean, r->grid->C, cells_of(r), r->cells);
    if (q->clean)
        return ST_OK;
    TRY(run_text(r));
    TRY(given_image_new(r->ops, q, &r->given));
    return run_denoise(r);
}

enum status generate(struct ops *ops, const struct generate_request *request)
{
    struct run r;
    enum status status = run_new(ops, request, &r);
    if (status == ST_OK)
        status = check_batch(&r);
    if (status == ST_OK)
        status = make_latents(&r);
    if (status == ST_OK && r.model->vae.base)
        status = run_decode(&r);
    run_free(&r);
    return status;
}
