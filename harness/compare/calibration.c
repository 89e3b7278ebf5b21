// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare/calibration.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/verdict.h"
#include "machine/device.h"

#define LEAST_SHARE 0.5 /* of a calibrated floor */

#ifdef HAVE_JANSSON
#include <dirent.h>
#include <jansson.h>

#include "machine/host.h"
#include "records/record.h"
#endif

double calibration_floor(const struct calibration *c) { return c ? c->floor : VERDICT_FLOOR; }

void calibration_at(struct calibration *c, double pair_seconds)
{
    c->floor *= fmax(LEAST_SHARE, sqrt(c->pair_seconds / pair_seconds));
    c->pair_seconds = pair_seconds;
}

double calibration_threshold(const struct calibration *c)
{
    return fmax(VERDICT_LEAST_EFFECT, calibration_floor(c));
}

double calibration_luck(const struct calibration *c) { return calibration_threshold(c) / 2; }

void calibration_describe(const struct calibration *c, int64_t threads, char *out, size_t bytes)
{
    if (!c && device_kind() != DEVICE_CPU)
        snprintf(
            out, bytes,
            "floor %g %%: no calibration of this device is stored, 'patchmark calibrate --device"
            " %s' makes one",
            100 * VERDICT_FLOOR, device_text());
    else if (!c)
        snprintf(out, bytes,
                 "floor %g %%: no calibration of this machine with %" PRId64
                 " thread%s is stored, 'patchmark calibrate --threads %" PRId64 "' makes one",
                 100 * VERDICT_FLOOR, threads, threads == 1 ? "" : "s", threads);
    else
        snprintf(out, bytes,
                 "floor %.2g %% of comparisons of %.3g s, by the calibration of %.10s (%" PRId64
                 " of them, %s, %" PRId64 " thread%s)",
                 100 * c->floor, c->pair_seconds, c->created_utc, c->comparisons, c->device,
                 c->threads, c->threads == 1 ? "" : "s");
}

void calibration_json(const struct calibration *c, const double *distance, const char *const *arms,
                      int arm_count, struct json *j)
{
    json_number(j, "floor", c->floor);
    json_text(j, "device", c->device);
    json_int(j, "threads", c->threads);
    json_int(j, "comparisons", c->comparisons);
    json_int(j, "alarms", c->alarms);
    json_number(j, "false_alarm_rate", (double)c->alarms / (double)c->comparisons);
    json_number(j, "pair_seconds", c->pair_seconds);
    json_number(j, "seconds", c->seconds);
    json_open_array(j, "arms");
    for (int i = 0; i < arm_count; i++)
        json_text(j, NULL, arms[i]);
    json_end(j);
    json_open_array(j, "distances");
    for (int64_t i = 0; i < c->comparisons; i++)
        json_number(j, NULL, distance[i]);
    json_end(j);
}

/* ---- reading --------------------------------------------------------------------------------- */

#ifdef HAVE_JANSSON
static double real_of(const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static int64_t count_of(const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

/* NULL: it is a calibration that can be used. */
static const char *read_record(const json_t *record, struct calibration *out)
{
    const json_t *schema = json_object_get(record, "schema");
    const char *version = json_string_value(json_object_get(schema, "version"));
    const char *utc = json_string_value(json_object_get(record, "created_utc"));
    const char *device = json_string_value(json_object_get(record, "device"));
    *out = (struct calibration){.floor = real_of(record, "floor"),
                                .threads = count_of(record, "threads"),
                                .comparisons = count_of(record, "comparisons"),
                                .alarms = count_of(record, "alarms"),
                                .pair_seconds = real_of(record, "pair_seconds"),
                                .seconds = real_of(record, "seconds")};
    if (!version || atoi(version) < 1 || atoi(version) > atoi(RECORD_SCHEMA_VERSION))
        return "its schema version is unknown here";
    if (!(out->floor > 0 && out->floor < 1))
        return "its floor is no fraction";
    if (out->threads < 1 || out->threads > 4096)
        return "it has no number of threads";
    if (out->comparisons < CALIBRATION_LEAST || out->alarms < 0 || out->alarms > out->comparisons)
        return "its counts cannot be";
    if (!(out->pair_seconds > 0) || !(out->seconds > 0) || !utc || strlen(utc) < 10)
        return "it does not say when it was measured, and for how long";
    snprintf(out->created_utc, sizeof out->created_utc, "%s", utc);
    snprintf(out->device, sizeof out->device, "%s", device ? device : "cpu");
    return NULL;
}

/* Records are long lines; only those that may be calibrations are worth a parse. */
static const char *read_line(const char *line, struct calibration *out, bool *found)
{
    char device[sizeof out->device];

    if (!strstr(line, "\"kind\":\"calibration\""))
        return NULL;
    json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *why = record ? read_record(record, out) : "it is no JSON";
    device_slug(device, sizeof device);
    *found = !why && !strcmp(out->device, device);
    json_decref(record);
    return why;
}

/* The last in one file. */
static bool read_file(const char *path, int64_t threads, struct calibration *out, char *note,
                      size_t bytes)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    bool any = false;
    while (file && getline(&line, &room, file) > 0) {
        struct calibration one;
        bool found = false;
        const char *why = read_line(line, &one, &found);
        if (why && !note[0])
            snprintf(note, bytes, "a calibration in %s is not used: %s", path, why);
        if (!found || (device_kind() == DEVICE_CPU && one.threads != threads))
            continue;
        *out = one;
        any = true;
    }
    free(line);
    if (file)
        fclose(file);
    return any;
}

static int is_record(const struct dirent *entry)
{
    const char *suffix = strrchr(entry->d_name, '.');
    return suffix && !strcmp(suffix, ".jsonl");
}

/* Names begin with the time, so the last name is the newest file. */
bool calibration_newest(const char *folder, int64_t threads, struct calibration *out, char *note,
                        size_t bytes)
{
    char path[1024];
    struct dirent **entries = NULL;
    bool any = false;
    note[0] = '\0';
    snprintf(path, sizeof path, "%s/%s", folder, host_machine_slug());
    int count = scandir(path, &entries, is_record, alphasort);
    for (int i = count - 1; i >= 0; i--) {
        snprintf(path, sizeof path, "%s/%s/%s", folder, host_machine_slug(), entries[i]->d_name);
        any = any || read_file(path, threads, out, note, bytes);
        free(entries[i]);
    }
    free(entries);
    return any;
}
#else
bool calibration_newest(const char *folder, int64_t threads, struct calibration *out, char *note,
                        size_t bytes)
{
    (void)folder, (void)threads, (void)out;
    snprintf(note, bytes, "this build has no jansson, so stored calibrations are not read");
    return false;
}
#endif
