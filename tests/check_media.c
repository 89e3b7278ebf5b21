// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_media.c   Clips and stills: written, read back by other means, written again to the same
 * bytes; and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#ifdef HAVE_FFMPEG
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#endif

#include "media/media.h"
#include "support/files.h"
#include "support/spawn.h"

/* ---- clips ----------------------------------------------------------------------------------- */

#define WIDTH_MAX 128
#define HEIGHT_MAX 72

/* A smooth picture that moves: what a codec may be held to. */
static const uint8_t *picture(int64_t width, int64_t height, int64_t index)
{
    static uint8_t rgb[WIDTH_MAX * HEIGHT_MAX * 3];
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            uint8_t *p = rgb + (y * width + x) * 3;
            p[0] = (uint8_t)(40 + 160 * x / width);
            p[1] = (uint8_t)(220 - 150 * y / height);
            p[2] = (uint8_t)(30 + 8 * index + 60 * (x + y) / (width + height));
        }
    return rgb;
}

static enum status try_clip(const char *path, int64_t width, int64_t height, int64_t frames,
                            struct fault *fault)
{
    struct media_writer *w;
    TRY(media_open(path, width, height, frames, 16, &w, fault));
    for (int64_t i = 0; i < frames; i++) {
        enum status status = media_frame(w, picture(width, height, i), fault);
        if (status != ST_OK) {
            media_abort(w);
            return status;
        }
    }
    return media_close(w, fault);
}

static void put_clip(const char *path, int64_t width, int64_t height, int64_t frames)
{
    struct fault fault = {0};
    if (try_clip(path, width, height, frames, &fault) != ST_OK)
        fail_msg("%s", fault.text);
}

static void same_bytes(const char *a, const char *b)
{
    size_t a_bytes, b_bytes;
    char *x = file_read(a, &a_bytes), *y = file_read(b, &b_bytes);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(x, y, a_bytes);
    free(x);
    free(y);
}

/* ---- built in -------------------------------------------------------------------------------- */

static void y4m_reads_back(void **state)
{
    (void)state;
    enum { W = 50, H = 33, FRAMES = 3, PIXELS = W * H };
    static const char header[] = "YUV4MPEG2 W50 H33 F16:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\n";
    const char *path = at("%s/a.y4m", folder);
    size_t bytes;
    put_clip(path, W, H, FRAMES);
    char *file = file_read(path, &bytes);
    assert_int_equal(bytes, sizeof header - 1 + FRAMES * (6 + 3 * PIXELS));
    assert_memory_equal(file, header, sizeof header - 1);
    for (int i = 0; i < FRAMES; i++) {
        const char *frame = file + sizeof header - 1 + i * (6 + 3 * PIXELS);
        const uint8_t *y = (const uint8_t *)frame + 6, *rgb = picture(W, H, i);
        assert_memory_equal(frame, "FRAME\n", 6);
        for (int p = 0; p < PIXELS; p++) {
            double r = rgb[3 * p], g = rgb[3 * p + 1], b = rgb[3 * p + 2];
            double luma = 0.299 * r + 0.587 * g + 0.114 * b;
            assert_true(fabs(y[p] - (16 + luma * 219 / 255)) < 0.51);
            assert_true(fabs(y[PIXELS + p] - (128 + (b - luma) / 1.772 * 224 / 255)) < 0.51);
            assert_true(fabs(y[2 * PIXELS + p] - (128 + (r - luma) / 1.402 * 224 / 255)) < 0.51);
        }
    }
    free(file);
    put_clip(at("%s/b.y4m", folder), W, H, FRAMES);
    same_bytes(path, at("%s/b.y4m", folder));
}

