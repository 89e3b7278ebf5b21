// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* tune_print.c   A decided bucket as a row for people and as the members of a record. */
#include <math.h>
#include <string.h>

#include "machine/device.h"
#include "tune/tune.h"

const char *const decision_names[DECISION_COUNT] = {
    [DECISION_NONE] = "not reached",    [DECISION_KEPT] = "kept",
    [DECISION_SAME] = "same",           [DECISION_SLOWER] = "slower",
    [DECISION_AMBIGUOUS] = "ambiguous", [DECISION_BEST] = "default",
    [DECISION_ALONE] = "no choice",     [DECISION_FAILED] = "failed",
};

static const char *time_text(double seconds, char out[24])
{
    if (isnan(seconds))
        return "-";
    const double scale = seconds < 1e-3 ? 1e6 : seconds < 1 ? 1e3 : 1;
    snprintf(out, 24, "%.4g %s", seconds * scale, seconds < 1e-3 ? "us" : seconds < 1 ? "ms" : "s");
    return out;
}

void tune_heading(FILE *out)
{
    fprintf(out, "%6s %6s %6s %7s %5s %11s  %-22s %-11s %s\n", "share", "tried", "pruned",
            "refused", "wrong", "default", "gain", "decision", "bucket");
}

void tune_row(const struct bucket *b, FILE *out)
{
    char time[24], gain[64] = "-";
    if (!isnan(b->ratio[0]))
        snprintf(gain, sizeof gain, "%.3fx [%.3f, %.3f]", b->ratio[0], b->ratio[1], b->ratio[2]);
    fprintf(out, "%5.1f%% %6d %6d %7d %5d %11s  %-22s %-11s %s%s\n", 100 * b->share, b->tried,
            b->pruned, b->refused, b->wrong, time_text(b->default_s, time), gain,
            decision_names[b->decision], b->part ? "~" : "", b->name);
    if (b->decision == DECISION_KEPT)
        fprintf(out, "%60s -> %s%s%s\n", "", b->variant, strcmp(b->knobs, "-") ? ":" : "",
                strcmp(b->knobs, "-") ? b->knobs : "");
    if (b->why[0])
        fprintf(out, "%60s %s\n", "", b->why);
}

static void json_candidates(const struct bucket *b, struct json *j)
{
    json_open_object(j, "candidates");
    json_int(j, "count", b->count);
    json_int(j, "tried", b->tried);
    json_int(j, "pruned", b->pruned);
    json_int(j, "refused", b->refused);
    json_int(j, "wrong", b->wrong);
    json_end(j);
}

void tune_record(const struct bucket *b, const char *place, struct json *j)
{
    json_text(j, "bucket", b->name);
    json_text(j, "shape", b->shape);
    json_text(j, "place", place);
    json_text(j, "ran_on", device_ran_on());
    json_bool(j, "part", b->part);
    json_number(j, "share", b->share);
    json_int(j, "problems", b->problems);
    json_int(j, "calls", b->calls);
    json_candidates(b, j);
    json_text(j, "decision", decision_names[b->decision]);
    json_text(j, "decision_reason", b->why[0] ? b->why : NULL);
    json_bool(j, "resumed", b->resumed);
    json_text(j, "default", b->list ? b->list->entry->name : NULL);
    json_text(j, "variant", b->variant[0] ? b->variant : NULL);
    json_text(j, "knobs", b->variant[0] ? b->knobs : NULL);
    json_number(j, "default_ns", 1e9 * b->default_s);
    json_number(j, "winner_ns", b->variant[0] ? 1e9 * b->winner_s : NAN);
    json_number(j, "gain", b->ratio[0]);
    json_number(j, "gain_lo", b->ratio[1]);
    json_number(j, "gain_hi", b->ratio[2]);
}
