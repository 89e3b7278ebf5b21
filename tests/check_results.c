// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_results.c   Reading result files: old majors, what is refused and in which words, torn files,
 * folders, values by path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "records/results_read.h"
#include "support/files.h"
#include "support/spawn.h"

static struct fault fault;

static enum status count_cases(const struct result *r, void *user, struct fault *f)
{
    (void)f;
    *(int *)user += !strcmp(r->kind, "case");
    return ST_OK;
}

/* Cases read, or -1 with the sentence in `fault`. */
static int cases_of(const char *path, const struct results_wanted *wanted,
                    struct results_tally *tally)
{
    int cases = 0;
    fault = (struct fault){{0}};
    enum status status = results_read(&path, 1, wanted, count_cases, &cases, tally, &fault);
    assert_true((status == ST_OK) == !fault.text[0]);
    return status == ST_OK ? cases : -1;
}

#ifdef HAVE_JANSSON

#define HEAD(version) "{\"schema\":{\"name\":\"patchmark\",\"version\":\"" version "\"},"
#define RUN HEAD("2.0") "\"kind\":\"run\",\"machine\":\"cpu-a\"}\n"
#define CASE HEAD("2.0") "\"kind\":\"case\",\"status\":\"passed\"}\n"

static const char *put(const char *text)
{
    const char *path = at("%s/a.jsonl", folder);
    file_put(path, text, strlen(text));
    return path;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is missing in: %s", part, text);
}

/* A third line, after a run and a case. */
static void refuses(const char *line, const char *sentence)
{
    const char *path = put(at("%s%s%s\n", RUN, CASE, line));
    assert_int_equal(cases_of(path, NULL, NULL), -1);
    assert_has(fault.text, at("%s:3: ", path));
    assert_has(fault.text, sentence);
    assert_null(strchr(fault.text, '\n'));
}

static void records_of_old_majors_are_read(void **state)
{
    (void)state;
    struct results_tally tally = {0};
    int cases = cases_of("results", NULL, &tally);
    if (cases < 0)
        fail_msg("%s", fault.text);
    assert_true(cases >= 100 && tally.files >= 7);
    assert_true(tally.records >= cases + tally.files); /* a run each, and other kinds */
    assert_int_equal(cases_of(put(HEAD("1.0") "\"kind\":\"run\"}\n" CASE), NULL, NULL), 1);
    assert_int_equal(cases_of(put(HEAD("2.73") "\"kind\":\"run\"}\n" CASE), NULL, NULL), 1);
}

static void unknown_versions_are_refused_by_name(void **state)
{
    (void)state;
    refuses(HEAD("3.0") "\"kind\":\"case\"}", "does not know: 3.0");
    refuses(HEAD("12.0") "\"kind\":\"case\"}", "does not know: 12.0");
    refuses(HEAD("2") "\"kind\":\"case\"}", "does not know: 2");
    refuses(HEAD("2.x") "\"kind\":\"case\"}", "does not know: 2.x");
    refuses(HEAD("9.\\u001b[31m") "\"kind\":\"case\"}", "does not know: 9.?[31m");
    refuses("{\"kind\":\"case\"}", "not a patchmark record");
    refuses("{\"schema\":{\"name\":\"other\",\"version\":\"1.0\"}}", "not a patchmark record");
    refuses(HEAD("2.0") "\"kind\":7}", "without a kind");
}

