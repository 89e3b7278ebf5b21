// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* wgmma.cc   Matrix products of a warpgroup, each warp its 16 rows of the 64. Tiles are found by
 * matrix descriptors with 128-byte swizzle (PTX ISA, "Asynchronous warpgroup level matrix shared
 * memory layout"). */
#include "core.h"
#include "narrow.h"
#include "race.h"

#include <string.h>

enum { WINDOW = 1024 }; /* the first shared address; 0 is too easily right by chance */

struct wgmma {
    const char *what;
    int columns, accumulate;
    uint64_t desc_a, desc_b;
    bool a_in_registers, b_transposed;
    uint32_t a[32][4];
    float *d[32];
    struct race_agent agent;
};

struct warp_products {
    bool fenced;
    int issued;
    std::vector<struct wgmma> open;
    std::deque<std::vector<struct wgmma>> groups;
};
static std::vector<struct warp_products> products; /* by warp */

static int own_warp() { return emu_self->number >> 5; }

static struct warp_products *own_products() { return &products[own_warp()]; }

/* ---- descriptors ----------------------------------------------------------------------------- */

uint32_t emu_shared_address(const void *shared)
{
    size_t offset = (size_t)((const char *)shared - emu_block.shared);
    if (!emu_block.shared || offset >= emu_block.shared_bytes)
        emu_finding("a matrix descriptor of address %p, outside of dynamic shared memory", shared);
    return WINDOW + (uint32_t)offset;
}

static uint32_t desc_start(uint64_t desc) { return (uint32_t)(desc & 0x3fff) << 4; }
static uint32_t desc_leading(uint64_t desc) { return (uint32_t)(desc >> 16 & 0x3fff) << 4; }
static uint32_t desc_stride(uint64_t desc) { return (uint32_t)(desc >> 32 & 0x3fff) << 4; }

static void desc_check(const char *what, uint64_t desc)
{
    if (desc >> 62 != 1)
        emu_finding("%s: a descriptor without 128-byte swizzle", what);
    if (desc >> 49 & 7 || desc_start(desc) >> 7 & 7)
        emu_finding("%s: the descriptor's start %#x is not in the first row of a 1024-byte atom",
                    what, desc_start(desc));
}

/* 16 bytes, 8 elements, at an address before swizzling. */
static void chunk_read(const struct wgmma *w, uint32_t address, uint16_t out[8])
{
    address ^= (address >> 7 & 7) << 4;
    if (address < WINDOW || address - WINDOW + 16 > emu_block.shared_bytes)
        emu_finding("%s: its tile reaches byte %d of %zu of dynamic shared memory", w->what,
                    (int)address - WINDOW + 16, emu_block.shared_bytes);
    const char *from = emu_block.shared + (address - WINDOW);
    race_agent_read(&w->agent, from, 16);
    memcpy(out, from, 16);
}

/* Row `i` of a K-major tile, 16 elements along the reduction. */
static void row_read(const struct wgmma *w, uint64_t desc, int i, float out[16])
{
    uint16_t bits[16];
    uint32_t at =
        desc_start(desc) + (uint32_t)(i / 8) * desc_stride(desc) + (uint32_t)(i % 8) * 128;
    chunk_read(w, at, bits);
    chunk_read(w, at + 16, bits + 8);
    for (int k = 0; k < 16; k++)
        out[k] = narrow_from_bf16(bits[k]);
}

/* 8 columns of an MN-major tile at place `k` of the reduction. */
static void columns_read(const struct wgmma *w, int column, int k, float out[8])
{
    uint16_t bits[8];
    uint32_t at = desc_start(w->desc_b) + (uint32_t)(column / 64) * desc_leading(w->desc_b) +
                  (uint32_t)(k / 8) * desc_stride(w->desc_b) + (uint32_t)(k % 8) * 128 +
                  (uint32_t)(column % 64) * 2;
    chunk_read(w, at, bits);
    for (int i = 0; i < 8; i++)
        out[i] = narrow_from_bf16(bits[i]);
}

/* ---- the product ----------------------------------------------------------------------------- */

static void load_a(const struct wgmma *w, int warp, float a[16][16])
{
    if (!w->a_in_registers)
        for (int row = 0; row < 16; row++)
            row_read(w, w->desc_a, warp % 4 * 16 + row, a[row]);
    else
        for (int lane = 0; lane < 32; lane++)
            for (int q = 0; q < 4; q++) {
                float *at = &a[lane / 4 + q % 2 * 8][lane % 4 * 2 + q / 2 * 8];
                at[0] = narrow_from_bf16((uint16_t)w->a[lane][q]);
                at[1] = narrow_from_bf16((uint16_t)(w->a[lane][q] >> 16));
            }
}

static void load_b(const struct wgmma *w, float b[16][256])
{
    if (w->b_transposed) {
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < w->columns; column += 8)
                columns_read(w, column, k, &b[k][column]);
        return;
    }
    for (int column = 0; column < w->columns; column++) {
        float row[16];
        row_read(w, w->desc_b, column, row);
        for (int k = 0; k < 16; k++)
            b[k][column] = row[k];
    }
}

static float *element(const struct wgmma *w, int row, int column)
{
    return &w->d[row % 8 * 4 + column % 8 / 2][column / 8 * 4 + row / 8 * 2 + column % 2];
}

