// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_media_read.c   Clips and stills that our own writers made are read back; files that are
 * damaged, cut or something else are refused in one sentence. */
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
#include "support/spawn.h"

#define SIDE_MAX 128

static const uint8_t *picture(int64_t width, int64_t height, int64_t index)
{
    static uint8_t rgb[SIDE_MAX * SIDE_MAX * 3];
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            uint8_t *p = rgb + (y * width + x) * 3;
            p[0] = (uint8_t)(40 + 160 * x / width);
            p[1] = (uint8_t)(220 - 150 * y / height);
            p[2] = (uint8_t)(30 + 8 * index + 60 * (x + y) / (width + height));
        }
    return rgb;
}

static const char *put_clip(const char *name, int64_t width, int64_t height, int64_t frames,
                            double fps)
{
    struct fault fault = {0};
    struct media_writer *w;
    const char *path = at("%s/%s", folder, name);
    assert_int_equal(media_open(path, width, height, frames, fps, &w, &fault), ST_OK);
    for (int64_t i = 0; i < frames; i++)
        assert_int_equal(media_frame(w, picture(width, height, i), &fault), ST_OK);
    assert_int_equal(media_close(w, &fault), ST_OK);
    return path;
}

/* Frames read, their largest and mean difference from the pictures of that size. */
struct seen {
    int64_t width, height, frames;
    double fps, most, mean;
};

static enum status look(const char *path, int64_t width, int64_t height, struct seen *s,
                        struct fault *fault)
{
    struct media_reader *r;
    uint8_t *rgb = NULL;
    bool end = false;
    *s = (struct seen){0};
    enum status status = media_read_open(path, width, height, &r, fault);
    if (status == ST_OK) {
        media_read_size(r, &s->width, &s->height);
        s->fps = media_read_fps(r);
        rgb = malloc((size_t)(s->width * s->height) * 3); /* exact, so that a write past it shows */
        assert_non_null(rgb);
    }
    while (status == ST_OK && (status = media_read_frame(r, rgb, &end, fault)) == ST_OK && !end) {
        const uint8_t *want = picture(s->width, s->height, s->frames++);
        for (int64_t i = 0; i < s->width * s->height * 3; i++) {
            const double difference = fabs((double)rgb[i] - want[i]);
            s->most = fmax(s->most, difference);
            s->mean += difference / (double)(s->width * s->height * 3);
        }
    }
    if (status == ST_OK && s->frames)
        s->mean /= (double)s->frames;
    free(rgb);
    media_read_free(r);
    return status;
}

