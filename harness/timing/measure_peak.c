// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* measure_peak.c   Arithmetic peaks of this CPU, by the probes of harness/peak. */
#include "timing/measure.h"

#include <math.h>

#include "machine/host.h"
#include "peak/peak.h"

/* Many trials much shorter than a scheduler's time slice: on a busy machine some go undisturbed. */
#define PEAK_TRIALS 16
#define PEAK_TRIAL_SECONDS 0.001

static const struct peak_probe *const probes[] = {
#define PEAK_ROW(name) &peak_##name,
    PEAK_LIST(PEAK_ROW)
#undef PEAK_ROW
};
enum { PROBES = sizeof probes / sizeof *probes };

static volatile float peak_sink;

static bool probe_runs(const struct peak_probe *probe)
{
    return probe->run && (host_cpu_features() & probe->needs) == probe->needs;
}

/* Rounds that keep one thread busy for `seconds`. */
static int64_t probe_rounds(const struct peak_probe *probe, double seconds)
{
    const int64_t rounds = 2048;
    double best = 1;
    for (int i = 0; i < 4; i++) {
        double begin = clock_seconds();
        peak_sink = probe->run(rounds, 0.5f, 0.5f);
        best = fmin(best, clock_seconds() - begin);
    }
    return 1 + (int64_t)((double)rounds * seconds / fmax(best, 1e-9));
}

/* Each thread takes its own time, from a common start: waking them up is no arithmetic. */
static double probe_rate(const struct peak_probe *probe, int threads, int64_t rounds)
{
    float sum = 0;
    double rate = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum, rate)
    {
#pragma omp barrier
        double begin = clock_seconds();
        sum += probe->run(rounds, 0.5f, 0.5f);
        rate += (double)rounds * probe->flops_per_round / (clock_seconds() - begin);
    }
    peak_sink = sum;
    return rate;
}

static double probe_peak(const struct peak_probe *probe, int threads)
{
    int64_t rounds = probe_rounds(probe, PEAK_TRIAL_SECONDS);
    double best = 0;
    for (int trial = 0; trial < PEAK_TRIALS; trial++)
        best = fmax(best, probe_rate(probe, threads, rounds));
    return best;
}

/* ---- one unit -------------------------------------------------------------------------------- */

int peak_units(void) { return PROBES; }

struct peak_unit peak_unit_at(int index)
{
    const struct peak_probe *probe = probes[index];
    struct peak_unit unit = {probe->isa, probe->elem, NULL, probe->needs};
    if (!probe->run)
        unit.why = "this compiler or architecture does not make it";
    else if (!probe_runs(probe))
        unit.why = "this CPU, or its hypervisor, does not offer it";
    return unit;
}

double peak_sample(int index, int threads, double seconds)
{
    return probe_rate(probes[index], threads, probe_rounds(probes[index], seconds));
}

int peak_guard_unit(void)
{
    static const struct peak_probe *const steady[] = {&peak_avx2, &peak_neon, &peak_c};
    size_t at = 0;
    while (!probe_runs(steady[at])) /* the last runs everywhere */
        at++;
    for (int i = 0; i < PROBES; i++)
        if (probes[i] == steady[at])
            return i;
    return 0;
}

/* ---- the best of several --------------------------------------------------------------------- */

/* All are tried: the widest is not the fastest where it lowers the clock. elems: bits 1 << elem. */
static double best_of(uint32_t elems, int threads, const char **isa)
{
    double best = 0;
    for (int i = 0; i < PROBES; i++) {
        bool wanted = elems >> probes[i]->elem & 1 && probe_runs(probes[i]);
        double peak = wanted ? probe_peak(probes[i], threads) : 0;
        if (peak <= best)
            continue;
        best = peak;
        *isa = probes[i]->isa;
    }
    return best;
}

double measure_fma_peak_of(uint64_t cpu_feature, int threads)
{
    for (int i = 0; i < PROBES; i++)
        if (probes[i]->needs == cpu_feature && probes[i]->elem == ELEM_F32)
            return probe_runs(probes[i]) ? probe_peak(probes[i], threads) : 0;
    return 0;
}

double measure_fma_peak(int threads, const char **isa)
{
    return best_of(UINT32_C(1) << ELEM_F32, threads, isa);
}

/* What a variant of each class may multiply besides f32. Winograd and sparse work in f32. tf32 may
 * be put together from bf16 products; fp8 and fp4 are unpacked to whatever is fastest. */
double measure_peak_of_class(enum numerics numerics, int threads, const char **isa)
{
    static const uint32_t elems[NUM_COUNT] = {
        [NUM_TF32] = UINT32_C(1) << ELEM_BF16,
        [NUM_BF16] = UINT32_C(1) << ELEM_BF16,
        [NUM_F16] = UINT32_C(1) << ELEM_F16,
        [NUM_INT8] = UINT32_C(1) << ELEM_I8,
        [NUM_FP8] = UINT32_MAX,
        [NUM_FP4] = UINT32_MAX,
    };
    return best_of(elems[numerics] | UINT32_C(1) << ELEM_F32, threads, isa);
}
