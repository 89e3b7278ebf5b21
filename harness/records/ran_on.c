// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ran_on.c   Records are our own, one JSON object a line without blanks, so that a search for
 * members is enough and needs no library. */
#include "records/ran_on.h"
#include "base/patchmark.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool has(const char *line, const char *name, const char *value)
{
    char member[192];
    snprintf(member, sizeof member, "\"%s\":\"%s\"", name, value);
    return strstr(line, member) != NULL;
}

static bool is_timed(const char *line)
{
    return has(line, "status", "passed") || has(line, "status", "unstable") ||
           has(line, "status", "throttled");
}

/* The plan ends at a quotation mark too, for it is looked at where it lies in a record. */
bool ran_on_plan_has(const char *plan, const char *op, const char *variant)
{
    size_t n = strlen(op), m = strlen(variant);
    while (*plan && *plan != '"') {
        size_t word = strcspn(plan, " \"");
        if (word > n && !strncmp(plan, op, n) && plan[n] == '=')
            for (const char *at = plan + n + 1; at < plan + word; at += strcspn(at, "+ \"") + 1)
                if (strcspn(at, "+ \"") == m && !strncmp(at, variant, m))
                    return true;
        plan += word + (plan[word] == ' ');
    }
    return false;
}

/* A parity's recipe has the words that asked for the plan; the plan itself is in `impl`. NULL where
 * the case is of one variant. */
static const char *plan_of(const char *line)
{
    static const char member[] = "\"plan\":\"";
    const char *from = has(line, "case_kind", "pipeline") ? strstr(line, "\"recipe\":{")
                       : has(line, "case_kind", "parity") ? strstr(line, "\"impl\":{")
                                                          : NULL;
    const char *plan = from ? strstr(from, member) : NULL;
    return plan ? plan + sizeof member - 1 : NULL;
}

static enum ran line_says(const char *line, const char *op, const char *variant)
{
    bool hardware = has(line, "ran_on", "cpu") || has(line, "ran_on", "cuda");
    if (!has(line, "kind", "case") || !is_timed(line) ||
        (!hardware && !has(line, "ran_on", "emulated")))
        return RAN_NOWHERE;
    const char *plan = plan_of(line);
    bool named = plan ? ran_on_plan_has(plan, op, variant)
                      : has(line, "op", op) && has(line, "variant", variant);
    return !named ? RAN_NOWHERE : hardware ? RAN_HARDWARE : RAN_EMULATED;
}

static enum ran file_says(const char *path, const char *op, const char *variant)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    enum ran best = RAN_NOWHERE;
    while (in && best != RAN_HARDWARE && getline(&line, &room, in) > 0) {
        enum ran ran = line_says(line, op, variant);
        best = ran > best ? ran : best;
    }
    free(line);
    if (in)
        fclose(in);
    return best;
}

/* .../<machine>/<utc>-<commit>.jsonl in words. */
static void describe(const char *path, char *out, size_t bytes)
{
    const char *name = strrchr(path, '/') + 1, *machine = name - 1;
    while (machine > path && machine[-1] != '/')
        machine--;
    const char *commit = name + strcspn(name, "-");
    commit += *commit == '-';
    snprintf(out, bytes, "%.*s at %.*s", (int)(name - 1 - machine), machine,
             (int)strcspn(commit, "."), commit);
}

enum ran ran_on_find(const char *folder, const char *op, const char *variant, char *out,
                     size_t bytes)
{
    char pattern[4200];
    const char *newest[RAN_HARDWARE + 1] = {NULL};
    glob_t files;
    snprintf(pattern, sizeof pattern, "%s/*/*.jsonl", folder);
    if (glob(pattern, 0, NULL, &files))
        return RAN_NOWHERE;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *path = files.gl_pathv[i];
        enum ran ran = file_says(path, op, variant);
        if (!newest[ran] || strcmp(strrchr(path, '/'), strrchr(newest[ran], '/')) > 0)
            newest[ran] = path;
    }
    enum ran best = newest[RAN_HARDWARE]   ? RAN_HARDWARE
                    : newest[RAN_EMULATED] ? RAN_EMULATED
                                           : RAN_NOWHERE;
    if (best != RAN_NOWHERE)
        describe(newest[best], out, bytes);
    globfree(&files);
    return best;
}

const char *ran_on_folder(void)
{
    static char path[4200];
    struct stat info;
    const char *self = self_path(), *slash = strrchr(self, '/');
    snprintf(path, sizeof path, "%.*s/../results", slash ? (int)(slash - self) : 0, self);
    return !stat(path, &info) && S_ISDIR(info.st_mode) ? path : "results";
}
