// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_images.c   Clips from images on the command line: every kind of model that takes one, what is
 * written of it, and what is refused. What is right is for check_wan.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/files.h"
#include "support/spawn.h"
#include "weights/safetensors.h"

enum { WIDTH = 50, HEIGHT = 38 };

static char *one, *two; /* images */

/* A ramp whose blue is its own. */
static char *write_image(const char *name, int blue)
{
    char *path = strdup(at("%s/%s", folder, name));
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fprintf(out, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        fputc(i % WIDTH * 5, out);
        fputc(i / WIDTH * 6, out);
        fputc(blue, out);
    }
    assert_int_equal(fclose(out), 0);
    return path;
}

static int make(void **state)
{
    if (folder_make(state))
        return 1;
    one = write_image("one.ppm", 40);
    two = write_image("two.ppm", 200);
    return 0;
}

static int drop(void **state)
{
    free(one);
    free(two);
    return folder_drop(state);
}

/* A clip of 50x34 in 5 frames and 2 steps; further words up to NULL. */
static struct spawned generate(const char *model, const char *more, ...)
{
    const char *argv[32] = {BUILD_DIR "/patchmark", "generate",   "--prompt=x",
                            "--size=50x34",         "--frames=5", "--steps=2",
                            "--threads=2",          "--model",    model};
    int n = 9;
    va_list rest;
    va_start(rest, more);
    for (const char *word = more; word && n < 31; word = va_arg(rest, const char *))
        argv[n++] = word;
    va_end(rest);
    return spawn_program((char *const *)argv, NULL);
}

static void assert_ok(const struct spawned *s)
{
    if (s->code != 0)
        fail_msg("exit %d:\n%s%s", s->code, s->out, s->err);
}

static void assert_refused(const struct spawned *s, const char *says)
{
    const char *newline = strchr(s->err, '\n');
    if (s->code != 2 || !strstr(s->err, says) || !newline || newline[1])
        fail_msg("exit %d, said '%s%s', wanted 2 and '%s'", s->code, s->out, s->err, says);
    assert_false(file_exists(at("%s/never.y4m", folder)));
}

static bool same(const char *a, const char *b)
{
    size_t n, m;
    char *x = file_read(a, &n), *y = file_read(b, &m);
    assert_non_null(x);
    assert_non_null(y);
    const bool equal = n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return equal;
}

/* The image decides the clip, and the clip is the same every time. */
static void check_model(const char *model, const char *option, const char *last)
{
    char *path[3];
    for (int i = 0; i < 3; i++) {
        path[i] = strdup(at("%s/%s.%d.y4m", folder, model, i));
        struct spawned s = generate(model, "-o", path[i], "--image", i == 2 ? two : one,
                                    last ? option : NULL, last, NULL);
        assert_ok(&s);
        assert_non_null(strstr(s.out, "encode "));
    }
    assert_true(same(path[0], path[1]));
    assert_false(same(path[0], path[2]));
    for (int i = 0; i < 3; i++)
        free(path[i]);
}

static void the_image_decides_the_clip(void **state)
{
    (void)state;
    check_model("tiny-i2v", NULL, NULL);
    check_model("tiny-ti2v", NULL, NULL);
    check_model("tiny-flf2v", "--last-image", two);
}

static void a_first_frame_may_be_left_to_the_model(void **state)
{
    (void)state;
    struct spawned s = generate("tiny-ti2v", "-o", at("%s/free.y4m", folder), NULL);
    assert_ok(&s);
    assert_null(strstr(s.out, "encode "));
}

static void assert_tensor(struct safetensors *file, const char *name, int rank, const int64_t *dim)
{
    const struct safetensor *t = safetensors_find(file, name);
    assert_non_null(t);
    assert_int_equal(t->rank, rank);
    assert_memory_equal(t->dim, dim, (size_t)rank * sizeof *dim);
}

static void what_the_image_came_to_is_dumped(void **state)
{
    (void)state;
    char *dump = strdup(at("%s/dump", folder));
    struct safetensors *file;
    struct spawned s = generate("tiny-i2v", "--image", one, "--dump", dump, "-o",
                                at("%s/dumped.y4m", folder), NULL);
    assert_ok(&s);
    assert_int_equal(safetensors_open(at("%s/image_condition.safetensors", dump), &file, NULL),
                     ST_OK);
    assert_tensor(file, "condition", 5, (int64_t[]){1, 20, 2, 6, 8});
    assert_tensor(file, "image_embeds", 3, (int64_t[]){1, 17, 64});
    safetensors_free(file);
    free(dump);
}