static void y4m_of_extreme_colours(void **state)
{
    (void)state;
    static const struct {
        uint8_t rgb[3], yuv[3];
    } rows[] = {{{0, 0, 0}, {16, 128, 128}},        {{255, 255, 255}, {235, 128, 128}},
                {{128, 128, 128}, {126, 128, 128}}, {{255, 0, 0}, {81, 90, 240}},
                {{0, 255, 0}, {145, 54, 34}},       {{0, 0, 255}, {41, 240, 110}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct media_writer *w;
        struct fault fault = {0};
        size_t bytes;
        const char *path = at("%s/c.y4m", folder);
        assert_int_equal(media_open(path, 1, 1, 1, 16, &w, &fault), ST_OK);
        assert_int_equal(media_frame(w, rows[i].rgb, &fault), ST_OK);
        assert_int_equal(media_close(w, &fault), ST_OK);
        char *file = file_read(path, &bytes);
        assert_memory_equal(file + bytes - 3, rows[i].yuv, 3);
        free(file);
    }
}

static void rates_are_fractions(void **state)
{
    (void)state;
    static const struct {
        double fps;
        const char *text;
    } rows[] = {{16, " F16:1 "},   {23.976, " F24000:1001 "}, {29.97002997, " F30000:1001 "},
                {12.5, " F25:2 "}, {0.25, " F1:4 "},          {7.123, " F7123:1000 "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct media_writer *w;
        struct fault fault = {0};
        const char *path = at("%s/rate.y4m", folder);
        assert_int_equal(media_open(path, 1, 1, 1, rows[i].fps, &w, &fault), ST_OK);
        assert_int_equal(media_frame(w, (const uint8_t *)"rgb", &fault), ST_OK);
        assert_int_equal(media_close(w, &fault), ST_OK);
        char *file = file_read(path, NULL);
        assert_non_null(strstr(file, rows[i].text));
        free(file);
    }
}

static void ppm_reads_back(void **state)
{
    (void)state;
    size_t bytes;
    put_clip(at("%s/still.ppm", folder), 7, 5, 1);
    put_clip(at("%s/s_%%04d.ppm", folder), 7, 5, 2);
    char *file = file_read(at("%s/still.ppm", folder), &bytes);
    assert_int_equal(bytes, 11 + 7 * 5 * 3);
    assert_memory_equal(file, "P6\n7 5\n255\n", 11);
    assert_memory_equal(file + 11, picture(7, 5, 0), 7 * 5 * 3);
    free(file);
    same_bytes(at("%s/still.ppm", folder), at("%s/s_0001.ppm", folder));
    file = file_read(at("%s/s_0002.ppm", folder), &bytes);
    assert_memory_equal(file + 11, picture(7, 5, 1), 7 * 5 * 3);
    free(file);
    assert_false(file_exists(at("%s/s_0003.ppm", folder)));
    put_clip(at("%s/n%%d.PPM", folder), 7, 5, 10);
    assert_true(file_exists(at("%s/n10.PPM", folder)));
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void what_cannot_be_written_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *path;
        int64_t width, height, frames;
        const char *says;
    } rows[] = {
        {at("%s/a.avi", folder), 16, 16, 1, ".mp4, .gif, .png, .y4m or .ppm"},
        {at("%s/none", folder), 16, 16, 1, ".mp4, .gif, .png, .y4m or .ppm"},
        {"", 16, 16, 1, "cannot tell the kind"},
        {"a.b/c", 16, 16, 1, "cannot tell the kind"},
        {"/no/such/a.y4m", 16, 16, 1, "/no/such"},
        {"/dev/full/a.y4m", 16, 16, 1, "not a folder"},
        {at("%s/a.y4m", folder), 0, 16, 1, "no clip"},
        {at("%s/a.y4m", folder), 16, -1, 1, "no clip"},
        {at("%s/a.y4m", folder), 16, 16, 0, "no clip"},
        {at("%s/a.y4m", folder), 65536, 16, 1, "too large"},
        {"a.ppm", 16, 16, 2, "put %04d into the name"},
        {"%s.ppm", 16, 16, 1, "stands for the frame's number"},
        {"%n%d.ppm", 16, 16, 2, "stands for the frame's number"},
        {"%04d%04d.ppm", 16, 16, 2, "once"},
        {"%4d.ppm", 16, 16, 2, "as %d or %04d"},
        {"%0123d.ppm", 16, 16, 2, "as %d or %04d"},
        {"%%d.ppm", 16, 16, 2, "as %d or %04d"},
        {"%", 16, 16, 2, "cannot tell the kind"},
        {"50%.ppm", 16, 16, 1, "as %d or %04d"},
    };
    int before = folder_count(folder);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fault fault = {0};
        struct media_writer *w;
        enum status status =
            media_open(rows[i].path, rows[i].width, rows[i].height, rows[i].frames, 16, &w, &fault);
        if (status != ST_BAD_INPUT || !strstr(fault.text, rows[i].says))
            fail_msg("%s: status %d, %s", rows[i].path, status, fault.text);
    }
    static const double rates[] = {0, -1, 1e9, 1e-9, NAN, INFINITY};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct fault fault = {0};
        struct media_writer *w;
        assert_int_equal(media_open(at("%s/a.y4m", folder), 16, 16, 1, rates[i], &w, &fault),
                         ST_BAD_INPUT);
    }
    assert_int_equal(folder_count(folder), before);
}

