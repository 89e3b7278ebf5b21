// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_plot.c   patchmark plot on record files written here: numbers in the data files, pictures,
 * hostile text, broken records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/spawn.h"

#ifdef HAVE_GNUPLOT
enum { DRAWN = 0 };
#else
enum { DRAWN = 3 }; /* data files alone, and a sentence why */
#endif

/* One case; zero and NULL stand for what most tests want. */
struct sample {
    const char *model, *status, *plan, *plan_class, *claim, *created, *requested, *geometry, *low;
    int width, height, frames, threads;
    double time_s; /* 0: no time */
};

static const char * or (const char *text, const char *other) { return text ? text : other; }

static void add_case(FILE *out, const struct sample *s)
{
    int threads = s->threads ? s->threads : 2;
    fprintf(
        out,
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.0\"},\"kind\":\"case\",\"later\":1,"
        "\"created_utc\":\"%s\",\"case_kind\":\"pipeline\",\"status\":\"%s\",\"claim\":\"%s\","
        "\"ran_on\":\"cpu\",\"recipe\":{\"model\":\"%s\",\"width\":%d,\"height\":%d,"
        "\"frames\":%d,\"fps\":16,\"steps\":4,\"type\":\"f32\",\"plan\":\"%s\","
        "\"plan_class\":\"%s\",\"threads\":%d,\"geometry_sha256\":\"%s\","
        "\"guidance_low\":\"%s\"},",
        or (s->created, "2031-02-03T04:05:06Z"), or (s->status, "passed"),
        or (s->claim, "measured"), or (s->model, "tiny"), s->width, s->height, s->frames,
        or (s->plan, "linear=c_01_plain conv3d=c_01_plain"), or (s->plan_class, "exact"), threads,
        or (s->geometry, ""), or (s->low, ""));
    if (s->requested)
        fprintf(out, "\"impl\":{\"requested\":\"%s\"},", s->requested);
    if (s->time_s > 0)
        fprintf(out,
                "\"timing\":{\"median\":%.0f,\"lo\":%.0f,\"hi\":%.0f},\"stages\":{\"text_ns\":"
                "%.0f,\"denoise_ns\":%.0f,\"decode_ns\":%.0f}}\n",
                s->time_s * 1e9, s->time_s * 0.9e9, s->time_s * 1.2e9, s->time_s * 0.1e9,
                s->time_s * 0.6e9, s->time_s * 0.3e9);
    else
        fputs("\"timing\":null,\"stages\":null}\n", out);
}

struct place {
    char *folder;
    char records[512], pictures[512];
};

static struct place place_new(void)
{
    struct place p = {.folder = temporary_folder()};
    snprintf(p.records, sizeof p.records, "%s/records.jsonl", p.folder);
    snprintf(p.pictures, sizeof p.pictures, "%s/pictures", p.folder);
    return p;
}

static void write_records(const char *path, const char *machine, const struct sample *samples,
                          int count)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out,
            "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.0\"},\"kind\":\"run\","
            "\"machine\":\"%s\",\"unknown\":[1,{}]}\n",
            machine);
    for (int i = 0; i < count; i++)
        add_case(out, &samples[i]);
    assert_int_equal(fclose(out), 0);
}

static struct spawned plot(const char *results, const char *pictures, const char *format)
{
    char *argv[] = {BUILD_DIR "/patchmark", "plot",     (char *)results, "--out",
                    (char *)pictures,       "--format", (char *)format,  NULL};
    return spawn_program(argv, NULL);
}

static char *picture(const struct place *p, const char *name, size_t *bytes)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", p->pictures, name);
    return file_read(path, bytes);
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("'%s' is missing in:\n%s", part, text ? text : "(no file)");
}

#ifdef HAVE_JANSSON

/* Row `row`, from 0, of the block whose first line begins with `legend`, as numbers. */
static int numbers_of(const char *data, const char *legend, int row, double *out, int room)
{
    char line[200];
    snprintf(line, sizeof line, "\n\n\n%s", legend);
    const char *at = strstr(data, line);
    assert_non_null(at);
    for (at += 3; row >= 0; row--) {
        at = strchr(at, '\n');
        assert_non_null(at);
        at++;
    }
    int count = 0;
    for (char *end; count < room; at = end + 1) {
        double value = strtod(at, &end);
        if (end == at)
            break;
        out[count++] = value;
        if (*end != '\t')
            break;
    }
    return count;
}

