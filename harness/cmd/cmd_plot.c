// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cmd_plot.c   plot: data files from result files, pictures from data files. gnuplot runs the fixed
 * scripts plots/NAME.gp; text from records reaches it as data only, file names as arguments. */
#include "base/json.h"
#include "base/patchmark.h"
#include "cmd/commands.h"
#include "plot/plot.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESULTS_MAX 256

struct plot_options {
    const char *out;
    bool json;
};

static const struct option *option_table(struct plot_options *o)
{
    static struct option table[3];
    *o = (struct plot_options){.out = "plots/out"};
    table[0] = (struct option){"--out", "DIR", OPTION_TEXT, &o->out,
                               "folder of pictures and data files (plots/out)"};
    table[1] = (struct option)FORMAT_OPTION(&o->json);
    return table;
}

void help_plot(FILE *out)
{
    struct plot_options o;
    fputs("  RESULTS                    result files or folders of them (results/)\n", out);
    options_help(option_table(&o), out);
}

/* plots/ beside the build folder of this program, or in the current folder. */
static enum status find_scripts(char out[PATH_MAX], struct fault *fault)
{
    char self[PATH_MAX], style[PATH_MAX + 40];
    snprintf(self, sizeof self, "%s", self_path());
    snprintf(out, PATH_MAX, "%.*s/../plots", PATH_MAX - 16, dirname(self));
    snprintf(style, sizeof style, "%s/style.gp", out);
    if (access(style, R_OK) == 0)
        return ST_OK;
    snprintf(out, PATH_MAX, "./plots");
    if (access("plots/style.gp", R_OK) == 0)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "the plot scripts (plots/*.gp) are neither beside this "
                     "program's folder nor in ./plots; run it from the source tree");
}

/* A leading "./" keeps gnuplot from reading a name that begins with '<', '|' or '~' as more. */
static enum status make_folder(const char *name, char out[PATH_MAX], struct fault *fault)
{
    int n = snprintf(out, PATH_MAX, "%s%s", name[0] == '/' ? "" : "./", name);
    if (!*name || n >= PATH_MAX - 64)
        return fault_set(fault, ST_BAD_INPUT, "--out wants the name of a folder");
    for (char *slash = out + 2; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(out, 0777);
        *slash = '/';
    }
    struct stat st;
    if (mkdir(out, 0777) && errno != EEXIST)
        return fault_set(fault, ST_BAD_INPUT, "folder %s cannot be made: %s", name,
                         strerror(errno));
    if (stat(out, &st) || !S_ISDIR(st.st_mode))
        return fault_set(fault, ST_BAD_INPUT, "--out %s is a file, not a folder", name);
    return ST_OK;
}

static enum status write_data(const struct plot_figure *figure, struct plot_set *set,
                              const char *path, struct plot_note *note, struct fault *fault)
{
    FILE *out = fopen(path, "w");
    if (!out)
        return fault_set(fault, ST_BAD_INPUT, "%s cannot be written: %s", path, strerror(errno));
    fprintf(out, "# %s Drawn by plots/%s.gp; tab-separated.\n", figure->question, figure->name);
    figure->write(set, out, note);
    bool failed = ferror(out) | fclose(out);
    if (note->missing[0])
        unlink(path);
    return failed ? fault_set(fault, ST_IO, "%s could not be written whole", path) : ST_OK;
}

/* A picture from an earlier run beside new data would mislead. */
static void remove_pictures(const char *base)
{
    static const char *const endings[] = {"png", "svg"};
    for (int i = 0; i < 2; i++) {
        char path[PATH_MAX + 8];
        snprintf(path, sizeof path, "%s.%s", base, endings[i]);
        unlink(path);
    }
}

#ifdef HAVE_GNUPLOT
extern char **environ;

static enum status draw(const char *scripts, const char *name, const char *data, const char *base,
                        struct fault *fault)
{
    char script[PATH_MAX + 40];
    snprintf(script, sizeof script, "%s/%s.gp", scripts, name);
    /* -d: without the user's start-up files */
    char *argv[] = {"gnuplot", "-d", "-c", script, (char *)data, (char *)base, NULL};
    setenv("LC_ALL", "C.UTF-8", 1); /* in any other locale gnuplot warns about its degree sign */
    pid_t pid;
    int error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (error)
        return fault_set(fault, ST_UNAVAILABLE,
                         "gnuplot cannot be started (%s); the data files are "
                         "written, install gnuplot-nox for the pictures",
                         strerror(error));
    int code = 0;
    while (waitpid(pid, &code, 0) < 0)
        if (errno != EINTR)
            return fault_set(fault, ST_IO, "gnuplot was lost: %s", strerror(errno));
    if (code)
        return fault_set(fault, ST_CRASHED,
                         "gnuplot failed on %s; to see it again: gnuplot -d -c %s "
                         "%s %s",
                         name, script, data, base);
    return ST_OK;
}
#else
static enum status draw(const char *scripts, const char *name, const char *data, const char *base,
                        struct fault *fault)
{
    (void)scripts, (void)name, (void)data, (void)base;
    return fault_set(fault, ST_NOT_BUILT,
                     "this build has no gnuplot: the data files are written, "
                     "install gnuplot-nox and run make again for the pictures");
}
#endif

