// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* panel.h   Linear layer on packed weight panels, in the vector words of the target header included
 * before it.
 *
 * packed [panel][K][TILE_COLS]: weights K-major, TILE_COLS outputs side by side, zeros past O.
 * Outputs are cut into rectangles, a few for each thread. Within a rectangle, a block of `rows` x
 * `cols` sums stays in scratch as [panel][rows][TILE_COLS] while K goes by in steps of `depth`: a
 * panel's step stays in the first cache while all row strips of the block meet it. The epilogue
 * follows the last step, when a tile's sums are still in the first cache. Each sum adds its
 * products in the order of k whatever the partition, so threads do not change a bit. */
#ifndef PATCHMARK_LINEAR_PANEL_H
#define PATCHMARK_LINEAR_PANEL_H

#include <omp.h>

#include "denoise/linear/linear.h"

enum { KNOB_ROWS, KNOB_COLS, KNOB_DEPTH };
enum { PARTS_PER_THREAD = 4, TILES_PER_PART = 16 };

// clang-format off
#define PANEL_KNOBS                                                                                \
    {{"rows", 4, {96, 48, 192, 24}}, {"cols", 3, {256, 128, 512}},                                 \
     {"depth", 4, {256, 384, 192, 128}}}
// clang-format on

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

struct rectangle {
    int64_t row, row_end, panel, panel_end;
};

/* ---- the epilogue ---- */

/* y from the sum a of n outputs at (row, o). */
static vec finish(const struct linear_problem *p, vec a, int64_t row, int64_t o, int n)
{
    if (p->epilogue == EPI_GELU)
        return vec_gelu(a);
    if (p->epilogue == EPI_SILU)
        return vec_silu(a);
    if (p->epilogue == EPI_NONE)
        return a;
    const vec aux = vec_load_partial((const float *)p->aux.data + row * p->aux.stride + o, n);
    if (p->epilogue == EPI_ADD)
        return vec_add(aux, a);
    if (p->epilogue == EPI_MUL)
        return vec_mul(aux, a);
    const float *gate = (const float *)p->gate.data + row / (p->S / p->G) * p->gate.stride + o;
    return vec_fma(vec_load_partial(gate, n), a, aux);
}

static void finish_tile(const struct linear_problem *p, int64_t row, int rows, int64_t panel,
                        const float *sums)
{
    for (int64_t i = 0, o = panel * TILE_COLS; i < TILE_COLS && o < p->O; i += LANES, o += LANES) {
        const int n = (int)least(LANES, p->O - o);
        const vec bias = tensor_given(&p->bias)
                             ? vec_load_partial((const float *)p->bias.data + o, n)
                             : vec_zero();
        for (int r = 0; r < rows; r++) {
            const vec a = vec_add(vec_load(sums + r * TILE_COLS + i), bias);
            vec_store_partial((float *)p->y.data + (row + r) * p->y.stride + o, n,
                              finish(p, a, row + r, o, n));
        }
    }
}

/* ---- the product ---- */

static void block_run(const struct linear_problem *p, const struct exec *exec,
                      const struct rectangle *at, float *sums)
{
    const int64_t depth = exec->knob[KNOB_DEPTH];
    const int64_t rows = ceil_div(at->row_end - at->row, TILE_ROWS) * TILE_ROWS;
    const float *x = p->x.data, *packed = exec->packed;
    for (int64_t k = 0; k < p->K; k += depth) {
        const int64_t step = least(depth, p->K - k);
        for (int64_t panel = at->panel; panel < at->panel_end; panel++) {
            const float *b = packed + (panel * p->K + k) * TILE_COLS;
            float *c = sums + (panel - at->panel) * rows * TILE_COLS;
            for (int64_t s = at->row; s < at->row_end; s += TILE_ROWS, c += TILE_ROWS * TILE_COLS) {
                const int height = (int)least(TILE_ROWS, at->row_end - s);
                tile_multiply(height, step, x + s * p->x.stride + k, p->x.stride, b, c, TILE_COLS,
                              k > 0);
                if (k + step == p->K)
                    finish_tile(p, s, height, panel, c);
            }
        }
    }
}

