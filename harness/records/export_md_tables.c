// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "records/export_md.h"

#include <string.h>

#define WHO                                                                                        \
    {"claim", "claim", MD_WORD, false}, {"class", "=class", MD_WORD, false},                       \
        {"ran on", "ran_on", MD_WORD, false},                                                      \
    {                                                                                              \
        "status", "status", MD_WORD, false                                                         \
    }
#define WHEN                                                                                       \
    {"recipe", "recipe_sha256", MD_SHORT, false}, {"run", "run.created_utc", MD_WORD, false},      \
        {"commit", "run.tool.commit", MD_WORD, false},                                             \
    {                                                                                              \
        "reason", "status_reason", MD_WORD, true                                                   \
    }
#define WHERE                                                                                      \
    {"device", "recipe.device", MD_WORD, false}, { "threads", "recipe.threads", MD_WORD, false }

static const struct md_column kernel_columns[] = {
    {"shape", "recipe.shape", MD_WORD, false}, /* begins with the op */
    {"variant", "impl.variant", MD_WORD, true},
    {"time", "timing.median", MD_TIME, true},
    {"GFLOP/s", "derived.flops_per_s_effective", MD_GIGA, true},
    {"GB/s", "derived.bytes_per_s", MD_GIGA, true},
    {"of peak", "derived.peak_fraction", MD_PERCENT, true},
    {"ratio", "derived.ratio", MD_RATIO, true},
    {"baseline", "derived.baseline", MD_WORD, false},
    {"numerics", "impl.numerics", MD_WORD, false},
    {"knobs", "impl.knobs", MD_WORD, false},
    {"slowed on purpose", "recipe.planted_slowdown", MD_PERCENT, false},
    {"other build", "impl.program_sha256", MD_SHORT, false},
    {"J per run", "energy.j_per_run", MD_ROUND, true},
    {"joules of", "energy.scope", MD_WORD, false},
    WHO,
    {"n", "timing.n", MD_WORD, false},
    {"stopped by", "timing.stop_reason", MD_WORD, false},
    {"cache", "recipe.cache_state", MD_WORD, false},
    WHERE,
    {"seed", "recipe.seed", MD_WORD, false},
    WHEN,
};

static const struct md_column pipeline_columns[] = {
    {"model", "recipe.model", MD_WORD, false},
    {"weights", "recipe.weights.fill|recipe.weights.sha256|recipe.weights.kind", MD_WORD, false},
    {"size", "recipe.width", MD_SIZE, true},
    {"frames", "recipe.frames", MD_WORD, true},
    {"fps", "recipe.fps", MD_WORD, false},
    {"steps", "recipe.steps", MD_WORD, false},
    {"guidance", "recipe.guidance", MD_WORD, false},
    {"type", "recipe.type", MD_WORD, false},
    {"kernels", "impl.requested", MD_WORD, false},
    {"batch", "recipe.batch", MD_WORD, false},
    {"time", "timing.median", MD_TIME, true}, /* of a clip, of a batch of all its clips */
    {"per clip of the batch", "derived.ns_per_clip", MD_PLAIN, true},
    {"frames/s", "derived.frames_per_s", MD_ROUND, true},
    {"video s/h", "derived.video_s_per_h", MD_ROUND, true},
    {"text", "stages.text_ns", MD_PLAIN, true},
    {"denoise", "stages.denoise_ns", MD_PLAIN, true},
    {"decode", "stages.decode_ns", MD_PLAIN, true},
    {"TFLOP/s", "derived.flops_per_s", MD_TERA, true},
    {"of peak", "derived.peak_fraction", MD_PERCENT, true},
    {"replicas", "recipe.replicas", MD_WORD, false},
    {"scenario", "recipe.scenario", MD_WORD, false},
    {"clips/h", "replicas.clips_per_h", MD_ROUND, true},
    {"audit", "scenario.audit.ratio", MD_ROUND, true}, /* repeated over new prompts */
    {"settled clips/h", "sustained.settled_clips_per_h", MD_ROUND, true},
    {"load", "timing.load", MD_WORD, false},
    {"J per clip", "energy.j_per_clip", MD_ROUND, true},
    {"joules of", "energy.scope", MD_WORD, false},
    WHO,
    {"n", "timing.n", MD_WORD, false},
    {"stopped by", "timing.stop_reason", MD_WORD, false},
    {"residency", "recipe.residency", MD_WORD, false},
    {"launch", "recipe.launch", MD_WORD, false},
    {"plan", "recipe.plan_hash", MD_SHORT, false},
    WHERE,
    WHEN,
};

