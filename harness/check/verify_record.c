// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "check/verify_record.h"

#include <inttypes.h>
#include <string.h>

#include "base/patchmark.h"
#include "machine/device.h"
#include "records/ran_on.h"
#include "records/record.h"

void verify_command(const char *program, const struct verify_request *request,
                    const struct verify_row *row, const char *shape, char *out, size_t bytes)
{
    size_t used = (size_t)snprintf(
        out, bytes, "%s verify '%s/%s' --level op --seed %" PRIu64 " --threads %d", program,
        row->entry->op, row->entry->name, request->seed, request->threads);
    if (shape && used < bytes)
        used += (size_t)snprintf(out + used, bytes - used, " --shape '%s'", shape);
    if (strcmp(row->device, "cpu") != 0 && used < bytes)
        used += (size_t)snprintf(out + used, bytes - used, " --device %s%s", row->device,
                                 request->bare ? " --bare" : "");
    if (row->entry->plugin_hash && used < bytes)
        snprintf(out + used, bytes - used, " --plugin '%s'", row->entry->origin);
}

/* As the Makefile builds it: build/patchmark, or build/emu/<mode>/patchmark where GPUs are
 * emulated. */
static const char *own_program(void)
{
    static char name[64];
    const char *path = self_path(), *tail = path + strlen(path);
    for (int slashes = 0; tail > path && slashes < 3;)
        slashes += *--tail == '/';
    snprintf(name, sizeof name, "build%s", strncmp(tail, "/emu/", 5) ? "/patchmark" : tail);
    return name;
}

/* One sentence: of a failure the first one, with the data it was met at. */
static void reason(const struct verify_row *row, struct json *j)
{
    const struct verify_failure *first = &row->failure[0];
    char text[sizeof first->text + sizeof first->where + 8];
    if (row->failures && first->where[0])
        snprintf(text, sizeof text, "%s, in %s", first->text, first->where);
    else
        snprintf(text, sizeof text, "%s", row->failures ? first->text : row->reason);
    json_text(j, "status_reason", row->status == ST_OK ? NULL : text);
}

static void recipe(const struct verify_request *request, const struct verify_row *row,
                   struct json *j, const char *key)
{
    json_open_object(j, key);
    json_text(j, "op", row->entry->op);
    json_text(j, "shape", request->shape);
    json_text(j, "pattern", "all");
    json_int(j, "seed", (int64_t)request->seed);
    json_int(j, "threads", request->threads);
    json_text(j, "device", row->device);
    json_text(j, "level", "op");
    json_end(j);
}

/* What no check has. */
static void no_figures(struct json *j)
{
    json_none(j, "timing");
    json_none(j, "derived");
    json_none(j, "work");
    json_open_object(j, "memory");
    json_end(j);
    json_open_object(j, "counters");
    json_end(j);
}

/* ---- a variant ------------------------------------------------------------------------------- */

static void recipe_hash(const struct verify_request *request, const struct verify_row *row,
                        char hash[65])
{
    struct json j;
    json_init(&j, false);
    recipe(request, row, &j, NULL);
    sha256_hex(j.text, j.used, hash);
    json_free(&j);
}

static void impl(const struct registry_entry *e, struct json *j)
{
    char hash[20];
    json_open_object(j, "impl");
    json_text(j, "variant", e->name);
    json_text(j, "target", e->target);
    json_text(j, "numerics", e->variant ? numerics_name(e->variant->numerics) : NULL);
    json_open_object(j, "knobs");
    for (int i = 0; e->variant && i < KNOB_MAX && e->variant->knob[i].name; i++)
        json_int(j, e->variant->knob[i].name, e->variant->knob[i].values[0]);
    json_end(j);
    json_text(j, "requested", e->name);
    json_text(j, "resolved", e->name); /* a check never falls back to another kernel */
    snprintf(hash, sizeof hash, "%016" PRIx64, e->plugin_hash);
    json_text(j, "plugin_hash", e->plugin_hash ? hash : NULL);
    json_end(j);
}

static void correctness(const struct verify_row *row, struct json *j)
{
    if (row->checks == row->refused) {
        json_none(j, "correctness");
        return;
    }
    json_open_object(j, "correctness");
    json_number(j, "worst", row->worst);
    json_number(j, "l2_rel", row->l2);
    json_number(j, "checked_ratio", row->checked_ratio);
    json_int(j, "shapes", row->shapes);
    json_int(j, "checks", row->checks);
    json_int(j, "refused", row->refused);
    json_int(j, "failed_checks", row->failures);
    json_end(j);
}

void verify_case(const struct verify_request *request, const struct verify_row *row, struct json *j)
{
    char command[VERIFY_COMMAND_BYTES], hash[65];
    json_text(j, "case_kind", "verify");
    json_text(j, "status", status_name(row->status));
    reason(row, j);
    json_text(j, "claim", "measured");
    json_text(j, "ran_on", row->status == ST_REFUSED ? NULL : row->ran_on);
    verify_command(own_program(), request, row, request->shape, command, sizeof command);
    json_text(j, "repro", command);
    recipe(request, row, j, "recipe");
    recipe_hash(request, row, hash);
    json_text(j, "recipe_sha256", hash);
    impl(row->entry, j);
    correctness(row, j);
    no_figures(j);
}

/* ---- a plan ---------------------------------------------------------------------------------- */

