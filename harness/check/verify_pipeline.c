// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* verify_pipeline.c   The supervisor's side of parity above single ops (parity_worker.c): one
 * worker for all plans, a row each; where it dies the plan at hand is the row that says so. */
#include "check/verify_pipeline.h"
#include "base/json.h"
#include "base/patchmark.h"
#include "base/worker.h"
#include "check/verify_record.h"
#include "machine/gpu.h"
#include "records/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A new plan begins. */
static bool read_plan(const char *line, struct parity_row *r)
{
    struct parity_row fresh = {.status = ST_OK};
    if (sscanf(line, "plan %159s %15s %15s %15s", fresh.plan, fresh.type, fresh.fill,
               fresh.device) != 4)
        return false;
    *r = fresh;
    return true;
}

static bool read_served(const char *line, struct parity_row *r)
{
    if (strncmp(line, "served ", 7))
        return false;
    snprintf(r->served, sizeof r->served, "%s", line + 7);
    return true;
}

/* What came of it. */
static bool read_row(const char *line, struct parity_row *r)
{
    int status, used = 0;
    if (sscanf(line, "row %lg %lg %lg %lg %lg %lg %d %n", &r->block, &r->step, &r->latent, &r->psnr,
               &r->gate_latent, &r->gate_psnr, &status, &used) != 7)
        return false;
    r->status = (enum status)status;
    snprintf(r->reason, sizeof r->reason, "%s", line + used);
    return true;
}

bool parity_is_half(const struct parity_row *row) { return strcmp(row->type, "f32") != 0; }

static void print_heading(const char *device, FILE *out)
{
    struct gpu_info info;
    int index;
    if (sscanf(device, "cuda:%d", &index) == 1 && gpu_describe(index, &info, NULL) == ST_OK)
        fprintf(out, "\non %s, %s", device, info.name);
    fprintf(out, "\n%-34s %-5s %-8s %10s %10s %10s %9s   %-24s %s\n", "plan", "type", "weights",
            "block L2", "step L2", "latent L2", "PSNR dB", "gate", "status");
}

static void print_row(const struct parity_row *r, FILE *out)
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
                "  %s\n  replay: patchmark generate --model %s --kernels '%s' --dtype %s --fill %s"
                " --size %dx%d --frames %d --steps %d --guidance %d --seed %d --prompt '%s'"
                " --device %s --dump DIR -o a.y4m, against --kernels reference --device cpu\n",
                r->reason, PARITY_MODEL, r->plan, r->type, r->fill, PARITY_WIDTH, PARITY_HEIGHT,
                PARITY_FRAMES, PARITY_STEPS,
                parity_is_half(r) ? PARITY_HALF_GUIDANCE : PARITY_GUIDANCE, PARITY_SEED,
                PARITY_PROMPT, r->device);
}

static void json_row(const struct parity_row *r, struct json *j)
{
    json_open_object(j, NULL);
    json_text(j, "device", r->device);
    json_text(j, "ran_on", parity_ran_on(r));
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
    const struct parity_request *request;
    FILE *out;
    struct json j;
    int code;
};

static enum status keep(const struct report *report, const struct parity_row *r,
                        struct fault *fault)
{
    struct record_file *record = report->request->record;
    struct json j;
    if (!record || r->status == ST_INTERRUPTED)
        return ST_OK;
    record_begin(record, &j, "case");
    parity_case(report->request, r, &j);
    return record_write(record, &j, fault);
}

static enum status tell(struct report *report, const struct parity_row *r, struct fault *fault)
{
    progress_line(NULL);
    if (report->request->text)
        print_row(r, report->out);
    else
        json_row(r, &report->j);
    if (exit_code_of(r->status) == EXIT_CHECK)
        report->code = EXIT_CHECK;
    return keep(report, r, fault);
}

/* Reads rows until the worker says goodbye; a dead worker becomes the row of the plan it was at. */
static enum status listen(struct worker *w, struct report *report, struct fault *fault)
{
    const double silence_s = 300;
    struct parity_row r = {.plan = "reference", .type = "f32", .fill = "normal", .device = "cpu"};
    const char *line;
    for (;;) {
        struct fault died = {{0}};
        enum status s = worker_receive(w, silence_s, &line, &died);
        if (s != ST_OK) {
            snprintf(r.reason, sizeof r.reason, "%.500s", died.text);
            r.status = s;
            TRY(tell(report, &r, fault));
            return s == ST_INTERRUPTED ? s : ST_OK;
        }
        if (!strcmp(line, "bye"))
            return ST_OK;
        if (!strncmp(line, "fail ", 5)) {
            char *sentence;
            long status = strtol(line + 5, &sentence, 10);
            return fault_set(fault, (enum status)status, "%s", sentence + 1);
        }
        if (read_plan(line, &r))
            progress_line("plan %s in %s", r.plan, r.type);
        else if (read_row(line, &r))
            TRY(tell(report, &r, fault));
        else
            read_served(line, &r);
    }
}

static enum status spawn(const struct parity_request *request, const char *device,
                         struct worker **out, struct fault *fault)
{
    char number[16];
    const char *argv[10] = {"worker", "parity", "--threads", number, "--device", device};
    int n = 6;
    snprintf(number, sizeof number, "%d", request->threads);
    if (request->glob) {
        argv[n++] = "--glob";
        argv[n++] = request->glob;
    }
    return worker_spawn(argv, out, fault);
}

static enum status verify_on(const char *device, struct report *report, struct fault *fault)
{
    struct worker *w = NULL;
    if (report->request->text)
        print_heading(device, report->out);
    fflush(report->out);
    TRY(spawn(report->request, device, &w, fault));
    enum status s = listen(w, report, fault);
    worker_end(w);
    return s;
}

int verify_pipeline(const struct parity_request *request, FILE *out, struct fault *fault)
{
    const char *const *device = request->devices;
    struct report report = {
        .request = request, .out = out, .code = *device ? EXIT_OK : EXIT_NOTHING};
    enum status s = ST_OK;
    json_init(&report.j, false);
    json_open_array(&report.j, NULL);
    for (; s == ST_OK && *device; device++)
        s = verify_on(*device, &report, fault);
    json_end(&report.j);
    if (!request->text)
        fputs(s == ST_OK ? report.j.text : "null", out);
    json_free(&report.j);
    return s != ST_OK ? exit_code_of(s) : report.code;
}
