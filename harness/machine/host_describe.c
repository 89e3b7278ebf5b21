// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* The environment of a result, as far as Linux tells it cheaply and without root:
 * results/SCHEMA.md, "host". Nothing here names a person or a machine: no host or user name,
 * serial, address or UUID (a GPU's is asked for to find it again in NVML, and not written). */
#include "base/sysfile.h"
#include "machine/cgroup.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "machine/nvml.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif
#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef HAVE_PAPI
#include <papi.h>
#endif
#ifdef HAVE_BENCHMARK
#include "timing/gbench.h"
#endif
#ifdef HAVE_FFMPEG
#include <libavutil/avutil.h>
#endif
#ifdef HAVE_JANSSON
#include <jansson.h>
#endif
#ifdef HAVE_HWLOC
#include <hwloc.h>
#endif

#define CPU_DIR "/sys/devices/system/cpu"

/* ---- plain files ----------------------------------------------------------------------------- */

/* One line of one file, under one name. */
struct line_row {
    const char *key, *path, *why;
};

static void describe_lines(struct json *j, const struct line_row *row, size_t count)
{
    char line[256];
    for (size_t i = 0; i < count; i++)
        if (sysfile_line(line, sizeof line, "%s", row[i].path))
            json_text(j, row[i].key, line);
        else
            json_unavailable(j, row[i].key, row[i].why);
}

static const struct line_row power_rows[] = {
    {"governor", CPU_DIR "/cpu0/cpufreq/scaling_governor",
     "this kernel shows no cpufreq governor, as usual in virtual machines"},
    {"frequency_driver", CPU_DIR "/cpu0/cpufreq/scaling_driver", "no cpufreq driver"},
    {"smt", CPU_DIR "/smt/control", "this kernel does not tell"},
    {"transparent_hugepages", "/sys/kernel/mm/transparent_hugepage/enabled",
     "this kernel has none or does not tell"},
    {"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource",
     "this kernel does not tell"},
    {"load_average", "/proc/loadavg", "no /proc/loadavg"},
};

/* Readable without root; the serial numbers beside them are not asked for. */
static const struct line_row board_rows[] = {
    {"vendor", "/sys/class/dmi/id/sys_vendor", "no DMI table"},
    {"product", "/sys/class/dmi/id/product_name", "no DMI table"},
    {"board", "/sys/class/dmi/id/board_name", "no DMI table"},
    {"bios", "/sys/class/dmi/id/bios_version", "no DMI table"},
};

/* One field of a file of "key: value" lines. */
struct field_row {
    const char *key, *path, *field, *why;
};
static const struct field_row cpu_rows[] = {
    {"vendor", "/proc/cpuinfo", "vendor_id", "not in /proc/cpuinfo on this architecture"},
    {"family", "/proc/cpuinfo", "cpu family", "not in /proc/cpuinfo on this architecture"},
    {"model_number", "/proc/cpuinfo", "model\t", "not in /proc/cpuinfo on this architecture"},
    {"stepping", "/proc/cpuinfo", "stepping", "not in /proc/cpuinfo on this architecture"},
    {"microcode", "/proc/cpuinfo", "microcode", "not shown by this kernel or hypervisor"},
};
static const struct field_row memory_rows[] = {
    {"total_bytes", "/proc/meminfo", "MemTotal", "no /proc/meminfo"},
    {"available_bytes", "/proc/meminfo", "MemAvailable", "kernel older than 3.14"},
    {"swap_bytes", "/proc/meminfo", "SwapTotal", "no /proc/meminfo"},
};

/* ---- processor ------------------------------------------------------------------------------- */

/* Distinct values of topology files over all CPUs: packages, or cores as (package, core). */
static int64_t count_distinct(bool cores)
{
    enum { CPUS_MAX = 4096 };
    static int64_t seen[CPUS_MAX];
    int64_t count = 0, package, core = 0, cpus = sysconf(_SC_NPROCESSORS_CONF);
    for (int cpu = 0; cpu < CPUS_MAX && cpu < cpus; cpu++) {
        if (!sysfile_int(&package, CPU_DIR "/cpu%d/topology/physical_package_id", cpu) ||
            (cores && !sysfile_int(&core, CPU_DIR "/cpu%d/topology/core_id", cpu)))
            continue; /* offline */
        int64_t id = package << 32 | core, i = 0;
        while (i < count && seen[i] != id)
            i++;
        seen[i] = id;
        count += i == count;
    }
    return count;
}

static void count_or_why(struct json *j, const char *key, int64_t count, const char *why)
{
    if (count > 0)
        json_int(j, key, count);
    else
        json_unavailable(j, key, why);
}

static void describe_features(struct json *j)
{
    uint64_t features = host_cpu_features();
    json_open_array(j, "features");
    for (int bit = 0; bit < 64; bit++)
        if (features >> bit & 1)
            json_text(j, NULL, host_feature_name(UINT64_C(1) << bit));
    json_end(j);
}

static void describe_caches(struct json *j)
{
    char type[32], shared[64];
    int64_t level, kib;
    json_open_array(j, "caches");
    for (int i = 0; sysfile_int(&level, CPU_DIR "/cpu0/cache/index%d/level", i); i++) {
        if (!sysfile_line(type, sizeof type, CPU_DIR "/cpu0/cache/index%d/type", i) ||
            !sysfile_int(&kib, CPU_DIR "/cpu0/cache/index%d/size", i))
            continue;
        json_open_object(j, NULL);
        json_int(j, "level", level);
        json_text(j, "type", type);
        json_int(j, "bytes", kib * 1024);
        bool known =
            sysfile_line(shared, sizeof shared, CPU_DIR "/cpu0/cache/index%d/shared_cpu_list", i);
        json_text(j, "shared_by_cpus", known ? shared : NULL);
        json_end(j);
    }
    json_end(j);
}

static void describe_cpu(struct json *j)
{
    char text[128];
    json_open_object(j, "cpu");
    json_text(j, "model", host_cpu_model());
    for (size_t i = 0; i < sizeof cpu_rows / sizeof *cpu_rows; i++)
        if (sysfile_field(cpu_rows[i].path, cpu_rows[i].field, text, sizeof text))
            json_text(j, cpu_rows[i].key, text);
        else
            json_unavailable(j, cpu_rows[i].key, cpu_rows[i].why);
    count_or_why(j, "sockets", count_distinct(false), "no topology in /sys");
    count_or_why(j, "cores", count_distinct(true), "no topology in /sys");
    json_int(j, "threads", sysconf(_SC_NPROCESSORS_ONLN));
    json_int(j, "usable_threads", host_cores());
    double quota = cgroup_cpu_quota("");
    if (quota > 0)
        json_number(j, "cgroup_quota_cpus", quota);
    else
        json_unavailable(j, "cgroup_quota_cpus", "no limit is set");
    describe_features(j);
    describe_caches(j);
    json_end(j);
}

/* Two kernels' ways to say it, one of them the other way round. */
static void describe_boost(struct json *j)
{
    int64_t value;
    if (sysfile_int(&value, CPU_DIR "/cpufreq/boost"))
        json_bool(j, "boost", value != 0);
    else if (sysfile_int(&value, CPU_DIR "/intel_pstate/no_turbo"))
        json_bool(j, "boost", value == 0);
    else
        json_unavailable(j, "boost", "this kernel does not tell, as usual in virtual machines");
}

/* ---- machine --------------------------------------------------------------------------------- */

static int64_t count_nodes(void)
{
    DIR *dir = opendir("/sys/devices/system/node");
    int64_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, "node", 4) == 0 && entry->d_name[4] >= '0' &&
                 entry->d_name[4] <= '9';
    if (dir)
        closedir(dir);
    return count;
}

