// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "model/ltx_2.h"

#include <math.h>
#include <stdlib.h>

#include "attention/qk_norm_rope/qk_norm_rope.h"
#include "denoise/linear/linear.h"
#include "model/ltx_stream.h"

#define CROSS_ROWS (LTX_ROWS_MAX - LTX_ROWS) /* of a block's table between the streams */
#define SCALE_SHIFT_ROWS (CROSS_ROWS - 1)    /* all but the gate */
#define TABLE_GAIN (-1)

/* One of the streams, and what it has for the other one. */
struct side {
    struct ltx_stream stream;
    struct ltx_time scale_shift, gate;
    struct ltx_rotation seconds;
};

struct ltx_2_layer {
    struct ltx_attention to_video, to_audio;
    struct tensor video_table, audio_table; /* [CROSS_ROWS][C] */
};

struct ltx_2 {
    const struct model_config *model;
    struct ops *ops;
    struct side video, audio;
    struct ltx_2_layer *layer;
    struct tensor zero; /* one row, as wide as the wider stream */
};

struct ltx_2_context {
    struct ltx_context video, audio;
};

/* ---- weights --------------------------------------------------------------------------------- */

static struct ltx_stream_config video_config(const struct model_config *model)
{
    const struct transformer_config *c = &model->transformer;
    return (struct ltx_stream_config){.prefix = "",
                                      .in_channels = c->in_channels,
                                      .out_channels = c->out_channels,
                                      .layers = c->layers,
                                      .N = c->N,
                                      .D = c->D,
                                      .F = c->F,
                                      .text_dim = c->text_dim,
                                      .freq_dim = c->freq_dim,
                                      .rope = QK_ROPE_HALVES_OWN,
                                      .rows = LTX_ROWS_MAX,
                                      .eps = c->eps,
                                      .qk_eps = c->eps};
}

static struct ltx_stream_config audio_config(const struct model_config *model)
{
    const struct ltx_2_config *c = model->ltx_2;
    struct ltx_stream_config audio = video_config(model);
    audio.prefix = "audio_";
    audio.in_channels = audio.out_channels = c->audio_channels;
    audio.N = c->audio_N, audio.D = c->audio_D, audio.F = c->audio_F;
    return audio;
}

static enum status load_layer(struct ltx_2 *t, int64_t index, struct ltx_2_layer *l)
{
    struct ops *ops = t->ops;
    const int64_t C = t->video.stream.C, A = t->audio.stream.C;
    const int64_t N = t->model->ltx_2->audio_N, D = t->model->ltx_2->audio_D;
    char block[LAYER_NAME_MAX], part[LAYER_NAME_MAX];
    snprintf(block, sizeof block, "transformer_blocks.%d.", (int)index);
    snprintf(part, sizeof part, "transformer_blocks.%d.audio_to_video_attn.", (int)index);
    TRY(ltx_attention_load(ops, part, C, A, N, D, &l->to_video));
    snprintf(part, sizeof part, "transformer_blocks.%d.video_to_audio_attn.", (int)index);
    TRY(ltx_attention_load(ops, part, A, C, N, D, &l->to_audio));
    TRY(layer_load(ops, block, "video_a2v_cross_attn_scale_shift_table", WEIGHT_TABLE, TABLE_GAIN,
                   DIMS(CROSS_ROWS, C), &l->video_table));
    return layer_load(ops, block, "audio_a2v_cross_attn_scale_shift_table", WEIGHT_TABLE,
                      TABLE_GAIN, DIMS(CROSS_ROWS, A), &l->audio_table);
}

static enum status load_side(struct ltx_2 *t, struct ltx_stream_config config,
                             const char *scale_shift, const char *gate, struct side *out)
{
    TRY(ltx_stream_load(t->ops, &config, &out->stream));
    TRY(ltx_time_load(t->ops, scale_shift, out->stream.C, config.freq_dim, SCALE_SHIFT_ROWS,
                      &out->scale_shift));
    return ltx_time_load(t->ops, gate, out->stream.C, config.freq_dim, 1, &out->gate);
}