static void a_folder_is_no_target(void **state)
{
    (void)state;
    struct fault fault = {0};
    const char *path = at("%s/dir.y4m", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(media_check(path, 16, 16, 1, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "is a folder"));
}

static void a_percent_in_a_clip_is_itself(void **state)
{
    (void)state;
    put_clip(at("%s/100%%n.y4m", folder), 2, 2, 2);
    assert_true(file_exists(at("%s/100%%n.y4m", folder)));
}

static void an_abandoned_clip_leaves_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"gone.y4m", "gone%03d.ppm",
#ifdef HAVE_FFMPEG
                                        "gone.mp4", "gone.gif", "gone%03d.png"
#endif
    };
    int before = folder_count(folder);
    for (size_t i = 0; i < 2 * (sizeof names / sizeof *names); i++) {
        struct fault fault = {0};
        struct media_writer *w;
        assert_int_equal(media_open(at("%s/%s", folder, names[i / 2]), 16, 16, 3, 16, &w, &fault),
                         ST_OK);
        assert_int_equal(media_frame(w, picture(16, 16, 0), &fault), ST_OK);
        if (i % 2)
            media_abort(w);
        else
            assert_int_equal(media_close(w, &fault), ST_IO); /* two frames are missing */
        assert_int_equal(folder_count(folder), before);
    }
}

static void a_frame_too_many_is_refused(void **state)
{
    (void)state;
    struct fault fault = {0};
    struct media_writer *w;
    assert_int_equal(media_open(at("%s/many.y4m", folder), 2, 2, 1, 16, &w, &fault), ST_OK);
    assert_int_equal(media_frame(w, picture(2, 2, 0), &fault), ST_OK);
    assert_int_equal(media_frame(w, picture(2, 2, 1), &fault), ST_BAD_INPUT);
    assert_int_equal(media_close(w, &fault), ST_OK);
}

/* A limit on the size of files stands for the full disk; an older clip of that name survives. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    static const char *const names[] = {"full.y4m",
#ifdef HAVE_FFMPEG
                                        "full.mp4", "full.gif"
#endif
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct rlimit old, small;
        struct fault fault = {0};
        const char *path = at("%s/%s", folder, names[i]);
        file_put(path, "old", 3);
        int before = folder_count(folder);
        getrlimit(RLIMIT_FSIZE, &old);
        small = (struct rlimit){700, old.rlim_max};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        enum status status = try_clip(path, 64, 64, 9, &fault);
        setrlimit(RLIMIT_FSIZE, &old);
        signal(SIGXFSZ, SIG_DFL);
        assert_int_equal(status, ST_IO);
        assert_non_null(strstr(fault.text, path));
        assert_int_equal(folder_count(folder), before);
        char *text = file_read(path, NULL);
        assert_string_equal(text, "old");
        free(text);
    }
}

/* ---- through FFmpeg -------------------------------------------------------------------------- */

#ifdef HAVE_FFMPEG

struct decoded {
    char codec[32];
    int width, height, frames;
    double seconds;
    double error; /* mean |difference| of the picture's channels (luma for YUV) */
};

