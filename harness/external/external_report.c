// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* external_report.c   What became of an engine's case, for records and for people. */
#include "external/external.h"

static bool own_figure(const struct external *x) { return x->stack[0] != 0; }

const char *external_ran_on(const struct outcome *o)
{
    const char *device = o->external->device;
    return device[0] && device[0] != 'o' ? device : NULL;
}

void external_json(const struct outcome *o, struct json *j)
{
    const struct external *x = o->external;
    if (!x)
        return;
    if (!own_figure(x)) {
        json_none(j, "external");
        return;
    }
    json_open_object(j, "external");
    json_text(j, "name", x->name);
    json_text(j, "version", x->version);
    json_int(j, "protocol", EXTERNAL_PROTOCOL);
    json_raw(j, "libraries", x->libraries.text);
    json_text(j, "device", x->device);
    json_text(j, "weights", x->weights);
    json_text(j, "text", x->text);
    json_number(j, "load_ns", x->load_ns);
    json_number(j, "wall_over_engine", x->wall_ratio);
    json_open_array(j, "wall_ns");
    for (int64_t i = 0; i < o->samples; i++)
        json_number(j, NULL, x->wall_ns[i]);
    json_end(j);
    json_text(j, "frames_hash", x->frames_hash[0] ? x->frames_hash : NULL);
    json_bool(j, "repeatable", x->repeatable);
    json_end(j);
}

/* The error over its gate, the larger of both: 10 dB are a factor of ten in squares. */
static double worst(const struct external *x)
{
    const double frames = pow(10, (EXTERNAL_GATE_PSNR_DB - x->psnr_db) / 20);
    return x->gated ? fmax(x->latent_l2 / EXTERNAL_GATE_L2, frames) : NAN;
}

static bool agrees(const struct external *x) { return x->gated && worst(x) <= 1; }

void external_correctness_json(const struct outcome *o, struct json *j)
{
    const struct external *x = o->external;
    if (!x->compared) {
        json_unavailable(j, "correctness",
                         x->not_compared[0] ? x->not_compared : "it did not get so far");
        return;
    }
    json_open_object(j, "correctness");
    json_number(j, "worst", worst(x));
    json_number(j, "l2_rel", x->latent_l2);
    json_number(j, "max_abs", x->max_abs);
    json_number(j, "checked_ratio", 1);
    if (x->gated)
        json_bool(j, "agrees", agrees(x));
    else
        json_unavailable(j, "agrees",
                         "stacks round half types each in its own way: a figure, no verdict");
    json_number(j, "psnr_db", x->psnr_db);
    json_number(j, "gate_latent_l2", x->gated ? EXTERNAL_GATE_L2 : NAN);
    json_number(j, "gate_psnr_db", x->gated ? EXTERNAL_GATE_PSNR_DB : NAN);
    json_bool(j, "rechecked", x->rechecked);
    json_end(j);
}

static void comparison_text(const struct external *x, char *out, size_t bytes)
{
    char latents[48] = "", frames[48] = "";
    if (!isnan(x->latent_l2))
        snprintf(latents, sizeof latents, ", latents %.2g relative L2", x->latent_l2);
    if (!isnan(x->psnr_db))
        snprintf(frames, sizeof frames, ", frames %.1f dB", x->psnr_db);
    if (x->compared)
        snprintf(out, bytes, "%s our clip in f32%s%s",
                 agrees(x)  ? "agrees with"
                 : x->gated ? "DIFFERS from"
                            : "no verdict in half types; against",
                 latents, frames);
    else
        snprintf(out, bytes, "not compared with ours: %s", x->not_compared);
}

void external_row(const struct outcome *o, FILE *out)
{
    const struct external *x = o->external;
    char compared[512];
    if (!x || !own_figure(x))
        return;
    comparison_text(x, compared, sizeof compared);
    fprintf(out, "    external: timed by %s itself on %s", x->stack, x->device);
    if (!isnan(x->wall_ratio))
        fprintf(out, ", our clock took %.3fx as long", x->wall_ratio);
    fprintf(out, "; %s\n", compared);
    if (x->text[0] != 'p')
        fprintf(out, "    its clips begin with %s: encoding the prompt is not in its time\n",
                x->text[0] == 'e' ? "given text rows" : "no text at all");
    if (!x->repeatable)
        fputs("    its clips differ from one another\n", out);
}
