// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_guard.c   What befalls a block is seen, and only that drops its times, and not without end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/out_file.h"
#include "support/files.h"
#include "timing/guard.h"

static void put(const char *name, const char *text)
{
    char path[512], parent[512];
    struct fault fault;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(folder_create(parent, &fault), ST_OK);
    file_put(path, text, strlen(text));
}

/* ---- looking --------------------------------------------------------------------------------- */

static void stolen_time_is_of_the_processors_used(void **state)
{
    (void)state;
    const int second[] = {1}, both[] = {0, 1};
    put("proc/stat", "cpu  9 9 9 9 9 9 9 90 0 0\n"
                     "cpu0 1 2 3 4 5 6 7 30 0 0\n"
                     "cpu1 1 2 3 4 5 6 7 50 0 0\n"
                     "cpu11 1 2 3 4 5 6 7 10 0 0\n"
                     "intr 5\n");
    assert_int_equal(guard_stolen(folder, second, 1), 50);
    assert_int_equal(guard_stolen(folder, both, 2), 80);
    assert_int_equal(guard_stolen(folder, NULL, 0), 90);
    assert_int_equal(guard_stolen("/no/such/folder", NULL, 0), -1);
}

/* Files change while a block runs: its look tells by how much. */
static void a_block_is_looked_at_from_end_to_end(void **state)
{
    (void)state;
    const int cpu[] = {0};
    struct guard g = {.root = folder, .threads = 1, .pinned = true, .cpus = 1, .cpu = cpu};
    struct guard_look look;
    put("proc/self/cgroup", "0::/job\n");
    put("sys/fs/cgroup/job/cpu.stat", "nr_throttled 5\n");
    put("proc/stat", "cpu0 1 2 3 4 5 6 7 30 0 0\n");
    put("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2900000\n");
    guard_begin(&g);
    put("proc/stat", "cpu0 1 2 3 4 5 6 7 3030 0 0\n");
    put("sys/fs/cgroup/job/cpu.stat", "nr_throttled 7\n");
    guard_end(&g, &look);
    assert_true(look.stolen > 1);
    assert_int_equal(look.throttled, 2);
    assert_true(look.mhz == 2900);
    assert_false(look.migrated);
    assert_true(look.links[0] > 1e6 && look.links[1] > 1e6);
    g = (struct guard){.root = "/no/such/folder"};
    guard_begin(&g);
    guard_end(&g, &look);
    assert_true(isnan(look.links[0]) && isnan(look.mhz) && isnan(look.stolen));
    assert_int_equal(look.throttled, 0);
}

static void a_look_survives_its_line(void **state)
{
    (void)state;
    struct guard_look look = {{6.5e8, 6.4e8}, NAN, 0.25, true, 3}, back;
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    guard_print(&look, out);
    fputs(" 1 2", out);
    fclose(out);
    int used = guard_read(text, &back);
    assert_string_equal(text + used, " 1 2");
    assert_true(back.links[0] == 6.5e8 && back.links[1] == 6.4e8 && isnan(back.mhz));
    assert_true(back.stolen == 0.25 && back.migrated && back.throttled == 3);
    free(text);
    assert_int_equal(guard_read("1 2 3", &back), 0);
}

/* ---- judging --------------------------------------------------------------------------------- */

static struct guard_look quiet(double links)
{
    return (struct guard_look){{links, links}, NAN, 0, false, 0};
}

