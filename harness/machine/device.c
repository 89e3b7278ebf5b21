// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "machine/device.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "machine/gpu.h"

static struct {
    enum device_kind kind;
    int index, gpu;
    char text[24];
} chosen = {DEVICE_CPU, 0, -1, "cpu"};

static enum status read_index(const char *text, int *index, struct fault *fault)
{
    char *end = NULL;
    long value = strncmp(text, "cuda:", 5) == 0 ? strtol(text + 5, &end, 10) : -1;
    if (!end || end == text + 5 || *end || value < 0 || value > 1023)
        return fault_set(fault, ST_BAD_INPUT, "--device '%s' should be cpu or cuda:N", text);
    *index = (int)value;
    return ST_OK;
}

enum status device_choose(const char *text, struct fault *fault)
{
    int index = 0, count = 0;
    if (!strcmp(text, "cpu")) {
        chosen.kind = DEVICE_CPU;
        snprintf(chosen.text, sizeof chosen.text, "cpu");
        return ST_OK;
    }
    TRY(read_index(text, &index, fault));
    TRY(gpu_count(&count, fault));
    if (index >= count)
        return fault_set(fault, ST_UNAVAILABLE,
                         "--device cuda:%d: this machine's CUDA devices end at cuda:%d", index,
                         count - 1);
    chosen.kind = DEVICE_CUDA;
    chosen.index = chosen.gpu = index;
    snprintf(chosen.text, sizeof chosen.text, "cuda:%d", index);
    return ST_OK;
}

enum device_kind device_kind(void) { return chosen.kind; }

int device_index(void) { return chosen.kind == DEVICE_CUDA ? chosen.index : 0; }

int device_gpu(void) { return chosen.gpu; }

const char *device_text(void) { return chosen.text; }

void device_slug(char *out, size_t bytes)
{
    struct gpu_info info;
    size_t used = 0;
    if (chosen.kind == DEVICE_CPU || gpu_describe(chosen.index, &info, NULL) != ST_OK) {
        snprintf(out, bytes, "%s", chosen.kind == DEVICE_CPU ? "cpu" : "unknown");
        return;
    }
    for (const char *c = info.name; *c && used + 1 < bytes; c++)
        out[used++] = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '-';
    out[used] = '\0';
}

const char *device_ran_on_of(enum device_kind kind, int index)
{
    struct gpu_info info;
    if (kind == DEVICE_CPU)
        return "cpu";
    return gpu_describe(index, &info, NULL) == ST_OK && info.emulated ? "emulated" : "cuda";
}

const char *device_ran_on(void) { return device_ran_on_of(chosen.kind, chosen.index); }