static enum status ltx_2_load(struct ops *ops, const struct model_config *model, void *network)
{
    struct ltx_2 *t = network;
    t->model = model;
    t->ops = ops;
    t->layer = calloc((size_t)model->transformer.layers, sizeof *t->layer);
    if (!t->layer)
        return fault_set(ops->fault, ST_NO_MEMORY, "no memory for the transformer's layers");
    TRY(load_side(t, video_config(model), "av_cross_attn_video_scale_shift.",
                  "av_cross_attn_video_a2v_gate.", &t->video));
    TRY(load_side(t, audio_config(model), "av_cross_attn_audio_scale_shift.",
                  "av_cross_attn_audio_v2a_gate.", &t->audio));
    for (int64_t i = 0; i < model->transformer.layers; i++)
        TRY(load_layer(t, i, &t->layer[i]));
    return ST_OK;
}

static void ltx_2_free(void *network)
{
    struct ltx_2 *t = network;
    ltx_stream_free(&t->video.stream);
    ltx_stream_free(&t->audio.stream);
    free(t->layer);
    t->layer = NULL;
}

/* ---- positions ------------------------------------------------------------------------------- */

/* Tokens stand in the middle of what they cover. The first one in time covers one step of the
 * finer scale, every later one `scale` of them: its begin lies `scale` - 1 earlier. */
static int64_t begin_of(int64_t index, int64_t scale)
{
    return index > 0 ? index * scale + 1 - scale : 0;
}

static float middle(float begin, float end) { return (begin + end) / 2.0f; }

static void fill_video(const struct ltx_2 *t, int64_t T, int64_t H, int64_t W, double fps,
                       float *position, float *seconds)
{
    const int64_t time = t->model->vae.scale_time, side = t->model->vae.scale_space;
    for (int64_t cell = 0; cell < T * H * W; cell++, position += 3) {
        const int64_t frame = cell / (H * W), y = cell / W % H * side, x = cell % W * side;
        const float begin = (float)begin_of(frame, time) / (float)fps;
        const float end = (float)begin_of(frame + 1, time) / (float)fps;
        seconds[cell] = position[0] = middle(begin, end) / LTX_SECONDS;
        position[1] = middle((float)y, (float)(y + side)) / LTX_PIXELS;
        position[2] = middle((float)x, (float)(x + side)) / LTX_PIXELS;
    }
}

static void fill_audio(const struct ltx_2_config *c, int64_t rows, float *seconds)
{
    const float hop = (float)c->hop, rate = (float)c->sample_rate;
    for (int64_t i = 0; i < rows; i++) {
        const float begin = (float)begin_of(i, c->scale) * hop / rate;
        const float end = (float)begin_of(i + 1, c->scale) * hop / rate;
        seconds[i] = middle(begin, end) / LTX_SECONDS;
    }
}

/* Rows of the sound that is as long as the frames of T latent frames. */
static int64_t ltx_2_extra_rows(const struct model_config *model, int64_t T, double fps)
{
    const struct ltx_2_config *c = model->ltx_2;
    const double seconds = (double)(1 + (T - 1) * model->vae.scale_time) / fps;
    const double rows_of_a_second = (double)c->sample_rate / (double)c->hop / (double)c->scale;
    const int64_t rows = (int64_t)rint(seconds * rows_of_a_second);
    return rows > 0 ? rows : 1;
}

static enum status begin_zero(struct ltx_2 *t)
{
    const int64_t C = t->video.stream.C, A = t->audio.stream.C, wider = C > A ? C : A;
    float *zero;
    TRY(t->ops->alloc(t->ops, &t->zero, ELEM_F32, 1, wider, "zero"));
    TRY(layer_host_alloc(t->ops, wider, sizeof *zero, &zero));
    const enum status status = t->ops->put(t->ops, &t->zero, zero, 1, wider);
    free(zero);
    return status;
}

static enum status begin_streams(struct ltx_2 *t, int64_t S, const float *position,
                                 const float *seconds, int64_t rows, const float *audio_seconds)
{
    struct ltx_stream *video = &t->video.stream, *audio = &t->audio.stream;
    TRY(ltx_stream_begin(video, S, 3, position));
    TRY(ltx_stream_begin(audio, rows, 1, audio_seconds));
    /* the streams meet at the width of the sound, whose own rotation is by time already */
    TRY(ltx_rotation_new(t->ops, S, audio->C, 1, seconds, &t->video.seconds));
    t->audio.seconds = audio->rotation;
    return begin_zero(t);
}

