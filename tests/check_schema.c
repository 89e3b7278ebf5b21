// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_schema.c   Records of the real program against the tables of results/SCHEMA.md: every field
 * is documented with its type, and every documented field is written. */
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

#include "machine/host.h"
#include "presets/wan.h"
#include "support/drawn_folder.h"
#include "support/files.h"
#include "support/spawn.h"

#ifdef HAVE_JANSSON
#include <jansson.h>

#define PATH_BYTES 200

/* Kinds of records, as bits: whom a table speaks of. */
enum {
    RUN = 1,
    PIPELINE = 2,
    KERNEL = 4,
    CEILING = 8,
    CHECK = 16,
    PARITY = 32,
    CASES = PIPELINE | KERNEL | CEILING | CHECK | PARITY,
    COMPARE = 64,
    CALIBRATION = 128,
    SELFTEST = 256, /* takes too long to be made by a test */
    TUNE = 512,
    ALL = RUN | CASES | COMPARE | CALIBRATION | TUNE
};

/* Kinds of records that have a table of their own. */
static unsigned kind_called(const char *name)
{
    return !strcmp(name, "run")           ? RUN
           : !strcmp(name, "compare")     ? COMPARE
           : !strcmp(name, "calibration") ? CALIBRATION
           : !strcmp(name, "selftest")    ? SELFTEST
           : !strcmp(name, "tune")        ? TUNE
                                          : 0;
}

struct field {
    char path[PATH_BYTES], type[16];
    unsigned kinds, seen; /* seen: in which of its kinds */
    bool array, may_be_null, may_be_absent;
};
static struct field fields[800];
static int field_count;

/* ---- reading the tables ---------------------------------------------------------------------- */

static bool has(const char *text, const char *part) { return strstr(text, part) != NULL; }

/* Copies what stands in the next pair of backticks; returns what is behind it, or NULL. */
static const char *quoted(const char *text, char out[PATH_BYTES])
{
    const char *from = strchr(text, '`'), *to = from ? strchr(from + 1, '`') : NULL;
    if (!to || to - from > PATH_BYTES)
        return NULL;
    snprintf(out, PATH_BYTES, "%.*s", (int)(to - from - 1), from + 1);
    return to + 1;
}

/* Whom the tables under a heading speak of, and the path before their names. */
static unsigned read_heading(const char *line, char prefix[PATH_BYTES])
{
    char name[PATH_BYTES] = "";
    bool kind = has(line, "kind `");
    quoted(line, name);
    snprintf(prefix, PATH_BYTES, "%s", kind ? "" : name);
    if (kind)
        return !strcmp(name, "case") ? CASES : kind_called(name);
    if (!*name)
        return has(line, "Every record") ? ALL : 0;
    if (!strcmp(name, "host"))
        return RUN;
    unsigned kinds = (has(line, "pipeline") ? PIPELINE : 0) | (has(line, "kernel") ? KERNEL : 0) |
                     (has(line, "ceiling") ? CEILING : 0) | (has(line, "verify") ? CHECK : 0) |
                     (has(line, "parity") ? PARITY : 0);
    return kinds ? kinds : CASES;
}

static void add_field(const struct field *pattern, const char *prefix, const char *name)
{
    static char before[PATH_BYTES]; /* what ".name" continues */
    struct field *f = &fields[field_count++];
    assert_true(field_count <= (int)(sizeof fields / sizeof *fields));
    *f = *pattern;
    if (*name == '.')
        snprintf(f->path, sizeof f->path, "%.90s%.90s", before, name);
    else
        snprintf(f->path, sizeof f->path, "%.90s%s%.90s", prefix, *prefix ? "." : "", name);
    snprintf(before, sizeof before, "%s", f->path);
    if (strrchr(before, '.'))
        *strrchr(before, '.') = '\0';
}

