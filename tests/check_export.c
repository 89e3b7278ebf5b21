// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_export.c   patchmark export on the small records of tests/golden/results: every format, read
 * by the tools it is for where they are installed; hostile text, broken records, lost outputs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

#define PROGRAM BUILD_DIR "/patchmark"
#define GOLDEN "tests/golden/results"
#define FIRST GOLDEN "/cpu-a-0a1b2c/20260131T100000Z-0123456789.jsonl"

/* Words up to a NULL, after "patchmark export". */
static struct spawned export(const char *first, ...)
{
    const char *argv[20] = {PROGRAM, "export", first};
    int n = 3;
    va_list more;
    va_start(more, first);
    while (n < 19 && (argv[n] = va_arg(more, const char *)) != NULL)
        n++;
    va_end(more);
    return spawn_program((char *const *)argv, NULL);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is missing in:\n%s", part, text);
}

static void assert_fails(const struct spawned *s, int code, const char *sentence)
{
    if (s->code != code)
        fail_msg("exit code %d\n%s%s", s->code, s->out, s->err);
    assert_has(s->err, sentence);
    assert_string_equal(s->out, "");
}

#ifdef HAVE_JANSSON

/* ---- csv ------------------------------------------------------------------------------------- */

struct csv {
    char *cell[40][120];
    int columns[40], rows;
};

/* RFC 4180, strictly: lines end in CR LF, quotes only around whole cells, doubled within them. */
static void parse_csv(char *text, struct csv *csv)
{
    char *at = text;
    *csv = (struct csv){.rows = 0};
    while (*at) {
        int columns = 0;
        for (;;) {
            assert_true(csv->rows < 40 && columns < 120);
            char *cell = at, *to = at;
            bool quoted = *at == '"';
            if (quoted) {
                cell = to = ++at;
                for (; *at != '"' || at[1] == '"'; at++) {
                    assert_int_not_equal(*at, '\0');
                    at += *at == '"';
                    *to++ = *at;
                }
                at++;
            } else {
                to = at += strcspn(at, ",\r\n\"");
            }
            char end = *at;
            csv->cell[csv->rows][columns++] = cell;
            if (end == '\r') {
                assert_int_equal(at[1], '\n');
                *to = '\0';
                at += 2;
                break;
            }
            assert_int_equal(end, ',');
            *to = '\0';
            at++;
        }
        csv->columns[csv->rows++] = columns;
        assert_int_equal(columns, csv->columns[0]);
    }
}

static const char *cell(const struct csv *csv, int row, const char *column)
{
    for (int c = 0; c < csv->columns[0]; c++)
        if (!strcmp(csv->cell[0][c], column))
            return csv->cell[row][c];
    fail_msg("no column '%s'", column);
    return NULL;
}

static void csv_has_a_row_for_each_case(void **state)
{
    static struct csv csv;
    (void)state;
    struct spawned s = export(GOLDEN, "--format", "csv", NULL);
    assert_int_equal(s.code, 0);
    parse_csv(s.out, &csv);
    assert_int_equal(csv.rows, 1 + 9);
    assert_string_equal(cell(&csv, 2, "median_ns"), "500.00000000000006");
    assert_string_equal(cell(&csv, 2, "flops_per_s"), "1048575999999.9999");
    assert_string_equal(cell(&csv, 2, "knobs"), "{\"rows\":96,\"cols\":256}");
    assert_string_equal(cell(&csv, 2, "machine"), "cpu-a-0a1b2c");
    assert_string_equal(cell(&csv, 2, "patchmark_commit"), "0123456789");
    assert_string_equal(cell(&csv, 3, "status"), "refused");
    assert_string_equal(cell(&csv, 3, "median_ns"), "");
    assert_string_equal(cell(&csv, 3, "status_reason"),
                        "'=cmd|'/C calc'!A0, \"quoted\", two\nlines; a | b <b>bold</b>");
    assert_string_equal(cell(&csv, 5, "class"), "approximate");
    assert_string_equal(cell(&csv, 6, "claim"), "external");
    assert_string_equal(cell(&csv, 8, "seed"), "9007199254740993");
    assert_string_equal(cell(&csv, 8, "class"), "exact");
}

