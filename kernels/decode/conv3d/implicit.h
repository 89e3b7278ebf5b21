// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* implicit.h   Channel-last convolution as an implicit matrix product, in the vector words of the
 * target header included before it.
 *
 * For one input row and one output pixel the taps of a kernel row are kw C neighbouring floats, so
 * a strip of pixels is a matrix that lies in the input as it is, with row stride sw C.
 * Wide outputs use tiles on          [panel][kt][kh][kw C][TILE_COLS]   weights, zeros past O;
 * up to DOT_COLS outputs use dots on [kt][kh][O][kw C].
 * A task is a block of output pixels of one frame. A panel's sums of a block start as the bias and
 * stay in the first cache while taps and channels go by in steps of `depth`. Taps outside the
 * frames are left out, never multiplied by 0, so that an infinite weight makes no NaN at a border.
 * Taps and channels are added in their order, so threads do not change a bit. */
#ifndef PATCHMARK_CONV3D_IMPLICIT_H
#define PATCHMARK_CONV3D_IMPLICIT_H

#include "decode/conv3d/conv3d.h"

enum { KNOB_PIXELS, KNOB_DEPTH };
enum { PIXELS_MOST = 192, TASKS_PER_THREAD = 4 };

// clang-format off
#define IMPLICIT_KNOBS {{"pixels", 3, {96, 192, 48}}, {"depth", 4, {384, 256, 192, 768}}}
// clang-format on

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* ---- one strip of pixels under some taps of a kernel row ---- */

/* Sums of pixels [x, x_end) += taps [k, k_end) of the kw C floats that begin at column
 * x sw - pad_left of `input`; `weights` are those of the kernel row, `sums` of pixel x. */
typedef void strip_fn(const struct conv3d_problem *p, const float *input, const float *weights,
                      int64_t x, int64_t x_end, int64_t k, int64_t k_end, float *sums);

/* Outputs [o, ...) of one pixel from its sums; aux may be NULL. */
typedef void finish_fn(const struct conv3d_problem *p, int64_t o, const float *sums,
                       const float *aux, float *to);

/* The two ways of adding up: for wide and for narrow outputs. */
struct form {
    strip_fn *strip;
    finish_fn *finish;
    int64_t cols;      /* outputs of a panel */
    int64_t pixels;    /* of a strip */
    int64_t spread;    /* floats that make up one sum */
    int64_t sum_elems; /* of one pixel's sums */
};
#define SUM_ELEMS_MOST (TILE_COLS > DOT_COLS * LANES ? TILE_COLS : DOT_COLS * LANES)

static void strip_tile(const struct conv3d_problem *p, const float *input, const float *weights,
                       int64_t x, int64_t x_end, int64_t k, int64_t k_end, float *sums)
{
    tile_multiply((int)(x_end - x), k_end - k, input + ((x * p->sw - p->pad_left) * p->C + k),
                  p->sw * p->C, weights + k * TILE_COLS, sums, TILE_COLS, true);
}

/* Missing outputs repeat the first, missing pixels too and add to a spare row. */
static void strip_dots(const struct conv3d_problem *p, const float *input, const float *weights,
                       int64_t x, int64_t x_end, int64_t k, int64_t k_end, float *sums)
{
    float spare[DOT_COLS * LANES] = {0};
    const float *a[DOT_ROWS], *b[DOT_COLS];
    float *sum[DOT_ROWS];
    for (int64_t r = 0; r < DOT_ROWS; r++) {
        const bool there = x + r < x_end;
        a[r] = input + (((there ? x + r : x) * p->sw - p->pad_left) * p->C + k);
        sum[r] = there ? sums + r * DOT_COLS * LANES : spare;
    }
    for (int64_t o = 0; o < DOT_COLS; o++)
        b[o] = weights + (o < p->O ? o : 0) * p->kw * p->C + k;
    dots_add(k_end - k, a, b, sum);
}

static void finish_tile(const struct conv3d_problem *p, int64_t o, const float *sums,
                        const float *aux, float *to)
{
    for (int64_t i = 0; i < TILE_COLS && o + i < p->O; i += LANES) {
        const int n = (int)least(LANES, p->O - o - i);
        const vec sum = vec_load(sums + i);
        vec_store_partial(to + i, n, aux ? vec_add(sum, vec_load_partial(aux + i, n)) : sum);
    }
}

static void finish_dots(const struct conv3d_problem *p, int64_t o, const float *sums,
                        const float *aux, float *to)
{
    for (int64_t i = 0; o + i < p->O; i++)
        to[i] = vec_sum(vec_load(sums + i * LANES)) + (aux ? aux[i] : 0.0f);
}

static struct form form_of(const struct conv3d_problem *p)
{
    if (p->O <= DOT_COLS)
        return (struct form){strip_dots, finish_dots, p->O, DOT_ROWS, LANES, DOT_COLS * LANES};
    return (struct form){strip_tile, finish_tile, TILE_COLS, TILE_ROWS, 1, TILE_COLS};
}

