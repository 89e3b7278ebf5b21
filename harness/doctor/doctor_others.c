// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* doctor_others.c   Who else works on this machine, and what that does to a fixed piece of work. */
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/stats.h"
#include "base/sysfile.h"
#include "doctor/doctor.h"
#include "machine/cache_levels.h"
#include "machine/host.h"
#include "timing/measure.h"

#define PROBE_SECONDS 0.002
#define NOISE_SECONDS 0.8 /* at each number of threads */
#define NOISE_SAMPLES 400
#define NOISE_LEAST 0.02 /* spread that counts as quiet */
#define DIP 0.95
#define HEAVY 0.1 /* of one processor */
#define PROCESSES_MAX 4096

/* ---- time that went to others ---------------------------------------------------------------- */

struct ticks {
    double whole, steal;
};

/* First line of /proc/stat: user nice system idle iowait irq softirq steal; guests are in user. */
static struct ticks read_ticks(const char *root)
{
    char line[256];
    double t[8] = {0};
    struct ticks sum = {0, 0};
    if (!sysfile_line(line, sizeof line, "%s/proc/stat", root) ||
        sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4],
               &t[5], &t[6], &t[7]) < 8)
        return sum;
    for (int i = 0; i < 8; i++)
        sum.whole += t[i];
    sum.steal = t[7];
    return sum;
}

static void steal(struct doctor *d, struct ticks before, struct ticks after)
{
    double boot = after.whole > 0 ? after.steal / after.whole : NAN, now = NAN;
    if (after.whole > before.whole)
        now = (after.steal - before.steal) / (after.whole - before.whole);
    if (isnan(boot)) {
        doctor_find(d, FINDING_MISSING, "steal", "this kernel does not tell");
        return;
    }
    d->steal = now;
    char text[80] = "";
    if (isfinite(now))
        snprintf(text, sizeof text, "%.1f %% while we worked, ", 100 * now);
    bool bad = (isfinite(now) && now > 0.01) || boot > 0.01;
    doctor_find(d, bad ? FINDING_LIMITED : FINDING_OK, "steal", "%s%.1f %% since boot%s", text,
                100 * boot, bad ? ": the hypervisor gives our processors to others" : "");
    if (bad)
        doctor_cure(d, "ask for dedicated processors, or measure when the host is quiet");
}

/* ---- processes ------------------------------------------------------------------------------- */

struct process {
    int pid;
    int64_t ticks;
    char name[20];
};

/* "pid (name) S ..." : the name may hold anything, so fields are counted from its last bracket. */
static bool read_process(const char *root, int pid, struct process *out)
{
    char line[1024];
    long long user, system;
    if (!sysfile_line(line, sizeof line, "%s/proc/%d/stat", root, pid))
        return false;
    char *open = strchr(line, '('), *shut = strrchr(line, ')');
    if (!open || !shut ||
        sscanf(shut + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user,
               &system) != 2)
        return false;
    *out = (struct process){pid, user + system, ""};
    *shut = '\0';
    snprintf(out->name, sizeof out->name, "%.16s", open + 1);
    for (char *c = out->name; *c; c++)
        *c = isgraph((unsigned char)*c) ? *c : '_';
    return true;
}

static int list_processes(const char *root, struct process *out)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/proc", root);
    DIR *dir = opendir(path);
    int count = 0;
    for (struct dirent *e; dir && count < PROCESSES_MAX && (e = readdir(dir));) {
        int pid = atoi(e->d_name);
        if (pid > 0 && pid != getpid())
            count += read_process(root, pid, &out[count]);
    }
    if (dir)
        closedir(dir);
    return count;
}

/* The three that took most; how many took much. */
static int heaviest(const struct process *before, int n, struct process *after, int m,
                    double seconds, struct process top[3])
{
    int heavy = 0;
    double least = HEAVY * seconds * (double)sysconf(_SC_CLK_TCK);
    for (int i = 0; i < m; i++) {
        for (int k = 0; k < n; k++)
            if (before[k].pid == after[i].pid)
                after[i].ticks -= before[k].ticks;
        if ((double)after[i].ticks < least)
            continue;
        heavy++;
        struct process one = after[i];
        for (int k = 0; k < 3; k++)
            if (one.ticks > top[k].ticks) {
                struct process down = top[k];
                top[k] = one;
                one = down;
            }
    }
    return heavy;
}

