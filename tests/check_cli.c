// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_cli.c   The command line as people use it: real processes, real files, exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* Words up to NULL behind the program's name. */
static struct spawned patchmark(const char *first, ...)
{
    const char *argv[40] = {BUILD_DIR "/patchmark", first};
    int n = 2;
    va_list more;
    va_start(more, first);
    while (n < 39 && (argv[n] = va_arg(more, const char *)) != NULL)
        n++;
    va_end(more);
    return spawn_program((char *const *)argv, NULL);
}

#define TINY "generate", "--model=tiny", "--prompt=a red ball rolls to the left", "--steps=2"

static void assert_ok(const struct spawned *s)
{
    if (s->code != 0)
        fail_msg("exit %d:\n%s%s", s->code, s->out, s->err);
}

/* ---- clips ---- */

static size_t y4m_frames(const char *path, const char *header)
{
    size_t bytes, frames = 0;
    char *text = file_read(path, &bytes);
    assert_non_null(text);
    if (strncmp(text, header, strlen(header)) != 0)
        fail_msg("%s begins with %.40s", path, text);
    for (size_t i = 0; i + 6 <= bytes; i++)
        frames += !memcmp(text + i, "FRAME\n", 6);
    free(text);
    return frames;
}

static void odd_sizes_go_to_y4m(void **state)
{
    const char *path = at("%s/a.y4m", folder);
    (void)state;
    struct spawned s = patchmark(TINY, "--size=50x34", "--frames=6", "-o", path, NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "keeps the 50x34, 6 frames asked for"));
    assert_int_equal(y4m_frames(path, "YUV4MPEG2 W50 H34 "), 6);
}

