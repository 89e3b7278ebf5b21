// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_bound.c   Variants for a CUDA device, checked and timed on a device that is plain memory: the
 * functions of gpu.h are defined here and take the place of the library's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check/check.h"
#include "contest/rotation.h"
#include "elem.h"
#include "machine/gpu.h"
#include "ref.h"
#include "timing/measure.h"

/* ---- a device in host memory ----------------------------------------------------------------- */

#define BLOCKS_MAX 32

struct gpu {
    struct gpu_info info;
};

static struct gpu device = {.info = {.name = "plain memory", .l2_bytes = 4096}};
static void *live[BLOCKS_MAX];
static int syncs_left = -1; /* until the device fails; -1: never */
static size_t room_bytes = (size_t)1 << 24;
static double device_clock, mark_at[16];

enum status gpu_open(int index, struct gpu **out, struct fault *fault)
{
    (void)index, (void)fault;
    *out = &device;
    return ST_OK;
}

void gpu_close(struct gpu *g) { (void)g; }
const struct gpu_info *gpu_info(const struct gpu *g) { return &g->info; }

enum status gpu_count(int *count, struct fault *fault)
{
    (void)fault;
    *count = 1;
    return ST_OK;
}

enum status gpu_describe(int index, struct gpu_info *out, struct fault *fault)
{
    (void)index, (void)fault;
    *out = device.info;
    return ST_OK;
}

uint64_t gpu_features(int index)
{
    (void)index;
    return GPU_CUDA;
}

void gpu_exec(const struct gpu *g, struct exec *exec)
{
    exec->device = DEVICE_CUDA;
    exec->stream = (void *)g;
}

enum status gpu_alloc(struct gpu *g, size_t bytes, const char *what, void **out,
                      struct fault *fault)
{
    int i = 0;
    (void)g;
    while (i < BLOCKS_MAX && live[i])
        i++;
    if (i == BLOCKS_MAX || bytes > room_bytes)
        return fault_set(fault, ST_NO_MEMORY, "no room for %s", what);
    *out = live[i] = aligned_alloc(256, (bytes + 255) / 256 * 256);
    return ST_OK;
}

void gpu_free(struct gpu *g, void *memory)
{
    (void)g;
    for (int i = 0; memory && i < BLOCKS_MAX; i++)
        if (live[i] == memory)
            live[i] = NULL;
    free(memory);
}

static int blocks_live(void)
{
    int count = 0;
    for (int i = 0; i < BLOCKS_MAX; i++)
        count += live[i] != NULL;
    return count;
}

enum status gpu_memory_free(struct gpu *g, size_t *free_bytes, struct fault *fault)
{
    (void)g, (void)fault;
    *free_bytes = room_bytes;
    return ST_OK;
}

enum status gpu_copy(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault)
{
    (void)g, (void)fault;
    memcpy(to, from, bytes);
    device_clock += 1e-6;
    return ST_OK;
}

enum status gpu_upload(struct gpu *g, void *to, const void *from, size_t bytes, struct fault *fault)
{
    return gpu_copy(g, to, from, bytes, fault);
}

enum status gpu_download(struct gpu *g, void *to, const void *from, size_t bytes,
                         struct fault *fault)
{
    return gpu_copy(g, to, from, bytes, fault);
}

enum status gpu_fill(struct gpu *g, void *to, unsigned char value, size_t bytes,
                     struct fault *fault)
{
    (void)g, (void)fault;
    memset(to, value, bytes);
    return ST_OK;
}

enum status gpu_sync(struct gpu *g, struct fault *fault)
{
    (void)g;
    if (syncs_left == 0)
        return fault_set(fault, ST_DEVICE, "the device stumbled");
    syncs_left -= syncs_left > 0;
    return ST_OK;
}

/* Work that another stream has left behind delays it. */
static double beside_s;

enum status gpu_sync_device(struct gpu *g, struct fault *fault)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)(1e9 * beside_s)}, NULL);
    return gpu_sync(g, fault);
}

enum status gpu_mark(struct gpu *g, int mark, struct fault *fault)
{
    (void)g, (void)fault;
    mark_at[mark] = device_clock;
    return ST_OK;
}

