// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "cmd/generate_report.h"
#include "base/stats.h"
#include "machine/device.h"
#include "machine/host.h"

#include <stdlib.h>
#include <string.h>

static double gib(size_t bytes) { return (double)bytes / (double)(1 << 30); }

/* The plan by variant: "avx2_01_panel: linear; c_01_plain: patchify, ..." */
static void print_kernels(const struct engine *engine)
{
    char text[2048], seen[2048] = " ";
    engine_plan_summary(engine, text, sizeof text);
    const char *gap = "kernels ";
    for (const char *op = text; *op; op += strcspn(op, " ") + (op[strcspn(op, " ")] == ' ')) {
        const char *variant = op + strcspn(op, "=") + 1;
        char name[160], mark[168];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(variant, " "), variant);
        snprintf(mark, sizeof mark, " %s ", name);
        if (strstr(seen, mark))
            continue;
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s ", name);
        printf("%s%s:", gap, name);
        gap = "\n         ";
        for (const char *at = op; *at; at += strcspn(at, " ") + (at[strcspn(at, " ")] == ' ')) {
            const char *other = at + strcspn(at, "=") + 1;
            if (strcspn(other, " ") == strlen(name) && !strncmp(other, name, strlen(name)))
                printf(" %.*s", (int)(other - at - 1), at);
        }
    }
    putchar('\n');
    engine_tuned_text(engine, text, sizeof text);
    if (text[0])
        printf("%s\n", text);
    char refused[400];
    for (int i = 0; engine_refused(engine, i, refused, sizeof refused); i++)
        printf("refused %s\n", refused);
}

static bool on_cuda(const struct generate_report *job)
{
    return job->c->config.device == DEVICE_CUDA;
}

void generate_report_plan(const struct generate_report *job)
{
    const struct geometry *g = &job->c->request.geometry;
    char text[2048], weights[1024];
    case_describe(job->c, text, sizeof text);
    case_describe_weights(job->c, weights, sizeof weights);
    printf("%s, seed %llu, %s\n", text, (unsigned long long)job->c->request.seed, weights);
    case_describe_padding(job->c, text, sizeof text);
    if (text[0])
        printf("%s\n", text);
    if (case_prompt_is_cut(job->c))
        printf("the prompt is longer than the %lld tokens that the model reads; the rest is cut\n",
               (long long)job->c->request.model->text.rows);
    printf("latent %lldx%lldx%lld, %lld tokens\n", (long long)g->T, (long long)g->H,
           (long long)g->W, (long long)g->S);
    print_kernels(job->engine);
    printf("memory  %.3f GiB planned, %.3f GiB available%s%s\n\n",
           gib(engine_peak_bytes(job->engine)), gib(engine_available_bytes(job->engine)),
           on_cuda(job) ? " on " : "", on_cuda(job) ? job->c->spec.device : "");
    if (engine_residency(job->engine) == RESIDENCY_BLOCK_STREAM)
        puts("weights of a block are read again every time it runs: that time is in the clip's\n");
}

/* What each plan for the weights would take. */
static void print_residency(const struct generate_report *job)
{
    const size_t available = engine_available_bytes(job->engine);
    char fit[160];
    printf("\nmemory by residency:");
    for (int r = RESIDENCY_RESIDENT; r < RESIDENCY_COUNT; r++)
        if (r != (job->c->request.model->boundary > 0 ? RESIDENCY_STAGE : RESIDENCY_EXPERT_SWAP))
            printf("  %s %.3f GiB", residency_names[r],
                   gib(engine_residency_bytes(job->engine, (enum residency)r)));
    putchar('\n');
    if (on_cuda(job))
        return;
    engine_describe_fit(job->engine, available, fit, sizeof fit);
    printf("%s\n", fit);
}

void generate_report_dry_run(const struct generate_report *job)
{
    printf("%-11s %8s %12s %12s %12s %12s\n", "stage", "calls", "TFLOP", "weights MiB",
           "activ. MiB", "scratch MiB");
    double flops = 0;
    char tflop[TFLOP_BYTES], forward[TFLOP_BYTES];
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_figures *f = engine_stage(job->engine, (enum stage)i);
        flops += f->flops;
        if (!f->calls && !stage_expected(job->c->request.model, (enum stage)i))
            continue;
        printf("%-11s %8lld %12s %12.1f %12.1f %12.1f\n", stage_names[i], (long long)f->calls,
               tflop_text(f->flops, tflop), (double)f->weight_bytes / (1 << 20),
               (double)f->activation_bytes / (1 << 20), (double)f->scratch_bytes / (1 << 20));
    }
    double denoise = engine_stage(job->engine, STAGE_DENOISE)->flops +
                     engine_stage(job->engine, STAGE_DENOISE_LOW)->flops;
    denoise /= (double)(job->c->request.steps * case_passes(job->c));
    printf("%-11s %8s %12s   of it one forward %s\n", "all", "", tflop_text(flops, tflop),
           tflop_text(denoise, forward));
    print_residency(job);
}

