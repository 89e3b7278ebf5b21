// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_replicas.c   Several workers at once: where each of them is put, what is counted, and what a
 * slow, a crashing and a too large one cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/host.h"
#include "run/replica_place.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

static struct replica_place place[REPLICAS_MAX];

/* ---- places ---------------------------------------------------------------------------------- */

/* Two nodes of four cores with two processors each, numbered as x86 does: 0-3 8-11 and 4-7 12-15. */
static const char *two_nodes(struct topology *t)
{
    const char *root = at("%s/two", folder);
    char command[512];
    snprintf(command, sizeof command,
             "n=%s/sys/devices/system/node; mkdir -p $n/node0 $n/node1;"
             " echo 0-3,8-11 > $n/node0/cpulist; echo 4-7,12-15 > $n/node1/cpulist",
             root);
    assert_int_equal(system(command), 0);
    *t = (struct topology){.count = 16, .cores = 8, .by = "none"};
    for (int i = 0; i < 16; i++)
        t->cpu[i] = i;
    return root;
}

static enum status places_of(const struct topology *t, const char *root, int replicas, int threads,
                             struct fault *fault)
{
    return replica_places_cpu(t, root, replicas, threads, place, fault);
}

static void each_has_cores_of_its_own(void **state)
{
    struct fault fault = {{0}};
    struct topology t;
    const char *root = two_nodes(&t);
    (void)state;
    assert_int_equal(replica_nodes(root), 2);
    assert_int_equal(places_of(&t, root, 2, 4, &fault), ST_OK);
    assert_string_equal(place[0].pinning.list, "0,1,2,3");
    assert_string_equal(place[1].pinning.list, "4,5,6,7");
    assert_int_equal(place[0].node + 2 * place[1].node, 2);
    assert_int_equal(places_of(&t, root, 4, 1, &fault), ST_OK);
    assert_string_equal(place[0].pinning.list, "0");
    assert_string_equal(place[3].pinning.list, "6");
    assert_int_equal(place[3].node, 1);
}

/* More threads than cores: two share one. */
static void too_few_cores_are_shared_and_processors_refused(void **state)
{
    struct fault fault = {{0}};
    struct topology t;
    const char *root = two_nodes(&t);
    (void)state;
    assert_int_equal(places_of(&t, root, 3, 5, &fault), ST_OK);
    assert_string_equal(place[2].pinning.list, "10,11,12,13,14");
    assert_int_equal(places_of(&t, root, 3, 6, &fault), ST_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "want 18 processors"));
    assert_int_equal(replica_nodes("/nowhere"), 1);
}

static void words_for_several_devices(void **state)
{
    (void)state;
    assert_null(replica_device_first("cpu"));
    assert_null(replica_device_first("cuda:2"));
    assert_string_equal(replica_device_first("cuda:2-5"), "cuda:2");
    assert_string_equal(replica_device_first("cuda:1+3"), "cuda:1");
    assert_string_equal(replica_device_first("cuda:all"), "cuda:0");
}

/* ---- the program ----------------------------------------------------------------------------- */

/* `run` of two replicas with one thread each, and what else is asked for. */
static struct spawned run_two(const char *first, ...)
{
    const char *argv[24] = {BUILD_DIR "/patchmark", "run",          "--size=32x32",
                            "--frames=1",           "--steps=1",    "--threads=1",
                            "--replicas=2",         "--budget=0.3", "--format=json"};
    int n = 9;
    va_list more;
    va_start(more, first);
    for (const char *word = first; word && n < 23; word = va_arg(more, const char *))
        argv[n++] = word;
    va_end(more);
    struct spawned s = spawn_program((char *const *)argv, NULL);
    if (!json_valid(s.out))
        fail_msg("exit %d:\n%s%s", s.code, s.out, s.err);
    return s;
}

/* The number behind the nth place where a key stands. */
static double number(const struct spawned *s, const char *key, int nth)
{
    char quoted[64];
    const char *at = s->out;
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    for (int i = 0; i <= nth && at; i++)
        at = (at = strstr(at, quoted)) ? at + strlen(quoted) : NULL;
    if (!at)
        fail_msg("no %s in\n%s%s", key, s->out, s->err);
    return strtod(at, NULL);
}

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || !strstr(s->out, says))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

static void needs_two(void)
{
    if (host_cores() < 2)
        skip();
}

static void clips_of_all_are_counted(void **state)
{
    (void)state;
    needs_two();
    struct spawned s = run_two("--replicas=1,2", "--results=none", NULL);
    assert_int_equal(s.code, 0);
    for (int i = 0; i < 2; i++) {
        const double clips = number(&s, "clips", i), window_s = number(&s, "window_s", i);
        assert_int_equal((int)number(&s, "count", i), i + 1);
        assert_true(window_s >= 0.3);
        assert_true(clips >= 3 * (i + 1));
        assert_float_equal(number(&s, "clips_per_h", i), 3600 * clips / window_s, 1e-3 * clips);
        assert_float_equal(number(&s, "core_s_per_clip", i), (i + 1) * window_s / clips, 1e-6);
        assert_true(number(&s, "p50_ns", i) <= number(&s, "p90_ns", i));
    }
    const double ratio = number(&s, "clips_per_h", 1) / number(&s, "clips_per_h", 0);
    assert_float_equal(number(&s, "speedup_over_one", 1), ratio, 1e-6);
    assert_float_equal(number(&s, "efficiency", 1), ratio / 2, 1e-6);
}

#define PLANTED(name)                                                                              \
    "--plugin=" BUILD_DIR "/tests/broken/" name ".so", "--kernels=rms_norm=broken_90_" name

static void a_slow_replica_is_seen(void **state)
{
    (void)state;
    needs_two();
    struct spawned s =
        run_two("--repetitions=2", "--results=none", PLANTED("slow_elsewhere"), NULL);
    assert_int_equal(s.code, 0);
    assert_true(number(&s, "slowest_over_fastest", 0) < 0.6);
}

static void a_crash_costs_its_row_alone(void **state)
{
    (void)state;
    needs_two();
    struct spawned s =
        run_two("--budget=1.5", "--results=none", PLANTED("crash_elsewhere") "/c", NULL);
    expect(&s, 1, "\"status\": \"crashed\"");
    assert_non_null(strstr(s.out, "replica 2 of 2"));
    assert_non_null(strstr(s.out, "\"clips_per_h\""));
}

static void too_many_are_one_row(void **state)
{
    (void)state;
    struct spawned s = run_two("--replicas=250", "--results=none", NULL);
    if (host_cores() < 250)
        expect(&s, 3, "250 replicas of 1 thread want 250 processors");
    s = run_two("--size=8192x8192", "--frames=257", "--replicas=1", "--results=none", NULL);
    expect(&s, 2, "\"status\": \"out_of_memory\"");
    assert_non_null(strstr(s.out, "GiB each"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_cores_of_its_own),
        cmocka_unit_test(too_few_cores_are_shared_and_processors_refused),
        cmocka_unit_test(words_for_several_devices),
        cmocka_unit_test(clips_of_all_are_counted),
        cmocka_unit_test(a_slow_replica_is_seen),
        cmocka_unit_test(a_crash_costs_its_row_alone),
        cmocka_unit_test(too_many_are_one_row),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
