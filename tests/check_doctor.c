// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_doctor.c   Findings of planted machines, and the command `doctor` on this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/out_file.h"
#include "doctor/doctor.h"
#include "machine/host.h"
#include "records/record.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define CPU "sys/devices/system/cpu/"

/* ---- planted machines ------------------------------------------------------------------------ */

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

/* A quiet server of two cores on bare metal, every one of whose figures can be had. */
static int plant_good(void **state)
{
    assert_int_equal(folder_make(state), 0);
    for (int cpu = 0; cpu < 2; cpu++) {
        plant(at(CPU "cpu%d/cpufreq/scaling_governor", cpu), "performance\n");
        plant(at(CPU "cpu%d/thermal_throttle/core_throttle_count", cpu), "0\n");
    }
    plant(CPU "cpu0/cpufreq/scaling_cur_freq", "3000000\n");
    plant(CPU "cpu0/cpufreq/scaling_driver", "acpi-cpufreq\n");
    plant(CPU "cpufreq/boost", "0\n");
    plant(CPU "online", "0-1\n");
    plant(CPU "smt/active", "0\n");
    plant("sys/devices/system/node/online", "0\n");
    plant("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    plant("sys/class/thermal/thermal_zone0/temp", "45000\n");
    plant("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    plant("sys/class/powercap/intel-rapl:0/energy_uj", "123456789\n");
    plant("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    plant("proc/cpuinfo", "processor : 0\nflags : fpu constant_tsc nonstop_tsc avx2\n");
    plant("proc/loadavg", "0.01 0.05 0.10 1/100 999\n");
    plant("proc/stat", "cpu  1000 0 1000 98000 0 0 0 0 0 0\n");
    plant("proc/meminfo", "MemTotal: 65536000 kB\nMemAvailable: 60000000 kB\n"
                          "SwapTotal: 0 kB\nSwapFree: 0 kB\nHugePages_Total: 0\n");
    plant("proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-1\n");
    plant("proc/sys/kernel/perf_event_paranoid", "1\n");
    return 0;
}

static struct doctor look(void)
{
    struct doctor d;
    doctor_look(&d, folder, "results");
    return d;
}

static const struct finding *found(const struct doctor *d, const char *name)
{
    for (int i = 0; i < d->count; i++)
        if (!strcmp(d->finding[i].name, name))
            return &d->finding[i];
    fail_msg("nothing is said of %s", name);
    return NULL;
}

/* What it says of `name` now; `word` must be in it, and a cure where something can be done. */
static void expect(const char *name, enum finding_state state, const char *word, bool cure)
{
    struct doctor d = look();
    const struct finding *f = found(&d, name);
    if (f->state != state || !strstr(f->what, word) || (f->cure[0] != 0) != cure)
        fail_msg("%s: %s, %s; cure: %s", name, finding_state_name(f->state), f->what, f->cure);
}

static void a_good_machine_has_nothing_to_mend(void **state)
{
    (void)state;
    struct doctor d = look();
    char verdict[600];
    for (int i = 0; i < d.count; i++)
        if (d.finding[i].state != FINDING_OK)
            fail_msg("%s: %s", d.finding[i].name, d.finding[i].what);
    assert_true(d.count > 15);
    assert_true(d.has_joules && d.has_clock && !d.virtualised && !d.nothing);
    assert_null(doctor_first(&d));
    doctor_verdict(&d, verdict, sizeof verdict);
    assert_non_null(strstr(verdict, "times can be taken"));
    assert_null(strstr(verdict, "joules"));
}

static void each_fault_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *name, *word;
        enum finding_state state;
        bool cure;
    } rows[] = {
        {CPU "cpu1/cpufreq/scaling_governor", "powersave\n", "governor", "powersave on 1 of 2",
         FINDING_LIMITED, true},
        {CPU "cpufreq/boost", "1\n", "boost", "on:", FINDING_LIMITED, true},
        {CPU "smt/active", "1\n", "smt", "share a core", FINDING_LIMITED, true},
        {CPU "cpu1/thermal_throttle/core_throttle_count", "7\n", "throttle", "7 throttle events",
         FINDING_LIMITED, true},
        {CPU "online", "0-3\n", "processors", "2 of 4", FINDING_LIMITED, true},
        {"sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", "clocksource",
         "hpet: reading it is slow", FINDING_LIMITED, true},
        {"sys/class/powercap/intel-rapl:0/energy_uj", "0\n", "energy", "not 0 J", FINDING_MISSING,
         true},
        {"sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n", "huge pages",
         "never", FINDING_LIMITED, true},
        {"proc/loadavg", "1.90 1.00 0.50 3/100 999\n", "load", "1.90", FINDING_LIMITED, true},
        {"proc/stat", "cpu  1000 0 1000 90000 0 0 0 8000 0 0\n", "steal", "8.0 % since boot",
         FINDING_LIMITED, true},
        {"proc/meminfo", "MemTotal: 2000000 kB\nMemAvailable: 500000 kB\n", "memory", "0.5 GiB",
         FINDING_LIMITED, true},
        {"proc/sys/kernel/perf_event_paranoid", "4\n", "perf_event_paranoid", "only root",
         FINDING_LIMITED, true},
        {"proc/cpuinfo", "flags : fpu constant_tsc nonstop_tsc hypervisor\n", "bare metal",
         "virtual machine", FINDING_LIMITED, true},
        {"proc/cpuinfo", "flags : fpu constant_tsc\n", "clocksource", "not invariant", FINDING_OK,
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *before = file_read(at("%s/%s", folder, rows[i].path), NULL);
        plant(rows[i].path, rows[i].text);
        expect(rows[i].name, rows[i].state, rows[i].word, rows[i].cure);
        plant(rows[i].path, before);
        free(before);
    }
}

static void several_nodes_matter_where_pages_move(void **state)
{
    (void)state;
    plant("sys/devices/system/node/online", "0-1\n");
    expect("numa", FINDING_OK, "2 nodes", false);
    plant("proc/sys/kernel/numa_balancing", "1\n");
    expect("numa", FINDING_LIMITED, "moves pages", true);
    plant("sys/devices/system/node/online", "0\n");
}

static void a_quota_is_found_in_the_cgroup(void **state)
{
    (void)state;
    plant("proc/self/cgroup", "0::/box\n");
    plant("sys/fs/cgroup/box/cpu.max", "150000 100000\n");
    expect("cpu quota", FINDING_LIMITED, "1.5 processors", true);
    plant("sys/fs/cgroup/box/cpu.max", "max 100000\n");
    expect("cpu quota", FINDING_OK, "none", false);
}

/* What disturbs every figure is mended before what is only missing. */
static void the_first_thing_to_do_is_what_disturbs_most(void **state)
{
    (void)state;
    plant("sys/class/powercap/intel-rapl:0/energy_uj", "0\n");
    struct doctor d = look();
    assert_string_equal(doctor_first(&d)->name, "energy");
    plant(CPU "cpu0/cpufreq/scaling_governor", "powersave\n");
    d = look();
    assert_string_equal(doctor_first(&d)->name, "governor");
    plant("proc/loadavg", "5.0 5.0 5.0 3/100 999\n");
    d = look();
    assert_string_equal(doctor_first(&d)->name, "load");
    char verdict[600];
    doctor_verdict(&d, verdict, sizeof verdict);
    assert_non_null(strstr(verdict, "joules"));
}

/* Files that are not there are said to be missing; nothing is invented. */
static void an_empty_tree_is_all_missing(void **state)
{
    (void)state;
    struct doctor d;
    doctor_look(&d, at("%s/nothing", folder), "results");
    for (int i = 0; i < d.count; i++)
        if (d.finding[i].state == FINDING_LIMITED)
            fail_msg("%s: %s", d.finding[i].name, d.finding[i].what);
    assert_int_equal(found(&d, "governor")->state, FINDING_MISSING);
    assert_int_equal(found(&d, "steal")->state, FINDING_MISSING);
    assert_int_equal(found(&d, "energy")->state, FINDING_MISSING);
    assert_true(isnan(d.noise) && isnan(d.steal));
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static void says(struct doctor d, const char *word)
{
    char verdict[600];
    doctor_verdict(&d, verdict, sizeof verdict);
    if (!strstr(verdict, word))
        fail_msg("'%s' is not in: %s", word, verdict);
}

static void the_verdict_follows_noise_and_floor(void **state)
{
    (void)state;
    struct doctor d = {.root = "", .live = true, .noise = 0.001, .dips = 0, .floor = NAN};
    says(d, "of 2 % and more");
    says(d, "not calibrated");
    says(d, "no figures of cycles");
    d.noise = 0.065;
    says(d, "of 7 % and more");
    d.floor = 0.013;
    says(d, "of 1.3 % and more, taken interleaved (its calibrated floor); ");
    doctor_find(&d, FINDING_LIMITED, "load", "4 over the last minute");
    says(d, "(its calibrated floor), once it is idle; it is not now, by load; ");
    d.floor = 0.005;
    says(d, "of 1 % and more"); /* compare tells of no less */
    d.dips = 0.6;
    says(d, "factors and not percents");
    d.nothing = true;
    says(d, "Nothing can be measured");
}

/* ---- the command ----------------------------------------------------------------------------- */

static struct spawned doctor(const char *one, const char *two)
{
    char *argv[] = {BUILD_DIR "/patchmark", "doctor", (char *)one, (char *)two, NULL};
    return spawn_program(argv, NULL);
}

static void this_machine_is_looked_at(void **state)
{
    (void)state;
    static const char *const names[] = {"hardware events", "software events", "energy", "timer",
                                        "noise",           "other processes", "steal",  "OpenBLAS",
                                        "build",           "calibration",     "disk"};
    struct spawned s = doctor("--format=json", NULL);
    assert_int_equal(s.code, 0); /* limited is no failure */
    assert_true(json_valid(s.out));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(strstr(s.out, at("\"name\": \"%s\"", names[i])));
    assert_non_null(strstr(s.out, "\"verdict\": \""));
    assert_null(strstr(s.out, "0 J\""));
}

static void a_planted_machine_is_only_read(void **state)
{
    (void)state;
    struct spawned s = doctor(at("--root=%s", folder), NULL);
    assert_int_equal(s.code, 0);
    assert_non_null(strstr(s.out, "files of another machine"));
    assert_null(strstr(s.out, "noise"));
    assert_null(strstr(s.out, "timer"));
}

static void exit_codes_say_whether_one_can_measure(void **state)
{
    (void)state;
    struct spawned s = doctor("--device=cuda:0", at("--root=%s", folder));
    assert_true(s.code == 3 || s.code == 0); /* 0 where there is a GPU */
    if (s.code == 3)
        assert_non_null(strstr(s.out, "Nothing can be measured"));
    assert_int_equal(doctor("--device=tpu", NULL).code, 2);
    assert_int_equal(doctor("--format=xml", NULL).code, 2);
    assert_int_equal(doctor("--root=/no/such/folder", NULL).code, 2);
    assert_int_equal(doctor("more", NULL).code, 2);
}

/* A calibration of this machine counts, the newest one; the folder's name is this machine's. */
static void a_stored_calibration_is_found(void **state)
{
    (void)state;
    struct spawned s = doctor("--format=json", NULL);
    char slug[100] = "";
    const char *from = strstr(s.out, "\"machine\": \"");
    assert_non_null(from);
    sscanf(from, "\"machine\": \"%99[^\"]", slug);
    static const char *const record =
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"%s\"},\"kind\":\"%s\",\"created_utc\":"
        "\"20%d-01-01T00:00:00Z\",\"run_id\":\"run-%d\",\"machine\":\"%s\",\"floor\":%g,"
        "\"threads\":%d,\"comparisons\":20,\"alarms\":1,\"pair_seconds\":3,\"seconds\":60}\n";
    for (int year = 30; year < 33; year++) {
        char text[1000];
        size_t used = (size_t)snprintf(text, sizeof text, record, RECORD_SCHEMA_VERSION, "run",
                                       year, year, slug, 0.5, 1);
        if (year < 32)
            snprintf(text + used, sizeof text - used, record, RECORD_SCHEMA_VERSION, "calibration",
                     year, year, slug, year == 30 ? 0.04 : 0.013, host_cores());
        plant(at("results/%s/20%d0101T000000Z-a.jsonl", slug, year), text);
    }
    s = doctor(at("--results=%s/results", folder), NULL);
    assert_int_equal(s.code, 0);
#ifdef HAVE_JANSSON
    assert_non_null(strstr(s.out, "noise floor 1.3 % of comparisons of 3 s"));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_machine_has_nothing_to_mend),
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(several_nodes_matter_where_pages_move),
        cmocka_unit_test(a_quota_is_found_in_the_cgroup),
        cmocka_unit_test(the_first_thing_to_do_is_what_disturbs_most),
        cmocka_unit_test(an_empty_tree_is_all_missing),
        cmocka_unit_test(the_verdict_follows_noise_and_floor),
        cmocka_unit_test(this_machine_is_looked_at),
        cmocka_unit_test(a_planted_machine_is_only_read),
        cmocka_unit_test(exit_codes_say_whether_one_can_measure),
        cmocka_unit_test(a_stored_calibration_is_found),
    };
    return cmocka_run_group_tests_name("doctor", tests, plant_good, folder_drop);
}