static void assert_same_file(const char *one, const char *two)
{
    size_t n, m;
    char *a = file_read(one, &n), *b = file_read(two, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    free(a);
    free(b);
}

static void two_runs_give_the_same_bytes(void **state)
{
    const char *one = at("%s/one.y4m", folder), *two = at("%s/two.y4m", folder);
    (void)state;
    struct spawned s = patchmark(TINY, "--size=72x128", "--frames=5", "-o", one, NULL);
    assert_ok(&s);
    s = patchmark(TINY, "--size=72x128", "--frames=5", "-o", two, NULL);
    assert_ok(&s);
    assert_same_file(one, two);
}

static void another_prompt_or_seed_gives_another_clip(void **state)
{
    const char *path[3] = {at("%s/p.ppm", folder), at("%s/q.ppm", folder), at("%s/r.ppm", folder)};
    char *text[3];
    size_t n[3];
    (void)state;
    struct spawned s = patchmark(TINY, "--size=32x32", "--frames=1", "-o", path[0], NULL);
    assert_ok(&s);
    s = patchmark(TINY, "--size=32x32", "--frames=1", "--seed=7", "-o", path[1], NULL);
    assert_ok(&s);
    s = patchmark("generate", "--prompt=snow", "--steps=2", "--size=32x32", "--frames=1", "-o",
                  path[2], NULL);
    assert_ok(&s);
    for (int i = 0; i < 3; i++)
        assert_non_null(text[i] = file_read(path[i], &n[i]));
    assert_int_equal(n[0], n[1]);
    assert_memory_not_equal(text[0], text[1], n[0]);
    assert_memory_not_equal(text[0], text[2], n[0]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
}

static bool built_with(const char *feature)
{
    char *text = file_read(BUILD_DIR "/build_info.h", NULL);
    const char *line = text ? strstr(text, "BUILD_WITHOUT") : NULL;
    bool missing = line && strstr(line, feature) != NULL;
    free(text);
    return !missing;
}

static void mp4_and_still(void **state)
{
    const char *clip = at("%s/a.mp4", folder), *still = at("%s/a.png", folder);
    (void)state;
    if (!built_with("ffmpeg"))
        skip();
    struct spawned s = patchmark(TINY, "--size=128x72", "--frames=17", "-o", clip, NULL);
    assert_ok(&s);
    const char *probe[] = {"ffprobe",
                           "-v",
                           "error",
                           "-count_frames",
                           "-show_entries",
                           "stream=codec_name,width,height,nb_read_frames",
                           "-of",
                           "csv=p=0",
                           clip,
                           NULL};
    s = spawn_program((char *const *)probe, NULL);
    if (s.code == 0)
        assert_string_equal(s.out, "h264,128,72,17\n");
    s = patchmark(TINY, "--size=48x48", "--frames=1", "-o", still, NULL);
    assert_ok(&s);
    size_t bytes;
    char *png = file_read(still, &bytes);
    assert_memory_equal(png, "\x89PNG\r\n", 6);
    free(png);
}

/* ---- tensors out and in ---- */

/* A folder holds one clip: what a longer one before it left, goes; what is not ours, stays. */
static void a_shorter_dump_leaves_no_older_latents(void **state)
{
    const char *dump = at("%s/shorter", folder), *out = at("%s/shorter.y4m", folder);
    (void)state;
    struct spawned s = patchmark(TINY, "--size=16x16", "--frames=1", "--dump", dump, "-o", out, NULL);
    assert_ok(&s);
    assert_true(file_exists(at("%s/shorter/latents_0002.safetensors", folder)));
    file_write(at("%s/shorter/latents_mine.safetensors", folder), "x", false);
    s = patchmark("generate", "--prompt=x", "--steps=1", "--size=16x16", "--frames=1", "--dump",
                  at("%s/shorter", folder), "-o", at("%s/shorter.y4m", folder), NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.err, "removed 1 file that an earlier clip had left"));
    assert_false(file_exists(at("%s/shorter/latents_0002.safetensors", folder)));
    assert_true(file_exists(at("%s/shorter/latents_0001.safetensors", folder)));
    assert_true(file_exists(at("%s/shorter/latents_mine.safetensors", folder)));
}

static void dumped_text_goes_back_in(void **state)
{
    const char *dump = at("%s/dump", folder), *one = at("%s/t1.y4m", folder);
    const char *two = at("%s/t2.y4m", folder),
               *embeds = at("%s/dump/text_embeds.safetensors", folder);
    (void)state;
    struct spawned s =
        patchmark(TINY, "--size=40x24", "--frames=5", "--dump", dump, "-o", one, NULL);
    assert_ok(&s);
    assert_int_equal(folder_count(dump), 5); /* text, two steps, final, frames */
    assert_true(file_exists(at("%s/dump/latents_0002.safetensors", folder)));
    s = patchmark("generate", "--prompt-embeds", embeds, "--steps=2", "--size=40x24", "--frames=5",
                  "-o", two, NULL);
    assert_ok(&s);
    assert_same_file(one, two);
}

static void a_recipe_knows_what_was_given(void **state)
{
    const char *embeds = at("%s/dump/text_embeds.safetensors", folder);
    const char *latents = at("%s/dump/latents_final.safetensors", folder);
    static const char *const members[] = {"prompt_embeds_sha256", "negative_embeds_sha256",
                                          "noise_sha256"};
    (void)state;
    struct spawned given =
        patchmark("generate", "--prompt-embeds", embeds, "--noise", latents, "--steps=2",
                  "--size=40x24", "--frames=5", "--dry-run", "--format=json", NULL);
    struct spawned drawn =
        patchmark(TINY, "--size=40x24", "--frames=5", "--dry-run", "--format=json", NULL);
    assert_ok(&given);
    assert_ok(&drawn);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        assert_non_null(strstr(given.out, members[i]));
        assert_null(strstr(drawn.out, members[i]));
    }
}

static void noise_of_the_wrong_shape_says_both(void **state)
{
    const char *latents = at("%s/dump/latents_final.safetensors", folder);
    (void)state;
    struct spawned s = patchmark(TINY, "--size=64x64", "--frames=5", "--noise", latents, "-o",
                                 at("%s/x.y4m", folder), NULL);
    assert_int_equal(s.code, 2);
    assert_non_null(strstr(s.err, "[1,16,2,4,6]"));
    assert_non_null(strstr(s.err, "[1,16,2,8,8]"));
    assert_false(file_exists(at("%s/x.y4m", folder)));
    s = patchmark(TINY, "--size=40x24", "--frames=5", "--noise", latents, "-o",
                  at("%s/x.y4m", folder), NULL);
    assert_ok(&s);
}

/* ---- refusals ---- */

/* One sentence on stderr, nothing on stdout, no file. */
static void refused(int code, const char *says, const char *first, ...)
{
    const char *argv[40] = {BUILD_DIR "/patchmark", first};
    int n = 2;
    va_list more;
    va_start(more, first);
    while (n < 39 && (argv[n] = va_arg(more, const char *)) != NULL)
        n++;
    va_end(more);
    struct spawned s = spawn_program((char *const *)argv, NULL);
    const char *newline = strchr(s.err, '\n');
    if (s.code != code || !strstr(s.err, says) || !newline || newline[1])
        fail_msg("%s: exit %d, said '%s%s', wanted %d and '%s'", first, s.code, s.out, s.err, code,
                 says);
}

