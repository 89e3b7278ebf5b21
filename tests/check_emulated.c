// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_emulated.c   The device path without a device: every hand-written CUDA kernel against the
 * reference under several schedules, whole pipelines, plans, and what is said where a device is
 * missing, too small or broken. Real processes of the emulated program, in each of its builds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "presets/wan.h"
#include "support/drawn_folder.h"
#include "support/files.h"
#include "support/jobs.h"
#include "support/json_check.h"
#include "support/spawn.h"

static const char *program(const char *mode)
{
    return job_word(BUILD_DIR "/emu/%s/patchmark", mode);
}

/* A build under a sanitizer has one way of emulating, its own, or none. */
static bool has_mode(const char *mode) { return file_exists(program(mode)); }

static const char *emulated(void)
{
    const char *mode = has_mode("opt") ? "opt" : "asan";
    if (!has_mode(mode))
        skip();
    return program(mode);
}

#define JOB(...) ((struct job){.argv = {emulated(), __VA_ARGS__}})

/* ---- what a job said ------------------------------------------------------------------------- */

static const char *command_of(const struct job *job)
{
    static char text[1024];
    size_t used = 0;
    for (int i = 0; i < JOB_VARIABLES && job->variable[i] && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s ", job->variable[i]);
    for (int i = 0; job->argv[i] && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s ", job->argv[i]);
    return text;
}

static void expect(const struct job *job, int code, const char *says)
{
    if (job->code != code || (!strstr(job->out, says) && !strstr(job->err, says)))
        fail_msg("%s: exit %d, wanted %d and '%s':\n%s%s", command_of(job), job->code, code, says,
                 job->out, job->err);
}

/* One line for people and nothing else on stderr. */
static void expect_sentence(struct job *job, int code, const char *says)
{
    jobs_run(job, 1);
    expect(job, code, says);
    if (strncmp(job->err, "patchmark: ", 11) != 0 ||
        strchr(job->err, '\n') != job->err + strlen(job->err) - 1)
        fail_msg("%s: one sentence was wanted, not:\n%s", command_of(job), job->err);
    jobs_free(job, 1);
}

/* ---- kernels --------------------------------------------------------------------------------- */

enum { KERNELS_MAX = 128, JOBS_MAX = 512 };

struct kernel {
    char op[32], name[64];
};

static int find_kernels(struct kernel kernel[KERNELS_MAX])
{
    static const char *const targets[] = {"cuda", "sm80", "sm90"};
    int count = 0;
    for (int t = 0; t < 3; t++) {
        glob_t files;
        if (glob(at("kernels/*/*/%s_[0-9][0-9]_*.cu", targets[t]), 0, NULL, &files) != 0)
            continue;
        for (size_t i = 0; i < files.gl_pathc && count < KERNELS_MAX; i++, count++)
            assert_int_equal(sscanf(files.gl_pathv[i], "kernels/%*[^/]/%31[^/]/%63[^.].cu",
                                    kernel[count].op, kernel[count].name),
                             2);
        globfree(&files);
    }
    assert_true(count > 0 && count < KERNELS_MAX);
    return count;
}

/* A row of verify's document. */
struct row {
    char op[32], variant[64], ran_on[16], status[16];
};

/* The value of the next member of that name, up to its end; NULL where there is none. */
static const char *member(const char *json, const char *name, char *out, size_t bytes)
{
    const char *value = json ? strstr(json, at("\"%s\": ", name)) : NULL;
    if (!value)
        return NULL;
    value += strlen(name) + 4;
    value += *value == '"';
    size_t length = strcspn(value, "\",\n");
    snprintf(out, bytes, "%.*s", (int)length, value);
    return value + length;
}

static const char *next_row(const char *json, struct row *row)
{
    json = member(json, "op", row->op, sizeof row->op);
    json = member(json, "variant", row->variant, sizeof row->variant);
    json = member(json, "ran_on", row->ran_on, sizeof row->ran_on);
    return member(json, "status", row->status, sizeof row->status);
}

/* Adds to `passes` what the document says of each kernel. */
static void count_passes(const struct job *job, const struct kernel *kernel, int kernels,
                         int *passes)
{
    struct row row;
    const char *json = strstr(job->out, "\"variants\"");
    assert_true(json_valid(job->out));
    while ((json = next_row(json, &row)) != NULL)
        for (int i = 0; i < kernels; i++)
            if (!strcmp(row.op, kernel[i].op) && !strcmp(row.variant, kernel[i].name) &&
                !strcmp(row.status, "passed") && !strcmp(row.ran_on, "emulated"))
                passes[i]++;
}

/* ---- verify under schedules ------------------------------------------------------------------ */

/* How threads take turns and when asynchronous work arrives: see tests/emu/emu.h. */
struct schedule {
    const char *mode, *order, *eager;
};

/* Shapes with tails in few blocks. Where threads wait for each other, schedules matter; elsewhere
 * two of them are enough. */
static const struct small {
    const char *shape;
    bool waits;
} small[] = {
    {"attention:Sq=17,Sk=70,N=2,D=64,type=bf16", true},
    {"linear:S=9,K=264,O=40,epilogue=gelu,type=bf16", true},
    {"conv3d:T=1,H=3,W=5,C=18,O=10,kt=2,kh=1,lead=1,P=1,pad_top=0,pad_bottom=0,aux=1,type=f32",
     true},
    {"norm_conv3d:T=1,H=3,W=5,C=18,O=7,kt=1,kw=1,lead=0,pad_left=0,pad_right=0,type=bf16", true},
    {"qkv:S=5,C=17,N=2,D=34,type=f32", true},
    {"attention:Sq=9,Sk=70,N=1,D=20,bias=1,type=f32", true},
    {"linear:S=67,K=17,O=20,epilogue=gate,out=f32,type=bf16", true},
    {"modulate:S=4,C=130,G=2,type=bf16", true},
    {"qk_norm_rope:S=5,N=3,D=34,type=f32", true},
    {"qk_norm_rope:S=3,N=2,D=64,norm=head,type=bf16", true},
    {"qk_norm_rope:S=3,N=2,D=66,norm=layer,type=f32", true},
    {"qk_norm_rope:S=3,N=3,D=40,rope=2,type=bf16", true},
    {"qk_norm_rope:S=3,N=3,D=70,rope=3,type=f32", true},
    {"qk_norm_rope:S=2,N=1,D=2048,norm=head,rope=3,type=f16", true},
    {"qkv:S=3,C=17,N=2,D=34,rope=3,type=bf16", true},
    {"norm_silu:S=9,C=101,type=f32", true},
    {"rms_norm:S=3,C=300,type=f32", true},
    {"patchify:T=2,H=4,W=6,C=5,type=bf16", false},
    {"unpatchify:T=2,H=4,W=6,C=5,type=bf16", false},
    {"unpatchify:T=2,H=4,W=6,C=5,channel=slowest,type=bf16", false},
    {"time_embed:S=3,C=34,drop=1,type=f32", false},
    {"elementwise:S=9,C=33,kind=affine,G=3,type=f32", false},
    {"elementwise:S=5,C=36,kind=sum,type=bf16", false},
    {"elementwise:S=5,C=31,kind=gelu_erf,type=f32", false},
    {"sampler_step:S=5,C=7,type=f32", false},
    {"ddpm_step:S=5,C=7,guided=3,type=f32", false},
    {"upsample:T=2,H=3,W=5,C=7,type=f32", false},
    {"average_down:T=3,H=4,W=6,C=5,O=10,ft=2,lead=1,aux=1,type=f32", false},
    {"duplicate_up:T=1,H=3,W=2,C=10,O=5,ft=2,skip=1,aux=1,type=bf16", false},
    {"to_rgb:T=2,H=5,W=7,Ho=4,Wo=6,type=f32", false},
    {"embedding:S=5,V=9,C=37,out=bf16,type=f32", false},
};
enum { SMALL = sizeof small / sizeof *small };

/* Under AddressSanitizer tensors stand bare, so that it sees the first byte past the end; between
 * guard bands the harness does, and that has a test of its own. */
static struct job verify_job(const struct schedule *s, const char *glob, const char *shape)
{
    struct job job = {
        .argv = {program(s->mode), "verify", glob, "--device=cuda:0", "--level=op", "--threads=1",
                 "--timeout=120", "--format=json"},
        .variable = {job_word("EMU_ORDER=%s", s->order), job_word("EMU_EAGER=%s", s->eager)}};
    int n = 8;
    if (shape)
        job.argv[n++] = job_word("--shape=%s", shape);
    if (strcmp(s->mode, "asan") == 0)
        job.argv[n++] = "--bare";
    return job;
}

/* None may have failed. */
static void expect_passes(const struct job *job, int count, const struct kernel *kernel,
                          int kernels, int *passes)
{
    for (int i = 0; i < count; i++) {
        expect(&job[i], 0, "\"variants\"");
        count_passes(&job[i], kernel, kernels, passes);
    }
}

static void every_kernel_agrees_with_the_reference(void **state)
{
    const struct schedule how = {has_mode("opt") ? "opt" : "asan", "lockstep", "0"};
    struct kernel kernel[KERNELS_MAX];
    struct job job[KERNELS_MAX];
    int kernels = find_kernels(kernel), passes[KERNELS_MAX] = {0};
    (void)state, (void)emulated();
    for (int i = 0; i < kernels; i++)
        job[i] = verify_job(&how, job_word("%s/%s", kernel[i].op, kernel[i].name), NULL);
    jobs_run(job, kernels);
    expect_passes(job, kernels, kernel, kernels, passes);
    for (int i = 0; i < kernels; i++)
        if (passes[i] != 1)
            fail_msg("%s/%s is not emulated", kernel[i].op, kernel[i].name);
    jobs_free(job, kernels);
}

/* Every kernel must pass in one of the jobs of the first schedule; later ones may leave out shapes
 * where no thread waits. */
static void verify_small(const struct schedule *how, int schedules, bool all_at_first)
{
    static struct job job[JOBS_MAX];
    struct kernel kernel[KERNELS_MAX];
    int kernels = find_kernels(kernel), passes[KERNELS_MAX] = {0}, count = 0;
    if (!has_mode(how->mode))
        skip();
    for (int s = 0; s < schedules; s++)
        for (int i = 0; i < SMALL; i++) {
            const char *op = job_word("%.*s/*", (int)strcspn(small[i].shape, ":"), small[i].shape);
            if (small[i].waits || (s == 0 && all_at_first))
                job[count++] = verify_job(&how[s], op, small[i].shape);
        }
    jobs_run(job, count);
    expect_passes(job, count, kernel, kernels, passes);
    for (int i = 0; i < kernels && all_at_first; i++)
        if (passes[i] == 0)
            fail_msg("%s/%s passed nothing in the build %s; does a shape of `small` suit it?",
                     kernel[i].op, kernel[i].name, how->mode);
    jobs_free(job, count);
}

static void no_schedule_changes_a_result(void **state)
{
    static const struct schedule how[] = {
        {"opt", "lockstep", "1"},        {"opt", "reversed", "0"}, {"opt", "shuffled", "1"},
        {"opt", "greedy", "0"},          {"opt", "greedy", "1"},   {"opt", "greedy-reversed", "0"},
        {"opt", "greedy-shuffled", "0"},
    };
    (void)state;
    verify_small(how, sizeof how / sizeof *how, false);
}

static void no_kernel_leaves_its_memory(void **state)
{
    static const struct schedule how[] = {{"asan", "lockstep", "0"}, {"asan", "shuffled", "1"}};
    (void)state;
    verify_small(how, sizeof how / sizeof *how, true);
}

static void no_kernel_has_a_data_race(void **state)
{
    static const struct schedule how[] = {{"race", "lockstep", "0"}, {"race", "greedy", "1"}};
    (void)state;
    verify_small(how, sizeof how / sizeof *how, true);
}

/* ---- pipelines ------------------------------------------------------------------------------- */

#define CLIP "--model=tiny", "--size=32x32", "--frames=5", "--steps=3", "--prompt=a red ball rolls"

/* A clip of the emulated device, or with --device=cpu of the CPU. */
static struct job clip_job(const char *device, const char *dtype, const char *kernels,
                           const char *name)
{
    return JOB("generate", CLIP, job_word("--device=%s", device), job_word("--dtype=%s", dtype),
               job_word("--kernels=%s", kernels), "--threads=1", "-o",
               job_word("%s/%s", folder, name));
}

/* The last word of a clip's job is its file. */
static unsigned char *clip_of(const struct job *job, size_t *bytes)
{
    int last = 0;
    while (job->argv[last + 1])
        last++;
    if (job->code != 0)
        expect(job, 0, "wrote");
    unsigned char *clip = (unsigned char *)file_read(job->argv[last], bytes);
    assert_non_null(clip);
    return clip;
}

static void expect_same_clips(const struct job *a, const struct job *b, int apart)
{
    size_t bytes, others;
    unsigned char *one = clip_of(a, &bytes), *other = clip_of(b, &others);
    assert_int_equal(bytes, others);
    for (size_t i = 0; i < bytes; i++)
        if (abs(one[i] - other[i]) > apart)
            fail_msg("byte %zu is %d and %d of\n%s\n", i, one[i], other[i], command_of(a));
    free(one);
    free(other);
}

/* Beside the stream in order: work as late as the host allows, a graph a step, and a replayed plan
 * give the same bytes; another machine's arithmetic at most the next ones. */
static void a_clip_is_the_same_however_it_is_launched(void **state)
{
    enum { STREAM, LATE, GRAPH, REPLAYED, CPU, CLIPS };
    const char *plan = job_word("%s/plan.tsv", folder);
    struct job write = JOB("generate", CLIP, "--device=cuda:0", "--dry-run", "--write-plan", plan);
    (void)state;
    jobs_run(&write, 1);
    expect(&write, 0, "cuda_01_plain");
    struct job job[CLIPS] = {
        [STREAM] = clip_job("cuda:0", "f32", "auto", "stream.y4m"),
        [LATE] = clip_job("cuda:0", "f32", "auto", "late.y4m"),
        [GRAPH] = JOB("generate", CLIP, "--device=cuda:0", "--launch=graph", "-o",
                      job_word("%s/graph.y4m", folder)),
        [REPLAYED] = JOB("generate", CLIP, "--device=cuda:0", "--plan", plan, "-o",
                         job_word("%s/replayed.y4m", folder)),
        [CPU] = clip_job("cpu", "f32", "auto", "cpu.y4m"),
    };
    job[LATE].variable[0] = "EMU_STREAM=late";
    jobs_run(job, CLIPS);
    for (int i = LATE; i < CLIPS; i++)
        expect_same_clips(&job[STREAM], &job[i], i == CPU);
    expect(&job[GRAPH], 0, "a graph of");
    expect(&job[STREAM], 0, "emulated on the CPU");
    jobs_free(job, CLIPS);
    jobs_free(&write, 1);
}

static double squares_between(const struct job *a, const struct job *b)
{
    size_t bytes, others;
    double sum = 0;
    unsigned char *one = clip_of(a, &bytes), *other = clip_of(b, &others);
    assert_int_equal(bytes, others);
    for (size_t i = 0; i < bytes; i++)
        sum += (one[i] - other[i]) * (one[i] - other[i]);
    free(one);
    free(other);
    return sum;
}

/* Tensor-core kernels serve here. What rounding to bf16 costs, the CPU's double reference shows; on
 * one noise two equally good plans differ by some dB, so this has room that the pipeline's own gate
 * over many noises has not. */
/* Two steps of the first, three of the second. */
#define EXPERTS(dir)                                                                               \
    "--model", dir, "--size=32x32", "--frames=5", "--steps=5", "--guidance=4,2",                   \
        "--prompt=a red ball rolls", "--threads=1"

/* Two experts from a folder, each with steps of its own; weights go through the pinned buffer. */
static void experts_of_a_folder_are_the_same_however_launched(void **state)
{
    enum { STREAM, GRAPH, CPU, CLIPS };
    const char *dir = job_word("%s/experts", folder);
    (void)state;
#ifndef HAVE_JANSSON
    skip();
#endif
    model_draw(dir, &preset_tiny_a14b, ELEM_F32, 2);
    struct job job[CLIPS] = {
        [STREAM] = JOB("generate", EXPERTS(dir), "--device=cuda:0", "-o",
                       job_word("%s/experts_stream.y4m", folder)),
        [GRAPH] = JOB("generate", EXPERTS(dir), "--device=cuda:0", "--launch=graph", "-o",
                      job_word("%s/experts_graph.y4m", folder)),
        [CPU] = JOB("generate", EXPERTS(dir), "-o", job_word("%s/experts_cpu.y4m", folder)),
    };
    jobs_run(job, CLIPS);
    for (int i = GRAPH; i < CLIPS; i++)
        expect_same_clips(&job[STREAM], &job[i], i == CPU);
    expect(&job[GRAPH], 0, "a graph of");
    expect(&job[STREAM], 0, "denoise_low");
    expect(&job[STREAM], 0, "weights of the folder");
    jobs_free(job, CLIPS);
}

static void a_clip_in_bf16_loses_what_rounding_costs(void **state)
{
    enum { EXACT, ROUNDED, DEVICE, CLIPS };
    struct job job[CLIPS] = {
        [EXACT] = clip_job("cpu", "f32", "reference", "exact.y4m"),
        [ROUNDED] = clip_job("cpu", "bf16", "reference", "rounded.y4m"),
        [DEVICE] = clip_job("cuda:0", "bf16", "auto", "bf16.y4m"),
    };
    (void)state;
    jobs_run(job, CLIPS);
    double rounding = squares_between(&job[EXACT], &job[ROUNDED]);
    double loss = squares_between(&job[EXACT], &job[DEVICE]);
    if (!(rounding > 0 && loss <= 2.5 * rounding))
        fail_msg("squares %g, of rounding alone %g", loss, rounding);
    expect(&job[DEVICE], 0, "sm80_");
    expect(&job[DEVICE], 0, "sm90_");
    jobs_free(job, CLIPS);
}

static void the_pipeline_meets_its_gate(void **state)
{
    struct job job =
        JOB("verify", "attention/cuda_*", "--level=pipeline", "--device=cuda:0", "--threads=1");
    (void)state;
    jobs_run(&job, 1);
    expect(&job, 0, "attention=cuda_01_plain");
    expect(&job, 0, "passed");
    jobs_free(&job, 1);
}

/* The whole pipeline as the engine lays it out: AddressSanitizer watches the ends of its slabs, the
 * race detector kernels that follow each other in one graph. */
static void a_pipeline_is_clean_in_every_build(void **state)
{
    static const struct {
        const char *mode, *dtype, *steps, *launch;
    } build[] = {{"asan", "f32", "1", "stream"}, {"race", "bf16", "2", "graph"}};
    struct job job[2];
    int count = 0;
    (void)state;
    for (int i = 0; i < 2; i++)
        if (has_mode(build[i].mode))
            job[count++] = (struct job){
                .argv = {program(build[i].mode), "generate", "--size=16x16", "--frames=1",
                         "--steps", build[i].steps, "--prompt=x", "--guidance=1", "--device=cuda:0",
                         "--launch", build[i].launch, "--dtype", build[i].dtype, "-o",
                         job_word("%s/%s.ppm", folder, build[i].mode)},
                .variable = {"EMU_ORDER=greedy", "EMU_EAGER=1"}};
    if (count == 0)
        skip();
    jobs_run(job, count);
    for (int i = 0; i < count; i++)
        expect(&job[i], 0, "wrote");
    jobs_free(job, count);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static struct job plan_job(const char *device, const char *kernels)
{
    return JOB("generate", "--dry-run", "--size=32x32", "--frames=1", "--steps=1",
               job_word("--device=%s", device), job_word("--kernels=%s", kernels));
}

static void plans_name_kernels_of_their_device(void **state)
{
    struct job job[] = {plan_job("cuda:0", "auto"), plan_job("cuda:0", "cuda"),
                        plan_job("cuda:0", "base"), plan_job("cuda:0", "linear=cuda_01_plain")};
    (void)state;
    jobs_run(job, 4);
    for (int i = 0; i < 4; i++) {
        expect(&job[i], 0, "cuda_01_plain: patchify");
        assert_null(strstr(job[i].out, "avx"));
        assert_null(strstr(job[i].out, "openblas"));
    }
    jobs_free(job, 4);
}

static void plans_of_another_device_are_refused(void **state)
{
    struct job on_cuda = plan_job("cuda:0", "linear=c_01_plain");
    struct job on_cpu = plan_job("cpu", "linear=cuda_01_plain");
    struct job reference = plan_job("cuda:0", "reference");
    struct job one = plan_job("cuda:0", "linear=reference");
    (void)state;
    expect_sentence(&on_cuda, 2, "linear/c_01_plain runs on the CPU");
    expect_sentence(&on_cpu, 2, "linear/cuda_01_plain runs on a CUDA device");
    expect_sentence(&reference, 2, "the reference runs on the CPU alone");
    expect_sentence(&one, 2, "the reference runs on the CPU alone");
}

/* ---- what is missing, too small, broken ------------------------------------------------------ */

static struct job still_job(const char *device, const char *variable)
{
    struct job job = JOB("generate", "--prompt=x", "--size=32x32", "--frames=1", "--steps=1",
                         job_word("--device=%s", device), "-o", job_word("%s/no.ppm", folder));
    job.variable[0] = variable;
    return job;
}

static void expect_no_clip(struct job job, int code, const char *says)
{
    int entries = folder_count(folder);
    expect_sentence(&job, code, says);
    assert_int_equal(folder_count(folder), entries);
}

static void a_missing_device_is_one_sentence(void **state)
{
    (void)state;
    expect_no_clip(still_job("cuda:0", "EMU_DEVICES=0"), 3, "this machine has none");
    expect_no_clip(still_job("cuda:0", "EMU_DRIVER=old"), 3, "update the driver");
    expect_no_clip(still_job("cuda:1", NULL), 3, "end at cuda:0");
    expect_no_clip(still_job("cuda", NULL), 2, "should be cpu or cuda:N");
}

static void too_little_device_memory_is_refused_from_the_plan(void **state)
{
    struct job job = still_job("cuda:0", "EMU_MEMORY_MIB=4");
    (void)state;
    /* needed and available, before anything is allocated or written */
    job.variable[1] = "EMU_FAIL=1";
    expect_no_clip(job, 2,
                   "GiB of the CUDA device's memory (weights by plan stage) and 0.00 GiB are free");
}

static void an_error_of_the_device_ends_the_clip(void **state)
{
    (void)state;
    expect_no_clip(still_job("cuda:0", "EMU_FAIL=1"), 1, "fail");
    expect_no_clip(still_job("cuda:0", "EMU_FAIL=150"), 1, "fail");
}

static void an_error_of_the_device_is_one_row(void **state)
{
    struct job job = JOB("verify", "rms_norm", "--level=op", "--shape=rms_norm:S=3,C=8,type=f32");
    (void)state;
    job.variable[0] = "EMU_FAIL=2";
    jobs_run(&job, 1);
    expect(&job, 1, "crashed: the CUDA device failed at");
    expect(&job, 1, "2 variants: 1 passed, 1 failed");
    jobs_free(&job, 1);
}

/* Without a device its variants cannot run, and the CPU's are verified and timed as ever. */
static void the_cpu_goes_on_without_a_device(void **state)
{
    struct job verify =
        JOB("verify", "rms_norm", "--level=op", "--shape=rms_norm:S=3,C=8,type=f32");
    struct job run = JOB("run", "--device=cpu,cuda:0", "--size=16x16", "--frames=1", "--steps=1",
                         "--budget=0.2", "--repetitions=3", "--results=none");
    (void)state;
    verify.variable[0] = run.variable[0] = "EMU_DEVICES=0";
    jobs_run(&verify, 1);
    expect(&verify, 0, "unavailable (no CUDA device can be used: this machine has none)");
    expect(&verify, 0, "1 passed, 0 failed, 0 refused, 1 cannot run here");
    jobs_run(&run, 1);
    expect(&run, 0, "unavailable no CUDA device can be used: this machine has none");
    expect(&run, 0, " s +-");
    jobs_free(&verify, 1);
    jobs_free(&run, 1);
}

/* ---- nothing emulated is timed --------------------------------------------------------------- */

static char *record_below(const char *results)
{
    glob_t files;
    assert_int_equal(glob(at("%s/*/*.jsonl", results), 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 1);
    char *text = file_read(files.gl_pathv[0], NULL);
    globfree(&files);
    return text;
}

static void expect_untimed(struct job *job, const char *results, const char *says)
{
    jobs_run(job, 1);
    expect(job, 3, says);
    char *record = record_below(results);
    assert_non_null(strstr(record, "\"timing\":null"));
    assert_non_null(strstr(record, "\"status\":\"unavailable\""));
    assert_non_null(strstr(record, "\"worst\":")); /* it was verified all the same */
    assert_null(strstr(record, "\"median_ns\":"));
    free(record);
    jobs_free(job, 1);
}

static void nothing_emulated_is_timed(void **state)
{
    const char *clips = job_word("%s/clips", folder), *kernels = job_word("%s/kernels", folder);
    struct job run = JOB("run", "--device=cuda:0", "--size=16x16", "--frames=1", "--steps=1",
                         "--budget=0.2", "--repetitions=3", "--results", clips);
    struct job race = JOB("kernels", "rms_norm", "--device=cuda:0", "--budget=0.2",
                          "--shape=rms_norm:S=3,C=64,type=f32", "--results", kernels);
    (void)state;
    expect_untimed(&run, clips, "an emulated device is never timed");
    expect_untimed(&race, kernels, "never timed");
}

/* ---- list ------------------------------------------------------------------------------------ */

static void lists_tell_what_runs_here(void **state)
{
    struct kernel kernel[KERNELS_MAX];
    int kernels = find_kernels(kernel);
    struct job job[] = {JOB("list", "variants"),
                        JOB("list", "variants", "--format=json"),
                        {.argv = {BUILD_DIR "/patchmark", "list", "variants"}},
                        {.argv = {BUILD_DIR "/patchmark", "list", "variants", "--format=json"}}};
    (void)state;
    jobs_run(job, 4);
    for (int i = 0; i < kernels; i++) {
        const char *name = at("%s/%s ", kernel[i].op, kernel[i].name);
        for (int k = 0; k < 4; k += 2) {
            const char *line = strstr(job[k].out, name);
            if (!line)
                fail_msg("%s: no %s in\n%s", command_of(&job[k]), name, job[k].out);
            const char *runs = strstr(line, k == 0 ? "runs here" : "");
            assert_true(runs && runs < strchr(line, '\n'));
        }
    }
    for (int k = 1; k < 4; k += 2)
        assert_true(json_valid(job[k].out));
    jobs_free(job, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_agrees_with_the_reference),
        cmocka_unit_test(no_schedule_changes_a_result),
        cmocka_unit_test(no_kernel_leaves_its_memory),
        cmocka_unit_test(no_kernel_has_a_data_race),
        cmocka_unit_test(a_clip_is_the_same_however_it_is_launched),
        cmocka_unit_test(experts_of_a_folder_are_the_same_however_launched),
        cmocka_unit_test(a_clip_in_bf16_loses_what_rounding_costs),
        cmocka_unit_test(the_pipeline_meets_its_gate),
        cmocka_unit_test(a_pipeline_is_clean_in_every_build),
        cmocka_unit_test(plans_name_kernels_of_their_device),
        cmocka_unit_test(plans_of_another_device_are_refused),
        cmocka_unit_test(a_missing_device_is_one_sentence),
        cmocka_unit_test(too_little_device_memory_is_refused_from_the_plan),
        cmocka_unit_test(an_error_of_the_device_ends_the_clip),
        cmocka_unit_test(an_error_of_the_device_is_one_row),
        cmocka_unit_test(the_cpu_goes_on_without_a_device),
        cmocka_unit_test(nothing_emulated_is_timed),
        cmocka_unit_test(lists_tell_what_runs_here),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
