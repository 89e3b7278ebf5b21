// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* check_host.c   What the program says of its machine, and the limits of containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/out_file.h"
#include "base/sysfile.h"
#include "machine/cgroup.h"
#include "machine/host.h"
#include "support/files.h"
#include "support/json_check.h"
#include "support/spawn.h"

/* ---- this machine ---------------------------------------------------------------------------- */

static char *describe(void)
{
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    host_describe(&j);
    json_end(&j);
    assert_false(j.failed);
    return j.text;
}

static void the_description_is_json_with_all_members(void **state)
{
    (void)state;
    static const char *const members[] = {
        "machine",      "cpu",      "model",     "sockets",     "cores",      "usable_threads",
        "features",     "caches",   "memory",    "total_bytes", "numa_nodes", "board",
        "boost",        "governor", "smt",       "virtualised", "hypervisor", "mitigations",
        "kernel",       "libc",     "libraries", "openblas",    "papi",       "environment",
        "load_average", "gpus",     "cuda"};
    char *text = describe();
    assert_true(json_valid(text));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!strstr(text, at("\"%s\": ", members[i])))
            fail_msg("no member %s", members[i]);
    free(text);
}

/* As a word of its own: a host may be called "linux" and a user "cpu". */
static bool says(const char *text, const char *value)
{
    return value[0] && strstr(text, at("\"%s\"", value)) != NULL;
}

static void the_description_names_nobody(void **state)
{
    (void)state;
    char host[256] = "", *text = describe();
    static const char *const words[] = {"serial", "uuid", "hostname", "user", "address"};
    gethostname(host, sizeof host - 1);
    assert_false(says(text, host));
    struct passwd *user = getpwuid(getuid());
    assert_false(user && says(text, user->pw_name));
    for (char *c = text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_null(strstr(text, at("\"%s", words[i])));
    free(text);
}

static void features_agree_with_the_kernel(void **state)
{
    (void)state;
#ifdef __x86_64__
    static const struct {
        uint64_t bit;
        const char *flag;
    } rows[] = {{CPU_SSE42, " sse4_2"},
                {CPU_AVX2, " avx2"},
                {CPU_F16C, " f16c"},
                {CPU_AVX512, " avx512vl"},
                {CPU_AVX512_BF16, " avx512_bf16"},
                {CPU_AVX512_VNNI, " avx512_vnni"},
                {CPU_AVX512_FP16, " avx512_fp16"},
                {CPU_AVX_VNNI, " avx_vnni"},
                {CPU_AMX_BF16, " amx_bf16"},
                {CPU_AMX_INT8, " amx_int8"}};
    char flags[4096] = " ";
    assert_true(sysfile_field("/proc/cpuinfo", "flags", flags + 1, sizeof flags - 1));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool ours = host_cpu_features() & rows[i].bit;
        if (ours != (strstr(flags, rows[i].flag) != NULL))
            fail_msg("%s: we say %d", rows[i].flag, ours);
    }
#endif
    assert_int_equal(host_cpu_features(), host_cpu_features());
    assert_string_equal(host_feature_name(CPU_AVX2), "avx2");
    assert_string_equal(host_feature_name(0), "unknown");
}

static void sizes_are_plausible(void **state)
{
    (void)state;
    int64_t total_kib;
    assert_true(host_cores() >= 1 && host_cores() <= sysconf(_SC_NPROCESSORS_CONF));
    assert_true(sysfile_field_int("/proc/meminfo", "MemTotal", &total_kib));
    assert_true(host_memory_available() > 0);
    assert_true(host_memory_available() <= (size_t)total_kib * 1024);
    size_t before = host_peak_resident(), bytes = (size_t)64 << 20;
    volatile char *block = malloc(bytes); /* else a compiler may leave the stores out */
    for (size_t i = 0; i < bytes; i += 1024)
        block[i] = 1;
    assert_true(host_peak_resident() >= before + bytes / 2);
    free((void *)block);
}

static void cores_follow_affinity(void **state)
{
    (void)state;
    cpu_set_t old, one;
    assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
    int first = 0;
    while (!CPU_ISSET(first, &old))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int cores = host_cores();
    assert_int_equal(sched_setaffinity(0, sizeof old, &old), 0);
    assert_int_equal(cores, 1);
}