static enum status ltx_2_begin(void *network, int64_t T, int64_t H, int64_t W, double fps)
{
    struct ltx_2 *t = network;
    const int64_t S = T * H * W, rows = ltx_2_extra_rows(t->model, T, fps);
    float *position; /* [S][3], then seconds [S], then of the sound [rows] */
    TRY(layer_host_alloc(t->ops, 4 * S + rows, sizeof *position, &position));
    float *seconds = position ? position + 3 * S : NULL;
    float *audio_seconds = position ? seconds + S : NULL;
    if (position) {
        fill_video(t, T, H, W, fps, position, seconds);
        fill_audio(t->model->ltx_2, rows, audio_seconds);
    }
    const enum status status = begin_streams(t, S, position, seconds, rows, audio_seconds);
    free(position);
    return status;
}

/* ---- conditions ------------------------------------------------------------------------------ */

static enum status ltx_2_condition(void *network, const struct denoiser_prompt *prompt, void *out)
{
    struct ltx_2 *t = network;
    struct ltx_2_context *context = out;
    struct ops *ops = t->ops;
    const int64_t M = prompt->real > 0 ? prompt->real : prompt->rows;
    const int64_t width = t->model->transformer.text_dim;
    struct tensor text;
    TRY(ops->alloc(ops, &text, ops->type, M, 2 * width, "context.text"));
    TRY(ops->put(ops, &text, prompt->text, M, 2 * width));
    TRY(ltx_context_new(&t->video.stream, text, M, &context->video));
    TRY(ltx_context_new(&t->audio.stream, layer_view(text, width), M, &context->audio));
    ops->release(ops, &text);
    return ST_OK;
}

static void ltx_2_condition_free(void *condition)
{
    struct ltx_2_context *context = condition;
    ltx_context_free(&context->video);
    ltx_context_free(&context->audio);
}

static struct tensor modulation_row(const struct side *side, int64_t index)
{
    const struct tensor t = side->stream.modulation;
    return layer_view(t, index * t.stride);
}

static enum status set_side_time(struct ltx_2 *t, struct side *side, double time)
{
    struct ops *ops = t->ops;
    struct tensor unused;
    TRY(ltx_stream_set_time(&side->stream, time));
    TRY(ops->alloc(ops, &unused, ELEM_F32, 1, side->stream.C, "time.unused"));
    TRY(ltx_time_run(ops, &side->scale_shift, time, unused,
                     modulation_row(side, LTX_SCALE_TO_VIDEO)));
    TRY(ltx_time_run(ops, &side->gate, time * t->model->ltx_2->gate_time, unused,
                     modulation_row(side, LTX_GATE_CROSS)));
    ops->release(ops, &unused);
    return ST_OK;
}

static enum status ltx_2_set_time(void *network, const double *time, int64_t frames)
{
    struct ltx_2 *t = network;
    (void)frames;
    TRY(set_side_time(t, &t->video, time[0]));
    return set_side_time(t, &t->audio, time[0]);
}

/* ---- between the streams --------------------------------------------------------------------- */

/* Queries of one side over keys and values of the other. */
struct meeting {
    const struct ltx_attention *a;
    struct side *to, *from;
    int scale, shift; /* rows of either side's modulation */
    struct tensor q, k, v;
};

/* Both meetings are projected before either changes a stream: the published model norms once. */
static enum status project(struct ltx_2 *t, struct meeting *m)
{
    struct ops *ops = t->ops;
    struct ltx_stream *to = &m->to->stream, *from = &m->from->stream;
    const struct ltx_attention *a = m->a;
    const struct ltx_stream_config *c = &t->audio.stream.config;
    const int64_t width = a->N * a->D;
    TRY(ops->alloc(ops, &m->q, ops->type, to->S, width, "meeting.q"));
    TRY(ops->alloc(ops, &m->k, ops->type, from->S, width, "meeting.k"));
    TRY(ops->alloc(ops, &m->v, ops->type, from->S, width, "meeting.v"));
    TRY(ltx_stream_modulate(to, ltx_stream_row(to, m->scale), ltx_stream_row(to, m->shift), to->u));
    TRY(ltx_stream_modulate(from, ltx_stream_row(from, m->scale), ltx_stream_row(from, m->shift),
                            from->u));
    TRY(layer_linear(ops, &a->q, to->S, to->u, m->q));
    TRY(layer_linear(ops, &a->k, from->S, from->u, m->k));
    TRY(layer_linear(ops, &a->v, from->S, from->u, m->v));
    TRY(ltx_turn(ops, a, c, to->S, a->norm_q, &m->to->seconds, m->q));
    return ltx_turn(ops, a, c, from->S, a->norm_k, &m->from->seconds, m->k);
}