static void bad_input_is_refused_in_a_sentence(void **state)
{
    const char *out = at("%s/never.y4m", folder), *mp4 = at("%s/never.mp4", folder);
    (void)state;
    refused(2, "did you mean tiny", "generate", "--model=tinny", "--prompt=x", "-o", out, NULL);
    refused(2, "did you mean generate", "genrate", NULL);
    refused(2, "did you mean --prompt", "generate", "--promt=x", NULL);
    refused(2, "16 to", TINY, "--size=8x8", "-o", out, NULL);
    refused(2, "16 to", TINY, "--size=99999999x16", "-o", out, NULL);
    refused(2, "WIDTHxHEIGHT", TINY, "--size=12", "-o", out, NULL);
    refused(2, "WIDTHxHEIGHT", TINY, "--size=0x0", "-o", out, NULL);
    refused(2, "WIDTHxHEIGHT", "run", "--size=0x0", "--results=none", NULL);
    refused(2, "frames", TINY, "--frames=0", "-o", out, NULL);
    refused(2, "frames", TINY, "--frames=-5", "-o", out, NULL);
    refused(2, "give one", TINY, "--frames=5", "--seconds=1", "-o", out, NULL);
    refused(2, "--steps", "generate", "--prompt=x", "--steps=0", "-o", out, NULL);
    refused(2, "did you mean linear", TINY, "--kernels=linaer=c", "-o", out, NULL);
    refused(2, "c_01_plain", TINY, "--kernels=linear=c_01_plane", "-o", out, NULL);
    refused(2, "no_such_folder", TINY, "-o", at("%s/no_such_folder/a.y4m", folder), NULL);
    refused(2, ".y4m", TINY, "-o", at("%s/a.avi", folder), NULL);
    refused(2, "is a file", TINY, "--dump", at("%s/one.y4m", folder), "-o", out, NULL);
    refused(2, "cannot be read", TINY, "--plan", at("%s/none.tsv", folder), "-o", out, NULL);
    refused(2, "unipc, euler, unipc-original", TINY, "--scheduler=heun", "-o", out, NULL);
    refused(2, "f32, bf16, f16", TINY, "--dtype=int3", "-o", out, NULL);
    refused(2, "--prompt", "generate", "-o", out, NULL);
    refused(2, "-o FILE", "generate", "--prompt=x", NULL);
    refused(3, "flops alone", "generate", "--model=open-sora-1.2", "--dry-run", NULL);
    refused(3, "no CUDA", TINY, "--device=cuda:0", "-o", out, NULL);
    refused(2, "nosuch", "run", "--suite=nosuch", NULL);
    refused(2, "one word too many", "list", "ops", "ops", NULL);
    refused(2, "no variant", "verify", "nothing/like_it", NULL);
    assert_false(file_exists(out));
    if (built_with("ffmpeg"))
        refused(2, ".y4m", TINY, "--size=51x33", "-o", mp4, NULL);
    else
        refused(3, ".y4m", TINY, "--size=50x34", "-o", mp4, NULL);
    assert_false(file_exists(mp4));
}

static void too_much_memory_is_refused_before_it_is_taken(void **state)
{
    (void)state;
    refused(2, "GiB are available", "generate", "--model=wan2.1-t2v-14b", "--size=16384x16384",
            "--frames=81", "--steps=1", "--prompt=x", "-o", at("%s/big.y4m", folder),
            "--format=json", NULL);
}

/* ---- list, dry run, JSON ---- */

static size_t lines_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void every_variant_file_is_listed(void **state)
{
    glob_t files;
    (void)state;
    assert_int_equal(glob("kernels/*/*/*_[0-9][0-9]_*.c*", 0, NULL, &files), 0);
    struct spawned s = patchmark("list", "variants", NULL);
    assert_ok(&s);
    char *reasons = strstr(s.out, "\n("); /* below the table */
    assert_int_equal(lines_of(s.out) - (reasons ? lines_of(reasons + 1) : 0), files.gl_pathc);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char path[512], *name, *op;
        snprintf(path, sizeof path, "%s", files.gl_pathv[i]);
        *strrchr(path, '.') = 0;
        name = strrchr(path, '/');
        *name++ = 0;
        op = strrchr(path, '/') + 1;
        if (!strstr(s.out, at("%s/%s ", op, name)))
            fail_msg("list lacks %s/%s", op, name);
    }
    globfree(&files);
}

