// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_list.c   What there is: ops, variants, models; and what of it can run here. */
#include "cmd/commands.h"
#include "counters/list_counters.h"
#include "engine/case.h"
#include "machine/host.h"
#include "model/denoiser.h"
#include "records/ran_on.h"
#include "sweep/run_cases.h"

#include <string.h>

static bool json;

static const struct option options[] = {
    FORMAT_OPTION(&json),
    PLUGIN_OPTION,
    {0},
};

void help_list(FILE *out) { options_help(options, out); }

/* ---- ops ---- */

static void text_ops(void)
{
    for (int i = 0; i < OP_COUNT; i++)
        printf("%-14s %-10s %s%s\n", op_table[i]->name, op_table[i]->folder, op_table[i]->summary,
               op_table[i]->composite ? " (composite)" : "");
}

static void json_ops(struct json *j)
{
    json_open_array(j, "ops");
    for (int i = 0; i < OP_COUNT; i++) {
        json_open_object(j, NULL);
        json_text(j, "name", op_table[i]->name);
        json_text(j, "folder", op_table[i]->folder);
        json_text(j, "summary", op_table[i]->summary);
        json_bool(j, "composite", op_table[i]->composite);
        json_text(j, "timing_shape", op_table[i]->timing_shape);
        json_end(j);
    }
    json_end(j);
}

/* ---- variants ---- */

static void needs_text(uint64_t needs, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(out, bytes, "%s", needs ? "" : "-");
    for (int bit = 0; bit < 64 && used < bytes; bit++)
        if (needs >> bit & 1)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? "+" : "",
                                     host_feature_name(UINT64_C(1) << bit));
}

/* Whether it can run here, which the machine says, and where it ever ran, which records say. */
struct standing {
    const char *runs;
    enum ran ran;
    char ran_on[256]; /* where, by which record */
    struct fault why;
};

static struct standing standing_of(const struct registry_entry *e)
{
    struct standing s = {.ran_on = ""};
    enum status status = registry_usable(e, &s.why);
    s.runs = status == ST_OK          ? "runs here"
             : status == ST_NOT_BUILT ? "not built"
                                      : "cannot run here";
    if (!e->plugin_hash)
        s.ran = ran_on_find(ran_on_folder(), e->op, e->name, s.ran_on, sizeof s.ran_on);
    return s;
}

/* What is known of the variant beyond this build: nothing is claimed that no record shows. */
static void record_text(const struct standing *s, const struct registry_entry *e, char *out,
                        size_t bytes)
{
    if (s->ran == RAN_HARDWARE)
        snprintf(out, bytes, "ran on %s", s->ran_on);
    else if (s->ran == RAN_EMULATED)
        snprintf(out, bytes, "emulated only (%s)", s->ran_on);
    else
        snprintf(out, bytes, "%sno record of a run", e->variant ? "compiled, " : "");
}

/* Reasons that many variants share are said once, below the table. */
struct reasons {
    char text[16][sizeof(((struct fault *)NULL)->text)];
    int count;
};

static int number_of(struct reasons *r, const char *why)
{
    int i = 0;
    while (i < r->count && strcmp(r->text[i], why))
        i++;
    if (i == (int)(sizeof r->text / sizeof *r->text))
        return 0;
    if (i == r->count)
        snprintf(r->text[r->count++], sizeof *r->text, "%s", why);
    return i + 1;
}

static void text_variants(void)
{
    int count;
    struct reasons reasons = {.count = 0};
    const struct registry_entry *all = registry(&count);
    for (int i = 0; i < count; i++) {
        char name[128], needs[128] = "?", record[320];
        struct standing s = standing_of(&all[i]);
        snprintf(name, sizeof name, "%s/%s", all[i].op, all[i].name);
        if (all[i].variant)
            needs_text(all[i].variant->needs, needs, sizeof needs);
        record_text(&s, &all[i], record, sizeof record);
        printf("%-30s %-9s needs %-13s %-5s %s", name, all[i].target, needs,
               all[i].variant ? numerics_name(all[i].variant->numerics) : "?", s.runs);
        if (s.why.text[0])
            printf(" (%d)", number_of(&reasons, s.why.text));
        printf(", %s\n", record);
    }
    for (int i = 0; i < reasons.count; i++)
        printf("(%d) %s\n", i + 1, reasons.text[i]);
}