static void misfits_are_refused_in_a_sentence(void **state)
{
    (void)state;
    const char *never = strdup(at("%s/never.y4m", folder));
    struct spawned s = generate("tiny", "--image", one, "-o", never, NULL);
    assert_refused(&s, "makes clips without an image");
    s = generate("tiny-i2v", "-o", never, NULL);
    assert_refused(&s, "--image FILE");
    s = generate("tiny-flf2v", "--image", one, "-o", never, NULL);
    assert_refused(&s, "--last-image FILE");
    s = generate("tiny-flf2v", "--last-image", two, "-o", never, NULL);
    assert_refused(&s, "--image FILE");
    s = generate("tiny-i2v", "--image", one, "--last-image", two, "-o", never, NULL);
    assert_refused(&s, "first frame alone");
    s = generate("tiny-ti2v", "--image", one, "--last-image", two, "-o", never, NULL);
    assert_refused(&s, "first frame alone");
    s = generate("tiny-flf2v", "--image", one, "--last-image", two, "--frames=6", "-o", never,
                 NULL);
    assert_refused(&s, "9 would do");
    s = generate("tiny-flf2v", "--image", one, "--last-image", two, "--frames=1", "-o", never,
                 NULL);
    assert_refused(&s, "5 would do");
    s = generate("tiny-i2v", "--image", "/nonexistent.ppm", "-o", never, NULL);
    assert_refused(&s, "/nonexistent.ppm");
    s = generate("tiny", "--guidance=4,3", "-o", never, NULL);
    assert_refused(&s, "tiny has one");
    s = generate("tiny-a14b", "--guidance=1,3", "-o", never, NULL);
    assert_refused(&s, "without guidance for the first expert");
    s = generate("tiny-a14b", "--guidance=4,", "-o", never, NULL);
    assert_refused(&s, "two as 4,3");
    free((char *)never);
}

/* Plans need no image: the work is that of a drawn one. */
static void a_dry_run_needs_no_image(void **state)
{
    (void)state;
    struct spawned s = generate("tiny-flf2v", "--dry-run", NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "\nimage "));
    assert_non_null(strstr(s.out, "\nencode "));
    s = generate("wan2.2-i2v-a14b", "--dry-run", NULL);
    assert_ok(&s);
}

/* `run` takes them too: whose contents differ is another recipe, and no path is told. */
static void timed_clips_know_their_image(void **state)
{
    (void)state;
    char *hash[3], place[4096];
    for (int i = 0; i < 3; i++) {
        const char *argv[] = {BUILD_DIR "/patchmark", "run",           "--model=tiny-ti2v",
                              "--size=32x32",         "--frames=1",    "--steps=1",
                              "--threads=1",          "--budget=0.01", "--repetitions=1",
                              "--results=none",       "--format=json", "--image",
                              i == 2 ? two : one,     NULL};
        struct spawned s = spawn_program((char *const *)argv, NULL);
        assert_ok(&s);
        const char *at_hash = strstr(s.out, "\"image_sha256\":\"");
        assert_non_null(at_hash);
        assert_non_null(strstr(s.out, i == 2 ? "--image two.ppm" : "--image one.ppm"));
        snprintf(place, sizeof place, "%s/", folder);
        assert_null(strstr(s.out, place));
        hash[i] = strndup(at_hash + 16, 64);
    }
    assert_string_equal(hash[0], hash[1]);
    assert_string_not_equal(hash[0], hash[2]);
    for (int i = 0; i < 3; i++)
        free(hash[i]);
    const char *none[] = {BUILD_DIR "/patchmark", "run", "--model=tiny-ti2v", "--size=32x32",
                          "--frames=1", "--results=none", "--image=no.ppm", NULL};
    struct spawned s = spawn_program((char *const *)none, NULL);
    assert_refused(&s, "no.ppm");
    none[2] = "--model=tiny";
    s = spawn_program((char *const *)none, NULL);
    assert_refused(&s, "without an image");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timed_clips_know_their_image),
        cmocka_unit_test(the_image_decides_the_clip),
        cmocka_unit_test(a_first_frame_may_be_left_to_the_model),
        cmocka_unit_test(what_the_image_came_to_is_dumped),
        cmocka_unit_test(misfits_are_refused_in_a_sentence),
        cmocka_unit_test(a_dry_run_needs_no_image),
    };
    return cmocka_run_group_tests_name("images", tests, make, drop);
}