static const struct md_column ceiling_columns[] = {
    {"ceiling", "recipe.ceiling", MD_WORD, true},
    {"type", "recipe.type", MD_WORD, true},
    {"unit", "recipe.unit", MD_WORD, true},
    {"level", "recipe.level", MD_WORD, true},
    {"shape", "recipe.shape", MD_WORD, true},
    {"GB/s", "derived.bytes_per_s", MD_GIGA, true},
    {"GFLOP/s", "derived.flops_per_s", MD_GIGA, true},
    {"best GB/s", "derived.bytes_per_s_best", MD_GIGA, true},
    {"best GFLOP/s", "derived.flops_per_s_best", MD_GIGA, true},
    {"time", "timing.median", MD_TIME, true},
    WHO,
    {"n", "timing.n", MD_WORD, false},
    WHERE,
    WHEN,
};

static const struct md_column verify_columns[] = {
    {"op", "recipe.op", MD_WORD, true},
    {"variant", "impl.variant", MD_WORD, true},
    {"numerics", "impl.numerics", MD_WORD, false},
    {"shape", "recipe.shape", MD_WORD, false},
    {"error / tolerance", "correctness.worst", MD_ROUND, true},
    {"relative L2", "correctness.l2_rel", MD_ROUND, true},
    {"checked", "correctness.checked_ratio", MD_PERCENT, true},
    {"checks", "correctness.checks", MD_WORD, true},
    {"failed", "correctness.failed_checks", MD_WORD, true},
    WHO,
    WHERE,
    {"seed", "recipe.seed", MD_WORD, false},
    WHEN,
};

static const struct md_column parity_columns[] = {
    {"model", "recipe.model", MD_WORD, false},
    {"size", "recipe.width", MD_SIZE, false},
    {"frames", "recipe.frames", MD_WORD, false},
    {"steps", "recipe.steps", MD_WORD, false},
    {"kernels", "recipe.plan", MD_WORD, true},
    {"type", "recipe.type", MD_WORD, true},
    {"fill", "recipe.fill", MD_WORD, false},
    {"block L2", "correctness.block_l2", MD_ROUND, true},
    {"step L2", "correctness.step_l2", MD_ROUND, true},
    {"latent L2", "correctness.latent_l2", MD_ROUND, true},
    {"PSNR dB", "correctness.psnr_db", MD_ROUND, true},
    WHO,
    WHERE,
    WHEN,
};

static const struct md_column compare_columns[] = {
    {"A", "a", MD_WORD, true},
    {"B", "b", MD_WORD, true},
    {"B is", "verdict", MD_WORD, true},
    {"times the speed of A", "ratio", MD_RATIO, true},
    {"p", "p", MD_ROUND, true},
    {"p among all pairs", "p_adjusted", MD_ROUND, true},
    {"pairs", "tests", MD_WORD, false},
    {"threshold", "threshold", MD_PERCENT, false},
    {"floor", "floor", MD_PERCENT, false},
    {"same class", "same_class", MD_WORD, false},
    {"judged by", "unit", MD_WORD, false},
    {"schedule", "schedule", MD_WORD, false},
    WHEN,
};

#define KIND(name, title)                                                                          \
    {                                                                                              \
#name, title, name##_columns, sizeof name##_columns / sizeof(struct md_column)             \
    }

static const struct md_kind kinds[] = {
    KIND(kernel, "Kernels"),      KIND(pipeline, "Clips"), KIND(ceiling, "Ceilings"),
    KIND(compare, "Comparisons"), KIND(verify, "Checks"),  KIND(parity, "Parity"),
};

const struct md_kind *md_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}