static void formulas_are_defused_and_numbers_are_not(void **state)
{
    static const char *const hostile[][2] = {
        {"=1+1", "'=1+1"},
        {"+1", "'+1"},
        {"-1", "'-1"},
        {"@SUM(A1)", "'@SUM(A1)"},
        {"\\t=1", "'\t=1"},
        {"\\r=1", "'\r=1"},
        {"  =1", "'  =1"},
        {"\xEF\xBC\x9D"
         "1",
         "'\xEF\xBC\x9D"
         "1"},
        {"a=1", "a=1"},
        {" a ", " a "},
        {"\\\"", "\""},
        {"a;b", "a;b"},
    };
    static struct csv csv;
    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        const char *path = at("%s/h.jsonl", folder);
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fprintf(out,
                "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"run\"}\n"
                "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"case\","
                "\"status\":\"passed\",\"status_reason\":\"%s\",\"timing\":{\"median\":-5,"
                "\"lo\":1e-300}}\n",
                hostile[i][0]);
        fclose(out);
        struct spawned s = export(path, "--format=csv", NULL);
        assert_int_equal(s.code, 0);
        parse_csv(s.out, &csv);
        assert_string_equal(cell(&csv, 1, "status_reason"), hostile[i][1]);
        assert_string_equal(cell(&csv, 1, "median_ns"), "-5");
        assert_string_equal(cell(&csv, 1, "lo_ns"), "1e-300");
    }
}

static void every_column_is_documented(void **state)
{
    static struct csv csv;
    (void)state;
    struct spawned columns = export("--columns", NULL);
    struct spawned s = export(GOLDEN, "--format=csv", NULL),
                   runs = export(GOLDEN, "--format=csv", "--kind=run", NULL);
    assert_int_equal(columns.code, 0);
    for (int pass = 0; pass < 2; pass++) {
        parse_csv(pass ? runs.out : s.out, &csv);
        assert_int_equal(csv.rows, pass ? 3 : 10);
        for (int c = 0; c < csv.columns[0]; c++) {
            assert_has(columns.out, at("\n  %s ", csv.cell[0][c]));
            for (int k = 0; k < c; k++)
                assert_string_not_equal(csv.cell[0][c], csv.cell[0][k]);
        }
    }
}

/* ---- md, json, jsonl ------------------------------------------------------------------------- */

static void md_says_what_rows_share_and_where_they_differ(void **state)
{
    (void)state;
    struct spawned s = export(GOLDEN, NULL);
    assert_int_equal(s.code, 0);
    assert_has(s.out, "## cpu-a-0a1b2c\n\nSome CPU, \"fast\", 2 threads, 8.000 GB of memory\n");
    assert_has(s.out, "\n### Kernels\n\nshape **linear:S=64,K=64,O=64,epilogue=gelu,type=f32**, ");
    assert_has(s.out, "| avx2_01_panel | 500.0 ± 7.5 ns | 1049 | 98.30 | 50% |");
    assert_has(s.out, "| int8 | - | measured | approximate | cpu |");
    assert_has(s.out, "| external | exact | cpu |");
    assert_has(s.out, "| =cmd\\|'/C calc'!A0, \"quoted\", two lines; a \\| b &lt;b>bold&lt;/b> |");
    assert_has(s.out, "\n### Clips\n\nmodel **tiny**, ");
    assert_has(s.out, "class **exact**");
    assert_has(s.out, "| 128x72 | 17 | 2.000 ± 0.010 s | 8.500 | 1912 | 100.0 ms | 900.0 ms |");
    assert_has(s.out, "| sampled | cpu | passed |");
    assert_has(s.out, "| measured | - | crashed | - | - | ended by signal 11 |");
    struct spawned one = export(GOLDEN, "--where", "claim=sampled", NULL);
    assert_has(one.out, "claim **sampled**, class **exact**");
    assert_null(strstr(one.out, "Kernels"));
    struct spawned pairs = export(GOLDEN, "--kind=compare", NULL);
    assert_has(pairs.out, "### Comparisons\n\npairs **1**, threshold **2%**, floor **2%**, ");
    assert_has(pairs.out, "| linear/c_01_plain | linear/avx2_01_panel:rows=96 | FASTER | 2.020 "
                          "(2.010 to 2.030) | 2e-09 |");
    assert_null(strstr(pairs.out, "Times are medians"));
}