/* ---- borders ---- */

/* Input row of output row (t, y) under taps (i, j); NULL where it lies outside. */
static const float *input_row(const struct conv3d_problem *p, int64_t t, int64_t y, int64_t i,
                              int64_t j)
{
    const int64_t frame = t * p->st + i - (p->lead - p->P), row = y * p->sh + j - p->pad_top;
    if (frame < 0 || row < 0 || row >= p->H)
        return NULL;
    const float *from = frame < p->P ? p->past.data : p->x.data;
    return from + ((frame < p->P ? frame : frame - p->P) * p->H + row) * p->W * p->C;
}

/* Cuts [*x, *x_end) down to the output columns whose tap k lies inside the frame. */
static void inside(const struct conv3d_problem *p, int64_t k, int64_t *x, int64_t *x_end)
{
    const int64_t last = p->W - 1 + p->pad_left - k;
    *x = most(*x, ceil_div(most(0, p->pad_left - k), p->sw));
    *x_end = last < 0 ? *x : least(*x_end, last / p->sw + 1);
}

/* A strip at a border: tap by tap, each for the pixels that have it. */
static void strip_border(const struct conv3d_problem *p, const struct form *f, const float *input,
                         const float *weights, int64_t x, int64_t x_end, int64_t k, int64_t k_end,
                         float *sums)
{
    for (int64_t tap = k / p->C; tap * p->C < k_end; tap++) {
        int64_t first = x, end = x_end;
        inside(p, tap, &first, &end);
        if (first < end)
            f->strip(p, input, weights, first, end, most(k, tap * p->C),
                     least(k_end, (tap + 1) * p->C), sums + (first - x) * f->sum_elems);
    }
}

/* ---- one block ---- */

/* Output pixels [y, y_end) x [x, x_end) of frame t. */
struct block {
    int64_t t, y, y_end, x, x_end;
};

/* Strips of near equal size, because a strip of 1 costs almost as much as one of 4. */
static void row_run(const struct conv3d_problem *p, const struct form *f, const struct block *b,
                    const float *input, const float *weights, int64_t k, int64_t k_end, float *sums)
{
    const int64_t wide = b->x_end - b->x, strips = ceil_div(wide, f->pixels);
    int64_t whole = 0, whole_end = b->x_end;
    inside(p, 0, &whole, &whole_end);
    inside(p, p->kw - 1, &whole, &whole_end);
    for (int64_t i = 0; i < strips; i++) {
        const int64_t x = b->x + wide * i / strips, x_end = b->x + wide * (i + 1) / strips;
        float *s = sums + (x - b->x) * f->sum_elems;
        if (x >= whole && x_end <= whole_end)
            f->strip(p, input, weights, x, x_end, k, k_end, s);
        else
            strip_border(p, f, input, weights, x, x_end, k, k_end, s);
    }
}

/* A sum starts as its bias, in the first of its floats. */
static void block_start(const struct conv3d_problem *p, const struct form *f, const struct block *b,
                        int64_t panel, float *sums)
{
    const int64_t pixels = (b->y_end - b->y) * (b->x_end - b->x);
    for (int64_t i = 0; i < f->sum_elems; i++) {
        const int64_t o = panel * f->cols + i / f->spread;
        const bool biased = tensor_given(&p->bias) && i % f->spread == 0 && o < p->O;
        const float start = biased ? ((const float *)p->bias.data)[o] : 0.0f;
        for (int64_t s = 0; s < pixels; s++)
            sums[s * f->sum_elems + i] = start;
    }
}

static void block_finish(const struct conv3d_problem *p, const struct form *f,
                         const struct block *b, int64_t panel, const float *sums)
{
    const int64_t Ho = conv3d_Ho(p), Wo = conv3d_Wo(p), o = panel * f->cols;
    const float *aux = tensor_given(&p->aux) ? p->aux.data : NULL;
    for (int64_t y = b->y; y < b->y_end; y++)
        for (int64_t x = b->x; x < b->x_end; x++, sums += f->sum_elems) {
            const int64_t at = ((b->t * Ho + y) * Wo + x) * p->O + o;
            f->finish(p, o, sums, aux ? aux + at : NULL, (float *)p->y.data + at);
        }
}

