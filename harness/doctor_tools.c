// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor_tools.c   Counters, energy and GPUs: established by really asking for a figure. And the
 * software: libraries, the place for results, a calibration. */
#include <dlfcn.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

#include "device.h"
#include "doctor.h"
#include "gpu.h"
#include "host.h"
#include "measure.h"
#include "nvml.h"
#include "sysfile.h"

/* ---- counters -------------------------------------------------------------------------------- */

static volatile double sink;

/* True where the event counts some work; why not in *why. */
static bool counts(const char *event, char *why, size_t bytes)
{
    struct counters *c = NULL;
    struct fault fault = {{0}};
    double sum = 0;
    if (counters_open(event, &c, &fault) != ST_OK) {
        snprintf(why, bytes, "%.150s", fault.text);
        return false;
    }
    counters_start(c);
    for (int i = 0; i < 1000000; i++)
        sum += (double)i;
    sink = sum;
    counters_stop(c);
    const struct counter *one = counters_at(c, 0);
    bool good = one->available && one->value > 0;
    snprintf(why, bytes, "%s", one->available ? "it stays at 0" : one->why);
    counters_free(c);
    return good;
}

/* How far the kernel lets users count: -1 all, 2 own programs, 3 and 4 (some distributions) none. */
static int64_t paranoia(struct doctor *d)
{
    int64_t level;
    if (!sysfile_int(&level, "%s/proc/sys/kernel/perf_event_paranoid", d->root)) {
        doctor_find(d, FINDING_MISSING, "perf_event_paranoid", "this kernel has no perf events");
        return 0;
    }
    bool shut = level > 2;
    doctor_find(d, shut ? FINDING_LIMITED : FINDING_OK, "perf_event_paranoid", "%lld%s",
                (long long)level,
                shut ? ": only root may count anything" : ": own programs may be counted");
    if (shut)
        doctor_cure(d, "as root: sysctl kernel.perf_event_paranoid=1");
    return level;
}

static const char *events_cure(const struct doctor *d, int64_t level)
{
#ifndef HAVE_PAPI
    return "apt-get install libpapi-dev, then make";
#endif
    if (level > 2)
        return "lower perf_event_paranoid first";
    return d->virtualised ? "have the host pass its PMU on (KVM: -cpu host,pmu=on)"
                          : "look whether the kernel found a PMU (dmesg); in a container allow"
                            " perf_event_open";
}

static void events(struct doctor *d)
{
    char why[160];
    int64_t level = paranoia(d);
    if (!d->live)
        return;
    d->has_cycles = counts("PAPI_TOT_CYC", why, sizeof why);
    if (d->has_cycles)
        doctor_find(d, FINDING_OK, "hardware events", "PAPI_TOT_CYC was added and counted");
    else {
        doctor_find(d, FINDING_MISSING, "hardware events", "PAPI_TOT_CYC: %s", why);
        doctor_cure(d, "%s", events_cure(d, level));
    }
    if (counts("perf::TASK-CLOCK", why, sizeof why))
        doctor_find(d, FINDING_OK, "software events", "perf::TASK-CLOCK was added and counted");
    else {
        doctor_find(d, FINDING_MISSING, "software events", "perf::TASK-CLOCK: %s", why);
        doctor_cure(d, "%s", events_cure(d, level));
    }
}

/* ---- energy ---------------------------------------------------------------------------------- */

/* A hypervisor may show the counters and leave them at zero: that is no energy, not 0 J. */
static void energy(struct doctor *d)
{
    char pattern[1024];
    glob_t domains;
    int readable = 0, moving = 0, found = 0;
    snprintf(pattern, sizeof pattern, "%s/sys/class/powercap/*rapl*:[0-9]*", d->root);
    if (glob(pattern, 0, NULL, &domains) == 0) {
        for (size_t i = 0; i < domains.gl_pathc; i++) {
            int64_t joules;
            found++;
            if (!sysfile_int(&joules, "%s/energy_uj", domains.gl_pathv[i]))
                continue;
            readable++;
            moving += joules > 0;
        }
        globfree(&domains);
    }
    d->has_joules = moving > 0;
    if (moving) {
        doctor_find(d, FINDING_OK, "energy", "RAPL: %d of %d counters count", moving, found);
        return;
    }
    if (!found)
        doctor_find(d, FINDING_MISSING, "energy",
                    "no RAPL counters (/sys/class/powercap), as usual in virtual machines");
    else if (!readable)
        doctor_find(d, FINDING_LIMITED, "energy", "%d RAPL counters, none readable by this user",
                    found);
    else
        doctor_find(d, FINDING_MISSING, "energy",
                    "%d RAPL counters that stand at zero, as hypervisors show them: no energy, not"
                    " 0 J",
                    found);
    doctor_cure(d, found && !readable
                       ? "as root: chmod a+r /sys/class/powercap/*rapl*/energy_uj"
                       : "a wall meter's log by --power-file, or the machine itself");
}

/* ---- GPUs ------------------------------------------------------------------------------------ */

static void nvml(struct doctor *d, const struct gpu_info *gpu)
{
    struct nvml *n = NULL;
    struct fault why = {{0}};
    if (nvml_open(gpu ? gpu->uuid : "", &n, &why) == ST_OK)
        doctor_find(d, FINDING_OK, "nvml", "clocks, power and throttle reasons can be read");
    else
        doctor_find(d, FINDING_MISSING, "nvml", "%.200s", why.text);
    nvml_close(n);
}

