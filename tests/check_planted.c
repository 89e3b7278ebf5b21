// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_planted.c   Faults planted into the CUDA kernels by tests/broken/cuda_bugs.tsv: each is
 * compiled against the emulator as a plug-in and must be caught as its row says, while the kernel
 * as it stands, on the same shape and schedule, passes. */
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
#include <sys/stat.h>

#include "support/files.h"
#include "support/jobs.h"
#include "support/spawn.h"

#define TABLE "tests/broken/cuda_bugs.tsv"

enum { TRIALS_MAX = 256, FIELDS = 8 };

/* One fault, or with sed NULL the right kernel under the same conditions. Under AddressSanitizer
 * tensors stand bare: between guard bands it would take an access past the end for a right one. */
struct trial {
    const char *file, *bug, *sed, *mode, *order, *eager, *shape, *says;
    char kernel[160], op[32], variant[64], renamed[64]; /* the kernel that shows the fault */
    const char *place, *plugin;                         /* folder of its sources; what is made */
    const char *problem;                                /* why it cannot be tried */
    bool shared;                                        /* the plug-in is an earlier trial's */
};

static struct trial trials[TRIALS_MAX];
static struct job jobs[TRIALS_MAX]; /* the last step of each trial */
static int count;

static const char *program(const char *mode)
{
    return job_word(BUILD_DIR "/emu/%s/patchmark", mode);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* A fault in a header shows in the plain kernel of the shape's op. */
static void find_kernel(struct trial *t)
{
    glob_t files;
    snprintf(t->op, sizeof t->op, "%.*s", (int)strcspn(t->shape, ":"), t->shape);
    snprintf(t->kernel, sizeof t->kernel, "%s", t->file);
    if (strncmp(t->file, "kernels/target/", 15) == 0 &&
        glob(at("kernels/*/%s/cuda_01_plain.cu", t->op), 0, NULL, &files) == 0) {
        snprintf(t->kernel, sizeof t->kernel, "%s", files.gl_pathv[0]);
        globfree(&files);
    }
    const char *name = strrchr(t->kernel, '/') + 1, *number = strchr(name, '_') + 1;
    snprintf(t->variant, sizeof t->variant, "%.*s", (int)strcspn(name, "."), name);
    snprintf(t->renamed, sizeof t->renamed, "%.*s91%.*s", (int)(number - name), name,
             (int)strcspn(number, ".") - 2, number + 2);
}

static void add(const struct trial *trial)
{
    assert_true(count < TRIALS_MAX);
    struct trial *t = &trials[count];
    *t = *trial;
    find_kernel(t);
    t->place = job_word("%s/%d", folder, count++);
    t->plugin = job_word("%s/planted.so", t->place);
    assert_int_equal(mkdir(t->place, 0700), 0);
    assert_int_equal(mkdir(at("%s/target", t->place), 0700), 0);
}

/* The right kernel of a trial, unless it is there already. */
static void add_control(const struct trial *bug)
{
    const char *made = NULL;
    for (int i = 0; i < count; i++) {
        const struct trial *t = &trials[i];
        if (t->sed || strcmp(t->kernel, bug->kernel) != 0 || strcmp(t->mode, bug->mode) != 0)
            continue;
        made = t->plugin;
        if (!strcmp(t->order, bug->order) && !strcmp(t->eager, bug->eager) &&
            !strcmp(t->shape, bug->shape))
            return;
    }
    struct trial control = *bug;
    control.file = job_word("%s", bug->kernel);
    control.bug = job_word("nothing, %s %s %s", bug->order, bug->eager, bug->shape);
    control.sed = NULL;
    control.says = "passed, emulated";
    add(&control);
    if (made)
        trials[count - 1].plugin = made;
    trials[count - 1].shared = made != NULL;
}

static void read_line(char *line)
{
    const char *field[FIELDS];
    for (int i = 0; i < FIELDS; i++)
        if (!(field[i] = strsep(&line, "\t")))
            fail_msg(TABLE ": %d fields where %d are wanted: %s", i, FIELDS, field[0]);
    struct trial t = {.file = field[0],
                      .bug = field[1],
                      .sed = field[2],
                      .mode = field[3],
                      .order = field[4],
                      .eager = field[5],
                      .shape = field[6],
                      .says = field[7]};
    add(&t);
}

static void read_table(char *text)
{
    for (char *line; (line = strsep(&text, "\n")) != NULL;)
        if (*line && *line != '#')
            read_line(line);
    for (int i = 0, bugs = count; i < bugs; i++)
        add_control(&trials[i]);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* The kernel under another number, so that it stands beside the right one, and as a plug-in. */
static void write_kernel(struct trial *t, const char *text)
{
    const char *own = job_word("VARIANT(%s, %s,", t->op, t->variant), *place = strstr(text, own);
    if (!place) {
        t->problem = job_word("no '%s' in %s", own, t->kernel);
        return;
    }
    size_t bytes = strlen(text) + 512;
    char *out = malloc(bytes);
    assert_non_null(out);
    snprintf(out, bytes, "%.*sVARIANT(%s, %s,%s\nPLUGIN(&variant_%s_%s);\n", (int)(place - text),
             text, t->op, t->renamed, place + strlen(own), t->op, t->renamed);
    file_write(job_word("%s/planted.cu", t->place), out, false);
    free(out);
}

static void write_sources(struct trial *t, const char *changed)
{
    char *kernel = file_read(t->kernel, NULL), *file = file_read(t->file, NULL);
    if (!kernel || !file)
        t->problem = job_word("%s or %s is not there", t->kernel, t->file);
    else if (t->sed && strcmp(file, changed) == 0)
        t->problem = "the expression changes nothing: the source has moved on";
    else if (strcmp(t->file, t->kernel) == 0)
        write_kernel(t, t->sed ? changed : kernel);
    else
        write_kernel(t, kernel);
    if (!t->problem && strcmp(t->file, t->kernel) != 0)
        file_write(job_word("%s/%s", t->place, t->file + strlen("kernels/")), changed, false);
    free(kernel);
    free(file);
}

static void plant(void)
{
    for (int i = 0; i < count; i++)
        if (trials[i].sed)
            jobs[i] = (struct job){.argv = {"sed", "-E", "-e", trials[i].sed, trials[i].file}};
    jobs_run(jobs, count);
    for (int i = 0; i < count; i++) {
        if (trials[i].sed && jobs[i].code != 0)
            trials[i].problem = job_word("sed: %s", jobs[i].err);
        else
            write_sources(&trials[i], jobs[i].out);
    }
    jobs_free(jobs, count);
}

/* ---- compilers ------------------------------------------------------------------------------- */

/* The words of the Makefile's command for that way of emulating; NULL where it was not built. */
static char *flags_of(const char *mode)
{
    char *text = file_read(BUILD_DIR "/emu/flags", NULL), *rest = text, *found = NULL;
    for (char *line; text && !found && (line = strsep(&rest, "\n")) != NULL;) {
        size_t length = strlen(mode);
        if (strncmp(line, mode, length) == 0 && line[length] == '\t')
            found = strdup(line + length + 1);
    }
    free(text);
    return found;
}

/* -Bsymbolic and unique names keep the plug-in from sharing functions with the program's own
 * kernel; what it lacks on purpose, the runtimes of sanitizers, the program has. */
static struct job compile_job(const struct trial *t, char *flags)
{
    const char *const more[] = {"-O0",
                                "-g0",
                                "-fPIC",
                                "-shared",
                                "-nostdlib",
                                "-fno-gnu-unique",
                                "-w",
                                "-Wl,-Bsymbolic",
                                "-o",
                                t->plugin,
                                job_word("%s/planted.cu", t->place)};
    struct job job = {{NULL}, {NULL}, 0, NULL, NULL, 0};
    int n = 0;
    for (char *word; (word = strsep(&flags, " ")) != NULL && n < JOB_WORDS - 16;) {
        if (*word)
            job.argv[n++] = job_word("%s", word);
        if (n == 1)
            job.argv[n++] = job_word("-I%s", t->place);
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        job.argv[n++] = more[i];
    return job;
}

static void compile(void)
{
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < count; i++) {
        char *flags = flags_of(trials[i].mode);
        if (flags && !trials[i].problem && !trials[i].shared)
            jobs[i] = compile_job(&trials[i], flags);
        free(flags);
    }
    jobs_run(jobs, count);
    for (int i = 0; i < count; i++)
        if (jobs[i].code != 0)
            trials[i].problem = job_word("it does not compile: %.2000s", jobs[i].err);
    jobs_free(jobs, count);
}

/* ---- trials ---------------------------------------------------------------------------------- */

static void run_trials(void)
{
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < count; i++) {
        const struct trial *t = &trials[i];
        if (!t->problem && file_exists(t->plugin))
            jobs[i] = (struct job){
                .argv = {program(t->mode), "verify", job_word("%s/%s", t->op, t->renamed),
                         "--level=op", "--device=cuda:0", "--threads=1", "--timeout=60", "--shape",
                         t->shape, "--plugin", t->plugin,
                         strcmp(t->mode, "asan") == 0 ? "--bare" : NULL},
                /* what a fault says belongs to its trial, whoever runs the tests */
                .variable = {job_word("EMU_ORDER=%s", t->order), job_word("EMU_EAGER=%s", t->eager),
                             "ASAN_OPTIONS=log_path=stderr", "UBSAN_OPTIONS=log_path=stderr"}};
    }
    jobs_run(jobs, count);
}

static void is_caught_as_its_row_says(void **state)
{
    const struct trial *t = *state;
    const struct job *job = &jobs[t - trials];
    if (t->problem)
        fail_msg("%s", t->problem);
    if (!job->argv[0])
        skip();
    if (job->code != (t->sed ? 1 : 0) || !strstr(job->out, t->says))
        fail_msg("exit %d, wanted '%s' in:\n%s%s", job->code, t->says, job->out, job->err);
}

int main(void)
{
    static struct CMUnitTest tests[TRIALS_MAX];
    char *table = file_read(TABLE, NULL);
    assert_non_null(table);
    folder_make(NULL);
    read_table(table);
    plant();
    compile();
    run_trials();
    for (int i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = job_word("%s/%s %s: %s", trials[i].op, trials[i].variant, trials[i].mode,
                             trials[i].bug),
            .test_func = is_caught_as_its_row_says,
            .initial_state = &trials[i],
        };
    int failed = _cmocka_run_group_tests("planted", tests, (size_t)count, NULL, NULL);
    jobs_free(jobs, count);
    folder_drop(NULL);
    free(table);
    return failed;
}
