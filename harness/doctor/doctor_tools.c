// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor_tools.c   Counters, energy and GPUs: established by really asking for a figure. And the
 * software: libraries, the place for results, a calibration. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_OPENBLAS
#include <cblas.h>
#endif

#include "base/sysfile.h"
#include "compare/calibration.h"
#include "compare/verdict.h"
#include "doctor/doctor.h"
#include "energy/rapl.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "machine/nvml.h"
#include "timing/measure.h"

/* ---- counters -------------------------------------------------------------------------------- */

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
    d->has_cycles = counters_usable("PAPI_TOT_CYC", why);
    if (d->has_cycles)
        doctor_find(d, FINDING_OK, "hardware events", "PAPI_TOT_CYC was added and counted");
    else {
        doctor_find(d, FINDING_MISSING, "hardware events", "PAPI_TOT_CYC: %s", why);
        doctor_cure(d, "%s", events_cure(d, level));
    }
    if (counters_usable("perf::TASK-CLOCK", why))
        doctor_find(d, FINDING_OK, "software events", "perf::TASK-CLOCK was added and counted");
    else {
        doctor_find(d, FINDING_MISSING, "software events", "perf::TASK-CLOCK: %s", why);
        doctor_cure(d, "%s", events_cure(d, level));
    }
}

/* ---- energy ---------------------------------------------------------------------------------- */

/* Counters that can be read and do not stand at zero. On this machine they must move besides. */
static int counting(const struct doctor *d, const struct rapl *r, int *readable)
{
    static struct rapl_track track[RAPL_DOMAINS_MAX];
    struct timespec wait = {0, 50000000};
    int moving = 0;
    memset(track, 0, sizeof track);
    for (int look = 0; look < 2; look++) {
        for (int i = 0; i < r->count; i++)
            rapl_look(&r->domain[i], &track[i], clock_seconds());
        if (d->live && r->count && look == 0)
            nanosleep(&wait, NULL);
    }
    for (int i = 0; i < r->count; i++) {
        *readable += track[i].begun;
        moving += track[i].begun && track[i].highest_uj > 0 && (!d->live || track[i].refreshes > 0);
    }
    return moving;
}

/* A hypervisor may show the counters and leave them at zero: that is no energy, not 0 J. */
static void energy(struct doctor *d)
{
    static struct rapl r;
    char root[1024];
    int readable = 0;
    snprintf(root, sizeof root, "%s/sys/class/powercap", d->root);
    rapl_open(&r, d->live ? NULL : root);
    int moving = counting(d, &r, &readable);
    d->has_joules = moving > 0;
    if (moving)
        doctor_find(d, FINDING_OK, "energy", "RAPL: %d of %d counters count", moving, r.count);
    else if (!r.count)
        doctor_find(d, FINDING_MISSING, "energy", "no RAPL counters: %s", r.why);
    else if (!readable)
        doctor_find(d, FINDING_LIMITED, "energy", "%d RAPL counters, none readable by this user",
                    r.count);
    else
        doctor_find(d, FINDING_MISSING, "energy",
                    "%d RAPL counters that stand still, as hypervisors show them: no energy, not"
                    " 0 J",
                    r.count);
    if (!moving)
        doctor_cure(d, r.count && !readable
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

static void calibration(struct doctor *d)
{
    struct calibration c;
    char note[512];
    const int threads = host_cores();
    if (calibration_newest(d->results, threads, &c, note, sizeof note)) {
        d->floor = c.floor;
        doctor_find(d, FINDING_OK, "calibration",
                    "stored: noise floor %.2g %% of comparisons of %.3g s, %d thread%s",
                    100 * c.floor, c.pair_seconds, threads, threads == 1 ? "" : "s");
        return;
    }
    doctor_find(
        d, FINDING_MISSING, "calibration",
        "none of this machine with %d thread%s in %.100s%s%.150s: compare takes %g %% for its"
        " noise floor",
        threads, threads == 1 ? "" : "s", d->results, note[0] ? ", " : "", note,
        100 * VERDICT_FLOOR);
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