/* The registry is made from file names alone: one more file is one more entry. */
static void a_new_file_is_a_new_entry(void **state)
{
    const char *names = at("%s/names", folder), *script = at("%s/registry", folder);
    (void)state;
    file_write(names,
               "kernels/denoise/linear/c_01_plain.c|\n"
               "kernels/denoise/linear/rvv_07_new.c|unknown target rvv\n",
               false);
    file_write(script, "#!/bin/sh\nexec harness/scripts/registry.sh < \"$1\"\n", true);
    const char *argv[] = {script, names, NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    assert_ok(&s);
    assert_non_null(
        strstr(s.out, "{&variant_linear_c_01_plain, \"linear\", \"c_01_plain\", \"c\""));
    assert_non_null(strstr(s.out, "{NULL, \"linear\", \"rvv_07_new\", \"rvv\""));
    assert_non_null(strstr(s.out, "\"unknown target rvv\""));
    assert_non_null(strstr(s.out, "registry_built_in_count = 2"));
}

static void assert_json(const struct spawned *s, const char *holds)
{
    assert_ok(s);
    if (!json_valid(s->out) || !strstr(s->out, holds))
        fail_msg("no JSON document with %s: %.2000s", holds, s->out);
}

static void json_is_one_document(void **state)
{
    (void)state;
    struct spawned s = patchmark("list", "models", "--format=json", NULL);
    assert_json(&s, "\"parameters\": 1418996800");
    s = patchmark("generate", "--dry-run", "--format=json", "--size=64x48", NULL);
    assert_json(&s, "\"planned_bytes\"");
    s = patchmark(TINY, "--format=json", "--size=32x32", "--frames=1", "-o", at("%s/j.ppm", folder),
                  NULL);
    assert_json(&s, "\"step_ns\"");
    assert_string_equal(s.err, "");
    s = patchmark("run", "--size=32x32", "--frames=1", "--steps=1", "--budget=0.1",
                  "--results=none", "--format=json", NULL);
    assert_json(&s, "\"case_kind\": \"pipeline\"");
}

static void ops_say_who_served_them(void **state)
{
    (void)state;
    struct spawned s = patchmark(TINY, "--ops", "--kernels=c,linear=reference", "--size=32x32",
                                 "--frames=1", "-o", at("%s/o.ppm", folder), NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "linear         reference"));
    assert_non_null(strstr(s.out, "conv3d         c_01_plain"));
}

static void a_dry_run_costs_nothing_at_any_size(void **state)
{
    (void)state;
    struct spawned s =
        patchmark("generate", "--model=wan2.1-t2v-1.3b", "--dry-run", "--steps=50", NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "32760 tokens"));
    assert_non_null(strstr(s.out, "one forward 28")); /* 283 TFLOP, once-per-prompt work spread */
    assert_non_null(strstr(s.out, "275.35"));
}

/* The tiny model reads 64 tokens, the last of which ends the sentence. */
static void a_prompt_that_is_cut_is_said_to_be(void **state)
{
    (void)state;
    char prompt[] = "--prompt=wave wave wave wave wave wave wave wave wave wave wave wave wave";
    prompt[9 + 64] = '\0';
    struct spawned s = patchmark("generate", prompt, "--dry-run", NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "longer than the 64 tokens"));
    prompt[9 + 63] = '\0';
    s = patchmark("generate", prompt, "--dry-run", NULL);
    assert_ok(&s);
    assert_null(strstr(s.out, "longer than"));
}

/* A denoise-only model: its class in place of a prompt, its latents in place of a clip. */
#define LATENTS "generate", "--model=tiny-dit", "--size=32x32", "--steps=2"

static void latents_are_what_a_denoiser_alone_gives(void **state)
{
    (void)state;
    const char *one = at("%s/class3", folder), *two = at("%s/class4", folder);
    struct spawned s = patchmark(LATENTS, "--class=3", "--dump", one, NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "class 3, 2 steps of ddim"));
    assert_non_null(strstr(s.out, "class3/latents_final.safetensors"));
    assert_null(strstr(s.out, "decode"));
    assert_false(file_exists(at("%s/class3/text_embeds.safetensors", folder)));
    s = patchmark(LATENTS, "--class=4", "--kernels=c", "--dump", two, NULL);
    assert_ok(&s);
    size_t size, same;
    char *a = file_read(at("%s/class3/latents_final.safetensors", folder), &size);
    char *b = file_read(at("%s/class4/latents_final.safetensors", folder), &same);
    assert_int_equal(size, same);
    assert_non_null(strstr(a + 8, "[1,4,1,4,4]")); /* behind the header's length */
    assert_memory_not_equal(a + size - 256, b + size - 256, 256);
    free(a), free(b);
    s = patchmark(LATENTS, "--class=3", "--scheduler=ddpm", "--dry-run", NULL);
    assert_ok(&s);
    s = patchmark("list", "models", NULL);
    assert_non_null(strstr(s.out, "denoise only  DiT"));
}