/* | `name`, `.name` | type, optional | meaning | */
static void read_row(const char *line, unsigned kinds, const char *prefix)
{
    const char *type = strchr(line + 1, '|'), *end = type ? strchr(type + 1, '|') : NULL;
    struct field f = {.kinds = kinds};
    char text[64], name[PATH_BYTES];
    if (!end)
        return;
    snprintf(text, sizeof text, "%.*s", (int)(end - type - 1), type + 1);
    sscanf(text, " %15[a-z]", f.type);
    f.array = has(text, "[]");
    f.may_be_null = has(text, "?");
    f.may_be_absent = has(text, "optional") || has(text, "reserved");
    for (const char *at = line; (at = quoted(at, name)) && at <= type;)
        add_field(&f, prefix, name);
}

static int read_tables(void **state)
{
    (void)state;
    char prefix[PATH_BYTES] = "", *text = file_read("results/SCHEMA.md", NULL), *rest = text;
    unsigned kinds = 0;
    assert_non_null(text);
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line == '#')
            kinds = read_heading(line, prefix);
        else if (*line == '|' && kinds)
            read_row(line, kinds, prefix);
    free(text);
    return folder_make(state);
}

/* ---- records against them -------------------------------------------------------------------- */

static int complaints;
static bool shortened; /* members may be missing */
static bool quiet;     /* while the rules themselves are tested */

static void complain(const char *what, const char *path)
{
    if (!quiet)
        print_error("%s: %s\n", path, what);
    complaints++;
}

static struct field *find(const char *path, unsigned kind)
{
    for (int i = 0; i < field_count; i++)
        if (fields[i].kinds & kind && !strcmp(fields[i].path, path))
            return &fields[i];
    return NULL;
}

/* Fields below a path; those of a group that could not be had as a whole count as seen. */
static int below(const char *path, unsigned kind, bool seen)
{
    size_t n = strlen(path);
    int count = 0;
    for (int i = 0; i < field_count; i++)
        if (fields[i].kinds & kind && !strncmp(fields[i].path, path, n) &&
            (fields[i].path[n] == '.' || fields[i].path[n] == '[')) {
            count++;
            fields[i].seen |= seen ? kind : 0;
        }
    return count;
}

static bool is_type(const json_t *value, const char *type)
{
    if (!strcmp(type, "hex") && json_is_string(value)) {
        const char *text = json_string_value(value);
        return *text && !text[strspn(text, "0123456789abcdef")];
    }
    return !strcmp(type, "text")   ? json_is_string(value)
           : !strcmp(type, "int")  ? json_is_integer(value)
           : !strcmp(type, "real") ? json_is_number(value)
           : !strcmp(type, "bool") ? json_is_boolean(value)
                                   : !strcmp(type, "object") && json_is_object(value);
}

static bool is_field_type(const json_t *value, const struct field *f)
{
    for (size_t i = 0; f->array && i < json_array_size(value); i++)
        if (!is_type(json_array_get(value, i), f->type))
            return false;
    return f->array ? json_is_array(value) : is_type(value, f->type);
}

/* {"value": null, "why": "..."} */
static bool is_unavailable(const json_t *value)
{
    return json_object_size(value) == 2 && json_is_null(json_object_get(value, "value")) &&
           json_is_string(json_object_get(value, "why"));
}

static void check_object(const json_t *object, const char *path, unsigned kind);

static void check_value(const json_t *value, const char *path, unsigned kind)
{
    struct field *f = find(path, kind);
    bool absent = json_is_null(value) || is_unavailable(value);
    char item[PATH_BYTES];
    if (f)
        f->seen |= kind;
    if (!f && !below(path, kind, is_unavailable(value)))
        complain("is not in results/SCHEMA.md", path);
    else if (absent && (f ? !f->may_be_null : json_is_null(value)))
        complain("is null, and results/SCHEMA.md has no ? for it", path);
    else if (f && !absent && !is_field_type(value, f))
        complain("is not of the type in results/SCHEMA.md", path);
    if (absent || (!f && !below(path, kind, false)))
        return;
    snprintf(item, sizeof item, "%.190s[]", path);
    for (size_t i = 0; !f && i < json_array_size(value); i++)
        check_object(json_array_get(value, i), item, kind);
    if (json_is_object(value))
        check_object(value, path, kind);
}

