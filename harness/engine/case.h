// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* case.h   One pipeline case as people name it (flags, suite lines) and as the generator takes
 * it. */
#ifndef PATCHMARK_CASE_H
#define PATCHMARK_CASE_H

#include "base/json.h"
#include "base/patchmark.h"
#include "engine/engine.h"
#include "weights/model_folder.h"

#include <math.h>

/* CASE_UNSET, a size of 0x0, NAN and NULL mean: the model's or the machine's own default. */
#define CASE_UNSET INT64_MIN

struct case_spec {
    const char *model, *prompt, *negative, *scheduler, *dtype, *device, *launch, *residency,
        *kernels, *plan, *fill, *tile, *image, *last_image, *noise,
        *tuned;
    const char *engine; /* command of another stack that runs it (external.h); NULL: we do */
    const char *scenario; /* how clips are asked for (run_scenario.h); NULL: the same again */
    bool untuned; /* no table of tuned kernels; tuned NULL: this machine's in results/ */
    const char *pin; /* "none": the system places threads; NULL: one on each core */
    struct size2 size;
    int64_t frames, steps, threads, class_label;
    int64_t batch;    /* clips that every forward takes together; unset: one */
    int64_t replicas; /* workers that run the case side by side (run_replicas.h); unset: no such */
    const char *devices; /* of the replicas, "cuda:0-3"; NULL: `device` alone */
    double seconds, fps, shift;
    struct real2 guidance; /* of both experts, where there are two */
    uint64_t seed;
};

#define CASE_DEFAULTS                                                                              \
    {                                                                                              \
        .model = "tiny", .negative = "", .dtype = "f32", .device = "cpu", .launch = "stream",      \
        .residency = "auto", .fill = "normal", .frames = CASE_UNSET, .steps = CASE_UNSET,          \
        .threads = CASE_UNSET, .class_label = CASE_UNSET, .replicas = CASE_UNSET,                  \
        .batch = CASE_UNSET, .fps = NAN,                                                           \
        .guidance = {NAN, NAN}, .shift = NAN, .seconds = NAN, .seed = 42                           \
    }

/* Rows of an option table: whether auto reads a table of tuned kernels (tuned.h). */
#define TUNED_OPTIONS(spec)                                                                        \
    {"--tuned", "FILE", OPTION_TEXT, &(spec).tuned,                                                \
     "table of 'tune' that auto reads (results/<machine>/tuned.tsv)"},                             \
    {                                                                                              \
        "--untuned", NULL, OPTION_FLAG, &(spec).untuned, "auto reads no table of 'tune'"           \
    }

/* Rows of an option table for what a case has in every command. */
#define CASE_OPTIONS(spec)                                                                         \
    {"--fps", "F", OPTION_REAL, &(spec).fps, "frames per second (the model's own)"},               \
        {"--guidance", "HIGH[,LOW]", OPTION_PAIR, &(spec).guidance,                                \
         "classifier-free guidance; 1 or less: off; LOW: of a second expert (as HIGH)"},           \
        {"--scheduler", "NAME", OPTION_TEXT, &(spec).scheduler,                                    \
         "unipc, unipc-original, euler, euler-once, euler-terminal, euler-quadratic, ddim, ddpm, " \
         "ddim-cogvideox (the model's own)"},                                                      \
        {"--shift", "S", OPTION_REAL, &(spec).shift,                                               \
         "shift of the noise levels (the model's own)"},                                           \
        {"--seed", "N", OPTION_SEED, &(spec).seed, "seed of the noise (42)"},                      \
        {"--class", "N", OPTION_COUNT, &(spec).class_label,                                        \
         "what to show, of models that know classes in place of prompts (DiT)"},                   \
        {"--negative", "TEXT", OPTION_TEXT, &(spec).negative, "what guidance steers away from"},   \
        {"--fill", "NAME", OPTION_TEXT, &(spec).fill, "synthetic weights: normal or outlier"},     \
        {"--residency", "NAME", OPTION_TEXT, &(spec).residency,                                    \
         "how long weights stay: resident (all), stage (expert-swap where there are two),"         \
         " block-stream (read again for every block), auto (stage, else block-stream)"},           \
        TUNED_OPTIONS(spec), PLUGIN_OPTION

struct pipeline_case {
    struct case_spec spec;
    struct generate_request request; /* without noise, embeds and sink */
    struct engine_config config;
    struct model_folder *folder; /* where the weights are; NULL: synthetic */
    double fps;
    const char *stack; /* name and version of another one that ran it, for its recipe; NULL: we did */
    const char *stack_weights; /* and the recipe's `weights`, where it shared a folder's; or NULL */
    enum status absent; /* ST_OK, or why it cannot run here */
    struct fault absent_why;
};

/* Checks and resolves everything that needs no memory; ST_BAD_INPUT. A device that is not there and
 * a denoiser of which there are figures alone are kept in `absent`, for in a list they cost one row;
 * case_ready says it. Of such a model nothing but size, frames and steps is resolved. */
enum status case_resolve(const struct case_spec *spec, struct pipeline_case *out,
                         struct fault *fault);
enum status case_ready(const struct pipeline_case *c, struct fault *fault);
/* A preset, or the geometry of a model's folder. */
const struct model_config *case_model(const char *name, struct fault *fault);
/* How prompts become tokens, where text rows are not given; ST_BAD_INPUT where the model's folder
 * lacks what that needs. */
enum status case_prompts(struct pipeline_case *c, struct fault *fault);
/* The prompt has more tokens than the model reads. After case_prompts. */
bool case_prompt_is_cut(const struct pipeline_case *c);

/* "128x72, 17 frames at 16 fps (1.06 s), 4 steps unipc, guidance 5" */
void case_describe(const struct pipeline_case *c, char *out, size_t bytes);
/* "synthetic weights", "weights of the folder NAME". */
void case_describe_weights(const struct pipeline_case *c, char *out, size_t bytes);
/* What of the weights loaded so far is NaN or infinite, in one sentence; "" where all are finite. */
void case_describe_nonfinite(const struct pipeline_case *c, char *out, size_t bytes);
/* Said once where more is generated than was asked for; "" where not. */
void case_describe_padding(const struct pipeline_case *c, char *out, size_t bytes);

int64_t case_passes(const struct pipeline_case *c); /* forwards per step: 2 with guidance */
/* Members of the record's recipe, and its sha256 over the canonical text. */
void case_recipe(const struct pipeline_case *c, const struct engine *engine, struct json *j,
                 const char *key);
void case_recipe_sha256(const struct pipeline_case *c, const struct engine *engine, char out[65]);

extern const char *const stage_names[STAGE_COUNT];
/* Every clip of the model passes the stage: tables list it whatever it took. */
bool stage_expected(const struct model_config *model, enum stage stage);
bool model_ends_as_latents(const struct model_config *model); /* denoise only: no decoder here */
bool stage_denoises(enum stage stage);

#endif