static void describe_memory(struct json *j)
{
    int64_t value;
    json_open_object(j, "memory");
    for (size_t i = 0; i < sizeof memory_rows / sizeof *memory_rows; i++)
        if (sysfile_field_int(memory_rows[i].path, memory_rows[i].field, &value))
            json_int(j, memory_rows[i].key, value * 1024);
        else
            json_unavailable(j, memory_rows[i].key, memory_rows[i].why);
    uint64_t limit = cgroup_memory_limit("");
    if (limit != UINT64_MAX)
        json_int(j, "cgroup_limit_bytes", (int64_t)limit);
    else
        json_unavailable(j, "cgroup_limit_bytes", "no limit is set");
    if (sysfile_field_int("/proc/meminfo", "HugePages_Total", &value))
        json_int(j, "hugepages", value);
    else
        json_unavailable(j, "hugepages", "this kernel has none");
    json_unavailable(j, "speed", "needs root (DMI type 17)");
    count_or_why(j, "numa_nodes", count_nodes(), "no NUMA folder in /sys");
    json_end(j);
}

static void describe_virtualisation(struct json *j)
{
#ifdef __x86_64__
    unsigned eax, ebx, ecx, edx;
    bool guest = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx >> 31 & 1);
    json_bool(j, "virtualised", guest);
    if (!guest) {
        json_unavailable(j, "hypervisor", "not virtualised");
        return;
    }
    char name[13] = "";
    __cpuid(0x40000000, eax, ebx, ecx, edx);
    memcpy(name, &ebx, 4);
    memcpy(name + 4, &ecx, 4);
    memcpy(name + 8, &edx, 4);
    json_text(j, "hypervisor", name);