/* time = 2 * seconds^1.5: the slope is known. */
static const struct sample power_law[] = {
    {.width = 128, .height = 72, .frames = 16, .time_s = 2.0},
    {.width = 128, .height = 72, .frames = 32, .time_s = 5.656854249},
    {.width = 128, .height = 72, .frames = 64, .time_s = 16.0},
    {.width = 128, .height = 72, .frames = 1, .time_s = 0.5},
    {.width = 72, .height = 128, .frames = 16, .time_s = 3.0},
    {.width = 72, .height = 128, .frames = 32, .time_s = 0, .status = "crashed"},
    {.width = 72, .height = 128, .frames = 64, .time_s = 24.0, .status = "unstable"},
    {.width = 128, .height = 72, .frames = 16, .threads = 1, .time_s = 3.2},
};
enum { POWER_LAW = sizeof power_law / sizeof power_law[0] };

static void data_files_carry_the_numbers(void **state)
{
    (void)state;
    struct place p = place_new();
    write_records(p.records, "cpu-a", power_law, POWER_LAW);
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, DRAWN);

    double v[8];
    char *data = picture(&p, "duration.tsv", NULL);
    assert_has(data, "128x72, slope 1.50\n");
    assert_has(data, "72x128, slope 1.50\n");
    assert_has(data, "measured, cpu-a, tiny, f32, 4 steps, exact plans, threads 2, 2031-02-03\t");
    assert_has(data,
               "\t1 case has no time; 1 case is not shown (other threads); 1 time is unstable or "
               "throttled (*)\t");
    assert_has(data, "\t64\tunstable\n");
    assert_int_equal(numbers_of(data, "128x72", 0, v, 8), 5);
    assert_true(v[0] == 1.0 / 16 && v[1] == 0.5 && v[4] == 1); /* the still is drawn, not fitted */
    numbers_of(data, "128x72", 1, v, 8);
    assert_true(v[0] == 1 && v[1] == 2 && fabs(v[2] - 1.8) < 1e-8 && fabs(v[3] - 2.4) < 1e-8);
    free(data);

    data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "\n0\t0\t128x72\t900\t750\t1000\tpassed\n"); /* 64 frames, 4 s, in 16 s */
    assert_has(data, "\n1\t0\t72x128\t600\t500\t666.666667\tunstable\n");
    free(data);

    data = picture(&p, "stages.tsv", NULL);
    assert_has(data, "\n128x72 still\t0.05\t0.3\t0.15\t0.5\tpassed\n");
    free(data);

    data = picture(&p, "threads.tsv", NULL);
    numbers_of(data, "128x72", 0, v, 8);
    assert_true(v[0] == 1 && v[1] == 1125 && v[4] == 100);
    numbers_of(data, "128x72", 1, v, 8);
    assert_true(v[0] == 2 && v[1] == 1800 && v[4] == 80);
    free(data);
    temporary_remove(p.folder);
}

static void a_case_without_a_time_leaves_a_named_gap(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.width = 128, .height = 72, .frames = 17, .time_s = 1},
        {.width = 256, .height = 144, .frames = 17, .status = "crashed"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 7, .status = "wrong"},
    };
    struct place p = place_new();
    write_records(p.records, "cpu-a", samples, 3);
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, DRAWN);
    assert_has(s.out, "not drawn: it needs pipeline cases that differ only in threads");
    char *data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "\n2\t0\t256x144\tNaN\tNaN\tNaN\tcrashed\n");
    assert_has(data, "\t64x64\tNaN\tNaN\tNaN\twrong\n"); /* a wrong result has no speed */
    free(data);
    assert_null(picture(&p, "threads.tsv", NULL));
    temporary_remove(p.folder);
}