static void json_variants(struct json *j)
{
    int count;
    const struct registry_entry *all = registry(&count);
    json_open_array(j, "variants");
    for (int i = 0; i < count; i++) {
        char needs[128];
        struct standing s = standing_of(&all[i]);
        json_open_object(j, NULL);
        json_text(j, "op", all[i].op);
        json_text(j, "name", all[i].name);
        json_text(j, "target", all[i].target);
        json_text(j, "origin", all[i].origin);
        if (all[i].variant) {
            needs_text(all[i].variant->needs, needs, sizeof needs);
            json_text(j, "needs", needs);
            json_text(j, "numerics", numerics_name(all[i].variant->numerics));
        }
        json_text(j, "runs", s.runs);
        json_text(j, "ran_on", s.ran == RAN_HARDWARE ? s.ran_on : NULL);
        json_text(j, "emulated", s.ran == RAN_EMULATED ? s.ran_on : NULL);
        json_text(j, "why", s.why.text[0] ? s.why.text : NULL);
        json_end(j);
    }
    json_end(j);
}

/* ---- models ---- */

struct model_figures {
    int64_t text, image, transformer, encoder, decoder;
    double forward_flops, decode_flops;
    int64_t tokens;
};

/* Counted by running the generator in count mode at the model's own size. */
static enum status count_model(const struct model_config *m, struct model_figures *out,
                               struct fault *fault)
{
    struct case_spec s = CASE_DEFAULTS;
    struct pipeline_case c;
    struct engine *engine;
    if (denoiser_families[m->family]->figures) {
        struct denoiser_figures f;
        denoiser_families[m->family]->figures(m, &f);
        *out = (struct model_figures){
            .transformer = f.parameters, .tokens = f.tokens, .forward_flops = f.forward_flops};
        return ST_OK;
    }
    s.model = m->name;
    s.steps = 1;
    TRY(case_resolve(&s, &c, fault));
    TRY(engine_new(&c.config, &engine, fault));
    enum status status = engine_count(engine, &c.request, fault);
    *out = (struct model_figures){
        .text = text_parameters(&m->text),
        .image = image_parameters(&m->image),
        .transformer = transformer_parameters(m),
        .encoder = m->image_input == IMAGE_NONE ? 0 : vae_encoder_parameters(&m->vae),
        .decoder = vae_decoder_parameters(&m->vae),
        .tokens = c.request.geometry.S,
        .forward_flops = engine_stage(engine, STAGE_DENOISE)->flops / (double)case_passes(&c),
        .decode_flops = engine_stage(engine, STAGE_DECODE)->flops,
    };
    engine_free(engine);
    return status;
}

/* Nothing of such a model runs here. */
static bool by_formula(const struct model_config *m)
{
    return denoiser_families[m->family]->figures != NULL;
}

static int experts_of(const struct model_config *m) { return m->boundary > 0 ? 2 : 1; }

static void text_model(const struct model_config *m, const struct model_figures *f)
{
    char clip[64], forward[TFLOP_BYTES], decode[TFLOP_BYTES] = "denoise only";
    snprintf(clip, sizeof clip, "%lldx%lldx%lld", (long long)m->width, (long long)m->height,
             (long long)m->frames);
    if (by_formula(m))
        snprintf(decode, sizeof decode, "by formula");
    else if (!model_ends_as_latents(m))
        tflop_text(f->decode_flops, decode);
    printf("%-23s %s%8.1f M  %-12s %8lld %13s %12s  %s\n", m->name,
           experts_of(m) > 1 ? "2 x " : "    ", (double)f->transformer * 1e-6, clip,
           (long long)f->tokens, tflop_text(f->forward_flops, forward), decode, m->summary);
}

static void text_heading(void)
{
    printf("%-23s %14s  %-12s %8s %13s %12s\n", "model", "parameters", "clip", "tokens",
           "TFLOP/forward", "TFLOP/decode");
}

/* The stages that are here: "denoise" alone is a denoise-only model, and where figures come by formula
 * there is none. */
static void json_stages(struct json *j, const struct model_config *m)
{
    json_open_array(j, "stages");
    for (int i = 0; i < STAGE_COUNT && !by_formula(m); i++)
        if (stage_expected(m, (enum stage)i))
            json_text(j, NULL, stage_names[i]);
    json_end(j);
}

