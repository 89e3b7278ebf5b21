// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_energy.c   Figures of energy: which sensor stands for a case, what is refused and how it is
 * said, from windows made up here and from planted counters that a thread moves on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/patchmark.h"
#include "energy/energy.h"
#include "energy/energy_state.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define NOON 1769947200.0

/* ---- planted sensors ------------------------------------------------------------------------- */

/* Two packages and the memory of one, at `joules` each. */
static void plant_counters(double joules)
{
    static const char *const zones[][2] = {
        {"intel-rapl:0", "package-0"}, {"intel-rapl:1", "package-1"}, {"intel-rapl:0:0", "dram"}};
    char text[40];
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        mkdir(at("%s/rapl/%s", folder, zones[i][0]), 0755);
        file_write(at("%s/rapl/%s/name", folder, zones[i][0]), zones[i][1], false);
        file_write(at("%s/rapl/%s/max_energy_range_uj", folder, zones[i][0]), "262143328850\n",
                   false);
        snprintf(text, sizeof text, "%.0f\n", joules * 1e6);
        file_write(at("%s/rapl/%s/energy_uj.new", folder, zones[i][0]), text, false);
        rename(at("%s/rapl/%s/energy_uj.new", folder, zones[i][0]),
               at("%s/rapl/%s/energy_uj", folder, zones[i][0]));
    }
}

/* Samples from NOON - 20 s on, `step` seconds apart, all of 200 W but one second of 300 W. */
static const char *plant_meter(double step, int count, const char *head)
{
    const char *path = at("%s/meter.csv", folder);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(head, out);
    for (int i = 0; i < count; i++) {
        double t = -20 + i * step;
        fprintf(out, "%.3f,%d\n", NOON + t, t >= 5 && t < 6 ? 300 : 200);
    }
    fclose(out);
    return path;
}

static struct energy *open_with(const struct energy_request *request)
{
    struct fault fault = {{0}};
    struct energy *e;
    if (energy_open(request, &e, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return e;
}

/* Both packages used 900 J in it, in 300 steps, the memory 100 J. */
static struct energy_window window_of(struct energy *e, double seconds)
{
    struct energy_window w;
    energy_window_open(e, &w);
    energy_window_close(e, &w);
    w.begin_s = 50;
    w.end_s = 50 + seconds;
    w.begin_utc_s = NOON;
    w.end_utc_s = NOON + seconds;
    for (int i = 0; i < RAPL_DOMAINS_MAX; i++)
        w.track[i] = (struct rapl_track){.joules = 900, .peak_w = 70, .refreshes = 300};
    return w;
}

static const struct energy_per per_clip = {.what = "clip",
                                           .count = 4,
                                           .frames = 10,
                                           .seconds = 4,
                                           .busy_s = 16,
                                           .flag = "--repetitions",
                                           .flag_scale = 5};

static const struct energy_figure *of(const struct energy_report *r, const char *scope)
{
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->figure[i].source.scope, scope))
            return &r->figure[i];
    fail_msg("no figure of scope %s", scope);
    return NULL;
}

static const char *json_of(const struct energy_report *r)
{
    static char text[8192];
    struct json j;
    json_init(&j, false);
    energy_json(r, &j, NULL);
    snprintf(text, sizeof text, "%s", j.text);
    json_free(&j);
    assert_true(json_valid(text));
    return text;
}

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no %s in %s", part, text);
}

/* ---- which sensor ---------------------------------------------------------------------------- */

static void packages_stand_for_the_cpu(void **state)
{
    (void)state;
    char line[512];
    struct energy_report r;
    struct energy *e = open_with(&(struct energy_request){.idle_s = 0});
    struct energy_window w = window_of(e, 20);
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_int_equal(r.count, 2);
    assert_non_null(r.best);
    assert_string_equal(r.best->source.scope, "package");
    assert_float_equal(r.best->joules, 1800, 1e-9);
    assert_float_equal(of(&r, "dram")->joules, 900, 1e-9);
    const char *text = json_of(&r);
    expect(text, "\"j_per_clip\":450,\"j_per_frame\":45,\"edp_j_s\":1800,");
    expect(text, "\"sensor\":\"powercap\",\"scope\":\"package\"");
    expect(text, "\"timed_fraction\":0.8,\"count\":4");
    expect(text, "\"detail\":\"package-0, package-1\",\"quality\":\"counter\"");
    expect(text, "\"mean_w\":90,\"peak_w\":140,\"idle_w\":null");
    energy_line(e, &r, line, sizeof line);
    expect(line,
           "energy of the package: 450 J a clip, 45 J a frame; mean 90 W, peak 140 W (powercap");
    energy_close(e);
}