static double frame_error(const AVFrame *f, const uint8_t *rgb)
{
    double sum = 0;
    for (int y = 0; y < f->height; y++)
        for (int x = 0; x < f->width; x++, rgb += 3) {
            const uint8_t *row = f->data[0] + (ptrdiff_t)y * f->linesize[0];
            if (f->format == AV_PIX_FMT_YUV420P)
                sum += fabs(row[x] - (16 + (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) *
                                               219 / 255));
            else if (f->format == AV_PIX_FMT_RGB24)
                for (int c = 0; c < 3; c++)
                    sum += fabs((double)row[3 * x + c] - rgb[c]) / 3;
            else if (f->format == AV_PIX_FMT_BGRA)
                for (int c = 0; c < 3; c++)
                    sum += fabs((double)row[4 * x + 2 - c] - rgb[c]) / 3;
            else
                fail_msg("pixel format %d", f->format);
        }
    return sum / (f->width * f->height);
}

/* Takes what the decoder has; first counts the pictures before this file. */
static void take_frames(AVCodecContext *codec, AVFrame *frame, int first, struct decoded *out)
{
    while (avcodec_receive_frame(codec, frame) >= 0) {
        out->width = frame->width;
        out->height = frame->height;
        out->error += frame_error(frame, picture(frame->width, frame->height, first + out->frames));
        out->frames++;
    }
}

static struct decoded decode(const char *path, int first)
{
    struct decoded out = {.frames = 0};
    AVFormatContext *format = NULL;
    AVPacket *packet = av_packet_alloc();
    AVFrame *frame = av_frame_alloc();
    assert_true(avformat_open_input(&format, at("file:%s", path), NULL, NULL) >= 0);
    assert_true(avformat_find_stream_info(format, NULL) >= 0);
    assert_int_equal(format->nb_streams, 1);
    const AVCodec *decoder = avcodec_find_decoder(format->streams[0]->codecpar->codec_id);
    AVCodecContext *codec = avcodec_alloc_context3(decoder);
    avcodec_parameters_to_context(codec, format->streams[0]->codecpar);
    codec->thread_count = 1;
    assert_true(avcodec_open2(codec, decoder, NULL) >= 0);
    snprintf(out.codec, sizeof out.codec, "%s", decoder->name);
    out.seconds = (double)format->duration / AV_TIME_BASE;
    while (av_read_frame(format, packet) >= 0) {
        assert_true(avcodec_send_packet(codec, packet) >= 0);
        av_packet_unref(packet);
        take_frames(codec, frame, first, &out);
    }
    avcodec_send_packet(codec, NULL);
    take_frames(codec, frame, first, &out);
    out.error /= out.frames;
    avcodec_free_context(&codec);
    avformat_close_input(&format);
    av_packet_free(&packet);
    av_frame_free(&frame);
    return out;
}

static void mp4_reads_back(void **state)
{
    (void)state;
    const char *path = at("%s/a.mp4", folder), *again = at("%s/b.mp4", folder);
    put_clip(path, 128, 72, 17);
    struct decoded got = decode(path, 0);
    assert_string_equal(got.codec, "h264");
    assert_int_equal(got.width, 128);
    assert_int_equal(got.height, 72);
    assert_int_equal(got.frames, 17);
    assert_true(fabs(got.seconds - 17.0 / 16) < 0.01);
    assert_true(got.error < 1.5);
    put_clip(again, 128, 72, 17);
    same_bytes(path, again);
    put_clip(at("%s/one.mp4", folder), 16, 16, 1);
    assert_int_equal(decode(at("%s/one.mp4", folder), 0).frames, 1);
}

/* The index stands before the pictures. */
static void mp4_starts_fast(void **state)
{
    (void)state;
    size_t bytes;
    put_clip(at("%s/fast.mp4", folder), 16, 16, 4);
    char *file = file_read(at("%s/fast.mp4", folder), &bytes);
    char *moov = memmem(file, bytes, "moov", 4), *mdat = memmem(file, bytes, "mdat", 4);
    assert_true(moov && mdat && moov < mdat);
    free(file);
}