static double median_step_s(const struct generate_report *job)
{
    int64_t n = job->c->request.steps;
    double *s = malloc((size_t)n * sizeof *s), median = 0;
    for (int64_t i = 0; s && i < n; i++)
        s[i] = (double)job->step_ns[i] * 1e-9;
    if (s)
        median = stats_median(s, n);
    free(s);
    return median;
}

/* Time of one op in one stage under one variant, over all its shapes. */
struct op_time {
    enum stage stage;
    enum op_id op;
    const char *served_by;
    int64_t calls, run_ns;
    double flops;
};

static int by_time(const void *a, const void *b)
{
    const struct op_time *x = a, *y = b;
    return x->run_ns < y->run_ns ? 1 : x->run_ns > y->run_ns ? -1 : 0;
}

/* Owned by the caller; *count of them, the longest first. */
static struct op_time *op_times(const struct engine *engine, int *count)
{
    int64_t calls;
    const struct traced_call *trace = engine_trace(engine, &calls);
    struct op_time *list = calloc((size_t)calls + 1, sizeof *list);
    *count = 0;
    for (int64_t i = 0; list && i < calls; i++) {
        const struct traced_call *t = &trace[i];
        int k = 0;
        while (k < *count && (list[k].stage != t->stage || list[k].op != t->problem.op ||
                              strcmp(list[k].served_by, t->served_by) != 0))
            k++;
        if (k == *count)
            list[(*count)++] = (struct op_time){t->stage, t->problem.op, t->served_by, 0, 0, 0};
        list[k].calls += t->calls;
        list[k].run_ns += t->run_ns;
        list[k].flops += t->flops * (double)t->calls;
    }
    if (list)
        qsort(list, (size_t)*count, sizeof *list, by_time);
    return list;
}

static void print_ops(const struct generate_report *job)
{
    int count;
    struct op_time *list = op_times(job->engine, &count);
    double all_s = (double)engine_total_ns(job->engine) * 1e-9;
    printf("\n%-11s %-14s %-20s %8s %10s %7s %9s\n", "stage", "op", "served by", "calls", "time",
           "share", "GFLOP/s");
    for (int i = 0; list && i < count; i++) {
        const struct op_time *t = &list[i];
        double s = (double)t->run_ns * 1e-9;
        printf("%-11s %-14s %-20s %8lld %8.3f s %6.1f%% ", stage_names[t->stage],
               op_table[t->op]->name, t->served_by, (long long)t->calls, s, 100 * s / all_s);
        if (t->flops > 0)
            printf("%9.1f\n", t->flops * 1e-9 / s);
        else
            printf("%9s\n", "-");
    }
    free(list);
}

static void json_ops(const struct generate_report *job, struct json *j)
{
    int count;
    struct op_time *list = op_times(job->engine, &count);
    json_open_array(j, "ops");
    for (int i = 0; list && i < count; i++) {
        json_open_object(j, NULL);
        json_text(j, "stage", stage_names[list[i].stage]);
        json_text(j, "op", op_table[list[i].op]->name);
        json_text(j, "served_by", list[i].served_by);
        json_int(j, "calls", list[i].calls);
        json_int(j, "run_ns", list[i].run_ns);
        json_number(j, "flops", list[i].flops);
        json_end(j);
    }
    json_end(j);
    free(list);
}

/* Where the host needs as long as the device, the device waits for it. */
static void print_host_share(const struct generate_report *job, const struct stage_figures *f)
{
    double step_s = median_step_s(job), host_s = (double)f->host_ns * 1e-9;
    printf("; the host enqueues one in %.3f ms (%.1f%%)", host_s * 1e3, 100 * host_s / step_s);
    if (f->graph_nodes)
        printf(", a graph of %lld nodes", (long long)f->graph_nodes);
}