static void a_meter_outranks_all(void **state)
{
    (void)state;
    char line[512];
    struct energy_report r;
    const char *path = plant_meter(0.1, 600, "# source: A meter\n# scope: system\n");
    struct energy *e = open_with(&(struct energy_request){.power_file = path});
    struct energy_window w = window_of(e, 20);
    struct nvml_window seen = {.energy_j = 5000, .energy_s = 20, .energy_refreshes = 200};
    struct energy_board board = {(const struct nvml *)&seen, &seen, "A board", "", 0};
    energy_report(e, &w, &board, &per_clip, &r);
    assert_string_equal(r.best->source.scope, "system");
    assert_string_equal(r.best->source.detail, "A meter");
    assert_float_equal(r.best->joules, 20 * 200 + 100, 0.01);
    assert_float_equal(r.best->peak_w, 300, 1e-9);
    expect(json_of(&r), "\"quality\":\"sampled\"");
    energy_line(e, &r, line, sizeof line);
    expect(line, "energy of the system: 1025 J a clip");
    energy_close(e);
}

/* A board is no system, and the processors beside it are not the case's energy. */
static void a_board_stands_for_a_gpu(void **state)
{
    (void)state;
    struct energy_report r;
    struct energy *e = open_with(&(struct energy_request){.idle_s = 0});
    struct energy_window w = window_of(e, 20);
    struct nvml_window seen = {.energy_j = 5000, .energy_s = 20, .energy_refreshes = 200};
    struct energy_board board = {(const struct nvml *)&seen, &seen, "A board", "", 0};
    energy_report(e, &w, &board, &per_clip, &r);
    assert_string_equal(r.best->source.scope, "board");
    assert_null(strstr(json_of(&r), "system"));
    assert_true(of(&r, "package")->source.usable);

    seen = (struct nvml_window){.sampled_j = 4000, .sampled_s = 20, .power_refreshes = 150};
    energy_report(e, &w, &board, &per_clip, &r);
    assert_string_equal(r.best->quality, "sampled");
    assert_float_equal(r.best->joules, 4000, 1e-9);

    board = (struct energy_board){NULL, &seen, "A board", "NVML is not here", 0};
    energy_report(e, &w, &board, &per_clip, &r);
    assert_null(r.best);
    expect(json_of(&r), "\"j_per_clip\":{\"value\":null,\"why\":\"NVML is not here\"}");
    energy_close(e);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void short_windows_say_how_to_lengthen_them(void **state)
{
    (void)state;
    struct energy_report r;
    struct energy *e = open_with(&(struct energy_request){.idle_s = 0});
    struct energy_window w = window_of(e, 4);
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_null(r.best);
    expect(json_of(&r), "a window of 4.0 s is too short, 10 s are the least; --repetitions 3\"");
    w = window_of(e, 20);
    for (int i = 0; i < RAPL_DOMAINS_MAX; i++)
        w.track[i].refreshes = 99;
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_null(r.best);
    expect(json_of(&r), "the sensor told 99 new values in the window, 100 are the least");
    energy_close(e);
}

static void a_slow_meter_is_refused(void **state)
{
    (void)state;
    char line[512];
    struct energy_report r;
    const char *path = plant_meter(1, 60, "# scope: chassis\n");
    struct energy *e = open_with(&(struct energy_request){.power_file = path});
    struct energy_window w = window_of(e, 20);
    energy_report(e, &w, NULL, &per_clip, &r);
    expect(of(&r, "chassis")->source.why, "told 21 new values in the window, 100 are the least");
    assert_string_equal(r.best->source.scope, "package");
    energy_line(e, &r, line, sizeof line);
    expect(line, "energy of the package: 450 J a clip");
    expect(line, "; of the meter: none: the sensor told 21 new values in the window");
    energy_close(e);
}

static void one_lost_counter_loses_the_sum(void **state)
{
    (void)state;
    struct energy_report r;
    struct energy *e = open_with(&(struct energy_request){.idle_s = 0});
    struct energy_window w = window_of(e, 20);
    for (int i = 0; i < RAPL_DOMAINS_MAX; i++)
        snprintf(w.track[i].why, sizeof w.track[i].why, "the counter reads 0 all the time");
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_null(r.best);
    expect(json_of(&r),
           "\"energy_j\":{\"value\":null,\"why\":\"the counter reads 0 all the time\"}");
    assert_null(strstr(json_of(&r), "\"energy_j\":0"));
    energy_close(e);
}

static void a_clock_that_was_set_is_noticed(void **state)
{
    (void)state;
    struct energy_report r;
    const char *path = plant_meter(0.1, 600, "# scope: system\n");
    struct energy *e = open_with(&(struct energy_request){.power_file = path});
    struct energy_window w = window_of(e, 20);
    w.end_utc_s += 0.2;
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_string_equal(of(&r, "system")->source.why,
                        "this machine's clock was set during the window");
    energy_close(e);
}

/* What was right at the start and is not at the end costs the figure and the exit code, no record. */
static void a_file_that_breaks_meanwhile(void **state)
{
    (void)state;
    struct energy_report r;
    struct fault fault = {{0}};
    const char *path = plant_meter(0.1, 600, "# scope: system\n");
    struct energy *e = open_with(&(struct energy_request){.power_file = path});
    struct energy_window w = window_of(e, 20);
    assert_int_equal(energy_status(e, &fault), ST_OK);
    file_write(path, "# scope: system\n1,2\nbroken\n", false);
    energy_report(e, &w, NULL, &per_clip, &r);
    expect(json_of(&r), "line 3: a line is TIME,WATTS");
    assert_string_equal(r.best->source.scope, "package");
    assert_int_equal(energy_status(e, &fault), ST_BAD_INPUT);
    expect(fault.text, "meter.csv, line 3");
    energy_close(e);
}

/* A meter that writes its lines in bundles: the last ones come after the window has closed. */
struct late {
    char path[400];
    double from;
};

static void *write_late(void *user)
{
    const struct late *late = user;
    nanosleep(&(struct timespec){.tv_nsec = 400000000}, NULL);
    FILE *out = fopen(late->path, "a");
    for (int i = 0; out && i < 30; i++)
        fprintf(out, "%.3f,200\n", late->from + 0.1 * i);
    if (out)
        fclose(out);
    return NULL;
}

static void lines_that_come_late_are_waited_for(void **state)
{
    (void)state;
    struct energy_report r;
    struct timespec now;
    pthread_t thread;
    clock_gettime(CLOCK_REALTIME, &now);
    double end = (double)now.tv_sec;
    struct late late = {.from = end - 2};
    snprintf(late.path, sizeof late.path, "%s/late.csv", folder);
    FILE *out = fopen(late.path, "w");
    assert_non_null(out);
    fputs("# scope: system\n", out);
    for (int i = 0; i < 200; i++)
        fprintf(out, "%.3f,200\n", end - 22 + 0.1 * i);
    fclose(out);
    struct energy *e = open_with(&(struct energy_request){.power_file = late.path});
    struct energy_window w = window_of(e, 20);
    w.begin_utc_s = end - 20;
    w.end_utc_s = end;
    assert_int_equal(pthread_create(&thread, NULL, write_late, &late), 0);
    energy_report(e, &w, NULL, &per_clip, &r);
    pthread_join(thread, NULL);
    assert_string_equal(r.best->source.scope, "system");
    assert_float_equal(r.best->joules, 4000, 0.01);
    energy_close(e);
}

static void requests_that_make_no_sense(void **state)
{
    (void)state;
    static const struct {
        const char *head, *scope, *says;
        double idle_s;
    } rows[] = {
        {"", NULL, "does not say what its meter sees; add a line '# scope: system'", 0},
        {"# scope: board\n", "system", "--power-scope system, but", 0},
        {"", "everything", "--power-scope: the scope of a power meter is", 0},
        {NULL, "system", "--power-scope says what --power-file CSV measures", 0},
        {NULL, NULL, "--idle-power wants 10 to 3600 seconds", 3},
        {"time,watts\nnow,1\n", "system", "line 2: the time is neither", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault fault = {{0}};
        struct energy *e;
        const struct energy_request request = {
            rows[i].head ? plant_meter(1, 0, rows[i].head) : NULL, rows[i].scope, rows[i].idle_s};
        assert_int_equal(energy_open(&request, &e, &fault), ST_BAD_INPUT);
        expect(fault.text, rows[i].says);
        assert_null(e);
    }
    energy_close(open_with(&(struct energy_request){plant_meter(1, 0, ""), "board", 0}));
}

/* ---- idle power ------------------------------------------------------------------------------ */

/* A real idle time is too long for a test, so that its window is made up afterwards. */
static void idle_power_is_shown_and_not_subtracted(void **state)
{
    (void)state;
    struct energy_report r;
    char line[512];
    struct energy *e = open_with(&(struct energy_request){.idle_s = 10});
    struct energy_window w = window_of(e, 20);
    e->idled = true;
    e->idle = window_of(e, 10);
    e->board[e->boards++] = (struct energy_idle){3, 55};
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_float_equal(r.best->idle_w, 180, 1e-9);
    assert_float_equal(r.best->joules, 1800, 1e-9);
    expect(json_of(&r), "\"mean_w\":90,\"peak_w\":140,\"idle_w\":180}");
    energy_line(e, &r, line, sizeof line);
    expect(line, "peak 140 W, idle 180 W (powercap");

    struct nvml_window seen = {.energy_j = 5000, .energy_s = 20, .energy_refreshes = 200};
    struct energy_board board = {(const struct nvml *)&seen, &seen, "A board", "", 3};
    energy_report(e, &w, &board, &per_clip, &r);
    assert_float_equal(r.best->idle_w, 55, 1e-9);
    board.device = 2;
    energy_report(e, &w, &board, &per_clip, &r);
    assert_true(isnan(r.best->idle_w));

    for (int i = 0; i < RAPL_DOMAINS_MAX; i++)
        e->idle.track[i].refreshes = 99;
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_true(isnan(r.best->idle_w));
    energy_close(e);
}

static void a_meter_has_an_idle_time_too(void **state)
{
    (void)state;
    struct energy_report r;
    const char *path = plant_meter(0.05, 1200, "# scope: system\n");
    struct energy *e = open_with(&(struct energy_request){.power_file = path, .idle_s = 10});
    struct energy_window w = window_of(e, 20);
    e->idled = true;
    e->idle = window_of(e, 10);
    e->idle.begin_utc_s = NOON - 15;
    e->idle.end_utc_s = NOON - 5;
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_float_equal(of(&r, "system")->idle_w, 200, 0.01);
    e->idle.begin_utc_s -= 100;
    energy_report(e, &w, NULL, &per_clip, &r);
    assert_true(isnan(of(&r, "system")->idle_w));
    energy_close(e);
}

/* Once for the processors, once for each device. */
static void one_idle_time_for_each_device(void **state)
{
    (void)state;
    struct energy *e = open_with(&(struct energy_request){.idle_s = 10});
    e->request.idle_s = 0.01;
    energy_idle(e, -1, NULL);
    assert_true(e->idled && e->boards == 0 && e->idle.end_s - e->idle.begin_s >= 0.01);
    const double first = e->idle.begin_s;
    energy_idle(e, -1, NULL);
    energy_idle(e, 1, NULL);
    energy_idle(e, 1, NULL);
    assert_int_equal(e->boards, 1);
    assert_true(e->idle.begin_s == first && isnan(e->board[0].board_w));
    e->request.idle_s = 0;
    energy_idle(e, 2, NULL);
    assert_int_equal(e->boards, 1);
    energy_close(e);
}

/* ---- a thread beside the work ---------------------------------------------------------------- */

/* 50 W for each counter. */
static void *count_on(void *user)
{
    atomic_bool *ending = user;
    for (double joules = 1000; !atomic_load(ending); joules += 0.5) {
        plant_counters(joules);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return NULL;
}

static void counters_are_followed_while_we_wait(void **state)
{
    (void)state;
    atomic_bool ending = false;
    pthread_t thread;
    struct energy_window w;
    struct energy *e = open_with(&(struct energy_request){.idle_s = 0});
    assert_int_equal(pthread_create(&thread, NULL, count_on, &ending), 0);
    for (int i = 0; i < 2; i++) {
        energy_window_open(e, &w);
        nanosleep(&(struct timespec){.tv_sec = 1 - i, .tv_nsec = 300000000}, NULL);
        energy_window_close(e, &w);
        for (int k = 0; k < 3; k++) {
            assert_string_equal(w.track[k].why, "");
            assert_true(w.track[k].joules > 0.4 && w.track[k].joules <= 66);
            assert_true(w.track[k].refreshes >= 2 && w.track[k].refreshes <= 40);
            assert_true(i == 1 || (w.track[k].peak_w > 0 && w.track[k].peak_w <= 60));
        }
    }
    atomic_store(&ending, true);
    pthread_join(thread, NULL);
    energy_close(e);
    energy_close(NULL);
}

/* ---- from outside ---------------------------------------------------------------------------- */

static struct spawned run_with(const char *first, const char *second)
{
    const char *argv[] = {BUILD_DIR "/patchmark",
                          "run",
                          "--size=32x32",
                          "--frames=1",
                          "--steps=1",
                          "--threads=1",
                          "--repetitions=2",
                          "--budget=0.05",
                          "--results=none",
                          "--format=json",
                          first,
                          second,
                          NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void run_tells_why_there_is_no_figure(void **state)
{
    (void)state;
    const char *meter = plant_meter(0.1, 10, "# scope: system\n");
    struct spawned s = run_with(at("--power-file=%s", meter), NULL);
    assert_int_equal(s.code, 0);
    expect(s.out, "\"sensor\":\"power-file\"");
    expect(s.out, "before the window begins; are both clocks in UTC?");
    s = run_with(at("--power-file=%s", meter), "--power-scope=board");
    assert_int_equal(s.code, 2);
    expect(s.err, "says '# scope: system'");
    s = run_with(at("--power-file=%s/nowhere.csv", folder), NULL);
    assert_int_equal(s.code, 2);
    expect(s.err, "nowhere.csv cannot be read: No such file");
    assert_string_equal(s.out, "");
    s = run_with("--idle-power=10", "--sample");
    assert_int_equal(s.code, 2);
    expect(s.err, "energy is that of whole clips");
}

static void kernels_run_alone_for_it(void **state)
{
    (void)state;
    const char *argv[] = {BUILD_DIR "/patchmark", "kernels",
                          "rms_norm/c_01_*",      "--shape=rms_norm:S=9,C=64",
                          "--threads=1",          "--budget=0.5",
                          "--repetitions=6",      "--results=none",
                          "--energy=0.1",         NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    assert_int_equal(s.code, 0);
    expect(s.out, "energy: none: the counter did not move");
    argv[8] = "--energy=-1";
    s = spawn_program((char *const *)argv, NULL);
    assert_int_equal(s.code, 2);
    expect(s.err, "--energy wants seconds");
}

static int plant_all(void **state)
{
    int failed = folder_make(state);
    mkdir(at("%s/rapl", folder), 0755);
    plant_counters(1000);
    setenv("PATCHMARK_POWERCAP", at("%s/rapl", folder), 1);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_stand_for_the_cpu),
        cmocka_unit_test(a_meter_outranks_all),
        cmocka_unit_test(a_board_stands_for_a_gpu),
        cmocka_unit_test(short_windows_say_how_to_lengthen_them),
        cmocka_unit_test(a_slow_meter_is_refused),
        cmocka_unit_test(one_lost_counter_loses_the_sum),
        cmocka_unit_test(a_clock_that_was_set_is_noticed),
        cmocka_unit_test(a_file_that_breaks_meanwhile),
        cmocka_unit_test(lines_that_come_late_are_waited_for),
        cmocka_unit_test(requests_that_make_no_sense),
        cmocka_unit_test(idle_power_is_shown_and_not_subtracted),
        cmocka_unit_test(a_meter_has_an_idle_time_too),
        cmocka_unit_test(one_idle_time_for_each_device),
        cmocka_unit_test(counters_are_followed_while_we_wait),
        cmocka_unit_test(run_tells_why_there_is_no_figure),
        cmocka_unit_test(kernels_run_alone_for_it),
    };
    return cmocka_run_group_tests_name("energy", tests, plant_all, folder_drop);
}