static void ffprobe_reads_the_mp4(void **state)
{
    (void)state;
    const char *path = at("%s/p.mp4", folder);
    put_clip(path, 128, 72, 17);
    char *argv[] = {
        "ffprobe",       "-v",
        "error",         "-count_frames",
        "-show_entries", "stream=codec_name,width,height,pix_fmt,r_frame_rate,nb_read_frames",
        "-of",           "csv=p=0",
        (char *)path,    NULL};
    struct spawned probe = spawn_program(argv, NULL);
    if (probe.code == -1 || probe.code == 127)
        skip();
    assert_string_equal(probe.err, "");
    assert_string_equal(probe.out, "h264,128,72,yuv420p,16/1,17\n");
}

static void gif_reads_back(void **state)
{
    (void)state;
    const char *path = at("%s/a.gif", folder), *again = at("%s/b.gif", folder);
    put_clip(path, 75, 41, 9);
    struct decoded got = decode(path, 0);
    assert_string_equal(got.codec, "gif");
    assert_int_equal(got.width, 75);
    assert_int_equal(got.height, 41);
    assert_int_equal(got.frames, 9);
    assert_true(fabs(got.seconds - 9.0 / 16) < 0.02);
    assert_true(got.error < 6); /* 256 colours, dithered */
    put_clip(again, 75, 41, 9);
    same_bytes(path, again);
}

static void png_reads_back_exactly(void **state)
{
    (void)state;
    put_clip(at("%s/a.png", folder), 51, 35, 1);
    put_clip(at("%s/p%%02d.png", folder), 51, 35, 3);
    same_bytes(at("%s/a.png", folder), at("%s/p01.png", folder));
    for (int i = 1; i <= 3; i++) {
        struct decoded got = decode(at("%s/p%02d.png", folder, i), i - 1);
        assert_string_equal(got.codec, "png");
        assert_int_equal(got.width, 51);
        assert_int_equal(got.height, 35);
        assert_int_equal(got.frames, 1);
        assert_true(got.error == 0);
    }
}

static void odd_sizes_of_mp4_name_y4m(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{17, 16}, {16, 17}, {1, 1}};
    for (int i = 0; i < 3; i++) {
        struct fault fault = {0};
        assert_int_equal(media_check("a.mp4", sizes[i][0], sizes[i][1], 1, &fault), ST_BAD_INPUT);
        assert_non_null(strstr(fault.text, ".y4m"));
    }
    struct fault fault = {0};
    assert_int_equal(media_check("a.png", 16, 16, 2, &fault), ST_BAD_INPUT);
    assert_non_null(strstr(fault.text, "%04d"));
}

#define KIND_TESTS                                                                                 \
    cmocka_unit_test(mp4_reads_back), cmocka_unit_test(mp4_starts_fast),                           \
        cmocka_unit_test(ffprobe_reads_the_mp4), cmocka_unit_test(gif_reads_back),                 \
        cmocka_unit_test(png_reads_back_exactly), cmocka_unit_test(odd_sizes_of_mp4_name_y4m)
#else

static void kinds_of_ffmpeg_are_not_built(void **state)
{
    (void)state;
    static const char *const names[] = {"a.mp4", "a.gif", "a.png"};
    for (int i = 0; i < 3; i++) {
        struct fault fault = {0};
        assert_int_equal(media_check(names[i], 16, 16, 1, &fault), ST_NOT_BUILT);
        assert_non_null(strstr(fault.text, ".y4m"));
        assert_non_null(strstr(fault.text, ".ppm"));
    }
}

#define KIND_TESTS cmocka_unit_test(kinds_of_ffmpeg_are_not_built)
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(y4m_reads_back),
        cmocka_unit_test(y4m_of_extreme_colours),
        cmocka_unit_test(rates_are_fractions),
        cmocka_unit_test(ppm_reads_back),
        cmocka_unit_test(what_cannot_be_written_is_refused),
        cmocka_unit_test(a_folder_is_no_target),
        cmocka_unit_test(a_percent_in_a_clip_is_itself),
        cmocka_unit_test(an_abandoned_clip_leaves_nothing),
        cmocka_unit_test(a_frame_too_many_is_refused),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
        KIND_TESTS,
    };
    return cmocka_run_group_tests_name("media", tests, folder_make, folder_drop);
}