/* Its figures are there: it ran to the end, within the gates or not. */
static bool was_judged(const struct parity_row *row)
{
    return row->status == ST_OK || row->status == ST_WRONG;
}

const char *parity_ran_on(const struct parity_row *row)
{
    int index = 0;
    bool ran = was_judged(row) || row->status == ST_CRASHED || row->status == ST_TIMEOUT ||
               row->status == ST_DEVICE;
    enum device_kind kind = sscanf(row->device, "cuda:%d", &index) == 1 ? DEVICE_CUDA : DEVICE_CPU;
    return ran ? device_ran_on_of(kind, index) : NULL;
}

/* A variant asked for by name is a plan alone; the usual plans are judged together, and so is the
 * reference, which goes before either. */
static void parity_command(const struct parity_request *request, const struct parity_row *row,
                           char *out, size_t bytes)
{
    char words[64], name[sizeof row->plan];
    snprintf(out, bytes, "%s verify", own_program());
    snprintf(name, sizeof name, "%s", row->plan);
    if (request->glob && strchr(name, '=')) {
        *strchr(name, '=') = '/';
        command_append(out, bytes, name);
    } else if (request->glob) {
        command_append(out, bytes, request->glob);
    }
    snprintf(words, sizeof words, " --level pipeline --device %s --threads %d", row->device,
             request->threads);
    strncat(out, words, bytes - strlen(out) - 1);
    for (const char *const *plugin = registry_plugins(); *plugin; plugin++) {
        command_append(out, bytes, "--plugin");
        command_append(out, bytes, *plugin);
    }
}

static void parity_recipe(const struct parity_request *request, const struct parity_row *row,
                          struct json *j, const char *key)
{
    char hash[65];
    bool half = parity_is_half(row);
    json_open_object(j, key);
    json_text(j, "plan", row->plan);
    json_text(j, "type", row->type);
    json_text(j, "fill", row->fill);
    json_text(j, "model", PARITY_MODEL);
    json_int(j, "width", PARITY_WIDTH);
    json_int(j, "height", PARITY_HEIGHT);
    json_int(j, "frames", PARITY_FRAMES);
    json_int(j, "steps", PARITY_STEPS);
    json_number(j, "guidance", half ? PARITY_HALF_GUIDANCE : PARITY_GUIDANCE);
    sha256_hex(PARITY_PROMPT, strlen(PARITY_PROMPT), hash);
    json_text(j, "prompt_sha256", hash);
    json_int(j, "seed", PARITY_SEED);
    json_int(j, "noises", half ? PARITY_HALF_NOISES : 1);
    json_int(j, "threads", request->threads);
    json_text(j, "device", row->device);
    json_text(j, "level", "pipeline");
    json_end(j);
}

static void parity_recipe_hash(const struct parity_request *request, const struct parity_row *row,
                               char hash[65])
{
    struct json j;
    json_init(&j, false);
    parity_recipe(request, row, &j, NULL);
    sha256_hex(j.text, j.used, hash);
    json_free(&j);
}

/* A plugin of which a variant is in the plan; told once, with the first of them. */
static bool is_first_of_plugin(const struct registry_entry *all, int at, const char *plan)
{
    if (!all[at].plugin_hash || !ran_on_plan_has(plan, all[at].op, all[at].name))
        return false;
    for (int i = 0; i < at; i++)
        if (all[i].plugin_hash == all[at].plugin_hash &&
            ran_on_plan_has(plan, all[i].op, all[i].name))
            return false;
    return true;
}

static void parity_plugins(const char *plan, struct json *j)
{
    int count;
    char hash[20];
    const struct registry_entry *all = registry(&count);
    json_open_array(j, "plugins");
    for (int i = 0; i < count; i++) {
        snprintf(hash, sizeof hash, "%016" PRIx64, all[i].plugin_hash);
        if (is_first_of_plugin(all, i, plan))
            json_text(j, NULL, hash);
    }
    json_end(j);
}

static void parity_impl(const struct parity_row *row, struct json *j)
{
    json_open_object(j, "impl");
    json_text(j, "requested", row->plan);
    json_text(j, "plan", row->served[0] ? row->served : NULL);
    parity_plugins(row->served, j);
    json_end(j);
}

static void parity_correctness(const struct parity_row *row, struct json *j)
{
    if (!was_judged(row)) {
        json_none(j, "correctness");
        return;
    }
    json_open_object(j, "correctness");
    json_number(j, "block_l2", row->block);
    json_number(j, "step_l2", row->step);
    json_number(j, "latent_l2", row->latent);
    json_number(j, "psnr_db", row->psnr);
    json_number(j, "gate_latent_l2", row->gate_latent);
    json_number(j, "gate_psnr_db", row->gate_psnr);
    json_end(j);
}

void parity_case(const struct parity_request *request, const struct parity_row *row, struct json *j)
{
    char command[VERIFY_COMMAND_BYTES], hash[65];
    json_text(j, "case_kind", "parity");
    json_text(j, "status", status_name(row->status));
    json_text(j, "status_reason", row->reason[0] ? row->reason : NULL);
    json_text(j, "claim", "measured");
    json_text(j, "ran_on", parity_ran_on(row));
    parity_command(request, row, command, sizeof command);
    json_text(j, "repro", command);
    parity_recipe(request, row, j, "recipe");
    parity_recipe_hash(request, row, hash);
    json_text(j, "recipe_sha256", hash);
    parity_impl(row, j);
    parity_correctness(row, j);
    no_figures(j);
}