static void block_run(const struct conv3d_problem *p, const struct exec *exec, const struct form *f,
                      const struct block *b, int64_t panel)
{
    _Alignas(TENSOR_ALIGN) float sums[PIXELS_MOST * SUM_ELEMS_MOST];
    const int64_t depth = exec->knob[KNOB_DEPTH], run_elems = p->kw * p->C;
    const int64_t row_elems = (b->x_end - b->x) * f->sum_elems;
    const float *weights = exec->packed;
    weights += panel * p->kt * p->kh * run_elems * f->cols;
    block_start(p, f, b, panel, sums);
    for (int64_t i = 0; i < p->kt; i++)
        for (int64_t j = 0; j < p->kh; j++, weights += run_elems * f->cols)
            for (int64_t k = 0; k < run_elems; k += depth)
                for (int64_t y = b->y; y < b->y_end; y++) {
                    const float *input = input_row(p, b->t, y, i, j);
                    if (input)
                        row_run(p, f, b, input, weights, k, least(k + depth, run_elems),
                                sums + (y - b->y) * row_elems);
                }
    block_finish(p, f, b, panel, sums);
}

/* ---- the op ---- */

/* How outputs become tasks: blocks of high x wide pixels, panels dealt out in groups. */
struct cut {
    int64_t high, wide, down, across, panels, groups;
};

static struct cut cut_of(const struct conv3d_problem *p, const struct form *f, int64_t pixels,
                         int64_t threads)
{
    const int64_t Ho = conv3d_Ho(p), Wo = conv3d_Wo(p), wanted = threads * TASKS_PER_THREAD;
    struct cut c = {.panels = ceil_div(p->O, f->cols)};
    for (;; pixels /= 2) {
        c.wide = ceil_div(Wo, ceil_div(Wo, pixels));
        c.high = least(Ho, pixels / c.wide);
        c.across = ceil_div(Wo, c.wide);
        c.down = ceil_div(Ho, c.high);
        const int64_t blocks = conv3d_To(p) * c.down * c.across;
        c.groups = least(c.panels, ceil_div(wanted, blocks));
        if (blocks * c.panels >= wanted || pixels < 2 * f->pixels)
            return c;
    }
}

static void task_run(const struct conv3d_problem *p, const struct exec *exec, const struct form *f,
                     const struct cut *c, int64_t task)
{
    const int64_t group = task % c->groups, x = task / c->groups % c->across * c->wide;
    const int64_t y = task / c->groups / c->across % c->down * c->high;
    const struct block b = {.t = task / c->groups / c->across / c->down,
                            .y = y,
                            .y_end = least(y + c->high, conv3d_Ho(p)),
                            .x = x,
                            .x_end = least(x + c->wide, conv3d_Wo(p))};
    for (int64_t i = c->panels * group / c->groups; i < c->panels * (group + 1) / c->groups; i++)
        block_run(p, exec, f, &b, i);
}

static enum status run(const struct conv3d_problem *p, const struct exec *exec)
{
    const struct form f = form_of(p);
    const struct cut c = cut_of(p, &f, exec->knob[KNOB_PIXELS], exec->threads);
    const int64_t tasks = conv3d_To(p) * c.down * c.across * c.groups;
#pragma omp parallel for schedule(dynamic) num_threads((int)least(exec->threads, tasks))
    for (int64_t task = 0; task < tasks; task++)
        task_run(p, exec, &f, &c, task);
    return ST_OK;
}

/* Weights [O][C][taps] of one kernel row of one panel. */
static void pack_row(const struct conv3d_problem *p, const struct form *f, int64_t panel,
                     int64_t row, float *to)
{
    const int64_t taps = p->kt * p->kh * p->kw, run_elems = p->kw * p->C;
    const bool dots = f->strip == strip_dots;
    for (int64_t i = 0; i < f->cols; i++) {
        const int64_t o = panel * f->cols + i;
        const float *w = (const float *)p->w.data + o * p->C * taps + row * p->kw;
        for (int64_t k = 0; k < run_elems; k++)
            to[dots ? i * run_elems + k : k * f->cols + i] =
                o < p->O ? w[k % p->C * taps + k / p->C] : 0.0f;
    }
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct conv3d_problem *p = problem;
    const struct form f = form_of(p);
    const int64_t rows = p->kt * p->kh, tasks = ceil_div(p->O, f.cols) * rows;
#pragma omp parallel for num_threads((int)least(exec->threads, tasks))
    for (int64_t i = 0; i < tasks; i++)
        pack_row(p, &f, i / rows, i % rows, (float *)packed + i * p->kw * p->C * f.cols);
    return ST_OK;
}

static bool plan(const struct conv3d_problem *p, const int64_t *knob, struct need *need)
{
    (void)knob;
    const struct tensor *all[] = {&p->x, &p->w, &p->y, &p->past, &p->bias, &p->aux};
    for (int i = 0; i < (int)(sizeof all / sizeof *all); i++)
        if ((all[i]->elem != ELEM_F32 && (i < 3 || tensor_given(all[i]))) ||
            all[i]->scale_layout != SCALE_NONE) {
            need->reason = "serves unscaled f32 tensors only";
            return false;
        }
    const struct form f = form_of(p);
    need->packed_bytes =
        (size_t)(ceil_div(p->O, f.cols) * f.cols * p->kt * p->kh * p->kw * p->C) * sizeof(float);
    return true;
}

#endif