enum status gpu_elapsed(struct gpu *g, int from, int to, double *seconds, struct fault *fault)
{
    (void)g, (void)fault;
    *seconds = mark_at[to] - mark_at[from];
    return ST_OK;
}

/* What no test here reaches. */
enum status gpu_stage(struct gpu *g, size_t bytes, void **out, struct fault *fault)
{
    (void)g, (void)bytes, (void)out, (void)fault;
    return ST_UNAVAILABLE;
}

enum status gpu_send(struct gpu *g, void *to, const void *staged, size_t bytes, struct fault *fault)
{
    (void)g, (void)to, (void)staged, (void)bytes, (void)fault;
    return ST_UNAVAILABLE;
}

enum status gpu_pinned(struct gpu *g, size_t bytes, void **out, struct fault *fault)
{
    (void)g, (void)bytes, (void)out, (void)fault;
    return ST_UNAVAILABLE;
}

void gpu_pinned_free(struct gpu *g, void *memory) { (void)g, (void)memory; }

enum status gpu_capture_begin(struct gpu *g, struct fault *fault)
{
    (void)g, (void)fault;
    return ST_UNAVAILABLE;
}

enum status gpu_capture_end(struct gpu *g, struct gpu_graph **graph, struct fault *fault)
{
    (void)g, (void)graph, (void)fault;
    return ST_UNAVAILABLE;
}

enum status gpu_graph_launch(struct gpu *g, const struct gpu_graph *graph, struct fault *fault)
{
    (void)g, (void)graph, (void)fault;
    return ST_UNAVAILABLE;
}

int64_t gpu_graph_nodes(const struct gpu_graph *graph)
{
    (void)graph;
    return 0;
}

void gpu_graph_free(struct gpu_graph *graph) { (void)graph; }

enum status gpu_launches(struct gpu *g, enum status (*fn)(void *user), void *user,
                         struct gpu_launch *out, int room, int *count, struct fault *fault)
{
    (void)g, (void)fn, (void)user, (void)out, (void)room, (void)count, (void)fault;
    return ST_UNAVAILABLE;
}

/* ---- variants -------------------------------------------------------------------------------- */

static bool yes(const void *problem, const int64_t *knob, struct need *need)
{
    (void)problem, (void)knob;
    need->scratch_bytes = 250;
    need->state_bytes = 8;
    return true;
}

/* Whether an address lies in a block of the device. */
static bool on_device(const void *at)
{
    for (int i = 0; i < BLOCKS_MAX; i++)
        if (live[i] && (const char *)at >= (const char *)live[i] &&
            (const char *)at < (const char *)live[i] + 65536)
            return true;
    return false;
}

static bool misplaced; /* an address was the host's, or not aligned */
static unsigned narrow_runs, runs;

static void look_at(const void *at)
{
    misplaced = misplaced || !on_device(at) || (uintptr_t)at % TENSOR_ALIGN;
}

static enum status right(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    double value[64];
    look_at(p->a.data);
    look_at(p->y.data);
    look_at(exec->scratch);
    misplaced = misplaced || exec->device != DEVICE_CUDA || *(const int64_t *)exec->state != 0;
    narrow_runs += (uintptr_t)p->y.data % 128 == TENSOR_ALIGN;
    runs++;
    for (int64_t s = 0; s < p->S; s++) {
        ref_elementwise(p, 0, s, value, NULL);
        for (int64_t c = 0; c < p->C; c++)
            elem_put(p->y.data, p->y.elem, s * p->y.stride + c, value[c]);
    }
    device_clock += 1e-3;
    return ST_OK;
}

static enum status behind(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    right(problem, exec);
    ((float *)p->y.data)[(p->S - 1) * p->y.stride + p->C + 2] = 0;
    return ST_OK;
}

static enum status in_front(const void *problem, const struct exec *exec)
{
    right(problem, exec);
    ((char *)((const struct elementwise_problem *)problem)->a.data)[-5] = 1;
    return ST_OK;
}

static enum status in_gap(const void *problem, const struct exec *exec)
{
    const struct elementwise_problem *p = problem;
    right(problem, exec);
    if (p->y.stride > p->C)
        ((float *)p->y.data)[p->C] = 0;
    return ST_OK;
}

static enum status input_edited(const void *problem, const struct exec *exec)
{
    right(problem, exec);
    ((float *)((const struct elementwise_problem *)problem)->a.data)[7] += 1;
    return ST_OK;
}

