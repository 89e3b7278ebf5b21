// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_topology.c   Which processors threads get: of planted machines, of this one, and where the
 * threads of OpenMP and OpenBLAS really are. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/out_file.h"
#include "machine/topology.h"
#include "support/files.h"

#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

/* As `mkdir -p` of all but the last part, then the file. */
static void put(const char *path, const char *text)
{
    char parent[512];
    struct fault fault;
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(folder_create(parent, &fault), ST_OK);
    file_put(path, text, strlen(text));
}

/* One processor of a planted machine. */
static void plant(const char *machine, int cpu, int node, const char *siblings)
{
    put(at("%s/%s/sys/devices/system/cpu/cpu%d/topology/core_cpus_list", folder, machine, cpu),
        siblings);
    put(at("%s/%s/sys/devices/system/node/node%d/cpu%d/topology/core_id", folder, machine, node,
           cpu),
        "0\n");
}

static struct topology read_planted(const char *machine, const char *allowed)
{
    static struct topology t;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (; *allowed; allowed++)
        CPU_SET(*allowed - '0', &set);
    topology_from_sys(at("%s/%s", folder, machine), &set, &t);
    return t;
}

static void expect(const struct topology *t, int cores, const char *order)
{
    char got[32] = "";
    for (int i = 0; i < t->count && i < 31; i++)
        got[i] = (char)('0' + t->cpu[i]);
    assert_string_equal(got, order);
    assert_int_equal(t->cores, cores);
}

/* Two nodes of two cores of two threads, numbered as some firmware does: node by turns. */
static void cores_come_before_their_second_threads(void **state)
{
    (void)state;
    for (int cpu = 0; cpu < 8; cpu++) {
        char siblings[16];
        snprintf(siblings, sizeof siblings, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        plant("two", cpu, cpu % 2, siblings);
    }
    struct topology t = read_planted("two", "01234567");
    expect(&t, 4, "02134567");
    assert_string_equal(t.by, "/sys");
}

/* A cpuset may leave out the first thread of a core, or whole cores. */
static void what_is_not_allowed_is_left_out(void **state)
{
    (void)state;
    struct topology t = read_planted("two", "4567");
    expect(&t, 4, "4657");
    t = read_planted("two", "156");
    expect(&t, 2, "615"); /* 6 is of the first node; 5 shares a core with 1 */
    plant("ranges", 0, 0, "0-1\n");
    plant("ranges", 1, 0, "0-1\n");
    plant("ranges", 2, 0, "2-3\n");
    plant("ranges", 3, 0, "2-3\n");
    t = read_planted("ranges", "0123");
    expect(&t, 2, "0213");
}

static void unknown_machines_are_taken_as_numbered(void **state)
{
    (void)state;
    struct topology t = read_planted("nothing", "0124");
    expect(&t, 0, "0124");
    assert_string_equal(t.by, "none");
}

static void choices_say_why_not(void **state)
{
    (void)state;
    struct pinning p;
    pinning_choose("cores", 1, &p);
    assert_int_equal(p.count, 1);
    pinning_choose("none", 1, &p);
    assert_int_equal(p.count, 0);
    assert_string_equal(p.list, "-");
    assert_string_equal(p.why, "--pin none");
    pinning_choose("cores", 4000, &p);
    assert_int_equal(p.count, 0);
    assert_non_null(strstr(p.why, "4000 threads are more than"));
    assert_true(pinning_is_wish("cores") && pinning_is_wish("none") && !pinning_is_wish("yes"));
}

static void environment_has_a_place_for_each_thread(void **state)
{
    (void)state;
    const char *words[] = {"worker", "kernels", "--cpus", "0,12,3", "--threads", "3", NULL};
    char *own[PINNING_VARIABLES];
    int n = pinning_environment(words, own);
    assert_int_equal(n, 4);
    assert_string_equal(own[0], "OMP_NUM_THREADS=3");
    assert_string_equal(own[1], "OPENBLAS_NUM_THREADS=3");
    assert_string_equal(own[2], "OMP_PROC_BIND=true");
    assert_string_equal(own[3], "OMP_PLACES={0},{12},{3}");
    assert_true(pinning_replaces(own, n, "OMP_PLACES=cores"));
    assert_true(pinning_replaces(own, n, "GOMP_CPU_AFFINITY=0-3"));
    assert_false(pinning_replaces(own, n, "OMP_WAIT_POLICY=active"));
    while (n)
        free(own[--n]);
    words[3] = "-";
    n = pinning_environment(words, own);
    assert_int_equal(n, 2); /* nowhere in particular, but as many as asked for */
    assert_false(pinning_replaces(own, n, "OMP_PLACES=cores"));
    while (n)
        free(own[--n]);
    words[2] = "--seed";
    assert_int_equal(pinning_environment(words, own), 0);
}

/* Every thread of this process ends up where it should: none shares the main thread's core. */
static void threads_are_where_they_should_be(void **state)
{
    (void)state;
    struct topology t;
    struct pinned p;
    struct pinning two;
    char want[64];
    topology_read(&t);
    if (t.count < 2)
        skip();
    pinning_choose("cores", 2, &two);
    pinning_apply(two.list, 2, &p);
#ifdef HAVE_OPENBLAS
    static float a[256 * 256], c[256 * 256];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 256, 256, 256, 1, a, 256, a, 256, 0, c,
                256);
    pinning_apply(two.list, 2, &p); /* its threads may have begun just now */
    assert_int_equal(p.openblas, 2);
#endif
    assert_int_equal(p.openmp, 2);
    snprintf(want, sizeof want, "%d,%d", t.cpu[0], t.cpu[1]);
    assert_string_equal(p.cpus, want);
    for (const char *next = p.other_cpus; *next && *next != '-';) {
        char *end;
        assert_int_equal(strtol(next, &end, 10), t.cpu[1]);
        next = *end ? end + 1 : end;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cores_come_before_their_second_threads),
        cmocka_unit_test(what_is_not_allowed_is_left_out),
        cmocka_unit_test(unknown_machines_are_taken_as_numbered),
        cmocka_unit_test(choices_say_why_not),
        cmocka_unit_test(environment_has_a_place_for_each_thread),
        cmocka_unit_test(threads_are_where_they_should_be),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_drop);
}