static struct seen read_back(const char *path, int64_t width, int64_t height)
{
    struct fault fault = {0};
    struct seen seen;
    if (look(path, width, height, &seen, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return seen;
}

static void expect(struct seen got, int64_t width, int64_t height, int64_t frames, double most)
{
    assert_int_equal(got.width, width);
    assert_int_equal(got.height, height);
    assert_int_equal(got.frames, frames);
    if (got.most > most)
        fail_msg("differs by %g, allowed %g", got.most, most);
}

static void refused(const char *path, enum status wanted, const char *says)
{
    struct fault fault = {0};
    struct seen seen;
    const enum status status = look(path, 0, 0, &seen, &fault);
    if (status != wanted || !strstr(fault.text, says) || !strstr(fault.text, path))
        fail_msg("%s: status %d, '%s' lacks '%s'", path, status, fault.text, says);
}

/* The first `bytes` of a file, or all but -bytes, under another name. */
static const char *cut(const char *path, const char *name, int64_t bytes)
{
    size_t all;
    char *text = file_read(path, &all);
    const char *to = at("%s/%s", folder, name);
    file_put(to, text, bytes < 0 ? all - (size_t)-bytes : (size_t)bytes);
    free(text);
    return to;
}

/* ---- built in -------------------------------------------------------------------------------- */

static void y4m_comes_back(void **state)
{
    (void)state;
    struct seen got = read_back(put_clip("a.y4m", 50, 33, 3, 24000.0 / 1001), 0, 0);
    expect(got, 50, 33, 3, 2);
    assert_true(fabs(got.fps - 24000.0 / 1001) < 1e-9);
}

static void ppm_comes_back_exactly(void **state)
{
    (void)state;
    struct seen got = read_back(put_clip("a.ppm", 50, 33, 1, 16), 50, 33);
    expect(got, 50, 33, 1, 0);
    assert_true(got.fps == 0);
    static const char odd[] = "P6 # a comment\n# and another\n 2\t1 #\n255\n\1\2\3\4\5\6";
    file_put(at("%s/odd.ppm", folder), odd, sizeof odd - 1);
    got = read_back(at("%s/odd.ppm", folder), 0, 0);
    expect(got, 2, 1, 1, 255);
}

/* One pixel of red, in every layout: the same colour. */
static void y4m_of_other_layouts(void **state)
{
    (void)state;
    static const char *const layout[] = {"C444", "C422", "C420", "C420mpeg2", "", "Cmono"};
    for (int i = 0; i < 6; i++) {
        char file[160];
        const int head =
            snprintf(file, sizeof file, "YUV4MPEG2 W2 H2 F25:1 %s\nFRAME\n", layout[i]);
        const int chroma = i == 0 ? 8 : i == 1 ? 4 : i == 5 ? 0 : 2;
        memset(file + head, 81, 4);
        memset(file + head + 4, 90, (size_t)chroma / 2);
        memset(file + head + 4 + chroma / 2, 240, (size_t)chroma / 2);
        const char *path = at("%s/layout.y4m", folder);
        file_put(path, file, (size_t)(head + 4 + chroma));
        struct fault fault = {0};
        struct media_reader *r;
        uint8_t rgb[12];
        bool end;
        assert_int_equal(media_read_open(path, 0, 0, &r, &fault), ST_OK);
        assert_int_equal(media_read_frame(r, rgb, &end, &fault), ST_OK);
        for (int p = 0; p < 4; p++) {
            assert_in_range(rgb[3 * p], i == 5 ? 75 : 253, i == 5 ? 77 : 255);
            assert_in_range(rgb[3 * p + 1], i == 5 ? 75 : 0, i == 5 ? 77 : 2);
        }
        media_read_free(r);
    }
}

static void what_is_cut_is_refused(void **state)
{
    (void)state;
    const char *y4m = put_clip("whole.y4m", 16, 16, 3, 16),
               *ppm = put_clip("whole.ppm", 16, 16, 1, 16);
    refused(cut(y4m, "cut.y4m", -1), ST_BAD_INPUT, "frame 3");
    refused(cut(y4m, "head.y4m", 20), ST_BAD_INPUT, "first line");
    refused(cut(ppm, "cut.ppm", -1), ST_BAD_INPUT, "frame 1");
    refused(cut(ppm, "head.ppm", 5), ST_BAD_INPUT, "header");
    refused(cut(ppm, "empty.ppm", 0), ST_BAD_INPUT, "empty");
}

static void what_is_foreign_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *says;
    } rows[] = {
        {"deep.ppm", "P6 2 2 65535\n", "255"},
        {"wide.ppm", "P6 99999999999999999999 1 255\n", "header"},
        {"none.ppm", "P6 0 4 255\n", "0x4"},
        {"deep.y4m", "YUV4MPEG2 W2 H2 C420p10\n", "8 bits"},
        {"none.y4m", "YUV4MPEG2 H2 C444\n", "width and height"},
        {"less.y4m", "YUV4MPEG2 W-2 H2 C444\n", "width and height"},
        {"noise.y4m", "YUV4MPEG2 W1 H1 C444\nFRUME\nabc", "does not begin"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *path = at("%s/%s", folder, rows[i].name);
        file_put(path, rows[i].text, strlen(rows[i].text));
        refused(path, ST_BAD_INPUT, rows[i].says);
    }
    refused(at("%s/absent.y4m", folder), ST_BAD_INPUT, "No such file");
    refused(folder, ST_BAD_INPUT, "regular file");
}

/* ---- through FFmpeg -------------------------------------------------------------------------- */

#ifdef HAVE_FFMPEG

static void kinds_of_ffmpeg_come_back(void **state)
{
    (void)state;
    struct seen got = read_back(put_clip("a.png", 51, 35, 1, 16), 0, 0);
    expect(got, 51, 35, 1, 0);
    got = read_back(put_clip("a.mp4", 64, 48, 9, 16), 0, 0);
    expect(got, 64, 48, 9, 16);
    assert_true(got.mean < 2 && fabs(got.fps - 16) < 1e-3);
    got = read_back(put_clip("a.gif", 64, 48, 5, 10), 0, 0);
    expect(got, 64, 48, 5, 40);
}

/* Smooth pictures survive scaling; the corners tell a shift of half a pixel. */
static void sizes_are_scaled(void **state)
{
    (void)state;
    static const char *const names[] = {"s.y4m", "s.png"};
    for (int i = 0; i < 2; i++) {
        const char *path = put_clip(names[i], 64, 48, 1, 16);
        expect(read_back(path, 32, 24), 32, 24, 1, 5);
        expect(read_back(path, 127, 95), 127, 95, 1, 5);
        expect(read_back(path, 64, 48), 64, 48, 1, 2);
    }
}

static void what_ffmpeg_cannot_read_is_refused(void **state)
{
    (void)state;
    const char *mp4 = put_clip("whole.mp4", 64, 48, 9, 16),
               *png = put_clip("whole.png", 64, 48, 1, 16);
    size_t bytes;
    free(file_read(mp4, &bytes));
    refused(cut(mp4, "half.mp4", (int64_t)bytes / 2), ST_BAD_INPUT, "cannot be read");
    refused(cut(mp4, "almost.mp4", -40), ST_BAD_INPUT, "");
    refused(cut(png, "half.png", -60), ST_BAD_INPUT, "");
    refused(cut(png, "head.png", 60), ST_BAD_INPUT, "cannot be read: ");
    const char *text = at("%s/text.mp4", folder);
    file_put(text, "once upon a time", 16);
    refused(text, ST_BAD_INPUT, "no clip or still");
}

#define KIND_TESTS                                                                                 \
    cmocka_unit_test(kinds_of_ffmpeg_come_back), cmocka_unit_test(sizes_are_scaled),               \
        cmocka_unit_test(what_ffmpeg_cannot_read_is_refused)
#else

static void what_takes_ffmpeg_is_not_built(void **state)
{
    (void)state;
    const char *text = at("%s/a.mp4", folder);
    file_put(text, "once upon a time", 16);
    refused(text, ST_NOT_BUILT, "FFmpeg");
    struct fault fault = {0};
    struct seen seen;
    assert_int_equal(look(put_clip("s.ppm", 8, 8, 1, 16), 4, 4, &seen, &fault), ST_NOT_BUILT);
    assert_non_null(strstr(fault.text, "8x8"));
}

#define KIND_TESTS cmocka_unit_test(what_takes_ffmpeg_is_not_built)
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(y4m_comes_back),
        cmocka_unit_test(ppm_comes_back_exactly),
        cmocka_unit_test(y4m_of_other_layouts),
        cmocka_unit_test(what_is_cut_is_refused),
        cmocka_unit_test(what_is_foreign_is_refused),
        KIND_TESTS,
    };
    return cmocka_run_group_tests_name("media_read", tests, folder_make, folder_drop);
}