static void rectangle_run(const struct linear_problem *p, const struct exec *exec,
                          const struct rectangle *r, float *sums)
{
    const int64_t rows = exec->knob[KNOB_ROWS], panels = exec->knob[KNOB_COLS] / TILE_COLS;
    for (int64_t panel = r->panel; panel < r->panel_end; panel += panels)
        for (int64_t row = r->row; row < r->row_end; row += rows) {
            const struct rectangle block = {row, least(row + rows, r->row_end), panel,
                                            least(panel + panels, r->panel_end)};
            block_run(p, exec, &block, sums);
        }
}

/* Cuts strips x panels into at most `parts` equal rectangles: the least work for the busiest
 * thread, then the least edge, which is what has to be read. */
static void cut(int64_t strips, int64_t panels, int64_t parts, int64_t threads, int64_t *down,
                int64_t *across)
{
    int64_t best = INT64_MAX, best_edge = INT64_MAX;
    for (int64_t d = 1; d <= least(parts, strips); d++) {
        const int64_t a = least(parts / d, panels);
        const int64_t high = ceil_div(strips, d), wide = ceil_div(panels, a);
        const int64_t used = ceil_div(strips, high) * ceil_div(panels, wide);
        const int64_t cost = high * wide * ceil_div(used, threads);
        const int64_t edge = high * TILE_ROWS + wide * TILE_COLS;
        if (cost < best || (cost == best && edge < best_edge)) {
            best = cost;
            best_edge = edge;
            *down = ceil_div(strips, high);
            *across = ceil_div(panels, wide);
        }
    }
}

static enum status run(const struct linear_problem *p, const struct exec *exec)
{
    const int64_t strips = ceil_div(p->S, TILE_ROWS), panels = ceil_div(p->O, TILE_COLS);
    const int64_t threads = exec->threads;
    const bool large = strips * panels >= threads * PARTS_PER_THREAD * TILES_PER_PART;
    int64_t down = 1, across = 1;
    cut(strips, panels, large ? threads * PARTS_PER_THREAD : threads, threads, &down, &across);
    const int64_t high = ceil_div(strips, down) * TILE_ROWS, wide = ceil_div(panels, across);
    const int64_t block =
        least(exec->knob[KNOB_ROWS], high) * least(exec->knob[KNOB_COLS], wide * TILE_COLS);
#pragma omp parallel for schedule(dynamic) num_threads((int)least(threads, down *across))
    for (int64_t i = 0; i < down * across; i++) {
        const int64_t row = i / across * high, panel = i % across * wide;
        const struct rectangle r = {row, least(row + high, p->S), panel,
                                    least(panel + wide, panels)};
        rectangle_run(p, exec, &r, (float *)exec->scratch + omp_get_thread_num() * block);
    }
    return ST_OK;
}

static enum status prepare(const void *problem, const struct exec *exec, void *packed)
{
    const struct linear_problem *p = problem;
    const int64_t panels = ceil_div(p->O, TILE_COLS);
#pragma omp parallel for num_threads((int)least(exec->threads, panels))
    for (int64_t panel = 0; panel < panels; panel++) {
        const int64_t o = panel * TILE_COLS;
        panel_pack((const float *)p->w.data + o * p->K, p->K, least(TILE_COLS, p->O - o), p->K,
                   (float *)packed + o * p->K);
    }
    return ST_OK;
}

static bool plan(const struct linear_problem *p, const int64_t *knob, struct need *need)
{
    const struct tensor *all[] = {&p->x, &p->w, &p->y, &p->bias, &p->gate, &p->aux};
    for (int i = 0; i < (int)(sizeof all / sizeof *all); i++)
        if ((all[i]->elem != ELEM_F32 && (i < 3 || tensor_given(all[i]))) ||
            all[i]->scale_layout != SCALE_NONE) {
            need->reason = "serves unscaled f32 tensors only";
            return false;
        }
    /* One block for each thread. Blocks at work are disjoint parts of at most 2 strips x 2 panels,
     * for cutting rounds either up to less than its double. */
    const int64_t strips = ceil_div(p->S, TILE_ROWS), panels = ceil_div(p->O, TILE_COLS);
    const int64_t elems = least(need->threads * knob[KNOB_ROWS] * knob[KNOB_COLS],
                                4 * strips * TILE_ROWS * panels * TILE_COLS);
    need->scratch_bytes = (size_t)elems * sizeof(float);
    need->packed_bytes = (size_t)(panels * TILE_COLS * p->K) * sizeof(float);
    return true;
}

#endif
