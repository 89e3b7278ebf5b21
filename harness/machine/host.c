// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "machine/host.h"

#include "base/sysfile.h"
#include "build_info.h"
#include "machine/cgroup.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "records/record.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* ---- features -------------------------------------------------------------------------------- */

static const struct {
    uint64_t bit;
    const char *name;
} feature_names[] = {
    {CPU_SSE42, "sse4.2"},
    {CPU_AVX2, "avx2"},
    {CPU_F16C, "f16c"},
    {CPU_AVX512, "avx512"},
    {CPU_AVX512_BF16, "avx512_bf16"},
    {CPU_AVX512_VNNI, "avx512_vnni"},
    {CPU_AMX_BF16, "amx_bf16"},
    {CPU_AMX_INT8, "amx_int8"},
    {CPU_NEON, "neon"},
    {CPU_NEON_BF16, "neon_bf16"},
    {CPU_NEON_I8MM, "neon_i8mm"},
    {CPU_AVX512_FP16, "avx512_fp16"},
    {CPU_AVX_VNNI, "avx_vnni"},
    {CPU_NEON_FP16, "neon_fp16"},
    {CPU_NEON_DOT, "neon_dot"},
    {GPU_CUDA, "cuda"},
    {GPU_SM80, "sm80"},
    {GPU_SM90A, "sm90a"},
    {GPU_SM100A, "sm100a"},
    {LIB_CUBLASLT, "cublaslt"},
    {LIB_CUDNN, "cudnn"},
};

const char *host_feature_name(uint64_t bit)
{
    for (size_t i = 0; i < sizeof feature_names / sizeof *feature_names; i++)
        if (feature_names[i].bit == bit)
            return feature_names[i].name;
    return "unknown";
}

#if defined(__x86_64__)
enum { EAX, EBX, ECX, EDX };

/* Register state that the kernel must save (XCR0), or a feature is not there for us. */
#define XCR0_AVX 0x6u     /* SSE and upper halves of YMM */
#define XCR0_AVX512 0xE6u /* and opmask, upper halves of ZMM, ZMM16 .. 31 */
#define XCR0_AMX 0x60000u /* tile configuration and tile data */

/* A feature is there when all its rows hold. (Intel SDM vol. 2A, CPUID.) */
static const struct cpuid_row {
    uint64_t bit;
    unsigned leaf, subleaf, reg, shift, xcr0;
} cpuid_rows[] = {
    {CPU_SSE42, 1, 0, ECX, 20, 0},
    {CPU_AVX2, 7, 0, EBX, 5, XCR0_AVX},
    {CPU_AVX2, 1, 0, ECX, 12, XCR0_AVX}, /* FMA */
    {CPU_F16C, 1, 0, ECX, 29, XCR0_AVX},
    {CPU_AVX512, 7, 0, EBX, 16, XCR0_AVX512}, /* F */
    {CPU_AVX512, 7, 0, EBX, 17, XCR0_AVX512}, /* DQ */
    {CPU_AVX512, 7, 0, EBX, 30, XCR0_AVX512}, /* BW */
    {CPU_AVX512, 7, 0, EBX, 31, XCR0_AVX512}, /* VL */
    {CPU_AVX512_VNNI, 7, 0, ECX, 11, XCR0_AVX512},
    {CPU_AVX512_BF16, 7, 1, EAX, 5, XCR0_AVX512},
    {CPU_AVX512_FP16, 7, 0, EDX, 23, XCR0_AVX512},
    {CPU_AVX_VNNI, 7, 1, EAX, 4, XCR0_AVX},
    {CPU_AMX_BF16, 7, 0, EDX, 24, XCR0_AMX}, /* TILE */
    {CPU_AMX_BF16, 7, 0, EDX, 22, XCR0_AMX},
    {CPU_AMX_INT8, 7, 0, EDX, 24, XCR0_AMX},
    {CPU_AMX_INT8, 7, 0, EDX, 25, XCR0_AMX},
};

static uint64_t saved_state(void)
{
    unsigned reg[4];
    if (!__get_cpuid(1, &reg[EAX], &reg[EBX], &reg[ECX], &reg[EDX]) || !(reg[ECX] >> 27 & 1))
        return 0; /* no OSXSAVE */
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux gives tile data only to processes that ask (arch_prctl, since 5.16); threads inherit it. */
static bool amx_permitted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

uint64_t host_cpu_features(void)
{
    uint64_t present = 0, missing = 0, state = saved_state();
    for (size_t i = 0; i < sizeof cpuid_rows / sizeof *cpuid_rows; i++) {
        const struct cpuid_row *row = &cpuid_rows[i];
        unsigned reg[4] = {0};
        bool leaf =
            __get_cpuid_count(row->leaf, row->subleaf, &reg[EAX], &reg[EBX], &reg[ECX], &reg[EDX]);
        bool has = leaf && (reg[row->reg] >> row->shift & 1) && (state & row->xcr0) == row->xcr0;
        present |= row->bit;
        missing |= has ? 0 : row->bit;
    }
    present &= ~missing;
    if ((present & (CPU_AMX_BF16 | CPU_AMX_INT8)) && !amx_permitted())
        present &= ~(CPU_AMX_BF16 | CPU_AMX_INT8);
    return present;
}
#elif defined(__aarch64__)
uint64_t host_cpu_features(void)
{
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);
    return (one & HWCAP_ASIMD ? CPU_NEON : 0) | (two & HWCAP2_BF16 ? CPU_NEON_BF16 : 0) |
           (two & HWCAP2_I8MM ? CPU_NEON_I8MM : 0) | (one & HWCAP_ASIMDHP ? CPU_NEON_FP16 : 0) |
           (one & HWCAP_ASIMDDP ? CPU_NEON_DOT : 0);
}
#else
uint64_t host_cpu_features(void) { return 0; }
#endif