static void kinds_and_members_of_later_minors_are_no_trouble(void **state)
{
    (void)state;
    struct results_tally tally = {0};
    put(RUN CASE HEAD("2.9") "\"kind\":\"later\",\"new\":[{\"a\":[]}],\"timing\":\"odd\"}\n" CASE);
    assert_int_equal(cases_of(at("%s/a.jsonl", folder), NULL, &tally), 2);
    assert_int_equal(tally.records, 4);
}

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    refuses("[]", "not a JSON object");
    refuses("", "not a JSON object");
    refuses("{\"a\":1,\"a\":2}", "duplicate");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":NaN}", "not a JSON object");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":-Infinity}", "not a JSON object");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":1e999}", "real number overflow");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":99999999999999999999}", "too big integer");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":\"\xC3\x28\"}", "decode byte 0xc3");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":\"\\ud800\"}", "Unicode");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":\"\\u0000\"}", "\\u0000");
    refuses("\xEF\xBB\xBF" CASE, "not a JSON object");
    refuses("{\"a\":\"\x1b[31m\"}", "control character 0x1b");
    refuses("\x9b", "not a JSON object");
    char deep[5000];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    char *text;
    assert_true(asprintf(&text, "%s{\"x\":%s\n", RUN, deep) > 0);
    file_put(at("%s/a.jsonl", folder), text, strlen(text));
    free(text);
    assert_int_equal(cases_of(at("%s/a.jsonl", folder), NULL, NULL), -1);
    assert_has(fault.text, "a.jsonl:2: not a JSON object: maximum parsing depth");
    refuses(HEAD("2.0") "\"kind\":\"case\",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]"
                        "]]]]]]]"
                        "]]]]]]]]]]}",
            "nested more than 32 deep");
    file_put(at("%s/a.jsonl", folder), RUN "{\0}\n", sizeof RUN + 3);
    assert_int_equal(cases_of(at("%s/a.jsonl", folder), NULL, NULL), -1);
    assert_has(fault.text, "a.jsonl:2: not a JSON object");
}

static void members_of_a_wrong_type_are_refused(void **state)
{
    (void)state;
#define WITH(members) HEAD("2.0") "\"kind\":\"case\"," members "}"
    refuses(WITH("\"status\":1"), "status should be text, and is number");
    refuses(WITH("\"recipe\":[]"), "recipe should be object, and is list");
    refuses(WITH("\"timing\":\"fast\""), "timing should be object, and is text");
    refuses(WITH("\"timing\":{\"median\":\"12\"}"), "timing.median should be number, and is text");
    refuses(WITH("\"timing\":{\"samples\":[1,null]}"), "timing.samples should be list of numbers");
    refuses(HEAD("2.0") "\"kind\":\"later\",\"run_id\":5}", "run_id should be text");
    refuses(WITH("\"claim\":true"), "claim should be text, and is true or false");
    assert_int_equal(cases_of(put(RUN WITH("\"timing\":null,\"memory\":{\"value\":null,"
                                           "\"why\":\"no\"},\"recipe\":null") "\n"),
                              NULL, NULL),
                     1);
}

static void a_case_needs_its_run(void **state)
{
    (void)state;
    const char *path = put(CASE);
    assert_int_equal(cases_of(path, NULL, NULL), -1);
    assert_has(fault.text, "a.jsonl:1: a case before its run record");
    path = put("");
    assert_int_equal(cases_of(path, NULL, NULL), -1);
    assert_has(fault.text, "a.jsonl:1: the file is empty");
}

/* Cut after any byte: whole records are read where the cut lies between two, else it is refused. */
static void files_cut_short_are_refused(void **state)
{
    static const char whole[] = RUN CASE CASE;
    static const struct results_wanted torn = {.torn = true};
    const size_t run = strlen(RUN), one = strlen(CASE);
    char path[600], part[600];
    (void)state;
    snprintf(path, sizeof path, "%s/cut.jsonl", folder);
    snprintf(part, sizeof part, "%s/cut.jsonl.part", folder);
    for (size_t n = 0; n < sizeof whole; n++) {
        struct results_tally tally = {0};
        bool between = n + 1 == run || n == run || n + 1 == run + one || n == run + one ||
                       n + 1 >= run + 2 * one;
        int lines = (n + 1 >= run) + (n + 1 >= run + one) + (n + 1 >= run + 2 * one);
        file_put(path, whole, n);
        file_put(part, whole, n);
        assert_int_equal(cases_of(path, NULL, NULL), between ? lines - 1 : -1);
        if (!between && n)
            assert_has(fault.text, at("%s:%d: the file breaks off", path, lines + 1));
        assert_int_equal(cases_of(path, &torn, NULL), between ? lines - 1 : -1);
        if (n)
            assert_int_equal(cases_of(part, NULL, NULL), between ? lines - 1 : -1);
        assert_int_equal(cases_of(part, &torn, &tally), lines ? lines - 1 : 0);
        assert_int_equal(tally.torn, n && !between);
    }
    unlink(path);
    unlink(part);
}