/* A plan measured at one size leaves no gap at the others, and bars stand around the middle. */
static void each_size_has_the_bars_that_were_tried(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.width = 64, .height = 64, .frames = 17, .time_s = 1, .plan = "linear=a"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 2, .plan = "linear=b"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 3, .plan = "linear=c"},
        {.width = 128, .height = 72, .frames = 17, .time_s = 4, .plan = "linear=a"},
        {.width = 128, .height = 72, .frames = 17, .status = "timeout", .plan = "linear=c"},
    };
    struct place p = place_new();
    write_records(p.records, "cpu-a", samples, 5);
    assert_int_equal(plot(p.records, p.pictures, "text").code, DRAWN);
    char *data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "\t3\t2\t17\t1.06\t3\n"); /* series, sizes, frames, seconds, most bars */
    assert_has(data, "plan A: linear=a\n0\t-1\t64x64\t3825\t");
    assert_has(data, "\n1\t-0.5\t128x72\t956.25\t");
    assert_has(data, "plan B: linear=b\n0\t0\t64x64\t1912.5\t1593.75\t2125\tpassed\n\n");
    assert_has(data, "\n1\t0.5\t128x72\tNaN\tNaN\tNaN\ttimeout\n");
    assert_has(data, "\n\n\nsizes\n0\t64x64\n1\t128x72\n");
    assert_null(strstr(data, "no record"));
    free(data);
    temporary_remove(p.folder);
}

static void plans_go_by_the_word_that_asked_for_them(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.width = 64, .height = 64, .frames = 17, .time_s = 1, .plan = "x=1", .requested = "auto"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 2, .plan = "x=2", .requested = "base"},
        {.width = 96, .height = 96, .frames = 17, .time_s = 3, .plan = "x=1", .requested = "auto"},
        {.width = 96, .height = 96, .frames = 33, .time_s = 4, .plan = "x=2", .requested = "base"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 5, .plan = "x=3", .requested = "auto"},
    };
    struct place p = place_new();
    write_records(p.records, "cpu-a", samples, 4);
    assert_int_equal(plot(p.records, p.pictures, "text").code, DRAWN);
    char *data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "\n\n\nauto\n0\t-0.5\t64x64\t");
    assert_has(data, "\n\n\nbase\n0\t0.5\t64x64\t");
    assert_has(data, "# plan A, auto: x=1\n# plan B, base: x=2\n");
    assert_has(data, "plans go by --kernels and are spelled out in the data file");
    free(data);
    data = picture(&p, "stages.tsv", NULL);
    assert_has(data, "\n64x64 1.06 s\t");
    assert_has(data, "\n64x64 1.06 s, base\t");
    assert_has(data, "\n96x96 1.06 s\t");
    assert_has(data, "\n96x96 2.06 s, base\t"); /* without a rival, yet not the usual plan */
    free(data);

    write_records(p.records, "cpu-a", samples, 5);
    assert_int_equal(plot(p.records, p.pictures, "text").code, DRAWN);
    data = picture(&p, "stages.tsv", NULL);
    assert_has(data, "\n64x64 1.06 s, auto (plan A)\t");
    assert_has(data, "\n64x64 1.06 s, auto (plan C)\t");
    assert_has(data, "\n64x64 1.06 s, base\t");
    assert_has(data, "\n96x96 1.06 s\t");
    free(data);
    temporary_remove(p.folder);
}

/* One word on two machines becomes two plans, and one question. */
static void a_word_means_the_same_on_every_machine(void **state)
{
    (void)state;
    static const struct sample a = {
        .width = 64, .height = 64, .frames = 17, .time_s = 1, .plan = "x=1", .requested = "auto"};
    static const struct sample b[] = {
        {.width = 64, .height = 64, .frames = 17, .time_s = 2, .plan = "x=2", .requested = "auto"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 3, .plan = "x=3", .requested = "c"},
    };
    struct place p = place_new();
    char path[600];
    write_records(p.records, "cpu-a", &a, 1);
    snprintf(path, sizeof path, "%s/b.jsonl", p.folder);
    write_records(path, "cpu-b", b, 2);
    assert_int_equal(plot(p.folder, p.pictures, "text").code, DRAWN);
    char *data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "\n\n\ncpu-a, auto\n");
    assert_has(data, "\n\n\ncpu-b, auto\n");
    assert_has(data, "\n\n\ncpu-b, c\n");
    free(data);
    temporary_remove(p.folder);
}

