// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_rapl.c   The processor's energy counters, read from trees planted in the place of the
 * kernel's: sums, wrap-around, counters that stand still, are hidden, jump or go away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "energy/energy.h"
#include "energy/rapl.h"
#include "support/files.h"
#include "support/spawn.h"

/* ---- planted trees --------------------------------------------------------------------------- */

static char tree[400];

static void put(const char *zone, const char *file, const char *text)
{
    file_write(at("%s/%s/%s", tree, zone, file), text, false);
}

static void count_to(const char *zone, const char *uj) { put(zone, "energy_uj", uj); }

static void plant_zone(const char *zone, const char *name, const char *range_uj, const char *uj)
{
    assert_int_equal(mkdir(at("%s/%s", tree, zone), 0755), 0);
    put(zone, "name", name);
    put(zone, "max_energy_range_uj", range_uj);
    count_to(zone, uj);
}

/* An empty tree of its own for each test. */
static int plant_tree(void **state)
{
    static int number;
    (void)state;
    snprintf(tree, sizeof tree, "%s/tree%d", folder, number++);
    return mkdir(tree, 0755);
}

/* Two packages, the parts of the first, and the first once more through the other interface. */
static void plant_server(void)
{
    assert_int_equal(mkdir(at("%s/intel-rapl", tree), 0755), 0);
    plant_zone("intel-rapl:0", "package-0\n", "262143328850\n", "1000000\n");
    plant_zone("intel-rapl:0:0", "core\n", "262143328850\n", "500000\n");
    plant_zone("intel-rapl:0:1", "dram\n", "65712999613\n", "250000\n");
    plant_zone("intel-rapl:1", "package-1\n", "262143328850\n", "2000000\n");
    plant_zone("intel-rapl-mmio:0", "package-0\n", "262143328850\n", "7\n");
    plant_zone("intel-rapl:2", "psys\n", "262143328850\n", "9000000\n");
    plant_zone("dtpm:0", "something else\n", "1\n", "1\n");
}

static const struct rapl_domain *named(const struct rapl *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->domain[i].name, name))
            return &r->domain[i];
    fail_msg("no domain %s", name);
    return NULL;
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void domains_are_found_once(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum rapl_kind kind;
    } rows[] = {{"package-0", RAPL_PACKAGE},
                {"package-0/core", RAPL_CORE},
                {"package-0/dram", RAPL_DRAM},
                {"package-1", RAPL_PACKAGE},
                {"psys", RAPL_PLATFORM}};
    struct rapl r;
    plant_server();
    rapl_open(&r, tree);
    assert_int_equal(r.count, 5);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(named(&r, rows[i].name)->kind, rows[i].kind);
    assert_true(strstr(named(&r, "package-0")->folder, "intel-rapl:0") != NULL);
    assert_true(named(&r, "package-0/dram")->range_j > 65712 &&
                named(&r, "package-0/dram")->range_j < 65713);
}

static void no_tree_has_a_reason(void **state)
{
    (void)state;
    struct rapl r;
    rapl_open(&r, at("%s/nowhere", tree));
    assert_int_equal(r.count, 0);
    assert_non_null(strstr(r.why, "no powercap tree"));
    rapl_open(&r, tree);
    assert_int_equal(r.count, 0);
    assert_non_null(strstr(r.why, "holds no RAPL domain"));
}

/* ---- windows --------------------------------------------------------------------------------- */