/* ---- processor and memory -------------------------------------------------------------------- */

const char *host_cpu_model(void)
{
    static char model[128];
    char part[32], maker[32];
    if (model[0])
        return model;
    if (sysfile_field("/proc/cpuinfo", "model name", model, sizeof model))
        return model;
    /* Arm kernels give numbers alone; they are what distinguishes the cores. */
    if (sysfile_field("/proc/cpuinfo", "CPU implementer", maker, sizeof maker) &&
        sysfile_field("/proc/cpuinfo", "CPU part", part, sizeof part))
        snprintf(model, sizeof model, "Arm implementer %s part %s", maker, part);
    else
        snprintf(model, sizeof model, "unknown CPU");
    return model;
}

static int affinity_cores(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set)
            break;
        size_t bytes = CPU_ALLOC_SIZE((size_t)cpus);
        bool read = sched_getaffinity(0, bytes, set) == 0; /* fails while the set is too small */
        int count = read ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (read)
            return count;
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int host_cores(void)
{
    int cores = affinity_cores();
    double quota = cgroup_cpu_quota("");
    /* Rounded down: a thread more than the quota is throttled and stalls the others. */
    if (quota > 0 && quota < cores)
        cores = (int)quota;
    return cores < 1 ? 1 : cores;
}

size_t host_memory_available(void)
{
    int64_t kib;
    uint64_t bytes = cgroup_memory_free("");
    if (sysfile_field_int("/proc/meminfo", "MemAvailable", &kib) && (uint64_t)kib * 1024 < bytes)
        bytes = (uint64_t)kib * 1024;
    return bytes > SIZE_MAX ? SIZE_MAX : (size_t)bytes;
}

size_t host_last_level_cache(void)
{
    int64_t kib, level, last = 0;
    size_t bytes = 0;
    for (int i = 0; sysfile_int(&level, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i); i++)
        if (level > last &&
            sysfile_int(&kib, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i)) {
            last = level;
            bytes = (size_t)kib * 1024; /* sizes are written as "480K" */
        }
    if (bytes == 0 && sysconf(_SC_LEVEL3_CACHE_SIZE) > 0)
        bytes = (size_t)sysconf(_SC_LEVEL3_CACHE_SIZE);
    return bytes;
}

size_t host_peak_resident(void)
{
    /* getrusage carries the parent's peak over spawn, so it is only what remains without /proc. */
    int64_t kib;
    struct rusage usage;
    if (sysfile_field_int("/proc/self/status", "VmHWM", &kib))
        return (size_t)kib * 1024;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

/* ---- the folder of this machine -------------------------------------------------------------- */

/* Lower-case words joined by '-'; "(R)", "CPU", clock rates and the like carry nothing. */
static void slug_words(const char *model, char *out, size_t bytes)
{
    static const char *const noise[] = {"r", "tm", "c", "cpu", "processor", "with", "core"};
    size_t used = 0;
    while (*model && used + 1 < bytes) {
        size_t n = 0;
        while (isalnum((unsigned char)model[n]))
            n++;
        bool skip = n == 0;
        for (size_t i = 0; i < sizeof noise / sizeof *noise; i++)
            skip = skip || (n == strlen(noise[i]) && strncasecmp(model, noise[i], n) == 0);
        if (!skip && used > 0)
            out[used++] = '-';
        for (size_t i = 0; !skip && i < n && used + 1 < bytes; i++)
            out[used++] = (char)tolower((unsigned char)model[i]);
        model += n ? n : 1;
    }
    out[used] = '\0';
}

/* A machine that lends its GPU goes by the GPU's name. */
static const char *machine_model(void)
{
    static struct gpu_info info;
    if (device_gpu() < 0 || gpu_describe(device_gpu(), &info, NULL) != ST_OK)
        return host_cpu_model();
    return info.emulated ? "CUDA emulation" : info.name;
}

/* A machine keeps its folder when later versions tell more features apart. */
#define SLUG_FEATURES (CPU_AVX512_FP16 - 1)

const char *host_machine_slug(void)
{
    static char slug[80];
    /* What makes two machines of the same model differ in speed, and nothing that names one. */
    char family[32] = "", number[32] = "", stepping[32] = "", text[512], hash[65], words[64];
    sysfile_field("/proc/cpuinfo", "cpu family", family, sizeof family);
    sysfile_field("/proc/cpuinfo", "model\t", number, sizeof number);
    sysfile_field("/proc/cpuinfo", "stepping", stepping, sizeof stepping);
    int n = snprintf(text, sizeof text, "%s|%s|%s|%s|%ld|%zu|%llx", host_cpu_model(), family,
                     number, stepping, sysconf(_SC_NPROCESSORS_CONF), host_last_level_cache(),
                     (unsigned long long)(host_cpu_features() & SLUG_FEATURES));
    if (machine_model() != host_cpu_model())
        n += snprintf(text + n, sizeof text - (size_t)n, "|%s", machine_model());
    sha256_hex(text, (size_t)n, hash);
    slug_words(machine_model(), words, sizeof words);
    snprintf(slug, sizeof slug, "%s%s%.6s", words, words[0] ? "-" : "machine-", hash);
    return slug;
}

/* ---- this build ------------------------------------------------------------------------------ */

const char *build_version(void) { return "0.1"; }

const char *build_commit(void) { return BUILD_COMMIT; }

const char *build_compiler(void) { return BUILD_COMPILER; }

const char *build_flags(void) { return BUILD_FLAGS; }

const char *build_without(void) { return BUILD_WITHOUT; }
