// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_record.c   Result files: whole or absent, whatever happens to the process or the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/out_file.h"
#include "machine/host.h"
#include "records/record.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* Names in the machine's folder that end so. */
static int count_ending(const char *results, const char *ending)
{
    DIR *dir = opendir(at("%s/%s", results, host_machine_slug()));
    int count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        size_t n = strlen(entry->d_name), e = strlen(ending);
        count += n > e && strcmp(entry->d_name + n - e, ending) == 0;
    }
    if (dir)
        closedir(dir);
    return count;
}

static struct record_file *open_run(const char *results)
{
    struct record_file *file;
    struct fault fault = {0};
    if (record_open(results, "patchmark run --model \"tiny\"", &file, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    return file;
}

static void add_case(struct record_file *file, int64_t value)
{
    struct json j;
    struct fault fault = {0};
    record_begin(file, &j, "case");
    json_open_object(&j, "timing");
    json_int(&j, "median", value); /* left open: record_write closes */
    assert_int_equal(record_write(file, &j, &fault), ST_OK);
}

/* What an interrupted command wrote before is a whole file under its name. */
static void what_was_done_before_an_interruption_is_kept(void **state)
{
    (void)state;
    struct fault fault = {"interrupted"};
    const char *results = at("%s/interrupted", folder);
    struct record_file *file = open_run(results);
    add_case(file, 1);
    assert_int_equal(record_keep(file, &fault), ST_INTERRUPTED);
    assert_non_null(strstr(fault.text, "interrupted; what was done before is kept in "));
    assert_non_null(strstr(fault.text, record_path(file)));
    record_free(file);
    assert_int_equal(count_ending(results, ".part"), 0);
    assert_int_equal(count_ending(results, ".jsonl"), 1);
}

/* ---- SHA-256 --------------------------------------------------------------------------------- */

static void sha256_of_published_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrl"
         "mnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char hex[65];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sha256_hex(rows[i].text, strlen(rows[i].text), hex);
        assert_string_equal(hex, rows[i].hex);
    }
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    sha256_hex(million, 1000000, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* Where padding needs another block: lengths around 56 and 64. */
static void sha256_at_the_edges_of_a_block(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        const char *begin;
    } rows[] = {{55, "9f4390f8d30c2dd9"},
                {56, "b35439a4ac6f0948"},
                {63, "7d3e74a05d7db15b"},
                {64, "ffe054fe7ae0cb6d"},
                {65, "635361c48bb9eab1"}};
    char text[65], hex[65];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sha256_hex(text, rows[i].bytes, hex);
        assert_memory_equal(hex, rows[i].begin, 16);
    }
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void a_run_is_lines_of_json(void **state)
{
    (void)state;
    const char *results = at("%s/lines/below", folder), *path;
    struct fault fault = {0};
    struct record_file *file = open_run(results);
    add_case(file, 1);
    add_case(file, 2);
    assert_int_equal(count_ending(results, ".jsonl"), 0);
    assert_int_equal(record_close(file, &path, &fault), ST_OK);
    assert_int_equal(count_ending(results, ".part"), 0);

    char *text = file_read(path, NULL), *rest = text, *line;
    static const char *const wanted[] = {"\"kind\":\"run\"", "\"case\":1,", "\"case\":2,"};
    int lines = 0;
    while ((line = strsep(&rest, "\n")) != NULL && *line) {
        assert_true(lines < 3);
        assert_true(json_valid(line));
        assert_non_null(strstr(line, wanted[lines++]));
        assert_ptr_equal(
            line,
            strstr(line, "{\"schema\":{\"name\":\"patchmark\",\"version\":\"" RECORD_SCHEMA_VERSION
                         "\"}"));
    }
    assert_int_equal(lines, 3);
    free(text);
    char *host = file_read(at("%s/%s/host.json", results, host_machine_slug()), NULL);
    assert_true(json_valid(host));
    free(host);
    record_free(file);
}

static void host_json_is_written_once(void **state)
{
    (void)state;
    const char *results = at("%s/once", folder);
    record_free(open_run(results));
    const char *host = at("%s/%s/host.json", results, host_machine_slug());
    file_put(host, "kept", 4);
    record_free(open_run(results));
    char *text = file_read(host, NULL);
    assert_string_equal(text, "kept");
    free(text);
}

static void runs_of_one_second_have_names_of_their_own(void **state)
{
    (void)state;
    enum { RUNS = 5 };
    const char *results = at("%s/second", folder), *path[RUNS];
    struct record_file *file[RUNS];
    struct fault fault = {0};
    /* Two that are open at once, and one after another has its final name. */
    for (int i = 0; i < RUNS; i++) {
        file[i] = open_run(results);
        if (i % 2)
            assert_int_equal(record_close(file[i], &path[i], &fault), ST_OK);
    }
    for (int i = 0; i < RUNS; i += 2)
        assert_int_equal(record_close(file[i], &path[i], &fault), ST_OK);
    assert_int_equal(count_ending(results, ".jsonl"), RUNS);
    for (int i = 0; i < RUNS; i++) {
        assert_non_null(strstr(path[i], at("%s/%s/", results, host_machine_slug())));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(path[i], path[k]);
    }
    for (int i = 0; i < RUNS; i++)
        record_free(file[i]);
}

static void an_abandoned_run_leaves_nothing(void **state)
{
    (void)state;
    const char *results = at("%s/abandoned", folder);
    struct record_file *file = open_run(results);
    add_case(file, 1);
    record_free(file);
    assert_int_equal(count_ending(results, ".jsonl") + count_ending(results, ".part"), 0);
    record_free(NULL);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void a_killed_run_has_no_final_file(void **state)
{
    (void)state;
    const char *results = at("%s/killed", folder);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct record_file *file = open_run(results);
        add_case(file, 1);
        _exit(write(ready[1], "x", 1) == 1 ? pause() : 1);
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(count_ending(results, ".jsonl"), 0);
    /* What it left is in nobody's way. */
    struct fault fault = {0};
    struct record_file *file = open_run(results);
    assert_int_equal(record_close(file, NULL, &fault), ST_OK);
    record_free(file);
    assert_int_equal(count_ending(results, ".jsonl"), 1);
}

static void bad_folders_are_a_sentence(void **state)
{
    (void)state;
    file_put(at("%s/plain", folder), "x", 1);
    const char *const bad[] = {at("%s/plain", folder), at("%s/plain/results", folder),
                               "/proc/results", "/dev/full"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct record_file *file;
        struct fault fault = {0};
        assert_int_equal(record_open(bad[i], "x", &file, &fault), ST_IO);
        assert_null(file);
        assert_non_null(strstr(fault.text, "cannot create the folder"));
    }
}

/* A limit on the size of files stands for the full disk: host.json is there, the run grows past. */
static void a_full_disk_keeps_no_torn_run(void **state)
{
    (void)state;
    const char *results = at("%s/full", folder), *path = NULL;
    struct fault fault = {0};
    struct rlimit old, small;
    struct record_file *file = open_run(results);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){16384, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    enum status status = ST_OK;
    for (int i = 0; i < 1000 && status == ST_OK; i++) {
        struct json j;
        record_begin(file, &j, "case");
        status = record_write(file, &j, &fault);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, ST_IO);
    assert_non_null(strstr(fault.text, "cannot write"));
    assert_int_equal(record_close(file, &path, &fault), ST_IO);
    assert_null(path);
    record_free(file);
    assert_int_equal(count_ending(results, ".jsonl") + count_ending(results, ".part"), 0);
}

static void only_ordinary_files_are_replaced(void **state)
{
    (void)state;
    struct out_file out;
    struct fault fault = {0};
    assert_int_equal(out_file_open(&out, "/dev/full", &fault), ST_BAD_INPUT);
    assert_true(file_exists("/dev/full"));
    const char *target = at("%s/target", folder), *link = at("%s/link", folder);
    file_put(target, "old", 3);
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(out_file_open(&out, link, &fault), ST_OK);
    assert_int_equal(out_file_write(&out, "new", 3, &fault), ST_OK);
    assert_int_equal(out_file_commit(&out, &fault), ST_OK);
    out_file_discard(&out); /* harmless once closed */
    char *text = file_read(target, NULL);
    assert_string_equal(text, "new");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_done_before_an_interruption_is_kept),
        cmocka_unit_test(sha256_of_published_vectors),
        cmocka_unit_test(sha256_at_the_edges_of_a_block),
        cmocka_unit_test(a_run_is_lines_of_json),
        cmocka_unit_test(host_json_is_written_once),
        cmocka_unit_test(runs_of_one_second_have_names_of_their_own),
        cmocka_unit_test(an_abandoned_run_leaves_nothing),
        cmocka_unit_test(a_killed_run_has_no_final_file),
        cmocka_unit_test(bad_folders_are_a_sentence),
        cmocka_unit_test(a_full_disk_keeps_no_torn_run),
        cmocka_unit_test(only_ordinary_files_are_replaced),
    };
    return cmocka_run_group_tests_name("record", tests, folder_make, folder_drop);
}