#else
    json_unavailable(j, "virtualised", "this architecture has no unprivileged way to tell");
    json_unavailable(j, "hypervisor", "this architecture has no unprivileged way to tell");
#endif
}

/* Speculation defences cost time, so a result says which are on: names of what is left vulnerable,
 * and how many are mitigated. */
static void describe_mitigations(struct json *j)
{
    DIR *dir = opendir(CPU_DIR "/vulnerabilities");
    if (!dir) {
        json_unavailable(j, "mitigations", "this kernel does not tell");
        return;
    }
    char line[256];
    int64_t mitigated = 0, unaffected = 0;
    json_open_object(j, "mitigations");
    json_open_array(j, "vulnerable");
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.' ||
            !sysfile_line(line, sizeof line, CPU_DIR "/vulnerabilities/%s", entry->d_name))
            continue;
        mitigated += strncmp(line, "Mitigation", 10) == 0;
        unaffected += strncmp(line, "Not affected", 12) == 0;
        if (strncmp(line, "Vulnerable", 10) == 0)
            json_text(j, NULL, entry->d_name);
    }
    closedir(dir);
    json_end(j);
    json_int(j, "mitigated", mitigated);
    json_int(j, "not_affected", unaffected);
    json_end(j);
}

/* ---- software -------------------------------------------------------------------------------- */

/* os-release quotes its values: PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" */
static void describe_distribution(struct json *j)
{
    char line[256];
    FILE *file = fopen("/etc/os-release", "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, "PRETTY_NAME=", 12) == 0;
    if (file)
        fclose(file);
    if (!found) {
        json_unavailable(j, "distribution", "no /etc/os-release");
        return;
    }
    char *name = line + 12 + (line[12] == '"');
    name[strcspn(name, "\"\n")] = '\0';
    json_text(j, "distribution", name);
}

static void describe_system(struct json *j)
{
    struct utsname name;
    if (uname(&name) == 0) {
        json_text(j, "system", name.sysname);
        json_text(j, "kernel", name.release);
        json_text(j, "architecture", name.machine);
    }
    describe_distribution(j);
#ifdef __GLIBC__
    char libc[64];
    snprintf(libc, sizeof libc, "glibc %s", gnu_get_libc_version());
    json_text(j, "libc", libc);
#else
    json_unavailable(j, "libc", "not glibc");
#endif
}

#define NOT_BUILT "not built in"

static void describe_libraries(struct json *j)
{
    const char *openblas = NULL, *benchmark = NULL, *ffmpeg = NULL, *jansson = NULL;
    char papi[32] = "", hwloc[32] = "";
#ifdef HAVE_OPENBLAS
    openblas = openblas_get_config();
#endif
#ifdef HAVE_PAPI
    snprintf(papi, sizeof papi, "%d.%d.%d", PAPI_VERSION_MAJOR(PAPI_VERSION),
             PAPI_VERSION_MINOR(PAPI_VERSION), PAPI_VERSION_REVISION(PAPI_VERSION));
#endif
#ifdef HAVE_BENCHMARK
    benchmark = gbench_library();
#endif
#ifdef HAVE_FFMPEG
    ffmpeg = av_version_info();
#endif
#ifdef HAVE_JANSSON
    jansson = JANSSON_VERSION;
#endif
#ifdef HAVE_HWLOC
    unsigned version = hwloc_get_api_version();
    snprintf(hwloc, sizeof hwloc, "API %u.%u.%u", version >> 16, version >> 8 & 0xFF,
             version & 0xFF);
#endif
    const struct {
        const char *key, *version;
    } rows[] = {{"openblas", openblas},   {"papi", papi[0] ? papi : NULL},
                {"benchmark", benchmark}, {"ffmpeg", ffmpeg},
                {"jansson", jansson},     {"hwloc", hwloc[0] ? hwloc : NULL}};
    json_open_object(j, "libraries");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].version)
            json_text(j, rows[i].key, rows[i].version);
        else
            json_unavailable(j, rows[i].key, NOT_BUILT);
    json_end(j);
}

/* ---- CUDA devices ---------------------------------------------------------------------------- */

/* What CUDA says in one number: 13000, 91300 and 130100 are 13.0, 9.13.0 and 13.1.0. */
static void describe_version(struct json *j, const char *key, int64_t version, const char *why)
{
    char text[48];
    bool patched = version >= 50000;
    int64_t minor = version / (patched ? 100 : 10) % 100;
    if (version <= 0) {
        json_unavailable(j, key, why);
        return;
    }
    snprintf(text, sizeof text, "%lld.%lld", (long long)(version / (patched ? 10000 : 1000)),
             (long long)minor);
    if (patched)
        snprintf(text + strlen(text), sizeof text - strlen(text), ".%lld",
                 (long long)(version % 100));
    json_text(j, key, text);
}

