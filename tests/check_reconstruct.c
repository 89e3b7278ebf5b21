// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_reconstruct.c   patchmark reconstruct, and generate --tile, as people call them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/media.h"
#include "media/media_read.h"
#include "support/files.h"
#include "support/jobs.h"
#include "support/json_check.h"
#include "support/spawn.h"

enum { WIDTH = 44, HEIGHT = 36, FRAMES = 6, VALUES = WIDTH * HEIGHT * 3 };

/* A smooth picture that moves. */
static const char *put_input(const char *name, int64_t frames)
{
    static uint8_t rgb[VALUES];
    struct fault fault = {0};
    struct media_writer *w;
    const char *path = job_word("%s/%s", folder, name);
    assert_int_equal(media_open(path, WIDTH, HEIGHT, frames, 12, &w, &fault), ST_OK);
    for (int64_t t = 0; t < frames; t++) {
        for (int64_t i = 0; i < VALUES; i++)
            rgb[i] =
                (uint8_t)(128 + 100 * sin(0.2 * (double)(i / 3 % WIDTH + t) + (double)(i % 3)));
        assert_int_equal(media_frame(w, rgb, &fault), ST_OK);
    }
    assert_int_equal(media_close(w, &fault), ST_OK);
    return path;
}

/* patchmark reconstruct INPUT -o OUTPUT and up to three more words */
static struct job reconstruct(const char *input, const char *output, const char *a, const char *b,
                              const char *c)
{
    struct job job = {.argv = {BUILD_DIR "/patchmark", "reconstruct", input, "--threads=2", "-o",
                               output, a, b, c}};
    jobs_run(&job, 1);
    return job;
}

static void expect(const struct job *job, int code, const char *part)
{
    const char *text = code ? job->err : job->out;
    if (job->code != code || !strstr(text, part))
        fail_msg("exit code %d, not %d, or no \"%s\" in:\n%s%s", job->code, code, part, job->out,
                 job->err);
}

/* The number behind `key` of the JSON text, first occurrence after `from`. */
static double number(const char *json, const char *from, const char *key)
{
    const char *at = strstr(json, from);
    assert_non_null(at);
    at = strstr(at, key);
    assert_non_null(at);
    return strtod(at + strlen(key) + 2, NULL);
}

/* PSNR of two files of WIDTH x HEIGHT. */
static double between(const char *a, const char *b)
{
    struct fault fault = {0};
    struct media_reader *r[2];
    static uint8_t rgb[2][VALUES];
    bool end = false;
    double sum = 0, count = 0;
    assert_int_equal(media_read_open(a, WIDTH, HEIGHT, &r[0], &fault), ST_OK);
    assert_int_equal(media_read_open(b, WIDTH, HEIGHT, &r[1], &fault), ST_OK);
    for (;; count += VALUES) {
        assert_int_equal(media_read_frame(r[0], rgb[0], &end, &fault), ST_OK);
        if (end)
            break;
        assert_int_equal(media_read_frame(r[1], rgb[1], &end, &fault), ST_OK);
        assert_false(end);
        for (int i = 0; i < VALUES; i++)
            sum += pow((double)rgb[0][i] - rgb[1][i], 2);
    }
    media_read_free(r[0]);
    media_read_free(r[1]);
    return 10 * log10(255.0 * 255.0 * count / sum);
}

/* .ppm keeps every byte, so that the file's own loss is none. */
static void a_still_comes_back(void **state)
{
    (void)state;
    const char *input = put_input("still.ppm", 1), *output = job_word("%s/again.ppm", folder);
    struct job job = reconstruct(input, output, "--format=json", NULL, NULL);
    expect(&job, 0, "\"synthetic_weights\": true");
    assert_true(json_valid(job.out));
    const double said = number(job.out, "\"loss\"", "\"psnr_db\"");
    assert_true(fabs(said - between(input, output)) < 1e-6);
    assert_true(number(job.out, "\"encode\"", "\"flops\"") > 1e6);
    assert_true(number(job.out, "\"decode\"", "\"run_ns\"") > 0);
    assert_null(strstr(job.out, "seams"));
    jobs_free(&job, 1);
}

static void a_clip_comes_back(void **state)
{
    (void)state;
    const char *input = put_input("clip.y4m", FRAMES), *output = job_word("%s/again.y4m", folder);
    struct job job = reconstruct(input, output, "--kernels=c", NULL, NULL);
    expect(&job, 0, "encodes 48x48, 9 frames");
    expect(&job, 0, "PSNR");
    expect(&job, 0, "says nothing of the model");
    struct fault fault = {0};
    struct media_reader *r;
    int64_t width, height;
    assert_int_equal(media_read_open(output, 0, 0, &r, &fault), ST_OK);
    media_read_size(r, &width, &height);
    assert_true(width == WIDTH && height == HEIGHT && media_read_fps(r) == 12);
    media_read_free(r);
    jobs_free(&job, 1);
}