/* All members of an object, and those that it should have. */
static void check_object(const json_t *object, const char *path, unsigned kind)
{
    const char *key;
    json_t *value;
    char name[PATH_BYTES];
    size_t n = strlen(path);
    json_object_foreach((json_t *)object, key, value)
    {
        snprintf(name, sizeof name, "%.90s%s*", path, n ? "." : "");
        if (!find(name, kind) && !below(name, kind, false))
            snprintf(name, sizeof name, "%.90s%s%.90s", path, n ? "." : "", key);
        check_value(value, name, kind);
    }
    for (int i = 0; i < field_count && !shortened; i++) {
        const struct field *f = &fields[i];
        const char *last = n ? f->path + n + 1 : f->path;
        if (!(f->kinds & kind) || f->may_be_absent || strncmp(f->path, path, n) ||
            (n && f->path[n] != '.') || strpbrk(last, ".*["))
            continue;
        if (!json_object_get(object, last))
            complain("is missing in a record", f->path);
    }
}

static unsigned kind_of(const json_t *record)
{
    const char *kind = json_string_value(json_object_get(record, "kind"));
    const char *case_kind = json_string_value(json_object_get(record, "case_kind"));
    assert_non_null(kind);
    if (kind_called(kind))
        return kind_called(kind);
    assert_string_equal(kind, "case");
    assert_non_null(case_kind);
    return !strcmp(case_kind, "pipeline")  ? PIPELINE
           : !strcmp(case_kind, "ceiling") ? CEILING
           : !strcmp(case_kind, "verify")  ? CHECK
           : !strcmp(case_kind, "parity")  ? PARITY
                                           : KERNEL;
}