static void unlike_cases_never_share_a_curve(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {.width = 64, .height = 64, .frames = 17, .time_s = 1},
        {.width = 64, .height = 64, .frames = 33, .time_s = 2},
        {.width = 64, .height = 64, .frames = 17, .time_s = 0.5, .plan_class = "approximate"},
        {.width = 64, .height = 64, .frames = 33, .time_s = 0.9, .plan_class = "approximate"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 0.7, .claim = "predicted"},
        {.width = 64, .height = 64, .frames = 33, .time_s = 0.8, .claim = "predicted"},
        {.width = 64,
         .height = 64,
         .frames = 17,
         .time_s = 5,
         .plan = "linear=c_01_plain conv3d=b"},
        {.width = 64,
         .height = 64,
         .frames = 33,
         .time_s = 6,
         .plan = "linear=c_01_plain conv3d=b"},
    };
    struct place p = place_new();
    write_records(p.records, "cpu-a", samples, 8);
    assert_int_equal(plot(p.records, p.pictures, "text").code, DRAWN);
    char *data = picture(&p, "duration.tsv", NULL);
    assert_has(data, "64x64, measured, exact, plan B: conv3d=b, slope");
    assert_has(data, "64x64, measured, exact, plan A: conv3d=c_01_plain, slope");
    assert_has(data, "64x64, measured, approximate, plan A: conv3d=c_01_plain, slope");
    assert_has(data, "64x64, predicted, exact, plan A: conv3d=c_01_plain, slope");
    assert_has(data, "# plan B: linear=c_01_plain conv3d=b\n");
    assert_has(data, "claims as labelled");
    assert_has(data, "plan classes as labelled");
    free(data);
    temporary_remove(p.folder);
}

static void machines_overlay_and_the_newer_of_two_stays(void **state)
{
    (void)state;
    static const struct sample old = {
        .width = 64, .height = 64, .frames = 17, .time_s = 9, .created = "2030-01-01T00:00:00Z"};
    static const struct sample new[] = {{.width = 64, .height = 64, .frames = 17, .time_s = 2}};
    struct place p = place_new();
    char path[600];
    const char *files[] = {"a.jsonl", "b.jsonl", "c.jsonl", "ignored.txt"};
    const char *machines[] = {"cpu-a", "cpu-a", "cpu-b", "cpu-c"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", p.folder, files[i]);
        write_records(path, machines[i], i == 0 ? new : i == 1 ? &old : new, 1);
    }
    struct spawned s = plot(p.folder, p.pictures, "json");
    assert_int_equal(s.code, DRAWN);
    assert_has(s.out, "\"files\": 3");
    assert_has(s.out, "\"cases\": 2");
    assert_has(s.out, "\"older_cases\": 1");
    assert_int_equal(s.out[0], '{');
    char *data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "\n\n\ncpu-a\n0\t-0.5\t64x64\t1912.5\t");
    assert_has(data, "\n\n\ncpu-b\n0\t0.5\t64x64\t1912.5\t");
    assert_null(strstr(data, "cpu-c"));
    free(data);
    temporary_remove(p.folder);
}

/* Long names push a bar's size out of the picture; two geometries under one name must show. */
static void legends_leave_out_what_the_model_says(void **state)
{
    (void)state;
    const struct sample three[] = {
        {.width = 64, .height = 64, .frames = 17, .time_s = 1, .geometry = "aaaa"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 2, .geometry = "bbbb", .model = "b"},
        {.width = 64, .height = 64, .frames = 17, .time_s = 3, .model = "c", .low = "3"},
    };
    struct sample same[] = {three[0], three[1]};
    same[1].model = NULL;
    struct place p = place_new();
    write_records(p.records, "cpu-a", three, 3);
    assert_int_equal(plot(p.records, p.pictures, "text").code, DRAWN);
    char *data = picture(&p, "stages.tsv", NULL);
    assert_has(data, "\n64x64 1.06 s, b\t");
    assert_has(data, "\n64x64 1.06 s, c, second guidance 3\t");
    assert_has(data, "\n64x64 1.06 s, tiny\t");
    free(data);
    write_records(p.records, "cpu-a", same, 2);
    assert_int_equal(plot(p.records, p.pictures, "text").code, DRAWN);
    data = picture(&p, "stages.tsv", NULL);
    assert_has(data, "\n64x64 1.06 s, geometry aaaa\t");
    assert_has(data, "\n64x64 1.06 s, geometry bbbb\t");
    free(data);
    temporary_remove(p.folder);
}