/* Tiles do more work in less memory; a tile as large as the frame leaves no seam. */
static void tiles_tell_their_seams(void **state)
{
    (void)state;
    const char *input = put_input("tiles.y4m", FRAMES),
               *output = job_word("%s/tiles_again.y4m", folder);
    struct job whole = reconstruct(input, output, "--format=json", NULL, NULL);
    struct job tiles = reconstruct(input, output, "--format=json", "--tile=32,16", NULL);
    struct job large = reconstruct(input, output, "--format=json", "--tile", "48");
    expect(&whole, 0, "loss");
    expect(&tiles, 0, "\"seams\": {");
    expect(&large, 0, "\"seams\": {\n    \"psnr_db\": null");
    expect(&large, 0, "\"tile_stride_px\": 32");
    const double seams = number(tiles.out, "\"seams\"", "\"psnr_db\"");
    assert_true(seams > 5 && seams < 60);
    assert_true(number(tiles.out, "\"decode\"", "\"flops\"") >
                number(whole.out, "\"decode\"", "\"flops\""));
    assert_true(number(tiles.out, "\"decode\"", "\"activation_bytes\"") <
                number(whole.out, "\"decode\"", "\"activation_bytes\""));
    jobs_free(&large, 1);
    jobs_free(&tiles, 1);
    jobs_free(&whole, 1);
}

static void what_cannot_be_done_is_refused(void **state)
{
    (void)state;
    const char *input = put_input("input.y4m", 2), *output = job_word("%s/never.y4m", folder);
    const char *text = job_word("%s/text.y4m", folder);
    file_write(text, "once upon a time", false);
    const struct {
        const char *input, *a, *says;
    } rows[] = {
        {input, "--tile=33", "multiples of 8"},
        {input, "--tile=32,40", "multiples of 8"},
        {input, "--tile=large", "PIXELS or PIXELS,STRIDE"},
        {input, "--tile=32,16,8", "PIXELS or PIXELS,STRIDE"},
        {input, "--frames=3", "has 2"},
        {input, "--model=dit-s-8-256", "no video autoencoder"},
        {input, "--model=nothing", "there is no model"},
        {input, "--format=xml", "text or json"},
        {text, NULL, "cannot be read"},
        {job_word("%s/absent.mp4", folder), NULL, "No such file"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct job job = reconstruct(rows[i].input, output, rows[i].a, NULL, NULL);
        expect(&job, i == 8 && strstr(job.err, "FFmpeg") ? 3 : 2,
               i == 8 && strstr(job.err, "FFmpeg") ? "FFmpeg" : rows[i].says);
        assert_false(file_exists(output));
        jobs_free(&job, 1);
    }
    struct job job = {.argv = {BUILD_DIR "/patchmark", "reconstruct", input}};
    jobs_run(&job, 1);
    expect(&job, 2, "give -o FILE");
    jobs_free(&job, 1);
    size_t before, after;
    free(file_read(input, &before));
    job = reconstruct(input, input, "--frames=1", NULL, NULL);
    expect(&job, 2, "is the file that is read");
    jobs_free(&job, 1);
    free(file_read(input, &after));
    assert_int_equal(before, after);
}

/* The same clip but for its seams. */
static void generate_in_tiles(void **state)
{
    (void)state;
    const char *whole = job_word("%s/g.y4m", folder), *tiles = job_word("%s/t.y4m", folder);
    struct job job[2];
    for (int i = 0; i < 2; i++)
        job[i] =
            (struct job){.argv = {BUILD_DIR "/patchmark", "generate", "--prompt=a", "--size=44x36",
                                  "--frames=5", "--steps=1", "--threads=2", "--format=json", "-o",
                                  i ? tiles : whole, i ? "--tile=32,16" : NULL}};
    jobs_run(job, 2);
    expect(&job[0], 0, "\"decode\"");
    expect(&job[1], 0, "\"tile_px\": 32");
    assert_null(strstr(job[0].out, "tile_px"));
    assert_true(number(job[1].out, "\"decode\"", "\"activation_bytes\"") <
                number(job[0].out, "\"decode\"", "\"activation_bytes\""));
    assert_true(between(whole, tiles) > 5);
    jobs_free(job, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_still_comes_back),     cmocka_unit_test(a_clip_comes_back),
        cmocka_unit_test(tiles_tell_their_seams), cmocka_unit_test(what_cannot_be_done_is_refused),
        cmocka_unit_test(generate_in_tiles),
    };
    return cmocka_run_group_tests_name("reconstruct", tests, folder_make, folder_drop);
}
