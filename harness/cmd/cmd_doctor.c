// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_doctor.c   patchmark doctor: what can and cannot be measured here, why, and the cure. */
#include <string.h>
#include <sys/stat.h>

#include "base/wrap.h"
#include "cmd/commands.h"
#include "doctor/doctor.h"
#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"

#define INDENT 31

struct request {
    const char *device, *results, *root;
    bool json;
};

#define OPTIONS(r)                                                                                 \
    {                                                                                              \
        {"--device", "D", OPTION_TEXT, &(r)->device, "cpu or cuda:N (cpu)"},                       \
            FORMAT_OPTION(&(r)->json),                                                             \
            {"--results", "DIR", OPTION_TEXT, &(r)->results,                                       \
             "where records go and a calibration may be (results)"},                               \
            {"--root", "DIR", OPTION_TEXT, &(r)->root,                                             \
             "read /proc and /sys below DIR, as copied from another machine; runs nothing"},       \
            {0},                                                                                   \
    }

void help_doctor(FILE *out)
{
    struct request r = {.device = NULL};
    const struct option options[] = OPTIONS(&r);
    options_help(options, out);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_finding(const struct finding *f)
{
    char cure[sizeof f->cure + 8];
    printf("  %-8s %-19s ", finding_state_name(f->state), f->name);
    wrap_print(stdout, f->what, INDENT);
    if (!f->cure[0])
        return;
    snprintf(cure, sizeof cure, "cure: %s", f->cure);
    printf("%*s", INDENT, "");
    wrap_print(stdout, cure, INDENT + 6);
}

static void count_states(const struct doctor *d, int count[FINDING_STATES])
{
    for (int i = 0; i < d->count; i++)
        count[d->finding[i].state]++;
}

static void print_all(const struct doctor *d)
{
    char verdict[600];
    int count[FINDING_STATES] = {0};
    count_states(d, count);
    printf("%s: %d ok, %d limited, %d missing\n\n",
           d->live ? host_machine_slug() : "files of another machine", count[FINDING_OK],
           count[FINDING_LIMITED], count[FINDING_MISSING]);
    for (int i = 0; i < d->count; i++)
        print_finding(&d->finding[i]);
    doctor_verdict(d, verdict, sizeof verdict);
    const struct finding *first = doctor_first(d);
    putchar('\n');
    wrap_print(stdout, verdict, 0);
    if (first) {
        char text[400];
        snprintf(text, sizeof text, "First: %s: %s", first->name, first->cure);
        wrap_print(stdout, text, 0);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void print_json(const struct doctor *d)
{
    char verdict[600];
    struct json j;
    const struct finding *first = doctor_first(d);
    doctor_verdict(d, verdict, sizeof verdict);
    json_init(&j, true);
    json_open_object(&j, NULL);
    json_text(&j, "machine", d->live ? host_machine_slug() : NULL);
    json_text(&j, "device", device_text());
    json_bool(&j, "can_measure", !d->nothing);
    json_open_array(&j, "findings");
    for (int i = 0; i < d->count; i++) {
        const struct finding *f = &d->finding[i];
        json_open_object(&j, NULL);
        json_text(&j, "name", f->name);
        json_text(&j, "state", finding_state_name(f->state));
        json_text(&j, "what", f->what);
        json_text(&j, "cure", f->cure[0] ? f->cure : NULL);
        json_end(&j);
    }
    json_end(&j);
    json_number(&j, "noise", d->noise);
    json_number(&j, "dips", d->dips);
    json_number(&j, "steal", d->steal);
    json_number(&j, "floor", d->floor);
    json_text(&j, "verdict", verdict);
    json_text(&j, "first", first ? first->name : NULL);
    json_end(&j);
    printf("%s\n", j.text);
    json_free(&j);
}

/* ---- command --------------------------------------------------------------------------------- */

static enum status parse(int argc, char **argv, struct request *r, struct fault *fault)
{
    const struct option options[] = OPTIONS(r);
    struct stat st;
    int words = 0;
    *r = (struct request){.device = "cpu", .results = "results", .root = ""};
    TRY(options_parse(options, argc, argv, NULL, &words, fault));
    if (r->root[0] && (stat(r->root, &st) || !S_ISDIR(st.st_mode)))
        return fault_set(fault, ST_BAD_INPUT,
                         "--root %s is no folder; it holds the proc and sys of a machine", r->root);
    return ST_OK;
}

int cmd_doctor(int argc, char **argv, struct fault *fault)
{
    static struct doctor d;
    struct request r;
    struct fault device = {{0}};
    enum status status = parse(argc, argv, &r, fault);
    if (status != ST_OK)
        return exit_code_of(status);
    enum status chosen = device_choose(r.device, &device);
    if (chosen == ST_BAD_INPUT) {
        *fault = device;
        return exit_code_of(chosen);
    }
    doctor_look(&d, r.root, r.results);
    struct gpu_info gpu = {.emulated = false};
    if (chosen == ST_OK && device_kind() == DEVICE_CUDA &&
        gpu_describe(device_index(), &gpu, NULL) == ST_OK && gpu.emulated)
        chosen =
            fault_set(&device, ST_UNAVAILABLE, "%s is emulated: nothing is timed there", r.device);
    if (chosen != ST_OK) {
        d.nothing = true;
        doctor_find(&d, FINDING_MISSING, "device", "%.230s", device.text);
    }
    if (!r.json)
        print_all(&d);
    else
        print_json(&d);
    return exit_code_of(chosen == ST_OK ? ST_OK : ST_UNAVAILABLE);
}