static enum status list_models(struct json *j, struct fault *fault)
{
    if (j)
        json_open_array(j, "models");
    else
        text_heading();
    for (const struct model_config *const *p = model_presets; *p; p++) {
        const struct model_config *m = *p;
        struct model_figures f;
        TRY(count_model(m, &f, fault));
        if (!j) {
            text_model(m, &f);
            continue;
        }
        json_open_object(j, NULL);
        json_text(j, "name", m->name);
        json_text(j, "summary", m->summary);
        json_stages(j, m);
        json_text(j, "figures", by_formula(m) ? "formula" : "counted");
        json_int(j, "parameters", f.transformer);
        json_int(j, "experts", experts_of(m));
        json_int(j, "text_parameters", f.text);
        json_int(j, "image_parameters", f.image);
        json_int(j, "encoder_parameters", f.encoder);
        json_int(j, "decoder_parameters", f.decoder);
        json_int(j, "width", m->width);
        json_int(j, "height", m->height);
        json_int(j, "frames", m->frames);
        json_int(j, "tokens", f.tokens);
        json_number(j, "forward_flops", f.forward_flops);
        json_number(j, "decode_flops", model_ends_as_latents(m) ? NAN : f.decode_flops);
        json_end(j);
    }
    if (j)
        json_end(j);
    return ST_OK;
}

/* ---- suites ---- */

static void text_suites(void)
{
    char summary[160];
    for (const struct suite *s = suites; s->name; s++) {
        suite_summary(s, summary, sizeof summary);
        printf("%-23s %s\n", s->name, summary);
    }
}

static void json_suites(struct json *j)
{
    char summary[160];
    json_open_array(j, "suites");
    for (const struct suite *s = suites; s->name; s++) {
        suite_summary(s, summary, sizeof summary);
        json_open_object(j, NULL);
        json_text(j, "name", s->name);
        json_text(j, "summary", summary);
        json_text(j, "text", s->text);
        json_end(j);
    }
    json_end(j);
}

static enum status print_suite(const char *name, struct fault *fault)
{
    const struct suite *found = suite_find(name);
    const char *names[32];
    int count = 0;
    char near[128];
    for (const struct suite *s = suites; s->name && count < 32; s++)
        names[count++] = s->name;
    nearest_names(name, names, count, near, sizeof near);
    if (!found)
        return fault_set(fault, ST_BAD_INPUT,
                         "there is no suite '%s'%s 'patchmark list suites'"
                         " shows all",
                         name, near[0] ? near : ";");
    fputs(found->text, stdout);
    return ST_OK;
}

static enum status list_all(const char *what, struct fault *fault)
{
    bool all = !what;
    struct json j;
    static const char *const kinds[] = {"ops", "variants", "models", "counters", "suites"};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    char near[64];
    int kind = 0;
    while (what && kind < KINDS && strcmp(what, kinds[kind]))
        kind++;
    if (kind == KINDS) {
        nearest_names(what, kinds, KINDS, near, sizeof near);
        return fault_set(fault, ST_BAD_INPUT,
                         "list knows ops, variants, models, counters and suites, not '%s'%s", what,
                         near);
    }
    json_init(&j, true);
    json_open_object(&j, NULL);
    enum status s = ST_OK;
    if (all || !strcmp(what, "ops"))
        json ? json_ops(&j) : text_ops();
    if (all && !json)
        putchar('\n');
    if (all || !strcmp(what, "variants"))
        json ? json_variants(&j) : text_variants();
    if (all && !json)
        putchar('\n');
    if (all || !strcmp(what, "models"))
        s = list_models(json ? &j : NULL, fault);
    if (!all && !strcmp(what, "counters"))
        list_counters(json ? &j : NULL);
    if (all && !json)
        putchar('\n');
    if (all || !strcmp(what, "suites"))
        json ? json_suites(&j) : text_suites();
    json_end(&j);
    if (json && s == ST_OK)
        printf("%s\n", j.text);
    json_free(&j);
    return s;
}

int cmd_list(int argc, char **argv, struct fault *fault)
{
    const char *words[2] = {NULL};
    int count = 2;
    enum status s = options_parse(options, argc, argv, words, &count, fault);
    if (s == ST_OK && count == 2 && strcmp(words[0], "suites"))
        s = fault_set(fault, ST_BAD_INPUT, "'%s' is one word too many here", words[1]);
    if (s == ST_OK)
        s = count == 2 ? print_suite(words[1], fault) : list_all(words[0], fault);
    return exit_code_of(s);
}