static void denoisers_alone_refuse_what_they_lack(void **state)
{
    (void)state;
    const char *out = at("%s/none.ppm", folder);
    refused(2, "ends as latents", LATENTS, "--class=3", "-o", out, NULL);
    refused(2, "--dump DIR", LATENTS, "--class=3", NULL);
    refused(2, "--class N", LATENTS, "--dump", folder, NULL);
    refused(2, "not prompts", LATENTS, "--prompt=x", "--dump", folder, NULL);
    refused(2, "takes no text", LATENTS, "--prompt-embeds=x", "--dump", folder, NULL);
    refused(2, "0 to 9", LATENTS, "--class=10", "--dump", folder, NULL);
    refused(2, "0 to 9", LATENTS, "--class=-1", "--dump", folder, NULL);
    refused(2, "predict", LATENTS, "--class=3", "--scheduler=unipc", "--dump", folder, NULL);
    refused(2, "have none", LATENTS, "--class=3", "--shift=3", "--dump", folder, NULL);
    refused(2, "square", LATENTS, "--class=3", "--frames=2", "--dump", folder, NULL);
    refused(2, "--class", TINY, "--class=3", "-o", out, NULL);
    refused(2, "predict", TINY, "--scheduler=ddim", "-o", out, NULL);
    refused(2, "--class", "run", "--model=tiny,tiny-dit", "--class=3", "--dry-run", NULL);
    assert_false(file_exists(out));
}

static void a_denoiser_alone_is_timed_without_frames(void **state)
{
    (void)state;
    struct spawned s = patchmark("run", "--model=tiny-dit", "--size=32x32", "--steps=1",
                                 "--budget=0.1", "--results=none", NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "denoise only"));
    s = patchmark("run", "--model=tiny-dit", "--size=32x32", "--steps=1", "--budget=0.1",
                  "--results=none", "--class=7", "--format=json", NULL);
    assert_json(&s, "a denoise-only model writes no frames");
    assert_non_null(strstr(s.out, "\"class\":7"));
    assert_non_null(strstr(s.out, "--class 7"));
}

static void help_has_examples(void **state)
{
    static const char *const commands[] = {"generate", "verify", "kernels", "run", "plot", "list"};
    (void)state;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        struct spawned s = patchmark(commands[i], "--help", NULL);
        assert_ok(&s);
        assert_non_null(strstr(s.out, "examples:"));
        assert_non_null(strstr(s.out, at("patchmark %s", commands[i])));
    }
}

/* ---- run ---- */

