// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor_clocks.c   The clocks that work is done by and those that it is timed by. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/sysfile.h"
#include "doctor/doctor.h"
#include "machine/cache_levels.h"
#include "timing/measure.h"

#define CPU_DIR "%s/sys/devices/system/cpu"
#define CPUS_MAX 4096

/* ---- of the processor ------------------------------------------------------------------------ */

static void frequency(struct doctor *d)
{
    char driver[64] = "";
    int64_t khz;
    d->has_clock = sysfile_int(&khz, CPU_DIR "/cpu0/cpufreq/scaling_cur_freq", d->root);
    sysfile_line(driver, sizeof driver, CPU_DIR "/cpu0/cpufreq/scaling_driver", d->root);
    if (d->has_clock) {
        doctor_find(d, FINDING_OK, "clock rate", "readable, %.2f GHz now (%s)", (double)khz / 1e6,
                    driver[0] ? driver : "driver not told");
        return;
    }
    doctor_find(d, FINDING_MISSING, "clock rate",
                "no cpufreq in this kernel, as usual in virtual machines: a short FMA probe around"
                " each block stands guard instead");
}

/* All processors under `performance` is what repeats best; intel_pstate's powersave ramps too. */
static void governor(struct doctor *d)
{
    char name[64], slow[64] = "";
    int found = 0, other = 0;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!sysfile_line(name, sizeof name, CPU_DIR "/cpu%d/cpufreq/scaling_governor", d->root,
                          cpu))
            break;
        found++;
        if (strcmp(name, "performance")) {
            other++;
            snprintf(slow, sizeof slow, "%s", name);
        }
    }
    if (!found)
        doctor_find(d, FINDING_MISSING, "governor",
                    "not shown: whoever owns the hardware decides on clocks");
    else if (!other)
        doctor_find(d, FINDING_OK, "governor", "performance on all %d processors", found);
    else {
        doctor_find(d, FINDING_LIMITED, "governor",
                    "%s on %d of %d processors: clocks rise only under load", slow, other, found);
        doctor_cure(d, "as root: cpupower frequency-set -g performance");
    }
}

static void boost(struct doctor *d)
{
    int64_t value;
    bool on;
    if (sysfile_int(&value, CPU_DIR "/cpufreq/boost", d->root))
        on = value != 0;
    else if (sysfile_int(&value, CPU_DIR "/intel_pstate/no_turbo", d->root))
        on = value == 0;
    else {
        doctor_find(d, FINDING_MISSING, "boost", "this kernel does not tell");
        return;
    }
    if (!on) {
        doctor_find(d, FINDING_OK, "boost", "off: clocks do not depend on heat and neighbours");
        return;
    }
    doctor_find(d, FINDING_LIMITED, "boost",
                "on: clocks depend on heat and on how many cores work; right for what a buyer gets,"
                " wrong for small differences");
    doctor_cure(d, "for small differences, as root: echo 0 > /sys/devices/system/cpu/cpufreq/boost"
                   " (intel_pstate: echo 1 > .../intel_pstate/no_turbo)");
}

/* Events since boot, of all cores and packages. -1: not told. */
static int64_t throttle_events(const char *root)
{
    int64_t sum = -1, value;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!sysfile_int(&value, CPU_DIR "/cpu%d/thermal_throttle/core_throttle_count", root, cpu))
            break;
        sum = (sum < 0 ? 0 : sum) + value;
        if (sysfile_int(&value, CPU_DIR "/cpu%d/thermal_throttle/package_throttle_count", root,
                        cpu))
            sum += value;
    }
    return sum;
}

static void heat(struct doctor *d)
{
    int64_t events = throttle_events(d->root), milli, hottest = INT64_MIN;
    for (int zone = 0;
         sysfile_int(&milli, "%s/sys/class/thermal/thermal_zone%d/temp", d->root, zone); zone++)
        hottest = milli > hottest ? milli : hottest;
    if (hottest == INT64_MIN)
        doctor_find(d, FINDING_MISSING, "temperature", "no thermal zone is shown");
    else
        doctor_find(d, FINDING_OK, "temperature", "%.0f C in the hottest zone",
                    (double)hottest / 1000);
    if (events < 0)
        doctor_find(d, FINDING_MISSING, "throttle", "no throttle counters are shown");
    else if (events == 0)
        doctor_find(d, FINDING_OK, "throttle", "no core was throttled since boot");
    else {
        doctor_find(d, FINDING_LIMITED, "throttle",
                    "%lld throttle events since boot: sustained times may be of a hot machine",
                    (long long)events);
        doctor_cure(d, "look after cooling and power limits; measure long with run --sustained");
    }
}

/* ---- of time --------------------------------------------------------------------------------- */

static void source(struct doctor *d)
{
    static const char *const good[] = {"tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource",
                                       "xen"};
    char name[64], flags[4096] = " ";
    bool quick = false;
    if (!sysfile_line(name, sizeof name,
                      "%s/sys/devices/system/clocksource/clocksource0/current_clocksource",
                      d->root)) {
        doctor_find(d, FINDING_MISSING, "clocksource", "this kernel does not tell");
        return;
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        quick |= !strncmp(name, good[i], strlen(good[i]));
    char path[1024];
    snprintf(path, sizeof path, "%s/proc/cpuinfo", d->root);
    bool x86 = sysfile_field(path, "flags", flags + 1, sizeof flags - 1);
    bool steady = strstr(flags, " constant_tsc") && strstr(flags, " nonstop_tsc");
    const char *tsc = !x86 ? "" : steady ? "; the TSC is invariant" : "; the TSC is not invariant";
    doctor_find(d, quick ? FINDING_OK : FINDING_LIMITED, "clocksource", "%s%s%s", name,
                quick ? "" : ": reading it is slow", tsc);
    if (!quick)
        doctor_cure(d, "boot with clocksource=tsc tsc=reliable where the TSC is invariant");
}

/* What one look at the clock costs, and the least step it shows. */
static void timer(struct doctor *d)
{
    enum { LOOKS = 20000 };
    double begin = clock_seconds(), last = begin, step = INFINITY;
    for (int i = 0; i < LOOKS; i++) {
        double now = clock_seconds();
        if (now > last)
            step = fmin(step, now - last);
        last = now;
    }
    double cost = (last - begin) / LOOKS;
    bool fine = cost < 2e-7 && step < 1e-6;
    doctor_find(d, fine ? FINDING_OK : FINDING_LIMITED, "timer",
                "CLOCK_MONOTONIC costs %.0f ns a look and moves in steps of %.0f ns or less",
                1e9 * cost, 1e9 * step);
    if (!fine)
        doctor_cure(d, "a clock that needs a system call: see clocksource; time longer blocks");
}

void doctor_clocks(struct doctor *d)
{
    frequency(d);
    governor(d);
    boost(d);
    heat(d);
    source(d);
    if (d->live)
        timer(d);
}