static void gpus(struct doctor *d)
{
    struct gpu_info info;
    struct fault why = {{0}};
    int count = 0, index = device_kind() == DEVICE_CUDA ? device_index() : 0;
    enum status status = gpu_count(&count, &why);
    if (status == ST_OK && count > index)
        status = gpu_describe(index, &info, &why);
    if (status != ST_OK || count <= index) {
        doctor_find(d, FINDING_MISSING, "gpu", "%.200s",
                    why.text[0] ? why.text : "there is no CUDA device");
        nvml(d, NULL);
        return;
    }
    doctor_find(d, info.emulated ? FINDING_LIMITED : FINDING_OK, "gpu", "%.100s%s", info.name,
                info.emulated ? " (emulated: right or wrong, never timed)" : "");
    nvml(d, &info);
}

void doctor_counters(struct doctor *d)
{
    events(d);
    energy(d);
    if (d->live)
        gpus(d);
}

/* ---- software -------------------------------------------------------------------------------- */

#ifdef HAVE_OPENBLAS
/* Cores of OpenBLAS by the vectors they use, the widest first. */
static bool core_fits(const char *core, uint64_t features)
{
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
    static const char *const middle[] = {"Haswell", "Zen", "Excavator", NULL};
    bool has[2] = {false, false};
    for (int i = 0; wide[i]; i++)
        has[0] |= !strcasecmp(core, wide[i]);
    for (int i = 0; middle[i]; i++)
        has[1] |= !strcasecmp(core, middle[i]);
    if (features & CPU_AVX512)
        return has[0];
    if (features & CPU_AVX2)
        return has[1];
    return strcasecmp(core, "generic") && strcasecmp(core, "armv8");
}

static void openblas(struct doctor *d)
{
    const char *core = openblas_get_corename();
    bool fits = core_fits(core, host_cpu_features());
    doctor_find(d, fits ? FINDING_OK : FINDING_LIMITED, "OpenBLAS", "kernels of %s%s", core,
                fits
                    ? " serve this CPU"
                    : ": not the widest vectors of this CPU, so baselines are slower than need be");
    if (!fits)
        doctor_cure(d, "a newer OpenBLAS, or OPENBLAS_CORETYPE=%s if that is what the CPU is",
                    host_cpu_features() & CPU_AVX512 ? "SkylakeX" : "Haswell");
}
#else
static void openblas(struct doctor *d)
{
    doctor_find(d, FINDING_MISSING, "OpenBLAS", "not built in: kernels have no library baseline");
    doctor_cure(d, "apt-get install libopenblas-dev, then make");
}
#endif

static void libraries(struct doctor *d)
{
    if (!build_without()[0]) {
        doctor_find(d, FINDING_OK, "build", "every optional library is built in");
        return;
    }
    doctor_find(d, FINDING_LIMITED, "build", "without %s", build_without());
    doctor_cure(d, "'make deps' installs, or names what to install; cuda is the CUDA Toolkit");
}

static void disk(struct doctor *d)
{
    struct statvfs s;
    bool there = access(d->results, F_OK) == 0;
    const char *folder = there ? d->results : ".";
    bool writes = access(folder, W_OK) == 0;
    double room = statvfs(folder, &s) == 0 ? (double)s.f_bavail * (double)s.f_frsize : 0;
    if (writes && room > 1e9) {
        doctor_find(d, FINDING_OK, "disk", "results go to %.100s, %.0f GB free", d->results,
                    room / 1e9);
        return;
    }
    doctor_find(d, FINDING_LIMITED, "disk", "%.100s %s", d->results,
                writes ? "has less than 1 GB free" : "cannot be written to");
    doctor_cure(d, "--results DIR says where records go, --results none does without");
}

/* The last record of kind `calibration` in a file; its noise floor, NaN where there is none. */
static double floor_in(const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    double floor = NAN;
    while (file && getline(&line, &room, file) > 0) {
        const char *at =
            strstr(line, "\"kind\":\"calibration\"") ? strstr(line, "\"floor\":") : NULL;
        if (at)
            floor = strtod(at + strlen("\"floor\":"), NULL);
    }
    free(line);
    if (file)
        fclose(file);
    return floor;
}

/* Files are named by their time, so the last that holds one is the newest. */
static void calibration(struct doctor *d)
{
    char pattern[1024];
    glob_t files;
    snprintf(pattern, sizeof pattern, "%s/%s/*.jsonl", d->results, host_machine_slug());
    if (glob(pattern, 0, NULL, &files) == 0) {
        for (size_t i = files.gl_pathc; i > 0 && isnan(d->floor); i--)
            d->floor = floor_in(files.gl_pathv[i - 1]);
        globfree(&files);
    }
    if (isfinite(d->floor)) {
        doctor_find(d, FINDING_OK, "calibration", "stored: noise floor %.2g %%", 100 * d->floor);
        return;
    }
    doctor_find(d, FINDING_MISSING, "calibration",
                "none of this machine in %.100s: compare takes 2 %% for its noise floor",
                d->results);
    doctor_cure(d, "patchmark calibrate");
}

void doctor_software(struct doctor *d)
{
    if (!d->live)
        return;
    openblas(d);
    libraries(d);
    disk(d);
    calibration(d);
}
