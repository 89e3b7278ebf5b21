// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* ran_on.c   Records are our own, one JSON object a line without blanks, so that a search for
 * members is enough and needs no library. */
#include "ran_on.h"
#include "patchmark.h"

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

/* A case that carries a time, made on hardware. */
static bool is_timed(const char *line)
{
    return has(line, "kind", "case") && has(line, "ran_on", "cpu") &&
           (has(line, "status", "passed") || has(line, "status", "unstable") ||
            has(line, "status", "throttled"));
}

/* "op=one+two op2=three": whether op's list has the variant. */
static bool plan_has(const char *plan, const char *op, const char *variant)
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

static bool ran(const char *line, const char *op, const char *variant)
{
    static const char plan_member[] = "\"plan\":\"";
    if (!is_timed(line))
        return false;
    if (has(line, "case_kind", "kernel"))
        return has(line, "op", op) && has(line, "variant", variant);
    const char *plan = strstr(line, plan_member);
    return plan && plan_has(plan + sizeof plan_member - 1, op, variant);
}

static bool file_has(const char *path, const char *op, const char *variant)
{
    FILE *in = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    while (in && !found && getline(&line, &room, in) > 0)
        found = ran(line, op, variant);
    free(line);
    if (in)
        fclose(in);
    return found;
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

bool ran_on_find(const char *folder, const char *op, const char *variant, char *out, size_t bytes)
{
    char pattern[4200];
    const char *newest = NULL;
    glob_t files;
    snprintf(pattern, sizeof pattern, "%s/*/*.jsonl", folder);
    if (glob(pattern, 0, NULL, &files))
        return false;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *path = files.gl_pathv[i];
        if ((!newest || strcmp(strrchr(path, '/'), strrchr(newest, '/')) > 0) &&
            file_has(path, op, variant))
            newest = path;
    }
    if (newest)
        describe(newest, out, bytes);
    globfree(&files);
    return newest != NULL;
}

const char *ran_on_folder(void)
{
    static char path[4200];
    struct stat info;
    const char *self = self_path(), *slash = strrchr(self, '/');
    snprintf(path, sizeof path, "%.*s/../results", slash ? (int)(slash - self) : 0, self);
    return !stat(path, &info) && S_ISDIR(info.st_mode) ? path : "results";
}