static enum status row_missing(const void *problem, const struct exec *exec)
{
    struct elementwise_problem p = *(const struct elementwise_problem *)problem;
    p.S--;
    return right(&p, exec);
}

static enum status scratch_overrun(const void *problem, const struct exec *exec)
{
    ((char *)exec->scratch)[250] = 1;
    return right(problem, exec);
}

static enum status scratch_believed(const void *problem, const struct exec *exec)
{
    right(problem, exec);
    ((float *)((const struct elementwise_problem *)problem)->y.data)[0] +=
        ((const float *)exec->scratch)[3];
    return ST_OK;
}

static enum status reports(const void *problem, const struct exec *exec)
{
    (void)problem, (void)exec;
    return ST_DEVICE;
}

static bool packs(const void *problem, const int64_t *knob, struct need *need)
{
    const struct linear_problem *p = problem;
    (void)knob;
    need->packed_bytes = (size_t)(p->O * p->K) * sizeof(float);
    return true;
}

static enum status pack(const void *problem, const struct exec *exec, void *packed)
{
    const struct linear_problem *p = problem;
    (void)exec;
    look_at(packed);
    look_at(p->w.data);
    memcpy(packed, p->w.data, (size_t)(p->O * p->K) * sizeof(float));
    return ST_OK;
}

static enum status run_packed(const void *problem, const struct exec *exec)
{
    struct linear_problem p = *(const struct linear_problem *)problem;
    double value[64];
    misplaced = misplaced || p.w.data != NULL;
    p.w.data = (void *)exec->packed;
    for (int64_t s = 0; s < p.S; s++) {
        ref_linear(&p, 0, s, value, NULL);
        for (int64_t o = 0; o < p.O; o++)
            elem_put(p.y.data, p.y.elem, s * p.y.stride + o, value[o]);
    }
    return ST_OK;
}

/* ---- checks ---------------------------------------------------------------------------------- */

struct form {
    const char *line;
    bool in_place, spread;
};

static const struct form plain = {"elementwise:S=9,C=33,kind=silu,type=f32", false, false};

static struct check_result check(const struct variant *v, const struct form *f, uint64_t seed)
{
    struct problem shape;
    struct operands o;
    struct bound b;
    struct fault fault = {""};
    struct check_result r = {.status = ST_OK};
    misplaced = false;
    narrow_runs = runs = 0;
    if (shape_parse(f->line, &shape, &fault) != ST_OK ||
        operands_new(&shape, f->in_place, f->spread, &o, &fault) != ST_OK)
        fail_msg("%s: %s", f->line, fault.text);
    r.status = bound_new(v, NULL, &o, 2, &b, &fault);
    if (r.status == ST_OK) {
        assert_true(bound_bytes(&b) > 0);
        operands_fill(&o, seed, PATTERN_RANDOM);
        check_bound(&b, seed, 9, &r);
        bound_free(&b);
    } else {
        snprintf(r.text, sizeof r.text, "%.500s", fault.text);
    }
    operands_free(&o);
    assert_int_equal(blocks_live(), 0);
    assert_false(misplaced);
    return r;
}

#define VARIANT_OF(OP, PLAN, RUN, ...)                                                             \
    &(const struct variant)                                                                        \
    {                                                                                              \
        .abi = PATCHMARK_ABI, .op = OP, .name = "test", .plan = PLAN, .run = RUN,                  \
        .needs = GPU_CUDA, __VA_ARGS__                                                             \
    }

static void expect(enum status (*run)(const void *, const struct exec *), const struct form *f,
                   enum status status, const char *text)
{
    struct check_result r = check(VARIANT_OF("elementwise", yes, run), f, 4);
    if (r.status != status || !strstr(r.text, text))
        fail_msg("status %d '%s', wanted %d '%s'", (int)r.status, r.text, (int)status, text);
}