/* The libraries of the _00_ variants, as the loader finds them; the first that answers. They stay
 * loaded: they are not made to be unloaded. */
static int64_t library_version(const char *const *files, const char *symbol)
{
    for (; *files; files++) {
        void *file = dlopen(*files, RTLD_LAZY | RTLD_LOCAL);
        size_t (*version)(void) = NULL;
        if (file)
            *(void **)&version = dlsym(file, symbol);
        if (version && version() > 0)
            return (int64_t)version();
    }
    return 0;
}

static void describe_cuda(struct json *j, const struct gpu_info *first)
{
    static const char *const cublaslt[] = {"libcublasLt.so.13", "libcublasLt.so.12", NULL};
    static const char *const cudnn[] = {"libcudnn.so.9", NULL};
    const char *why = "not found by the loader";
    json_open_object(j, "cuda");
    describe_version(j, "driver", first->driver, "the driver does not tell");
    describe_version(j, "runtime", first->runtime, "the runtime does not tell");
    describe_version(j, "cublaslt", library_version(cublaslt, "cublasLtGetVersion"), why);
    describe_version(j, "cudnn", library_version(cudnn, "cudnnGetVersion"), why);
    json_end(j);
}

static void describe_gpu(struct json *j, const struct gpu_info *g)
{
    char architecture[32];
    struct fault fault = {{0}};
    struct nvml *n = NULL;
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {{"processors", g->processors},      {"memory_bytes", (int64_t)g->memory_bytes},
                  {"l2_bytes", (int64_t)g->l2_bytes}, {"shared_bytes", (int64_t)g->shared_bytes},
                  {"clock_hz", g->clock_hz},          {"memory_clock_hz", g->memory_clock_hz},
                  {"bus_bits", g->bus_bits}};
    snprintf(architecture, sizeof architecture, "%d.%d", g->major, g->minor);
    json_open_object(j, NULL);
    json_text(j, "model", g->name);
    json_bool(j, "emulated", g->emulated);
    json_text(j, "compute_capability", architecture);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        count_or_why(j, counts[i].key, counts[i].value, "CUDA does not tell");
    if (g->emulated)
        nvml_describe(NULL, "emulated", j);
    else {
        nvml_open(g->uuid, &n, &fault);
        nvml_describe(n, fault.text, j);
        nvml_close(n);
    }
    json_end(j);
}

/* All devices of this machine, in CUDA's order; which one served is in each case's recipe. */
static void describe_gpus(struct json *j)
{
    struct fault fault = {{0}};
    struct gpu_info info, first;
    int count = 0;
    enum status status = gpu_count(&count, &fault);
    if (status == ST_OK && count > 0)
        status = gpu_describe(0, &first, &fault);
    if (status != ST_OK || count == 0) {
        const char *why = fault.text[0] ? fault.text : "there is no CUDA device";
        json_unavailable(j, "gpus", why);
        json_unavailable(j, "cuda", why);
        return;
    }
    json_open_array(j, "gpus");
    for (int i = 0; i < count; i++)
        if (gpu_describe(i, &info, &fault) == ST_OK)
            describe_gpu(j, &info);
    json_end(j);
    describe_cuda(j, &first);
}

/* Only variables known to change speed; the rest of the environment is nobody's business. */
static void describe_environment(struct json *j)
{
    static const char *const names[] = {
        "OMP_NUM_THREADS",         "OMP_PROC_BIND",        "OMP_PLACES",
        "OMP_WAIT_POLICY",         "OMP_DYNAMIC",          "OMP_SCHEDULE",
        "GOMP_CPU_AFFINITY",       "GOMP_SPINCOUNT",       "OPENBLAS_NUM_THREADS",
        "OPENBLAS_CORETYPE",       "GOTO_NUM_THREADS",     "MALLOC_ARENA_MAX",
        "GLIBC_TUNABLES",          "CUDA_VISIBLE_DEVICES", "OPENBLAS_THREAD_TIMEOUT",
        "CUDA_DEVICE_ORDER",       "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING",
        "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "PATCHMARK_POWERCAP",
    };
    json_open_object(j, "environment");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getenv(names[i]))
            json_text(j, names[i], getenv(names[i]));
    json_end(j);
}

void host_describe(struct json *j)
{
    json_text(j, "machine", host_machine_slug());
    describe_cpu(j);
    describe_memory(j);
    json_open_object(j, "board");
    describe_lines(j, board_rows, sizeof board_rows / sizeof *board_rows);
    json_end(j);
    describe_boost(j);
    describe_lines(j, power_rows, sizeof power_rows / sizeof *power_rows);
    describe_virtualisation(j);
    describe_mitigations(j);
    describe_system(j);
    describe_libraries(j);
    describe_gpus(j);
    describe_environment(j);
}