/* Ceilings of one run of the program; those of a newer one take their place. */
static void write_roofs(const char *path, const char *run, const char *created, double scale)
{
    static const struct {
        const char *ceiling, *what, *unit;
        double rate;
    } roofs[] = {{"peak", "\"type\":\"f32\"", "avx2", 50e9},
                 {"peak", "\"type\":\"f32\"", "avx512", 100e9},
                 {"peak", "\"type\":\"int8\"", "amx_int8", 4000e9},
                 {"read", "\"level\":\"L1\"", "avx512", 200e9},
                 {"copy", "\"level\":\"L1\"", "avx512", 300e9},
                 {"read", "\"level\":\"DRAM\"", "avx512", 10e9}};
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.1\"},\"kind\":\"run\","
                 "\"machine\":\"cpu-a\"}\n");
    for (size_t i = 0; i < sizeof roofs / sizeof *roofs; i++) {
        bool peak = !strcmp(roofs[i].ceiling, "peak");
        fprintf(out,
                "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.1\"},\"kind\":\"case\","
                "\"run_id\":\"%s\",\"case\":%zu,\"created_utc\":\"%s\",\"case_kind\":\"ceiling\","
                "\"status\":"
                "\"passed\",\"claim\":\"measured\",\"recipe\":{\"ceiling\":\"%s\",%s,\"device\":"
                "\"cpu\",\"threads\":2},\"impl\":{\"resolved\":\"%s\"},\"derived\":{\"%s\":%g}}\n",
                run, i + 1, created, roofs[i].ceiling, roofs[i].what, roofs[i].unit,
                peak ? "flops_per_s_best" : "bytes_per_s_best", scale * roofs[i].rate);
    }
    assert_int_equal(fclose(out), 0);
}

static void write_kernel(FILE *out, const char *op, const char *variant, int threads, double flops,
                         double rate)
{
    fprintf(out,
            "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.1\"},\"kind\":\"case\","
            "\"created_utc\":\"2031-02-03T04:05:06Z\",\"case_kind\":\"kernel\",\"status\":"
            "\"passed\",\"claim\":\"measured\",\"recipe\":{\"op\":\"%s\",\"shape\":\"%s:S=9\","
            "\"device\":\"cpu\",\"threads\":%d},\"impl\":{\"variant\":\"%s\"},\"timing\":"
            "{\"median\":1000},\"work\":{\"flops_actual\":%g,\"bytes\":100},\"derived\":"
            "{\"flops_per_s_actual\":",
            op, op, threads, variant, flops);
    if (rate > 0)
        fprintf(out, "%g}}\n", rate);
    else
        fputs("null}}\n", out);
}

