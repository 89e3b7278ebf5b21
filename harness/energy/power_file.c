// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "energy/power_file.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/stats.h"
#include "base/text.h"

#define MOST_W 1e8         /* a large data centre; more is another unit */
#define MOST_UTC_S 1e10    /* the year 2286; more is milliseconds */
#define MOST_SAMPLES 100e6 /* a day at 1 kHz */

static const char *const scopes[] = {"system", "chassis", "package", "board"};

enum status power_scope_check(const char *scope, const char *where, struct fault *fault)
{
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++)
        if (!strcmp(scope, scopes[i]))
            return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "%s: the scope of a power meter is system, chassis, package or board, not"
                     " '%.40s'",
                     where, scope);
}

/* ---- one line -------------------------------------------------------------------------------- */

/* "Z", "+01:00", "-0530": seconds east of UTC. */
static bool parse_offset(const char *text, double *seconds)
{
    int hours, minutes, used = 0;
    *seconds = 0;
    if (!strcmp(text, "Z") || !strcmp(text, "z"))
        return true;
    if ((*text != '+' && *text != '-') || strlen(text) > 6)
        return false;
    bool read = (sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2 ||
                 sscanf(text + 1, "%2d%2d%n", &hours, &minutes, &used) == 2) &&
                !text[1 + used] && hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
    *seconds = read ? (*text == '-' ? -60.0 : 60.0) * (60 * hours + minutes) : 0;
    return read;
}

/* NULL, or what is wrong with it. */
static const char *parse_iso(const char *text, double *utc_s)
{
    struct tm t = {0};
    double offset_s, second;
    int used = 0;
    char *rest;
    if (sscanf(text, "%4d-%2d-%2d%*[Tt ]%2d:%2d:%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
               &t.tm_min, &used) != 5 ||
        !used || !isdigit((unsigned char)text[used]))
        return "the time is neither like 2026-01-31T23:59:00Z nor seconds since 1970";
    second = strtod(text + used, &rest);
    if (t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_hour > 23 ||
        t.tm_min > 59 || !(second >= 0 && second < 61))
        return "there is no such time";
    if (!*rest)
        return "the time names no zone; UTC ends in Z";
    if (!parse_offset(rest, &offset_s))
        return "the time's zone is neither Z nor like +01:00";
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *utc_s = (double)timegm(&t) + second - offset_s;
    return NULL;
}

static const char *parse_time(const char *text, double *utc_s)
{
    char *end;
    *utc_s = strtod(text, &end);
    if (end == text || *end)
        return parse_iso(text, utc_s);
    if (!(*utc_s >= 0))
        return "the time is no number of seconds since 1970";
    return *utc_s > MOST_UTC_S ? "the time is in milliseconds or less; write seconds" : NULL;
}

static const char *parse_watts(const char *text, double *watts)
{
    char *end;
    *watts = strtod(text, &end);
    if (end == text || *end || !isfinite(*watts))
        return "the second field is no number of watts";
    return *watts < 0 || *watts > MOST_W ? "so many watts cannot be" : NULL;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (size_t n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
        text[n - 1] = '\0';
    return text;
}

/* NULL, or what is wrong; *heading: it could be one. */
static const char *parse_sample(char *line, struct power_sample *out, bool *heading)
{
    char *comma = strchr(line, ',');
    *heading = isalpha((unsigned char)*line) && !strpbrk(line, ":;");
    if (!comma || strchr(comma + 1, ','))
        return "a line is TIME,WATTS";
    *comma = '\0';
    const char *wrong = parse_time(trim(line), &out->utc_s);
    return wrong ? wrong : parse_watts(trim(comma + 1), &out->watts);
}

/* ---- the file -------------------------------------------------------------------------------- */

struct reader {
    const char *path;
    int64_t line, room;
    bool headed;
    struct power_file *file;
};

static enum status wrong_at(const struct reader *r, const char *what, struct fault *fault)
{
    return fault_set(fault, ST_BAD_INPUT, "%s, line %lld: %s", r->path, (long long)r->line, what);
}

/* "# scope: system"; other remarks are the instrument's own. */
static enum status take_remark(struct reader *r, char *text, struct fault *fault)
{
    char where[600], *colon = strchr(text, ':');
    if (!colon)
        return ST_OK;
    *colon = '\0';
    const char *key = trim(text), *value = trim(colon + 1);
    if (!strcmp(key, "source"))
        text_printable(value, strlen(value), r->file->source, sizeof r->file->source);
    if (strcmp(key, "scope") != 0)
        return ST_OK;
    snprintf(where, sizeof where, "%.500s, line %lld", r->path, (long long)r->line);
    TRY(power_scope_check(value, where, fault));
    snprintf(r->file->scope, sizeof r->file->scope, "%s", value);
    return ST_OK;
}

static enum status keep(struct reader *r, const struct power_sample *s, struct fault *fault)
{
    struct power_file *f = r->file;
    if (f->count && s->utc_s < f->sample[f->count - 1].utc_s)
        return wrong_at(r, "the time is before the one above; samples come in their order", fault);
    if (f->count == r->room) {
        int64_t room = r->room ? 2 * r->room : 1024;
        struct power_sample *grown =
            room > MOST_SAMPLES ? NULL : realloc(f->sample, (size_t)room * sizeof *grown);
        if (!grown)
            return fault_set(fault, ST_NO_MEMORY, "no memory for the samples of %s", r->path);
        f->sample = grown;
        r->room = room;
    }
    f->sample[f->count++] = *s;
    return ST_OK;
}

static enum status take_line(struct reader *r, char *text, struct fault *fault)
{
    struct power_sample s;
    bool heading;
    char *line = trim(text);
    if (!*line)
        return ST_OK;
    if (*line == '#')
        return take_remark(r, line + 1, fault);
    const char *wrong = parse_sample(line, &s, &heading);
    if (wrong && heading && !r->headed && r->file->count == 0) {
        r->headed = true;
        return ST_OK;
    }
    return wrong ? wrong_at(r, wrong, fault) : keep(r, &s, fault);
}

static enum status read_lines(struct reader *r, FILE *in, struct fault *fault)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t n;
    enum status s = ST_OK;
    while (s == ST_OK && (n = getline(&text, &room, in)) > 0) {
        r->line++;
        if (text[n - 1] != '\n')
            break;
        s = strlen(text) == (size_t)n && n < 4096
                ? take_line(r, text, fault)
                : wrong_at(r, "this is no line of text; a line is TIME,WATTS", fault);
    }
    if (s == ST_OK && ferror(in))
        s = fault_set(fault, ST_BAD_INPUT, "%s cannot be read: %s", r->path, strerror(errno));
    free(text);
    return s;
}