static void run(const struct wgmma *w, int warp)
{
    static float b[16][256];
    float a[16][16];
    load_a(w, warp, a);
    load_b(w, b);
    for (int row = 0; row < 16; row++) {
        float sum[256];
        for (int column = 0; column < w->columns; column++)
            sum[column] = w->accumulate ? *element(w, row, column) : 0;
        for (int k = 0; k < 16; k++)
            for (int column = 0; column < w->columns; column++)
                sum[column] += a[row][k] * b[k][column];
        for (int column = 0; column < w->columns; column++)
            *element(w, row, column) = sum[column];
    }
}

/* ---- issue, commit, wait --------------------------------------------------------------------- */

struct issue {
    struct wgmma common;
    float *d;
    const uint32_t *a;
};

static void lanes_check(void **arguments)
{
    for (int lane = 0; lane < 32; lane++) {
        const struct issue *i = (const struct issue *)arguments[lane];
        const struct issue *first = (const struct issue *)arguments[0];
        if (!i || !first)
            emu_finding("wgmma: lane %d takes no part", lane);
        if (i->common.desc_a != first->common.desc_a || i->common.desc_b != first->common.desc_b ||
            i->common.accumulate != first->common.accumulate)
            emu_finding("%s: the lanes' descriptors differ", i->common.what);
    }
}

static void issue_act(void **arguments)
{
    lanes_check(arguments);
    struct warp_products *p = own_products();
    struct wgmma w = ((const struct issue *)arguments[0])->common;
    if (emu_block.threads < (own_warp() / 4 + 1) * 128)
        emu_finding("%s: the block has no whole warpgroup here", w.what);
    if (!p->fenced)
        emu_finding("%s: no wgmma_fence since the last wait", w.what);
    for (int lane = 0; lane < 32; lane++) {
        const struct issue *i = (const struct issue *)arguments[lane];
        w.d[lane] = i->d;
        if (w.a_in_registers)
            memcpy(w.a[lane], i->a, sizeof w.a[lane]);
    }
    race_warp_start(&w.agent, own_warp());
    p->issued++;
    if (emu_asked()->eager)
        run(&w, own_warp());
    p->open.push_back(w);
}

static void lanes_issue(const struct issue *i)
{
    emu_meet(~0u, i->common.what, (void *)i, issue_act);
}

void emu_wgmma(float *d, int columns, uint64_t desc_a, uint64_t desc_b, int accumulate,
               bool b_transposed)
{
    struct issue i = {};
    i.common.what = b_transposed ? "wgmma_bf16_bt" : "wgmma_bf16";
    i.common.columns = columns, i.common.accumulate = accumulate;
    i.common.desc_a = desc_a, i.common.desc_b = desc_b, i.common.b_transposed = b_transposed;
    i.d = d;
    desc_check(i.common.what, desc_a);
    desc_check(i.common.what, desc_b);
    lanes_issue(&i);
}

void emu_wgmma_rs(float *d, int columns, const uint32_t *a, uint64_t desc_b, int accumulate,
                  bool b_transposed)
{
    struct issue i = {};
    i.common.what = b_transposed ? "wgmma_bf16_rs_bt" : "wgmma_bf16_rs";
    i.common.columns = columns, i.common.accumulate = accumulate;
    i.common.desc_b = desc_b, i.common.b_transposed = b_transposed;
    i.common.a_in_registers = true;
    i.d = d, i.a = a;
    desc_check(i.common.what, desc_b);
    lanes_issue(&i);
}

static void fence_act(void **) { own_products()->fenced = true; }

static void commit_act(void **)
{
    struct warp_products *p = own_products();
    p->groups.push_back(std::move(p->open));
    p->open.clear();
}

static void wait_act(void **arguments)
{
    struct warp_products *p = own_products();
    int most = *(const int *)arguments[emu_lane()];
    while ((int)p->groups.size() > most) {
        for (auto &w : p->groups.front()) {
            if (!emu_asked()->eager)
                run(&w, own_warp());
            race_warp_wait(&w.agent, own_warp());
        }
        p->groups.pop_front();
    }
    p->fenced = false;
}

void emu_wgmma_fence() { emu_meet(~0u, "wgmma_fence", &products, fence_act); }

void emu_wgmma_commit() { emu_meet(~0u, "wgmma_commit", &products, commit_act); }

void emu_wgmma_wait(int groups) { emu_meet(~0u, "wgmma_wait", &groups, wait_act); }

/* setmaxnreg */
void emu_registers() { emu_meet(~0u, "registers_increase or _decrease", &products, NULL); }

/* ---- life ------------------------------------------------------------------------------------ */

void emu_wgmma_begin()
{
    products.resize((emu_block.threads + 31) / 32);
    for (auto &p : products)
        p.fenced = false, p.issued = 0;
}

void emu_wgmma_end()
{
    for (size_t w = 0; w < products.size(); w++) {
        struct warp_products *p = &products[w];
        if (!p->open.empty() || !p->groups.empty())
            emu_finding("warp %zu ends with wgmma that it never waited for", w);
        if (p->issued != products[w / 4 * 4].issued)
            emu_finding("warps %zu and %zu of one warpgroup issued %d and %d wgmma", w / 4 * 4, w,
                        products[w / 4 * 4].issued, p->issued);
    }
}
