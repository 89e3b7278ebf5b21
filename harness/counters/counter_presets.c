// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* counter_presets.c   The table of figures and presets. Weights of packed operations are lanes; a
 * fused multiply-add counts twice in these events already, as it does in our flops. Operations of
 * matrix units (AMX) are in none of them.
 * Sources: PAPI's papi_events.csv; perf_event_open(2); Intel's and AMD's lists of events. */
#include "counters/counter_presets.h"

#include <stdlib.h>
#include <string.h>

static const struct counter_figure figures[] = {
    {"cycles", {"PAPI_TOT_CYC", "perf::CPU-CYCLES"}},
    {"instructions", {"PAPI_TOT_INS", "perf::INSTRUCTIONS"}},
    {"l1_misses", {"PAPI_L1_DCM", "perf::L1-DCACHE-LOAD-MISSES"}},
    {"l2_misses", {"PAPI_L2_TCM", "PAPI_L2_DCM", "L2_RQSTS:MISS"}},
    {"llc_references", {"PAPI_L3_TCA", "perf::CACHE-REFERENCES", "perf::LLC-LOADS"}},
    {"llc_misses", {"PAPI_L3_TCM", "perf::CACHE-MISSES", "perf::LLC-LOAD-MISSES"}},
    {"dtlb_misses", {"PAPI_TLB_DM", "perf::DTLB-LOAD-MISSES"}},
    {"itlb_misses", {"PAPI_TLB_IM", "perf::ITLB-LOAD-MISSES"}},
    {"branches", {"PAPI_BR_INS", "perf::BRANCH-INSTRUCTIONS"}},
    {"branch_misses", {"PAPI_BR_MSP", "perf::BRANCH-MISSES"}},
    {"stalls", {"PAPI_RES_STL", "perf::STALLED-CYCLES-BACKEND", "CYCLE_ACTIVITY:STALLS_TOTAL"}},
    {"memory_stalls", {"CYCLE_ACTIVITY:STALLS_MEM_ANY", "PAPI_MEM_SCY"}},
    {"frontend_stalls", {"PAPI_STL_ICY", "perf::STALLED-CYCLES-FRONTEND"}},
    {"flops_f32",
     {"PAPI_SP_OPS", "FP_ARITH:SCALAR_SINGLE+4*FP_ARITH:128B_PACKED_SINGLE+"
                     "8*FP_ARITH:256B_PACKED_SINGLE+16*FP_ARITH:512B_PACKED_SINGLE"}},
    {"flops_f64",
     {"PAPI_DP_OPS", "FP_ARITH:SCALAR_DOUBLE+2*FP_ARITH:128B_PACKED_DOUBLE+"
                     "4*FP_ARITH:256B_PACKED_DOUBLE+8*FP_ARITH:512B_PACKED_DOUBLE"}},
    {"flops_any", {"PAPI_FP_OPS", "RETIRED_SSE_AVX_FLOPS:ANY"}},
    {"task_clock_ns", {"perf::TASK-CLOCK"}},
    {"page_faults", {"perf::PAGE-FAULTS"}},
    {"context_switches", {"perf::CONTEXT-SWITCHES"}},
    {"migrations", {"perf::CPU-MIGRATIONS"}},
};
enum { FIGURES = sizeof figures / sizeof *figures };

const struct counter_preset counter_presets[] = {
    {"cycles", "cycles", "of the core's clock"},
    {"instructions", "instructions cycles", "and how many a cycle"},
    {"cache", "l1_misses l2_misses llc_references llc_misses instructions", "data not found near"},
    {"tlb", "dtlb_misses itlb_misses instructions", "addresses not found near"},
    {"branch", "branches branch_misses instructions", "jumps, and those guessed wrong"},
    {"stalls", "stalls memory_stalls frontend_stalls cycles", "cycles without progress"},
    {"flops", "flops_f32 flops_f64 flops_any", "operations done, to hold against the formula"},
    {"software", "task_clock_ns page_faults context_switches migrations",
     "what the kernel counts; needs no hardware"},
    {"all", NULL, "every one of these"},
    {NULL, NULL, NULL},
};

static bool same(const char *name, const char *text, size_t bytes)
{
    return strlen(name) == bytes && !strncmp(name, text, bytes);
}

const struct counter_preset *counter_preset_find(const char *name, size_t bytes)
{
    for (const struct counter_preset *p = counter_presets; p->name; p++)
        if (same(p->name, name, bytes))
            return p;
    return NULL;
}

const struct counter_figure *counter_figure_find(const char *name, size_t bytes)
{
    for (int i = 0; i < FIGURES; i++)
        if (same(figures[i].name, name, bytes))
            return &figures[i];
    return NULL;
}

const struct counter_figure *counter_preset_next(const struct counter_preset *p, const char **at,
                                                 int *index)
{
    if (!p->figures)
        return *index < FIGURES ? &figures[(*index)++] : NULL;
    const char *word = *at ? *at : p->figures;
    word += strspn(word, " ");
    size_t bytes = strcspn(word, " ");
    *at = word + bytes;
    return bytes ? counter_figure_find(word, bytes) : NULL;
}

int counter_way_terms(const char *way, struct counter_term out[COUNTER_TERMS_MAX])
{
    int count = 0;
    for (const char *at = way; *at && count < COUNTER_TERMS_MAX; at += *at == '+') {
        size_t bytes = strcspn(at, "+");
        const char *times = memchr(at, '*', bytes), *name = times ? times + 1 : at;
        struct counter_term *t = &out[count++];
        t->weight = times ? strtod(at, NULL) : 1;
        snprintf(t->event, sizeof t->event, "%.*s", (int)(at + bytes - name), name);
        at += bytes;
    }
    return count;
}
