// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_tuned.c   The table of tuned kernels: what must not be used is never half used, writers do not
 * lose each other's lines, kills leave the old or the new table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/sysfile.h"
#include "machine/host.h"
#include "support/files.h"
#include "support/spawn.h"
#include "tune/tune.h"

/* ---- tables made here ------------------------------------------------------------------------ */

static struct tuned_line line_named(const char *bucket, const char *variant)
{
    struct tuned_line l = {.source = 1, .against_source = 2, .gain = 1.25, .lo = 1.125, .hi = 1.5};
    snprintf(l.place, sizeof l.place, "cpu-2t");
    snprintf(l.bucket, sizeof l.bucket, "%s", bucket);
    snprintf(l.variant, sizeof l.variant, "%s", variant);
    snprintf(l.knobs, sizeof l.knobs, "rows=48,cols=128");
    snprintf(l.against, sizeof l.against, "c_01_plain");
    snprintf(l.utc, sizeof l.utc, "2026-01-31T23:59:00Z");
    snprintf(l.commit, sizeof l.commit, "abc1234");
    return l;
}

static void merge(const char *path, const struct tuned_line *add, int adds)
{
    struct fault fault = {{0}};
    char aside[4200];
    if (tuned_merge(path, add, adds, NULL, 0, aside, sizeof aside, &fault) != ST_OK)
        fail_msg("%s", fault.text);
}

static void make_three(const char *path)
{
    const struct tuned_line three[] = {line_named("linear:S=1,K=2,O=3,type=f32", "a_01_x"),
                                       line_named("attention:Sq=2-3,N=1,D=8,type=f32", "b_01_y"),
                                       line_named("linear:S=2-3,K=2,O=3,type=bf16", "c_01_z")};
    merge(path, three, 3);
}

static enum status read_status(const char *path, struct fault *fault)
{
    struct tuned *t = NULL;
    const enum status s = tuned_read(path, &t, fault);
    assert_true((s == ST_OK) == (t != NULL));
    tuned_free(t);
    return s;
}

static void refused(const char *path, const char *says)
{
    struct fault fault = {{0}};
    assert_int_equal(read_status(path, &fault), ST_BAD_INPUT);
    if (!strstr(fault.text, says) || !strstr(fault.text, path))
        fail_msg("'%s' does not say '%s'", fault.text, says);
}

/* Lines without their checks, sealed as the writer would: what is wrong then is what they say. */
static void seal(const char *path, const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    while (*text) {
        char check[20];
        const size_t n = strcspn(text, "\n");
        for (size_t i = 0; i <= n; i++)
            hash = (hash ^ (unsigned char)(i < n ? text[i] : '\t')) * UINT64_C(0x100000001b3);
        snprintf(check, sizeof check, "%016" PRIx64, hash);
        for (int i = 0; i < 16; i++)
            hash = (hash ^ (unsigned char)check[i]) * UINT64_C(0x100000001b3);
        fprintf(out, "%.*s\t%s\n", (int)n, text, check);
        text += n + 1;
    }
    fclose(out);
}

#define ROW "cpu-2t\tlinear:S=1\ta_01_x\t-\t0000000000000001\tb_01_y\t0000000000000002"
#define REST "\t1.5000\t1.2500\t2.0000\t2026-01-31T23:59:00Z\tabc"