void generate_report_result(const struct generate_report *job)
{
    double all_s = (double)engine_total_ns(job->engine) * 1e-9, load_s = 0;
    printf("%-11s %10s %7s %12s\n", "stage", "time", "share", "GFLOP/s");
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_figures *f = engine_stage(job->engine, (enum stage)i);
        double s = (double)f->run_ns * 1e-9;
        load_s += (double)f->load_ns * 1e-9;
        if (!f->calls && !stage_expected(job->c->request.model, (enum stage)i))
            continue;
        printf("%-11s %8.3f s %6.1f%%", stage_names[i], s, 100 * s / all_s);
        if (f->run_ns > 0)
            printf(" %12.1f", f->flops * 1e-9 / s);
        else
            printf(" %12s", "-");
        if (i == STAGE_DENOISE)
            printf("   %lld step%s%s, median %.3f s", (long long)job->c->request.steps,
                   job->c->request.steps == 1 ? "" : "s",
                   engine_stage(job->engine, STAGE_DENOISE_LOW)->calls ? " of both experts" : "",
                   median_step_s(job));
        if (i == STAGE_DENOISE && on_cuda(job))
            print_host_share(job, f);
        if (f->stream_ns)
            printf("   of it %.3f s reading weights", (double)f->stream_ns * 1e-9);
        putchar('\n');
    }
    printf("%-11s %8.3f s\n\n", "total", all_s);
    printf("beside it: loading weights %.3f s, ", load_s);
    if (job->output)
        printf("file encoding %.3f s, ", (double)job->encode_ns * 1e-9);
    printf("peak memory %.3f GiB\n", gib(host_peak_resident()));
    char nonfinite[512];
    case_describe_nonfinite(job->c, nonfinite, sizeof nonfinite);
    if (nonfinite[0])
        printf("%s\n", nonfinite);
    if (!strcmp(device_ran_on(), "emulated"))
        printf("emulated on the CPU: these times say nothing about a GPU\n");
    if (job->show_ops)
        print_ops(job);
    if (job->output)
        printf("wrote %s\n", job->output);
    else
        printf("wrote %s/latents_final.safetensors\n", job->dump_folder);
}

static void json_stages(const struct generate_report *job, struct json *j)
{
    json_open_object(j, "stages");
    for (int i = 0; i < STAGE_COUNT; i++) {
        const struct stage_figures *f = engine_stage(job->engine, (enum stage)i);
        if (!f->calls && !stage_expected(job->c->request.model, (enum stage)i))
            continue;
        json_open_object(j, stage_names[i]);
        json_int(j, "calls", f->calls);
        json_number(j, "flops", f->flops);
        json_int(j, "weight_bytes", (int64_t)f->weight_bytes);
        json_int(j, "packed_bytes", (int64_t)f->packed_bytes);
        json_int(j, "activation_bytes", (int64_t)f->activation_bytes);
        json_int(j, "scratch_bytes", (int64_t)f->scratch_bytes);
        if (!job->dry_run) {
            json_int(j, "run_ns", f->run_ns);
            json_int(j, "load_ns", f->load_ns);
            if (f->stream_ns)
                json_int(j, "stream_ns", f->stream_ns);
            if (i == STAGE_DENOISE && on_cuda(job)) {
                json_int(j, "host_step_ns", f->host_ns);
                json_int(j, "graph_nodes", f->graph_nodes);
            }
        }
        json_end(j);
    }
    json_end(j);
}

void generate_report_json(const struct generate_report *job, FILE *out)
{
    const struct geometry *g = &job->c->request.geometry;
    struct json j;
    json_init(&j, true);
    json_open_object(&j, NULL);
    case_recipe(job->c, job->engine, &j, "recipe");
    struct tuned_use tuned;
    engine_tuned(job->engine, &tuned);
    tuned_use_json(&tuned, job->c->spec.untuned, &j);
    json_int(&j, "tokens", g->S);
    json_int(&j, "padded_width", g->pad_width);
    json_int(&j, "padded_height", g->pad_height);
    json_int(&j, "padded_frames", g->pad_frames);
    json_text(&j, "ran_on", job->dry_run ? NULL : device_ran_on());
    json_stages(job, &j);
    json_int(&j, "planned_bytes", (int64_t)engine_peak_bytes(job->engine));
    if (!job->dry_run) {
        json_open_array(&j, "step_ns");
        for (int64_t i = 0; i < job->c->request.steps; i++)
            json_int(&j, NULL, job->step_ns[i]);
        json_end(&j);
        json_int(&j, "total_ns", engine_total_ns(job->engine));
        json_int(&j, "encode_ns", job->encode_ns);
        json_int(&j, "peak_resident_bytes", (int64_t)host_peak_resident());
        char nonfinite[512];
        case_describe_nonfinite(job->c, nonfinite, sizeof nonfinite);
        json_text(&j, "nonfinite_weights", nonfinite[0] ? nonfinite : NULL);
        if (job->show_ops)
            json_ops(job, &j);
        json_text(&j, "output", job->output ? job->output : job->dump_folder);
    }
    json_end(&j);
    fprintf(out, "%s\n", j.text);
    json_free(&j);
}