static void json_keeps_records_whole(void **state)
{
    (void)state;
    struct spawned s = export(GOLDEN, "--format=json", NULL);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    assert_has(s.out, "\"median\":500.00000000000006,");
    assert_has(s.out, "\"seed\":9007199254740993}");
    assert_has(s.out, "\"governor\":{\"value\":null,\"why\":\"no cpufreq\"}");
    assert_has(s.out, "\n  \"trial\": [\n");
    s = export(GOLDEN, "--format=json", "--kind=trial", NULL);
    assert_true(json_valid(s.out));
    assert_null(strstr(s.out, "\"case\": ["));
}

static void jsonl_has_the_same_members_in_every_line(void **state)
{
    (void)state;
    struct spawned s = export(GOLDEN, "--format=jsonl", NULL);
    char *rest = s.out;
    int lines = 0;
    assert_int_equal(s.code, 0);
    for (char *line; (line = strsep(&rest, "\n")) && *line; lines++) {
        assert_true(json_valid(line));
        assert_has(line, "{\"machine\":\"cpu-a-0a1b2c\",\"run_id\":\"");
        assert_has(line, ",\"first_run_ns\":");
    }
    assert_int_equal(lines, 9);
    s = export(GOLDEN, "--format=jsonl", "--where=status=refused", NULL);
    assert_has(s.out, "\"median_ns\":null,");
    assert_has(s.out, "two\\nlines");
    s = export(GOLDEN, "--format=jsonl", "--kind=trial", NULL);
    assert_has(s.out, "\"detail_p\":0.001,\"detail_n\":12,\"detail_note\":null}");
}

/* ---- the tools ------------------------------------------------------------------------------- */

static struct spawned shell(const char *command)
{
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    return spawn_program((char *const *)argv, NULL);
}

static void need(const char *probe, const char *what)
{
    if (shell(probe).code == 0)
        return;
    print_message("not tested: %s\n", what);
    skip();
}