static void processes(struct doctor *d, const struct process *before, int n, double seconds)
{
    static struct process after[PROCESSES_MAX];
    struct process top[3] = {{0}};
    int m = list_processes(d->root, after);
    int heavy = heaviest(before, n, after, m, seconds, top);
    char names[120] = "";
    for (int k = 0; k < 3 && top[k].ticks; k++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s %.0f %%", used ? ", " : "", top[k].name,
                 100 * (double)top[k].ticks / ((double)sysconf(_SC_CLK_TCK) * seconds));
    }
    if (!heavy) {
        doctor_find(d, FINDING_OK, "other processes", "none takes over %.0f %% of a processor",
                    100 * HEAVY);
        return;
    }
    doctor_find(d, FINDING_LIMITED, "other processes", "%d take%s over %.0f %% of a processor: %s",
                heavy, heavy == 1 ? "s" : "", 100 * HEAVY, names);
    doctor_cure(d, "end them, or wait: no method takes their time out of ours");
}

static void load(struct doctor *d)
{
    char line[128];
    double one = NAN, five = NAN;
    if (!sysfile_line(line, sizeof line, "%s/proc/loadavg", d->root) ||
        sscanf(line, "%lf %lf", &one, &five) != 2) {
        doctor_find(d, FINDING_MISSING, "load", "this kernel does not tell");
        return;
    }
    char list[1024];
    int cpus = 0;
    if (sysfile_line(list, sizeof list, "%s/sys/devices/system/cpu/online", d->root))
        cpus = cpu_list_count(list);
    bool busy = one > 0.25 * (cpus ? cpus : 1);
    doctor_find(d, busy ? FINDING_LIMITED : FINDING_OK, "load",
                "%.2f over the last minute, %.2f over five, on %d processors", one, five, cpus);
    if (busy)
        doctor_cure(d, "wait until it is below a quarter of the processors");
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* A fixed chain of arithmetic, over and over: what its rate does is the machine's doing. */
static void noise(struct doctor *d, int threads)
{
    double rate[NOISE_SAMPLES], end = clock_seconds() + NOISE_SECONDS;
    int64_t n = 0, dips = 0;
    while (n < NOISE_SAMPLES && (n < 8 || clock_seconds() < end))
        rate[n++] = peak_sample(peak_guard_unit(), threads, PROBE_SECONDS);
    struct summary s = stats_summary(rate, n);
    for (int64_t i = 0; i < n; i++)
        dips += rate[i] < DIP * s.q3; /* a lone fast one is no measure */
    double spread = (s.q3 - s.q1) / s.median, share = (double)dips / (double)n;
    d->noise = fmax(spread, isnan(d->noise) ? 0 : d->noise);
    d->dips = fmax(share, isnan(d->dips) ? 0 : d->dips);
    bool quiet = spread < NOISE_LEAST && share < 0.05;
    doctor_find(d, quiet ? FINDING_OK : FINDING_LIMITED, threads == 1 ? "noise" : "noise, all",
                "%d thread%s of fixed work: middle half within %.1f %%, %.0f %% of %lld probes slow"
                " by over 5 %%",
                threads, threads == 1 ? "" : "s", 100 * spread, 100 * share, (long long)n);
    if (!quiet)
        doctor_cure(d,
                    "see load, steal and governor; raise --budget, and compare interleaved only");
}

void doctor_others(struct doctor *d)
{
    static struct process before[PROCESSES_MAX];
    struct ticks first = read_ticks(d->root);
    int n = d->live ? list_processes(d->root, before) : 0;
    double begin = clock_seconds();
    load(d);
    if (d->live) {
        noise(d, 1);
        if (host_cores() > 1)
            noise(d, host_cores());
        processes(d, before, n, clock_seconds() - begin);
    }
    steal(d, first, read_ticks(d->root));
}