static void sealed(const char *rows, const char *says)
{
    const char *path = at("%s/sealed.tsv", folder);
    seal(path, at("patchmark tuned 1\t%s\n%s", host_machine_slug(), rows));
    if (says)
        refused(path, says);
    else
        assert_int_equal(read_status(path, NULL), ST_OK);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void what_was_written_is_read(void **state)
{
    const char *path = at("%s/new/deep/tuned.tsv", folder);
    struct tuned *t;
    (void)state;
    assert_int_equal(read_status(path, NULL), ST_UNAVAILABLE);
    make_three(path);
    assert_int_equal(tuned_read(path, &t, NULL), ST_OK);
    assert_int_equal(tuned_count(t), 3);
    const struct tuned_line *l = tuned_find(t, "cpu-2t", "linear:S=2-3,K=2,O=3,type=bf16");
    assert_non_null(l);
    assert_string_equal(l->variant, "c_01_z");
    assert_string_equal(l->knobs, "rows=48,cols=128");
    assert_true(l->gain == 1.25 && l->lo == 1.125 && l->hi == 1.5 && l->source == 1);
    assert_null(tuned_find(t, "cpu-4t", "linear:S=2-3,K=2,O=3,type=bf16"));
    assert_null(tuned_find(t, "cpu-2t", "linear:S=4-7,K=2,O=3,type=bf16"));
    tuned_free(t);
}

static void a_table_cut_short_anywhere_is_refused(void **state)
{
    const char *path = at("%s/whole.tsv", folder), *cut = at("%s/cut.tsv", folder);
    size_t bytes;
    (void)state;
    make_three(path);
    char *text = file_read(path, &bytes);
    for (size_t n = 0; n < bytes; n++) {
        struct fault fault = {{0}};
        file_put(cut, text, n);
        if (read_status(cut, &fault) != ST_BAD_INPUT || !strstr(fault.text, "line "))
            fail_msg("cut to %zu of %zu bytes: %s", n, bytes, fault.text);
    }
    free(text);
}

static void a_changed_byte_is_refused(void **state)
{
    const char *path = at("%s/sound.tsv", folder), *bad = at("%s/bad.tsv", folder);
    size_t bytes;
    (void)state;
    make_three(path);
    char *text = file_read(path, &bytes);
    for (size_t n = 0; n < bytes; n++)
        for (int bit = (int)(n % 4); bit < 8; bit += 4) {
            text[n] = (char)(text[n] ^ (1 << bit));
            file_put(bad, text, bytes);
            if (read_status(bad, NULL) != ST_BAD_INPUT)
                fail_msg("bit %d of byte %zu", bit, n);
            text[n] = (char)(text[n] ^ (1 << bit));
        }
    free(text);
}

static void the_line_is_named(void **state)
{
    const char *path = at("%s/named.tsv", folder);
    (void)state;
    make_three(path);
    char *text = file_read(path, NULL), *knob = strstr(strstr(text, "linear:S=1,"), "rows=48");
    knob[5] = '9';
    file_write(path, text, false);
    refused(path, "line 3: it is not as it was written");
    free(text);
}

static void lines_that_go_come_or_move_are_seen(void **state)
{
    const char *path = at("%s/moved.tsv", folder);
    (void)state;
    make_three(path);
    char *text = file_read(path, NULL);
    char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
    const int n = (int)(third - second);
    file_write(path, at("%.*s%s", (int)(second - text), text, third), false);
    refused(path, "line 2");
    file_write(path, at("%.*s%.*s%s", (int)(second - text), text, n, second, second), false);
    refused(path, "line 3");
    file_write(path, at("%s%.*s", text, n, second), false);
    refused(path, "line 6: something follows the last line");
    free(text);
}

static void other_versions_and_machines_are_refused(void **state)
{
    const char *path = at("%s/foreign.tsv", folder);
    (void)state;
    seal(path, "patchmark tuned 1\tother-machine-123456\nend\t0\n");
    refused(path, "line 1: it was made on the machine other-machine-123456");
    seal(path, at("patchmark tuned 2\t%s\nend\t0\n", host_machine_slug()));
    refused(path, "line 1: version '2' is not known");
    file_write(path, "# anything else\n", false);
    refused(path, "line 1: it does not begin as");
    refused("/dev/zero", "no file");
}

static void sealed_nonsense_is_refused(void **state)
{
    (void)state;
    sealed(ROW REST "\nend\t1\n", NULL);
    sealed("end\t0\n", NULL);
    sealed(ROW REST "\nend\t2\n", "line 3: it counts 2 lines and 1 are there");
    sealed(ROW REST "\n" ROW REST "\nend\t2\n", "line 3: linear:S=1 of cpu-2t is there twice");
    sealed(ROW REST "\nattention" REST "\nend\t2\n", "line 3: it has 6 fields");
    sealed(ROW REST "\tmore\nend\t1\n", "line 2: its fields cannot be read");
    sealed(ROW "\tnan\t1\t1\tx\ty\nend\t1\n", "line 2: its fields cannot be read");
    sealed(ROW "\t-1\t1\t1\tx\ty\nend\t1\n", "line 2: its fields cannot be read");
    sealed(ROW "\t1e999\t1\t1\tx\ty\nend\t1\n", "line 2: its fields cannot be read");
    sealed(ROW "\t1\t1\t1\t\ty\nend\t1\n", "line 2: its fields cannot be read");
    sealed(ROW "\t1\t1\t1\tx\033[2J\ty\nend\t1\n", "line 2: its fields cannot be read");
    sealed(ROW REST "\n", "line 3: the file ends before its last line");
    sealed("z" ROW REST "\n" ROW REST "\nend\t2\n", "line 3: lines are out of order");
}

/* ---- writing --------------------------------------------------------------------------------- */

static void lines_are_replaced_and_dropped_by_key(void **state)
{
    const char *path = at("%s/keys.tsv", folder);
    char aside[4200];
    struct tuned *t;
    (void)state;
    make_three(path);
    struct tuned_line l = line_named("linear:S=1,K=2,O=3,type=f32", "d_01_new");
    merge(path, &l, 1);
    snprintf(l.place, sizeof l.place, "cpu-8t");
    merge(path, &l, 1);
    const struct tuned_line drop = line_named("linear:S=2-3,K=2,O=3,type=bf16", "");
    assert_int_equal(tuned_merge(path, NULL, 0, &drop, 1, aside, sizeof aside, NULL), ST_OK);
    assert_int_equal(tuned_read(path, &t, NULL), ST_OK);
    assert_int_equal(tuned_count(t), 3);
    assert_string_equal(tuned_find(t, "cpu-2t", l.bucket)->variant, "d_01_new");
    assert_non_null(tuned_find(t, "cpu-8t", l.bucket));
    assert_null(tuned_find(t, "cpu-2t", drop.bucket));
    tuned_free(t);
}

static void a_refused_table_is_kept_aside(void **state)
{
    const char *path = at("%s/aside/tuned.tsv", folder);
    const struct tuned_line l = line_named("linear:S=1,K=2,O=3,type=f32", "a_01_x");
    char aside[4200];
    (void)state;
    merge(path, &l, 1);
    for (int i = 0; i < 2; i++) {
        const char *text = at("not a table %d\n", i);
        file_write(path, text, false);
        assert_int_equal(tuned_merge(path, &l, 1, NULL, 0, aside, sizeof aside, NULL), ST_OK);
        assert_int_equal(read_status(path, NULL), ST_OK);
        char *kept = file_read(aside, NULL);
        assert_string_equal(kept, text);
        free(kept);
    }
}

enum { WRITERS = 3, TIMES = 6 };

static void writers_do_not_lose_lines(void **state)
{
    const char *path = at("%s/shared.tsv", folder);
    pid_t child[WRITERS];
    struct tuned *t;
    (void)state;
    for (int w = 0; w < WRITERS; w++)
        if (!(child[w] = fork())) {
            char aside[4200], name[64];
            for (int i = 0; i < TIMES; i++) {
                snprintf(name, sizeof name, "linear:S=%d,K=%d,O=1,type=f32", w + 1, i + 1);
                const struct tuned_line l = line_named(name, "a_01_x");
                if (tuned_merge(path, &l, 1, NULL, 0, aside, sizeof aside, NULL) != ST_OK)
                    _exit(1);
            }
            _exit(0);
        }
    for (int w = 0; w < WRITERS; w++) {
        int status = -1;
        waitpid(child[w], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(tuned_read(path, &t, NULL), ST_OK);
    assert_int_equal(tuned_count(t), WRITERS * TIMES);
    tuned_free(t);
}

/* The lock dies with its holder, and what was there or what should be there is there. */
static void kills_leave_a_table(void **state)
{
    const char *path = at("%s/killed.tsv", folder);
    (void)state;
    make_three(path);
    for (int round = 0; round < 10; round++) {
        const pid_t child = fork();
        if (!child)
            for (int i = 0;; i++) {
                char aside[4200], name[64];
                snprintf(name, sizeof name, "linear:S=%d,K=1,O=1,type=f32", i % 50 + 1);
                const struct tuned_line l = line_named(name, "a_01_x");
                tuned_merge(path, &l, 1, NULL, 0, aside, sizeof aside, NULL);
            }
        nanosleep(&(struct timespec){.tv_nsec = 1000000 + 2000000 * round}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct fault fault = {{0}};
        if (read_status(path, &fault) != ST_OK)
            fail_msg("%s", fault.text);
    }
}

/* ---- buckets --------------------------------------------------------------------------------- */

static void bucket_is(const char *line, const char *wanted)
{
    struct problem p;
    char name[BUCKET_BYTES];
    struct fault fault = {{0}};
    if (shape_parse(line, &p, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    bucket_print(&p, name, sizeof name);
    assert_string_equal(name, wanted);
}

static void buckets(void **state)
{
    (void)state;
    bucket_is("linear:S=1,K=256,O=64", "linear:S=1,K=256,O=64,type=f32");
    bucket_is("linear:S=1024,K=256,O=64,epilogue=gelu,type=bf16",
              "linear:S=1024-2047,K=256,O=64,epilogue=gelu,type=bf16");
    bucket_is("linear:S=2047,K=256,O=64,bias=0", "linear:S=1024-2047,K=256,O=64,bias=0,type=f32");
    bucket_is("attention:Sq=200,Sk=64,N=2,D=128",
              "attention:Sq=128-255,Sk=64-127,N=2,D=128,type=f32");
    bucket_is("conv3d:T=4,H=40,W=64,C=16,O=8,P=2,aux=1,type=f16",
              "conv3d:C=16,O=8,aux=1,voxels=8192-16383,type=f16");
    bucket_is("conv3d:T=1,H=80,W=128,C=16,O=8,kt=1,lead=0",
              "conv3d:C=16,O=8,kt=1,voxels=8192-16383,type=f32");
}

static void no_variant_of_another_build_is_fresh(void **state)
{
    int count;
    const struct registry_entry *all = registry(&count);
    struct tuned_line l = line_named("linear:S=1,K=2,O=3,type=f32", "c_01_plain");
    const struct registry_entry *plain = registry_find(OP_linear, "c_01_plain");
    (void)state;
    assert_non_null(plain);
    for (int i = 0; i < count; i++) {
        assert_true(all[i].source_hash != 0);
        for (int k = 0; k < i; k++)
            if (all[i].source_hash == all[k].source_hash)
                fail_msg("%s and %s hash alike", all[i].origin, all[k].origin);
    }
    l.source = l.against_source = plain->source_hash;
    assert_true(tuned_is_fresh(&l));
    l.against_source ^= 1;
    assert_false(tuned_is_fresh(&l));
    l.against_source = l.source;
    l.source ^= 1;
    assert_false(tuned_is_fresh(&l));
    l.source = l.against_source;
    snprintf(l.variant, sizeof l.variant, "gone_01_away");
    assert_false(tuned_is_fresh(&l));
}

/* ---- arithmetic ahead of a search ------------------------------------------------------------ */

static const struct variant tiled = {.abi = PATCHMARK_ABI,
                                     .op = "linear",
                                     .name = "tiled_01_x",
                                     .knob = {{"rows", 4, {96, 48, 4096, 192}},
                                              {"depth", 3, {256, 4096, 128}},
                                              {"order", 2, {0, 1}}}};

/* What is said of one setting; "" where it is left in the race. */
static const char *pruned(const char *target, const char *shape, int64_t rows, int64_t depth,
                          size_t scratch, double budget_s)
{
    static char why[256];
    const struct registry_entry entry = {&tiled, "linear", "tiled_01_x", target, "", NULL, 0, 1};
    struct candidate c = {.entry = &entry, .knob = {rows, depth, 0}};
    const struct need need = {.threads = 1, .scratch_bytes = scratch};
    struct problem p;
    assert_int_equal(shape_parse(shape, &p, NULL), ST_OK);
    c.distance = (rows != 96) + (depth != 256);
    tune_prune(&p, &c, &need, budget_s, 1, why, sizeof why);
    return why;
}

static void arithmetic_rules_out(void **state)
{
    const char *small = "linear:S=100,K=200,O=64", *large = "linear:S=4096,K=4096,O=64";
    int64_t cache;
    (void)state;
    assert_string_equal(pruned("x", small, 96, 256, 0, 10), "");
    assert_string_equal(pruned("x", small, 48, 128, 0, 10), "");
    /* 192 rows are the least that reach 100; depth's default reaches 200 as well as any */
    assert_string_equal(pruned("x", small, 192, 256, 0, 10), "");
    assert_non_null(strstr(pruned("x", small, 4096, 256, 0, 10), "rows=4096 is past"));
    assert_non_null(strstr(pruned("x", small, 96, 4096, 0, 10), "depth=4096 is past"));
    assert_non_null(strstr(pruned("x", small, 96, 256, (size_t)1 << 60, 10), "GB are free"));
    if (sysfile_int(&cache, "/sys/devices/system/cpu/cpu0/cache/index2/level"))
        assert_non_null(strstr(pruned("x", large, 4096, 4096, 0, 10), "its tiles take 65536 KiB"));
    assert_non_null(strstr(pruned("c", large, 96, 256, 0, 1), "a plain loop would take"));
    assert_string_equal(pruned("c", large, 96, 256, 0, 1000), "");
    assert_string_equal(pruned("x", large, 96, 256, 0, 1), "");
}

/* A changed header makes another hash of the variants that include it, and of no others. */
static void hashes_follow_includes(void **state)
{
    const char *script = at("%s/hashes.sh", folder), *tree = at("%s/tree", folder);
    (void)state;
    file_write(
        script,
        "#!/bin/sh\n"
        "set -e\nroot=$PWD\nmkdir -p $1/kernels/f/a $1/kernels/f/b $1/kernels/target\ncd $1\n"
        "echo '#include \"f/a/idea.h\"' >kernels/f/a/c_01_x.c\n"
        "echo '#include \"target/t.h\"' >kernels/f/a/idea.h\n"
        "echo 1 >kernels/target/t.h\necho 2 >kernels/f/b/c_01_x.c\n"
        "list() { printf 'kernels/f/a/c_01_x.c|\\nkernels/f/b/c_01_x.c|\\n' |"
        " $root/harness/scripts/registry.sh | grep -o 'UINT64_C([^)]*)'; }\n"
        "list >before\necho 3 >kernels/target/t.h\nlist >after\n"
        "[ \"$(head -1 before)\" != \"$(head -1 after)\" ]\n"
        "[ \"$(tail -1 before)\" = \"$(tail -1 after)\" ]\n",
        true);
    const char *argv[] = {script, tree, NULL};
    struct spawned s = spawn_program((char *const *)argv, NULL);
    if (s.code)
        fail_msg("exit %d: %s%s", s.code, s.out, s.err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_table_cut_short_anywhere_is_refused),
        cmocka_unit_test(a_changed_byte_is_refused),
        cmocka_unit_test(the_line_is_named),
        cmocka_unit_test(lines_that_go_come_or_move_are_seen),
        cmocka_unit_test(other_versions_and_machines_are_refused),
        cmocka_unit_test(sealed_nonsense_is_refused),
        cmocka_unit_test(lines_are_replaced_and_dropped_by_key),
        cmocka_unit_test(a_refused_table_is_kept_aside),
        cmocka_unit_test(writers_do_not_lose_lines),
        cmocka_unit_test(kills_leave_a_table),
        cmocka_unit_test(buckets),
        cmocka_unit_test(no_variant_of_another_build_is_fresh),
        cmocka_unit_test(arithmetic_rules_out),
        cmocka_unit_test(hashes_follow_includes),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