static enum status meet(struct ltx_2 *t, struct meeting *m)
{
    struct ops *ops = t->ops;
    struct ltx_stream *to = &m->to->stream;
    struct tensor o;
    TRY(ops->alloc(ops, &o, ops->type, to->S, m->a->N * m->a->D, "meeting.o"));
    TRY(ltx_attend(ops, m->a, to->S, m->from->stream.S, m->q, m->k, m->v, o));
    TRY(layer_linear_with(ops, &m->a->o, to->S, o, EPI_GATE, to->x,
                          ltx_stream_row(to, LTX_GATE_CROSS), to->x));
    ops->release(ops, &o);
    ops->release(ops, &m->v);
    ops->release(ops, &m->k);
    ops->release(ops, &m->q);
    return ST_OK;
}

static enum status cross_attention(struct ltx_2 *t, const struct ltx_2_layer *l)
{
    struct meeting to_video = {.a = &l->to_video,
                               .to = &t->video,
                               .from = &t->audio,
                               .scale = LTX_SCALE_TO_VIDEO,
                               .shift = LTX_SHIFT_TO_VIDEO};
    struct meeting to_audio = {.a = &l->to_audio,
                               .to = &t->audio,
                               .from = &t->video,
                               .scale = LTX_SCALE_TO_AUDIO,
                               .shift = LTX_SHIFT_TO_AUDIO};
    TRY(project(t, &to_video));
    TRY(project(t, &to_audio));
    TRY(meet(t, &to_video));
    return meet(t, &to_audio);
}

/* ---- forward --------------------------------------------------------------------------------- */

static enum status attend_alone(struct ltx_2 *t, struct side *side, int64_t layer,
                                struct tensor table, const struct ltx_context *context)
{
    struct ltx_stream *s = &side->stream;
    const struct ltx_layer *l = &s->layer[layer];
    TRY(ltx_stream_rows(s, 0, LTX_ROWS, l->table));
    TRY(ltx_stream_rows(s, LTX_ROWS, CROSS_ROWS, table));
    TRY(ltx_self_attention(s, l));
    TRY(ltx_stream_modulate(s, t->zero, t->zero, s->u));
    return ltx_text_attention(s, l, context, layer);
}

static enum status ltx_2_forward(void *network, const void *condition, struct tensor latents,
                                 struct tensor prediction)
{
    struct ltx_2 *t = network;
    const struct ltx_2_context *context = condition;
    struct ltx_stream *video = &t->video.stream, *audio = &t->audio.stream;
    TRY(ltx_stream_enter(video, latents));
    TRY(ltx_stream_enter(audio, layer_view(latents, video->S * latents.stride)));
    for (int64_t i = 0; i < video->config.layers; i++) {
        const struct ltx_2_layer *l = &t->layer[i];
        TRY(attend_alone(t, &t->video, i, l->video_table, &context->video));
        TRY(attend_alone(t, &t->audio, i, l->audio_table, &context->audio));
        TRY(cross_attention(t, l));
        TRY(ltx_mlp(video, &video->layer[i]));
        TRY(ltx_mlp(audio, &audio->layer[i]));
    }
    TRY(ltx_stream_leave(audio, layer_view(prediction, video->S * prediction.stride)));
    return ltx_stream_leave(video, prediction);
}

const struct denoiser_family ltx_2_family = {
    .name = "ltx-2",
    .network_bytes = sizeof(struct ltx_2),
    .condition_bytes = sizeof(struct ltx_2_context),
    .load = ltx_2_load,
    .free = ltx_2_free,
    .begin = ltx_2_begin,
    .condition = ltx_2_condition,
    .condition_free = ltx_2_condition_free,
    .set_time = ltx_2_set_time,
    .forward = ltx_2_forward,
    .extra_rows = ltx_2_extra_rows,
    .shift = ltx_shift,
};
