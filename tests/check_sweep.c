// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_sweep.c   Sweeps: what lists and suites mean, and that a sweep survives its program: killed
 * at random moments, interrupted, out of disk. SWEEP_KILLS=N kills N times (12). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine/host.h"
#include "random.h"
#include "records/sidecar.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/sanitizer.h"
#include "support/spawn.h"
#include "sweep/journal.h"
#include "sweep/run_cases.h"
#include "sweep/run_plan.h"
#include "timing/measure.h"

/* ---- lists ----------------------------------------------------------------------------------- */

/* The words by blanks, or the sentence of the refusal. */
static const char *expanded(const char *list, const char *separators, enum word_kind kind)
{
    static char out[2048];
    struct words w = {0};
    struct fault fault = {{0}};
    out[0] = 0;
    if (words_expand(&w, "--x", list, separators, kind, &fault) != ST_OK)
        snprintf(out, sizeof out, "%s", fault.text);
    else
        for (int i = 0; i < w.count; i++)
            snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", i ? " " : "", w.word[i]);
    words_free(&w);
    return out;
}

static void ranges_mean_what_they_say(void **state)
{
    static const struct {
        const char *list, *words;
        enum word_kind kind;
    } rows[] = {
        {"1,2, 8", "1 2 8", WORD_WHOLE},
        {"1-8*2", "1 2 4 8", WORD_WHOLE},
        {"1-7*2", "1 2 4", WORD_WHOLE},
        {"17-81+16", "17 33 49 65 81", WORD_WHOLE},
        {"1,17-49+16,5", "1 17 33 49 5", WORD_WHOLE},
        {"2-6*1.2", "2 3 4 5 6", WORD_WHOLE},
        {"3-3+1", "3", WORD_WHOLE},
        {"0.5-2+0.5", "0.5 1 1.5 2", WORD_REAL},
        {"0.1-0.3+0.1", "0.1 0.2 0.3", WORD_REAL},
        {"96x64-384x256*2", "96x64 192x128 384x256", WORD_SIZE},
        {"64x64-128x96+32", "64x64 96x96", WORD_SIZE},
        {"wan2.1-t2v-14b,1-8*2", "wan2.1-t2v-14b 1-8*2", WORD_TEXT},
        {"-5", "-5", WORD_WHOLE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(expanded(rows[i].list, ",", rows[i].kind), rows[i].words);
    assert_string_equal(expanded("a, b", NULL, WORD_TEXT), "a, b");
}

static void bad_ranges_are_refused_in_a_sentence(void **state)
{
    static const struct {
        const char *list, *says;
        enum word_kind kind;
    } rows[] = {
        {"1,,2", "empty place", WORD_WHOLE},
        {"8-1*2", "goes down", WORD_WHOLE},
        {"1-8", "needs a factor or a step", WORD_WHOLE},
        {"1-8*", "end in a number", WORD_WHOLE},
        {"1-8*2x", "end in a number", WORD_WHOLE},
        {"1-8*1", "above 1", WORD_WHOLE},
        {"1-8*nan", "end in a number", WORD_WHOLE},
        {"1-8+0", "above 0", WORD_WHOLE},
        {"0-8*2", "stays at 0", WORD_WHOLE},
        {"1-1e9+1", "more than 1000 values", WORD_WHOLE},
        {"1-2*1.0000001", "step too small", WORD_WHOLE},
        {"64x64-32x128*2", "goes down", WORD_SIZE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strstr(expanded(rows[i].list, ",", rows[i].kind), rows[i].says))
            fail_msg("%s: '%s' lacks '%s'", rows[i].list, expanded(rows[i].list, ",", rows[i].kind),
                     rows[i].says);
}

static void braces_make_one_line_each(void **state)
{
    struct words w = {0};
    struct fault fault = {{0}};
    static const char *const wanted[] = {"a:S=1,D=64", "a:S=1,D=128", "a:S=2,D=64", "a:S=2,D=128"};
    (void)state;
    assert_int_equal(words_braces(&w, "shape", "a:S={1-2*2},D={64,128}", &fault), ST_OK);
    assert_int_equal(w.count, 4);
    for (int i = 0; i < 4; i++)
        assert_string_equal(w.word[i], wanted[i]);
    words_free(&w);
    assert_int_equal(words_braces(&w, "shape", "a:S={1,2", &fault), ST_BAD_INPUT);
    assert_int_equal(words_braces(&w, "shape", "a:S=1}", &fault), ST_BAD_INPUT);
    words_free(&w);
}

/* ---- suites ---------------------------------------------------------------------------------- */

/* Of a suite's text with what the command line adds. */
static enum status cases_of(const char *text, const struct axes *over, struct case_list *list,
                            struct fault *fault)
{
    const struct case_spec base = CASE_DEFAULTS;
    const struct axes none = {{0}};
    const char *path = at("%s/x.suite", folder);
    *list = (struct case_list){0};
    *fault = (struct fault){{0}};
    file_write(path, text, false);
    return cases_from_suite(path, &base, over ? over : &none, list, fault);
}

static const char mixture[] = "# what it is for\n"
                              "[defaults]\n"
                              "model = tiny\n"
                              "steps = 2-8*2   # three\n"
                              "threads = 1\n"
                              "[long]\n"
                              "frames = 17\n"
                              "threads = 1, all\n"
                              "sample = yes\n"
                              "[short]\n"
                              "steps = 4\n"
                              "seconds = 0.5, 1\n"
                              "guidance = 4,3/5\n"
                              "[kernels one]\n"
                              "shape = linear:S={32,64},K=64,O=64\n"
                              "shape = rms_norm\n"
                              "variants = c_*\n"
                              "budget = 1\n"
                              "threads = 1, 2\n";

static void sections_are_products(void **state)
{
    struct case_list list;
    struct fault fault;
    (void)state;
    if (cases_of(mixture, NULL, &list, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    assert_int_equal(list.count, 6 + 4 + 6);
    const struct case_spec *s = &list.item[0].spec;
    assert_string_equal(s->model, "tiny");
    assert_int_equal(s->frames, 17);
    assert_int_equal(s->steps, 2);
    assert_int_equal(s->threads, 1);
    assert_int_equal(list.item[1].spec.threads, CASE_UNSET);
    assert_true(list.item[1].sample);
    assert_false(list.item[6].sample);
    assert_string_equal(list.item[6].section, "short");
    assert_int_equal(list.item[6].spec.steps, 4);
    assert_true(list.item[6].spec.seconds == 0.5);
    assert_true(list.item[6].spec.guidance.second == 3 && isnan(list.item[7].spec.guidance.second));
    const struct run_case *k = &list.item[10];
    assert_true(case_is_kernel(k) && !case_is_kernel(&list.item[9]));
    assert_string_equal(k->kernel[0], "linear/c_*");
    assert_string_equal(k->kernel[1], "--shape=linear:S=32,K=64,O=64");
    assert_string_equal(list.item[11].kernel[3], "--threads=2");
    assert_int_equal(list.item[10].line, 15);
    assert_string_equal(list.item[14].kernel[0], "rms_norm/c_*");
    cases_free(&list);
}

static void the_command_line_replaces_lists(void **state)
{
    struct case_list list;
    struct fault fault;
    struct axes over = {{0}};
    (void)state;
    over.text[axis_find("frames")] = "5";
    over.text[axis_find("threads")] = "3";
    assert_int_equal(cases_of(mixture, &over, &list, &fault), ST_OK);
    assert_int_equal(list.count, 3 + 2 + 3);
    assert_int_equal(list.item[3].spec.frames, 5);
    assert_true(isnan(list.item[3].spec.seconds));
    assert_string_equal(list.item[5].kernel[3], "--threads=3");
    cases_free(&list);
}

static void a_bad_suite_says_where_and_what(void **state)
{
    static const struct {
        const char *text, *line, *says;
    } rows[] = {
        {"[a]\nsize = 32x32\nsped = 3\n", "line 3", "unknown key 'sped'; did you mean"},
        {"[a]\nsteps = 1\nsize = 32x32, 12\n[b]\n", "line 3", "WIDTHxHEIGHT"},
        {"[a\n", "line 1", "should end in ]"},
        {"[]\n", "line 1", "needs a name"},
        {"[a]\nsteps\n", "line 2", "key = list"},
        {"[a]\nsteps =\n", "line 2", "nothing behind"},
        {"[a]\nsteps = 1\nsteps = 2\n", "line 3", "given in line 2"},
        {"[a]\nsteps = 4-1*2\n", "line 2", "goes down"},
        {"[a]\nsample = perhaps\n", "line 2", "yes or no"},
        {"[defaults]\nsteps = x\n[a]\nframes = 1\n", "line 2", "whole numbers"},
        {"[kernels]\nthreads = 1\n", "line 1", "has no shape"},
        {"[kernels a]\nshape = linear:S={1,2\n", "line 2", "does not close"},
        {"[kernels a]\nshape = linear\nshape = rms_norm\nthreads = 1,,2\n", "line 4",
         "empty place"},
    };
    struct case_list list;
    struct fault fault;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(cases_of(rows[i].text, NULL, &list, &fault), ST_BAD_INPUT);
        if (!strstr(fault.text, rows[i].line) || !strstr(fault.text, rows[i].says) ||
            !strstr(fault.text, "x.suite"))
            fail_msg("'%s' lacks '%s' or '%s'", fault.text, rows[i].line, rows[i].says);
        cases_free(&list);
    }
    assert_int_equal(cases_of("# nothing\n", NULL, &list, &fault), ST_BAD_INPUT);
    cases_free(&list);
}

/* ---- journals -------------------------------------------------------------------------------- */

static char heard[4096];

static enum status hear(void *user, const char *word, const char *text, struct fault *fault)
{
    (void)user, (void)fault;
    snprintf(heard + strlen(heard), sizeof heard - strlen(heard), "%s:%s|", word, text);
    return ST_OK;
}

static enum status hear_all(const char *path, struct fault *fault)
{
    struct journal *j;
    *fault = (struct fault){{0}};
    heard[0] = 0;
    enum status s = journal_open(path, hear, NULL, &j, fault);
    journal_free(j);
    return s;
}

static void write_journal(const char *path)
{
    struct journal *j;
    struct fault fault = {{0}};
    unlink(path);
    assert_int_equal(journal_create(path, &j, &fault), ST_OK);
    assert_int_equal(journal_add(j, "one", "plain", &fault), ST_OK);
    assert_int_equal(journal_add(j, "two", "line\nbreak\r and \\n", &fault), ST_OK);
    assert_int_equal(journal_add(j, "three", "", &fault), ST_OK);
    assert_int_equal(journal_sync(j, &fault), ST_OK);
    journal_free(j);
}

#define ALL_HEARD "one:plain|two:line\nbreak\r and \\n|three:|"

static void a_journal_gives_back_what_it_was_given(void **state)
{
    const char *path = at("%s/a.journal", folder);
    struct journal *j, *other;
    struct fault fault = {{0}};
    (void)state;
    write_journal(path);
    assert_int_equal(hear_all(path, &fault), ST_OK);
    assert_string_equal(heard, ALL_HEARD);
    assert_int_equal(journal_create(path, &j, &fault), ST_IO);
    fault.text[0] = heard[0] = 0;
    assert_int_equal(journal_open(path, hear, NULL, &j, &fault), ST_OK);
    assert_int_equal(journal_open(path, hear, NULL, &other, &fault), ST_REFUSED);
    assert_non_null(strstr(fault.text, "still running"));
    assert_int_equal(journal_add(j, "four", "more", &fault), ST_OK);
    journal_free(j);
    assert_int_equal(hear_all(path, &fault), ST_OK);
    assert_string_equal(heard, ALL_HEARD "four:more|");
}

/* Cut anywhere it is a shorter journal; changed anywhere it is refused. */
static void a_torn_line_counts_for_nothing(void **state)
{
    const char *path = at("%s/b.journal", folder);
    struct fault fault;
    size_t bytes;
    (void)state;
    write_journal(path);
    char *whole = file_read(path, &bytes);
    for (size_t n = 0; n <= bytes; n++) {
        file_put(path, whole, n);
        assert_int_equal(hear_all(path, &fault), ST_OK);
        assert_true(strlen(heard) <= strlen(ALL_HEARD) &&
                    !strncmp(heard, ALL_HEARD, strlen(heard)));
    }
    for (size_t n = 0; n + 1 < bytes; n++) {
        char kept = whole[n];
        whole[n] = (char)(kept == 'x' ? 'y' : 'x');
        file_put(path, whole, bytes);
        assert_int_equal(hear_all(path, &fault), ST_BAD_INPUT);
        whole[n] = kept;
    }
    free(whole);
}

static void a_full_disk_leaves_the_journal_as_it_was(void **state)
{
    const char *path = at("%s/c.journal", folder);
    struct journal *j;
    struct fault fault = {{0}};
    struct rlimit old, small;
    (void)state;
    write_journal(path);
    assert_int_equal(journal_open(path, hear, NULL, &j, &fault), ST_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 110; /* in the middle of the next line */
    setrlimit(RLIMIT_FSIZE, &small);
    const enum status s =
        journal_add(j, "four", "much too long for what is left of this disk", &fault);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(s, ST_IO);
    assert_non_null(strstr(fault.text, "File too large"));
    fault.text[0] = 0;
    assert_int_equal(journal_add(j, "five", "fits", &fault), ST_OK);
    journal_free(j);
    assert_int_equal(hear_all(path, &fault), ST_OK);
    assert_string_equal(heard, ALL_HEARD "five:fits|");
}

/* ---- the program ----------------------------------------------------------------------------- */

#define CASES 4
#define SWEEP                                                                                      \
    "--size=16x16", "--frames=1-5+4", "--steps=1,2", "--threads=1", "--budget=0.01",               \
        "--repetitions=1"

static const char *results(void) { return at("%s/results", folder); }

static void clear_results(void)
{
    struct spawned s = spawn_program((char *const[]){"rm", "-rf", (char *)results(), NULL}, NULL);
    assert_int_equal(s.code, 0);
}

static struct spawned patchmark(const char *const *words)
{
    const char *argv[40] = {BUILD_DIR "/patchmark"};
    for (int n = 1; n < 39 && words[n - 1]; n++)
        argv[n] = words[n - 1];
    return spawn_program((char *const *)argv, NULL);
}
#define RUN(...)                                                                                   \
    patchmark((const char *const[]){"run", at("--results=%s", results()), __VA_ARGS__, NULL})

static void expect(const struct spawned *s, int code, const char *says)
{
    if (s->code != code || (!strstr(s->out, says) && !strstr(s->err, says)))
        fail_msg("exit %d, wanted %d and '%s':\n%s%s", s->code, code, says, s->out, s->err);
}

/* The newest file with this ending in the machine's folder, "" where there is none. */
static const char *newest(const char *ending)
{
    static char path[4096];
    glob_t files;
    path[0] = 0;
    if (glob(at("%s/*/*%s", results(), ending), 0, NULL, &files) == 0) {
        snprintf(path, sizeof path, "%s", files.gl_pathv[files.gl_pathc - 1]);
        globfree(&files);
    }
    return path;
}

static pid_t start(bool resume)
{
    const char *fresh[] = {BUILD_DIR "/patchmark", "run", SWEEP, at("--results=%s", results()),
                           NULL};
    const char *again[] = {BUILD_DIR "/patchmark", "run", "--resume", at("--results=%s", results()),
                           NULL};
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        if (freopen("/dev/null", "w", stdout) && freopen(at("%s/err", folder), "w", stderr))
            execv(fresh[0], (char *const *)(resume ? again : fresh));
        _exit(127);
    }
    return pid;
}

static int end_by(pid_t pid, int number)
{
    int status;
    kill(pid, number);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void rest(double seconds)
{
    const struct timespec wait = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&wait, NULL);
}

static bool journal_has(const char *part)
{
    const char *journal = newest(".jsonl.journal");
    char *text = *journal ? file_read(journal, NULL) : NULL;
    const bool has = text && strstr(text, part);
    free(text);
    return has;
}

/* Starts a sweep and sends the signal as soon as its first case is done; the seconds till then. */
static double stop_after_a_case(int number)
{
    const double begin = clock_seconds();
    const pid_t pid = start(false);
    for (int i = 0; i < 10000 && !journal_has(" done 1 "); i++)
        rest(0.005);
    const double seconds = clock_seconds() - begin;
    assert_int_equal(end_by(pid, number), 128 + number);
    assert_true(journal_has(" done 1 "));
    return seconds;
}

/* Samples lie where the record says, and are those that it names. */
static void expect_samples(const char *record, const char *path)
{
    struct sidecar_place place;
    struct raw raw = {0};
    struct fault fault = {{0}};
    char samples[4200];
    long long offset, count;
    const char *at_raw = strstr(record, "\"raw\":{");
    assert_non_null(at_raw);
    assert_int_equal(sscanf(at_raw,
                            "\"raw\":{\"file\":\"%95[^\"]\",\"offset\":%lld,\"count\":%lld,"
                            "\"sha256\":\"%64[^\"]",
                            place.file, &offset, &count, place.sha256),
                     4);
    place.offset = offset;
    place.count = count;
    snprintf(samples, sizeof samples, "%.*s/%s", (int)(strrchr(path, '/') - path), path,
             place.file);
    if (sidecar_read(samples, &place, &raw, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    raw_free(&raw);
}

static long whole_bytes; /* of the record file of a whole sweep */

/* Every line is JSON, and every case of the sweep is there once. */
static void expect_whole(const char *path)
{
    int seen[10][3] = {{0}}, cases = 0;
    char *text = file_read(path, NULL), *left = text;
    assert_non_null(text);
    whole_bytes = (long)strlen(text);
    for (char *line; (line = strsep(&left, "\n")) && *line;) {
        const char *frames = strstr(line, "\"frames\":"), *steps = strstr(line, "\"steps\":");
        assert_true(json_valid(line));
        if (strstr(line, "\"kind\":\"run\""))
            continue;
        assert_true(frames && steps);
        seen[strtol(frames + 9, NULL, 10)][strtol(steps + 8, NULL, 10)]++;
        assert_int_equal(strtol(strstr(line, "\"case\":") + 7, NULL, 10), ++cases);
        expect_samples(line, path);
    }
    free(text);
    assert_int_equal(cases, CASES);
    for (int f = 1; f <= 5; f += 4)
        assert_true(seen[f][1] == 1 && seen[f][2] == 1);
}

static void finish_and_check(void)
{
    struct spawned s = RUN("--resume");
    expect(&s, 0, "records in");
    assert_string_equal(newest(".journal"), "");
    assert_string_equal(newest(".part"), "");
    expect_whole(newest(".jsonl"));
    clear_results();
}

static void a_killed_sweep_is_gone_on_with(void **state)
{
    const char *wanted = getenv("SWEEP_KILLS");
    const int kills = wanted ? atoi(wanted) : 12;
    const struct random_stream stream = random_stream_of((uint64_t)time(NULL), "kills");
    struct fault fault;
    (void)state;
    /* Start-up, every step of a case and what stands between two of them. */
    const double longest = fmin(1.7 * stop_after_a_case(SIGKILL), wanted ? 2.5 : 1);
    bool resume = true;
    for (int n = 0; n < kills; n++) {
        const pid_t pid = start(resume);
        rest(longest * (double)(random_bits(stream, (uint64_t)n) % 1000) / 1000);
        if (end_by(pid, SIGKILL) != 128 + SIGKILL) {
            expect_whole(newest(".jsonl")); /* it was done before the signal came */
            clear_results();
        }
        resume = journal_has(" begun ");
        if (resume && hear_all(newest(".jsonl.journal"), &fault) != ST_OK)
            fail_msg("after kill %d: %s", n + 1, fault.text);
        if (!resume) /* so early that there is nothing to go on with */
            clear_results();
    }
    if (!resume)
        stop_after_a_case(SIGKILL);
    finish_and_check();
}

static void an_interrupted_sweep_says_how_to_go_on(void **state)
{
    (void)state;
    stop_after_a_case(SIGINT);
    char *said = file_read(at("%s/err", folder), NULL);
    assert_non_null(strstr(said, "patchmark run --resume "));
    assert_non_null(strstr(said, newest(".jsonl.journal")));
    free(said);
    finish_and_check();
}

/* The same sweep alone can be gone on with; what differs is named. */
static void another_sweep_is_refused(void **state)
{
    static const struct {
        const char *more, *says;
    } rows[] = {
        {"--budget=0.02", "--budget is 0.02"},
        {"--fps=12", "--fps is 12 here and was not given then"},
        {"--repetitions=2", "--repetitions is 2 here and was 1 then"},
        {"--steps=1,2,3", "--steps is 1,2,3 here and was 1,2 then"},
    };
    (void)state;
    stop_after_a_case(SIGKILL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct spawned s = RUN("--resume", SWEEP, rows[i].more);
        expect(&s, 2, rows[i].says);
    }
    struct spawned s = RUN("--resume", "nowhere.journal");
    expect(&s, 2, "nowhere.journal");
    s = RUN("--resume", "--dry-run");
    expect(&s, 2, "leave one out");
    finish_and_check();
    s = RUN("--resume");
    expect(&s, 2, "no sweep to go on with");
    s = RUN(SWEEP, "stray");
    expect(&s, 2, "one word too many");
}

/* The limit stands for a full disk: a sentence, and what is done stays done. The last case does not
 * fit. */
static void a_full_disk_loses_no_case(void **state)
{
    char limited[128];
    (void)state;
    if (UNDER_TSAN)
        skip();
    assert_true(whole_bytes > 0);
    snprintf(limited, sizeof limited, "ulimit -f %ld; exec \"$0\" \"$@\"",
             whole_bytes * 7 / 8 / 512);
    struct spawned s =
        spawn_program((char *const[]){"sh", "-c", limited, BUILD_DIR "/patchmark", "run", SWEEP,
                                      (char *)at("--results=%s", results()), NULL},
                      NULL);
    expect(&s, 2, "File too large; ");
    assert_non_null(strstr(s.err, "run --resume"));
    finish_and_check();
    s = patchmark((const char *const[]){"run", SWEEP, "--results=/proc/no/such", NULL});
    expect(&s, 2, "/proc/no");
}

static void what_cannot_run_is_a_row(void **state)
{
    char suite[4096];
    (void)state;
    snprintf(suite, sizeof suite, "%s/rows.suite", folder);
    file_write(suite,
               "[defaults]\nsize = 16x16\nframes = 1\nsteps = 1\nthreads = 1\n"
               "[models]\nmodel = open-sora-1.2, tiny\n"
               "[twice]\nmodel = tiny\n"
               "[device]\ndevice = cuda:999\n"
               "[kernels of a device]\nshape = linear:S=32,K=32,O=32\ndevice = cuda:999\n"
               "[kernels]\nshape = linear:S=32,K=32,O=32\nvariants = c_*\nbudget = 0.3\n",
               false);
    struct spawned s = RUN("--suite", suite, "--dry-run");
    expect(&s, 0, "5 cases, ");
    s = RUN("--suite", suite, "--budget=0.01", "--repetitions=1");
    expect(&s, 0, "1 case is listed twice and run once");
    assert_non_null(strstr(s.out, "not_built"));
    assert_non_null(strstr(s.out, "linear:S=32,K=32,O=32"));
    char *text = file_read(newest(".jsonl"), NULL), *left = text;
    int lines = 0;
    for (char *line; (line = strsep(&left, "\n")) && *line; lines++) {
        assert_true(json_valid(line));
        if (lines)
            assert_non_null(
                strstr(line, "\"sweep\":{\"suite\":\"rows.suite\",\"suite_sha256\":\""));
    }
    free(text);
    assert_true(lines >= 1 + 5);
    clear_results();
    file_write(suite, "[a]\nsize = 16x16\n[b]\nmodel = tiny\nframes = 0\n", false);
    s = RUN("--suite", suite);
    expect(&s, 2, "line 5");
    file_write(suite, "[a]\nsize = 16x16\n[b]\nsize = 8x8\n", false);
    s = RUN("--suite", suite);
    expect(&s, 2, "rows.suite, line 3, section [b]");
    file_write(suite, "[kernels k]\nshape = linear\nspeed = 3\n", false);
    s = RUN("--suite", suite);
    expect(&s, 2, "--speed");
    assert_string_equal(newest(".jsonl"), "");
}

/* A kernel that dies, hangs or is wrong costs its row; the next case runs. */
static void what_fails_is_a_row(void **state)
{
    static const char *const rows[] = {"crashed", "timeout", "wrong", "auto"};
    (void)state;
    struct spawned s =
        RUN("--size=16x16", "--frames=1", "--steps=1", "--threads=1", "--budget=0.01",
            "--repetitions=1", "--timeout=2", "--plugin=" BUILD_DIR "/tests/broken/crash.so",
            "--plugin=" BUILD_DIR "/tests/broken/hang.so",
            "--plugin=" BUILD_DIR "/tests/broken/wrong_scale.so",
            "--kernels=rms_norm=broken_90_crash/rms_norm=broken_90_hang/"
            "rms_norm=broken_90_wrong_scale/auto");
    expect(&s, 1, "records in");
    const char *from = s.out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(from = strstr(from, rows[i])))
            fail_msg("no row '%s':\n%s", rows[i], s.out);
    assert_non_null(strstr(from, " s +-"));
    assert_string_equal(newest(".journal"), "");
    clear_results();
}

static void suites_that_ship_can_be_run(void **state)
{
    const struct case_spec base = CASE_DEFAULTS;
    const struct axes none = {{0}};
    const struct run_limits limits = {.budget_s = NAN, .deadline_s = 600, .least_samples = 3};
    (void)state;
    struct spawned s = patchmark((const char *const[]){"list", "suites", NULL});
    assert_int_equal(s.code, 0);
    for (const struct suite *suite = suites; suite->name; suite++) {
        struct case_list list = {0};
        struct fault fault = {{0}};
        char summary[160];
        suite_summary(suite, summary, sizeof summary);
        assert_non_null(strstr(s.out, suite->name));
        assert_non_null(strstr(s.out, summary));
        if (cases_from_suite(suite->name, &base, &none, &list, &fault) != ST_OK ||
            run_check_cases(&list, &limits, &fault) != ST_OK)
            fail_msg("%s", fault.text);
        const int twice = cases_unique(&list); /* on one core "1, all" names a case twice */
        assert_true(twice == 0 || host_cores() == 1);
        cases_free(&list);
    }
    s = patchmark(
        (const char *const[]){"run", "--suite=quick", "--dry-run", "--results=none", NULL});
    expect(&s, 0, "16 cases, at least ");
    s = patchmark((const char *const[]){"list", "suites", "quick", NULL});
    assert_string_equal(s.out, suite_find("quick")->text);
    s = patchmark((const char *const[]){"list", "suites", "quik", NULL});
    expect(&s, 2, "did you mean quick");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_mean_what_they_say),
        cmocka_unit_test(bad_ranges_are_refused_in_a_sentence),
        cmocka_unit_test(braces_make_one_line_each),
        cmocka_unit_test(sections_are_products),
        cmocka_unit_test(the_command_line_replaces_lists),
        cmocka_unit_test(a_bad_suite_says_where_and_what),
        cmocka_unit_test(a_journal_gives_back_what_it_was_given),
        cmocka_unit_test(a_torn_line_counts_for_nothing),
        cmocka_unit_test(a_full_disk_leaves_the_journal_as_it_was),
        cmocka_unit_test(a_killed_sweep_is_gone_on_with),
        cmocka_unit_test(an_interrupted_sweep_says_how_to_go_on),
        cmocka_unit_test(another_sweep_is_refused),
        cmocka_unit_test(a_full_disk_loses_no_case),
        cmocka_unit_test(what_cannot_run_is_a_row),
        cmocka_unit_test(what_fails_is_a_row),
        cmocka_unit_test(suites_that_ship_can_be_run),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