static void right_passes_in_every_form(void **state)
{
    static const struct form forms[] = {{"elementwise:S=9,C=33,kind=silu,type=f32", false, false},
                                        {"elementwise:S=9,C=33,kind=silu,type=f32", true, false},
                                        {"elementwise:S=9,C=33,kind=add,type=bf16", false, true},
                                        {"elementwise:S=1,C=7,kind=affine,type=f16", true, false}};
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (uint64_t seed = 4; seed < 6; seed++) {
            struct check_result r = check(VARIANT_OF("elementwise", yes, right), &forms[i], seed);
            if (r.status != ST_OK)
                fail_msg("%s: %s", forms[i].line, r.text);
            assert_true(r.worst == 0 && r.checked_ratio == 1);
            assert_int_equal(runs, 3);
            assert_int_equal(narrow_runs, seed % 2 ? 3 : 0);
        }
}

static void stray_writes_are_seen(void **state)
{
    static const struct form spread = {"elementwise:S=9,C=33,kind=silu,type=f32", false, true};
    (void)state;
    expect(behind, &plain, ST_WRONG, "past the end of y on the device (byte 8 behind it)");
    expect(in_front, &plain, ST_WRONG, "wrote 5 bytes in front of a on the device");
    expect(in_gap, &spread, ST_WRONG, "into the gap behind row 0 of y");
    expect(input_edited, &plain, ST_WRONG, "changed its input a at row 0, element 7");
    expect(scratch_overrun, &plain, ST_WRONG, "past the end of its scratch on the device (byte 0");
}

static void what_was_left_is_not_believed(void **state)
{
    (void)state;
    expect(row_missing, &plain, ST_WRONG, "unwritten");
    expect(scratch_believed, &plain, ST_NONFINITE, "row 0");
}

static void packed_weights_are_gone(void **state)
{
    static const struct form form = {"linear:S=5,K=12,O=7,type=f32", false, false};
    (void)state;
    struct check_result r =
        check(VARIANT_OF("linear", packs, run_packed, .prepare = pack), &form, 4);
    if (r.status != ST_OK)
        fail_msg("%s", r.text);
}

/* An error that sticks ends the check at once, with the device's own sentence. */
static void device_errors_end_a_check(void **state)
{
    (void)state;
    expect(reports, &plain, ST_DEVICE, "run() reported an error");
    syncs_left = 1;
    expect(right, &plain, ST_DEVICE, "the device stumbled");
    assert_int_equal(runs, 1);
    syncs_left = -1;
}

static void device_without_room_refuses(void **state)
{
    (void)state;
    room_bytes = 10000;
    expect(right, &plain, ST_OK, "");
    room_bytes = 8300;
    expect(right, &plain, ST_NO_MEMORY, "no room for a");
    room_bytes = (size_t)1 << 24;
}

/* For tools that watch memory: blocks of the very size, nothing filled. It cannot be undone, so this
 * is the last of the checks. */
static void bare_blocks_are_exact(void **state)
{
    (void)state;
    device_memory_bare();
    room_bytes = 9 * 33 * sizeof(float);
    expect(right, &plain, ST_OK, "");
    expect(input_edited, &plain, ST_WRONG, "changed its input a");
    room_bytes = (size_t)1 << 24;
}

/* ---- time ------------------------------------------------------------------------------------ */

static enum status tick(void *user, int64_t iterations)
{
    device_clock += 1e-3 * (double)iterations;
    return *(int *)user ? ST_DEVICE : ST_OK;
}

static void events_time_by_the_device(void **state)
{
    double samples[3] = {0}, wall = 0;
    int fails = 0;
    struct fault fault = {""};
    (void)state;
    assert_int_equal(measure_events(&device, "tick", tick, &fails, 5, 3, samples, &wall, &fault),
                     ST_OK);
    for (int i = 0; i < 3; i++)
        assert_true(fabs(samples[i] - 1e-3) < 1e-9);
    assert_true(wall >= 0 && wall < 1);
    fails = 1;
    assert_int_equal(measure_events(&device, "tick", tick, &fails, 5, 3, samples, &wall, &fault),
                     ST_DEVICE);
    assert_non_null(strstr(fault.text, "tick failed while it was timed"));
}

/* A variant that leaves its work to a stream of its own: the marks see nothing, the wall does. */
static void work_beside_the_stream_is_in_the_wall(void **state)
{
    (void)state;
    struct fault fault = {""};
    double samples[3] = {0}, wall = 0, events = 0;
    char reason[160];
    int fails = 0;
    beside_s = 0.03;
    assert_int_equal(measure_events(&device, "tick", tick, &fails, 1, 3, samples, &wall, &fault),
                     ST_OK);
    beside_s = 0;
    for (int i = 0; i < 3; i++)
        events += samples[i];
    assert_true(wall >= 0.03);
    assert_false(measure_clocks_agree(events, wall, reason, sizeof reason));
}