static void kernels_stand_under_the_roofs_of_their_machine(void **state)
{
    (void)state;
    struct place p = place_new();
    char path[600];
    snprintf(path, sizeof path, "%s/a.jsonl", p.folder);
    write_roofs(path, "old", "2031-01-01T00:00:00Z", 9);
    snprintf(path, sizeof path, "%s/b.jsonl", p.folder);
    write_roofs(path, "new", "2031-02-01T00:00:00Z", 1);
    struct spawned s = plot(p.folder, p.pictures, "text");
    assert_has(s.out, "roofline    not drawn: it needs kernel cases at the 2 threads");
    snprintf(path, sizeof path, "%s/c.jsonl", p.folder);
    write_records(path, "cpu-a", NULL, 0);
    FILE *out = fopen(path, "a");
    assert_non_null(out);
    write_kernel(out, "linear", "avx2_01", 2, 4000, 30e9);
    write_kernel(out, "linear", "avx512_01", 2, 4000, 60e9);
    write_kernel(out, "linear", "avx512_01", 1, 4000, 31e9);
    write_kernel(out, "attention", "c_01", 2, 2000, 5e9);
    write_kernel(out, "rms_norm", "c_01", 2, 0, 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(plot(p.folder, p.pictures, "text").code, DRAWN);
    char *data = picture(&p, "roofline.tsv", NULL);
    assert_has(data,
               "measured, cpu-a, cpu, 2 threads, roofs of 2031-02-01\t1 kernel time of another "
               "machine, device or number of threads; 1 kernel time of ops that count no "
               "flops\t2\t2\t2\t");
    assert_has(data, "\n\n\nlinear, fastest: avx512_01 60 GFLOP/s\n40\t30\tavx2_01\tpassed\t");
    assert_has(data, "\n\n\nattention, fastest: c_01 5 GFLOP/s\n20\t5\tc_01\tpassed\t");
    assert_has(data, "L1  300 GB/s\n");
    assert_has(data, "DRAM  10 GB/s\n");
    assert_has(data, "f32 avx512  100\n");
    assert_null(strstr(data, "avx2  50"));
    free(data);
#ifdef HAVE_GNUPLOT
    size_t bytes = 0;
    char *png = picture(&p, "roofline.png", &bytes);
    assert_non_null(png);
    assert_true(bytes > 8000);
    free(png);
#endif
    temporary_remove(p.folder);
}

#ifdef HAVE_GNUPLOT
static void pictures_are_pictures(void **state)
{
    (void)state;
    static const char *const names[] = {"duration", "throughput", "stages", "threads"};
    struct place p = place_new();
    write_records(p.records, "cpu-a", power_law, POWER_LAW);
    setenv("LC_ALL", "C", 1); /* a bare machine has no other locale */
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, 0);
    assert_string_equal(s.err, "");
    for (int i = 0; i < 4; i++) {
        char name[32];
        size_t bytes = 0;
        snprintf(name, sizeof name, "%s.png", names[i]);
        char *png = picture(&p, name, &bytes);
        assert_non_null(png);
        assert_true(bytes > 8000);
        assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
        assert_memory_equal(png + 16, "\0\0\x04\xb0\0\0\x02\xee", 8); /* 1200 x 750 */
        free(png);
        snprintf(name, sizeof name, "%s.svg", names[i]);
        char *svg = picture(&p, name, &bytes);
        assert_true(bytes > 6000);
        assert_has(svg, "</svg>");
        assert_has(svg, "measured, cpu-a, tiny");
        free(svg);
    }
    temporary_remove(p.folder);
}
#endif

/* Whatever a record or a folder is called, it stays text. */
static void hostile_names_stay_text(void **state)
{
    (void)state;
    struct place p = place_new();
    char trap[300], model[1400], machine[2000];
    snprintf(trap, sizeof trap, "%s/trap", p.folder);
    snprintf(model, sizeof model,
             "x`touch %s`' \\nsystem('touch %s')\\n\\\" @m {/=9 y} $(touch %s)\\t#", trap, trap,
             trap);
    snprintf(machine, sizeof machine, "<touch %s |%s \\u001b[31m", trap, model);
    struct sample samples[] = {
        {.model = model,
         .width = 64,
         .height = 64,
         .frames = 17,
         .time_s = 1,
         .plan = model,
         .requested = model},
        {.model = model,
         .width = 64,
         .height = 64,
         .frames = 17,
         .time_s = 3,
         .plan = "x",
         .requested = machine},
        {.model = "tiny", .width = 64, .height = 64, .frames = 33, .time_s = 1, .threads = 1},
        {.model = model, .width = 64, .height = 64, .frames = 33, .time_s = 2, .status = model},
        {.model = model,
         .width = 64,
         .height = 64,
         .frames = 17,
         .time_s = 2,
         .threads = 1,
         .created = model},
    };
    write_records(p.records, machine, samples, 5);
    snprintf(p.pictures, sizeof p.pictures, "%s/o'`touch trap`$(touch trap)", p.folder);
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, DRAWN);
    assert_int_not_equal(access(trap, F_OK), 0);
    assert_int_not_equal(access("trap", F_OK), 0);
    assert_null(strchr(s.out, '\x1b'));
    char *data = picture(&p, "duration.tsv", NULL);
    assert_non_null(data);
    assert_null(strpbrk(data, "`'\"<|\x1b$"));
    free(data);
    data = picture(&p, "throughput.tsv", NULL);
    assert_has(data, "plan B, x_touch ");
    assert_null(strpbrk(data, "`'\"<|\x1b$"));
    free(data);
    temporary_remove(p.folder);
}