static void the_slug_is_a_plain_word(void **state)
{
    (void)state;
    const char *slug = host_machine_slug();
    size_t n = strlen(slug);
    assert_true(n > 7 && n < 80);
    for (size_t i = 0; i < n; i++)
        assert_true(islower((unsigned char)slug[i]) || isdigit((unsigned char)slug[i]) ||
                    slug[i] == '-');
    assert_int_equal(slug[n - 7], '-');
    assert_int_not_equal(slug[0], '-');
    assert_null(strstr(slug, "--"));
    assert_string_equal(slug, host_machine_slug());
}

static void the_build_is_known(void **state)
{
    (void)state;
    assert_true(strlen(build_commit()) > 0);
    assert_true(strlen(build_compiler()) > 0);
    assert_non_null(build_flags());
    assert_non_null(build_without());
}

/* ---- containers, as trees of files ----------------------------------------------------------- */

static char *root;

static int make_root(void **state)
{
    (void)state;
    root = temporary_folder();
    return 0;
}

static int drop_root(void **state)
{
    (void)state;
    temporary_remove(root);
    return 0;
}

static void put(const char *path, const char *text)
{
    char *parent = strdup(at("%s/%s", root, path));
    struct fault fault = {0};
    *strrchr(parent, '/') = '\0';
    if (folder_create(parent, &fault) != ST_OK)
        fail_msg("%s", fault.text);
    free(parent);
    file_put(at("%s/%s", root, path), text, strlen(text));
}

static void no_cgroup_is_no_limit(void **state)
{
    (void)state;
    assert_true(cgroup_cpu_quota(root) == 0);
    assert_true(cgroup_memory_limit(root) == UINT64_MAX);
    assert_true(cgroup_memory_free(root) == UINT64_MAX);
    assert_int_equal(cgroup_throttled(root), 0);
}

static void version_two_takes_the_tightest_level(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/batch/job\n");
    put("sys/fs/cgroup/batch/job/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/batch/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/batch/job/memory.max", "max\n");
    put("sys/fs/cgroup/batch/memory.max", "1000000\n");
    put("sys/fs/cgroup/batch/memory.current", "600000\n");
    put("sys/fs/cgroup/batch/memory.stat", "anon 1\ninactive_file 100000\nactive_file 7\n");
    put("sys/fs/cgroup/batch/cpu.stat", "usage_usec 9\nnr_periods 8\nnr_throttled 3\n");
    put("sys/fs/cgroup/batch/job/cpu.stat", "nr_periods 8\nnr_throttled 4\n");
    assert_int_equal(cgroup_throttled(root), 7);
    assert_true(cgroup_cpu_quota(root) == 1.5);
    assert_true(cgroup_memory_limit(root) == 1000000);
    assert_true(cgroup_memory_free(root) == 500000);
}

/* The path is the host's and does not exist inside; the container's own group is the root. */
static void version_one_in_a_container(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:cpuset:/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "8192\n");
    assert_true(cgroup_cpu_quota(root) == 0.5);
    assert_true(cgroup_memory_limit(root) == 4096);
    assert_true(cgroup_memory_free(root) == 0);
}

static void version_one_without_limits(void **state)
{
    (void)state;
    put("proc/self/cgroup", "5:memory:/\n3:cpu,cpuacct:/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", "8192\n");
    assert_true(cgroup_cpu_quota(root) == 0);
    assert_true(cgroup_memory_free(root) == UINT64_MAX);
}

static void nonsense_is_no_limit(void **state)
{
    (void)state;
    put("proc/self/cgroup", "\nx\n0::\n0::relative\n::::\n");
    put("sys/fs/cgroup/cpu.max", "nonsense\n");
    put("sys/fs/cgroup/memory.max", "99999999999999999999999\n");
    assert_true(cgroup_cpu_quota(root) == 0);
    assert_true(cgroup_memory_free(root) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_description_is_json_with_all_members),
        cmocka_unit_test(the_description_names_nobody),
        cmocka_unit_test(features_agree_with_the_kernel),
        cmocka_unit_test(sizes_are_plausible),
        cmocka_unit_test(cores_follow_affinity),
        cmocka_unit_test(the_slug_is_a_plain_word),
        cmocka_unit_test(the_build_is_known),
        cmocka_unit_test_setup_teardown(no_cgroup_is_no_limit, make_root, drop_root),
        cmocka_unit_test_setup_teardown(version_two_takes_the_tightest_level, make_root, drop_root),
        cmocka_unit_test_setup_teardown(version_one_in_a_container, make_root, drop_root),
        cmocka_unit_test_setup_teardown(version_one_without_limits, make_root, drop_root),
        cmocka_unit_test_setup_teardown(nonsense_is_no_limit, make_root, drop_root),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