static void every_reason_is_told_apart(void **state)
{
    (void)state;
    struct guard_look look = quiet(100);
    struct guard_count c = {.discarded = 0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(guard_judge(&c, &look, false, 100), 0);
    look.links[1] = 96; /* within 5 % */
    assert_int_equal(guard_judge(&c, &look, false, 100), 0);
    look.links[1] = 94;
    assert_int_equal(guard_judge(&c, &look, false, 100), RAW_CLOCK | RAW_DISCARDED);
    look = quiet(100);
    look.stolen = 0.02;
    assert_int_equal(guard_judge(&c, &look, false, 100), RAW_STEAL | RAW_DISCARDED);
    look = quiet(100);
    look.migrated = true;
    look.throttled = 1;
    assert_int_equal(guard_judge(&c, &look, true, 100),
                     RAW_MIGRATION | RAW_QUOTA | RAW_THROTTLE | RAW_DISCARDED);
    assert_int_equal(c.discarded, 3);
    assert_int_equal(c.marred, 0);
    for (int r = 0; r < GUARD_REASONS; r++)
        assert_int_equal(c.by_reason[r], 1);
    assert_true(c.least_links == 96);
}

/* A clock that can be read is held to its own level. */
static void a_slow_clock_is_seen_without_a_probe(void **state)
{
    (void)state;
    struct guard_look look = GUARD_NONE;
    struct guard_count c = {.discarded = 0};
    look.mhz = 3000;
    for (int i = 0; i < 5; i++)
        assert_int_equal(guard_judge(&c, &look, false, i), 0);
    look.mhz = 2800;
    assert_int_equal(guard_judge(&c, &look, false, 5), RAW_CLOCK | RAW_DISCARDED);
    assert_true(guard_settled(&c.mhz) == 3000);
    assert_true(isnan(guard_settled(&c.links)));
}

/* Where everything is marred nothing is done again for ever, and what stands is marked. */
static void discards_are_bounded(void **state)
{
    (void)state;
    struct guard_look look = quiet(100);
    struct guard_count c = {.discarded = 0};
    int64_t kept = 0;
    look.stolen = 0.5;
    for (int i = 0; i < 40; i++)
        kept += !(guard_judge(&c, &look, false, kept) & RAW_DISCARDED);
    assert_true(kept >= 25);
    assert_int_equal(c.discarded + c.marred, 40);
    assert_int_equal(c.marred, kept);
    assert_int_equal(c.marred_by[GUARD_STEAL], kept);
    char text[200];
    guard_describe(&c, "block", "blocks", text, sizeof text);
    assert_non_null(strstr(text, "blocks were timed anew: "));
    assert_non_null(strstr(text, " steal"));
}

/* A clock that has settled lower for good is the new level. */
static void the_level_follows_the_clock(void **state)
{
    (void)state;
    struct guard_count c = {.discarded = 0};
    struct guard_look fast = quiet(100), slow = quiet(80);
    for (int i = 0; i < 10; i++)
        guard_judge(&c, &fast, false, i);
    int64_t kept = 10;
    for (int i = 0; i < 80; i++)
        kept += !(guard_judge(&c, &slow, false, kept) & RAW_DISCARDED);
    assert_true(guard_settled(&c.links) == 80);
    assert_int_equal(guard_judge(&c, &slow, false, kept), 0);
}

static void counts_are_written(void **state)
{
    (void)state;
    struct guard_count c = {.discarded = 0};
    struct guard_look look = quiet(100);
    struct json j;
    for (int i = 0; i < 4; i++)
        guard_judge(&c, &look, false, i);
    look.stolen = 1;
    guard_judge(&c, &look, false, 4);
    json_init(&j, false);
    json_open_object(&j, NULL);
    guard_json(&c, &j);
    json_end(&j);
    assert_non_null(strstr(j.text, "\"discarded\":{\"blocks\":1,\"clock\":0,\"throttle\":0,"
                                   "\"steal\":1,\"migration\":0,\"quota\":0}"));
    assert_non_null(strstr(j.text, "\"clock_mhz\":null"));
    assert_non_null(strstr(j.text, "\"probe_least\":1"));
    json_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stolen_time_is_of_the_processors_used),
        cmocka_unit_test(a_block_is_looked_at_from_end_to_end),
        cmocka_unit_test(a_look_survives_its_line),
        cmocka_unit_test(every_reason_is_told_apart),
        cmocka_unit_test(a_slow_clock_is_seen_without_a_probe),
        cmocka_unit_test(discards_are_bounded),
        cmocka_unit_test(the_level_follows_the_clock),
        cmocka_unit_test(counts_are_written),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