static void refuses(const char *text, const char *sentence)
{
    struct place p = place_new();
    write_records(p.records, "cpu-a", power_law, 2);
    FILE *out = fopen(p.records, "a");
    assert_non_null(out);
    fprintf(out, "%s\n", text);
    fclose(out);
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, 2);
    assert_has(s.err, "records.jsonl:4: ");
    assert_has(s.err, sentence);
    assert_int_not_equal(access(p.pictures, F_OK), 0);
    temporary_remove(p.folder);
}

static void broken_records_are_named(void **state)
{
    (void)state;
    refuses("{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.0\"},\"kind\":\"ca", "not a JSON");
    refuses("[]", "not a JSON object");
    refuses("{\"kind\":\"case\"}", "not a patchmark record");
    refuses("{\"schema\":{\"name\":\"other\",\"version\":\"1.0\"},\"kind\":\"case\"}",
            "not a patchm");
    refuses("{\"a\":1,\"a\":2}", "duplicate");
    refuses("{\"schema\":{\"name\":\"patchmark\",\"version\":\"3.0\"},\"kind\":\"run\"}",
            "version this "
            "program does not know: 3.0");
    refuses(
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.7\"},\"kind\":\"case\",\"case_kind\":"
        "\"pipeline\",\"recipe\":{\"width\":-1}}",
        "without width");
}

/* Times of a denoiser alone would pass for those of a fast clip. */
static void cases_that_end_as_latents_are_no_clips(void **state)
{
    (void)state;
    struct place p = place_new();
    write_records(p.records, "cpu-a", power_law, 2);
    FILE *out = fopen(p.records, "a");
    assert_non_null(out);
    fputs(
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.1\"},\"kind\":\"case\",\"case_kind\":"
        "\"pipeline\",\"status\":\"passed\",\"recipe\":{\"width\":64,\"height\":64,"
        "\"frames\":1,\"fps\":1,\"result\":\"latents\"},\"timing\":{\"median\":1e6}}\n",
        out);
    fclose(out);
    struct spawned s = plot(p.records, p.pictures, "json");
    assert_int_equal(s.code, DRAWN);
    assert_has(s.out, "\"cases\": 2");
    assert_has(s.out, "\"denoise_only_cases\": 1");
    temporary_remove(p.folder);
}

/* A batch's time is not a clip's, nor is that of one replica among others. */
static void cases_of_several_clips_are_left_out(void **state)
{
    static const char *const recipe[] = {"\"batch\":2", "\"replicas\":1",
                                         "\"scenario\":\"offline\""};
    (void)state;
    struct place p = place_new();
    write_records(p.records, "cpu-a", power_law, 2);
    FILE *out = fopen(p.records, "a");
    assert_non_null(out);
    for (int i = 0; i < 3; i++)
        fprintf(out,
                "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"case\","
                "\"case_kind\":\"pipeline\",\"status\":\"passed\",\"recipe\":{\"width\":64,"
                "\"height\":64,\"frames\":1,\"fps\":1,%s},\"timing\":{\"median\":1e6}}\n",
                recipe[i]);
    fclose(out);
    struct spawned s = plot(p.records, p.pictures, "json");
    assert_int_equal(s.code, DRAWN);
    assert_has(s.out, "\"cases\": 2");
    assert_has(s.out, "\"grouped_cases\": 3");
    temporary_remove(p.folder);
}