/* Any byte of a record may be another one: it is read or refused in one sentence, never worse. */
static void damaged_files_are_read_or_refused(void **state)
{
    size_t bytes;
    char *text =
        file_read("tests/golden/results/cpu-a-0a1b2c/20260131T100000Z-0123456789.jsonl", &bytes);
    char path[600];
    uint32_t random = 1;
    int read = 0, refused = 0;
    (void)state;
    assert_non_null(text);
    snprintf(path, sizeof path, "%s/damaged.jsonl", folder);
    for (int i = 0; i < 800; i++) {
        random = random * 1664525u + 1013904223u;
        size_t place = (random >> 8) % bytes;
        char kept = text[place];
        random = random * 1664525u + 1013904223u;
        text[place] = i % 2 ? (char)(random >> 24) : "{}[],:\"\\\n0e-"[(random >> 24) % 12];
        file_put(path, text, bytes);
        text[place] = kept;
        int cases = cases_of(path, NULL, NULL);
        read += cases >= 0;
        refused += cases < 0;
        if (cases < 0)
            assert_has(fault.text, at("%s:", path));
        assert_null(strpbrk(fault.text, "\n\x1b"));
    }
    assert_true(read > 100 && refused > 100);
    free(text);
    unlink(path);
}

static void copies_count_once_and_may_not_differ(void **state)
{
#define RUN_OF(id) HEAD("2.0") "\"kind\":\"run\",\"run_id\":\"" id "\"}\n"
#define CASE_OF(id, n, more)                                                                       \
    HEAD("2.0") "\"kind\":\"case\",\"run_id\":\"" id "\",\"case\":" #n more "}\n"
    static const char first[] = RUN_OF("a") CASE_OF("a", 1, "") CASE_OF("a", 2, "");
    static const char more[] = RUN_OF("a") CASE_OF("a", 2, "") CASE_OF("a", 3, "");
    static const char edited[] = RUN_OF("a") CASE_OF("a", 1, ",\"status\":\"passed\"");
    struct results_tally tally = {0};
    (void)state;
    mkdir(at("%s/copies", folder), 0777);
    file_put(at("%s/copies/1.jsonl", folder), first, sizeof first - 1);
    file_put(at("%s/copies/2.jsonl", folder), more,
             sizeof more - 2); /* without the last line's end */
    assert_int_equal(cases_of(at("%s/copies", folder), NULL, &tally), 3);
    assert_int_equal(tally.copies, 2);
    static const char unnumbered[] =
        HEAD("2.0") "\"kind\":\"run\"}\n" HEAD("2.0") "\"kind\":\"case\",\"run_id\":\"b\"}\n" HEAD(
            "2.0") "\"kind\":\"case\",\"run_id\":\"b\",\"status\":\"passed\"}\n";
    file_put(at("%s/copies/0.jsonl", folder), unnumbered, sizeof unnumbered - 1);
    assert_int_equal(cases_of(at("%s/copies", folder), NULL, NULL), 5);
    file_put(at("%s/copies/3.jsonl", folder), edited, sizeof edited - 1);
    assert_int_equal(cases_of(at("%s/copies", folder), NULL, &tally), -1);
    assert_has(fault.text, "3.jsonl:2: not the same as ");
    assert_has(fault.text, "1.jsonl:2, which is of the same run and case");
}

static void folders_give_their_files_once(void **state)
{
    struct results_tally tally = {0};
    char inner[600];
    (void)state;
    snprintf(inner, sizeof inner, "%s/tree/machine", folder);
    mkdir(at("%s/tree", folder), 0777);
    mkdir(inner, 0777);
    file_put(at("%s/1.jsonl", inner), RUN CASE, strlen(RUN CASE));
    file_put(at("%s/2.jsonl", inner), RUN CASE CASE, strlen(RUN CASE CASE));
    file_put(at("%s/3.jsonl.part", inner), RUN "{", strlen(RUN) + 1);
    file_put(at("%s/host.json", inner), "{", 1);
    file_put(at("%s/tuned.tsv", inner), "x", 1);
    assert_int_equal(symlink("1.jsonl", at("%s/link.jsonl", inner)), 0);
    assert_int_equal(symlink("..", at("%s/up", inner)), 0);
    assert_int_equal(cases_of(at("%s/tree", folder), NULL, &tally), 3);
    assert_int_equal(tally.files, 2);
    assert_true(tally.again >= 1 && tally.unfinished >= 1);
    assert_int_equal(cases_of(at("%s/none", folder), NULL, NULL), -1);
    assert_has(fault.text, "/none cannot be read: No such file");
    assert_int_equal(cases_of("/dev/null", NULL, NULL), -1);
    assert_has(fault.text, "/dev/null is neither file nor folder");
}