/* Checks all records under folder/NAME; returns which statuses there were, by blanks. */
static const char *check_records(const char *name)
{
    static char statuses[2000];
    glob_t files;
    statuses[0] = '\0';
    assert_int_equal(glob(at("%s/%s/*/*.jsonl", folder, name), 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char *text = file_read(files.gl_pathv[i], NULL), *rest = text;
        for (char *line; (line = strsep(&rest, "\n")) && *line;) {
            json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
            assert_non_null(record);
            check_object(record, "", kind_of(record));
            const char *status = json_string_value(json_object_get(record, "status"));
            size_t used = strlen(statuses);
            snprintf(statuses + used, sizeof statuses - used, "%s ", status ? status : "");
            json_decref(record);
        }
        free(text);
    }
    globfree(&files);
    return statuses;
}

/* ---- the records of this test ---------------------------------------------------------------- */

static void record(const char *name, const char *first, ...)
{
    const char *argv[20] = {BUILD_DIR "/patchmark", first, "--threads=1"};
    int n = 3;
    va_list more;
    va_start(more, first);
    while (n < 18 && (argv[n] = va_arg(more, const char *)) != NULL)
        n++;
    va_end(more);
    argv[n] = at("--results=%s/%s", folder, name);
    struct spawned s = spawn_program((char *const *)argv, NULL);
    if (s.code > 1 && s.code != 3) /* 3: a device that is not here, which is recorded too */
        fail_msg("exit code %d\n%s\n%s", s.code, s.out, s.err);
}

#define FROM_PLUGIN(name) "--plugin=" BUILD_DIR "/tests/" name ".so"
#define CLIP "run", "--size=32x32", "--frames=1", "--steps=1", "--budget=0.1", "--repetitions=2"
#define COUNTERS "--counters=perf::TASK-CLOCK,NO_SUCH_COUNTER"

static void timed_clip(void **state)
{
    (void)state;
    record("clip", CLIP, COUNTERS, FROM_PLUGIN("broken/overstated_work"),
           "--kernels=rms_norm=broken_90_overstated_work", NULL);
    const char *statuses = check_records("clip");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
}

/* Once alone, once beside full clips. */
static void sampled_clips(void **state)
{
    (void)state;
    record("sampled", "run", "--sample", "--size=32x32", "--frames=5", "--steps=1", "--budget=1",
           "--threads=1", NULL);
    record("against", "run", "--sample", "--against-full=6", "--size=32x32", "--frames=5",
           "--steps=1", "--budget=1", "--threads=1", NULL);
    const char *statuses = check_records("sampled");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    statuses = check_records("against");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
}

static void verdicts_and_calibrations(void **state)
{
    (void)state;
    record("verdicts", "compare", "--interleave", "rms_norm/c_01_plain", "rms_norm/c_01_plain",
           "--shape=rms_norm:S=9,C=64", "--budget=0.5", NULL);
    record("verdicts", "compare", "--interleave", "rms_norm/c_01_plain", "rms_norm/c_01_plain",
           "--shape=rms_norm:S=9,C=64", "--budget=0.5", "--blocked", NULL);
    record("verdicts", "calibrate", "rms_norm", "--budget=1", NULL);
    check_records("verdicts");
    assert_int_equal(complaints, 0);
}

/* Clips, kernels, and kernels for which there is no device. */
static void cases_of_a_suite(void **state)
{
    char path[4096];
    (void)state;
    snprintf(path, sizeof path, "%s/schema.suite", folder);
    file_write(path,
               "[clips]\nsize = 16x16\nframes = 1\nsteps = 1\nmodel = tiny, open-sora-1.2\n"
               "[kernels a]\nshape = linear:S=32,K=32,O=32\nvariants = c_*\nbudget = 0.3\n"
               "[kernels b]\nshape = linear:S=32,K=32,O=32\ndevice = cuda:999\n",
               false);
    record("suite", "run", "--suite", path, "--budget=0.1", "--repetitions=1", NULL);
    const char *statuses = check_records("suite");
    assert_true(has(statuses, "not_built "));
    assert_int_equal(complaints, 0);
}

static void timed_latents(void **state)
{
    (void)state;
    record("latents", "run", "--model=tiny-dit", "--class=3", "--size=32x32", "--steps=2",
           "--budget=0.1", "--repetitions=2", NULL);
    const char *statuses = check_records("latents");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
}

/* Two experts, and weights from a folder. */
static void clip_of_a_folder(void **state)
{
    struct model_config two = preset_tiny;
    char option[1024];
    (void)state;
    two.boundary = 0.9;
    model_draw(at("%s/experts", folder), &two, ELEM_F32, 2);
    snprintf(option, sizeof option, "--model=%s/experts", folder);
    record("folder", CLIP, option, "--guidance=4,3", NULL);
    const char *statuses = check_records("folder");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
    glob_t files;
    assert_int_equal(glob(at("%s/folder/*/*.jsonl", folder), 0, NULL, &files), 0);
    char *text = file_read(files.gl_pathv[0], NULL);
    globfree(&files);
    assert_true(has(text, "--model=experts") && has(text, "--model experts"));
    assert_false(has(text, at("%s/experts", folder)));
    free(text);
}

static void sustained_clips(void **state)
{
    (void)state;
    record("sustained", CLIP, "--sustain=0.5", NULL);
    const char *statuses = check_records("sustained");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
}

static void clips_of_engines(void **state)
{
    (void)state;
    record("engines", CLIP, "--engine=sh tests/support/fake_engine.sh good;no-such-engine", NULL);
    const char *statuses = check_records("engines");
    assert_true(has(statuses, "unavailable "));
    assert_int_equal(complaints, 0);
}

static void scenarios(void **state)
{
    (void)state;
    record("scenarios", CLIP, "--scenario=single-stream,offline,repeat-audit", NULL);
    check_records("scenarios");
    assert_int_equal(complaints, 0);
}

/* One replica alone, and as many as there are processors. */
static void replicas(void **state)
{
    (void)state;
    record("replicas", CLIP, host_cores() > 1 ? "--replicas=1,2" : "--replicas=1", "--batch=2",
           NULL);
    const char *statuses = check_records("replicas");
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
}

static void failed_clips(void **state)
{
    (void)state;
    record("crash", CLIP, FROM_PLUGIN("broken/crash"), "--kernels=rms_norm=broken_90_crash", NULL);
    record("wrong", CLIP, FROM_PLUGIN("broken/wrong_scale"),
           "--kernels=rms_norm=broken_90_wrong_scale", NULL);
    assert_string_equal(check_records("crash"), " crashed ");
    assert_string_equal(check_records("wrong"), " wrong ");
    assert_int_equal(complaints, 0);
}

static void timed_and_refused_kernels(void **state)
{
    (void)state;
    record("kernels", "kernels", "linear", "--shape=linear:S=16,K=32,O=16,epilogue=gelu",
           "--budget=1", "--repetitions=6", "--energy=0.01", COUNTERS,
           FROM_PLUGIN("plugin/linear_rows"), NULL);
    const char *statuses = check_records("kernels");
    assert_true(has(statuses, "refused "));
    assert_true(has(statuses, "passed ") || has(statuses, "unstable "));
    assert_int_equal(complaints, 0);
}

static void failed_kernels(void **state)
{
    (void)state;
    record("kernel", "kernels", "rms_norm", "--shape=rms_norm:S=9,C=64", "--budget=0.5",
           "--repetitions=2", FROM_PLUGIN("broken/crash"), FROM_PLUGIN("broken/wrong_scale"), NULL);
    const char *statuses = check_records("kernel");
    assert_true(has(statuses, "crashed ") && has(statuses, "wrong "));
    assert_int_equal(complaints, 0);
}

static void tuned_buckets(void **state)
{
    (void)state;
    record("tune", "tune", "--shapes=upsample:T=1,H=64,W=64,C=1", "--budget=2s",
           FROM_PLUGIN("plugin/upsample_knobs"), NULL);
    check_records("tune");
    assert_int_equal(complaints, 0);
}

/* Every unit and walk that is here, and types that are not. */
static void ceilings(void **state)
{
    (void)state;
    record("ceilings", "roofline", "--rounds=1", NULL);
    const char *statuses = check_records("ceilings");
    assert_true(has(statuses, "passed passed "));
    assert_false(has(statuses, "wrong ") || has(statuses, "crashed "));
    assert_int_equal(complaints, 0);
}

/* Measured where there is a GPU, else not_built or unavailable, and a record either way. */
static void ceilings_of_a_gpu(void **state)
{
    (void)state;
    record("gpu", "roofline", "--device=cuda:0", NULL);
    const char *statuses = check_records("gpu");
    assert_true(has(statuses, "passed ") || has(statuses, "not_built ") ||
                has(statuses, "unavailable "));
    assert_int_equal(complaints, 0);
}

/* A passed and a refused one, failed ones, and those of a GPU that is not here or not built. */
static void checks(void **state)
{
    (void)state;
    record("checks", "verify", "rms_norm", "--level=op", "--shape=rms_norm:S=3,C=8",
           FROM_PLUGIN("broken/crash"), FROM_PLUGIN("broken/wrong_scale"), NULL);
    record("refusal", "verify", "linear/rows_90_*", "--level=op",
           "--shape=linear:S=3,K=8,O=8,epilogue=gelu", FROM_PLUGIN("plugin/linear_rows"), NULL);
    const char *statuses = check_records("checks");
    assert_true(has(statuses, "passed ") && has(statuses, "crashed ") && has(statuses, "wrong "));
    assert_string_equal(check_records("refusal"), " refused ");
    assert_int_equal(complaints, 0);
}

/* A variant in a plan, beside its own row: one that passes, one that fails, one that says no. */
static void plans(void **state)
{
    (void)state;
    record("plans", "verify", "rms_norm/c_01_*", "--level=all", "--device=cpu",
           "--shape=rms_norm:S=3,C=8", NULL);
    record("wrong_plan", "verify", "rms_norm/broken_90_*", "--level=pipeline",
           FROM_PLUGIN("broken/wrong_scale"), NULL);
    record("refused_plan", "verify", "linear/rows_90_*", "--level=pipeline",
           FROM_PLUGIN("plugin/linear_rows"), NULL);
    assert_string_equal(check_records("plans"), " passed passed ");
    assert_string_equal(check_records("wrong_plan"), " wrong ");
    assert_string_equal(check_records("refused_plan"), " refused ");
    assert_int_equal(complaints, 0);
}

static void host_file(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob(at("%s/clip/*/host.json", folder), 0, NULL, &files), 0);
    json_t *host = json_load_file(files.gl_pathv[0], 0, NULL);
    globfree(&files);
    assert_non_null(host);
    json_object_del(host, "schema");
    json_object_del(host, "kind");
    check_object(host, "host", RUN);
    json_decref(host);
    assert_int_equal(complaints, 0);
}

