// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify_pipeline.c   The supervisor's side of parity above single ops (parity_worker.c): one
 * worker for all plans, a row each; where it dies the plan at hand is the row that says so. */
#include "verify_pipeline.h"
#include "gpu.h"
#include "json.h"
#include "patchmark.h"
#include "worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char plan[160], type[16], fill[16], reason[512];
    double block, step, latent, psnr, gate_latent, gate_psnr;
    enum status status;
};

static bool read_row(const char *line, struct row *r)
{
    int status, used = 0;
    if (sscanf(line, "row %159s %15s %15s %lg %lg %lg %lg %lg %lg %d %n", r->plan, r->type, r->fill,
               &r->block, &r->step, &r->latent, &r->psnr, &r->gate_latent, &r->gate_psnr, &status,
               &used) != 10)
        return false;
    r->status = (enum status)status;
    snprintf(r->reason, sizeof r->reason, "%s", line + used);
    return true;
}

static bool is_cuda(const char *device) { return strcmp(device, "cpu") != 0; }

/* False for the CPU as well. */
static bool describe_gpu(const char *device, struct gpu_info *info)
{
    return is_cuda(device) &&
           gpu_describe((int)strtol(device + strlen("cuda:"), NULL, 10), info, NULL) == ST_OK;
}

static const char *ran_on(const char *device)
{
    struct gpu_info info;
    return !is_cuda(device)                               ? "cpu"
           : describe_gpu(device, &info) && info.emulated ? "emulated"
                                                          : "cuda";
}

static void print_heading(const char *device, FILE *out)
{
    struct gpu_info info;
    if (describe_gpu(device, &info))
        fprintf(out, "\non %s, %s", device, info.name);
    fprintf(out, "\n%-34s %-5s %-8s %10s %10s %10s %9s   %-24s %s\n", "plan", "type", "weights",
            "block L2", "step L2", "latent L2", "PSNR dB", "gate", "status");
}

static void print_row(const struct row *r, const char *device, FILE *out)
{
    char gate[64];
    if (r->status != ST_OK && r->status != ST_WRONG) {
        fprintf(out, "%-34s %-5s %-8s %s: %s\n", r->plan, r->type, r->fill, status_name(r->status),
                r->reason);
        return;
    }
    if (isinf(r->gate_latent))
        snprintf(gate, sizeof gate, "approximate: no gate");
    else
        snprintf(gate, sizeof gate, "<= %.1e, >= %.1f dB", r->gate_latent, r->gate_psnr);
    fprintf(out, "%-34s %-5s %-8s %10.1e %10.1e %10.1e %9.1f   %-24s %s\n", r->plan, r->type,
            r->fill, r->block, r->step, r->latent, r->psnr, gate, status_name(r->status));
    if (r->status == ST_WRONG)
        fprintf(out,
                "  replay: patchmark generate --model tiny --kernels '%s' --dtype %s --fill %s"
                " --size 40x24 --frames 4 --steps 3 --prompt 'a red ball rolls to the left'"
                " --device %s --dump DIR -o a.y4m, against --kernels reference --device cpu\n",
                r->plan, r->type, r->fill, device);
}

static void json_row(const struct row *r, const char *device, struct json *j)
{
    json_open_object(j, NULL);
    json_text(j, "device", device);
    json_text(j, "ran_on", ran_on(device));
    json_text(j, "plan", r->plan);
    json_text(j, "type", r->type);
    json_text(j, "fill", r->fill);
    json_text(j, "status", status_name(r->status));
    json_text(j, "status_reason", r->reason[0] ? r->reason : NULL);
    json_number(j, "block_l2", r->block);
    json_number(j, "step_l2", r->step);
    json_number(j, "latent_l2", r->latent);
    json_number(j, "psnr_db", r->psnr);
    json_number(j, "gate_latent_l2", r->gate_latent);
    json_number(j, "gate_psnr_db", r->gate_psnr);
    json_end(j);
}

struct report {
    FILE *out;
    struct json j;
    const char *device; /* of the table at hand */
    bool text;
    int code;
};

static void tell(struct report *report, const struct row *r)
{
    progress_line(NULL);
    if (report->text)
        print_row(r, report->device, report->out);
    else
        json_row(r, report->device, &report->j);
    if (exit_code_of(r->status) == EXIT_CHECK)
        report->code = EXIT_CHECK;
}

/* Reads rows until the worker says goodbye; a dead worker becomes the row of the plan it was at. */
static enum status listen(struct worker *w, struct report *report, struct fault *fault)
{
    const double silence_s = 300;
    char plan[160] = "reference", type[16] = "f32";
    const char *line;
    for (;;) {
        struct row r = {.status = ST_OK};
        struct fault died = {{0}};
        enum status s = worker_receive(w, silence_s, &line, &died);
        if (s != ST_OK) {
            snprintf(r.plan, sizeof r.plan, "%s", plan);
            snprintf(r.type, sizeof r.type, "%s", type);
            snprintf(r.fill, sizeof r.fill, "-");
            snprintf(r.reason, sizeof r.reason, "%.500s", died.text);
            r.status = s;
            tell(report, &r);
            return s == ST_INTERRUPTED ? s : ST_OK;
        }
        if (!strcmp(line, "bye"))
            return ST_OK;
        if (!strncmp(line, "fail ", 5)) {
            char *sentence;
            long status = strtol(line + 5, &sentence, 10);
            return fault_set(fault, (enum status)status, "%s", sentence + 1);
        }
        if (sscanf(line, "plan %159s %15s", plan, type) == 2)
            progress_line("plan %s in %s", plan, type);
        else if (read_row(line, &r))
            tell(report, &r);
    }
}

static enum status spawn(const char *glob, const char *device, int threads, struct worker **out,
                         struct fault *fault)
{
    char number[16];
    const char *argv[10] = {"worker", "parity", "--threads", number, "--device", device};
    int n = 6;
    snprintf(number, sizeof number, "%d", threads);
    if (glob) {
        argv[n++] = "--glob";
        argv[n++] = glob;
    }
    return worker_spawn(argv, out, fault);
}

static enum status verify_on(const char *glob, int threads, struct report *report,
                             struct fault *fault)
{
    struct worker *w = NULL;
    if (report->text)
        print_heading(report->device, report->out);
    fflush(report->out);
    TRY(spawn(glob, report->device, threads, &w, fault));
    enum status s = listen(w, report, fault);
    worker_end(w);
    return s;
}

int verify_pipeline(const char *glob, const char *const *devices, int threads, bool text, FILE *out,
                    struct fault *fault)
{
    struct report report = {.out = out, .text = text, .code = *devices ? EXIT_OK : EXIT_NOTHING};
    enum status s = ST_OK;
    json_init(&report.j, false);
    json_open_array(&report.j, NULL);
    for (; s == ST_OK && *devices; devices++) {
        report.device = *devices;
        s = verify_on(glob, threads, &report, fault);
    }
    json_end(&report.j);
    if (!text)
        fputs(s == ST_OK ? report.j.text : "null", out);
    json_free(&report.j);
    return s != ST_OK ? exit_code_of(s) : report.code;
}