static void tell(const struct plot_figure *figure, const struct plot_note *note, const char *base,
                 bool drawn, struct json *j)
{
    if (!j && note->missing[0])
        printf("  %-11s not drawn: it needs %s\n", figure->name, note->missing);
    else if (!j)
        printf("  %-11s %s%s  (%d series%s%s)\n", figure->name, base,
               drawn ? ".{png,svg,tsv}" : ".tsv", note->series, note->left_out[0] ? "; " : "",
               note->left_out);
    if (!j)
        return;
    static const char *const kinds[] = {"data", "tsv", "png", "png", "svg", "svg"};
    json_open_object(j, NULL);
    json_text(j, "figure", figure->name);
    json_text(j, "question", figure->question);
    json_int(j, "series", note->series);
    json_text(j, "needs", note->missing[0] ? note->missing : NULL);
    json_text(j, "left_out", note->left_out[0] ? note->left_out : NULL);
    for (int i = 0; i < 6; i += 2) {
        char path[PATH_MAX + 8];
        snprintf(path, sizeof path, "%s.%s", base, kinds[i + 1]);
        json_text(j, kinds[i], note->missing[0] || (i && !drawn) ? NULL : path);
    }
    json_end(j);
}

/* Data files are written even where a picture cannot be drawn; the first fault is the answer. */
static enum status draw_all(struct plot_set *set, const char *scripts, const char *folder,
                            struct json *j, int *figures, struct fault *fault)
{
    enum status worst = ST_OK;
    for (const struct plot_figure *f = plot_figures; f->name; f++) {
        struct plot_note note = {0};
        char base[PATH_MAX], data[PATH_MAX + 8];
        snprintf(base, sizeof base, "%.*s/%s", PATH_MAX - 40, folder, f->name);
        snprintf(data, sizeof data, "%s.tsv", base);
        remove_pictures(base);
        TRY(write_data(f, set, data, &note, fault));
        enum status drawn = note.missing[0] ? ST_OK : draw(scripts, f->name, data, base, fault);
        worst = worst ? worst : drawn;
        *figures += !note.missing[0];
        tell(f, &note, base, drawn == ST_OK, j);
    }
    return worst;
}

static enum status plot(const char *const *results, int count, const char *out, struct json *j,
                        int *figures, struct plot_set *set, struct fault *fault)
{
    char scripts[PATH_MAX], folder[PATH_MAX];
    TRY(plot_read(results, count, set, fault));
    TRY(find_scripts(scripts, fault));
    TRY(make_folder(out, folder, fault));
    if (!j)
        printf("%lld pipeline cases in %lld files%s%s\n", (long long)set->count,
               (long long)set->files, set->older ? " (of a case measured twice the newer)" : "",
               set->unknown ? " (without those that ended before their recipe was known)" : "");
    if (!j && set->latents)
        printf("%lld denoise-only case%s left out: figures are of clips\n", (long long)set->latents,
               set->latents == 1 ? "" : "s");
    if (!j && set->grouped)
        printf("%lld case%s of batches, replicas and scenarios left out: figures are of like "
               "clips, one"
               " after the other\n",
               (long long)set->grouped, set->grouped == 1 ? "" : "s");
    if (j) {
        json_open_object(j, NULL);
        json_int(j, "files", set->files);
        json_int(j, "cases", set->count);
        json_int(j, "older_cases", set->older);
        json_int(j, "cases_without_recipe", set->unknown);
        json_int(j, "denoise_only_cases", set->latents);
        json_int(j, "grouped_cases", set->grouped);
        json_open_array(j, "figures");
    }
    enum status status = draw_all(set, scripts, folder, j, figures, fault);
    if (j) {
        json_end(j);
        json_end(j);
    }
    return status;
}

int cmd_plot(int argc, char **argv, struct fault *fault)
{
    struct plot_options o;
    const char *results[RESULTS_MAX] = {"results"};
    int count = RESULTS_MAX, figures = 0;
    enum status status = options_parse(option_table(&o), argc, argv, results, &count, fault);
    if (status != ST_OK)
        return exit_code_of(status);

    struct json j;
    struct plot_set set = {0};
    json_init(&j, true);
    status = plot(results, count ? count : 1, o.out, o.json ? &j : NULL, &figures, &set, fault);
    if (o.json && !j.failed && j.used)
        printf("%s\n", j.text);
    json_free(&j);
    plot_free(&set);
    if (status == ST_OK && !figures)
        status = fault_set(fault, ST_UNAVAILABLE,
                           "the records hold no pipeline case of a clip with a time; "
                           "'patchmark run --suite quick' makes some");
    return exit_code_of(status);
}