/* After all the others: what they wrote together is every field there is. */
static void every_field_is_written(void **state)
{
    (void)state;
    assert_true(field_count > 150);
    for (int i = 0; i < field_count; i++)
        if (!fields[i].may_be_absent && fields[i].seen != fields[i].kinds)
            complain("is in results/SCHEMA.md and in no record", fields[i].path);
    assert_int_equal(complaints, 0);
}

/* Lines of the section "Samples": shortened, so that only what they have is looked at. */
static void samples_keep_to_the_tables(void **state)
{
    (void)state;
    char *text = file_read("results/SCHEMA.md", NULL), *rest = strstr(text, "```json\n");
    int samples = 0;
    assert_non_null(rest);
    shortened = true;
    for (char *line; (line = strsep(&rest, "\n"));) {
        json_t *record = *line == '{' ? json_loads(line, JSON_REJECT_DUPLICATES, NULL) : NULL;
        assert_true(record || *line != '{');
        if (record)
            check_object(record, "", kind_of(record));
        samples += record != NULL;
        json_decref(record);
    }
    shortened = false;
    free(text);
    assert_true(samples > 0);
    assert_int_equal(complaints, 0);
}

static int forget_complaints(void **state)
{
    (void)state;
    complaints = 0;
    return 0;
}

static int complaints_about(const char *text)
{
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    int before = complaints;
    shortened = quiet = true;
    check_object(record, "", KERNEL);
    shortened = quiet = false;
    json_decref(record);
    int found = complaints - before;
    complaints = before;
    return found;
}