enum status power_file_read(const char *path, struct power_file *out, struct fault *fault)
{
    struct reader r = {.path = path, .file = out};
    *out = (struct power_file){.count = 0};
    FILE *in = fopen(path, "re");
    if (!in)
        return fault_set(fault, ST_BAD_INPUT, "the power file %s cannot be read: %s", path,
                         strerror(errno));
    enum status s = read_lines(&r, in, fault);
    fclose(in);
    if (s != ST_OK)
        power_file_free(out);
    return s;
}

void power_file_free(struct power_file *f)
{
    free(f->sample);
    *f = (struct power_file){.count = 0};
}

/* ---- a window -------------------------------------------------------------------------------- */

/* The first sample not before `utc_s`; count where all are. */
static int64_t first_from(const struct power_file *f, double utc_s)
{
    int64_t low = 0, high = f->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (f->sample[middle].utc_s < utc_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static double watts_at(const struct power_file *f, int64_t behind, double utc_s)
{
    const struct power_sample *b = &f->sample[behind], *a = behind ? b - 1 : b;
    double span_s = b->utc_s - a->utc_s;
    return span_s > 0 ? a->watts + (b->watts - a->watts) * (utc_s - a->utc_s) / span_s : b->watts;
}

/* Median and longest of the distances between the samples first .. last. */
static bool distances(const struct power_file *f, int64_t first, int64_t last, double *median,
                      double *longest, double *at)
{
    int64_t n = last - first;
    double *step = n > 0 ? malloc((size_t)n * sizeof *step) : NULL;
    if (!step)
        return false;
    *longest = 0;
    for (int64_t i = 0; i < n; i++) {
        step[i] = f->sample[first + i + 1].utc_s - f->sample[first + i].utc_s;
        if (step[i] > *longest) {
            *longest = step[i];
            *at = f->sample[first + i].utc_s;
        }
    }
    *median = stats_median(step, n);
    free(step);
    return true;
}

static void integrate(const struct power_file *f, double begin, double end, int64_t first,
                      int64_t last, struct power_figure *out)
{
    double at = begin, watts = watts_at(f, first, begin);
    out->peak_w = watts;
    for (int64_t i = first; i <= last; i++) {
        bool inside = f->sample[i].utc_s <= end;
        double next = inside ? f->sample[i].utc_s : end;
        double next_w = inside ? f->sample[i].watts : watts_at(f, i, end);
        out->joules += (next - at) * (watts + next_w) / 2;
        out->peak_w = fmax(out->peak_w, next_w);
        out->samples += inside;
        at = next;
        watts = next_w;
    }
}

/* Whether samples lie at or beyond both ends; else how they miss the window. first, last: see
 * power_file_between. */
static bool covers(const struct power_file *f, double begin, double end, int64_t first,
                   int64_t last, struct power_figure *out)
{
    double starts = f->count ? f->sample[0].utc_s : 0;
    double ends = f->count ? f->sample[f->count - 1].utc_s : 0;
    if (!f->count)
        snprintf(out->why, sizeof out->why, "the power file holds no sample");
    else if (first == f->count)
        snprintf(out->why, sizeof out->why,
                 "the power file ends %.1f s before the window begins; are both clocks in UTC?",
                 begin - ends);
    else if (starts > end)
        snprintf(out->why, sizeof out->why,
                 "the power file begins %.1f s after the window ends; are both clocks in UTC?",
                 starts - end);
    else if (last == f->count)
        snprintf(out->why, sizeof out->why, "the power file ends %.1f s before the window does",
                 end - ends);
    else if (starts > begin)
        snprintf(out->why, sizeof out->why, "the power file begins %.1f s after the window does",
                 starts - begin);
    return !out->why[0];
}

void power_file_between(const struct power_file *f, double begin, double end,
                        struct power_figure *out)
{
    *out = (struct power_figure){.joules = 0};
    double hole_s = 0, hole_at = 0;
    int64_t first = first_from(f, begin), last = first_from(f, end); /* not before either */
    if (!covers(f, begin, end, first, last, out))
        return;
    int64_t before = first && f->sample[first].utc_s > begin ? first - 1 : first;
    if (!distances(f, before, last, &out->step_s, &hole_s, &hole_at))
        snprintf(out->why, sizeof out->why, "the power file has one sample for the window");
    else if (last - before >= 2 && hole_s > POWER_HOLE * out->step_s)
        snprintf(out->why, sizeof out->why,
                 "the power file has a hole of %.1f s, %.1f s into the window; its samples are"
                 " %.2g s apart elsewhere",
                 hole_s, fmax(0, hole_at - begin), out->step_s);
    else
        integrate(f, begin, end, first, last, out);
}