static void run_writes_a_record_per_case(void **state)
{
    const char *results = at("%s/results", folder);
    glob_t files;
    size_t bytes;
    (void)state;
    struct spawned s = patchmark(
        "run", "--size=32x32,48x32", "--frames=1,5", "--steps=1", "--budget=0.1", "--kernels=c",
        "--counters=perf::PAGE-FAULTS,PAPI_NO_SUCH", "--results", results, NULL);
    assert_ok(&s);
    assert_int_equal(glob(at("%s/*/*.jsonl", results), 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 1);
    char *text = file_read(files.gl_pathv[0], &bytes), *line = text;
    assert_int_equal(lines_of(text), 5);
    for (int i = 0; i < 5; i++) {
        char *end = strchr(line, '\n');
        *end = 0;
        assert_true(json_valid(line));
        assert_non_null(strstr(line, i ? "\"kind\":\"case\"" : "\"kind\":\"run\""));
        if (i) {
            assert_non_null(strstr(line, "\"checked_ratio\""));
            assert_non_null(strstr(line, "\"PAPI_NO_SUCH\":{\"value\":null,\"why\":\""));
        }
        line = end + 1;
    }
    free(text);
    globfree(&files);
}

static void a_suite_file_names_its_bad_line(void **state)
{
    const char *suite = at("%s/mine.suite", folder);
    (void)state;
    file_write(suite, "# sizes\n[one]\nsize = 32x32\nframes = 1\nspeed = fast\n", false);
    refused(2, "line 5", "run", "--suite", suite, "--results=none", NULL);
    file_write(suite,
               "[one]\nsize = 32x32, 48x32\nframes = 1\nsteps = 1\n[two]\nsize=32x48\nframes=1,5\n",
               false);
    struct spawned s = patchmark("run", "--suite", suite, "--dry-run", NULL);
    assert_ok(&s);
    assert_non_null(strstr(s.out, "\n4 cases, "));
}

/* A kernel that dies or is wrong costs its case alone. */
static void a_broken_kernel_costs_its_own_row(void **state)
{
    const char *plugin = BUILD_DIR "/tests/broken/crash.so";
    (void)state;
    struct spawned s = patchmark("run", "--size=32x32", "--frames=1", "--steps=1", "--budget=0.1",
                                 "--results=none", "--plugin", plugin, "--kernels",
                                 "rms_norm=broken_90_crash/c", NULL);
    assert_int_equal(s.code, 1);
    assert_non_null(strstr(s.out, "rms_norm=broken_90_crash crashed"));
    assert_non_null(strstr(strstr(s.out, "crashed"), " s +-")); /* the next row has its time */
}

/* ---- where output goes ---- */

/* A line for bash; $1 is the temporary folder. */
static struct spawned bash(const char *line)
{
    const char *argv[] = {"bash", "-c", line, "bash", folder, NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void lost_output_is_told_a_departed_reader_is_not(void **state)
{
    (void)state;
    static const char *const lost[] = {
        BUILD_DIR "/patchmark list >/dev/full",
        BUILD_DIR "/patchmark list --format json >/dev/full",
        BUILD_DIR "/patchmark --help >/dev/full",
        BUILD_DIR "/patchmark list >&-",
    };
    for (size_t i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        struct spawned s = bash(lost[i]);
        assert_int_equal(s.code, 2);
        assert_non_null(strstr(s.err, "standard output could not be written"));
    }
    struct spawned s = bash("{ sleep 0.5; " BUILD_DIR "/patchmark list; } | true; "
                            "exit ${PIPESTATUS[0]}");
    assert_int_equal(s.code, 141);
    assert_string_equal(s.err, "");
}

static void a_closed_stdout_leaves_records_whole(void **state)
{
    glob_t files;
    size_t bytes;
    (void)state;
    bash(BUILD_DIR "/patchmark run --size 32x32 --frames 1 --steps 1 --budget 0.1 --kernels c "
                   "--results \"$1/closed\" >&-");
    assert_int_equal(glob(at("%s/closed/*/*.jsonl", folder), 0, NULL, &files), 0);
    char *text = file_read(files.gl_pathv[0], &bytes);
    assert_int_equal(lines_of(text), 2);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(json_valid(line));
    free(text);
    globfree(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_sizes_go_to_y4m),
        cmocka_unit_test(two_runs_give_the_same_bytes),
        cmocka_unit_test(another_prompt_or_seed_gives_another_clip),
        cmocka_unit_test(mp4_and_still),
        cmocka_unit_test(dumped_text_goes_back_in),
        cmocka_unit_test(a_shorter_dump_leaves_no_older_latents),
        cmocka_unit_test(a_recipe_knows_what_was_given),
        cmocka_unit_test(noise_of_the_wrong_shape_says_both),
        cmocka_unit_test(bad_input_is_refused_in_a_sentence),
        cmocka_unit_test(too_much_memory_is_refused_before_it_is_taken),
        cmocka_unit_test(every_variant_file_is_listed),
        cmocka_unit_test(a_new_file_is_a_new_entry),
        cmocka_unit_test(json_is_one_document),
        cmocka_unit_test(ops_say_who_served_them),
        cmocka_unit_test(a_dry_run_costs_nothing_at_any_size),
        cmocka_unit_test(a_prompt_that_is_cut_is_said_to_be),
        cmocka_unit_test(latents_are_what_a_denoiser_alone_gives),
        cmocka_unit_test(denoisers_alone_refuse_what_they_lack),
        cmocka_unit_test(a_denoiser_alone_is_timed_without_frames),
        cmocka_unit_test(help_has_examples),
        cmocka_unit_test(run_writes_a_record_per_case),
        cmocka_unit_test(a_suite_file_names_its_bad_line),
        cmocka_unit_test(a_broken_kernel_costs_its_own_row),
        cmocka_unit_test(lost_output_is_told_a_departed_reader_is_not),
        cmocka_unit_test(a_closed_stdout_leaves_records_whole),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