static void other_fields_are_noticed(void **state)
{
    (void)state;
    assert_int_equal(complaints_about("{\"status\":\"passed\",\"timing\":{\"n\":6}}"), 0);
    assert_int_equal(complaints_about("{\"timing\":{\"n\":6,\"invented\":1}}"), 1);
    assert_int_equal(complaints_about("{\"invented\":{\"n\":6}}"), 1);
    assert_int_equal(complaints_about("{\"timing\":{\"n\":6.5}}"), 1);
    assert_int_equal(complaints_about("{\"timing\":{\"n\":null}}"), 1);
    assert_int_equal(complaints_about("{\"timing\":{\"order\":[0,\"1\"]}}"), 1);
    assert_int_equal(complaints_about("{\"counters\":{\"X\":{\"value\":null,\"why\":\"no\"}}}"), 0);
    assert_int_equal(complaints_about("{\"counters\":{\"X\":{\"value\":1,\"because\":1}}}"), 1);
    assert_int_equal(complaints_about("{\"stages\":{\"text_ns\":1}}"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, forget_complaints)
    const struct CMUnitTest tests[] = {
        TEST(other_fields_are_noticed),
        TEST(samples_keep_to_the_tables),
        TEST(timed_clip),
        TEST(sampled_clips),
        TEST(cases_of_a_suite),
        TEST(timed_latents),
        TEST(clip_of_a_folder),
        TEST(sustained_clips),
        TEST(clips_of_engines),
        TEST(scenarios),
        TEST(replicas),
        TEST(failed_clips),
        TEST(timed_and_refused_kernels),
        TEST(failed_kernels),
        TEST(tuned_buckets),
        TEST(ceilings),
        TEST(ceilings_of_a_gpu),
        TEST(checks),
        TEST(plans),
        TEST(host_file),
        TEST(verdicts_and_calibrations),
        TEST(every_field_is_written),
    };
    return cmocka_run_group_tests(tests, read_tables, folder_drop);
}

#else

static void needs_jansson(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(needs_jansson)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