static void clocks_contradict_each_other(void **state)
{
    static const struct {
        double events, wall;
        bool agree;
    } rows[] = {{0.100, 0.101, true},  {0.100, 0.096, true},  {0.100, 0.095, false},
                {0.001, 0.0001, true}, {0.100, 0.106, false}, {0.001, 0.02, false},
                {0.001, 0.004, true},  {0.006, 0.0067, true}, {0.006, 0.0069, false}};
    char reason[160];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        reason[0] = '\0';
        bool agree = measure_clocks_agree(rows[i].events, rows[i].wall, reason, sizeof reason);
        if (agree != rows[i].agree || agree != !reason[0])
            fail_msg("row %zu: '%s'", i, reason);
    }
}

/* A copy takes a microsecond there, read and written are counted; no room for buffers well beyond
 * the cache is no figure. */
static void copies_count_both_ways(void **state)
{
    double rate = 0;
    struct fault fault = {""};
    (void)state;
    room_bytes = (size_t)1 << 20;
    assert_int_equal(measure_device_copy(&device, &rate, &fault), ST_OK);
    assert_true(fabs(rate / (2.0 * (1 << 18) / 1e-6) - 1) < 1e-6);
    room_bytes = 4096;
    assert_int_equal(measure_device_copy(&device, &rate, &fault), ST_OK);
    assert_true(rate == 0);
    room_bytes = (size_t)1 << 24;
    assert_int_equal(blocks_live(), 0);
}

/* Copies of what rotates are on the device too, and each is what the run before it was not. */
static void copies_rotate_on_the_device(void **state)
{
    (void)state;
    for (int i = CACHE_COLD_ROTATE; i < CACHE_STATES; i++) {
        struct problem shape;
        struct operands o;
        struct bound b;
        struct rotation r;
        struct check_result result;
        struct fault fault = {""};
        uint64_t hash;
        assert_int_equal(shape_parse("linear:S=5,K=12,O=7,type=f32", &shape, &fault), ST_OK);
        assert_int_equal(operands_new(&shape, false, false, &o, &fault), ST_OK);
        operands_fill(&o, 4, PATTERN_RANDOM);
        const struct variant *v = VARIANT_OF("linear", packs, run_packed, .prepare = pack);
        if (bound_new(v, NULL, &o, 2, &b, &fault) != ST_OK || bound_prepare(&b, &fault) != ST_OK ||
            rotation_new((enum cache_state)i, 2000, &b, &r, &fault) != ST_OK ||
            rotation_renew(&r, 5, &fault) != ST_OK)
            fail_msg("%s", fault.text);
        assert_true(on_device(r.memory) && r.copies > 4);
        for (int run = 0; run < r.copies + 1; run++)
            assert_int_equal(rotation_run(&r), ST_OK);
        if (rotation_left(&r, &hash, &fault) != ST_OK)
            fail_msg("%s", fault.text);
        check_bound(&b, 5, 9, &result);
        assert_int_equal(result.status, ST_OK);
        assert_true(check_outputs_hash(&o) == hash);
        rotation_free(&r);
        bound_free(&b);
        operands_free(&o);
        assert_int_equal(blocks_live(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_passes_in_every_form),
        cmocka_unit_test(stray_writes_are_seen),
        cmocka_unit_test(what_was_left_is_not_believed),
        cmocka_unit_test(packed_weights_are_gone),
        cmocka_unit_test(device_errors_end_a_check),
        cmocka_unit_test(device_without_room_refuses),
        cmocka_unit_test(events_time_by_the_device),
        cmocka_unit_test(work_beside_the_stream_is_in_the_wall),
        cmocka_unit_test(clocks_contradict_each_other),
        cmocka_unit_test(copies_count_both_ways),
        cmocka_unit_test(bare_blocks_are_exact),
        cmocka_unit_test(copies_rotate_on_the_device),
    };
    return cmocka_run_group_tests_name("bound", tests, NULL, NULL);
}