/* One domain looked at once for every text, two seconds apart; NULL: its file is gone. */
static struct rapl_track looked(const char *const *uj, int count)
{
    struct rapl r;
    struct rapl_track track = {.begun = false};
    plant_zone("intel-rapl:0", "package-0\n", "262143000000\n", "0\n");
    rapl_open(&r, tree);
    assert_int_equal(r.count, 1);
    for (int i = 0; i < count; i++) {
        if (uj[i])
            count_to("intel-rapl:0", uj[i]);
        else
            unlink(at("%s/intel-rapl:0/energy_uj", tree));
        rapl_look(&r.domain[0], &track, 100 + 2 * i);
    }
    rapl_settle(&track);
    return track;
}
#define LOOKED(...)                                                                                \
    looked((const char *const[]){__VA_ARGS__},                                                     \
           (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void joules_and_peak(void **state)
{
    (void)state;
    struct rapl_track t = LOOKED("5000000\n", "105000000\n", "105000000\n", "405000000\n");
    assert_string_equal(t.why, "");
    assert_float_equal(t.joules, 400, 1e-6);
    assert_float_equal(t.peak_w, 150, 1e-6);
    assert_int_equal(t.refreshes, 2);
}

static void a_counter_begins_again(void **state)
{
    (void)state;
    struct rapl_track t = LOOKED("262142000000\n", "99000000\n", "262142000000\n");
    assert_non_null(strstr(t.why, "jumped")); /* 262 kJ in two seconds is no machine at work */
    plant_tree(NULL);
    t = LOOKED("262142000000\n", "99000000\n", "199000000\n");
    assert_string_equal(t.why, "");
    assert_float_equal(t.joules, 200, 1e-6);
}

/* Set anew, as after a sleep: it must not pass for a round of the counter. */
static void a_counter_set_anew_is_no_figure(void **state)
{
    (void)state;
    struct rapl_track t = LOOKED("100000000000\n", "1000000\n");
    assert_non_null(strstr(t.why, "package-0 jumped during the window"));
}

static void a_counter_at_zero_is_no_figure(void **state)
{
    (void)state;
    struct rapl_track t = LOOKED("0\n", "0\n", "0\n");
    assert_non_null(strstr(t.why, "reads 0 all the time"));
    plant_tree(NULL);
    t = LOOKED("77\n", "77\n");
    assert_non_null(strstr(t.why, "did not move"));
}

static void a_file_that_goes_away_is_no_figure(void **state)
{
    (void)state;
    struct rapl_track t = LOOKED("5000000\n", "6000000\n", NULL, "7000000\n");
    assert_non_null(strstr(t.why, "package-0 stopped answering during the window"));
    plant_tree(NULL);
    t = LOOKED(NULL, "7000000\n");
    assert_non_null(strstr(t.why, "package-0 cannot be read"));
    plant_tree(NULL);
    t = LOOKED("nonsense\n");
    assert_non_null(strstr(t.why, "package-0 cannot be read"));
}

/* Root may read everything, so it takes the place of a user for a moment. */
static void a_forbidden_file_names_its_cure(void **state)
{
    (void)state;
    plant_zone("intel-rapl:0", "package-0\n", "262143000000\n", "0\n");
    assert_int_equal(chmod(at("%s/intel-rapl:0/energy_uj", tree), 0), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    struct rapl r;
    struct rapl_track track = {.begun = false};
    rapl_open(&r, tree);
    if (r.count)
        rapl_look(&r.domain[0], &track, 1);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(r.count, 1);
    assert_non_null(strstr(track.why, "may be read by root alone"));
    assert_non_null(strstr(track.why, "chmod a+r"));
}

/* ---- what a machine is said to have ---------------------------------------------------------- */

static const struct energy_source *source(const struct energy_source *all, int count,
                                          const char *scope)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(all[i].sensor, "powercap") && !strcmp(all[i].scope, scope))
            return &all[i];
    fail_msg("no source of scope %s", scope);
    return NULL;
}

/* Nobody counts on in a planted tree, so that every counter stands still. */
static void sources_are_tried(void **state)
{
    (void)state;
    struct energy_source all[ENERGY_SOURCES_MAX];
    plant_server();
    setenv("PATCHMARK_POWERCAP", tree, 1);
    int count = energy_sources(all, ENERGY_SOURCES_MAX);
    const struct energy_source *package = source(all, count, "package");
    assert_string_equal(package->detail, "package-0, package-1");
    assert_false(package->usable);
    assert_string_equal(package->why, "the counter did not move");
    assert_false(source(all, count, "platform")->usable);
    setenv("PATCHMARK_POWERCAP", at("%s/nowhere", tree), 1);
    count = energy_sources(all, ENERGY_SOURCES_MAX);
    assert_non_null(strstr(source(all, count, "package")->why, "no powercap tree"));
    unsetenv("PATCHMARK_POWERCAP");
    assert_true(!strcmp(all[count - 1].sensor, "nvml"));
    assert_true(all[count - 1].usable || all[count - 1].why[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, plant_tree)
    const struct CMUnitTest tests[] = {
        TEST(domains_are_found_once),
        TEST(no_tree_has_a_reason),
        TEST(joules_and_peak),
        TEST(a_counter_begins_again),
        TEST(a_counter_set_anew_is_no_figure),
        TEST(a_counter_at_zero_is_no_figure),
        TEST(a_file_that_goes_away_is_no_figure),
        TEST(a_forbidden_file_names_its_cure),
        TEST(sources_are_tried),
    };
    return cmocka_run_group_tests_name("rapl", tests, folder_make, folder_drop);
}