static enum status look(const struct result *r, void *user, struct fault *f)
{
    int64_t n = 0;
    (void)f;
    if (strcmp(r->kind, "case"))
        return ST_OK;
    *(struct result **)user = result_keep(r);
    assert_string_equal(result_text(r, "run.machine"), "cpu-a");
    assert_true(result_int(r, "recipe.threads", &n) && n == 2);
    assert_false(result_int(r, "timing.median", &n));
    assert_false(result_int(r, "recipe.absent", &n));
    assert_true(result_number(r, "timing.median") == 16540708.000000002);
    assert_true(isnan(result_number(r, "status")));
    assert_true(isnan(result_number(r, "memory.planned_bytes")));
    assert_string_equal(result_why(r, "memory.planned_bytes"), "no plan");
    assert_string_equal(result_why(r, "status"), "");
    assert_string_equal(result_text(r, "recipe"), "");
    assert_true(result_number(r, "counters.a.b.value") == 5);
    assert_true(result_bool(r, "yes", false) && result_bool(r, "no", true));
    assert_int_equal(result_items(r, "timing.samples"), 3);
    assert_true(result_item(r, "timing.samples", 1) == 0.1);
    assert_true(isnan(result_item(r, "timing.samples", 3)));
    assert_true(result_timed(r));
    return ST_OK;
}

static void values_are_found_by_path(void **state)
{
    static const char *const words[][2] = {
        {"timing.median", "16540708.000000002"},
        {"recipe.threads", "2"},
        {"timing.samples", "[1,0.1,9007199254740993]"},
        {"status", "passed"},
        {"memory.planned_bytes", ""},
        {"absent", ""},
        {"yes", "true"},
        {"tiny", "1e-300"},
        {"run.machine", "cpu-a"},
    };
    struct result *kept = NULL;
    (void)state;
    const char *path =
        put(RUN HEAD("1.1") "\"kind\":\"case\",\"status\":\"passed\",\"tiny\":1e-300,\"yes\":true,"
                            "\"recipe\":{\"threads\":2},\"memory\":{\"planned_bytes\":{\"value\":"
                            "null,\"why\":\"no plan\"}},\"counters\":{\"a.b\":{\"value\":5}},"
                            "\"timing\":{\"median\":16540708.000000002,\"samples\":[1,0.1,"
                            "9007199254740993]}}\n");
    fault = (struct fault){{0}};
    assert_int_equal(results_read(&path, 1, NULL, look, &kept, NULL, &fault), ST_OK);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char *word = result_word(kept, words[i][0]);
        assert_string_equal(word, words[i][1]);
        free(word);
    }
    assert_int_equal(result_refuse(kept, &fault, "no %s", "\x1b"), ST_BAD_INPUT);
    assert_has(fault.text, "a.jsonl:2: no ?;");
    result_drop(kept);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_of_old_majors_are_read),
        TEST(unknown_versions_are_refused_by_name),
        TEST(kinds_and_members_of_later_minors_are_no_trouble),
        TEST(malformed_lines_are_refused),
        TEST(members_of_a_wrong_type_are_refused),
        TEST(a_case_needs_its_run),
        TEST(files_cut_short_are_refused),
        TEST(damaged_files_are_read_or_refused),
        TEST(copies_count_once_and_may_not_differ),
        TEST(folders_give_their_files_once),
        TEST(values_are_found_by_path),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}

#else

static void refused_without_jansson(void **state)
{
    (void)state;
    assert_int_equal(cases_of("results", NULL, NULL), -1);
    assert_non_null(strstr(fault.text, "jansson"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_without_jansson)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