/* A field that only some cases have tells them apart from others all the same. */
static void cases_that_differ_stay_apart(void **state)
{
    static const char *const recipe[] = {
        "\"fps\":1",
        "\"fps\":1,\"launch\":\"stream\"",
        "\"fps\":1,\"launch\":\"graph\"",
        "\"fps\":1,\"guidance_low\":3",
        "\"fps\":1,\"guidance_low\":4",
        "\"fps\":1,\"weights\":{\"kind\":\"checkpoint\",\"sha256\":\"aa\"}",
        "\"fps\":1,\"weights\":{\"kind\":\"checkpoint\",\"sha256\":\"bb\"}",
        "\"fps\":1,\"residency\":\"resident\"",
    };
    enum { CASES = sizeof recipe / sizeof *recipe };
    (void)state;
    struct place p = place_new();
    write_records(p.records, "cpu-a", NULL, 0);
    FILE *out = fopen(p.records, "a");
    assert_non_null(out);
    for (int i = 0; i < 2 * CASES; i++) /* each is measured twice */
        fprintf(out,
                "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.1\"},\"kind\":\"case\","
                "\"case_kind\":\"pipeline\",\"status\":\"passed\",\"recipe\":{\"width\":64,"
                "\"height\":64,\"frames\":1,%s},\"timing\":{\"median\":1e6}}\n",
                recipe[i % CASES]);
    fclose(out);
    struct spawned s = plot(p.records, p.pictures, "json");
    assert_int_equal(s.code, DRAWN);
    char count[32];
    snprintf(count, sizeof count, "\"cases\": %d", CASES);
    assert_has(s.out, count);
    temporary_remove(p.folder);
}

/* A case that was refused before its plan was made has no recipe, and spoils no file. */
static void a_case_without_a_recipe_is_counted(void **state)
{
    (void)state;
    struct place p = place_new();
    write_records(p.records, "cpu-a", power_law, 2);
    FILE *out = fopen(p.records, "a");
    assert_non_null(out);
    fputs(
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"1.0\"},\"kind\":\"case\",\"case_kind\":"
        "\"pipeline\",\"status\":\"refused\",\"recipe\":null}\n",
        out);
    fclose(out);
    struct spawned s = plot(p.records, p.pictures, "json");
    assert_int_equal(s.code, DRAWN);
    assert_has(s.out, "\"cases\": 2");
    assert_has(s.out, "\"cases_without_recipe\": 1");
    temporary_remove(p.folder);
}

static void says_what_is_missing(void **state)
{
    (void)state;
    struct place p = place_new();
    write_records(p.records, "cpu-a", NULL, 0);
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, 3);
    assert_has(s.err, "run --suite quick");
    s = plot("/no/such/folder", p.pictures, "text");
    assert_int_equal(s.code, 2);
    assert_has(s.err, "/no/such/folder");
    s = plot(p.records, p.records, "text");
    assert_int_equal(s.code, 2);
    assert_has(s.err, "is a file, not a folder");
    s = plot(p.records, p.pictures, "xml");
    assert_int_equal(s.code, 2);
    temporary_remove(p.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_files_carry_the_numbers),
        cmocka_unit_test(a_case_without_a_time_leaves_a_named_gap),
        cmocka_unit_test(each_size_has_the_bars_that_were_tried),
        cmocka_unit_test(plans_go_by_the_word_that_asked_for_them),
        cmocka_unit_test(a_word_means_the_same_on_every_machine),
        cmocka_unit_test(unlike_cases_never_share_a_curve),
        cmocka_unit_test(machines_overlay_and_the_newer_of_two_stays),
        cmocka_unit_test(legends_leave_out_what_the_model_says),
        cmocka_unit_test(kernels_stand_under_the_roofs_of_their_machine),
#ifdef HAVE_GNUPLOT
        cmocka_unit_test(pictures_are_pictures),
#endif
        cmocka_unit_test(hostile_names_stay_text),
        cmocka_unit_test(broken_records_are_named),
        cmocka_unit_test(cases_that_end_as_latents_are_no_clips),
        cmocka_unit_test(cases_of_several_clips_are_left_out),
        cmocka_unit_test(cases_that_differ_stay_apart),
        cmocka_unit_test(a_case_without_a_recipe_is_counted),
        cmocka_unit_test(says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void says_that_it_is_not_built(void **state)
{
    (void)state;
    struct place p = place_new();
    static const struct sample one = {.width = 64, .height = 64, .frames = 17, .time_s = 1};
    write_records(p.records, "cpu-a", &one, 1);
    struct spawned s = plot(p.records, p.pictures, "text");
    assert_int_equal(s.code, 3);
    assert_has(s.err, "jansson");
    assert_null(picture(&p, "duration.tsv", NULL));
    temporary_remove(p.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(says_that_it_is_not_built)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
