// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_roofline.c   Sizes derived from planted caches, walks through memory, and the command
 * `roofline` as it is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/out_file.h"
#include "machine/cache_levels.h"
#include "roofline/bandwidth.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define MIB ((size_t)1 << 20)
#define MOST ((size_t)1 << 40)

/* ---- caches ---------------------------------------------------------------------------------- */

static void plant(const char *path, const char *text)
{
    struct fault fault = {{0}};
    char *whole = strdup(at("%s/%s", folder, path)), *parent = strdup(whole);
    *strrchr(parent, '/') = '\0';
    if (folder_create(parent, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    file_write(whole, text, false);
    free(parent);
    free(whole);
}

static void plant_cache(int cpu, int index, const char *level, const char *type, const char *size,
                        const char *shared)
{
    const char *const names[] = {"level", "type", "size", "shared_cpu_list"};
    const char *const texts[] = {level, type, size, shared};
    for (int i = 0; i < 4; i++)
        plant(at("sys/devices/system/cpu/cpu%d/cache/index%d/%s", cpu, index, names[i]), texts[i]);
}

/* Four cores in two groups, each group with an L3 of its own. */
static int plant_two_groups(void **state)
{
    assert_int_equal(folder_make(state), 0);
    for (int cpu = 0; cpu < 4; cpu++) {
        char own[16];
        snprintf(own, sizeof own, "%d\n", cpu);
        plant_cache(cpu, 0, "1\n", "Data\n", "32K\n", own);
        plant_cache(cpu, 1, "1\n", "Instruction\n", "64K\n", own);
        plant_cache(cpu, 2, "2\n", "Unified\n", "1024K\n", own);
        plant_cache(cpu, 3, "3\n", "Unified\n", "16384K\n", cpu < 2 ? "0-1\n" : "2-3\n");
    }
    return 0;
}

static void caches_are_read(void **state)
{
    (void)state;
    struct cache_level level[CACHE_LEVELS_MAX];
    assert_int_equal(cache_levels(folder, level), 3);
    assert_int_equal(level[0].bytes, 32 << 10); /* that of data */
    assert_int_equal(level[1].bytes, 1 << 20);
    assert_int_equal(level[1].count, 4);
    assert_int_equal(level[2].level, 3);
    assert_int_equal(level[2].shared_by, 2);
    assert_int_equal(level[2].count, 2);
    assert_int_equal(cache_levels("/nowhere", level), 0);
}

static void lists_of_cpus_are_counted(void **state)
{
    (void)state;
    assert_int_equal(cpu_list_count("0"), 1);
    assert_int_equal(cpu_list_count("0-3,8,10-11"), 7);
    assert_int_equal(cpu_list_count(""), 0);
    assert_int_equal(cpu_list_count("some"), 0);
    assert_int_equal(cpu_list_count("0-3;4"), 0);
}

static void each_place_lies_between_its_neighbours(void **state)
{
    (void)state;
    struct cache_level level[CACHE_LEVELS_MAX];
    struct memory_place place[CACHE_LEVELS_MAX + 1];
    int levels = cache_levels(folder, level);
    assert_int_equal(memory_places(level, levels, 1, MOST, place), 4);
    assert_string_equal(place[0].name, "L1");
    assert_int_equal(place[0].bytes, 16 << 10);
    assert_int_equal(place[1].bytes, MIB / 2);
    assert_int_equal(place[2].bytes, 8 * MIB);
    assert_false(place[2].capped);
    assert_string_equal(place[3].name, "DRAM");
    assert_int_equal(place[3].bytes, 128 * MIB); /* over twice both last-level caches */
    memory_places(level, levels, 4, MOST, place);
    assert_int_equal(place[2].bytes, 4 * MIB); /* of an L3 that two of them share */
    assert_int_equal(place[3].bytes, 32 * MIB);
    memory_places(level, levels, 2, 64 * MIB, place);
    assert_true(place[3].capped);
    assert_int_equal(place[3].bytes, 32 * MIB);
}

/* A hypervisor shows its own last-level cache to a guest of two processors. */
static void a_hosts_cache_is_not_counted_on(void **state)
{
    (void)state;
    struct cache_level level[] = {{1, 48 << 10, 1, 2}, {2, 2 * MIB, 1, 2}, {3, 480 * MIB, 2, 1}};
    struct memory_place place[CACHE_LEVELS_MAX + 1];
    memory_places(level, 3, 2, MOST, place);
    assert_true(place[2].capped);
    assert_int_equal(place[2].bytes, 16 * MIB);
    assert_int_equal(place[2].reported, 480 * MIB);
    assert_int_equal(place[3].bytes, 480 * MIB); /* of each of two */
    assert_int_equal(memory_places(level, 0, 1, MOST, place), 1);
    assert_string_equal(place[0].name, "DRAM");
    assert_true(place[0].bytes >= 64 * MIB);
}

/* ---- walks ----------------------------------------------------------------------------------- */

/* The walks do what they count: copies arrive, and a triad is one. */
static void walks_move_what_they_say(void **state)
{
    (void)state;
    enum { BYTES = 4096 };
    _Alignas(64) static float a[BYTES / 4], b[BYTES / 4], c[BYTES / 4];
    for (int i = 0; i < BYTES / 4; i++) {
        b[i] = (float)i;
        c[i] = 2;
    }
    for (int u = 0; u < stream_units(); u++) {
        const struct stream_probe *unit = stream_unit(u);
        if (!unit)
            continue;
        memset(a, 0, sizeof a);
        unit->run[WALK_COPY](a, b, c, BYTES, 2);
        assert_memory_equal(a, b, BYTES);
        unit->run[WALK_TRIAD](a, b, c, BYTES, 1);
        for (int i = 0; i < BYTES / 4; i++)
            assert_true(a[i] == (float)i + 1);
        uint64_t word = 0, whole = 0;
        memcpy(&word, b, 8);
        for (int i = 0; i < BYTES / 8; i++) {
            memcpy(&word, (char *)b + 8 * i, 8);
            whole ^= word;
        }
        assert_true(unit->run[WALK_READ](a, b, c, BYTES, 1) == whole);
        assert_true(unit->run[WALK_READ](a, b, c, BYTES, 2) == 0); /* each word twice */
    }
}

/* The best of several: a neighbour can only take time. */
static double best_read(struct bandwidth *b, const struct memory_place *place, bool dram)
{
    const struct stream_probe *unit = stream_unit(0);
    double best = 0;
    int64_t passes = dram ? 1 : bandwidth_passes(b, unit, WALK_READ, place, 1, 0.001);
    for (int i = 0; i < 12; i++)
        best = fmax(best, bandwidth_sample(b, unit, WALK_READ, place, dram, 1, passes));
    return best;
}

static void the_nearest_cache_is_faster_than_memory(void **state)
{
    (void)state;
    struct bandwidth b;
    struct fault fault = {{0}};
    struct memory_place near = {.name = "L1", .bytes = 16 << 10}, far = {.bytes = 256 * MIB};
    assert_int_equal(bandwidth_new(&b, 256 * MIB, 1, &fault), ST_OK);
    double l1 = best_read(&b, &near, false), dram = best_read(&b, &far, true);
    bandwidth_free(&b);
    assert_true(dram > 1e7);
    if (l1 < 1.5 * dram)
        fail_msg("L1 %.3g, memory %.3g bytes per second", l1, dram);
}

/* ---- the command ----------------------------------------------------------------------------- */

static struct spawned roofline(const char *one, const char *two, const char *three)
{
    char *argv[] = {BUILD_DIR "/patchmark", "roofline",  "--results=none",
                    "--rounds=1",           (char *)one, (char *)two,
                    (char *)three,          NULL};
    return spawn_program(argv, NULL);
}

static void tables_and_json_say_the_same_things(void **state)
{
    (void)state;
    static const char *const words[] = {"f64", "f32", "bf16", "int8", "L1", "DRAM", "1 thread"};
    struct spawned s = roofline("--threads=1", NULL, NULL);
    assert_int_equal(s.code, 0);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_non_null(strstr(s.out, words[i]));
    s = roofline("--threads=1", "--format=json", NULL);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    assert_non_null(strstr(s.out, "\"flops_per_byte\": "));
    assert_non_null(strstr(s.out, "\"claim\": \"measured\""));
    assert_non_null(strstr(s.out, "\"level\": \"DRAM\""));
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"--threads=0",   "--threads=2,1", "--threads=two",
                                        "--threads=1;2", "--rounds=0",    "--rounds=1000",
                                        "--format=xml",  "--device=tpu",  "more"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct spawned s = roofline(wrong[i], NULL, NULL);
        if (s.code != 2 || !s.err[0] || s.out[0])
            fail_msg("%s: exit code %d, %s", wrong[i], s.code, s.err);
    }
    struct spawned s = roofline("--device=cuda:0", "--format=json", NULL);
    assert_true(s.code == 3 || s.code == 0);
    assert_true(json_valid(s.out));
    char *old[] = {BUILD_DIR "/patchmark", "ceilings", NULL};
    assert_int_equal(spawn_program(old, NULL).code, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_are_read),
        cmocka_unit_test(lists_of_cpus_are_counted),
        cmocka_unit_test(each_place_lies_between_its_neighbours),
        cmocka_unit_test(a_hosts_cache_is_not_counted_on),
        cmocka_unit_test(walks_move_what_they_say),
        cmocka_unit_test(the_nearest_cache_is_faster_than_memory),
        cmocka_unit_test(tables_and_json_say_the_same_things),
        cmocka_unit_test(bad_requests_are_refused),
    };
    return cmocka_run_group_tests_name("roofline", tests, plant_two_groups, folder_drop);
}