static void ask(const char *query, const char *answer)
{
    const char *argv[] = {"sqlite3", at("%s/x.db", folder), query, NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    assert_string_equal(s.err, "");
    assert_string_equal(s.out, answer);
}

/* Twice: a second import replaces rows and adds none. */
static void sqlite3_reads_the_sql(void **state)
{
    (void)state;
    need("command -v sqlite3", "sqlite3 is not installed (Debian: sqlite3)");
    for (int pass = 0; pass < 2; pass++) {
        struct spawned s =
            shell(at("%s export %s --format sql | sqlite3 %s/x.db", PROGRAM, GOLDEN, folder));
        assert_int_equal(s.code, 0);
        assert_string_equal(s.out, "");
        assert_string_equal(s.err, "");
        ask("SELECT count(*) FROM runs; SELECT count(*) FROM cases; SELECT count(*) FROM samples; "
            "SELECT count(*) FROM trial_records;",
            "2\n9\n42\n2\n");
    }
    ask("SELECT typeof(n), typeof(median_ns), typeof(status), typeof(seed), seed FROM cases WHERE "
        "claim='sampled'",
        "integer|real|text|integer|9007199254740993\n");
    ask("SELECT printf('%!.17g', median_ns) FROM cases WHERE variant='avx2_01_panel'",
        "500.00000000000006\n");
    ask("SELECT printf('%!.17g', ns) FROM samples JOIN cases USING (run_id, \"case\") WHERE "
        "claim='sampled' AND number=2",
        "1990000000.25\n");
    ask("SELECT status_reason, median_ns IS NULL FROM cases WHERE status='refused'",
        "=cmd|'/C calc'!A0, \"quoted\", two\nlines; a | b <b>bold</b>|1\n");
    ask("SELECT verdict, typeof(ratio), typeof(detail_n) FROM trial_records ORDER BY \"case\"",
        "faster|real|real\nit's|real|real\n");
    ask("SELECT cpu_model, governor IS NULL, virtualised FROM runs LIMIT 1",
        "Some CPU, \"fast\"|1|false\n");
}

#define COMPARE_PY "/usr/share/benchmark/compare.py"
#define PYTHON "/usr/bin/python3" /* whose packages are the system's */

static void gbench_holds_repetitions_and_aggregates(void **state)
{
    (void)state;
    struct spawned s = export(GOLDEN, "--format=gbench", NULL);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
    assert_has(s.err, "2 cases without a time left out");
    assert_has(s.err, "1 case left out for a newer one of the same name");
    assert_has(s.out, "\"run_type\": \"iteration\"");
    assert_has(s.out, "\"repetition_index\": 5");
    assert_has(s.err, "3 cases left out that are not measured and exact");
    assert_has(s.out, "/measured/exact/c8097f79_median\"");
    assert_has(s.out, "\"real_time\": 500.00000000000006,");
    assert_null(strstr(s.out, "null"));
    s = export(GOLDEN, "--format=gbench", "--where=claim=sampled", NULL);
    assert_has(s.out, "/sampled/exact/c8097f79\"");
    assert_has(s.out, "\"real_time\": 1990000000.25");
    s = export(GOLDEN, "--format=gbench", "--where=class=approximate", NULL);
    assert_has(s.out, "/approximate/3ed63200\"");
    const char *other = at("%s/other.jsonl", folder);
    const char *text =
        "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"run\",\"machine\":"
        "\"cpu-b\"}\n{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"case\","
        "\"status\":\"passed\",\"claim\":\"measured\",\"impl\":{\"numerics\":\"f32\"},\"timing\":"
        "{\"median\":1}}\n";
    file_put(other, text, strlen(text));
    s = export(GOLDEN, other, "--format=gbench", NULL);
    assert_fails(&s, 2, "of cpu-a-0a1b2c and cpu-b; choose one with --where machine=NAME");
    unlink(other);
}

static void compare_py_reads_it(void **state)
{
    static const char *const commits[] = {"0123456789", "abcdef0123"};
    (void)state;
    need("test -f " COMPARE_PY " && " PYTHON " -c 'import numpy, scipy'",
         "compare.py is not here (Debian: libbenchmark-tools python3-scipy)");
    for (int i = 0; i < 2; i++)
        assert_int_equal(export(GOLDEN, "--format=gbench", "-o", at("%s/%d.json", folder, i),
                                at("--where=patchmark_commit=%s", commits[i]), NULL)
                             .code,
                         0);
    struct spawned s = shell(
        at(PYTHON " " COMPARE_PY " --no-color benchmarks %s/0.json %s/1.json", folder, folder));
    if (s.code)
        fail_msg("%s%s", s.out, s.err);
    assert_has(s.out, "/c_01_plain/");
    assert_has(s.out, "U Test, Repetitions: 6 vs 6");
    assert_has(s.out, "_median");
    assert_has(s.out, "+0.0100");
    assert_null(strstr(s.out, "int8")); /* one side alone has it */
}

/* ---- choosing and refusing ------------------------------------------------------------------- */

/* Nobody's figures stand in a table with ours. */
static void published_results_have_tables_of_their_own(void **state)
{
    (void)state;
#define PUBLISHED_HEAD "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":"
    const char *path = at("%s/p.jsonl", folder);
    const char *text = PUBLISHED_HEAD
        "\"run\",\"machine\":\"cpu-a\"}\n" PUBLISHED_HEAD
        "\"case\",\"case_kind\":\"pipeline\",\"claim\":\"measured\"}\n" PUBLISHED_HEAD
        "\"case\",\"case_kind\":\"pipeline\",\"claim\":\"published\"}\n";
    file_put(path, text, strlen(text));
    struct spawned s = export(path, NULL);
    assert_int_equal(s.code, 0);
    assert_has(s.out, "### Clips\n\nclaim **measured**\n");
    assert_has(s.out, "### Clips, published by others\n\nclaim **published**\n");
}

static void where_and_kind_choose(void **state)
{
    (void)state;
    struct spawned s =
        export(GOLDEN, "--format=csv", "--where=variant=avx2_*", "--where=recipe.seed=1", NULL);
    static struct csv csv;
    assert_int_equal(s.code, 0);
    parse_csv(s.out, &csv);
    assert_int_equal(csv.rows, 3);
    s = export(GOLDEN, "--format=csv", "--kind=trial", "--where=ratio=1.25", NULL);
    assert_int_equal(s.code, 0);
    parse_csv(s.out, &csv);
    assert_int_equal(csv.rows, 2);
    s = export(GOLDEN, "--where=varint=x", NULL);
    assert_fails(&s, 2, "no record has the field 'varint'; did you mean variant");
    s = export(GOLDEN, "--where=variant=x", NULL);
    assert_fails(&s, 3, "no record of kind case passes --where");
    s = export(GOLDEN, "--where=variant", NULL);
    assert_fails(&s, 2, "--where wants FIELD=VALUE, not 'variant'");
    s = export(GOLDEN, "--kind=later", NULL);
    assert_fails(&s, 3, "no record of kind later");
    s = export(GOLDEN, "--format=xml", NULL);
    assert_fails(&s, 2, "--format is md, csv, json, jsonl, sql or gbench, not 'xml'");
    s = export(GOLDEN, "--format=gbench", "--kind=run", NULL);
    assert_fails(&s, 2, "gbench holds cases alone");
    s = export("no/such", NULL);
    assert_fails(&s, 2, "no/such cannot be read");
    s = export(GOLDEN, "--format=json", "--kind=run", NULL);
    assert_int_equal(s.code, 0);
    assert_true(json_valid(s.out));
}

static void files_given_twice_count_once(void **state)
{
    (void)state;
    char *text = file_read(FIRST, NULL);
    const char *copy = at("%s/copy.jsonl", folder);
    assert_non_null(text);
    file_put(copy, text, strlen(text));
    struct spawned s = export(FIRST, FIRST, copy, "--format=jsonl", NULL);
    assert_int_equal(s.code, 0);
    assert_has(s.err, "1 file given twice");
    assert_has(s.err, "4 records of copied files taken once");
    *strstr(text, "\"median\":1000") = ' ';
    strstr(text, " median\":1000")[0] = '"';
    memcpy(strstr(text, "\"median\":1000"), "\"median\":1001", 13);
    file_put(copy, text, strlen(text));
    s = export(FIRST, copy, NULL);
    assert_fails(&s, 2, "copy.jsonl:2: not the same as " FIRST ":2, which is of the same run");
    free(text);
    unlink(copy);
}

/* A whole line, a line cut off, or one sentence with file and line; never a crash. */
static void run_on(const char *path, const char *format)
{
    struct spawned s = export(path, "--format", format, NULL);
    if (s.code == 0)
        return;
    if (s.code == 2) {
        assert_has(s.err, at("%s:", path));
        assert_string_equal(s.out, "");
    } else if (s.code != 3)
        fail_msg("exit code %d\n%s", s.code, s.err);
}

static void broken_files_are_refused_and_crash_nothing(void **state)
{
    static const char *const formats[] = {"md", "csv", "json", "jsonl", "sql", "gbench"};
    size_t bytes;
    char *text = file_read(FIRST, &bytes);
    const char *path = at("%s/b.jsonl", folder);
    char own[600];
    uint32_t random = 1;
    (void)state;
    assert_non_null(text);
    snprintf(own, sizeof own, "%s", path);
    for (size_t n = 0; n < bytes; n += 401) {
        file_put(own, text, n);
        run_on(own, formats[n % 6]);
    }
    for (int i = 0; i < 24; i++) {
        random = random * 1664525u + 1013904223u;
        size_t place = random % bytes;
        char kept = text[place];
        text[place] = (char)(random >> 24);
        file_put(own, text, bytes);
        run_on(own, formats[i % 6]);
        text[place] = kept;
    }
    free(text);
    unlink(own);
}

static void columns_hold_to_their_types(void **state)
{
    static const char *const members[][2] = {
        {"\"recipe\":{\"threads\":\"two\"}", "recipe.threads should be a whole number"},
        {"\"recipe\":{\"threads\":2.5}", "recipe.threads should be a whole number"},
        {"\"derived\":{\"ratio\":[1]}", "derived.ratio should be a number"},
        {"\"memory\":{\"planned_bytes\":true}", "memory.planned_bytes should be a whole number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *path = at("%s/t.jsonl", folder);
        const char *text =
            at("{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"run\"}\n"
               "{\"schema\":{\"name\":\"patchmark\",\"version\":\"2.0\"},\"kind\":\"case\",%s}\n",
               members[i][0]);
        file_put(path, text, strlen(text));
        struct spawned s = export(path, NULL);
        assert_fails(&s, 2, at("t.jsonl:2: %s", members[i][1]));
    }
}

static void a_file_is_written_whole_or_not_at_all(void **state)
{
    char own[600];
    (void)state;
    snprintf(own, sizeof own, "%s/out", folder);
    mkdir(own, 0777);
    const char *file = at("%s/out/a.csv", folder);
    file_put(file, "old", 3);
    struct spawned s = export(GOLDEN, "--format=csv", "-o", file, NULL);
    assert_int_equal(s.code, 0);
    assert_string_equal(s.out, "");
    assert_has(s.err, "9 records in ");
    char *text = file_read(file, NULL);
    assert_has(text, "machine,run_id,");
    free(text);
    file_put(at("%s/torn.jsonl", folder), "{", 1);
    s = export(GOLDEN, at("%s/torn.jsonl", folder), "--format=csv", "-o", file, NULL);
    assert_fails(&s, 2, "torn.jsonl:1: ");
    text = file_read(file, NULL);
    assert_has(text, "machine,run_id,");
    free(text);
    s = export(GOLDEN, "-o", at("%s/none/a.md", folder), NULL);
    assert_fails(&s, 2, "create it first");
    s = export(GOLDEN, "-o", folder, NULL);
    assert_fails(&s, 2, "is a folder");
    assert_int_equal(folder_count(own), 1); /* the file, and nothing temporary */
}

static void a_lost_output_is_noticed(void **state)
{
    (void)state;
    struct spawned s = shell(PROGRAM " export " GOLDEN " --format=json >/dev/full");
    assert_int_equal(s.code, 2);
    assert_has(s.err, "could not be written");
    s = shell("{ " PROGRAM " export results --format=json; echo $? >&2; } | head -c 10 >/dev/null");
    assert_string_equal(s.err, "141\n");
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(csv_has_a_row_for_each_case),
        TEST(formulas_are_defused_and_numbers_are_not),
        TEST(every_column_is_documented),
        TEST(md_says_what_rows_share_and_where_they_differ),
        TEST(json_keeps_records_whole),
        TEST(jsonl_has_the_same_members_in_every_line),
        TEST(sqlite3_reads_the_sql),
        TEST(gbench_holds_repetitions_and_aggregates),
        TEST(compare_py_reads_it),
        TEST(published_results_have_tables_of_their_own),
        TEST(where_and_kind_choose),
        TEST(files_given_twice_count_once),
        TEST(broken_files_are_refused_and_crash_nothing),
        TEST(columns_hold_to_their_types),
        TEST(a_file_is_written_whole_or_not_at_all),
        TEST(a_lost_output_is_noticed),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}

#else

static void refused_without_jansson(void **state)
{
    (void)state;
    struct spawned s = export(GOLDEN, NULL);
    assert_fails(&s, 3, "reading records needs jansson");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(refused_without_jansson)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
